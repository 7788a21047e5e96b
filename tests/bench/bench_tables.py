#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs the benchmarks whose tables are in docs/performance.md, and writes them there.

Each table stands between the comments <!-- NAME --> and <!-- end -->.
"""

import argparse
import re
import subprocess
import sys
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "performance.md"
QUEUES = ["queue", "--seconds", "2", "--peers", "all", "--loads"]
TABLES = {
    "queue": [*QUEUES, "put-c1,put-c16,put-c64,put-d100,life-c1,life-c16,life-c64"],
    "large": [*QUEUES, "put-c64,life-c64", "--payload", "16384"],
    "run": ["run"],
    "http": ["http"],
    "start": ["start"],
}
ROUNDS = {"queue", "run", "http"}  # of these


def put(page: str, name: str, text: str) -> str:
    pattern = rf"(<!-- {name} -->\n).*?(\n<!-- end -->)"
    page, count = re.subn(pattern, lambda match: f"{match[1]}\n{text.strip()}\n{match[2]}", page, count=1, flags=re.S)
    if not count:
        sys.exit(f"{PAGE.name} has no place for {name}")
    return page


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", required=True, help="meson's build folder")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=TABLES, nargs="+", default=list(TABLES), help="these tables")
    options = parser.parse_args()
    for name in options.only:
        which, *arguments = TABLES[name]
        if which in ROUNDS:
            arguments += ["--rounds", str(options.rounds)]
        command = [sys.executable, str(Path(__file__).with_name(f"bench_{which}.py")), "--build", options.build]
        done = subprocess.run([*command, *arguments], stdout=subprocess.PIPE, text=True)
        if done.returncode:
            sys.exit(f"the table {name} stays as it is")
        PAGE.write_text(put(PAGE.read_text(), name, done.stdout))


if __name__ == "__main__":
    main()
