# SPDX-License-Identifier: MIT
"""Databases that are damaged, and the ways out: backup, restore, sqlite3's .recover."""

import contextlib
import os
import random
import sqlite3
import subprocess
import threading

import pytest

from acpd import ACPD, RpcError, assert_counters_are_right, profile, shell, wait_until

PAGE = 4096


def run_acpd(daemon, *arguments):
    return subprocess.run([ACPD, "--state-dir", str(daemon.state), "--config", str(daemon.config),
                           *map(str, arguments)], capture_output=True, text=True, timeout=120)


def restore(daemon, file):
    run = run_acpd(daemon, "restore", file)
    assert run.returncode == 0, run.stderr
    return run.stdout


@pytest.fixture
def filled(make_daemon):
    """A stopped daemon with some hundred tasks."""
    daemon = make_daemon(profile("p"), profile("q"))
    with daemon.client() as client:
        client.update_profile_status(name="q", isActive=False)
        for i in range(100):
            client.assign("q", str(i), input="x" * 3000)
            last = client.assign("p", str(i))["id"]
        client.finish(last)
        wait_until(lambda: client.state("p")["queueSize"] == 0)
    daemon.stop()
    assert (daemon.state / "acpd.db").stat().st_size > 50 * PAGE
    return daemon


def tear(file, offset, data=b"\0" * PAGE):
    with open(file, "r+b") as opened:
        opened.seek(offset)
        opened.write(data)


def pages_of(file, name):
    """Where the pages of a table or an index are, its root first."""
    with contextlib.closing(sqlite3.connect(file)) as database:
        root, = database.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", [name]).fetchone()
    return (root - 1) * PAGE


