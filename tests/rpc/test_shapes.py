# SPDX-License-Identifier: MIT
"""The shapes of results match their declarations and the documentation."""

import json
import re

import pytest

import acpd
from pages import ROOT


def test_the_documents_of_the_build_are_what_the_daemon_says(make_daemon, make_gateway):
    """So the replies in all tests can be compared with them."""
    daemon = make_daemon()
    with daemon.client() as client:
        assert client.call("rpc.discover") == acpd.schemas.openrpc
    assert make_gateway(daemon).get("/api/openapi.json").json == acpd.schemas.openapi


def test_every_result_and_every_member_is_declared():
    schemas = acpd.schemas.openrpc["components"]["schemas"]
    for method in acpd.schemas.openrpc["methods"]:
        assert method["result"]["schema"], method["name"]
    for name, schema in schemas.items():
        assert schema["description"].endswith("."), name
        for member, part in schema.get("properties", {}).items():
            assert set(part) - {"description"} or member in ("input", "result"), f"{name}.{member}"


@pytest.mark.parametrize("change, complaint", [
    ({"surprise": 1}, "surprise"),
    ({"health": "splendid"}, "health"),
    ({"health": None}, "health"),
    ({"currentTasks": "1"}, "currentTasks"),
    ({"lastActivity": "yesterday"}, "lastActivity"),
    ({"oldestQueuedAge": ...}, "oldestQueuedAge"),
])
def test_a_reply_that_is_not_as_declared_is_noticed(client, change, complaint):
    state = client.state("p")
    changed = {key: value for key, value in {**state, **change}.items() if value is not ...}
    acpd.schemas.check_message({"id": 1, "result": state}, "get_profile_state")
    for method, result in (("get_profile_state", changed), ("get_profile_states", [state, changed])):
        with pytest.raises(AssertionError, match=complaint):
            acpd.schemas.check_message({"id": 1, "result": result}, method)
    with pytest.raises(AssertionError, match=complaint):
        acpd.schemas.check_answer("GET", "/api/profiles/p/state", 200, "application/json", json.dumps(changed))


# --- docs/protocol.md -----------------------------------------------------------------------------


PROTOCOL = (ROOT / "docs/protocol.md").read_text()
HEADINGS = set(re.findall("^#+ ([A-Za-z]+)$", PROTOCOL, re.M))


INLINE = 6  # maximum members of a shape without a table of its own


