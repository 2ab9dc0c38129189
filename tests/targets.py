#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
#
# What has to be built for these suites: `targets.py BUILD-DIR SUITE...` prints the names that ninja knows it by.
import json
import os
import sys


def main():
    build = sys.argv[1]
    suites = {'sq:' + suite for suite in sys.argv[2:]}
    info = os.path.join(build, 'meson-info')
    with open(os.path.join(info, 'intro-tests.json'), encoding='utf-8') as f:
        tests = [test for test in json.load(f) if suites & set(test['suite'])]
    with open(os.path.join(info, 'intro-targets.json'), encoding='utf-8') as f:
        targets = json.load(f)
    words = {word for test in tests for word in test['cmd']}
    ids = {target for test in tests for target in test['depends']}
    for target in targets:
        if target['id'] in ids or words & set(target['filename']):
            for name in target['filename']:
                print(os.path.relpath(name, build))


main()
