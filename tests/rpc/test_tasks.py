# SPDX-License-Identifier: MIT
"""The task methods, and what they reject."""

from random import Random

import pytest

from acpd import RpcError, profile, shell, wait_until


def refused(code, call, *args, **params):
    with pytest.raises(RpcError) as error:
        call(*args, **params)
    assert error.value.code == code, error.value
    return error.value


TASK = {"id", "profile", "title", "description", "type", "capabilities", "priority", "status",
        "input", "key", "runAt", "timeout", "maxAttempts", "dependsOn", "prefers", "avoid", "model", "mode",
        "options", "submittedBy",
        "attempt", "node", "createdAt", "startedAt", "finishedAt", "result", "error", "pending", "routing"}


def test_a_task_has_just_the_documented_members(client):
    assigned = client.assign("p")
    assert set(assigned) == TASK and set(client.task(assigned["id"])) == TASK
    assert assigned == client.task(assigned["id"])


def test_unknown_things_are_named(client):
    assert "profile \"x\" not found" in refused(-32001, client.assign, "x").message
    for method in ("get_task", "cancel_task", "retry_task", "update_task", "get_task_log"):
        assert "task 99 not found" in refused(-32001, client.call, method, id=99).message
    refused(-32001, client.list_tasks, profile="x")
    id = client.assign("p")["id"]
    refused(-32001, client.get_task_log, id=id, attempt=5)
    assert client.get_task_log(id=id)["entries"] == []


def test_the_same_key_returns_the_first_task(make_daemon):
    daemon = make_daemon(profile("p", queueLimit=1), profile("q"))
    with daemon.client() as client:
        for name in "pq":
            client.update_profile_status(name=name, isActive=False)
        first = client.call("assign_task_to_profile", profileName="p", task={"title": "a", "key": "k"})
        assert "deduplicated" not in first
        # Looked up before the limit, whatever the profile and the body.
        for method, params in [("assign_task_to_profile", {"profileName": "p"}),
                               ("assign_task_to_profile", {"profileName": "q"}),
                               ("submit_task", {})]:
            again = client.call(method, task={"title": "other", "key": "k"}, **params)
            assert again["deduplicated"] is True and again["task"]["id"] == first["task"]["id"]
            assert again["task"]["title"] == "a"
        client.cancel_task(id=first["task"]["id"])
        assert client.assign("q", key="k")["status"] == "cancelled", "it lives as long as its task"
        assert client.assign("q", key="k2")["id"] != first["task"]["id"]


def test_one_key_in_a_batch_makes_one_task(client):
    call = ('{"jsonrpc":"2.0","id":%d,"method":"assign_task_to_profile",'
            '"params":{"name":"p","task":{"title":"t","key":"once"}}}')
    client.send("[" + ",".join(call % i for i in range(5)) + "]\n" + call % 9 + "\n")
    ids = {r["result"]["task"]["id"] for r in client.reply()}
    assert ids == {client.reply()["result"]["task"]["id"]}


def test_a_full_queue_refuses_with_a_time_to_come_back(make_daemon):
    daemon = make_daemon(profile("p", queueLimit=3))
    with daemon.client() as client:
        client.update_profile_status(name="p", isActive=False)
        client.assign("p", runAt="2100-01-01T00:00:00Z")
        ids = [client.assign("p")["id"] for _ in range(2)]
        error = refused(-32003, client.assign, "p")
        assert 1 <= error.data["retryAfter"] <= 60 and '"p"' in error.message
        client.cancel_task(id=ids[0])
        assert client.assign("p")["status"] == "queued"


def test_a_pipelined_flood_does_not_pass_the_limit(make_daemon):
    daemon = make_daemon(profile("p", queueLimit=100))
    with daemon.client() as client:
        client.update_profile_status(name="p", isActive=False)
        for _ in range(500):
            client.send_call("assign_task_to_profile", profileName="p", task={"title": "t"})
        replies = [client.reply() for _ in range(500)]
        assert sum("result" in r for r in replies) == 100
        assert client.state("p")["queueSize"] == 100


def test_retries_are_not_subject_to_the_limit(make_daemon):
    daemon = make_daemon(shell("exit 1", queueLimit=1, maxConcurrentTasks=1,
                               retry={"maxAttempts": 3, "backoff": 0.01}))
    with daemon.client() as client:
        for _ in range(3):
            id = wait_until(lambda: try_assign(client))
            assert client.finish(id)["attempt"] == 3


def try_assign(client):
    try:
        return client.assign("p")["id"]
    except RpcError as error:
        assert error.code == -32003
        return None


