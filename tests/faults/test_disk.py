# SPDX-License-Identifier: MIT
"""
A disk that fails at any call: acknowledged changes are kept, rejected ones are not, reads still work, and service
resumes by itself.

ACPD_FAULTS=N sets the number of failures of each kind (./dev faults N); ACPD_SEED=S repeats a run.
"""

import contextlib
import ctypes
import mmap
import os
import pathlib
import random
import sqlite3
import threading

import pytest

from acpd import RpcError, profile, wait_until
from database import assert_counters_are_right
from preload import preload

NEWEST = 7  # schema
FIXTURES = pathlib.Path(__file__).parents[1] / "fixtures"
SPELLS = int(os.environ.get("ACPD_FAULTS", "8"))
SEED = int(os.environ.get("ACPD_SEED", str(random.randrange(1 << 32))))

WRITE, SYNC, TRUNCATE, READ = 1, 2, 4, 8
IOERR, FULL = 10, 13
IOERR_READ, IOERR_WRITE, IOERR_FSYNC = (IOERR | n << 8 for n in (1, 3, 4))

KINDS = {
    "EIO on write": (WRITE, IOERR_WRITE),
    "short write, no space": (WRITE, FULL),
    "EIO on fsync": (SYNC, IOERR_FSYNC),
    "no space at any call": (WRITE | SYNC | TRUNCATE, FULL),
    "EIO on read": (READ, IOERR_READ),
}


class Disk(ctypes.Structure):
    _fields_ = [(name, ctypes.c_int) for name in ("ops", "error", "after", "times", "injected")]

    def fail(self, ops, error, after, times):
        self.error, self.after, self.times = error, after, times
        self.ops = ops

    def heal(self):
        self.ops = 0


@pytest.fixture
def disk(folder):
    path = folder / "faulty_disk"
    path.write_bytes(bytes(mmap.PAGESIZE))
    with open(path, "r+b") as file:
        disk = Disk.from_buffer(mmap.mmap(file.fileno(), mmap.PAGESIZE))
    disk.environment = {**preload(folder, "faulty_disk", "-lsqlite3"), "FAULTY_DISK": str(path)}
    return disk


class Caller(threading.Thread):
    """Takes one step after another on one connection, which survives failures of the disk."""

    def __init__(self, daemon):
        super().__init__(daemon=True)
        self.acpd = daemon
        self.ended, self.fault = False, None

    def run(self):
        try:
            with self.acpd.client() as client:
                while not self.ended:
                    self.step(client)
        except Exception as fault:
            self.fault = fault


class Client(Caller):
    """Assigns, cancels and retries tasks, and records the replies."""

    def __init__(self, daemon, number):
        super().__init__(daemon)
        self.number = number
        self.random = random.Random(SEED + number)
        self.there, self.refused = {}, set()  # id -> key; keys
        self.cancelled = {}                   # id -> whether it is
        self.calls = 0

    def step(self, client):
        self.calls += 1
        if self.there and self.random.random() < 0.4:
            id = self.random.choice(list(self.there))
            is_cancelled = self.cancelled.get(id, False)
            try:
                (client.retry_task if is_cancelled else client.cancel_task)(id=id)
                self.cancelled[id] = not is_cancelled
            except RpcError as error:
                assert error.code == -32004, error
            return
        key = f"{self.number}.{self.calls}"
        try:
            task = client.assign("p", key=key, input="x" * self.random.randrange(5000))
            self.there[task["id"]] = key
        except RpcError as error:
            assert error.code == -32004, error
            self.refused.add(key)

    def check(self, client):
        for id, key in self.there.items():
            task = client.task(id)
            assert task["key"] == key
            assert (task["status"] == "cancelled") == self.cancelled.get(id, False), task


class Worker(Caller):
    """Claims and completes tasks of another profile."""

    def __init__(self, daemon):
        super().__init__(daemon)
        self.done = {}

    def step(self, client):
        try:
            client.assign("w")
            claimed = client.claim_task(profiles=["w"], worker="x")
        except RpcError as error:
            assert error.code == -32004, error
            return
        while claimed["task"] and not self.ended:
            id = claimed["task"]["id"]
            try:
                assert client.complete_task(id=id, lease=claimed["lease"], result=id)["result"] == id
                self.done[id] = True
                return
            except RpcError as error:
                assert error.code == -32004, error


def unless_it_falls(read):
    """The result of a read; None if it followed a failed write in its pass and failed with it."""
    try:
        return read()
    except RpcError as error:
        assert error.code == -32004
        return None


def reads(client, id):
    return unless_it_falls(lambda: client.task(id)["id"] == id)


