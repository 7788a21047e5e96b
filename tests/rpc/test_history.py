# SPDX-License-Identifier: MIT
"""History: the figures of each minute, and the times when acpd did not run."""

import contextlib
import signal

import pytest

from acpd import RpcError, profile, shell, wait_until
from database import metrics_blob
from clock import WallClock, iso

MINUTE = 60_000
QUARTER = 15 * MINUTE
HOUR = 60 * MINUTE
NOW = 1_795_357_930_125  # 2026-11-22T14:32:10.125Z
RANGES = {"1h": (MINUTE, 60), "24h": (QUARTER, 96), "7d": (HOUR, 168)}

EMPTY = {"completed": 0, "failed": 0, "cancelled": 0, "retried": 0, "arrived": 0,
         "successRate": None, "sampleSize": 0, "averageTaskDuration": None,
         "p50TaskDuration": None, "p95TaskDuration": None, "queueWaitTime": None,
         "p50QueueWaitTime": None, "p95QueueWaitTime": None, "maxQueueSize": 0}


@pytest.fixture
def clock(folder):
    return WallClock(folder, NOW)


@pytest.fixture
def make(make_daemon, clock):
    """Starts a daemon that uses the test's clock."""
    def make(*profiles, **settings):
        daemon = make_daemon(*profiles, start=False, **settings)
        daemon.environment.update(clock.environment)
        return daemon.start()
    return make


def settle(client):
    """A reply follows the pass that noticed the time."""
    client.get_health()


def paused(client, *names):
    for name in names:
        client.update_profile_status(name=name, isActive=False)


def last(client, range="1h", **params):
    return client.get_metrics_history(range=range, **params)["buckets"][-1]


def counts(bucket):
    return {k: v for k, v in bucket.items() if k != "at"}


@pytest.mark.parametrize("range", RANGES)
def test_a_range_is_a_row_of_equal_buckets_that_ends_now(make, range):
    span, count = RANGES[range]
    with make(profile("p")).client() as client:
        answer = client.get_metrics_history(name="p", range=range)
    assert set(answer) == {"range", "bucketSeconds", "buckets", "total", "previous"}
    assert answer["range"] == range and answer["bucketSeconds"] == span / 1000
    assert len(answer["buckets"]) == count
    assert answer["buckets"][:-1] == [None] * (count - 1), "acpd was not there"
    assert answer["buckets"][-1] == {"at": iso(NOW - NOW % span), **EMPTY}
    assert answer["total"] == EMPTY and answer["previous"] == EMPTY


def test_the_figures_of_a_bucket_are_right(make, clock):
    """Durations are measured, so they are written directly; the rest is real."""
    daemon = make(shell("exit $(sed 's/.*\"input\":\\([0-9]*\\).*/\\1/')", maxConcurrentTasks=1,
                        retry={"maxAttempts": 2, "backoff": 0.01}))
    with daemon.client() as client:
        for status in (0, 0, 64):
            client.finish(client.assign("p", input=status)["id"])
        client.cancel_task(id=client.assign("p", runAt="2100-01-01T00:00:00Z")["id"])
        bucket = last(client, name="p")
    expected = dict(EMPTY, completed=2, failed=1, cancelled=1, arrived=4, sampleSize=2,
                    successRate=100, maxQueueSize=1)
    assert {k: bucket[k] for k in expected if expected[k] is not None} == {
        k: v for k, v in expected.items() if v is not None}
    daemon.stop()
    # 1, 2, 3 and 10 s; waits of 4 and 16 ms. A percentile is the middle of its bin in a row of
    # bins of a quarter of an octave: 2 s = 2^(43.86/4) ms is in bin 43, from 2^(43/4) to 2^(44/4).
    with contextlib.closing(daemon.database()) as database:
        database.execute("UPDATE bucket SET data = ?", [metrics_blob(
            "39:1 43:1 46:1 53:1", "7:1 15:1", successes=3, errors=1, duration_sum=16000, started=2,
            wait_sum=20)])
        database.commit()
    daemon.start()
    with daemon.client() as client:
        for span in RANGES:
            bucket = last(client, span, name="p")
            assert bucket["sampleSize"] == 4 and bucket["successRate"] == 75
            assert bucket["averageTaskDuration"] == 4
            assert bucket["p50TaskDuration"] == pytest.approx(2 ** (43.5 / 4) / 1000)
            assert bucket["p95TaskDuration"] == pytest.approx(2 ** (53.5 / 4) / 1000)
            assert bucket["queueWaitTime"] == 0.01
            assert bucket["p50QueueWaitTime"] == pytest.approx(2 ** (7.5 / 4) / 1000)
            assert bucket["p95QueueWaitTime"] == pytest.approx(2 ** (15.5 / 4) / 1000)


