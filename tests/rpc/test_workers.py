# SPDX-License-Identifier: MIT
"""Workers: processes that claim tasks over the socket, under leases."""

import json
import socket
import threading
import time

import pytest
import acpd
from acpd import RpcError, profile, wait_until
from database import assert_counters_are_right

RETRY = {"maxAttempts": 3, "backoff": 0.01, "maxBackoff": 0.02}


def worker_profile(name="w", lease=60, **settings):
    settings.setdefault("maxConcurrentTasks", 100)
    return {"name": name, "runner": {"type": "worker", "lease": lease}, "retry": RETRY, **settings}


def claim(client, *profiles, **params):
    return client.claim_task(profiles=profiles or ["w"], **{"worker": "test", **params})


def claim_soon(client, *profiles, **params):
    """A claim that must get a task within the test's deadline."""
    return wait_until(lambda: (c := claim(client, *profiles, wait=10, **params))["task"] and c,
                      "a claim")


def send_claim(client, *profiles, **params):
    return client.send_call("claim_task", profiles=profiles or ["w"],
                            **{"worker": "test", "wait": 60, **params})


def refused(code, call, **params):
    with pytest.raises(RpcError) as error:
        call(**params)
    assert error.value.code == code, error.value
    return error.value


def held(claimed):
    return {"id": claimed["task"]["id"], "lease": claimed["lease"]}


@pytest.fixture
def daemon(make_daemon):
    return make_daemon(worker_profile())


def test_a_worker_claims_extends_and_completes(client):
    assert claim(client) == {"task": None}
    id = client.assign("w", title="héllo", input={"n": 1})["id"]
    claimed = claim(client)
    assert claimed["task"] == client.task(id)
    assert claimed["task"]["status"] == "running" and claimed["task"]["attempt"] == 1
    assert claimed["task"]["input"] == {"n": 1} and len(claimed["lease"]) == 32
    assert client.state("w")["currentTasks"] == 1
    extended = client.extend_lease(**held(claimed))
    assert extended["success"] is True and extended["expiresAt"] > claimed["task"]["startedAt"]
    done = client.complete_task(**held(claimed), result=[1, {"a": None}])
    assert done == client.task(id)
    assert done["status"] == "completed" and done["result"] == [1, {"a": None}]
    assert done["error"] is None and done["pending"] is None
    state = client.state("w")
    assert state["currentTasks"] == 0 and state["completedTasks"] == 1
    assert client.get_profile_metrics(name="w")["sampleSize"] == 1
    assert client.log(id) == []


@pytest.mark.parametrize("result", [None, 0, False, "", "text", {}, [], {"deep": [[1.5]]}, [2**64, -(10**22)]])
def test_a_result_is_any_json(client, result):
    client.assign("w")
    assert client.complete_task(**held(claim(client)), result=result)["result"] == result


def test_a_result_may_be_left_out_and_is_bounded(make_daemon):
    daemon = make_daemon(worker_profile(), inputLimit=100)
    with daemon.client() as client:
        client.assign("w")
        mine = held(claim(client))
        error = refused(-32602, client.complete_task, **mine, result="x" * 100)
        assert error.data["field"] == "result"
        assert client.complete_task(**mine)["result"] is None


STATUS_AFTER = {None: "scheduled", "exit": "scheduled", "rate_limit": "queued", "auth": "queued",
                "unavailable": "queued", "refusal": "failed", "limit": "failed", "invalid": "failed"}


def test_every_class_that_workers_may_report_is_known_here():
    fail = next(method for method in acpd.schemas.openrpc["methods"] if method["name"] == "fail_task")
    error = next(param["schema"] for param in fail["params"] if param["name"] == "error")
    assert set(error["properties"]["class"]["enum"]) == set(STATUS_AFTER) - {None}


@pytest.mark.parametrize("error_class, status", STATUS_AFTER.items())
def test_the_class_of_a_failure_decides_what_follows(make_daemon, error_class, status):
    daemon = make_daemon(worker_profile(retry={"maxAttempts": 3, "backoff": 86400,
                                               "maxBackoff": 86400}))
    with daemon.client() as client:
        client.assign("w")
        error = {"message": "no luck"}
        if error_class:
            error["class"] = error_class
        task = client.fail_task(**held(claim(client)), error=error)
        assert task["status"] == status and task["result"] is None
        assert task["error"] == {"class": error_class or "exit", "message": "no luck"}
        assert (task["pending"] or {}).get("reason") == {
            "scheduled": "backoff", "queued": "cooldown"}.get(status)