def works(client):
    return unless_it_falls(lambda: client.get_health()["storage"]["status"] == "ok")


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_acknowledged_is_lost_and_nothing_refused_is_kept(make_daemon, disk, kind):
    chance = random.Random(SEED)
    daemon = make_daemon(profile("p", queueLimit=10**6),
                         {"name": "w", "runner": {"type": "worker"}, "queueLimit": 10**6,
                          "maxConcurrentTasks": 100}, start=False)
    daemon.environment = disk.environment
    daemon.start()
    with daemon.client() as client:
        client.update_profile_status(name="p", isActive=False)
        clients = [Client(daemon, i) for i in range(3)]
        workers = [*clients, Worker(daemon)]
        for worker in workers:
            worker.start()

        def has_worked():
            assert not any(w.fault for w in workers), [w.fault for w in workers]
            return sum(len(c.there) for c in clients) > before + 5

        for _ in range(SPELLS):
            before = sum(len(c.there) for c in clients)
            wait_until(has_worked, "it goes on")
            injected = disk.injected
            endless = chance.random() < 0.5
            disk.fail(*KINDS[kind], after=chance.randrange(30),
                      times=-1 if endless else chance.choice([1, 2, 7]))
            # Reads are rare: checkpoints, pages that are not cached.
            calls = sum(c.calls for c in clients)
            wait_until(lambda: disk.injected > injected or sum(c.calls for c in clients) > calls + 200)
            if endless and not KINDS[kind][0] & READ:
                known = [id for c in clients for id in list(c.there)[:5]]
                for id in known:
                    wait_until(lambda: reads(client, id), "reads go on")
            disk.heal()
            wait_until(lambda: works(client), "it works again")
        for worker in workers:
            worker.ended = True
        for worker in workers:
            worker.join(60)
            assert not worker.is_alive() and not worker.fault, worker.fault
        print(f"{kind}: {disk.injected} failures, {sum(len(c.there) for c in clients)} acknowledged, "
              f"{sum(len(c.refused) for c in clients)} refused, ACPD_SEED={SEED}")

    def check():
        with daemon.client() as client:
            for one in clients:
                one.check(client)
            keys = {task["key"] for task in client.all_tasks().values()}
            assert not keys & set().union(*(one.refused for one in clients))
            for id in workers[-1].done:
                assert client.task(id)["result"] == id

    check()
    daemon.kill()
    daemon.start()
    check()
    daemon.stop()
    assert_counters_are_right(daemon)


@pytest.mark.parametrize("schema", ["schema-1", "schema-3"])
def test_an_upgrade_that_fails_changes_nothing(make_daemon, disk, schema):
    """Whichever write fails, the next start with a working disk finds the database unchanged."""
    daemon = make_daemon(profile("coder"), {"name": "w", "runner": {"type": "worker"}}, start=False,
                         taskRetention={"days": 36500})
    daemon.environment = disk.environment
    daemon.state.mkdir(mode=0o700)
    file = daemon.state / "acpd.db"
    with contextlib.closing(sqlite3.connect(file)) as database:
        database.executescript((FIXTURES / f"{schema}.sql").read_text())
        before = "\n".join(database.iterdump())
    failures = 0
    for after in range(0, 40, 2):
        disk.fail(WRITE | SYNC, FULL, after=after, times=-1)
        daemon.spawn()
        with contextlib.suppress(OSError):
            wait_until(lambda: daemon.process.poll() is not None or daemon.socket.exists())
        disk.heal()
        if daemon.process.poll() is None:
            daemon.kill()  # the upgrade had finished
            break
        failures += 1
        assert daemon.process.returncode == 1
        with contextlib.closing(sqlite3.connect(file)) as database:
            version, = database.execute("PRAGMA user_version").fetchone()
            assert version in (int(schema[-1]), NEWEST), "whole or not at all"
            assert version == NEWEST or "\n".join(database.iterdump()) == before
    assert failures > 2
    with daemon.start().client() as client:
        assert [task["id"] for task in client.list_tasks()["tasks"]] == list(range(7, 0, -1))
    daemon.stop()
    assert_counters_are_right(daemon)


@pytest.mark.parametrize("before", [0, 1, 50])
def test_what_was_refused_for_want_of_a_sync_is_not_there_after_a_kill(make_daemon, disk, before):
    """Its frames are complete in the log: the disk accepts writes but fails to sync. `before`: good commits."""
    daemon = make_daemon(profile("p", queueLimit=10**6), start=False)
    daemon.environment = disk.environment
    daemon.start()
    with daemon.client() as client:
        client.update_profile_status(name="p", isActive=False)
        for i in range(before):
            client.assign("p", f"held {i}")
        disk.fail(SYNC, IOERR_FSYNC, 0, -1)
        for i in range(3):
            with pytest.raises(RpcError) as error:
                client.assign("p", f"refused {i}", input="x" * 20000)
            assert error.value.code == -32004
        assert disk.injected > 3
        daemon.kill()
    disk.heal()
    with daemon.start().client() as client:
        titles = {task["title"] for task in client.list_tasks(limit=1000)["tasks"]}
        assert titles == {f"held {i}" for i in range(before)}
        assert client.state("p")["isActive"] is False
        client.assign("p", "afterwards")
    daemon.stop()
    assert_counters_are_right(daemon)
