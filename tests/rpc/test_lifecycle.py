# SPDX-License-Identifier: MIT
"""Start, stop, reload, and recovery from crashes."""

import fcntl
import json
import os
import pathlib
import re
import signal
import socket
import sqlite3
import stat
import subprocess

import pytest

from acpd import ACPD, DEADLINE, Daemon, RpcError, profile, shell, wait_until
from database import assert_counters_are_right


def test_the_second_daemon_on_a_socket_says_so_and_exits(make_daemon, folder):
    first = make_daemon(profile())
    other = folder / "other"
    other.mkdir()
    second = Daemon(other, {"profiles": [profile()]})
    second.socket = first.socket
    second.spawn()
    assert second.process.wait(60) == 75
    assert f"another acpd is listening on {first.socket}" in second.log.read_text()
    with first.client() as client:
        assert client.get_health(), "the first goes on"


def test_the_second_daemon_on_a_state_directory_says_so_and_exits(make_daemon, folder):
    first = make_daemon(profile())
    second = Daemon(folder, {"profiles": [profile()]})
    second.state = first.state
    second.spawn()
    assert second.process.wait(60) == 75
    assert f"another acpd uses the state directory {first.state}" in second.log.read_text()


def test_a_lock_that_outlives_acpd_by_a_moment_is_waited_for(make_daemon):
    """A process just forked by acpd holds copies of its descriptors until it closes them."""
    daemon = make_daemon(profile())
    daemon.stop()
    with open(daemon.state / "acpd.lock") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        daemon.spawn()
        fds = pathlib.Path(f"/proc/{daemon.process.pid}/fd")
        wait_until(lambda: held.name in {os.path.realpath(fd) for fd in fds.iterdir()}, "it has come to the lock")
    wait_until(daemon.is_answering, "it has got the lock")


def test_a_stale_socket_is_replaced(make_daemon):
    daemon = make_daemon(profile())
    daemon.kill()
    assert daemon.socket.is_socket(), "a crash leaves it behind"
    daemon.start()
    with daemon.client() as client:
        assert client.get_health()


def test_doors_are_closed_to_others(make_daemon):
    daemon = make_daemon(profile())
    assert stat.S_IMODE(daemon.socket.stat().st_mode) == 0o600
    assert stat.S_IMODE(daemon.state.stat().st_mode) == 0o700
    with daemon.client() as client:
        id = client.finish(client.assign("p")["id"])["id"]
    for file in daemon.state.rglob("*"):
        assert stat.S_IMODE(file.stat().st_mode) & 0o077 == 0, file


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o702])
def test_a_state_directory_that_others_may_change_is_refused(make_daemon, mode):
    daemon = make_daemon(profile(), start=False)
    (daemon.folder / "real").mkdir()
    daemon.state.symlink_to("real")
    (daemon.folder / "real").chmod(mode)
    daemon.spawn()
    assert daemon.process.wait(DEADLINE) == 1
    assert f"the state directory {daemon.state} can be changed by other users" in daemon.log.read_text()
    assert not list(daemon.state.iterdir())
    (daemon.folder / "real").chmod(0o755)
    daemon.start()


def test_a_state_directory_of_another_user_is_refused(make_daemon):
    if os.geteuid() != 0:
        pytest.skip("only root can give a folder away")
    daemon = make_daemon(profile(), start=False)
    daemon.state.mkdir()
    os.chown(daemon.state, 65534, 65534)
    daemon.spawn()
    assert daemon.process.wait(DEADLINE) == 1
    assert "can be changed by other users" in daemon.log.read_text()


def test_a_new_state_directory_is_synced_into_its_parents(make_daemon):
    """Otherwise a power failure could remove it, with all acknowledged changes."""
    daemon = make_daemon(profile(), start=False)
    state, trace = daemon.folder / "a" / "b" / "state", daemon.folder / "trace"
    with subprocess.Popen(
            ["strace", "-f", "-y", "-qq", "-o", trace, "-e", "trace=mkdir,fsync", ACPD, "--config",
             daemon.config, "--socket", daemon.socket, "--state-dir", state],
            env={**os.environ, "ASAN_OPTIONS": "detect_leaks=0"}, stderr=subprocess.DEVNULL) as process:
        daemon.process = process
        wait_until(daemon.is_answering)
        [acpd] = [int(pid) for pid in
                  pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]
        os.kill(acpd, signal.SIGTERM)
    daemon.process = None
    lines = trace.read_text().splitlines()
    for folder in (state.parent.parent, state.parent, state):
        made = next(i for i, line in enumerate(lines) if f'mkdir("{folder}"' in line and line.endswith(" = 0"))
        assert any(f"<{folder.parent}>)" in line and "fsync(" in line for line in lines[made:]), folder


