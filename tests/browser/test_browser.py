# SPDX-License-Identifier: MIT
"""The dashboard in Debian's Chromium, and the API document in a real validator. scenarios.mjs acts in the page; this
file sets up the rest."""

import http.server
import json
import pathlib
import re
import subprocess
import threading

import pytest

import acpd
from acpd import TOKEN, profile, shell, token_file, wait_until
from server import Server

HERE = pathlib.Path(__file__).parent
LATER = "2100-01-01T00:00:00Z"


def play(name, url, *extra, **actions):
    """Plays a scenario. The function is_on performs its action `is on`. If that returns a function, waits until the
    function returns a true value; otherwise passes the result to the scenario."""
    process = subprocess.Popen(["node", "scenarios.mjs", name, url, *extra], cwd=HERE, text=True,
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE)
    watchdog = threading.Timer(300, process.kill)
    watchdog.start()
    seen = None
    try:
        for line in process.stdout:
            said = json.loads(line)
            if "seen" in said:
                seen = said["seen"]
                continue
            done = actions[said["action"].replace(" ", "_")]()
            if callable(done):
                done = wait_until(done, said["action"]) and None
            process.stdin.write(json.dumps(done or {}) + "\n")
            process.stdin.flush()
        errors = process.stderr.read()
        assert process.wait(60) == 0, errors
    finally:
        watchdog.cancel()
        process.kill()
        process.wait()
    return seen


@pytest.fixture
def demo(make_daemon):
    """The built-in profiles."""
    return make_daemon()


@pytest.fixture
def server():
    server = Server()
    yield server
    server.close()


@pytest.fixture
def make_fleet(server, monkeypatch, make_daemon):
    """Starts daemons with names that share a PostgreSQL."""
    monkeypatch.setattr(acpd, "POSTGRES", server.url)
    started = []

    def make(nodes, *profiles):
        for name, url in nodes.items():
            daemon = make_daemon(*profiles, start=False)
            started.append(daemon)
            daemon.configure(*profiles, store=started[0].store, node={"name": name, "url": url},
                             updateInterval=1)
            daemon.start()
        return started

    yield make
    for daemon in started:  # before the database of the first one is dropped
        daemon.stop()


class Stranger(http.server.BaseHTTPRequestHandler):
    """Another program's server on the same machine."""

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>a stranger</title>")

    def log_message(self, *_):
        pass


def test_a_page_uses_the_api_without_naming_a_content_type(demo, make_gateway):
    seen = play("fetches", make_gateway(demo).url)
    assert seen["metrics"]["status"] == 200
    assert set(seen["metrics"]["body"]) == {"product-manager", "refinement", "development"}
    assert seen["best"]["body"]["bestProfile"]["name"] == "development"
    assert seen["status"]["body"]["success"] is True
    with demo.client() as client:
        assert client.state("development")["isActive"] is False


def test_a_page_of_another_origin_can_change_nothing(demo, make_gateway):
    with http.server.HTTPServer(("127.0.0.1", 0), Stranger) as stranger:
        threading.Thread(target=stranger.serve_forever, daemon=True).start()
        other = f"http://127.0.0.1:{stranger.server_port}"
        seen = play("strangers", make_gateway(demo).url, other)
        stranger.shutdown()
    # The browser's preflight is rejected, or it hides the answer; the request itself did nothing.
    assert seen == {"json": "blocked", "simple": "blocked"}
    with demo.client() as client:
        assert client.list_tasks()["tasks"] == []


def test_the_openapi_document_is_valid(demo, make_gateway, folder):
    path = folder / "openapi.json"
    path.write_bytes(make_gateway(demo).request("GET", "/api/openapi.json").body)
    validator = "node_modules/@seriousme/openapi-schema-validator/bin/validate-api-cli.js"
    run = subprocess.run(["node", validator, str(path)], cwd=HERE, capture_output=True, text=True,
                         timeout=180)
    assert run.returncode == 0, run.stdout + run.stderr


def test_a_switch_acts_at_once_and_can_be_taken_back(demo, make_gateway):
    with demo.client() as client:
        def is_active(expected):
            return lambda: client.state("refinement")["isActive"] is expected

        play("switches", make_gateway(demo).url,
             is_off=lambda: is_active(False), is_on=lambda: is_active(True),
             turn_on=lambda: client.update_profile_status(name="refinement", isActive=True) and None)


def test_assign_by_hand(demo, make_gateway):
    play("assigns", make_gateway(demo).url)
    with demo.client() as client:
        task = client.task(1)
        assert (task["title"], task["type"], task["priority"]) == (
            "From the <b>page</b>", "coding", "high")
        # The typed time is in the viewer's time zone.
        assert (task["status"], task["runAt"]) == ("scheduled", "2099-12-31T23:00:00.000Z")


def test_assign_by_best_match(demo, make_gateway):
    play("matches", make_gateway(demo).url)
    with demo.client() as client:
        assert client.task(1)["routing"]["bestProfile"] == "refinement"


def test_a_failing_profile_is_told(make_daemon, make_gateway):
    daemon = make_daemon(shell("exit 1", "bad", retry={"maxAttempts": 1}), profile("good"))
    with daemon.client() as client:
        def fail():
            for _ in range(5):
                client.finish(client.assign("bad", title="it fails")["id"])

        play("fails", make_gateway(daemon).url, fail=fail,
             was_retried=lambda: lambda: client.task(5)["attempt"] == 2)


def test_a_permission_is_answered(demo, make_gateway):
    with demo.client() as client:
        def ask():
            client.assign("development", title="Write it, demo:ask")
            return lambda: client.list_permissions()

        play("answers", make_gateway(demo).url, ask=ask)
        assert client.task(1)["status"] == "completed"


