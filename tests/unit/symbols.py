#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
#
# The names that the library has: what sq.h declares, what libsq.map lists and what libsq.so exports are the same. And
# libsq.a has all of them, and none besides that does not begin with sq_ or sqi_: it is linked into programs of others.
#
#   symbols.py SQ_H LIBSQ_MAP LIBSQ_SO LIBSQ_A
import re
import subprocess
import sys


def read(path):
    with open(path, encoding='utf-8') as f:
        return f.read()


def declared(header):
    """Functions declared in sq.h: names before a parenthesis, in what is neither a comment nor a macro."""
    text = re.sub(r'/\*.*?\*/', '', read(header), flags=re.S)
    text = re.sub(r'^#(?:.*\\\n)*.*$', '', text, flags=re.M)
    return set(re.findall(r'\b(sq_\w+)\s*\(', text))


def listed(version_map):
    return set(re.findall(r'^\s*(\w+);$', read(version_map), flags=re.M))


def symbols(library, table):
    """Defined global symbols: of the dynamic table, as NAME@@VERSION, or of each object of an archive."""
    out = subprocess.run(['readelf', '-W', table, library], check=True, capture_output=True, text=True).stdout
    for line in out.splitlines():
        words = line.split()
        if len(words) == 8 and words[4] in ('GLOBAL', 'WEAK') and words[6] not in ('UND', 'ABS'):
            yield words[7]


def same(what, found, wanted):
    for name in sorted(found - wanted):
        print(f'FAILED: {what}: {name} is too much')
    for name in sorted(wanted - found):
        print(f'FAILED: {what}: {name} is missing')
    return found == wanted


def main():
    header, version_map, shared, static = sys.argv[1:]
    wanted = declared(header)
    exported = list(symbols(shared, '--dyn-syms'))
    good = len(wanted) > 0
    good &= same('libsq.map', listed(version_map), wanted)
    good &= same('libsq.so', {name.split('@')[0] for name in exported}, wanted)
    for name in exported:
        if '@@SQ_' not in name:
            print(f'FAILED: libsq.so: {name} has no version')
            good = False
    inside = set(symbols(static, '--syms'))
    good &= same('libsq.a', {name for name in inside if name.startswith('sq_')}, wanted)
    for name in sorted(inside):
        if not name.startswith(('sq_', 'sqi_')):
            print(f'FAILED: libsq.a: {name} may be a name of whoever links it')
            good = False
    print(f'symbols: {len(wanted)} functions')
    sys.exit(not good)


main()
