# SPDX-License-Identifier: MIT
"""JSON-RPC 2.0 over lines, as specified, and the limits of the socket."""

import json
import os
import socket
import subprocess

import pytest

import acpd
from acpd import RpcError, open_files, profile, resident_bytes, shell, wait_until

CALL = '{"jsonrpc":"2.0","id":%s,"method":"get_profile_state","params":{"name":"p"}}'


def exchange(client, line):
    client.send(line + "\n")
    return client.reply()


def code_of(reply):
    return reply["error"]["code"], reply["id"]


@pytest.mark.parametrize("line, code, id", [
    ('{"jsonrpc": "2.0", "method": "foobar, "params": "bar", "baz]', -32700, None),
    ('[{"jsonrpc": "2.0", "method": "sum", "id": "1"}, {"jsonrpc": "2.0", "method"', -32700, None),
    ('{"jsonrpc":"2.0","id":1,"method":"get_health"} x', -32700, None),
    ('{"a":\xff}', -32700, None),
    ('NaN', -32700, None),
    ('{"jsonrpc":"2.0","id":1,"method":"get_health","params":{"x":1e999}}', -32700, None),
    ('[' * 100 + ']' * 100, -32700, None),
    ('{"jsonrpc": "2.0", "method": 1, "params": "bar"}', -32600, None),
    ('{"foo": "boo"}', -32600, None),
    ('1', -32600, None),
    ('null', -32600, None),
    ('"get_health"', -32600, None),
    ('[]', -32600, None),
    ('{"jsonrpc":"1.0","id":4,"method":"get_health"}', -32600, 4),
    ('{"id":5,"method":"get_health"}', -32600, 5),
    ('{"jsonrpc":"2.0","id":{},"method":"get_health"}', -32600, None),
    ('{"jsonrpc":"2.0","id":true,"method":"get_health"}', -32600, None),
    ('{"jsonrpc":"2.0","id":6,"method":"get_health","params":"bar"}', -32600, 6),
    ('{"jsonrpc":"2.0","id":"7","method":"foobar"}', -32601, "7"),
    ('{"jsonrpc":"2.0","id":8,"method":"get_profile_state"}', -32602, 8),
    ('{"jsonrpc":"2.0","id":9,"method":"get_profile_state","params":["p",1,2]}', -32602, 9),
    ('{"jsonrpc":"2.0","id":10,"method":"get_profile_state","params":{"name":"nobody"}}', -32001, 10),
])
def test_each_error_of_the_specification(client, line, code, id):
    client.send(line.encode("latin-1") + b"\n")
    reply = client.reply()
    assert code_of(reply) == (code, id)
    assert reply["error"]["message"]
    assert client.get_health()["status"], "the connection goes on"


@pytest.mark.parametrize("id", ["1", '"a b"', "null", "-3", "1.5", "18446744073709551616", '"\\u00e9\\n"'])
def test_the_id_comes_back_as_it_was(client, id):
    reply = exchange(client, CALL % id)
    assert reply["id"] == json.loads(id) and reply["result"]["name"] == "p"


def test_parameters_by_position(client):
    reply = exchange(client, '{"jsonrpc":"2.0","id":1,"method":"update_profile_status",'
                             '"params":["p",true]}')
    assert reply["result"]["state"]["isActive"] is True


def test_notifications_get_no_reply_but_are_done(client):
    client.send('{"jsonrpc":"2.0","method":"update_profile_status",'
                '"params":{"name":"p","isActive":true}}\n'
                '{"jsonrpc":"2.0","method":"no_such_method"}\n'
                '{"jsonrpc":"2.0","method":"get_profile_state","params":{"bad":1}}\n')
    assert client.state("p")["isActive"] is True


def test_a_batch_of_the_specification(client):
    replies = exchange(client, "[" + ",".join([
        CALL % '"1"',
        '{"jsonrpc":"2.0","method":"get_health"}',
        '{"jsonrpc":"2.0","method":"foo.get","params":{"name":"myself"},"id":"5"}',
        '{"foo":"boo"}',
        CALL % '"9"',
    ]) + "]")
    assert [r["id"] for r in replies] == ["1", "5", None, "9"]
    assert replies[1]["error"]["code"] == -32601
    assert replies[2]["error"]["code"] == -32600


def test_a_batch_of_nonsense_and_one_of_notifications(client):
    assert [code_of(r) for r in exchange(client, "[1,2,3]")] == [(-32600, None)] * 3
    client.send('[{"jsonrpc":"2.0","method":"get_health"},{"jsonrpc":"2.0","method":"x"}]\n')
    assert client.get_health(), "a batch of notifications has no reply"