def test_a_log_is_followed(make_daemon, make_gateway, folder):
    pipe = folder / "more"
    script = f"mkfifo {pipe}; echo line 1; n=1; while :; do cat {pipe} >/dev/null; " \
             "for i in $(seq 200); do n=$((n + 1)); echo line $n; done; done"
    daemon = make_daemon(shell(script))
    with daemon.client() as client:
        client.assign("p", title="It writes")
        wait_until(lambda: pipe.exists() and "line 1" in client.log(1), "it writes")
        play("follows", make_gateway(daemon).url, write=lambda: pipe.write_text("more") and None)
        assert client.task(1)["status"] == "cancelled"


def test_a_daemon_and_a_gateway_that_go_away(demo, make_gateway):
    gateway = make_gateway(demo)

    def assign():
        with demo.client() as client:
            client.assign("development", title="demo:ask")

    play("survives", gateway.url, kill_acpd=demo.kill, start_acpd=lambda: demo.start() and None,
         kill_the_gateway=gateway.kill, start_the_gateway=lambda: gateway.start() and None,
         assign=assign)


def test_thousands_of_tasks(make_daemon, make_gateway):
    daemon = make_daemon(profile("p"), profile("other"))
    with daemon.client() as client:
        client.update_profile_status(name="p", isActive=False)
        for i in range(1, 3001):
            client.send_call("assign_task_to_profile", name="p", task={"title": f"task {i}"})
        for _ in range(3000):
            client.reply()
        client.cancel_task(id=7)
        play("lists", make_gateway(daemon).url, assign=lambda: client.assign("p") and None)


def test_a_queue_is_managed(make_daemon, make_gateway):
    daemon = make_daemon(profile("busy", ["sleep", "1000"], maxConcurrentTasks=1),
                         profile("spare", ["sleep", "1000"]))
    with daemon.client() as client:
        client.wait_status(client.assign("busy", title="running")["id"], "running")
        client.assign("busy", title="first")
        client.assign("busy", title="second")
        client.assign("busy", title="third", runAt=LATER)
        client.assign("busy", title="fourth", dependsOn=[1])
        play("queues", make_gateway(daemon).url,
             is_high=lambda: lambda: client.task(3)["priority"] == "high",
             was_moved=lambda: lambda: client.task(3)["profile"] == "spare",
             was_cancelled=lambda: lambda: client.task(2)["status"] == "cancelled",
             was_taken_back=lambda: lambda: client.task(2)["status"] == "queued")


def test_keyboard_only(demo, make_gateway):
    with demo.client() as client:
        play("keyboard", make_gateway(demo).url,
             is_off=lambda: lambda: not client.state("refinement")["isActive"])
        assert client.task(1)["title"] == "Typed"


def test_the_figures(make_daemon, make_gateway):
    daemon = make_daemon(shell("grep -q fail && exit 64; exit 0"))
    with daemon.client() as client:
        for title in ("a", "b", "c", "fail"):
            client.finish(client.assign("p", title=title)["id"])
    play("analytics", make_gateway(daemon).url)


def test_every_view_in_dark_on_a_phone(demo, make_gateway):
    with demo.client() as client:
        client.assign("development", title="A title of some length that does not fit on a phone, "
                      "demo:ask", description="word " * 200, type="coding")
        for _ in range(5):
            client.assign("development", title="Another-long-word-without-any-place-to-break" * 3)
        wait_until(lambda: client.list_permissions(), "a question")
    play("narrow", make_gateway(demo).url)


def test_a_token_is_asked_for(demo, make_gateway, folder):
    gateway = make_gateway(demo, "--token-file", token_file(folder))
    with demo.client() as client:
        play("token", gateway.url, TOKEN,
             assign=lambda: client.assign("development", title="demo:ask") and None)


def test_a_token_that_may_only_read(demo, make_gateway, folder):
    path = token_file(folder, f"{TOKEN} screen read\n")
    play("reader", make_gateway(demo, "--token-file", path).url, TOKEN)


def test_a_fleet(make_fleet, make_gateway, folder):
    a, b = make_fleet({"a1": "http://a.example:8080", "b1": "http://b.example:8080"},
                      shell(f"while [ ! -e {folder}/go ]; do sleep 0.05; done", nodes=["b1"]),
                      shell("echo done", "quick", nodes=["b1"]))
    other = json.loads(b.config.read_text())
    other["profiles"][1]["timeout"] = 5
    b.configure(other)
    with b.client() as client:
        client.reload_config()
    with a.client() as client:
        client.finish(client.assign("quick", title="It is done")["id"])
        client.wait_status(client.assign("p", title="It runs")["id"], "running")

        def let_it_go():
            (folder / "go").touch()
            return lambda: b.process.poll() == 0

        play("fleet", make_gateway(a).url, let_it_go=let_it_go)
        assert client.task(2)["status"] == "completed"


def test_nothing_grows_and_nothing_jumps(make_daemon, make_gateway):
    daemon = make_daemon(profile())
    with daemon.client() as client:
        play("steady", make_gateway(daemon).url,
             work=lambda: {"id": client.finish(client.assign("p")["id"])["id"]})


def test_the_page_is_small(make_daemon, make_gateway):
    gateway = make_gateway(make_daemon())
    page = gateway.get("/profiles").body.decode()
    scripts = re.findall(r'src="(/assets/[^"]*\.js)"', page)
    packed = [gateway.get(path, headers={"Accept-Encoding": "gzip"}) for path in scripts]
    assert packed and all(answer.headers["content-encoding"] == "gzip" for answer in packed)
    assert sum(len(answer.body) for answer in packed) < 70_000


def test_views_without_anything(demo, make_gateway):
    play("empty", make_gateway(demo).url)
