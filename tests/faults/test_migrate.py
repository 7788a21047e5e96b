# SPDX-License-Identifier: MIT
"""`acpd migrate`: everything is there, in the other kind of store, or nothing is."""

import contextlib
import json
import pathlib
import random
import re
import shutil
import sqlite3
import subprocess
import tempfile
import time

import acpd
import pytest
from acpd import ACPD, Daemon, profile, shell, wait_until
from database import assert_counters_are_right
from pages import SHELLS, block, stub, type_in
from server import Proxy

TASKS = 20_000
TABLES = {"profile", "task", "attempt", "bucket", "dependency", "release", "uptime", "last id"}
PROFILES = [
    {"name": "w", "runner": {"type": "worker", "lease": 3600}, "queueLimit": 100_000, "maxConcurrentTasks": 10},
    profile("p"),
    shell("echo \u00fcbel >&2; exit 3", "f", retry={"maxAttempts": 1}),
    shell("sleep 1000", "r"),
    profile("paused"),
]


@pytest.fixture(autouse=True)
def is_sqlite(monkeypatch):
    """What the other fixtures start uses SQLite."""
    monkeypatch.setattr(acpd, "POSTGRES", None)


@pytest.fixture
def url(server, folder):
    """A new database."""
    name = f"acpd_{folder.name.replace('-', '_').lower()}_{random.randrange(10 ** 9)}"
    server.ask(f'CREATE DATABASE "{name}"')
    yield f"{server.url} dbname={name}"
    server.ask(f'DROP DATABASE "{name}" WITH (FORCE)')


def fill(daemon):
    """Tasks in all states."""
    with daemon.client() as client:
        client.update_profile_status(name="paused", isActive=False)
        for i in range(20):
            last = client.assign("p", f"done {i} \U0001f389", type="x", priority="high")["id"]
        failed = client.assign("f")["id"]
        client.assign("p", dependsOn=[last])
        client.assign("p", dependsOn=[failed])  # is cancelled
        client.assign("paused", runAt="2100-01-01T00:00:00Z")
        client.assign("p", runAt="2100-01-01T00:00:00Z", node=client.get_health()["nodes"][0]["name"])
        client.finish(last)
        assert client.finish(failed)["status"] == "failed"
        client.wait_status(client.assign("r")["id"], "running")
        for key in "abcde":
            waits = client.assign("w", key=f"claimed {key}")["id"]
            claim = client.claim_task(profiles=["w"], worker="\u00e9")
        client.complete_task(id=claim["task"]["id"], lease=claim["lease"], result={"a": ["\\", '"', "\u2028", 1.5e-7]})
        for base in range(0, TASKS, 500):
            client.send("[" + ",".join(json.dumps({
                "jsonrpc": "2.0", "id": i, "method": "assign_task_to_profile", "params": {"profileName": "w", "task": {
                    "title": f"{i}", "key": f"k{i}", "priority": random.choice(["low", "medium", "high"]),
                    "input": "\t\\x\u00fc" * random.randrange(60)}}}) for i in range(base, base + 500)) + "]\n")
            assert all("result" in reply for reply in json.loads(client.line()))
        blocked = client.assign("w", dependsOn=[waits + 1])["id"]
        client.wait_status(blocked, "blocked")


