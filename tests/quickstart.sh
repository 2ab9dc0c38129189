#!/bin/sh
# SPDX-License-Identifier: ISC
#
# On a fresh Debian 12: install what is missing, build sqctl, and run the whole job once. Without apt-get: say what is
# missing, or do the rest all the same. Arguments go to `sqctl local`.
set -eu
cd "$(dirname "$0")/.."

# Standard output is for the results.
{
    sh tests/deps.sh gcc libc6-dev meson ninja-build pkg-config libbsd-dev libcmocka-dev
    [ -f build/build.ninja ] || meson setup build
    ninja -C build cli/sqctl
    echo "running: build/cli/sqctl local $*"
} >&2
exec build/cli/sqctl local "$@"