def test_a_batch_is_bounded(client):
    assert code_of(exchange(client, "[" + ",".join(["1"] * 1001) + "]")) == (-32600, None)
    assert len(exchange(client, "[" + ",".join(["1"] * 1000) + "]")) == 1000


def test_lines_may_come_in_halves_with_crlf_and_empty_lines_between(client):
    for byte in (CALL % 1 + "\r\n").encode():
        client.send(bytes([byte]))
    assert client.reply()["id"] == 1
    client.send("\n\r\n" + CALL % 2 + "\r\n" + CALL % 3 + "\n")
    assert [client.reply()["id"], client.reply()["id"]] == [2, 3]


def test_thousands_of_pipelined_calls_are_answered_in_order(client):
    count = 5000
    client.send("".join(CALL % i + "\n" for i in range(count)))
    assert [client.reply()["id"] for _ in range(count)] == list(range(count))


def test_reads_and_writes_of_one_connection_keep_their_order(client):
    for i in range(200):
        client.send_call("assign_task_to_profile", profileName="p", task={"title": str(i)})
        client.send_call("get_profile_state", name="p")
    for i in range(200):
        assert client.reply()["result"]["task"]["title"] == str(i)
        assert client.reply()["result"]["queueSize"] == i + 1


def test_hundreds_of_connections(daemon):
    clients = [daemon.client() for _ in range(500)]
    for i, client in enumerate(clients):
        client.send(CALL % i + "\n")
    for i, client in enumerate(clients):
        assert client.reply()["id"] == i
        client.close()


def test_at_the_limit_of_connections_newcomers_wait(make_daemon):
    daemon = make_daemon(profile(), connectionLimit=5)
    clients = [daemon.client() for _ in range(5)]
    for client in clients:
        assert client.get_health()
    late = daemon.client()
    late.send(CALL % 1 + "\n")
    late.socket.settimeout(0.2)
    with pytest.raises(socket.timeout):
        late.line()
    cpu = cpu_seconds(daemon)
    assert clients[0].get_health() and cpu_seconds(daemon) - cpu < 0.5, "it must not spin"
    clients[0].close()
    late.socket.settimeout(60)
    assert late.reply()["id"] == 1
    for client in clients[1:] + [late]:
        client.close()


def cpu_seconds(daemon):
    fields = open(f"/proc/{daemon.process.pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_a_line_over_the_limit_is_refused_and_the_connection_closed(make_daemon):
    daemon = make_daemon(profile(), lineLimit=2000)
    with daemon.client() as client:
        client.send(CALL % 1 + " " * (2000 - len(CALL % 1)) + "\n")
        assert client.reply()["id"] == 1, "a line of just the limit is fine"
        client.send(CALL % 2 + "\n" + "x" * 2001)
        assert client.reply()["id"] == 2
        reply = client.reply()
        assert code_of(reply) == (-32600, None) and "2000 bytes" in reply["error"]["message"]
        assert client.line() is None
    with daemon.client() as client:
        client.send("x" * 5000 + "\n" + CALL % 1 + "\n")
        assert code_of(client.reply()) == (-32600, None)
        assert client.line() is None


def test_a_line_of_four_mebibytes_passes(make_daemon):
    daemon = make_daemon(profile(), inputLimit=4194304)
    with daemon.client() as client:
        client.update_profile_status(name="p", isActive=False)
        line = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "assign_task_to_profile", "params": {
            "name": "p", "task": {"title": "big", "input": "x" * 4193000}}})
        assert 4190000 < len(line) <= 4194304
        assert exchange(client, line)["result"]["success"] is True


def test_a_half_closed_connection_gets_every_reply(daemon):
    with daemon.client() as client:
        client.send("".join(CALL % i + "\n" for i in range(1000)) + CALL % 1000)
        client.socket.shutdown(socket.SHUT_WR)
        assert [client.reply()["id"] for _ in range(1001)] == list(range(1001))
        assert client.line() is None


def test_socat_is_a_client(daemon):
    run = subprocess.run(["socat", "-t5", "-", f"UNIX-CONNECT:{daemon.socket}"],
                         input=CALL % 1 + "\n" + CALL % 2, capture_output=True, text=True, timeout=60)
    replies = [json.loads(line) for line in run.stdout.splitlines()]
    assert [reply["id"] for reply in replies] == [1, 2]
    for reply in replies:
        acpd.schemas.check_message(reply, json.loads(CALL % 1)["method"])


