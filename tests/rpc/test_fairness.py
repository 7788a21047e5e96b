# SPDX-License-Identifier: MIT
"""Passes are bounded, whatever is requested; the rest follows in the next pass."""

import json
import select

from acpd import stopped, wait_until

TASKS = 4000
WORKER = {"runner": {"type": "worker"}, "maxConcurrentTasks": 1}


def call(id, method, **params):
    return {"jsonrpc": "2.0", "id": id, "method": method, "params": params}


def fill(client, name, count):
    for start in range(0, count, 500):
        client.send(json.dumps([call(i, "assign_task_to_profile", name=name, task={"title": "t"})
                                for i in range(start, min(start + 500, count))]) + "\n")
        assert all("result" in reply for reply in client.reply())


def queued(client):
    return sum(state["queueSize"] for state in client.get_profile_states())


def test_batches_that_look_at_many_rows_keep_nobody_waiting(make_daemon):
    daemon = make_daemon({"name": "w", **WORKER, "queueLimit": TASKS}, {"name": "z", **WORKER})
    line = json.dumps([call(i, "list_tasks", profile="w", limit=20) for i in range(500)]) + "\n"
    with daemon.client() as client:
        fill(client, "w", TASKS)
        greedy = [daemon.client() for _ in range(4)]
        for other in greedy:
            other.send(line)
        for _ in range(3):
            assert queued(client) == TASKS
        pending = [other for other in greedy if not select.select([other.socket], [], [], 0)[0]]
        assert pending, "the others' batches were not answered before"
        for other in greedy:
            replies = other.reply()
            assert [reply["id"] for reply in replies] == list(range(500))
            assert all(len(reply["result"]["tasks"]) == 20 for reply in replies)
            other.close()


def test_a_batch_goes_on_where_it_was(make_daemon):
    daemon = make_daemon({"name": "w", **WORKER}, linesPerPass=3)
    with daemon.client() as client, daemon.client() as other:
        calls = [call(f"a{i}", "assign_task_to_profile", name="w", task={"title": str(i)}) for i in range(20)]
        del calls[7]["id"]  # a notification has no reply
        client.send(json.dumps(calls) + "\n" + json.dumps(call("last", "get_health")) + "\n")
        other.assign("w", title="another")
        replies = client.reply()
        assert [reply["id"] for reply in replies] == [f"a{i}" for i in range(20) if i != 7]
        assert client.reply()["id"] == "last"
        titles = [task["title"] for task in client.list_tasks(limit=50)["tasks"] if task["title"] != "another"]
        assert titles == [str(i) for i in reversed(range(20))]


def test_a_batch_of_one_who_leaves_is_done_to_its_end(make_daemon):
    daemon = make_daemon({"name": "w", **WORKER}, linesPerPass=1)
    with daemon.client() as client:
        with daemon.client() as other:
            other.send(json.dumps([call(i, "assign_task_to_profile", name="w", task={"title": "t"})
                                   for i in range(50)]) + "\n")
        wait_until(lambda: queued(client) == 50, "all of it is done")


def test_a_claim_in_a_batch_whose_client_leaves_is_given_back(make_daemon):
    daemon = make_daemon({"name": "w", **WORKER}, linesPerPass=1)
    with daemon.client() as client:
        id = client.assign("w")["id"]
        with daemon.client() as other:
            other.send(json.dumps([call(0, "claim_task", profiles=["w"], worker="gone")]
                                  + [call(i, "get_health") for i in range(1, 300)]) + "\n")
        wait_until(lambda: client.task(id)["attempt"] == 1 and client.task(id)["status"] == "queued",
                   "it is queued again")
        assert client.claim_task(profiles=["w"], worker="next")["task"]["id"] == id


