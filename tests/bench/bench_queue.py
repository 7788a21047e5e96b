#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Durable puts per second: acpd against beanstalkd and Redis lists, on this machine.

Every measurement starts a fresh server on an empty folder, always on the same disk, and has it
flush every write before acknowledging it. The servers take turns within a round, so a slow minute
of the machine hits all of them; ratios are taken within a round.
"""

import argparse
import json
import os
import platform
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

START_SECONDS = 20
STOP_SECONDS = 20
ANSWER_SECONDS = 5
DISK_SECONDS = 1
SOCKET_PATH_MAX = 107
GOALS = {(64, "beanstalkd"): 6.0, (64, "redis"): 0.8}
IN_MEMORY = {"tmpfs", "ramfs"}
ACPD_CONFIG = {
    "profiles": [
        {
            "name": "bench",
            "queueLimit": 100_000_000,
            "runner": {"type": "command", "command": ["true"]},
        }
    ]
}


class BenchError(Exception):
    """The benchmark cannot continue; the text says why."""


def ask(path: Path, request: str, pattern: str) -> re.Match[str]:
    """Sends the request on a new connection; returns the match of the pattern in the answer."""
    answer = ""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(ANSWER_SECONDS)
        connection.connect(str(path))
        connection.sendall(request.encode())
        while not (match := re.search(pattern, answer)):
            try:
                data = connection.recv(65536)
            except TimeoutError:
                data = b""
            if not data:
                raise ConnectionError(f"unexpected answer to {request.strip()}: {answer.strip()!r}")
            answer += data.decode(errors="replace")
    return match


# How the servers differ: starting them, knowing when they are ready, counting their jobs.


@dataclass
class Peer:
    name: str
    program: str
    version: list[str]
    command: Callable[[str, Path, Path], list[str]]  # program, folder, socket
    prepare: Callable[[Path], object]  # fails with OSError until the server answers
    count: Callable[[Path], re.Match[str]]


def acpd_command(program: str, folder: Path, path: Path) -> list[str]:
    config = folder / "config.json"
    config.write_text(json.dumps(ACPD_CONFIG))
    state = folder / "state"
    return [program, "--config", str(config), "--socket", str(path), "--state-dir", str(state)]


def acpd_call(
    method: str, params: dict[str, object], pattern: str
) -> Callable[[Path], re.Match[str]]:
    request = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}) + "\n"
    return lambda path: ask(path, request, pattern)


def all_peers(build: Path) -> list[Peer]:
    return [
        Peer(
            name="acpd",
            program=str(build / "daemon" / "acpd"),
            version=["--version"],
            command=acpd_command,
            # Paused, so the queue only grows and no task runs.
            prepare=acpd_call(
                "update_profile_status", {"name": "bench", "isActive": False}, r'"success": ?true'
            ),
            count=acpd_call("get_profile_state", {"name": "bench"}, r'"queueSize": ?(\d+)\D'),
        ),
        Peer(
            name="beanstalkd",
            program="beanstalkd",
            version=["-v"],
            command=lambda program, folder, path: [
                *(program, "-l", f"unix:{path}"),
                *("-b", str(folder), "-f0"),
            ],
            prepare=lambda path: ask(path, "stats\r\n", r"OK \d+\r\n"),
            count=lambda path: ask(path, "stats\r\n", r"current-jobs-ready: (\d+)\n"),
        ),
        Peer(
            name="redis",
            program="redis-server",
            version=["--version"],
            # No snapshots and no rewriting of the log: only the appends are measured.
            command=lambda program, folder, path: [
                *(program, "--port", "0", "--unixsocket", str(path), "--dir", str(folder)),
                *("--appendonly", "yes", "--appendfsync", "always"),
                *("--save", "", "--auto-aof-rewrite-percentage", "0"),
            ],
            prepare=lambda path: ask(path, "PING\r\n", r"\+PONG\r\n"),
            count=lambda path: ask(path, "LLEN bench\r\n", r":(\d+)\r\n"),
        ),
    ]


class Server:
    """A server on an empty folder, ready to answer. On exit it is stopped and its folder removed."""

    def __init__(self, peer: Peer, base: Path):
        self.peer = peer
        self.folder = Path(tempfile.mkdtemp(dir=base))
        self.socket = self.folder / "s"
        self.log = self.folder / "log"
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "Server":
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        data = self.folder / "data"
        data.mkdir()
        command = self.peer.command(self.peer.program, data, self.socket)
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                self.peer.prepare(self.socket)
                return
            except OSError as error:
                if self.process.poll() is not None:
                    raise BenchError(self.failure("exited during startup")) from error
                if time.monotonic() > deadline:
                    raise BenchError(self.failure(f"does not answer: {error}")) from error
            time.sleep(0.01)

    def stop(self) -> None:
        if self.process:
            self.process.terminate()
            try:
                self.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                print(f"{self.peer.name} did not stop; killing it", file=sys.stderr)
                self.process.kill()
                self.process.wait()
        shutil.rmtree(self.folder)

    def failure(self, what: str) -> str:
        log = self.log.read_text(errors="replace").strip().splitlines()
        return "\n  ".join([f"{self.peer.name} {what}", *log[-10:]])

    def check_held(self, acknowledged: int) -> None:
        """Acknowledged jobs must be there; those in flight at the end may be."""
        held = int(self.peer.count(self.socket)[1])
        if held < acknowledged:
            raise BenchError(self.failure(f"acknowledged {acknowledged} jobs but holds {held}"))


@dataclass
class Result:
    """One measurement: times in microseconds; cpu is the client's share of one core."""

    rate: float
    p50: float
    p99: float
    cpu: float
    acknowledged: int