@pytest.mark.parametrize("method, limit", [("rpc.discover", 1 << 20), ("subscribe", 4 << 20)])
def test_a_client_that_never_reads_costs_bounded_memory_and_no_one_else(make_daemon, monkeypatch, method, limit):
    monkeypatch.setenv("ASAN_OPTIONS", "quarantine_size_mb=1")  # freed memory counts as free
    daemon = make_daemon(profile(), outputLimit=limit)
    # Sends requests until the daemon stops reading from this connection.
    with daemon.client() as deaf, daemon.client() as other:
        deaf.socket.settimeout(1)
        before = resident_bytes(daemon.process.pid)
        line = (json.dumps({"jsonrpc": "2.0", "id": 1, "method": method}) + "\n").encode() * 100
        sent = 0
        with pytest.raises(socket.timeout):
            while sent < 1 << 30:
                deaf.socket.sendall(line)
                sent += len(line)
        assert resident_bytes(daemon.process.pid) - before < 64 << 20
        assert other.get_health()
        # Once the client reads, it gets its replies.
        deaf.socket.settimeout(60)
        for _ in range(100):
            assert deaf.reply()["id"] == 1


def test_a_client_that_vanishes_in_mid_line_or_before_its_reply_harms_no_one(daemon):
    for data in ["{", CALL % 1 + "\n" + CALL % 2, (CALL % 1 + "\n") * 1000]:
        for _ in range(20):
            with daemon.client() as client:
                client.send(data)
    with daemon.client() as client:
        assert client.get_health()
    wait_until(lambda: open_files(daemon.process.pid) < 40, "descriptors are given back")


def test_discover_lists_every_method_and_each_refuses_what_it_does_not_know(client):
    """tests/rpc/test_shapes.py compares the list with docs/protocol.md."""
    document = client.call("rpc.discover")
    assert document["openrpc"] == "1.2.6"
    methods = {m["name"]: m for m in document["methods"]}
    for name, method in methods.items():
        with pytest.raises(RpcError) as unknown:
            client.call(name, surprise=1)
        assert unknown.value.code == -32602
        assert unknown.value.data == {"field": "surprise", "reason": "is not a known parameter"}
        assert method["summary"]
        for param in method["params"]:
            assert param["schema"]["description"]
            if not param["required"]:
                continue
            with pytest.raises(RpcError) as missing:
                client.call(name)
            assert missing.value.code == -32602
            assert missing.value.data["field"] == method["params"][0]["name"]


@pytest.mark.parametrize("params, field", [
    ({"profileName": 5, "task": {"title": "t"}}, "profileName"),
    ({"profileName": "p", "name": "q", "task": {"title": "t"}}, "profileName"),
    ({"profileName": "p", "task": 5}, "task"),
    ({"profileName": "p", "task": {}}, "task.title"),
    ({"profileName": "p", "task": {"title": ""}}, "task.title"),
    ({"profileName": "p", "task": {"title": "a\0b"}}, "task.title"),
    ({"profileName": "p", "task": {"title": "x" * 1025}}, "task.title"),
    ({"profileName": "p", "task": {"title": "t", "description": "x" * 262145}}, "task.description"),
    ({"profileName": "p", "task": {"title": "t", "input": "x" * 1048576}}, "task.input"),
    ({"profileName": "p", "task": {"title": "t", "priority": "urgent"}}, "task.priority"),
    ({"profileName": "p", "task": {"title": "t", "type": "Not A Word"}}, "task.type"),
    ({"profileName": "p", "task": {"title": "t", "capabilities": "x"}}, "task.capabilities"),
    ({"profileName": "p", "task": {"title": "t", "capabilities": ["a", 1]}}, "task.capabilities[1]"),
    ({"profileName": "p", "task": {"title": "t", "runAt": "tomorrow"}}, "task.runAt"),
    ({"profileName": "p", "task": {"title": "t", "timeout": 0}}, "task.timeout"),
    ({"profileName": "p", "task": {"title": "t", "timeout": "5"}}, "task.timeout"),
    ({"profileName": "p", "task": {"title": "t", "maxAttempts": 1.5}}, "task.maxAttempts"),
    ({"profileName": "p", "task": {"title": "t", "maxAttempts": 0}}, "task.maxAttempts"),
    ({"profileName": "p", "task": {"title": "t", "key": "k" * 257}}, "task.key"),
    ({"profileName": "p", "task": {"title": "t", "colour": "red"}}, "task.colour"),
])
def test_a_bad_parameter_is_named_with_its_limit(client, params, field):
    with pytest.raises(RpcError) as error:
        client.call("assign_task_to_profile", **params)
    assert error.value.code == -32602
    assert error.value.data["field"] == field
    assert error.value.data["reason"] in error.value.message
    assert client.state("p")["queueSize"] == 0


