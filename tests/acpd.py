# SPDX-License-Identifier: MIT
"""A real daemon, a real gateway and their clients, for the tests. Everything goes through sockets."""

import concurrent.futures
import contextlib
import hashlib
import http.client
import json
import os
import pathlib
import re
import signal
import socket
import sqlite3
import subprocess
import time

BUILD = pathlib.Path(os.environ.get("ACPD_BUILD", pathlib.Path(__file__).parents[1] / "build"))
ACPD = BUILD / "daemon" / "acpd"
FAULTY_ACPD = BUILD / "tests" / "store" / "acpd-faulty"  # its commits fail on order
GATEWAY = BUILD / "gateway" / "acp-gateway"
schemas = None  # a schema.Schemas that checks replies; set under pytest
DEADLINE = 60  # seconds; generous, so that only a fault exceeds it


def wait_until(condition, what="the condition", deadline=DEADLINE):
    """Returns the condition's first true value."""
    end = time.monotonic() + deadline
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"{what} did not come true within {deadline} s")
        time.sleep(0.01)


def is_alive(pid):
    return pathlib.Path(f"/proc/{pid}").exists()


def resident_bytes(pid):
    """The resident memory of a process."""
    with open(f"/proc/{pid}/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def open_files(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def in_threads(count, work):
    """Calls work(0), work(1), … each in its own thread; an exception of one is raised."""
    with concurrent.futures.ThreadPoolExecutor(count) as pool:
        list(pool.map(work, range(count)))


class RpcError(Exception):
    def __init__(self, error):
        super().__init__(f"{error['code']}: {error['message']}")
        self.code = error["code"]
        self.message = error["message"]
        self.data = error.get("data")


class Client:
    """One connection. Methods of the daemon are methods of the client."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(DEADLINE)
        self.socket.connect(str(path))
        self.received = b""
        self.last_id = 0
        self.calls = schemas and schemas.calls()

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def send(self, data):
        data = data if isinstance(data, bytes) else data.encode()
        if self.calls:
            self.calls.note(data)
        self.socket.sendall(data)

    def send_call(self, method, **params):
        self.last_id += 1
        self.send(json.dumps({"jsonrpc": "2.0", "id": self.last_id, "method": method,
                              "params": params}) + "\n")
        return self.last_id

    def line(self):
        """The next line, or None if the daemon has closed the connection."""
        while b"\n" not in self.received:
            data = self.socket.recv(1 << 20)
            if not data:
                assert not self.received, f"half a line: {self.received[:100]!r}"
                return None
            self.received += data
        line, self.received = self.received.split(b"\n", 1)
        if self.calls:
            self.calls.check(json.loads(line))
        return line

    def reply(self):
        line = self.line()
        return None if line is None else json.loads(line)

    def call(self, method, **params):
        id = self.send_call(method, **params)
        reply = self.reply()
        assert reply and reply["jsonrpc"] == "2.0" and reply["id"] == id, reply
        if "error" in reply:
            raise RpcError(reply["error"])
        return reply["result"]

    def __getattr__(self, method):
        if method.startswith("_"):
            raise AttributeError(method)
        return lambda **params: self.call(method, **params)

    # Shorthands.

    def assign(self, profile, title="t", **task):
        return self.call("assign_task_to_profile", profileName=profile,
                         task={"title": title, **task})["task"]

    def task(self, id):
        return self.call("get_task", id=id)

    def state(self, name):
        return self.call("get_profile_state", name=name)

    def wait_status(self, id, *statuses):
        def reached():
            task = self.task(id)
            return task if task["status"] in statuses else None

        return wait_until(reached, f"task {id} in {statuses}")

    def finish(self, id):
        return self.wait_status(id, "completed", "failed", "cancelled")

    def all_tasks(self):
        """Every task by its id."""
        tasks, before = {}, None
        while True:
            page = self.call("list_tasks", limit=1000, before=before)
            tasks.update((task["id"], task) for task in page["tasks"])
            before = page["next"]
            if before is None:
                return tasks

    def entries(self, id, **params):
        """All entries of a log, read page by page."""
        found, after = [], 0
        while True:
            page = self.call("get_task_log", id=id, after=after, **params)
            if not page["entries"]:
                return found
            found += page["entries"]
            after = page["next"]

    def log(self, id, **params):
        return [e["text"] for e in self.call("get_task_log", id=id, **params)["entries"]]


def profile(name="p", command=("true",), **settings):
    runner = {"type": "command", "command": list(command)}
    runner.update(settings.pop("runner", {}))
    return {"name": name, "runner": runner, **settings}


def shell(script, name="p", **settings):
    return profile(name, ["sh", "-c", script], **settings)


# PostgreSQL instead of SQLite: the connection string of its server, which tests/postgres sets; None: SQLite.
POSTGRES = os.environ.get("ACPD_POSTGRES")


def postgres(sql):
    """Runs a statement in the server; returns whether that worked."""
    return subprocess.run(["psql", "-qX", POSTGRES, "-c", sql], capture_output=True).returncode == 0


class Daemon:
    def __init__(self, folder, config=None):
        self.folder = pathlib.Path(folder)
        self.socket = self.folder / "acpd.sock"
        self.state = self.folder / "state"
        self.config = self.folder / "config.json"
        self.log = self.folder / "acpd.log"
        self.process = None
        self.program = ACPD
        self.environment = {}
        self.has_config = config is not None
        self.store = None
        if POSTGRES:
            self.use_postgres()
        if config is not None or POSTGRES:
            self.configure(config or {})

    def use_postgres(self):
        """A database of its own, for all daemons in the folder."""
        self.database_name = "acpd_" + hashlib.md5(str(self.folder).encode()).hexdigest()
        postgres(f"CREATE DATABASE {self.database_name}")
        self.store = {"type": "postgres", "url": f"{POSTGRES} dbname={self.database_name}"}

    def drop_database(self):
        if self.store:
            assert postgres(f"DROP DATABASE {self.database_name} WITH (FORCE)")

    def configure(self, *config, **settings):
        """Writes the configuration: profiles, or one whole object."""
        if len(config) == 1 and "name" not in config[0]:
            whole = config[0]
        else:
            whole = {"profiles": list(config), **settings}
        if self.store:
            whole = {"store": self.store, **whole}
        self.config.write_text(json.dumps(whole))
        self.has_config = True

    def arguments(self):
        arguments = [str(self.program), "--socket", str(self.socket), "--state-dir", str(self.state)]
        return arguments + (["--config", str(self.config)] if self.has_config else [])

    def spawn(self, **options):
        environment = {**os.environ, "XDG_CONFIG_HOME": str(self.folder / "none"), "HOME": "/nonexistent", **self.environment}
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(self.arguments(), stderr=log, stdout=log,
                                            stdin=subprocess.DEVNULL, env=environment, **options)
        return self

    def is_answering(self):
        assert self.process.poll() is None, f"acpd ended:\n{self.log.read_text()}"
        try:
            with self.client() as client:
                client.get_health()
                return True
        except (ConnectionError, FileNotFoundError):
            return False

    def start(self, **options):
        self.spawn(**options)
        wait_until(self.is_answering, "acpd answers")
        return self

    def client(self):
        return Client(self.socket)

    def kill(self):
        """SIGKILL: no warning, as in a power failure."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(DEADLINE)

    def stop(self):
        """Sends SIGTERM, waits, and returns the exit status."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(DEADLINE) if self.process else None

    def restart(self):
        self.stop()
        return self.start()

    @property
    def order(self):
        """The file with the orders for a faulty acpd; see tests/store/faulty.h."""
        return self.folder / "order"

    def start_faulty(self):
        self.program = FAULTY_ACPD
        self.environment["FAULTY_ORDER"] = str(self.order)
        return self.start()

    def database(self):
        """A connection to its SQLite database; the caller closes it, e.g. with contextlib.closing()."""
        return sqlite3.connect(self.database_file)

    @property
    def database_file(self):
        if self.store:
            import pytest  # programs in tests use this file, too

            pytest.skip("needs a database of SQLite")
        return self.state / "acpd.db"

    def rows(self, sql):
        """The rows, of numbers, of a query of its database, whichever it is."""
        if self.store:
            run = subprocess.run(["psql", "-qXAt", "-F ", self.store["url"], "-c", sql], capture_output=True, text=True)
            assert run.returncode == 0, run.stderr
            return [tuple(map(int, line.split())) for line in run.stdout.splitlines()]
        with contextlib.closing(self.database()) as database:
            return database.execute(sql).fetchall()

    def processes(self, **variables):
        """Process ids of its descendants, found by their environment; optionally only those that also have
        these variables. Zombies have no environment."""
        wanted = {f"ACPD_SOCKET={self.socket}".encode()}
        wanted |= {f"{name}={value}".encode() for name, value in variables.items()}
        found = []
        for entry in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError), open(f"/proc/{entry}/environ", "rb") as file:
                if wanted <= set(file.read().split(b"\0")):
                    found.append(int(entry))
        return found


TOKEN = "0123456789abcdef-_.~+/"


def token_file(folder, content=TOKEN + "\n"):
    """A token file that only its owner can read."""
    path = folder / "token"
    path.touch(mode=0o600)
    path.write_text(content)
    return path


SECURITY_HEADERS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


class Answer:
    """An HTTP answer; checks what must hold for every answer of the gateway."""

    def __init__(self, status, headers, body=b""):
        self.status = status
        self.headers = {}
        for name, value in headers:
            assert name.lower() not in self.headers, f"two headers {name}"
            self.headers[name.lower()] = value
        self.body = body
        self.check()

    def __repr__(self):
        return f"<{self.status} {self.headers} {self.body[:500]!r}>"

    def check(self):
        for name, value in SECURITY_HEADERS.items():
            assert self.headers.get(name) == value, f"{name} of {self}"
        policy = self.headers.get("content-security-policy", "")
        assert "default-src 'self'" in policy and "frame-ancestors 'none'" in policy, self
        assert "unsafe" not in policy, self
        assert not any(name.startswith("access-control-") for name in self.headers), self
        assert "server" not in self.headers, self

    @property
    def json(self):
        assert self.headers["content-type"] == "application/json", self
        return json.loads(self.body)

    def error(self, status, code=None):
        """The body of an error; checks its status and that it has a message."""
        assert self.status == status, self
        body = self.json
        assert len(body["error"]) > 5 and isinstance(body["code"], int), self
        assert set(body) <= {"error", "code", "data"}, self
        assert code is None or body["code"] == code, self
        return body


@contextlib.contextmanager
def stopped(daemon):
    """Stops the daemon, which handles all requests of that time in one pass."""
    daemon.process.send_signal(signal.SIGSTOP)
    wait_until(lambda: pathlib.Path(f"/proc/{daemon.process.pid}/stat").read_text().rsplit(")")[1].split()[0] == "T")
    try:
        yield
    finally:
        daemon.process.send_signal(signal.SIGCONT)


class RawConnection:
    """A connection to a gateway for arbitrary bytes."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=DEADLINE)
        self.received = b""
        self.sent = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def send(self, data):
        """Sends as much as possible: the gateway may close the connection of a rejected client midway."""
        data = data if isinstance(data, bytes) else data.encode()
        self.sent += data
        with contextlib.suppress(ConnectionError):
            self.socket.sendall(data)
        return self

    def take_request(self):
        """The verb and path of the first unanswered request; (None, None) if it is not a request."""
        line, _, self.sent = self.sent.partition(b"\r\n\r\n")
        request = re.match(rb"([A-Z]+) (\S+) HTTP/1\.1\r\n", line + b"\r\n")
        size = re.search(rb"\r\ncontent-length: *(\d+)", line, re.I)
        if b"\r\ntransfer-encoding:" in line.lower():
            self.sent = self.sent.partition(b"0\r\n\r\n")[2]
        else:
            self.sent = self.sent[int(size[1]) if size else 0:]
        return [part.decode() for part in request.groups()] if request and request[2].isascii() else (None, None)

    def more(self):
        try:
            data = self.socket.recv(1 << 16)
        except ConnectionError:
            data = b""
        self.received += data
        return bool(data)

    def is_closed(self):
        """Whether the gateway has closed the connection; reads what it sent before."""
        self.socket.settimeout(0.01)
        try:
            while self.more():
                pass
            return True
        except TimeoutError:
            return False
        finally:
            self.socket.settimeout(DEADLINE)

    def answer(self, has_body=True):
        """The next answer, or None if the connection was closed first."""
        while b"\r\n\r\n" not in self.received:
            if not self.more():
                assert not self.received, f"half an answer: {self.received!r}"
                return None
        head, self.received = self.received.split(b"\r\n\r\n", 1)
        first, *lines = head.decode("ascii").split("\r\n")
        version, status, _ = first.split(" ", 2)
        assert version == "HTTP/1.1", first
        headers = [line.split(": ", 1) for line in lines]
        sizes = [int(value) for name, value in headers if name.lower() == "content-length"]
        size = sizes[0] if sizes and has_body else 0
        while len(self.received) < size:
            assert self.more(), f"the body ended early: {head!r} {self.received!r}"
        body, self.received = self.received[:size], self.received[size:]
        answer = Answer(int(status), headers, body)
        verb, path = self.take_request()
        if schemas and has_body and answer.body and (answer.status >= 400 or path and path.startswith("/api/")):
            schemas.check_answer(verb, path, answer.status, answer.headers.get("content-type"), body)
        return answer

    def answers(self):
        """All answers until the gateway closes the connection."""
        return list(iter(self.answer, None))


class Gateway:
    """acp-gateway for a daemon or any socket. Requests share one persistent connection."""

    def __init__(self, folder, socket, *arguments, port=0, listen=None, tls=None):
        self.listen = listen
        self.tls = tls  # the client's ssl.SSLContext, for an HTTPS gateway
        self.log = pathlib.Path(folder) / "gateway.log"
        self.socket = socket
        self.options = [str(argument) for argument in arguments]
        self.port = port
        self.process = None
        self.connection = None
        self.is_before_acpd = True  # rather than before something that answers anything

    def arguments(self):
        listen = f"127.0.0.1:{self.port}" if self.listen is None else self.listen
        return [str(GATEWAY), "--listen", listen, "--socket", str(self.socket), *self.options]

    def spawn(self, **options):
        self.log.touch()
        self.log_start = self.log.stat().st_size
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(self.arguments(), stderr=log, stdout=log,
                                            stdin=subprocess.DEVNULL, **options)
        return self

    def new_log(self):
        """Its log since the last start."""
        return self.log.read_bytes()[self.log_start:].decode(errors="replace")

    def ready_port(self):
        assert self.process.poll() is None, f"acp-gateway ended:\n{self.new_log()}"
        match = re.search(r"is ready on https?://127\.0\.0\.1:([0-9]+)", self.new_log())
        return match and int(match[1])

    def start(self, **options):
        """A restarted gateway keeps its port."""
        self.spawn(**options)
        self.port = wait_until(self.ready_port, "acp-gateway is ready")
        return self

    @property
    def host(self):
        return f"127.0.0.1:{self.port}"

    @property
    def url(self):
        return f"http{'s' if self.tls else ''}://{self.host}"

    def kill(self):
        self.disconnect()
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(DEADLINE)

    def stop(self):
        """Sends SIGTERM, waits, and returns the exit status."""
        self.disconnect()
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(DEADLINE) if self.process else None

    def raw(self):
        return RawConnection(self.port)

    def crowd(self, stack, count):
        """Opens connections without a request; every second one has sent part of one."""
        for i in range(count):
            silent = stack.enter_context(self.raw())
            if i % 2:
                silent.send("GET /api/health HT")

    def connect(self):
        if self.tls:
            return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=DEADLINE,
                                               context=self.tls)
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE)

    def disconnect(self):
        if self.connection:
            self.connection.close()
        self.connection = None

    def request(self, verb, path, body=None, headers=None, connection=None):
        """One request. A body that is neither bytes nor str is sent as JSON; headers with the value None are
        omitted."""
        fresh = connection is None and self.connection is None
        if fresh:
            self.connection = self.connect()
        connection = connection or self.connection
        all = {}
        if body is not None or verb not in ("GET", "HEAD", "OPTIONS"):
            all["Content-Type"] = "application/json"
        if body is not None and not isinstance(body, (bytes, str)):
            body = json.dumps(body)
        all.update(headers or {})
        all = {name: value for name, value in all.items() if value is not None}
        try:
            connection.request(verb, path, body.encode() if isinstance(body, str) else body, all)
            reply = connection.getresponse()
            answer = Answer(reply.status, reply.getheaders(), reply.read())
            if schemas and self.is_before_acpd and verb != "HEAD":
                schemas.check_answer(verb, path, answer.status, answer.headers.get("content-type"), answer.body)
            return answer
        except (ConnectionError, http.client.BadStatusLine):
            connection.close()
            if fresh or connection is not self.connection or verb != "GET":
                raise
            self.connection = None  # it was idle for too long
            return self.request(verb, path, body, headers)

    def get(self, path, **options):
        return self.request("GET", path, **options)

    def post(self, path, body=None, **options):
        return self.request("POST", path, body, **options)

    def put(self, path, body=None, **options):
        return self.request("PUT", path, body, **options)

    def patch(self, path, body=None, **options):
        return self.request("PATCH", path, body, **options)

    def is_answering(self):
        return self.request("GET", "/api/health", connection=self.connect()).status == 200
