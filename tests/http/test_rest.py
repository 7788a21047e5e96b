# SPDX-License-Identifier: MIT
"""REST: the socket's methods over HTTP."""

import json
import re
import urllib.parse

import pytest

from acpd import profile
from middle import Middle

# Members that may differ between two consecutive calls.
VOLATILE = {"lastSeen", "oldestQueuedAge", "loop", "storage", "eta", "arrivalRate", "utilization",
            "predictedWait"}


def settled(value):
    if isinstance(value, dict):
        return {k: settled(v) for k, v in value.items() if k not in VOLATILE}
    return [settled(v) for v in value] if isinstance(value, list) else value


READS = [
    ("/api/profiles/with-states", "get_profiles_with_states", {}),
    ("/api/profiles/with-states?range=24h", "get_profiles_with_states", {"range": "24h"}),
    ("/api/profiles/states", "get_profile_states", {}),
    ("/api/profiles/metrics", "get_all_profile_metrics", {}),
    ("/api/profiles/metrics?range=7d", "get_all_profile_metrics", {"range": "7d"}),
    ("/api/profiles/p/state", "get_profile_state", {"name": "p"}),
    ("/api/profiles/%70/state", "get_profile_state", {"name": "p"}),
    ("/api/profiles/done/metrics", "get_profile_metrics", {"name": "done"}),
    ("/api/profiles/done/metrics?range=24h", "get_profile_metrics",
     {"name": "done", "range": "24h"}),
    ("/api/profiles/p/queue", "get_profile_task_queue", {"name": "p"}),
    ("/api/profiles/p/queue?limit=2", "get_profile_task_queue", {"name": "p", "limit": 2}),
    ("/api/profiles/p/queue?limit=2&after=5", "get_profile_task_queue",
     {"name": "p", "limit": 2, "after": 5}),
    ("/api/tasks", "list_tasks", {}),
    ("/api/tasks?limit=3", "list_tasks", {"limit": 3}),
    ("/api/tasks?profile=p&status=queued&limit=2&before=7", "list_tasks",
     {"profile": "p", "status": "queued", "limit": 2, "before": 7}),
    ("/api/tasks?&limit=%33&", "list_tasks", {"limit": 3}),
    ("/api/tasks/1", "get_task", {"id": 1}),
    ("/api/tasks/%31", "get_task", {"id": 1}),
    ("/api/tasks/1/log", "get_task_log", {"id": 1}),
    ("/api/tasks/1/log?attempt=1&after=0", "get_task_log", {"id": 1, "attempt": 1, "after": 0}),
    ("/api/metrics/history?range=24h", "get_metrics_history", {"range": "24h"}),
    ("/api/metrics/history?range=7d&name=done", "get_metrics_history",
     {"range": "7d", "name": "done"}),
    ("/api/capacity", "get_capacity", {}),
    ("/api/capacity?name=done&targetWait=1.5&range=7d", "get_capacity",
     {"name": "done", "targetWait": 1.5, "range": "7d"}),
    ("/api/permissions", "list_permissions", {}),
    ("/api/health", "get_health", {}),
]


def test_every_read_answers_what_the_socket_says(world, make_gateway):
    gateway = make_gateway(world)
    with world.client() as client:
        for path, method, params in READS:
            answer = gateway.get(path)
            assert answer.status == 200, (path, answer)
            assert answer.headers["cache-control"] == "no-store"
            assert settled(answer.json) == settled(client.call(method, **params)), path
        # Byte for byte if nothing changes.
        client.send_call("get_task", id=1)
        assert gateway.get("/api/tasks/1").body in client.line()


def test_a_log_read_from_any_place_is_json(world, make_gateway):
    gateway = make_gateway(world)
    whole = gateway.get("/api/tasks/1/log").json
    assert [entry["text"] for entry in whole["entries"]] == ["hello", "there"]
    for after in range(whole["next"] + 3):
        answer = gateway.get(f"/api/tasks/1/log?after={after}")
        if answer.status == 400:
            assert answer.error(400, -32602)["data"]["field"] == "after", "there is no entry there"
        else:
            assert all(entry in whole["entries"] for entry in answer.json["entries"]), after


def test_the_figures_are_text_as_prometheus_reads_it(world, make_gateway):
    answer = make_gateway(world).get("/metrics")
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    text = answer.body.decode()
    assert text.endswith("\n")
    assert re.search(r'^acpd_\w+\{[^}]*profile="p"', text, re.M), text
    for line in text.splitlines():
        assert re.fullmatch(r'#.*|[a-z_:]+(\{.*\})? [-+0-9.eInfNa]+', line), line


