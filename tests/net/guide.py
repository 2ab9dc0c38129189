#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""The five lines of docs/BRIDGE.md, as they stand there, on two hosts.

    guide.py SQBRIDGE SQCTL CREW CABLE [--guide FILE] [--results N]

Each line is read from the guide and given to a shell on the host that stands before it, in its user's directory there.
Nothing else is done than what the guide says between them: the key is carried over, and what it says of when it works
is waited for. Both daemons are killed meanwhile and started again by the same lines. Each task that was made is a
result, once, and right.
"""
import os
import re
import shutil
import signal

import farm

SECTION = re.compile(r'^## Five lines\n(.*?)^More machines: ', re.M | re.S)
LINE = re.compile(r'^    (hub|farm1)\$ +(.*)$', re.M)
S_CLIENT = re.compile(r'^    \$ (openssl s_client .*)$', re.M)
RESULT = re.compile(r'^(\d+) \* (\d+) = (\d+)$')
GUIDE = os.path.join(os.path.dirname(os.path.abspath(__file__)), '../../docs/BRIDGE.md')


def descendants(pid):
    """Of a process: (pid, words of its command)."""
    found = []
    try:
        with open(f'/proc/{pid}/task/{pid}/children', encoding='ascii') as f:
            for child in f.read().split():
                with open(f'/proc/{child}/cmdline', encoding='utf-8', errors='replace') as words:
                    found.append((int(child), words.read().split('\0')))
                found += descendants(child)
    except (FileNotFoundError, ProcessLookupError):
        pass  # it has just ended
    return found


class User:
    """Types lines on a host. A line's processes end with the line, for they have a pid namespace of their own."""

    def __init__(self, f, host, programs):
        self.f, self.host = f, host
        self.home = f.path(host + '.home')
        os.mkdir(self.home)
        self.words = ['env', '-u', 'SQ_PREFIX', '-C', self.home, f'PATH={programs}:{os.environ["PATH"]}',
                      *f.of_daemons, 'unshare', '--pid', '--fork', '--kill-child', 'sh', '-c']

    def types(self, name, line):
        farm.say(f'{self.host}$ {line}')
        return farm.Part(self.f, name, self.f.hosts[self.host], self.words + [line])

    def run(self, line):
        """A line that ends: what it prints."""
        farm.say(f'{self.host}$ {line}')
        return farm.spaces.run(self.f.hosts[self.host].words(*self.words, line))


def process_of(part, program, verb):
    """The process of a line's program; it may have given itself a title."""
    title = re.compile(f'^(?:\\S*/)?{program}:? {verb}\\b')
    return next((pid for pid, command in descendants(part.process.pid) if title.match(' '.join(command))), None)


def kill_daemon(part, role):
    """kill -9 of what runs in this line; and the line again."""
    found = []
    part.farm.until(lambda: found.append(process_of(part, 'sqbridge', role)) or found[-1], f'{part.name} runs a daemon')
    os.kill(found[-1], signal.SIGKILL)
    code = part.process.wait(farm.LIMIT_S)
    if code not in (-signal.SIGKILL, 128 + signal.SIGKILL):
        raise farm.Failed(f'{part.name} was to be killed and ended with {code}')
    part.kills += 1
    # Of those that are dead: more are of its next life.
    part.ups = part.count('event=link_up')
    part.start()


def results(part):
    """The results that a line has printed; each must be one."""
    lines = [line for line in part.text().splitlines(keepends=True) if line.endswith('\n') and line[0].isdigit()]
    for line in lines:
        match = RESULT.match(line.rstrip('\n'))
        if not match or match[1] != match[2] or int(match[1]) ** 2 != int(match[3]):
            raise farm.Failed(f'that is no result: {line}')
    return lines


class Guide:
    """The guide's lines, typed one after the other, but for the last: its parts, when it works."""

    def __init__(self, f, guide):
        with open(guide, encoding='utf-8') as text:
            self.text = text.read()
        lines = LINE.findall(SECTION.search(self.text)[1])
        wanted = ['hub', 'hub', 'hub', 'farm1', 'farm1', 'hub']
        if [host for host, _ in lines] != wanted:
            raise farm.Failed(f'the lines are other ones: {lines}')
        keygen, create, hub_line, leaf_line, work_line, self.job_line = [line for _, line in lines]

        self.f = f
        programs = f.path('bin')
        os.mkdir(programs)
        for program in f.options.sqbridge, f.options.sqctl:
            os.symlink(program, os.path.join(programs, os.path.basename(program)))
        self.hub_user, self.leaf_user = User(f, 'hub', programs), User(f, 'farm1', programs)

        self.hub_user.run(keygen)
        self.hub_user.run(create)
        self.hub = self.hub_user.types('hub', hub_line)
        shutil.move(os.path.join(self.hub_user.home, 'farm1.key'), self.leaf_user.home)
        self.leaf = self.leaf_user.types('leaf', leaf_line)
        f.until(lambda: self.hub.count('event=link_up peer=farm1') and self.hub.count('event=stream_open') == 2,
                'it works')
        f.until(lambda: self.leaf.count('event=queue_made') == 2, "the leaf's queues are made")
        self.work = self.leaf_user.types('work', work_line)

    def queues(self, host):
        """pq and cq, by their whole names."""
        names = {name.split('.')[2]: name[3:] for name in os.listdir(self.f.hosts[host].shm())
                 if name.startswith('sq.')}
        return [names['pq'], names['cq']]

    def stat(self, host):
        """As farm's, of pq and cq."""
        return self.f.stat(host, *self.queues(host))

    def all_done(self):
        self.f.until(lambda: all(stat[0] == stat[1] == 0 for stat in self.stat('hub')), 'all is done')


def five_lines(options, build):
    f = build(0, 1, calm=True, others=['farm1'])
    g = Guide(f, options.guide)
    hub, leaf = g.hub, g.leaf
    job = g.hub_user.types('job', g.job_line)
    for n in range(options.kills + 1):
        f.until(lambda n=n: len(results(job)) >= (n + 1) * options.results // (options.kills + 1), 'results')
        if n < options.kills:
            # The hub's first: its leaf comes back by itself.
            kill_daemon(*((hub, 'hub') if n % 2 == 0 else (leaf, 'leaf')))

    # No more tasks; those that were made are done.
    os.kill(process_of(job, 'sqctl', 'produce'), signal.SIGTERM)
    f.until(lambda: process_of(job, 'sqctl', 'produce') is None, 'no more tasks')
    g.all_done()
    (_, _, tasks, _), (_, _, made, _) = g.stat('hub')
    f.until(lambda: len(results(job)) >= made, 'all results are shown')
    if not tasks == made == len(results(job)):
        raise farm.Failed(f'{tasks} tasks, {made} results, {len(results(job))} shown')
    farm.say(f'{tasks} tasks, {made} results, each once. kill -9: hub {hub.kills}, leaf {leaf.kills}')

    said = g.leaf_user.run(S_CLIENT.search(g.text)[1] + ' 2>&1 || true')
    if 'TLS_AES_128_GCM_SHA256' not in said:
        raise farm.Failed(f'openssl s_client: {said}')


if __name__ == '__main__':
    farm.main(__doc__, [five_lines], results=40, kills=6, guide=GUIDE)
