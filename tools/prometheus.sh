#!/bin/sh
# Puts Debian's prometheus and promtool into FOLDER, for the tests of alerts and dashboard.
# They are unpacked, not installed: the package would start a service that listens everywhere.
# Usage: prometheus.sh FOLDER
set -eu
[ -x "$1/usr/bin/promtool" ] && exit 0
if ! apt-cache show prometheus >/dev/null 2>&1; then
    echo "apt knows no prometheus: its tests are left out (apt-get update may help)"
    exit 0
fi
echo "downloading from Debian: prometheus (19 MB)"
mkdir -p "$1"
folder=$(realpath "$1")
download=$(mktemp -d)
trap 'rm -rf "$download"' EXIT
(cd "$download" && apt-get -qq -o APT::Sandbox::User=root download prometheus)
dpkg-deb -x "$download"/prometheus_*.deb "$folder.new"
rm -rf "$folder"
mv "$folder.new" "$folder"
