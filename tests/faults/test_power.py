# SPDX-License-Identifier: MIT
"""
Power failures: acpd's writes to its database and its log are recorded, and disks are built from a prefix of them, on
which each unsynced sector is present, missing or torn.

ACPD_FAULTS=N (./dev faults N) makes 2 N disks; ACPD_SEED=S repeats a run.
"""

import bisect
import contextlib
import os
import random
import shutil
import sqlite3
import struct
import threading

from acpd import Client, profile, wait_until
from database import assert_counters_are_right
from test_disk import disk  # noqa: F401

CUTS = 2 * int(os.environ.get("ACPD_FAULTS", "100"))
SEED = int(os.environ.get("ACPD_SEED", str(random.randrange(1 << 32))))
SECTOR = 512
WRITE, SYNC, TRUNCATE = 1, 2, 4
ENTRY = struct.Struct("<cchiq")


class Told:
    """Acknowledged changes, each with the length of the record at that time."""

    def __init__(self, daemon, record):
        self.acpd, self.record = daemon, record
        self.assigned, self.cancelled = [], []  # (length of the record, key)
        self.touched = {}                       # key -> of the last call about it
        self.ended, self.fault = False, None

    def length(self):
        return self.record.stat().st_size

    def work(self, number):
        chance = random.Random(SEED + number)
        count, mine = 0, []
        try:
            with Client(self.acpd.socket) as client:
                while not self.ended:
                    calls = []
                    for _ in range(chance.choice([1, 3, 20])):
                        if mine and chance.random() < 0.3:
                            id, key = mine.pop(chance.randrange(len(mine)))
                            calls.append(("cancel_task", {"id": id}, key))
                        else:
                            count += 1
                            key = f"{number}.{count}"
                            calls.append(("assign_task_to_profile", {
                                "name": "p", "task": {"title": "t", "key": key,
                                                      "input": "x" * chance.randrange(30000)}}, key))
                    for method, params, _ in calls:
                        client.send_call(method, **params)
                    for method, params, key in calls:
                        result = client.reply()["result"]
                        if method == "cancel_task":
                            self.cancelled.append((self.length(), key))
                        else:
                            self.assigned.append((self.length(), key))
                            mine.append((result["task"]["id"], key))
        except Exception as fault:
            self.fault = fault


def parse(record):
    """[(end in the record, operation, file, at, data)]"""
    data, at, found = record.read_bytes(), 0, []
    while at < len(data):
        op, file, _, length, place = ENTRY.unpack_from(data, at)
        at += ENTRY.size
        found.append((at + length, op[0], file.decode(), place, data[at:at + length]))
        at += length
    return found


def apply(image, operation, place, data):
    if operation == WRITE:
        if len(image) < place + len(data):
            image.extend(bytes(place + len(data) - len(image)))
        image[place:place + len(data)] = data
    elif operation == TRUNCATE:
        del image[place:]


def tear(image, operation, place, data, chance):
    """An unsynced operation: whole, missing, or some of its sectors."""
    fate = chance.random()
    if fate < 0.4:
        return
    if fate < 0.7 or operation != WRITE:
        apply(image, operation, place, data)
        return
    for at in range(0, len(data), SECTOR):
        if chance.random() < 0.5:
            apply(image, WRITE, place + at, data[at:at + SECTOR])


def disks(base, operations, cuts, chance):
    """(length of the record, files) for each cut, in order."""
    durable = {"d": bytearray(base), "w": bytearray()}
    pending = {"d": [], "w": []}
    cuts = sorted(cuts)
    for number, (end, operation, file, place, data) in enumerate(operations):
        while cuts and cuts[0] <= number:
            cuts.pop(0)
            files = {name: bytearray(image) for name, image in durable.items()}
            for name in files:
                order = list(pending[name])
                if chance.random() < 0.5:
                    chance.shuffle(order)
                for entry in order:
                    tear(files[name], *entry, chance)
            yield operations[number - 1][0] if number else 0, files
        if operation == SYNC:
            for entry in pending[file]:
                apply(durable[file], *entry)
            pending[file].clear()
        else:
            pending[file].append((operation, place, data))


def check(folder, files, told, length):
    """Checks the database as SQLite finds it on this disk."""
    path = folder / "acpd.db"
    for leftover in folder.glob("acpd.db*"):
        leftover.unlink()
    path.write_bytes(files["d"])
    (folder / "acpd.db-wal").write_bytes(files["w"])
    with contextlib.closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA quick_check").fetchall() == [("ok",)]
        there = dict(database.execute("SELECT key, status FROM task"))
    for assigned in told.assigned[:bisect.bisect(told.assigned, (length, chr(0x10ffff)))]:
        assert assigned[1] in there, f"{assigned} was acknowledged, and is not there after {length}"
    for cancelled in told.cancelled[:bisect.bisect(told.cancelled, (length, chr(0x10ffff)))]:
        assert there[cancelled[1]] == 7, f"{cancelled} was acknowledged"
    return len(there)


def test_power_cuts_lose_nothing_acknowledged(make_daemon, disk, folder):  # noqa: F811
    print(f"ACPD_SEED={SEED} ACPD_FAULTS={CUTS // 2}")
    config = profile("p", queueLimit=10**8)
    daemon = make_daemon(config)
    with daemon.client() as client:
        client.update_profile_status(name="p", isActive=False)
    daemon.stop()
    base = (daemon.state / "acpd.db").read_bytes()
    record = folder / "record"
    record.touch()
    daemon.environment = {**disk.environment, "DISK_RECORD": str(record)}
    daemon.start()
    told = Told(daemon, record)
    threads = [threading.Thread(target=told.work, args=[number]) for number in range(2)]
    for thread in threads:
        thread.start()
    # Long enough for the log to be written back into the database and restarted.
    wait_until(lambda: told.fault or record.stat().st_size > 40 << 20)
    told.ended = True
    for thread in threads:
        thread.join()
    assert not told.fault, told.fault
    daemon.kill()
    told.assigned.sort()
    told.cancelled.sort()
    operations = parse(record)
    assert {operation for _, operation, file, _, _ in operations if file == "d"} >= {WRITE, SYNC}

    chance = random.Random(SEED)
    cuts = [chance.randrange(1, len(operations)) for _ in range(CUTS)]
    image, tried, found = folder / "image", 0, 0
    image.mkdir()
    for length, files in disks(base, operations, cuts, chance):
        found = check(image, files, told, length)
        tried += 1
        if tried % 50 == 0:  # also by acpd itself
            shutil.rmtree(daemon.state)
            daemon.state.mkdir(mode=0o700)
            (daemon.state / "acpd.db").write_bytes(files["d"])
            (daemon.state / "acpd.db-wal").write_bytes(files["w"])
            daemon.environment = {}
            with daemon.start().client() as client:
                assert client.assign("p")["status"] == "queued"
            daemon.stop()
            assert_counters_are_right(daemon)
    assert tried == CUTS and found
    print(f"{CUTS} power cuts, {len(operations)} writes and syncs, {len(told.assigned)} acknowledged tasks")
