# SPDX-License-Identifier: MIT
"""Equal reads at the same time share a call to the daemon, and nobody can tell."""

import concurrent.futures
import threading

from acpd import profile, wait_until

STATE = "/api/profiles/p/state"
PATIENCE = 60  # s


class Held:
    """Holds the first reply to a method until it is released, and lets others pass."""

    def __init__(self, method):
        self.method = method
        self.is_free = threading.Event()
        self.has_first = threading.Event()

    def decide(self, call, forward):
        reply = forward()
        if call["method"] == self.method and not self.has_first.is_set():
            self.has_first.set()
            assert self.is_free.wait(PATIENCE)
        return reply


def get(gateway, path):
    """On a connection of its own."""
    connection = gateway.connect()
    try:
        return gateway.get(path, connection=connection)
    finally:
        connection.close()


def quiet(make_daemon):
    daemon = make_daemon(profile("p"))
    with daemon.client() as client:
        client.update_profile_status(name="p", isActive=False)
    return daemon


def test_equal_reads_share_a_call(make_daemon, make_gateway, make_middle):
    held = Held("get_profile_state")
    middle = make_middle(quiet(make_daemon), held.decide)
    gateway = make_gateway(middle)
    with concurrent.futures.ThreadPoolExecutor(40) as pool:
        answers = [pool.submit(get, gateway, STATE) for _ in range(40)]
        wait_until(lambda: middle.calls.count("get_profile_state") > 1)  # one waits for the first for a second only
        held.is_free.set()
        states = [answer.result(PATIENCE) for answer in answers]
    assert all(state.status == 200 and state.json["name"] == "p" for state in states)
    assert middle.calls.count("get_profile_state") <= 20


def test_a_read_sees_what_was_written_before_it(make_daemon, make_gateway, make_middle):
    held = Held("get_profile_state")
    gateway = make_gateway(make_middle(quiet(make_daemon), held.decide))
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        early = pool.submit(get, gateway, STATE)
        assert held.has_first.wait(PATIENCE)
        assert gateway.post("/api/profiles/p/assign-task", {"task": {"title": "t"}}).status == 201
        assert get(gateway, STATE).json["queueSize"] == 1, "not the answer of the read that is under way"
        held.is_free.set()
        assert early.result(PATIENCE).json["queueSize"] == 0


def test_everyone_gets_the_error(make_daemon, make_gateway, make_middle):
    held = Held("get_task")
    middle = make_middle(quiet(make_daemon), held.decide)
    gateway = make_gateway(middle)
    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        answers = [pool.submit(get, gateway, "/api/tasks/7") for _ in range(20)]
        wait_until(lambda: middle.calls.count("get_task") > 1)
        held.is_free.set()
        assert {answer.result(PATIENCE).error(404, -32001)["error"] for answer in answers} == {"task 7 not found"}
    assert middle.calls.count("get_task") <= 10


def test_everyone_learns_that_the_answer_was_lost(make_daemon, make_gateway, make_middle):
    held = Held("get_task")

    def lose(call, forward):
        reply = held.decide(call, forward)
        return reply if call["method"] != held.method else None

    gateway = make_gateway(make_middle(quiet(make_daemon), lose))
    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        answers = [pool.submit(get, gateway, "/api/tasks/7") for _ in range(20)]
        assert held.has_first.wait(PATIENCE)
        held.is_free.set()
        for answer in answers:
            answer.result(PATIENCE).error(503, -32004)


def test_different_reads_do_not_wait_for_each_other(make_daemon, make_gateway, make_middle):
    held = Held("get_profile_state")
    gateway = make_gateway(make_middle(quiet(make_daemon), held.decide))
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        early = pool.submit(get, gateway, STATE)
        assert held.has_first.wait(PATIENCE)
        for limit in range(1, 21):  # more than all the seconds that a read waits for an equal one
            assert get(gateway, f"/api/tasks?limit={limit}").json["tasks"] == []
        assert not early.done()
        held.is_free.set()
        assert early.result(PATIENCE).status == 200