def run_client(client: Path, peer: str, *arguments: object) -> Result:
    # Flush what the previous measurement left unwritten.
    os.sync()
    command = [str(client), "--peer", peer, "--json", *map(str, arguments)]
    run = subprocess.run(command, capture_output=True, text=True)
    if run.returncode:
        raise BenchError(f"{peer}: {run.stderr.strip()}")
    said = json.loads(run.stdout)
    rate = said["ops"] / said["seconds"]
    return Result(rate, said["p50us"], said["p99us"], said["cpu"], said["acknowledged"])


def measure(options: argparse.Namespace, peer: Peer, connections: int, base: Path) -> Result:
    with Server(peer, base) as server:
        try:
            result = run_client(
                *(options.client, peer.name, "--socket", server.socket),
                *("--connections", connections, "--seconds", options.seconds),
                *("--payload", options.payload),
            )
        except BenchError as error:
            raise BenchError(server.failure(f"failed: {error}")) from error
        server.check_held(result.acknowledged)
    return result


Results = dict[tuple[int, str], list[Result]]


def run_rounds(options: argparse.Namespace, peers: list[Peer], base: Path) -> Results:
    results: Results = {}

    def note(round_number: int, connections: int, name: str, result: Result) -> None:
        results.setdefault((connections, name), []).append(result)
        print(
            f"round {round_number}: {name:<10} c{connections:<4} {result.rate:8.0f}/s"
            f"  p50 {result.p50:.0f} us  p99 {result.p99:.0f} us  client {result.cpu:.0%} cpu",
            file=sys.stderr,
        )

    for number in range(1, options.rounds + 1):
        disk = run_client(options.client, "disk", "--dir", base, "--seconds", DISK_SECONDS)
        note(number, 1, "disk", disk)
        for connections in options.connections:
            for peer in peers:
                note(number, connections, peer.name, measure(options, peer, connections, base))
    return results


def spread(values: list[float], form: Callable[[float], str]) -> str:
    middle = form(statistics.median(values))
    return f"{middle} ({form(min(values))}..{form(max(values))})"


def thousands(value: float) -> str:
    return f"{value / 1000:.1f}k" if value >= 1000 else f"{value:.0f}"


def median_ms(values: list[float]) -> str:
    return f"{statistics.median(values) / 1000:.2f}"


def row(label: str, connections: int, results: list[Result], ratio: str, goal: str) -> str:
    cells = [
        str(connections),
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
        "| connections | server | durable puts/s | p50 ms | p99 ms | acpd / server | goal |",
        "|---:|---|---:|---:|---:|---:|---|",
        row("raw fdatasync", 1, results[1, "disk"], "", ""),
    ]
    for connections in options.connections:
        own = results.get((connections, "acpd"))
        for peer in peers:
            theirs = results[connections, peer.name]
            ratio = goal = ""
            if own and peer.name != "acpd":
                ratios = [a.rate / b.rate for a, b in zip(own, theirs, strict=True)]
                ratio = spread(ratios, lambda value: f"{value:.2f}")
                if (least := GOALS.get((connections, peer.name))) is not None:
                    met = statistics.median(ratios) >= least
                    goal = f">= {least:g}: {'met' if met else 'missed'}"
            elif (connections, peer.name) in GOALS:
                goal = f">= {GOALS[connections, peer.name]:g}"
            lines.append(row(peer.name, connections, theirs, ratio, goal))
    return "\n".join(lines)


