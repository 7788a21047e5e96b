# SPDX-License-Identifier: MIT
"""What the gateway rejects: foreign pages, smuggled requests, hostile clients."""

import contextlib
import os
import re
import socket
import subprocess
import threading
import time

import pytest

from acpd import DEADLINE, in_threads, open_files, profile, resident_bytes, token_file, wait_until

ON = '{"isActive": true}'


def status_request(gateway, headers="", body=ON, host=None):
    """The write that tests of this file try to smuggle in."""
    return (f"PUT /api/profiles/p/status HTTP/1.1\r\nHost: {host or gateway.host}\r\n"
            f"Content-Type: application/json\r\n{headers}\r\n{body}")


def get_request(gateway, path="/api/health", headers="Connection: close\r\n"):
    return f"GET {path} HTTP/1.1\r\nHost: {gateway.host}\r\n{headers}\r\n"


def exchange(gateway, data):
    with gateway.raw() as raw:
        raw.send(data)
        return raw.answers()


def threads_and_files(gateway):
    pid = gateway.process.pid
    return len(os.listdir(f"/proc/{pid}/task")), len(os.listdir(f"/proc/{pid}/fd"))


def assert_unharmed(gateway, files=60):
    assert gateway.process.poll() is None, gateway.new_log()
    assert gateway.is_answering()
    wait_until(lambda: threads_and_files(gateway)[1] < files, "descriptors are given back")
    assert threads_and_files(gateway)[0] < 700


# Accepted origins and hosts.


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example",
                                  "evil.example:{port}", "127.0.0.1:{port}.evil.example", "localhost:x",
                                  "localhost:1:2", "[::1", "[::1]x", "xlocalhost", "local", "0.0.0.0",
                                  "127.0.0.1@evil.example", "localhost, evil.example", "",
                                  "localhost/", "user@localhost", "169.254.169.254"])
def test_a_foreign_host_name_is_refused(gateway, host):
    host = host.format(port=gateway.port)
    for path in ("/api/health", "/profiles", "/nothing"):
        [answer] = exchange(gateway, f"GET {path} HTTP/1.1\r\nHost: {host}\r\n"
                                     "Connection: close\r\n\r\n")
        answer.error(403, -32005)


@pytest.mark.parametrize("host", ["localhost", "localhost:{port}", "LocalHost:{port}", "127.0.0.1",
                                  "127.0.0.1:{port}", "[::1]:{port}", "localhost:1"])
def test_names_of_this_machine_are_taken(gateway, host):
    host = host.format(port=gateway.port)
    assert gateway.get("/api/health", headers={"Host": host}).status == 200
    assert gateway.get("/profiles", headers={"Host": host}).status == 200


def test_further_names_are_taken_when_told(daemon, make_gateway):
    gateway = make_gateway(daemon, "--allow-host", "box.example", "--allow-host", "other")
    for host in ("box.example", f"box.example:{gateway.port}", "Other", "localhost"):
        assert gateway.get("/api/health", headers={"Host": host}).status == 200
    for host in ("box.example.evil", "ox.example", "another", ""):
        assert gateway.get("/api/health", headers={"Host": host}).status in (400, 403)
    own = {"Host": "box.example", "Origin": "https://box.example", "Content-Type": None}
    assert gateway.put("/api/profiles/p/status", ON, headers=own).status == 200


@pytest.mark.parametrize("hosts", [[], ["localhost", "localhost"], ["localhost", "evil.example"],
                                   ["evil.example", "localhost"]])
def test_a_request_has_one_host(gateway, hosts):
    for version in ("1.1", "1.0"):
        [answer] = exchange(gateway, f"GET /api/health HTTP/{version}\r\n"
                            + "".join(f"Host: {host}\r\n" for host in hosts) + "\r\n")
        answer.error(400)


