# SPDX-License-Identifier: MIT
"""Bearer tokens: their files, their rights, and guessing."""

import concurrent.futures
import http.client
import re
import signal
import threading

import pytest

from acpd import DEADLINE, TOKEN, token_file, wait_until
from middle import Middle

ON = '{"isActive": true}'
OTHER = "another-token-0123456789"


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


@pytest.fixture
def guarded(daemon, make_gateway, folder):
    return make_gateway(daemon, "--token-file", token_file(folder))


@pytest.mark.parametrize("given", [None, "", "Bearer", "Bearer ", "Bearer " + TOKEN[:-1], TOKEN,
                                   "Bearer " + TOKEN + "x", "Bearer x" + TOKEN, "Basic " + TOKEN,
                                   "Bearer " + TOKEN.upper(), "Bearer" + TOKEN, "Bearer \u00ff",
                                   "Bearer " + TOKEN * 2, "Bearer " + "x" * 5000])
def test_without_the_token_there_is_no_answer(guarded, client, given):
    headers = {} if given is None else {"Authorization": given}
    for path in ("/api/health", "/api/openapi.json", "/metrics", "/api/tasks?limit=1"):
        answer = guarded.get(path, headers=headers)
        answer.error(401)
        assert answer.headers["www-authenticate"].startswith("Bearer")
    assert guarded.put("/api/profiles/p/status", ON, headers=headers).error(401)
    own = {"Origin": guarded.url, **headers}
    assert guarded.put("/api/profiles/p/status", ON, headers=own).error(401)
    assert client.state("p")["isActive"] is False


def test_with_the_token_all_is_as_ever(guarded, client):
    for given in ("Bearer " + TOKEN, "bearer " + TOKEN):
        assert guarded.get("/api/health", headers={"Authorization": given}).status == 200
        assert guarded.put("/api/profiles/p/status", ON,
                           headers={"Authorization": given}).status == 200
    assert client.state("p")["isActive"] is True
    # A token does not admit foreign pages.
    guarded.put("/api/profiles/p/status", ON, headers={
        "Authorization": "Bearer " + TOKEN, "Origin": "http://evil.example"}).error(403)


def test_pages_need_no_token(guarded):
    page = guarded.get("/profiles")
    assert page.status == 200 and guarded.get("/").status == 302
    for link in re.findall(r'(?:src|href)="(/[^"#]*)"', page.body.decode()):
        assert guarded.get(link).status in (200, 302), link


@pytest.mark.parametrize("address", ["0.0.0.0:0", "10.0.0.1:0", "128.0.0.1:0"])
def test_it_listens_to_the_world_only_with_a_token(daemon, make_gateway, address):
    gateway = make_gateway(daemon, listen=address, start=False).spawn()
    assert gateway.process.wait(DEADLINE) == 1
    assert "token" in gateway.new_log()


def test_with_a_token_it_listens_to_the_world(daemon, make_gateway, folder):
    gateway = make_gateway(daemon, "--token-file", token_file(folder), listen="0.0.0.0:0",
                           start=False).spawn()
    gateway.port = int(wait_until(lambda: re.search(r"ready on http://0\.0\.0\.0:(\d+)",
                                                    gateway.new_log()))[1])
    gateway.get("/api/health").error(401)
    assert gateway.get("/api/health", headers=bearer(TOKEN)).status == 200
    gateway.get("/api/health", headers={**bearer(TOKEN), "Host": "evil.example"}).error(403)


# The file.


@pytest.mark.parametrize("content, fault", [
    (None, ""), (b"", ""), (b"\n", ""), (b"# nothing but this\n", ""), (b"short\n", ":1: "),
    (b"fifteen-chars..\n", ":1: "), (b"\0" * 32, ""), (b"x" * 10000, ":1: "), (b"x" * 3000000, ""),
    (f"# mine\n\n{TOKEN}\nshort ci\n".encode(), ":4: "), (f"{TOKEN}\u00e9".encode(), ":1: "),
    (f"{TOKEN} Me".encode(), ":1: "), (f"{TOKEN} .me".encode(), ":1: "),
    (f"{TOKEN} {'x' * 65}".encode(), ":1: "), (f"{TOKEN} me write".encode(), ":1: "),
    (f"{TOKEN} me Read".encode(), ":1: "), (f"{TOKEN} me read x".encode(), ":1: "),
    (f"{OTHER} a\n{TOKEN} b\n{TOKEN} c\n".encode(), ":3: "),
], ids=lambda value: repr(value)[:40])
def test_a_bad_token_file_is_refused_at_the_start(daemon, make_gateway, folder, content, fault):
    path = token_file(folder)
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
    gateway = make_gateway(daemon, "--token-file", path, start=False).spawn()
    assert gateway.process.wait(DEADLINE) == 1
    log = gateway.new_log()
    assert f"{path}{fault}" in log
    assert TOKEN not in log and OTHER not in log and "short" not in log, "it is secret"


