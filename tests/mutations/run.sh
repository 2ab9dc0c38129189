#!/bin/sh
# SPDX-License-Identifier: ISC
#
# Can the tests fail? Break the engine, or sqctl, on purpose, in one way after another, and see each break caught.
#
#   tests/mutations/run.sh --applies
#   tests/mutations/run.sh [--quick] [--every] [--checks LIST] [--jobs N] [NAME...]
#
#   --applies      only see that each patch does; all in a second
#   --quick        only the cheap checks, and only the mutations that those are there to catch
#   --every        go on after the first check that fails, and name all that do
#   --checks LIST  these checks, in this order: --checks "model" tells what the explorer catches by itself
#   --jobs N       so many mutations at a time; 2 unless said otherwise
#   NAME...        only these: 7, no-seal, 15-no-seal, ...
#
# A mutation is a patch in this directory; its head says what it breaks, and what that would do to users. Each is applied to a copy
# of the tree, what a check needs is built, and the checks are made, the cheapest first, until one fails. A mutation that no check
# catches is a failure of the tests; so is a patch that does not apply any more. The tree as it is must pass all the checks first,
# under the same load. A mutation of sqctl (cli/) is for the check `cli`, one of the engine for all the others.
set -u
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
patches=$here
# shellcheck source=tests/mutations/common.sh
. "$here/common.sh"

# The cheapest first. unit, cli (those of sqctl's tests that mutations are caught by), model (the explorer), deeper and deepest (the
# explorer with one and two preemptions more) and threads (under ThreadSanitizer) have functions below; the others are one program
# each, of those in tests/.
cheap="unit cli no_room forked_handle fork_exec many_handles namespaces sleepers wakers model damage damage_steps"
# Single steps are for one kind of processor.
[ "$(uname -m)" != x86_64 ] || cheap="$cheap step"
checks="$cheap wake_up kill_each_call kill_random grace stress threads deeper deepest"
cli="crew partial proof"
# What the cheap ones are not there for: weak memory order, and deaths in the middle of system calls.
not_quick="commit-relaxed block-free-relaxed created-in-place linked-before-filled"

# dir_of, targets_of CHECK: the build directory, and what is to be built there.
dir_of() {
    if [ "$1" = threads ]; then echo build-tsan; else echo build; fi
}
targets_of() {
    case $1 in
    unit) (cd "$tree" && for each in tests/unit/test_*.c; do echo "${each%.c}"; done) ;;
    cli)
        echo cli/sqctl
        for each in $cli; do echo "tests/cli/test_cli_$each"; done
        ;;
    model | deeper | deepest) echo tests/model/model ;;
    threads) echo tests/stress/stress ;;
    *) program_of "$1" | sed 's/ .*//' ;;
    esac
}

# The program of a check, and what makes it cheap, or the same each time.
program_of() {
    case $1 in
    no_room) echo "tests/kill/no_room --pages 3" ;;
    forked_handle) echo "tests/kill/forked_handle --map $root/engine/libsq.map --forks 20" ;;
    many_handles) echo "tests/kill/many_handles --kills 3 --seed 1" ;;
    namespaces) echo "tests/kill/namespaces --times 2" ;;
    sleepers) echo "tests/kill/sleepers --swallowed 6 --rounds 2 --seed 1" ;;
    wakers) echo "tests/kill/wakers --times 1 --seed 1" ;;
    wake_up) echo "tests/kill/wake_up --throws 10000 --seed 1" ;;
    kill_each_call) echo "tests/kill/kill_each_call --times 20 --seed 1" ;;
    grace) echo "tests/kill/grace --rounds 150 --seed 1" ;;
    kill_random) echo "tests/kill/kill_random --seconds 3 --seed 1" ;;
    stress) echo "tests/stress/stress --messages 100000 --capacity 4 --seed 1" ;;
    step) echo "tests/step/step --quick" ;;
    damage | damage_steps) echo "tests/damage/$1 --cases 2000 --bound 15" ;;
    *) echo "tests/kill/$1" ;;
    esac
}

LONGEST=1800 # seconds, for any check of the tree as it is: the machine may be busy

applies=
quick=
every=
jobs=2
names=
while [ $# -gt 0 ]; do
    case $1 in
    --quick) quick=yes checks=$cheap ;;
    --every) every=yes ;;
    --applies) applies=yes ;;
    --checks | --jobs)
        [ $# -ge 2 ] || usage
        [ "$1" = --jobs ] && jobs=$2 || checks=$2
        shift
        ;;
    -*) usage ;;
    *) names="$names $1" ;;
    esac
    shift
done

# chosen NAME: is it to be made?
chosen() {
    for skipped in ${quick:+$not_quick}; do
        [ "${1#*-}" != "$skipped" ] || return 1
    done
    named "$1"
}

# concerns: is $check there for what the mutation $name changes? All are for the tree as it is, which has no name.
concerns() {
    case $name:$check in
    :*) ;;
    *:cli) grep -q '^--- a/cli/' "$here/$name.patch" ;;
    *) grep -q '^--- a/engine/' "$here/$name.patch" ;;
    esac
}

# checked: is any check there for it?
checked() {
    for check in $checks; do
        if concerns; then return; fi
    done
    return 1
}

to_be_made() {
    chosen "$name" && checked
}
choose to_be_made
[ -z "$applies" ] || only_apply
begin

