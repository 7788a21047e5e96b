# SPDX-License-Identifier: MIT
"""A PostgreSQL that is replaced by its standby, and one that is reached by TLS."""

import contextlib
import os
import shutil
import socket
import subprocess

import acpd
import pytest
from acpd import RpcError, is_alive, shell, wait_until
from server import Server
from test_postgres import WORKER, Load


@pytest.fixture
def pair():
    """A server and its standby, which has all that is committed from the time at which it is synchronous."""
    with contextlib.ExitStack() as stack:
        primary = Server()
        stack.callback(primary.close)
        standby = primary.standby()
        stack.callback(standby.close)
        yield primary, standby


def make_synchronous(primary):
    primary.ask("ALTER SYSTEM SET synchronous_standby_names = '*'")
    primary.ask("SELECT pg_reload_conf()")
    wait_until(lambda: primary.ask("SELECT sync_state FROM pg_stat_replication") == "sync", "the standby follows")


def start(make_daemon, monkeypatch, primary, standby, *profiles):
    """acpd, and what looks into its database, knows both servers."""
    monkeypatch.setattr(acpd, "POSTGRES", primary.url)
    daemon = make_daemon(*profiles, start=False)
    daemon.store["url"] = daemon.store["url"].replace(primary.folder, f"{primary.folder},{standby.folder}")
    daemon.configure(*profiles, store={**daemon.store, "lease": 60})
    return daemon.start()


def leave(daemon):
    """Before the servers go, with all databases."""
    assert daemon.stop() == 0, daemon.log.read_text()
    daemon.store = None


def fail_over(primary, standby):
    primary.control("stop")
    standby.control("promote")


def test_a_synchronous_standby_takes_over_without_a_loss(make_daemon, monkeypatch, pair, folder):
    primary, standby = pair
    make_synchronous(primary)
    daemon = start(make_daemon, monkeypatch, primary, standby, WORKER,
                   shell(f"while [ ! -e {folder}/go ]; do sleep 0.05; done"))
    with daemon.client() as client:
        running = client.wait_status(client.assign("p")["id"], "running")["id"]
        load = Load(daemon)
        load.wait(100)
        fail_over(primary, standby)
        load.wait(100)
        (folder / "go").touch()
        assert client.finish(running)["attempt"] == 1, "what runs goes on meanwhile"
    load.check()
    leave(daemon)


def test_a_node_stops_when_the_new_server_lacks_its_last_commits(make_daemon, monkeypatch, pair, folder):
    primary, standby = pair
    daemon = start(make_daemon, monkeypatch, primary, standby, WORKER, shell(f"echo $$ > {folder}/pid; exec sleep 1000"))
    with daemon.client() as client:
        kept = client.assign("w", key="kept")["id"]
        client.wait_status(client.assign("p")["id"], "running")
        wait_until((folder / "pid").exists, "it runs")
        end = primary.ask("SELECT pg_current_wal_lsn()")
        wait_until(lambda: standby.ask(f"SELECT pg_last_wal_replay_lsn() >= '{end}'") == "t", "the standby has all that")
        standby.ask("ALTER SYSTEM SET primary_conninfo = ''")
        standby.ask("SELECT pg_reload_conf()")
        wait_until(lambda: not primary.ask("SELECT pid FROM pg_stat_replication"), "the standby is cut off")
        client.assign("w", key="lost")
    fail_over(primary, standby)
    assert wait_until(lambda: daemon.process.poll() is not None and [daemon.process.returncode], "it stops") != [0]
    assert "this node's row is gone" in daemon.log.read_text()
    assert not is_alive(int((folder / "pid").read_text()))

    daemon.start()
    with daemon.client() as client:
        assert client.task(kept)["key"] == "kept"
        assert "deduplicated" not in client.assign("w", key="lost")
    leave(daemon)


def make_certificate(folder, name):
    """Of an authority of its own."""
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}",
                    "-addext", f"subjectAltName=DNS:{name}", "-keyout", f"{folder}/{name}.key", "-out", f"{folder}/{name}.crt"],
                   check=True, capture_output=True)
    return folder / f"{name}.crt"


def listen_with_tls(server, folder):
    """The server listens at a free port, with a certificate for "localhost"; returns both."""
    certificate = make_certificate(folder, "localhost")
    for kind in ("crt", "key"):
        path = shutil.copy(folder / f"localhost.{kind}", f"{server.folder}/server.{kind}")
        if os.getuid() == 0:
            shutil.chown(path, "postgres")
        os.chmod(path, 0o600)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for setting in ("listen_addresses = 'localhost'", f"port = {port}", "ssl = on",
                    f"ssl_cert_file = '{server.folder}/server.crt'", f"ssl_key_file = '{server.folder}/server.key'"):
        server.ask(f"ALTER SYSTEM SET {setting}")
    server.restart()
    server.url += f" port={port}"  # of its socket, too
    return port, certificate


def test_tls_to_the_server(make_daemon, monkeypatch, folder):
    with contextlib.closing(Server()) as server:
        port, certificate = listen_with_tls(server, folder)
        monkeypatch.setattr(acpd, "POSTGRES", server.url)
        daemon = make_daemon(WORKER, start=False)
        url = f"postgresql://acpd@localhost:{port}/{daemon.database_name}?sslmode=verify-full&sslrootcert="
        daemon.configure(WORKER, store={**daemon.store, "url": url + str(certificate)})
        load = Load(daemon.start())
        load.wait(50)
        assert server.ask("SELECT DISTINCT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) "
                          "WHERE application_name = 'acpd'") == "t"
        server.restart()
        load.wait(50)
        load.check()

        daemon.configure(WORKER, store={**daemon.store, "url": url + str(make_certificate(folder, "stranger"))})
        with pytest.raises(AssertionError, match="acpd ended"):
            daemon.start()
        assert "certificate verify failed" in daemon.log.read_text()
        daemon.store = None
