#!/bin/sh
# Builds a small Debian in FOLDER/root with this project installed as pipx does it for the account
# `pi`: for tests under a real systemd. Debian and dependencies are kept from one run to the next;
# the project itself is always installed anew.
# Packages come from where this machine's own apt and pip have theirs. Needs root.
# Usage: systemd_tree.sh FOLDER PYTHON   (PYTHON: of a virtual environment of ours)
set -eu
cd "$(dirname "$0")/.."
folder=$1
python=$2
root=$folder/root
venv=/home/pi/.local/share/pipx/venvs/objectclassification
mkdir -p "$folder"

# Inside, there is no network: only what is bound.
inside() {
    systemd-nspawn --quiet --register=no --keep-unit --private-network --directory="$root" \
        --bind-ro="$(realpath "$folder"):/packages" "$@" </dev/null
}

if [ ! -d "$root" ]; then
    . /etc/os-release
    [ "$ID" = debian ] || { echo "this builds a Debian out of a Debian, not out of $ID" >&2; exit 1; }
    mirror=$(apt-get indextargets --format '$(SITE)' \
        'Created-By: Packages' "Release: $VERSION_CODENAME" 'Component: main' | head -n 1)
    [ -n "$mirror" ] || { echo "apt knows no source of $VERSION_CODENAME: apt-get update" >&2; exit 1; }
    rm -rf "$root.new"
    # In a mount namespace: what it mounts inside is gone with it, also when it is killed.
    unshare --mount debootstrap --variant=minbase --include=systemd,systemd-sysv,dbus,python3,python3-venv \
        "$VERSION_CODENAME" "$root.new" "$mirror"
    rm -rf "$root.new"/var/cache/apt/archives/*.deb
    chroot "$root.new" useradd --create-home --key HOME_MODE=0700 pi
    mv "$root.new" "$root"
fi

# A build folder of an earlier time would bring back modules that were deleted since.
rm -rf build "$folder"/objectclassification-*.whl
"$python" -m pip --quiet wheel --no-deps --wheel-dir "$folder" .
rm -rf build
wheel=$(echo "$folder"/objectclassification-*.whl)

# The versions that PYTHON has, so that this runs what the other tests ran.
"$python" -m pip freeze --exclude-editable | grep == >"$folder/constraints"
wanted=$(sha256sum <"$folder/constraints")
if [ "$(cat "$folder/dependencies" 2>/dev/null)" != "$wanted" ]; then
    rm -rf "$folder/wheels" "${root:?}$venv"
    version=$(chroot "$root" python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    "$python" -m pip --quiet download --dest "$folder/wheels" --constraint "$folder/constraints" \
        --only-binary :all: --python-version "$version" \
        "objectclassification[server] @ file://$(realpath "$wheel")"
    inside --user=pi python3 -m venv "$venv"
    inside --user=pi "$venv/bin/python" -m pip --quiet install --no-index --no-cache-dir \
        --find-links /packages/wheels "objectclassification[server]"
    echo "$wanted" >"$folder/dependencies"
fi
inside --user=pi "$venv/bin/python" -m pip --quiet install --no-index --no-deps --no-cache-dir \
    --force-reinstall "/packages/$(basename "$wheel")"
