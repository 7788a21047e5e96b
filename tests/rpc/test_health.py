# SPDX-License-Identifier: MIT
"""Health: a state, a reason in plain words, and the consequences."""

import datetime
import fcntl
import os

from acpd import profile, shell, wait_until

OFTEN = {"healthCheckInterval": 1}


def wait_health(client, name, health, *words):
    def reached():
        state = client.state(name)
        return state["health"] == health and all(w in (state["healthReason"] or "") for w in words)

    wait_until(reached, f"{name} is {health} {words}")


def test_an_attempt_that_is_stuck(make_daemon):
    daemon = make_daemon(shell("grep -q hang && sleep 1000; exit 0", maxConcurrentTasks=20),
                         health={"stuckFactor": 1, "stuckMin": 0.5}, **OFTEN)
    with daemon.client() as client:
        hanging = client.assign("p", title="hang")["id"]
        for _ in range(9):
            client.finish(client.assign("p")["id"])
        assert client.state("p")["health"] == "healthy"  # too few for a baseline
        client.finish(client.assign("p")["id"])
        wait_health(client, "p", "degraded", "an attempt has been running for", "95 % end within")
        health = client.get_health()
        assert health["status"] == "degraded"
        assert health["reasons"] == [f"profile p: {client.state('p')['healthReason']}"]
        client.cancel_task(id=hanging)
        wait_health(client, "p", "healthy")  # with its end, not only at the next check
        assert client.get_health()["status"] == "healthy"


def test_a_task_that_waits_for_too_long(make_daemon):
    daemon = make_daemon(shell("sleep 1000", maxConcurrentTasks=1), health={"wait": 0.1}, **OFTEN)
    with daemon.client() as client:
        client.wait_status(client.assign("p")["id"], "running")
        assert client.state("p")["health"] == "healthy"
        client.assign("p")
        wait_health(client, "p", "degraded", "a task has been waiting for")
        client.update_profile_status(name="p", isActive=False)  # the owner's choice
        wait_health(client, "p", "healthy")


def test_a_program_that_is_missing(make_daemon, folder):
    program = folder / "agent"
    daemon = make_daemon(profile("p", [str(program)]), profile("q", ["no-such-program"]),
                         profile("r", ["agent"], runner={"env": {"PATH": str(folder)}}), **OFTEN)
    with daemon.client() as client:
        for name, missing in [("p", str(program)), ("q", "no-such-program"), ("r", "agent")]:
            wait_health(client, name, "unhealthy", f'the program "{missing}" was not found')
        program.write_text("#!/bin/sh\nexit 0\n")
        os.chmod(program, 0o755)
        wait_health(client, "p", "healthy")
        wait_health(client, "r", "healthy")
        assert client.finish(client.assign("r")["id"])["status"] == "completed"
        assert client.state("q")["health"] == "unhealthy"


def test_a_folder_that_is_missing(make_daemon, folder):
    daemon = make_daemon(profile("p", runner={"cwd": f"{folder}/project"}), **OFTEN)
    with daemon.client() as client:
        wait_health(client, "p", "unhealthy", f'the folder "{folder}/project" was not found')
        (folder / "project").mkdir()
        wait_health(client, "p", "healthy")


def test_workers_that_do_not_come(make_daemon):
    daemon = make_daemon({"name": "w", "runner": {"type": "worker"}}, **OFTEN)
    with daemon.client() as client:
        id = client.assign("w")["id"]
        assert client.task(id)["pending"]["reason"] == "no_worker"
        wait_health(client, "w", "degraded", "no worker")
        client.claim_task(profiles=["w"], worker="test")
        wait_health(client, "w", "healthy")


