# SPDX-License-Identifier: MIT
"""REST: what the socket says, said in HTTP."""

import concurrent.futures
import json
import re
import subprocess
import urllib.parse

import pytest

from acpd import profile, shell
from middle import Middle

# What two calls in a row may tell differently.
VOLATILE = {"oldestQueuedAge", "loop", "storage", "eta", "arrivalRate", "utilization",
            "predictedWait"}


def settled(value):
    if isinstance(value, dict):
        return {k: settled(v) for k, v in value.items() if k not in VOLATILE}
    return [settled(v) for v in value] if isinstance(value, list) else value


@pytest.fixture
def world(make_daemon):
    """Task 1 is completed, 2 has failed, 3 to 7 wait for the profile "p", which is paused."""
    daemon = make_daemon(profile("p", queueLimit=6, capabilities=["coding"]),
                         shell("echo hello; echo there >&2", "done"),
                         shell("exit 64", "fail"))
    with daemon.client() as client:
        client.update_profile_status(name="p", isActive=False)
        client.finish(client.assign("done", "é \"quoted\"", description="d" * 1000)["id"])
        client.finish(client.assign("fail", "broken")["id"])
        for i in range(5):
            client.assign("p", f"waits {i}", priority=["low", "medium", "high"][i % 3])
    return daemon


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
        # To the byte, where nothing moves.
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
          ("POST", "/api/tasks/{id}/retry"), ("POST", "/api/permissions/{id}/answer")]


def test_no_route_is_missing_here(gateway):
    """So that who adds a row to the table adds one to these tests."""
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


def test_text_in_a_query_stays_text(make_daemon, make_gateway):
    """A number, true or null where a name is asked for is a name."""
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


@pytest.mark.parametrize("body, word", [
    ("nonsense", "JSON"), ("{", "JSON"), ('{"isActive":true}}', "JSON"), ("{'isActive':true}", "JSON"),
    ('{"isActive":true,}', "JSON"), ('{"isActive":NaN}', "JSON"), ('{"isActive":01}', "JSON"),
    (b'{"isActive":"\xff"}', "JSON"), (b'{"\xc0\xaf":true}', "JSON"), (b"\xef\xbb\xbf{}", "JSON"),
    (b'{"isActive":true,"a":"\x00"}', "JSON"), ("[" * 100000, "JSON"),
    ('{"isActive":1' + "0" * 400 + "}", "JSON"),
    ("[true]", "object"), ("true", "object"), ("null", "object"), ('"isActive"', "object"),
])
def test_a_body_that_is_no_json_object_is_refused(gateway, client, body, word):
    error = gateway.put("/api/profiles/p/status", body).error(400)
    assert word in error["error"] and error["code"] in (-32700, -32600)
    assert client.state("p")["isActive"] is False


def test_white_space_alone_or_around_a_body(gateway, client):
    assert gateway.put("/api/profiles/p/status", " \r\n{\"isActive\" : true}\t\n").status == 200
    assert client.state("p")["isActive"] is True


# As json-c prints it: what is sent so must come back so.
NESTED = ('{"deep":' + "[" * 40 + '{"a":{}}' + "]" * 40 + ',"numbers":[0,-1,0.10,1e-7,2.50E+3,'
          '9223372036854775807,-9223372036854775808,18446744073709551615,1.0,'
          '3.141592653589793238],"text":"é漢😀\\u0000\\"\\\\\\n\\u001f</script>","":null,'
          '"ключ":[true,false,null,[],{},""]}')


def test_what_is_handed_in_comes_back_byte_for_byte(gateway, client):
    body = '{"task":{"title":"t","input":%s}}' % NESTED
    answer = gateway.post("/api/profiles/p/assign-task", body)
    assert answer.status == 201, answer
    wanted = b'"input":' + NESTED.encode()
    assert wanted in answer.body
    assert wanted in gateway.get("/api/tasks/1").body
    client.send_call("get_task", id=1)
    assert wanted in client.line(), "the daemon was given it so"
    client.send(('{"jsonrpc":"2.0","id":9,"method":"assign_task_to_profile","params":'
                 '{"name":"p","task":{"title":"t","input":%s}}}\n' % NESTED))
    client.line()
    assert wanted in gateway.get("/api/tasks/2").body, "from the socket too"


