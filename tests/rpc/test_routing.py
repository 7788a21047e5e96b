# SPDX-License-Identifier: MIT
"""Routing and metrics, as users see them."""

import datetime
import time

import pytest

from acpd import profile, RpcError, shell, wait_until

WEIGHTS = {"capability": 0.3, "load": 0.4, "history": 0.2, "priority": 0.1}


@pytest.fixture
def client(make_daemon):
    daemon = make_daemon(
        profile("generalist", capabilities=["coding", "testing", "docs", "ops"], priority=5),
        profile("coder", capabilities=["coding"], priority=1),
        profile("writer", capabilities=["docs"], priority=1),
    )
    with daemon.client() as client:
        yield client


def best(client, **task):
    return client.get_best_profile_for_task(task=task)


def test_the_specialist_is_best_and_every_term_is_told(client):
    answer = best(client, type="coding")
    assert answer["bestProfile"]["name"] == "coder"
    assert "coder" in answer["reason"]
    names = [c["name"] for c in answer["candidates"]]
    assert names == ["coder", "generalist", "writer"]
    coder, generalist, writer = answer["candidates"]
    assert coder["terms"] == {"capability": 1, "load": 1, "history": 0.8, "priority": 0.1}
    assert generalist["terms"] == {"capability": 0.25, "load": 1, "history": 0.8, "priority": 0.5}
    for candidate in (coder, generalist):
        assert candidate["score"] == sum(WEIGHTS[t] * v for t, v in candidate["terms"].items())
        assert "rejected" not in candidate
    assert writer["rejected"] == 'it lacks the capability "coding"'


def test_all_required_capabilities_are_needed_and_the_type_is_one(client):
    assert best(client, type="coding", capabilities=["docs"])["bestProfile"]["name"] == "generalist"
    assert best(client, capabilities=["writer"])["bestProfile"]["name"] == "writer", "its own name"


def test_none_fits_is_said_with_the_reason(client):
    answer = best(client, type="surgery")
    assert answer["bestProfile"] is None and "none of 3 profiles fits" in answer["reason"]
    assert all("surgery" in c["rejected"] for c in answer["candidates"])
    with pytest.raises(RpcError) as error:
        client.submit_task(task={"title": "t", "type": "surgery"})
    assert error.value.code == -32001 and "surgery" in error.value.message


def test_a_paused_profile_is_not_chosen(client):
    client.update_profile_status(name="coder", isActive=False)
    answer = best(client, type="coding")
    assert answer["bestProfile"]["name"] == "generalist"
    rejected = {c["name"]: c.get("rejected") for c in answer["candidates"]}
    assert rejected["coder"] == "it is not active"


def test_a_full_queue_is_not_chosen(make_daemon):
    daemon = make_daemon(shell("sleep 1000", "a", queueLimit=1, maxConcurrentTasks=1, priority=10),
                         shell("sleep 1000", "b", queueLimit=2, maxConcurrentTasks=1, priority=0))
    with daemon.client() as client:
        client.wait_status(client.submit_task(task={"title": "t"})["task"]["id"], "running")
        client.assign("a")
        answer = best(client)
        assert answer["bestProfile"]["name"] == "b"
        assert answer["candidates"][-1]["rejected"] == "its queue is full"
        client.wait_status(client.submit_task(task={"title": "t"})["task"]["id"], "running")
        for _ in range(2):
            assert client.submit_task(task={"title": "t"})["task"]["profile"] == "b"
        with pytest.raises(RpcError) as error:
            client.submit_task(task={"title": "t"})
        assert error.value.code == -32003 and error.value.data["retryAfter"] >= 1


def test_work_moves_to_who_is_free(make_daemon):
    daemon = make_daemon(shell("sleep 1000", "a", maxConcurrentTasks=1),
                         shell("sleep 1000", "b", maxConcurrentTasks=1))
    with daemon.client() as client:
        chosen = [client.submit_task(task={"title": "t"})["task"]["profile"] for _ in range(6)]
        assert chosen.count("a") == chosen.count("b") == 3