@pytest.mark.parametrize("headers", [
    {"Origin": "http://evil.example"}, {"Origin": "null"}, {"Origin": ""},
    {"Origin": "http://{host}.evil.example"}, {"Origin": "http://evil.example/http://{host}"},
    {"Origin": "ftp://{host}"}, {"Origin": "{host}"}, {"Origin": "http://localhost:{other}"},
    {"Origin": "http://{host}", "Host": "localhost:{port}"}, {"Origin": "http://user@{host}"},
    {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"Sec-Fetch-Site": "odd"},
    {"Origin": "http://evil.example", "Sec-Fetch-Site": "same-origin"},
    {"Origin": "http://{host}", "Sec-Fetch-Site": "cross-site"},
])
def test_a_foreign_page_changes_nothing(gateway, client, headers):
    headers = {name: value.format(host=gateway.host, port=gateway.port, other=gateway.port + 1)
               for name, value in headers.items()}
    for content_type in ("application/json", "text/plain", None):
        answer = gateway.put("/api/profiles/p/status", ON,
                             headers={**headers, "Content-Type": content_type})
        answer.error(403, -32005)
    assert client.state("p")["isActive"] is False


@pytest.mark.parametrize("headers", [
    {"Origin": "http://{host}"}, {"Origin": "https://{host}"}, {"Sec-Fetch-Site": "same-origin"},
    {"Origin": "http://{host}", "Sec-Fetch-Site": "same-origin"},
    {"Origin": "http://localhost:{port}", "Host": "localhost:{port}"},
])
def test_the_own_page_may_write(gateway, client, headers):
    headers = {name: value.format(host=gateway.host, port=gateway.port)
               for name, value in headers.items()}
    for content_type in ("application/json", "application/json; charset=utf-8", "APPLICATION/JSON",
                         "text/plain;charset=UTF-8", "text/plain", None):
        client.update_profile_status(name="p", isActive=False)
        answer = gateway.put("/api/profiles/p/status", ON,
                             headers={**headers, "Content-Type": content_type})
        assert answer.status == 200, answer
        assert client.state("p")["isActive"] is True


@pytest.mark.parametrize("content_type", [
    "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/html",
    "application/jsonx", "text/json", "application/xml", "", "text/plain", None,
    "text/plain, application/json", "application/x-www-form-urlencoded;application/json"])
def test_another_content_type_changes_nothing(gateway, client, content_type):
    for headers in ({}, {"Sec-Fetch-Site": "none"}, {"Origin": gateway.url}):
        if headers.get("Origin") and content_type in ("text/plain", None):
            continue  # of our own page; see above
        answer = gateway.put("/api/profiles/p/status", ON,
                             headers={**headers, "Content-Type": content_type})
        assert "application/json" in answer.error(415)["error"], headers
    assert client.state("p")["isActive"] is False


def test_no_content_type_and_no_origin_is_no_page(gateway, client):
    for body in (ON, "", None):
        gateway.put("/api/profiles/p/status", body, headers={"Content-Type": None}).error(415)
    assert client.state("p")["isActive"] is False


def test_a_duplicate_origin_or_content_type_is_no_way_in(gateway, client):
    for pair in (("Origin: http://evil.example", f"Origin: http://{gateway.host}"),
                 ("Sec-Fetch-Site: cross-site", "Sec-Fetch-Site: same-origin"),
                 ("Content-Type: text/plain", "Content-Type: application/json")):
        for headers in (pair, pair[::-1]):
            [answer] = exchange(
                gateway, f"PUT /api/profiles/p/status HTTP/1.1\r\nHost: {gateway.host}\r\n"
                + "\r\n".join(headers) + f"\r\nContent-Length: {len(ON)}\r\n"
                "Connection: close\r\n\r\n" + ON)
            assert answer.status in (400, 403, 415), (headers, answer)
            assert client.state("p")["isActive"] is False


def test_a_preflight_is_granted_nothing(gateway):
    answer = gateway.request("OPTIONS", "/api/profiles/p/status", headers={
        "Origin": "http://evil.example", "Access-Control-Request-Method": "PUT",
        "Access-Control-Request-Headers": "content-type"})
    assert not any(name.startswith("access-control-") for name in answer.headers)


# The command line.


@pytest.mark.parametrize("address", ["", "x", "8080", ":8080", "127.0.0.1", "127.0.0.1:",
                                     "127.0.0.1:65536", "127.0.0.1:-1", "127.0.0.1:80x", "300.0.0.1:0",
                                     "127.0.0.1:0,0.0.0.0:0", "evil.example:80", "127.1:0"])
def test_an_address_that_is_none_is_refused_at_the_start(daemon, make_gateway, address):
    gateway = make_gateway(daemon, listen=address, start=False).spawn()
    assert gateway.process.wait(DEADLINE) == 1
    assert "--listen" in gateway.new_log()


