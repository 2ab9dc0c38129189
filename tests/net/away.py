#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""A leaf that is away with tasks in hand: for good, or for a minute.

    away.py SQBRIDGE SQCTL CREW CABLE [--held N] [--numbers N] [--minute SECONDS] [--only SCENE] [--loop poll]

vanish     a leaf's host goes, with its processes and its memory, while it holds N tasks: when --redeliver-after is
           over, and not before, another leaf does them all, each once
cable      a leaf's cable is pulled for a minute, its workers at it, with nothing in any option that says for how long
           it may be away: nobody else gets its tasks, though another leaf is there, and each is done once
"""
import signal
import time

import farm

REDELIVER_S = 4
SLOW_US = 2000  # a task, so that there are some in hand at any time


def vanish(options, build):
    f = build(2, options.held, calm=True)
    f.create('pq', 'cq')
    hub = f.hub('--heartbeat', '500ms', '--redeliver-after', f'{REDELIVER_S}s')
    f.leaf('leaf1', '--heartbeat', '500ms')
    holder = f.crew('holder', 'leaf1', 'hold', 'pq', options.held)
    f.collector('hub')
    f.producers(['hub'], options.held)
    f.until(lambda: f.stat('leaf1', 'pq')[0] is not None and f.stat('leaf1', 'pq')[0][1] == options.held,
            'the leaf holds them')
    if f.stat('hub', 'pq')[0][:2] != (0, options.held):
        raise farm.Failed('the hub does not know that')
    f.leaf('leaf2', '--heartbeat', '500ms')
    f.workers('leaf2', 2)
    f.until(lambda: hub.count('event=stream_open') == 4, 'both leaves are there')

    # No packet says so.
    f.hosts['leaf1'].cut()
    began = time.monotonic()
    for part in holder, f.parts['leaf1']:
        part.kill(again=False)
        del f.parts[part.name]
    f.hosts['leaf1'].boot()
    f.leaves.remove('leaf1')
    f.until(lambda: f.came() > 0 or hub.count('event=given_up'), 'it is given up')
    took = time.monotonic() - began
    f.account(allowed='event=given_up')
    if hub.count('event=given_up') != 1:
        raise farm.Failed('it was not given up, or more than it')
    # By the hub's own clock: it is not ours to say when the hub noticed that the leaf is silent.
    waited = hub.moment('event=given_up') - hub.moment('event=link_down peer=leaf1')
    if waited < REDELIVER_S - 0.01:
        raise farm.Failed(f'given up {waited:.3f} seconds after the link was down: too soon')
    farm.say(f'{options.held} tasks that a leaf held which is gone: done by another, each once, '
             f'{took:.1f} seconds later')


def wait(f, seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        f.look()
        time.sleep(0.1)


def cable(options, build):
    f = build(2, options.numbers, calm=True)
    f.create('pq', 'cq')
    hub = f.hub()
    for name in f.leaves:
        f.leaf(name, hasty=())
        f.workers(name, 2, SLOW_US)
    f.collector('hub')
    f.producers(['hub'], options.numbers)
    f.until_came(options.numbers // 10)
    workers = [f.parts[f'leaf1-worker{i}'] for i in (1, 2)]

    def stopped_in_the_middle():
        for part in workers:
            part.process.send_signal(signal.SIGSTOP)
        if f.stat('leaf1', 'pq')[0][1] == len(workers):
            return True
        for part in workers:
            part.process.send_signal(signal.SIGCONT)
        return False

    # One of the two tasks is done while the cable is out, the other one after that.
    f.until(stopped_in_the_middle, 'leaf1 has tasks in hand')
    leaf = f.parts['leaf1']
    ups, silences = leaf.count('event=link_up'), hub.count('event=silent peer=leaf1')
    f.hosts['leaf1'].cut()
    wait(f, options.minute / 2)
    workers[0].process.send_signal(signal.SIGCONT)
    wait(f, options.minute / 2)
    f.hosts['leaf1'].mend()
    mended = time.monotonic()
    f.until(lambda: leaf.count('event=link_up') > ups, 'leaf1 is back', farm.STILL_S)
    back = time.monotonic() - mended
    if hub.count('event=silent peer=leaf1') == silences:
        raise farm.Failed('nobody noticed')
    workers[1].process.send_signal(signal.SIGCONT)
    f.account()
    farm.say(f'{options.numbers} tasks, each once, some of them in hand when the cable was pulled, for '
             f'{options.minute} seconds; the leaf was back {back:.1f} seconds later')


if __name__ == '__main__':
    farm.main(__doc__, [vanish, cable], held=1000, numbers=20000, minute=60)
