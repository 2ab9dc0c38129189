# SPDX-License-Identifier: ISC
"""A hub and its leaves, with those who use their queues, each on a host of its own; and the exact account at the end.

Everybody here may be killed at any time, by way of this module: whoever ends otherwise fails the test.
"""
import argparse
import datetime
import mmap
import os
import random
import re
import signal
import socket
import struct
import sys
import tempfile
import time

import spaces
from spaces import LIMIT_S, Failed

PORT = 5678
STILL_S = 180  # without a result, before we say that it hangs
TALLY_HEAD = struct.Struct('4Q')


class Part:
    """A process that may be killed, and started again."""

    def __init__(self, farm, name, host, words, log=None, ends=False):
        self.farm, self.name, self.host, self.words, self.ends = farm, name, host, words, ends
        self.log = os.path.join(farm.scratch, (log or name) + '.log')
        self.process = None
        self.kills = 0
        self.ups = 0  # connections of its earlier lives, as far as they are counted
        farm.parts[name] = self
        self.start()

    def start(self):
        # What it writes goes behind what is there: the log is of all its lives.
        with open(self.log, 'ab') as log:
            self.process = spaces.start(self.host.words('SQ_PREFIX=farm', *self.words), stdout=log, stderr=log,
                                        stdin=-3)

    def look(self):
        """It runs, or has ended as it should."""
        code = self.process.poll()
        if code is not None and not (self.ends and code == 0):
            raise Failed(f'{self.name} ended with {code}')
        return code is None

    def end(self, number=signal.SIGKILL):
        """Its exit code, or minus its signal."""
        self.process.send_signal(number)
        return self.process.wait(LIMIT_S)

    def kill(self, again=True):
        """kill -9, if it runs. True if it did."""
        if not self.look():
            return False
        code = self.end()
        if code != -signal.SIGKILL:
            if self.ends and code == 0:
                return False  # it was about to
            raise Failed(f'{self.name} ended with {code}')
        self.kills += 1
        if again:
            self.start()
        return True

    def text(self):
        with open(self.log, encoding='utf-8', errors='replace') as f:
            return f.read()

    def count(self, text):
        """Lines of its log with this text, or this pattern."""
        found = text.search if hasattr(text, 'search') else lambda line: text in line
        return sum(1 for line in self.text().splitlines() if found(line))

    def moment(self, text):
        """When the last line of its log with this text was written, in seconds."""
        line = [line for line in self.text().splitlines() if text in line][-1]
        return datetime.datetime.fromisoformat(re.search(r'ts=(\S+)Z', line)[1]).timestamp()


