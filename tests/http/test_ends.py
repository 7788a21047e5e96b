# SPDX-License-Identifier: MIT
"""Both the daemon and the gateway may end at any time."""

import concurrent.futures
import contextlib
import http.client
import os
import re
import signal
import socket
import threading
import time

import pytest

from acpd import in_threads, profile, shell, wait_until
from middle import Middle

# Seconds, generous for busy machines.
AT_ONCE = 5
SECONDS_AFTER_RETURN = 10
SECONDS_TO_STOP = 6

TASK = {"task": {"title": "t"}}
REQUESTS = [("GET", "/api/health", None), ("GET", "/api/profiles/p/state", None),
            ("GET", "/api/tasks?limit=5", None), ("GET", "/metrics", None),
            ("GET", "/api/openapi.json", None), ("POST", "/api/profiles/p/assign-task", TASK),
            ("POST", "/api/tasks", TASK), ("PUT", "/api/profiles/p/status", {"isActive": True}),
            ("POST", "/api/tasks/1/cancel", None), ("PATCH", "/api/tasks/1", {"priority": "low"})]


def paused(daemon):
    with daemon.client() as client:
        client.update_profile_status(name="p", isActive=False)
    return daemon


def titles(daemon):
    """The titles of all tasks, as seen through the socket."""
    with daemon.client() as client:
        return [task["title"] for task in client.all_tasks().values()]


@pytest.fixture
def make_middle(folder):
    middles = []

    def make(daemon, decide):
        middles.append(Middle(folder / f"middle-{len(middles)}.sock", daemon, decide))
        return middles[-1]

    yield make
    for middle in middles:
        middle.close()


def assert_all_away(gateway):
    for verb, path, body in REQUESTS:
        began = time.monotonic()
        answer = gateway.request(verb, path, body)
        assert time.monotonic() - began < AT_ONCE, path
        assert "acpd" in answer.error(503, -32004)["error"], path
        assert 1 <= int(answer.headers["retry-after"]) <= 10


def assert_soon_back(gateway):
    began = time.monotonic()
    wait_until(lambda: gateway.get("/api/tasks?limit=1").status == 200, "the gateway is back")
    assert time.monotonic() - began < SECONDS_AFTER_RETURN
    assert gateway.post("/api/profiles/p/assign-task", TASK).status == 201


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_while_the_daemon_is_away_503_at_once_and_then_back(daemon, make_gateway, end):
    gateway = make_gateway(daemon)
    for _ in range(2):
        assert gateway.post("/api/profiles/p/assign-task", TASK).status == 201
        getattr(daemon, end)()
        assert_all_away(gateway)
        assert gateway.get("/profiles").status == 200, "pages need no daemon"
        daemon.start()
        assert_soon_back(gateway)


@pytest.mark.parametrize("calls_meanwhile", range(4))
def test_the_document_is_that_of_the_daemon_that_answers(make_daemon, make_gateway, calls_meanwhile):
    """It says how long a title may be, which is a setting."""
    daemon = make_daemon(profile("p"))
    gateway = make_gateway(daemon)

    def longest_title():
        paths = gateway.get("/api/openapi.json").json["paths"]
        body = paths["/api/tasks"]["post"]["requestBody"]["content"]["application/json"]["schema"]
        return body["properties"]["task"]["properties"]["title"]["maxLength"]

    assert longest_title() == 1024
    daemon.stop()
    for _ in range(calls_meanwhile):
        gateway.get("/api/tasks").error(503)
    daemon.configure(profile("p"), titleLimit=5)
    daemon.start()
    assert longest_title() == 5


def sockets(pid):
    """The number of Unix sockets, by the links of its descriptors."""
    with open("/proc/net/unix") as table:
        inodes = {line.split()[6] for line in table.readlines()[1:]}
    links = []
    for descriptor in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(OSError):
            links.append(os.readlink(f"/proc/{pid}/fd/{descriptor}"))
    return len([link for link in links if re.fullmatch(r"socket:\[(\d+)\]", link) and link[8:-1] in inodes])


RESTARTS = 40  # more than the gateway's connections to the daemon


def test_a_gateway_outlives_many_daemons(daemon, make_gateway):
    """A connection that ended with its daemon is replaced, whoever notices."""
    gateway = make_gateway(daemon)
    assert gateway.get("/api/tasks?limit=1").status == 200
    for i in range(RESTARTS):
        daemon.kill() if i % 2 else daemon.stop()
        gateway.get("/api/health").error(503, -32004)
        daemon.start()
        assert gateway.post("/api/profiles/p/assign-task", TASK).status == 201, f"after {i} restarts"
        assert sockets(gateway.process.pid) < 8, "one for a call at a time, and one for events"
        in_threads(3, lambda _: gateway.is_answering())
    with daemon.client() as client:
        assert client.state("p")["queueSize"] == RESTARTS


