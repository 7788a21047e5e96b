# SPDX-License-Identifier: MIT
"""A real daemon and its clients, for the tests: everything goes through the socket."""

import contextlib
import json
import os
import pathlib
import signal
import socket
import sqlite3
import subprocess
import time

BUILD = pathlib.Path(os.environ.get("ACPD_BUILD", pathlib.Path(__file__).parents[1] / "build"))
ACPD = BUILD / "daemon" / "acpd"
DEADLINE = 60  # seconds that a condition may take; generous, so that only a fault exceeds it


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


class RpcError(Exception):
    def __init__(self, error):
        super().__init__(f"{error['code']}: {error['message']}")
        self.code = error["code"]
        self.message = error["message"]
        self.data = error.get("data")


class Client:
    """One connection. Methods of the daemon are called as methods of the client."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(DEADLINE)
        self.socket.connect(str(path))
        self.received = b""
        self.last_id = 0

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def send(self, data):
        self.socket.sendall(data if isinstance(data, bytes) else data.encode())

    def send_call(self, method, **params):
        self.last_id += 1
        self.send(json.dumps({"jsonrpc": "2.0", "id": self.last_id, "method": method,
                              "params": params}) + "\n")
        return self.last_id

    def line(self):
        """The next line, or None when the daemon has closed the connection."""
        while b"\n" not in self.received:
            data = self.socket.recv(1 << 20)
            if not data:
                assert not self.received, f"half a line: {self.received[:100]!r}"
                return None
            self.received += data
        line, self.received = self.received.split(b"\n", 1)
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

    def log(self, id, **params):
        return [e["text"] for e in self.call("get_task_log", id=id, **params)["entries"]]


def profile(name="p", command=("true",), **settings):
    runner = {"type": "command", "command": list(command)}
    runner.update(settings.pop("runner", {}))
    return {"name": name, "runner": runner, **settings}


def shell(script, name="p", **settings):
    return profile(name, ["sh", "-c", script], **settings)


class Daemon:
    def __init__(self, folder, config=None):
        self.folder = pathlib.Path(folder)
        self.socket = self.folder / "acpd.sock"
        self.state = self.folder / "state"
        self.config = self.folder / "config.json"
        self.log = self.folder / "acpd.log"
        self.process = None
        self.has_config = config is not None
        if config is not None:
            self.configure(config)

    def configure(self, *config, **settings):
        """Writes the configuration: profiles, or one whole object."""
        if len(config) == 1 and "name" not in config[0]:
            whole = config[0]
        else:
            whole = {"profiles": list(config), **settings}
        self.config.write_text(json.dumps(whole))
        self.has_config = True

    def arguments(self):
        arguments = [str(ACPD), "--socket", str(self.socket), "--state-dir", str(self.state)]
        return arguments + (["--config", str(self.config)] if self.has_config else [])

    def spawn(self, **options):
        environment = dict(os.environ, XDG_CONFIG_HOME=str(self.folder / "none"), HOME="/nonexistent")
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
        """As a power cut would: no warning."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(DEADLINE)

    def stop(self):
        """Asks it to end, waits, and returns its exit status."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(DEADLINE) if self.process else None

    def restart(self):
        self.stop()
        return self.start()

    def processes(self, **variables):
        """Process ids of its children, of all or of those with these variables too: by environment,
        which is inherited and which zombies have none of."""
        wanted = {f"ACPD_SOCKET={self.socket}".encode()}
        wanted |= {f"{name}={value}".encode() for name, value in variables.items()}
        found = []
        for entry in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{entry}/environ", "rb") as file:
                    if wanted <= set(file.read().split(b"\0")):
                        found.append(int(entry))
            except OSError:
                pass
        return found


def assert_counters_are_right(daemon):
    """Of a stopped daemon: the counters kept beside the tasks are those of a count."""
    columns = "queued, scheduled, blocked, running, completed, failed, cancelled"
    with contextlib.closing(sqlite3.connect(daemon.state / "acpd.db")) as database:
        for id, *kept in database.execute(f"SELECT id, {columns} FROM profile"):
            counted = dict(database.execute(
                "SELECT status, count(*) FROM task WHERE profile_id = ? GROUP BY status", [id]))
            assert kept == [counted.get(status, 0) for status in range(1, 8)]