DAMAGES = {
    "its header is gone": lambda file: tear(file, 0),
    "its header is torn": lambda file: tear(file, 0, b"\xff" * 512),
    "its end is missing": lambda file: os.truncate(file, 20 * PAGE),
    "half a page is missing": lambda file: os.truncate(file, 20 * PAGE + 1000),
    "a table is torn": lambda file: tear(file, pages_of(file, "task") + 100, os.urandom(500)),
    "an index is torn": lambda file: tear(file, pages_of(file, "task_live"), b"\xa5" * 600),
    "a page in the middle is zeros": lambda file: tear(file, 40 * PAGE),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_told_at_the_start_and_nothing_is_replaced(filled, damage):
    file = filled.state / "acpd.db"
    assert run_acpd(filled, "backup", filled.folder / "good").returncode == 0
    DAMAGES[damage](file)
    before = file.read_bytes()
    filled.log.unlink()
    assert filled.spawn().process.wait(60) == 1
    said = filled.log.read_text()
    assert "acpd.db" in said and "acpd restore" in said
    assert file.read_bytes() == before
    checked = run_acpd(filled, "--check")
    assert checked.returncode == 1 and "acpd.db" in checked.stderr
    # The way out that a backup is.
    assert "good, schema" in restore(filled, filled.folder / "good")
    assert (filled.state / "acpd.db.replaced").read_bytes() == before
    with filled.start().client() as client:
        assert len(client.list_tasks(limit=1000)["tasks"]) == 200


@pytest.mark.parametrize("damage", [name for name in DAMAGES if "header" not in name])
def test_what_can_be_saved_without_a_backup(filled, damage):
    file, saved = filled.state / "acpd.db", filled.folder / "saved"
    DAMAGES[damage](file)
    before = file.read_bytes()
    run = run_acpd(filled, "recover", saved)
    assert run.returncode == 0, run.stderr
    assert ("could not be read" in run.stdout) == (damage != "an index is torn")
    assert file.read_bytes() == before
    restore(filled, saved)
    with filled.start().client() as client:
        there = client.list_tasks(limit=1000)["tasks"]
        # A leaf holds some of these tasks, an inner page the way to many.
        assert len(there) >= {"an index is torn": 200, "a page in the middle is zeros": 150}.get(damage, 1)
        for task in there:
            assert client.task(task["id"])["title"] == task["title"]
        names = {state["name"]: state for state in client.get_profile_states()}
        assert names["q"]["queueSize"] == sum(
            task["status"] == "queued" and task["profile"] == "q" for task in there)
        assert client.finish(client.assign("p")["id"])["status"] == "completed"


def test_a_database_that_is_whole_is_recovered_whole(filled, folder):
    run = run_acpd(filled, "recover", folder / "saved")
    assert run.returncode == 0 and run.stdout.endswith("200 tasks\n")

    def rows(file):
        with contextlib.closing(sqlite3.connect(file)) as database:
            return {name: sorted(map(repr, database.execute(f"SELECT * FROM {name}")))
                    for name, in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}

    assert rows(folder / "saved") == rows(filled.state / "acpd.db")
    assert run_acpd(filled, "recover", folder / "saved").returncode == 1, "it replaces nothing"


@pytest.mark.parametrize("damage", [name for name in DAMAGES if "header" in name])
def test_without_its_first_page_nothing_can_be_saved(filled, damage):
    DAMAGES[damage](filled.state / "acpd.db")
    run = run_acpd(filled, "recover", filled.folder / "saved")
    assert run.returncode == 1 and "acpd.db" in run.stderr
    assert not (filled.folder / "saved").exists()


def test_random_damage_is_never_taken_for_a_new_database(filled):
    """Whatever is torn, acpd says so, or goes on with every task it can list; it never begins anew."""
    file = filled.state / "acpd.db"
    good = file.read_bytes()
    chance = random.Random(int(os.environ.get("ACPD_SEED", "7")))
    for _ in range(20):
        torn = bytearray(good)
        for _ in range(chance.choice([1, 1, 4])):
            at, length = chance.randrange(len(torn)), chance.choice([1, 16, 512, PAGE])
            torn[at:at + length] = os.urandom(len(torn[at:at + length]))
        file.write_bytes(torn)
        for leftover in ("acpd.db-wal", "acpd.db-shm"):
            (filled.state / leftover).unlink(missing_ok=True)
        filled.spawn()

        def has_decided():
            if filled.process.poll() is not None:
                return "ended"
            with contextlib.suppress(OSError), filled.client() as client:
                return client.get_health() and "answers"

        if wait_until(has_decided) == "ended":
            assert filled.process.returncode == 1
            assert "acpd restore" in filled.log.read_text()
        else:
            with filled.client() as client:
                # SQLite has no checksums: a word that is torn within a row comes out as it is, but
                # every reply is one line of UTF-8.
                client.send_call("list_tasks", limit=1000)
                line = client.line().decode()
                assert "damaged" in line or "malformed" in line or line.count('"createdAt":') == 200
            filled.kill()
    file.write_bytes(good)


@pytest.mark.parametrize("change", [
    "status = 0", "priority = 7", "body = char(10) || body", "result = x'7bff7d'",
    "routing = 'a' || char(1)"])
def test_a_row_that_acpd_never_wrote_is_told(filled, change):
    with contextlib.closing(sqlite3.connect(filled.state / "acpd.db")) as database:
        database.execute(f"UPDATE task SET {change} WHERE id = 1")
        database.commit()
    with filled.start().client() as client:
        for call in (lambda: client.task(1), lambda: client.list_tasks(limit=1000)):
            with pytest.raises(RpcError, match="the row of task 1 is damaged") as error:
                call()
            assert error.value.code == -32004
        assert client.task(2)["id"] == 2


def test_a_backup_under_load_is_one_moment(make_daemon, folder):
    """Every task that was acknowledged before it began is in it; its counters are those of its rows."""
    daemon = make_daemon(profile("p", maxConcurrentTasks=4, queueLimit=10**6),
                         shell("true", "q", maxConcurrentTasks=4, queueLimit=10**6))
    ended, acknowledged = threading.Event(), []

    def assign():
        with daemon.client() as client:
            while not ended.is_set():
                for _ in range(20):
                    client.send_call("assign_task_to_profile", name="q", task={"title": "t"})
                acknowledged.extend(client.reply()["result"]["task"]["id"] for _ in range(20))

    thread = threading.Thread(target=assign)
    thread.start()
    copies = []
    try:
        for i in range(5):
            before = len(acknowledged)
            wait_until(lambda: len(acknowledged) > before)
            known = list(acknowledged)
            copy = folder / f"copy-{i}"
            run = run_acpd(daemon, "backup", copy)
            assert run.returncode == 0, run.stderr
            copies.append((copy, known))
    finally:
        ended.set()
        thread.join()
    for copy, known in copies:
        assert list(folder.glob(f"{copy.name}?*")) == [], "it is one file"
        assert copy.stat().st_mode & 0o077 == 0
        with contextlib.closing(sqlite3.connect(copy)) as database:
            assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            ids = {id for id, in database.execute("SELECT id FROM task")}
        assert set(known) <= ids
    daemon.kill()
    restore(daemon, copies[0][0])
    with daemon.start().client() as client:
        wait_until(lambda: client.state("q")["queueSize"] + client.state("q")["currentTasks"] == 0,
                   deadline=300)
    daemon.stop()
    assert_counters_are_right(daemon)


def test_what_backup_and_restore_refuse(filled, folder):
    copy = folder / "copy"
    copy.write_text("mine")
    run = run_acpd(filled, "backup", copy)
    assert run.returncode == 1 and "already" in run.stderr and copy.read_text() == "mine"
    assert run_acpd(filled, "backup").returncode == 1
    assert run_acpd(filled, "backup", folder / "no" / "folder").returncode == 1
    before = (filled.state / "acpd.db").read_bytes()
    for senseless in ("my diary\n" * 1000, ""):
        copy.write_text(senseless)
        run = run_acpd(filled, "restore", copy)
        assert run.returncode == 1 and str(copy) in run.stderr
    assert run_acpd(filled, "restore", folder / "none").returncode == 1
    with contextlib.closing(sqlite3.connect(folder / "newer")) as database:
        database.execute("PRAGMA user_version = 999")
        database.execute("CREATE TABLE task (id)")
        database.commit()
    run = run_acpd(filled, "restore", folder / "newer")
    assert run.returncode == 1 and "newer acpd" in run.stderr
    assert (filled.state / "acpd.db").read_bytes() == before
    assert {path.name for path in filled.state.glob("acpd.db*")} <= {"acpd.db", "acpd.db-wal", "acpd.db-shm"}
    assert run_acpd(filled, "backup", folder / "good").returncode == 0
    filled.start()
    run = run_acpd(filled, "restore", folder / "good")
    assert run.returncode == 75 and "another acpd" in run.stderr


def test_there_is_nothing_to_back_up(make_daemon, folder):
    daemon = make_daemon(profile(), start=False)
    assert run_acpd(daemon, "backup", folder / "copy").returncode == 1
    assert not daemon.state.exists() and not (folder / "copy").exists()
