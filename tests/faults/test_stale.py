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


def ordered(daemon, verb):
    """Whether it was stale at least once."""
    return f"the verb {verb} is stale, as ordered" in daemon.log.read_text()


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


def test_a_cancel_of_a_program_that_ended_meanwhile(daemon, folder):
    daemon.configure(shell(f"while [ ! -e {folder}/go ]; do sleep 0.01; done"))
    daemon.restart()
    with daemon.client() as client:
        id = client.assign("p")["id"]
        before = client.wait_status(id, "running")
        with conflict(daemon, "finish", f"task {id} was changed concurrently; nothing was changed"):
            client.cancel_task(id=id)
        assert client.task(id) == before
        (folder / "go").touch()
        assert client.finish(id)["status"] == "completed"


def test_a_cancelled_program_whose_task_has_moved_on_is_not_weighed(daemon):
    daemon.configure(shell("echo $$; sleep 1000"))
    daemon.restart()
    with daemon.client() as client:
        id = client.assign("p")["id"]
        client.wait_status(id, "running")
        with stale(daemon, "change"):
            cancelled = client.cancel_task(id=id)
            wait_until(lambda: ordered(daemon, "change"), "its processes are gone")
        assert client.task(id) == cancelled
        client.wait_status(client.assign("p")["id"], "running")  # the slot is free


@pytest.mark.parametrize("verb, exit_status, others", [("change", 0, "completed"), ("cancel", 1, "failed")])
def test_a_dependant_that_was_changed_meanwhile(daemon, folder, verb, exit_status, others):
    """Whoever changed it saw that what it waited for is decided."""
    daemon.configure(shell(f"while [ ! -e {folder}/go ]; do sleep 0.01; done; exit {exit_status}",
                           retry={"maxAttempts": 1}), WORKER)
    daemon.restart()
    with daemon.client() as client:
        first = client.assign("p")["id"]
        second = client.assign("w", dependsOn=[first])
        with stale(daemon, verb):
            (folder / "go").touch()
            assert client.finish(first)["status"] == others
            wait_until(lambda: ordered(daemon, verb), "the dependant was looked at")
        assert client.task(second["id"]) == second
        assert client.cancel_task(id=second["id"])["status"] == "cancelled"


def test_a_task_that_ended_before_it_was_taken_over(daemon):
    daemon.configure(shell("sleep 1000"))
    daemon.restart()
    with daemon.client() as client:
        id = client.assign("p")["id"]
        client.wait_status(id, "running")
    daemon.kill()
    with stale(daemon, "finish"):
        daemon.start()
    with daemon.client() as client:
        task = client.task(id)
        assert (task["status"], task["attempt"]) == ("running", 1)
        assert "queued again" not in daemon.log.read_text()
    daemon.restart()
    with daemon.client() as client:
        wait_until(lambda: client.task(id)["attempt"] == 2, "it runs again")
        client.cancel_task(id=id)
    assert "1 attempt was interrupted; its task is queued again" in daemon.log.read_text()


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
