# SPDX-License-Identifier: MIT
"""What `meson install` puts where, and whether it works there."""

import subprocess

import pytest

import acpd
from acpd import DEADLINE


@pytest.mark.parametrize("file", [
    "bin/acpd", "bin/acp-gateway", "libexec/acpd/acpd-demo", "share/acpd/dashboard/index.html",
    "lib/systemd/system/acpd.service", "lib/systemd/system/acpd.socket",
    "lib/systemd/system/acp-gateway.service", "lib/systemd/user/acpd.service",
    "lib/systemd/user/acpd.socket", "lib/systemd/user/acp-gateway.service",
    "lib/sysusers.d/acpd.conf", "lib/tmpfiles.d/acpd.conf", "share/doc/acpd/README.md",
    "share/doc/acpd/docs/operations.md", "share/doc/acpd/docs/images/profiles.png",
    "share/doc/acpd/docs/monitoring/alerts.yml", "share/doc/acpd/docs/monitoring/grafana.json"])
def test_it_is_all_there(installed, file):
    assert (installed / file).is_file()


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


def test_openssl_is_found_where_it_was_installed(installed, folder):
    """The gateway reads the certificate only after it has found OpenSSL."""
    run = subprocess.run([installed / "bin/acp-gateway", "--tls-cert", folder / "none", "--tls-key",
                          folder / "none"], capture_output=True, text=True, timeout=DEADLINE)
    assert f"cannot read {folder}/none" in run.stderr