def test_only_workers_are_missed(make_daemon):
    """Tasks of commands may wait despite free slots, too: here for the family of a previous acpd."""
    daemon = make_daemon(profile("p"), {"name": "w", "runner": {"type": "worker"}}, start=False, **OFTEN)
    daemon.state.mkdir(mode=0o700)
    with open(daemon.state / "supervisor.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        daemon.start()
        with daemon.client() as client:
            id = client.assign("p")["id"]
            client.assign("w")
            for _ in range(2):  # each time acpd has checked both
                wait_health(client, "w", "degraded", "no worker")
                client.claim_task(profiles=["w"], worker="x")
                client.assign("w")
            task, shown = client.task(id), client.get_profiles_with_states()[0]
            assert task["status"] == "queued" and shown["profile"]["name"] == "p" and shown["profile"]["slots"] > 0
            assert (client.state("p")["health"], client.state("p")["healthReason"]) == ("healthy", None)
            fcntl.flock(lock, fcntl.LOCK_UN)
            assert client.finish(id)["status"] == "completed"


def test_nothing_is_missed_of_a_profile_that_is_no_longer_configured(make_daemon):
    """Its owner removed it, so its program no longer matters."""
    daemon = make_daemon(profile("p"), profile("gone", ["no-such-program"]), **OFTEN)
    with daemon.client() as client:
        client.update_profile_status(name="gone", isActive=False)
        client.assign("gone")
        wait_health(client, "gone", "unhealthy", "was not found")
        daemon.configure(profile("p"), **OFTEN)
        client.reload_config()
        wait_health(client, "gone", "healthy")
        assert client.state("gone")["healthReason"] is None
        assert client.get_health()["reasons"] == []
    daemon.restart()
    with daemon.client() as client:
        assert client.state("gone")["health"] == "healthy"
        assert client.get_health()["reasons"] == []


def test_an_unhealthy_profile_gets_one_probe_at_a_time(make_daemon, folder):
    flag = folder / "works"
    daemon = make_daemon(shell(f"test -e {flag} || exit 1; read line; case $line in *hang*) sleep 1000; "
                               "esac", maxConcurrentTasks=3, retry={"maxAttempts": 1}))
    with daemon.client() as client:
        for _ in range(5):
            client.finish(client.assign("p")["id"])
        assert client.state("p")["health"] == "unhealthy"
        flag.touch()
        hanging = [client.assign("p", title="hang")["id"] for _ in range(3)]
        client.wait_status(hanging[0], "running")
        for id in hanging[1:]:
            task = client.task(id)
            assert (task["status"], task["pending"]["reason"]) == ("queued", "unhealthy")
        assert client.state("p")["currentTasks"] == 1
        assert client.get_profiles_with_states()[0]["profile"]["slots"] == 1
        for id in hanging:
            client.cancel_task(id=id)
        # After three successes in a row, it is no longer unhealthy.
        for _ in range(2):
            assert client.finish(client.assign("p")["id"])["status"] == "completed"
            assert client.state("p")["health"] == "unhealthy"
        client.finish(client.assign("p")["id"])
        assert client.state("p")["health"] == "degraded"
        assert client.state("p")["healthReason"] == "3 of the last 8 attempts succeeded"
        hanging = [client.assign("p", title="hang")["id"] for _ in range(4)]
        for id in hanging[:3]:
            client.wait_status(id, "running")
        assert client.task(hanging[3])["pending"]["reason"] == "slots"


def test_an_attempt_from_before_is_not_in_the_way_of_a_probe(make_daemon):
    daemon = make_daemon(shell("read line; case $line in *hang*) sleep 1000;; *fail*) exit 1;; esac",
                               maxConcurrentTasks=10, retry={"maxAttempts": 1}))
    with daemon.client() as client:
        client.wait_status(client.assign("p", title="hang")["id"], "running")
        for _ in range(5):
            client.finish(client.assign("p", title="fail")["id"])
        assert client.state("p")["health"] == "unhealthy"
        for _ in range(3):
            assert client.finish(client.assign("p")["id"])["status"] == "completed"
        assert client.state("p")["health"] == "degraded"


def test_what_is_unhealthy_no_longer_for_the_router_still_gets_one_attempt(make_daemon):
    daemon = make_daemon(shell("read line; case $line in *hang*) sleep 1000;; esac; exit 1",
                               maxConcurrentTasks=8, retry={"maxAttempts": 1}),
                         health={"lapse": 0.1}, **OFTEN)
    with daemon.client() as client:
        for _ in range(5):
            client.finish(client.assign("p")["id"])
        wait_health(client, "p", "degraded", "failed")
        hanging = [client.assign("p", title="hang")["id"] for _ in range(3)]
        client.wait_status(hanging[0], "running")
        assert [client.task(id)["status"] for id in hanging[1:]] == ["queued", "queued"]
        assert client.get_profiles_with_states()[0]["profile"]["slots"] == 1


def test_one_probe_at_a_time_for_workers(make_daemon):
    daemon = make_daemon({"name": "w", "runner": {"type": "worker"}, "maxConcurrentTasks": 3,
                          "retry": {"maxAttempts": 1}})
    with daemon.client() as client:
        ids = [client.assign("w")["id"] for _ in range(8)]
        for _ in ids[:5]:
            claim = client.claim_task(profiles=["w"], worker="test")
            client.fail_task(id=claim["task"]["id"], lease=claim["lease"], error={"message": "no"})
        claim = client.claim_task(profiles=["w"], worker="test")
        assert claim["task"]["id"] == ids[5]
        assert client.claim_task(profiles=["w"], worker="test") == {"task": None}
        assert client.task(ids[6])["pending"]["reason"] == "unhealthy"


def test_the_health_of_the_whole(make_daemon):
    daemon = make_daemon(profile())
    with daemon.client() as client:
        client.finish(client.assign("p")["id"])
        health = client.get_health()
        assert (health["status"], health["reasons"]) == ("healthy", [])
        storage, loop = health["storage"], health["loop"]
        assert storage["status"] == "ok" and storage["sizeBytes"] > 4096
        committed = datetime.datetime.fromisoformat(storage["lastCommitAt"])
        finished = datetime.datetime.fromisoformat(client.task(1)["finishedAt"])
        assert committed >= finished and storage["commitDuration"] > 0
        assert loop["lag"] > 0 and loop["commits"] > 1 and loop["passes"] >= loop["commits"]


def slots(client):
    return client.get_profiles_with_states()[0]["profile"]["slots"]


def test_autoscaling_halves_and_grows_again(make_daemon, folder):
    flag = folder / "slow-down"
    daemon = make_daemon(shell(f"test -e {flag} && exit 75; exit 0", maxConcurrentTasks=8,
                               minConcurrentTasks=2, retry={"backoff": 0.01, "maxBackoff": 0.01},
                               cooldown={"min": 0.01, "max": 0.02}))
    with daemon.client() as client:
        assert slots(client) == 8
        flag.touch()
        id = client.assign("p")["id"]
        wait_until(lambda: slots(client) == 2, "it slows down")
        flag.unlink()
        assert client.finish(id)["status"] == "completed"
        wait_until(lambda: client.finish(client.assign("p")["id"]) and slots(client) == 8,
                   "it grows again")


def test_without_autoscaling_the_slots_stay(make_daemon):
    daemon = make_daemon(shell("exit 75", maxConcurrentTasks=8, cooldown={"min": 0.01, "max": 0.02},
                               retry={"backoff": 0.01, "maxBackoff": 0.01}))
    with daemon.client() as client:
        id = client.assign("p")["id"]
        wait_until(lambda: client.task(id)["attempt"] > 3, "it tries again")
        assert slots(client) == 8
        client.cancel_task(id=id)
