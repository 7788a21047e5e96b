# SPDX-License-Identifier: MIT
"""The servers among bench_queue.py's that take more than a command to start: PostgreSQL and gearmand."""

import contextlib
import os
import re
import shutil
import socket
import subprocess
from pathlib import Path

from servers import ANSWER_SECONDS, BenchError, Peer

POSTGRES_USER = "postgres"
POSTGRES_PORT = 5432  # only part of the name of the socket
SCHEMA = """
CREATE TABLE IF NOT EXISTS job (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    is_taken boolean NOT NULL DEFAULT false, payload text NOT NULL);
ALTER TABLE job ALTER payload SET STORAGE EXTERNAL; -- as others, without compressing it
CREATE INDEX IF NOT EXISTS job_waiting ON job (id) WHERE NOT is_taken;
"""


def postgres_program(name: str) -> str:
    """Debian has them in a folder for each version, and not on PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parts[4]))
    return str(found[-1]) if found else name


def unprivileged() -> list[str]:
    """PostgreSQL refuses to run as root."""
    if os.geteuid():
        return []
    return ["setpriv", f"--reuid={POSTGRES_USER}", f"--regid={POSTGRES_USER}", "--init-groups"]


def start_postgres(program: str, folder: Path, path: Path) -> list[str]:
    data = folder / "pg"
    if not data.exists():
        if not os.geteuid():
            for above in (folder, folder.parent, folder.parent.parent):
                above.chmod(0o711)
            if any(not above.stat().st_mode & 0o001 for above in folder.parents):
                raise BenchError(f"{POSTGRES_USER} cannot reach {folder}: choose another one with --dir")
            shutil.chown(folder, POSTGRES_USER)
        initdb = [*unprivileged(), postgres_program("initdb"), "-D", str(data), "-U", "postgres", "-A", "trust",
                  "--no-locale", "-E", "UTF8"]
        said = subprocess.run(initdb, cwd="/", capture_output=True, text=True)
        if said.returncode:
            raise BenchError(f"initdb failed: {said.stderr}")
    settings = {"unix_socket_directories": str(folder), "listen_addresses": "", "port": str(POSTGRES_PORT),
                "max_connections": "1100", "shared_buffers": "256MB", "max_wal_size": "8GB"}
    return [*unprivileged(), program, "-D", str(data),
            *(word for name, value in settings.items() for word in ("-c", f"{name}={value}"))]


def postgres_folder(path: Path) -> Path:
    return path.parent / "data"


def psql(path: Path, sql: str) -> str:
    command = [postgres_program("psql"), "-h", str(postgres_folder(path)), "-U", "postgres", "-qAtc", sql]
    said = subprocess.run(command, capture_output=True, text=True)
    if said.returncode:
        raise ConnectionError(said.stderr)
    return said.stdout


def number_in(text: str) -> re.Match[str]:
    match = re.search(r"(\d+)", text)
    if not match:
        raise ConnectionError(f"no number in {text!r}")
    return match


def postgres() -> Peer:
    """One connection and one transaction for each operation, as its clients do."""
    return Peer(
        name="postgres",
        program=postgres_program("postgres"),
        version=[postgres_program("postgres"), "--version"],
        command=start_postgres,
        prepare=lambda path: psql(path, SCHEMA),
        count=lambda path: number_in(psql(path, "SELECT count(*) FROM job")),
        address=lambda path: ["--socket", postgres_folder(path) / f".s.PGSQL.{POSTGRES_PORT}"],
    )


def free_port() -> int:
    with contextlib.closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def gearmand() -> Peer:
    """Its queue is kept in SQLite. It listens on TCP only."""
    port = free_port()
    program = shutil.which("gearmand", path=f"{os.environ['PATH']}:/usr/sbin") or "gearmand"

    def status(_path: Path) -> re.Match[str]:
        with contextlib.closing(socket.create_connection(("127.0.0.1", port), ANSWER_SECONDS)) as connection:
            connection.settimeout(ANSWER_SECONDS)
            connection.sendall(b"status\n")
            answer = b""
            while not answer.endswith(b".\n"):
                data = connection.recv(65536)
                if not data:
                    raise ConnectionError("no status")
                answer += data
        queue = re.search(r"^bench\t\d+", answer.decode(), re.M)
        return number_in(queue[0] if queue else "0")

    return Peer(
        name="gearmand",
        program=program,
        version=[program, "--version"],
        command=lambda program, folder, path: [
            *(program, "--listen", "127.0.0.1", "--port", str(port), "--log-file", "none"),
            *("--queue-type", "libsqlite3", "--libsqlite3-db", str(folder / "queue.db")),
        ],
        prepare=status,
        count=status,
        address=lambda path: ["--port", port],
    )