def test_null_is_as_good_as_left_out(client):
    task = client.assign("p", description=None, input=None, key=None, runAt=None, priority=None)
    assert task["priority"] == "medium" and task["status"] == "queued"


def test_text_comes_back_as_it_was_sent(client):
    title = 'q"uo\\te\n\t\u0001 é 漢 😀'
    given = {"a": [1, -2, 2.5, 1e-7, True, None, "x\u0000y", {}], "ключ": "значение", "/": "</script>"}
    task = client.assign("p", title=title, description=title, input=given)
    again = client.task(task["id"])
    assert again["title"] == title and again["description"] == title and again["input"] == given


def test_a_client_that_always_leaves_something_unread_costs_bounded_memory(make_daemon, monkeypatch):
    monkeypatch.setenv("ASAN_OPTIONS", "quarantine_size_mb=1")  # freed memory counts as free
    daemon = make_daemon(profile("p"))
    with daemon.client() as client:
        client.update_profile_status(name="p", isActive=False)
        id = client.assign("p", input="y" * 900000)["id"]
        request = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "get_task", "params": {"id": id}})
        client.send((request + "\n") * 10)
        before, left = resident_bytes(daemon.process.pid), 10
        for _ in range(400):
            while left < 10:
                client.send(request + "\n")
                left += 1
            assert client.line()
            left -= 1
        assert resident_bytes(daemon.process.pid) - before < 100 << 20


def test_one_batch_costs_bounded_memory(daemon):
    with daemon.client() as client:
        for _ in range(4):
            client.assign("p", input="y" * 1000000)
        client.send(json.dumps([{"jsonrpc": "2.0", "id": i, "method": "list_tasks"}
                                for i in range(200)]) + "\n")
        replies = client.reply()
        assert [reply["id"] for reply in replies] == list(range(200))
        assert len(replies[0]["result"]["tasks"]) == 4
        assert replies[-1]["error"]["code"] == -32004 and "8388608" in replies[-1]["error"]["message"]


def test_a_raised_output_limit_lets_a_held_client_go_on(make_daemon):
    daemon = make_daemon(profile("p"), outputLimit=1024)
    with daemon.client() as held, daemon.client() as other:
        other.update_profile_status(name="p", isActive=False)
        id = other.assign("p", input="y" * 300000)["id"]
        for _ in range(20):
            held.send_call("get_task", id=id)
        other.get_health()
        daemon.configure(profile("p"), outputLimit=8 << 20)
        other.reload_config()
        assert all(held.reply()["result"]["id"] == id for _ in range(20))


def test_a_raised_limit_of_connections_lets_waiting_ones_in(make_daemon):
    daemon = make_daemon(profile("p"), connectionLimit=2)
    with daemon.client() as one, daemon.client() as two:
        one.get_health(), two.get_health()
        with daemon.client() as waiting:
            waiting.send_call("get_health")
            daemon.configure(profile("p"), connectionLimit=100)
            one.reload_config()
            assert waiting.reply()["result"]["status"] == "healthy"


@pytest.mark.parametrize("method, params, field, reason", [
    ("assign_task_to_profile", {"name": "p", "task": {"title": "t", "key": ""}}, "task.key",
     "must not be empty"),
    ("get_task", {"id": 0}, "id", "must be an integer from 1 to 9007199254740991"),
    ("list_tasks", {"limit": "5"}, "limit", "must be an integer from 1 to 1000"),
    ("assign_task_to_profile", {"name": "p", "task": {"title": "t", "dependsOn": [0]}}, "task.dependsOn[0]",
     "must be an integer from 1 to 9007199254740991"),
    ("get_task_log", {"id": 1, "after": 5}, "after", "must be `next` of an earlier page of this log"),
])
def test_a_refusal_names_the_field_and_the_limit(make_daemon, method, params, field, reason):
    daemon = make_daemon(shell("echo something long enough", "p"))
    with daemon.client() as client:
        client.finish(client.assign("p")["id"])
        with pytest.raises(RpcError) as error:
            client.call(method, **params)
        assert error.value.code == -32602
        assert error.value.data == {"field": field, "reason": reason}


GREATEST = 2**53 - 1  # the greatest integer that every JSON parser represents exactly
EXAMPLES = {"name": "p", "lease": "1-1", "error": {"message": "m"}}