@pytest.mark.parametrize("said, kept", [
    ("x" * 4096, "x" * 4096),
    ("x" * 4097, "x" * (4096 - 10) + " \u2026 (cut)"),
    ("\u00e9" * 4000, "\u00e9" * 2043 + " \u2026 (cut)"),
    ("a" + "\U0001f389" * 2000, "a" + "\U0001f389" * 1021 + " \u2026 (cut)"),
    ("x" * 2000000, "x" * (4096 - 10) + " \u2026 (cut)"),
    ("before\0after", "before after"),
    ("", "the worker gave no reason"),
], ids=["whole", "long", "wide", "wider", "huge", "zero", "empty"])
def test_whatever_a_worker_says_of_its_failure_the_failure_is_taken(client, said, kept):
    client.assign("w", maxAttempts=1)
    task = client.fail_task(**held(claim(client)), error={"message": said})
    assert task["status"] == "failed" and task["error"] == {"class": "exit", "message": kept}
    assert len(kept.encode()) <= 4096


def test_a_result_that_is_too_long_is_refused_with_its_bound_and_may_be_said_shorter(client):
    client.assign("w")
    mine = held(claim(client))
    error = refused(-32602, client.complete_task, **mine, result="x" * (1 << 20))
    assert error.data == {"field": "result", "reason": "must be at most 1048576 bytes of JSON"}
    longest = "x" * ((1 << 20) - 2)
    assert client.complete_task(**mine, result=longest)["result"] == longest


def test_a_failed_attempt_is_given_to_a_worker_again_until_none_is_left(client):
    id = client.assign("w")["id"]
    leases = set()
    for attempt in (1, 2, 3):
        claimed = claim_soon(client)
        leases.add(claimed["lease"])
        assert claimed["task"]["id"] == id and claimed["task"]["attempt"] == attempt
        task = client.fail_task(**held(claimed), error={"message": "again"})
    assert task["status"] == "failed" and len(leases) == 3
    assert client.retry_task(id=id)["status"] == "queued"
    assert claim(client)["task"]["attempt"] == 4


def test_a_stale_lease_changes_nothing(client):
    first, second = client.assign("w")["id"], client.assign("w")["id"]
    mine, other = claim(client), claim(client)
    client.fail_task(**held(mine), error={"message": "once"})
    again = claim_soon(client)
    assert again["task"]["id"] == first
    before = client.task(first)
    for lease in [mine["lease"], other["lease"], "2-" + "0" * 32, "x"]:
        params = {"id": first, "lease": lease}
        assert "lease" in refused(-32002, client.extend_lease, **params).message
        refused(-32002, client.complete_task, **params)
        refused(-32002, client.fail_task, **params, error={"message": "x"})
    assert client.task(first) == before
    client.complete_task(**held(again))
    refused(-32002, client.complete_task, **held(again))
    for call in (client.extend_lease, client.complete_task):
        refused(-32001, call, id=999, lease="1-1")
    refused(-32001, client.fail_task, id=999, lease="1-1", error={"message": "x"})
    assert client.complete_task(**held(other))["id"] == second


def test_a_lease_that_ends_is_lost_and_its_token_worth_nothing(make_daemon):
    daemon = make_daemon(worker_profile(lease=1))
    with daemon.client() as client:
        id = client.assign("w")["id"]
        mine = claim(client)
        again = claim_soon(client)
        assert again["task"]["id"] == id and again["task"]["attempt"] == 2
        assert again["lease"] != mine["lease"]
        assert again["task"]["error"]["class"] == "lost_lease"
        refused(-32002, client.complete_task, **held(mine))
        refused(-32002, client.extend_lease, **held(mine))
        assert client.complete_task(**held(again), result="late")["result"] == "late"
        assert client.get_profile_metrics(name="w")["errorRate"] == 50


def test_a_worker_that_extends_keeps_its_lease(make_daemon):
    daemon = make_daemon(worker_profile())
    with daemon.client() as client:
        client.assign("w")
        mine = claim(client, lease=2)
        end = time.monotonic() + 3
        while time.monotonic() < end:
            client.extend_lease(**held(mine))
            time.sleep(0.1)
        assert client.complete_task(**held(mine))["attempt"] == 1


def test_a_claim_may_ask_for_another_lease(client):
    client.assign("w")
    client.assign("w")
    short, long = claim(client, lease=1), claim(client)
    wait_until(lambda: client.task(short["task"]["id"])["status"] != "running", "the short one ends")
    assert client.extend_lease(**held(long))["success"]