def test_sigterm_interrupts_commits_and_exits_cleanly(make_daemon, folder):
    daemon = make_daemon(shell(f"touch {folder}/$ACPD_TASK_ID; setsid sleep 1000 & sleep 1000"))
    with daemon.client() as client:
        ids = [client.assign("p")["id"] for _ in range(3)]
        wait_until(lambda: (folder / str(ids[0])).exists() and (folder / str(ids[1])).exists())
        assert daemon.stop() == 0
        assert not daemon.socket.exists()
        assert not daemon.processes()
    daemon.configure(profile())
    daemon.start()
    with daemon.client() as client:
        for id, attempts in zip(ids, (2, 2, 1)):
            task = client.finish(id)
            assert task["status"] == "completed" and task["attempt"] == attempts


def test_what_succeeds_while_acpd_stops_has_succeeded(make_daemon, folder):
    daemon = make_daemon(shell(f"trap 'echo done; exit 0' TERM; touch {folder}/up; "
                               "while :; do sleep 0.05; done"))
    with daemon.client() as client:
        id = client.assign("p")["id"]
        wait_until((folder / "up").exists)
    assert daemon.stop() == 0
    daemon.start()
    with daemon.client() as client:
        assert client.task(id)["result"] == {"output": "done\n"}


def test_writes_are_refused_while_acpd_stops(make_daemon, folder):
    daemon = make_daemon(shell(f"trap '' TERM; touch {folder}/up; "
                               f"until [ -e {folder}/go ]; do sleep 0.05; done"), killGrace=100)
    with daemon.client() as client:
        id = client.assign("p")["id"]
        wait_until((folder / "up").exists)
        daemon.process.send_signal(signal.SIGTERM)
        wait_until(lambda: client.get_health()["loop"]["stopping"])
        for call in (lambda: client.assign("p"), lambda: client.cancel_task(id=id),
                     lambda: client.update_profile_status(name="p", isActive=False)):
            with pytest.raises(RpcError) as error:
                call()
            assert error.value.code == -32004 and "shutting down" in error.value.message
        assert client.task(id)["status"] == "running", "reads go on"
        (folder / "go").touch()
        assert daemon.process.wait(60) == 0


def test_a_crash_queues_what_ran_again_and_leaves_no_child(make_daemon, folder):
    daemon = make_daemon(shell(f"touch {folder}/$ACPD_TASK_ID.$ACPD_ATTEMPT; "
                               "setsid sh -c 'trap \"\" TERM HUP; sleep 1000' & sleep 1000"))
    with daemon.client() as client:
        ids = [client.assign("p")["id"] for _ in range(4)]
        wait_until(lambda: all((folder / f"{i}.1").exists() for i in ids[:2]))
    daemon.kill()
    wait_until(lambda: not daemon.processes(), "every child is gone")
    daemon.configure(profile())
    daemon.start()
    with daemon.client() as client:
        assert [client.finish(i)["attempt"] for i in ids] == [2, 2, 1, 1]
        state = client.state("p")
        assert (state["completedTasks"], state["queueSize"], state["currentTasks"]) == (4, 0, 0)
        metrics = client.get_profile_metrics(name="p")
        assert metrics["sampleSize"] == 4 and metrics["errorRate"] == 0, "interruptions do not count"


def test_old_and_new_children_never_overlap(make_daemon, folder):
    # The child holds a lock file while it lives; a second one at the same time would report it.
    script = (f"mkdir {folder}/held 2>/dev/null || echo overlap >> {folder}/overlap; "
              f"trap '' TERM; echo $ACPD_ATTEMPT >> {folder}/starts; sleep 1000")
    daemon = make_daemon(shell(script))
    with daemon.client() as client:
        client.assign("p")
    for crash in range(1, 6):
        wait_until(lambda: (folder / "starts").exists()
                   and len((folder / "starts").read_text().split()) == crash)
        daemon.kill()
        # The child must be gone before the next start; only then may its lock be removed.
        wait_until(lambda: not daemon.processes())
        (folder / "held").rmdir()
        daemon.start()
    assert not (folder / "overlap").exists()


