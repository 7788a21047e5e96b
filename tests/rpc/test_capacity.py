# SPDX-License-Identifier: MIT
"""Capacity: the number of slots that a profile needs."""

import contextlib

import pytest

from acpd import RpcError, profile
from database import metrics_blob
from clock import WallClock

MINUTE = 60_000
NOW = 1_795_357_930_125  # 2026-11-22T14:32:10.125Z
UNKNOWN = {"averageTaskDuration": None, "utilization": None, "predictedWait": None,
           "recommendedConcurrentTasks": None, "sampleSize": 0}


@pytest.fixture
def make(make_daemon, folder):
    """A daemon with 30 minutes of history: 50 arrivals and 10 retries for "p", 60 attempts of 30 s
    each, so 1 Erlang."""
    clock = WallClock(folder, NOW)

    def make(slots, **figures):
        daemon = make_daemon(profile("p", maxConcurrentTasks=slots), profile("idle"), start=False)
        daemon.environment.update(clock.environment)
        daemon.start()
        with daemon.client() as client:
            client.update_profile_status(name="p", isActive=False)
            client.assign("p")
        daemon.stop()
        figures = {"arrived": 50, "retried": 10, "successes": 40, "errors": 20,
                   "duration_sum": 60 * 30_000, **figures}
        with contextlib.closing(daemon.database()) as database:
            database.execute("UPDATE bucket SET data = ? WHERE profile_id = (SELECT id FROM profile "
                             "WHERE name = 'p')", [metrics_blob(**figures)])
            # Two overlapping spans, as after setting the clock back.
            database.execute("DELETE FROM uptime")
            database.executemany("INSERT INTO uptime (started_at, seen_at) VALUES (?, ?)", [
                (NOW - 30 * MINUTE, NOW - 12 * MINUTE), (NOW - 20 * MINUTE, NOW)])
            database.commit()
        return daemon.start()

    return make


def test_the_figures_are_those_of_erlang(make):
    with make(2).client() as client:
        for range in ("1h", "24h", "7d"):
            assert client.get_capacity(name="p", range=range) == [{
                "name": "p", "slots": 2, "arrivalRate": 120, "averageTaskDuration": 30,
                "utilization": 0.5, "predictedWait": pytest.approx(10), "targetWait": 60,
                "recommendedConcurrentTasks": 2, "sampleSize": 60, "range": range}]
        # One slot never suffices, with two the wait is 10 s, with three 30/22 s.
        for target, slots in ((10.1, 2), (9.9, 3), (1.4, 3), (1.3, 4)):
            answer, = client.get_capacity(name="p", targetWait=target)
            assert (answer["targetWait"], answer["recommendedConcurrentTasks"]) == (target, slots)


def test_a_queue_that_grows_without_bound_has_no_wait_but_a_remedy(make):
    with make(1).client() as client:
        answer, = client.get_capacity(name="p")
        assert answer["utilization"] == 1 and answer["predictedWait"] is None
        assert answer["recommendedConcurrentTasks"] == 2


def test_where_nothing_was_measured_nothing_is_recommended(make):
    with make(2).client() as client:
        both = client.get_capacity()
        assert [answer["name"] for answer in both] == ["p", "idle"]
        assert both[1] == {"name": "idle", "slots": 2, "arrivalRate": 0, "targetWait": 60,
                           "range": "1h", **UNKNOWN}
    with make(2, successes=0, errors=0, duration_sum=0).client() as client:
        answer, = client.get_capacity(name="p")
        assert answer["arrivalRate"] == 120
        assert {k: answer[k] for k in UNKNOWN} == UNKNOWN


def test_without_arrivals_one_slot_suffices(make):
    with make(2, arrived=0, retried=0).client() as client:
        answer, = client.get_capacity(name="p")
        assert (answer["arrivalRate"], answer["utilization"], answer["predictedWait"]) == (0, 0, 0)
        assert answer["recommendedConcurrentTasks"] == 1


def test_bad_parameters_are_named(client):
    for params, field in (({"targetWait": 0}, "targetWait"), ({"targetWait": "x"}, "targetWait"),
                          ({"range": "1y"}, "range")):
        with pytest.raises(RpcError) as error:
            client.get_capacity(**params)
        assert error.value.code == -32602 and error.value.data["field"] == field
    with pytest.raises(RpcError) as error:
        client.get_capacity(name="nobody")
    assert error.value.code == -32001
