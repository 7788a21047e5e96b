# SPDX-License-Identifier: MIT
import acpd
import pytest
from server import Server


@pytest.fixture(scope="module")
def server():
    server = Server()
    yield server
    server.close()


@pytest.fixture
def use_server(server, monkeypatch):
    """What other fixtures start uses this server."""
    monkeypatch.setattr(acpd, "POSTGRES", server.url)