def test_what_is_preferred_decides_between_those_that_fit(make_daemon):
    daemon = make_daemon(profile("crab", capabilities=["coding", "rust"]),
                         profile("snake", capabilities=["coding", "python"]))
    with daemon.client() as client:
        def capability(**task):
            return {c["name"]: c["terms"]["capability"]
                    for c in best(client, type="coding", **task)["candidates"]}

        assert capability() == {"crab": 1 / 2, "snake": 1 / 2}
        # Wanted: coding, python, sql. Offered by both: coding and one more.
        assert capability(prefers=["python", "sql"]) == {"crab": 1 / 4, "snake": 2 / 3}
        assert best(client, type="coding", prefers=["python"])["bestProfile"]["name"] == "snake"
        assert best(client, type="coding", prefers=["rust"])["bestProfile"]["name"] == "crab"
        # A capability that is both required and preferred counts once.
        assert capability(prefers=["coding", "rust"]) == {"crab": 1, "snake": 1 / 3}
        task = client.submit_task(task={"title": "t", "type": "coding", "prefers": ["python"]})["task"]
        assert task["profile"] == "snake"
        assert client.task(task["id"])["prefers"] == ["python"]


def test_what_is_avoided_is_rejected(make_daemon):
    daemon = make_daemon(profile("a", priority=10), profile("b"))
    with daemon.client() as client:
        assert best(client)["bestProfile"]["name"] == "a"
        answer = best(client, avoid=["a", "unknown"])
        assert answer["bestProfile"]["name"] == "b"
        assert answer["candidates"][1]["rejected"] == "the task avoids it"
        task = client.submit_task(task={"title": "t", "avoid": ["a"]})["task"]
        assert task["profile"] == "b" and client.task(task["id"])["avoid"] == ["a"]
        with pytest.raises(RpcError) as error:
            client.submit_task(task={"title": "t", "avoid": ["a", "b"]})
        assert error.value.code == -32001 and "avoids" in error.value.message
        # A named profile is used in any case.
        assert client.assign("a", avoid=["a"])["profile"] == "a"
        with pytest.raises(RpcError) as error:
            best(client, avoid=["A"])
        assert error.value.data["field"] == "task.avoid[0]"


def test_a_task_may_name_its_node(make_daemon):
    daemon = make_daemon(profile("a", priority=10, nodes=["gpu-*"]), profile("b"), node={"name": "big"})
    with daemon.client() as client:
        answer = best(client, node="big")
        assert answer["bestProfile"]["name"] == "b"
        assert answer["candidates"][1]["rejected"] == 'it does not run on node "big"'
        task = client.submit_task(task={"title": "t", "node": "big"})["task"]
        assert task["profile"] == "b" and task["node"] == task["onlyNode"] == "big"
        assert client.finish(task["id"])["status"] == "completed"
        assert "onlyNode" not in client.assign("a") and client.assign("a")["node"] is None
        with pytest.raises(RpcError) as error:
            client.assign("a", node="big")
        assert error.value.code == -32002
        assert error.value.message == 'profile "a" does not run on node "big"'
        client.update_profile_status(name="b", isActive=False)
        waiting = client.assign("b", node="big")
        with pytest.raises(RpcError) as error:
            client.update_task(id=waiting["id"], profile="a")
        assert error.value.code == -32002 and "the only one for task" in error.value.message
        for name, words in ("no name", "word"), (["big"], "word"), ("", "word"):
            with pytest.raises(RpcError) as error:
                client.assign("b", node=name)
            assert error.value.data["field"] == "task.node" and words in error.value.data["reason"]
        if not daemon.store:  # in SQLite, so it is alone
            assert best(client, node="gpu-1")["bestProfile"] is None
            for call in lambda: client.submit_task(task={"title": "t", "node": "gpu-1"}), \
                    lambda: client.assign("b", node="gpu-1"):
                with pytest.raises(RpcError) as error:
                    call()
                assert 'does not run on node "gpu-1"' in error.value.message or \
                    error.value.message.startswith("no profile fits the task")


def test_load_knows_what_a_type_takes(make_daemon):
    script = 'case $(cat) in *\'"type":"%s"\'*) sleep 1;; esac'
    kinds = ["heavy", "light"]
    daemon = make_daemon(shell(script % "heavy", "a", capabilities=kinds),
                         shell(script % "light", "b", capabilities=kinds))
    with daemon.client() as client:
        for name in "ab":
            for kind in kinds:
                client.finish(client.assign(name, type=kind)["id"])

        def load(kind):
            return {c["name"]: c["terms"]["load"] for c in best(client, type=kind)["candidates"]}

        assert load("light")["a"] == 1 > load("light")["b"]
        assert load("heavy")["b"] == 1 > load("heavy")["a"]