def test_the_queue_lists_in_the_order_of_running_and_pages(client):
    later = [client.assign("p", runAt=f"2100-01-0{day}T00:00:00Z")["id"] for day in (3, 1, 2)]
    ids = [client.assign("p", title=str(i))["id"] for i in range(25)]
    expected = ids + [later[1], later[2], later[0]]
    queue = client.get_profile_task_queue(name="p")
    assert [t["id"] for t in queue] == expected
    assert [t["pending"]["position"] for t in queue] == list(range(1, 29))
    assert {t["pending"]["reason"] for t in queue[:25]} == {"paused"}
    assert {t["pending"]["reason"] for t in queue[25:]} == {"scheduled"}
    for size in (1, 7, 28):
        walked, after = [], None
        while page := client.get_profile_task_queue(name="p", limit=size, after=after):
            walked += page
            after = page[-1]["id"]
        assert walked == queue
    assert [client.task(id)["pending"]["position"] for id in expected] == list(range(1, 29))
    refused(-32002, client.get_profile_task_queue, name="p", after=client.cancel_task(id=ids[0])["id"])


def test_positions_are_exact_up_to_a_thousand(client):
    count = 1005
    for i in range(count):
        client.send_call("assign_task_to_profile", profileName="p", task={"title": str(i)})
    positions = [client.reply()["result"]["task"]["pending"]["position"] for _ in range(count)]
    assert positions[:100] == list(range(1, 101)) and set(positions[100:]) == {None}
    ids = [t["id"] for t in client.list_tasks(limit=1000)["tasks"]]
    assert client.task(ids[5])["pending"]["position"] == 1000
    assert client.task(ids[4])["pending"]["position"] is None
    later = client.assign("p", runAt="2100-01-01T00:00:00Z")["id"]
    for id in ids[:5]:
        client.cancel_task(id=id)
    assert client.task(later)["pending"]["position"] is None, "a thousand are queued before it"
    client.cancel_task(id=ids[5])
    assert client.task(later)["pending"]["position"] == 1000


def test_positions_are_those_of_the_queue_whatever_was_last(make_daemon):
    daemon = make_daemon(profile("p"), profile("q"), profile("first"))
    random = Random(20)

    def queue(client, name):
        return [t["id"] for t in client.get_profile_task_queue(name=name, limit=1000)]

    def release(client, name, priority):
        """Queues two tasks without a reply that would say where."""
        first = client.assign("first")["id"]
        ids = [client.assign(name, priority=priority, dependsOn=[first])["id"] for _ in range(2)]
        client.finish(first)
        for id in ids:
            wait_until(lambda: id in queue(client, name))

    def change(client, name, ids):
        priority = random.choice(["low", "medium", "high"])
        kind = random.choice(["release", "assign", "cancel", "update", "move"]) if ids else "assign"
        if kind == "release":
            release(client, name, priority)
        elif kind == "assign":
            return client.assign(name, priority=priority)
        elif kind == "cancel":
            client.cancel_task(id=random.choice(ids[-3:]))
        elif kind == "update":
            return client.update_task(id=random.choice(ids), priority=priority)
        else:
            return client.update_task(id=random.choice(ids), profile=random.choice("pq"))

    for _ in range(2):  # a restart
        with daemon.client() as client:
            for name in "pq":
                client.update_profile_status(name=name, isActive=False)
            for _ in range(50):
                name = random.choice("pq")
                task = change(client, name, queue(client, name))
                ids = queue(client, name)
                if not task and ids:
                    task = client.task(random.choice(ids[-3:]))
                if task:
                    assert queue(client, task["profile"])[task["pending"]["position"] - 1] == task["id"]
        daemon.restart()


def test_list_tasks_filters_and_pages(make_daemon):
    daemon = make_daemon(profile("p"), shell("exit 1", "q", retry={"maxAttempts": 1}),
                         shell("sleep 1000", "r", maxConcurrentTasks=3))
    with daemon.client() as client:
        made = []
        for i in range(30):
            made.append(client.assign("pqr"[i % 3])["id"])
        for id in made:
            if client.task(id)["profile"] != "r":
                client.finish(id)
        wait_until(lambda: client.state("r")["currentTasks"] == 3)
        cancelled = client.list_tasks(status="queued")["tasks"][0]["id"]
        client.cancel_task(id=cancelled)

        def walk(**filters):
            found, before = [], None
            while True:
                page = client.list_tasks(before=before, limit=4, **filters)
                found += page["tasks"]
                before = page["next"]
                if before is None:
                    return found

        everything = walk()
        assert [t["id"] for t in everything] == sorted(made, reverse=True)
        for name in [None, "p", "q", "r"]:
            for status in [None, "completed", "failed", "running", "queued", "cancelled",
                           "scheduled", "blocked"]:
                expected = [t["id"] for t in everything
                            if name in (None, t["profile"]) and status in (None, t["status"])]
                assert [t["id"] for t in walk(profile=name, status=status)] == expected, (name, status)
        assert client.list_tasks(status="cancelled")["tasks"][0]["id"] == cancelled


