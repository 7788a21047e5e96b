# SPDX-License-Identifier: MIT
"""Retention: removing old and excess finished tasks."""

import contextlib
import sqlite3
import subprocess

import pytest

from acpd import ACPD, DEADLINE, RpcError, profile, shell, wait_until
from database import assert_bytes_are_right, seal

DAY_MS = 86400000


def sql(daemon, statement, *parameters):
    """Runs SQL on the database of a stopped daemon."""
    with contextlib.closing(sqlite3.connect(daemon.database_file)) as database:
        rows = database.execute(statement, parameters).fetchall()
        if statement.startswith("UPDATE task"):
            seal(database)
        database.commit()
        return rows


def logs(daemon):
    return sorted(p.name for p in daemon.state.glob("logs/*/*.jsonl"))


def is_gone(client, id):
    try:
        client.task(id)
    except RpcError as error:
        return error.code == -32001
    return False


def is_over(client, id):
    """It has completed, and may have been removed since."""
    try:
        return client.task(id)["status"] == "completed"
    except RpcError as error:
        return error.code == -32001


def age(daemon, days, where):
    sql(daemon, f"UPDATE task SET finished_at = finished_at - ? WHERE {where}", days * DAY_MS)


def test_old_tasks_go_with_all_that_is_theirs(make_daemon):
    daemon = make_daemon(shell("echo out; exit 1", retry={"maxAttempts": 2, "backoff": 0.01}),
                         taskRetention={"days": 7})
    with daemon.client() as client:
        first = client.assign("p")["id"]
        dependant = client.assign("p", dependsOn=[first], key="k")["id"]
        kept = [client.assign("p")["id"] for _ in range(2)]
        for id in (first, dependant, *kept):
            client.finish(id)
        before = client.state("p")
    daemon.stop()
    age(daemon, 8, f"id <= {dependant}")
    age(daemon, 6, f"id > {dependant}")
    daemon.start()
    with daemon.client() as client:
        wait_until(lambda: is_gone(client, first) and is_gone(client, dependant), "the old tasks go")
        assert [t["id"] for t in client.list_tasks()["tasks"]] == kept[::-1]
        with pytest.raises(RpcError) as error:
            client.get_task_log(id=first)
        assert error.value.code == -32001
        assert logs(daemon) == sorted(f"{id}-{n}.jsonl" for id in kept for n in (1, 2))
        # The profile's history remains; the key is free again; no id is reused.
        after = client.state("p")
        assert after["failedTasks"] == before["failedTasks"] == 3
        assert after["averageProcessingTime"] == before["averageProcessingTime"]
        assert client.assign("p", key="k")["id"] == kept[-1] + 1
        client.finish(kept[-1] + 1)
    daemon.stop()
    assert sql(daemon, "SELECT count(*) FROM dependency") == [(0,)]
    assert sql(daemon, "SELECT DISTINCT task_id FROM attempt ORDER BY 1") == [
        (id,) for id in (*kept, kept[-1] + 1)]
    assert_bytes_are_right(daemon)


def test_the_newest_task_stays_so_that_its_id_is_not_used_again(make_daemon):
    daemon = make_daemon(profile(), taskRetention={"days": 1})
    with daemon.client() as client:
        for _ in range(3):
            client.finish(client.assign("p")["id"])
    daemon.stop()
    age(daemon, 100, "1")
    daemon.start()
    with daemon.client() as client:
        wait_until(lambda: is_gone(client, 2), "the old tasks go")
        assert client.task(3)["status"] == "completed"
        assert client.assign("p")["id"] == 4
        client.finish(4)
    daemon.restart()
    with daemon.client() as client:
        wait_until(lambda: is_gone(client, 3), "it goes once there is a newer one")