def test_the_last_of_an_option_given_twice_counts(daemon, make_gateway, folder):
    token_file(folder)
    for option, first, last in (("--socket", "/nonexistent", daemon.socket),
                                ("--listen", "x", "127.0.0.1:0"),
                                ("--token-file", "/nonexistent", folder / "token")):
        gateway = make_gateway(daemon, option, first, option, last)
        assert gateway.get("/profiles").status == 200
        assert gateway.stop() == 0


# Framing of requests.


FRAMINGS = [
    "Content-Length: {n}\r\nTransfer-Encoding: chunked\r\n",
    "Transfer-Encoding: chunked\r\nContent-Length: {n}\r\n",
    "Content-Length: 0\r\nContent-Length: {n}\r\n", "Content-Length: {n}\r\nContent-Length: {n}\r\n",
    "Content-Length: {n}\r\ncontent-length: 0\r\n",
    "Content-Length: +{n}\r\n", "Content-Length: -{n}\r\n", "Content-Length: {n}, {n}\r\n",
    "Content-Length: 0x{n}\r\n", "Content-Length: {n}.0\r\n", "Content-Length: 0 {n}\r\n",
    "Content-Length: 184467440737095516{n}\r\n", "Content-Length: 999999999999999999\r\n",
    "Content-Length: \r\n", "Content-Length: x\r\n", "Content-Length: {n};q=1\r\n",
    "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
    "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
    "Transfer-Encoding: chunked, identity\r\n", "Transfer-Encoding: identity, chunked\r\n",
    "Transfer-Encoding: identity\r\n", "Transfer-Encoding: gzip, chunked\r\n",
    "Transfer-Encoding: chunked, chunked\r\n", "Transfer-Encoding: xchunked\r\n",
    "Transfer-Encoding: chunked;x=1\r\n", "Transfer-Encoding: \"chunked\"\r\n",
    "Transfer-Encoding:\x0bchunked\r\n", "Transfer-Encoding: \r\n",
    "Content-Length : {n}\r\n", "Content-Length\t: {n}\r\n", "Transfer-Encoding : chunked\r\n",
    " Content-Length: {n}\r\n", "X: a\r\n Content-Length: {n}\r\n",
    "X: a\r\n b\r\nContent-Length: {n}\r\n", "X: a\r\n\tb\r\nContent-Length: {n}\r\n",
    "Content-Length: {n}\r\n 0\r\n", "Content-Length:\r\n {n}\r\n",
    "Transfer-Encoding:\r\n chunked\r\n", "Transfer-Encoding: chunked\r\n , identity\r\n",
    "Content-Length: {n}\rX: y\r\n", "X: \0\r\nContent-Length: {n}\r\n",
    ": x\r\nContent-Length: {n}\r\n", "Content Length: {n}\r\n", "Content-Length\r\n: {n}\r\n",
    "no colon\r\nContent-Length: {n}\r\n", "Content-Length: {n}\r\n: x\r\n",
    "".join(f"X{i}: y\r\n" for i in range(70)) + "Content-Length: {n}\r\n",
]


@pytest.mark.parametrize("framing", FRAMINGS, ids=lambda f: repr(f[:60]))
def test_a_body_whose_end_is_in_doubt_is_refused(gateway, client, framing):
    """One error, then the connection is closed: what follows is not taken as a second request."""
    hidden = status_request(gateway, f"Content-Length: {len(ON)}\r\n")
    for body in (hidden, "0\r\n\r\n" + hidden, f"{len(hidden):x}\r\n{hidden}\r\n0\r\n\r\n" + hidden):
        request = (f"POST /api/tasks/1/cancel HTTP/1.1\r\nHost: {gateway.host}\r\n"
                   "Content-Type: application/json\r\n" + framing.replace("{n}", str(len(body))))
        answers = exchange(gateway, request + "\r\n" + body)
        assert len(answers) == 1, answers
        assert answers[0].status in (400, 411, 413, 431, 501), answers
        assert answers[0].headers["connection"] == "close"
        assert client.state("p")["isActive"] is False, "the hidden request was done"
    assert gateway.is_answering()


