# SPDX-License-Identifier: MIT
"""Slow bodies and large bodies."""

import collections
import concurrent.futures
import contextlib
import socket
import threading

import pytest

from acpd import DEADLINE, TOKEN, profile, token_file, wait_until

ON = '{"isActive": true}'
DRIPS = {
    "a length": ("PUT /api/profiles/p/status", "Content-Length: 1000000\r\n", "", b" "),
    "chunks": ("PUT /api/profiles/p/status", "Transfer-Encoding: chunked\r\n", "", b"1\r\n \r\n"),
    "a chunk": ("PUT /api/profiles/p/status", "Transfer-Encoding: chunked\r\n", "fffff\r\n", b" "),
    "nobody reads it": ("POST /api/nothing", "Content-Length: 1000000\r\n", "", b" "),
    "nobody reads its chunks": ("GET /api/health", "Transfer-Encoding: chunked\r\n", "fffff\r\n", b" "),
    "a page": ("GET /profiles", "Content-Length: 1000000\r\n", "", b" "),
    "it is too large": ("PUT /api/profiles/p/status", "Content-Length: 99999999\r\n", "", b" "),
    "its end is in doubt": ("PUT /api/profiles/p/status", "Content-Length: 9\r\n" * 2, "", b" "),
}


def drip(gateway, request, framing, start, drop):
    """Sends a little at a time, often enough not to be timed out as silent. Returns the answers before the gateway
    closed the connection."""
    with gateway.raw() as raw:
        raw.send(f"{request} HTTP/1.1\r\nHost: {gateway.host}\r\n{framing}"
                 f"Content-Type: application/json\r\n\r\n{start}")
        raw.socket.settimeout(0.1)

        def has_ended():
            try:
                raw.socket.sendall(drop)
                return not raw.more()
            except TimeoutError:
                return False
            except ConnectionError:
                return True

        wait_until(has_ended, "the gateway hangs up", 2 * DEADLINE)
        return raw.answers()


def test_a_body_that_drips_is_ended(gateway, client):
    with concurrent.futures.ThreadPoolExecutor(len(DRIPS)) as pool:
        drips = {name: pool.submit(drip, gateway, *how) for name, how in DRIPS.items()}
    statuses = {name: [answer.status for answer in done.result()] for name, done in drips.items()}
    for name in ("a length", "chunks", "a chunk"):
        assert statuses.pop(name) == [408], name
    assert statuses == {"nobody reads it": [404], "nobody reads its chunks": [200], "a page": [200],
                        "it is too large": [413], "its end is in doubt": [400]}
    assert client.state("p")["isActive"] is False
    assert gateway.is_answering()


def queues(gateway, raw):
    """For both ends of a connection, ours and the gateway's: the bytes to be sent and to be read; None if closed."""
    ours, its = f":{raw.socket.getsockname()[1]:04X}", f":{gateway.port:04X}"
    found = {}
    with open("/proc/net/tcp") as table:
        for line in table:
            _, local, remote, state, sizes, *_ = line.split()
            if state in ("01", "08"):  # established; closed by the other end only
                found[local[8:], remote[8:]] = [int(size, 16) for size in sizes.split(":")]
    return found.get((ours, its)), found.get((its, ours))


def test_the_bodies_in_flight_have_a_bound(gateway):
    size, rest = (16 << 20), 1 << 16  # the rest, as much as is read at once, keeps each in flight

    def put(raw):
        raw.send(f"PUT /api/profiles/p/status HTTP/1.1\r\nHost: {gateway.host}\r\n"
                 f"Content-Type: application/json\r\nContent-Length: {size}\r\n\r\n")
        return raw.send(b" " * (size - rest))

    def one_more():
        return gateway.put("/api/profiles/p/status", " " * 400000 + ON)

    def are_read(raws):
        """No bytes are left in transit, checked at the sender first, then at the receiver; or one was closed."""
        return all(queues(gateway, raw)[0] in (None, [0, 0]) for raw in raws) and \
            all(queues(gateway, raw)[1] in (None, [0, 0]) for raw in raws)

    def refused():
        with contextlib.ExitStack() as stack:
            large = [put(stack.enter_context(gateway.raw())) for _ in range(4)]
            wait_until(lambda: are_read(large), "the large ones have been read")
            answer = one_more()
            assert gateway.get("/api/health").status == 200
            for raw in large:
                with contextlib.suppress(OSError):
                    raw.socket.shutdown(socket.SHUT_RDWR)
            wait_until(lambda: not any(queues(gateway, raw)[1] for raw in large), "they are given up")
        return answer if answer.status != 200 else None  # timed out on a busy machine

    answer = wait_until(refused, "there is no memory for one more", 2 * DEADLINE)
    assert "large bodies" in answer.error(503, -32004)["error"]
    assert answer.headers["retry-after"] == "1" and answer.headers["connection"] == "close"
    assert one_more().status == 200, "the memory was given back"
    for _ in range(10):  # and stays served, whatever happens to bodies
        gateway.put("/api/profiles/p/status", " " * (12 << 20)).error(400)
        gateway.put("/api/profiles/p/status", "x" * (12 << 20)).error(400)
    assert one_more().status == 200