def test_the_reading_of_a_bad_configuration_changes_nothing(make_daemon):
    daemon = make_daemon(profile("a"))
    with daemon.client() as client:
        daemon.config.write_text('{"profiles": [\n{"name": "b",}]}')
        with pytest.raises(RpcError) as error:
            client.reload_config()
        assert error.value.code == -32602 and "config.json:2" in error.value.message
        daemon.configure(profile("b", maxConcurrentTask=1))
        with pytest.raises(RpcError) as error:
            client.reload_config()
        assert "profiles[0].maxConcurrentTask: unknown key" in error.value.message
        assert [s["name"] for s in client.get_profile_states()] == ["a"]


def test_reload_adds_changes_and_removes_profiles(make_daemon, folder):
    wait = f"until [ -e {folder}/go ]; do sleep 0.02; done"
    daemon = make_daemon(shell(wait, "a", maxConcurrentTasks=2), shell(wait, "b"))
    with daemon.client() as client:
        running = [client.wait_status(client.assign("a")["id"], "running")["id"] for _ in range(2)]
        kept = [client.assign("b")["id"] for _ in range(3)]
        wait_until(lambda: client.state("b")["currentTasks"] == 2)
        daemon.configure(shell(wait, "a", maxConcurrentTasks=1, role="New"), profile("c"))
        daemon.process.send_signal(signal.SIGHUP)
        wait_until(lambda: any(s["name"] == "c" for s in client.get_profile_states()))
        everything = {p["profile"]["name"]: p for p in client.get_profiles_with_states()}
        assert everything["a"]["profile"]["role"] == "New"
        assert everything["a"]["state"]["currentTasks"] == 2, "a lowered limit kills nothing"
        assert everything["b"]["state"]["isActive"] is False, "it stays until it is empty"
        with pytest.raises(RpcError) as error:
            client.assign("b")
        assert error.value.code == -32002
        assert client.finish(client.assign("c")["id"])["status"] == "completed"
        (folder / "go").touch()
        for id in running + kept[:2]:
            assert client.finish(id)["status"] == "completed"
        assert client.task(kept[2])["pending"]["reason"] == "paused"
        assert client.update_task(id=kept[2], profile="c")["profile"] == "c"
        assert client.finish(kept[2])["status"] == "completed"
        assert [s["name"] for s in client.get_profile_states()] == ["a", "c"], "b was empty"
        assert client.task(kept[0])["profile"] == "b", "what it did keeps its name"


def test_a_profile_gone_from_the_configuration_at_a_restart_keeps_its_tasks(make_daemon):
    daemon = make_daemon(profile("a"), profile("b"))
    with daemon.client() as client:
        client.update_profile_status(name="b", isActive=False)
        id = client.assign("b")["id"]
    daemon.stop()
    daemon.configure(profile("a"))
    daemon.start()
    with daemon.client() as client:
        assert [s["name"] for s in client.get_profile_states()] == ["a", "b"]
        assert client.task(id)["pending"]["reason"] == "paused"
        client.cancel_task(id=id)
        assert [s["name"] for s in client.get_profile_states()] == ["a"]
    assert "is not configured but has unfinished tasks" in daemon.log.read_text()


def test_without_a_configuration_three_profiles_run_the_demo(make_daemon):
    daemon = make_daemon(config=None)
    assert "demo" in daemon.log.read_text()
    with daemon.client() as client:
        profiles = {p["profile"]["name"]: p["profile"] for p in client.get_profiles_with_states()}
        assert list(profiles) == ["product-manager", "refinement", "development"]
        assert profiles["product-manager"]["role"] == "Product Manager"
        assert profiles["refinement"]["capabilities"] == ["task-breakdown", "dependency-analysis",
                                                          "estimation"]
        assert profiles["development"]["capabilities"] == ["coding", "testing", "debugging",
                                                           "documentation"]
        assert client.get_health()["demo"] is True
        task = client.submit_task(task={"title": "Say it", "type": "coding",
                                        "description": "back to me"})["task"]
        done = client.finish(task["id"])
        assert done["profile"] == "development" and "back to me" in done["result"]["text"]
        assert any("demo agent" in text for text in client.log(task["id"]))


