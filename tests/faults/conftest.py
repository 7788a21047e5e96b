# SPDX-License-Identifier: MIT
import acpd
import pytest
from acpd import wait_until
from fleet import LEASE, nodes
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


@pytest.fixture
def make_fleet(make_daemon):
    """Starts daemons with names that share the database of the first one."""
    started = []

    def make(names, *profiles, lease=LEASE, urls={}, start=True, **settings):
        daemons = {}
        for name in names:
            daemon = make_daemon(*profiles, start=False)
            first = next(iter(daemons.values()), daemon)
            store = {**first.store, "lease": lease, "timeout": 1}
            store["url"] = urls.get(name, store["url"])
            daemon.configure({"profiles": profiles, "store": store, "node": {"name": name}, "killGrace": 0.2, **settings})
            daemons[name] = daemon.start() if start else daemon
            started.append(daemon)
        wait_until(lambda: not start or all(len(nodes(daemon)) == len(names) for daemon in daemons.values()),
                   "they know each other")
        return list(daemons.values())

    yield make
    for daemon in started:  # before the first one's database is dropped
        assert daemon.process is None or daemon.process.poll() is not None or daemon.stop() == 0, daemon.log.read_text()