def test_the_timeout_bounds_a_lease_however_often_it_is_extended(client):
    id = client.assign("w", timeout=0.5, maxAttempts=1)["id"]
    mine = claim(client)

    def extend():
        try:
            assert client.extend_lease(**held(mine))
        except RpcError as error:
            return error

    assert wait_until(extend, "the timeout").code == -32002
    task = client.finish(id)
    assert task["status"] == "failed" and task["error"]["class"] == "timeout"


def test_a_waiting_claim_is_answered_when_a_task_is_assigned(daemon, client):
    with daemon.client() as waiter:
        number = send_claim(waiter)
        assert waiter.get_health(), "younger requests are answered first"
        id = client.assign("w")["id"]
        reply = waiter.reply()
        assert reply["id"] == number and reply["result"]["task"]["id"] == id
        assert client.task(id)["status"] == "running"


def test_a_waiting_claim_is_answered_when_a_delayed_task_is_due(daemon, client):
    with daemon.client() as waiter:
        send_claim(waiter)
        at = time.time() + 0.3
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at)) + f".{int(at % 1 * 1000):03}Z"
        id = client.assign("w", runAt=stamp)["id"]
        assert waiter.reply()["result"]["task"]["id"] == id


def test_a_waiting_claim_goes_without_after_its_time(client):
    start = time.monotonic()
    assert claim(client, wait=0.3) == {"task": None}
    assert 0.25 < time.monotonic() - start < 30


def test_waiting_claims_are_served_in_the_order_in_which_they_came(daemon, client):
    waiters = [daemon.client() for _ in range(10)]
    for waiter in waiters:
        send_claim(waiter)
        waiter.get_health()  # it has arrived
    ids = [client.assign("w", title=str(i))["id"] for i in range(10)]
    assert [waiter.reply()["result"]["task"]["id"] for waiter in waiters] == ids
    for waiter in waiters:
        waiter.close()


def test_a_claim_that_does_not_wait_takes_nothing_from_those_that_do(daemon, client):
    with daemon.client() as waiter:
        send_claim(waiter)
        waiter.get_health()
        # In one pass: one task for the waiting claim, one for the poll after it.
        client.send("".join(
            json.dumps({"jsonrpc": "2.0", "id": i, "method": method, "params": params}) + "\n"
            for i, (method, params) in enumerate([
                ("assign_task_to_profile", {"name": "w", "task": {"title": "a"}}),
                ("claim_task", {"profiles": ["w"], "worker": "poller"}),
                ("assign_task_to_profile", {"name": "w", "task": {"title": "b"}}),
                ("claim_task", {"profiles": ["w"], "worker": "poller"}),
            ])))
        replies = [client.reply()["result"] for _ in range(4)]
        given = [reply["task"] for reply in replies[1::2] if reply["task"]]
        given.append(waiter.reply()["result"]["task"])
        assert sorted(task["title"] for task in given) == ["a", "b"]


def test_no_more_run_at_once_than_the_profile_allows(make_daemon):
    daemon = make_daemon(worker_profile(maxConcurrentTasks=2))
    with daemon.client() as one, daemon.client() as other:
        ids = [one.assign("w")["id"] for _ in range(3)]
        assert one.task(ids[0])["pending"]["reason"] == "no_worker"
        assert one.task(ids[0])["pending"]["eta"] is None
        mine, _ = claim(one), claim(other)
        assert claim(one) == claim(other) == {"task": None}
        assert one.task(ids[2])["pending"]["reason"] == "slots"
        send_claim(other)
        other.get_health()
        one.complete_task(**held(mine))
        assert other.reply()["result"]["task"]["id"] == ids[2]


def test_a_paused_profile_gives_nothing_until_it_is_active(daemon, client):
    client.update_profile_status(name="w", isActive=False)
    id = client.assign("w")["id"]
    assert claim(client) == {"task": None}
    assert client.task(id)["pending"]["reason"] == "paused"
    with daemon.client() as waiter:
        send_claim(waiter)
        waiter.get_health()
        client.update_profile_status(name="w", isActive=True)
        assert waiter.reply()["result"]["task"]["id"] == id


