# SPDX-License-Identifier: MIT
"""The figures for Prometheus."""

import re
import shutil
import subprocess

import pytest

from acpd import BUILD, profile, shell, wait_until

SAMPLE = re.compile(r'([a-z_]+)(?:\{((?:[a-z]+="[^"\\]*",?)*)\})? (-?[0-9.e+-]+)')


def read(gateway):
    """{(name, label="value", ...): number}; every line must be a sample of a family that was
    announced before it, and no sample may come twice."""
    figures, family, kind = {}, None, None
    for line in gateway.get("/metrics").body.decode().splitlines():
        if line.startswith("#"):
            _, what, family, rest = line.split(" ", 3)
            kind = rest if what == "TYPE" else None
            continue
        match = SAMPLE.fullmatch(line)
        assert match, line
        name, labels, value = match.groups()
        suffixes = ("_bucket", "_sum", "_count") if kind == "histogram" else ("",)
        assert kind and name in [family + suffix for suffix in suffixes], line
        key = (name, *re.findall(r'[a-z]+="[^"]*"', labels or ""))
        assert key not in figures, line
        figures[key] = float(value)
    return figures


def of(figures, name, profile, label=None):
    return figures[(name, f'profile="{profile}"', *([label] if label else []))]


@pytest.fixture
def world(make_daemon):
    """p: two completed, one failed after two attempts, one cancelled, three that wait."""
    daemon = make_daemon(
        shell("exit $(sed 's/.*\"input\":\\([0-9]*\\).*/\\1/')", maxConcurrentTasks=1,
              retry={"maxAttempts": 2, "backoff": 0.01}),
        shell("exit 75", "cool", cooldown={"min": 3600, "max": 3600}),
        profile("idle", queueLimit=7, maxConcurrentTasks=4))
    with daemon.client() as client:
        for status in (0, 0, 1):
            client.finish(client.assign("p", input=status)["id"])
        client.assign("cool")
        wait_until(lambda: client.state("cool")["health"] != "healthy", "it cools down")
        client.update_profile_status(name="p", isActive=False)
        for time in (None, None, "2100-01-01T00:00:00Z"):
            client.assign("p", runAt=time)
        client.cancel_task(id=client.assign("p")["id"])
    return daemon


def test_promtool_finds_nothing_to_complain_about(world, make_gateway):
    promtool = shutil.which("promtool") or BUILD / "promtool"
    if not shutil.which(promtool):
        pytest.skip("there is no promtool; ./dev test fetches it")
    text = make_gateway(world).get("/metrics").body
    run = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True)
    assert (run.returncode, run.stdout + run.stderr) == (0, b"")


def test_the_figures_are_right(world, make_gateway):
    figures = read(make_gateway(world))
    expected = [
        ("acpd_tasks_arrived_total", None, 7),
        ("acpd_tasks_finished_total", 'outcome="completed"', 2),
        ("acpd_tasks_finished_total", 'outcome="failed"', 1),
        ("acpd_tasks_finished_total", 'outcome="cancelled"', 1),
        ("acpd_attempts_total", 'result="success"', 2),
        ("acpd_attempts_total", 'result="error"', 2),
        ("acpd_attempts_retried_total", None, 1),
        ("acpd_attempt_duration_seconds_count", None, 4),
        ("acpd_queue_wait_seconds_count", None, 4),
        ("acpd_tasks", 'status="queued"', 2),
        ("acpd_tasks", 'status="scheduled"', 1),
        ("acpd_tasks", 'status="blocked"', 0),
        ("acpd_tasks", 'status="running"', 0),
        ("acpd_profile_running", None, 0),
        ("acpd_profile_queue_size", None, 3),
        ("acpd_profile_slots", None, 1),
        ("acpd_profile_active", None, 0),
        ("acpd_profile_cooldown_seconds", None, 0),
    ]
    for name, label, value in expected:
        assert of(figures, name, "p", label) == value, (name, label)
    assert of(figures, "acpd_profile_oldest_queued_age_seconds", "p") > 0
    assert of(figures, "acpd_profile_oldest_queued_age_seconds", "idle") == 0
    assert 3500 < of(figures, "acpd_profile_cooldown_seconds", "cool") <= 3600
    health = {name: [of(figures, "acpd_profile_health", name, f'state="{state}"')
                     for state in ("healthy", "degraded", "unhealthy")] for name in ("cool", "idle")}
    assert health == {"cool": [0, 1, 0], "idle": [1, 0, 0]}
    assert of(figures, "acpd_profile_queue_limit", "idle") == 7
    assert of(figures, "acpd_profile_slots", "idle") == 4
    assert of(figures, "acpd_profile_active", "idle") == 1
    assert figures[("acpd_storage_bytes",)] > 0 and figures[("acpd_commits_total",)] > 0


def test_a_histogram_adds_up(world, make_gateway):
    figures = read(make_gateway(world))
    for name in ("acpd_attempt_duration_seconds", "acpd_queue_wait_seconds"):
        edges = {key[2]: value for key, value in figures.items()
                 if key[:2] == (f"{name}_bucket", 'profile="p"')}
        assert list(edges)[:4] == ['le="0.004"', 'le="0.016"', 'le="0.064"', 'le="0.256"']
        counts = list(edges.values())
        assert counts == sorted(counts) and list(edges)[-1] == 'le="+Inf"'
        assert counts[-1] == of(figures, f"{name}_count", "p") == 4
        assert edges['le="4194.304"'] == 4, "none took more than an hour"
    assert 0 < of(figures, "acpd_attempt_duration_seconds_sum", "p") < 3600
    assert of(figures, "acpd_attempt_duration_seconds_count", "idle") == 0


def test_what_takes_longer_than_an_edge_is_not_below_it(make_daemon, make_gateway):
    daemon = make_daemon(shell("sleep $(sed 's/.*\"input\":\\([0-9.]*\\).*/\\1/')"))
    with daemon.client() as client:
        for seconds in (0, 0.1, 1.1):
            client.finish(client.assign("p", input=seconds)["id"])
        average = client.get_profile_metrics(name="p")["averageTaskDuration"]
    figures = read(make_gateway(daemon))
    name = "acpd_attempt_duration_seconds"
    for edge, most in (("0.064", 1), ("1.024", 2), ("+Inf", 3)):
        assert of(figures, f"{name}_bucket", "p", f'le="{edge}"') <= most
    assert of(figures, f"{name}_sum", "p") == pytest.approx(3 * average)


def test_counters_begin_at_the_start_and_hold_what_is_committed(world, make_gateway):
    gateway = make_gateway(world)
    world.restart()
    figures = read(gateway)
    assert of(figures, "acpd_tasks_finished_total", "p", 'outcome="completed"') == 0
    assert of(figures, "acpd_queue_wait_seconds_count", "p") == 0
    assert of(figures, "acpd_profile_queue_size", "p") == 3
    with world.client() as client:
        client.assign("p")
    assert of(read(gateway), "acpd_tasks_arrived_total", "p") == 1
