#!/bin/sh
# SPDX-License-Identifier: ISC
#
# Does a test pass every time, also on a busy machine? Runs it N times while as many processes as there are CPUs do nothing
# but keep them busy. What fails now and then is a defect, of the test or of the product.
#
#   tests/repeat.sh N NAME...
#
# NAME is a test of the build directory `build` ($BUILD for another), as tests/all.sh prints it: `tests/repeat.sh 10 ring`.
set -eu
cd "$(dirname "$0")/.."
build=${BUILD:-build}
case ${1:-} in
'' | *[!0-9]* | 0)
    echo "usage: tests/repeat.sh N NAME..." >&2
    exit 64
    ;;
esac
n=$1
shift
if [ $# -eq 0 ]; then
    echo "usage: tests/repeat.sh N NAME..." >&2
    exit 64
fi
ninja -C "$build" >/dev/null

busy=
cleanup() {
    # shellcheck disable=SC2086 # a list of words
    [ -z "$busy" ] || kill $busy 2>/dev/null || true
}
trap cleanup EXIT
trap 'exit 130' INT TERM
for _ in $(seq "$(nproc)"); do
    sh -c 'while :; do :; done' &
    busy="$busy $!"
done

failed=0
for name; do
    good=0
    for _ in $(seq "$n"); do
        if meson test -C "$build" --no-rebuild --setup all --print-errorlogs --num-processes 1 "$name" \
            >"$build.repeat.log" 2>&1; then
            good=$((good + 1))
        else
            cat "$build.repeat.log"
        fi
    done
    echo "$name: $good of $n passed"
    [ "$good" -eq "$n" ] || failed=1
done
exit "$failed"
