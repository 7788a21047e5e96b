# SPDX-License-Identifier: MIT
"""acpd as a service: socket activation and the watchdog."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys

import pytest

from acpd import DEADLINE, Client, profile, shell, wait_until

VARIABLES = "NOTIFY_SOCKET|WATCHDOG_USEC|WATCHDOG_PID|LISTEN_FDS|LISTEN_PID|LISTEN_FDNAMES"


@pytest.fixture
def listening(folder):
    """A socket that clients can connect to whether or not acpd runs."""
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as listener:
        listener.bind(str(folder / "passed.sock"))
        os.chmod(folder / "passed.sock", 0o600)
        listener.listen()
        yield listener


def pass_to(daemon, *sockets, pid="$$", count=None):
    """Starts acpd as a service manager does: sockets from descriptor 3 on, announced in the environment."""
    moves = " ".join(f"{3 + i}<&{200 + i}" for i in range(len(sockets)))
    script = (f'LISTEN_PID={pid} LISTEN_FDS={count or len(sockets)} LISTEN_FDNAMES=acpd.socket '
              f'exec "$@" {moves}')
    arguments = type(daemon).arguments(daemon)
    daemon.arguments = lambda: ["bash", "-c", script, "bash", *arguments]

    def spread():
        for i, passed in enumerate(sockets):
            os.dup2(passed.fileno(), 200 + i)

    return daemon.spawn(preexec_fn=spread, close_fds=False)


def test_a_passed_socket_is_served_and_outlives_acpd(make_daemon, folder, listening):
    path = folder / "passed.sock"
    daemon = make_daemon(profile("p"), start=False)
    for _ in range(3):
        with Client(path) as early:  # before acpd runs
            early.send(b'{"jsonrpc":"2.0","id":1,"method":"get_profile_states"}\n')
            pass_to(daemon, listening)
            assert b'"name":"p"' in early.line()
        with Client(path) as client:
            assert client.finish(client.assign("p")["id"])["status"] == "completed"
        assert not daemon.socket.exists(), "it binds none of its own"
        assert daemon.stop() == 0
        assert path.is_socket()
    assert f"ready on {path}" in daemon.log.read_text()


@pytest.mark.skipif(not shutil.which("systemd-socket-activate"),
                    reason="there is no systemd-socket-activate")
def test_systemds_own_tool_starts_it_by_a_connection(make_daemon, folder):
    daemon = make_daemon(profile("p"), start=False)
    path, arguments = folder / "activated.sock", daemon.arguments()
    daemon.arguments = lambda: ["systemd-socket-activate", "-l", str(path), *arguments]
    daemon.spawn()

    def connection():
        try:
            return Client(path)
        except (FileNotFoundError, ConnectionRefusedError):
            return None  # its file exists before it listens

    with wait_until(connection) as client:
        assert client.get_health()["status"] == "healthy"


def test_children_are_told_the_passed_socket_and_nothing_of_the_service(make_daemon, folder, listening):
    daemon = make_daemon(shell("echo $ACPD_SOCKET; env; ls -l /proc/self/fd"), start=False)
    daemon.environment = {"WATCHDOG_USEC": "60000000", "NOTIFY_SOCKET": str(folder / "nobody")}
    pass_to(daemon, listening)
    with Client(folder / "passed.sock") as client:
        output = client.finish(client.assign("p")["id"])["result"]["output"]
    assert output.splitlines()[0] == str(folder / "passed.sock")
    assert not any(line.split("=")[0] in VARIABLES.split("|") for line in output.splitlines()), output
    assert "socket:" not in output, "the listener stays with acpd"


def test_variables_for_another_process_are_ignored(make_daemon, listening):
    daemon = make_daemon(profile("p"), start=False)
    daemon.environment = {"WATCHDOG_USEC": "1000", "WATCHDOG_PID": "1"}
    pass_to(daemon, listening, pid=1)
    wait_until(daemon.is_answering)


def refusal(daemon, *sockets, **options):
    pass_to(daemon, *sockets, **options)
    assert daemon.process.wait(DEADLINE) == 1
    return daemon.log.read_text()


def test_what_is_no_such_socket_is_refused(make_daemon, folder, listening):
    daemon = make_daemon(profile("p"), start=False)
    with contextlib.ExitStack() as stack:
        deaf, tcp, datagrams, nameless = (
            stack.enter_context(contextlib.closing(socket.socket(*kind)))
            for kind in ([socket.AF_UNIX], [], [socket.AF_UNIX, socket.SOCK_DGRAM], [socket.AF_UNIX]))
        deaf.bind(str(folder / "deaf"))
        tcp.listen()
        datagrams.bind(str(folder / "datagrams"))
        nameless.bind("\0" + str(folder))
        nameless.listen()
        file = stack.enter_context(open(folder / "file", "w"))
        for passed in (deaf, tcp, datagrams, nameless, file):
            assert "not a listening Unix stream socket" in refusal(daemon, passed)
            daemon.log.write_text("")
    assert "not a listening" in refusal(daemon, count=1)
    assert "2 were passed" in refusal(daemon, listening, listening)


def test_a_passed_socket_that_is_open_to_all_is_refused(make_daemon, folder, listening):
    daemon = make_daemon(profile("p"), start=False)
    os.chmod(folder / "passed.sock", 0o666)
    assert "SocketMode" in refusal(daemon, listening)


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
def test_whoever_may_open_a_passed_socket_may_talk(make_daemon, folder, listening):
    daemon = make_daemon(profile("p"), start=False)
    path = folder / "passed.sock"
    os.chmod(folder, 0o755)
    os.chown(path, 0, 65534)
    os.chmod(path, 0o660)
    pass_to(daemon, listening)
    script = ("import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]);"
              "s.sendall(b'{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"get_health\"}\\n'); print(s.recv(20))")
    run = subprocess.run([sys.executable, "-c", script, path], user=65534, group=65534,
                         extra_groups=[], capture_output=True, text=True, timeout=DEADLINE)
    assert "jsonrpc" in run.stdout, run.stderr


@pytest.fixture
def notifications(folder):
    with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as notifications:
        notifications.bind(str(folder / "notify"))
        notifications.settimeout(DEADLINE)
        yield notifications


def test_the_watchdog_hears_of_the_loop(make_daemon, folder, notifications):
    daemon = make_daemon(profile("p"), start=False)
    daemon.environment = {"NOTIFY_SOCKET": str(folder / "notify"), "WATCHDOG_USEC": "200000"}
    daemon.start()
    assert notifications.recv(100) == b"READY=1"
    for _ in range(5):
        assert notifications.recv(100) == b"WATCHDOG=1"
    daemon.process.send_signal(signal.SIGSTOP)
    notifications.settimeout(2)  # ten times the watchdog's interval
    with pytest.raises(TimeoutError):
        for _ in range(20):
            notifications.recv(100)
    daemon.process.send_signal(signal.SIGCONT)
    notifications.settimeout(DEADLINE)
    assert notifications.recv(100) == b"WATCHDOG=1"
    daemon.process.send_signal(signal.SIGTERM)
    while (said := notifications.recv(100)) != b"STOPPING=1":
        assert said == b"WATCHDOG=1"
    daemon.stop()


def test_without_a_watchdog_there_are_no_signs(make_daemon, folder, notifications):
    daemon = make_daemon(profile("p"), start=False)
    daemon.environment = {"NOTIFY_SOCKET": str(folder / "notify"), "WATCHDOG_USEC": "0"}
    daemon.start()
    with daemon.client() as client:
        for _ in range(10):
            client.finish(client.assign("p")["id"])
    daemon.stop()
    assert [notifications.recv(100), notifications.recv(100)] == [b"READY=1", b"STOPPING=1"]
