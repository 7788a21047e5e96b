# SPDX-License-Identifier: MIT
"""Children that run as acpd's user and stop, kill or trace their guards."""

import contextlib
import ctypes
import os
import pathlib
import pwd
import signal
import time

import pytest

from acpd import DEADLINE, profile, shell, stopped, wait_until

NOBODY = pwd.getpwnam("nobody")
ONCE = {"maxAttempts": 1}

# Children record their start and end; no two of one slot may be alive at the same time.
STOP = "kill -STOP $PPID; "
SUPERVISOR = "$(cut -d ' ' -f 4 /proc/$PPID/stat)"


def parent(pid):
    return int(open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()[1])


def comm(pid):
    with contextlib.suppress(OSError):
        return pathlib.Path(f"/proc/{pid}/comm").read_text().strip()
    return None


def state(pid):
    with contextlib.suppress(OSError):
        return open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()[0]
    return None


def is_alive(pid):
    return state(pid) not in (None, "Z")


def below(pid):
    """The ids of a process's children."""
    found = []
    for entry in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            if parent(int(entry)) == pid:
                found.append(int(entry))
    return found


def supervisor_of(daemon):
    def found():
        names = [pid for pid in below(daemon.process.pid) if comm(pid) == "acpd-supervisor"]
        return names[0] if names else None

    return wait_until(found, "there is a supervisor")


def keepers_of(daemon):
    return [pid for pid in below(supervisor_of(daemon)) if comm(pid) == "acpd-keeper"]


@pytest.mark.parametrize("script", [
    STOP + "sleep 1000", STOP + "setsid sleep 1000 & sleep 1000",
    "trap 'kill -STOP $PPID; sleep 1000' TERM; while :; do sleep 0.05; done",
])
def test_a_child_that_stops_its_keeper_ends_all_the_same(make_daemon, script):
    daemon = make_daemon(shell(script, timeout=2, maxConcurrentTasks=1, retry=ONCE), profile("q"), killGrace=1)
    with daemon.client() as client:
        first, second = [client.assign("p")["id"] for _ in range(2)]
        for id in (first, second):
            task = client.finish(id)
            assert task["status"] == "failed" and task["error"]["class"] == "timeout", task
            assert not daemon.processes(ACPD_TASK_ID=id)
        wait_until(lambda: not keepers_of(daemon), "no keeper is left")
        assert client.finish(client.assign("q")["id"])["status"] == "completed"


@pytest.mark.parametrize("end", ["exit 0", "exec >&- 2>&-; sleep 1000"])
def test_a_keeper_that_cannot_tell_of_the_end_is_missed(make_daemon, folder, end):
    """Long before the timeout, because no process is left that could write."""
    daemon = make_daemon(shell(f"if mkdir {folder}/first; then {STOP} {end}; fi"))
    with daemon.client() as client:
        task = client.finish(client.assign("p")["id"])
        assert task["status"] == "completed" and task["attempt"] == 2


def test_a_stopped_keeper_does_not_hold_up_the_end(make_daemon, folder):
    daemon = make_daemon(shell(f"{STOP} touch {folder}/up; sleep 1000"), killGrace=1)
    with daemon.client() as client:
        client.assign("p")
        wait_until((folder / "up").exists)
    assert daemon.stop() == 0
    assert not daemon.processes()


LONE = "exec 9>>{folder}/slot; flock -n 9 || echo two > {folder}/overlap; "


@pytest.mark.parametrize("when", ["idle", "busy", "by a child"])
def test_a_stopped_supervisor_is_replaced(make_daemon, folder, when):
    script = (f"if mkdir {folder}/first 2>/dev/null; then "
              + (f"kill -STOP {SUPERVISOR}; " if when == "by a child" else "")
              + f"touch {folder}/up; sleep 1000; fi")
    daemon = make_daemon(shell(LONE.format(folder=folder) + script, maxConcurrentTasks=1),
                         profile("q", ["true"]))
    supervisor = supervisor_of(daemon)
    with daemon.client() as client:
        if when != "idle":
            long = client.assign("p")["id"]
            wait_until((folder / "up").exists)
        if when != "by a child":
            os.kill(supervisor, signal.SIGSTOP)
        ids = [client.assign("q")["id"] for _ in range(3)]
        for id in ids:
            assert client.finish(id)["status"] == "completed"
        if when != "idle":
            task = client.finish(long)
            assert task["status"] == "completed" and task["attempt"] == 2, "it was interrupted, and ran again"
        assert supervisor_of(daemon) != supervisor
    assert state(supervisor) is None
    assert not (folder / "overlap").exists()


