#!/bin/sh
# Makes a virtual environment. Debian splits venv into a package of its own: it is brought when it
# may be, else the command that brings it is named.
# Usage: make_venv.sh PYTHON FOLDER
set -eu
python=$1
folder=$2

"$python" - <<'CHECK' || exit 1
import sys
if sys.version_info < (3, 11):
    sys.exit(f"Python 3.11 or newer is needed, this is {sys.version.split()[0]}: make PYTHON=python3.11 …")
CHECK

if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    package=$("$python" -c 'import sys; print("python3.%d-venv" % sys.version_info[1])')
    printf '%s\n' "$package" >"${TMPDIR:-/tmp}/venv-package.$$"
    sh "$(dirname "$0")/install_debian.sh" "${TMPDIR:-/tmp}/venv-package.$$"
    rm -f "${TMPDIR:-/tmp}/venv-package.$$"
fi
exec "$python" -m venv "$folder"
