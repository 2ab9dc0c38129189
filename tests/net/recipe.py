#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""The five lines of docs/BRIDGE.md on two hosts, with many tasks as fast as it goes, and the exact account.

    recipe.py SQBRIDGE SQCTL CREW CABLE [--guide FILE] [--tasks N] [--kills N] [--only SCENE] [--loop poll]

The lines are typed as guide.py does; in the last, `--rate 10/3s` is `--tasks N`, with a seed, and a range so large that
hardly two are the same.

whole      nobody is killed
killed     each of the two daemons dies by kill -9, N times, at random moments of the first half, and its line is typed
           again; the tasks come at a pace that leaves some for all these moments, on a slow machine too

The results must be those of the tasks that this seed makes, each as often as it was made; each queue, on either host,
has had N messages put in and taken out; and there is nothing left in any.
"""
import collections
import re
import time

import farm
import guide

RATE = '--rate 10/3s'
RANGE = 10**12
PACE = ' --rate 20000/s'
# What a daemon says if it lost its memory, or does not understand the other.
UNWANTED = [
    'level=error', 'event=internal', 'event=protocol', 'event=given_up', 'event=epoch_stale', 'event=renumbered',
    'event=stream_refused', 'event=queue_gone', 'event=suppressed']
SAID = re.compile(rb'^sqctl: ', re.M)


class Results:
    """What a line has printed so far, and how many results that is.

    While they come their lines are only counted: if we were slower than they, all would be over before the next kill.
    """

    def __init__(self, f, part):
        self.f = f
        self.log = open(part.log, 'rb')
        self.lines, self.rest = [], b''
        self.number = 0

    def read(self):
        text = self.rest + self.log.read()
        end = text.rfind(b'\n') + 1
        whole, self.rest = text[:end], text[end:]
        self.lines.append(whole)
        self.number += whole.count(b'\n') - len(SAID.findall(whole))

    def each(self):
        """How many of each number; each line must be a result."""
        each = collections.Counter()
        for line in b''.join(self.lines).splitlines():
            if line.startswith(b'sqctl: '):
                continue
            match = guide.RESULT.match(line.decode('ascii', 'replace'))
            if not match or match[1] != match[2] or int(match[1])**2 != int(match[3]):
                raise farm.Failed(f'that is no result: {line}')
            each[int(match[1])] += 1
        return each

    def until(self, number):
        came, since = -1, 0.0
        while self.number < number:
            self.read()
            now = time.monotonic()
            if self.number != came:
                came, since = self.number, now
            elif now - since > farm.STILL_S:
                raise farm.Failed(f'{came} results, and no more for {farm.STILL_S} seconds')
            self.f.look()
            time.sleep(0.002)


def made_by(f, seed, tasks):
    """What sqctl makes of this seed, by asking it to."""
    host = f.hosts['hub']
    words = ['SQ_PREFIX=check', f.options.sqctl]
    farm.spaces.run(host.words(*words, 'create', '--capacity', str(1 << (tasks - 1).bit_length()), 'q'))
    farm.spaces.run(host.words(*words, 'produce', 'q', '--tasks', str(tasks), '--seed', str(seed), '--max',
                               str(RANGE)))
    each = collections.Counter(map(int, farm.spaces.run(host.words(*words, 'get', 'q')).split()))
    farm.spaces.run(host.words(*words, 'rm', 'q'))
    return each


def do(options, build, kills):
    f = build(0, 1, calm=True, others=['farm1'])
    made = made_by(f, options.seed, options.tasks)
    g = guide.Guide(f, options.guide)
    if g.job_line.count(RATE) != 1:
        raise farm.Failed(f'the last line has no {RATE}: {g.job_line}')
    pace = PACE if kills else ''
    job_line = g.job_line.replace(RATE, f'--tasks {options.tasks} --seed {options.seed} --max {RANGE}{pace}')
    began = time.monotonic()
    results = Results(f, g.hub_user.types('job', job_line))

    # In pairs: with each connection that lasts less than a second the leaf waits twice as long for the next one.
    dead = [role for _ in range(kills) for role in f.chance.sample(['hub', 'leaf'], 2)]
    killed_last, under_way = None, 0
    for at, role in zip(sorted(f.chance.randrange(options.tasks // 2) for _ in dead), dead):
        results.until(at)
        part = getattr(g, role)
        # Mostly in the middle of the work; sometimes in its start, or in the handshake.
        if killed_last and f.chance.random() < 0.75:
            f.until(lambda part=killed_last: part.count('event=link_up') > part.ups, 'they are connected again',
                    farm.STILL_S)
            results.read()
            results.until(min(results.number + 1, options.tasks))
        results.read()
        under_way += results.number < options.tasks
        guide.kill_daemon(part, role)
        killed_last = part
    results.until(options.tasks)
    took = time.monotonic() - began

    g.all_done()
    f.until(lambda: all(stat[0] == stat[1] == 0 for stat in g.stat('farm1')), "the leaf's queues are empty")
    results.read()
    each = results.each()
    if each != made:
        lost, more = made - each, each - made
        raise farm.Failed(f'{results.number} results: {lost.total()} lost, {more.total()} that were not made')
    for host in 'hub', 'farm1':
        for queue, (_, _, put, gone) in zip(('pq', 'cq'), g.stat(host)):
            if (put, gone) != (options.tasks, options.tasks):
                raise farm.Failed(f'{queue} on {host}: {put} put, {gone} gone')
    for part in g.hub, g.leaf:
        for event in UNWANTED:
            if part.count(event):
                raise farm.Failed(f'{part.name} says {event}')
    f.looped(g.hub, g.leaf)
    if under_way < len(dead) * 3 // 4:
        raise farm.Failed(f'{len(dead)} kills, only {under_way} of them under way')
    farm.say(f'{options.tasks} tasks there and as many results back, each once, in {took:.1f} seconds; kill -9: '
             f'hub {g.hub.kills}, leaf {g.leaf.kills}, {under_way} of them under way; '
             f'{g.leaf.count("event=link_up")} connections')


def whole(options, build):
    do(options, build, 0)


def killed(options, build):
    do(options, build, options.kills)


if __name__ == '__main__':
    farm.main(__doc__, [whole, killed], tasks=1000000, kills=30, guide=guide.GUIDE)