def test_waiting_tasks_can_be_changed(make_daemon):
    daemon = make_daemon(profile("p"), profile("q", queueLimit=1))
    with daemon.client() as client:
        for name in "pq":
            client.update_profile_status(name=name, isActive=False)
        a, b, c = [client.assign("p", title=t)["id"] for t in "abc"]

        def order(name="p"):
            return [t["id"] for t in client.get_profile_task_queue(name=name)]

        assert client.update_task(id=c, priority="high")["priority"] == "high"
        assert client.update_task(id=a, priority="low")["pending"]["position"] == 3
        assert order() == [c, b, a]
        moved = client.update_task(id=b, profile="q")
        assert moved["profile"] == "q" and order() == [c, a] and order("q") == [b]
        assert (client.state("p")["queueSize"], client.state("q")["queueSize"]) == (2, 1)
        refused(-32003, client.update_task, id=a, profile="q")
        later = client.update_task(id=c, runAt="2100-01-01T00:00:00Z")
        assert later["status"] == "scheduled" and order() == [a, c]
        now = client.update_task(id=c, runAt=None)
        assert now["status"] == "queued" and now["runAt"] is None and order() == [c, a]
        refused(-32001, client.update_task, id=c, profile="nobody")
        assert client.update_task(id=c) == client.task(c), "nothing to change changes nothing"
        client.cancel_task(id=c)
        assert "cancelled" in refused(-32002, client.update_task, id=c, priority="low").message


def test_what_runs_or_has_finished_cannot_be_changed(make_daemon):
    daemon = make_daemon(profile("p"), shell("sleep 1000", "s"))
    with daemon.client() as client:
        done = client.finish(client.assign("p")["id"])["id"]
        running = client.wait_status(client.assign("s")["id"], "running")["id"]
        for id in (done, running):
            refused(-32002, client.update_task, id=id, priority="low")
        refused(-32002, client.cancel_task, id=done)
        refused(-32002, client.retry_task, id=running)
        assert "completed" in refused(-32002, client.retry_task, id=done).message
        client.cancel_task(id=running)
        refused(-32002, client.cancel_task, id=running)


def test_cancel_of_a_waiting_task(client):
    id = client.assign("p")["id"]
    task = client.cancel_task(id=id)
    assert task["status"] == "cancelled" and task["finishedAt"] and task["pending"] is None
    assert task["error"]["class"] == "cancelled"
    state = client.state("p")
    assert (state["queueSize"], state["failedTasks"], state["completedTasks"]) == (0, 0, 0)


def test_retry_gives_a_new_budget_and_goes_on_counting(make_daemon, folder):
    daemon = make_daemon(shell(f"test -e {folder}/ok && echo fine || exit 1",
                               retry={"maxAttempts": 2, "backoff": 0.01}))
    with daemon.client() as client:
        id = client.assign("p")["id"]
        assert client.finish(id)["attempt"] == 2
        assert client.state("p")["failedTasks"] == 1
        again = client.retry_task(id=id)
        assert again["error"] is None and again["finishedAt"] is None
        assert client.finish(id)["attempt"] == 4
        (folder / "ok").touch()
        client.retry_task(id=id)
        task = client.finish(id)
        assert task["status"] == "completed" and task["attempt"] == 5
        assert task["result"] == {"output": "fine\n"} and task["error"] is None
        state = client.state("p")
        assert (state["failedTasks"], state["completedTasks"]) == (0, 1)


def test_a_cancelled_task_is_not_retried_while_its_processes_live(make_daemon, folder):
    daemon = make_daemon(shell(f"trap '' TERM; touch {folder}/up; "
                               f"while [ ! -e {folder}/go ]; do sleep 0.05; done"), killGrace=100)
    with daemon.client() as client:
        id = client.assign("p")["id"]
        wait_until((folder / "up").exists)
        client.cancel_task(id=id)
        assert "still being stopped" in refused(-32002, client.retry_task, id=id).message
        (folder / "go").touch()

        def retried():
            try:
                return client.retry_task(id=id)
            except RpcError:
                return None

        wait_until(retried)
        assert client.finish(id)["status"] == "completed"


def test_a_paused_profile_accepts_but_starts_nothing(make_daemon, folder):
    daemon = make_daemon(shell(f"echo run >> {folder}/runs; until [ -e {folder}/go ]; do sleep 0.02; done",
                               maxConcurrentTasks=1))
    with daemon.client() as client:
        first = client.wait_status(client.assign("p")["id"], "running")["id"]
        reply = client.update_profile_status(name="p", isActive=False)
        assert reply["success"] is True and reply["state"]["isActive"] is False
        second = client.assign("p")
        assert second["pending"]["reason"] == "paused"
        (folder / "go").touch()
        assert client.finish(first)["status"] == "completed", "what runs is let finish"
        assert client.task(second["id"])["status"] == "queued"
        assert client.state("p")["isProcessing"] is False
        daemon.restart()
    with daemon.client() as client:
        assert client.state("p")["isActive"] is False, "it survives a restart"
        assert client.task(second["id"])["pending"]["reason"] == "paused"
        client.update_profile_status(name="p", isActive=True)
        assert client.finish(second["id"])["status"] == "completed"
        assert (folder / "runs").read_text() == "run\nrun\n"
