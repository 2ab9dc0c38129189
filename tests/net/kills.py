#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""kill -9 of either bridge, again and again, while tasks go to a leaf and their results come back: each once.

    kills.py SQBRIDGE SQCTL CREW CABLE [--numbers N] [--kills N]

When they come is a number of results, not a time, so that there are as many on any machine. After some of them there is
a second one at once, somewhere in the new daemon's start or in its handshake.
"""
import time

import farm


def kills(options, build):
    f = build(1, options.numbers, calm=True)
    f.create('pq', 'cq')
    hub = f.hub('--redeliver-after', '1h')
    leaf = f.leaf('leaf1', '--redeliver-after', '1h')
    f.workers('leaf1', 2)
    f.collector('hub')

    victims = [hub, leaf] * (options.kills // 2)
    f.chance.shuffle(victims)

    def kill():
        part = victims.pop()
        part.kill()
        if f.chance.random() < 0.25:
            time.sleep(f.chance.random() * 0.03)
            part.kill()

    f.phase('kill -9 of either bridge', options.numbers, len(victims), kill)
    f.account()
    f.looped(hub, leaf)
    # Each way, on the side where they arrive; the hub's queues are in the account.
    for queue, (_, _, put, gone) in zip(('pq', 'cq'), f.stat('leaf1', 'pq', 'cq')):
        if (put, gone) != (options.numbers, options.numbers):
            raise farm.Failed(f"the leaf's {queue}: {put} put, {gone} gone")
    if min(hub.kills, leaf.kills) < options.kills // 2:
        raise farm.Failed(f'{hub.kills} + {leaf.kills} kills')
    farm.say(f"{options.numbers} tasks there and as many results back, each once: {hub.kills} kills of the hub's "
             f"daemon, {leaf.kills} of the leaf's, {leaf.count('event=link_up')} connections")


if __name__ == '__main__':
    farm.main(__doc__, [kills], numbers=1000000, kills=220)
