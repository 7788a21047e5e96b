# SPDX-License-Identifier: MIT
"""The resource limits of attempts (`limits`). Sanitizers reserve terabytes of address space, so tests that limit it
run the clang build without sanitizers that ./dev test makes."""

import json
import os
import pathlib
import subprocess

import pytest

import acpd
from acpd import shell, wait_until

PLAIN = acpd.BUILD.parent / "build-clang" / "daemon" / "acpd"
UNIFIED = [line.split()[4] for line in open("/proc/self/mountinfo") if " - cgroup2 " in line]

ONCE = {"maxAttempts": 1}


@pytest.fixture
def plain(monkeypatch):
    if not PLAIN.exists():
        pytest.skip("there is no build without sanitizers: ./dev test makes one")
    monkeypatch.setattr(acpd, "ACPD", PLAIN)


@pytest.fixture
def group(plain):
    """A control group, as provided by a service manager."""
    path = pathlib.Path(UNIFIED[0] if UNIFIED else "/nonexistent") / f"acpd-test-{os.getpid()}"
    try:
        path.mkdir()
    except OSError as error:
        pytest.skip(f"no control group of the second kind can be made here: {error}")
    yield path

    def is_removed():
        for folder in [*path.glob("*/"), path]:
            try:
                folder.rmdir()
            except OSError:
                return False
        return True

    wait_until(is_removed, "nobody is left in the group")


def in_group(group):
    return {"preexec_fn": lambda: (group / "cgroup.procs").write_text("0")}


def python(code):
    return ["/usr/bin/python3", "-c", code]


def run(client, profile="p"):
    return client.finish(client.assign(profile)["id"])


def test_open_files_are_bounded(make_daemon):
    daemon = make_daemon(shell("ulimit -n; ulimit -Hn", limits={"openFiles": 40}), shell("ulimit -n", "q"))
    with daemon.client() as client:
        assert run(client)["result"]["output"].split() == ["40", "40"]
        assert int(run(client, "q")["result"]["output"]) > 40, "others are as they were"


def test_memory_is_bounded_for_one_family_alone(plain, make_daemon):
    """Its keeper, which has the limit, too, gets no other family."""
    daemon = make_daemon(shell("echo $PPID; ulimit -v", limits={"memory": 1 << 30}), shell("echo $PPID; ulimit -v", "q"))
    with daemon.client() as client:
        for _ in range(5):
            limited, limit = run(client)["result"]["output"].split()
            other, none = run(client, "q")["result"]["output"].split()
            assert (limit, none) == (str(1 << 20), "unlimited") and limited != other


def test_processor_time_is_bounded(make_daemon):
    daemon = make_daemon(shell("while :; do :; done", limits={"cpuTime": 0.5}, retry=ONCE))
    with daemon.client() as client:
        error = run(client)["error"]
        assert error["class"] == "signal" and "CPU time limit exceeded" in error["message"]


def test_who_ignores_the_first_signal_is_killed(make_daemon):
    daemon = make_daemon(shell("trap '' XCPU; while :; do :; done", limits={"cpuTime": 1}, retry=ONCE))
    with daemon.client() as client:
        assert "signal 9" in run(client)["error"]["message"]


def test_memory_is_bounded_without_a_control_group_too(plain, make_daemon):
    hungry = "b = bytearray(1 << 30); print(len(b))"
    daemon = make_daemon(
        acpd.profile("p", python(hungry), limits={"memory": 256 << 20}, retry=ONCE),
        acpd.profile("q", python(hungry)),
        acpd.profile("r", python("print('enough')"), limits={"memory": 256 << 20}))
    with daemon.client() as client:
        task = run(client)
        assert task["status"] == "failed"
        assert any("MemoryError" in line for line in client.log(task["id"]))
        assert run(client, "q")["status"] == "completed"
        assert run(client, "r")["status"] == "completed"


def check(*profiles, **options):
    return subprocess.run([PLAIN, "--check", "--config", "/dev/stdin", "--state-dir", "/nonexistent"],
                          input=json.dumps({"profiles": profiles}), capture_output=True, text=True,
                          timeout=60, **options)


