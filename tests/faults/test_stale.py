# SPDX-License-Identifier: MIT
"""Stale store verbs: if a task has changed meanwhile, nothing is written, and the caller gets an error."""

import contextlib
import signal

import pytest
from acpd import RpcError, shell, wait_until
from database import assert_counters_are_right

WORKER = {"name": "w", "runner": {"type": "worker", "lease": 3600}}
CONFLICT = -32002


@pytest.fixture
def daemon(make_daemon):
    daemon = make_daemon(start=False)
    daemon.configure(shell("cat", maxConcurrentTasks=1), WORKER)
    yield daemon.start_faulty()
    daemon.stop()
    assert_counters_are_right(daemon)


@contextlib.contextmanager
def stale(daemon, verb):
    daemon.order.write_text(verb)
    yield
    daemon.order.unlink()


@contextlib.contextmanager
def conflict(daemon, verb, words):
    with stale(daemon, verb), pytest.raises(RpcError, match=words) as caught:
        yield
    assert caught.value.code == CONFLICT


def test_a_task_for_a_profile_that_has_gone(daemon):
    with daemon.client() as client:
        with conflict(daemon, "add", 'profile "w" has been removed'):
            client.assign("w", key="k")
        assert not client.all_tasks()
        assert client.assign("w", key="k")["id"] == 1


def test_a_change_and_a_cancel_that_came_second(daemon):
    words = "task 1 was changed concurrently; nothing was changed"
    with daemon.client() as client:
        before = client.assign("w")
        with conflict(daemon, "change", words):
            client.update_task(id=1, priority="high")
        with conflict(daemon, "cancel", words):
            client.cancel_task(id=1)
        assert client.task(1) == before
        assert client.update_task(id=1, priority="high")["priority"] == "high"
        cancelled = client.cancel_task(id=1)
        with conflict(daemon, "change", words):
            client.retry_task(id=1)
        assert client.task(1) == cancelled
        assert client.retry_task(id=1)["status"] == "queued"


def test_an_eviction_that_came_second(daemon):
    """The task has already made room."""
    daemon.configure({**WORKER, "queueLimit": 1, "overflow": "evict"})
    daemon.restart()
    with daemon.client() as client:
        client.assign("w", priority="low")
        with stale(daemon, "cancel"):
            reply = client.assign_task_to_profile(profileName="w", task={"title": "t", "priority": "high"})
            assert reply["task"]["status"] == "queued" and "deduplicated" not in reply
        assert {task["status"] for task in client.all_tasks().values()} == {"queued"}


def test_an_end_of_a_task_that_was_taken_away(daemon, folder):
    daemon.configure(shell(f"cat; [ $ACPD_TASK_ID = 2 ] || while [ ! -e {folder}/go ]; do sleep 0.01; done",
                           maxConcurrentTasks=1), WORKER)
    daemon.restart()
    with daemon.client() as client:
        client.assign("w")
        claim = client.claim_task(profiles=["w"], worker="x")
        with conflict(daemon, "finish", "no longer"):
            client.complete_task(id=1, lease=claim["lease"])
        # The program's result does not affect the task, and its slot is free.
        with stale(daemon, "finish"):
            program, other = client.assign("p")["id"], client.assign("p")["id"]
            client.wait_status(other, "running")
            assert client.task(program)["status"] == "running"
        (folder / "go").touch()
        assert client.finish(other)["attempt"] == 1
    daemon.restart()
    with daemon.client() as client:  # it does not run: it was interrupted
        assert client.finish(program)["attempt"] == 2


def test_a_profile_that_was_used_meanwhile_stays(daemon):
    daemon.configure(shell("cat"))
    with daemon.client() as client:
        with stale(daemon, "remove_profile"):
            daemon.process.send_signal(signal.SIGHUP)
            wait_until(lambda: all(p["name"] != "w" for p in client.get_profile_states()), "it is not configured")
            assert client.list_tasks(profile="w")["tasks"] == [], "it is known, since it may have tasks"
        daemon.configure(shell("cat"), WORKER)
        daemon.process.send_signal(signal.SIGHUP)
        wait_until(lambda: any(p["name"] == "w" for p in client.get_profile_states()), "it is back")
        assert client.assign("w")["status"] == "queued"
