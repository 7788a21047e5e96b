# SPDX-License-Identifier: MIT
"""Cooldowns: a profile that cannot work pauses, then is probed with one attempt at a time."""

import pytest

from acpd import RpcError, shell, wait_until


def starts(folder):
    file = folder / "starts"
    return len(file.read_text().splitlines()) if file.exists() else 0


def failing(folder, **settings):
    """Fails with EX_TEMPFAIL until the file `ok` exists."""
    return shell(f"echo x >> {folder}/starts; test -e {folder}/ok || exit 75",
                 retry={"maxAttempts": 1, "backoff": 0.01, "maxBackoff": 0.01}, **settings)


def test_nothing_is_started_while_it_lasts_and_tasks_say_why(make_daemon, folder):
    daemon = make_daemon(failing(folder, cooldown={"min": 1000, "max": 1000}))
    with daemon.client() as client:
        client.update_profile_status(name="p", isActive=False)
        ids = [client.assign("p")["id"] for _ in range(3)]
        client.update_profile_status(name="p", isActive=True)
        wait_until(lambda: client.state("p")["health"] == "degraded")
        tasks = [wait_until(lambda: (t := client.task(id))["status"] == "queued" and t)
                 for id in ids]
        assert [task["pending"]["reason"] for task in tasks] == ["cooldown"] * 3
        state = client.state("p")
        assert state["healthReason"] == (
            "cooling down for 1000 s after unavailable: exited with status 75")
        assert client.get_health()["status"] == "degraded"
        assert starts(folder) <= 2, "no more than the slots allowed before it began"
        # The task's only attempt is not spent; resuming the profile makes it probe.
        (folder / "ok").touch()
        client.update_profile_status(name="p", isActive=False)
        client.update_profile_status(name="p", isActive=True)
        for id in ids:
            assert client.finish(id)["status"] == "completed"
        assert client.state("p")["health"] == "healthy"


def test_one_probe_at_a_time_until_one_succeeds(make_daemon, folder):
    """While a probe runs, no other attempt does, regardless of free slots."""
    daemon = make_daemon(shell(
        f"mkdir {folder}/running || touch {folder}/two; sleep 0.05; rmdir {folder}/running;"
        f" test -e {folder}/ok || exit 75; sleep 0.2",
        maxConcurrentTasks=1, cooldown={"min": 0.01, "max": 0.05},
        retry={"backoff": 0.01, "maxBackoff": 0.01}))
    with daemon.client() as client:
        ids = [client.assign("p")["id"] for _ in range(8)]
        wait_until(lambda: client.state("p")["health"] == "degraded")
        daemon.configure(shell(
            f"mkdir {folder}/running || touch {folder}/two; sleep 0.05; rmdir {folder}/running;"
            f" test -e {folder}/ok || exit 75; sleep 0.2",
            maxConcurrentTasks=8, cooldown={"min": 0.01, "max": 0.05},
            retry={"backoff": 0.01, "maxBackoff": 0.01}))
        client.reload_config()
        before = sum(client.task(id)["attempt"] for id in ids)
        wait_until(lambda: sum(client.task(id)["attempt"] for id in ids) > before + 8)
        assert not (folder / "two").exists()
        (folder / "ok").touch()
        for id in ids:
            assert client.finish(id)["status"] == "completed"
        assert client.state("p")["health"] == "healthy"


@pytest.mark.parametrize("cooldown, field", [
    ({"min": 10, "max": 5}, "cooldown.max: must not be less than cooldown.min"),
    ({"min": 0}, "cooldown.min: must be a number from 0.01 to 86400"),
])
def test_bad_settings_are_named(make_daemon, folder, cooldown, field):
    daemon = make_daemon(failing(folder))
    daemon.configure(failing(folder, cooldown=cooldown))
    with daemon.client() as client, pytest.raises(RpcError) as refused:
        client.reload_config()
    assert field in refused.value.message


def test_a_refusal_is_retried_where_it_is_configured(make_daemon, folder):
    from test_agents import agent

    daemon = make_daemon(agent("end('refusal')", retry={"maxAttempts": 3, "backoff": 0.01,
                                                        "maxBackoff": 0.01, "on": ["refusal"]}))
    with daemon.client() as client:
        task = client.finish(client.assign("p")["id"])
        assert task["status"] == "failed" and task["attempt"] == 3
        assert task["error"]["class"] == "refusal"


