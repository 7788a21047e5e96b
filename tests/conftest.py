# SPDX-License-Identifier: MIT
import pathlib
import shutil
import sys
import tempfile

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import acpd  # noqa: E402
from acpd import Daemon, Gateway  # noqa: E402
from schema import Schemas  # noqa: E402

acpd.schemas = Schemas(acpd.BUILD / "api")


@pytest.fixture
def folder():
    """A folder with a short name: socket paths have at most 107 bytes."""
    path = tempfile.mkdtemp(prefix="acpd-", dir="/tmp")
    yield pathlib.Path(path)
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def make_daemon(folder):
    """Starts daemons with the given profiles and settings; each is stopped and checked at the end:
    it must exit cleanly, without sanitizer errors or processes left behind."""
    daemons = []

    def make(*profiles, start=True, config=None, **settings):
        if profiles:
            config = {"profiles": list(profiles), **settings}
        base = folder / str(len(daemons))
        base.mkdir()
        daemon = Daemon(base, config)
        daemons.append(daemon)
        return daemon.start() if start else daemon

    yield make
    for daemon in daemons:
        if daemon.process is None:
            continue
        was_running = daemon.process.poll() is None
        status = daemon.stop()
        log = daemon.log.read_text(errors="replace")
        assert "Sanitizer" not in log and "runtime error" not in log, log
        assert not was_running or status == 0, f"exit status {status}\n{log}"
        assert not daemon.processes(), "processes were left behind"
        daemon.drop_database()


@pytest.fixture
def daemon(make_daemon):
    """A daemon with one profile "p", which is paused."""
    from acpd import profile

    daemon = make_daemon(profile("p"))
    with daemon.client() as client:
        client.update_profile_status(name="p", isActive=False)
    return daemon


@pytest.fixture
def client(daemon):
    with daemon.client() as client:
        yield client


@pytest.fixture
def make_gateway(folder):
    """Starts gateways for a daemon or for the path of a socket; each is stopped and checked at the end:
    it must exit cleanly, without sanitizer errors."""
    gateways = []

    def make(daemon, *arguments, start=True, **options):
        base = folder / f"gateway-{len(gateways)}"
        base.mkdir()
        gateway = Gateway(base, getattr(daemon, "socket", daemon), *arguments, **options)
        gateways.append(gateway)
        return gateway.start() if start else gateway

    yield make
    for gateway in gateways:
        if gateway.process is None:
            continue
        was_running = gateway.process.poll() is None
        status = gateway.stop()
        log = gateway.log.read_text(errors="replace")
        assert "Sanitizer" not in log and "runtime error" not in log, log
        assert not was_running or status == 0, f"exit status {status}\n{log}"


@pytest.fixture
def gateway(make_gateway, daemon):
    """A gateway for the fixture's daemon."""
    return make_gateway(daemon)