def test_a_new_configuration_makes_room_for_those_who_wait(make_daemon):
    daemon = make_daemon(worker_profile(maxConcurrentTasks=1))
    with daemon.client() as client, daemon.client() as waiter:
        client.assign("w")
        claim(client)
        id = client.assign("w")["id"]
        send_claim(waiter)
        waiter.get_health()
        daemon.configure(worker_profile(maxConcurrentTasks=2))
        client.reload_config()
        assert waiter.reply()["result"]["task"]["id"] == id


def test_a_profile_that_is_no_longer_a_workers_refuses_those_who_wait(make_daemon):
    daemon = make_daemon(worker_profile())
    with daemon.client() as client, daemon.client() as waiter:
        client.assign("w")
        mine = claim(client)
        send_claim(waiter, wait=1)
        waiter.get_health()
        daemon.configure(profile("w"))
        client.reload_config()
        assert waiter.reply()["error"]["code"] == -32002
        assert client.complete_task(**held(mine))["status"] == "completed", "its lease goes on"


def test_a_profile_may_become_a_workers_in_the_pass_that_starts_a_task(make_daemon):
    daemon = make_daemon(profile("w"))
    with daemon.client() as client:
        client.finish(client.assign("w")["id"])  # so that neither call does anything for the first time
        daemon.configure(worker_profile())
        calls = [("assign_task_to_profile", {"name": "w", "task": {"title": "t"}}),
                 ("reload_config", {})]
        client.send(json.dumps([{"jsonrpc": "2.0", "id": i, "method": method, "params": params}
                                for i, (method, params) in enumerate(calls)]) + "\n")
        id = client.reply()[0]["result"]["task"]["id"]
        mine = claim(client, wait=10)
        assert mine["task"]["id"] == id and mine["task"]["attempt"] == 2
        assert mine["task"]["error"]["class"] == "interrupted"
        assert client.complete_task(**held(mine))["status"] == "completed"


def test_the_first_of_all_the_queues_is_claimed(make_daemon):
    daemon = make_daemon(worker_profile("a"), worker_profile("b"))
    with daemon.client() as client:
        tasks = [("a", "low"), ("b", "medium"), ("a", "high"), ("b", "low"), ("b", "high"),
                 ("a", "medium")]
        # In one batch, so at the same time: among equals, the first one assigned comes first.
        client.send(json.dumps([
            {"jsonrpc": "2.0", "id": i, "method": "assign_task_to_profile",
             "params": {"name": name, "task": {"title": f"{name} {priority}", "priority": priority}}}
            for i, (name, priority) in enumerate(tasks)]) + "\n")
        assert len(client.reply()) == len(tasks)
        titles = [claim(client, "b", "a", "b")["task"]["title"] for _ in range(6)]
        assert titles == ["a high", "b high", "b medium", "a medium", "a low", "b low"]


@pytest.mark.parametrize("end", ["restart", "kill"])
def test_leases_survive_the_end_of_acpd(daemon, end):
    with daemon.client() as client:
        done, extended = client.assign("w")["id"], client.assign("w")["id"]
        claims = [claim(client), claim(client)]
    if end == "kill":
        daemon.kill()
        daemon.start()
    else:
        assert daemon.stop() == 0
        daemon.start()
    with daemon.client() as client:
        assert client.task(done)["status"] == client.task(extended)["status"] == "running"
        assert client.state("w")["currentTasks"] == 2
        assert client.extend_lease(**held(claims[1]))["success"]
        assert client.complete_task(**held(claims[0]), result=1)["attempt"] == 1
        assert client.complete_task(**held(claims[1]))["status"] == "completed"
    assert daemon.stop() == 0
    assert_counters_are_right(daemon)


def test_slots_are_counted_after_a_restart_and_leases_end(make_daemon):
    daemon = make_daemon(worker_profile(maxConcurrentTasks=1))
    with daemon.client() as client:
        client.assign("w", title="first")
        client.assign("w", title="second")
        mine = claim(client, lease=1)
    daemon.kill()
    daemon.start()
    with daemon.client() as client:
        assert client.state("w")["currentTasks"] == 1
        second = claim_soon(client)
        assert second["task"]["title"] in ("first", "second")
        refused(-32002, client.extend_lease, **held(mine))
        error = client.task(mine["task"]["id"])["error"]
        assert error["class"] == "lost_lease"


def test_acpds_own_attempts_are_interrupted_beside_leases_that_go_on(make_daemon):
    daemon = make_daemon(worker_profile(), profile("c", ["sleep", "600"]))
    with daemon.client() as client:
        own = client.assign("c")["id"]
        client.wait_status(own, "running")
        client.assign("w")
        mine = claim(client)
    daemon.restart()
    with daemon.client() as client:
        assert client.complete_task(**held(mine))["attempt"] == 1
        assert wait_until(lambda: client.task(own)["attempt"] == 2, "it runs again")


