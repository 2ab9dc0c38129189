#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""A hub and three leaves in bad weather, while everything that may die is killed.

    storm.py SQBRIDGE SQCTL CREW CABLE [--numbers N] [--kills N] [--wipes N] [--cuts N] [--only SCENE]

weather    packets are lost, late, out of order, or no more; bridges are killed: each task and each result once
deaths     workers, producers, the collector and whole leaves die, a leaf stays away: each task done, and done again
           only where that excuses it
reverse    producers and the collector are on leaves, the workers on the hub: each once
"""
import signal
import time

import farm

HEARTBEAT_S = 0.3
CUT_S = 1.5  # longer than three heartbeats
AWAY_S = 2  # how long a leaf may be away before others get its tasks
RESULTS_MAX = 256  # that a queue has room for
WINDOW = 1024  # the most that a leaf may have in hand of a queue
PATIENT = ('--heartbeat', f'{HEARTBEAT_S * 1000:.0f}ms', '--redeliver-after', '1h')


def bridges(f):
    return [f.parts['hub']] + [f.parts[name] for name in f.leaves]


def kill_a_bridge(f):
    f.chance.choice(bridges(f)).kill()


def in_weather(f, note, numbers, kills, act=kill_a_bridge, hosts=('hub',), **weather):
    for name in f.leaves:
        f.hosts[name].weather(**weather)
    f.phase(note, numbers, kills, lambda: act(f), hosts)
    for name in f.leaves:
        f.hosts[name].weather()


def cut_off(f, names, seconds):
    """Their hosts' links are down for so long. A bridge there dies and comes back meanwhile."""
    for name in names:
        f.hosts[name].cut()
    end = time.monotonic() + seconds
    f.parts[f.chance.choice(names)].kill()
    while time.monotonic() < end:
        f.look()
        time.sleep(0.01)
    for name in names:
        f.hosts[name].mend()


def kills_of(f):
    return ', '.join(f'{part.name} {part.kills}' for part in f.parts.values() if part.kills)