def test_who_waits_first_is_served_first(make_daemon):
    """A claim sent together with a task comes after one that was already waiting."""
    daemon = make_daemon({"name": "w", **WORKER})
    with daemon.client() as first, daemon.client() as client:
        first.send_call("claim_task", profiles=["w"], worker="first", wait=60)
        first.get_health()  # its reply shows that the claim was read
        client.send(json.dumps(call(1, "assign_task_to_profile", name="w", task={"title": "t"})) + "\n"
                    + json.dumps(call(2, "claim_task", profiles=["w"], worker="second")) + "\n")
        assigned, claimed = client.reply(), client.reply()
        assert (assigned["id"], claimed["id"]) == (1, 2) and claimed["result"] == {"task": None}
        assert first.reply()["result"]["task"]["id"] == assigned["result"]["task"]["id"]


def test_newcomers_by_the_hundred_do_not_set_back_who_was_there_before(make_daemon):
    daemon = make_daemon({"name": "w", **WORKER, "queueLimit": TASKS}, {"name": "z", **WORKER})
    line = json.dumps([call(i, "list_tasks", profile="w", limit=20) for i in range(500)]) + "\n"
    with daemon.client() as client:
        fill(client, "w", TASKS)
        for _ in range(200):
            with daemon.client() as short:
                short.get_health()
        with daemon.client() as greedy:
            greedy.send(line)
            for _ in range(3):
                client.get_health()
            assert not select.select([greedy.socket], [], [], 0)[0], "its batch is still being handled"
            assert len(greedy.reply()) == 500


def test_claims_share_a_pass_whoever_waits_for_other_profiles(make_daemon):
    daemon = make_daemon({"name": "w", **WORKER, "maxConcurrentTasks": 1000}, {"name": "v", **WORKER})
    with daemon.client() as waiting, daemon.client() as client:
        waiting.send_call("claim_task", profiles=["v"], worker="x", wait=60)
        waiting.get_health()  # its reply shows that the claim was read
        fill(client, "w", 100)
        before = client.get_health()["loop"]["commits"]
        for _ in range(100):
            client.send_call("claim_task", profiles=["w"], worker="y")
        assert all(client.reply()["result"]["task"] for _ in range(100))
        assert client.get_health()["loop"]["commits"] - before < 50
        client.assign("v")
        assert waiting.reply()["result"]["task"]["profile"] == "v"


def test_events_follow_the_reply_that_announces_them(make_daemon):
    daemon = make_daemon({"name": "w", **WORKER}, linesPerPass=1)
    with daemon.client() as client:
        client.send(json.dumps([call("s", "subscribe")]
                               + [call(i, "assign_task_to_profile", name="w", task={"title": "t"})
                                  for i in range(20)]) + "\n")
        replies = client.reply()
        assert [reply["id"] for reply in replies] == ["s", *range(20)]
        assert [client.reply()["params"]["type"] for _ in range(20)].count("task") == 20


def test_who_asks_for_little_is_answered_before_newcomers_who_ask_for_much(make_daemon):
    """Each of them ranks thousands of profiles, which takes longer than a pass should."""
    route = json.dumps(call(0, "get_best_profile_for_task", task={"title": "t"})) + "\n"
    refused = json.dumps(call(0, "get_best_profile_for_task")) + "\n"
    daemon = make_daemon(*({"name": f"p{i}", **WORKER} for i in range(8000)))
    with daemon.client() as first:
        first.send(route)  # acpd learns what it takes; what is refused teaches nothing
        assert "result" in first.reply()
        for _ in range(100):
            first.send(refused)
        assert all("error" in first.reply() for _ in range(100))
    greedy = [daemon.client() for _ in range(30)]
    with daemon.client() as client:
        with daemon.client() as last:
            last.get_health()  # its reply shows that acpd has accepted all of them
        with stopped(daemon):
            for other in greedy:
                other.send(route)
            client.send_call("get_health")
        client.reply()
        answered = select.select([other.socket for other in greedy], [], [], 0)[0]
        assert len(answered) < 15  # some, if this process was slow to look
        for other in greedy:
            assert "result" in other.reply()
            other.close()
