#!/bin/sh
# SPDX-License-Identifier: ISC
#
# On a fresh Debian 12: install what is missing, build in every way that counts, and pass all the tests.
#
#   tests/all.sh        everything
#   tests/all.sh quick  the release build and the quick suites only
set -eu
cd "$(dirname "$0")/.."
mode=${1:-all}
case $mode in all | quick) ;; *)
    echo "usage: tests/all.sh [quick]" >&2
    exit 64
    ;;
esac

packages="gcc libc6-dev meson ninja-build pkg-config libbsd-dev libcmocka-dev python3 strace"
[ "$mode" = quick ] || packages="$packages clang clang-format libclang-rt-14-dev"
# shellcheck disable=SC2086 # a list of words
sh tests/deps.sh $packages

failed=0
passed=0
began=$(date +%s)

# check NAME COMMAND...: one thing that passes or fails.
check() {
    name=$1
    shift
    if "$@"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAILED: $name"
    fi
}

# build DIR CC OPTION...: set up once, then compile. Warnings are errors here.
build() {
    dir=$1 cc=$2
    shift 2
    if [ ! -f "$dir/build.ninja" ]; then
        CC=$cc meson setup "$dir" -Dwerror=true "$@" >"$dir.log" 2>&1 || {
            cat "$dir.log"
            return 1
        }
    fi
    ninja -C "$dir" >"$dir.log" 2>&1 || {
        tail -n 60 "$dir.log"
        return 1
    }
}

# run DIR SUITE...: the suites of a build, one test at a time, for they count time and processes.
run() {
    dir=$1
    shift
    suites=
    for suite; do suites="$suites --suite $suite"; done
    rc=0
    # shellcheck disable=SC2086 # a list of words
    meson test -C "$dir" --num-processes 1 --print-errorlogs $suites >"$dir.log" 2>&1 || rc=$?
    # What each runner says at its end, and the names of those that failed.
    grep -hE '^\[  (PASSED|FAILED)  \] [0-9]+ test|^[a-z_]+: .*passed|^model: ' "$dir/meson-logs/testlog.txt" || true
    grep -E '^ *[0-9]+/[0-9]+ .* (FAIL|ERROR|TIMEOUT)' "$dir.log" || true
    [ "$rc" -eq 0 ] || tail -n 150 "$dir.log"
    ok=$(sed -n 's/^Ok: *//p' "$dir.log")
    passed=$((passed + ${ok:-0}))
    bad=$(awk '/^(Fail|Timeout|Unexpected Pass):/ { n += $NF } END { print n + 0 }' "$dir.log")
    [ "$rc" -eq 0 ] || [ "$bad" -gt 0 ] || bad=1
    failed=$((failed + bad))
    if [ "${ok:-0}" -eq 0 ] && [ "$bad" -eq 0 ]; then
        echo "no tests were run in $dir"
        failed=$((failed + 1))
    fi
}

# cell BUILD-ARGS -- SUITES: build, then run.
cell() {
    dir=$1
    echo "== $dir: $2 $3"
    start=$(date +%s)
    dir=$1 cc=$2 options=$3
    shift 3
    # shellcheck disable=SC2086 # a list of words
    if build "$dir" "$cc" $options; then
        run "$dir" "$@"
    else
        failed=$((failed + 1))
        echo "FAILED: $dir does not build"
    fi
    echo "   $(($(date +%s) - start)) seconds"
}

formatted() {
    find engine cli tests bench bridge -name '*.[ch]' -print0 | xargs -0 clang-format --dry-run -Werror
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

if [ "$mode" = quick ]; then
    cell build gcc "" unit cli quick-stress quick-kill quick-model
else
    check "format" formatted
    cell build gcc "" unit cli quick-stress quick-kill stress kill model
    cell build-clang clang "" unit cli quick-stress quick-kill
    cell build-asan gcc "-Dbuildtype=debugoptimized -Db_sanitize=address,undefined -Db_lundef=false" \
        unit cli quick-stress quick-kill
    cell build-tsan clang "-Dbuildtype=debugoptimized -Db_sanitize=thread -Db_lundef=false" threads
fi
check "nothing left in /dev/shm" clean

echo "$(($(date +%s) - began)) seconds in all"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
