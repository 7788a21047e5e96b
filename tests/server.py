# SPDX-License-Identifier: MIT
"""A PostgreSQL server for tests, and a proxy before it that loses connections at a chosen moment."""

import contextlib
import os
import pathlib
import re
import select
import signal
import socket
import subprocess
import threading

SCRIPT = pathlib.Path(__file__).parent / "postgres"
COMMIT = b"COMMIT\0"  # by itself, or at the end of a pipeline


class Server:
    """It may be killed, restarted and stopped."""

    def __init__(self, *kind):
        self.process = subprocess.Popen([SCRIPT, *kind, "sh", "-c", 'echo "$ACPD_POSTGRES"; cat'], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        self.url = self.process.stdout.readline().strip()
        assert self.url, "PostgreSQL does not start"
        self.folder = re.search("host=([^ ]*)", self.url)[1]

    def close(self):
        self.process.stdin.close()
        self.process.wait()

    def ask(self, sql, database="postgres"):
        run = subprocess.run(["psql", "-qXAt", f"{self.url} dbname={database}", "-c", sql], capture_output=True,
                             text=True)
        assert run.returncode == 0, run.stderr
        return run.stdout.strip()

    @property
    def main_process(self):
        return int(pathlib.Path(self.folder, "data", "postmaster.pid").read_text().split()[0])

    def control(self, what):
        subprocess.run([SCRIPT, what, self.folder], check=True, capture_output=True)

    def restart(self):
        """At once, as after a crash: sessions are cut."""
        self.control("restart")

    def standby(self):
        """Another server, which follows this one until it is promoted."""
        return Server("standby", self.folder)

    @contextlib.contextmanager
    def stopped(self):
        """It hangs."""
        processes = [self.main_process, *map(int, subprocess.run(
            ["pgrep", "-P", str(self.main_process)], capture_output=True, text=True).stdout.split())]
        for process in processes:
            os.kill(process, signal.SIGSTOP)
        try:
            yield
        finally:
            for process in processes:
                os.kill(process, signal.SIGCONT)


class Pooler:
    """PgBouncer, which lends a session for a transaction."""

    def __init__(self, server, folder):
        (folder / "pgbouncer.ini").write_text(
            f"[databases]\n* = host={server.folder} user=acpd\n[pgbouncer]\npool_mode = transaction\nauth_type = any\n"
            f"unix_socket_dir = {folder}\nlisten_port = 5432\ndefault_pool_size = 3\n")
        as_user = ["-u", "postgres"] if os.getuid() == 0 else []
        if as_user:
            for path in (folder.parent, folder):
                path.chmod(0o777)
        path = f"{os.environ['PATH']}:/usr/sbin"
        self.process = subprocess.Popen(["pgbouncer", "-q", *as_user, folder / "pgbouncer.ini"],
                                        env={**os.environ, "PATH": path}, stderr=subprocess.DEVNULL)
        self.folder, self.socket = folder, folder / ".s.PGSQL.5432"

    def close(self):
        self.process.terminate()
        self.process.wait()


class Proxy:
    """Passes everything on, until it is told to lose a commit: before the server hears of it, or its answer."""

    def __init__(self, server, folder):
        self.server, self.folder = server, folder
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(folder / ".s.PGSQL.5432"))
        self.listener.listen(100)
        self.url = server.url.replace(server.folder, str(folder))
        self.loses = None  # "the request", "the answer"
        self.lost = 0
        self.is_cut = self.stays_cut = False
        threading.Thread(target=self.accept, daemon=True).start()

    def close(self):
        self.listener.close()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                client = self.listener.accept()[0]
                threading.Thread(target=self.serve, args=[client], daemon=True).start()

    def serve(self, client):
        with client, socket.socket(socket.AF_UNIX) as server, contextlib.suppress(OSError):
            server.connect(f"{self.server.folder}/.s.PGSQL.5432")
            while not self.is_cut:
                for side in select.select([client, server], [], [], 0.1)[0]:
                    data = side.recv(65536)
                    if not data:
                        return
                    is_commit = side is client and COMMIT in data and self.loses
                    if is_commit and self.loses == "the request":
                        return self.lose()
                    (server if side is client else client).sendall(data)
                    if is_commit:
                        server.recv(65536)
                        return self.lose()

    def lose(self):
        self.loses, self.lost, self.is_cut = None, self.lost + 1, self.stays_cut
