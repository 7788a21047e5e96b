# SPDX-License-Identifier: MIT
"""Databases of earlier acpds; tests/fixtures has one of each schema."""

import contextlib
import pathlib
import sqlite3

import pytest

from acpd import profile, wait_until
from database import assert_bytes_are_right, assert_counters_are_right, seal

FIXTURES = pathlib.Path(__file__).parents[1] / "fixtures"


@pytest.mark.parametrize("schema", sorted(p.stem for p in FIXTURES.glob("schema-*.sql")))
def test_an_older_database_is_taken_over(make_daemon, schema):
    has_leases = schema != "schema-1"  # what ran then was acpd's child and is queued again
    daemon = make_daemon(profile("coder"), {"name": "w", "runner": {"type": "worker"}},
                         start=False, taskRetention={"days": 36500})
    daemon.state.mkdir(mode=0o700)
    with contextlib.closing(sqlite3.connect(daemon.database_file)) as database:
        database.executescript((FIXTURES / f"{schema}.sql").read_text())
    daemon.start()
    with daemon.client() as client:
        tasks = {t["id"]: t for t in client.list_tasks()["tasks"]}
        assert [(tasks[id]["status"], tasks[id]["type"]) for id in sorted(tasks)] == [
            ("completed", "coding"), ("failed", "testing"), ("cancelled", None),
            ("scheduled", "coding"), ("queued", "docs"), ("queued", None),
            ("running" if has_leases else "queued", "work")]
        first = tasks[1]
        assert first["title"] == "Write it" and first["key"] == "k1"
        assert first["description"] == 'A "quoted" {text}\nin lines'
        assert first["input"] == {"a": [1, {"b": "}"}], "type": "no"}
        assert first["result"] == {"output": "done\n"} and first["dependsOn"] == []
        assert tasks[4]["capabilities"] == ["x", "y"] and tasks[5]["title"] == "Queued, é"
        assert tasks[2]["error"] == {"class": "exit", "message": "exited with status 1"}
        state = client.state("coder")
        assert (state["completedTasks"], state["failedTasks"], state["queueSize"]) == (1, 1, 3)
        assert not state["isActive"] and 0 < state["averageProcessingTime"] < 0.1
        assert client.state("w")["currentTasks"] == has_leases, "the worker's lease holds"
        # It works on from there.
        assert client.assign("coder", dependsOn=[1])["id"] == 8
        client.update_profile_status(name="coder", isActive=True)
        for id in (5, 6, 8):
            assert client.finish(id)["status"] == "completed"
        wait_until(lambda: client.state("coder")["queueSize"] == 1)
    daemon.stop()
    assert_counters_are_right(daemon)
    assert_bytes_are_right(daemon)


def test_an_error_class_of_a_later_acpd_is_shown_as_it_stands(make_daemon):
    """And is kept when the row is rewritten."""
    daemon = make_daemon(profile("p", ["false"], retry={"maxAttempts": 1}),
                         profile("slow", ["false"], retry={"maxAttempts": 2, "backoff": 3600, "maxBackoff": 3600}))
    with daemon.client() as client:
        failed = client.finish(client.assign("p")["id"])["id"]
        waiting = client.assign("slow")["id"]
        wait_until(lambda: client.task(waiting)["error"], "it waits for another attempt")
    daemon.stop()
    with contextlib.closing(daemon.database()) as database:
        database.execute("UPDATE task SET error_class = 'of_tomorrow'")
        database.execute("UPDATE attempt SET error_class = 'of_tomorrow'")
        seal(database)
        database.commit()
    daemon.start()
    with daemon.client() as client:
        assert [task["error"]["class"] for task in client.list_tasks()["tasks"]] == ["of_tomorrow"] * 2
        assert client.task(failed)["status"] == "failed" and client.state("p")["failedTasks"] == 1
        metrics = client.get_profile_metrics(name="p")
        assert (metrics["sampleSize"], metrics["successRate"]) == (1, 0)
        assert client.update_task(id=waiting, priority="high")["error"]["class"] == "of_tomorrow"
        assert client.update_task(id=waiting, runAt=None)["status"] == "queued"
        assert client.finish(waiting)["error"]["class"] == "exit"
        assert client.retry_task(id=failed)["error"] is None
        assert client.finish(failed)["error"]["class"] == "exit"
    daemon.stop()
    assert_counters_are_right(daemon)
