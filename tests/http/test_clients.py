# SPDX-License-Identifier: MIT
"""Clients of many kinds: persistent connections, pipelining, concurrency, curl, Node.js and web pages."""

import concurrent.futures
import json
import subprocess

import acpd


def test_hundreds_of_requests_on_one_connection(gateway, client):
    connection = gateway.connect()
    connection.connect()
    own = connection.sock
    for i in range(300):
        assert gateway.post("/api/profiles/p/assign-task", {"task": {"title": str(i)}},
                            connection=connection).status == 201
        assert gateway.get(f"/api/tasks/{i + 1}", connection=connection).json["title"] == str(i)
        if i % 10 == 0:  # errors do not close it either
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

    def call(verb, path, *arguments, **options):
        body = curl(*arguments, f"{gateway.url}{path}", **options)
        acpd.schemas.check_answer(verb, path, {"POST": 201}.get(verb, 200), "application/json", body)
        return json.loads(body)

    assert call("GET", "/api/profiles/p/state")["name"] == "p"
    assert call("PUT", "/api/profiles/fail/status", "-X", "PUT", "--json", '{"isActive": true}')["success"] is True
    assert curl("-o", "/dev/null", "-w", "%{http_code}", "-X", "PUT", "-d", '{"isActive": true}',
                f"{gateway.url}/api/profiles/fail/status") == "415", "a form's content type"
    found = call("GET", "/api/tasks", "-G", "--data-urlencode", "profile=p", "-d", "limit=2")
    assert found["tasks"][0]["profile"] == "p"
    # Larger bodies are announced by "Expect: 100-continue".
    big = json.dumps({"task": {"title": "big", "input": "x" * ((1 << 20) - 10)}})
    for extra in ([], ["-H", "Expect: 100-continue"], ["-H", "Transfer-Encoding: chunked"],
                  ["--http1.0"], ["--http2"]):
        answer = call("POST", "/api/tasks", "--json", "@-", *extra, input=big)
        assert answer["task"]["title"] == "big", extra
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
    """As a plain fetch() of the page sends them: with its Origin, and text/plain or no body."""
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