def test_waiting_work_lowers_the_load(make_daemon):
    daemon = make_daemon(shell("sleep 1000", maxConcurrentTasks=1))
    with daemon.client() as client:
        loads = []
        for _ in range(4):
            candidate = best(client)["candidates"][0]
            loads.append(candidate["terms"]["load"])
            assert candidate["score"] == sum(WEIGHTS[t] * v for t, v in candidate["terms"].items())
            id = client.assign("p")["id"]
            if len(loads) == 1:
                client.wait_status(id, "running")
        assert loads[0] == 1 and loads == sorted(loads, reverse=True)
        assert len(set(loads)) == 4 and loads[3] > 0


def moment(iso):
    return datetime.datetime.fromisoformat(iso).timestamp()


def test_the_eta_is_never_past_and_grows_with_the_place(make_daemon):
    daemon = make_daemon(shell("case $(cat) in *'\"input\":1,'*) sleep 1000;; esac",
                               maxConcurrentTasks=1))
    with daemon.client() as client:
        client.wait_status(client.assign("p", input=1)["id"], "running")
        assert client.assign("p")["pending"]["eta"] is None, "nothing was measured"
        for task in client.list_tasks()["tasks"]:
            client.cancel_task(id=task["id"])
        client.finish(client.assign("p")["id"])
        client.wait_status(client.assign("p", input=1)["id"], "running")
        ids = [client.assign("p")["id"] for _ in range(5)]
        before = time.time()
        tasks = client.get_profile_task_queue(name="p")
        assert [task["id"] for task in tasks] == ids
        etas = [moment(task["pending"]["eta"]) for task in tasks]
        assert etas == sorted(etas) and etas[0] >= int(before * 1000) / 1000
        client.update_profile_status(name="p", isActive=False)
        assert client.task(ids[0])["pending"] == {"reason": "paused", "position": 1, "eta": None}


def test_the_eta_of_a_cooldown_is_not_before_its_end(make_daemon):
    daemon = make_daemon(shell("case $(cat) in *'\"input\":1,'*) exit 75;; esac",
                               cooldown={"min": 1000, "max": 1000}, maxConcurrentTasks=2))
    with daemon.client() as client:
        client.finish(client.assign("p")["id"])
        began = time.time()
        id = client.assign("p", input=1)["id"]
        wait_until(lambda: client.task(id)["error"])
        pending = client.assign("p")["pending"]
        assert pending["reason"] == "cooldown"
        assert began + 999 < moment(pending["eta"]) < time.time() + 1001
        # Routing knows it too.
        assert best(client)["candidates"][0]["terms"]["load"] < 1


def test_submit_stores_its_decision(client):
    task = client.submit_task(task={"title": "t", "type": "coding"})["task"]
    assert task["profile"] == "coder"
    routing = client.task(task["id"])["routing"]
    assert routing["bestProfile"] == "coder" and routing["reason"]
    assert [c["name"] for c in routing["candidates"]] == ["coder", "generalist", "writer"]
    assert client.assign("coder")["routing"] is None


def test_failures_cost_a_profile_its_rank_and_its_health(make_daemon):
    daemon = make_daemon(shell("exit 1", "bad", retry={"maxAttempts": 1}, priority=10),
                         profile("good", priority=1))
    with daemon.client() as client:
        assert best(client)["bestProfile"]["name"] == "bad"
        for _ in range(5):
            client.finish(client.assign("bad")["id"])
        answer = best(client)
        assert answer["bestProfile"]["name"] == "good"
        history = {c["name"]: c["terms"]["history"] for c in answer["candidates"]}
        # Five failures, each weighing 2^(-1/20) of the one after it, beside the prior's 4 of 5.
        assert history["good"] == 0.8
        assert history["bad"] == pytest.approx(4 / (5 + sum(2 ** (-i / 20) for i in range(5))))
        state = client.state("bad")
        assert state["health"] == "unhealthy" and "5 attempts failed" in state["healthReason"]
        health = client.get_health()
        assert health["status"] == "degraded"
        assert health["reasons"] == [f"profile bad: {state['healthReason']}"]
        # Never filtered out: with nothing better, it is chosen.
        client.update_profile_status(name="good", isActive=False)
        assert best(client)["bestProfile"]["name"] == "bad"