def test_a_worker_can_finish_while_acpd_stops(make_daemon, folder):
    daemon = make_daemon(worker_profile(), profile("c", ["sh", "-c", f"trap '' TERM; touch "
                                                   f"{folder}/on; while :; do sleep 0.1; done"]),
                         killGrace=1)
    with daemon.client() as client:
        client.assign("c")
        wait_until((folder / "on").exists)
        client.assign("w")
        mine = claim(client)
        daemon.process.terminate()
        wait_until(lambda: client.get_health()["loop"]["stopping"], "it stops")
        assert refused(-32004, claim, client=client).message == "acpd is shutting down"
        assert client.complete_task(**held(mine), result=1)["status"] == "completed"
    assert daemon.process.wait(60) == 0
    assert_counters_are_right(daemon)


def test_waiting_claims_are_told_that_acpd_stops(daemon):
    with daemon.client() as waiter:
        numbers = [send_claim(waiter) for _ in range(2)]
        waiter.get_health()
        daemon.process.terminate()
        replies = [waiter.reply() for _ in range(2)]
        assert [reply["id"] for reply in replies] == numbers
        assert {reply["error"]["code"] for reply in replies} == {-32004}
        assert waiter.reply() is None
    assert daemon.process.wait(60) == 0


def test_a_client_that_has_shut_down_writing_gets_its_deferred_reply(daemon, client):
    with daemon.client() as waiter:
        send_claim(waiter)
        waiter.socket.shutdown(socket.SHUT_WR)
        time.sleep(0.1)
        id = client.assign("w")["id"]
        assert waiter.reply()["result"]["task"]["id"] == id
        assert waiter.reply() is None, "then the connection ends"
    with daemon.client() as waiter:
        send_claim(waiter, wait=0.2)
        waiter.socket.shutdown(socket.SHUT_WR)
        assert waiter.reply()["result"] == {"task": None}
        assert waiter.reply() is None


@pytest.mark.parametrize("half_closed", [False, True])
def test_a_closed_connection_claims_nothing(daemon, client, half_closed):
    with daemon.client() as waiter:
        for _ in range(3):
            send_claim(waiter)
        waiter.get_health()
        if half_closed:
            waiter.socket.shutdown(socket.SHUT_WR)
            client.get_health()
    id = client.assign("w")["id"]
    task = client.task(id)
    assert task["status"] == "queued" and task["attempt"] == 0
    assert claim(client)["task"]["id"] == id


def test_a_claim_whose_reply_cannot_be_sent_is_taken_back(make_daemon):
    daemon = make_daemon(worker_profile(), outputLimit=1 << 26)
    with daemon.client() as client:
        ids = [client.assign("w", input="x" * 500000)["id"] for _ in range(10)]
        with daemon.client() as worker:
            for _ in ids:
                worker.send_call("claim_task", profiles=["w"], worker="dies")
            wait_until(lambda: client.state("w")["currentTasks"] == 10, "all are claimed")
        # What exceeded the socket's buffer was never sent; it is queued again without
        # spending an attempt.
        wait_until(lambda: client.state("w")["queueSize"] >= 9, "they are queued again")
        task = client.task(ids[-1])
        assert task["status"] == "queued" and task["error"]["class"] == "interrupted"
        assert claim(client)["task"]["id"] in ids


def test_a_cancelled_task_is_its_workers_no_more(client):
    id = client.assign("w")["id"]
    mine = claim(client)
    assert client.cancel_task(id=id)["status"] == "cancelled"
    assert client.state("w")["currentTasks"] == 0
    refused(-32002, client.extend_lease, **held(mine))
    refused(-32002, client.complete_task, **held(mine))
    assert client.retry_task(id=id)["status"] == "queued", "there is nothing to wait for"
    again = claim(client)
    assert again["task"]["id"] == id and again["task"]["attempt"] == 2
    assert client.complete_task(**held(again))["status"] == "completed"


def test_a_claim_without_an_id_takes_nothing(client):
    id = client.assign("w")["id"]
    client.send(json.dumps({"jsonrpc": "2.0", "method": "claim_task",
                            "params": {"profiles": ["w"], "worker": "x", "wait": 5}}) + "\n")
    assert client.task(id)["status"] == "queued"