def file_system(folder: Path) -> tuple[str, str]:
    """Type and device of the folder's file system, by the longest mount point above it."""
    found, kind, device = Path("/"), "unknown", "unknown"
    for line in Path("/proc/self/mounts").read_text().splitlines():
        source, point, type_name = line.split()[:3]
        mount = Path(point.encode().decode("unicode_escape"))
        if folder.is_relative_to(mount) and len(mount.parts) >= len(found.parts):
            found, kind, device = mount, type_name, source
    return kind, device


def version(peer: Peer) -> str:
    run = subprocess.run([peer.program, *peer.version], capture_output=True, text=True)
    match = re.search(r"\d+(\.\d+)+", run.stdout + run.stderr)
    return f"{peer.name} {match[0] if match else '(version unknown)'}"


def machine(peers: list[Peer], base: Path) -> str:
    kind, device = file_system(base)
    return "; ".join(
        [
            f"{os.cpu_count()} cores ({platform.machine()})",
            f"{platform.system()} {platform.release()}",
            f"{kind} on {device}",
            *(version(peer) for peer in peers),
        ]
    )


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


def above_zero(kind: Callable[[str], float]) -> Callable[[str], float]:
    def parse(text: str) -> float:
        if not (value := kind(text)) > 0:
            raise ValueError(text)
        return value

    parse.__name__ = "number above 0"
    return parse


def connection_counts(text: str) -> list[int]:
    counts = [int(part) for part in text.split(",")]
    if min(counts) < 1:
        raise ValueError(text)
    return counts


def parse_arguments() -> argparse.Namespace:
    names = [peer.name for peer in all_peers(Path())]

    def peer_names(text: str) -> list[str]:
        wanted = text.split(",")
        for name in wanted:
            if name not in names:
                raise argparse.ArgumentTypeError(f"unknown peer {name!r}; choose from {','.join(names)}")
        return wanted

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=Path, required=True, help="meson's build folder")
    parser.add_argument("--rounds", type=above_zero(int), default=5)
    parser.add_argument("--seconds", type=above_zero(float), default=3.0, help="per measurement")
    parser.add_argument("--connections", type=connection_counts, default=[1, 64])
    parser.add_argument("--payload", type=above_zero(int), default=200, help="bytes per job")
    parser.add_argument("--peers", type=peer_names, default=names)
    parser.add_argument("--dir", type=Path, help="folder for the data; default: the build folder")
    return parser.parse_args()


def bench(options: argparse.Namespace) -> None:
    build = options.build.resolve()
    options.client = build / "tests" / "bench" / "queue-client"
    if not options.client.exists():
        raise BenchError(f"{options.client} is missing: run meson setup -Dbench=true")
    peers = installed(all_peers(build), options.peers)
    if not peers:
        raise BenchError("nothing to measure")

    home = (options.dir or build).resolve()
    if not home.is_dir():
        raise BenchError(f"{home} is not a folder")
    if (kind := file_system(home)[0]) in IN_MEMORY:
        raise BenchError(f"{home} is on {kind}: a flush costs nothing there; use --dir on a disk")
    with tempfile.TemporaryDirectory(prefix="q", dir=home) as name:
        base = Path(name)
        if len(str(base)) + len("/tmpXXXXXXXX/s") > SOCKET_PATH_MAX:
            raise BenchError(f"{base} is too long for a socket path; use --dir")
        results = run_rounds(options, peers, base)
        print(table(options, peers, results), end="\n\n")
        print(
            f"Medians (min..max) of {options.rounds} rounds of {options.seconds:g} s,"
            f" {options.payload}-byte payload. {machine(peers, base)}."
        )


def main() -> int:
    try:
        bench(parse_arguments())
    except (BenchError, OSError) as error:
        print(f"bench_queue.py: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
