# SPDX-License-Identifier: MIT
"""Events for browsers: GET /api/events, by section 9.2 of the HTML Standard."""

import http.client
import json
import os
import signal
import threading
import time

import pytest

import acpd
from acpd import DEADLINE, TOKEN, profile, token_file, wait_until
from clock import WallClock


class Stream:
    """One stream, read event by event."""

    def __init__(self, gateway, **headers):
        self.connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=DEADLINE)
        self.connection.request("GET", "/api/events", headers={
            name.replace("_", "-"): value for name, value in headers.items()})
        self.answer = self.connection.getresponse()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.answer.close()
        self.connection.close()

    def blocks(self):
        """Yields blocks of fields. As heartbeats never stop, this has its own deadline."""
        fields, end = {}, time.monotonic() + DEADLINE
        while True:
            assert time.monotonic() < end, "it did not come"
            line = self.answer.readline()
            if not line:
                return
            line = line.decode().rstrip("\n")
            if not line:
                yield fields
                fields = {}
                continue
            name, _, value = line.partition(":")
            fields[name] = value.removeprefix(" ")

    def until(self, type, **members):
        """The next event of this type whose data has these members."""
        for event in self.blocks():
            if event.get("event") == type:
                event["data"] = json.loads(event["data"])
                if event["data"]:  # the gateway's own have none
                    acpd.schemas.check_message({"method": "event", "params": event["data"]})
                if members.items() <= event["data"].items():
                    return event
        raise AssertionError(f"the stream ended before {type} {members}")


@pytest.fixture
def quick(make_daemon):
    return make_daemon(profile())


def test_events_come_as_they_are_committed(quick, make_gateway):
    gateway = make_gateway(quick)
    with Stream(gateway) as stream, quick.client() as client:
        assert stream.answer.status == 200
        assert stream.answer.getheader("Content-Type") == "text/event-stream"
        assert stream.answer.getheader("Cache-Control") == "no-store"
        assert "default-src 'self'" in stream.answer.getheader("Content-Security-Policy")
        assert next(stream.blocks()) == {"retry": "2000"}
        wait_until(lambda: client.assign("p") and True)
        seen = [stream.until("task", id=1, status=status) for status in ("queued", "running", "completed")]
        ids = [int(event["id"]) for event in seen]
        assert ids == sorted(ids) and all(e["data"]["seq"] == int(e["id"]) for e in seen)
        client.update_profile_status(name="p", isActive=False)
        assert stream.until("profile", profile="p")["data"]["isActive"] is False


def test_a_stream_begins_when_its_subscription_does(quick, make_gateway):
    """A client with an answer gets all later events, so a daemon that subscribes the gateway slowly delays the first
    stream."""
    gateway = make_gateway(quick)
    resumed = threading.Event()

    def resume():
        resumed.set()
        os.kill(quick.process.pid, signal.SIGCONT)

    os.kill(quick.process.pid, signal.SIGSTOP)
    timer = threading.Timer(1, resume)
    timer.start()
    with Stream(gateway) as stream:
        assert resumed.is_set()
        with quick.client() as client:
            client.assign("p")
        stream.until("task", id=1, status="queued")
    timer.join(DEADLINE)


def test_who_comes_back_is_told_what_was_missed(quick, make_gateway):
    gateway = make_gateway(quick)
    with quick.client() as client:
        with Stream(gateway) as stream, Stream(gateway) as other:
            client.finish(client.assign("p")["id"])
            last = stream.until("task", id=1, status="completed")["id"]
            other.until("task", id=1, status="completed")
            client.finish(client.assign("p")["id"])
            other.until("task", id=2, status="completed")
        with Stream(gateway, Last_Event_ID=last) as again:
            event = again.until("task")
            assert (event["data"]["id"], event["data"]["status"]) == (2, "queued"), "no more, no less"
        # Across a restart of the gateway, too: the daemon has the events that the gateway's ring lacks.
        gateway.stop()
        client.finish(client.assign("p")["id"])
        gateway.start()
        with Stream(gateway, Last_Event_ID=last) as again:
            assert again.until("task")["data"]["id"] == 2
            again.until("task", id=3, status="completed")


def test_what_is_no_longer_held_is_a_gap(quick, make_gateway):
    gateway = make_gateway(quick)
    with Stream(gateway) as first, quick.client() as client:
        client.assign("p")
        first.until("task", id=1, status="completed")
        with Stream(gateway, Last_Event_ID="5") as stream:
            stream.until("gap")
        for senseless in ("", "x", "-1", "9" * 30):
            with Stream(gateway, Last_Event_ID=senseless) as stream:
                client.assign("p")
                stream.until("task")


