# SPDX-License-Identifier: MIT
"""Thousands of malformed requests through the real civetweb. Seeds and mutations are those of the fuzz target
`http`, but without coverage feedback."""

import contextlib
import pathlib
import random
import socket
import threading

from acpd import wait_until

SEEDS = pathlib.Path(__file__).parents[1] / "fuzz" / "seeds" / "http"
# A stream does not end, and the answers to the others cannot be framed without their requests.
LEFT_OUT = {"events", "head", "expect"}


def requests(gateway):
    return [path.read_bytes()[1:].replace(b"localhost:8080", gateway.host.encode())
            for path in sorted(SEEDS.iterdir()) if path.name not in LEFT_OUT]


def mutate(chance, request, others):
    for _ in range(chance.randint(0, 4)):
        at, length = chance.randrange(len(request) + 1), chance.randint(1, 20)
        piece = chance.choice(others)
        start = chance.randrange(len(piece))
        insert = chance.choice([b"", bytes([chance.randrange(256)]), piece[start:start + length],
                                request[at:at + length] * 2, b"\r\n", b"%00", b"a" * 9000])
        request = request[:at] + insert + request[at + chance.choice([0, 0, length]):]
    return request


def disturb(gateway, seed, failures):
    chance = random.Random(seed)
    seeds = requests(gateway)
    for _ in range(2000):
        request = mutate(chance, chance.choice(seeds), seeds)
        if b"HEAD" in request or b"100-continue" in request or b"/api/events" in request:
            continue
        try:
            with gateway.raw() as raw:
                raw.send(request)
                with contextlib.suppress(OSError):  # it may have closed the connection
                    raw.socket.shutdown(socket.SHUT_WR)
                raw.answers()  # each is checked
        except Exception as error:
            failures.append((seed, request, repr(error)))


def test_mutated_requests_are_answered_as_they_deserve(gateway, client):
    failures = []
    threads = [threading.Thread(target=disturb, args=[gateway, seed, failures]) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures[:3]
    wait_until(gateway.is_answering, "the gateway answers")
    assert client.get_health()["status"]
