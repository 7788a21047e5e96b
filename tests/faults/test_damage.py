# SPDX-License-Identifier: MIT
"""Damaged databases, and the remedies: backup, restore, recover."""

import contextlib
import os
import random
import sqlite3
import subprocess
import threading

import pytest

from acpd import ACPD, RpcError, profile, shell, wait_until
from database import assert_counters_are_right, seal

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
    """A stopped daemon with hundreds of tasks."""
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
    """The offsets of the pages of a table or index, root first."""
    with contextlib.closing(sqlite3.connect(file)) as database:
        root, = database.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", [name]).fetchone()
    return (root - 1) * PAGE


DAMAGES = {
    "its header is gone": lambda file: tear(file, 0),
    "its header is torn": lambda file: tear(file, 0, b"\xff" * 512),
    "its end is missing": lambda file: os.truncate(file, 20 * PAGE),
    "half a page is missing": lambda file: os.truncate(file, 20 * PAGE + 1000),
    "a table is torn": lambda file: tear(file, pages_of(file, "task") + 100, b"\x5a" * 500),
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
    # Backups.
    assert "ok, schema" in restore(filled, filled.folder / "good")
    replaced, = filled.state.glob("acpd.db.replaced-*Z")
    assert replaced.read_bytes() == before
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
        # A leaf holds some of these tasks, an inner page leads to many.
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
    """acpd reports the damage or runs with every task that it can list; it never creates a new database."""
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
                # SQLite has no checksums, so damaged bytes within a row are read as they are, but
            # every reply is one line of UTF-8.
                client.send_call("list_tasks", limit=1000)
                line = client.line().decode()
                assert "damaged" in line or "malformed" in line or line.count('"createdAt":') == 200
            filled.kill()
    file.write_bytes(good)


def change_row(daemon, change, where="id = 1"):
    """Changes a row of a stopped daemon without updating its checksum, as a flipped bit would."""
    with contextlib.closing(sqlite3.connect(daemon.state / "acpd.db")) as database:
        assert database.execute(f"UPDATE task SET {change} WHERE {where}").rowcount == 1
        database.commit()


def every_list_answers(client):
    """All read methods answer with one line of JSON."""
    ids = list(client.all_tasks())
    for status in ("scheduled", "blocked", "queued", "running", "completed", "failed", "cancelled"):
        client.list_tasks(status=status, limit=1000)
    for id in ids:
        assert client.task(id)["id"] == id
    for state in client.get_profiles_with_states():
        client.get_profile_task_queue(name=state["profile"]["name"], limit=1000)
        for range in ("1h", "24h", "7d"):
            client.get_metrics_history(name=state["profile"]["name"], range=range)
    client.get_capacity()
    client.get_metrics_export()
    assert client.get_health()["storage"]["status"] == "ok"
    return ids


DAMAGED = int(os.environ.get("ACPD_FAULTS", "40"))


def test_after_a_recovery_of_random_damage_acpd_starts_and_every_list_answers(filled):
    """ACPD_FAULTS databases: damaged pages, byte ranges and single bits, in one or several places."""
    file, saved = filled.state / "acpd.db", filled.folder / "saved"
    good = file.read_bytes()
    seed = int(os.environ.get("ACPD_SEED", random.randrange(1 << 32)))
    chance = random.Random(seed)
    print(f"ACPD_SEED={seed} ACPD_FAULTS={DAMAGED}")
    recovered = left = 0
    for _ in range(DAMAGED):
        torn = bytearray(good)
        for _ in range(chance.choice([1, 1, 4, 30])):
            at, length = chance.randrange(100, len(torn)), chance.choice([0, 0, 1, 16, 512, PAGE])
            if length:
                torn[at:at + length] = chance.randbytes(len(torn[at:at + length]))
            else:
                torn[at] ^= 1 << chance.randrange(8)
        for name in ("acpd.db-wal", "acpd.db-shm", "saved"):
            (filled.folder / name if name == "saved" else filled.state / name).unlink(missing_ok=True)
        file.write_bytes(torn)
        run = run_acpd(filled, "recover", saved)
        if run.returncode != 0:  # the first page is damaged
            assert "acpd.db" in run.stderr
            continue
        recovered += 1
        restore(filled, saved)
        for replaced in filled.state.glob("acpd.db.replaced-*"):
            replaced.unlink()
        with filled.start().client() as client:
            left += len(every_list_answers(client))
        assert filled.stop() == 0
    file.write_bytes(good)
    print(f"{recovered} of {DAMAGED} were recovered, with {left} of {200 * recovered} tasks")
    assert recovered > DAMAGED / 2 and left > 100 * recovered


@pytest.mark.parametrize("change", [
    "status = 0", "status = 7", "priority = 7", "priority = 0", "priority = priority + (1 << 32)",
    "status = status + (1 << 32)", "body = char(10) || body",
    "body = replace(body, ':', ';')", "body = replace(body, 'title', 'tithe')", "result = x'7bff7d'",
    "routing = 'a' || char(1)", "crc = crc + 1", "crc = NULL", "attempt = 1.5", "created_at = '1'"])
def test_a_row_that_acpd_never_wrote_is_told(filled, change):
    change_row(filled, change)
    with filled.start().client() as client:
        for call in (lambda: client.task(1), lambda: client.list_tasks(limit=1000)):
            with pytest.raises(RpcError, match="the row of task 1 is damaged") as error:
                call()
            assert error.value.code == -32004
        assert client.task(2)["id"] == 2
        # Other profiles continue, and health reports the damage.
        assert client.finish(client.assign("p")["id"])["status"] == "completed"
        assert any("the row of task 1 is damaged" in reason for reason in client.get_health()["reasons"])
    checked = run_acpd(filled, "--check")
    assert checked.returncode == 1 and "the row of task 1" in checked.stderr


def test_a_damaged_row_at_the_head_of_a_queue_stops_that_profile_alone(filled):
    with contextlib.closing(sqlite3.connect(filled.state / "acpd.db")) as database:
        first, = database.execute("SELECT min(id) FROM task WHERE status = 1").fetchone()
        database.execute("UPDATE task SET priority = 9 WHERE id = ?", [first])
        database.commit()
    with filled.start().client() as client:
        client.update_profile_status(name="q", isActive=True)
        assert client.finish(client.assign("p")["id"])["status"] == "completed"
        assert client.state("q")["currentTasks"] == 0
        assert client.get_health()["status"] == "unhealthy"


def test_a_damaged_dependant_keeps_nobody_else_waiting(make_daemon):
    daemon = make_daemon({"name": "w", "runner": {"type": "worker"}}, profile("p"))
    with daemon.client() as client:
        first = client.assign("w")["id"]
        damaged, sound = (client.assign("p", dependsOn=[first])["id"] for _ in range(2))
    daemon.stop()
    change_row(daemon, "crc = crc + 1", f"id = {damaged}")
    with daemon.start().client() as client:
        claim = client.claim_task(profiles=["w"], worker="x")
        client.complete_task(id=first, lease=claim["lease"])
        assert client.finish(sound)["status"] == "completed"
        second = client.assign("w")["id"]
        other = client.assign("p", dependsOn=[second])["id"]
        claim = client.claim_task(profiles=["w"], worker="x")
        client.complete_task(id=second, lease=claim["lease"])
        assert client.finish(other)["status"] == "completed"


@pytest.fixture
def interrupted(make_daemon):
    """A daemon killed while two tasks run, a third waits and a fourth is done."""
    daemon = make_daemon(shell("sleep 1000", maxConcurrentTasks=2), profile("q"))
    with daemon.client() as client:
        for i in range(3):
            client.assign("p", str(i))
        client.finish(client.assign("q")["id"])
        wait_until(lambda: client.state("p")["currentTasks"] == 2)
    daemon.kill()
    wait_until(lambda: not daemon.processes())
    return daemon


@pytest.mark.parametrize("change, where", [
    ("body = replace(body, '0', x'ff')", "id = 1"), ("attempt = 7", "id = 1"), ("status = 4", "id = 4"),
    ("profile_id = 77", "id = 1"), ("body = ''", "id = 1")],
    ids=["a bit in a text", "its attempt", "a task that is done", "its profile", "no text"])
def test_a_damaged_row_of_what_ran_keeps_nothing_from_starting(interrupted, folder, change, where):
    change_row(interrupted, change, where)
    id = int(where.split()[-1])
    checked = run_acpd(interrupted, "--check")
    assert checked.returncode == 1 and f"the row of task {id}" in checked.stderr
    with interrupted.start().client() as client:
        assert f"the row of task {id} is damaged" in interrupted.log.read_text()
        assert client.finish(client.assign("q")["id"])["status"] == "completed"
        wait_until(lambda: client.task(2)["attempt"] == 2, "the other goes on")
        for task in (2, 3):
            client.cancel_task(id=task)
    interrupted.stop()
    # All but this row can be recovered, and acpd starts with it.
    run = run_acpd(interrupted, "recover", folder / "saved")
    assert run.returncode == 0 and "could not be read" in run.stdout
    restore(interrupted, folder / "saved")
    assert run_acpd(interrupted, "--check").returncode == 0
    with interrupted.start().client() as client:
        assert {task["id"] for task in client.list_tasks()["tasks"]} == {1, 2, 3, 4, 5} - {id}


def test_a_damaged_row_does_not_stop_retention(filled):
    """Even if it is the oldest."""
    change_row(filled, "body = body || ' '", "finished_at = (SELECT min(finished_at) FROM task "
               "WHERE status > 4) AND id = 2")
    with contextlib.closing(sqlite3.connect(filled.state / "acpd.db")) as database:
        old, = database.execute("SELECT id FROM task WHERE status > 4 AND id <> 2 ORDER BY id").fetchone()
        database.execute("UPDATE task SET finished_at = 1 WHERE id = ?", [old])
        seal(database, f"id = {old}")
        database.commit()
    with filled.start().client() as client:
        def is_gone():
            try:
                client.task(old)
            except RpcError as error:
                return error.code == -32001

        wait_until(is_gone)


@pytest.mark.parametrize("leave_log", [False, True])
def test_an_empty_file_is_no_new_database(filled, leave_log):
    file, log = filled.state / "acpd.db", filled.state / "acpd.db-wal"
    filled.start()
    with filled.client() as client:
        client.assign("q", "in the log")
    filled.kill()
    assert log.stat().st_size
    os.truncate(file, 0)
    if not leave_log:
        log.unlink()
    before = log.read_bytes() if leave_log else None
    assert filled.spawn().process.wait(60) == 1
    assert "the file is empty" in filled.log.read_text()
    assert file.stat().st_size == 0 and (not leave_log or log.read_bytes() == before)


def test_a_log_without_its_database_is_not_thrown_away(filled):
    filled.start().kill()
    (filled.state / "acpd.db").unlink()
    log = filled.state / "acpd.db-wal"
    log.write_bytes(log.read_bytes() or b"x" * 100)
    before = log.read_bytes()
    assert filled.spawn().process.wait(60) == 1
    assert "without its database" in filled.log.read_text()
    assert log.read_bytes() == before and not (filled.state / "acpd.db").exists()


def test_the_log_of_a_damaged_database_is_left_alone(filled):
    with filled.start().client() as client:
        client.assign("q", "in the log")
    filled.kill()
    file, log = filled.state / "acpd.db", filled.state / "acpd.db-wal"
    tear(file, 40 * PAGE)
    before = file.read_bytes(), log.read_bytes()
    assert before[1] and filled.spawn().process.wait(60) == 1
    assert (file.read_bytes(), log.read_bytes()) == before


def test_a_row_whose_id_is_wrong_costs_no_other(filled, folder):
    """Found by its bytes: a cell of a table leaf stores the row's id, here as a varint of two bytes."""
    file = filled.state / "acpd.db"
    with contextlib.closing(sqlite3.connect(file)) as database:
        database.execute("UPDATE task SET body = '\"title\":\"needle\"' WHERE id = 150")
        seal(database, "id = 150")
        database.commit()
        database.execute("VACUUM")
    data = bytearray(file.read_bytes())
    at = data.index(b'"title":"needle"')
    at = data.rindex(bytes([0x81, 0x16]), at - 200, at)  # 150
    data[at] = 0xc1                                      # 8342
    file.write_bytes(data)
    run = run_acpd(filled, "recover", folder / "saved")
    assert run.returncode == 0 and "could not be read" in run.stdout, run.stderr
    with contextlib.closing(sqlite3.connect(folder / "saved")) as database:
        ids = {id for id, in database.execute("SELECT id FROM task")}
    assert len(ids) >= 195 and max(ids) == 200


def killed_at(daemon, call, number, *arguments):
    """Runs acpd and kills it at its nth call of this function."""
    return subprocess.run(["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={call}", "-e",
                           f"inject={call}:signal=KILL:error=EIO:when={number}", ACPD, "--state-dir",
                           str(daemon.state), *map(str, arguments)], capture_output=True, text=True,
                          timeout=120, env={**os.environ, "ASAN_OPTIONS": "detect_leaks=0"})


def test_a_restore_that_is_killed_loses_nothing(filled, folder):
    """At every step, the database is either completely the old one or the restored one."""
    assert run_acpd(filled, "backup", folder / "good").returncode == 0
    with filled.start().client() as client:
        client.assign("q", "after the backup")
    tried = 0
    for call in ("rename", "link", "unlink", "fdatasync", "fsync"):
        for number in range(1, 9):
            if filled.process.poll() is None:
                filled.kill()  # leaves its log
            killed = killed_at(filled, call, number, "restore", folder / "good")
            if killed.returncode == 0:
                break
            tried += 1
            with filled.start().client() as client:
                titles = [task["title"] for task in client.list_tasks(limit=1000)["tasks"]]
                assert len(titles) in (200, 201)
                assert (len(titles) == 201) == ("after the backup" in titles)
                if len(titles) == 200:
                    client.assign("q", "after the backup")
    assert tried > 5
    for leftover in filled.state.glob("acpd.db.??????"):
        leftover.unlink()


@pytest.mark.parametrize("command", ["backup", "recover"])
def test_a_copy_that_is_killed_leaves_no_file_of_its_name(filled, folder, command):
    killed = killed_at(filled, "fdatasync", 1, command, folder / "copy")
    assert killed.returncode != 0 and not (folder / "copy").exists()


def test_a_backup_of_a_damaged_database_fails_and_leaves_no_file(filled, folder):
    DAMAGES["a table is torn"](filled.state / "acpd.db")
    run = run_acpd(filled, "backup", folder / "copy")
    assert run.returncode == 1 and str(filled.state / "acpd.db") in run.stderr
    assert not list(folder.glob("copy*"))


def test_a_journal_beside_the_old_database_does_not_spoil_the_new_one(filled, folder):
    assert run_acpd(filled, "backup", folder / "good").returncode == 0
    (filled.state / "acpd.db-journal").write_bytes(os.urandom(5000))
    restore(filled, folder / "good")
    with filled.start().client() as client:
        assert len(client.list_tasks(limit=1000)["tasks"]) == 200


@pytest.mark.parametrize("leaves", ["before the next start", "after it", "after a kill"])
def test_a_restore_beside_someone_who_reads_mixes_nothing(filled, folder, leaves):
    """A reader keeps the log of the old database from being written back. The log moves aside with its database, and
    the reader's exit harms neither that one nor the new one."""
    assert run_acpd(filled, "backup", folder / "good").returncode == 0
    with filled.start().client() as client:
        client.assign("q", "after the backup")
        with contextlib.closing(filled.database()) as reader:
            reader.isolation_level = None
            reader.execute("BEGIN")
            assert reader.execute("SELECT count(*) FROM task").fetchone() == (201,)
            for i in range(50):
                client.assign("q", f"not taken in {i}", input="x" * 3000)
            filled.kill()
            assert (filled.state / "acpd.db-wal").stat().st_size > 50 * 3000
            restore(filled, folder / "good")
            if leaves == "before the next start":
                reader.close()
            with filled.start().client() as client:
                assert len(client.list_tasks(limit=1000)["tasks"]) == 200
                client.assign("q", "after the restore")
            if leaves == "after a kill":
                filled.kill()
            if leaves != "before the next start":
                assert reader.execute("SELECT count(*) FROM task").fetchone() == (201,)
                reader.execute("COMMIT")
                assert reader.execute("SELECT count(*) FROM task").fetchone() == (251,)
                reader.close()
    filled.kill()
    with filled.start().client() as client:
        titles = [task["title"] for task in client.list_tasks(limit=1000)["tasks"]]
        assert len(titles) == 201 and titles[0] == "after the restore"
    filled.stop()
    assert_counters_are_right(filled)
    [aside] = filled.state.glob("acpd.db.replaced-*Z")
    with contextlib.closing(sqlite3.connect(aside)) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert database.execute("SELECT count(*) FROM task").fetchone() == (251,)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can restore what is another user's")
def test_a_restore_is_its_owners_to_do(filled, folder):
    """Otherwise acpd could not write the restored database."""
    assert run_acpd(filled, "backup", folder / "good").returncode == 0
    os.chown(filled.state, 65534, 65534)
    run = run_acpd(filled, "restore", folder / "good")
    assert run.returncode == 1 and "user 65534" in run.stderr
    os.chown(filled.state, 0, 0)


def test_a_backup_under_load_is_one_moment(make_daemon, folder):
    """It contains every task acknowledged before it began; its counters match its rows."""
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
    assert [path.name for path in filled.state.glob("acpd.db*")] == ["acpd.db"]
    assert run_acpd(filled, "backup", folder / "good").returncode == 0
    filled.start()
    run = run_acpd(filled, "restore", folder / "good")
    assert run.returncode == 75 and "another acpd" in run.stderr


def test_the_database_of_a_newer_acpd_is_neither_backed_up_nor_recovered(filled, folder):
    with contextlib.closing(filled.database()) as database:
        database.execute("PRAGMA user_version = 999")
    for command in ("backup", "recover"):
        run = run_acpd(filled, command, folder / "copy")
        assert run.returncode == 1 and "newer acpd" in run.stderr, command
        assert not list(folder.glob("copy*"))


def test_there_is_nothing_to_back_up(make_daemon, folder):
    daemon = make_daemon(profile(), start=False)
    assert run_acpd(daemon, "backup", folder / "copy").returncode == 1
    assert not daemon.state.exists() and not (folder / "copy").exists()
