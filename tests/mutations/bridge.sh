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

sim=tests/sim/sim
units="tests/bridge/test_bridge_epoch tests/bridge/test_bridge_recv tests/bridge/test_bridge_send tests/bridge/test_bridge_settle
    tests/bridge/test_bridge_stream"
LONGEST=1800 # seconds, for all seeds

usage() {
    sed -n 's/^#   \(tests.*\)/usage: \1/p' "$0" >&2
    exit 64
}

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

chosen() {
    [ -n "$names" ] || return 0
    for wanted in $names; do
        case $1 in "$wanted" | "$wanted"-* | "0$wanted"-* | [0-9]*-"$wanted") return 0 ;; esac
    done
    return 1
}

list=
for patch in "$here"/bridge/[0-9]*.patch; do
    name=$(basename "$patch" .patch)
    if chosen "$name"; then list="$list $name"; fi
done
if [ -z "$list" ]; then
    echo "no such mutation:$names" >&2
    exit 64
fi

if [ -n "$applies" ]; then
    failed=0
    for name in $list; do
        patch -p1 -F0 -s --dry-run -d "$root" <"$here/bridge/$name.patch" >/dev/null && continue
        echo "$name: it does not apply any more"
        failed=1
    done
    exit "$failed"
fi

work=$(mktemp -d "${TMPDIR:-/tmp}/sq-mutations.XXXXXX") || exit 1
workers=
finish() {
    trap - EXIT INT TERM
    # shellcheck disable=SC2086 # a list of words
    [ -z "$workers" ] || kill $workers 2>/dev/null
    for group in "$work"/*/group; do
        [ ! -f "$group" ] || kill -KILL -- "-$(cat "$group")" 2>/dev/null
    done
    rm -rf "$work"
}
trap finish EXIT
trap 'finish; exit 130' INT TERM

# limited PROGRAM...: in a process group of its own, of which nothing is left. Its output is in $tree/log.
limited() {
    # shellcheck disable=SC2016 # for the inner shell
    setsid timeout -k 1 "$LONGEST" sh -c 'exec "$@"' sh "$@" >"$tree/log" 2>&1 &
    group=$!
    echo "$group" >"$tree/group"
    wait "$group"
    rc=$?
    kill -KILL -- "-$group" 2>/dev/null
    rm -f "$tree/group"
    return "$rc"
}

compiled() {
    # shellcheck disable=SC2086 # a list of words
    ninja -C "$tree/build" $sim $units >"$tree/build.log" 2>&1
}

# examine: $caught is what failed, and why.
examine() {
    caught=
    compiled || return 1
    if ! limited "$tree/build/$sim" -f -n "$seeds"; then
        why=$(sed -n 's/^FAILED //p' "$tree/log" | head -n 1)
        caught="sim: ${why:-it failed}"
        return 0
    fi
    for unit in $units; do
        limited "$tree/build/$unit" && continue
        why=$(sed -n 's/^\[  FAILED  \] \([a-z_]*[a-z]\)$/\1/p' "$tree/log" | head -n 1)
        caught="${unit##*/test_}: ${why:-it failed}"
        return 0
    done
}

patched() {
    patch -p1 -F0 -s -d "$tree" "$@" <"$here/bridge/$name.patch" >"$tree/patch.log" 2>&1
}

# mutate NAME: a line "verdict<tab>name<tab>caught by<tab>seconds".
mutate() {
    name=$1
    began=$(date +%s)
    if patched --dry-run; then
        patched
        verdict=caught
        if ! examine; then
            verdict=BAD caught="it does not compile"
        elif [ -z "$caught" ]; then
            verdict=SURVIVED caught="nothing"
        fi
        patched -R
    else
        verdict=BAD caught="the patch does not apply any more"
    fi
    printf '%s\t%s\t%s\t%s\n' "$verdict" "$name" "$caught" "$(($(date +%s) - began))"
}

# A worker has a tree of its own, and takes the next mutation that nobody has taken.
worker() {
    tree=$work/tree.$1
    for name in $list; do
        mkdir "$work/claimed.$name" 2>/dev/null || continue
        mutate "$name" | tee -a "$work/results"
    done
}

started=$(date +%s)
tree=$work/tree.1
mkdir "$tree"
(cd "$root" && tar cf - meson.build engine bridge cli tests bench docs) | tar xf - -C "$tree"
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
for k in $(seq "$jobs"); do
    if [ "$k" -gt 1 ]; then cp -a "$work/tree.1" "$work/tree.$k" || exit 1; fi
done
for k in $(seq "$jobs"); do
    worker "$k" &
    workers="$workers $!"
done
for pid in $workers; do
    wait "$pid"
done
workers=

echo
echo "| mutation | caught by | seconds |"
echo "|---|---|---|"
sort -k 2 "$work/results" | awk -F '\t' '{ print "| " $2 " | " ($1 == "caught" ? "" : $1 ": ") $3 " | " $4 " |" }'
echo
awk -F '\t' -v seconds=$(($(date +%s) - started)) -v wanted="$(echo "$list" | wc -w)" '
    { n[$1]++ }
    END {
        bad = wanted - n["caught"]
        printf "mutations: %d passed (caught), %d failed (%d survived, %d unusable); %d seconds\n",
            n["caught"], bad, n["SURVIVED"], n["BAD"], seconds
        exit bad > 0
    }' "$work/results"
