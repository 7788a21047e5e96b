#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Where acpd's processor time goes: time of one core for each operation, and perf's list of functions."""

import argparse
import os
import re
import subprocess
from pathlib import Path

from bench_queue import Load, acpd_peer, load_names, run_client
from servers import Server, above_zero, options_of, run

SHARE_MIN = 0.7  # %


def cpu_seconds(pid: int) -> tuple[float, float]:
    """In user mode and in the kernel."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    ticks = os.sysconf("SC_CLK_TCK")
    return int(fields[11]) / ticks, int(fields[12]) / ticks


def functions(record: Path) -> str:
    said = subprocess.run(["perf", "report", "--stdio", "-i", str(record), "--sort", "symbol", "--percent-limit",
                           str(SHARE_MIN), "-g", "none"], check=True, capture_output=True, text=True).stdout
    return "\n".join(f"    {share:>6} % {name}" for share, name in
                     re.findall(r"^ +([\d.]+)% +(\[.\] \S+)", said, re.M))


def measure(options: argparse.Namespace, load: Load) -> None:
    client, record = options.build / "tests" / "bench" / "queue-client", options.base / "perf.data"
    with Server(acpd_peer(options.build), options.base) as server:
        pid = server.process.pid
        before = cpu_seconds(pid)
        with subprocess.Popen(["perf", "record", "-q", "-e", "cpu-clock", "-o", str(record), "-p", str(pid)]) as perf:
            try:
                result = run_client(client, "acpd", "--socket", server.socket, *load.arguments,
                                    "--seconds", options.seconds)
            finally:
                perf.terminate()
        user, kernel = (now - then for now, then in zip(cpu_seconds(pid), before))
    each = 1e6 / result.acknowledged
    print(f"{load.name}: {result.rate:.0f}/s; {(user + kernel) * each:.1f} us of one core each, "
          f"{kernel * each:.1f} of them in the kernel\n{functions(record)}\n")


def bench(options: argparse.Namespace) -> None:
    for load in options.loads:
        measure(options, load)


def main() -> None:
    parser = options_of(__doc__)
    parser.add_argument("--loads", type=load_names, default="put-c64,life-c64", help="as of bench_queue.py")
    parser.add_argument("--seconds", type=above_zero(float), default=5.0, help="per load")
    run(bench, parser)


if __name__ == "__main__":
    main()
