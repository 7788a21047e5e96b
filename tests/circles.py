# SPDX-License-Identifier: MIT
"""Fails when files of C use one another in a circle: by the symbols of their object files, so that a header
that several share hides nothing.

    circles.py BUILD FOLDER...
"""

import collections
import re
import subprocess
import sys
from pathlib import Path


def read(build, folders):
    """{file: {file that it uses: a symbol of it}}"""
    defined, wanted = {}, {}
    for folder in folders:
        for path in sorted((build / folder).rglob("*.o")):
            name = re.sub(r"/[^/]*\.p/", "/", str(path.relative_to(build))).removesuffix(".o")
            wanted[name] = set()
            for line in subprocess.run(["nm", path], capture_output=True, text=True, check=True).stdout.splitlines():
                *_, kind, symbol = line.split()
                if kind == "U":
                    wanted[name].add(symbol)
                elif kind in "TDRBC":
                    defined[symbol] = name
    uses = collections.defaultdict(dict)
    for name, symbols in wanted.items():
        for symbol in sorted(symbols):
            if defined.get(symbol, name) != name:
                uses[name].setdefault(defined[symbol], symbol)
    return uses


def find_circle(uses):
    """The files of one circle in its order, or none."""
    done = set()

    def walk(name, path):
        if name in path:
            return path[path.index(name):]
        if name in done:
            return []
        done.add(name)
        for used in sorted(uses.get(name, ())):
            circle = walk(used, [*path, name])
            if circle:
                return circle
        return []

    for name in sorted(uses):
        circle = walk(name, [])
        if circle:
            return circle
    return []


def main():
    uses = read(Path(sys.argv[1]), sys.argv[2:])
    if not uses:
        sys.exit("circles: nothing was built")
    circle = find_circle(uses)
    for name, used in zip(circle, circle[1:] + circle[:1]):
        print(f"{name} uses {uses[name][used]}() of {used}", file=sys.stderr)
    sys.exit("these files form a circle" if circle else 0)


if __name__ == "__main__":
    main()
