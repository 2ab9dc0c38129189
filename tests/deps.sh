#!/bin/sh
# SPDX-License-Identifier: ISC
#
# See that what the Debian packages named as arguments bring is there. With apt-get those that are missing are
# installed; it says which, and needs root or sudo. Without apt-get what is not found is named, as other systems call it.
#
# Exit code 0 if all is there, 69 if something is missing and cannot be installed here.
set -eu

# has_header HEADER, links OPTION...: by the compilers that the tests use.
has_header() { echo "#include <$1>" | gcc -E - >/dev/null 2>&1; }
links() {
    echo 'int LLVMFuzzerTestOneInput(void); int LLVMFuzzerTestOneInput(void) { return 0; }' |
        clang "$@" -x c -o /dev/null - >/dev/null 2>&1
}

# found PACKAGE: is there what it brings, whatever brought it?
found() {
    case $1 in
    libc6-dev) has_header stdio.h ;;
    libbsd-dev) pkg-config --exists libbsd ;;
    libcmocka-dev) pkg-config --exists cmocka ;;
    libinih-dev) pkg-config --exists inih ;;
    liburing-dev) pkg-config --exists 'liburing >= 2.3' ;;
    libssl-dev) pkg-config --exists 'libssl >= 3.0' ;;
    libclang-rt-*-dev) links -fsanitize=fuzzer,address,undefined ;;
    iproute2) command -v ip ;;
    ninja-build) command -v ninja ;;
    *) command -v "$1" ;;
    esac >/dev/null 2>&1
}

# elsewhere PACKAGE: its usual name in Fedora, Arch Linux and Alpine Linux.
elsewhere() {
    case $1 in
    libc6-dev) echo glibc-devel glibc musl-dev ;;
    ninja-build) echo ninja-build ninja samurai ;;
    pkg-config) echo pkgconf-pkg-config pkgconf pkgconf ;;
    python3) echo python3 python python3 ;;
    libbsd-dev) echo libbsd-devel libbsd libbsd-dev ;;
    libcmocka-dev) echo libcmocka-devel cmocka cmocka-dev ;;
    libinih-dev) echo inih-devel libinih inih-dev ;;
    liburing-dev) echo liburing-devel liburing liburing-dev ;;
    libssl-dev) echo openssl-devel openssl openssl-dev ;;
    iproute2) echo iproute iproute2 iproute2 ;;
    clang-format) echo clang-tools-extra clang clang-extra-tools ;;
    libclang-rt-*-dev) echo compiler-rt compiler-rt compiler-rt ;;
    *) echo "$1" "$1" "$1" ;;
    esac
}

missing=
if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
    for package; do
        found "$package" || missing="$missing $package"
    done
    if [ -z "$missing" ]; then
        echo "no apt-get here: all that is needed was found"
        exit 0
    fi
    {
        echo "no apt-get here, and these were not found; install them, by whatever name they have on this system:"
        printf '    %-20s %-20s %-12s %s\n' Debian Fedora Arch Alpine
        for package in $missing; do
            # shellcheck disable=SC2046,SC2183 # three words
            printf '    %-20s %-20s %-12s %s\n' "$package" $(elsewhere "$package")
        done
    } >&2
    exit 69
fi

for package; do
    status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
    [ "$status" = installed ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

echo "installing:$missing"
if [ "$(id -u)" -eq 0 ]; then
    sudo=
elif command -v sudo >/dev/null; then
    sudo=sudo
else
    echo "these packages are missing, and installing them takes root:$missing" >&2
    echo "as root: apt-get install$missing" >&2
    exit 69
fi
export DEBIAN_FRONTEND=noninteractive
$sudo apt-get update -qq
# shellcheck disable=SC2086 # a list of words
$sudo apt-get install -qq -y --no-install-recommends $missing >/dev/null
