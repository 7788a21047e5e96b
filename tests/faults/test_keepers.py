# SPDX-License-Identifier: MIT
"""Keepers own one family after another; nothing of one reaches the next, and idle keepers are nobody's loss."""

import contextlib
import ctypes
import os
import resource
import signal
import threading

import pytest
from acpd import is_alive, shell, wait_until
from test_guards_stopped import below, keepers_of, supervisor_of

ABOUT = ("echo $PPID; pwd; ulimit -n; ulimit -t; ulimit -v; ulimit -f; nice; umask; taskset -p $$ | cut -d: -f2; "
         "ls /proc/self/fd | wc -l; env | grep -v ^ACPD_ | sort")

ONCE = {"maxAttempts": 1}


def keeper_and_rest(client, profile):
    keeper, rest = client.finish(client.assign(profile)["id"])["result"]["output"].split("\n", 1)
    return int(keeper), rest


def run_in(client, keeper, profile):
    """What a command says that this keeper runs, or None if another one does."""
    found, rest = keeper_and_rest(client, profile)
    return rest if found == keeper else None


def idle_keeper(daemon, client, profile="p"):
    """Of a command that has ended."""
    keeper, _ = keeper_and_rest(client, profile)
    assert is_alive(keeper)
    return keeper


def test_short_commands_share_keepers(make_daemon):
    with make_daemon(shell(ABOUT, maxConcurrentTasks=1)).client() as client:
        ids = [client.assign("p")["id"] for _ in range(40)]
        keepers = {client.finish(id)["result"]["output"].split()[0] for id in ids}
        assert len(keepers) < 20


def test_nothing_of_one_family_reaches_the_next(make_daemon, folder):
    (folder / "own").mkdir()
    daemon = make_daemon(
        shell(ABOUT, "p"),
        shell(ABOUT, "q", runner={"cwd": str(folder / "own"),
                                  "env": {"HOME": "/elsewhere", "ADDED": "1", "PATH": "/usr/bin:/bin"}}))
    with daemon.client() as client:
        _, plain = keeper_and_rest(client, "p")

        def between():
            """What the first one's commands say before and after one of the second, all of one keeper."""
            keeper, before = keeper_and_rest(client, "p")
            own, after = run_in(client, keeper, "q"), run_in(client, keeper, "p")
            return own and after and (before, own, after)

        before, own, after = wait_until(between, "one keeper runs all three")
        assert plain == before == after
        assert own.startswith(f"{folder}/own\n") and f"PWD={folder}/own\n" in own
        assert {"HOME=/elsewhere", "ADDED=1", "PATH=/usr/bin:/bin"} <= set(own.split("\n"))
        assert "ADDED" not in after and "HOME=/elsewhere" not in after


@pytest.mark.parametrize("limits", [{"openFiles": 77}, {"cpuTime": 77}])
def test_limits_of_one_family_do_not_reach_the_next(make_daemon, limits):
    with make_daemon(shell(ABOUT, "p"), shell(ABOUT, "q", limits=limits)).client() as client:
        _, plain = keeper_and_rest(client, "p")
        limited, rest = keeper_and_rest(client, "q")
        assert "77" in rest.split("\n")[1:3]
        for _ in range(5):
            keeper, other = keeper_and_rest(client, "p")
            assert keeper != limited and other == plain


@pytest.mark.parametrize("change", ["renice -n 7 -p $PPID", "prlimit --pid $PPID --fsize=77000", "ionice -c 3 -p $PPID",
                                    "chrt -b -p 0 $PPID", "taskset -p 1 $PPID"])
def test_what_a_command_does_to_its_keeper_does_not_reach_the_next(make_daemon, change):
    with make_daemon(shell(ABOUT, "p"), shell(f"{change} > /dev/null; {ABOUT}", "q")).client() as client:
        _, plain = keeper_and_rest(client, "p")
        changed, _ = keeper_and_rest(client, "q")
        for _ in range(5):
            keeper, other = keeper_and_rest(client, "p")
            assert keeper != changed and other == plain


def test_a_command_after_one_that_was_stopped(make_daemon):
    """The time to stop that one is no deadline of the next."""
    daemon = make_daemon(shell("echo $PPID; sleep 1000", "q"), shell("echo $PPID; sleep 0.3; echo over"))
    with daemon.client() as client:
        def one_keeper_runs_both():
            stopped = client.assign("q")["id"]
            keeper = int(wait_until(lambda: client.log(stopped), "it runs")[0])
            client.cancel_task(id=stopped)
            client.finish(stopped)
            found, rest = keeper_and_rest(client, "p")
            assert rest == "over\n"
            return found == keeper

        wait_until(one_keeper_runs_both)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can see a keeper's descriptors")
def test_a_keeper_keeps_no_descriptors(make_daemon):
    with make_daemon(shell("echo $PPID", maxConcurrentTasks=1)).client() as client:
        counts = {}
        for _ in range(60):
            keeper = client.finish(client.assign("p")["id"])["result"]["output"].strip()
            with contextlib.suppress(OSError):
                counts.setdefault(keeper, []).append(len(os.listdir(f"/proc/{keeper}/fd")))
        most = max(counts.values(), key=len)
        assert len(most) > 3 and most[-1] <= min(most) + 5, most  # the last run's may not be closed yet


def test_a_folder_that_is_missing_is_missed_by_one_command_alone(make_daemon, folder):
    daemon = make_daemon(shell(ABOUT, "p"), shell("true", "q", runner={"cwd": str(folder / "gone")}, retry=ONCE))
    with daemon.client() as client:
        _, plain = keeper_and_rest(client, "p")
        id = client.assign("q")["id"]
        error = wait_until(lambda: client.task(id)["error"], "it cannot start")
        assert error["message"] == f'cannot enter "{folder}/gone": No such file or directory'
        assert keeper_and_rest(client, "p")[1] == plain


