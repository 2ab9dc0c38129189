#!/bin/sh
# SPDX-License-Identifier: ISC
#
# sqctl under valgrind: every verb, as tests/cli has them, and `sqctl local` in its ways to run and to end. Any word of
# valgrind's fails: an error in the use of memory, or memory definitely or possibly lost, in any process. Processes that
# are killed are checked up to then.
#
#   tests/memcheck.sh BUILD-DIR
#
# Not under valgrind: tests/cli's test_local* (they count system calls, and kill hundreds of processes; the same program
# runs here in other ways), and runs that begin with standard descriptors closed, whose numbers valgrind's
# own files would take.
set -eu
build=$(cd "$1" && pwd)
logs=$build/memcheck
rm -rf "$logs"
mkdir -p "$logs"
chmod 1777 "$logs" # tests/cli also runs sqctl as another user
SQ_PREFIX=memcheck$$
export SQ_PREFIX
pid=
native=$logs/native

cat >"$logs/sqctl" <<END
#!/bin/sh
for fd in 0 1 2; do
    if [ ! -e /proc/self/fd/\$fd ]; then
        echo "\$*" >>"$native"
        exec "$build/cli/sqctl" "\$@"
    fi
done
exec valgrind -q --leak-check=full --errors-for-leak-kinds=definite,possible --error-exitcode=99 --trace-children=yes \\
    --log-file="$logs/%p.log" "$build/cli/sqctl" "\$@"
END
chmod 755 "$logs/sqctl"
SQCTL=$logs/sqctl
export SQCTL

# What is left if we end early.
clean_up() {
    [ -z "$pid" ] || kill -9 "$pid" 2>/dev/null || true
    rm -f /dev/shm/sq."$SQ_PREFIX"*
}
trap clean_up EXIT
trap 'exit 1' INT TERM HUP

failed=0
passed=0

# ended NAME CODE WANTED TEXT: did that run end so, and say this?
ended() {
    if [ "$2" -eq "$3" ] && grep -q -- "$4" "$logs/said"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAILED: $1: exit code $2, wanted $3 and '$4'"
        tail -n 20 "$logs/said"
    fi
}

# local_run WANTED TEXT OPTION...: in small queues, for valgrind looks through all memory of each process.
local_run() {
    wanted=$1 text=$2
    shift 2
    code=0
    "$SQCTL" local --capacity 512 "$@" >"$logs/results" 2>"$logs/said" </dev/null || code=$?
    ended "local $*" "$code" "$wanted" "$text"
}

# local_begin OPTION...: in the background, until it says that all run. The line is complete once it has a number: its
# parts are written one by one.
local_begin() {
    "$SQCTL" local --capacity 512 "$@" >"$logs/results" 2>"$logs/said" </dev/null &
    pid=$!
    tries=600
    until grep -q '^collector *[0-9]' "$logs/said"; do
        tries=$((tries - 1))
        [ "$tries" -gt 0 ] || break
        sleep 0.1
    done
}

# local_end NAME WANTED TEXT
local_end() {
    code=0
    wait "$pid" || code=$?
    pid=
    ended "$1" "$code" "$2" "$3"
}

# The one whose line begins so: "producers 12 13".
first_of() {
    sed -n "s/^$1  *\([0-9]*\).*/\1/p" "$logs/said" | head -n 1
}

for name in queues put get; do
    if "$build/tests/cli/test_cli_$name" >"$logs/$name.out" 2>&1; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAILED: tests/cli/test_$name.c under valgrind"
        grep -vE '^\[ (RUN| *OK)' "$logs/$name.out" | tail -n 40
    fi
done

proof="proof: nothing lost"
local_run 0 "$proof" --tasks 1000
local_run 0 "$proof" --duration 1s --producers 1 --workers 3
local_run 0 "$proof" --tasks 20 --max 18446744073709551615 --rate 100 --quiet
local_run 0 "$proof" --tasks 20 --json
local_run 0 "$proof" --tasks 20 --json="$logs/object"
local_run 64 "must be a whole number" --tasks -1
local_run 73 "capacity" --tasks 1 --capacity 1G
"$SQCTL" create "$SQ_PREFIX.pq"
local_run 73 "" --tasks 1 --prefix "$SQ_PREFIX"
"$SQCTL" rm "$SQ_PREFIX.pq"

local_begin --rate 200 --forever
kill -INT "$pid"
local_end "local, interrupted" 0 "$proof"

local_begin --rate 200 --duration 3s
kill -9 "$(first_of workers)" "$(first_of producers)"
local_end "local, a worker and a producer killed" 0 "by 2 workers, 1 restart,"

local_begin --rate 200 --duration 3s
kill -9 "$(first_of collector)"
local_end "local, the collector killed" 1 "was killed by signal 9"

local_begin --rate 100 --duration 3s --prefix "$SQ_PREFIX"
echo "of nobody" | "$SQCTL" put "$SQ_PREFIX.cq"
local_end "local, with a result that nobody made" 1 ""

code=0
"$SQCTL" local --capacity 512 --tasks 1000 >/dev/full 2>"$logs/said" </dev/null || code=$?
ended "local to a full disk" "$code" 74 "No space left"

# What valgrind had to say.
bad=0
for log in "$logs"/*.log; do
    if [ -s "$log" ]; then
        bad=$((bad + 1))
        [ "$bad" -gt 3 ] || head -n 30 "$log"
    fi
done
if [ "$bad" -eq 0 ]; then
    passed=$((passed + 1))
else
    failed=$((failed + 1))
    echo "FAILED: valgrind found something in $bad processes"
fi
plain=$(wc -l 2>/dev/null <"$native" || echo 0)
echo "memcheck: $passed passed, $failed failed: $(find "$logs" -name '*.log' | wc -l) processes under valgrind, $plain not"
[ "$failed" -eq 0 ]