@pytest.mark.parametrize("chunks", [
    "zz\r\n{}\r\n0\r\n\r\n", "-2\r\n{}\r\n0\r\n\r\n", "+2\r\n{}\r\n0\r\n\r\n", "0x2\r\n{}\r\n0\r\n\r\n",
    "2\r\n{}X0\r\n\r\n", "2\r\n{}0\r\n\r\n", "ffffffffffffffff\r\n{}", "10000000000000002\r\n{}",
    "\r\n{}\r\n0\r\n\r\n", " 2\r\n{}\r\n0\r\n\r\n", "2 \r\n{}\r\n0\r\n\r\n", "2\n{}\n0\n\n",
    "1\r\n{}\r\n0\r\n\r\n", "2" * 500,
])
def test_malformed_chunks_are_refused(gateway, client, chunks):
    hidden = status_request(gateway, f"Content-Length: {len(ON)}\r\nConnection: close\r\n")
    with gateway.raw() as raw:
        raw.send("POST /api/tasks/1/cancel HTTP/1.1\r\n"
                 f"Host: {gateway.host}\r\nContent-Type: application/json\r\n"
                 f"Transfer-Encoding: chunked\r\n\r\n{chunks}{hidden}")
        answers = raw.answers()
    assert [answer.status for answer in answers] in ([400], [413], []), answers
    assert client.state("p")["isActive"] is False
    assert gateway.is_answering()


@pytest.mark.parametrize("framing, body", [
    ("Content-Length: {n}\r\n", "{}"), ("Content-Length: 000{n}\r\n", "{}"),
    ("content-length:{n}\r\n", "{}"), ("Content-Length:    {n}\r\n", "{}"),
    ("Transfer-Encoding: chunked\r\n", "2\r\n{}\r\n0\r\n\r\n"),
    ("Transfer-Encoding: Chunked\r\n", "1\r\n{\r\n01\r\n}\r\n0\r\n\r\n"),
])
def test_an_error_leaves_the_connection_in_step(gateway, framing, body):
    """Whether or not the body of the rejected request was read."""
    framing = framing.replace("{n}", str(len(body)))
    refused = [("POST /api/nothing", "application/json"), ("DELETE /api/tasks", "application/json"),
               ("POST /api/tasks", "text/html"), ("POST /api/tasks", "application/json"),
               ("POST /profiles", "application/json"), ("GET /api/health", "application/json")]
    with gateway.raw() as raw:
        for line, kind in refused:
            raw.send(f"{line} HTTP/1.1\r\nHost: {gateway.host}\r\nContent-Type: {kind}\r\n"
                     f"{framing}\r\n{body}")
            first = raw.answer()
            assert first.status in (200, 400, 404, 405, 415), (line, first)
            raw.send(get_request(gateway, "/api/tasks?limit=1", ""))
            assert raw.answer().json == {"tasks": [], "next": None}, line


# Paths and methods.


@pytest.mark.parametrize("target, statuses", [
    ("/api/profiles/%00/state", [400]), ("/api/profiles/p%00/state", [400]),
    ("/api/profiles/p%00x/state", [400]), ("/api/tasks?profile=%00", [400]),
    ("/api/profiles/p%2fstate", [404]), ("/api/profiles%2fp/state", [404]),
    ("/api/profiles/p%2Fstate/state", [404]), ("/api/profiles/../health", [400]),
    ("/api/profiles/%2e%2e/health", [400]), ("/api/%2E%2E/profiles", [400]), ("/api/./health", [400]),
    ("/api/profiles/.%2e/health", [400]), ("/api/profiles/p/state/..", [400]), ("/..", [400, 404]),
    ("/../../../../etc/passwd", [400, 404]), ("/%2e%2e/%2e%2e/etc/passwd", [400, 404]),
    ("/..%2f..%2fetc/passwd", [400, 404]), ("/profiles/..%5c..%5cetc", [400, 404]),
    ("//api/health", [400, 404]), ("/api//health", [400, 404]), ("//", [400, 404]),
    ("//evil.example/", [400, 404]), ("/api/health/", [404]), ("/api/health;x", [404]),
    ("/api/profiles/%/state", [400]), ("/api/profiles/%7/state", [400]),
    ("/api/profiles/%zz/state", [400]), ("/api/profiles/%ff/state", [400]),
    ("/api/profiles/%c0%af/state", [400]), ("/api/profiles/%ed%a0%80/state", [400]),
    ("/api/tasks?limit=%", [400]), ("/api/tasks?%ff=1", [400]), ("/api/tasks?=1", [400]),
    ("/api/health#x", [400, 404]), ("/api/he\x01alth", [400]), ("/api/he\x7falth", [400]),
    ("/api/profiles/%252e%252e/state", [404]), ("/api/profiles/p\\..\\x/state", [400, 404]),
    ("api/health", [400]), ("?", [400]), ("", [400]), ("*", [400]), ("\\", [400]),
])
def test_odd_paths_reach_nothing(gateway, target, statuses):
    for verb in ("GET", "PUT"):
        answers = exchange(gateway, f"{verb} {target} HTTP/1.1\r\nHost: {gateway.host}\r\n"
                                    "Content-Length: 0\r\nContent-Type: application/json\r\n"
                                    "Connection: close\r\n\r\n")
        assert len(answers) == (0 if not answers and target == "*" else 1), answers
        for answer in answers:
            assert answer.status in {*statuses, 405 if verb == "PUT" else 400}, answer
            assert b"root:" not in answer.body