def test_calls_that_are_hung_up_on_leave_their_places(daemon, make_gateway, make_middle):
    hangs_up = True
    middle = make_middle(daemon, lambda call, forward:
                         None if hangs_up and call["method"] != "rpc.discover" else forward())
    gateway = make_gateway(middle)
    for _ in range(RESTARTS):
        gateway.post("/api/profiles/p/assign-task", TASK).error(504)
    hangs_up = False
    assert gateway.post("/api/profiles/p/assign-task", TASK).status == 201
    assert sockets(gateway.process.pid) < 8


def test_the_gateway_may_be_first(make_daemon, make_gateway):
    daemon = make_daemon(profile("p"), start=False)
    gateway = make_gateway(daemon)
    assert_all_away(gateway)
    daemon.start()
    assert_soon_back(gateway)


def test_a_socket_that_cannot_be_is_503_too(make_gateway, folder):
    (folder / "file").touch()
    for path in (folder / "file", folder / "none" / "s", folder / ("x" * 200)):
        assert make_gateway(path).get("/api/health").error(503, -32004)


def test_many_clients_meet_a_daemon_that_is_away(daemon, make_gateway):
    gateway = make_gateway(daemon)
    assert gateway.get("/api/tasks?limit=1").status == 200
    daemon.kill()

    def ask(number):
        verb, path, body = REQUESTS[number % len(REQUESTS)]
        connection = gateway.connect()
        try:
            return gateway.request(verb, path, body, connection=connection).status
        finally:
            connection.close()

    with concurrent.futures.ThreadPoolExecutor(50) as pool:
        began = time.monotonic()
        assert set(pool.map(ask, range(200))) == {503}
        assert time.monotonic() - began < 4 * AT_ONCE
    daemon.start()
    assert_soon_back(gateway)


class Writer(threading.Thread):
    """Assigns one task after another, each with a unique title."""

    def __init__(self, gateway, number):
        super().__init__(daemon=True)
        self.gateway = gateway
        self.number = number
        self.answers = {}  # title -> status
        self.retried = 0
        self.ended = False
        self.fault = None

    def run(self):
        connection = self.gateway.connect()
        try:
            while not self.ended:
                title = f"{self.number}.{len(self.answers)}"
                answer = self.gateway.post("/api/profiles/p/assign-task", {"task": {"title": title}},
                                           connection=connection)
                self.answers[title] = answer.status
                assert answer.status in (201, 503, 504), answer
                assert answer.status != 201 or answer.json["task"]["title"] == title
                assert answer.status == 201 or len(answer.json["error"]) > 5
                if answer.status == 503:
                    time.sleep(0.01)
        except Exception as fault:
            self.fault = fault
        finally:
            connection.close()


def test_a_daemon_killed_in_the_middle_of_writes_repeats_and_loses_none(make_daemon, make_gateway):
    daemon = paused(make_daemon(profile("p", queueLimit=10**6)))
    gateway = make_gateway(daemon)
    writers = [Writer(gateway, i) for i in range(8)]
    for writer in writers:
        writer.start()

    def acknowledged():
        return sum(list(writer.answers.values()).count(201) for writer in writers)

    for _ in range(8):
        before = acknowledged()
        wait_until(lambda: acknowledged() > before + 20 or any(w.fault for w in writers))
        daemon.kill()
        daemon.start()
    before = acknowledged()
    wait_until(lambda: acknowledged() > before + 20 or any(w.fault for w in writers))
    for writer in writers:
        writer.ended = True
    for writer in writers:
        writer.join()
        assert not writer.fault, writer.fault
    there = titles(daemon.restart())
    assert len(there) == len(set(there)), "nothing was repeated"
    statuses = {title: status for w in writers for title, status in w.answers.items()}
    assert {title for title, status in statuses.items() if status == 201} <= set(there)
    unsaid = {title for title in there if statuses[title] == 503}
    assert not unsaid, "503 says that it was not done"