def test_the_greatest_id_is_taken_and_one_more_is_refused_by_its_name(daemon, client):
    tried = set()
    for method in client.call("rpc.discover")["methods"]:
        params = {p["name"]: p["schema"] for p in method["params"]}
        given = {p["name"]: EXAMPLES.get(p["name"], 1) for p in method["params"] if p["required"]}
        for name in [name for name, schema in params.items() if schema.get("maximum") == GREATEST]:
            def refusal(value):
                with daemon.client() as own:  # a subscriber gets more than replies
                    try:
                        own.call(method["name"], **{**given, name: value})
                    except RpcError as error:
                        return error.code, error.data
                    return None, None

            tried.add((method["name"], name))
            code, data = refusal(GREATEST)
            if (method["name"], name) == ("get_task_log", "after"):
                continue  # there is no log to continue
            assert code in (None, -32001, -32002), "there is none; but there might be"
            for value in (GREATEST + 1, 2**63 - 1, -1):
                code, data = refusal(value)
                assert (code, data["field"]) == (-32602, name), (method["name"], value)
                assert data["reason"].endswith(f"to {GREATEST}")
    assert {method for method, name in tried if name == "id"} == {
        "get_task", "update_task", "cancel_task", "retry_task", "get_task_log", "extend_lease", "complete_task",
        "fail_task"}
    assert {("list_tasks", "before"), ("get_profile_task_queue", "after"), ("subscribe", "after")} <= tried


def test_what_may_be_empty_is_known_from_the_document(client):
    """`minLength` is declared exactly where an empty string is rejected."""
    examples = {"string": "x", "integer": 1, "boolean": True, "array": ["p"], "task": {"title": "t"},
                "error": {"message": "m"}}
    may_be_empty, tried = set(), 0
    for method in client.call("rpc.discover")["methods"]:
        given = {p["name"]: examples.get(p["name"]) or examples[p["schema"]["type"]]
                 for p in method["params"] if p["required"]}

        def check(path, schema, params):
            nonlocal tried
            if schema.get("type") != "string" or {"pattern", "format"} & set(schema):
                return
            tried += 1
            error = None
            try:
                client.call(method["name"], **params)
            except RpcError as refusal:
                error = refusal
            if schema.get("minLength") == 1:
                assert error.data == {"field": path, "reason": "must not be empty"}, (method["name"], path)
            else:
                assert "minLength" not in schema and (error is None or error.code != -32602), error
                may_be_empty.add((method["name"], path))

        for param in method["params"]:
            name, schema = param["name"], param["schema"]
            check(name, schema, {**given, name: ""})
            for inner, part in schema.get("properties", {}).items():
                check(f"{name}.{inner}", part, {**given, name: {**given.get(name, {}), inner: ""}})
                more = part.get("additionalProperties")
                if more:
                    check(f"{name}.{inner}.a", more, {**given, name: {**given.get(name, {}), inner: {"a": ""}}})
    assert tried > 30
    assert may_be_empty == {
        ("get_best_profile_for_task", "task.title"), ("get_best_profile_for_task", "task.description"),
        ("assign_task_to_profile", "task.description"), ("submit_task", "task.description"),
        ("fail_task", "error.message")}


def test_keys_are_not_cut_short(client):
    client.send('{"jsonrpc":"2.0","id":1,"method":"assign_task_to_profile","params":{"name":"p",'
                '"task":{"title":"t","input":{"a\\u0000b":1}}}}\n')
    error = client.reply()["error"]
    assert error["code"] == -32700 and "U+0000" in error["message"]


def test_null_by_position_says_nothing(client):
    at = "2099-01-01T00:00:00.000Z"
    id = client.assign("p", runAt=at)["id"]
    client.send(f'{{"jsonrpc":"2.0","id":1,"method":"update_task","params":[{id},"high",null]}}\n')
    task = client.reply()["result"]
    assert task["priority"] == "high" and task["runAt"] == at


def test_a_claim_that_does_not_wait_is_answered_before_what_follows_it(make_daemon):
    """Although its turn comes after that of another's claim, when the requests of its pass have been handled."""
    daemon = make_daemon({"name": "w", "runner": {"type": "worker"}})
    with daemon.client() as waiter, daemon.client() as client:
        waiter.send_call("claim_task", profiles=["w"], worker="x", wait=60)
        waiter.get_health()  # it has been heard
        calls = [("assign_task_to_profile", {"name": "w", "task": {"title": "t"}}),
                 ("claim_task", {"profiles": ["w"], "worker": "y"}), ("get_health", {})] * 5
        client.send("".join(json.dumps({"jsonrpc": "2.0", "id": id, "method": method, "params": params}) + "\n"
                            for id, (method, params) in enumerate(calls)))
        assert [client.reply()["id"] for _ in calls] == list(range(len(calls)))
