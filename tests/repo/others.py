#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
#
# The repository as others use it, each in a directory of its own:
#
#   alone         on a machine with nothing but libc the setup succeeds and says what it leaves out; what is built and
#                 installed is the library, and a program is built with it by libsq.pc, shared and static
#   subproject    a project that has this one as a subproject has dependency('libsq'), and nothing else of it
#
#   others.py alone|subproject SOURCE-DIR CC...
import os
import subprocess
import sys
import tempfile


def fail(what):
    print('FAILED: ' + what)
    sys.exit(1)


def run(*command, **env):
    """The command's output; that it fails, fails the test."""
    done = subprocess.run(command, env=dict(os.environ, **env), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, check=False)
    if done.returncode != 0:
        print(done.stdout)
        fail(f'{" ".join(command)}: exit code {done.returncode}')
    return done.stdout


def needed(program):
    """The shared libraries that it asks for."""
    lines = run('readelf', '-d', '-W', program, LC_ALL='C').splitlines()
    return [line.split('[')[1].rstrip(']') for line in lines if '(NEEDED)' in line]


def of_libc(library):
    return library.startswith(('libc.', 'libpthread.', 'librt.', 'ld-'))


def check_linked(program, shared):
    """Linked with libsq.so.0, or with nothing of it; else with libc alone."""
    libraries = needed(program)
    if ('libsq.so.0' in libraries) != shared:
        fail(f'{program}, which is to be {"shared" if shared else "static"}, needs {libraries}')
    others = [library for library in libraries if library != 'libsq.so.0' and not of_libc(library)]
    if others:
        fail(f'{program} needs {others}')


def installed(top):
    return sorted(os.path.relpath(os.path.join(where, name), top)
                  for where, _, names in os.walk(top) for name in names)


def alone(source, cc):
    # No package is found here, in either way that meson has to look for them.
    with open('bare.ini', 'w', encoding='utf-8') as f:
        f.write("[binaries]\ncmake = '/nonexistent/cmake'\n")
    os.mkdir('empty')
    prefix = os.path.abspath('prefix')
    said = run('meson', 'setup', 'build', source, '--native-file', 'bare.ini', '--prefix', prefix,
               '-Dbuildtype=debug', PKG_CONFIG_LIBDIR=os.path.abspath('empty'), PKG_CONFIG_PATH='')
    for part, why in {'cli': 'libbsd', 'bridge': 'libbsd', 'bench': 'libbsd', 'tests': 'cmocka'}.items():
        if not any(line.split(':')[0].strip() == part and f'not found: {why}' in line for line in said.splitlines()):
            print(said)
            fail(f'the setup does not say that {part} is left out for want of {why}')
    run('meson', 'install', '-C', 'build')

    with open(os.path.join(prefix, 'lib/pkgconfig/libsq.pc'), encoding='utf-8') as f:
        version = [line.split()[1] for line in f if line.startswith('Version:')][0]
    files = installed(prefix)
    expected = sorted([
        'include/sq.h',
        'lib/libsq.a',
        'lib/libsq.so',
        'lib/libsq.so.0',
        'lib/libsq.so.' + version,
        'lib/pkgconfig/libsq.pc',
    ])
    if files != expected:
        fail(f'installed were {files}')
    check_linked(os.path.join(prefix, 'lib/libsq.so.0'), shared=False)

    program = os.path.join(source, 'tests/repo/consumer.c')
    libraries = os.path.join(prefix, 'lib')
    path = {'PKG_CONFIG_PATH': os.path.join(libraries, 'pkgconfig')}
    flags = run('pkg-config', '--cflags', '--libs', 'libsq', **path).split()
    run(*cc, '-Wall', '-Werror', '-o', 'shared', program, *flags)
    check_linked('./shared', shared=True)
    said = run('./shared', LD_LIBRARY_PATH=libraries)

    flags = run('pkg-config', '--cflags', '--libs', '--static', 'libsq', **path).split()
    flags = ['-l:libsq.a' if flag == '-lsq' else flag for flag in flags]
    run(*cc, '-Wall', '-Werror', '-o', 'static', program, *flags)
    check_linked('./static', shared=False)
    said += run('./static')
    if said != f'libsq {version}\n' * 2:
        fail(f'the programs said {said}')


def subproject(source, cc):
    os.makedirs('project/subprojects')
    os.symlink(source, 'project/subprojects/sq')
    for mine, theirs in {'consumer.c': 'consumer.c', 'consumer.meson': 'meson.build'}.items():
        os.symlink(os.path.join(source, 'tests/repo', mine), os.path.join('project', theirs))
    run('meson', 'setup', 'build', 'project', CC=' '.join(cc))
    said = run('meson', 'test', '-C', 'build', '--num-processes', '2')
    if 'Ok:                 3' not in said:
        print(said)
        fail('these are not the three tests of the project itself')
    check_linked('build/by_default', shared=True)
    check_linked('build/shared', shared=True)
    check_linked('build/static', shared=False)
    parts = sorted(os.listdir('build/subprojects/sq'))
    if parts != ['engine']:
        fail(f'built of the subproject were {parts}')


def main():
    mode, source, *cc = sys.argv[1:]
    for name in ('DESTDIR', 'CFLAGS', 'LDFLAGS', 'LD_LIBRARY_PATH', 'PKG_CONFIG_LIBDIR'):
        os.environ.pop(name, None)
    source = os.path.abspath(source)
    with tempfile.TemporaryDirectory() as scratch:
        os.chdir(scratch)
        {'alone': alone, 'subproject': subproject}[mode](source, cc)
        os.chdir('/')


main()
