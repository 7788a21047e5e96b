#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Lives (put, claim, complete) per second of one to three acpd that share one PostgreSQL.

They are compared with the plainest queue that the same server can hold: pgbench with three clients, one commit each for
an insert, a claim by SKIP LOCKED and an end. All take turns within a round, and ratios are taken within it. For each task
a pass, acpd has three clients, of which one puts, one claims and one completes, on average: so many lives can share a
commit at most.
"""

import argparse
import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Iterator

from bench_queue import ACPD_PROFILE, run_client
from queue_servers import postgres, postgres_folder, postgres_program, psql
from servers import BenchError, Peer, Server, above_zero, acpd, machine, options_of, run, spread, verdict

PEER_CLIENTS = 3
TASKS = (1, 4, 16, 64)  # a pass
CLIENTS_PER_TASK = 3
NODES = (1, 2, 3)
BACKLOG = 1_000_000
# One daemon with so many tasks a pass: the ratio to pgbench that it must have, and the one that it should have.
GOALS = {1: (0.25, 0.5), 4: (0.75, 1.5), 16: (1.5, 3), 64: (3, 6)}
GOAL_BACKLOG, GOAL_SNAPSHOT = (0.7, 0.9), (0.3, 0.5)

JOBS = """
CREATE TABLE plain (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, state int NOT NULL DEFAULT 0, payload text);
CREATE INDEX plain_waiting ON plain (id) WHERE state = 0;
INSERT INTO plain (payload) SELECT 'x' FROM generate_series(1, 1000); -- so that it is never empty
"""
LIFE = """
INSERT INTO plain (payload) VALUES ('{}');
UPDATE plain SET state = 1 WHERE id = (SELECT id FROM plain WHERE state = 0 ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING id \\gset
UPDATE plain SET state = 2 WHERE id = :id;
"""
FILL = """
INSERT INTO task (id, profile_id, status, priority, place, created_at, started_at, finished_at, run_at, ready_at, queued_at,
    timeout, max_attempts, attempt, spent, retries, interruptions, body, bytes, cooldowns, completed_then, submitted_by,
    depth, crc)
SELECT n, profile.id, 1, 1, n, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, '"title":"t"', 0, 0, 0, 0, 0, 0
FROM generate_series(1, {count}) AS n, profile WHERE name = 'bench';
UPDATE profile SET queued = {count} WHERE name = 'bench';
"""


def node(build: Path, server: Server, name: str) -> Peer:
    url = f"host={postgres_folder(server.socket)} user=postgres dbname=acpd"
    config = {"store": {"type": "postgres", "url": url}, "node": {"name": name}, "profiles": [ACPD_PROFILE]}
    return acpd(build, config, "get_profile_state", {"name": "bench"}, r'"queueSize": ?(\d+)\D')


@contextlib.contextmanager
def fleet(options: argparse.Namespace, server: Server, count: int, backlog: int = 0) -> Iterator[list[Server]]:
    psql(server.socket, "CREATE DATABASE acpd")
    with contextlib.ExitStack() as stack:
        if backlog:
            with Server(node(options.build, server, "filler"), options.base):
                pass  # makes the tables
            for sql in (FILL.format(count=backlog), "VACUUM ANALYZE"):
                ask(server, sql)
        yield [stack.enter_context(Server(node(options.build, server, f"n{i}"), options.base)) for i in range(count)]
    psql(server.socket, "DROP DATABASE acpd WITH (FORCE)")


def ask(server: Server, sql: str, database: str = "acpd") -> None:
    command = [postgres_program("psql"), "-h", str(postgres_folder(server.socket)), "-U", "postgres", "-qd", database, "-c",
               sql]
    subprocess.run(command, check=True, capture_output=True)


def measure(options: argparse.Namespace, nodes: list[Server], tasks: int) -> float:
    rates: list[float] = []

    def load(server: Server) -> None:
        arguments = ["--socket", server.socket, "--connections", CLIENTS_PER_TASK * tasks, "--lives",
                     "--seconds", options.seconds, "--payload", options.payload]
        rates.append(run_client(options.client, "acpd", *arguments).rate)

    threads = [threading.Thread(target=load, args=[server]) for server in nodes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if len(rates) < len(nodes):
        raise BenchError(nodes[0].failure("failed"))
    return sum(rates)


def measure_peer(options: argparse.Namespace, server: Server) -> float:
    psql(server.socket, JOBS)
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as script:
        script.write(LIFE.format("x" * options.payload))
        script.flush()
        said = subprocess.run([postgres_program("pgbench"), "-h", str(postgres_folder(server.socket)), "-U", "postgres", "-n",
                               "-c", str(PEER_CLIENTS), "-j", "1", "-T", str(max(1, round(options.seconds))), "-f",
                               script.name, "postgres"], capture_output=True, text=True)
    psql(server.socket, "DROP TABLE plain")
    if said.returncode:
        raise BenchError(f"pgbench failed: {said.stderr}")
    return float(said.stdout.split("tps = ")[1].split()[0])


@contextlib.contextmanager
def snapshot(server: Server) -> Iterator[None]:
    """A session that reads for a long time, as pg_dump does."""
    command = [postgres_program("psql"), "-h", str(postgres_folder(server.socket)), "-U", "postgres", "-qd", "acpd"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as session:
        session.stdin.write("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1;\n")
        session.stdin.flush()
        session.stdout.readline()
        yield
        session.stdin.close()


Results = dict[tuple[object, ...], list[float]]


def run_round(options: argparse.Namespace, note) -> None:
    with Server(postgres(), options.base) as server:
        note(("pgbench",), measure_peer(options, server))
        for count in options.nodes:
            with fleet(options, server, count) as nodes:
                for tasks in options.tasks:
                    note((count, tasks), measure(options, nodes, tasks))
        with fleet(options, server, 1) as nodes, snapshot(server):
            note(("snapshot",), measure(options, nodes, 16))
        if options.backlog:
            with fleet(options, server, 1, options.backlog) as nodes:
                note(("backlog",), measure(options, nodes, 16))


def ratios(results: Results, key: tuple[object, ...], base: tuple[object, ...]) -> list[float]:
    return [value / other for value, other in zip(results[key], results[base])]


def report(options: argparse.Namespace, results: Results) -> None:
    print(f"pgbench: {spread(results['pgbench',], lambda v: f'{v:.0f}')} lives a second\n")
    print("| tasks a pass | " + " | ".join(f"{count} acpd" for count in options.nodes) + " | one: floor; goal |")
    print("|---:|" + "---:|" * (len(options.nodes) + 1))
    for tasks in options.tasks:
        of_each = [ratios(results, (count, tasks), ("pgbench",)) for count in options.nodes]
        goal = verdict(statistics.median(of_each[0]), *GOALS[tasks]) if options.nodes[0] == 1 and tasks in GOALS else ""
        print(f"| {tasks} | " + " | ".join(spread(values, lambda v: f"{v:.2f}") for values in of_each) + f" | {goal} |")
    for name, goals in (("snapshot", GOAL_SNAPSHOT), ("backlog", GOAL_BACKLOG)):
        if (name,) in results and (1, 16) in results:
            values = ratios(results, (name,), (1, 16))
            print(f"{name}: {spread(values, lambda v: f'{v:.2f}')} of one acpd with 16 tasks a pass ({verdict(statistics.median(values), *goals)})")


def bench(options: argparse.Namespace) -> None:
    results: Results = {}
    options.client = options.build / "tests" / "bench" / "queue-client"

    def note(key: tuple[object, ...], rate: float) -> None:
        results.setdefault(key, []).append(rate)
        print(f"{' '.join(map(str, key)):<10} {rate:8.0f}/s", file=sys.stderr)

    for _ in range(options.rounds):
        run_round(options, note)
    print(machine([postgres()], options.base), end="\n\n")
    report(options, results)
    if options.json:
        options.json.write_text(json.dumps({" ".join(map(str, key)): values for key, values in results.items()}))


def numbers(text: str) -> list[int]:
    return [above_zero(int)(word) for word in text.split(",")]


if __name__ == "__main__":
    parser = options_of(__doc__)
    parser.add_argument("--rounds", type=above_zero(int), default=3)
    parser.add_argument("--seconds", type=above_zero(float), default=3)
    parser.add_argument("--payload", type=int, default=100, help="bytes of each job")
    parser.add_argument("--nodes", type=numbers, default=list(NODES), help="how many acpd, such as 1,2,3")
    parser.add_argument("--tasks", type=numbers, default=list(TASKS), help="a pass, such as 1,16")
    parser.add_argument("--backlog", type=int, default=BACKLOG, help="waiting tasks; 0: do not measure that")
    parser.add_argument("--json", type=Path, help="write the rates there")
    run(bench, parser)