def test_few_descriptors_do_not_limit_what_runs_at_once(make_daemon):
    def limit():
        resource.setrlimit(resource.RLIMIT_NOFILE, (40, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))

    daemon = make_daemon(shell("sleep 1000", maxConcurrentTasks=60), start=False)
    with daemon.start(preexec_fn=limit).client() as client:
        ids = [client.assign("p")["id"] for _ in range(60)]
        wait_until(lambda: len(keepers_of(daemon)) == 60, "all of them run")
        assert {client.task(id)["attempt"] for id in ids} == {1}


def test_idle_keepers_end_by_themselves(make_daemon, folder):
    """Even if another keeper was forked while they were busy."""
    daemon = make_daemon(shell(f"while [ ! -e {folder}/go ]; do sleep 0.01; done", maxConcurrentTasks=4),
                         shell("sleep 1000", "q"))
    with daemon.client() as client:
        ids = [client.assign("p")["id"] for _ in range(4)]
        other = client.assign("q")["id"]
        wait_until(lambda: len(keepers_of(daemon)) == 5, "all of them run")
        (folder / "go").touch()
        for id in ids:
            client.finish(id)
        wait_until(lambda: len(keepers_of(daemon)) == 1, "the busy one is left")
        client.cancel_task(id=other)
        wait_until(lambda: not keepers_of(daemon), "none is left")
        assert supervisor_of(daemon)


def test_an_idle_keeper_is_killed_or_stopped(make_daemon):
    daemon = make_daemon(shell(ABOUT, retry=ONCE), shell("sleep 1000", "q"))
    with daemon.client() as client:
        other = client.assign("q")["id"]
        client.wait_status(other, "running")
        for fate in (signal.SIGKILL, signal.SIGSTOP) * 5:
            keeper = idle_keeper(daemon, client)
            with contextlib.suppress(ProcessLookupError):  # it may have waited for long enough
                os.kill(keeper, fate)
            if fate == signal.SIGKILL:
                wait_until(lambda: not is_alive(keeper), "it is dead")
            task = client.finish(client.assign("p")["id"])
            assert task["status"] == "completed" and task["attempt"] == 1
        assert client.task(other)["status"] == "running"


def test_idle_keepers_that_were_stopped_end_too(make_daemon):
    daemon = make_daemon(shell("echo $PPID"))
    with daemon.client() as client:
        for _ in range(3):
            keeper = idle_keeper(daemon, client)
            with contextlib.suppress(ProcessLookupError):
                os.kill(keeper, signal.SIGSTOP)
        wait_until(lambda: not keepers_of(daemon), "none is left")


def test_a_keeper_that_is_stopped_again_and_again_before_it_starts_the_command(make_daemon):
    daemon = make_daemon(shell("echo $PPID"))
    over = threading.Event()

    def stop(keeper):
        while not over.is_set():
            with contextlib.suppress(ProcessLookupError):
                os.kill(keeper, signal.SIGSTOP)

    with daemon.client() as client:
        stopper = threading.Thread(target=stop, args=(idle_keeper(daemon, client),))
        stopper.start()
        try:
            assert client.finish(client.assign("p")["id"])["status"] == "completed"
        finally:
            over.set()
            stopper.join()


def test_a_command_that_takes_its_keepers_descriptors_away(make_daemon, folder):
    """It can then find no process of the family, and leaves that to the supervisor."""
    daemon = make_daemon(shell(f"setsid sleep 1000 & echo $! > {folder}/pid; prlimit --pid $PPID --nofile=3:3",
                               retry=ONCE))
    with daemon.client() as client:
        client.finish(client.assign("p")["id"])
        assert not is_alive(int((folder / "pid").read_text()))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can take a descriptor of the supervisor")
def test_a_supervisor_is_dead_though_its_socket_is_open(make_daemon):
    """As when a process that it had just forked was stopped before it closed its copy."""
    daemon = make_daemon(shell("echo $PPID"))
    with daemon.client() as client:
        client.finish(client.assign("p")["id"])
        supervisor = supervisor_of(daemon)
        held, handle = [], os.pidfd_open(supervisor)
        for fd in os.listdir(f"/proc/{supervisor}/fd"):
            if os.readlink(f"/proc/{supervisor}/fd/{fd}").startswith("socket:"):
                held.append(ctypes.CDLL(None).syscall(438, handle, int(fd), 0))  # pidfd_getfd
        assert min(held) >= 0
        os.kill(supervisor, signal.SIGKILL)
        assert client.finish(client.assign("p")["id"])["status"] == "completed"
        for fd in (*held, handle):
            os.close(fd)


@pytest.mark.parametrize("whom", ["acpd", "supervisor"])
def test_idle_keepers_end_with_their_guards(make_daemon, whom):
    daemon = make_daemon(shell(ABOUT))
    with daemon.client() as client:
        keeper, supervisor = idle_keeper(daemon, client), supervisor_of(daemon)
        if whom == "acpd":
            daemon.kill()
            wait_until(lambda: not is_alive(supervisor), "it follows acpd")
        else:
            os.kill(supervisor, signal.SIGKILL)
            wait_until(lambda: supervisor_of(daemon) != supervisor, "it has a successor")
        wait_until(lambda: not is_alive(keeper), "it follows")
    if whom == "supervisor":
        with daemon.client() as client:
            assert client.finish(client.assign("p")["id"])["attempt"] == 1
        assert keeper not in below(supervisor_of(daemon))