def test_every_write_does_what_the_socket_does(world, make_gateway):
    gateway = make_gateway(world)
    with world.client() as client:
        answer = gateway.put("/api/profiles/p/status", {"isActive": False})
        assert answer.status == 200
        assert answer.json["success"] is True and answer.json["state"]["isActive"] is False
        assert gateway.put("/api/profiles/fail/status", {"isActive": False}).status == 200
        assert client.state("fail")["isActive"] is False

        task = {"title": "new", "input": {"a": [1, None]}, "priority": "high"}
        answer = gateway.post("/api/profiles/p/assign-task", {"task": task})
        assert answer.status == 201
        assigned = answer.json["task"]
        assert settled(assigned) == settled(client.task(assigned["id"]))
        assert assigned["profile"] == "p" and assigned["input"] == task["input"]

        answer = gateway.post("/api/tasks", {"task": {"title": "routed", "type": "done"}})
        assert answer.status == 201 and answer.json["task"]["profile"] == "done"

        best = gateway.post("/api/profiles/best-for-task", {"task": {"type": "done"}})
        assert best.status == 200 and best.json["bestProfile"]["name"] == "done"
        assert [c["name"] for c in best.json["candidates"]] == [
            c["name"] for c in client.get_best_profile_for_task(task={"type": "done"})["candidates"]]

        answer = gateway.patch("/api/tasks/4", {"priority": "low"})
        assert answer.status == 200 and answer.json["priority"] == "low"
        assert settled(answer.json) == settled(client.task(4))

        for verb, status in (("cancel", "cancelled"), ("retry", "queued")):
            answer = gateway.post(f"/api/tasks/3/{verb}")
            assert answer.status == 200, answer
            assert answer.json["status"] == status
            assert settled(answer.json) == settled(client.task(3))


WRITES = [("PUT", "/api/profiles/{name}/status"), ("POST", "/api/profiles/{name}/assign-task"),
          ("POST", "/api/tasks"), ("POST", "/api/profiles/best-for-task"),
          ("PATCH", "/api/tasks/{id}"), ("POST", "/api/tasks/{id}/cancel"),
          ("POST", "/api/tasks/{id}/retry"), ("POST", "/api/permissions/{id}/answer"),
          ("POST", "/api/nodes/{name}/retire")]


def test_a_node_that_is_alone_cannot_be_retired(gateway):
    node, = gateway.get("/api/health").json["nodes"]
    assert node["state"] == "running" and node["attempts"] == 0
    assert "is the only one" in gateway.post(f"/api/nodes/{node['name']}/retire", {}).error(409, -32002)["error"]
    assert gateway.post("/api/nodes/none/retire", {}).error(404, -32001)["error"] == 'node "none" not found'


def test_no_route_is_missing_here(gateway):
    """A new row of the table needs one in these tests."""
    document = gateway.get("/api/openapi.json").json
    assert document["openapi"].startswith("3.1")
    routes = {(verb.upper(), path) for path, item in document["paths"].items() for verb in item}
    tested = set(WRITES) | {("GET", "/metrics"), ("GET", "/api/openapi.json"),
                            ("GET", "/api/events")}  # see test_streams.py
    names = {"p": "{name}", "done": "{name}", "1": "{id}"}
    for path, _, _ in READS:
        segments = urllib.parse.unquote(path.split("?")[0]).split("/")
        tested.add(("GET", "/".join(names.get(segment, segment) for segment in segments)))
    assert routes == tested


def test_the_document_has_every_parameter_of_a_route(gateway):
    paths = gateway.get("/api/openapi.json").json["paths"]
    queue = {p["name"]: p for p in paths["/api/profiles/{name}/queue"]["get"]["parameters"]}
    assert {name: p["in"] for name, p in queue.items()} == {
        "name": "path", "limit": "query", "after": "query"}
    assert queue["limit"]["schema"]["type"] == "integer"
    assign = paths["/api/profiles/{name}/assign-task"]["post"]
    assert [p["name"] for p in assign["parameters"]] == ["name"]
    schema = assign["requestBody"]["content"]["application/json"]["schema"]
    assert schema["required"] == ["task"] and schema["properties"]["task"]["type"] == "object"
    ids = [operation["operationId"] for item in paths.values() for operation in item.values()]
    assert len(ids) == len(set(ids))