def run_acpd(*arguments):
    return subprocess.run([ACPD, *map(str, arguments)], capture_output=True, text=True, timeout=60)


def test_a_newer_database_is_refused_politely(make_daemon):
    daemon = make_daemon(profile())
    daemon.stop()
    database = sqlite3.connect(daemon.database_file)
    database.execute("PRAGMA user_version = 999")
    database.close()
    before = (daemon.database_file).read_bytes()
    assert daemon.spawn().process.wait(60) == 1
    assert "written by a newer acpd" in daemon.log.read_text()
    assert (daemon.database_file).read_bytes() == before


def test_what_is_no_database_is_not_replaced(make_daemon):
    daemon = make_daemon(profile(), start=False)
    daemon.state.mkdir()
    (daemon.database_file).write_text("my diary\n" * 1000)
    assert daemon.spawn().process.wait(60) == 1
    assert "acpd.db" in daemon.log.read_text()
    assert (daemon.database_file).read_text().startswith("my diary")


def test_the_command_line(folder):
    assert run_acpd("--version").stdout.startswith("acpd ")
    usage = run_acpd("--help").stdout
    for option in ("--config", "--socket", "--state-dir", "--check", "--log-level", "--version"):
        assert option in usage
    assert run_acpd("--nonsense").returncode == 1
    assert "unexpected argument" in run_acpd("surplus").stderr
    assert "--check cannot be combined with a command" in run_acpd("--check", "backup", folder / "x").stderr
    for option in ("--config", "--socket", "--state-dir"):
        assert f"{option} must not be empty" in run_acpd(option + "=").stderr
    good, bad = folder / "good.json", folder / "bad.json"
    good.write_text(json.dumps({"profiles": [profile()]}))
    bad.write_text(json.dumps({"profiles": [profile(queueLimit=0)]}))
    checked = run_acpd("--config", good, "--check")
    assert checked.returncode == 0 and "valid, 1 profile\n" in checked.stdout
    assert "warning" not in checked.stdout
    checked = run_acpd("--config", bad, "--check")
    assert checked.returncode == 78
    assert "profiles[0].queueLimit: must be an integer from 1 to 100000000" in checked.stderr
    assert run_acpd("--config", folder / "none.json", "--check").returncode == 78
    long = run_acpd("--config", good, "--state-dir", folder / "s", "--socket", "/tmp/" + "x" * 200)
    assert long.returncode == 1 and "longer than 107 bytes" in long.stderr


def test_what_is_missing_is_told_by_check_at_the_start_and_at_reload(make_daemon, folder):
    (folder / "file").touch()
    profiles = [profile("good"), profile("gone", ["no-such-program"]),
                profile("homeless", runner={"cwd": f"{folder}/none"}),
                profile("filed", ["neither"], runner={"cwd": f"{folder}/file"})]
    warnings = ['profile gone: the program "no-such-program" was not found',
                f'profile homeless: the folder "{folder}/none" was not found',
                f'profile filed: the folder "{folder}/file" was not found',
                'profile filed: the program "neither" was not found']
    daemon = make_daemon(*profiles)
    checked = run_acpd("--config", daemon.config, "--check")
    assert checked.returncode == 0, "the file is good all the same"
    assert "valid, 4 profiles\n" in checked.stdout
    assert [f"warning: {line}" for line in warnings] == re.findall("^warning: .*", checked.stdout, re.M)
    log = daemon.log.read_text()
    assert all(line in log for line in warnings) and "profile good:" not in log
    daemon.configure(*profiles, profile("late", ["another-program"]))
    with daemon.client() as client:
        client.reload_config()
    assert 'profile late: the program "another-program" was not found' in daemon.log.read_text()


