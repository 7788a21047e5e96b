#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Where acpd's processor time goes: time of one core for each operation, and perf's list of functions."""

import argparse
import os
import re
import subprocess
import sys
from pathlib import Path

from bench_queue import acpd_peer, load_names, run_client
from servers import BenchError, Server, above_zero, on_disk

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


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", type=Path, required=True, help="meson's build folder")
    parser.add_argument("--loads", type=load_names, default="put-c64,life-c64", help="as of bench_queue.py")
    parser.add_argument("--seconds", type=above_zero(float), default=5.0, help="per load")
    parser.add_argument("--dir", type=Path, help="folder for the data; default: the build folder")
    options = parser.parse_args()
    build = options.build.resolve()
    peer = acpd_peer(build)
    try:
        with on_disk(options.dir or options.build) as base:
            for load in options.loads:
                with Server(peer, base) as server:
                    record = base / "perf.data"
                    pid = server.process.pid
                    before = cpu_seconds(pid)
                    command = ["perf", "record", "-q", "-e", "cpu-clock", "-o", str(record), "-p", str(pid)]
                    with subprocess.Popen(command) as perf:
                        try:
                            result = run_client(build / "tests" / "bench" / "queue-client", "acpd", "--socket",
                                                server.socket, *load.arguments, "--seconds", options.seconds)
                        finally:
                            perf.terminate()
                    user, kernel = (now - then for now, then in zip(cpu_seconds(pid), before))
                    each = 1e6 / result.acknowledged
                    print(f"{load.name}: {result.rate:.0f}/s; {(user + kernel) * each:.1f} us of one core each, "
                          f"{kernel * each:.1f} of them in the kernel\n{functions(record)}\n")
    except (BenchError, OSError, subprocess.CalledProcessError) as error:
        print(f"bench_profile.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