def test_query_and_body_are_one(gateway, client):
    assert gateway.put("/api/profiles/p/status?isActive=true").json["state"]["isActive"] is True
    assert gateway.put("/api/profiles/p/status?isActive=false").json["state"]["isActive"] is False
    assert gateway.put("/api/profiles/p/status?isActive=true", {"isActive": True}).status == 200
    assert client.state("p")["isActive"] is True
    assert gateway.put("/api/profiles/p/status", {"isActive": False, "name": "p"}).status == 200
    assert client.state("p")["isActive"] is False


@pytest.mark.parametrize("verb, path, body, name", [
    ("GET", "/api/tasks?limit=5&limit=6", None, "limit"),
    ("GET", "/api/tasks?profile=p&profile=q", None, "profile"),
    ("GET", "/api/profiles/p/state?name=q", None, "name"),
    ("PUT", "/api/profiles/p/status?isActive=true", {"isActive": False}, "isActive"),
    ("PUT", "/api/profiles/p/status", {"isActive": True, "name": "q"}, "name"),
    ("PUT", "/api/profiles/p/status", {"isActive": True, "profileName": "q"}, "profileName"),
    ("PATCH", "/api/tasks/1", {"id": 2, "priority": "high"}, "id"),
    ("POST", "/api/tasks/1/cancel?id=2", None, "id"),
])
def test_a_name_given_twice_with_different_values_is_refused(gateway, client, verb, path, body,
                                                             name):
    for _ in range(2):
        client.assign("p")
    assert name in gateway.request(verb, path, body).error(400, -32602)["error"]
    assert client.state("p")["queueSize"] == 2 and client.state("p")["isActive"] is False


def test_a_name_given_twice_with_the_same_value_is_one(gateway, client):
    client.assign("p")
    assert gateway.get("/api/tasks?limit=5&limit=5").status == 200
    assert gateway.get("/api/profiles/p/state?name=p").status == 200
    assert gateway.patch("/api/tasks/1?id=1", {"id": 1, "priority": "high"}).status == 200


@pytest.mark.parametrize("verb, path, body, field", [
    ("GET", "/api/tasks?limit=many", None, "limit"),
    ("GET", "/api/tasks?limit=1.5", None, "limit"),
    ("GET", "/api/tasks?limit=0", None, "limit"),
    ("GET", "/api/tasks?limit=", None, "limit"),
    ("GET", "/api/tasks?limit", None, "limit"),
    ("GET", "/api/tasks?limit=true", None, "limit"),
    ("GET", "/api/tasks?status=odd", None, "status"),
    ("GET", "/api/tasks?colour=red", None, "colour"),
    ("GET", "/api/health?x=1", None, "x"),
    ("GET", "/api/profiles/states?x", None, "x"),
    ("GET", "/api/profiles/p/metrics?range=1y", None, "range"),
    ("GET", "/api/tasks/abc", None, "id"),
    ("GET", "/api/tasks/1.5", None, "id"),
    ("GET", "/api/tasks/1/log?attempt=first", None, "attempt"),
    ("PUT", "/api/profiles/p/status", {"isActive": "true"}, "isActive"),
    ("PUT", "/api/profiles/p/status", {"isActive": 1}, "isActive"),
    ("PUT", "/api/profiles/p/status?isActive=yes", None, "isActive"),
    ("PUT", "/api/profiles/p/status", {}, "isActive"),
    ("PUT", "/api/profiles/p/status", {"isActive": True, "x": 1}, "x"),
    ("POST", "/api/profiles/p/assign-task", {"task": 5}, "task"),
    ("POST", "/api/profiles/p/assign-task", {"task": {}}, "task.title"),
    ("POST", "/api/profiles/p/assign-task", {"task": {"title": "t", "colour": 1}}, "task.colour"),
    ("POST", "/api/profiles/p/assign-task", {"task": {"title": "x" * 1025}}, "task.title"),
    ("POST", "/api/profiles/p/assign-task", {"title": "t"}, "title"),
    ("POST", "/api/tasks", None, "task"),
    ("POST", "/api/tasks/1/cancel", {"reason": "x"}, "reason"),
])
def test_a_bad_parameter_is_named(gateway, client, verb, path, body, field):
    error = gateway.request(verb, path, body).error(400, -32602)
    assert error["data"]["field"] == field
    assert error["data"]["reason"] in error["error"]
    assert client.state("p")["queueSize"] == 0 and client.state("p")["isActive"] is False


