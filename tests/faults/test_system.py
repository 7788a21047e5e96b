# SPDX-License-Identifier: MIT
"""A system with too few resources: processes, descriptors, memory, a folder for the state."""

import contextlib
import os
import pathlib
import pwd
import resource
import shutil
import stat
import subprocess

import pytest

from acpd import RpcError, profile, shell, wait_until
from test_limits import plain  # noqa: F401 (a fixture)

NOBODY = pwd.getpwnam("nobody")
ONCE = {"maxAttempts": 1}

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can start acpd as another user")


def limited(**limits):
    """Starts a program with these limits, soft and hard."""
    def lower():
        for name, value in limits.items():
            resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (value, value))

    return {"preexec_fn": lower}


def as_nobody(folder, **limits):
    os.chmod(folder, 0o777)
    for path in pathlib.Path(folder).glob("*"):
        os.chmod(path, 0o777)
    lower = limited(**limits)["preexec_fn"]

    def become():
        os.setgroups([])
        os.setgid(NOBODY.pw_gid)
        lower()
        os.setuid(NOBODY.pw_uid)

    return {"preexec_fn": become}


# Processes.


@needs_root
def test_when_no_process_can_be_had_tasks_wait(plain, make_daemon, folder):  # noqa: F811
    """fork() fails for acpd's own processes or for a command's: no task is lost and no attempt spent,
    however often it happens and whoever else succeeds."""
    hold = "import os, sys, time\nwhile not os.path.exists(sys.argv[1]): time.sleep(0.02)"
    patient = {"retry": ONCE, "cooldown": {"min": 0.01, "max": 0.02}}
    daemon = make_daemon(
        profile("holder", ["/usr/bin/python3", "-c", hold, f"{folder}/go"], maxConcurrentTasks=30, minConcurrentTasks=30,
                **patient),
        profile("p", maxConcurrentTasks=5, **patient), start=False)
    os.chmod(folder, 0o755)
    daemon.start(**as_nobody(daemon.folder, NPROC=12))
    with daemon.client() as client:
        holders = [client.assign("holder")["id"] for _ in range(20)]
        ids = holders + [client.assign("p")["id"] for _ in range(5)]
        wait_until(lambda: any(client.task(id)["attempt"] > 4 for id in ids), "some are told no again and again")
        assert client.get_health()
        (folder / "go").touch()
        for id in ids:
            task = client.finish(id)
            assert task["status"] == "completed", task["error"]


def test_a_program_that_is_gone_and_comes_back(make_daemon, folder):
    program = folder / "program"
    daemon = make_daemon(profile("p", [str(program)], retry=ONCE, cooldown={"min": 0.05, "max": 0.1}))
    with daemon.client() as client:
        id = client.assign("p")["id"]
        wait_until(lambda: client.task(id)["error"])
        error = client.task(id)["error"]
        assert error["class"] == "unavailable" and str(program) in error["message"]
        shutil.copy("/bin/true", program)
        assert client.finish(id)["status"] == "completed"


def test_families_of_thousands_end_too(make_daemon):
    """All of the children in a full /proc are found."""
    script = "for i in $(seq 400); do setsid sleep 1000 & done; echo up; wait"
    daemon = make_daemon(shell(script, maxConcurrentTasks=5), killGrace=0)
    with daemon.client() as client:
        ids = [client.assign("p")["id"] for _ in range(5)]
        wait_until(lambda: all("up" in client.log(id) for id in ids))
        wait_until(lambda: len(daemon.processes()) == 5 * 401, "each has begun its own program")
        for id in ids[:3]:
            client.cancel_task(id=id)
        wait_until(lambda: len(daemon.processes()) <= 2 * 401, "those of the cancelled ones are gone")
        assert len(daemon.processes()) == 2 * 401, "and nobody else's"
    daemon.kill()
    wait_until(lambda: not daemon.processes(), "and those of an acpd that was killed")


# Descriptors.


def test_out_of_descriptors(make_daemon):
    """New connections wait, existing ones are served, and failed starts are retried."""
    daemon = make_daemon(profile("p", retry=ONCE, cooldown={"min": 0.05, "max": 0.1}), start=False)
    daemon.start(**limited(NOFILE=64))
    with contextlib.ExitStack() as stack, daemon.client() as client:
        for _ in range(100):
            stack.enter_context(daemon.client())
        id = client.assign("p")["id"]
        wait_until(lambda: "Too many open files" in daemon.log.read_text())
        error = wait_until(lambda: client.task(id)["error"], "the task says why it was not started")
        assert error["class"] == "unavailable" and "Too many open files" in error["message"], error
        assert client.get_health() and client.task(id)
        stack.close()
        assert client.finish(id)["status"] == "completed"
    with daemon.client() as newcomer:
        assert newcomer.finish(newcomer.assign("p")["id"])["status"] == "completed"


# Memory.


