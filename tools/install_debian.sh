#!/bin/sh
# Installs the Debian packages that a file lists and this machine lacks, when it may: as root or
# with a sudo that asks for no password. Otherwise it says what is left out, and goes on.
# Usage: install_debian.sh FILE
set -eu
if ! command -v dpkg-query >/dev/null 2>&1; then
    echo "not a Debian: tests that need its packages are left out ($1)"
    exit 0
fi
missing=
for package in $(grep -v '^#' "$1"); do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' ||
        missing="$missing $package"
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" = 0 ]; then
    as_root=
elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
    as_root="sudo -n"
else
    echo "left out what needs these Debian packages:$missing"
    echo "to have it: sudo apt-get install$missing"
    exit 0
fi
echo "installing from Debian:$missing"
export DEBIAN_FRONTEND=noninteractive
$as_root apt-get -qq update
# shellcheck disable=SC2086 # a list of words on purpose
$as_root apt-get -qq install --yes --no-install-recommends $missing >/dev/null