def test_a_choice_among_the_unhealthy_says_so(make_daemon, folder):
    """In the reason, also in that of the submitted task; healthy profiles come first."""
    daemon = make_daemon(profile("a", [f"{folder}/none"], capabilities=["x", "y"]),
                         profile("b", [f"{folder}/none"], capabilities=["x"]),
                         profile("c", capabilities=["z"], priority=0), healthCheckInterval=1)
    none = "; no healthy profile fits"
    with daemon.client() as client:
        wait_until(lambda: client.state("a")["health"] == client.state("b")["health"] == "unhealthy")
        assert best(client, type="x")["reason"] == "b has the best score of the 2 that fit" + none
        assert best(client, type="y")["reason"] == "a is the only one of 3 that fits" + none
        assert best(client, type="z")["reason"] == "c is the only one of 3 that fits"
        assert best(client)["reason"] == "c has the best score of the healthy ones among the 3 that fit"
        task = client.submit_task(task={"title": "t", "type": "x"})["task"]
        assert task["profile"] == "b" and task["routing"]["reason"].endswith(none)
        client.cancel_task(id=task["id"])
        client.update_profile_status(name="b", isActive=False)
        client.update_profile_status(name="a", isActive=False)
        with pytest.raises(RpcError) as error:
            client.submit_task(task={"title": "t", "type": "x"})
        assert error.value.code == -32001 and "healthy" not in error.value.message, "health keeps nobody out"


def test_metrics_are_right_and_the_same_after_a_restart(make_daemon):
    daemon = make_daemon(shell("exit $(sed 's/.*\"input\":\\([0-9]*\\).*/\\1/')", maxConcurrentTasks=1,
                               retry={"maxAttempts": 2, "backoff": 0.01}))
    with daemon.client() as client:
        for status in [0, 0, 0, 1, 64, 0]:
            client.finish(client.assign("p", input=status)["id"])
        cancelled = client.assign("p", runAt="2100-01-01T00:00:00Z")["id"]
        client.cancel_task(id=cancelled)
        metrics = client.get_profile_metrics(name="p")
        # Four successes and the two attempts of the one that failed; invalid and cancelled: neither.
        assert metrics["sampleSize"] == 6
        assert metrics["successRate"] == pytest.approx(100 * 4 / 6)
        assert metrics["errorRate"] == pytest.approx(100 * 2 / 6)
        assert metrics["throughput"] == 6, "four completed and two failed in the hour"
        assert 0 < metrics["averageTaskDuration"] < 10
        assert metrics["p50TaskDuration"] <= metrics["p95TaskDuration"]
        assert 0 <= metrics["queueWaitTime"] < 10
        day = client.get_profile_metrics(name="p", range="24h")
        assert day["throughput"] == 6 / 24 and day["sampleSize"] == 6 and day["range"] == "24h"
        assert client.get_profile_metrics(name="p", range="7d")["throughput"] == 6 / 168
        state = client.state("p")
        assert (state["completedTasks"], state["failedTasks"]) == (4, 2)
        before = [client.get_all_profile_metrics(range=r) for r in ("1h", "24h", "7d")]
        daemon.restart()
    with daemon.client() as client:
        assert [client.get_all_profile_metrics(range=r) for r in ("1h", "24h", "7d")] == before
        assert client.state("p") == state


def test_no_sample_is_no_error(client):
    assert client.get_profile_metrics(name="coder") == {
        "throughput": 0, "successRate": 100, "averageTaskDuration": 0, "queueWaitTime": 0,
        "errorRate": 0, "range": "1h", "sampleSize": 0, "p50TaskDuration": 0, "p95TaskDuration": 0,
        "cost": None}
    with pytest.raises(RpcError) as error:
        client.get_profile_metrics(name="coder", range="2h")
    assert error.value.data["field"] == "range"
