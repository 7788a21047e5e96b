# SPDX-License-Identifier: MIT
"""Hundreds and thousands of hostile or dying clients: what they cost, and whom."""

import contextlib
import socket

import pytest

from acpd import DEADLINE, in_threads, open_files, profile, resident_bytes, wait_until

CALL = '{"jsonrpc":"2.0","id":%s,"method":"get_profile_state","params":{"name":"p"}}\n'
DISCOVER = '{"jsonrpc":"2.0","id":1,"method":"rpc.discover"}\n'
WORKER = {"name": "w", "maxConcurrentTasks": 1000, "runner": {"type": "worker"}}


@pytest.fixture
def crowd():
    """Opens connections to a daemon; they are closed at the end."""
    with contextlib.ExitStack() as stack:
        yield lambda daemon, count: [stack.enter_context(daemon.client()) for _ in range(count)]


def hang_up(clients):
    for client in clients:
        client.close()


def assert_files_are_given_back(daemon, before):
    wait_until(lambda: open_files(daemon.process.pid) <= before, "descriptors are given back")


def test_a_thousand_that_say_nothing_or_half_of_it_keep_no_one_waiting(daemon, client, crowd):
    crowd(daemon, 500)
    halves = crowd(daemon, 500)
    for i, half in enumerate(halves):
        half.send((CALL % i)[:i % 60 + 1])
    for _ in range(100):
        assert client.state("p")["name"] == "p"
    for i, half in enumerate(halves):
        half.send((CALL % i)[i % 60 + 1:])
        assert half.reply()["id"] == i


def test_half_closing_anywhere_in_a_line_is_its_end(daemon, client):
    line = CALL.strip() % 7
    for length in range(len(line) + 1):
        with daemon.client() as half:
            half.send(line[:length])
            half.socket.shutdown(socket.SHUT_WR)
            replies = list(iter(half.reply, None))
        if length == 0:
            assert not replies
        elif length < len(line):
            assert [reply["error"]["code"] for reply in replies] == [-32700]
        else:
            assert [reply["id"] for reply in replies] == [7]
    assert client.get_health()


def test_a_connection_that_ends_in_mid_reply_harms_no_one(daemon, client):
    client.get_health()
    before = open_files(daemon.process.pid)
    for size in range(200):
        with daemon.client() as rude:
            rude.send(DISCOVER * 30)
            rude.socket.recv(1 + size * 10)  # unread data turns the close into a reset
    assert_files_are_given_back(daemon, before)
    assert client.get_health()


def test_ten_thousand_connections_leak_nothing(make_daemon, monkeypatch):
    monkeypatch.setenv("ASAN_OPTIONS", "quarantine_size_mb=1")  # freed memory counts as free
    daemon = make_daemon(profile("p"))

    def come_and_go(number, count):
        for i in range(count):
            with daemon.client() as client:
                client.send(CALL % i)
                assert client.reply()["id"] == i

    in_threads(4, lambda number: come_and_go(number, 500))
    files, memory = open_files(daemon.process.pid), resident_bytes(daemon.process.pid)
    in_threads(4, lambda number: come_and_go(number, 2500))
    assert_files_are_given_back(daemon, files)
    assert resident_bytes(daemon.process.pid) - memory < 16 << 20


def test_those_beyond_the_limit_of_connections_have_their_turn(make_daemon, crowd):
    daemon = make_daemon(profile("p"), connectionLimit=50)
    clients = crowd(daemon, 300)
    for i, client in enumerate(clients):
        client.send(CALL % i)
    for i, client in enumerate(clients):
        assert client.reply()["id"] == i
        client.close()


def send_claims(clients, count):
    for client in clients:
        for _ in range(count):
            client.send_call("claim_task", profiles=["w"], worker="dies", wait=60)


def test_claims_dropped_by_the_thousand_take_nothing_with_them(make_daemon, crowd):
    daemon = make_daemon(WORKER)
    with daemon.client() as client:
        client.update_profile_status(name="w", isActive=True)  # a write: the audit log is open
        before = open_files(daemon.process.pid)
        dying = crowd(daemon, 50)
        send_claims(dying, 100)
        for waiting in dying:
            waiting.get_health()  # its claims have been read
        hang_up(dying)
        ids = [client.assign("w")["id"] for _ in range(100)]
        claimed = [client.claim_task(profiles=["w"], worker="lives")["task"] for _ in ids]
        assert [task["id"] for task in claimed] == ids
        assert {task["attempt"] for task in claimed} == {1}
        assert_files_are_given_back(daemon, before)


def test_what_was_claimed_by_those_who_died_is_done_by_others(make_daemon, crowd):
    """A worker that dies while it gets a task may have received it or not; the task is queued again in any case."""
    daemon = make_daemon({**WORKER, "runner": {"type": "worker", "lease": 0.5},
                          "retry": {"maxAttempts": 100, "backoff": 0.01, "maxBackoff": 0.01}})
    count = 500
    with daemon.client() as client:
        for _ in range(10):
            dying = crowd(daemon, 50)
            send_claims(dying, 1)
            for _ in range(count // 10):
                client.send_call("assign_task_to_profile", name="w", task={"title": "t"})
            hang_up(dying)
        for _ in range(count):
            assert client.reply()["result"]["success"]

        def all_are_done():
            mine = client.claim_task(profiles=["w"], worker="lives", wait=0.1)
            if mine["task"]:
                client.complete_task(id=mine["task"]["id"], lease=mine["lease"])
            return client.state("w")["completedTasks"] == count

        wait_until(all_are_done, "every task is done", 5 * DEADLINE)
