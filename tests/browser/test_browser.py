# SPDX-License-Identifier: MIT
"""Pages of the gateway in Debian's Chromium, and its API's document under a real validator."""

import http.server
import json
import pathlib
import subprocess
import threading

HERE = pathlib.Path(__file__).parent


def node(*arguments):
    run = subprocess.run(["node", *arguments], cwd=HERE, capture_output=True, text=True, timeout=180)
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


class Stranger(http.server.BaseHTTPRequestHandler):
    """Another program's server on the same machine."""

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>a stranger</title>")

    def log_message(self, *_):
        pass


def test_a_page_uses_the_api_without_naming_a_content_type(make_daemon, make_gateway):
    daemon = make_daemon()
    gateway = make_gateway(daemon)
    seen = json.loads(node("scenarios.mjs", "fetches", gateway.url))
    assert seen["metrics"]["status"] == 200
    assert set(seen["metrics"]["body"]) == {"product-manager", "refinement", "development"}
    assert seen["best"]["body"]["bestProfile"]["name"] == "development"
    assert seen["status"]["body"]["success"] is True
    with daemon.client() as client:
        assert client.state("development")["isActive"] is False


def test_the_page_shows_switches_and_assigns(make_daemon, make_gateway):
    daemon = make_daemon()
    node("scenarios.mjs", "page", make_gateway(daemon).url)
    with daemon.client() as client:
        assert client.state("refinement")["isActive"] is False
        assert client.task(1)["title"] == "From the <b>page</b>"


def test_a_page_of_another_origin_can_change_nothing(make_daemon, make_gateway):
    daemon = make_daemon()
    target = make_gateway(daemon)
    with http.server.HTTPServer(("127.0.0.1", 0), Stranger) as stranger:
        threading.Thread(target=stranger.serve_forever, daemon=True).start()
        other = f"http://127.0.0.1:{stranger.server_port}"
        seen = json.loads(node("scenarios.mjs", "strangers", target.url, other))
        stranger.shutdown()
    # The browser asks first and is refused, or hides the answer; the request itself did nothing.
    assert seen == {"json": "blocked", "simple": "blocked"}
    with daemon.client() as client:
        assert client.list_tasks()["tasks"] == []


def test_the_openapi_document_is_valid(make_daemon, make_gateway, folder):
    path = folder / "openapi.json"
    path.write_bytes(make_gateway(make_daemon()).request("GET", "/api/openapi.json").body)
    print(node("node_modules/@seriousme/openapi-schema-validator/bin/validate-api-cli.js", str(path)))