def test_a_total_is_the_sum_of_its_buckets_and_previous_that_of_the_range_before(make, clock):
    daemon = make(profile("a"), profile("b"))
    with daemon.client() as client:
        paused(client, "a", "b")
        for minutes, name, count in [(0, "a", 1), (59, "a", 2), (1, "b", 4), (59, "b", 8),
                                     (1, "a", 16)]:
            for _ in range(minutes):
                clock.advance(60)
                settle(client)
            for _ in range(count):
                client.assign(name)
        # a: 1 at 0, 2 at 59, 16 at 120 minutes; b: 4 at 60, 8 at 119. Now is minute 120.
        # The hour that ends with the present minute is 61 to 120; the one before, 1 to 60.
        for name, want in {"a": (16, 2), "b": (8, 4), None: (24, 6)}.items():
            answer = client.get_metrics_history(range="1h", **({"name": name} if name else {}))
            arrived = [bucket["arrived"] for bucket in answer["buckets"]]
            assert sum(arrived) == answer["total"]["arrived"]
            assert answer["buckets"][-1]["at"] == iso(clock.ms - clock.ms % MINUTE)
            assert (answer["total"]["arrived"], answer["previous"]["arrived"]) == want, name
        day = client.get_metrics_history(range="24h")["buckets"]
        assert [b["arrived"] for b in day if b and b["arrived"]] == [1, 2 + 4, 8 + 16]
        week = client.get_metrics_history(range="7d")["buckets"]
        assert [b["arrived"] for b in week if b] == [1, 2 + 4, 8 + 16]


def test_a_bucket_in_which_acpd_was_away_is_null_and_a_quiet_one_is_zero(make, clock):
    daemon = make(profile("p"))
    with daemon.client() as client:
        settle(client)
    daemon.stop()
    clock.advance(5 * 60)
    daemon.start()
    with daemon.client() as client:
        clock.advance(60)
        settle(client)
        clock.advance(60)
        buckets = client.get_metrics_history(range="1h", name="p")["buckets"]
    assert [b is None for b in buckets[-10:]] == [True, True, False] + [True] * 4 + [False] * 3
    assert all(counts(b) == EMPTY for b in buckets if b)


def test_a_killed_acpd_was_there_until_it_was_last_seen(make, clock):
    daemon = make(profile("p"))
    with daemon.client() as client:
        clock.advance(60)
        settle(client)
        daemon.kill()
    clock.advance(3 * 60)
    daemon.start()
    with daemon.client() as client:
        buckets = client.get_metrics_history(range="1h")["buckets"]
    assert [b is None for b in buckets[-6:]] == [True, False, False, True, True, False]


def test_a_restart_in_the_middle_of_a_bucket_adds_up(make, clock):
    daemon = make(profile("p"))
    with daemon.client() as client:
        paused(client, "p")
        client.assign("p")
        daemon.restart()
    with daemon.client() as client:
        client.assign("p")
        daemon.kill()
        daemon.start()
    with daemon.client() as client:
        client.assign("p")
        for span in RANGES:
            bucket = last(client, span, name="p")
            assert (bucket["arrived"], bucket["maxQueueSize"]) == (3, 3), span


def test_what_was_counted_survives_a_kill(make, clock):
    """Figures of a past and of the current minute: each attempt once, and the queues as they were."""
    daemon = make(shell("exit $(sed 's/.*\"input\":\\([0-9]*\\).*/\\1/')", maxConcurrentTasks=1,
                        retry={"maxAttempts": 1}), profile("q"))

    def told(client):
        answers = [client.get_metrics_history(range=span, **name)
                   for span in RANGES for name in ({}, {"name": "p"}, {"name": "q"})]
        return answers, [client.get_profile_metrics(name=name, range=span)
                         for span in RANGES for name in "pq"]

    with daemon.client() as client:
        paused(client, "q")
        for minute in range(2):
            for input in (0, 64, 3):
                client.finish(client.assign("p", input=input)["id"])
            for _ in range(3 - minute):
                client.cancel_task(id=client.assign("q")["id"])
            client.assign("q")
            clock.advance(60 * (1 - minute))
        before = told(client)
        total = before[0][0]["total"]
        assert (total["completed"], total["failed"], total["cancelled"], total["arrived"]) == (2, 4, 5, 13)
    for _ in range(2):
        daemon.kill()
        daemon.start()
        with daemon.client() as client:
            assert told(client) == before


