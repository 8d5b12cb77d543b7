#!/bin/sh
# Puts Debian's nginx and Caddy into a folder, for the tests of packaging/. Not installed: that would
# start both on port 80 of this machine. Where it cannot be done it says so, and goes on.
# Usage: fetch_proxies.sh FOLDER
set -eu
folder=$1
[ -x "$folder/usr/sbin/nginx" ] && [ -x "$folder/usr/bin/caddy" ] && exit 0
if ! command -v apt-get >/dev/null 2>&1; then
    echo "not a Debian: tests behind nginx and Caddy are left out"
    exit 0
fi
echo "fetching nginx and caddy from Debian"
mkdir -p "$folder"
# APT gives the download to an account that may not be able to write here: that is only a warning.
(cd "$folder" && apt-get -qq download nginx caddy 2>/dev/null) || {
    echo "left out what needs nginx and caddy: apt-get download does not bring them"
    exit 0
}
for package in "$folder"/*.deb; do
    dpkg-deb -x "$package" "$folder"
    rm "$package"
done
