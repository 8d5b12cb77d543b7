#!/bin/sh
# Puts MLServer, an engine that speaks the Open Inference Protocol, into a virtual environment of its
# own, for the tests of models elsewhere: it wants other versions than we do. 370 MB, most of it what
# it brings for others. Where it cannot be done it says so, and goes on.
# Usage: fetch_engine.sh PYTHON FOLDER
set -eu
python=$1
folder=$2
packages=$(dirname "$0")/engine-packages.txt
[ -f "$folder/.made" ] && [ "$folder/.made" -nt "$packages" ] && exit 0
echo "installing MLServer (a minute, most of it downloads)"
rm -rf "$folder"
sh "$(dirname "$0")/make_venv.sh" "$python" "$folder"
"$folder/bin/python" -m pip --disable-pip-version-check --quiet install --requirement "$packages" || {
    echo "left out what needs MLServer: pip does not bring it"
    exit 0
}
touch "$folder/.made"
