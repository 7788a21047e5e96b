# SPDX-License-Identifier: MIT
"""Anomalies."""

import pytest

from acpd import profile, shell
from clock import WallClock

NOW = 1_795_357_930_125  # 2026-11-22T14:32:10.125Z


def anomalies(client, name="p"):
    return client.get_health()["profiles"][name]["anomalies"]


def test_nothing_is_unusual_at_first(client):
    assert anomalies(client) == []


def test_failures_are_told_and_a_restart_knows_what_is_usual(make_daemon):
    daemon = make_daemon(shell("exit $(sed 's/.*\"input\":\\([0-9]*\\).*/\\1/')", maxConcurrentTasks=1,
                               retry={"maxAttempts": 1}))
    with daemon.client() as client:
        for status in [0] * 40 + [1] * 12:
            last = client.assign("p", input=status)["id"]
        client.finish(last)
        notes = anomalies(client)
        failures, = [note for note in notes if note["metric"] == "failureRate"]
        # z = 1 - 0.9^12; the mean is that of all 52.
        assert failures["direction"] == "high"
        assert failures["value"] == pytest.approx(100 * (1 - 0.9 ** 12))
        assert failures["usual"] == pytest.approx(100 * 12 / 52)
        assert failures["usual"] < failures["limit"] < failures["value"]
        assert failures["text"].startswith("the failure rate is 71.8 % lately, usually 23.1 %")
    daemon.restart()
    with daemon.client() as client:
        assert anomalies(client) == notes


def test_arrivals_are_told_and_a_restart_knows_what_is_usual(make_daemon, folder):
    clock = WallClock(folder, NOW)
    daemon = make_daemon(profile("p"), profile("q"), start=False)
    daemon.environment.update(clock.environment)
    daemon.start()
    with daemon.client() as client:
        client.update_profile_status(name="p", isActive=False)
        for arrivals in [1] * 40 + [15] * 5:
            assert anomalies(client) == []
            for _ in range(arrivals):
                client.assign("p")
            clock.advance(60)
            client.get_health()  # its pass notices the end of the minute
        note, = anomalies(client)
        assert (note["metric"], note["direction"]) == ("arrivalRate", "high")
        assert note["value"] == pytest.approx(1 + 14 * (1 - 0.9 ** 5))
        assert note["usual"] == pytest.approx((40 * 1 + 5 * 15) / 45)
        assert note["text"].startswith("the arrival rate is 6.73 per minute lately, usually 2.56")
        health = client.get_health()
        assert health["status"] == "healthy", "a note, and no more"
        assert health["profiles"]["q"]["anomalies"] == []
        client.assign("p")
    daemon.restart()
    with daemon.client() as client:
        assert anomalies(client) == [note]
        # Arrivals before the restart count for their minute.
        for arrivals in (14, 15):
            for _ in range(arrivals):
                client.assign("p")
            clock.advance(60)
            client.get_health()
        note, = anomalies(client)
        assert note["value"] == pytest.approx(1 + 14 * (1 - 0.9 ** 7))
        for _ in range(15):
            client.assign("p")
    daemon.stop()
    clock.advance(1800)
    daemon.start()
    with daemon.client() as client:
        # Half an hour without acpd is not half an hour without arrivals.
        note, = anomalies(client)
        assert note["value"] == pytest.approx(1 + 14 * (1 - 0.9 ** 8))
        assert note["usual"] == pytest.approx((40 * 1 + 8 * 15) / 48)
