# SPDX-License-Identifier: MIT
"""Leases last until their end, never less."""

import datetime
import time

import pytest

from acpd import RpcError, wait_until

LEASE = 1.5
TICK = 0.003  # times are in milliseconds, each rounded down


@pytest.fixture
def daemon(make_daemon):
    return make_daemon({"name": "w", "runner": {"type": "worker", "lease": LEASE}, "retry": {"maxAttempts": 1}})


def claim(client, **params):
    client.assign("w")
    claimed = client.claim_task(profiles=["w"], worker="x", **params)
    return {"id": claimed["task"]["id"], "lease": claimed["lease"]}


def hold():
    """The longer a lease has been held, the clearer it is that it starts over."""
    until = time.monotonic() + LEASE / 3
    wait_until(lambda: time.monotonic() > until)


def seconds(text):
    return datetime.datetime.fromisoformat(text).timestamp()


def lost(client, mine):
    """The task after its lease has expired, which only acpd watches."""
    task = client.finish(mine["id"])
    assert task["error"]["class"] == "lost_lease"
    return task


@pytest.mark.parametrize("asked", [{}, {"lease": LEASE / 2}])
def test_a_lease_holds_to_its_end(client, asked):
    task = lost(client, claim(client, **asked))
    held = seconds(task["finishedAt"]) - seconds(task["startedAt"])
    assert held > asked.get("lease", LEASE) - TICK


def test_a_lease_that_is_extended_holds_as_long_again(client):
    mine = claim(client)
    hold()
    asked_at = time.time()
    expires = seconds(client.extend_lease(**mine)["expiresAt"])
    assert expires > asked_at + LEASE - TICK
    assert seconds(lost(client, mine)["finishedAt"]) > expires - TICK


def test_no_extension_reaches_beyond_the_timeout(make_daemon):
    daemon = make_daemon({"name": "w", "timeout": 2, "runner": {"type": "worker", "lease": 60}})
    with daemon.client() as client:
        mine = claim(client)
        end = seconds(client.task(mine["id"])["startedAt"]) + 2
        while True:
            try:
                assert seconds(client.extend_lease(**mine)["expiresAt"]) <= end + TICK
            except RpcError as error:
                assert error.code == -32002
                break
        task = client.task(mine["id"])
        assert task["error"]["class"] == "timeout"


def test_a_worker_that_disconnects_keeps_its_lease(make_daemon):
    daemon = make_daemon({"name": "w", "runner": {"type": "worker", "lease": 60}})
    with daemon.client() as client:
        with daemon.client() as worker:
            mine = claim(worker)
        client.get_health()
        assert client.task(mine["id"])["status"] == "running"
        with daemon.client() as worker:
            assert worker.complete_task(**mine)["status"] == "completed"


def test_a_lease_that_outlives_acpd_holds_as_long_again(daemon):
    with daemon.client() as client:
        mine = claim(client)
    hold()
    daemon.kill()
    began = time.time()
    daemon.start()
    with daemon.client() as client:
        assert seconds(lost(client, mine)["finishedAt"]) > began + LEASE - TICK


def test_a_timeout_that_is_shorter_after_a_restart_ends_a_lease_that_was_extended(make_daemon):
    worker = {"name": "w", "runner": {"type": "worker", "lease": 60}, "retry": {"maxAttempts": 1}}
    daemon = make_daemon({**worker, "timeout": 3600})
    with daemon.client() as client:
        mine = claim(client)
        assert client.extend_lease(**mine)["success"] is True
    daemon.stop()
    daemon.configure({**worker, "timeout": LEASE})
    began = time.time()
    daemon.start()
    with daemon.client() as client:
        task = client.finish(mine["id"])
        assert task["error"]["class"] == "timeout" and seconds(task["finishedAt"]) > began + LEASE - TICK
        with pytest.raises(RpcError):
            client.complete_task(**mine)


@pytest.mark.parametrize("end, status", [("complete_task", "completed"), ("fail_task", "scheduled")])
def test_a_lease_outlives_its_profile_and_acpd(make_daemon, end, status):
    """The profile stays until its task has finished, with the default settings."""
    worker = {"runner": {"type": "worker", "lease": 60}}
    daemon = make_daemon({"name": "gone", **worker}, {"name": "w", **worker})
    with daemon.client() as client:
        client.assign("gone")
        claimed = client.claim_task(profiles=["gone"], worker="x")
    daemon.stop()
    daemon.configure({"name": "w", **worker})
    daemon.start()
    mine = {"id": claimed["task"]["id"], "lease": claimed["lease"]}
    with daemon.client() as client:
        assert client.extend_lease(**mine)["success"] is True
        error = {"error": {"message": "no", "class": "exit"}} if end == "fail_task" else {}
        assert client.call(end, **mine, **error)["status"] == status