@pytest.mark.parametrize("authority, host", [
    ("evil.example", None), (None, "evil.example"), ("evil.example", "evil.example"), (None, None)])
def test_a_whole_url_as_the_target_is_no_way_around_the_host(gateway, client, authority, host):
    answers = exchange(
        gateway, f"PUT http://{authority or gateway.host}/api/profiles/p/status HTTP/1.1\r\n"
        f"Host: {host or gateway.host}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(ON)}\r\nConnection: close\r\n\r\n{ON}")
    assert len(answers) <= 1
    if authority or host:
        assert all(answer.status in (400, 403, 421) for answer in answers), answers
        assert client.state("p")["isActive"] is False
    assert gateway.is_answering()


@pytest.mark.parametrize("verb", ["CONNECT", "TRACE", "PROPFIND", "MKCOL", "LINK", "get", "FOO", "G",
                                  "GET\t", "X" * 5000])
def test_other_verbs_are_refused(gateway, verb):
    for path in ("/api/health", "/profiles", "/"):
        [answer] = exchange(gateway, f"{verb} {path} HTTP/1.1\r\nHost: {gateway.host}\r\n"
                                     "Connection: close\r\n\r\n")
        assert answer.status in (400, 405, 431, 501), answer


# Limits.


@pytest.mark.parametrize("request_of", [
    lambda g: get_request(g, headers="X: " + "a" * 20000 + "\r\n"),
    lambda g: get_request(g, headers="X" * 20000 + ": a\r\n"),
    lambda g: get_request(g, headers="".join(f"X{i}: {i}\r\n" for i in range(100))),
    lambda g: get_request(g, headers="".join(f"X{i}: {i}\r\n" for i in range(5000))),
    lambda g: get_request(g, headers="X: y\r\n" * 100000),
    lambda g: get_request(g, "/api/health?x=" + "a" * 20000),
    lambda g: get_request(g, "/" + "a/" * 20000),
    lambda g: "GET /" + "a" * 3000000,
    lambda g: get_request(g, headers="\0" * 2000),
], ids=["header", "header name", "100 headers", "5000 headers", "100000 headers", "query", "path",
        "endless path", "zeros"])
def test_more_than_fits_is_refused_and_cut_off(gateway, request_of):
    answers = exchange(gateway, request_of(gateway))
    assert len(answers) <= 1, answers
    for answer in answers:
        assert answer.status in (400, 413, 414, 431), answer
        assert answer.headers["connection"] == "close"
    assert_unharmed(gateway)