def test_out_of_memory_is_a_crash_that_loses_nothing(plain, make_daemon):  # noqa: F811
    daemon = make_daemon(profile("p", queueLimit=10**6), start=False, outputLimit=1 << 30)
    daemon.start(**limited(AS=300 << 20))
    acknowledged = []
    client = daemon.client()
    with contextlib.suppress(OSError, AssertionError):
        client.update_profile_status(name="p", isActive=False)
        for i in range(100):
            acknowledged.append(client.assign("p", str(i), input="x" * 900000)["id"])
        for _ in range(1000):  # unread replies wait in memory
            client.send_call("list_tasks", limit=1000)
    with contextlib.closing(client.socket):  # a closed one would cost nothing
        wait_until(lambda: daemon.process.poll() is not None, "it is out of memory")
    assert "memory" in daemon.log.read_text()
    assert len(acknowledged) == 100
    daemon.start()
    with daemon.client() as client:
        for i, id in enumerate(acknowledged):
            assert client.task(id)["title"] == str(i)


# The state directory.


@needs_root
def test_a_state_directory_that_cannot_be_written(make_daemon):
    daemon = make_daemon(profile(), start=False)
    daemon.state.mkdir(mode=0o700)
    daemon.spawn(**as_nobody_but_state(daemon))
    assert daemon.process.wait(60) == 1
    said = daemon.log.read_text()
    assert str(daemon.state) in said and "Permission denied" in said
    assert list(daemon.state.iterdir()) == []


def as_nobody_but_state(daemon):
    options = as_nobody(daemon.folder)
    os.chmod(daemon.state, 0o700)
    os.chmod(daemon.folder.parent, 0o755)
    return options


@needs_root
def test_a_database_of_another_owner(make_daemon):
    """Readable but not writable: rejected and left unchanged."""
    daemon = make_daemon(profile())
    daemon.stop()
    options = as_nobody(daemon.folder)
    os.chmod(daemon.folder.parent, 0o755)
    os.chmod(daemon.state, 0o755)
    os.chown(daemon.state, NOBODY.pw_uid, NOBODY.pw_gid)
    for path in daemon.state.iterdir():
        if path.is_file():
            os.chmod(path, 0o644 if path.name == "acpd.db" else 0o666)
    before = (daemon.state / "acpd.db").read_bytes()
    daemon.socket.unlink(missing_ok=True)
    daemon.spawn(**options)
    assert daemon.process.wait(60) == 1
    assert "acpd.db" in daemon.log.read_text() and "readonly" in daemon.log.read_text()
    assert (daemon.state / "acpd.db").read_bytes() == before


@pytest.mark.parametrize("place", ["a file", "a broken link", "below a file"])
def test_a_state_directory_that_cannot_be_one(make_daemon, place):
    daemon = make_daemon(profile(), start=False)
    if place == "a file":
        daemon.state.write_text("mine")
    elif place == "a broken link":
        daemon.state.symlink_to("/nonexistent/folder")
    else:
        (daemon.folder / "file").write_text("mine")
        daemon.state = daemon.folder / "file" / "state"
    assert daemon.spawn().process.wait(60) == 1
    assert str(daemon.state) in daemon.log.read_text()


def test_a_missing_state_directory_is_made(make_daemon):
    daemon = make_daemon(profile(), start=False)
    daemon.state = daemon.folder / "deep" / "er" / "state"
    daemon.start()
    assert stat.S_IMODE(daemon.state.stat().st_mode) == 0o700


def test_a_state_directory_that_is_removed_under_acpd(make_daemon):
    """Changes could not be found again, so they are rejected."""
    daemon = make_daemon(profile())
    with daemon.client() as client:
        client.finish(client.assign("p")["id"])
        shutil.rmtree(daemon.state)
        for _ in range(5):
            with pytest.raises(RpcError, match="the storage is failing"):
                client.assign("p")
        health = client.get_health()
        assert health["status"] == "unhealthy"
        assert "was removed or replaced while in use" in health["storage"]["error"]
    daemon.kill()
    daemon.start()


@needs_root
def test_a_read_only_file_system(make_daemon, folder):
    daemon = make_daemon(profile(), start=False)
    disk = folder / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "acpd-test", disk],
                      capture_output=True).returncode != 0:
        pytest.skip("mounting a tmpfs needs CAP_SYS_ADMIN")
    try:
        daemon.state = disk / "state"
        daemon.start()
        with daemon.client() as client:
            id = client.finish(client.assign("p")["id"])["id"]
        daemon.stop()
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        assert daemon.spawn().process.wait(60) == 1
        assert "Read-only file system" in daemon.log.read_text()
        subprocess.run(["mount", "-o", "remount,rw", disk], check=True)
        with daemon.start().client() as client:
            assert client.task(id)["status"] == "completed"
        daemon.stop()
    finally:
        subprocess.run(["umount", "-l", disk], check=True)
