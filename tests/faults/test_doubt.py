# SPDX-License-Identifier: MIT
"""
Commits with an unknown outcome, as when the connection to a server is lost in mid-commit: acpd answers, starts and
stops nothing until it is known, and then reports what happened.
"""

import contextlib
import json
import select
import signal

import pytest
from acpd import RpcError, profile, shell, stopped, wait_until
from database import assert_counters_are_right

OUTCOMES = ["unseen", "lost"]  # the commit succeeded, or failed
UNAVAILABLE = -32004
WAIT_FOR_GO = 'while [ ! -e "$(dirname "$ACPD_SOCKET")/go" ]; do sleep 0.01; done'


@contextlib.contextmanager
def doubt(daemon, outcome):
    """The next commit ends like this; its outcome is unknown until the end of the block."""
    before = len(daemon.log.read_text())
    daemon.order.write_text(outcome)
    try:
        yield lambda: wait_until(lambda: "commit is unknown" in daemon.log.read_text()[before:], "a commit in doubt")
    finally:
        daemon.order.unlink(missing_ok=True)


def has_answer(client):
    return bool(select.select([client.socket], [], [], 0)[0])


def assign(client, profile, **task):
    return client.send_call("assign_task_to_profile", profileName=profile, task={"title": "t", **task})


def is_there(client, key):
    return [task for task in client.all_tasks().values() if task["key"] == key]


def answers(client):
    try:
        return client.get_health()
    except RpcError as error:
        assert error.code == UNAVAILABLE
        return None


def started(daemon):
    """The tasks whose programs were started, one entry per start."""
    path = daemon.folder / "started"
    return path.read_text().split() if path.exists() else []


def make_faulty(make_daemon, script="true"):
    daemon = make_daemon(start=False)
    daemon.configure(shell(f'echo $ACPD_TASK_ID >> "{daemon.folder}/started"; {script}'),
                     {"name": "w", "runner": {"type": "worker", "lease": 3600}})
    return daemon.start_faulty()


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_a_task_is_acknowledged_and_run_once_its_commit_is_known(make_daemon, outcome):
    daemon = make_faulty(make_daemon)
    with daemon.client() as client, daemon.client() as other:
        with doubt(daemon, outcome) as begun:
            assign(client, "p", key="k")
            begun()
            other.send_call("get_health")
            assert not has_answer(client) and not started(daemon)
        if outcome == "unseen":
            task = client.reply()["result"]["task"]
            assert client.finish(task["id"])["attempt"] == 1
        else:
            error = client.reply()["error"]
            assert error["code"] == UNAVAILABLE and "nothing was changed" in error["message"]
            assert not is_there(client, "k")
            task = client.assign("p", key="k")  # neither its key nor its id is in use
            assert task["id"] == 1
            client.finish(task["id"])
        assert started(daemon) == ["1"]
        assert "result" in other.reply()
    daemon.stop()
    assert_counters_are_right(daemon)


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_whoever_waits_too_long_is_told_that_it_is_unknown(make_daemon, outcome):
    daemon = make_faulty(make_daemon)
    with daemon.client() as client, daemon.client() as other:
        with doubt(daemon, outcome) as begun:
            with stopped(daemon):  # so that all three are in one pass
                assign(client, "p", key="k")
                client.send_call("list_tasks")
                client.send_call("nope")
            begun()
            error = client.reply()["error"]
            assert error["code"] == UNAVAILABLE and "may or may not" in error["message"]
            for _ in "list_tasks", "nope":
                error = client.reply()["error"]
                assert error["code"] == UNAVAILABLE and "not done" in error["message"]
            # Other clients, whatever they request, do not wait.
            for method, params in [("get_health", {}), ("list_tasks", {}), ("cancel_task", {"id": 1})]:
                with pytest.raises(RpcError, match="not done: the storage is not responding"):
                    other.call(method, **params)
            with daemon.client() as late:
                late.send('[{"jsonrpc":"2.0","id":1,"method":"get_health"},{"jsonrpc":"2.0","id":2,"method":"nope"}]\n')
                late.calls = None
                assert [reply["error"]["code"] for reply in late.reply()] == [UNAVAILABLE, -32601]
            assert not started(daemon)
        wait_until(lambda: answers(other), "acpd goes on")
        found = is_there(client, "k")
        assert len(found) == (outcome == "unseen")
        for task in found:
            client.finish(task["id"])
        assert client.assign("p", key="k", title="again")["id"] == 1
        client.finish(1)
        assert started(daemon) == ["1"]