def weather(options, build):
    f = build(3, options.numbers // 2)
    farm.say(f'the network: {f.spaces.kind}')
    n, kills = f.numbers, options.kills
    f.create('pq', 'cq')
    hub = f.hub(*PATIENT)
    for name in f.leaves:
        f.leaf(name, *PATIENT)
        f.workers(name, 2)
    f.collector('hub')
    in_weather(f, '5 % lost', n // 25, kills, loss=5)
    in_weather(f, '50 ms late, give or take 20', n // 25, kills, delay=50, jitter=20)
    in_weather(f, '10 ms late, a quarter of them not', n // 25, kills, delay=10, reorder=25)
    in_weather(f, 'all of it', n // 25, kills, loss=2, delay=10, jitter=5, reorder=25)
    f.phase('a leaf cut off', n // 25, options.cuts, lambda: cut_off(f, [f.chance.choice(f.leaves)], CUT_S))
    f.phase('all leaves cut off', n // 25, 1, lambda: cut_off(f, f.leaves, CUT_S))
    silent = hub.count('event=silent')
    if not silent:
        raise farm.Failed('no silence was noticed')
    f.phase('fair', n - f.given, kills, lambda: kill_a_bridge(f))
    f.account()
    farm.say(f'{n} tasks and results, each once. kill -9: {kills_of(f)}; {silent} silences')


def users(f):
    """Those at either end that are there: producers, and the collector."""
    return [part for name, part in f.parts.items() if name == 'collector' or '-producer' in name and part.look()]


class Deaths:
    """Who dies, and how many results may come once more by it."""

    def __init__(self, f):
        self.f, self.excused = f, 0

    def worker(self, _=None):
        """Kill one. It may have put the result, and not have acknowledged the task."""
        workers = [part for name, part in self.f.parts.items() if '-worker' in name]
        self.f.chance.choice(workers).kill()
        self.excused += 1

    def others(self):
        """Those that may not do anything twice by it."""
        self.f.chance.choice(users(self.f)).kill()

    def host(self, name=None):
        """A leaf: all its processes die, and its memory is gone."""
        name = name or self.f.chance.choice(self.f.leaves)
        here = [part for part in self.f.parts.values() if part.host.name == name]
        for part in here:
            part.kill(again=False)
        self.f.hosts[name].boot()
        for part in here:
            part.start()
        self.excused += WINDOW

    def undelivered(self, numbers):
        """A leaf dies whose tasks are done and acknowledged, with their results: the hub has no room for these."""
        f, name = self.f, self.f.chance.choice(self.f.leaves)
        f.parts['collector'].process.send_signal(signal.SIGSTOP)
        f.producers(['hub'], numbers)
        # It may have died just before, and not have made its queues again.
        f.until(lambda: f.stat(name, 'cq')[0] and sum(f.stat(name, 'cq')[0][:2]) >= RESULTS_MAX // 2,
                f'{name} has results')
        self.host(name)
        f.parts['collector'].process.send_signal(signal.SIGCONT)
        f.until_came(f.given)

    def away(self, numbers):
        """A leaf that others take for dead comes back with what it has, begun and not begun."""
        f, hub = self.f, self.f.parts['hub']
        name = f.chance.choice(f.leaves)
        workers = [part for part in f.parts.values() if part.name.startswith(name + '-worker')]
        given_up = hub.count('event=given_up')

        def stopped_in_the_middle():
            for part in workers:
                part.process.send_signal(signal.SIGSTOP)
            if f.stat(name, 'pq')[0] and any(f.stat(name, 'pq')[0][:2]):
                return True
            for part in workers:
                part.process.send_signal(signal.SIGCONT)
            if f.came() == f.given:
                f.producers(['hub'], 1000)  # we came too late for all of them
            return False

        f.producers(['hub'], numbers)
        f.until(stopped_in_the_middle, f'{name} has a task in hand')
        f.hosts[name].cut()
        f.until(lambda: hub.count('event=given_up') > given_up, f'{name} is given up')
        ups = hub.count(f'event=link_up peer={name}')
        f.hosts[name].mend()
        for part in workers:
            part.process.send_signal(signal.SIGCONT)
        f.until_came(f.given)
        # Others have done all that. If it were cut off again before it is back, there would be nothing to give up.
        f.until(lambda: hub.count(f'event=link_up peer={name}') > ups, f'{name} is back')

    def excuses(self):
        """The hub says itself whom it has given up, which it may of one that was too slow, too."""
        return self.excused + WINDOW * self.f.parts['hub'].count('event=given_up')


def deaths(options, build):
    n, kills = options.numbers // 4, options.kills
    f = build(3, 2 * n + 100000)  # some phases take as many as they need
    mortal = ('--heartbeat', f'{HEARTBEAT_S * 1000:.0f}ms', '--redeliver-after', f'{AWAY_S}s', '--window', str(WINDOW))
    f.create('pq')
    f.create('cq', capacity=RESULTS_MAX)
    f.hub(*mortal)
    for name in f.leaves:
        f.leaf(name, *mortal)
        f.workers(name, 2)
    f.collector('hub')
    d = Deaths(f)
    in_weather(f, 'workers die', n // 8, kills, d.worker, loss=1)
    f.phase('producers and the collector die', n // 8, kills, d.others, ('hub', 'hub'))
    f.phase('whole leaves die', n // 4, options.wipes, d.host)
    began = time.monotonic()
    for _ in range(options.wipes):
        d.undelivered(8 * RESULTS_MAX)
    farm.say(f'a leaf dies with its results, {options.wipes} times: {time.monotonic() - began:.1f} seconds')
    began = time.monotonic()
    for _ in range(options.wipes):
        d.away(n // 8 // options.wipes)
    farm.say(f'a leaf stays away too long, {options.wipes} times: {time.monotonic() - began:.1f} seconds')
    f.phase('all of them', n // 4, kills,
            lambda: f.chance.choice((d.worker, d.others, lambda: kill_a_bridge(f)))(), ('hub', 'hub'))
    extra = f.account(extra_max=d.excuses())
    farm.say(f'{f.given} tasks done, {extra} of them once more, of {d.excuses()} that may. kill -9: {kills_of(f)}')


def reverse(options, build):
    f = build(3, options.numbers // 4)
    n, kills = f.numbers, options.kills
    f.create('pq', 'cq')
    f.hub(*PATIENT, share=('pq:push', 'cq:pull'))
    for name in f.leaves[:2]:
        f.leaf(name, *PATIENT, carry=('--push', 'pq'))
    f.leaf(f.leaves[2], *PATIENT, carry=('--pull', 'cq'))
    f.workers('hub', 2)
    f.collector(f.leaves[2])
    makers = f.leaves[:2]
    in_weather(f, '1 % lost, 2 ms late', n // 10, kills, hosts=makers, loss=1, delay=2)
    f.phase('a leaf cut off', n // 10, options.cuts, lambda: cut_off(f, [f.chance.choice(f.leaves)], CUT_S), makers)
    f.phase('fair', n - f.given, kills, lambda: f.chance.choice(users(f) + bridges(f)).kill(), makers)
    f.account()
    farm.say(f'{n} tasks from leaves, and results on a leaf, each once. kill -9: {kills_of(f)}')


if __name__ == '__main__':
    farm.main(__doc__, [weather, deaths, reverse], numbers=1000000, kills=30, wipes=6, cuts=3)
