# SPDX-License-Identifier: MIT
"""The worker runner: claims, leases and their tokens."""

import json
import socket
import threading

import pytest

from acpd import RpcError, assert_counters_are_right, wait_until


def workers(name="w", lease=3600, **settings):
    settings.setdefault("retry", {"maxAttempts": 3, "backoff": 0.01, "maxBackoff": 0.01})
    return {"name": name, "runner": {"type": "worker", "lease": lease}, **settings}


@pytest.fixture
def daemon(make_daemon):
    return make_daemon(workers())


@pytest.fixture
def client(daemon):
    with daemon.client() as client:
        yield client


def claim(client, *profiles, **params):
    return client.claim_task(profiles=list(profiles or ["w"]), worker="test", **params)


def code(call, **params):
    with pytest.raises(RpcError) as refused:
        call(**params)
    return refused.value.code


def test_a_task_is_claimed_extended_and_completed(client):
    assert claim(client) == {"task": None}
    id = client.assign("w", "Do it", input=[1])["id"]
    assert client.task(id)["pending"]["reason"] == "no_worker"
    claimed = claim(client)
    task, lease = claimed["task"], claimed["lease"]
    assert task["id"] == id and task["status"] == "running" and task["attempt"] == 1
    assert task["title"] == "Do it" and task["input"] == [1] and isinstance(lease, str)
    assert claim(client) == {"task": None}
    extended = client.extend_lease(id=id, lease=lease)
    assert extended["success"] is True and extended["expiresAt"] > task["startedAt"]
    done = client.complete_task(id=id, lease=lease, result={"answer": 42})
    assert done["status"] == "completed" and done["result"] == {"answer": 42}
    assert code(client.complete_task, id=id, lease=lease) == -32002
    assert client.state("w")["completedTasks"] == 1 and client.state("w")["currentTasks"] == 0


def test_a_failure_is_retried_by_its_class(client):
    id = client.assign("w", maxAttempts=2)["id"]
    for status in ("scheduled", "failed"):
        claimed = wait_until(lambda: (c := claim(client))["task"] and c)
        task = client.fail_task(id=id, lease=claimed["lease"], error={"message": "no luck"})
        assert task["error"] == {"class": "exit", "message": "no luck"}
        assert task["status"] == status
    id = client.assign("w")["id"]
    task = client.fail_task(id=id, lease=claim(client)["lease"],
                            error={"class": "invalid", "message": "nonsense"})
    assert task["status"] == "failed" and task["error"]["class"] == "invalid"


def test_a_stale_token_changes_nothing(client):
    id = client.assign("w")["id"]
    lease = claim(client)["lease"]
    for stale in ("", "1-00", lease[:-1], lease + "0"):
        before = client.task(id)
        if stale:
            assert code(client.extend_lease, id=id, lease=stale) == -32002
            assert code(client.complete_task, id=id, lease=stale) == -32002
            assert code(client.fail_task, id=id, lease=stale, error={"message": "x"}) == -32002
        assert client.task(id) == before
    assert code(client.extend_lease, id=999, lease=lease) == -32001
    client.complete_task(id=id, lease=lease)


def test_an_expired_lease_is_lost_and_the_task_goes_to_another(client):
    id = client.assign("w")["id"]
    old = claim(client, lease=0.2)["lease"]
    task = wait_until(lambda: (t := client.task(id))["error"] and t)
    assert task["error"]["class"] == "lost_lease"
    new = claim(client, wait=30)
    assert new["task"]["id"] == id and new["task"]["attempt"] == 2 and new["lease"] != old
    assert code(client.complete_task, id=id, lease=old) == -32002
    assert client.task(id)["status"] == "running"
    assert client.complete_task(id=id, lease=new["lease"])["status"] == "completed"