@pytest.mark.parametrize("path, field, reason", [
    ("/api/tasks?limit=many", "limit", "an integer from 1 to 1000"),
    ("/api/tasks?limit=1.5", "limit", "an integer from 1 to 1000"),
    ("/api/tasks?limit=1e400", "limit", "an integer from 1 to 1000"),
    ("/api/tasks?limit=12345678901234567890123", "limit", "an integer from 1 to 1000"),
    ("/api/tasks/abc", "id", "an integer from 1 to 9007199254740991"),
    ("/api/tasks/1/log?attempt=first", "attempt", "an integer from 1 to 9007199254740991"),
    ("/api/capacity?targetWait=soon", "targetWait", "a number from 0.001 to 31536000"),
])
def test_the_refusal_of_a_number_gives_its_range(gateway, path, field, reason):
    error = gateway.get(path).error(400, -32602)
    assert error["data"] == {"field": field, "reason": f"must be {reason}"}


def test_text_in_a_query_stays_text(make_daemon, make_gateway):
    """A number, true or null is a name where a name is expected."""
    daemon = make_daemon(profile("123"), profile("true"), profile("null"))
    gateway = make_gateway(daemon)
    for name in ("123", "true", "null"):
        assert gateway.get(f"/api/profiles/{name}/state").json["name"] == name
        assert gateway.get(f"/api/tasks?profile={name}").json == {"tasks": [], "next": None}
        task = gateway.post(f"/api/profiles/{name}/assign-task", {"task": {"title": "t"}})
        assert task.json["task"]["profile"] == name


@pytest.mark.parametrize("name", ["no one", "p/q", "p?", "p#", "P", "é😀", "a+b", "50%", "\"", "\\",
                                  ":name", "with states", "x" * 300, "a;b=c", "<script>"])
def test_a_name_in_a_path_is_taken_as_it_is(gateway, name):
    quoted = urllib.parse.quote(name, safe="")
    error = gateway.get(f"/api/profiles/{quoted}/state").error(404 if len(name) < 300 else 400)
    if len(name) < 300:
        assert error["error"] == f'profile "{name}" not found' and error["code"] == -32001


def test_each_error_has_its_status_and_names_the_thing(make_daemon, make_gateway):
    daemon = make_daemon(profile("p", queueLimit=1))
    gateway = make_gateway(daemon)
    with daemon.client() as client:
        client.update_profile_status(name="p", isActive=False)
        task = {"task": {"title": "t"}}
        assert gateway.post("/api/profiles/p/assign-task", task).status == 201
        full = gateway.post("/api/profiles/p/assign-task", task)
        error = full.error(429, -32003)
        assert int(full.headers["retry-after"]) >= 1
        assert int(full.headers["retry-after"]) >= error["data"]["retryAfter"] > 0
        assert '"p"' in error["error"]
        assert "77" in gateway.get("/api/tasks/77").error(404, -32001)["error"]
        assert gateway.post("/api/tasks/1/cancel").status == 200
        assert "cancelled" in gateway.post("/api/tasks/1/cancel").error(409, -32002)["error"]
        assert gateway.patch("/api/tasks/1", {"priority": "high"}).error(409, -32002)
        wrong = gateway.post("/api/tasks", "<x/>", headers={"Content-Type": "text/xml"})
        assert "application/json" in wrong.error(415)["error"]
        daemon.stop()
        away = gateway.get("/api/tasks/1")
        assert "acpd" in away.error(503, -32004)["error"]
        assert int(away.headers["retry-after"]) >= 1


@pytest.mark.parametrize("code, status", [
    (-32700, 400), (-32600, 400), (-32601, 502), (-32602, 400), (-32603, 502), (-32001, 404),
    (-32002, 409), (-32003, 429), (-32004, 503), (-32005, 403), (-32099, 502),
])
def test_every_code_of_the_daemon_has_a_status(daemon, make_gateway, folder, code, status):
    error = {"code": code, "message": "so \"it\" is", "data": {"a": [1.10, None]}}
    line = json.dumps({"jsonrpc": "2.0", "id": 1, "error": error}) + "\n"
    middle = Middle(folder / "middle.sock", daemon, lambda call, forward: line.encode())
    gateway = make_gateway(middle)
    gateway.is_before_acpd = False
    for verb, path in (("GET", "/api/health"), ("POST", "/api/tasks"), ("GET", "/metrics")):
        answer = gateway.request(verb, path)
        assert answer.error(status, code) == {
            "error": error["message"], "code": code, "data": error["data"]}
        assert ("retry-after" in answer.headers) == (status in (429, 503))
    middle.close()


