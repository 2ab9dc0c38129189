# SPDX-License-Identifier: ISC
"""Hosts of one's own on this machine: each with its network, its memory, and its /etc/hosts.

A host is a network namespace and a mount namespace with a /dev/shm of its own, each kept by a process that sleeps in
it. One more network namespace is what lies between them: a switch, with one veth cable to each host, and the weather.
Nothing of it has a name outside, so that it is gone with its processes, and these are gone with us, whatever ends us.

The weather is the kernel's netem on the switch's side of the cables, or, where the kernel has none, cable.c, which is
then the switch.
"""
import ctypes
import os
import shlex
import signal
import subprocess
import sys

NETWORK = '10.77.0.'
LIMIT_S = 60  # for anything that must come: the machine may be slow
PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None, use_errno=True)


class Failed(Exception):
    """What the test was for is not so."""


def die_with_us():
    """In a child, before it is another program."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def start(words, **more):
    """A process that does not outlive us."""
    return subprocess.Popen(words, preexec_fn=die_with_us, **more)


def run(words):
    """A command that must succeed; what it prints."""
    # Whatever bytes: openssl s_client also shows the frames that a hub sends.
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors='replace',
                          timeout=LIMIT_S, preexec_fn=die_with_us, check=False)
    if done.returncode != 0:
        raise Failed(f'{shlex.join(words)}: {done.returncode}: {done.stdout}')
    return done.stdout


def be_permitted():
    """Go on as somebody who may make namespaces, or end: 77 says that this machine forbids it."""
    words = ['unshare', '--net', '--mount', 'sh', '-c', 'mount -t tmpfs none /dev/shm && ip link set lo up']
    if subprocess.run(words, stderr=subprocess.DEVNULL, check=False).returncode == 0:
        return
    user = ['unshare', '--user', '--map-root-user']
    if 'SQ_NET_USER' not in os.environ and subprocess.run(
            user + words, stderr=subprocess.DEVNULL, check=False).returncode == 0:
        os.environ['SQ_NET_USER'] = '1'
        os.execvp(user[0], user + [sys.executable] + sys.argv)
    print('net: namespaces are not permitted here, to root or by way of a user namespace')
    sys.exit(77)


def keeper(words, script):
    """A process that sleeps in the namespaces it was started in, after `script` in them."""
    process = start(words + ['sh', '-ec', script + '\necho ready\nexec sleep infinity'], stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE, text=True)
    if process.stdout.readline() != 'ready\n':
        raise Failed(f'{shlex.join(words)}: no namespace')
    return process


class Host:
    """Its processes are started by way of it; it forgets its memory when it is booted again."""

    def __init__(self, spaces, name, number):
        self.name, self.address = name, NETWORK + str(number)
        self.port = 'to-' + name  # the switch's end of its cable
        self.spaces = spaces
        self.network = keeper(['unshare', '--net'], 'ip link set lo up')
        self.memory = None
        self.boot()
        spaces.middle(f'ip link add {self.port} type veth peer name eth0 netns {self.network.pid}\n'
                      f'ip link set {self.port} up')
        run(self.words('sh', '-ec', f'ip addr add {self.address}/24 dev eth0\nip link set eth0 up'))

    def words(self, *words):
        """The command that runs these words here. Its process is the command's, there is no other between."""
        return ['nsenter', '-t', str(self.memory.pid), '-n', '-m', 'env', '-C', self.spaces.scratch] + list(words)

    def boot(self):
        """Whatever is in its memory is gone; who was in it must be gone before."""
        old = self.memory
        self.memory = keeper(
            ['nsenter', '-t', str(self.network.pid), '-n', 'unshare', '--mount'],
            f'mount -t tmpfs none /dev/shm\nmount --bind {shlex.quote(self.spaces.hosts_file)} /etc/hosts')
        if old:
            end(old)

    def shm(self):
        """Its /dev/shm, as we see it."""
        return f'/proc/{self.memory.pid}/root/dev/shm'

    def cut(self):
        """Pull its cable."""
        self.spaces.middle(f'ip link set {self.port} down')

    def mend(self):
        self.spaces.middle(f'ip link set {self.port} up')

    def weather(self, loss=0, delay=0, jitter=0, reorder=0):
        """On its cable, each way: percent, ms, ms, percent."""
        self.spaces.weather(self, loss, delay, jitter, reorder)


def end(process):
    process.kill()
    process.wait()
    if process.stdout:
        process.stdout.close()


class Spaces:
    """The hosts, and what lies between them. `calm`: no weather will be asked for."""

    def __init__(self, scratch, cable, names, calm=False, seed=1):
        self.scratch = scratch
        self.hosts_file = os.path.join(scratch, 'hosts')
        with open(self.hosts_file, 'w', encoding='ascii') as f:
            f.write('127.0.0.1 localhost\n')
            f.writelines(f'{NETWORK}{number} {name} {name}.example\n' for number, name in enumerate(names, 1))
        self.between = keeper(['unshare', '--net'], 'ip link set lo up')
        self.netem = not calm and self.has_netem()
        self.cable = None
        self.hosts = [Host(self, name, number) for number, name in enumerate(names, 1)]
        for host in self.hosts:
            setattr(self, host.name, host)
        ports = [host.port for host in self.hosts]
        if calm or self.netem:
            self.kind = "the kernel's bridge" + (' and netem' if self.netem else '')
            self.middle('ip link add br0 type bridge\nip link set br0 up\n' + ''.join(
                f'ip link set {port} master br0\n' for port in ports))
        else:
            self.kind = 'cable.c, for this kernel has no netem'
            self.cable = start(self.in_middle(cable, str(seed), *ports), stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, text=True)
            if self.cable.stdout.readline() != 'ready\n':
                raise Failed('cable: no switch')

    def in_middle(self, *words):
        return ['nsenter', '-t', str(self.between.pid), '-n'] + list(words)

    def middle(self, script):
        return run(self.in_middle('sh', '-ec', script))

    def has_netem(self):
        return subprocess.run(self.in_middle('tc', 'qdisc', 'add', 'dev', 'lo', 'root', 'netem', 'delay', '1ms'),
                              stderr=subprocess.DEVNULL, check=False).returncode == 0

    def weather(self, host, loss, delay, jitter, reorder):
        if self.cable:
            self.cable.stdin.write(f'{host.port} {loss} {delay} {jitter} {reorder}\n')
            self.cable.stdin.flush()
            if self.cable.stdout.readline() != 'done\n':
                raise Failed('cable: no weather')
            return
        words = f'limit 4096 loss {loss}%'
        if delay:
            words += f' delay {delay}ms {jitter}ms' + (f' reorder {reorder}%' if reorder else '')
        # What the switch sends to the host, and what the host sends.
        self.middle(f'tc qdisc replace dev {host.port} root netem {words}')
        run(host.words('tc', 'qdisc', 'replace', 'dev', 'eth0', 'root', 'netem', *words.split()))

    def close(self):
        """In any state. The namespaces go with their keepers."""
        for process in [self.cable, self.between] + [p for host in self.hosts for p in (host.memory, host.network)]:
            if process:
                end(process)
