# SPDX-License-Identifier: MIT
"""Servers that a benchmark starts one after the other, each on an empty folder, and what it prints."""

import argparse
import contextlib
import json
import os
import platform
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Iterator

START_SECONDS = 20
STOP_SECONDS = 20
ANSWER_SECONDS = 5
SOCKET_PATH_MAX = 107
IN_MEMORY = {"tmpfs", "ramfs"}


class BenchError(Exception):
    """The benchmark cannot continue; the text says why."""


def ask(path: Path, request: str, pattern: str) -> re.Match[str]:
    """Sends the request on a new connection; returns the match of the pattern in the answer."""
    answer = ""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(ANSWER_SECONDS)
        connection.connect(str(path))
        connection.sendall(request.encode())
        while not (match := re.search(pattern, answer)):
            try:
                data = connection.recv(65536)
            except TimeoutError:
                data = b""
            if not data:
                raise ConnectionError(f"unexpected answer to {request.strip()}: {answer.strip()!r}")
            answer += data.decode(errors="replace")
    return match


@dataclass
class Peer:
    name: str
    program: str
    version: list[str]  # a command that says it
    command: Callable[[str, Path, Path], list[str]]  # program, folder, socket
    prepare: Callable[[Path], object]  # fails with OSError until the server answers
    count: Callable[[Path], re.Match[str]]
    protocol: str = ""  # as queue-client names it, if not by the peer's name
    address: Callable[[Path], list[object]] = lambda path: ["--socket", path]  # queue-client's options
    client: tuple[str, ...] = ()  # a program with queue-client's options, if not that one


def acpd(build: Path, config: dict[str, object], method: str, params: dict[str, object], pattern: str) -> Peer:
    """acpd with this configuration. The call shows that it is ready, and its reply how many jobs it has."""

    def command(program: str, folder: Path, path: Path) -> list[str]:
        (folder / "config.json").write_text(json.dumps(config))
        options = ["--config", str(folder / "config.json"), "--state-dir", str(folder / "state")]
        return [program, "--socket", str(path), *options]

    def call(path: Path) -> re.Match[str]:
        message = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        return ask(path, json.dumps(message) + "\n", pattern)

    program = str(build / "daemon" / "acpd")
    return Peer("acpd", program, [program, "--version"], command, call, call)


class Server:
    """A server on an empty folder, ready to answer. On exit it is stopped and its folder removed."""

    def __init__(self, peer: Peer, base: Path):
        self.peer = peer
        self.folder = Path(tempfile.mkdtemp(dir=base))
        self.data = self.folder / "data"
        self.socket = self.folder / "s"
        self.log = self.folder / "log"
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "Server":
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        self.data.mkdir()
        self.launch()

    def launch(self) -> None:
        """Starts the program on what the folder has; returns when it answers."""
        command = self.peer.command(self.peer.program, self.data, self.socket)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command, cwd="/", stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                self.peer.prepare(self.socket)
                return
            except OSError as error:
                if self.process.poll() is not None:
                    raise BenchError(self.failure("exited during startup")) from error
                if time.monotonic() > deadline:
                    raise BenchError(self.failure(f"does not answer: {error}")) from error
            time.sleep(0.01)

    def stop(self) -> None:
        if self.process:
            self.process.terminate()
            try:
                self.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                print(f"{self.peer.name} did not stop; killing it", file=sys.stderr)
                self.process.kill()
                self.process.wait()
        shutil.rmtree(self.folder)

    def failure(self, what: str) -> str:
        log = self.log.read_text(errors="replace").strip().splitlines()
        return "\n  ".join([f"{self.peer.name} {what}", *log[-10:]])


def spread(values: list[float], form: Callable[[float], str]) -> str:
    middle = form(statistics.median(values))
    return f"{middle} ({form(min(values))}..{form(max(values))})"


def thousands(value: float) -> str:
    return f"{value / 1000:.1f}k" if value >= 1000 else f"{value:.0f}"


def verdict(ratio: float, floor: float, goal: float) -> str:
    met = "goal met" if ratio >= goal else "floor met" if ratio >= floor else "missed"
    return f"{floor:g}; {goal:g}: {met}"


def file_system(folder: Path) -> tuple[str, str]:
    """Type and device of the folder's file system, by the longest mount point above it."""
    found, kind, device = Path("/"), "unknown", "unknown"
    for line in Path("/proc/self/mounts").read_text().splitlines():
        source, point, type_name = line.split()[:3]
        mount = Path(point.encode().decode("unicode_escape"))
        if folder.is_relative_to(mount) and len(mount.parts) >= len(found.parts):
            found, kind, device = mount, type_name, source
    return kind, device


@contextlib.contextmanager
def on_disk(home: Path) -> Iterator[Path]:
    """A folder for the servers' data, where a flush costs what it costs."""
    home = home.resolve()
    if not home.is_dir():
        raise BenchError(f"{home} is not a folder")
    if (kind := file_system(home)[0]) in IN_MEMORY:
        raise BenchError(f"{home} is on {kind}: a flush costs nothing there; use --dir on a disk")
    with tempfile.TemporaryDirectory(prefix="q", dir=home) as name:
        if len(name) + len("/tmpXXXXXXXX/data/.s.PGSQL.5432") > SOCKET_PATH_MAX:
            raise BenchError(f"{name} is too long for a socket path; use --dir")
        yield Path(name)


def version(peer: Peer) -> str:
    run = subprocess.run(peer.version, capture_output=True, text=True)
    match = re.search(r"\d+(\.\d+)+", run.stdout + run.stderr)
    return f"{peer.name} {match[0] if match else '(version unknown)'}"


def machine(peers: list[Peer], base: Path) -> str:
    kind, device = file_system(base)
    return "; ".join(
        [
            f"{os.cpu_count()} cores ({platform.machine()})",
            f"{platform.system()} {platform.release()}",
            f"{kind} on {device}",
            *(version(peer) for peer in peers),
        ]
    )


def above_zero(kind: Callable[[str], float]) -> Callable[[str], float]:
    def parse(text: str) -> float:
        if not (value := kind(text)) > 0:
            raise ValueError(text)
        return value

    parse.__name__ = "number above 0"
    return parse


def options_of(description: str) -> argparse.ArgumentParser:
    """A parser of the options that every benchmark has."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("--build", type=Path, required=True, help="meson's build folder")
    parser.add_argument("--dir", type=Path, help="folder for the data; default: the build folder")
    return parser


def run(bench: Callable[[argparse.Namespace], None], parser: argparse.ArgumentParser) -> None:
    """Runs a benchmark, and exits with its status."""
    options = parser.parse_args()
    options.build = options.build.resolve()
    try:
        with on_disk(options.dir or options.build) as options.base:
            bench(options)
    except (BenchError, OSError, subprocess.CalledProcessError) as error:
        sys.exit(f"{parser.prog}: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
