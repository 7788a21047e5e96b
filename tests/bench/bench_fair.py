#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""How long a client waits while 64 others send as many requests as they can.

The daemon has many tasks and profiles. Each load is 64 connections that pipeline one method, every
method in turn, and two in batches. One more client measures the round trip of get_task.
"""

import argparse
import json
import multiprocessing
import os
import select
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TASKS = 60_000
PROFILES = 10_000
CONNECTIONS = 64
PRESSES = 2  # processes that share the connections
AHEAD = 1000  # requests in flight on each connection
GOAL_MS = 100


def request(number, method, params):
    return {"jsonrpc": "2.0", "id": number, "method": method, "params": params}


def lines_of(method, **params):
    return "".join(json.dumps(request(i, method, params)) + "\n" for i in range(AHEAD)).encode()


def batch_of(method, **params):
    return (json.dumps([request(i, method, params) for i in range(AHEAD)]) + "\n").encode()


TASK = {"title": "t"}
BATCHES = {
    "batches of lists that find nothing": batch_of("list_tasks", profile="z", limit=1),
    "batches of assignments": batch_of("assign_task_to_profile", name="sink", task=TASK),
}
# What the methods are called with; others have no required parameters.
LEASE = {"id": 1, "lease": "x"}
PARAMS = {
    "answer_permission": {"id": "1-1-1", "optionId": "yes"},
    "assign_task_to_profile": {"name": "sink", "task": TASK},
    "cancel_task": {"id": 1},
    "claim_task": {"profiles": ["z"], "worker": "x"},
    "complete_task": LEASE,
    "extend_lease": LEASE,
    "fail_task": LEASE,
    "get_all_profile_metrics": {"range": "7d"},
    "get_best_profile_for_task": {"task": TASK},
    "get_metrics_history": {"range": "7d"},
    "get_profile_metrics": {"name": "w", "range": "7d"},
    "get_profile_state": {"name": "w"},
    "get_profile_task_queue": {"name": "w", "limit": 1000},
    "get_profiles_with_states": {"range": "7d"},
    "get_task": {"id": 1},
    "get_task_log": {"id": 1},
    "list_tasks": {"limit": 1000},
    "retire_node": {"name": "x"},
    "retry_task": {"id": 1},
    "submit_task": {"task": TASK},
    "update_profile_status": {"name": "z", "isActive": True},
    "update_task": {"id": 2, "priority": "high"},
}


class Client:
    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(str(path))
        self.reader = self.socket.makefile("rb")

    def call(self, method, **params):
        self.socket.sendall((json.dumps(request(1, method, params)) + "\n").encode())
        return json.loads(self.reader.readline())


class Greedy:
    """Sends its load again and again, and discards the replies."""

    def __init__(self, path, load):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(str(path))
        self.socket.setblocking(False)
        self.load, self.at = load, 0

    def move(self, readable, writable):
        if readable:
            self.socket.recv(1 << 20)
        if writable:
            self.at += self.socket.send(self.load[self.at:self.at + (1 << 16)])
            if self.at == len(self.load):
                self.at = 0


def press(path, load, end):
    """Keeps the connections busy until `end`, with the time that the daemon and the measuring client leave it."""
    os.nice(10)
    greedy = [Greedy(path, load) for _ in range(CONNECTIONS // PRESSES)]
    while time.monotonic() < end:
        sockets = [one.socket for one in greedy]
        readable, writable, _ = select.select(sockets, sockets, [], 0.1)
        for one in greedy:
            one.move(one.socket in readable, one.socket in writable)


def measure(path, load, seconds):
    """Round trips of get_task, in ms."""
    end = time.monotonic() + seconds
    presses = [multiprocessing.Process(target=press, args=(path, load, end)) for _ in range(PRESSES if load else 0)]
    for one in presses:
        one.start()
    time.sleep(seconds / 5)
    client = Client(path)
    waits = []
    while time.monotonic() < end:
        sent = time.monotonic()
        client.call("get_task", id=1)
        waits.append(1000 * (time.monotonic() - sent))
        time.sleep(0.005)
    for one in presses:
        one.join()
    settle(client)
    return sorted(waits)


def settle(client):
    """Until acpd is done with the calls that were in flight, which would count for the next load."""
    quick = 0
    while quick < 20:
        sent = time.monotonic()
        client.call("get_task", id=1)
        quick = quick + 1 if time.monotonic() - sent < 0.005 else 0
        time.sleep(0.005)


def fill(client):
    for start in range(0, TASKS, AHEAD):
        client.socket.sendall((json.dumps([request(i, "assign_task_to_profile", {"name": "w", "task": TASK})
                                           for i in range(AHEAD)]) + "\n").encode())
        client.reader.readline()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", required=True, type=Path)
    parser.add_argument("--seconds", type=float, default=5, help="per load")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="acpd-fair-"))
    worker = {"runner": {"type": "worker"}, "queueLimit": 100_000_000}
    profiles = [{"name": name, **worker} for name in ("w", "z", "sink")]
    profiles += [{"name": f"p{i}", **worker} for i in range(PROFILES - len(profiles))]
    (folder / "config.json").write_text(json.dumps({"profiles": profiles, "lineLimit": 16 << 20}))
    path = folder / "acpd.sock"
    daemon = subprocess.Popen([options.build / "daemon/acpd", "--config", folder / "config.json", "--socket", path,
                               "--state-dir", folder / "state"], stderr=subprocess.DEVNULL)
    try:
        while not path.exists():
            time.sleep(0.05)
        client = Client(path)
        fill(client)
        methods = [method["name"] for method in client.call("rpc.discover")["result"]["methods"]]
        assert set(PARAMS) <= set(methods), "a method is gone"
        loads = {"nothing": b"", **BATCHES, **{name: lines_of(name, **PARAMS.get(name, {})) for name in methods}}
        print(f"{CONNECTIONS} connections, {AHEAD} requests in flight on each, {TASKS} tasks, {PROFILES} profiles\n")
        print("| load | calls | median ms | p99 ms | max ms |\n|---|---:|---:|---:|---:|")
        worst = 0
        for name, load in loads.items():
            waits = measure(path, load, options.seconds)
            worst = max(worst, waits[-1])
            print(f"| {name} | {len(waits)} | {waits[len(waits) // 2]:.1f} | "
                  f"{waits[int(0.99 * (len(waits) - 1))]:.1f} | {waits[-1]:.1f} |", flush=True)
        print(f"\ngoal: every wait below {GOAL_MS} ms: {'met' if worst < GOAL_MS else 'missed'}")
        return int(worst >= GOAL_MS)
    finally:
        daemon.kill()
        daemon.wait()
        subprocess.run(["rm", "-rf", folder], check=True)


if __name__ == "__main__":
    sys.exit(main())