def test_extending_holds_a_lease_but_not_beyond_the_timeout(client):
    id = client.assign("w", timeout=1.5, maxAttempts=1)["id"]
    claimed = claim(client, lease=0.5)

    def ended():
        if client.task(id)["status"] == "running":
            client.call("extend_lease", id=id, lease=claimed["lease"])
        return client.task(id)["status"] != "running"

    try:
        wait_until(ended)
    except RpcError as error:
        assert error.code == -32002
    assert client.finish(id)["error"]["class"] == "timeout"


def test_a_waiting_claim_is_answered_when_a_task_comes(daemon, client):
    with daemon.client() as waiting:
        waiting.send_call("claim_task", profiles=["w"], worker="x", wait=60)
        waiting.send_call("get_health")
        assert waiting.reply()["id"] == 2, "younger requests do not wait for it"
        id = client.assign("w")["id"]
        reply = waiting.reply()
        assert reply["id"] == 1 and reply["result"]["task"]["id"] == id


def test_a_wait_ends_without_a_task(client):
    assert claim(client, wait=0.1) == {"task": None}


def test_waiting_workers_are_served_in_turn(daemon, client):
    waiting = [daemon.client() for _ in range(5)]
    for worker in waiting:
        worker.send_call("claim_task", profiles=["w"], worker="x", wait=60)
        worker.send_call("get_health")
        worker.reply()
    client.update_profile_status(name="w", isActive=False)
    ids = [client.assign("w")["id"] for _ in range(4)]
    client.update_profile_status(name="w", isActive=True)
    # Two slots: the first two have a task, the others as slots become free.
    held = []
    for worker, id in zip(waiting, ids):
        result = worker.reply()["result"]
        assert result["task"]["id"] == id
        held.append((id, result["lease"]))
        if len(held) > 1:
            first, lease = held.pop(0)
            client.complete_task(id=first, lease=lease)
    for worker in waiting:
        worker.close()


def test_slots_are_counted_across_workers(daemon, client):
    for _ in range(3):
        client.assign("w")
    with daemon.client() as other:
        first, second = claim(client), claim(other)
        assert first["task"]["id"] != second["task"]["id"]
        assert claim(other) == {"task": None}
        assert client.task(3)["pending"]["reason"] == "slots"
        client.complete_task(id=first["task"]["id"], lease=first["lease"])
        assert claim(other)["task"]["id"] == 3


def test_the_first_of_several_queues_comes_first(make_daemon):
    daemon = make_daemon(workers("a"), workers("b"))
    with daemon.client() as client:
        client.assign("a", priority="low")
        client.assign("b", priority="high")
        client.assign("a", priority="medium")
        order = [claim(client, "a", "b")["task"]["id"] for _ in range(3)]
        assert order == [2, 3, 1]


@pytest.mark.parametrize("end", ["kill", "stop"])
def test_a_lease_survives_acpd(make_daemon, end):
    daemon = make_daemon(workers())
    with daemon.client() as client:
        id = client.assign("w")["id"]
        gone = client.assign("w")["id"]
        lease = claim(client)["lease"]
        claim(client, lease=0.5)
    getattr(daemon, end)()
    daemon.start()
    with daemon.client() as client:
        assert client.task(id)["status"] == "running" and client.task(id)["attempt"] == 1
        assert client.state("w")["currentTasks"] >= 1
        assert client.extend_lease(id=id, lease=lease)["success"]
        assert client.complete_task(id=id, lease=lease, result=1)["result"] == 1
        task = wait_until(lambda: (t := client.task(gone))["error"] and t)
        assert task["error"]["class"] == "lost_lease", "each has its full length again, not more"
    daemon.stop()
    assert_counters_are_right(daemon)


def test_a_cancelled_task_is_no_longer_the_workers(client):
    id = client.assign("w")["id"]
    lease = claim(client)["lease"]
    assert client.cancel_task(id=id)["status"] == "cancelled"
    assert code(client.extend_lease, id=id, lease=lease) == -32002
    assert code(client.complete_task, id=id, lease=lease) == -32002
    assert client.task(id)["status"] == "cancelled"
    assert client.retry_task(id=id)["status"] == "queued"
    assert claim(client)["task"]["attempt"] == 2


