# SPDX-License-Identifier: MIT
"""The API's document is what makers of clients need: a linter has nothing to say of it, and a client whose types
are made from it compiles and works."""

import json
import os
import pathlib
import shutil
import subprocess

import pytest

HERE = pathlib.Path(__file__).parent


@pytest.fixture
def gateway(make_daemon, make_gateway):
    return make_gateway(make_daemon({"name": "p", "capabilities": ["coding"], "runner": {"type": "worker"}}))


@pytest.fixture
def run(folder, gateway):
    """Runs a program of npm beside openapi.json."""
    (folder / "openapi.json").write_bytes(gateway.get("/api/openapi.json").body)
    (folder / "node_modules").symlink_to(HERE / "node_modules")

    def run(*command):
        command = [str(part) for part in command]
        environment = {**os.environ, "REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true"}
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=240)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


def test_the_openapi_document_has_no_warning(run):
    totals = json.loads(run("node_modules/.bin/redocly", "lint", "--format=json", "openapi.json"))["totals"]
    assert totals == {"errors": 0, "warnings": 0, "ignored": 0}


def test_a_typed_client_compiles_and_makes_the_nine_calls(folder, gateway, run):
    for name in ("nine.ts", "package.json", "tsconfig.json"):
        shutil.copy(HERE / name, folder)
    run("node_modules/.bin/openapi-typescript", "openapi.json", "-o", "schema.d.ts")
    run("node_modules/.bin/tsc")
    run("node", "built/nine.js", gateway.url, "p")