def test_a_stop_in_another_minute_keeps_the_longest_queue_of_the_last(make, clock):
    daemon = make(profile("p"))
    with daemon.client() as client:
        paused(client, "p")
        for id in [client.assign("p")["id"] for _ in range(3)]:
            client.cancel_task(id=id)
        client.get_health()
    daemon.process.send_signal(signal.SIGSTOP)
    clock.advance(60)
    daemon.process.send_signal(signal.SIGTERM)
    daemon.process.send_signal(signal.SIGCONT)
    daemon.process.wait(60)
    daemon.start()
    with daemon.client() as client:
        assert client.get_metrics_history(range="1h")["buckets"][-2]["maxQueueSize"] == 3


def test_a_quiet_minute_shows_the_queue_that_stands(make, clock):
    with make(profile("a"), profile("b")).client() as client:
        paused(client, "a", "b")
        for name in "aaabb":
            client.assign(name)
        clock.advance(60)
        # By itself, without a request that writes.
        wait_until(lambda: last(client, name="a")["maxQueueSize"], "the minute is noted")
        assert counts(last(client, name="a")) == dict(EMPTY, maxQueueSize=3)
        assert counts(last(client, name="b")) == dict(EMPTY, maxQueueSize=2)
        assert counts(last(client)) == dict(EMPTY, maxQueueSize=5)


def test_the_longest_queue_of_all_is_no_sum_of_the_longest(make, clock):
    """3 wait for a, later 3 for b: in total never more than 3."""
    with make(profile("a"), profile("b")).client() as client:
        paused(client, "a", "b")
        ids = [client.assign("a")["id"] for _ in range(3)]
        for id in ids:
            client.update_task(id=id, profile="b")
        for span in RANGES:
            assert last(client, span, name="a")["maxQueueSize"] == 3
            assert last(client, span, name="b")["maxQueueSize"] == 3
            answer = client.get_metrics_history(range=span)
            assert answer["buckets"][-1]["maxQueueSize"] == 3
            assert answer["total"]["maxQueueSize"] == 3


def test_a_minute_in_which_nothing_waits_has_no_queue(make, clock):
    with make({"name": "w", "runner": {"type": "worker", "lease": 3600}}).client() as client:
        id = client.assign("w")["id"]
        lease = client.claim_task(profiles=["w"], worker="x")["lease"]
        clock.advance(60)
        client.complete_task(id=id, lease=lease)
        clock.advance(60)
        client.assign("w")  # puts the minute before on record
        for params in ({"name": "w"}, {}):
            before, finished, now = client.get_metrics_history(range="1h", **params)["buckets"][-3:]
            assert finished["completed"] == 1
            assert [b["maxQueueSize"] for b in (before, finished, now)] == [1, 0, 1]


def test_what_counts_as_an_arrival(make):
    daemon = make(profile("a"), profile("b"), shell("exit 64", "fail"))
    with daemon.client() as client:
        paused(client, "a", "b")

        def arrived(name):
            return last(client, name=name)["arrived"]

        task = client.assign("a", key="k")["id"]
        assert client.assign("a", key="k")["id"] == task and arrived("a") == 1, "the same key"
        client.update_task(id=task, priority="high", runAt="2100-01-01T00:00:00Z")
        assert arrived("a") == 1, "a change is none"
        client.update_task(id=task, profile="b")
        assert (arrived("a"), arrived("b")) == (1, 1), "where it moves to"
        failed = client.finish(client.assign("fail")["id"])["id"]
        client.retry_task(id=failed)
        client.finish(failed)
        assert arrived("fail") == 2, "retried by a user"
        assert last(client)["arrived"] == 1 + 1 + 2


def test_retries_by_acpd_are_no_arrivals(make_daemon):
    with make_daemon(shell('[ "$ACPD_ATTEMPT" = 3 ]', retry={"maxAttempts": 3, "backoff": 0.01})
                     ).client() as client:
        client.finish(client.assign("p")["id"])
        total = client.get_metrics_history(range="1h", name="p")["total"]
        assert (total["arrived"], total["retried"], total["completed"]) == (1, 2, 1)


