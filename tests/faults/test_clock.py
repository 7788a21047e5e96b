# SPDX-License-Identifier: MIT
"""Setting the wall clock forwards and back while acpd works."""

import pytest

from acpd import profile, shell, wait_until
from clock import WallClock, iso

NOW = 1_800_000_000_000
DAY = 86400
WORKER = {"name": "w", "runner": {"type": "worker", "lease": 60}}


@pytest.fixture
def clock(folder):
    return WallClock(folder, NOW)


@pytest.fixture
def make(make_daemon, clock):
    def make(*profiles):
        daemon = make_daemon(*profiles, start=False)
        daemon.environment = clock.environment
        return daemon.start()

    return make


JUMPS = pytest.mark.parametrize("jump", [400 * DAY, DAY, -DAY, -400 * DAY])


@JUMPS
def test_a_lease_holds(make, clock, jump):
    with make(WORKER).client() as client:
        id = client.assign("w")["id"]
        claimed = client.claim_task(profiles=["w"], worker="x")
        clock.advance(jump)
        assert client.extend_lease(id=id, lease=claimed["lease"])["success"] is True
        clock.advance(jump)
        assert client.task(id)["status"] == "running"
        assert client.complete_task(id=id, lease=claimed["lease"])["attempt"] == 1


@JUMPS
def test_what_runs_is_not_timed_out_and_what_failed_is_tried_again(make, clock, folder, jump):
    with make(shell(f"until [ -e {folder}/go ]; do sleep 0.02; done; exit $((ACPD_ATTEMPT % 2))", timeout=300,
                    retry={"maxAttempts": 3, "backoff": 0.01, "maxBackoff": 0.02})).client() as client:
        id = client.wait_status(client.assign("p")["id"], "running")["id"]
        clock.advance(jump)
        client.get_health()  # a pass at the new time
        (folder / "go").touch()

        def has_completed():
            clock.advance(0.1)  # a retry waits for the clock, which does not run here
            return client.task(id)["status"] == "completed"

        wait_until(has_completed)
        assert client.task(id)["attempt"] == 2


@JUMPS
def test_the_order_of_the_queue_stays(make, clock, jump):
    with make(profile()).client() as client:
        client.update_profile_status(name="p", isActive=False)
        ids = [client.assign("p")["id"]]
        for _ in range(3):
            clock.advance(jump)
            ids.append(client.assign("p")["id"])
        assert [task["id"] for task in client.get_profile_task_queue(name="p")] == ids


def test_a_time_that_was_asked_for_comes_with_the_clock(make, clock):
    with make(profile()).client() as client:
        id = client.assign("p", runAt=iso(NOW + DAY * 1000))["id"]
        clock.advance(-DAY)
        client.get_health()
        assert client.task(id)["status"] == "scheduled"
        clock.advance(2 * DAY - 1)
        client.get_health()
        assert client.task(id)["status"] == "scheduled"
        clock.advance(1)
        wait_until(lambda: client.task(id)["status"] == "completed")


@JUMPS
def test_a_restart_after_a_jump_goes_on(make_daemon, make, clock, jump):
    daemon = make(profile(), WORKER)
    with daemon.client() as client:
        client.update_profile_status(name="p", isActive=False)
        ids = [client.assign("p")["id"] for _ in range(3)]
        held = client.assign("w")["id"]
        claimed = client.claim_task(profiles=["w"], worker="x")
    daemon.kill()
    clock.advance(jump)
    daemon.start()
    with daemon.client() as client:
        ids.append(client.assign("p")["id"])
        assert [task["id"] for task in client.get_profile_task_queue(name="p")] == ids
        assert client.complete_task(id=held, lease=claimed["lease"])["status"] == "completed"
        client.update_profile_status(name="p", isActive=True)
        for id in ids:
            assert client.finish(id)["status"] == "completed"


@JUMPS
def test_numbers_of_events_grow_over_a_restart_whatever_the_clock_says(make, clock, jump):
    daemon = make(WORKER)
    with daemon.client() as client, daemon.client() as follower:
        follower.subscribe()
        client.assign("w")
        last = follower.reply()["params"]["seq"]
    daemon.kill()
    clock.advance(jump)
    daemon.start()
    with daemon.client() as client, daemon.client() as follower:
        assert follower.subscribe(after=last)["seq"] >= last
        gap = follower.reply()["params"]
        assert gap["type"] == "gap" and gap["from"] == last + 1 <= gap["to"] + 1
        client.assign("w")
        assert follower.reply()["params"]["seq"] > last


def passes(client, count):
    """At least as many passes: each handles one call."""
    for _ in range(count):
        client.get_health()


@pytest.mark.parametrize("jump", [-DAY, -400 * DAY])
def test_a_long_backoff_is_no_shorter_after_many_passes_with_a_clock_that_was_set_back(make, clock, jump):
    """Its due time moves with the clock once, not again in each pass."""
    wait = 86400
    with make(shell("exit 1", retry={"maxAttempts": 2, "backoff": wait, "maxBackoff": wait})).client() as client:
        id = client.wait_status(client.assign("p")["id"], "scheduled")["id"]
        clock.advance(jump)
        passes(client, 100)
        task = client.task(id)
        assert (task["status"], task["attempt"], task["pending"]["reason"]) == ("scheduled", 1, "backoff")
        assert iso(clock.ms) < task["pending"]["eta"] <= iso(clock.ms + wait * 1000)
        clock.advance(wait)
        assert client.finish(id)["attempt"] == 2


@pytest.mark.parametrize("away", [1000, 0, -1000])
def test_an_attempt_whose_lease_outlives_acpd_takes_from_its_beginning_to_its_end(make, clock, away):
    """By the wall clock, which may have been set back meanwhile."""
    daemon = make(WORKER)
    with daemon.client() as client:
        id = client.assign("w")["id"]
        claimed = client.claim_task(profiles=["w"], worker="x")
    daemon.kill()
    clock.advance(away)
    daemon.start()
    with daemon.client() as client:
        assert client.complete_task(id=id, lease=claimed["lease"])["attempt"] == 1
        took = client.get_profile_metrics(name="w")["averageTaskDuration"]
        least = max(away, 0)
        assert least <= took < least + 600, "what it took here is far less than ten minutes"