def test_a_daemon_that_hangs_up_on_a_call(daemon, make_gateway, make_middle):
    """504 for a write, which may have been done; a read can be retried."""
    middle = make_middle(daemon, lambda call, forward:
                         forward() if call["method"] == "rpc.discover" else None)
    gateway = make_gateway(middle)
    for verb, path, body in REQUESTS:
        if path == "/api/openapi.json":
            continue
        del middle.calls[:]
        answer = gateway.request(verb, path, body)
        if verb == "GET":
            assert "did not answer" in answer.error(503, -32004)["error"], "it is not unreachable"
            assert int(answer.headers["retry-after"]) >= 1
        else:
            assert "may" in answer.error(504, -32004)["error"]
            assert "retry-after" not in answer.headers, "it is no advice to do it again"
        calls = [method for method in middle.calls if method != "rpc.discover"]
        assert len(calls) == 1 or verb == "GET", f"sent again: {calls}"


def test_a_write_whose_answer_was_lost_is_not_repeated(daemon, make_gateway, make_middle):
    def lose(call, forward):
        reply = forward()
        return None if call["method"] == "assign_task_to_profile" else reply

    gateway = make_gateway(make_middle(daemon, lose))
    for i in range(10):
        assert gateway.get("/api/profiles/states").status == 200, "connections are in the pool"
        task = {"title": str(i), "key": f"k{i}"}
        gateway.post("/api/profiles/p/assign-task", {"task": task}).error(504)
    with daemon.client() as client:
        assert [task["title"] for task in client.list_tasks()["tasks"]] == [
            str(i) for i in reversed(range(10))]


def test_a_connection_that_ended_unused_is_replaced(daemon, make_gateway, make_middle):
    """Nothing was sent on it, so the next call, even a write, uses a new one."""
    middle = make_middle(daemon, lambda call, forward: forward())
    gateway = make_gateway(middle)
    for i in range(10):
        assert gateway.get("/api/tasks?limit=1").status == 200
        for connection in middle.connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        assert gateway.post("/api/profiles/p/assign-task", TASK).status == 201
    with daemon.client() as client:
        assert client.state("p")["queueSize"] == 10


def test_a_daemon_that_stands_still_holds_up_no_page_and_no_one_for_ever(daemon, make_gateway):
    """Reads end with 503, writes with 504; all at the same time, not one after another."""
    gateway = make_gateway(daemon)
    assert gateway.get("/api/tasks?limit=1").status == 200
    os.kill(daemon.process.pid, signal.SIGSTOP)
    try:
        def ask(request):
            connection = gateway.connect()
            try:
                return gateway.request(*request, connection=connection).status
            finally:
                connection.close()

        for _ in range(2):  # the second time, nothing is known of the daemon
            began = time.monotonic()
            with concurrent.futures.ThreadPoolExecutor(8) as pool:
                answers = [pool.submit(ask, request) for request in
                           [("GET", "/api/tasks?limit=1"), ("PUT", "/api/profiles/p/status",
                                                           {"isActive": False})] * 4]
                assert gateway.get("/profiles").status == 200
                assert {answer.result() for answer in answers} <= {503, 504}
            assert time.monotonic() - began < 45
    finally:
        os.kill(daemon.process.pid, signal.SIGCONT)
    assert_soon_back(gateway)


def test_a_gateway_killed_and_started_is_noticed_by_no_one(make_daemon, make_gateway, folder):
    daemon = make_daemon(shell(f"echo $$ >{folder}/new; mv {folder}/new {folder}/up; "
                               f"while [ ! -e {folder}/go ]; do sleep 0.05; done"))
    gateway = make_gateway(daemon)
    with daemon.client() as other:
        task = gateway.post("/api/profiles/p/assign-task", TASK).json["task"]
        wait_until((folder / "up").exists)
        child = int((folder / "up").read_text())
        for _ in range(5):
            with gateway.raw() as half:
                half.send("POST /api/tasks HTTP/1.1\r\nContent-Length: 5\r\n")
                assert gateway.get("/api/tasks?limit=1").status == 200
                gateway.kill()
            assert other.task(task["id"])["status"] == "running"
            gateway.start()
            assert gateway.get(f"/api/tasks/{task['id']}").json["status"] == "running"
        assert daemon.process.poll() is None
        assert child in daemon.processes(ACPD_TASK_ID=str(task["id"]))
        (folder / "go").touch()
        done = other.finish(task["id"])
        assert done["status"] == "completed" and done["attempt"] == 1


def test_gateways_killed_over_and_over_leave_no_connections_behind(daemon, make_gateway):
    gateway = make_gateway(daemon)
    for _ in range(10):
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            assert all(pool.map(lambda _: gateway.is_answering(), range(8)))
        gateway.kill()
        gateway.start()
    gateway.kill()
    wait_until(lambda: len(os.listdir(f"/proc/{daemon.process.pid}/fd")) < 40,
               "descriptors are given back")


