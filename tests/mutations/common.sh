# SPDX-License-Identifier: ISC
#
# What run.sh and bridge.sh share: read by them, with `.`. A worker has a copy of the tree, and takes the next mutation that nobody has
# taken.
#
# Set by who reads this: root, the tree; patches, the directory of the mutations; names, those that are asked for; jobs, how many workers;
# and the functions examine and worker. Set here: list, the mutations that are to be made; work, tree, workers.

# The usage is in the head of the script.
usage() {
    sed -n 's/^#   \(tests.*\)/usage: \1/p' "$0" >&2
    exit 64
}

# named NAME: is it asked for?
named() {
    [ -n "$names" ] || return 0
    for wanted in $names; do
        case $1 in "$wanted" | "$wanted"-* | "0$wanted"-* | [0-9]*-"$wanted") return 0 ;; esac
    done
    return 1
}

# choose COMMAND: list is of the mutations $name for which the command says yes.
choose() {
    list=
    for patch in "$patches"/[0-9]*.patch; do
        name=$(basename "$patch" .patch)
        if "$1"; then list="$list $name"; fi
    done
    if [ -z "$list" ]; then
        echo "no such mutation:$names" >&2
        exit 64
    fi
}

# only_apply: see that each patch does, and exit.
only_apply() {
    failed=0
    for name in $list; do
        patch -p1 -F0 -s --dry-run -d "$root" <"$patches/$name.patch" >/dev/null && continue
        echo "$name: it does not apply any more"
        failed=1
    done
    exit "$failed"
}

# begin: a directory for the trees, which goes at the end with all that runs; a copy of the tree in it.
begin() {
    work=$(mktemp -d "${TMPDIR:-/tmp}/sq-mutations.XXXXXX") || exit 1
    workers=
    trap finish EXIT
    trap 'finish; exit 130' INT TERM
    tree=$work/tree.1
    mkdir "$tree"
    (cd "$root" && tar cf - meson.build engine bridge cli tests bench docs) | tar xf - -C "$tree"
}
finish() {
    trap - EXIT INT TERM
    # shellcheck disable=SC2086 # a list of words
    [ -z "$workers" ] || kill $workers 2>/dev/null
    for group in "$work"/*/group; do
        [ ! -f "$group" ] || kill -KILL -- "-$(cat "$group")" 2>/dev/null
    done
    rm -rf "$work"
}

# contained SECONDS PROGRAM...: in a process group of its own, of which nothing is left. Its output is in $tree/log, its pid in $tree/pids,
# beside those that it adds itself. At the end of the time it is 124 or 137.
contained() {
    seconds=$1
    shift
    # shellcheck disable=SC2016 # for the inner shell
    setsid timeout -k 1 "$seconds" sh -c 'echo $$ >"$0" && exec "$@"' "$tree/pids" "$@" >"$tree/log" 2>&1 &
    group=$!
    echo "$group" >"$tree/group"
    wait "$group"
    rc=$?
    kill -KILL -- "-$group" 2>/dev/null
    rm -f "$tree/group"
    return "$rc"
}

# patched OPTION...: the tree, and not by guessing where.
patched() {
    patch -p1 -F0 -s -d "$tree" "$@" <"$patches/$name.patch" >"$tree/patch.log" 2>&1
}

now() {
    date +%s.%N
}
since() {
    echo "$1 $(now)" | awk '{ printf "%.1f", $2 - $1 }'
}

# mutate NAME: a line "verdict<tab>name<tab>caught by<tab>seconds", by the script's examine(), which sets caught, and broken if it
# does not compile.
mutate() {
    name=$1
    mutation_began=$(now)
    if patched --dry-run; then
        patched
        examine
        patched -R
        verdict=caught
        if [ -n "$broken" ]; then
            verdict=BAD caught="it does not compile"
        elif [ -z "$caught" ]; then
            verdict=SURVIVED caught="nothing"
        fi
    else
        verdict=BAD caught="the patch does not apply any more"
    fi
    printf '%s\t%s\t%s\t%s\n' "$verdict" "$name" "$caught" "$(since "$mutation_began")"
}

# take_all: every mutation of the list that no other worker has taken.
take_all() {
    for name in $list; do
        mkdir "$work/claimed.$name" 2>/dev/null || continue
        mutate "$name" | tee -a "$work/results"
    done
}

# work_off: the script's worker() for each of $jobs, the first in the tree that is there, the others in copies of it. Exits with 1 if one
# of them fails.
work_off() {
    for k in $(seq "$jobs"); do
        if [ "$k" -gt 1 ]; then cp -a "$work/tree.1" "$work/tree.$k" || exit 1; fi
    done
    for k in $(seq "$jobs"); do
        worker "$k" &
        workers="$workers $!"
    done
    failed=0
    for pid in $workers; do
        wait "$pid" || failed=1
    done
    workers=
    [ "$failed" -eq 0 ] || exit 1
}

# summary STARTED: the table, and the sums; exits with 1 unless all were caught.
summary() {
    echo
    echo "| mutation | caught by | seconds |"
    echo "|---|---|---|"
    sort -k 2 "$work/results" | awk -F '\t' '{ print "| " $2 " | " ($1 == "caught" ? "" : $1 ": ") $3 " | " $4 " |" }'
    echo
    awk -F '\t' -v seconds=$(($(date +%s) - $1)) -v wanted="$(echo "$list" | wc -w)" '
        { n[$1]++ }
        END {
            bad = wanted - n["caught"]
            printf "mutations: %d passed (caught), %d failed (%d survived, %d unusable); %d seconds\n",
                n["caught"], bad, n["SURVIVED"], n["BAD"], seconds
            exit bad > 0
        }' "$work/results"
}
