#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""acpd with a million waiting tasks: its memory, how soon it answers after a start, and its speed."""

import argparse
import time
from pathlib import Path

from bench_queue import Load, Result, acpd_peer, run_client
from servers import Server, above_zero, options_of, run, verdict

GOALS_MB = (40, 20)  # of memory after the tasks went in: must, should
FILL = Load("put-d1000")
LOADS = [Load("life-c64"), Load("put-c64")]  # lives first: they leave the queue as long as it was


def resident_mb(server: Server) -> float:
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


def measure(client: Path, server: Server, load: Load, seconds: float) -> Result:
    return run_client(client, "acpd", "--socket", server.socket, *load.arguments, "--seconds", seconds)


def bench(options: argparse.Namespace) -> None:
    client = options.build / "tests" / "bench" / "queue-client"
    peer = acpd_peer(options.build)
    with Server(peer, options.base) as server:
        empty = {load: measure(client, server, load, options.seconds) for load in LOADS}
        while int(peer.count(server.socket)[1]) < options.tasks:
            measure(client, server, FILL, 1)
        filled = resident_mb(server)
        full = {load: measure(client, server, load, options.seconds) for load in LOADS}
        server.process.terminate()
        server.process.wait()
        began = time.monotonic()
        server.launch()
        start = time.monotonic() - began
        started = resident_mb(server)
        held = int(peer.count(server.socket)[1])
    must, should = GOALS_MB
    met = verdict(-filled, -must, -should).partition(": ")[2]  # less is better
    print(f"| with {held:,} waiting tasks | | floor; goal |\n|---|---:|---|")
    print(f"| memory after they went in | {filled:.0f} MB | {must}; {should}: {met} |")
    print(f"| memory after a start | {started:.0f} MB | |")
    print(f"| from a start to the first reply | {start * 1000:.0f} ms | |")
    for load in LOADS:
        print(f"| {load.name}, compared with an empty queue | {full[load].rate / empty[load].rate:.2f} | |")


def main() -> None:
    parser = options_of(__doc__)
    parser.add_argument("--tasks", type=above_zero(int), default=1_000_000)
    parser.add_argument("--seconds", type=above_zero(float), default=3.0, help="per measurement of speed")
    run(bench, parser)


if __name__ == "__main__":
    main()
