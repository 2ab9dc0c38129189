#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""What bridge/ tells systemd is right: its units, and the command line in them.

    service.py SERVICE SYSUSERS TMPFILES SQBRIDGE BINDIR

Each line of the unit is known here, what the hardening promises is there, and the command is one that sqbridge takes,
in both roles. Where systemd's own programs are installed, they read the files too.
"""
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile

KNOWN = {
    'Unit': {'Description', 'Documentation', 'Wants', 'After', 'StartLimitIntervalSec', 'StartLimitBurst'},
    'Service': {
        'Type', 'NotifyAccess', 'ExecStart', 'ExecReload', 'WatchdogSec', 'Restart', 'RestartSec', 'TimeoutStopSec',
        'RestartPreventExitStatus', 'User', 'Group', 'UMask', 'Environment', 'RemoveIPC', 'LoadCredential',
        'NoNewPrivileges', 'CapabilityBoundingSet', 'AmbientCapabilities', 'ProtectSystem', 'ReadWritePaths',
        'ProtectHome', 'PrivateTmp', 'PrivateDevices', 'DevicePolicy', 'ProtectProc', 'ProtectClock',
        'ProtectControlGroups', 'ProtectHostname', 'ProtectKernelLogs', 'ProtectKernelModules',
        'ProtectKernelTunables', 'RestrictAddressFamilies', 'RestrictNamespaces', 'RestrictRealtime',
        'RestrictSUIDSGID', 'LockPersonality', 'MemoryDenyWriteExecute', 'KeyringMode', 'SystemCallArchitectures',
        'SystemCallFilter', 'SystemCallErrorNumber', 'LimitNOFILE', 'LimitCORE',
    },
    'Install': {'WantedBy', 'DefaultInstance'},
}
# Without these, queues would not be shared, or vanish; or the daemon would have more than it needs.
WANTED = {
    'Type': ['notify'],
    'User': ['sqbridge'],
    'Group': ['sq'],
    'RemoveIPC': ['no'],
    'NoNewPrivileges': ['yes'],
    'CapabilityBoundingSet': [''],
    'ProtectSystem': ['strict'],
    'PrivateTmp': ['yes'],
    'SystemCallFilter': ['@system-service', '~@privileged @resources'],
    'LoadCredential': ['sqbridge.keys', 'sqbridge.key'],
}
# What would hide the host's /dev/shm, or the reason when io_uring is denied, or give a user that others do not know.
FORBIDDEN = {'DynamicUser', 'PrivateIPC', 'ProcSubset', 'TemporaryFileSystem', 'RootDirectory', 'InaccessiblePaths'}
ROLES = {
    'hub': 'listen = 127.0.0.1:0\nshare = pq:pull\nshare = cq:push\n',
    'leaf': 'connect = hub.example:5678\npull = pq\npush = cq\nmode = 0660\n',
}
SPAN = re.compile(r'^[0-9]+$')


def fail(text):
    sys.exit('service.py: ' + text)


def read_unit(path):
    """{section: {key: [value, ...]}}"""
    unit, section = {}, None
    for number, line in enumerate(open(path, encoding='ascii'), 1):
        line = line.rstrip('\n')
        where = f'{path}:{number}'
        if not line or line[0] in '#;':
            continue
        if line[0] == '[':
            section = line.strip('[]')
            if section not in KNOWN or section in unit:
                fail(f'{where}: [{section}]: unknown, or there twice')
            unit[section] = {}
            continue
        key, equals, value = line.partition('=')
        if not section or not equals or '@' in value.replace('@system-service', '').replace(
                '@privileged', '').replace('@resources', ''):
            fail(f'{where}: {line}')
        if key in FORBIDDEN or key not in KNOWN[section]:
            fail(f'{where}: {key}: not known to this test, or forbidden')
        unit[section].setdefault(key, []).append(value)
    return unit


def check_unit(unit):
    service = unit['Service']
    for key, values in WANTED.items():
        if service.get(key) != values:
            fail(f'{key} is {service.get(key)}, not {values}')
    for key in 'WatchdogSec', 'RestartSec', 'TimeoutStopSec':
        if not SPAN.match(service[key][0]):
            fail(f'{key}={service[key][0]}: seconds')


def run(words, **more):
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120, **more)
    if done.returncode != 0 or done.stdout:
        fail(f'{shlex.join(words)}: {done.returncode}: {done.stdout}')


def check_command(command, sqbridge, bindir, scratch):
    """The unit's command, with its files elsewhere; keys are credentials, as the unit has them."""
    os.mkdir(scratch + '/credentials')
    run([sqbridge, 'keygen', '--peer', 'farm1', '--keys', scratch + '/credentials/sqbridge.keys', '--out',
         scratch + '/credentials/sqbridge.key'])
    environment = {'CREDENTIALS_DIRECTORY': scratch + '/credentials', 'SQ_PREFIX': 'sq'}
    for role, options in ROLES.items():
        with open(f'{scratch}/{role}.conf', 'w', encoding='ascii') as f:
            f.write(options)
        words = shlex.split(command.replace('%i', role).replace('/etc/sqbridge', scratch))
        if words[0] != bindir + '/sqbridge':
            fail(f'{words[0]} is not where it is installed')
        run([sqbridge] + words[1:] + ['--check-config'], env=environment)
        if subprocess.run([sqbridge] + words[1:] + ['--check-config', '--no-such'], env=environment,
                          stderr=subprocess.DEVNULL, check=False).returncode != 64:
            fail('a check that finds nothing wrong, ever')


