# SPDX-License-Identifier: MIT
"""What the OpenRPC document says of parameters is what acpd accepts and refuses. test_protocol.py has what may be
empty."""

import pytest

from acpd import RpcError

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
        return [low, high], [low - 1, high + 1, "1"] + [low + 0.5] * (kind == "integer")
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
