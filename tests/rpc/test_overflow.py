# SPDX-License-Identifier: MIT
"""New tasks for a full queue."""

import pytest

from acpd import RpcError, profile
from database import assert_counters_are_right

LATER = "2100-01-01T00:00:00Z"


def paused(make_daemon, *profiles):
    daemon = make_daemon(*profiles)
    client = daemon.client()
    for p in profiles:
        client.update_profile_status(name=p["name"], isActive=False)
    return daemon, client


def titles(client, name):
    return [t["title"] for t in client.get_profile_task_queue(name=name)]


def refused(client, name, **task):
    with pytest.raises(RpcError) as error:
        client.assign(name, **task)
    assert error.value.code == -32003 and error.value.data["retryAfter"] >= 1
    return error.value.message


def test_reject(make_daemon):
    _, client = paused(make_daemon, profile("a", queueLimit=1), profile("b", queueLimit=2))
    client.assign("a")
    client.assign("b")
    client.assign("b")
    assert refused(client, "a", priority="high") == 'the queue of profile "a" is full: 1 waiting task'
    assert refused(client, "b") == 'the queue of profile "b" is full: 2 waiting tasks'


@pytest.fixture
def evicting(make_daemon):
    daemon, client = paused(make_daemon, profile("a", queueLimit=3, overflow="evict"), profile("b"))
    with client:
        client.daemon = daemon
        yield client


def test_evict_makes_room_at_the_end(evicting):
    for title, priority in [("low", "low"), ("high", "high"), ("medium", "medium")]:
        evicting.assign("a", title=title, priority=priority)
    new = evicting.assign("a", title="new", priority="high")
    assert titles(evicting, "a") == ["high", "new", "medium"]
    evicted = evicting.task(1)
    assert evicted["status"] == "cancelled" and evicted["error"]["class"] == "cancelled"
    assert evicted["error"]["message"] == (
        f'evicted to make room for task {new["id"]}, which ranks higher: the queue of "a" was full '
        '(queueLimit 3)')
    assert new["status"] == "queued" and new["pending"]["position"] == 2
    evicting.daemon.stop()
    assert_counters_are_right(evicting.daemon)


def test_evict_takes_only_what_comes_after(evicting):
    for _ in range(3):
        evicting.assign("a", priority="medium")
    refused(evicting, "a", priority="medium")  # the newest of equals is the last one itself
    refused(evicting, "a", priority="low")
    refused(evicting, "a", priority="high", runAt=LATER)  # not among the queued ones at all
    later = evicting.assign("b", runAt=LATER)["id"]
    refused(evicting, "a", priority="high", dependsOn=[later])
    assert evicting.assign("a", title="new", priority="high")["status"] == "queued"
    assert titles(evicting, "a")[0] == "new" and evicting.task(3)["status"] == "cancelled"


def test_evict_leaves_what_is_not_queued(evicting):
    for _ in range(3):
        evicting.assign("a", runAt=LATER)
    refused(evicting, "a", priority="high")


def test_who_is_evicted_takes_its_dependants_along(evicting):
    for _ in range(3):
        last = evicting.assign("a")["id"]
    dependant = evicting.assign("b", dependsOn=[last])["id"]
    evicting.assign("a", priority="high")
    assert "was cancelled" in evicting.finish(dependant)["error"]["message"]


def test_the_router_knows_who_evicts(make_daemon):
    daemon = make_daemon(profile("a", ["sleep", "1000"], queueLimit=3, overflow="evict",
                                 maxConcurrentTasks=1))
    with daemon.client() as client:
        client.wait_status(client.assign("a")["id"], "running")
        last = [client.assign("a")["id"] for _ in range(3)][-1]

        def rejected(**task):
            return client.get_best_profile_for_task(task=task)["candidates"][0].get("rejected")

        assert rejected(priority="medium") == "its queue is full"
        assert rejected(priority="high", runAt=LATER) == "its queue is full"
        assert rejected(priority="high", dependsOn=[last]) == "its queue is full"
        assert rejected(priority="high") is None
        task = client.submit_task(task={"title": "t", "priority": "high"})["task"]
        assert task["status"] == "queued" and client.task(last)["status"] == "cancelled"
        with pytest.raises(RpcError) as error:
            client.submit_task(task={"title": "t", "priority": "low"})
        assert error.value.code == -32003


@pytest.fixture
def rerouting(make_daemon):
    hang = ["sleep", "1000"]
    daemon = make_daemon(
        profile("a", hang, queueLimit=1, maxConcurrentTasks=1, overflow="reroute",
                capabilities=["coding"]),
        profile("b", hang, queueLimit=2, maxConcurrentTasks=1, capabilities=["coding", "docs"]),
        profile("c", hang, capabilities=["docs"]))
    with daemon.client() as client:
        client.daemon = daemon
        client.wait_status(client.assign("a", type="coding")["id"], "running")
        client.assign("a", type="coding")
        yield client


def test_reroute_goes_to_the_next_best(rerouting):
    task = rerouting.assign("a", type="coding")
    assert task["profile"] == "b"
    routing = rerouting.task(task["id"])["routing"]
    assert routing["bestProfile"] == "b" and routing["reroutedFrom"] == "a"
    assert routing["reason"] == ("the queue of a was full (queueLimit 1); "
                                 "b is the only one of 3 that fits")
    rejected = {c["name"]: c.get("rejected") for c in routing["candidates"]}
    assert rejected == {"a": "its queue is full", "b": None, "c": 'it lacks the capability "coding"'}


def test_reroute_asks_for_capabilities(rerouting):
    refused(rerouting, "a", type="surgery")
    assert rerouting.assign("a", type="docs")["profile"] in ("b", "c")


def test_reroute_ends_where_all_are_full(rerouting):
    rerouting.wait_status(rerouting.assign("b")["id"], "running")
    for _ in range(2):
        rerouting.assign("a", type="coding")
    assert '"a"' in refused(rerouting, "a", type="coding")
    rerouting.daemon.stop()
    assert_counters_are_right(rerouting.daemon)


def test_reroute_may_evict_elsewhere(make_daemon):
    hang = ["sleep", "1000"]
    daemon = make_daemon(
        profile("a", hang, queueLimit=1, maxConcurrentTasks=1, overflow="reroute"),
        profile("b", hang, queueLimit=1, maxConcurrentTasks=1, overflow="evict"))
    with daemon.client() as client:
        for name in "ab":
            client.wait_status(client.assign(name)["id"], "running")
        for name in "ab":
            client.assign(name)
        refused(client, "a")
        assert client.assign("a", priority="high")["profile"] == "b"
        assert client.task(4)["status"] == "cancelled"


def test_moves_and_retries_do_not_overflow(rerouting):
    id = rerouting.assign("c", runAt=LATER)["id"]
    with pytest.raises(RpcError) as error:
        rerouting.update_task(id=id, profile="a")
    assert error.value.code == -32003
    rerouting.cancel_task(id=2)
    rerouting.assign("a", type="coding")
    assert rerouting.retry_task(id=2)["profile"] == "a", "it waits there, limit or not"


def test_a_known_key_is_found_before_the_queue_is_full(evicting):
    first = evicting.assign("a", key="k")
    for _ in range(2):
        evicting.assign("a")
    again = evicting.assign_task_to_profile(name="a", task={"title": "t", "key": "k", "priority": "high"})
    assert again["deduplicated"] and again["task"]["id"] == first["id"]
    assert evicting.state("a")["queueSize"] == 3
