#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Durable puts and lives (put, claim, complete) per second: acpd against other queues.

Every measurement starts a fresh server on an empty folder, always on the same disk. It flushes every write before
acknowledging it, unless its name says how often it does. The servers take turns within a round, so a slow minute of
the machine hits all of them; ratios are taken within a round.
"""

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from queue_servers import gearmand, postgres
from servers import (BenchError, Peer, Server, above_zero, acpd, ask, machine, options_of, run, spread,
                     thousands, verdict)

DISK_SECONDS = 1
CONNECTIONS_MAX = 1000
# (load, peer): the ratio that acpd must have, and the one that it should have
GOALS = {
    ("put-c64", "redis"): (0.85, 1.1),
    ("life-c64", "redis"): (0.8, 1.1),
    ("put-d100", "redis"): (0.45, 0.7),
    ("put-c64", "beanstalkd"): (8, 10),
    ("life-c64", "beanstalkd"): (6, 8),
    ("life-c64", "bullmq"): (2.5, 3),
    ("life-c64", "postgres"): (8, 12),
}
GOALS_P99 = {("put-c64", "redis"): (1.5, 1.0)}  # the same for the 99th percentile of latencies, of which less is better
ACPD_PROFILE = {
    "name": "bench",
    "queueLimit": 100_000_000,
    "maxConcurrentTasks": CONNECTIONS_MAX,
    "runner": {"type": "worker"},
}


def acpd_peer(build: Path, *others: dict[str, object]) -> Peer:
    config = {"profiles": [ACPD_PROFILE, *others]}
    return acpd(build, config, "get_profile_state", {"name": "bench"}, r'"queueSize": ?(\d+)\D')


def beanstalkd(name: str, *options: str) -> Peer:
    return Peer(
        name=name,
        program="beanstalkd",
        version=["beanstalkd", "-v"],
        command=lambda program, folder, path: [program, "-l", f"unix:{path}", "-b", str(folder), *options],
        prepare=lambda path: ask(path, "stats\r\n", r"OK \d+\r\n"),
        count=lambda path: ask(path, "stats\r\n", r"current-jobs-ready: (\d+)\n"),
        protocol="beanstalkd",
    )


def redis(name: str, fsync: str, is_stream: bool = False) -> Peer:
    ready = ("XGROUP CREATE bench g $ MKSTREAM\r\n", r"\+OK|BUSYGROUP") if is_stream else ("PING\r\n", r"\+PONG\r\n")
    length = "XLEN" if is_stream else "LLEN"
    return Peer(
        name=name,
        program="redis-server",
        version=["redis-server", "--version"],
        # No snapshots and no rewriting of the log: only the appends are measured.
        command=lambda program, folder, path: [
            *(program, "--port", "0", "--unixsocket", str(path), "--dir", str(folder)),
            *("--appendonly", "yes", "--appendfsync", fsync),
            *("--save", "", "--auto-aof-rewrite-percentage", "0"),
        ],
        prepare=lambda path: ask(path, *ready),
        count=lambda path: ask(path, f"{length} bench\r\n", r":(\d+)\r\n"),
        protocol="redis-stream" if is_stream else "redis",
    )


def bullmq() -> Peer:
    folder = Path(__file__).parent / "bullmq"
    server = redis("bullmq", "always")
    server.client = ("node", str(folder / "client.mjs"))
    server.version = ["node", "-p", f"require('{folder}/package.json').dependencies.bullmq"]
    server.count = lambda path: ask(path, "LLEN bull:bench:wait\r\n", r":(\d+)\r\n")
    return server


def all_peers(build: Path) -> list[Peer]:
    return [
        acpd_peer(build),
        beanstalkd("beanstalkd", "-f0"),
        beanstalkd("beanstalkd-f50"),  # its default
        redis("redis", "always"),
        redis("redis-everysec", "everysec"),
        redis("redis-stream", "always", is_stream=True),
        bullmq(),
        postgres(),
        gearmand(),
    ]


@dataclass(frozen=True)
class Load:
    """What the clients do: puts or lives, on some connections, or on one with a number under way."""

    name: str

    @property
    def lives(self) -> bool:
        return self.name.startswith("life")

    @property
    def count(self) -> int:
        return int(self.name.rpartition("-")[2][1:])

    @property
    def connections(self) -> int:
        return 1 if "-d" in self.name else self.count

    @property
    def arguments(self) -> list[object]:
        depth = ["--depth", self.count] if "-d" in self.name else []
        return ["--connections", self.connections, *depth, *(["--lives"] if self.lives else [])]


def check_held(server: Server, load: Load, acknowledged: int) -> None:
    """Acknowledged jobs must be there, or finished; those in flight at the end may be."""
    held = int(server.peer.count(server.socket)[1])
    least, most = (0, load.connections) if load.lives else (acknowledged, float("inf"))
    if not least <= held <= most:
        raise BenchError(server.failure(f"acknowledged {acknowledged} operations, and holds {held} jobs"))


@dataclass
class Result:
    """One measurement: times in microseconds; cpu is the client's share of one core."""

    rate: float
    p50: float
    p99: float
    cpu: float
    acknowledged: int


def run_client(client: Path | tuple[str, ...], peer: str, *arguments: object) -> Result:
    # Flush what the previous measurement left unwritten.
    os.sync()
    program = client if isinstance(client, tuple) else (str(client),)
    command = [*program, "--peer", peer, "--json", *map(str, arguments)]
    run = subprocess.run(command, capture_output=True, text=True)
    if run.returncode:
        raise BenchError(f"{peer}: {run.stderr.strip()}")
    said = json.loads(run.stdout)
    rate = said["ops"] / said["seconds"]
    return Result(rate, said["p50us"], said["p99us"], said["cpu"], said["acknowledged"])


