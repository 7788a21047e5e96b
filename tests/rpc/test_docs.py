# SPDX-License-Identifier: MIT
"""The documentation: its statements hold, and its commands work as printed."""

import contextlib
import json
import os
import pathlib
import re
import shlex
import signal
import subprocess

import pytest

from acpd import ACPD, BUILD, GATEWAY, wait_until
from pages import PAGES, ROOT, SHELLS, block, blocks, stub, type_in

TITLES = ['Say "hi" to {all}', "Fix  the *.md files", "two\nlines", "it's $(touch x) `id` ${HOME}; #",
          "back\\slash \\n %s%d \u2028 \U0001f389 \u00e9"]

NOT_TYPED = {
    ("README.md", "./dev run"): "installs packages and builds; `./dev test` is what runs this",
    ("README.md", "meson setup build"): "tests/system does so, with a prefix and without root",
    ("docs/operations.md", "meson setup build"): "the same, and the machine's users need root",
    ("docs/operations.md", "systemctl --user enable"): "needs a systemd; tests/system checks the units",
    ("docs/operations.md", "systemctl enable"): "the same",
    ("docs/operations.md", "sudo -u postgres createuser acpd"): "needs the user that owns a server",
    ("docs/fleet.md", "sudo -u postgres createuser"): "the same",
    ("docs/performance.md", "./dev bench fleet"): "takes many minutes, and its figures are the machine's",
    ("docs/performance.md", "./dev bench fair"): "takes many minutes, and its figures are the machine's",
    ("docs/performance.md", "./dev bench routing"): "the same",
    ("docs/rest.md", "# token"): "the shape of a file; tests/http/test_tokens.py has such",
    ("docs/architecture.md", "common/"): "a list of folders",
    ("docs/architecture.md", "roster  event"): "a list of files",
    ("docs/architecture.md", "listener  stream"): "the same",
    ("docs/protocol.md", "                 \u250c"): "a picture; tests/unit has the transitions",
}


def test_every_block_of_every_page_is_tried():
    """By a test that uses it, as a configuration, or else there is a reason why not."""
    sources = "".join(file.read_text() for file in (ROOT / "tests").glob("*/test_*.py"))
    known = {*re.findall(r'block\("([^"]+)",\s+"([^"]+)"\)', sources), *NOT_TYPED}
    used = set()
    for page in PAGES:
        for language, text in blocks(page):
            if language == "json":
                continue
            matching = {(name, start) for name, start in known if name == page and text.startswith(start)}
            assert len(matching) == 1, f"{page}: nothing tries\n{text}"
            used |= matching
    assert used == known
    assert len(used) > 15


def configurations():
    return [pytest.param(text, id=f"{page}-{number}") for page in PAGES
            for number, (language, text) in enumerate(blocks(page)) if language == "json"]


@pytest.mark.parametrize("text", configurations())
def test_every_json_of_a_page_is_a_good_configuration(folder, text):
    (folder / "config.json").write_text(text)
    assert json.loads(text)["profiles"]
    run = subprocess.run([ACPD, "--config", folder / "config.json", "--check"], capture_output=True,
                         text=True, timeout=60)
    assert run.returncode == 0, run.stderr


def test_the_agents_that_are_known_have_a_snippet():
    commands = {profile["runner"]["command"][0] for language, text in blocks("docs/agents.md")
                if language == "json" for profile in json.loads(text)["profiles"]}
    assert {"gemini", "opencode", "goose"} <= commands


@pytest.mark.parametrize("page, beginning, program", [
    ("docs/rest.md", "acp-gateway --socket PATH", GATEWAY),
    ("docs/configuration.md", "acpd --config FILE", ACPD),
])
def test_a_synopsis_has_the_options_that_there_are(page, beginning, program):
    assert block("docs/rest.md", "acp-gateway --socket PATH")
    assert block("docs/configuration.md", "acpd --config FILE")
    help = subprocess.run([program, "--help"], capture_output=True, text=True, timeout=60).stdout
    options = set(re.findall("--[a-z-]+", block(page, beginning)))
    assert options | {"--help", "--version"} == set(re.findall("^  (--[a-z-]+)", help, re.M))