def timers(gateway):
    """The timers of the gateway's process, armed or not."""
    try:
        with open(f"/proc/{gateway.process.pid}/timers") as file:
            return sum(line.startswith("ID:") for line in file)
    except FileNotFoundError:
        pytest.skip("this kernel does not list the timers of a process (CONFIG_CHECKPOINT_RESTORE)")


def test_no_timer_stays_behind(make_gateway, daemon, folder):
    """Their number per user is limited, and without one, no body is waited for."""
    gateway = make_gateway(daemon, "--token-file", token_file(folder))
    own = f"Authorization: Bearer {TOKEN}\r\n"
    requests = [("POST /api/tasks", "", 401), ("POST /api/nothing", "", 404), ("DELETE /api/tasks", "", 405),
                ("PUT /api/profiles/p/status", own, 400), ("PUT /api/profiles/p/status", own, 200)]
    assert timers(gateway) == 0
    most = 0
    for round in range(20):
        for request, headers, status in requests:
            body = ON if status == 200 else " " * 100000
            with gateway.raw() as raw:
                raw.send(f"{request} HTTP/1.1\r\nHost: {gateway.host}\r\nContent-Type: application/json\r\n"
                         f"Content-Length: {len(body)}\r\n{headers}\r\n")
                if round == 0:
                    most = wait_until(lambda: timers(gateway), "its body is waited for")
                raw.send(body)
                assert raw.answer().status == status
    assert most
    wait_until(lambda: timers(gateway) == 0, "none is left")


class Drips(threading.Thread):
    """Connections that announce a large body and send a byte of it at times. A closed one reconnects. `answers` holds
    the statuses that they got."""

    def __init__(self, gateway, count, request="POST /api/tasks", headers=""):
        super().__init__()
        self.address = ("127.0.0.1", gateway.port)
        self.count = count
        self.head = (f"{request} HTTP/1.1\r\nHost: {gateway.host}\r\nContent-Type: application/json\r\n"
                     f"Content-Length: 16000000\r\n{headers}\r\n").encode()
        self.answers = collections.Counter()
        self.stopping = threading.Event()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        self.join()

    def connect(self):
        connection = socket.create_connection(self.address, timeout=DEADLINE)
        connection.setblocking(False)
        return connection

    def drip(self, connection):
        """Whether the connection is still open."""
        try:
            connection.send(b" ")
            received = connection.recv(1000)
            if received:
                self.answers[int(received.split()[1])] += 1
            return bool(received)
        except BlockingIOError:
            return True
        except OSError:
            return False

    def run(self):
        connections = []
        while not self.stopping.wait(0.4):
            alive = [connection for connection in connections if self.drip(connection)]
            for connection in set(connections) - set(alive):
                connection.close()
            new = [self.connect() for _ in range(self.count - len(alive))]
            for connection in new:
                connection.send(self.head)
            connections = alive + new
        for connection in connections:
            connection.close()


def assert_served(gateway, ask):
    """New connections are answered, again and again."""
    for _ in range(5):
        connection = gateway.connect()
        connection.timeout = 20
        answer = ask(connection)
        assert answer.status in (200, 201), answer
        connection.close()


@pytest.mark.parametrize("request_line, headers, status", [
    ("POST /api/tasks", "", 401), ("POST /api/tasks", "Authorization: Bearer wrong-wrong-wrong\r\n", 429),
    ("POST /api/nothing", "", 404), ("POST /api/tasks", "Origin: http://evil.example\r\n", 403),
    ("DELETE /api/tasks", "", 405), ("POST /profiles", "", 405),
    ("POST /api/tasks", "Content-Length: 1\r\n", 400)])
