#!/bin/sh
# SPDX-License-Identifier: ISC
#
# The same job over `sqctl local` and over Python's BaseManager, turn about in the same minute: tasks a second of each run,
# and the ratio of the medians. Arguments: runs (3), tasks for sqctl (5000000), tasks for Python (20000).
set -eu
cd "$(dirname "$0")/.."

for n in "$@"; do
    case $n in
    '' | *[!0-9]* | 0*)
        echo "usage: $0 [RUNS [TASKS-FOR-SQCTL [TASKS-FOR-PYTHON]]], numbers above 0" >&2
        exit 64
        ;;
    esac
done
runs=${1:-3} tasks=${2:-5000000} python_tasks=${3:-20000}
sqctl=${SQCTL:-build/cli/sqctl}
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

i=0
while [ "$i" -lt "$runs" ]; do
    python3 bench/manager.py "$python_tasks" >>"$out/python"
    "$sqctl" local --quiet --tasks "$tasks" --workers 2 >"$out/lines" 2>"$out/proof" || {
        cat "$out/proof"
        exit 1
    }
    lines=$(wc -l <"$out/lines")
    [ "$lines" -eq "$tasks" ] || {
        echo "expected $tasks lines, found $lines"
        exit 1
    }
    sed -n 's/.*seconds, \([0-9]*\) tasks.*/\1/p' "$out/proof" >>"$out/sq"
    i=$((i + 1))
done

median() {
    sort -n "$1" | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)], v[1], v[NR] }'
}
# shellcheck disable=SC2046 # three words each
set -- $(median "$out/sq") $(median "$out/python")
echo "tasks/s, median (min to max) of $runs runs, turn about:"
echo "  sqctl local   $1 ($2 to $3)"
echo "  BaseManager   $4 ($5 to $6)"
echo "  ratio         $(($1 / $4))"