# --- the README -----------------------------------------------------------------------------------


@pytest.fixture
def beside_a_daemon(make_daemon, folder):
    """A folder as `./dev run` leaves it: (the folder, the daemon)."""
    daemon = make_daemon()
    (folder / "build/run").mkdir(parents=True)
    (folder / "build/run/acpd.sock").symlink_to(daemon.socket)
    return folder, daemon


@pytest.mark.parametrize("shell", SHELLS)
def test_the_readme_tour_shows_what_it_says(beside_a_daemon, shell):
    folder, daemon = beside_a_daemon
    output = type_in(shell, block("README.md", "acp() {"), folder)
    submitted, _, _, _, queue, log, cancelled = [
        json.loads(line)["result"] for line in output.splitlines()]
    assert submitted["task"]["profile"] == "development" and submitted["task"]["routing"]["reason"]
    assert [task["id"] for task in queue] == [3, 4] and queue[1]["pending"]["reason"] == "slots"
    assert set(log) == {"entries", "next", "truncated"}
    assert cancelled["id"] == 4 and cancelled["status"] == "cancelled"
    with daemon.client() as client:
        assert "demo agent" in client.finish(2)["result"]["text"]
        assert any("demo agent" in text for text in client.log(2))


@pytest.mark.parametrize("shell", SHELLS)
def test_the_readme_function_hands_over_what_it_was_given(beside_a_daemon, shell):
    folder, _ = beside_a_daemon
    (folder / "CHANGELOG.md").touch()
    function, = [line for line in block("README.md", "acp() {").splitlines() if line.startswith("acp()")]
    for title in TITLES:
        params = json.dumps({"name": "refinement", "task": {"title": title}})
        output = type_in(shell, f"{function}\nacp assign_task_to_profile {shlex.quote(params)}", folder)
        assert json.loads(output)["result"]["task"]["title"] == title
    for method in ("get_profiles_with_states", "rpc.discover"):
        assert json.loads(type_in(shell, f"{function}\nacp {method}", folder))["result"]
    assert not (folder / "x").exists()


@pytest.mark.parametrize("shell", SHELLS)
def test_the_line_of_the_protocol_works(make_daemon, folder, shell):
    (folder / "acpd.sock").symlink_to(make_daemon().socket)
    line = block("docs/protocol.md", "echo '{")
    states = json.loads(type_in(shell, line, folder, XDG_RUNTIME_DIR=str(folder)))["result"]
    assert [state["name"] for state in states] == ["product-manager", "refinement", "development"]


# --- REST -----------------------------------------------------------------------------------------


class Curl:
    """curl with options from a file: connects the page's port to the test's, and reports failures."""

    def __init__(self, folder, gateway):
        self.folder = folder
        (folder / ".curlrc").write_text(
            f"connect-to = 127.0.0.1:8080:127.0.0.1:{gateway.port}\n"
            "fail-with-body\nno-progress-meter\nshow-error\n")

    def type_in(self, shell, text, **options):
        return type_in(shell, text, self.folder, CURL_HOME=str(self.folder), **options)


