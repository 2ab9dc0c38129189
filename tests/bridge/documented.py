#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""docs/BRIDGE.md says what the sources say.

    documented.py SOURCE_ROOT SQBRIDGE

Each event, each metric, each exit code and each option that a reload changes stands in it, and it names no others; the
messages in its table of troubles are the sources' own; its file of options is one that sqbridge takes.
"""
import os
import re
import subprocess
import sys
import tempfile

# Part of a message that the sources make at run time, or the C library does.
MADE = re.compile(r'\.\.\.|FILE|farm1\.key|hub\.keys|farm1|0644|\bN\b|\bM\b|[0-9]+|`|reason=|detail=|error=|exit')
OF_THE_SYSTEM = {'Connection refused', 'Connection timed out', 'No route to host', 'Address already in use',
                 'Cannot assign requested address', 'No space left on device', 'No such file or directory'}
PIECE_MIN = 8


def fail(text):
    sys.exit('documented.py: ' + text)


def sources(root):
    folder = os.path.join(root, 'bridge')
    return {name: open(os.path.join(folder, name), encoding='utf-8').read()
            for name in sorted(os.listdir(folder)) if name.endswith(('.c', '.h'))}


def section(doc, title):
    found = re.search(r'^## ' + re.escape(title) + r'\n(.*?)(?=^## |\Z)', doc, re.M | re.S)
    if not found:
        fail(f'no section "{title}"')
    return found.group(1)


def first_column(text):
    return [row.split('|')[1] for row in re.sub(r'\\\|', '/', text).splitlines()
            if row.startswith('|') and not row.startswith('| |') and not row.startswith('|---')]


def names(text, pattern):
    return set(re.findall(pattern, '\n'.join(first_column(text))))


def same(what, documented, there):
    if documented - there:
        fail(f'{what}: documented, and not there: {sorted(documented - there)}')
    if there - documented:
        fail(f'{what}: there, and not documented: {sorted(there - documented)}')


def check_events(doc, code):
    there = set()
    for text in code.values():
        there |= set(re.findall(r'\blog_event\(\s*[^,"]*,\s*"(\w+)"', text))
        there |= set(re.findall(r'\blink_event(?:_error)?\(\s*[^,"]*,\s*"(\w+)"', text))
        there |= set(re.findall(r'\bput\(r->level,\s*"(\w+)"', text))
    same('events', names(section(doc, 'Log'), r'`(\w+)`'), there)


def check_metrics(doc, code):
    text = code['metrics.c']
    there = set(re.findall(r'^\t\[METRIC_\w+\] = \{\s*"(\w+)"', text, re.M))
    there |= set(re.findall(r'^#define [A-Z]+ "(\w+)"', text, re.M)) | {'info'}
    same('metrics', names(section(doc, 'Metrics'), r'sqbridge_(\w+)'), there)
    reasons = set(re.findall(r'reason=\\"(\w+)\\"', text))
    missing = [r for r in reasons if f'`{r}`' not in section(doc, 'Metrics')]
    if missing:
        fail(f'reasons of refusal: {missing}')


def check_codes(doc, code):
    there = {int(n) for text in code.values() for n in re.findall(r'\bEXIT_[A-Z_]+(?: =|) +(\d+)\b', text)}
    same('exit codes', {int(n) for n in names(section(doc, 'Exit codes'), r'\d+')}, there | {0})


def check_reload(doc, code):
    live = set(re.findall(r'\{"([\w-]+)", [^{}]*?\bOPTION_LIVE\b', code['options.c']))
    line = re.search(r'^Changed by it: (.*?\.) ', section(doc, 'Reload'), re.M)
    if not line or not live:
        fail('what a reload changes')
    same('what a reload changes', set(re.findall(r'`([\w-]+)`', line.group(1))), live)


def check_messages(doc, code):
    literal = re.compile(r'"((?:[^"\\]|\\.)*)"')
    texts = []
    for text in code.values():
        text = re.sub(r'/\*.*?\*/', '', text, flags=re.S).replace("'\"'", '0').replace('\\"', "'")
        text = re.sub(r'"\s*"', '', text)
        texts += literal.findall(text)
    known = '\n'.join(texts)
    pieces = 0
    for message in re.findall(r'`([^`]+)`', '\n'.join(first_column(section(doc, 'Troubleshooting')))):
        for piece in re.split(r'["]|: |; |, ' + '|' + MADE.pattern, message):
            piece = piece.strip(' :;,(')
            if len(piece) < PIECE_MIN or piece in OF_THE_SYSTEM or piece.startswith('sqbridge_'):
                continue
            pieces += 1
            if piece not in known:
                fail(f'no source says "{piece}" (of: {message})')
    if pieces < 30:
        fail(f'only {pieces} pieces of messages in the table')


def check_file(doc, sqbridge):
    text = section(doc, 'Flags, file, environment')
    block = '\n'.join(line[4:] for line in text.splitlines() if line.startswith('    '))
    block = block[block.index('# /etc/sqbridge'):block.index('$ sqbridge hub --config')]
    with tempfile.TemporaryDirectory() as scratch:
        subprocess.run([sqbridge, 'keygen', '--peer', 'farm1', '--keys', 'hub.keys'], cwd=scratch, check=True)
        with open(scratch + '/hub.conf', 'w', encoding='ascii') as f:
            f.write(block.replace('/etc/sqbridge', scratch))
        for role in 'hub', 'leaf':
            done = subprocess.run([sqbridge, role, '--config', 'hub.conf', '--check-config'], cwd=scratch,
                                  capture_output=True, text=True, check=False)
            if done.returncode != 0:
                fail(f'its file of options: {role}: {done.stderr}')


def main():
    root, sqbridge = map(os.path.abspath, sys.argv[1:])
    doc = open(os.path.join(root, 'docs/BRIDGE.md'), encoding='utf-8').read()
    code = sources(root)
    check_events(doc, code)
    check_metrics(doc, code)
    check_codes(doc, code)
    check_reload(doc, code)
    check_messages(doc, code)
    check_file(doc, sqbridge)


main()