@pytest.mark.parametrize("framing", ["length", "chunks", "declared only", "curl", "curl chunks"])
def test_a_body_over_the_bound_is_413(gateway, client, framing, folder):
    size = (16 << 20) + 1
    if framing.startswith("curl"):
        (folder / "body").write_bytes(b" " * size)
        extra = ["-H", "Transfer-Encoding: chunked"] if framing == "curl chunks" else []
        run = subprocess.run(["curl", "-sS", "-w", "%{http_code}", "-o", "/dev/null", "--max-time",
                              "60", "-X", "POST", "-H", "Content-Type: application/json", *extra,
                              "--data-binary", f"@{folder}/body", f"{gateway.url}/api/tasks"],
                             capture_output=True, text=True, timeout=90)
        assert run.stdout == "413", run.stderr
        assert_unharmed(gateway)
        return
    with gateway.raw() as raw:
        raw.send(f"POST /api/tasks HTTP/1.1\r\nHost: {gateway.host}\r\n"
                 "Content-Type: application/json\r\n")
        if framing == "chunks":
            raw.send("Transfer-Encoding: chunked\r\n\r\n")
            for _ in range(17):
                raw.send(b"100000\r\n" + b" " * (1 << 20) + b"\r\n")
            raw.send("0\r\n\r\n")
        else:
            raw.send(f"Content-Length: {size}\r\n\r\n")
            if framing == "length":
                raw.send(b" " * size)
        answers = raw.answers()
    assert len(answers) == 1 and answers[0].error(413)
    assert answers[0].headers["connection"] == "close"
    assert_unharmed(gateway)


def test_a_body_of_just_the_bound_is_read(gateway):
    body = b" " * ((16 << 20) - len(ON)) + ON.encode()
    assert gateway.put("/api/profiles/p/status", body).status == 200


# Slow and hasty clients.


def test_five_hundred_silent_connections_keep_no_one_out(gateway):
    gateway.disconnect()
    with contextlib.ExitStack() as stack:
        gateway.crowd(stack, 500)
        began = time.monotonic()
        assert gateway.is_answering()
        assert time.monotonic() - began < 3, "a newcomer is served in time"
        for _ in range(20):
            assert gateway.is_answering()
    assert_unharmed(gateway)


def test_ten_thousand_connections_leak_nothing(make_daemon, make_gateway, monkeypatch):
    monkeypatch.setenv("ASAN_OPTIONS", "quarantine_size_mb=1")  # freed memory counts as free
    daemon = make_daemon(profile("p"))
    gateway = make_gateway(daemon)
    pids = [gateway.process.pid, daemon.process.pid]

    def come_and_go(number, count):
        for _ in range(count):
            [answer] = exchange(gateway, get_request(gateway, "/api/profiles/p/state"))
            assert answer.json["name"] == "p"

    in_threads(4, lambda number: come_and_go(number, 2500))  # each of its threads has worked
    files, memory = [open_files(pid) for pid in pids], [resident_bytes(pid) for pid in pids]
    in_threads(4, lambda number: come_and_go(number, 2500))
    wait_until(lambda: [open_files(pid) for pid in pids] <= files, "descriptors are given back")
    for pid, before in zip(pids, memory):
        assert resident_bytes(pid) - before < 32 << 20
    assert_unharmed(gateway)


def ends(raw, deadline=DEADLINE):
    """Whether the gateway closes the connection."""
    raw.socket.settimeout(deadline)
    while raw.more():
        pass
    return True


@pytest.mark.parametrize("start", ["", "G", "GET / HTTP/1.1\r\nHost: localhost\r\nX: "])
def test_a_silent_connection_is_ended(gateway, start):
    with gateway.raw() as raw:
        raw.send(start)
        assert ends(raw)
    assert_unharmed(gateway)


@pytest.mark.parametrize("what", ["request line", "header", "headers"])
def test_a_slow_drip_is_ended(gateway, what):
    """A byte at a time must not hold a thread forever."""
    drips = {"request line": "a", "header": "a", "headers": "X: y\r\n"}
    starts = {"request line": "GET /", "header": "GET / HTTP/1.1\r\nX: ",
              "headers": "GET / HTTP/1.1\r\n"}
    with gateway.raw() as raw:
        raw.send(starts[what])
        raw.socket.settimeout(0.2)

        def dripped():
            raw.socket.sendall(drips[what].encode())
            try:
                return not raw.socket.recv(1000)
            except TimeoutError:
                return False

        def ended():
            try:
                return dripped()
            except ConnectionError:
                return True

        wait_until(ended, "the gateway hangs up")
    assert_unharmed(gateway)


