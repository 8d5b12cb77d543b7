#!/bin/sh
# Puts Debian's own kernel into FOLDER/kernel, which has cameras that a driver plays (`vivid`), and
# FOLDER/initramfs beside it, which knows how to reach everything else over 9p.
# The kernel is unpacked, not installed, and kept from one run to the next.
# Usage: device_kernel.sh FOLDER INIT   (INIT: the script that the machine starts with)
set -eu
mkdir -p "$1"
folder=$(realpath "$1")
init=$2

fetch() {
    package=$(apt-cache depends linux-image-amd64 | awk '$1 == "Depends:" { print $2; exit }')
    [ -n "$package" ] && apt-get -qq -o APT::Sandbox::User=root download "$package"
}

if [ ! -d "$folder/kernel" ]; then
    rm -rf "$folder/download" "$folder/kernel.new"
    mkdir "$folder/download"
    cd "$folder/download"
    fetch || { apt-get -qq update && fetch; } # apt's lists may be older than what the mirror has
    cd - >/dev/null
    dpkg-deb -x "$folder/download/$package"_*.deb "$folder/kernel.new"
    rm -rf "$folder/download"
    busybox depmod -b "$folder/kernel.new" "$(basename "$folder"/kernel.new/lib/modules/*)"
    mv "$folder/kernel.new" "$folder/kernel"
fi

modules=$(echo "$folder"/kernel/lib/modules/*)
made=$folder/initramfs.new
rm -rf "$made"
there=$made/lib/modules/$(basename "$modules")
mkdir -p "$made/bin" "$made/dev" "$made/proc" "$made/sys" "$made/root" "$there"
cp "$(command -v busybox)" "$made/bin/busybox"
cp "$init" "$made/init"
chmod 755 "$made/init"
cp "$modules/modules.dep" "$there"
# Each line of modules.dep names a module, and every other that it needs.
(cd "$modules" && grep -E '/(virtio_pci|9pnet_virtio|9p)\.ko' modules.dep | tr -d : |
    xargs tar -c) | tar -x -C "$there"
(cd "$made" && find . | busybox cpio -o -H newc 2>/dev/null) >"$folder/initramfs"
rm -rf "$made"