@pytest.mark.parametrize("shell", SHELLS)
def test_every_curl_line_of_the_rest_document_works(make_daemon, make_gateway, folder, shell):
    daemon = make_daemon()
    gateway = make_gateway(daemon)
    curl = Curl(folder, gateway)
    parts = [block("docs/rest.md", "curl http://127.0.0.1:8080/api/profiles/with-states"),
             block("docs/rest.md", "curl -X PUT http://127.0.0.1:8080/api/profiles/development/status"),
             block("docs/rest.md", "id=$(curl -s http://127.0.0.1:8080/api/tasks "),
             block("docs/rest.md", "curl 'http://127.0.0.1:8080/api/metrics/history")]
    stream = block("docs/rest.md", "curl -N --max-time 2")
    for _ in range(2):  # they also work when pasted a second time
        curl.type_in(shell, "".join(parts))
    curl.type_in(shell, stream, ends=(28,))  # a stream lasts until its timeout
    with daemon.client() as client:
        assert all(state["isActive"] for state in client.get_profile_states())
        ids = [task["id"] for task in client.list_tasks()["tasks"]]
        assert [client.finish(id)["status"] for id in ids] == ["completed"] * 4
    calls = {(verb or ("POST" if " -d " in line else "GET"), path) for line in [*parts, stream]
             for line in line.splitlines()
             for verb, path in re.findall(r"curl (?:-s |-N |--max-time 2 |-X (\w+) )*'?"
                                          r"http://127.0.0.1:8080(/[^'? )]*)", line)}
    routes = {(verb.upper(), path) for path, verbs in
              gateway.request("GET", "/api/openapi.json").json["paths"].items() for verb in verbs}
    tried = {route for route in routes for call in calls if route[0] == call[0] and re.fullmatch(
        re.sub("{[a-z]+}", "[^/]+", route[1]), call[1])}
    assert tried == routes - {("POST", "/api/nodes/{name}/retire")}  # it needs a second node


def test_the_rest_document_lists_every_route(make_daemon, make_gateway):
    rows = set(re.findall(r"^\| `([A-Z]+ /[^`]*)` \|", (ROOT / "docs/rest.md").read_text(), re.M))
    document = make_gateway(make_daemon()).request("GET", "/api/openapi.json").json
    routes = {(verb.upper(), re.sub("{([a-z]+)}", r":\1", path))
              for path, verbs in document["paths"].items() for verb in verbs}
    assert rows == {f"{verb} {path}" for verb, path in routes}


@pytest.mark.parametrize("shell", SHELLS)
def test_the_lines_about_tls_begin_a_gateway(daemon, folder, shell):
    """On an address of this machine."""
    (folder / "acpd.sock").symlink_to(daemon.socket)
    token(folder / "tokens")
    text = block("docs/rest.md", "openssl req").replace("192.168.1.2:8443", "127.0.0.1:0")
    text = text.replace("acp-gateway ", "exec acp-gateway ")
    with begun(shell, text, folder, XDG_RUNTIME_DIR=str(folder)) as log:
        wait_until(lambda: "is ready on https://127.0.0.1:" in log.read_text(), "the gateway is ready")


def token(path):
    path.touch(mode=0o600)
    path.write_text("0123456789abcdef0123456789abcdef ann\n")


@contextlib.contextmanager
def begun(shell, text, folder, **environment):
    """Runs a command until the end of the block; yields its log."""
    log = folder / "log"
    path = f"{BUILD / 'gateway'}:{os.environ['PATH']}"
    with open(log, "wb") as file:
        process = subprocess.Popen([shell, "-euc", text], cwd=folder, stdout=file, stderr=file,
                                   env={**os.environ, "PATH": path, **environment})
    try:
        yield log
    finally:
        process.terminate()
        process.wait(60)
    assert process.returncode == 0, log.read_text()


# --- operations -----------------------------------------------------------------------------------


@pytest.mark.parametrize("shell", SHELLS)
def test_the_lines_about_tokens_make_files_that_a_gateway_takes(daemon, folder, shell):
    for name in ("chown", "systemctl"):
        stub(folder, name, f"echo {name} \"$@\" >>'{folder}/told'")
    run = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
           "-keyout", folder / "key.pem", "-out", folder / "cert.pem", "-subj", "/CN=box"]
    subprocess.run(run, check=True, capture_output=True)
    text = block("docs/operations.md", "(umask 077; echo").replace("/etc/acpd", str(folder))
    type_in(shell, text, folder)
    assert "root:acp-gateway" in (folder / "told").read_text()
    name, _, options = (folder / "acp-gateway.env").read_text().strip().partition("=")
    options = options.replace("192.168.1.2:8443", "127.0.0.1:0")
    assert name == "OPTIONS"
    (folder / "tokens").chmod(0o600)
    (folder / "key.pem").chmod(0o600)
    with begun(shell, f"exec acp-gateway --socket '{daemon.socket}' {options}", folder) as log:
        wait_until(lambda: "is ready on https://127.0.0.1:" in log.read_text(), "the gateway is ready")


