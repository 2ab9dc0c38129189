#!/bin/sh
# SPDX-License-Identifier: ISC
#
# Can the bridge's simulator fail? Break the bridge's cores on purpose, in one way after another, and see each break caught.
#
#   tests/mutations/bridge.sh --applies
#   tests/mutations/bridge.sh [--seeds N] [--jobs N] [NAME...]
#
#   --applies  only see that each patch does; all in a second
#   --seeds N  so many seeds at most; 10000, as in the test command, unless said otherwise
#   --jobs N   so many mutations at a time; 2 unless said otherwise
#   NAME...    only these: 7, debt-stays, 07-debt-stays, ...
#
# A mutation is a patch in bridge/ beside this file; its head says what it breaks, and what that would do to users. Each is applied to a
# copy of the tree; then the seeds are run until one fails, and, if none does, the unit programs named below. A mutation that nothing
# catches is a failure of the tests; so is a patch that does not apply any more, or does not compile. The tree as it is must pass first.
set -u
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
patches=$here/bridge
# shellcheck source=tests/mutations/common.sh
. "$here/common.sh"

sim=tests/sim/sim
units="tests/bridge/test_bridge_epoch tests/bridge/test_bridge_recv tests/bridge/test_bridge_send tests/bridge/test_bridge_settle
    tests/bridge/test_bridge_stream"
LONGEST=1800 # seconds, for all seeds

applies=
jobs=2
seeds=10000
names=
while [ $# -gt 0 ]; do
    case $1 in
    --applies) applies=yes ;;
    --jobs | --seeds)
        [ $# -ge 2 ] || usage
        [ "$1" = --jobs ] && jobs=$2 || seeds=$2
        shift
        ;;
    -*) usage ;;
    *) names="$names $1" ;;
    esac
    shift
done

to_be_made() {
    named "$name"
}
choose to_be_made
[ -z "$applies" ] || only_apply
begin

compiled() {
    # shellcheck disable=SC2086 # a list of words
    ninja -C "$tree/build" $sim $units >"$tree/build.log" 2>&1
}

# examine: $caught is what failed, and why.
examine() {
    caught=
    broken=
    if ! compiled; then
        broken=yes
        return
    fi
    if ! contained "$LONGEST" "$tree/build/$sim" -f -n "$seeds"; then
        why=$(sed -n 's/^FAILED //p' "$tree/log" | head -n 1)
        caught="sim: ${why:-it failed}"
        return
    fi
    for unit in $units; do
        contained "$LONGEST" "$tree/build/$unit" && continue
        why=$(sed -n 's/^\[  FAILED  \] \([a-z_]*[a-z]\)$/\1/p' "$tree/log" | head -n 1)
        caught="${unit##*/test_}: ${why:-it failed}"
        return
    done
}

worker() {
    tree=$work/tree.$1
    take_all
}

started=$(date +%s)
if ! meson setup -Dbuildtype=release "$tree/build" "$tree" >"$tree/build.log" 2>&1 || ! compiled; then
    cat "$tree/build.log" >&2
    exit 1
fi
examine
if [ -n "$caught" ]; then
    echo "the tree without any mutation fails: $caught" >&2
    exit 1
fi
echo "the tree as it is passes: $(tail -n 1 "$tree/log"); $(($(date +%s) - started)) seconds"
work_off
summary "$started"
