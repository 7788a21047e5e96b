# SPDX-License-Identifier: MIT
"""PostgreSQL that is killed, hangs, ends sessions and loses answers: nothing acknowledged is lost, nothing is there
twice, nobody waits long."""

import subprocess
import threading
import time

import acpd
import pytest
from acpd import RpcError, is_alive, shell, wait_until
from database import assert_counters_are_right
from server import Pooler, Proxy

pytestmark = pytest.mark.usefixtures("use_server")

UNAVAILABLE = -32004
ANSWER_SECONDS = 30  # generous; the promise is 5, for a machine with nothing else to do
WORKER = {"name": "w", "runner": {"type": "worker", "lease": 3600}}


class Load:
    """Clients that assign tasks with keys, one after the other, and remember which were acknowledged and refused."""

    def __init__(self, daemon, clients=4):
        self.daemon, self.is_over = daemon, False
        self.acknowledged, self.refused, self.slowest = set(), set(), 0.0
        self.threads = [threading.Thread(target=self.run, args=[i]) for i in range(clients)]
        for thread in self.threads:
            thread.start()

    def run(self, number):
        with self.daemon.client() as client:
            count = 0
            while not self.is_over:
                key, began = f"{number}-{count}", time.monotonic()
                count += 1
                try:
                    client.assign("w", key=key)
                    self.acknowledged.add(key)
                except RpcError as error:
                    assert error.code == UNAVAILABLE, error
                    if "may or may not" not in error.message:
                        self.refused.add(key)
                self.slowest = max(self.slowest, time.monotonic() - began)

    def wait(self, count):
        before = len(self.acknowledged)
        wait_until(lambda: len(self.acknowledged) >= before + count, f"{count} more tasks")

    def end(self):
        self.is_over = True
        for thread in self.threads:
            thread.join()

    def check(self):
        """Everything acknowledged is there once, nothing refused is."""
        self.end()
        with self.daemon.client() as client:
            keys = [task["key"] for task in client.all_tasks().values()]
        assert len(keys) == len(set(keys)), "a task is there twice"
        assert self.acknowledged <= set(keys), "an acknowledged task is lost"
        assert not self.refused & set(keys), "a refused task is there"
        assert self.slowest < ANSWER_SECONDS
        self.daemon.stop()
        assert_counters_are_right(self.daemon)


def test_a_server_that_is_killed_loses_nothing(make_daemon, server):
    daemon = make_daemon(WORKER)
    load = Load(daemon)
    for _ in range(3):
        load.wait(50)
        server.restart()
    load.wait(50)
    load.check()