def test_a_half_closed_connection_gets_its_reply(daemon, client):
    with daemon.client() as waiting:
        waiting.send_call("claim_task", profiles=["w"], worker="x", wait=60)
        waiting.socket.shutdown(socket.SHUT_WR)
        wait_until(lambda: client.get_health())
        id = client.assign("w")["id"]
        assert waiting.reply()["result"]["task"]["id"] == id
        assert waiting.line() is None


def test_who_hangs_up_gets_nothing(daemon, client):
    for _ in range(5):
        with daemon.client() as waiting:
            waiting.send_call("claim_task", profiles=["w"], worker="x", wait=60)
            waiting.send_call("get_health")
            waiting.reply()
    id = client.assign("w")["id"]
    assert claim(client, wait=30)["task"]["id"] == id


def test_closing_after_the_claim_keeps_the_lease(daemon, client):
    id = client.assign("w")["id"]
    with daemon.client() as worker:
        lease = claim(worker)["lease"]
    assert client.task(id)["status"] == "running"
    assert client.complete_task(id=id, lease=lease)["status"] == "completed"


def test_a_batch_does_not_wait_and_a_notification_claims_nothing(client):
    client.send('[{"jsonrpc":"2.0","id":1,"method":"claim_task","params":'
                '{"profiles":["w"],"worker":"x","wait":60}}]\n')
    assert client.reply()[0]["result"] == {"task": None}
    id = client.assign("w")["id"]
    client.send('{"jsonrpc":"2.0","method":"claim_task","params":'
                '{"profiles":["w"],"worker":"x"}}\n')
    assert client.task(id)["status"] == "queued"


def test_paused_profiles_give_nothing(client):
    client.update_profile_status(name="w", isActive=False)
    id = client.assign("w")["id"]
    assert claim(client) == {"task": None}
    assert client.task(id)["pending"]["reason"] == "paused"


@pytest.mark.parametrize("params, expected", [
    ({"profiles": []}, -32602),
    ({"profiles": ["none"]}, -32001),
    ({"profiles": ["w"], "wait": 61}, -32602),
    ({"profiles": ["w"], "lease": 0}, -32602),
    ({"profiles": ["command"]}, -32002),
])
def test_bad_claims_are_refused(make_daemon, params, expected):
    daemon = make_daemon(workers(), {"name": "command", "runner": {"type": "command",
                                                                  "command": ["true"]}})
    with daemon.client() as client:
        assert code(client.claim_task, worker="x", **params) == expected


def test_a_stopping_acpd_sends_waiting_workers_away(make_daemon):
    daemon = make_daemon(workers())
    with daemon.client() as waiting:
        waiting.send_call("claim_task", profiles=["w"], worker="x", wait=60)
        waiting.send_call("get_health")
        waiting.reply()
        daemon.process.terminate()
        assert waiting.reply()["error"]["code"] == -32004
    assert daemon.process.wait(60) == 0


def test_no_two_workers_own_one_task(make_daemon):
    daemon = make_daemon(workers(maxConcurrentTasks=8))
    seen, lock = [], threading.Lock()

    def work():
        with daemon.client() as client:
            while True:
                claimed = claim(client)
                if claimed["task"] is None:
                    return
                with lock:
                    seen.append(claimed["task"]["id"])
                client.complete_task(id=claimed["task"]["id"], lease=claimed["lease"])

    with daemon.client() as client:
        for i in range(200):
            client.send_call("assign_task_to_profile", name="w", task={"title": str(i)})
        for i in range(200):
            client.reply()
        threads = [threading.Thread(target=work) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(seen) == sorted(set(seen)) and len(seen) == 200
        assert client.state("w")["completedTasks"] == 200