@pytest.mark.parametrize("shell", SHELLS)
def test_the_lines_about_backups_restore_and_recover(make_daemon, folder, shell):
    daemon = make_daemon(config={"profiles": [{"name": "w", "runner": {"type": "worker"}}]})
    assert daemon.database_file.exists()
    stub(folder, "sudo", '[ "$1 $2" = "-u acpd" ] || exit 1; shift 2; exec "$@"')
    stub(folder, "systemctl", "")

    def type_page(text):
        return type_in(shell, text.replace("/var/lib/acpd", str(daemon.state))
                       .replace("/var/backups", str(folder)), folder)

    with daemon.client() as client:
        client.assign("w", "before")
        type_page(block("docs/operations.md", "sudo -u acpd acpd --state-dir /var/lib/acpd backup"))
        client.assign("w", "after")
    backup, = folder.glob("acpd-20*.db")
    backup.rename(folder / "acpd-2026-11-24.db")

    def titles():
        with daemon.start().client() as client:
            return [task["title"] for task in client.get_profile_task_queue(name="w")]

    daemon.stop()
    type_page(block("docs/operations.md", "systemctl stop acpd.socket acpd"))
    assert titles() == ["before"]
    daemon.stop()
    type_page(block("docs/operations.md", "sudo -u acpd acpd --state-dir /var/lib/acpd recover"))
    assert titles() == ["before"]


# --- agents ---------------------------------------------------------------------------------------


def test_check_names_the_agents_that_are_there(folder):
    (folder / "gemini").write_text("#!/bin/sh\n")
    (folder / "gemini").chmod(0o755)
    config = folder / "config.json"
    command = [ACPD, "--config", config, "--check"]

    def check():
        return subprocess.run(command, capture_output=True, text=True, timeout=60,
                              env={"PATH": str(folder)}).stdout

    config.write_text("{}")
    assert f'found the agent {folder}/gemini; a profile runs it with "runner": ' \
           '{"type": "acp", "command": ["gemini", "--acp"]}' in check()
    assert "goose" not in check()
    config.write_text(json.dumps({"profiles": [
        {"name": "g", "runner": {"type": "acp", "command": ["gemini", "--acp"]}}]}))
    assert "found the agent" not in check()


def test_the_log_names_the_agents_that_no_profile_runs(make_daemon, folder):
    for name in ("gemini", "goose"):
        (folder / name).write_text("#!/bin/sh\n")
        (folder / name).chmod(0o755)
    daemon = make_daemon({"name": "g", "runner": {"type": "acp", "command": ["gemini", "--acp"]}},
                         start=False)
    daemon.environment["PATH"] = f"{folder}:{os.environ['PATH']}"
    daemon.start()
    assert "found the agent" in daemon.log.read_text() and f"{folder}/goose" in daemon.log.read_text()
    assert f"{folder}/gemini" not in daemon.log.read_text()


# --- workers --------------------------------------------------------------------------------------


@contextlib.contextmanager
def worker(folder, daemon, text, *command):
    (folder / "worker").write_text(text)
    # Not in acpd's family: processes that a test leaves are found by ACPD_SOCKET.
    process = subprocess.Popen([command[0], str(folder / "worker"), *command[1:]], cwd=folder,
                               start_new_session=True,
                               env={**os.environ, "ACPD_SOCKET": str(daemon.socket)})
    try:
        with daemon.client() as client:
            yield client
        assert process.poll() is None, "the worker has ended"
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.fixture
def of_workers(make_daemon):
    (language, text), *_ = blocks("docs/workers.md")
    assert language == "json"
    config = json.loads(text)
    config["profiles"][0]["retry"] = {"maxAttempts": 1}
    return make_daemon(config=config)


