# SPDX-License-Identifier: MIT
"""subscribe: events, sent after their commit."""

import json
import socket

import pytest

from acpd import RpcError, profile, shell, wait_until
from test_agents import agent


def follow(client, **params):
    return client.subscribe(**params)["seq"]


def events(client, until, types=("task",)):
    """Events of these types until one meets the condition; checks that seq ascends."""
    seen, last = [], -1
    while True:
        message = client.reply()
        assert message["method"] == "event" and "id" not in message, message
        event = message["params"]
        assert event["seq"] > last
        last = event["seq"]
        if event["type"] in types:
            seen.append(event)
        if until(event):
            return seen


def ends(id):
    return lambda e: e["type"] == "task" and e["id"] == id and e["status"] in (
        "completed", "failed", "cancelled")


@pytest.fixture
def world(make_daemon):
    return make_daemon(profile("p"), profile("q"))


def test_the_life_of_a_task(world):
    with world.client() as client, world.client() as follower:
        seq = follow(follower)
        id = client.assign("p")["id"]
        seen = events(follower, ends(id))
        assert [(e["from"], e["status"]) for e in seen] == [
            (None, "queued"), ("queued", "running"), ("running", "completed")]
        assert all(e["profile"] == "p" and e["id"] == id for e in seen)
        assert seen[0]["seq"] > seq and seen[1]["attempt"] == 1


def test_events_are_replayed_from_where_one_was(world):
    with world.client() as client:
        start = follow(client)
    with world.client() as client:
        id = client.assign("p")["id"]
        client.finish(id)
    with world.client() as follower:
        follow(follower, after=start)
        first = events(follower, ends(id))
        assert [e["status"] for e in first] == ["queued", "running", "completed"]
    with world.client() as follower:
        follow(follower, after=first[1]["seq"])
        assert [e["status"] for e in events(follower, ends(id))] == ["completed"]


def test_what_is_no_longer_held_is_a_gap(make_daemon):
    daemon = make_daemon(profile("p"), eventBuffer=5)
    with daemon.client() as client:
        start = follow(client)
    with daemon.client() as client:
        for _ in range(5):
            client.finish(client.assign("p")["id"])
    with daemon.client() as follower:
        follow(follower, after=start)
        gap = follower.reply()["params"]
        assert gap["type"] == "gap" and gap["from"] == start + 1
        following = follower.reply()["params"]
        assert following["seq"] == gap["to"] + 1 == gap["seq"] + 1


def test_numbers_of_another_node_are_a_gap(world):
    with world.client() as client, world.client() as follower:
        reply = follower.subscribe(source="another")  # means nothing without a number
        assert reply["source"] == client.get_health()["nodes"][0]["name"]
        id = client.assign("p")["id"]
        end = events(follower, ends(id))[-1]["seq"]
    with world.client() as follower:
        follow(follower, after=reply["seq"], source=reply["source"])
        assert [e["status"] for e in events(follower, ends(id))] == ["queued", "running", "completed"]
    with world.client() as follower:
        follow(follower, after=end - 1, source="another")
        assert follower.reply()["params"]["type"] == "gap"


def test_numbers_grow_over_a_restart_and_the_old_ones_are_a_gap(world):
    with world.client() as client:
        start = follow(client)
        client.assign("p")
    world.kill()
    world.start()
    with world.client() as follower:
        assert follow(follower, after=start) > start
        assert follower.reply()["params"]["type"] == "gap"


def test_only_the_profiles_that_were_asked_for(world):
    with world.client() as client, world.client() as follower:
        follow(follower, profiles=["q"])
        client.finish(client.assign("p")["id"])
        id = client.assign("q")["id"]
        assert {e["profile"] for e in events(follower, ends(id), ("task", "log", "profile"))} == {"q"}
        with pytest.raises(RpcError) as refused:
            client.subscribe(profiles=["none"])
        assert refused.value.code == -32001


def test_profiles_and_questions_and_logs(make_daemon):
    daemon = make_daemon(agent("say('hello'); ask(); read(); end()"))
    with daemon.client() as client, daemon.client() as follower:
        follow(follower)
        id = client.assign("p")["id"]
        question, = wait_until(client.list_permissions)
        client.answer_permission(id=question["id"], optionId="yes")
        seen = events(follower, ends(id), ("permission", "log"))
        asked = [e for e in seen if e["type"] == "permission"]
        assert [(e["id"], e["taskId"], e["isOpen"]) for e in asked] == [
            (question["id"], id, True), (question["id"], id, False)]
        assert {"id": id, "attempt": 1}.items() <= [e for e in seen if e["type"] == "log"][0].items()
        client.update_profile_status(name="p", isActive=False)
        event, = events(follower, lambda e: e["type"] == "profile", ("profile",))
        assert event["isActive"] is False and event["health"] == "healthy"


def test_a_log_that_goes_on_growing_is_told_again(make_daemon):
    daemon = make_daemon(shell("while true; do echo x; sleep 0.02; done"))
    with daemon.client() as client, daemon.client() as follower:
        follow(follower)
        id = client.assign("p")["id"]
        for _ in range(3):
            events(follower, lambda e: e["type"] == "log")
        client.cancel_task(id=id)


def test_a_slow_reader_is_dropped_and_slows_nobody(make_daemon):
    daemon = make_daemon(profile("p"), eventBuffer=100)
    with daemon.client() as client, daemon.client() as slow, daemon.client() as quick:
        client.update_profile_status(name="p", isActive=False)
        slow.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        follow(slow)
        follow(quick)
        for _ in range(100):
            calls = [{"jsonrpc": "2.0", "id": i, "method": "assign_task_to_profile",
                      "params": {"name": "p", "task": {"title": "t"}}} for i in range(50)]
            client.send(json.dumps(calls) + "\n")
            assert len(client.reply()) == 50, "calls go on"
        seen = []
        while True:
            line = slow.line()
            if line is None:
                break
            seen.append(json.loads(line)["params"])
        assert seen[-1]["type"] == "dropped" and "too slowly" in seen[-1]["reason"]
        assert [e["seq"] for e in seen] == sorted(e["seq"] for e in seen)


def test_a_follower_may_go_on_calling_and_half_close(world):
    with world.client() as client, world.client() as follower:
        follow(follower)
        follower.send_call("get_health")
        assert follower.reply()["result"]["status"] == "healthy"
        follower.socket.shutdown(socket.SHUT_WR)
        id = client.assign("p")["id"]
        assert len(events(follower, ends(id))) == 3


def test_nothing_is_told_before_its_commit(world):
    """A read after an event shows what the event reported."""
    with world.client() as client, world.client() as follower, world.client() as reader:
        follow(follower)
        for _ in range(20):
            client.send_call("assign_task_to_profile", name="p", task={"title": "t"})
        created = 0
        while created < 20:
            event = follower.reply()["params"]
            if event["type"] == "task" and event["from"] is None:
                created += 1
                assert reader.task(event["id"])["id"] == event["id"]