def test_a_mebibyte_of_input_both_ways(gateway, client):
    given = "é" * (1024 * 512 - 10)
    answer = gateway.post("/api/profiles/p/assign-task", {"task": {"title": "t", "input": given}})
    assert answer.status == 201 and answer.json["task"]["input"] == given
    assert gateway.get("/api/tasks/1").json["input"] == given
    assert client.task(1)["input"] == given
    too_much = {"task": {"title": "t", "input": "x" * (1 << 20)}}
    error = gateway.post("/api/profiles/p/assign-task", too_much).error(400, -32602)
    assert error["data"]["field"] == "task.input"


@pytest.mark.parametrize("mebibytes", [5, 9, 15])
def test_more_than_the_daemon_takes_is_refused_for_its_size(gateway, client, mebibytes):
    """Between the gateway's bound and the daemon's: the answer is not that it may have been done."""
    body = {"task": {"title": "t", "input": "x" * (mebibytes << 20)}}
    for _ in range(3):
        answer = gateway.post("/api/profiles/p/assign-task", body)
        assert answer.status in (400, 413), answer
        assert gateway.get("/api/health").status == 200
    assert client.state("p")["queueSize"] == 0


def test_a_chunked_body_is_a_body(gateway, client):
    def pieces():
        yield b'{"isAct'
        yield b'ive":'
        yield b"true}"

    connection = gateway.connect()
    connection.request("PUT", "/api/profiles/p/status", pieces(),
                       {"Content-Type": "application/json", "Transfer-Encoding": "chunked"},
                       encode_chunked=True)
    assert connection.getresponse().status == 200
    connection.close()
    assert client.state("p")["isActive"] is True


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


def test_hundreds_of_requests_on_one_connection(gateway, client):
    connection = gateway.connect()
    connection.connect()
    own = connection.sock
    for i in range(300):
        assert gateway.post("/api/profiles/p/assign-task", {"task": {"title": str(i)}},
                            connection=connection).status == 201
        assert gateway.get(f"/api/tasks/{i + 1}", connection=connection).json["title"] == str(i)
        if i % 10 == 0:  # errors do not end it either
            assert gateway.get("/api/tasks/0x", connection=connection).status == 400
            assert gateway.get("/nothing", connection=connection).status == 404
            assert gateway.post("/api/tasks", "<a/>", headers={"Content-Type": "text/xml"},
                                connection=connection).status == 415
    assert connection.sock is own, "it was one connection"
    connection.close()


def test_requests_may_be_sent_ahead(gateway):
    with gateway.raw() as raw:
        raw.send("".join(f"GET /api/tasks?limit={i} HTTP/1.1\r\nHost: {gateway.host}\r\n\r\n"
                         f"PUT /api/profiles/p/status HTTP/1.1\r\nHost: {gateway.host}\r\n"
                         "Content-Type: application/json\r\nContent-Length: 18\r\n\r\n"
                         '{"isActive":false}' for i in range(1, 20)))
        for _ in range(1, 20):
            assert "tasks" in raw.answer().json
            assert raw.answer().json["state"]["isActive"] is False


def test_many_clients_at_once(gateway, client):
    def work(number):
        connection = gateway.connect()
        try:
            ids = []
            for i in range(25):
                title = f"{number}.{i}"
                answer = gateway.post("/api/profiles/p/assign-task", {"task": {"title": title}},
                                      connection=connection)
                assert answer.status == 201 and answer.json["task"]["title"] == title
                ids.append(answer.json["task"]["id"])
                again = gateway.get(f"/api/tasks/{ids[-1]}", connection=connection)
                assert again.json["title"] == title, "no one gets another's answer"
            return ids
        finally:
            connection.close()

    with concurrent.futures.ThreadPoolExecutor(40) as pool:
        ids = [id for some in pool.map(work, range(40)) for id in some]
    assert len(set(ids)) == 1000 and client.state("p")["queueSize"] == 1000


