#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
#
# Plain `meson test` runs the suites of `tests/all.sh quick`, and nothing else: a suite that is new has to be in the one
# list or in the other.
#
#   quick.py ALL_SH BUILD-DIR SUITE...     the suites that plain `meson test` leaves out
import json
import os
import re
import sys


def main():
    all_sh, build, *left_out = sys.argv[1:]
    with open(all_sh, encoding='utf-8') as f:
        quick = set(re.search(r'^engine="(.*)"$', f.read(), re.M).group(1).split())
    with open(os.path.join(build, 'meson-info/intro-tests.json'), encoding='utf-8') as f:
        tests = [(test['name'], {suite.split(':')[-1] for suite in test['suite']}) for test in json.load(f)]
    good = True
    n = 0
    for name, suites in tests:
        plain = not suites & set(left_out)
        n += plain
        if plain != bool(suites & quick):
            print(f'FAILED: {name}: plain meson test {"runs" if plain else "leaves out"} it, tests/all.sh quick not')
            good = False
    print(f'quick setup: {n} of {len(tests)} tests')
    sys.exit(not good or n == 0)


main()