@pytest.mark.parametrize("garbage", [
    b"hello\n", b"\n", b"{}\n", b"[]\n", b"null\n", b'{"jsonrpc":"2.0","id":1}\n',
    b'{"jsonrpc":"2.0","id":1,"result":\n', b'{"jsonrpc":"2.0","id":1,"error":5}\n',
    b'{"jsonrpc":"2.0","id":1,"error":{}}\n', b"\xff\xfe\0\n",
])
def test_a_daemon_that_talks_nonsense_harms_no_one(daemon, make_gateway, folder, garbage):
    middle = Middle(folder / "middle.sock", daemon, lambda call, forward: garbage)
    gateway = make_gateway(middle)
    for verb, path in (("GET", "/api/health"), ("POST", "/api/tasks"), ("GET", "/api/tasks/1"),
                       ("GET", "/metrics"), ("GET", "/api/openapi.json")):
        answer = gateway.request(verb, path)
        assert answer.status in (502, 503, 504), (path, answer)
        assert len(answer.json["error"]) > 5
    middle.decide = lambda call, forward: forward()
    assert gateway.get("/api/health").status == 200, "once it makes sense again, so do the answers"
    assert gateway.get("/api/tasks?limit=5").status == 200
    middle.close()


@pytest.mark.parametrize("path", ["/api/nothing", "/api/", "/api", "/apix", "/api/tasks/",
                                  "/api/tasks/1/", "/api/tasks/1/log/x", "/api//tasks",
                                  "/api/profiles", "/api/profiles//state", "/api/profiles/p",
                                  "/API/health", "/metrics/", "/metricsx", "/favicon.txt"])
def test_an_unknown_path_is_not_found(gateway, path):
    for verb in ("GET", "POST", "PUT", "DELETE"):
        assert path in gateway.request(verb, path).error(404)["error"]
    assert gateway.request("OPTIONS", path).status == 404
    assert gateway.request("HEAD", path).status == 404


@pytest.mark.parametrize("path, verbs", [
    ("/api/health", "GET, HEAD"), ("/metrics", "GET, HEAD"), ("/api/openapi.json", "GET, HEAD"),
    ("/api/profiles/states", "GET, HEAD"), ("/api/profiles/p/state", "GET, HEAD"),
    ("/api/profiles/p/status", "PUT"), ("/api/profiles/p/assign-task", "POST"),
    ("/api/profiles/best-for-task", "POST"), ("/api/tasks", "GET, HEAD, POST"),
    ("/api/tasks/1", "GET, HEAD, PATCH"), ("/api/tasks/1/cancel", "POST"),
    ("/profiles", "GET, HEAD"), ("/", "GET, HEAD"),
])
def test_a_wrong_verb_is_told_the_right_ones(gateway, path, verbs):
    allowed = set(verbs.split(", ")) | {"OPTIONS"}
    for verb in {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"} - allowed:
        answer = gateway.request(verb, path)
        assert answer.status == 405, answer
        assert set(answer.headers["allow"].split(", ")) == allowed
        if verb != "HEAD":
            assert verb in answer.error(405)["error"]
    options = gateway.request("OPTIONS", path)
    assert options.status == 204 and options.body == b"" and "content-length" not in options.headers
    assert set(options.headers["allow"].split(", ")) == allowed


@pytest.mark.parametrize("path", ["/api/profiles/states", "/api/tasks?limit=5", "/api/tasks/77",
                                  "/api/tasks?x=1", "/api/openapi.json", "/profiles", "/",
                                  "/nothing"])
def test_head_is_get_without_the_body(gateway, path):
    get, head = gateway.get(path), gateway.request("HEAD", path)
    assert head.status == get.status and head.body == b""
    get.headers.pop("date"), head.headers.pop("date")
    assert head.headers == get.headers
    with gateway.raw() as raw:
        raw.send(f"HEAD {path} HTTP/1.1\r\nHost: {gateway.host}\r\n\r\n"
                 f"GET /api/health HTTP/1.1\r\nHost: {gateway.host}\r\nConnection: close\r\n\r\n")
        assert raw.answer(has_body=False).status == get.status
        assert raw.answer().json["status"], "nothing stands between the two answers"


def test_a_huge_list_is_whole(gateway, client):
    for i in range(900):
        client.send_call("assign_task_to_profile", name="p",
                         task={"title": str(i), "description": f"{i} é" + "x" * 4000})
    for _ in range(900):
        assert client.reply()["result"]["success"]
    answer = gateway.get("/api/tasks?limit=1000")
    assert answer.status == 200 and len(answer.body) > 3 << 20
    assert settled(answer.json) == settled(client.list_tasks(limit=1000))
    queue = gateway.get("/api/profiles/p/queue?limit=1000").json
    assert settled(queue) == settled(client.get_profile_task_queue(name="p", limit=1000))