@pytest.mark.parametrize("whom", ["supervisor", "keeper", "both"])
@pytest.mark.parametrize("how", [signal.SIGSTOP, signal.SIGKILL])
def test_the_next_acpd_ends_what_the_last_one_left(make_daemon, folder, whom, how):
    """Stopped processes hold the lock; they are killed after their descendants."""
    daemon = make_daemon(shell(LONE.format(folder=folder) + "setsid sleep 1000 & sleep 1000", timeout=5,
                               maxConcurrentTasks=1), profile("q", ["true"]))
    with daemon.client() as client:
        id = client.assign("p")["id"]
        wait_until(lambda: len(daemon.processes(ACPD_TASK_ID=id)) >= 3)
        old = daemon.processes(ACPD_TASK_ID=id)
        guards = {"supervisor": [supervisor_of(daemon)], "keeper": keepers_of(daemon),
                  "both": [supervisor_of(daemon), *keepers_of(daemon)]}[whom]
    for pid in guards:
        with contextlib.suppress(ProcessLookupError):  # keepers may have ended with a killed supervisor
            os.kill(pid, how)
    if how == signal.SIGKILL:  # killed together with acpd, it would leave the family to nobody
        wait_until(lambda: not any(state(pid) for pid in old), "its family is gone")
    daemon.kill()
    daemon.start()
    with daemon.client() as client:
        assert client.finish(client.assign("q")["id"])["status"] == "completed"
        assert not any(is_alive(pid) for pid in [*old, *guards])
        client.cancel_task(id=id)
    assert not (folder / "overlap").exists()


@pytest.mark.parametrize("first", ["keeper", "supervisor"])
def test_a_keeper_and_the_supervisor_killed_at_once(make_daemon, folder, first):
    daemon = make_daemon(shell(LONE.format(folder=folder) + f"setsid sleep 1000 & touch {folder}/$ACPD_ATTEMPT; "
                               "sleep 1000", maxConcurrentTasks=1))
    with daemon.client() as client:
        id = client.assign("p")["id"]
        for attempt in range(1, 9):  # a task interrupted ten times fails
            wait_until((folder / str(attempt)).exists, f"attempt {attempt}")
            old = daemon.processes(ACPD_ATTEMPT=attempt)
            [keeper], supervisor = keepers_of(daemon), supervisor_of(daemon)
            with stopped(daemon):  # it would start another one between the two
                for pid in (keeper, supervisor) if first == "keeper" else (supervisor, keeper):
                    with contextlib.suppress(ProcessLookupError):  # the second may have ended with the first
                        os.kill(pid, signal.SIGKILL)
                wait_until(lambda: not any(is_alive(pid) for pid in (keeper, supervisor)), "both are dead")
            wait_until((folder / str(attempt + 1)).exists, "it runs again")
            assert not any(state(pid) for pid in old), "the family before is gone"
    assert not (folder / "overlap").exists()


# Two chains of short-lived processes: each starts the next one in a new session. They end with the test's folder,
# so that a fault affects only the test, not the machine.
FLEE = """
import os, sys, time
for _ in range(2):
    if os.fork() == 0:
        break
else:
    open(sys.argv[1] + "/up", "w").close()
    time.sleep(1000)
while os.path.exists(sys.argv[1]):
    os.setsid()
    if os.fork():
        os._exit(0)
"""


@pytest.mark.parametrize("first", ["keeper", "acpd", "neither"])
def test_a_family_that_flees_is_gone_before_the_next_acpd_begins(make_daemon, folder, first):
    """Even if its keeper was killed together with acpd, so that its loss was not reported in time."""
    daemon = make_daemon(profile("p", ["/usr/bin/python3", "-c", FLEE, str(folder)], retry=ONCE), profile("q"))
    for _ in range(5):
        with daemon.client() as client:
            client.update_profile_status(name="p", isActive=True)
            id = client.assign("p")["id"]
            wait_until((folder / "up").exists)
            [keeper] = keepers_of(daemon)
            client.update_profile_status(name="p", isActive=False)
            supervisor = supervisor_of(daemon)
        handles = [os.pidfd_open(pid) for pid in (keeper, daemon.process.pid, supervisor)]
        if first == "neither":  # the supervisor notices both at once
            signal.pidfd_send_signal(handles[2], signal.SIGSTOP)
        for handle in handles[:2] if first != "acpd" else handles[1::-1]:
            with contextlib.suppress(ProcessLookupError):  # the second may have ended with the first
                signal.pidfd_send_signal(handle, signal.SIGKILL)
        daemon.process.wait(DEADLINE)
        wait_until(lambda: not is_alive(keeper))
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(handles[2], signal.SIGCONT)
        for handle in handles:
            os.close(handle)
        daemon.start()
        with daemon.client() as client:
            assert client.finish(client.assign("q")["id"])["status"] == "completed"
            assert not daemon.processes(ACPD_TASK_ID=id)
            client.cancel_task(id=id)
        (folder / "up").unlink()
    assert daemon.log.read_text().count("do not exit; killing them") < 5, \
        "the supervisor before ends them itself, and only if it is slow the next one has to"