@pytest.fixture(scope="module")
def original():
    """The state directory of an acpd that was killed."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="acpd-", dir="/tmp"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(acpd, "POSTGRES", None)
        daemon = Daemon(folder, {"profiles": PROFILES})
        fill(daemon.start())
        daemon.kill()
        wait_until(lambda: not daemon.processes(), "its processes have ended")
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def state(original, folder):
    return pathlib.Path(shutil.copytree(original / "state", folder / "state"))


def command(source, target):
    def name(store):
        return f"sqlite:{store}" if isinstance(store, pathlib.Path) else f"postgres:{store}"

    return [ACPD, "migrate", "--from", name(source), "--to", name(target)]


def run(source, target):
    return subprocess.run(command(source, target), capture_output=True, text=True, timeout=300)


def migrate(source, target):
    done = run(source, target)
    assert done.returncode == 0, done.stderr
    return done.stdout


def refused(source, target, *words, status=1):
    before = everything(source) if exists(source) and status == 1 else None  # who uses it may change it
    done = run(source, target)
    assert done.returncode == status and not done.stdout, done
    assert "Sanitizer" not in done.stderr and "runtime error" not in done.stderr, done.stderr
    for word in words:
        assert word in done.stderr, done.stderr
    assert before == (everything(source) if before else None)


def exists(store):
    return not isinstance(store, pathlib.Path) or (store / "acpd.db").exists()


def psql(url, sql):
    done = subprocess.run(["psql", "-qXAt", url, "-c", sql], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def sqlite_rows(state):
    with contextlib.closing(sqlite3.connect(state / "acpd.db")) as database:
        database.row_factory = sqlite3.Row
        names = [row["name"] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND "
                                                         "name NOT LIKE 'sqlite%'")]
        for name in names:
            yield name, [dict(row) for row in database.execute(f"SELECT * FROM {name}")]
        yield "last id", [dict(row) for row in database.execute("SELECT seq FROM sqlite_sequence")]


def postgres_rows(url):
    for name in psql(url, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'").split():
        sql = f"SELECT row_to_json(t) FROM {name} AS t"
        if name == "profile":  # with the minute, which SQLite has in its row
            sql = "SELECT to_jsonb(profile) || coalesce(to_jsonb(share) - 'profile_id', '{}') FROM profile " \
                  "LEFT JOIN share ON profile_id = profile.id"
        yield name, [json.loads(line) for line in psql(url, sql).split("\n")[:-1]]
    yield "last id", [{"seq": int(psql(url, "SELECT coalesce(max(last_value), 0) FROM pg_sequences "
                                            "WHERE sequencename = 'profile_id_seq'"))}]


def plain(value):
    """As JSON from PostgreSQL has it, but for numbers instead of booleans."""
    return "\\x" + value.hex() if isinstance(value, bytes) else int(value) if isinstance(value, bool) else value


def everything(store):
    """All rows of all tables, but for nodes, in the same form for both kinds."""
    rows = sqlite_rows(store) if isinstance(store, pathlib.Path) else postgres_rows(store)
    return {name: sorted(json.dumps({column: plain(row[column]) for column in sorted(row)
                                     if column not in ("node", "node_id", "only_node")}) for row in of_table)
            for name, of_table in rows if name in TABLES}


def same(one, other):
    one, other = everything(one), everything(other)
    assert one.keys() == other.keys() == TABLES
    for name in one:
        assert one[name] == other[name], name  # says which table it is, without comparing thousands of lines


def start(make_daemon, store):
    daemon = make_daemon(*PROFILES, start=False)
    if isinstance(store, pathlib.Path):
        daemon.state = store
    else:
        daemon.configure({"profiles": PROFILES, "store": {"type": "postgres", "url": store}})
    return daemon.start()


def seen(daemon):
    """What users see, as far as time does not change it."""
    with daemon.client() as client:
        tasks = client.all_tasks()
        for task in tasks.values():
            task.pop("node", None)
            task["pending"] = task["pending"] and task["pending"]["reason"]
            if task["profile"] == "r":
                task["startedAt"] = task["queuedAt"] = task["readyAt"] = None
        queue = [task["id"] for task in client.get_profile_task_queue(name="w", limit=1000)]
        metrics = {name: [of[key] for key in ("sampleSize", "successRate", "averageTaskDuration", "p95TaskDuration")]
                   for name, of in client.get_all_profile_metrics(range="24h").items()}
        states = {state["name"]: [state[key] for key in ("isActive", "queueSize", "completedTasks", "failedTasks")]
                  for state in client.get_profile_states()}
        return tasks, queue, metrics, states


def test_there_and_back_everything_is_the_same(state, url, folder):
    def files():
        return [(state / name).read_bytes() for name in ("acpd.db", "acpd.db-wal")]

    before = files()
    said = migrate(state, url)
    assert files() == before, "the source was changed"
    tasks = len(everything(state)["task"])
    assert tasks > TASKS and f"\ntask: {tasks} rows, the same in both\n" in said
    assert 'set store.type to "postgres"' in said
    same(state, url)
    pinned = psql(url, "SELECT only_node, body FROM task WHERE only_node IS NOT NULL OR body LIKE '%onlyNode%'")
    name, body = pinned.strip().split("|", 1)
    assert body.startswith(f'"onlyNode":"{name}",')
    back = folder / "back"
    assert f"--state-dir {back}" in migrate(url, back)
    same(state, back)
    same(url, back)
    check = subprocess.run([ACPD, "--state-dir", back, "--check"], capture_output=True, text=True)
    assert check.returncode == 0 and f"{tasks} tasks" in check.stdout, check
    assert {path.name for path in back.iterdir()} <= {"acpd.db", "acpd.lock", "acpd.db-wal", "acpd.db-shm"}
    assert (back / "acpd.db").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("way", ["to PostgreSQL", "and back"])
def test_a_daemon_goes_on_with_what_was_moved(make_daemon, state, url, folder, way):
    migrate(state, url)
    store = url
    if way == "and back":
        migrate(url, folder / "back")
        store = folder / "back"
    before = start(make_daemon, state)
    expected = seen(before)
    before.stop()
    after = start(make_daemon, store)
    with after.client() as client:
        running, = client.list_tasks(profile="r")["tasks"]
        wait_until(lambda: client.task(running["id"])["attempt"] == 2, "what ran runs again")
        tasks, *others = seen(after)
        assert others == list(expected[1:])
        assert tasks.keys() == expected[0].keys()
        assert [task for id, task in tasks.items() if task != expected[0][id]] == []
        head = expected[1][0]
        claim = client.claim_task(profiles=["w"], worker="x")
        assert claim["task"]["id"] == head
        assert client.complete_task(id=head, lease=claim["lease"])["status"] == "completed"
        assert client.assign("w", key="k7")["title"] == "7", "its key is known"
        assert client.assign("w")["id"] == max(tasks) + 1
        assert client.finish(client.assign("p")["id"])["status"] == "completed"
        client.cancel_task(id=running["id"])
        client.finish(running["id"])
    after.stop()
    if way == "and back":
        assert_counters_are_right(after)


# --- again and again ------------------------------------------------------------------------------


def test_what_was_moved_already_is_only_compared(state, url, folder):
    for store, target in (state, url), (url, folder / "back"):
        said, before = migrate(store, target), everything(target)
        assert migrate(store, target) == said
        same(store, target)
        assert everything(target) == before
    assert not list((folder / "back").glob("*.replaced-*"))


@pytest.mark.parametrize("way", ["to PostgreSQL", "and back"])
def test_a_run_that_is_killed_is_run_again(state, url, folder, way):
    migrate(state, url)
    source, target = (state, url) if way == "to PostgreSQL" else (url, folder / "back")
    expected, killed, parts, lasts = everything(source), 0, 8, acpd.DEADLINE
    for part in range(parts):
        if way == "to PostgreSQL":
            empty(target)
        else:
            shutil.rmtree(target, ignore_errors=True)
        process = subprocess.Popen(command(source, target), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(lasts * part / parts)
        process.kill()
        killed += process.wait() != 0
        assert tasks_of(target) in (0, len(expected["task"])), "half of it is there"
        began = time.monotonic()
        migrate(source, target)
        lasts = min(lasts, time.monotonic() - began)
        assert everything(target) == expected
        if way == "and back":
            assert {path.name for path in target.iterdir()} <= {"acpd.db", "acpd.lock", "acpd.db-wal", "acpd.db-shm"}
    assert killed >= parts / 2


def empty(url):
    """As a new database."""
    psql(url, "DROP SCHEMA public CASCADE; CREATE SCHEMA public")


def tasks_of(store):
    if isinstance(store, pathlib.Path):
        return len(everything(store)["task"]) if exists(store) else 0
    exists_there = psql(store, "SELECT to_regclass('task') IS NOT NULL").strip() == "t"
    return int(psql(store, "SELECT count(*) FROM task")) if exists_there else 0


@pytest.mark.parametrize("way", ["to PostgreSQL", "and back"])
def test_a_server_that_is_killed_meanwhile(state, url, server, folder, way):
    source, target = state, url
    if way == "and back":
        migrate(state, url)
        source, target = url, folder / "back"
    for delay in 0.1, 0.3, 0.6:
        process = subprocess.Popen(command(source, target), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        time.sleep(delay)
        server.restart()
        said = process.communicate()[1]
        assert process.returncode in (0, 1) and "Sanitizer" not in said, said
        assert process.returncode == 0 or "the database: " in said, said
    migrate(source, target)
    same(source, target)


def test_a_commit_without_an_answer(state, url, server, folder):
    (folder / "proxy").mkdir()
    proxy = Proxy(server, folder / "proxy")
    behind = url.replace(server.folder, str(proxy.folder))
    for loses, tasks in ("the request", 0), ("the answer", len(everything(state)["task"])):
        migrate(state, url)  # makes the tables, whose transaction shall not be the one that is lost
        psql(url, "TRUNCATE task")
        proxy.loses, proxy.is_cut = loses, False
        refused(state, behind, "run this again to find out whether it was done")
        wait_until(lambda: tasks_of(url) == tasks)
        proxy.is_cut = False
        migrate(state, behind)
        same(state, url)
        empty(url)
    proxy.close()


# --- what is refused ------------------------------------------------------------------------------


def test_stores_in_use_are_refused(make_daemon, url, folder):
    on_file, on_server = start(make_daemon, folder / "state"), start(make_daemon, url)
    for daemon in on_file, on_server:
        with daemon.client() as client:
            client.assign("w")
    refused(folder / "state", url, "another acpd uses the state directory", status=75)
    refused(url, folder / "state", "another acpd uses the state directory", status=75)
    on_file.stop()
    refused(folder / "state", url, "in use by an acpd", status=75)
    refused(url, folder / "new", "in use by an acpd", status=75)
    on_server.kill()
    refused(url, folder / "new", "in use by an acpd, or one was killed", status=75)
    on_server.start().stop()
    for source, target in (folder / "state", url), (url, folder / "state"):
        before = everything(target)
        refused(source, target, "the target has 1 task already, and differs from the source")
        assert everything(target) == before


def test_sources_that_are_none_are_refused(url, server, folder):
    refused(folder / "none", url, f"{folder}/none/acpd.db: No such file")
    assert not (folder / "none").exists(), "it was made"
    refused(url, folder / "back", "has no acpd tables")
    for source, words in (f"{server.url} dbname=none", 'database "none" does not exist'), \
            ("host='secret", "neither a connection string nor a URI"):
        done = run(source, folder / "back")
        assert done.returncode == 1 and words in done.stderr and "secret" not in done.stderr, done
    assert not (folder / "back" / "acpd.db").exists()
    (folder / "diary").mkdir(0o700)
    (folder / "diary" / "acpd.db").write_text("my diary\n" * 1000)
    for source, target in (folder / "diary", url), (url, folder / "diary"):
        done = run(source, target)
        assert done.returncode == 1 and done.stderr, done
    assert (folder / "diary" / "acpd.db").read_text().startswith("my diary")
    assert psql(url, "SELECT to_regclass('task')").strip() == ""


def test_a_target_without_tasks_is_replaced(make_daemon, url, folder, state):
    back = folder / "back"
    start(make_daemon, url).stop()
    start(make_daemon, back).stop()
    migrate(state, url)
    same(state, url)
    said = migrate(url, back)
    same(state, back)
    aside, = back.glob("acpd.db.replaced-*")
    assert f"the previous database, without tasks, is {aside}\n" in said
    with contextlib.closing(sqlite3.connect(aside)) as database:
        assert database.execute("SELECT count(*) FROM profile").fetchone()[0] == len(PROFILES)


def test_other_schemas_are_refused(make_daemon, url, folder):
    start(make_daemon, folder / "state").stop()
    migrate(folder / "state", url)
    for version, words in (1000, "was written by a newer acpd (schema 1000"), (0, "has no acpd tables"):
        newest = psql(url, "SELECT version FROM acpd_schema").strip()
        psql(url, f"UPDATE acpd_schema SET version = {version}")
        refused(url, folder / "back", words)
        psql(url, f"UPDATE acpd_schema SET version = {newest}")
    for version, words in (1000, "was written by a newer acpd (schema 1000"), (1, "on it once"):
        with contextlib.closing(sqlite3.connect(folder / "state" / "acpd.db")) as database:
            database.execute(f"PRAGMA user_version = {version}")
        refused(folder / "state", url, words)
    psql(url, "ALTER TABLE task ADD COLUMN IF NOT EXISTS node_id bigint")
    migrate(url, folder / "back")
    psql(url, "ALTER TABLE task ADD COLUMN more text")
    refused(url, folder / "more", "the table task has other columns in PostgreSQL")


@pytest.mark.parametrize("statement, words", [
    ("UPDATE task SET priority = 1 - priority WHERE id IN (3, 7)", "damaged: the rows of tasks 3, 7;"),
    ("UPDATE task SET spent = 99 WHERE id <= 15", "the rows of tasks 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 5 more"),
    ("UPDATE attempt SET duration = 'long' WHERE task_id = 2", '"duration" of the row of attempt in which '
                                                              '("task_id", "number") is (2, 1)'),
    ("UPDATE attempt SET counts = 2 WHERE task_id = 2", '"counts" of the row of attempt'),
    ("UPDATE attempt SET error_message = 'a' || char(0) || 'b' WHERE task_id = 2", '"error_message" of the row'),
    ("UPDATE bucket SET data = 'text' WHERE span = 60000", '"data" of the row of bucket'),
    ("UPDATE attempt SET cost = 'much' WHERE task_id = 2", '"cost" of the row of attempt'),
])
def test_damaged_rows_are_named_and_nothing_is_moved(state, url, statement, words):
    with contextlib.closing(sqlite3.connect(state / "acpd.db")) as database, database:
        database.execute("INSERT OR IGNORE INTO bucket VALUES (1, 60000, 0, x'01')")
        database.execute(statement)
    refused(state, url, words)
    assert tasks_of(url) == 0


@pytest.mark.parametrize("statement", [
    "UPDATE task SET body = body || ',' WHERE id = 3",
    "UPDATE task SET status = 99 WHERE id = 3",
    "UPDATE task SET result = '{' WHERE id = 3",
])
def test_damaged_rows_of_a_server_are_named(state, url, folder, statement):
    migrate(state, url)
    psql(url, statement)
    refused(url, folder / "back", "damaged: the row of task 3", "with psql")
    assert not (folder / "back" / "acpd.db").exists()


def test_texts_that_are_not_utf8_are_mended_and_counted(make_daemon, url, folder):
    profiles = [shell(f"(head -c {cut} < /dev/zero | tr '\\0' a; yes \u20ac | tr -d '\\n' | head -c 9000) >&2; exit 3",
                      f"p{cut}", retry={"maxAttempts": 1}) for cut in range(4)]
    daemon = make_daemon(*profiles)
    with daemon.client() as client:
        for cut in range(4):
            client.finish(client.assign(f"p{cut}")["id"])
    daemon.stop()
    with contextlib.closing(sqlite3.connect(daemon.state / "acpd.db")) as database:
        database.text_factory = bytes
        broken = sum(is_broken(text) for row in database.execute("SELECT error_message, error_tail FROM task UNION ALL "
                                                                 "SELECT error_message, NULL FROM attempt")
                     for text in row)
    assert broken
    said = migrate(daemon.state, url)
    assert broken == sum(map(int, re.findall(r"; (\d+) texts? that w\w+ not UTF-8", said)))
    assert "mended" in migrate(daemon.state, url), "they are compared as they were mended"
    assert "mended" not in migrate(url, folder / "back")
    with pytest.raises(AssertionError):
        same(url, folder / "back")  # the checksum is that of the mended text
    check = subprocess.run([ACPD, "--state-dir", folder / "back", "--check"], capture_output=True, text=True)
    assert check.returncode == 0, check.stderr


def is_broken(text):
    try:
        (text or b"").decode()
        return False
    except UnicodeDecodeError:
        return True


def test_retries_that_a_server_has_moved_get_a_right_checksum(state, url, folder):
    migrate(state, url)
    psql(url, "UPDATE task SET place = place + 7, crc = crc + 4294967296 WHERE status = 2")
    migrate(url, folder / "back")
    check = subprocess.run([ACPD, "--state-dir", folder / "back", "--check"], capture_output=True, text=True)
    assert check.returncode == 0, check.stderr


@pytest.mark.parametrize("arguments, words", [
    ([], "needs --from and --to"),
    (["--from", "sqlite:/x"], "needs --from and --to"),
    (["--from", "sqlite:/x", "--to", "sqlite:/y"], "needs --from and --to"),
    (["--from", "postgres:dbname=x", "--to", "postgresql:///y"], "needs --from and --to"),
    (["--from", "sqlite:", "--to", "postgresql:///y"], "needs --from and --to"),
    (["--from", "sqlite:/x", "--to", "postgresql:///y", "file"], "takes no file"),
    (["--from="], "--from must not be empty"),
])
def test_the_arguments(arguments, words):
    done = subprocess.run([ACPD, "migrate", *arguments], capture_output=True, text=True)
    assert done.returncode == 1 and words in done.stderr


def test_other_commands_have_no_stores(folder):
    done = subprocess.run([ACPD, "backup", "--from", "sqlite:/x", folder / "file"], capture_output=True, text=True)
    assert done.returncode == 1 and "--from and --to are only valid with migrate" in done.stderr


@pytest.mark.parametrize("shell", SHELLS)
def test_the_lines_of_the_page(make_daemon, url, folder, shell):
    def type_page(text):
        return type_in(shell, text.replace("/var/lib/acpd", f"{folder}/state").replace(
            "postgresql:///acpd", f"'postgres:{url}'"), folder)

    stub(folder, "sudo", '[ "$1 $2" = "-u acpd" ] || exit 1; shift 2; exec "$@"')
    start(make_daemon, folder / "state").stop()
    type_page(block("docs/operations.md", "sudo -u acpd acpd migrate --from sqlite:"))
    (folder / "state" / "acpd.db").rename(folder / "before.db")
    type_page(block("docs/operations.md", "sudo -u acpd acpd migrate --from postgresql:"))
    same(folder / "state", url)