def test_no_two_workers_ever_own_one_task(daemon, client):
    ids = {client.assign("w", title=str(i))["id"] for i in range(200)}
    owned, failures = [], []

    def work(waits):
        try:
            with daemon.client() as worker:
                while (mine := claim(worker, **({"wait": 1} if waits else {})))["task"]:
                    owned.append(mine["task"]["id"])
                    worker.complete_task(**held(mine))
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=[i % 2]) for i in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert len(owned) == 200 and set(owned) == ids
    assert client.state("w")["completedTasks"] == 200


@pytest.mark.parametrize("method, params, field", [
    ("claim_task", {"profiles": [], "worker": "x"}, "profiles"),
    ("claim_task", {"profiles": "w", "worker": "x"}, "profiles"),
    ("claim_task", {"profiles": ["w", 5], "worker": "x"}, "profiles[1]"),
    ("claim_task", {"profiles": ["w"]}, "worker"),
    ("claim_task", {"profiles": ["w"], "worker": ""}, "worker"),
    ("claim_task", {"profiles": ["w"], "worker": "x" * 257}, "worker"),
    ("claim_task", {"profiles": ["w"], "worker": "x", "lease": 0}, "lease"),
    ("claim_task", {"profiles": ["w"], "worker": "x", "lease": 86401}, "lease"),
    ("claim_task", {"profiles": ["w"], "worker": "x", "wait": 61}, "wait"),
    ("claim_task", {"profiles": ["w"], "worker": "x", "wait": -1}, "wait"),
    ("extend_lease", {"id": 1}, "lease"),
    ("extend_lease", {"id": 0, "lease": "x"}, "id"),
    ("complete_task", {"id": 1, "lease": 5}, "lease"),
    ("fail_task", {"id": 1, "lease": "x"}, "error"),
    ("fail_task", {"id": 1, "lease": "x", "error": {}}, "error.message"),
    ("fail_task", {"id": 1, "lease": "x", "error": {"message": "x", "class": "lost_lease"}},
     "error.class"),
    ("fail_task", {"id": 1, "lease": "x", "error": {"message": "x", "code": 1}}, "error.code"),
])
def test_parameters_are_checked(client, method, params, field):
    with pytest.raises(RpcError) as error:
        client.call(method, **params)
    assert error.value.code == -32602 and error.value.data["field"] == field


def test_only_workers_profiles_can_be_claimed_from(make_daemon):
    daemon = make_daemon(worker_profile(), profile("c"))
    with daemon.client() as client:
        for wait in (0, 60):
            params = {"worker": "x", "wait": wait}
            error = refused(-32001, client.claim_task, profiles=["w", "none"], **params)
            assert '"none"' in error.message
            error = refused(-32002, client.claim_task, profiles=["w", "c"], **params)
            assert '"c"' in error.message


def test_a_connection_has_so_many_claims_waiting_at_most(daemon, client):
    with daemon.client() as waiter:
        for _ in range(101):
            last = send_claim(waiter)
        reply = waiter.reply()
        assert reply["id"] == last and reply["error"]["code"] == -32002


def test_a_workers_profile_says_so(client):
    made = client.get_profiles_with_states()[0]["profile"]
    assert made["runner"] == {"type": "worker", "lease": 60}


def test_a_claim_is_answered_beside_the_batch_that_made_its_task(make_daemon):
    """On one connection; a claim without a wait in its batch is served after waiting ones."""
    daemon = make_daemon({"name": "w", "runner": {"type": "worker"}, "maxConcurrentTasks": 5})
    with daemon.client() as client:
        client.send_call("claim_task", profiles=["w"], worker="one", wait=60)

        def call(id, method, **params):
            return {"jsonrpc": "2.0", "id": id, "method": method, "params": params}

        client.send(json.dumps([
            call("a", "assign_task_to_profile", name="w", task={"title": "first"}),
            call("b", "assign_task_to_profile", name="w", task={"title": "second"}),
            call("c", "claim_task", profiles=["w"], worker="two"), call("d", "get_health")]) + "\n")
        batch, claimed = sorted([client.reply(), client.reply()], key=lambda line: isinstance(line, dict))
        assert [reply["id"] for reply in batch] == ["a", "b", "c", "d"]
        assert (claimed["id"], claimed["result"]["task"]["title"]) == (1, "first"), "first come, first served"
        assert batch[2]["result"]["task"]["title"] == "second"