def test_children_may_not_trace_their_guards(make_daemon, folder):
    """Nor take their descriptors: both need the same permission."""
    libc = ctypes.CDLL(None, use_errno=True)
    daemon = make_daemon(profile("p", ["sleep", "1000"]), start=False)
    options = {}
    if os.geteuid() == 0:
        os.chmod(folder, 0o755)
        os.chmod(daemon.folder, 0o777)
        options = {"user": NOBODY.pw_uid, "group": NOBODY.pw_gid, "extra_groups": []}
    daemon.start(**options)
    with daemon.client() as client:
        id = client.assign("p")["id"]
        wait_until(lambda: daemon.processes(ACPD_TASK_ID=id))
        guards = [supervisor_of(daemon), *keepers_of(daemon)]
        assert len(guards) == 2
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                if os.geteuid() == 0:
                    os.setgroups([])
                    os.setresgid(*[NOBODY.pw_gid] * 3)
                    os.setresuid(*[NOBODY.pw_uid] * 3)
                for pid in guards:
                    os.kill(pid, 0)  # same user
                    for descriptor in range(10):
                        handle = os.pidfd_open(pid)
                        assert libc.syscall(438, handle, descriptor, 0) < 0 and ctypes.get_errno() == 1
                        os.close(handle)
                    assert libc.ptrace(16, pid, 0, 0) < 0 and ctypes.get_errno() == 1  # PTRACE_ATTACH
                    with pytest.raises(PermissionError):
                        open(f"/proc/{pid}/mem", "rb")
                os.write(write, b"refused")
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        os.close(write)
        assert os.read(read, 100) == b"refused"
        os.close(read)
        client.cancel_task(id=id)


def test_signals_that_can_be_ignored_are(make_daemon, folder):
    daemon = make_daemon(shell(f"touch {folder}/up; until [ -e {folder}/go ]; do sleep 0.02; done"))
    with daemon.client() as client:
        id = client.assign("p")["id"]
        wait_until((folder / "up").exists)
        for pid in (supervisor_of(daemon), *keepers_of(daemon)):
            for number in set(signal.valid_signals()) - {signal.SIGKILL, signal.SIGSTOP, signal.SIGCONT}:
                os.kill(pid, number)
        (folder / "go").touch()
        task = client.finish(id)
        assert task["status"] == "completed" and task["attempt"] == 1


def test_an_acpd_that_a_child_has_stopped_goes_on(make_daemon, folder):
    """Otherwise the timeouts of running attempts would never take effect."""
    stop = f"kill -STOP $(cut -d ' ' -f 4 /proc/{SUPERVISOR}/stat); sleep 1000"
    daemon = make_daemon(shell(stop, timeout=1, retry=ONCE))
    with daemon.client() as client:
        id = client.assign("p")["id"]
        assert client.finish(id)["error"]["class"] == "timeout"


def test_nothing_is_asked_while_nothing_is_due(make_daemon, folder):
    """The watch costs nothing: keepers sleep while their commands run, and all guards sleep if nothing runs."""
    daemon = make_daemon(shell(f"touch {folder}/up; sleep 1000"), profile("q"))

    def turns(pid):
        lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("voluntary_ctxt_switches"))

    def sleeps(pid, looks=0):
        """Whether the process stops waking up; earlier activity may have to end first."""
        before, end = turns(pid), time.monotonic() + 6
        wait_until(lambda: time.monotonic() > end)
        return turns(pid) - before <= looks

    with daemon.client() as client:
        id = client.assign("p")["id"]
        wait_until((folder / "up").exists)
        client.finish(client.assign("q")["id"])
        supervisor = supervisor_of(daemon)
        wait_until(lambda: len(keepers_of(daemon)) == 1)
        [keeper] = keepers_of(daemon)
        wait_until(lambda: sleeps(keeper), "the keeper sleeps")
        wait_until(lambda: sleeps(supervisor, looks=2), "the supervisor looks at acpd now and then")
        client.cancel_task(id=id)
        client.finish(id)
        wait_until(lambda: sleeps(supervisor), "and sleeps when nothing runs")
