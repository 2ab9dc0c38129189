# SPDX-License-Identifier: ISC
#
# How tests/all.sh builds and runs: read by it, with `.`. A cell is one way to build and the suites that are run in it.
# What happens is printed as it happens; every word of a failure where it happens; passed and failed are the sums.
#
# Set by who reads this: began, when the whole began, and limit, after how many seconds it is to end; multiplier, by
# which the limits of the tests are multiplied.

failed=0
passed=0
skipped=0

# left: how many seconds there are; at least one.
left() {
    now=$(date +%s)
    if [ $((began + limit - now)) -gt 1 ]; then echo $((began + limit - now)); else echo 1; fi
}

# over NAME: is the time up? Then say what it was up in, and end.
over() {
    [ $(($(date +%s) - began)) -ge "$limit" ] || return 0
    echo "FAILED: the limit of $limit seconds is over; running was: $1"
    echo "$passed passed, $((failed + 1)) failed"
    exit 1
}

# check NAME COMMAND...: one thing that passes or fails.
check() {
    name=$1
    shift
    echo "[$name] ..."
    if "$@"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAILED: $name"
    fi
    over "$name"
}

# set_up DIR CC OPTION...: unless it has been, by this compiler with these options. A directory of an older checkout, or
# of tests/quickstart.sh, is configured anew.
set_up() {
    dir=$1 cc=$2
    shift 2
    stamp="$cc $*"
    if [ -f "$dir/build.ninja" ] && [ "$(cat "$dir/cell" 2>/dev/null)" = "$stamp" ]; then
        return 0
    fi
    wipe=
    [ ! -f "$dir/build.ninja" ] || wipe=--wipe
    # shellcheck disable=SC2086 # a word or none
    if ! CC=$cc meson setup $wipe "$dir" -Dwerror=true "$@" >"$dir.log" 2>&1; then
        rm -rf "$dir"
        CC=$cc meson setup "$dir" -Dwerror=true "$@" >"$dir.log" 2>&1 || return 1
    fi
    echo "$stamp" >"$dir/cell"
}

# build DIR CC OPTION...: set up, then compile; of it what the suites in $wanted need, if there are any. Warnings are
# errors here.
build() {
    if ! set_up "$@"; then
        tail -n 60 "$1.log"
        return 1
    fi
    # shellcheck disable=SC2086 # a list of words
    if [ -n "${wanted:-}" ]; then targets=$(python3 tests/targets.py "$1" $wanted); fi
    # shellcheck disable=SC2086 # a list of words
    timeout "$(left)" ninja -C "$1" ${targets:-} >"$1.log" 2>&1 || {
        tail -n 60 "$1.log"
        return 1
    }
}

# failures LOG: what failed, from meson's log of all output: a line `TEST CASE` for each case that a cmocka program
# names, `TEST` if it names none. Exit code 77 says that this machine forbids what the test needs.
failures() {
    awk '
        function flush() {
            if (test == "" || result == "exit status 0" || result == "exit status 77") return
            if (n == 0) print test
            for (i = 1; i <= n; i++) print test, cases[i]
        }
        /^test: / { flush(); test = $0; sub(/.* \/ /, "", test); n = 0; result = ""; split("", seen) }
        /^result: / { result = $0; sub(/^result: */, "", result) }
        /^\[  FAILED  \] [a-z_A-Z0-9]+$/ { if (!($4 in seen)) { seen[$4]; cases[++n] = $4 } }
        END { flush() }
    ' "$1"
}

# told: meson's lines as ours, `[unit] ring ... OK 0.03s`, as they come; the rest is its own business, until a test fails.
told() {
    sed -un -e 's/^ *[0-9]*\/\([0-9]*\) *sq:\([a-z-]*\)[a-z+-]* \/ \(.*[^ ]\)  *\(OK\|SKIP\|FAIL\|TIMEOUT\|ERROR\|INTERRUPT\)  */[\2] \3 ... \4 /p' \
        -e '/^――/,/^――.*――$/p'
}

# run DIR SUITE...: the suites of a build. What is listed in the file $cannot cannot work there: that it fails is
# printed, and counted neither way.
run() {
    dir=$1
    shift
    suites=
    for suite; do suites="$suites --suite $suite"; done
    rm -f "$dir/rc"
    # At the end of the time meson ends what is running, and says what it was.
    # shellcheck disable=SC2086 # a list of words
    {
        rc=0
        timeout -k 20 "$(left)" meson test -C "$dir" --no-rebuild --num-processes "${jobs:-2}" \
            --timeout-multiplier "$multiplier" --print-errorlogs $suites 2>&1 || rc=$?
        echo "$rc" >"$dir/rc"
    } | tee "$dir.log" | told
    rc=$(cat "$dir/rc")
    log=$dir/meson-logs/testlog.txt
    # What each runner says at its end.
    grep -hE '^[a-z_]+: .*passed|^model: ' "$log" || true
    ok=$(sed -n 's/^Ok: *//p' "$dir.log")
    passed=$((passed + ${ok:-0}))
    not=$(awk '/^Skipped:/ { n += $NF } END { print n + 0 }' "$dir.log")
    skipped=$((skipped + not))
    bad=0
    failures "$log" >"$dir.failures"
    while read -r failure; do
        if [ -n "${cannot:-}" ] && grep -qxF "$failure" "$cannot"; then
            echo "cannot work here: $failure"
            continue
        fi
        echo "FAILED: $failure"
        bad=$((bad + 1))
    done <"$dir.failures"
    if [ "$rc" -ne 0 ] && [ ! -s "$dir.failures" ]; then
        echo "FAILED: meson test in $dir: exit code $rc"
        bad=1
    fi
    [ "$bad" -eq 0 ] || tail -n 150 "$dir.log"
    failed=$((failed + bad))
    if [ "${ok:-0}" -eq 0 ] && [ "$bad" -eq 0 ]; then
        echo "FAILED: no tests were run in $dir"
        failed=$((failed + 1))
    fi
    over "$(sed -n 's/.* sq:[^ ]* \/ \(.*[^ ]\)  *INTERRUPT.*/\1/p' "$dir.log" | sort -u | tr '\n' ' ')"
}

# cell DIR CC OPTIONS SUITE...: build, then run. Without suites it is built, and that is all.
cell() {
    dir=$1 cc=$2 options=$3
    shift 3
    echo "== $dir: $cc $options"
    start=$(date +%s)
    # shellcheck disable=SC2086 # a list of words
    if build "$dir" "$cc" $options; then
        echo "   built in $(($(date +%s) - start)) seconds"
        if [ $# -gt 0 ]; then
            run "$dir" "$@"
        else
            passed=$((passed + 1))
        fi
    else
        failed=$((failed + 1))
        echo "FAILED: $dir does not build"
        over "the build of $dir"
    fi
    echo "   $(($(date +%s) - start)) seconds"
}

# part DIR CC OPTIONS SUITE...: a cell of which only what those suites need is built.
part() {
    wanted=$(shift 3 && echo "$*")
    cell "$@"
    wanted= targets=
}

# script NAME COMMAND...: a cell that is a script of its own. It says what failed.
script() {
    name=$1
    shift
    echo "== $name: $*"
    start=$(date +%s)
    check "$name" timeout "$(left)" "$@"
    echo "   $(($(date +%s) - start)) seconds"
}
