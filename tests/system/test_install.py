# SPDX-License-Identifier: MIT
"""What `meson install` puts where, and that it works there."""

import subprocess

import pytest

import acpd
from acpd import BUILD


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The prefix of an installation, somewhere else than where it was configured to be."""
    root = tmp_path_factory.mktemp("installed")
    subprocess.run(["meson", "install", "-C", BUILD, "--no-rebuild", "--destdir", root],
                   check=True, capture_output=True, timeout=120)
    [program] = root.rglob("bin/acpd")
    return program.parents[1]


def test_everything_is_found_where_it_was_installed(installed, make_daemon, make_gateway, monkeypatch):
    monkeypatch.setattr(acpd, "ACPD", installed / "bin/acpd")
    monkeypatch.setattr(acpd, "GATEWAY", installed / "bin/acp-gateway")
    daemon = make_daemon()
    with daemon.client() as client:
        id = client.submit_task(task={"title": "t", "type": "coding"})["task"]["id"]
        assert "demo agent" in client.finish(id)["result"]["text"]
    gateway = make_gateway(daemon)
    assert gateway.get("/profiles").status == 200
    assert gateway.get("/api/health").status == 200