def test_a_body_that_does_not_come_is_given_up(gateway, client):
    for framing in ("Content-Length: 100\r\n", "Transfer-Encoding: chunked\r\n"):
        for body in ("", "5\r\n{", "{"):
            with gateway.raw() as raw:
                raw.send(status_request(gateway, framing, body))
                answers = raw.answers()
            assert len(answers) <= 1, answers
            assert not answers or answers[0].error(400)
    assert client.state("p")["isActive"] is False
    assert_unharmed(gateway)


def test_half_a_request_and_then_nothing(gateway, client):
    whole = status_request(gateway, f"Content-Length: {len(ON)}\r\n")
    for length in range(1, len(whole) - 1, 3):
        with gateway.raw() as raw:
            raw.send(whole[:length])
            if length % 2:
                with contextlib.suppress(OSError):
                    raw.socket.shutdown(socket.SHUT_WR)
    assert_unharmed(gateway)
    assert client.state("p")["isActive"] is False, "half a body is no body"


def test_a_client_that_leaves_before_its_answer(gateway):
    for _ in range(300):
        with gateway.raw() as raw:
            raw.send(get_request(gateway, "/api/openapi.json") * 3)
    assert_unharmed(gateway)


def test_a_client_that_never_reads(gateway):
    with contextlib.ExitStack() as stack:
        for _ in range(20):
            deaf = stack.enter_context(gateway.raw())
            deaf.socket.settimeout(1)
            with contextlib.suppress(OSError):
                deaf.socket.sendall((get_request(gateway, "/api/openapi.json", "") * 2000).encode())
        assert gateway.is_answering()
    assert_unharmed(gateway)


@pytest.mark.parametrize("garbage", [
    b"\0" * 100, b"\xff" * 100, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"\r\n\r\n\r\n",
    b"GET\r\n\r\n", b"GET /\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n",
    b"GET / FTP/1.1\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n", b"\n\n\n\n", b"GET  /  HTTP/1.1\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"{}\n", b"GET / HTTP/1.1\r\n:\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: localhost\r\n\xff\xfe: x\r\n\r\n",
])
def test_garbage_is_refused_politely(gateway, garbage):
    with gateway.raw() as raw:
        raw.send(garbage)
        for answer in raw.answers():
            assert 400 <= answer.status <= 505, answer
            assert answer.headers["connection"] == "close"
    assert_unharmed(gateway)


def test_random_bytes_from_many_at_once(gateway):
    def disturb(number):
        for i in range(30):
            with gateway.raw() as raw:
                raw.send(os.urandom(1 + (i * 37 + number) % 700) + b"\r\n\r\n")
                raw.socket.shutdown(socket.SHUT_WR)
                with contextlib.suppress(OSError, AssertionError, ValueError):
                    raw.answers()

    threads = [threading.Thread(target=disturb, args=[i]) for i in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert_unharmed(gateway)


# acpd.Answer checks the headers of every answer; here is one of each kind.


def test_every_kind_of_answer_carries_the_headers(daemon, gateway, client):
    client.assign("p")
    seen = [gateway.get("/api/health"), gateway.get("/profiles"), gateway.get("/"),
            gateway.get("/nothing"), gateway.get("/api/nothing"), gateway.request("DELETE", "/"),
            gateway.request("DELETE", "/api/tasks"), gateway.request("OPTIONS", "/api/tasks"),
            gateway.get("/api/health", headers={"Host": "evil.example"}),
            gateway.post("/api/tasks", "x"), gateway.get("/metrics"),
            gateway.post("/api/tasks", "x", headers={"Content-Type": "text/html"}),
            gateway.post("/api/profiles/p/assign-task", {"task": {"title": "t"}}),
            gateway.get("/profiles", headers={"If-None-Match": "*"}),
            gateway.post("/api/tasks/1/cancel"), gateway.post("/api/tasks/1/cancel")]
    for hostile in ("GARBAGE\r\n\r\n", "GET / HTTP/1.1\r\n\r\n", "GET / HTTP/3.0\r\n\r\n",
                    get_request(gateway, "/" + "a" * 20000),
                    status_request(gateway, "Content-Length: 99999999\r\n")):
        seen += exchange(gateway, hostile)
    daemon.stop()
    seen.append(gateway.get("/api/health"))
    statuses = {answer.status for answer in seen}
    assert statuses >= {200, 201, 204, 302, 304, 400, 403, 404, 405, 409, 413, 415, 503}
    for answer in seen:
        answer.check()