@pytest.mark.parametrize("limits, words", [
    ({"processes": 10}, "limits.processes: cannot be enforced here: it needs a control group"),
    ({"openFiles": 1000000}, "limits.openFiles: cannot be enforced here: it is above the hard limit"),
    ({"cpuTime": 3600}, "limits.cpuTime: cannot be enforced here: it is above the hard limit"),
    ({"openFiles": 5}, "limits.openFiles: must be 0 or at least 32"),
    ({"memory": 1000}, "limits.memory: must be 0 or at least 16777216"),
    ({"memory": -1}, "limits.memory: must be an integer"),
    ({"disk": 5}, "limits.disk: unknown key"),
])
def test_what_cannot_be_kept_is_refused(plain, make_daemon, limits, words):
    def lower():
        import resource
        resource.setrlimit(resource.RLIMIT_NOFILE, (1024, 4096))
        resource.setrlimit(resource.RLIMIT_CPU, (600, 600))

    checked = check(shell("true", limits=limits), preexec_fn=lower)
    assert checked.returncode == 78 and words in checked.stderr, checked.stderr
    daemon = make_daemon(shell("true", limits=limits), start=False).spawn(preexec_fn=lower)
    assert daemon.process.wait(60) == 78, "nor does acpd start with it"


def test_a_reload_refuses_what_cannot_be_kept(make_daemon):
    daemon = make_daemon(shell("true"))
    with daemon.client() as client:
        daemon.configure(shell("true", limits={"processes": 10}))
        with pytest.raises(acpd.RpcError, match="cannot be enforced here"):
            client.reload_config()
        assert run(client)["status"] == "completed"


def test_a_worker_has_no_limits(plain):
    checked = check({"name": "w", "runner": {"type": "worker"}, "limits": {"openFiles": 100}})
    assert checked.returncode == 78 and "cannot be set for a worker, which is not a process of acpd" in checked.stderr


def test_each_attempt_has_a_leaf_of_the_group(group, make_daemon, folder):
    """The leaf is killed as a whole, then removed."""
    script = f"cut -d: -f3 /proc/self/cgroup | tail -1; setsid sleep 1000 & touch {folder}/up; wait"
    daemon = make_daemon(shell(script, maxConcurrentTasks=2), start=False)
    daemon.start(**in_group(group))
    with daemon.client() as client:
        ids = [client.assign("p")["id"] for _ in range(2)]
        wait_until(lambda: all(client.log(id) for id in ids))
        leaves = {line for id in ids for line in client.log(id)}
        assert len(leaves) == 2 and all(f"/{group.name}/run-" in leaf for leaf in leaves)
        assert len(list(group.glob("run-*"))) == 2
        assert str(daemon.process.pid) in (group / "acpd" / "cgroup.procs").read_text().split()
        for id in ids:
            client.cancel_task(id=id)
        wait_until(lambda: not list(group.glob("run-*")), "the leaves are gone")
        assert not daemon.processes()
        id = client.assign("p")["id"]
        wait_until(lambda: client.log(id))
    daemon.kill()
    wait_until(lambda: not daemon.processes())
    wait_until(lambda: not list(group.glob("run-*")), "also when acpd was killed")


def controllers(group):
    return (group / "cgroup.controllers").read_text().split()


def test_a_fork_bomb_stays_within_its_limit(group, make_daemon):
    if "pids" not in controllers(group):
        pytest.skip("the kernel's controller pids is not to be had here; ./dev vm runs this")
    bomb = ("import os, time\n"
            "while True:\n"
            "    try:\n"
            "        os.fork()\n"
            "    except OSError:\n"
            "        print('told no', flush=True)\n"
            "        time.sleep(0.1)\n")
    daemon = make_daemon(acpd.profile("bomb", python(bomb), limits={"processes": 50}, retry=ONCE),
                         shell("true"), start=False)
    daemon.start(**in_group(group))
    with daemon.client() as client:
        id = client.assign("bomb")["id"]
        wait_until(lambda: "told no" in client.log(id))
        assert 40 < len(daemon.processes(ACPD_TASK_ID=id)) <= 50
        assert run(client)["status"] == "completed", "others go on"
        client.cancel_task(id=id)
        wait_until(lambda: not daemon.processes(), "all of them are gone")


def test_memory_of_a_whole_family_is_bounded(group, make_daemon):
    if "memory" not in controllers(group):
        pytest.skip("the kernel's controller memory is not to be had here; ./dev vm runs this")
    eat = "python3 -c 'b = bytearray(40 << 20); import time; time.sleep(1000)' &"
    daemon = make_daemon(shell(f"{eat} {eat} {eat} wait", limits={"memory": 64 << 20}, retry=ONCE),
                         start=False)
    daemon.start(**in_group(group))
    with daemon.client() as client:
        wait_until(lambda: run(client)["error"]["message"].endswith("was exceeded"))
