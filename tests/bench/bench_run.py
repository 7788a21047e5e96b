#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Short programs run per second, two at a time: acpd against xargs and task-spooler."""

import argparse
import os
import re
import statistics
import subprocess
import time
from pathlib import Path
from typing import Callable

from servers import BenchError, Server, above_zero, acpd, ask, options_of, run, spread, thousands, verdict

SLOTS = 2
PROGRAM = "true"
GOALS = {"xargs -P": (0.85, 0.95), "task-spooler": (2, 3)}  # the ratio that acpd must have, and should have
PROFILE = {
    "name": "bench",
    "queueLimit": 100_000_000,
    "maxConcurrentTasks": SLOTS,
    "runner": {"type": "command", "command": [PROGRAM]},
}
BATCH = 1000
RUN_SECONDS = 600


def call(number: int, method: str, params: str) -> str:
    return f'{{"jsonrpc":"2.0","id":{number},"method":"{method}","params":{params}}}\n'


def wait_until(is_over: Callable[[], bool]) -> None:
    deadline = time.monotonic() + RUN_SECONDS
    while not is_over():
        if time.monotonic() > deadline:
            raise BenchError(f"not all programs have run within {RUN_SECONDS} s")
        time.sleep(0.01)


def run_acpd(build: Path, folder: Path, count: int) -> float:
    """From the first that is submitted to the end of the last."""
    peer = acpd(build, {"profiles": [PROFILE]}, "get_profile_state", {"name": "bench"}, r'"completedTasks": ?(\d+)')
    with Server(peer, folder) as server:
        began = time.monotonic()
        for first in range(0, count, BATCH):
            last = min(first + BATCH, count) - 1
            calls = (call(i, "assign_task_to_profile", '{"name":"bench","task":{"title":"t"}}')
                     for i in range(first, last + 1))
            ask(server.socket, "".join(calls), rf'"id": ?{last},"result"')
        wait_until(lambda: int(peer.count(server.socket)[1]) == count)
        return count / (time.monotonic() - began)


def run_xargs(_build: Path, _folder: Path, count: int) -> float:
    began = time.monotonic()
    lines = "".join(f"{i}\n" for i in range(count))
    subprocess.run(["xargs", "-n1", f"-P{SLOTS}", PROGRAM], input=lines, text=True, check=True)
    return count / (time.monotonic() - began)


def run_spooler(_build: Path, folder: Path, count: int) -> float:
    """As for acpd, but each is submitted by a client of its own: there is no other way."""
    environment = {**os.environ, "TS_SOCKET": str(folder / "tsp"), "TMPDIR": str(folder), "TS_MAXFINISHED": "1000000"}

    def tsp(*arguments: str) -> str:
        return subprocess.run(["tsp", *arguments], env=environment, check=True, capture_output=True, text=True).stdout

    tsp("-S", str(SLOTS))
    try:
        began = time.monotonic()
        for _ in range(count):
            tsp("-n", PROGRAM)
        wait_until(lambda: not re.search(r"^\d+ +(running|queued)", tsp(), re.M))
        return count / (time.monotonic() - began)
    finally:
        tsp("-K")


RUNS: dict[str, Callable[[Path, Path, int], float]] = {
    "acpd": run_acpd,
    "xargs -P": run_xargs,
    "task-spooler": run_spooler,
}


def bench(options: argparse.Namespace) -> None:
    rates: dict[str, list[float]] = {name: [] for name in RUNS}
    for _ in range(options.rounds):
        for name, run_programs in RUNS.items():
            rates[name].append(run_programs(options.build, options.base, options.count))
    print("| program | children/s | acpd / program | floor; goal |\n|---|---:|---:|---|")
    for name, own in rates.items():
        cells = [name, spread(own, thousands), "", ""]
        if name in GOALS:
            ratios = [a / b for a, b in zip(rates["acpd"], own, strict=True)]
            cells[2:] = [spread(ratios, lambda value: f"{value:.2f}"), verdict(statistics.median(ratios), *GOALS[name])]
        print(f"| {' | '.join(cells)} |")
    print(f"\nMedians (min..max) of {options.rounds} rounds of {options.count} times `{PROGRAM}`, {SLOTS} at a time.")


def main() -> None:
    parser = options_of(__doc__)
    parser.add_argument("--rounds", type=above_zero(int), default=5)
    parser.add_argument("--count", type=above_zero(int), default=500, help="programs in a round")
    run(bench, parser)


if __name__ == "__main__":
    main()