@pytest.mark.parametrize("mode", [0o604, 0o602, 0o601, 0o644, 0o666])
def test_a_token_file_that_others_may_open_is_refused(daemon, make_gateway, folder, mode):
    path = token_file(folder)
    path.chmod(mode)
    gateway = make_gateway(daemon, "--token-file", path, start=False).spawn()
    assert gateway.process.wait(DEADLINE) == 1
    assert f"{path} is open to every user" in gateway.new_log()
    path.chmod(0o640)  # access for a group is a deliberate choice
    assert gateway.start().get("/api/health", headers=bearer(TOKEN)).status == 200


def test_a_file_holds_tokens_of_several(daemon, make_gateway, folder, client):
    path = token_file(folder, f"# who may come in\r\n\r\n{TOKEN}\r\n\n{OTHER}\tci\n"
                              f"  third-token-0123456789 3.mon-i_tor read  \n"
                              f"fourth-token-0123456789 ops operate")
    gateway = make_gateway(daemon, "--token-file", path)
    for token in (TOKEN, OTHER, "third-token-0123456789", "fourth-token-0123456789"):
        assert gateway.get("/api/health", headers=bearer(token)).status == 200
        may_write = token[0] != "t"
        client.update_profile_status(name="p", isActive=False)
        answer = gateway.put("/api/profiles/p/status", ON, headers=bearer(token))
        assert answer.status == (200 if may_write else 403)
        assert client.state("p")["isActive"] is may_write
    assert '"3.mon-i_tor"' in gateway.put("/api/profiles/p/status", ON, headers=bearer(
        "third-token-0123456789")).error(403, -32005)["error"]


def test_the_file_is_read_again_on_a_signal(daemon, make_gateway, folder):
    path = token_file(folder)
    gateway = make_gateway(daemon, "--token-file", path)

    def reload(text, said):
        before = gateway.new_log().count(said)
        path.write_text(text)
        gateway.process.send_signal(signal.SIGHUP)
        wait_until(lambda: gateway.new_log().count(said) > before, said)
        return [gateway.get("/api/health", headers=bearer(token)).status for token in (TOKEN, OTHER)]

    assert reload(f"{TOKEN}\n{OTHER} ci\n", "tokens reloaded") == [200, 200]
    assert reload(f"{TOKEN}\n\nbad\n", f"are unchanged: {path}:3: ") == [200, 200]
    assert reload(f"{OTHER} ci\n", "tokens reloaded") == [401, 200]
    path.chmod(0o604)
    assert reload(TOKEN, "are unchanged") == [401, 200]
    path.unlink()
    gateway.process.send_signal(signal.SIGHUP)
    wait_until(lambda: "No such file" in gateway.new_log())
    assert gateway.get("/api/health", headers=bearer(OTHER)).status == 200
    assert TOKEN not in gateway.new_log() and OTHER not in gateway.new_log()


def test_a_stream_ends_with_its_token(daemon, make_gateway, folder):
    path = token_file(folder, f"{TOKEN}\n{OTHER}\n")
    gateway = make_gateway(daemon, "--token-file", path)
    connection = gateway.connect()
    connection.request("GET", "/api/events", headers=bearer(TOKEN))
    stream = connection.getresponse()
    assert stream.status == 200 and stream.readline()
    path.write_text(OTHER)
    gateway.process.send_signal(signal.SIGHUP)
    stream.read()
    connection.close()
    gateway.get("/api/events", headers=bearer(TOKEN)).error(401)


def test_nobody_is_refused_while_the_file_is_read_again(daemon, make_gateway, folder):
    gateway = make_gateway(daemon, "--token-file", token_file(folder))
    ended = threading.Event()

    def ask():
        statuses, connection = set(), gateway.connect()
        while not ended.is_set():
            statuses.add(gateway.get("/api/health", headers=bearer(TOKEN),
                                     connection=connection).status)
        connection.close()
        return statuses

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        asking = [pool.submit(ask) for _ in range(8)]
        for times in range(1, 51):
            gateway.process.send_signal(signal.SIGHUP)
            wait_until(lambda: gateway.new_log().count("tokens reloaded") == times)
        ended.set()
        assert [done.result() for done in asking] == [{200}] * 8