@pytest.mark.parametrize("shell", SHELLS)
def test_the_worker_in_shell_works(of_workers, folder, shell):
    text = block("docs/workers.md", "#!/bin/sh")
    page = (ROOT / "docs/workers.md").read_text()
    command = shlex.split(re.search(r"sh worker\.sh (translator .*?)`", page)[1])
    with worker(folder, of_workers, text, shell, *command) as client:
        for title in ["", *TITLES]:
            task = client.finish(client.assign("translator", title + "good morning")["id"])
            assert task["status"] == "completed", task
            # jq only uppercases ASCII, and adds a newline.
            assert task["result"] == re.sub("[a-z]", lambda c: c[0].upper(), task["title"])
    assert not (folder / "x").exists()


@pytest.mark.parametrize("shell", SHELLS)
def test_the_worker_in_shell_says_that_the_work_failed(of_workers, folder, shell):
    text = block("docs/workers.md", "#!/bin/sh")
    command = ["translator", "sh", "-c", "jq -e '.title == \"good\"' || exit 3"]
    with worker(folder, of_workers, text, shell, *command) as client:
        task = client.finish(client.assign("translator", '"bad"')["id"])
        assert task["status"] == "failed"
        assert task["error"] == {"class": "exit", "message": "sh exited with status 3"}
        assert client.finish(client.assign("translator", "good")["id"])["status"] == "completed"


def test_the_worker_in_python_works_and_says_what_failed(of_workers, folder):
    text = block("docs/workers.md", "#!/usr/bin/env python3")
    with worker(folder, of_workers, text, "/usr/bin/python3", "translator") as client:
        for title in TITLES:
            task = client.finish(client.assign("translator", title, input=[1, 2, 39])["id"])
            assert task["result"] == {"title": title, "sum": 42}
        task = client.finish(client.assign("translator", input=[1, "two"])["id"])
        assert task["status"] == "failed" and task["error"]["class"] == "exit"
        assert "TypeError" in task["error"]["message"]
        assert client.finish(client.assign("translator", input=[])["id"])["status"] == "completed"


def test_the_worker_in_python_outlives_a_task_that_was_taken_away(of_workers, folder):
    """Here its work takes until a file exists."""
    text = block("docs/workers.md", "#!/usr/bin/env python3")
    waiting = text.replace("    return {", "    while not os.path.exists(\"go\"): done.wait(0.01)\n    return {")
    assert waiting != text
    with worker(folder, of_workers, waiting, "/usr/bin/python3", "translator") as client:
        id = client.assign("translator", input=[1])["id"]
        client.wait_status(id, "running")
        client.cancel_task(id=id)
        (folder / "go").touch()
        assert client.finish(client.assign("translator", input=[1])["id"])["status"] == "completed"


def test_every_promise_has_its_tests():
    """Each is listed in the table, and every listed test exists."""
    text = (ROOT / "docs" / "guarantees.md").read_text()
    promises = re.findall(r"^- ([A-Z][0-9])\. ", text, re.MULTILINE)
    rows = [line for line in text.splitlines() if line.startswith("| ") and "`tests/" in line]
    tested = {word for row in rows for word in re.findall(r"[A-Z][0-9]", row.split("|")[1])}
    assert set(promises) == tested and len(promises) > 15
    named = [name for row in rows for name in re.findall(r"`(tests/[^`]*)`", row)]
    for name in named:
        path, _, function = name.partition("::")
        source = (ROOT / path).read_text()
        assert not function or re.search(rf"def {function}\(|START_TEST\({function}\)", source), name
