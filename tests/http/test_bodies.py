# SPDX-License-Identifier: MIT
"""Bodies that take their time, and bodies that take memory."""

import concurrent.futures
import contextlib

from acpd import DEADLINE, wait_until

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
    """Sends a little now and then, faster than the gateway gives silence up. The answers that came
    before the gateway ended it."""
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


def test_the_bodies_in_flight_have_a_bound(gateway):
    size, rest = (16 << 20), 1000  # the rest keeps each of them in flight

    def put(raw):
        raw.send(f"PUT /api/profiles/p/status HTTP/1.1\r\nHost: {gateway.host}\r\n"
                 f"Content-Type: application/json\r\nContent-Length: {size}\r\n\r\n")
        return raw.send(b" " * (size - rest))

    def one_more():
        return gateway.put("/api/profiles/p/status", " " * 100000 + ON)

    def refused():
        """Whoever reads on when the bound is passed is refused: it may be one of the large ones, and then
        there is room again."""
        with contextlib.ExitStack() as stack:
            large = [put(stack.enter_context(gateway.raw())) for _ in range(4)]
            for _ in range(20):
                for raw in large:
                    raw.send(b" ")
                answer = one_more()
                assert gateway.get("/api/health").status == 200
                if answer.status != 200:
                    return answer
        return None

    answer = wait_until(refused, "there is no memory for one more", 2 * DEADLINE)
    assert "large bodies" in answer.error(503, -32004)["error"]
    assert answer.headers["retry-after"] == "1" and answer.headers["connection"] == "close"
    wait_until(lambda: one_more().status == 200, "the memory was given back")
    for _ in range(10):  # and is, whatever becomes of a body
        gateway.put("/api/profiles/p/status", " " * (12 << 20)).error(400)
        gateway.put("/api/profiles/p/status", "x" * (12 << 20)).error(400)
    assert one_more().status == 200
