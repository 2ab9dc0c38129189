#!/bin/sh
# SPDX-License-Identifier: ISC
#
# The arm64 libraries that the cross build is linked with, unpacked under DIR: nothing foreign is installed on this
# machine, and its dpkg and apt know of no other architecture than before. Writes DIR/where.ini for tests/aarch64.ini.
#
#   tests/sysroot.sh DIR
set -eu
packages="libbsd-dev libbsd0 libmd-dev libmd0 libcmocka-dev libcmocka0"

mkdir -p "$1"
dir=$(cd "$1" && pwd)
libraries=$dir/root/usr/lib/aarch64-linux-gnu

# An apt of its own: this machine's sources and keys, another architecture, nothing installed.
apt() {
    apt-get -qq \
        -o APT::Architecture=arm64 -o APT::Architectures::=arm64 \
        -o APT::Sandbox::User="$(id -un)" \
        -o Dir::State="$dir/state" -o Dir::State::status="$dir/status" -o Dir::Cache="$dir/cache" \
        "$@"
}

if [ ! -f "$dir/complete" ]; then
    echo "unpacking for arm64: $packages"
    rm -rf "$dir"
    mkdir -p "$dir/state/lists/partial" "$dir/cache/archives/partial" "$dir/debs" "$dir/root"
    : >"$dir/status"
    # One source that fails is of no matter as long as the packages are to be had.
    apt update || true
    # shellcheck disable=SC2086 # a list of words
    (cd "$dir/debs" && apt download $packages)
    for deb in "$dir"/debs/*.deb; do dpkg-deb -x "$deb" "$dir/root"; done
    # Debian's is a linker script, which names its files as if they lay in /usr.
    ln -sf libbsd.so.0 "$libraries/libbsd.so"
    rm -rf "$dir/state" "$dir/cache" "$dir/debs"
    : >"$dir/complete"
fi

printf "[constants]\nsysroot = '%s'\n" "$dir/root" >"$dir/where.new"
cmp -s "$dir/where.new" "$dir/where.ini" || cp "$dir/where.new" "$dir/where.ini"
