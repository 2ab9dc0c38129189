#!/bin/sh
# SPDX-License-Identifier: ISC
#
# On a fresh Debian 12: install what is missing, build, and pass the tests. Without apt-get: say what is missing, or
# build and pass the tests all the same. docs/TESTING.md says what is in each tier.
#
#   tests/all.sh        the gate: what every change must pass. Under ten minutes on two CPUs; ends itself after twenty
#   tests/all.sh quick  the release build and its quick suites
#   tests/all.sh deep   everything, in every way to build, at length: some hours
#
# Exit code 0 if all passed, 1 if something failed, or was not over in time; 64 for a wrong argument.
set -eu
cd "$(dirname "$0")/.."

# Where we may, with a /dev/shm of our own: what others do in theirs is not our tests' business, nor ours theirs.
if [ -z "${SQ_TESTS_INSIDE:-}" ] && unshare -m true 2>/dev/null; then
    SQ_TESTS_INSIDE=1
    export SQ_TESTS_INSIDE
    # shellcheck disable=SC2016 # for the inner shell
    exec unshare -m sh -c 'mount -t tmpfs -o mode=1777 sq-tests /dev/shm && exec sh tests/all.sh "$@"' sh "$@"
fi

mode=${1:-gate}
case $#$mode in
1deep | 1quick | 0gate) ;;
*)
    echo "usage: tests/all.sh [quick|deep]" >&2
    exit 64
    ;;
esac

began=$(date +%s)
limit=1200
multiplier=1
if [ "$mode" = deep ]; then limit=43200 multiplier=5; fi

packages="gcc libc6-dev meson ninja-build pkg-config libbsd-dev libcmocka-dev python3 strace
    libinih-dev liburing-dev libssl-dev openssl iproute2"
[ "$mode" = quick ] || packages="$packages clang clang-format libclang-rt-14-dev patch"
# The arm64 build needs Debian's packages: tests/sysroot.sh.
arm64=
[ "$mode" != deep ] || ! command -v apt-get >/dev/null || arm64="gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user"
[ "$mode" != deep ] || packages="$packages valgrind $arm64"
# shellcheck disable=SC2086 # a list of words
sh tests/deps.sh $packages

. tests/cells.sh

formatted() {
    find engine cli tests bench bridge docs -name '*.[ch]' -print0 | xargs -0 clang-format --dry-run -Werror
}

# What is in /dev/shm now and was not there before.
segments() {
    find /dev/shm -maxdepth 1 -name 'sq.*' | sort
}
# Those of others come and go meanwhile; what we left would stay.
clean() {
    tries=30
    while segments >build-after.log && comm -13 build-before.log build-after.log | grep -q .; do
        tries=$((tries - 1))
        if [ "$tries" -eq 0 ]; then
            comm -13 build-before.log build-after.log
            return 1
        fi
        sleep 1
    done
}
segments >build-before.log

# A sanitizer's word ends the process that it is about, and so fails the test. Nothing is suppressed.
export ASAN_OPTIONS=halt_on_error=1:abort_on_error=1:detect_stack_use_after_return=1:strict_string_checks=1
export UBSAN_OPTIONS=halt_on_error=1:abort_on_error=1:print_stacktrace=1
export TSAN_OPTIONS=halt_on_error=1:abort_on_error=1:second_deadlock_stack=1
# A sanitized build at -O1 knows too little of ranges to warn of formats that may be cut.
sanitize="-Doptimization=1 -Ddebug=true -Db_lundef=false -Db_sanitize"
few_warnings="-Dc_args=['-g1','-Wno-format-truncation']" # gcc's

engine="unit model stress kill damage"
everything="$engine repo step cli bridge net sim bench"

# Each suite is a word; so is each option of a cell.
# shellcheck disable=SC2086
case $mode in
quick)
    cell build gcc "" $engine
    ;;
gate)
    check "format" formatted
    check "the mutations apply" sh tests/mutations/run.sh --applies
    check "the bridge's mutations apply" sh tests/mutations/bridge.sh --applies
    # As it is shipped: -O3.
    cell build gcc "" $everything
    check "sqbridge is built" test -x build/bridge/sqbridge
    part build-asan gcc "$sanitize=address,undefined $few_warnings" unit damage parts sim
    # Everything that is threads in one process; what forks is not for this sanitizer.
    part build-tsan clang "$sanitize=thread" threads
    targets="tests/bridge/fuzz_wire bridge/sqbridge cli/sqctl bench/sqbench"
    cell build-clang clang "" fuzz
    targets=
    ;;
deep)
    check "format" formatted
    check "the mutations apply" sh tests/mutations/run.sh --applies
    check "the bridge's mutations apply" sh tests/mutations/bridge.sh --applies
    cell build gcc "" $everything deep deep-bench
    check "sqbridge is built" test -x build/bridge/sqbridge
    cell build-clang clang "" $everything fuzz deep-fuzz
    cell build-O0 gcc "-Dbuildtype=debug" $everything
    cell build-asan gcc "$sanitize=address,undefined $few_warnings" $everything
    cell build-asan-clang clang "$sanitize=address,undefined" $engine
    cell build-tsan clang "$sanitize=thread" threads deep-threads
    script "valgrind" sh tests/memcheck.sh build
    if [ -n "$arm64" ]; then
        check "the arm64 libraries" sh tests/sysroot.sh build-sysroot
        cannot=tests/aarch64.cannot
        cell build-aarch64 gcc "--cross-file build-sysroot/where.ini --cross-file tests/aarch64.ini" unit cli stress kill
        cannot=
    else
        echo "SKIPPED: the arm64 build: its libraries come by apt-get"
        skipped=$((skipped + 1))
    fi
    script "mutations of the engine" sh tests/mutations/run.sh
    script "mutations of the bridge" sh tests/mutations/bridge.sh
    ;;
esac
check "nothing left in /dev/shm" clean

echo "$(($(date +%s) - began)) seconds in all"
if [ "$skipped" -eq 0 ]; then
    echo "$passed passed, $failed failed"
else
    echo "$passed passed, $failed failed, $skipped skipped"
fi
[ "$failed" -eq 0 ]