def test_a_thousand_bodies_without_a_token_keep_no_one_out(make_gateway, daemon, folder, request_line, headers,
                                                           status):
    gateway = make_gateway(daemon, "--token-file", token_file(folder))
    own = {"Authorization": f"Bearer {TOKEN}"}
    with Drips(gateway, 1000 if status == 401 else 700, request_line, headers) as drips:
        wait_until(lambda: drips.answers[status] > 3000, "they are refused and hung up on")
        assert_served(gateway, lambda c: gateway.get("/api/health", connection=c, headers=own))
        assert_served(gateway, lambda c: gateway.post("/api/profiles/p/assign-task", {"task": {"title": "t"}},
                                                      connection=c, headers=own))
    assert set(drips.answers) <= {status, 401}, drips.answers


def test_a_thousand_bodies_that_drip_keep_no_one_out_where_no_token_is_asked_for(gateway):
    with Drips(gateway, 1000) as drips:
        wait_until(lambda: drips.answers[503] > 700, "most of them gave way")
        assert_served(gateway, lambda c: gateway.get("/api/health", connection=c))
        assert_served(gateway, lambda c: gateway.post("/api/profiles/p/assign-task", {"task": {"title": "t"}},
                                                      connection=c))


REFUSED = {
    "POST /api/tasks": 401, "POST /api/nothing": 404, "DELETE /api/tasks": 405, "POST /profiles": 405,
}


@pytest.mark.parametrize("size", [100, 100000, 3000000])
@pytest.mark.parametrize("request_line", REFUSED)
def test_who_sends_all_of_a_body_that_is_refused_is_told_why(make_gateway, daemon, folder, request_line, size):
    """Regardless of timing: a reset must not discard the answer."""
    gateway = make_gateway(daemon, "--token-file", token_file(folder))
    for _ in range(20):
        with gateway.raw() as raw:
            raw.socket.sendall((f"{request_line} HTTP/1.1\r\nHost: {gateway.host}\r\n"
                                f"Content-Type: application/json\r\nContent-Length: {size}\r\n\r\n").encode())
            raw.socket.sendall(b" " * size)
            answer = raw.answer()
            assert answer.status == REFUSED[request_line]
            # Kept open only if the start of the next request is certain.
            if answer.headers.get("connection") == "close":
                assert raw.answers() == []
            else:
                raw.send(f"GET /profiles HTTP/1.1\r\nHost: {gateway.host}\r\n\r\n")
                assert raw.answer().status == 200


@pytest.mark.parametrize("request_line", REFUSED)
def test_who_asks_before_the_body_is_refused_without_it(make_gateway, daemon, folder, request_line):
    gateway = make_gateway(daemon, "--token-file", token_file(folder))
    with gateway.raw() as raw:
        raw.send(f"{request_line} HTTP/1.1\r\nHost: {gateway.host}\r\nContent-Type: application/json\r\n"
                 "Content-Length: 1000\r\nExpect: 100-continue\r\n\r\n")
        [answer] = raw.answers()
        assert answer.status == REFUSED[request_line] and answer.headers["connection"] == "close"


@pytest.mark.parametrize("size", [4 << 20, 9 << 20, 15 << 20])
def test_a_body_that_makes_too_long_a_line_is_too_large(gateway, client, size):
    error = gateway.put("/api/profiles/p/status", {"isActive": True, "x": "x" * size}).error(413, -32600)
    assert "a line is at most 4194304 bytes" in error["error"]
    assert client.state("p")["isActive"] is False
    assert gateway.put("/api/profiles/p/status", " " * size + ON).status == 200, "white space is not sent on"


def test_the_bound_of_a_line_is_the_daemons(make_daemon, make_gateway):
    gateway = make_gateway(make_daemon(profile("p"), lineLimit=2000))
    gateway.post("/api/profiles/p/assign-task", {"task": {"title": "t" * 900}}).json
    error = gateway.post("/api/profiles/p/assign-task", {"task": {"title": "t" * 2000}}).error(413, -32600)
    assert "at most 2000 bytes" in error["error"]
