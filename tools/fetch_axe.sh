#!/bin/sh
# Puts axe-core into FOLDER, for the tests that look for what keeps people from using the pages.
# Nothing of it is run here. Where it cannot be done it says so, and goes on.
# Usage: fetch_axe.sh FOLDER
set -eu
version=4.14.1
[ -e "$1/axe.min.js" ] && exit 0
if ! command -v npm >/dev/null 2>&1; then
    echo "no npm: nobody looks at the pages with axe-core"
    exit 0
fi
echo "fetching axe-core $version from npm (3 MB)"
download=$(mktemp -d)
trap 'rm -rf "$download"' EXIT
(cd "$download" && npm pack --silent "axe-core@$version" >/dev/null) || {
    echo "left out what needs axe-core: npm does not bring it"
    exit 0
}
mkdir -p "$1"
tar -xzf "$download/axe-core-$version.tgz" -C "$1" --strip-components 1 package/axe.min.js
