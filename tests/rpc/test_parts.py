# SPDX-License-Identifier: MIT
"""Results about all profiles are printed in parts, between which others have their turn."""

import json
import select

import pytest
from acpd import stopped, wait_until

PROFILES = 2000
WORKER = {"runner": {"type": "worker"}}
ABOUT_ALL = ["get_profile_states", "get_all_profile_metrics", "get_profiles_with_states", "get_capacity",
             "get_metrics_export"]


def line(id, method, **params):
    return json.dumps({"jsonrpc": "2.0", "id": id, "method": method, "params": params}) + "\n"


def profiles(count=PROFILES):
    return [{"name": f"p{i}", **WORKER} for i in range(count)]


def has_reply(client):
    return bool(select.select([client.socket], [], [], 0)[0])


def names_of(method, result):
    if method == "get_metrics_export":
        assert result.endswith("\n")
        return [text.split('"')[1] for text in result.split("\n") if text.startswith("acpd_profile_slots{")]
    return list(result) if isinstance(result, dict) else \
        [(state.get("profile") or state)["name"] for state in result]


def test_nobody_waits_for_all_profiles(make_daemon):
    daemon = make_daemon(*profiles())
    for method, count in zip(ABOUT_ALL, [10, 10, 3, 10, 1], strict=True):  # more would exceed the limit of replies
        with daemon.client() as greedy, daemon.client() as other:
            with stopped(daemon):
                greedy.send("[" + ",".join(line(id, method).strip() for id in range(count)) + "]\n")
                other.send(line("other", "get_profile_state", name="p0"))
            assert other.reply()["id"] == "other"
            assert not has_reply(greedy), "the short call came first"
            replies = greedy.reply()
            assert [reply["id"] for reply in replies] == list(range(count))
            for reply in replies:
                assert names_of(method, reply["result"]) == [f"p{i}" for i in range(PROFILES)]


def test_calls_that_take_long_do_not_take_every_turn(make_daemon):
    daemon = make_daemon(*profiles(1500))
    with daemon.client() as client:
        greedy = [daemon.client() for _ in range(10)]
        greedy[0].reload_config()  # it is expected to take long from now on
        with stopped(daemon):
            for one in greedy:
                one.send(line("r", "reload_config"))
        wait_until(lambda: any(has_reply(one) for one in greedy), "the first of them is done")
        assert client.get_profile_state(name="p0")
        assert sum(not has_reply(one) for one in greedy) > 5, "the short call came before most others"
        for one in greedy:
            one.close()


def test_parts_of_a_batch_are_in_order(make_daemon):
    with make_daemon(*profiles(200)).client() as client:
        calls = [json.loads(line(method, method)) for method in ABOUT_ALL]
        calls.insert(1, json.loads(line("short", "get_profile_state", name="p0")))
        calls.insert(3, {"jsonrpc": "2.0", "method": "get_capacity"})  # has no reply
        client.send(json.dumps(calls) + "\n" + line("last", "get_profile_state", name="p1"))
        replies = client.reply()
        assert [reply["id"] for reply in replies] == [call["id"] for call in calls if "id" in call]
        for reply in replies:
            if reply["id"] != "short":
                assert names_of(reply["id"], reply["result"]) == [f"p{i}" for i in range(200)]
        assert client.reply()["id"] == "last"


def test_a_batch_that_exceeds_a_new_limit_of_replies_within_its_last_call(make_daemon):
    daemon = make_daemon(*profiles())
    with daemon.client() as client, daemon.client() as other:
        for limit in (1024, 2048):
            calls = [line(id, "get_profile_state", name="p0").strip() for id in range(10)]
            calls.append(line("all", "get_profiles_with_states").strip())
            daemon.configure(*profiles(), outputLimit=limit)
            with stopped(daemon):
                client.send("[" + ",".join(calls) + "]\n")
                other.send(line(2, "reload_config"))
            last = client.reply()[-1]
            assert "error" in last or len(last["result"]) == PROFILES
            assert "result" in other.reply()
            daemon.configure(*profiles())
            other.reload_config()


@pytest.mark.parametrize("method", ABOUT_ALL)
def test_parts_in_a_pass_that_writes(make_daemon, method):
    daemon = make_daemon(*profiles(100))
    with daemon.client() as client, daemon.client() as other:
        for _ in range(10):
            with stopped(daemon):
                other.send(line(0, "assign_task_to_profile", name="p0", task={"title": "t"}))
                for id in range(3):
                    client.send(line(id, method))
            assert other.reply()["result"]
            for _ in range(3):
                assert names_of(method, client.reply()["result"]) == [f"p{i}" for i in range(100)]
        assert client.get_profile_state(name="p0")["queueSize"] == 10


@pytest.mark.parametrize("method", ABOUT_ALL)
def test_profiles_that_change_between_parts(make_daemon, method):
    """The result is of one list of profiles, the earlier or the later one."""
    daemon = make_daemon(*profiles())
    earlier = [f"p{i}" for i in range(PROFILES)]
    with daemon.client() as client, daemon.client() as other:
        for later in (list(reversed(earlier)), earlier):
            daemon.configure(*[{"name": name, **WORKER} for name in later])
            with stopped(daemon):
                client.send(line(1, method) * 3)
                other.send(line(2, "reload_config"))
            lists = [names_of(method, client.reply()["result"]) for _ in range(3)]
            assert all(names in (earlier, list(reversed(earlier))) for names in lists)
            assert "result" in other.reply()
            assert names_of(method, client.call(method)) == later


def test_a_client_that_leaves_between_parts(make_daemon):
    daemon = make_daemon(*profiles())
    with daemon.client() as client:
        for i in range(20):
            with daemon.client() as other:
                calls = line(1, ABOUT_ALL[i % len(ABOUT_ALL)])
                other.send(f"[{calls.strip()}, {calls.strip()}]\n" if i % 2 else calls * 3)
        assert client.get_profile_state(name="p0")
        assert daemon.process.poll() is None


def test_a_pass_that_fails_between_parts(make_daemon):
    daemon = make_daemon(start=False)
    daemon.configure(*profiles())
    daemon.start_faulty()
    with daemon.client() as client, daemon.client() as other:
        daemon.order.write_text("refused")
        with stopped(daemon):
            other.send(line(0, "assign_task_to_profile", name="p0", task={"title": "t"}))
            for id in range(5):
                client.send(line(id, "get_profiles_with_states"))
        assert other.reply()["error"]["code"] == -32004
        for _ in range(5):
            reply = client.reply()
            if "error" in reply:
                assert reply["error"]["code"] == -32004
            else:
                assert all(row["state"]["queueSize"] == 0 for row in reply["result"]), "nothing was assigned"
        daemon.order.unlink()
        wait_until(lambda: not client.get_health()["storage"]["error"], "it works again")
        assert len(client.get_profiles_with_states()) == PROFILES
