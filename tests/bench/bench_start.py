#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""acpd with a million waiting tasks: its memory, how soon it answers after a start, and its speed; and its speed
with a thousand profiles and a hundred thousand leases."""

import argparse
import json
import time
from pathlib import Path

from bench_queue import ACPD_PROFILE, Load, Result, acpd_peer, run_client
from servers import Server, above_zero, ask, options_of, run, verdict

GOALS_MB = (40, 20)  # of memory after the tasks went in: must, should
GOALS_LARGE = (0.8, 0.95)  # speed of a large daemon / of an empty one
PROFILES = 1000
CALLS = 1000  # of a pipeline
FILL = Load("put-d1000")
LOADS = [Load("life-c64"), Load("put-c64")]  # lives first: they leave the queue as long as it was


def resident_mb(server: Server) -> float:
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


def measure(client: Path, server: Server, load: Load, seconds: float) -> Result:
    return run_client(client, "acpd", "--socket", server.socket, *load.arguments, "--seconds", seconds)


def lease(server: Server, profile: str, count: int) -> None:
    """Leaves the profile with tasks that a worker holds for a day."""
    put = {"name": profile, "task": {"title": "t"}}
    claim = {"profiles": [profile], "worker": "w", "lease": 86400}
    for method, params in ("assign_task_to_profile", put), ("claim_task", claim):
        call = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        last = json.dumps({**call, "id": "last"})
        ask(server.socket, (json.dumps(call) + "\n") * (count - 1) + last + "\n", r'"id": ?"last","result"')


def bench_large(options: argparse.Namespace, client: Path) -> None:
    others = [{**ACPD_PROFILE, "name": f"other{i}"} for i in range(PROFILES - 1)]
    rates = []
    for peer in acpd_peer(options.build), acpd_peer(options.build, *others):
        with Server(peer, options.base) as server:
            if rates:
                for other in others:
                    lease(server, str(other["name"]), options.leases // len(others))
            rates.append({load: measure(client, server, load, options.seconds).rate for load in LOADS})
    print(f"\n| with {PROFILES:,} profiles and {options.leases:,} leases | | floor; goal |\n|---|---:|---|")
    for load in LOADS:
        ratio = rates[1][load] / rates[0][load]
        print(f"| {load.name}, compared with an empty daemon | {ratio:.2f} | {verdict(ratio, *GOALS_LARGE)} |")


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
    bench_large(options, client)


def main() -> None:
    parser = options_of(__doc__)
    parser.add_argument("--tasks", type=above_zero(int), default=1_000_000)
    parser.add_argument("--leases", type=above_zero(int), default=100_000)
    parser.add_argument("--seconds", type=above_zero(float), default=3.0, help="per measurement of speed")
    run(bench, parser)


if __name__ == "__main__":
    main()