class Farm:
    """hub, leaf1, leaf2, ...; at most `numbers` tasks."""

    def __init__(self, options, scratch, leaves, numbers, calm=False, others=()):
        self.options, self.scratch, self.numbers = options, scratch, numbers
        self.chance = random.Random(options.seed)
        self.parts = {}
        self.tally = None
        self.given = 0  # numbers, to producers
        self.moved = (0, time.monotonic())
        self.leaves = [f'leaf{i + 1}' for i in range(leaves)]
        self.of_daemons = [f'SQ_LOOP={options.loop}'] if options.loop else []  # environment, before their words
        self.spaces = spaces.Spaces(scratch, options.cable, ['hub'] + self.leaves + list(others), calm, options.seed)
        self.hosts = {host.name: host for host in self.spaces.hosts}
        for leaf in self.leaves:
            self.keygen(leaf)

    def path(self, name):
        return os.path.join(self.scratch, name)

    def keygen(self, peer):
        spaces.run(self.hosts['hub'].words(self.options.sqbridge, 'keygen', '--peer', peer, '--keys', 'hub.keys'))

    def create(self, *queues, capacity=4096):
        # Blocks for some hundreds of the largest.
        spaces.run(self.hosts['hub'].words('SQ_PREFIX=farm', self.options.sqctl, 'create', '--capacity', str(capacity),
                                           *queues))

    def hub(self, *words, share=('pq:pull', 'cq:push')):
        shares = [word for queue in share for word in ('--share', queue)]
        part = Part(self, 'hub', self.hosts['hub'], [
            *self.of_daemons, self.options.sqbridge, 'hub', '--listen', f'0.0.0.0:{PORT}', '--keys', 'hub.keys',
            '--metrics', self.path('hub.sock'), *shares, *words])
        self.until(lambda: 'event=listening' in part.text(), 'the hub listens')
        return part

    def leaf(self, name, *words, carry=('--pull', 'pq', '--push', 'cq'), hasty=('--retry-max', '500ms')):
        return Part(self, name, self.hosts[name], [
            *self.of_daemons, self.options.sqbridge, 'leaf', f'hub.example:{PORT}', '--key', name + '.key', *hasty,
            *carry, *words])

    def crew(self, name, host, *words, ends=False):
        return Part(self, name, self.hosts[host], [self.options.crew, *map(str, words)], log='crew', ends=ends)

    def workers(self, host, n, think_us=0):
        for i in range(n):
            self.crew(f'{host}-worker{i + 1}', host, 'work', 'pq', 'cq', think_us)

    def producers(self, hosts, numbers):
        """The next so many tasks, shared among producers of these hosts."""
        made = []
        for i, host in enumerate(hosts):
            first, last = (self.given + numbers * k // len(hosts) for k in (i, i + 1))
            made.append(self.crew(f'{host}-producer{first}', host, 'produce', 'pq', 1000 + first, first, last - 1,
                                  ends=True))
        self.given += numbers
        return made

    def collector(self, host):
        path = self.path('tally')
        part = self.crew('collector', host, 'collect', 'cq', path, self.numbers)
        self.until(lambda: os.path.exists(path) and os.stat(path).st_size > 64, 'the tally is there')
        with open(path, 'rb') as f:
            self.tally = mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ)
        return part

    # How far it is.

    def came(self):
        return TALLY_HEAD.unpack_from(self.tally)[1]

    def extra(self):
        return TALLY_HEAD.unpack_from(self.tally)[2]

    def look(self):
        for part in self.parts.values():
            part.look()

    def stat(self, host, *queues):
        """Of each: (depth, leased, put, took), or None."""
        text = spaces.run(self.hosts[host].words('SQ_PREFIX=farm', self.options.crew, 'stat', *queues))
        return [None if line == '-' else tuple(map(int, line.split())) for line in text.splitlines()]

    def until(self, done, what, limit=LIMIT_S):
        end = time.monotonic() + limit
        while not done():
            self.look()
            if time.monotonic() > end:
                raise Failed(f'not within {limit} seconds: {what}')
            time.sleep(0.002)

    def until_came(self, n):
        """Wait for the n-th number."""
        while True:
            came = self.came()
            if came >= min(n, self.numbers):
                return
            now = time.monotonic()
            if came != self.moved[0]:
                self.moved = (came, now)
            elif now - self.moved[1] > STILL_S:
                raise Failed(f'{came} of {self.numbers} results, and no more for {STILL_S} seconds')
            self.look()
            time.sleep(0.001)

    def phase(self, note, numbers, times, act, hosts=('hub',)):
        """So many tasks, from producers of these hosts; `times` times something, at random moments of their doing."""
        begin, began = self.given, time.monotonic()
        producers = self.producers(hosts, numbers)
        for at in sorted(begin + self.chance.randrange(numbers * 19 // 20) for _ in range(times)):
            self.until_came(at)
            act()
        self.until_came(begin + numbers)
        self.until(lambda: not any(part.look() for part in producers), 'the producers end')
        say(f'{note}: {numbers} tasks, {time.monotonic() - began:.1f} seconds')

    def metrics(self):
        """The hub's, by name and labels."""
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(LIMIT_S)
            s.connect(self.path('hub.sock'))
            s.sendall(b'GET /metrics HTTP/1.0\r\n\r\n')
            text = b''.join(iter(lambda: s.recv(65536), b'')).decode()
        return {name: float(value) for name, value in re.findall(r'^(\w+(?:\{[^}]*\})?) (\S+)$', text, re.M)}

    def looped(self, *daemons):
        """They have run over the loop that was wanted."""
        wish = self.options.loop or os.environ.get('SQ_LOOP')
        for part in daemons:
            if wish and bool(part.count('event=loop_poll')) != (wish == 'poll'):
                raise Failed(f'{part.name} did not run over {wish}')

    def settled(self):
        """Nothing is in any queue, or in anybody's hand."""
        return all(stat is None or stat[0] == stat[1] == 0 for host in self.leaves + ['hub']
                   for stat in self.stat(host, 'pq', 'cq'))

    def account(self, extra_max=0, allowed=None):
        """All numbers came, each once, but for `extra_max`; no log has a line that it should not have.

        `allowed`: a line that it may have.
        """
        self.until_came(self.given)
        self.until(self.settled, 'every queue is empty', STILL_S)
        self.look()
        _, came, extra, wrong = TALLY_HEAD.unpack_from(self.tally)
        numbers = self.given
        if (came, wrong) != (numbers, 0) or extra > extra_max:
            raise Failed(f'{came} of {numbers} numbers came, {extra} once more ({extra_max} may), {wrong} wrong')
        (_, _, tasks, tasks_gone), (_, _, results, results_gone) = self.stat('hub', 'pq', 'cq')
        if not tasks == tasks_gone == numbers or not results == results_gone == numbers + extra:
            raise Failed(f"the hub's queues: {tasks} tasks put, {tasks_gone} gone; {results} results, {results_gone}")
        unwanted = ['level=error', 'event=internal', 'event=protocol', 'event=queue_gone']
        if not extra_max:
            unwanted.append('event=given_up')
        for part in self.parts.values():
            for event in unwanted:
                if event != allowed and part.count(event):
                    raise Failed(f'{part.name} says {event}')
        return extra

    def close(self):
        started = [part.process for part in self.parts.values() if part.process]
        for process in started:
            if process.poll() is None:
                process.kill()
        for process in started:
            process.wait()
        self.spaces.close()


def say(text):
    print(text, flush=True)


def tails(scratch):
    """The ends of all logs, of a failure."""
    for name in sorted(os.listdir(scratch)):
        if name.endswith('.log'):
            with open(os.path.join(scratch, name), encoding='utf-8', errors='replace') as f:
                lines = f.read().splitlines()
            print(f'--- {name}, the last of {len(lines)} lines', *lines[-25:], sep='\n')


def main(doc, scenes, **values):
    """Run scenes(options, scratch); 77 if that is forbidden here."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    for program in 'sqbridge', 'sqctl', 'crew', 'cable':
        parser.add_argument(program, type=os.path.abspath)
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--only', help='the scene of this name')
    parser.add_argument('--loop', help='SQ_LOOP of all daemons, such as poll')
    parser.add_argument('--logs', action='store_true', help='show the ends of all logs in any case')
    for name, value in values.items():
        parser.add_argument('--' + name, type=type(value), default=value, help=f'default {value}')
    options = parser.parse_args()
    spaces.be_permitted()
    # So that what is to be removed is.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    os.environ.pop('JOURNAL_STREAM', None)
    code = 0
    for scene in scenes:
        name = scene.__name__
        if options.only not in (None, name):
            continue
        with tempfile.TemporaryDirectory(prefix='sqnet') as scratch:
            began = time.monotonic()
            farms = []
            try:
                scene(options, lambda *words, **more: farms.append(Farm(options, scratch, *words, **more)) or farms[-1])
                say(f'{name}: passed in {time.monotonic() - began:.0f} seconds')
            except Failed as e:
                say(f'FAILED: {name}, seed {options.seed}: {e}')
                tails(scratch)
                code = 1
            finally:
                if options.logs:
                    tails(scratch)
                for farm in farms:
                    farm.close()
    sys.exit(code)
