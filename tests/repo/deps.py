#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
#
# tests/deps.sh on systems made up for it: a PATH that has nothing but programs that tell what they were asked.
#
#   deps.py DEPS_SH
import os
import shutil
import subprocess
import sys
import tempfile

SH = shutil.which('sh')
good = True


def check(what, is_so, done):
    global good
    if not is_so:
        print(f'FAILED: {what}: exit code {done.returncode}\n{done.stdout}{done.stderr}')
        good = False


def programs(where, scripts):
    os.mkdir(where)
    for name, text in scripts.items():
        path = os.path.join(where, name)
        with open(path, 'w', encoding='utf-8') as f:
            f.write(f'#!{SH}\n{text}\n')
        os.chmod(path, 0o755)


def deps(where, *packages):
    return subprocess.run([SH, sys.argv[1], *packages], env={'PATH': os.path.abspath(where)},
                          capture_output=True, text=True, check=False)


def without_apt():
    """What is there is found, whatever brought it; what is not is named as other systems call it."""
    programs('other', {'gcc': 'exit 0', 'ninja': '', 'pkg-config': '[ "$2" = libbsd ]'})
    done = deps('other', 'gcc', 'libc6-dev', 'ninja-build', 'pkg-config', 'libbsd-dev')
    check('all is there', done.returncode == 0 and 'was found' in done.stdout and not done.stderr, done)
    done = deps('other', 'gcc', 'meson', 'libcmocka-dev', 'libbsd-dev')
    check('some are missing', done.returncode == 69, done)
    words = done.stderr.split()
    check('those are named', {'meson', 'libcmocka-devel', 'cmocka', 'cmocka-dev'} <= set(words), done)
    check('no others are', not {'gcc', 'libbsd-devel'} & set(words), done)


def with_apt():
    """What is missing is installed, by root or by sudo, and nothing if nothing is."""
    tell = 'echo "$0 $*" | { read -r said; echo "${said##*/}" >>asked; }'
    status = 'case $* in *" gcc") printf installed ;; *) exit 1 ;; esac'
    common = {'apt-get': tell, 'dpkg-query': status}
    programs('root', {**common, 'id': 'echo 0'})
    programs('user', {**common, 'id': 'echo 1000', 'sudo': tell})
    programs('nobody', {**common, 'id': 'echo 1000'})
    for where, begins in {'root': 'apt-get ', 'user': 'sudo apt-get '}.items():
        done = deps(where, 'gcc')
        check('nothing is missing', done.returncode == 0 and not os.path.exists('asked'), done)
        done = deps(where, 'gcc', 'meson')
        with open('asked', encoding='utf-8') as f:
            asked = f.read().splitlines()
        os.remove('asked')
        check('one is missing', done.returncode == 0 and 'installing: meson' in done.stdout, done)
        check(f'it is asked for: {asked}', len(asked) == 2 and asked[0].startswith(begins + 'update') and
              asked[1].startswith(begins + 'install') and asked[1].endswith(' meson'), done)
    done = deps('nobody', 'gcc', 'meson')
    check('not permitted', done.returncode == 69 and 'apt-get install meson' in done.stderr and
          not os.path.exists('asked'), done)


def main():
    sys.argv[1] = os.path.abspath(sys.argv[1])
    with tempfile.TemporaryDirectory() as scratch:
        os.chdir(scratch)
        without_apt()
        with_apt()
        os.chdir('/')
    sys.exit(not good)


main()
