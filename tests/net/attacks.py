#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""A peer that is not allowed in is turned away, with a line in the hub's log and a number in its metrics; work goes on.

    attacks.py SQBRIDGE SQCTL CREW CABLE [--silent N] [--slow N]

A hub, two leaves that work, and mallory, on a host of its own in the same network. Tasks are made, done and collected
all the time: during each attack, and after it. At the end each task has been done once.
"""
import os
import re
import struct
import sys

import farm
from farm import PORT

ATTACKER = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'attacker.py')
HUB = 'hub.example'
AHEAD = 1000  # tasks that wait to be done
MOVES = 50  # results, to say that the work goes on
KEYS_MAX = 900  # producers that a queue can remember, nearly
UNAUTHENTICATED_MAX = 64
PATIENT = ('--heartbeat', '20s', '--redeliver-after', '1h')  # a slow machine is no silence
MEMORY_MAX_KB = 64 << 10  # what an attack may make the hub hold, at its highest: much less than one of each for all


def frame(kind, stream, payload):
    return struct.pack('<IBBH', len(payload), kind, 0, stream) + payload


def hello():
    return frame(1, 0, struct.pack('<4sHHQ16sII', b'sqb\n', 1, 1, 0, os.urandom(16), 60000, 5000))


def bye():
    return frame(14, 0, b'')


def open_pull(queue):
    name = queue.encode()
    return frame(2, 1, struct.pack('<BBHIQQQ', 1, len(name), 0, 0, 0, 0, 1 << 30) + name)


class Scene:
    def __init__(self, f, hub, options):
        self.f, self.hub, self.options = f, hub, options
        self.mallory = f.hosts['mallory']
        self.chunks = 0

    # The work.

    def feed(self):
        if self.f.given - self.f.came() < AHEAD and self.chunks < KEYS_MAX:
            self.f.producers(['hub'], AHEAD)
            self.chunks += 1
        return True

    def until(self, done, what):
        self.f.until(lambda: self.feed() and done(), what)

    def goes_on(self):
        """Some results more than there are now; some that may have been under way are not enough."""
        came = self.f.came()
        self.until(lambda: self.f.came() >= came + MOVES, 'the work goes on')

    # The attacks.

    def metric(self, reason):
        return self.f.metrics()[f'sqbridge_connections_refused_total{{reason="{reason}"}}']

    def expect(self, what, attack, line, reason, times=1, holds=False):
        """attack(), which may return a process that is ended at last, is noticed, `times` times."""
        lines, before = self.hub.count(line), self.metric(reason)
        self.goes_on()
        process = attack()
        self.until(lambda: self.hub.count(line) > lines, f'{what}: a line {line}')
        self.until(lambda: self.metric(reason) >= before + times, f'{what}: {times} more of {reason}')
        self.goes_on()
        if process:
            if holds and process.poll() is not None:
                raise farm.Failed(f'{what}: the attacker gave up')
            process.kill()
            process.wait()
            process.stdout.close()
        if not holds and self.metric(reason) != before + times:
            raise farm.Failed(f'{what}: {self.metric(reason) - before} times {reason}, not {times}')
        farm.say(f'{what}: {reason}, {self.metric(reason) - before:.0f} times')

    def write(self, name, data, mode=0o600):
        with open(self.f.path(name), 'wb') as f:
            f.write(data)
        os.chmod(self.f.path(name), mode)

    def attacker(self, *words):
        """Its connections are there."""
        process = farm.spaces.start(
            self.mallory.words(sys.executable, ATTACKER, words[0], *map(str, words[1:])), stdout=-1, text=True)
        if process.stdout.readline() != 'ready\n':
            raise farm.Failed('attacker.py did not connect')
        return process

    def s_client(self, words, data=b''):
        """What openssl says; it ends when the hub hangs up, or at the end of what it has to say."""
        self.write('to-say', data)
        script = f'timeout 60 openssl s_client -connect {HUB}:{PORT} {words} <to-say 2>&1 || true'
        return farm.spaces.run(self.mallory.words('sh', '-c', script))

    def psk(self, peer):
        with open(self.f.path(peer + '.key'), encoding='ascii') as f:
            return re.search(f'^{peer}:([0-9a-f]+)$', f.read(), re.M).group(1)

    def resets(self):
        """How many connections the hub's host has reset."""
        names, values = re.findall('^Tcp: (.*)$', farm.spaces.run(self.f.hosts['hub'].words('cat', '/proc/net/snmp')), re.M)
        return int(dict(zip(names.split(), values.split()))['OutRsts'])

    def leaf_fails(self, line, queue='pq'):
        """A leaf of mallory's, with mallory's key as it is now: its end."""
        part = self.f.leaf('mallory', carry=('--pull', queue))
        del self.f.parts['mallory']  # it ends by itself
        self.until(lambda: part.process.poll() is not None, 'the leaf ends')
        if part.process.returncode != 77 or not part.count(line):
            raise farm.Failed(f'the leaf ended with {part.process.returncode}: {part.text()}')