def poison(folder, **settings):
    """Fails with EX_TEMPFAIL for tasks whose title has "poison"."""
    return shell(f"grep -q poison && exit 75; echo $ACPD_TASK_ID >> {folder}/done", **settings)


def test_one_task_that_always_fails_does_not_stop_the_others(make_daemon, folder):
    daemon = make_daemon(poison(folder, cooldown={"min": 0.05, "max": 0.1}))
    with daemon.client() as client:
        bad = client.assign("p", "poison", priority="high")["id"]
        wait_until(lambda: client.task(bad)["error"])
        good = [client.assign("p", "good")["id"] for _ in range(5)]
        for id in good:
            assert client.finish(id)["status"] == "completed"
        # As no other task has succeeded since it failed three times, it may be the profile's fault.
        wait_until(lambda: client.task(bad)["attempt"] > 12)
        assert client.task(bad)["status"] in ("queued", "running")
        assert client.finish(client.assign("p", "good")["id"])["status"] == "completed"
        task = client.finish(bad)
        assert task["status"] == "failed" and task["error"]["class"] == "unavailable"


def test_what_met_a_cooldown_comes_behind_what_has_not_been_tried(make_daemon, folder):
    """Regardless of priority. Two failing tasks cannot alternate and keep the others waiting, either."""
    daemon = make_daemon(poison(folder, cooldown={"min": 0.05, "max": 0.05},
                                maxConcurrentTasks=1))
    with daemon.client() as client:
        bad = [client.assign("p", "poison", priority="high")["id"] for _ in range(2)]
        wait_until(lambda: all(client.task(id)["error"] for id in bad))
        client.update_profile_status(name="p", isActive=False)
        wait_until(lambda: client.state("p")["currentTasks"] == 0)
        good = [client.assign("p", "good", priority="low")["id"] for _ in range(3)]
        client.update_profile_status(name="p", isActive=True)
        for id in good:
            assert client.finish(id)["status"] == "completed"


def test_a_probe_takes_another_task_than_the_one_that_failed_last(make_daemon):
    """Even if the failed one is first in the queue: a worker reports which one it got."""
    daemon = make_daemon({"name": "p", "runner": {"type": "worker"},
                          "cooldown": {"min": 0.01, "max": 0.01}})
    with daemon.client() as client:
        def claim():
            return client.claim_task(profiles=["p"], worker="w", wait=60)

        first = client.assign("p", "first")["id"]
        claimed = claim()
        client.fail_task(id=first, lease=claimed["lease"],
                         error={"class": "rate_limit", "message": "later"})
        second = client.assign("p", "second", priority="low")["id"]
        client.update_task(id=first, priority="high")
        queue = [task["id"] for task in client.get_profile_task_queue(name="p")]
        assert queue == [first, second]
        assert claim()["task"]["id"] == second


def test_an_expired_login_costs_no_task_anything(make_daemon, folder):
    daemon = make_daemon(shell(f"test -e {folder}/ok || exit 77", cooldown={"min": 0.01, "max": 0.01},
                               retry={"maxAttempts": 1}))
    with daemon.client() as client:
        ids = [client.assign("p")["id"] for _ in range(3)]
        wait_until(lambda: all(client.task(id)["attempt"] > 6 for id in ids))
        (folder / "ok").touch()
        for id in ids:
            assert client.finish(id)["status"] == "completed"


def test_pending_says_cooldown_and_when_it_ends(make_daemon, folder):
    from datetime import datetime, timezone

    daemon = make_daemon(poison(folder, cooldown={"min": 60, "max": 60}))
    with daemon.client() as client:
        id = client.assign("p", "poison")["id"]
        task = wait_until(lambda: (t := client.task(id))["error"] and t)
        assert task["status"] == "queued" and task["pending"]["reason"] == "cooldown"
        eta = datetime.fromisoformat(task["pending"]["eta"].replace("Z", "+00:00"))
        assert 30 < (eta - datetime.now(timezone.utc)).total_seconds() <= 60


def test_what_a_task_has_cost_its_profile_survives_a_restart(make_daemon, folder):
    daemon = make_daemon(poison(folder, cooldown={"min": 0.01, "max": 0.01}, retry={"maxAttempts": 1}))
    with daemon.client() as client:
        bad = client.assign("p", "poison")["id"]
        wait_until(lambda: client.task(bad)["attempt"] >= 4)
    daemon.restart()
    with daemon.client() as client:
        assert client.finish(client.assign("p", "good")["id"])["status"] == "completed"
        assert client.finish(bad)["error"]["class"] == "unavailable"
