# SPDX-License-Identifier: MIT
"""Dependencies between tasks."""

import json

import pytest

from acpd import RpcError, profile, shell, wait_until
from database import assert_counters_are_right

LATER = "2100-01-01T00:00:00Z"


@pytest.fixture
def work(make_daemon):
    """A profile whose tasks end as their titles say, once it is resumed."""
    daemon = make_daemon(shell("grep -q '\"title\":\"fail' && exit 64; exit 0", maxConcurrentTasks=4),
                         profile("other"))
    with daemon.client() as client:
        client.update_profile_status(name="p", isActive=False)
        client.daemon = daemon
        yield client


def go(client, is_active=True):
    client.update_profile_status(name="p", isActive=is_active)


def test_a_task_waits_until_all_that_it_depends_on_are_completed(work):
    first, second = work.assign("p")["id"], work.assign("p")["id"]
    task = work.assign("p", dependsOn=[first, second, first])
    assert task["status"] == "blocked" and task["dependsOn"] == [first, second, first]
    assert task["pending"] == {"reason": "dependency", "position": 3, "eta": None}
    after = work.assign("other", dependsOn=[task["id"]])
    assert after["status"] == "blocked" and work.state("other")["queueSize"] == 1
    go(work)
    done = [work.finish(id) for id in (first, second, task["id"], after["id"])]
    assert [t["status"] for t in done] == ["completed"] * 4
    assert max(done[0]["finishedAt"], done[1]["finishedAt"]) <= done[2]["startedAt"]
    assert done[2]["finishedAt"] <= done[3]["startedAt"]


def test_what_is_completed_already_is_not_waited_for(work):
    go(work)
    first = work.finish(work.assign("p")["id"])["id"]
    go(work, False)
    assert work.assign("p", dependsOn=[first])["status"] == "queued"
    assert work.assign("p", dependsOn=[first], runAt=LATER)["status"] == "scheduled"
    assert work.assign("p", dependsOn=[])["status"] == "queued"


def test_a_failure_cancels_what_depends_on_it(work):
    bad = work.assign("p", title="fail")["id"]
    good = work.assign("p")["id"]
    one = work.assign("p", dependsOn=[bad, good])["id"]
    two = work.assign("other", dependsOn=[one])["id"]
    go(work)
    one, two = work.finish(one), work.finish(two)
    assert (one["status"], two["status"]) == ("cancelled", "cancelled")
    assert one["error"] == {"class": "cancelled",
                            "message": f"task {bad}, on which it depends, failed"}
    assert two["error"]["message"] == f"task {one['id']}, on which it depends, was cancelled"
    assert one["attempt"] == 0 and work.finish(good)["status"] == "completed"


def test_one_that_has_failed_already_cancels_at_once(work):
    go(work)
    bad = work.finish(work.assign("p", title="fail")["id"])["id"]
    task = work.assign("p", dependsOn=[bad])
    assert task["status"] == "cancelled" and str(bad) in task["error"]["message"]
    assert task["finishedAt"] and task["pending"] is None
    # Not even if another one is still open.
    later = work.assign("p", runAt=LATER)["id"]
    for ids in ([later, bad], [bad, later]):
        assert work.assign("p", dependsOn=ids)["status"] == "cancelled"


def test_a_cancelled_one_cancels_too(work):
    first = work.assign("p", runAt=LATER)["id"]
    second = work.assign("p", dependsOn=[first])["id"]
    work.cancel_task(id=first)
    second = work.finish(second)
    assert second["error"]["message"] == f"task {first}, on which it depends, was cancelled"


@pytest.mark.parametrize("ids, field", [
    ([99], "task.dependsOn[0]"), ([1, 0], "task.dependsOn[1]"), (["1"], "task.dependsOn[0]"),
    ([1, 99], "task.dependsOn[1]"), ([1.5], "task.dependsOn[0]"), (1, "task.dependsOn"),
    ([1] * 101, "task.dependsOn"), ([9007199254740992], "task.dependsOn[0]"), ([-1],
                                                                              "task.dependsOn[0]")])
def test_what_cannot_be_depended_on_is_refused(work, ids, field):
    assert work.assign("p")["id"] == 1
    for call in ("assign", "submit"):
        with pytest.raises(RpcError) as error:
            if call == "assign":
                work.assign("p", dependsOn=ids)
            else:
                work.submit_task(task={"title": "t", "dependsOn": ids})
        assert error.value.code == -32602 and error.value.data["field"] == field
        assert error.value.data["reason"]
    assert work.state("p")["queueSize"] == 1 and work.assign("p", dependsOn=[1] * 100)["id"] == 2


def test_a_blocked_task_can_be_changed(work):
    first = work.assign("p", runAt=LATER)["id"]
    task = work.assign("p", dependsOn=[first], priority="low")["id"]
    changed = work.update_task(id=task, runAt=LATER, priority="high", profile="other")
    assert (changed["status"], changed["priority"], changed["profile"]) == ("blocked", "high", "other")
    assert changed["runAt"] == "2100-01-01T00:00:00.000Z"
    work.update_task(id=first, runAt=None)
    go(work)
    work.finish(first)
    assert work.wait_status(task, "scheduled")["pending"]["reason"] == "scheduled"
    assert work.finish(work.update_task(id=task, runAt=None)["id"])["status"] == "completed"


def test_a_blocked_task_can_be_cancelled(work):
    first = work.assign("p", runAt=LATER)["id"]
    task = work.assign("p", dependsOn=[first])["id"]
    assert work.cancel_task(id=task)["error"]["message"] == "cancelled on request"
    work.update_task(id=first, runAt=None)
    go(work)
    work.finish(first)
    assert work.task(task)["status"] == "cancelled"