def test_what_is_not_finished_never_goes(make_daemon):
    daemon = make_daemon(profile(), shell("sleep 1000", "busy", maxConcurrentTasks=1),
                         taskRetention={"days": 1})
    with daemon.client() as client:
        client.update_profile_status(name="p", isActive=False)
        later = client.assign("p", runAt="2100-01-01T00:00:00Z")["id"]
        unfinished = [later, client.assign("p")["id"], client.assign("p", dependsOn=[later])["id"],
                      client.assign("busy")["id"]]
        done = client.cancel_task(id=client.assign("p")["id"])["id"]
        client.assign("p")
    daemon.stop()
    sql(daemon, "UPDATE task SET created_at = 1, started_at = 1")
    age(daemon, 100, "finished_at > 0")
    daemon.start()
    with daemon.client() as client:
        wait_until(lambda: is_gone(client, done), "the old task goes")
        assert [client.task(id)["id"] for id in unfinished] == unfinished


def test_logs_are_bounded_in_bytes(make_daemon):
    limit = 1 << 20
    daemon = make_daemon(shell("head -c 200000 /dev/zero | tr '\\0' 'x' | fold -w 1000",
                               maxConcurrentTasks=1), taskRetention={"bytes": limit})
    with daemon.client() as client:
        ids = [client.assign("p")["id"] for _ in range(12)]
        for id in ids:
            wait_until(lambda: is_over(client, id))
        wait_until(lambda: is_gone(client, ids[6]), "the oldest go")
        left = [id for id in ids if not is_gone(client, id)]
        assert left == ids[-len(left):] and 2 <= len(left) <= 5, "the last ones stay"
        assert sum(p.stat().st_size for p in daemon.state.glob("logs/*/*")) <= limit
        assert client.state("p")["completedTasks"] == len(ids)
    daemon.stop()
    assert_bytes_are_right(daemon)


def test_inputs_and_results_weigh_too(make_daemon):
    daemon = make_daemon({"name": "w", "runner": {"type": "worker"}},
                         taskRetention={"bytes": 1 << 20})
    with daemon.client() as client:
        for _ in range(8):
            client.assign("w", input="i" * 150000)
            claim = client.claim_task(profiles=["w"], worker="test")
            client.complete_task(id=claim["task"]["id"], lease=claim["lease"], result="r" * 150000)
        wait_until(lambda: is_gone(client, 5), "the oldest go")
        assert not is_gone(client, 6)
    daemon.stop()
    assert_bytes_are_right(daemon)


def test_a_cancelled_task_weighs_what_it_wrote_to_its_end(make_daemon):
    script = """write() { trap '' TERM; head -c 100000 /dev/zero | tr '\\0' x | fold -w 1000; exit; }
        trap write TERM; echo ready; while :; do sleep 0.01; done"""
    daemon = make_daemon(shell(script), killGrace=30)
    with daemon.client() as client:
        id = client.assign("p")["id"]
        wait_until(lambda: "ready" in "".join(client.log(id)), "it runs")
        client.cancel_task(id=id)
        wait_until(lambda: not daemon.processes(ACPD_TASK_ID=str(id)), "it ends")
    daemon.stop()
    [(bytes,)] = sql(daemon, "SELECT bytes FROM task WHERE id = ?", id)
    assert bytes > 100000
    assert_bytes_are_right(daemon)


def test_a_retried_task_weighs_nothing_until_it_ends_again(make_daemon):
    daemon = make_daemon(shell("exit 64"))
    with daemon.client() as client:
        id = client.finish(client.assign("p")["id"])["id"]
        client.update_profile_status(name="p", isActive=False)
        client.retry_task(id=id)
    daemon.stop()
    assert sql(daemon, "SELECT bytes FROM task") == [(0,)]
    assert_bytes_are_right(daemon)
    daemon.start()
    with daemon.client() as client:
        client.update_profile_status(name="p", isActive=True)
        client.finish(id)
    daemon.stop()
    assert_bytes_are_right(daemon)