def test_a_daemon_that_goes_away_and_comes_back(quick, make_gateway):
    with Stream(make_gateway(quick)) as stream:
        with quick.client() as client:
            client.finish(client.assign("p")["id"])
        stream.until("task", id=1, status="completed")
        quick.kill()
        stream.until("down")
        quick.start()
        stream.until("up")
        stream.until("gap")  # another acpd does not have this one's events
        with quick.client() as client:
            client.assign("p")
        stream.until("task", id=2, status="completed")


def test_another_node_behind_the_same_socket_has_other_numbers(make_daemon, make_gateway, folder):
    clock = WallClock(folder, 1_800_000_000_000)  # numbers begin with the time
    first, second = (make_daemon(profile(), start=False, node={"name": name}) for name in ("first", "second"))
    for daemon in (first, second):
        daemon.environment = clock.environment
        daemon.start()
    link = folder / "link"
    link.symlink_to(first.socket)
    with second.client() as client:  # it has an event of each number that the first one has
        for _ in range(5):
            client.finish(client.assign("p")["id"])
    with Stream(make_gateway(link)) as stream:
        with first.client() as client:
            client.finish(client.assign("p")["id"])
        stream.until("task", id=1, status="completed")
        link.unlink()
        link.symlink_to(second.socket)
        first.stop()
        stream.until("up")
        event = next(event for event in stream.blocks() if event.get("event") in ("gap", "task"))
        assert event["event"] == "gap", "the numbers of one node say nothing of another's events"


def test_a_stream_without_a_daemon_waits_for_it(folder, make_gateway, make_daemon):
    daemon = make_daemon(profile(), start=False)
    with Stream(make_gateway(daemon)) as stream:
        assert stream.answer.status == 200
        stream.until("down")
        daemon.start()
        stream.until("up")


def test_streams_share_one_subscription_and_are_bounded(quick, make_gateway):
    gateway = make_gateway(quick)
    streams = [Stream(gateway) for _ in range(64)]
    try:
        assert {stream.answer.status for stream in streams} == {200}
        with Stream(gateway) as one_more:
            assert one_more.answer.status == 503
            assert one_more.answer.getheader("Retry-After") == "5"
            assert "64 event streams" in json.loads(one_more.answer.read())["error"]
        assert gateway.get("/api/health").status == 200, "others are served as before"
        with quick.client() as client:
            client.assign("p")
        for stream in streams:
            stream.until("task", id=1, status="completed")
    finally:
        for stream in streams:
            stream.__exit__()

    def is_free():
        with Stream(gateway) as stream:
            return stream.answer.status == 200

    # A disconnect is noticed with the next event.
    with quick.client() as client:
        wait_until(lambda: client.assign("p") and is_free(), "there is room again")


def test_a_stream_that_is_not_read_harms_nobody(quick, make_gateway):
    gateway = make_gateway(quick)
    with Stream(gateway), Stream(gateway) as reader, quick.client() as client:
        client.update_profile_status(name="p", isActive=False)
        for i in range(5000):
            client.send_call("assign_task_to_profile", name="p", task={"title": str(i)})
        for _ in range(5000):
            client.reply()
        last = None
        while last != 5000:
            event = next(reader.blocks())
            if event.get("event") == "task":
                last = json.loads(event["data"])["id"]
            elif event.get("event") == "gap":
                break


def test_the_gateway_ends_while_streams_are_open(quick, make_gateway):
    gateway = make_gateway(quick)
    with Stream(gateway) as stream:
        next(stream.blocks())
        assert gateway.stop() == 0
        assert stream.answer.read() == b"", "it ended, and was not cut"


def test_head_and_other_verbs(gateway):
    answer = gateway.request("HEAD", "/api/events")
    assert (answer.status, answer.headers["content-type"]) == (200, "text/event-stream")
    gateway.post("/api/events", {}).error(405)


def test_a_token_is_needed_here_too(quick, make_gateway, folder):
    gateway = make_gateway(quick, "--token-file", token_file(folder))
    with Stream(gateway) as stream:
        assert stream.answer.status == 401
    with Stream(gateway, Authorization=f"Bearer {TOKEN}") as stream:
        assert stream.answer.status == 200