def stop_within_bound(gateway):
    began = time.monotonic()
    assert gateway.stop() == 0
    assert time.monotonic() - began < SECONDS_TO_STOP


@pytest.mark.parametrize("signal_name", ["SIGTERM", "SIGINT"])
def test_a_signal_ends_it_with_0(daemon, make_gateway, signal_name):
    gateway = make_gateway(daemon)
    assert gateway.get("/api/health").status == 200
    gateway.process.send_signal(getattr(signal, signal_name))
    assert gateway.process.wait(60) == 0
    assert "stopped" in gateway.new_log()


def test_sigterm_ends_it_with_silent_connections_open(daemon, make_gateway):
    gateway = make_gateway(daemon)
    with contextlib.ExitStack() as stack:
        for data in ["", "GET", "GET / HTTP/1.1\r\nHost:", "POST /api/tasks HTTP/1.1\r\n"
                     f"Host: {gateway.host}\r\nContent-Type: application/json\r\n"
                     "Content-Length: 100\r\n\r\n{"]:
            for _ in range(30):
                stack.enter_context(gateway.raw()).send(data)
        for _ in range(10):
            raw = stack.enter_context(gateway.raw())
            raw.send(f"GET /api/health HTTP/1.1\r\nHost: {gateway.host}\r\n\r\n")
            assert raw.answer().status == 200
        stop_within_bound(gateway)


def test_sigterm_finishes_what_is_in_flight(daemon, make_gateway, make_middle):
    seen, signalled = threading.Event(), threading.Event()

    def hold(call, forward):
        if call["method"] == "assign_task_to_profile":
            seen.set()
            assert signalled.wait(60)
            time.sleep(0.3)  # the gateway is now shutting down
        return forward()

    gateway = make_gateway(make_middle(daemon, hold))
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        connection = gateway.connect()
        answer = pool.submit(gateway.post, "/api/profiles/p/assign-task", TASK,
                             connection=connection)
        assert seen.wait(60)
        gateway.process.send_signal(signal.SIGTERM)
        signalled.set()
        assert answer.result().status == 201
        connection.close()
    assert gateway.process.wait(60) == 0


def test_sigterm_under_load_breaks_off_no_answer(make_daemon, make_gateway):
    """Accepted requests get complete answers; at most one per client stays without one."""
    daemon = paused(make_daemon(profile("p", queueLimit=10**6)))
    gateway = make_gateway(daemon)

    class Loop(threading.Thread):
        done, fault = 0, None

        def run(self):
            connection = gateway.connect()
            try:
                while True:
                    answer = gateway.post("/api/profiles/p/assign-task", TASK,
                                          connection=connection)
                    assert answer.status in (201, 503), answer
                    if answer.status == 503:  # it arrived during the shutdown
                        break
                    self.done += 1
            except (OSError, http.client.BadStatusLine):
                pass  # closed between two requests
            except Exception as fault:
                self.fault = fault

    loops = [Loop(daemon=True) for _ in range(8)]
    for loop in loops:
        loop.start()
    wait_until(lambda: all(loop.done > 5 or loop.fault for loop in loops))
    stop_within_bound(gateway)
    for loop in loops:
        loop.join()
        assert not loop.fault, loop.fault
    with daemon.client() as client:
        sent = sum(loop.done for loop in loops)
        assert sent <= client.state("p")["queueSize"] <= sent + len(loops)


def test_two_gateways_on_one_daemon(daemon, make_gateway):
    one, other = make_gateway(daemon), make_gateway(daemon)
    id = one.post("/api/profiles/p/assign-task", TASK).json["task"]["id"]
    assert other.get(f"/api/tasks/{id}").json["status"] == "queued"
    assert other.post(f"/api/tasks/{id}/cancel").json["status"] == "cancelled"
    assert one.get(f"/api/tasks/{id}").json["status"] == "cancelled"
    one.kill()
    assert other.get(f"/api/tasks/{id}").status == 200


def test_a_port_in_use_is_said(daemon, make_gateway):
    first = make_gateway(daemon)
    second = make_gateway(daemon, port=first.port, start=False)
    second.spawn()
    assert second.process.wait(60) != 0
    assert f"127.0.0.1:{first.port}" in second.new_log()
    assert first.get("/api/health").status == 200


def test_the_port_can_be_taken_again_at_once(daemon, make_gateway):
    gateway = make_gateway(daemon)
    port = gateway.port
    for _ in range(3):
        assert gateway.get("/api/health").status == 200
        assert gateway.stop() == 0
        gateway.start()
        assert gateway.port == port