def test_curl_is_a_client(world, make_gateway):
    gateway = make_gateway(world)

    def curl(*arguments, **options):
        run = subprocess.run(["curl", "-sS", "--max-time", "60", *arguments], capture_output=True,
                             text=True, timeout=90, **options)
        assert run.returncode == 0, run.stderr
        return run.stdout

    assert json.loads(curl(f"{gateway.url}/api/profiles/p/state"))["name"] == "p"
    assert json.loads(curl("-X", "PUT", "--json", '{"isActive": true}',
                           f"{gateway.url}/api/profiles/fail/status"))["success"] is True
    assert curl("-o", "/dev/null", "-w", "%{http_code}", "-X", "PUT", "-d", '{"isActive": true}',
                f"{gateway.url}/api/profiles/fail/status") == "415", "a form's content type"
    assert json.loads(curl("-G", "--data-urlencode", "profile=p", "-d", "limit=2",
                           f"{gateway.url}/api/tasks"))["tasks"][0]["profile"] == "p"
    # Larger bodies are announced by "Expect: 100-continue".
    big = json.dumps({"task": {"title": "big", "input": "x" * ((1 << 20) - 10)}})
    for extra in ([], ["-H", "Expect: 100-continue"], ["-H", "Transfer-Encoding: chunked"],
                  ["--http1.0"], ["--http2"]):
        answer = curl("--json", "@-", *extra, f"{gateway.url}/api/tasks", input=big)
        assert json.loads(answer)["task"]["title"] == "big", extra
    assert "HTTP/1.1 200 OK" in curl("-I", f"{gateway.url}/api/health")
    assert "Content-Security-Policy" in curl("-I", f"{gateway.url}/profiles")


def test_nodes_fetch_is_a_client(world, make_gateway):
    script = """
        const url = process.argv[1];
        const json = { "Content-Type": "application/json" };
        const states = await (await fetch(url + "/api/profiles/with-states")).json();
        const many = await Promise.all(Array.from({ length: 100 }, (_, i) =>
            fetch(url + "/api/profiles/done/assign-task", { method: "POST", headers: json,
                body: JSON.stringify({ task: { title: "é " + i } }) }).then((r) => r.json())));
        const off = await fetch(url + "/api/profiles/done/status", { method: "PUT", headers: json,
            body: JSON.stringify({ isActive: false }) });
        const plain = await fetch(url + "/api/profiles/done/status", { method: "PUT",
            body: JSON.stringify({ isActive: true }) });
        const missing = await fetch(url + "/api/tasks/100000");
        console.log(JSON.stringify({
            names: states.map((s) => s.profile.name),
            titles: many.map((m) => m.task.title),
            off: (await off.json()).state.isActive,
            plain: plain.status,
            missing: [missing.status, (await missing.json()).error] }));
    """
    gateway = make_gateway(world)
    run = subprocess.run(["node", "--input-type=module", "-e", script, "--", gateway.url],
                         capture_output=True, text=True, timeout=90)
    assert run.returncode == 0, run.stderr
    said = json.loads(run.stdout)
    assert said["names"] == ["p", "done", "fail"]
    assert said["titles"] == [f"é {i}" for i in range(100)]
    assert said["off"] is False
    assert said["plain"] == 415, "no page of the gateway's: its word is needed"
    assert said["missing"] == [404, "task 100000 not found"]
    with world.client() as client:
        assert client.state("done")["isActive"] is False


def test_the_three_uses_of_a_page(world, make_gateway):
    """As the page's own plain fetch() sends them: with its Origin and text/plain, or nothing."""
    gateway = make_gateway(world)
    own = {"Origin": gateway.url, "Sec-Fetch-Site": "same-origin",
           "Content-Type": "text/plain;charset=UTF-8"}
    metrics = gateway.get("/api/profiles/metrics").json
    assert set(metrics) == {"p", "done", "fail"}
    best = gateway.post("/api/profiles/best-for-task", {"task": {"type": "coding"}}, headers=own)
    assert best.json["reason"]
    off = gateway.put("/api/profiles/done/status", {"isActive": False}, headers=own)
    assert off.json["state"]["isActive"] is False
    with world.client() as client:
        assert client.state("done")["isActive"] is False


def test_a_client_that_waits_for_100_continue_is_told_to_go_on(gateway):
    body = json.dumps({"task": {"title": "t", "input": "x" * 100000}})
    with gateway.raw() as connection:
        connection.send(f"POST /api/profiles/p/assign-task HTTP/1.1\r\nHost: {gateway.host}\r\n"
                        "Content-Type: application/json\r\nExpect: 100-continue\r\n"
                        f"Content-Length: {len(body)}\r\n\r\n")
        while b"\r\n\r\n" not in connection.received:
            assert connection.more()
        assert connection.received == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.received = b""
        assert connection.send(body).answer().status == 201