def words_of(schema):
    """A type as text."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        if name in HEADINGS:
            return f"[{name}](#{name.lower()})"
        schema = acpd.schemas.openrpc["components"]["schemas"][name]
        return words_of(schema) if len(schema.get("properties", [])) <= INLINE else f"`{name}`"
    if "anyOf" in schema:
        return " or ".join(map(words_of, schema["anyOf"]))
    if "enum" in schema:
        return ", ".join("null" if value is None else f"`{value}`" for value in schema["enum"])
    if "const" in schema:
        return f"`{json.dumps(schema['const'])}`"
    if "type" not in schema:
        return "any JSON"
    type = schema["type"]
    null = " or null" if isinstance(type, list) else ""
    type = type[0] if isinstance(type, list) else type
    if type == "array":
        items = words_of(schema["items"])
        return f"array of {f'({items})' if ' or null' in items else items}{null}"
    if "properties" in schema:
        return f"{{{members_of(schema)}}}{null}"
    if isinstance(schema.get("additionalProperties"), dict):
        return f"object of {words_of(schema['additionalProperties'])}{null}"
    return {"date-time": "time"}.get(schema.get("format"), type) + null


def members_of(schema):
    required = schema.get("required", [])
    return ", ".join(f"`{name}`" if name in required else f"`{name}?`" for name in schema["properties"])


def row(*cells):
    return "| " + " | ".join(cells).replace("|  |", "| |") + " |"


def row_of(name, part, is_required):
    return row(f"`{name}{'' if is_required else '?'}`", words_of(part), part["description"])


def tables_after(heading):
    """The rows of each table between the heading of this name and the next heading."""
    section = re.split("^#+ ", PROTOCOL.split(f" {heading}\n", 1)[1], 1, re.M)[0]
    return [rows.splitlines() for rows in re.findall(r"^\|---.*\n((?:\|.*\n)*)", section, re.M)]


DESCRIBED = [name for name, schema in acpd.schemas.openrpc["components"]["schemas"].items()
             if name in HEADINGS and "properties" in schema]


@pytest.mark.parametrize("name", DESCRIBED)
def test_the_table_of_a_shape_is_what_is_declared(name):
    schema = acpd.schemas.openrpc["components"]["schemas"][name]
    rows = [row_of(member, part, member in schema["required"]) for member, part in schema["properties"].items()]
    assert "\n".join(tables_after(name)[0]) == "\n".join(rows)


def test_the_shapes_that_people_read_have_a_table():
    assert {"Task", "Pending", "Profile", "ProfileState", "ProfileMetrics", "MetricsHistory", "MetricsBucket",
            "Capacity", "Anomaly", "Health", "Node", "Permission", "LogEntry", "Candidate"} <= set(DESCRIBED)


def method_rows():
    for method in acpd.schemas.openrpc["methods"]:
        params = ", ".join(param["name"] + ("" if param["required"] else "?") for param in method["params"])
        yield row(f"`{method['name']}`", params and f"`{params}`", words_of(method["result"]["schema"]))


def test_the_tables_of_methods_are_what_is_declared():
    section = PROTOCOL.split("## Methods\n")[1].split("\n## ")[0]
    methods = "|".join(re.escape(method["name"]) for method in acpd.schemas.openrpc["methods"])
    assert sorted(re.findall(rf"^\| `(?:{methods})` \|.*$", section, re.M)) == sorted(method_rows())


def event_rows():
    schemas = acpd.schemas.openrpc["components"]["schemas"]
    for choice in schemas["Event"]["oneOf"]:
        event = schemas[choice["$ref"].rpartition("/")[2]]
        type, = event["properties"]["type"]["enum"]
        own = {name: part for name, part in event["properties"].items()
               if name not in ("seq", "type", "at", "profile")}
        yield row(f"`{type}`", members_of({**event, "properties": own}), event["description"])


def test_the_table_of_events_is_what_is_declared():
    assert tables_after("Events")[1] == list(event_rows())


def test_the_tables_of_names_have_each_of_them():
    schemas = acpd.schemas.openrpc["components"]["schemas"]

    def names(heading, column=1):
        return [name for row in tables_after(heading)[0] for name in re.findall("`([a-z_]+)`", row.split("|")[column])]

    assert sorted(names("Reasons to wait")) == sorted(schemas["PendingReason"]["enum"])
    assert sorted(names("Error classes")) == sorted(schemas["ErrorClass"]["enum"])
    assert names("Routing") == list(schemas["RoutingTerms"]["properties"])
    for status in schemas["TaskStatus"]["enum"]:
        assert status in PROTOCOL.split("### Status")[1].split("\n### ")[0], status


def test_the_table_of_errors_has_each_code():
    codes = re.findall(r"^ +RPC_\w+ = (-\d+)", (ROOT / "common/json.h").read_text(), re.M)
    rows = [row.split("|")[1].strip() for row in tables_after("Errors")[0]]
    assert len(codes) > 5 and sorted(rows) == sorted(set(codes) - {"-32603"}), "nothing returns -32603"


def test_the_classes_that_a_worker_may_report_are_listed():
    method, = [m for m in acpd.schemas.openrpc["methods"] if m["name"] == "fail_task"]
    error, = [param["schema"] for param in method["params"] if param["name"] == "error"]
    listed = PROTOCOL.split("`error` is `{class?, message}`")[1].split(";")[0]
    assert re.findall("`([a-z_]+)`", listed) == error["properties"]["class"]["enum"]


def test_what_a_task_is_sent_with_is_what_the_parameters_are():
    method, = [m for m in acpd.schemas.openrpc["methods"] if m["name"] == "assign_task_to_profile"]
    task, = [param["schema"] for param in method["params"] if param["name"] == "task"]
    rows = tables_after("A new task")[0]
    assert sorted(name for row in rows for name in re.findall("`([a-zA-Z]+)`", row.split("|")[1])) == \
        sorted(task["properties"])
