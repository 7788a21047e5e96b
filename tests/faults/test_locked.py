# SPDX-License-Identifier: MIT
"""A database locked by another program: passes fail, but only their writes are affected."""

import contextlib
import json
import signal
import socket
import sqlite3

import pytest

from acpd import RpcError, profile, shell, stopped, wait_until
from test_ghosts import database_away


@contextlib.contextmanager
def locked(daemon):
    with contextlib.closing(sqlite3.connect(daemon.state / "acpd.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


def refused(client, method, **params):
    with pytest.raises(RpcError) as error:
        client.call(method, **params)
    assert error.value.code == -32004


def test_replies_under_way_survive_a_pass_that_fails(daemon):
    with daemon.client() as client, daemon.client() as other:
        id = client.assign("p", input="y" * 400000)["id"]
        client.send_call("get_task", id=id)
        # Replies that do not fit into the kernel's buffer wait in acpd; another one is staged behind them.
        other.get_health()
        with locked(daemon):
            client.send_call("get_task", id=id)
            client.send_call("assign_task_to_profile", name="p", task={"title": "t"})
            replies = [client.reply() for _ in range(3)]
        assert len(replies[0]["result"]["input"]) == 400000
        assert replies[1]["result"] == replies[0]["result"]
        assert replies[2]["error"]["code"] == -32004


def test_timeouts_hold_while_the_storage_fails(make_daemon, folder):
    daemon = make_daemon(shell(f"until [ -e {folder}/go ]; do sleep 0.02; done", "short"),
                         shell("sleep 300", "long", timeout=2, retry={"maxAttempts": 1}), killGrace=0)
    with daemon.client() as client:
        client.wait_status(client.assign("short")["id"], "running")
        id = client.wait_status(client.assign("long")["id"], "running")["id"]
        with locked(daemon):
            (folder / "go").touch()  # an end that cannot be written
            wait_until(lambda: not daemon.processes(ACPD_TASK_ID=id), "it is stopped")
        assert client.finish(id)["error"]["class"] == "timeout"


def test_a_reload_falls_with_its_pass(make_daemon):
    daemon = make_daemon(profile("p"))
    with daemon.client() as client:
        with locked(daemon):
            daemon.configure(profile("p", queueLimit=77), profile("newcomer"))
            refused(client, "reload_config")
            profiles = client.get_profiles_with_states()
            assert [p["profile"]["name"] for p in profiles] == ["p"]
            assert profiles[0]["profile"]["queueLimit"] == 10000
        wait_until(lambda: client.get_health()["storage"]["status"] == "ok")
        assert client.reload_config() == {"success": True}
        assert client.finish(client.assign("newcomer")["id"])["status"] == "completed"


def test_a_reload_by_signal_waits_for_the_storage(make_daemon):
    daemon = make_daemon(profile("p"))
    with daemon.client() as client:
        with locked(daemon):
            daemon.configure(profile("p"), profile("newcomer"))
            daemon.process.send_signal(signal.SIGHUP)
            wait_until(lambda: client.get_health()["storage"]["status"] == "failing")
        wait_until(lambda: len(client.get_profile_states()) == 2, "the newcomer is there")


def test_figures_fall_with_their_pass(daemon):
    with daemon.client() as client:
        client.assign("p")
        with locked(daemon):
            for _ in range(3):
                refused(client, "assign_task_to_profile", name="p", task={"title": "t"})
        wait_until(lambda: client.get_health()["storage"]["status"] == "ok")
        client.assign("p")
        for name in ({}, {"name": "p"}):
            total = client.get_metrics_history(range="1h", **name)["total"]
            assert (total["arrived"], total["maxQueueSize"]) == (2, 2)
        assert 'acpd_tasks_arrived_total{profile="p"} 2\n' in client.get_metrics_export()


def test_an_end_that_cannot_be_written_counts_once_it_is(make_daemon, folder):
    daemon = make_daemon(shell(f"until [ -e {folder}/go ]; do sleep 0.02; done"))
    with daemon.client() as client:
        id = client.wait_status(client.assign("p")["id"], "running")["id"]
        with locked(daemon):
            (folder / "go").touch()
            wait_until(lambda: client.get_health()["storage"]["status"] == "failing")
            figures = client.get_metrics_export()
            assert 'acpd_attempts_total{profile="p",result="success"} 0\n' in figures
            assert 'acpd_tasks_finished_total{profile="p",outcome="completed"} 0\n' in figures
        client.finish(id)
        figures = client.get_metrics_export()
        assert 'acpd_attempts_total{profile="p",result="success"} 1\n' in figures
        assert 'acpd_attempt_duration_seconds_count{profile="p"} 1\n' in figures
        total = client.get_metrics_history(name="p")["total"]
        assert (total["completed"], total["sampleSize"]) == (1, 1)


def worker_profile(**settings):
    return {"name": "w", "runner": {"type": "worker"}, "maxConcurrentTasks": 2, **settings}


def test_who_is_refused_a_subscription_follows_nothing(daemon):
    batch = [{"jsonrpc": "2.0", "id": 1, "method": "assign_task_to_profile",
              "params": {"name": "p", "task": {"title": "t"}}}, {"jsonrpc": "2.0", "id": 2, "method": "subscribe"}]

    def refused_subscriber():
        """On a slow machine the two may be handled in separate passes, and the second one succeeds."""
        client = daemon.client()
        client.send(json.dumps(batch) + "\n")
        assigned, subscribed = client.reply()
        assert assigned["error"]["code"] == -32004
        if "error" in subscribed:
            assert subscribed["error"]["code"] == -32004
            return client
        client.close()

    with contextlib.ExitStack() as stack:
        with database_away(daemon):
            client = stack.enter_context(wait_until(refused_subscriber, "one falls with its pass"))
        other = stack.enter_context(daemon.client())
        wait_until(lambda: other.get_health()["storage"]["status"] == "ok")
        other.assign("p")
        assert client.get_health(), "the next that it hears is the answer to its call"
        seq = client.subscribe()["seq"]
        other.assign("p")
        assert client.reply()["params"]["seq"] > seq


def test_a_subscriber_who_has_said_all_is_let_go_when_his_subscription_falls(daemon):
    def refused_at_the_end():
        """Both in one pass, except on a slow machine."""
        client = daemon.client()
        with stopped(daemon):
            client.send_call("assign_task_to_profile", name="p", task={"title": "t"})
            client.send_call("subscribe")
            client.socket.shutdown(socket.SHUT_WR)
        codes = [client.reply().get("error", {}).get("code") for _ in range(2)]
        if codes == [-32004, -32004]:
            return client
        client.close()

    with database_away(daemon):
        client = wait_until(refused_at_the_end, "both fall with their pass")
        assert client.socket.recv(1) == b"", "it is closed"
        client.close()
    with daemon.client() as other:
        wait_until(lambda: other.get_health()["storage"]["status"] == "ok")


def test_what_a_worker_does_falls_with_its_pass(make_daemon):
    daemon = make_daemon(worker_profile())
    with daemon.client() as client:
        ids = [client.assign("w")["id"] for _ in range(2)]
        claim = {"profiles": ["w"], "worker": "x"}
        mine = client.claim_task(**claim)
        held = {"id": ids[0], "lease": mine["lease"]}
        with locked(daemon):
            refused(client, "complete_task", **held)
            refused(client, "fail_task", **held, error={"message": "x"})
            refused(client, "cancel_task", id=ids[0])
            refused(client, "claim_task", **claim)
            refused(client, "claim_task", **claim, wait=60)
            assert client.extend_lease(**held)["success"], "nothing is written for it"
            assert client.task(ids[0])["status"] == "running"
            assert client.state("w")["currentTasks"] == 1
        wait_until(lambda: client.get_health()["storage"]["status"] == "ok")
        other = client.claim_task(**claim, wait=10)
        assert other["task"]["id"] == ids[1] and other["task"]["attempt"] == 1
        assert client.claim_task(**claim) == {"task": None}
        assert client.complete_task(**held)["attempt"] == 1
        assert client.complete_task(id=ids[1], lease=other["lease"])["status"] == "completed"
        assert client.state("w")["currentTasks"] == 0


def test_a_lease_that_ends_while_the_storage_fails_is_lost_afterwards(make_daemon):
    daemon = make_daemon(worker_profile(retry={"backoff": 0.01, "maxBackoff": 0.02}))
    with daemon.client() as client, daemon.client() as waiter:
        id = client.assign("w")["id"]
        mine = client.claim_task(profiles=["w"], worker="x", lease=1)
        with locked(daemon):
            wait_until(lambda: client.get_health()["storage"]["status"] == "failing")
            with pytest.raises(RpcError) as error:
                client.complete_task(id=id, lease=mine["lease"])
            assert error.value.code == -32002
            # A failed pass ends no wait early and reports nothing that it did.
            number = waiter.send_call("claim_task", profiles=["w"], worker="y", wait=0.2)
            reply = waiter.reply()
            assert reply["id"] == number
            assert reply.get("result") == {"task": None} or reply["error"]["code"] == -32004
            waiter.send_call("claim_task", profiles=["w"], worker="y", wait=60)
        task = waiter.reply()["result"]["task"]
        assert task["id"] == id and task["attempt"] == 2
        assert task["error"]["class"] == "lost_lease"