# limited PROGRAM...: contained, for $limit seconds; and no segment is left.
limited() {
    contained "$limit" "$@"
    rc=$?
    while read -r pid; do
        rm -f /dev/shm/sq.*[!0-9]"$pid".*
    done <"$tree/pids"
    case $rc in
    124 | 137) echo "it hung: ended after $limit seconds" >>"$tree/log" ;;
    129 | 1[3-5]?) echo "it crashed: signal $((rc - 128))" >>"$tree/log" ;;
    esac
    return "$rc"
}

# compiled CHECK: what does not compile is no mutation.
compiled() {
    # shellcheck disable=SC2046 # a list of words
    ninja -C "$tree/$(dir_of "$1")" $(targets_of "$1") >"$tree/build.log" 2>&1 && return
    broken=yes
    return 1
}

# said SCRIPT: why, by the first line that sed prints of the log.
said() {
    why=$(sed -n "$1" "$tree/log" | head -n 1)
}

# A program for each file of the engine.
check_unit() {
    # shellcheck disable=SC2046 # a list of words
    limited sh "$here/unit.sh" "$tree/build" "$tree/pids" "$((limit / 3))" $(targets_of unit) && return
    said 's/^FAILED //p; /^it /p'
    return 1
}

# sqctl's, one after another. They wait for states, not for time; but what fails must fail again.
check_cli() {
    for each in $cli; do
        for _ in once again; do
            limited env SQCTL="$tree/build/cli/sqctl" "$tree/build/tests/cli/test_cli_$each" && continue 2
        done
        said "s/^\[  FAILED  \] \(test_.*\)/$each: \1/p; /^it /p"
        return 1
    done
}

# All schedules with that many preemptions. The first failure ends it.
check_model() {
    # shellcheck disable=SC2016 # for the inner shell
    limited sh -c '"$0" -p "$1" | sed /^FAILED/q' "$tree/build/tests/model/model" "$1" &&
        tail -n 1 "$tree/log" | grep -q ' passed, 0 failed$' && return
    # Too little memory, or time, catches nothing.
    grep -qE '^FAILED|^it crashed' "$tree/log" || return 0
    said 's/^FAILED //p; /^it /p'
    return 1
}

# A program of tests/kill, tests/damage, tests/stress. One that cannot be run here, for want of a permission, says 77. What fails
# must fail again: these count time, and the machine may be busy.
check_program() {
    # shellcheck disable=SC2046 # a list of words
    set -- $(program_of "$check")
    program=$1
    shift
    for _ in once again; do
        limited "$tree/build/$program" "$@" && return
        [ $? -ne 77 ] || return 0
    done
    said 's/^[a-z_]*: FAILED: //p; /^seed [0-9]/p; /^it /p'
    return 1
}

# The same engine in threads, for what x86 hides.
check_threads() {
    limited "$tree/build-tsan/tests/stress/stress" --threads --messages 20000 --seed 1 &&
        ! grep -q 'WARNING: ThreadSanitizer' "$tree/log" && return
    said 's/.*SUMMARY: ThreadSanitizer: //p; s/^[a-z_]*: FAILED: //p; /^it /p'
    return 1
}

# examine: all checks on the tree as it now is. $caught: what failed, "check: why; ..." A check may take some times as long as it
# took in this worker's tree without any mutation.
examine() {
    caught=
    broken=
    for check in $checks; do
        concerns || continue
        why=
        compiled "$check" || return
        limit=$LONGEST
        [ ! -f "$tree/time.$check" ] || limit=$((24 + 6 * $(cat "$tree/time.$check")))
        from=$(date +%s)
        case $check in
        unit | cli | threads) "check_$check" ;;
        model) check_model 1 ;;
        deeper) check_model 2 ;;
        deepest) check_model 3 ;;
        *) check_program ;;
        esac
        # shellcheck disable=SC2181 # of the case
        if [ $? -ne 0 ]; then
            caught="${caught:+$caught; }$check: ${why:-it failed}"
            [ -n "$every" ] || return
        fi
        [ -f "$tree/time.$check" ] || echo $(($(date +%s) - from)) >"$tree/time.$check"
    done
}

# A worker has a tree of its own, sees that it is sound, and takes the next mutation that is not taken yet.
worker() {
    tree=$work/tree.$1
    name=
    began=$(now)
    examine
    if [ -n "$caught$broken" ]; then
        echo "the tree without any mutation fails: ${caught:-it does not compile}" >&2
        tail -n 20 "$tree/build.log" "$tree/log" >&2
        return 1
    fi
    [ "$1" -gt 1 ] || echo "the tree as it is passes: $checks; $(since "$began") seconds"
    take_all
}

# The first tree is built, the others are copies of it.
started=$(date +%s)
prepared() {
    meson setup "$tree/build" "$tree" >"$tree/build.log" 2>&1 || return
    case " $checks " in *" threads "*)
        meson setup "$tree/build-tsan" "$tree" -Dbuildtype=debugoptimized -Db_sanitize=thread -Db_lundef=false \
            >"$tree/build.log" 2>&1 || return
        ;;
    esac
    for check in $checks; do
        compiled "$check" || return
    done
}
if ! prepared; then
    cat "$tree/build.log" >&2
    exit 1
fi
work_off
summary "$started"
