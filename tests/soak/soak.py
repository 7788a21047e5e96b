#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
soak.py MINUTES [--mechanics]

Runs acpd and acp-gateway under a mixed load for a long time: everything that clients, workers, pages
and profiles do, all at once. Nothing may grow, nothing may be left over. ACPD_BUILD is the build to
test; --mechanics skips the checks that depend on timing, for builds with sanitizers.

First the load runs for a while to fill caches and pools, then it pauses, and open files and threads
are counted. Then it runs for MINUTES while samples are taken. At the end it pauses again, and the
counts must be as before.
"""

import argparse
import contextlib
import multiprocessing
import os
import pathlib
import random
import shutil
import statistics
import sys
import tempfile
import threading
import time
import traceback
from concurrent.futures import ProcessPoolExecutor

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from acpd import (  # noqa: E402
    ACPD, Client, Daemon, Gateway, RpcError, open_files, profile, resident_bytes, wait_until)
from database import assert_counters_are_right  # noqa: E402

SAMPLES = 60
GROWTH = 4 << 20  # bytes by which the trend of a process's memory may rise in total, or
GROWTH_SHARE = 0.1  # this share of its memory, if that is more
TAIL_FACTOR = 3  # how much slower the last third's p99 may be than the first's
TAIL_SECONDS = 0.05  # a p99 that is always accepted
GATEWAY_THREADS = 600
# glibc's caches for these threads fill up over many thousand requests, which is not a leak.
NO_THREAD_CACHES = {"GLIBC_TUNABLES": "glibc.malloc.tcache_count=0"}
PACE = 0.005  # seconds between the actions of a client
DEMO = str(ACPD.parent / "acpd-demo")
EXPECTED = {-32001, -32002, -32003}  # not found, conflict, queue full
EXPECTED_HTTP = {200, 201, 404, 409, 429}
PATHS = ["/metrics", "/api/health", "/api/profiles/with-states?range=24h", "/api/tasks?limit=20",
         "/api/metrics/history?range=1h", "/api/profiles/true/queue", "/api/openapi.json"]
FAILURES = ["exit", "invalid", "refusal", "unavailable"]


def profiles(slots):
    quick = {"queueLimit": 100, "retry": {"maxAttempts": 3, "backoff": 0.01, "maxBackoff": 0.1},
             "cooldown": {"min": 0.01, "max": 0.1}, "maxConcurrentTasks": slots}
    agent = {"type": "acp", "command": [DEMO]}
    return [
        profile("true", **quick), profile("false", ["false"], **quick),
        profile("talks", ["seq", "2000"], **quick), profile("sleeps", ["sleep", "5"], **quick),
        {"name": "agent", "runner": agent, **quick},
        {"name": "kept", "runner": {**agent, "reuse": True}, **quick},
        {"name": "worker", "runner": {"type": "worker", "lease": 0.3}, **quick},
    ]


NAMES = [made["name"] for made in profiles(1)]


class Load:
    """The load: one thread per role. An exception in a role is a failure."""

    def __init__(self, daemon, gateway):
        self.daemon, self.gateway = daemon, gateway
        self.stopped = threading.Event()
        self.counts, self.failures = {}, []
        self.lock = threading.Lock()
        self.threads = []
        self.roles = [self.assign, self.assign_by_http, self.work, self.work, self.meddle, self.follow,
                      self.stream, self.poll, self.poll, self.reload]

    def start(self):
        self.stopped.clear()
        self.threads = [threading.Thread(target=self.play, args=[role, number])
                        for number, role in enumerate(self.roles)]
        for thread in self.threads:
            thread.start()

    def stop(self):
        self.stopped.set()
        for thread in self.threads:
            thread.join()

    def play(self, role, number):
        try:
            role(random.Random(number))
        except Exception:
            self.failures.append(f"{role.__name__}: {traceback.format_exc()}")

    def count(self, what):
        with self.lock:
            self.counts[what] = self.counts.get(what, 0) + 1

    def going(self):
        return not self.stopped.wait(PACE)

    def tries(self, client, what, method, **params):
        """Makes a call that may come too late, or exceed a limit."""
        try:
            result = client.call(method, **params)
            self.count(what)
            return result
        except RpcError as error:
            if error.code not in EXPECTED:
                raise
            self.count("refusals")
            return None

    @staticmethod
    def task(chance):
        return {"title": "soak", "description": "x" * chance.randrange(2000),
                "priority": chance.choice(["low", "medium", "high"]),
                **({"key": f"k{chance.randrange(1000)}"} if chance.random() < 0.1 else {})}

    # The roles.

    def assign(self, chance):
        with self.daemon.client() as client:
            while self.going():
                self.tries(client, "assignments", "assign_task_to_profile",
                           name=chance.choice(NAMES), task=self.task(chance))

    def assign_by_http(self, chance):
        with contextlib.closing(self.gateway.connect()) as connection:
            while self.going():
                path, body = chance.choice([
                    ("/api/tasks", {"task": {**self.task(chance), "type": chance.choice(NAMES)}}),
                    (f"/api/profiles/{chance.choice(NAMES)}/assign-task", {"task": self.task(chance)})])
                answer = self.gateway.post(path, body, connection=connection)
                assert answer.status in EXPECTED_HTTP, answer
                self.count("requests")

    def work(self, chance):
        while self.going():
            with self.daemon.client() as client:
                for _ in range(chance.randrange(1, 30)):
                    mine = client.claim_task(profiles=["worker"], worker="soak", wait=0.05)
                    if mine["task"]:
                        self.count("claims")
                        self.end_claim(client, chance, id=mine["task"]["id"], lease=mine["lease"])

    def end_claim(self, client, chance, **mine):
        fate = chance.random()
        if fate < 0.1:
            return  # let the lease expire
        if fate < 0.3:
            self.tries(client, "extensions", "extend_lease", **mine)
        if fate < 0.5:
            self.tries(client, "failures", "fail_task", **mine,
                       error={"class": chance.choice(FAILURES), "message": "as it happens"})
        else:
            self.tries(client, "completions", "complete_task", **mine, result={"n": 1})

    def meddle(self, chance):
        with self.daemon.client() as client:
            while self.going():
                tasks = client.list_tasks(limit=50, status=chance.choice(
                    ["queued", "running", "scheduled", "failed", "cancelled"]))["tasks"]
                if not tasks:
                    continue
                id = chance.choice(tasks)["id"]
                what = chance.random()
                if what < 0.6:
                    self.tries(client, "cancellations", "cancel_task", id=id)
                elif what < 0.8:
                    self.tries(client, "retries", "retry_task", id=id)
                else:
                    self.tries(client, "updates", "update_task", id=id, priority="low",
                               profile=chance.choice(NAMES))

    def follow(self, chance):
        while self.going():
            with self.daemon.client() as client:
                client.subscribe(**chance.choice([{}, {}, {"after": 0}]))
                for _ in range(chance.randrange(200)):
                    if not client.line():
                        break  # disconnected for being too slow
                    self.count("events")

    def stream(self, chance):
        while self.going():
            with contextlib.closing(self.gateway.connect()) as connection:
                connection.request("GET", "/api/events")
                answer = connection.getresponse()
                assert answer.status == 200, answer.status
                for _ in range(chance.randrange(100)):
                    assert answer.readline(), "the stream ended"
                self.count("streams")

    def poll(self, chance):
        while self.going():
            with contextlib.closing(self.gateway.connect()) as connection:
                for _ in range(chance.randrange(1, 20)):
                    self.going()
                    path = chance.choice(PATHS + [f"/api/tasks/{chance.randrange(1, 5000)}/log"])
                    answer = self.gateway.get(path, connection=connection)
                    assert answer.status in EXPECTED_HTTP, answer
                    self.count("requests")

    def reload(self, chance):
        with self.daemon.client() as client:
            while not self.stopped.wait(1):
                self.daemon.configure(*profiles(chance.randrange(1, 5)), taskRetention={"bytes": 1 << 20})
                client.reload_config()
                self.count("reloads")


def probe(path, seconds):
    """Measures calls again and again. Runs in its own process, which the load slows less."""
    latencies, end = [], time.monotonic() + seconds
    with Client(path) as client:
        while (began := time.monotonic()) < end:
            client.get_profile_states()
            latencies.append(time.monotonic() - began)
            time.sleep(0.02)
    return latencies


def wake_every_thread(gateway):
    """Makes every thread serve each path once: what it allocates then does not count as growth."""
    with contextlib.ExitStack() as stack:
        for _ in range(GATEWAY_THREADS):
            connection = stack.enter_context(contextlib.closing(gateway.connect()))
            for path in PATHS:
                assert gateway.get(path, connection=connection).status == 200


class Watched:
    """A process and its samples."""

    def __init__(self, name, pid):
        self.name, self.pid = name, pid
        self.memory, self.files, self.threads = [], [], []
        self.at_rest = None

    def open(self):
        return open_files(self.pid), len(list(pathlib.Path(f"/proc/{self.pid}/task").iterdir()))

    def sample(self):
        files, threads = self.open()
        self.memory.append(resident_bytes(self.pid))
        self.files.append(files)
        self.threads.append(threads)

    def growth(self):
        """The rise of the linear trend of its memory, from the first sample to the last."""
        slope = statistics.linear_regression(range(len(self.memory)), self.memory).slope
        return slope * (len(self.memory) - 1)

    def allowed(self):
        return max(GROWTH, GROWTH_SHARE * statistics.mean(self.memory))


def children(pid):
    return [int(child) for child in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def rest(daemon, processes, slack):
    """Waits until all work has ended; at most `slack` more files may be open than last time."""
    with daemon.client() as client:
        def is_idle():
            for task in client.list_tasks(status="running")["tasks"]:
                with contextlib.suppress(RpcError):
                    client.cancel_task(id=task["id"])
            return not any(state["currentTasks"] for state in client.get_profile_states())

        for name in NAMES:
            client.update_profile_status(name=name, isActive=False)
        wait_until(is_idle, "nothing runs")

    def at_rest():
        before = [process.open() for process in processes]
        time.sleep(0.5)
        return before == [process.open() for process in processes] and all(
            process.at_rest is None or (files <= process.at_rest[0] + slack
                                        and threads <= process.at_rest[1])
            for process, (files, threads) in zip(processes, before)) and before

    for process, now in zip(processes, wait_until(at_rest, "as much is open as before")):
        process.at_rest = now


def wake(daemon):
    with daemon.client() as client:
        for name in NAMES:
            client.update_profile_status(name=name, isActive=True)


def run(daemon, gateway, load, seconds):
    """Returns the processes with their samples, and the latencies of calls."""
    pid = daemon.process.pid
    [supervisor] = wait_until(lambda: children(pid), "the supervisor is there")
    processes = [Watched("acpd", pid), Watched("supervisor", supervisor),
                 Watched("acp-gateway", gateway.process.pid)]
    wake_every_thread(gateway)
    load.start()
    time.sleep(max(5, seconds / 4))
    load.stop()
    rest(daemon, processes, 0)
    wake(daemon)
    load.start()
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as prober:
        latencies = prober.submit(probe, daemon.socket, seconds)
        for _ in range(SAMPLES):
            time.sleep(seconds / SAMPLES)
            for process in processes:
                process.sample()
        load.stop()
        rest(daemon, processes, len(load.roles))
        return processes, latencies.result()


def p99(values):
    return statistics.quantiles(values, n=100)[98] if len(values) > 1 else 0


def judge(processes, latencies):
    """Prints a table of the samples; returns what has grown."""
    found = []
    print(f"{'':12} {'MiB first':>9} {'last':>6} {'trend':>6} {'bound':>6}  files     threads")
    for process in processes:
        growth, allowed = process.growth(), process.allowed()
        print(f"{process.name:12} {process.memory[0] / 2**20:9.1f} {process.memory[-1] / 2**20:6.1f} "
              f"{growth / 2**20:6.1f} {allowed / 2**20:6.1f}  "
              f"{min(process.files):3}-{max(process.files):<5} "
              f"{min(process.threads):3}-{max(process.threads)}")
        if growth > allowed:
            found.append(f"the memory of {process.name} grew")
    third = len(latencies) // 3
    tails = [p99(latencies[i * third:(i + 1) * third]) for i in range(3)]
    print("p99 of a call, by thirds: " + ", ".join(f"{tail * 1000:.1f} ms" for tail in tails))
    if tails[2] > max(TAIL_FACTOR * tails[0], TAIL_SECONDS):
        found.append("calls became slower")
    return found


def end(daemon, gateway):
    """Stops both programs; returns what is wrong with their exit or with what they left."""
    found = []
    for name, program in ("acp-gateway", gateway), ("acpd", daemon):
        status = program.stop()
        log = program.log.read_text(errors="replace")
        if status != 0 or "Sanitizer" in log or "runtime error" in log:
            found.append(f"{name} ended with {status}:\n{log[-4000:]}")
    if daemon.processes():
        found.append("processes are left over")
    with contextlib.closing(daemon.database()) as database:
        [[integrity]] = database.execute("PRAGMA integrity_check")
    if integrity != "ok":
        found.append(f"integrity of the database: {integrity}")
    assert_counters_are_right(daemon, forgets=True)
    return found


def soak(folder, seconds, with_timings=True):
    """Returns the findings: none, if all is well."""
    (folder / "page").mkdir()
    (folder / "page" / "index.html").write_text("<!doctype html><title>soak</title>")
    daemon = Daemon(folder)
    daemon.configure(*profiles(2), taskRetention={"bytes": 1 << 20})
    gateway = Gateway(folder, daemon.socket, "--dashboard", folder / "page")
    try:
        daemon.start()
        gateway.start(env={**os.environ, **NO_THREAD_CACHES})
        load = Load(daemon, gateway)
        processes, latencies = run(daemon, gateway, load, seconds)
        print(", ".join(f"{count} {what}" for what, count in sorted(load.counts.items())))
        grown = judge(processes, latencies)
        return load.failures + (grown if with_timings else []) + end(daemon, gateway)
    finally:
        for program in gateway, daemon:
            if program.process and program.process.poll() is None:
                program.kill()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("minutes", type=float)
    parser.add_argument("--mechanics", action="store_true", help="skip the checks that depend on timing")
    arguments = parser.parse_args()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="acpd-", dir="/tmp"))
    try:
        found = soak(folder, arguments.minutes * 60, not arguments.mechanics)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    for what in found:
        print(f"failed: {what}")
    print("failed" if found else "passed")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
