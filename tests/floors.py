#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Is a directory of C files built in floors? X.c and X.h are one module.

    floors.py DIRECTORY [--top PATTERN]... [--contract HEADER] [FLOOR...]

No modules include each other in a circle. A .c file includes its own header, before anything else; those that have none, and that
nobody may include from, are named by patterns (--top 'cmd_*'). FLOOR: the subdirectories from the lowest up, . for the directory
itself; a file includes what is on its own floor or below. HEADER is what the directory is for: every file may include it, and a .c file
without a header of its own may implement it and includes it first. Headers from elsewhere do not matter. Exit code 1 if something is wrong.
"""
import argparse
import fnmatch
import pathlib
import re
import sys

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', re.M)


parser = argparse.ArgumentParser()
parser.add_argument("directory", type=pathlib.Path)
parser.add_argument("--top", action="append", default=[])
parser.add_argument("--contract", type=pathlib.Path)
parser.add_argument("floors", nargs="*")
arguments = parser.parse_intermixed_args()
root, tops, floors, contract = arguments.directory, arguments.top, arguments.floors, arguments.contract
files = sorted(p.relative_to(root) for p in root.rglob("*.[ch]"))
headers = {p for p in files if p.suffix == ".h"}
wrong = []


def module(path):
    return path.with_suffix("")


def is_top(path):
    return any(fnmatch.fnmatch(path.stem, top) for top in tops)


def found(path, name):
    """The header of the directory that is meant, or None: it is not one of them."""
    for candidate in (path.parent / name, pathlib.Path(name)):
        if candidate in headers:
            return candidate
    same = [h for h in headers if h.name == name]
    return same[0] if len(same) == 1 else None


def floor(path):
    """The number of its floor; above all others if its directory is none."""
    name = str(path.parent)
    return floors.index(name) if name in floors else len(floors)


def circle(graph):
    """One of the circles, as a list of modules, or None."""
    done, way = set(), []

    def visit(m):
        if m in way:
            return way[way.index(m):] + [m]
        if m in done:
            return None
        way.append(m)
        for n in sorted(graph[m]):
            met = visit(n)
            if met:
                return met
        way.pop()
        done.add(m)
        return None

    return next(filter(None, map(visit, sorted(graph))), None)


graph = {module(p): set() for p in files}
for path in files:
    includes = INCLUDE.findall((root / path).read_text())
    own = path.with_suffix(".h")
    if floors and floor(path) == len(floors):
        wrong.append(f"{path}: its directory is none of the floors")
    implements = includes and contract and found(path, includes[0][1]) == contract
    if path.suffix == ".c" and own not in headers and not is_top(path) and not implements:
        wrong.append(f"{path}: it has no header of its own")
    if path.suffix == ".c" and own in headers and (not includes or found(path, includes[0][1]) != own):
        wrong.append(f"{path}: its own header does not come first")
    for name in [name for kind, name in includes if kind == '"']:
        header = found(path, name)
        if header is None or header == contract or module(header) == module(path):
            continue
        graph[module(path)].add(module(header))
        if is_top(header):
            wrong.append(f"{path}: it includes {name}, which is on top")
        if floors and floor(path) < floor(header):
            wrong.append(f"{path}: it includes {name}, which is on a higher floor")
met = circle(graph)
if met:
    wrong.append("a circle: " + " -> ".join(map(str, met)))
if not files:
    wrong.append(f"no C file in {root}")
print("\n".join(sorted(set(wrong)) or [f"{len(graph)} modules, {sum(map(len, graph.values()))} includes: no circle, no climb"]))
sys.exit(1 if wrong else 0)