def test_retry_asks_the_dependencies_again(work):
    go(work)
    bad = work.finish(work.assign("p", title="fail")["id"])["id"]
    task = work.assign("p", dependsOn=[bad])["id"]
    with pytest.raises(RpcError) as error:
        work.retry_task(id=task)
    assert error.value.code == -32002 and "depends on" in error.value.message
    go(work, False)
    work.retry_task(id=bad)
    retried = work.retry_task(id=task)
    assert retried["status"] == "blocked" and retried["error"] is None
    go(work)
    assert work.finish(task)["error"]["message"] == f"task {bad}, on which it depends, failed"


def test_the_list_of_a_queue_ends_with_the_blocked(work):
    later = work.assign("p", runAt=LATER)["id"]
    blocked = [work.assign("p", dependsOn=[later])["id"] for _ in range(3)]
    queued = work.assign("p")["id"]
    queue = work.get_profile_task_queue(name="p")
    assert [t["id"] for t in queue] == [queued, later, *blocked]
    assert [t["pending"]["position"] for t in queue] == [1, 2, 3, 4, 5]
    page = work.get_profile_task_queue(name="p", after=blocked[0])
    assert [t["id"] for t in page] == blocked[1:]


def test_a_retried_task_that_is_blocked_again_has_its_place_by_its_id(work):
    later = work.assign("p", runAt=LATER)["id"]
    blocked = [work.assign("p", dependsOn=[later])["id"] for _ in range(3)]
    for id in blocked[:2]:
        work.cancel_task(id=id)
    assert work.retry_task(id=blocked[1])["status"] == "blocked"
    assert work.retry_task(id=blocked[0])["status"] == "blocked"
    assert [t["id"] for t in work.get_profile_task_queue(name="p")] == [later, *blocked]
    assert [work.task(id)["pending"]["position"] for id in blocked] == [2, 3, 4]


def chain(client, length, first):
    """Tasks that each depend on the previous one, sent at once."""
    ids = range(first + 1, first + length)
    lines = [json.dumps({"jsonrpc": "2.0", "id": id, "method": "assign_task_to_profile",
                         "params": {"name": "p", "task": {"title": f"t{id}", "dependsOn": [id - 1]}}})
             for id in ids]
    client.send("\n".join(lines) + "\n")
    for id in ids:
        task = client.reply()["result"]["task"]
        assert (task["id"], task["status"]) == (id, "blocked")


@pytest.mark.parametrize("end", ["completed", "cancelled"])
def test_a_chain_of_thousands(make_daemon, end):
    length = 3000
    daemon = make_daemon({"name": "p", "runner": {"type": "worker"}, "queueLimit": 10000})
    with daemon.client() as client:
        client.assign("p")
        chain(client, length, 1)
        if end == "cancelled":
            client.cancel_task(id=1)
        else:
            for id in range(1, length + 1):
                claim = client.claim_task(profiles=["p"], worker="test")
                assert claim["task"]["id"] == id, "each one is ready as soon as the one before ends"
                client.complete_task(id=id, lease=claim["lease"])
        assert client.finish(length)["status"] == end
        assert client.state("p")["queueSize"] == 0
    daemon.stop()
    assert_counters_are_right(daemon)


@pytest.mark.parametrize("end", ["completed", "cancelled"])
def test_thousands_of_dependants_and_a_kill_in_between(make_daemon, end):
    count = 3000
    daemon = make_daemon({"name": "p", "runner": {"type": "worker"}, "queueLimit": 10000})
    with daemon.client() as client:
        client.assign("p")
        lines = [json.dumps({"jsonrpc": "2.0", "id": i, "method": "assign_task_to_profile",
                             "params": {"name": "p", "task": {"title": "t", "dependsOn": [1]}}})
                 for i in range(count)]
        client.send("\n".join(lines) + "\n")
        for _ in range(count):
            assert client.reply()["result"]["task"]["status"] == "blocked"
        claim = client.claim_task(profiles=["p"], worker="test")
        if end == "completed":
            client.complete_task(id=1, lease=claim["lease"])
        else:
            client.cancel_task(id=1)
    daemon.kill()  # some are released, some are not
    daemon.start()
    status = "queued" if end == "completed" else "cancelled"
    with daemon.client() as client:
        client.wait_status(count + 1, status)
        counts = client.get_metrics_export()
        assert 'status="blocked"} 0' in counts
        if end == "completed":
            assert client.state("p")["queueSize"] == count
    daemon.stop()
    assert_counters_are_right(daemon)


def test_a_dependency_over_profiles_that_are_gone(make_daemon):
    daemon = make_daemon(profile("a"), profile("b"))
    with daemon.client() as client:
        client.update_profile_status(name="a", isActive=False)
        first = client.assign("a")["id"]
        second = client.assign("b", dependsOn=[first])["id"]
        daemon.configure(profile("b"))
        client.reload_config()
        assert client.task(second)["status"] == "blocked"
        client.cancel_task(id=first)
        assert client.finish(second)["status"] == "cancelled"


def test_a_chain_through_workers_is_served_at_once(make_daemon):
    """A waiting worker gets the dependant in the pass in which its dependency ends."""
    daemon = make_daemon({"name": "p", "runner": {"type": "worker"}})
    with daemon.client() as one, daemon.client() as two:
        first = one.assign("p")["id"]
        second = one.assign("p", dependsOn=[first])["id"]
        claim = one.claim_task(profiles=["p"], worker="one")
        two.send_call("claim_task", profiles=["p"], worker="two", wait=60)
        wait_until(lambda: one.get_health()["loop"]["passes"], "another pass")
        one.complete_task(id=first, lease=claim["lease"])
        assert two.reply()["result"]["task"]["id"] == second