def attacks(options, build):
    f = build(2, 1 << 22, others=['mallory'])
    f.keygen('mallory')
    f.keygen('recorded')
    f.create('pq', 'cq')
    allow = [word for who in ('leaf1', 'leaf2', 'recorded') for what in ('pq:pull', 'cq:push')
             for word in ('--allow', f'{who}:{what}')]
    hub = f.hub('--unauthenticated-max', str(UNAUTHENTICATED_MAX), *PATIENT, *allow, '--allow', 'mallory:xq:pull',
                share=('pq:pull', 'cq:push', 'xq:pull'))  # there is no xq
    for name in f.leaves:
        f.leaf(name, *PATIENT)
        f.workers(name, 2, 500)
    f.collector('hub')
    s = Scene(f, hub, options)
    s.goes_on()

    s.write('http', b'GET / HTTP/1.0\r\n\r\n')
    s.expect('a plain TCP client', lambda: s.attacker('say', HUB, PORT, 'http', 1),
             'event=refused reason="it does not speak TLS" from=10.77.0.4:', 'not_tls')

    s.expect('no key', lambda: s.s_client('-tls1_3') and None, 'event=refused reason="it offered no key"', 'no_key')
    farm.spaces.run(s.mallory.words(
        'openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-subj',
        '/CN=hub.example', '-keyout', 'cert.key', '-out', 'cert.pem'))
    s.expect('a client with a certificate', lambda: s.s_client('-tls1_3 -cert cert.pem -key cert.key') and None,
             'event=refused reason="it offered no key"', 'no_key')
    s.expect('a client of TLS 1.2', lambda: s.s_client('-tls1_2') and None,
             'event=refused reason="it cannot do TLS 1.3"', 'tls')

    key = s.psk('mallory')
    s.write('mallory.key', b'leaf1:' + b'5' * 64 + b'\n')
    s.expect('the wrong key', lambda: s.leaf_fails('event=not_connected reason="the key was refused"'),
             re.compile('event=refused reason="wrong key" .*identity=leaf1'), 'wrong_key')
    s.write('mallory.key', b'nobody:' + b'5' * 64 + b'\n')
    s.expect('an unknown identity', lambda: s.leaf_fails('event=not_connected reason="the key was refused"'),
             re.compile('event=refused reason="unknown identity" .*identity=nobody'), 'unknown_identity')
    s.write('mallory.key', f'mallory:{key}\n'.encode(), mode=0o644)
    s.leaf_fails('mallory.key: has mode 0644')
    farm.say('a key file of mode 0644: exit code 77, and nobody was asked')
    s.write('mallory.key', f'mallory:{key}\n'.encode())

    s.expect('a queue that is not allowed', lambda: s.leaf_fails('event=all_denied'),
             'event=denied peer=mallory queue=pq direction=pull detail="this key may not', 'denied')
    s.expect('a queue that is not shared', lambda: s.leaf_fails('event=all_denied', queue='zq'),
             'event=denied peer=mallory queue=zq direction=pull detail="this queue is not shared', 'denied')

    # The security is a standard's: its best-known tool completes the handshake.
    psk = f'-tls1_3 -psk_identity mallory -psk {key}'
    ups = hub.count('event=link_up peer=mallory')
    text = s.s_client(psk)
    if not re.search(r'^(New|Reused), TLSv1.3, Cipher is TLS_AES_128_GCM_SHA256$', text, re.M):
        raise farm.Failed(f'openssl s_client: {text}')
    s.until(lambda: hub.count('event=link_up peer=mallory') == ups + 1, 'the handshake is done')
    farm.say('openssl s_client -psk: the handshake is done')

    # A peer with a key that asks for what the key does not allow.
    s.expect('a frame for a queue not allowed',
             lambda: s.s_client(psk + ' -quiet', hello() + open_pull('pq') + bye()) and None,
             'event=denied peer=mallory queue=pq direction=pull', 'denied')
    s.expect('a frame too large',
             lambda: s.s_client(psk + ' -quiet', hello() + struct.pack('<IBBH', 65537, 6, 0, 1)) and None,
             'event=protocol peer=mallory', 'protocol')
    # With much behind it that is not read: the reason for the close is received all the same, for nothing is reset.
    resets = s.resets()
    for _ in range(5):
        text = s.s_client(psk + ' -quiet', hello() + struct.pack('<IBBH', 65537, 6, 0, 1) + bytes(1 << 20))
        if 'the frame is longer than any may be' not in text:
            raise farm.Failed(f'a frame too large, and much behind it: {text}')
    if s.resets() != resets:
        raise farm.Failed(f'{s.resets() - resets} connections were reset')
    s.expect('a frame that says 4 GiB, before hello',
             lambda: s.s_client(psk + ' -quiet', struct.pack('<IBBH', 2**32 - 1, 1, 0, 0)) and None,
             'event=protocol peer=mallory', 'protocol')

    # A queue that is not there yet may come: a peer that may have it stays connected, until its key is revoked.
    answers = hub.count('peer=mallory queue=xq detail="there is no such queue"')
    part = f.leaf('mallory', carry=('--pull', 'xq'))
    s.until(lambda: hub.count('peer=mallory queue=xq detail="there is no such queue"') > answers, 'mallory was answered')
    with open(f.path('hub.keys'), 'r+', encoding='ascii') as keys:
        left = [line for line in keys if not line.startswith('mallory:')]
        keys.seek(0)
        keys.truncate()
        keys.writelines(left)
    s.expect('a key that was revoked', lambda: hub.process.send_signal(farm.signal.SIGHUP),
             'event=revoked peer=mallory', 'revoked')
    if part.process.poll() is not None:
        raise farm.Failed(f'the leaf whose key was revoked ended with {part.process.returncode}: {part.text()}')
    f.parts.pop('mallory').kill(again=False)

    # A connection that did work is said again, to the byte.
    relay = s.attacker('relay', 7777, HUB, PORT, 'record')
    farm.Part(f, 'recorded', s.mallory, [
        options.sqbridge, 'leaf', '127.0.0.1:7777', '--key', 'recorded.key', '--pull', 'pq', '--push', 'cq'])
    f.workers('mallory', 1)
    done = 'sqbridge_messages_settled_total{peer="recorded",queue="pq",direction="pull"}'
    s.until(lambda: f.metrics().get(done, 0) >= MOVES, 'tasks are done by way of the relay')
    recorded = f.parts.pop('recorded')
    if recorded.end(farm.signal.SIGTERM) != 0:
        raise farm.Failed('the recorded leaf did not leave')
    f.parts.pop('mallory-worker1').end()
    relay.kill()
    relay.wait()
    relay.stdout.close()
    s.expect('replayed bytes', lambda: s.attacker('say', HUB, PORT, 'record', 3),
             re.compile('event=refused .*identity=recorded'), 'tls', times=3)

    with open(f.path('record'), 'rb') as record:
        s.write('hello', record.read(200))
    s.expect(f'{options.slow} that say a byte a second', lambda: s.attacker('slow', HUB, PORT, 'hello', options.slow),
             'event=refused reason=timeout', 'timeout', times=options.slow, holds=True)

    def crowd():
        process = s.attacker('silent', HUB, PORT, options.silent)
        held = f.metrics()['sqbridge_connections_unauthenticated']
        if held > UNAUTHENTICATED_MAX:
            raise farm.Failed(f'{held} connections without a key')
        # They are all there, and a leaf gets in.
        ups = hub.count('event=link_up peer=leaf1')
        f.parts['leaf1'].kill()
        s.until(lambda: hub.count('event=link_up peer=leaf1') > ups, 'leaf1 is connected again')
        return process

    before = peak_kb(hub)
    s.expect(f'{options.silent} that never speak', crowd, 'event=refused reason=crowded', 'crowded',
             times=options.silent - UNAUTHENTICATED_MAX - options.silent // 100, holds=True)
    grown = max(0, peak_kb(hub) - before)
    if grown > MEMORY_MAX_KB:
        raise farm.Failed(f'the hub grew by {grown} KiB')
    farm.say(f'the hub has grown by {grown} KiB')

    f.account(allowed='event=protocol')
    for name in f.leaves:
        if hub.count(f'event=link_down peer={name}') > (name == 'leaf1'):
            raise farm.Failed(f'{name} was disconnected')
    farm.say(f'{f.given} tasks were done meanwhile, each once; no leaf was disconnected')


def peak_kb(part):
    with open(f'/proc/{part.process.pid}/status', encoding='ascii') as f:
        return int(re.search(r'^VmHWM:\s+(\d+) kB', f.read(), re.M).group(1))


if __name__ == '__main__':
    farm.main(__doc__, [attacks], silent=10000, slow=20)
