#!/bin/sh
# SPDX-License-Identifier: ISC
#
# Used by run.sh: the unit programs all at once, for they mostly wait. Says the first of them that failed, and in which test; notes their pids.
# A failure counts if it happens again, alone: some tests count time, and the machine may be loaded.
#
#   unit.sh DIR PIDS SECONDS PROGRAM...
set -u
dir=$1 pids=$2 limit=$3
shift 3

once() {
    # shellcheck disable=SC2016 # for the inner shell
    timeout --foreground -k 1 "$limit" sh -c 'echo $$ >>"$0" && exec "$@"' "$pids" "$dir/$1" >"$dir/$1.log" 2>&1
}

waited=
for name; do
    once "$name" &
    waited="$waited $name:$!"
done
failed=0
for each in $waited; do
    name=${each%:*}
    wait "${each#*:}" && continue
    once "$name" && continue
    case $? in
    124 | 137) how="it hung" ;;
    129 | 13[0-68-9] | 14?) how="it crashed" ;;
    *) how="it failed" ;;
    esac
    test=$(sed -n 's/^\[  FAILED  \] \(test_.*\|[a-z_]*[a-z]\)$/\1/p' "$dir/$name.log" | head -n 1)
    # Else the one that had begun last.
    [ -n "$test" ] || test="$(sed -n 's/^\[ RUN      \] //p' "$dir/$name.log" | tail -n 1), $how"
    echo "FAILED ${name##*/test_}: $test"
    failed=1
    break
done
exit "$failed"