def test_any_number_of_calls_is_answered_in_doubt(make_daemon):
    daemon = make_faulty(make_daemon)
    with daemon.client() as client, daemon.client() as other:
        with doubt(daemon, "unseen") as begun:
            assign(client, "p")
            begun()
            client.reply()
            for _ in range(1000):
                other.send_call("get_task", id=1)
            assert {other.reply()["error"]["code"] for _ in range(1000)} == {UNAVAILABLE}


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_a_claim_that_nobody_was_told_of_is_given_back(make_daemon, outcome):
    daemon = make_faulty(make_daemon)
    with daemon.client() as client:
        id = client.assign("w")["id"]
        with doubt(daemon, outcome):
            with pytest.raises(RpcError, match="may or may not"):
                client.claim_task(profiles=["w"], worker="x")
        wait_until(lambda: answers(client), "acpd goes on")
        claim = client.claim_task(profiles=["w"], worker="y", wait=60)
        assert claim["task"]["id"] == id
        assert claim["task"]["attempt"] == (2 if outcome == "unseen" else 1)
        client.complete_task(id=id, lease=claim["lease"])
    daemon.stop()
    assert_counters_are_right(daemon)


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_an_end_in_doubt_is_told_once(make_daemon, outcome):
    """The end of a worker's task, and of a program that ends while another commit is in doubt."""
    daemon = make_faulty(make_daemon, WAIT_FOR_GO)
    with daemon.client() as client:
        running = client.assign("p")["id"]
        client.wait_status(running, "running")
        id = client.assign("w")["id"]
        claim = client.claim_task(profiles=["w"], worker="x")
        with doubt(daemon, outcome) as begun:
            client.send_call("complete_task", id=id, lease=claim["lease"])
            begun()
            pids = daemon.processes(ACPD_TASK_ID=running)
            (daemon.folder / "go").touch()
            wait_until(lambda: not set(pids) & set(daemon.processes(ACPD_TASK_ID=running)), "the program ends")
            assert not has_answer(client)
        reply = client.reply()
        if outcome == "lost":
            assert reply["error"]["code"] == UNAVAILABLE
            assert client.task(id)["status"] == "running"
            client.complete_task(id=id, lease=claim["lease"])
        for done in id, running:
            assert (client.finish(done)["status"], client.task(done)["attempt"]) == ("completed", 1)
        assert client.state("p")["completedTasks"] == client.state("w")["completedTasks"] == 1
    daemon.stop()
    assert_counters_are_right(daemon)


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_an_end_whose_own_commit_is_in_doubt_is_told_once(make_daemon, outcome):
    daemon = make_faulty(make_daemon, WAIT_FOR_GO)
    with daemon.client() as client:
        id = client.assign("p")["id"]
        wait_until(lambda: started(daemon), "it runs")
        with doubt(daemon, outcome) as begun:
            (daemon.folder / "go").touch()
            begun()
        assert client.finish(id)["attempt"] == 1
        assert started(daemon) == [str(id)]
        assert client.state("p")["completedTasks"] == 1
    daemon.stop()
    assert_counters_are_right(daemon)


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_what_the_pass_left_for_the_next_is_done_though_nobody_calls(make_daemon, outcome):
    """Telling a thousand dependants takes several passes."""
    daemon = make_faulty(make_daemon)
    with daemon.client() as client:
        first = client.assign("w")["id"]
        for _ in range(2000):
            client.send_call("assign_task_to_profile", profileName="w", task={"title": "t", "dependsOn": [first]})
        for _ in range(2000):
            client.reply()
        claim = client.claim_task(profiles=["w"], worker="x")
        with doubt(daemon, outcome) as begun:
            client.send_call("complete_task", id=first, lease=claim["lease"])
            begun()
        if "error" in client.reply():
            client.complete_task(id=first, lease=claim["lease"])
        with contextlib.closing(daemon.database()) as database:  # acpd is not asked: that would wake it
            wait_until(lambda: not database.execute("SELECT count(*) FROM task WHERE status = 3").fetchone()[0],
                       "no task is blocked", deadline=30)


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_what_runs_is_stopped_once_its_cancel_is_known(make_daemon, outcome):
    daemon = make_faulty(make_daemon, "exec sleep 600")
    with daemon.client() as client:
        id = client.assign("p")["id"]
        pids = wait_until(lambda: daemon.processes(ACPD_TASK_ID=id), "it runs")
        with doubt(daemon, outcome) as begun:
            client.send_call("cancel_task", id=id)
            begun()
            assert daemon.processes(ACPD_TASK_ID=id)
        reply = client.reply()
        if outcome == "unseen":
            assert reply["result"]["status"] == "cancelled"
            wait_until(lambda: not daemon.processes(ACPD_TASK_ID=id), "it is stopped")
        else:
            assert reply["error"]["code"] == UNAVAILABLE
            assert client.task(id)["status"] == "running"
            assert set(pids) <= set(daemon.processes(ACPD_TASK_ID=id))
            client.cancel_task(id=id)


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_a_reload_in_doubt_comes_into_force_in_the_end(make_daemon, outcome):
    daemon = make_faulty(make_daemon)
    with daemon.client() as client:
        daemon.configure(profile("new"))
        with doubt(daemon, outcome) as begun:
            daemon.process.send_signal(signal.SIGHUP)
            begun()
        wait_until(lambda: "\"new\"" in json.dumps(client.get_profiles_with_states()), "it is in force")
        client.finish(client.assign("new")["id"])


