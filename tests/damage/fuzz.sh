#!/bin/sh
# SPDX-License-Identifier: ISC
#
# A short run of a libFuzzer target, the same each time, from a corpus that is made for it.
#
#   fuzz.sh TARGET WRITER-OF-THE-CORPUS RUNS
set -eu
target=$1 writer=$2 runs=$3
corpus=$(mktemp -d)
trap 'rm -rf "$corpus"' EXIT
trap 'exit 1' INT TERM
mkdir "$corpus/start" "$corpus/found"
"$writer" --corpus "$corpus/start"
# Leaks are looked for; an input of more than 60 seconds hangs.
"$target" -seed=1 -runs="$runs" -max_len=4096 -timeout=60 -print_final_stats=1 \
    -artifact_prefix="$corpus/" "$corpus/start" >"$corpus/log" 2>&1 || {
    cat "$corpus/log"
    for input in "$corpus"/crash-* "$corpus"/timeout-* "$corpus"/leak-* "$corpus"/oom-*; do
        [ -f "$input" ] && echo "the input:" && od -An -tx1 -v "$input"
    done
    exit 1
}
cover=$(grep -o 'cov: [0-9]* ft: [0-9]*' "$corpus/log" | tail -n 1)
echo "$(basename "$target"): $(sed -n 's/^stat::number_of_executed_units: *//p' "$corpus/log") inputs passed, seed 1, $cover"
