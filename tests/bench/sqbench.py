#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""sqbench as a shell sees it: its objects of JSON, its counts, its errors, what it leaves behind.

    sqbench.py SQBENCH ring|peers|latency|job|tour|bars|bridge|usage|reader|stop

Nothing here depends on how fast anything is, or on which peers are installed.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time

LIMIT_S = 500
SHM = '/dev/shm'


def fail(text):
    sys.exit(f'failed: {text}')


def left(pid):
    """What a run leaves in /dev/shm bears the number of its process."""
    return [name for name in os.listdir(SHM) if re.search(rf'sqbench\D*-\D?{pid}\b', name)]


def run(sqbench, *words):
    done = subprocess.Popen([sqbench, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    out, err = done.communicate(timeout=LIMIT_S)
    if left(done.pid):
        fail(f'{words} left {left(done.pid)}')
    return done.returncode, out, err


def objects(sqbench, *words, codes=(0,)):
    code, out, err = run(sqbench, *words, '--json')
    if code not in codes or err:
        fail(f'{words}: code {code}, standard error: {err}')
    return [json.loads(line) for line in out.splitlines()]


ROW = {'bench', 'work', 'side', 'unit', 'median', 'min', 'max', 'n', 'near', 'probe_before_ns', 'probe_after_ns',
       'messages', 'spin', 'pinned', 'setup'}


def rows(found):
    """The rows by side and work: near and far ones of one are added up."""
    ret = {}
    for o in found:
        if 'bench' not in o:
            continue
        if ROW - set(o):
            fail(f'{o} lacks {ROW - set(o)}')
        if not 0 < o['min'] <= o['median'] <= o['max']:
            fail(f'no order in {o}')
        if not o['spin'] or not o['pinned']:
            fail(f'how it waits, or where, is not said: {o}')
        key = o['work'], o['side']
        n, messages = ret.get(key, (0, 0))
        ret[key] = n + o['n'], o['messages']
    return ret


def expect(found, key, n, messages):
    if found.get(key) != (n, messages):
        fail(f'{key}: {found.get(key)} instead of {n} runs with {messages} messages; there are {sorted(found)}')


def test_ring(sqbench):
    found = rows(objects(sqbench, 'ring', '--runs', '2', '--messages', '20000', '--size', '8,16k', '--put',
                         'copy,place', '--take', 'get,lease', '--spin', 'own'))
    for size in '8 B', '16 KiB':
        for way in '', ' lease+ack', ' in place', ' in place lease+ack', ' batch 32':
            expect(found, (f'{size} 1x1{way}', 'sq'), 2, 40000)
    if len(found) != 10:
        fail(f'{len(found)} rows')
    found = rows(objects(sqbench, 'ring', '--runs', '1', '--messages', '5001', '--size', '64', '--ends', '3x2,1x4',
                         '--batch', '1,7', '--spin', '16', '--take', 'get,lease'))
    for ends in '3x2', '1x4':
        for way in '', ' lease+ack', ' batch 7':
            expect(found, (f'64 B {ends}{way}', 'sq'), 1, 5001)
    # Whether they are near or not, there are so many runs in the end.
    found = rows(objects(sqbench, 'ring', '--runs', '2', '--messages', '500', '--size', '8', '--batch', '1', '--near',
                         '300ms'))
    if [n for n, _ in found.values()] != [2]:
        fail(f'--near: {found}')
    code, out, _ = run(sqbench, 'ring', '--runs', '1', '--messages', '1000', '--size', '64', '--batch', '1',
                       '--spin', 'best')
    if code != 0 or 'median' not in out or '64 B 1x1' not in out:
        fail(f'no table: {out}')


def test_peers(sqbench):
    found = rows(objects(sqbench, 'peers', '--runs', '1', '--messages', '3000', '--size', '64,16k', '--spin', '16'))
    for size in '64 B', '16 KiB':
        for ends in '1x1', '2x2':
            for way in '', ' batch 32':
                expect(found, (f'{size} {ends}{way}', 'sq'), 1, 3000)
        expect(found, (f'{size} 1x1', 'pipe'), 1, 3000)
    for key in found:
        expect(found, key, 1, 3000)
    one = rows(objects(sqbench, 'peers', '--runs', '1', '--messages', '500', '--size', '64', '--ends', '1x1',
                       '--batch', '1', '--peer', 'posix,pipe', '--spin', '0'))
    if {side for _, side in one} != {'sq', 'posix mq', 'pipe'}:
        fail(f'--peer: {sorted(one)}')


def test_tour(sqbench):
    """What it does without a command, in a moment."""
    found = rows(objects(sqbench, '--runs', '1', '--time', '1ms', '--trips', '20'))
    for work, side in (('64 B 1x1', 'sq'), ('64 B 1x1 batch 32', 'sq'), ('64 B 1x1', 'pipe'),
                       ('64 B there and back, spinning', 'sq'), ('n -> n * n = n^2, one process each', 'sq, one by one')):
        if found.get((work, side), (0, 0))[0] != 1:
            fail(f'{work}, {side}: {sorted(found)}')
    code, out, _ = run(sqbench, 'tour', '--runs', '1', '--time', '1ms', '--trips', '20')
    if code != 0 or "A minute's look" not in out or 'sqbench help' not in out:
        fail(f'code {code}, {out}')


def test_latency(sqbench):
    found = rows(objects(sqbench, 'latency', '--runs', '2', '--trips', '40'))
    expect(found, ('64 B there and back, spinning', 'sq'), 2, 80)
    expect(found, ('64 B there and back, spinning', 'two atomics'), 2, 80)
    for side in 'sq', 'pipe', 'posix mq':
        expect(found, ('64 B there and back, sleeping', side), 2, 4)


def test_job(sqbench):
    found = rows(objects(sqbench, 'job', '--runs', '2', '--messages', '3000'))
    by_side = {side: value for (_, side), value in found.items()}
    for side in 'sq, one by one', 'sq, batches of 32', 'BaseManager', 'mp.Queue':
        if by_side.get(side) != (2, 6000):
            fail(f'{side}: {by_side}')


def test_bars(sqbench):
    found = objects(sqbench, 'peers', '--bars', '--runs', '1', '--messages', '2000', '--spin', '16', codes=(0, 1))
    found += objects(sqbench, 'latency', '--bars', '--runs', '1', '--trips', '20', codes=(0, 1))
    found += objects(sqbench, 'job', '--bars', '--runs', '1', '--messages', '500', codes=(0, 1))
    bars = [o for o in found if 'bar' in o]
    if len(bars) != 24 or len({o['bar'] for o in bars}) != 24:
        fail(f'{len(bars)} bars')
    for o in bars:
        ratio = o.get('ratio', 0)
        reached = 'ratio' in o and (ratio <= o['at_most'] if 'at_most' in o else ratio >= o['at_least'])
        # Within what is lost by writing four digits.
        close = 'ratio' in o and abs(ratio / o.get('at_most', o.get('at_least')) - 1) < 0.001
        if (o['verdict'] != 'MISS') != reached and not close:
            fail(f'a wrong verdict: {o}')
    found = objects(sqbench, 'peers', '--bars', '--runs', '1', '--messages', '500', '--spin', '16', '--peer', 'memcpy',
                    codes=(0, 1))
    if [o['bar'][:6] for o in found if 'bar' in o] != ['16 KiB', '1 MiB ']:
        fail(f'--bars --peer: {found}')
    found = objects(sqbench, 'job', '--bars', '--runs', '1', '--messages', '500', '--peer', 'mp', codes=(0, 1))
    if len([o for o in found if 'bar' in o]) != 2:
        fail(f'--bars --peer of a job: {found}')


def test_bridge(sqbench):
    found = rows(objects(sqbench, 'bridge', '--runs', '1', '--messages', '500', '--trips', '20', '--delay', '20ms',
                         '--workers', '2', '--task', '1ms'))
    expect(found, ('64 B tasks, settled', 'sqbridge'), 1, 500)
    expect(found, ('16 KiB messages, settled', 'sqbridge'), 1, 500)
    expect(found, ('64 B task there and back', 'sqbridge'), 1, 20)
    expect(found, ('64 B there and back', 'bare tcp'), 1, 20)
    expect(found, ('2 workers busy, 20 ms there and back', 'sqbridge'), 1, 500)
    os.environ['SQBRIDGE'] = '/nonexistent/sqbridge'
    code, _, err = run(sqbench, 'bridge', '--runs', '1')
    if code != 69 or '/nonexistent/sqbridge' not in err:
        fail(f'without sqbridge: code {code}, {err}')


WRONG = [
    (['--fast'], 'no such option: --fast'),
    (['tour', '--size', '64'], 'no such option: --size'),
    (['spin'], 'no such command: spin'),
    (['help', 'spin'], 'no such command: spin'),
    (['help', 'ring', 'peers'], 'one command at a time'),
    (['ring', 'fast'], "'fast' is no option"),
    (['ring', '--fast'], 'no such option: --fast'),
    (['ring', '--delay', '1ms'], 'no such option: --delay'),
    (['ring', '--bars'], 'no such option: --bars'),
    (['ring', '--runs'], '--runs needs a value'),
    (['ring', '--json=yes'], '--json takes no value'),
    (['ring', '--runs', '0'], 'from 1 to 1000'),
    (['ring', '--runs', '1001'], 'from 1 to 1000'),
    (['ring', '--runs', '3x'], 'from 1 to 1000'),
    (['ring', '--runs', ''], 'from 1 to 1000'),
    (['ring', '--messages', '-1'], 'from 0 to 1000000000'),
    (['ring', '--time', '100'], 'span of time'),
    (['ring', '--time', '1us'], 'too short or too long: from 1.00 ms to 60.0 s'),
    (['ring', '--time', '2h'], 'span of time'),
    (['ring', '--cpus', '0'], 'two CPUs'),
    (['ring', '--cpus', '0,1023'], 'two CPUs'),
    (['ring', '--size', '12'], 'multiples of 8'),
    (['ring', '--size', '0'], 'multiples of 8'),
    (['ring', '--size', '64,2M'], 'multiples of 8'),
    (['ring', '--size', '64,'], 'multiples of 8'),
    (['ring', '--ends', '1'], '1x1 or 2x2'),
    (['ring', '--ends', '0x1'], '1x1 or 2x2'),
    (['ring', '--ends', '65x1'], '1x1 or 2x2'),
    (['ring', '--batch', '65'], 'from 1 to 64'),
    (['ring', '--put', 'throw'], 'copy, place'),
    (['ring', '--take', 'steal'], 'get, lease'),
    (['ring', '--spin', 'fast'], 'own, best'),
    (['ring', '--capacity', '1'], 'from 2 to 1048576'),
    (['ring', '--plot', ''], 'ends in .svg'),
    (['ring', '--plot', 'x.png'], 'ends in .svg'),
    (['peers', '--peer', ''], 'must not be empty'),
    (['peers', '--peer', 'pipe,'], "'' begins none of: sq;"),
    (['peers', '--peer', 'pipe,tubes'], "'tubes' begins none of"),
    (['peers', '--bars', '--peer', 'tubes'], "'tubes' begins none of"),
    (['job', '--peer', 'pipe'], "'pipe' begins none of"),
    (['peer'], 'did you mean `sqbench peers`?'),
    (['rings'], 'did you mean `sqbench ring`?'),
    (['ring', '--near', '3h'], 'span of time'),
    (['ring', '--near', '121m'], 'too short or too long: from 0.00 ns to'),
    (['peers', '--put', 'copy'], 'no such option: --put'),
    (['latency', '--messages', '5'], 'no such option: --messages'),
    (['latency', '--trips', '19'], 'from 20'),
    (['job', '--size', '64'], 'no such option: --size'),
    (['bridge', '--only', 'work'], 'tasks, bulk, idle, delay'),
    (['bridge', '--delay', '11s'], 'too short or too long'),
    (['bridge', '--workers', '33'], 'from 1 to 32'),
    (['bars', '--size', '8'], 'no such option: --size'),
]


def test_usage(sqbench):
    for words, text in WRONG:
        code, out, err = run(sqbench, *words)
        if code != 64 or out or text not in err or not err.startswith('sqbench'):
            fail(f'{words}: code {code}, standard output {out!r}, standard error {err!r}')
    for words in ['help'], ['--help'], ['help', 'ring'], ['bridge', '--help'], ['--version']:
        code, out, err = run(sqbench, *words)
        if code != 0 or not out or err:
            fail(f'{words}: code {code}, {err}')
    short = 'ring', '--runs', '1', '--messages', '100', '--size', '8', '--batch', '1', '--spin', 'own'
    code, out, err = run(sqbench, *short, '--plot', '/nonexistent/x.svg')
    # Before anything is measured; without gnuplot that is what is wrong.
    if code not in (69, 74) or out or ('/nonexistent/x.svg: No such' not in err and 'gnuplot' not in err):
        fail(f'a picture that cannot be drawn: code {code}, {err}')
    for words in short, ['help'], ['help', 'ring'], ['ring', '--help'], ['--version']:
        with open('/dev/full', 'wb') as full:
            done = subprocess.run([sqbench, *words], stdout=full,
                                  stderr=subprocess.PIPE, text=True, timeout=LIMIT_S, check=False)
        if done.returncode != 74 or 'cannot write to standard output: No space' not in done.stderr:
            fail(f'{words}, a full disk: code {done.returncode}, {done.stderr}')


def test_reader(sqbench):
    """A reader that goes ends a run that would take for ever, without a word."""
    words = [sqbench, 'ring', '--runs', '1', '--time', '10ms', '--size', ','.join(['8'] * 16), '--batch', '1', '--spin',
             'own', '--ends', ','.join(['1x1'] * 16)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        running.stdout.readline()
        running.stdout.close()
        # Not one by one all of the 256 rows, each of which fails.
        if running.wait(timeout=LIMIT_S) != -signal.SIGPIPE:
            fail(f'code {running.returncode}')
        err = running.stderr.read()
        if err or left(running.pid):
            fail(f'{err}, it left {left(running.pid)}')


def test_stop(sqbench):
    """A signal in the middle of a run that would take for ever: nothing is left."""
    for number in signal.SIGINT, signal.SIGTERM:
        words = [sqbench, 'ring', '--runs', '1000', '--messages', '1000000000', '--size', '64', '--spin', 'own']
        with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as running:
            end = time.monotonic() + 60
            while not left(running.pid):
                if time.monotonic() > end or running.poll() is not None:
                    fail('it does not begin')
                time.sleep(0.01)
            running.send_signal(number)
            _, err = running.communicate(timeout=60)
            if running.returncode != -number or f'signal {number}' not in err:
                fail(f'signal {number}: code {running.returncode}, {err}')
            if left(running.pid):
                fail(f'it left {left(running.pid)}')


def main():
    globals()['test_' + sys.argv[2]](sys.argv[1])


if __name__ == '__main__':
    main()