@pytest.mark.parametrize("outcome", OUTCOMES)
@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_the_next_start_finds_out(make_daemon, outcome, end):
    """acpd does not wait forever for unresponsive storage; running programs are ended."""
    daemon = make_faulty(make_daemon, "exec sleep 600")
    with daemon.client() as client:
        runs = client.assign("p")["id"]
        wait_until(lambda: daemon.processes(ACPD_TASK_ID=runs), "it runs")
        with doubt(daemon, outcome) as begun:
            assign(client, "w", key="k")
            begun()
            daemon.process.send_signal(end)
            assert daemon.process.wait(60) != 0
            assert (end == signal.SIGKILL) == ("stopping while the outcome" not in daemon.log.read_text())
        wait_until(lambda: not daemon.processes(), "no process is left")
    daemon.start()
    with daemon.client() as client:
        assert len(is_there(client, "k")) == (outcome == "unseen")
        wait_until(lambda: client.task(runs)["attempt"] == 2, "it runs again")
        client.cancel_task(id=runs)


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_a_start_in_doubt_ends_and_the_next_one_goes_on(make_daemon, outcome):
    daemon = make_faulty(make_daemon, "exec sleep 600")
    with daemon.client() as client:
        runs = client.assign("p")["id"]
        wait_until(lambda: daemon.processes(ACPD_TASK_ID=runs), "it runs")
        leased = client.assign("w")["id"]
        lease = client.claim_task(profiles=["w"], worker="x")["lease"]
    daemon.kill()
    daemon.order.write_text(outcome)
    assert daemon.spawn().process.wait(60) != 0
    assert "cannot recover" in daemon.log.read_text()
    daemon.order.unlink()
    daemon.start()
    with daemon.client() as client:
        assert client.complete_task(id=leased, lease=lease)["status"] == "completed"
        wait_until(lambda: client.task(runs)["attempt"] == 2, "it runs again")
        client.cancel_task(id=runs)
