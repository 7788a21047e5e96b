# SPDX-License-Identifier: MIT
"""Idle persistent connections: how long they last, and when they are closed for others."""

import contextlib
import time

import pytest

from acpd import wait_until


def request(gateway, headers="", path="/api/health", version="1.1"):
    return f"GET {path} HTTP/{version}\r\nHost: {gateway.host}\r\n{headers}\r\n"


@pytest.mark.parametrize("version, headers, is_kept", [
    ("1.1", "", True), ("1.1", "Connection: keep-alive\r\n", True), ("1.1", "Connection: Keep-Alive, x\r\n", True),
    ("1.1", "Connection: close\r\n", False), ("1.0", "", False), ("1.0", "Connection: keep-alive\r\n", True),
])
def test_an_answer_says_for_how_long_its_connection_is_kept(gateway, version, headers, is_kept):
    with gateway.raw() as raw:
        for path, status in (("/api/health", 200), ("/profiles", 200), ("/api/nothing", 404)):
            raw.send(request(gateway, headers, path, version))
            answer = raw.answer()
            assert answer.status == status
            if not is_kept:
                assert "keep-alive" not in answer.headers
                assert raw.is_closed() or wait_until(raw.is_closed, "the connection is closed")
                return
            assert answer.headers["keep-alive"] == "timeout=75" and answer.headers["connection"] == "keep-alive"
        assert not raw.is_closed()


def test_what_is_refused_with_a_close_promises_nothing(gateway):
    with gateway.raw() as raw:
        raw.send(request(gateway, "Content-Length: 1\r\nContent-Length: 2\r\n"))
        answer = raw.answer()
        assert answer.status == 400 and answer.headers["connection"] == "close"
        assert "keep-alive" not in answer.headers


def test_an_idle_connection_is_kept_for_as_long_as_was_said(gateway):
    """And a little longer, so that the client closes it; no other test waits that long."""
    with gateway.raw() as asked, gateway.raw() as forgotten:
        for raw in (asked, forgotten):
            raw.send(request(gateway))
            assert raw.answer().headers["keep-alive"] == "timeout=75"
        began = time.monotonic()

        def is_over():
            for raw in (asked, forgotten):
                assert not raw.is_closed(), f"closed after {time.monotonic() - began} s"
            return time.monotonic() - began > 76

        wait_until(is_over, "its time is over", deadline=120)
        asked.send(request(gateway))
        assert asked.answer().status == 200
        wait_until(forgotten.is_closed, "it is closed at last")
        assert not asked.is_closed()


def idle(stack, gateway, count):
    found = []
    for _ in range(count):
        raw = stack.enter_context(gateway.raw())
        raw.send(request(gateway))
        assert raw.answer().status == 200
        found.append(raw)
    return found


def test_idle_connections_give_way_to_newcomers_the_oldest_first(gateway):
    gateway.disconnect()
    with contextlib.ExitStack() as stack:
        kept = idle(stack, gateway, 700)
        wait_until(kept[199].is_closed, "the oldest are closed")
        closed = [raw.is_closed() for raw in kept]
        assert closed == [True] * 200 + [False] * 500, "the oldest first, and no more than need be"
        kept[-1].send(request(gateway))
        assert kept[-1].answer().status == 200


def test_connections_that_become_idle_at_once_give_way_as_well(gateway):
    """As many as there are threads, and some more."""
    gateway.disconnect()
    with contextlib.ExitStack() as stack:
        many = [stack.enter_context(gateway.raw()) for _ in range(700)]
        for raw in many:
            raw.send(request(gateway))
        for raw in many:
            assert raw.answer().status == 200


def test_idle_and_silent_connections_together_keep_no_one_out(gateway):
    gateway.disconnect()
    with contextlib.ExitStack() as stack:
        idle(stack, gateway, 500)
        gateway.crowd(stack, 500)
        began = time.monotonic()
        assert gateway.is_answering()
        assert time.monotonic() - began < 3, "a newcomer is served in time"


def test_a_second_request_that_trickles_in_gives_way_as_well(gateway):
    gateway.disconnect()
    with contextlib.ExitStack() as stack:
        for raw in idle(stack, gateway, 600):
            raw.send("GET /api/hea")
        for _ in range(20):
            assert gateway.is_answering()


def test_idle_connections_do_not_hold_up_the_end(gateway):
    with contextlib.ExitStack() as stack:
        kept = idle(stack, gateway, 50)
        assert gateway.stop() == 0
        assert all(raw.is_closed() for raw in kept)
        assert gateway.new_log().splitlines()[-1].endswith("stopped"), "none had to be cut"
