# SPDX-License-Identifier: MIT
"""What the OpenRPC document says of parameters is what acpd accepts and refuses. test_protocol.py has what may be
empty."""

import pytest

from acpd import RpcError, profile, resident_bytes

GIVEN = {"string": "x", "integer": 1, "boolean": True, "array": ["p"], "task": {"title": "t"},
         "error": {"message": "m"}}
UNBOUNDED = {"fail_task error.message", "get_best_profile_for_task task.input", "assign_task_to_profile task.input",
             "submit_task task.input", "complete_task result"}


def examples(schema):
    """Some values that the schema just admits, and some that it just does not; None if it has no bounds."""
    kind = schema.get("type")
    if "enum" in schema:
        return schema["enum"], ["x", 1]
    if kind == "boolean":
        return [True, False], ["true", 1]
    if "pattern" in schema:
        return ["a" + "-" * 63], ["a" + "-" * 64, "-", "A", "", 1]
    if "format" in schema:
        return ["2100-01-01T00:00:00Z"] + [None] * ("null" in kind), ["tomorrow", 1]
    if kind == "string" and "maxLength" in schema:
        return ["x" * schema["maxLength"]], ["x" * (schema["maxLength"] + 1), 1]
    if kind in ("integer", "number") and {"minimum", "maximum"} <= set(schema):
        low, high = schema["minimum"], schema["maximum"]
        return [low, high], [low - 1, high + 1, 2**64, -2**64, "1"] + [low + 0.5] * (kind == "integer")
    if kind == "array":
        good, bad = examples({"maximum": 2**53 - 1, **schema["items"]})
        items = ([f"w{i}" for i in range(schema["maxItems"] + 1)] if "pattern" in schema["items"]
                 else list(range(1, schema["maxItems"] + 2)))
        return [good[:1], items[:-1]], [items, "x"] + [[value] for value in bad]
    if kind == "object" and "maxProperties" in schema:
        good, bad = examples(schema["additionalProperties"])
        items = {f"w{i}": good[0] for i in range(schema["maxProperties"] + 1)}
        return [{"w": good[0]}, dict(list(items.items())[:-1])], [items, "x"] + [{"w": value} for value in bad]
    if kind == "object":
        assert schema["additionalProperties"] is False
        return [], ["x", {"surprise": 1}]
    return None


def parameters(document):
    """Each (method, path, schema, function that makes parameters of a value)."""
    for method in document["methods"]:
        given = {p["name"]: GIVEN.get(p["name"]) or GIVEN[p["schema"]["type"]]
                 for p in method["params"] if p["required"]}
        for param in method["params"]:
            name = param["name"]
            yield method["name"], name, param["schema"], lambda value, name=name, given=given: {**given, name: value}
            for inner, part in param["schema"].get("properties", {}).items():
                yield (method["name"], f"{name}.{inner}", part, lambda value, name=name, inner=inner, given=given:
                       {**given, name: {**given.get(name, {}), inner: value}})


def refused_field(daemon, method, params):
    with daemon.client() as client:  # a subscriber gets more than replies
        try:
            client.call(method, **params)
        except RpcError as error:
            return error.data["field"] if error.code == -32602 else None


def test_the_document_says_what_is_accepted_and_what_is_refused(daemon, client):
    unbounded = set()
    for method, path, schema, params in parameters(client.call("rpc.discover")):
        found = examples(schema)
        if not found:
            unbounded.add(f"{method} {path}")
            continue
        good, bad = found
        for value in good:
            field = refused_field(daemon, method, params(value))
            assert field is None or not field.startswith(path), (method, path, value)
        for value in bad:
            field = refused_field(daemon, method, params(value))
            assert field and field.startswith(path), (method, path, value)
    assert unbounded == UNBOUNDED


@pytest.mark.parametrize("params", [
    '{"profileName":"p","name":null}', '{"name":null,"profileName":"p"}', '{"profileName":"p","name":7,"name":null}',
    '{"name":"q","name":"p"}', '{"name":7,"name":"p"}', '{"profileName":"q","name":"p","profileName":null}',
    '{"profileName":"p","name":"p"}', '["p"]'])
@pytest.mark.parametrize("method", ["get_profile_state", "get_profile_metrics", "get_profile_task_queue"])
def test_a_handler_sees_what_was_checked(make_daemon, method, params):
    """Of members with the same name the last one counts, null is as good as nothing, and an alias is the name."""
    daemon = make_daemon(profile("p"), profile("q"))
    with daemon.client() as client:
        client.update_profile_status(name="p", isActive=False)
        client.assign("p", "of p")
        client.send(f'{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{params}}}\n')
        result = client.reply()["result"]
        if method == "get_profile_state":
            assert result["name"] == "p"
        if method == "get_profile_task_queue":
            assert [task["title"] for task in result] == ["of p"]
        assert client.state("q")["name"] == "q", "it is alive"


@pytest.mark.parametrize("params, message", [
    ('{"profileName":"q","name":"p"}', "name contradicts"), ('{"name":"p","name":7}', "name must be a string"),
    ('{"profileName":null,"name":null}', "name is required"), ('{"name":"p","surprise":null}', "surprise is not"),
    ('["p","1h",null,null,null,null]', "more elements")])
def test_what_cannot_be_chosen_is_refused(make_daemon, params, message):
    daemon = make_daemon(profile("p"), profile("q"))
    with daemon.client() as client:
        client.send(f'{{"jsonrpc":"2.0","id":1,"method":"get_profile_metrics","params":{params}}}\n')
        assert message in client.reply()["error"]["message"]


def test_the_audit_log_has_what_was_checked(make_daemon):
    daemon = make_daemon(profile("p"))
    with daemon.client() as client:
        client.send('{"jsonrpc":"2.0","id":1,"method":"update_profile_status",'
                    '"params":{"isActive":{"surprise":1},"profileName":"p","name":null,"isActive":false}}\n')
        assert client.reply()["result"]["success"]
    line = (daemon.state / "audit.log").read_text().splitlines()[-1]
    assert line.count("isActive") == 1 and '"params":{"name":"p","isActive":false}' in line


def test_a_claim_that_waits_keeps_its_parameters_only(make_daemon, monkeypatch):
    """Whatever else its request contains."""
    monkeypatch.setenv("ASAN_OPTIONS", "quarantine_size_mb=1")  # freed memory counts as free
    daemon = make_daemon({"name": "w", "runner": {"type": "worker"}})
    junk = "[" + "0," * 400_000 + "0]"
    twins = '"wait":1,' * 40_000
    with daemon.client() as client:
        client.send('{"jsonrpc":"2.0","id":"first","method":"claim_task",'
                    '"params":{"profiles":["w"],"worker":"w","wait":60}}\n')
        client.get_health()
        before = resident_bytes(daemon.process.pid)
        for i in range(60):
            client.send(f'{{"jsonrpc":"2.0","id":{i},"method":"claim_task","junk":{junk},'
                        f'"params":{{"profiles":["w"],{twins}"worker":"w","wait":60}}}}\n')
        client.get_health()
        with daemon.client() as other:
            grown = resident_bytes(daemon.process.pid) - before
            assert grown < 150 << 20, f"{grown >> 20} MiB"  # 60 times 29 MiB if all was kept
            for i in range(61):
                other.assign("w", f"t{i}")
        assert client.reply()["result"]["task"]["title"] == "t0"