def check_systemd(service, sysusers, tmpfiles, sqbridge, bindir, scratch):
    """By systemd's own readers, those of them that are here."""
    unit = scratch + '/sqbridge@.service'
    text = open(service, encoding='ascii').read()
    with open(unit, 'w', encoding='ascii') as f:
        f.write(text.replace(bindir + '/sqbridge', sqbridge))
    root = scratch + '/root'
    os.makedirs(root + '/etc')
    if shutil.which('systemd-analyze'):
        for role in ROLES:
            words = ['systemd-analyze', 'verify', '--man=no', unit.replace('@', '@' + role)]
            done = subprocess.run(words, capture_output=True, text=True, timeout=120)
            # It also tells what is wrong with units of this host that ours want.
            if done.returncode != 0 or 'sqbridge' in done.stderr:
                fail(f'{shlex.join(words)}: {done.returncode}: {done.stderr}')
    if shutil.which('systemd-sysusers'):
        done = subprocess.run(['systemd-sysusers', '--root=' + root, sysusers], capture_output=True, text=True,
                              timeout=120)
        passwd = root + '/etc/passwd'
        users = open(passwd, encoding='ascii').read() if os.path.exists(passwd) else ''
        if done.returncode != 0 or not re.search(r'^sqbridge:.*:/usr/sbin/nologin$', users, re.M):
            fail(f'{sysusers}: {done.stderr}{users}')
        if shutil.which('systemd-tmpfiles') and os.geteuid() == 0:
            run(['systemd-tmpfiles', '--create', '--root=' + root, tmpfiles])
            if os.stat(root + '/etc/sqbridge').st_mode & 0o7777 != 0o750:
                fail(tmpfiles)


def check_lines(path, kinds):
    for number, line in enumerate(open(path, encoding='ascii'), 1):
        if line.strip() and line[0] != '#' and line.split()[0] not in kinds:
            fail(f'{path}:{number}: {line}')


def main():
    service, sysusers, tmpfiles, sqbridge = map(os.path.abspath, sys.argv[1:5])
    bindir = sys.argv[5]
    unit = read_unit(service)
    check_unit(unit)
    check_lines(sysusers, {'g', 'u'})
    check_lines(tmpfiles, {'d', 'x'})
    with tempfile.TemporaryDirectory() as scratch:
        check_command(unit['Service']['ExecStart'][0], sqbridge, bindir, scratch)
        check_systemd(service, sysusers, tmpfiles, sqbridge, bindir, scratch)


main()