def test_sessions_that_are_ended_lose_nothing(make_daemon, server):
    daemon = make_daemon(WORKER)
    load = Load(daemon)
    for _ in range(20):
        load.wait(10)
        server.ask(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{daemon.database_name}'")
    load.wait(50)
    load.check()


@pytest.fixture
def proxy(server, folder):
    (folder / "proxy").mkdir()
    proxy = Proxy(server, folder / "proxy")
    yield proxy
    proxy.close()


def start_behind(proxy, make_daemon, *profiles):
    daemon = make_daemon(*profiles, start=False)
    url = daemon.store["url"].replace(proxy.server.folder, str(proxy.folder))
    daemon.configure({"profiles": profiles, "store": {**daemon.store, "url": url}})
    return daemon.start()


@pytest.mark.parametrize("what", ["the request", "the answer"])
def test_a_commit_that_is_lost_with_its_connection_is_resolved(make_daemon, proxy, what):
    daemon = start_behind(proxy, make_daemon, WORKER)
    load = Load(daemon)
    for _ in range(10):
        load.wait(10)
        lost = proxy.lost
        proxy.loses = what
        wait_until(lambda: proxy.lost > lost, "a commit is lost")
    load.wait(50)
    load.check()
    assert "commit is unknown" in daemon.log.read_text()


def test_a_pooler_may_lend_sessions_out(make_daemon, server, folder):
    (folder / "pooler").mkdir()
    pooler = Pooler(server, folder / "pooler")
    wait_until(pooler.socket.exists, "the pooler listens")
    daemon = make_daemon(WORKER, start=False)
    url = daemon.store["url"].replace(server.folder, str(pooler.folder))
    daemon.configure({"profiles": [WORKER], "store": {**daemon.store, "url": url, "pooler": "transaction"}})
    daemon.start()
    load = Load(daemon)
    with daemon.client() as client:
        for _ in range(3):
            load.wait(30)
            claim = client.claim_task(profiles=["w"], worker="x", wait=20)
            assert client.complete_task(id=claim["task"]["id"], lease=claim["lease"])["status"] == "completed"
            server.ask(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{daemon.database_name}'")
        load.wait(30)
    load.check()
    pooler.close()


def test_while_the_server_hangs_calls_are_refused_and_processes_go_on(make_daemon, server):
    daemon = make_daemon(WORKER, shell('while [ ! -e "$(dirname "$ACPD_SOCKET")/go" ]; do sleep 0.01; done', "p"))
    with daemon.client() as client:
        id = client.assign("p")["id"]
        client.wait_status(id, "running")
        with server.stopped():
            for call in (lambda: client.assign("w"), lambda: client.list_tasks()):
                with pytest.raises(RpcError) as error:
                    call()
                assert error.value.code == UNAVAILABLE
            (daemon.folder / "go").touch()
            storage = client.get_health()["storage"]
            assert storage["status"] == "failing" and storage["type"] == "postgres", storage
        wait_until(lambda: client.get_health()["storage"]["status"] == "ok", "the storage works again")
        assert client.finish(id)["status"] == "completed", "its end was kept"
        assert client.assign("w")["status"] == "queued"


def test_acpd_starts_again_after_a_kill(make_daemon):
    daemon = make_daemon(WORKER, shell("sleep 1000", "p"))
    with daemon.client() as client:
        running, waiting = client.assign("p")["id"], client.assign("w")["id"]
        claimed = client.assign("w")["id"]
        client.cancel_task(id=waiting)
        lease = client.claim_task(profiles=["w"], worker="x")["lease"]
        client.wait_status(running, "running")
    daemon.kill()
    daemon.start()
    with daemon.client() as client:
        assert client.wait_status(running, "running")["attempt"] == 2
        assert client.task(waiting)["status"] == "cancelled"
        assert client.complete_task(id=claimed, lease=lease)["status"] == "completed"
        client.cancel_task(id=running)


@pytest.mark.parametrize("is_in_doubt", [False, True])
def test_one_that_was_cut_off_while_another_took_over_stops_what_it_runs(make_daemon, proxy, folder, is_in_doubt):
    sleeper = shell("echo $$ >> '%s/pids'; sleep 1000" % folder)
    first = start_behind(proxy, make_daemon, sleeper)
    second = make_daemon(sleeper, start=False)
    second.configure({"profiles": [sleeper], "store": {**first.store}})
    with first.client() as client:
        id = client.assign("p")["id"]
        client.wait_status(id, "running")
        if is_in_doubt:
            proxy.loses, proxy.stays_cut = "the answer", True
            client.send_call("assign_task_to_profile", profileName="p", task={"title": "t"})
            wait_until(lambda: proxy.is_cut, "a commit is lost")
    proxy.is_cut = True
    second.start()
    with second.client() as client:
        wait_until(lambda: client.task(id)["attempt"] == 2 and client.task(id)["status"] == "running")
        proxy.is_cut = False
        assert first.process.wait(acpd.DEADLINE) != 0
        log = first.log.read_text()
        assert "no longer a node of the fleet" in log and "this node's row is gone" in log
        one, *others = map(int, (folder / "pids").read_text().split())
        wait_until(lambda: not is_alive(one), "what the first one ran has ended")
        assert others and all(map(is_alive, others))
    assert second.stop() == 0


def test_a_profile_whose_row_is_gone(make_daemon, server):
    """Another node removed it, and this one has not heard of it yet."""
    daemon = make_daemon(WORKER)
    server.ask("DELETE FROM profile", daemon.database_name)
    with daemon.client() as client:
        with pytest.raises(RpcError, match='profile "w" has been removed'):
            client.assign("w")
        assert client.get_health()["storage"]["status"] == "ok"


@pytest.mark.parametrize("url, words", [
    ("host=/nowhere dbname=acpd", "No such file or directory"),
    ("{server} dbname=missing", 'database "missing" does not exist'),
    ("host='secret", "store.url is neither a connection string nor a URI"),
    ("postgres//acpd:secret@host/db", "store.url is neither a connection string nor a URI"),
])
def test_a_database_that_cannot_be_used_is_told_at_the_start(make_daemon, server, url, words):
    daemon = make_daemon(WORKER, start=False)
    daemon.configure({"profiles": [WORKER], "store": {"type": "postgres", "url": url.format(server=server.url)}})
    daemon.spawn()
    assert daemon.process.wait(60) != 0
    assert words in daemon.log.read_text() and "secret" not in daemon.log.read_text()


def test_a_role_needs_no_more_than_to_create_its_tables(make_daemon, server):
    daemon = make_daemon(WORKER, start=False)
    server.ask("DROP ROLE IF EXISTS worker")
    server.ask("CREATE ROLE worker LOGIN NOSUPERUSER")
    server.ask("GRANT CREATE ON SCHEMA public TO worker", daemon.database_name)
    url = daemon.store["url"].replace("user=acpd", "user=worker")
    daemon.configure({"profiles": [WORKER], "store": {**daemon.store, "url": url}})
    daemon.start()
    with daemon.client() as client:
        id = client.assign("w")["id"]
        lease = client.claim_task(profiles=["w"], worker="x")["lease"]
        assert client.complete_task(id=id, lease=lease)["status"] == "completed"
        assert client.get_health()["storage"]["sizeBytes"] > 0
    assert daemon.stop() == 0


def test_a_database_of_another_encoding_is_refused(make_daemon, server):
    server.ask("CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0")
    daemon = make_daemon(WORKER, start=False)
    daemon.configure({"profiles": [WORKER], "store": {"type": "postgres", "url": f"{server.url} dbname=latin"}})
    daemon.spawn()
    assert daemon.process.wait(60) != 0
    assert "encoding has to be UTF8" in daemon.log.read_text()


def test_a_message_that_is_cut_within_a_character_stops_nobody(make_daemon):
    daemon = make_daemon(WORKER, *(shell(f"head -c {cut} < /dev/zero | tr '\\0' a; yes € | tr -d '\\n' | head -c 9000; "
                                         "exit 3", f"p{cut}", retry={"maxAttempts": 1}) for cut in range(4)),
                         *(shell(f"(head -c {cut} < /dev/zero | tr '\\0' a; yes € | tr -d '\\n' | head -c 9000) >&2; exit 3",
                                 f"q{cut}", retry={"maxAttempts": 1}) for cut in range(4)))
    with daemon.client() as client:
        ids = [client.assign(f"{name}{cut}")["id"] for name in "pq" for cut in range(4)]
        assert {client.finish(id)["status"] for id in ids} == {"failed"}
        assert client.assign("w")["status"] == "queued"


def test_a_list_of_long_results_reads_few_of_them(make_daemon):
    daemon = make_daemon(WORKER, inputLimit=16 << 20, lineLimit=64 << 20)
    with daemon.client() as client:
        for _ in range(12):
            id = client.assign("w")["id"]
            claim = client.claim_task(profiles=["w"], worker="x")
            client.complete_task(id=id, lease=claim["lease"], result="x" * (8 << 20))
        assert client.list_tasks(limit=1)["tasks"][0]["id"] == id


def test_a_session_that_ended_meanwhile_costs_nobody_a_call(make_daemon, server):
    daemon = make_daemon(WORKER)
    with daemon.client() as client:
        client.assign("w")
        server.ask(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{daemon.database_name}'")
        assert client.assign("w")["status"] == "queued"


def test_a_server_that_is_read_only_for_a_while(make_daemon, server):
    daemon = make_daemon(WORKER)
    sessions = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{daemon.database_name}'"
    setting = f"ALTER DATABASE {daemon.database_name} %s default_transaction_read_only"
    with daemon.client() as client:
        server.ask(setting % "SET" + " = on")
        server.ask(sessions)
        with pytest.raises(RpcError) as error:
            client.assign("w")
        assert error.value.code == UNAVAILABLE
        server.ask(setting % "RESET")
        wait_until(lambda: client.get_health()["storage"]["status"] == "ok", "it can write again")
        assert client.assign("w")["status"] == "queued"


def test_check_says_what_is_there_and_changes_nothing(make_daemon, server):
    def check(daemon):
        run = subprocess.run([*daemon.arguments(), "--check"], capture_output=True, text=True)
        assert run.returncode == 0, run.stderr
        return run.stdout

    daemon = make_daemon(WORKER, start=False)
    assert "has no acpd tables yet" in check(daemon)
    assert server.ask("SELECT count(*) FROM pg_class WHERE relname = 'task'", daemon.database_name) == "0"
    daemon.start()
    assert "has schema 4" in check(daemon)
    daemon.stop()
    server.ask("UPDATE acpd_schema SET version = 1000", daemon.database_name)
    daemon.spawn()
    assert daemon.process.wait(60) != 0
    assert "was written by a newer acpd (schema 1000" in daemon.log.read_text()