def test_without_tokens_the_signal_changes_nothing(gateway):
    gateway.process.send_signal(signal.SIGHUP)
    for _ in range(10):
        assert gateway.get("/api/health").status == 200


# Read-only tokens.


@pytest.fixture
def spied(daemon, make_gateway, folder):
    """A gateway with tokens whose calls are recorded."""
    middle = Middle(folder / "middle.sock", daemon, lambda call, forward: forward())
    path = token_file(folder, f"{TOKEN}\n{OTHER} monitor read\n")
    yield make_gateway(middle, "--token-file", path), middle
    middle.close()


def operations(gateway):
    """Verb, path and method of every route."""
    document = gateway.get("/api/openapi.json", headers=bearer(TOKEN)).json
    for path, verbs in document["paths"].items():
        for verb, operation in verbs.items():
            yield verb.upper(), re.sub("{[a-z]+}", "1", path), operation["operationId"]


def test_a_reader_reads_everything_and_writes_nothing(spied, client):
    gateway, middle = spied
    roles = {method["name"]: method.get("x-role")
             for method in client.call("rpc.discover")["methods"]}
    refused = set()
    for verb, path, method in operations(gateway):
        if path == "/api/events":
            continue  # endless; it is a GET like the others
        del middle.calls[:]
        status = gateway.request(verb, path, {} if verb != "GET" else None,
                                 headers=bearer(OTHER)).status
        if status == 403:
            assert not middle.calls, f"{path} reached the daemon"
            refused.add(method)
        assert roles[method] in (None, "operate" if status == 403 else "read"), method
    assert refused == {"update_profile_status", "assign_task_to_profile", "submit_task",
                       "update_task", "cancel_task", "retry_task", "answer_permission", "retire_node"}


# The actor of a call.


def test_the_daemon_is_told_whose_token_it_was(spied):
    gateway, middle = spied
    gateway.get("/api/tasks", headers=bearer(OTHER))
    assert middle.requests[-1]["actor"] == "monitor"
    assert gateway.put("/api/profiles/p/status", ON, headers=bearer(TOKEN)).status == 200
    assert middle.requests[-1]["actor"] == "token"


def test_without_tokens_there_is_nobody_to_tell_of(daemon, make_gateway, folder):
    middle = Middle(folder / "middle.sock", daemon, lambda call, forward: forward())
    gateway = make_gateway(middle)
    assert gateway.put("/api/profiles/p/status", ON, headers=bearer(TOKEN)).status == 200
    assert middle.calls[-1] == "update_profile_status" and "actor" not in middle.requests[-1]
    middle.close()


# Guessing.


def guess(gateway, token, address="127.0.0.1"):
    """The answer to one request from a given address."""
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=DEADLINE,
                                            source_address=(address, 0))
    try:
        return gateway.get("/api/health", headers=bearer(token) if token else {},
                           connection=connection)
    finally:
        connection.close()


def test_who_guesses_is_told_to_wait(guarded):
    for i in range(10):
        guess(guarded, f"wrong-token-{i:020}").error(401)
    for token in ("wrong-token-0123456789", TOKEN[:-1], None):
        answer = guess(guarded, token)
        answer.error(429)
        assert 1 <= int(answer.headers["retry-after"]) <= 60
        assert guess(guarded, TOKEN).status == 200, "the owner may be behind the same address"
    guess(guarded, "wrong-token-0123456789", "127.0.0.2").error(401)
    guess(guarded, None, "127.0.0.3").error(401)
    log = guarded.new_log()
    assert [log.count(f"wrong token from 127.0.0.{i};") for i in (1, 2, 3)] == [1, 1, 0]
    assert "wrong-token" not in log


def test_who_has_no_token_guesses_nothing(guarded):
    for _ in range(50):
        guess(guarded, None).error(401)


def test_many_addresses_share_a_bound(guarded):
    statuses = [guess(guarded, "wrong-token-0123456789", f"127.0.1.{i}").status
                for i in range(1, 151)]
    assert statuses == [401] * 100 + [429] * 50
    assert guess(guarded, TOKEN, "127.0.1.1").status == 200
    guess(guarded, None, "127.0.2.1").error(401)
    assert guarded.new_log().count("wrong token") == 100
