# SPDX-License-Identifier: MIT
"""What the documents say holds."""

import json
import os
import pathlib
import re
import signal
import subprocess

import pytest

from acpd import ACPD, wait_until

ROOT = pathlib.Path(__file__).parents[2]


def test_the_readme_tour_shows_what_it_says(make_daemon):
    daemon = make_daemon()
    tour = (ROOT / "README.md").read_text().split("## A tour")[1].split("\n## ")[0]
    lines = "".join(line for line in tour.splitlines(True) if line.startswith("    "))
    script = lines.replace("build/run/acpd.sock", str(daemon.socket))
    assert str(daemon.socket) in script
    output = subprocess.run(["bash", "-euo", "pipefail"], input=script, capture_output=True,
                            text=True, timeout=120)
    assert output.returncode == 0, output.stderr
    submitted, _, _, _, queue, log, cancelled = [
        json.loads(line)["result"] for line in output.stdout.splitlines()]
    assert submitted["task"]["profile"] == "development" and submitted["task"]["routing"]["reason"]
    assert [task["id"] for task in queue] == [3, 4] and queue[1]["pending"]["reason"] == "slots"
    assert set(log) == {"entries", "next", "truncated"}
    assert cancelled["id"] == 4 and cancelled["status"] == "cancelled"
    with daemon.client() as client:
        assert "demo agent" in client.finish(2)["result"]["text"]
        assert any("demo agent" in text for text in client.log(2))


def test_the_protocol_lists_every_method_with_its_parameters(daemon):
    text = (ROOT / "docs/protocol.md").read_text()
    rows = dict(re.findall(r"^\| `([a-z_.]+)` \| ((?:`[^`]*`)?)", text, re.M))
    with daemon.client() as client:
        methods = client.call("rpc.discover")["methods"]
    assert len(methods) > 15
    for method in methods:
        names = [p["name"] + ("" if p["required"] else "?") for p in method["params"]]
        assert method["name"] in rows, f"docs/protocol.md does not have {method['name']}"
        if names:
            assert rows[method["name"]] == f"`{', '.join(names)}`", method["name"]


def test_every_curl_line_of_the_rest_document_works(make_daemon, make_gateway):
    gateway = make_gateway(make_daemon())
    lines = re.findall(r"^    (curl .*)$", (ROOT / "docs/rest.md").read_text(), re.M)
    document = gateway.request("GET", "/api/openapi.json").json
    assert len(lines) == sum(len(verbs) for verbs in document["paths"].values())
    for line in lines:
        if "/api/permissions/" in line:
            wait_until(lambda: gateway.get("/api/permissions").json, "the demo agent asks")
        line = line.replace("http://127.0.0.1:8080", gateway.url)
        run = subprocess.run(["bash", "-c", line + " --fail-with-body -sS"], capture_output=True,
                             text=True, timeout=60)
        ends = (28,) if "--max-time" in line else (0,)  # a stream goes on until its time is over
        assert run.returncode in ends, f"{line}\n{run.stdout}{run.stderr}"


def test_the_rest_document_lists_every_route(make_daemon, make_gateway):
    rows = set(re.findall(r"^\| `([A-Z]+ /[^`]*)` \|", (ROOT / "docs/rest.md").read_text(), re.M))
    document = make_gateway(make_daemon()).request("GET", "/api/openapi.json").json
    routes = {(verb.upper(), re.sub("{([a-z]+)}", r":\1", path))
              for path, verbs in document["paths"].items() for verb in verbs}
    assert rows == {f"{verb} {path}" for verb, path in routes}


def test_every_snippet_of_the_agents_is_a_good_configuration(folder):
    agents = {"claude-code-acp", "gemini", "codex-acp", "opencode", "goose"}
    seen = set()
    for number, snippet in enumerate(snippets("agents.md", "json")):
        file = folder / f"{number}.json"
        file.write_text(snippet)
        run = subprocess.run([ACPD, "--config", file, "--check"], capture_output=True, text=True,
                             timeout=60)
        assert run.returncode == 0, f"{snippet}\n{run.stderr}"
        seen |= {p["runner"]["command"][0] for p in json.loads(snippet)["profiles"]}
    assert agents <= seen


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


def snippets(document, language):
    return re.findall(rf"^```{language}\n(.*?)^```", (ROOT / "docs" / document).read_text(),
                      re.M | re.S)


@pytest.mark.parametrize("language, command, title, result", [
    ("sh", "sh", "good morning", "GOOD MORNING"),
    ("python", "/usr/bin/python3", "abc", {"reversed": "cba"}),
])
def test_the_workers_of_the_document_work(make_daemon, folder, language, command, title, result):
    config, = snippets("workers.md", "json")
    script, = snippets("workers.md", language)
    file = folder / "worker"
    file.write_text(script)
    daemon = make_daemon(config=json.loads(config))
    # Out of acpd's family: what a test leaves running is found by ACPD_SOCKET.
    worker = subprocess.Popen([command, str(file), "translator"], start_new_session=True,
                              env={**os.environ, "ACPD_SOCKET": str(daemon.socket)})
    try:
        with daemon.client() as client:
            for _ in range(3):
                task = client.finish(client.assign("translator", title)["id"])
                assert task["status"] == "completed" and task["result"] == result
    finally:
        os.killpg(worker.pid, signal.SIGKILL)
        worker.wait()


def test_every_promise_has_its_tests():
    """Each is named in the table, and what the table names is there."""
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