def measure(options: argparse.Namespace, peer: Peer, load: Load, base: Path) -> Result:
    with Server(peer, base) as server:
        try:
            result = run_client(
                *(peer.client or options.client, peer.protocol or peer.name, *peer.address(server.socket)),
                *load.arguments,
                *("--seconds", options.seconds, "--payload", options.payload),
            )
        except BenchError as error:
            raise BenchError(server.failure(f"failed: {error}")) from error
        check_held(server, load, result.acknowledged)
    return result


Results = dict[tuple[str, str], list[Result]]


def run_rounds(options: argparse.Namespace, peers: list[Peer], base: Path) -> Results:
    results: Results = {}

    def note(round_number: int, load: str, name: str, result: Result) -> None:
        results.setdefault((load, name), []).append(result)
        print(
            f"round {round_number}: {name:<10} {load:<9} {result.rate:8.0f}/s"
            f"  p50 {result.p50:.0f} us  p99 {result.p99:.0f} us  client {result.cpu:.0%} cpu",
            file=sys.stderr,
        )

    for number in range(1, options.rounds + 1):
        disk = run_client(options.client, "disk", "--dir", base, "--seconds", DISK_SECONDS)
        note(number, "append", "disk", disk)
        for load in options.loads:
            for peer in peers:
                note(number, load.name, peer.name, measure(options, peer, load, base))
    return results


def median_ms(values: list[float]) -> str:
    return f"{statistics.median(values) / 1000:.2f}"


def row(load: str, label: str, results: list[Result], ratio: str = "", goal: str = "") -> str:
    cells = [
        load,
        label,
        spread([r.rate for r in results], thousands),
        median_ms([r.p50 for r in results]),
        median_ms([r.p99 for r in results]),
        ratio,
        goal,
    ]
    return f"| {' | '.join(cells)} |"


def table(options: argparse.Namespace, peers: list[Peer], results: Results) -> str:
    lines = [
        "| load | server | operations/s | p50 ms | p99 ms | acpd / server | floor; goal |",
        "|---|---|---:|---:|---:|---:|---|",
        row("append", "raw fdatasync", results["append", "disk"]),
    ]
    for load in options.loads:
        own = results.get((load.name, "acpd"))
        for peer in peers:
            theirs = results[load.name, peer.name]
            if not own or peer.name == "acpd":
                lines.append(row(load.name, peer.name, theirs))
                continue
            ratios = [a.rate / b.rate for a, b in zip(own, theirs, strict=True)]
            p99 = statistics.median(a.p99 / b.p99 for a, b in zip(own, theirs, strict=True))
            goal = GOALS.get((load.name, peer.name))
            goal_p99 = GOALS_P99.get((load.name, peer.name))
            lines.append(
                row(
                    load.name,
                    peer.name,
                    theirs,
                    spread(ratios, lambda value: f"{value:.2f}"),
                    verdict(statistics.median(ratios), *goal) if goal else "",
                )
            )
            if goal_p99:
                least, best = goal_p99
                met = verdict(-p99, -least, -best).partition(": ")[2]
                lines.append(f"| {load.name} | {peer.name} | | | p99 | {p99:.2f} | {least:g}; {best:g}: {met} |")
    return "\n".join(lines)


def installed(peers: list[Peer], wanted: list[str]) -> list[Peer]:
    found = []
    for peer in peers:
        if peer.name not in wanted:
            continue
        if shutil.which(peer.program):
            found.append(peer)
        else:
            print(f"{peer.name}: {peer.program} is not installed; skipping it", file=sys.stderr)
    return found


def load_names(text: str) -> list[Load]:
    for name in text.split(","):
        if not re.fullmatch(r"(put|life)-c[1-9]\d*|put-d[1-9]\d*", name):
            raise argparse.ArgumentTypeError(f"{name!r}: put-cN, life-cN or put-dN")
        if Load(name).connections > CONNECTIONS_MAX:
            raise argparse.ArgumentTypeError(f"{name!r}: at most {CONNECTIONS_MAX} connections")
    return [Load(name) for name in text.split(",")]


def bench(options: argparse.Namespace) -> None:
    options.client = options.build / "tests" / "bench" / "queue-client"
    if not options.client.exists():
        raise BenchError(f"{options.client} is missing: run meson setup -Dbench=true")
    peers = installed(all_peers(options.build), options.peers)
    if not peers:
        raise BenchError("nothing to measure")
    results = run_rounds(options, peers, options.base)
    print(table(options, peers, results), end="\n\n")
    print(
        f"Medians (min..max) of {options.rounds} rounds of {options.seconds:g} s,"
        f" {options.payload}-byte payload. {machine(peers, options.base)}."
    )


def main() -> None:
    names = [peer.name for peer in all_peers(Path())]

    def peer_names(text: str) -> list[str]:
        wanted = names if text == "all" else text.split(",")
        for name in wanted:
            if name not in names:
                raise argparse.ArgumentTypeError(f"unknown peer {name!r}; choose from {','.join(names)}")
        return wanted

    parser = options_of(__doc__)
    parser.add_argument("--rounds", type=above_zero(int), default=5)
    parser.add_argument("--seconds", type=above_zero(float), default=3.0, help="per measurement")
    parser.add_argument(
        "--loads",
        type=load_names,
        default="put-c1,put-c64,put-d100,life-c1,life-c64",
        help="puts or lives on N connections, or on one with N puts under way",
    )
    parser.add_argument("--payload", type=above_zero(int), default=200, help="bytes per job")
    parser.add_argument("--peers", type=peer_names, default="acpd,beanstalkd,redis",
                        help=f"default: acpd,beanstalkd,redis; or all: {','.join(names)}")
    run(bench, parser)


if __name__ == "__main__":
    main()