def test_readiness_is_told_to_systemd(make_daemon, folder):
    notifications = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    notifications.bind(str(folder / "notify"))
    notifications.settimeout(60)
    os.environ["NOTIFY_SOCKET"] = str(folder / "notify")
    try:
        daemon = make_daemon(profile())
    finally:
        del os.environ["NOTIFY_SOCKET"]
    assert notifications.recv(100) == b"READY=1"
    daemon.stop()
    assert notifications.recv(100) == b"STOPPING=1"
    notifications.close()


def test_the_counters_are_those_of_the_tasks(make_daemon):
    """The counters of get_profile_state must always equal a count of the tasks."""
    daemon = make_daemon(shell("exit $((ACPD_TASK_ID % 3))", maxConcurrentTasks=4,
                               retry={"maxAttempts": 2, "backoff": 0.01}))
    with daemon.client() as client:
        ids = [client.assign("p")["id"] for _ in range(40)]
        for id in ids[::7]:
            try:
                client.cancel_task(id=id)
            except RpcError:
                pass
        for id in ids:
            client.finish(id)
        client.assign("p", runAt="2100-01-01T00:00:00Z")
    daemon.stop()
    assert_counters_are_right(daemon)


def test_it_starts_without_standard_streams_and_leaves_the_next_one_room(make_daemon):
    daemon = make_daemon(profile("p"), start=False)
    closed = subprocess.Popen(["bash", "-c", 'exec "$@" 0<&- 1>&- 2>&-', "bash", *daemon.arguments()])
    daemon.process = closed
    wait_until(daemon.is_answering)
    assert daemon.stop() == 0
    daemon.start()
    with daemon.client() as client:
        assert client.finish(client.assign("p")["id"])["status"] == "completed"


def test_a_file_in_the_sockets_place_is_left_alone(make_daemon):
    daemon = make_daemon(profile("p"), start=False)
    daemon.socket.write_text("precious")
    daemon.spawn()
    assert daemon.process.wait(DEADLINE) != 0
    assert "is not a socket" in daemon.log.read_text()
    assert daemon.socket.read_text() == "precious"
    daemon.socket.unlink()


def test_a_group_that_is_none_is_named(make_daemon):
    daemon = make_daemon(profile("p"), start=False, socketGroup="no-such-group")
    daemon.spawn()
    assert daemon.process.wait(DEADLINE) == os.EX_CONFIG
    assert 'socketGroup: unknown group "no-such-group"' in daemon.log.read_text()
    check = subprocess.run([ACPD, "--config", daemon.config, "--check"], capture_output=True, text=True)
    assert check.returncode == os.EX_CONFIG and "unknown group" in check.stderr


def test_children_have_their_users_umask(make_daemon):
    daemon = make_daemon(shell("umask"), start=False)
    daemon.start(umask=0o027)
    with daemon.client() as client:
        assert client.finish(client.assign("p")["id"])["result"] == {"output": "0027\n"}


def test_a_relative_socket_is_told_absolutely(make_daemon, folder):
    daemon = make_daemon(shell("echo $ACPD_SOCKET", runner={"cwd": "/"}), start=False)
    arguments = daemon.arguments()
    arguments[arguments.index("--socket") + 1] = "acpd.sock"
    daemon.arguments = lambda: arguments
    daemon.start(cwd=daemon.folder)
    with daemon.client() as client:
        output = client.finish(client.assign("p")["id"])["result"]["output"]
    assert output.strip() == str(daemon.socket)


def test_a_removed_profile_takes_no_retries_and_keeps_its_history(make_daemon):
    daemon = make_daemon(profile("p"), shell("exit 3", "gone", retry={"maxAttempts": 1}))
    with daemon.client() as client:
        id = client.finish(client.assign("gone")["id"])["id"]
        before = client.state("gone")
        daemon.configure(profile("p"))
        client.reload_config()
        assert "unfinished tasks" not in daemon.log.read_text()
        with pytest.raises(RpcError) as error:
            client.retry_task(id=id)
        assert error.value.code == -32002 and "no longer configured" in error.value.message
        assert [task["id"] for task in client.list_tasks(profile="gone")["tasks"]] == [id]
    daemon.restart()
    with daemon.client() as client:
        daemon.configure(profile("p"), shell("exit 3", "gone", retry={"maxAttempts": 1}))
        client.reload_config()
        assert client.state("gone") == before
        assert client.task(client.retry_task(id=id)["id"])["attempt"] >= 1
        client.finish(id)
