#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""acp-gateway: states against civetweb alone, and assignments against the daemon's socket."""

import argparse
import contextlib
import os
import re
import socket
import statistics
import subprocess
import time
import urllib.request
from pathlib import Path
from typing import Iterator

from bench_queue import ACPD_PROFILE, Load, acpd_peer, run_client
from servers import BenchError, Server, above_zero, options_of, run, spread, thousands, verdict

CONNECTIONS = 16
GOALS = {"states": (0.6, 0.8), "assign": (0.65, 0.8)}  # the ratio that the gateway must have, and should have
STATES = "/api/profiles/states"
ASSIGN = "/api/profiles/bench/assign-task"
SCRIPT = """
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.body = '{"task":{"title":"bench","description":"' .. string.rep("x", 200) .. '"}}'
"""
START_SECONDS = 20


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def serving(path: str, port: int, *command: object) -> Iterator[None]:
    """Runs an HTTP server, which answers when this begins."""
    with subprocess.Popen([str(part) for part in command], stdout=subprocess.DEVNULL) as process:
        try:
            deadline = time.monotonic() + START_SECONDS
            while True:
                try:
                    urllib.request.urlopen(f"http://127.0.0.1:{port}{path}").read()
                    break
                except OSError as error:
                    if process.poll() is not None or time.monotonic() > deadline:
                        raise BenchError(f"{command[0]} does not answer: {error}") from error
                    time.sleep(0.01)
            yield
        finally:
            process.terminate()


def wrk(port: int, path: str, seconds: float, *arguments: object) -> float:
    """Requests per second; every one must succeed."""
    command = ["wrk", "-t2", f"-c{CONNECTIONS}", f"-d{seconds:g}s", *map(str, arguments), f"http://127.0.0.1:{port}{path}"]
    os.sync()  # what was measured before
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    if bad := re.search(r"Non-2xx.*|Socket errors.*", said):
        raise BenchError(f"{path}: {bad[0]}")
    return float(re.search(r"Requests/sec: +([\d.]+)", said)[1])


def measure(options: argparse.Namespace, rates: dict[str, list[float]]) -> None:
    build, base = options.build, options.base
    peer = acpd_peer(build, *({**ACPD_PROFILE, "name": f"other-{i}"} for i in range(9)))
    page, bytes_of_states, script = base / "page", base / "states.json", base / "assign.lua"
    page.mkdir(exist_ok=True)
    (page / "index.html").touch()
    script.write_text(SCRIPT)
    port, bare_port = free_port(), free_port()
    with Server(peer, base) as server, serving(
            STATES, port, build / "gateway" / "acp-gateway", "--socket", server.socket,
            "--listen", f"127.0.0.1:{port}", "--dashboard", page):
        bytes_of_states.write_bytes(urllib.request.urlopen(f"http://127.0.0.1:{port}{STATES}").read())
        rates["states: acp-gateway"].append(wrk(port, STATES, options.seconds))
        with serving(STATES, bare_port, build / "tests" / "bench" / "bare-http", bare_port, bytes_of_states):
            rates["states: civetweb"].append(wrk(bare_port, STATES, options.seconds))
        rates["assign: acp-gateway"].append(wrk(port, ASSIGN, options.seconds, "-s", script))
        client = build / "tests" / "bench" / "queue-client"
        load = Load(f"put-c{CONNECTIONS}")
        result = run_client(client, "acpd", "--socket", server.socket, *load.arguments, "--seconds", options.seconds)
        rates["assign: socket"].append(result.rate)


def bench(options: argparse.Namespace) -> None:
    names = ["states: acp-gateway", "states: civetweb", "assign: acp-gateway", "assign: socket"]
    rates: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(options.rounds):
        measure(options, rates)
    print("| what | server | requests/s | acp-gateway / server | floor; goal |\n|---|---|---:|---:|---|")
    for own, other in (names[:2], names[2:]):
        ratios = [a / b for a, b in zip(rates[own], rates[other], strict=True)]
        what = own.partition(":")[0]
        compared = [spread(ratios, lambda value: f"{value:.2f}"), verdict(statistics.median(ratios), *GOALS[what])]
        for name, cells in ((own, ["", ""]), (other, compared)):
            print(f"| {' | '.join([*name.split(': '), spread(rates[name], thousands), *cells])} |")
    print(f"\nMedians (min..max) of {options.rounds} rounds of {options.seconds} s, {CONNECTIONS} connections, "
          "10 profiles.")


def main() -> None:
    parser = options_of(__doc__)
    parser.add_argument("--rounds", type=above_zero(int), default=5)
    parser.add_argument("--seconds", type=above_zero(int), default=3, help="per measurement")
    run(bench, parser)


if __name__ == "__main__":
    main()