@pytest.mark.parametrize("step", [-2 * HOUR, 2 * HOUR])
def test_a_wall_clock_that_is_set_leaves_durations_and_gaps_right(make, clock, folder, step):
    end = folder / "end"
    daemon = make(shell(f"while [ ! -e {end} ]; do sleep 0.01; done"))
    with daemon.client() as client:
        id = client.assign("p")["id"]
        client.wait_status(id, "running")
        clock.advance(step / 1000)
        settle(client)
        end.touch()
        client.finish(id)
        bucket = last(client, name="p")
        assert bucket["completed"] == 1 and 0 < bucket["averageTaskDuration"] < 3600
        hours = client.get_metrics_history(range="7d")["buckets"]
        # acpd did not run in the hour between, on either side of the step.
        if step > 0:
            assert hours[-2] is None and hours[-3]["arrived"] == 1
        assert hours[-1]["completed"] == 1
        clock.set(NOW + max(step, 0) + HOUR)
        settle(client)
        if step < 0:
            hours = client.get_metrics_history(range="7d")["buckets"]
            assert [b and (b["arrived"], b["completed"]) for b in hours[-4:]] == [
                (0, 1), None, (1, 0), (0, 0)]
    with contextlib.closing(daemon.database()) as database:
        spans = database.execute("SELECT started_at, seen_at FROM uptime ORDER BY started_at")
        assert all(0 <= seen - started <= 10 * MINUTE for started, seen in spans)


def test_a_small_correction_of_the_clock_is_no_gap(make, clock):
    daemon = make(profile("p"))
    with daemon.client() as client:
        for step in (50, -30, 45, 60, -50):
            clock.advance(step)
            settle(client)
    daemon.stop()
    with contextlib.closing(daemon.database()) as database:
        assert database.execute("SELECT count(*) FROM uptime").fetchone() == (1,)


def test_an_unknown_profile_and_an_unknown_range_are_refused(client):
    with pytest.raises(RpcError) as error:
        client.get_metrics_history(name="nobody", range="1h")
    assert error.value.code == -32001 and "nobody" in error.value.message
    with pytest.raises(RpcError) as error:
        client.get_metrics_history(range="2h")
    assert error.value.code == -32602 and error.value.data["field"] == "range"


def fill_year(database):
    """A year in which each hour, quarter-hour and minute has one completed task, with uptime from noon to
    midnight every day."""
    data = metrics_blob("43:1", completed=1, successes=1, duration_sum=2000, started=1, wait_sum=5)
    database.executescript(f"""
        BEGIN;
        WITH spans (span, length) AS (VALUES ({MINUTE}, 20000), ({QUARTER}, 2000), ({HOUR}, 8760)),
          n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 19999)
        INSERT INTO bucket SELECT p.id, span, ({NOW} / span - 1 - i) * span, x'{data.hex()}'
        FROM profile p, spans, n WHERE i < length;
        WITH n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 364)
        INSERT INTO uptime (started_at, seen_at) SELECT {NOW} - (i + 1) * 86400000, {NOW} - i * 86400000 - 43200000 FROM n;
        COMMIT""")


def test_a_year_is_read_right_and_forgotten_in_time(make):
    daemon = make(profile("p"), profile("q"))
    daemon.stop()
    with contextlib.closing(daemon.database()) as database:
        fill_year(database)
    daemon.start()
    with daemon.client() as client:
        for span, (_, count) in RANGES.items():
            answer = client.get_metrics_history(range=span, name="p")
            # The current bucket is empty, all before it have one.
            assert [b["completed"] for b in answer["buckets"]] == [1] * (count - 1) + [0]
            assert (answer["total"]["completed"], answer["previous"]["completed"]) == (count - 1, count)
            assert answer["total"]["averageTaskDuration"] == 2
            assert client.get_metrics_history(range=span)["total"]["completed"] == 2 * (count - 1)
        # 27 minutes from 14:33, 167 hours, and 32 minutes that are over.
        metrics = client.get_profile_metrics(name="p", range="7d")
        assert metrics["sampleSize"] == 27 + 167 + 32

        def left():
            with contextlib.closing(daemon.database()) as database:
                return dict(database.execute("SELECT span, count(*) FROM bucket WHERE profile_id > 0 "
                                             "GROUP BY span")), \
                    database.execute("SELECT count(*) FROM uptime").fetchone()[0]

        # Buckets that begin within the retention of 8 or 15 days, for two profiles.
        days = 24 * HOUR
        kept = {span: 2 * sum(NOW - keep <= (NOW // span - 1 - i) * span for i in range(20000))
                for span, keep in ((MINUTE, 8 * days), (QUARTER, 8 * days), (HOUR, 15 * days))}
        # A span of every day, the last of which ended just within; and the one of this test.
        wait_until(lambda: left() == (kept, 15 + 1), "what is old is forgotten")
        for span, (_, count) in RANGES.items():
            answer = client.get_metrics_history(range=span, name="p")
            assert (answer["total"]["completed"], answer["previous"]["completed"]) == (count - 1, count)