def test_many_go_in_small_steps(make_daemon):
    daemon = make_daemon(profile(), taskRetention={"days": 1})
    with daemon.client() as client:
        client.update_profile_status(name="p", isActive=False)
        for _ in range(2000):
            client.send_call("assign_task_to_profile", name="p", task={"title": "t"})
        for _ in range(2000):
            client.reply()
        for id in range(1, 2000):
            client.send_call("cancel_task", id=id)
        for _ in range(1, 2000):
            client.reply()
    daemon.stop()
    age(daemon, 100, "finished_at > 0")
    daemon.start()
    with daemon.client() as client:
        wait_until(lambda: is_gone(client, 1999), "the old ones go")
        assert client.get_health()["loop"]["commits"] >= 1999 // 64 - 1, "not in one pass"
        assert [t["id"] for t in client.list_tasks()["tasks"]] == [2000]


MIB = 1 << 20


def fill(client, count, size):
    """Adds cancelled tasks to the paused profile "p", and a waiting one."""
    client.update_profile_status(name="p", isActive=False)
    for _ in range(count):
        client.cancel_task(id=client.assign("p", input="x" * size)["id"])
    client.assign("p")


def database_size(daemon):
    return (daemon.database_file).stat().st_size


def free_bytes(daemon):
    return sql(daemon, "PRAGMA freelist_count")[0][0] * 4096


def test_the_database_shrinks_while_acpd_runs(make_daemon):
    """In small steps after the tasks are removed; some free space is kept for new ones."""
    daemon = make_daemon(profile(), taskRetention={"days": 1})
    with daemon.client() as client:
        fill(client, 60, MIB // 2)
    daemon.stop()
    assert database_size(daemon) > 30 * MIB
    age(daemon, 100, "finished_at > 0")
    daemon.start()
    with daemon.client() as client:
        wait_until(lambda: database_size(daemon) < 6 * MIB, "the file shrinks")
        assert client.get_health()["loop"]["commits"] >= 26 * MIB // (64 * 4096), "not in one pass"
        assert client.get_health()["storage"]["sizeBytes"] < 60 * MIB
        fill(client, 1, 10)
    daemon.stop()
    assert 0 < free_bytes(daemon) <= 4 * MIB
    assert sql(daemon, "PRAGMA integrity_check") == [("ok",)]


def test_a_database_that_an_acpd_of_before_made_shrinks_by_backup_and_restore(make_daemon, folder):
    daemon = make_daemon(profile(), taskRetention={"days": 1})
    with daemon.client() as client:
        fill(client, 60, MIB // 2)
    daemon.stop()
    age(daemon, 100, "finished_at > 0")
    with contextlib.closing(sqlite3.connect(daemon.database_file, isolation_level=None)) as database:
        database.execute("PRAGMA journal_mode = DELETE")
        database.execute("PRAGMA auto_vacuum = NONE")
        database.execute("VACUUM")
        assert database.execute("PRAGMA auto_vacuum").fetchone() == (0,)
    daemon.start()
    with daemon.client() as client:
        wait_until(lambda: len(client.list_tasks()["tasks"]) == 1, "they go")
    daemon.stop()
    assert database_size(daemon) > 30 * MIB, "nothing is moved in it"

    def acpd(*words):
        run = subprocess.run([ACPD, "--state-dir", daemon.state, *words], capture_output=True, text=True,
                             timeout=DEADLINE)
        assert run.returncode == 0, run.stderr

    acpd("backup", folder / "backup.db")
    acpd("restore", folder / "backup.db")
    assert database_size(daemon) < MIB
    assert sql(daemon, "PRAGMA auto_vacuum") == [(2,)]
    with daemon.start().client() as client:
        assert [task["status"] for task in client.list_tasks()["tasks"]] == ["queued"]


def test_the_log_of_the_database_shrinks_after_a_reader_has_made_it_grow(make_daemon):
    daemon = make_daemon(profile())
    log = daemon.database_file.with_name("acpd.db-wal")
    with daemon.client() as client:
        with contextlib.closing(sqlite3.connect(daemon.database_file, isolation_level=None)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM task").fetchall()
            fill(client, 90, MIB // 2)
            assert log.stat().st_size > 40 * MIB

        def has_shrunk():
            client.assign("p")
            return log.stat().st_size <= 32 * MIB

        wait_until(has_shrunk, "the log shrinks with what is written next")
