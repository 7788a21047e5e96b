# SPDX-License-Identifier: MIT
"""The metrics for Prometheus."""

import itertools
import json
import re
import shutil
import subprocess

import pytest

from acpd import BUILD, profile, shell, wait_until
from pages import ROOT

MONITORING = ROOT / "docs" / "monitoring"
SAMPLE = re.compile(r'([a-z_]+)(?:\{((?:[a-z]+="[^"\\]*",?)*)\})? (-?[0-9.e+-]+)')


def read(gateway):
    """{(name, label="value", ...): number}; every line must be a sample of a family declared before it; no
    sample may occur twice."""
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
    """p: two tasks completed, one failed after two attempts, one cancelled, three waiting."""
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


@pytest.fixture
def promtool():
    found = shutil.which("promtool") or BUILD / "promtool"
    if not shutil.which(found):
        pytest.skip("there is no promtool; ./dev test fetches it")

    def run(*arguments, **options):
        return subprocess.run([found, *arguments], capture_output=True, text=True, timeout=60, **options)

    return run


def test_promtool_finds_nothing_to_complain_about(world, make_gateway, promtool):
    run = promtool("check", "metrics", input=make_gateway(world).get("/metrics").body.decode())
    assert (run.returncode, run.stdout + run.stderr) == (0, "")


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


# The files for Prometheus and Grafana in the documentation.


def board():
    return json.loads((MONITORING / "grafana.json").read_text())


def expressions():
    """The expressions of the rules and of the dashboard, with wildcards for its variables."""
    rules = (MONITORING / "alerts.yml").read_text()
    found = [" ".join(block.split()) for block in re.findall(r"expr: \|\n((?: {10}.*\n)+)", rules)]
    found += re.findall(r"expr: ([^|\n]+)\n", rules)
    assert len(found) == rules.count("alert: ") == 7
    for target in (target for panel in board()["panels"] for target in panel["targets"]):
        found.append(target["expr"].replace("$__rate_interval", "5m").replace("$instance", ".*")
                     .replace("$profile", ".*"))
    return found


def test_promtool_takes_the_configuration_and_the_rules(promtool, folder):
    text = (MONITORING / "prometheus.yml").read_text().replace("/etc/prometheus", str(folder))
    (folder / "prometheus.yml").write_text(text)
    (folder / "acpd-alerts.yml").write_text((MONITORING / "alerts.yml").read_text())
    (folder / "acpd-token").write_text("x" * 48)
    run = promtool("check", "config", folder / "prometheus.yml")
    assert run.returncode == 0 and "7 rules found" in run.stdout, run.stdout + run.stderr
    # The lines for HTTPS are commented out.
    (folder / "acpd-cert.pem").touch()
    (folder / "prometheus.yml").write_text(re.sub(r"^    # (?=(scheme|tls_config|  ca_file))", "    ", text,
                                                  flags=re.M))
    run = promtool("check", "config", folder / "prometheus.yml")
    assert run.returncode == 0 and "tls_config:" in (folder / "prometheus.yml").read_text(), run.stderr


def test_promtool_takes_every_expression_of_the_board(promtool, folder):
    rules = [{"record": f"x:{n}", "expr": expression} for n, expression in enumerate(expressions())]
    (folder / "rules.yml").write_text(json.dumps({"groups": [{"name": "board", "rules": rules}]}))
    run = promtool("check", "rules", folder / "rules.yml")
    assert run.returncode == 0 and f"{len(rules)} rules found" in run.stdout, run.stdout + run.stderr


def test_every_figure_that_rules_and_board_ask_for_is_there(world, make_gateway):
    figures = read(make_gateway(world))
    printed = {}
    for name, *labels in figures:
        for label in labels:
            key, value = label.split("=", 1)
            printed.setdefault(name, {}).setdefault(key, set()).add(value.strip('"'))
    names = {name for name, *_ in figures}
    asked = 0
    for expression in expressions():
        for name, _, selector in re.findall(r"\b((?:acpd)_[a-z_]+)(\{([^}]*)\})?", expression):
            asked += 1
            assert name in names, f"{name} of {expression}"
            for label, operator, value in re.findall(r'([a-z]+)(=~|=)"([^"]*)"', selector):
                assert label == "instance" or label in printed[name], f"{label} of {expression}"
                assert operator == "=~" or value in printed[name][label], f"{value} of {expression}"
        for label in re.findall(r"(?:by|on) \(([^)]*)\)", expression):
            assert set(re.split(", *", label)) <= {"instance", "profile", "outcome", "le"}, expression
    assert asked > 30
    variables = [v["query"]["query"] for v in board()["templating"]["list"] if v["type"] == "query"]
    assert {re.search(r"acpd_[a-z_]+", query)[0] for query in variables} <= names


def test_the_panels_of_the_board_have_a_place_each():
    panels = board()["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels) > 10
    for one, other in itertools.combinations([panel["gridPos"] for panel in panels], 2):
        assert (one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
                or one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"])
    assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in panels)


@pytest.mark.parametrize("alert, series, minutes, labels", [
    ("AcpdDown", {'up{job="acpd",instance="a"}': "0x10"}, 3, {"job": "acpd"}),
    ("AcpdDown", {'up{job="acpd",instance="a"}': "1x10"}, 3, None),
    ("AcpdStorageFails", {'acpd_storage_failing{instance="a"}': "1x10"}, 2, {}),
    ("AcpdProfileUnhealthy", {'acpd_profile_health{instance="a",profile="p",state="unhealthy"}': "1x20",
                              'acpd_profile_active{instance="a",profile="p"}': "1x20"}, 11,
     {"profile": "p", "state": "unhealthy"}),
    ("AcpdProfileUnhealthy", {'acpd_profile_health{instance="a",profile="p",state="unhealthy"}': "1x20",
                              'acpd_profile_active{instance="a",profile="p"}': "0x20"}, 11, None),
    ("AcpdProfileCoolsDown", {'acpd_profile_cooldown_seconds{instance="a",profile="p"}': "60 0 0 300 0x9 " * 8},
     70, {"profile": "p"}),
    ("AcpdQueueNearlyFull", {'acpd_profile_queue_size{instance="a",profile="p"}': "81x10",
                             'acpd_profile_queue_limit{instance="a",profile="p"}': "100x10"}, 6, {"profile": "p"}),
    ("AcpdTasksWait", {'acpd_profile_oldest_queued_age_seconds{instance="a",profile="p"}': "3601x10",
                       'acpd_profile_active{instance="a",profile="p"}': "1x10"}, 6, {"profile": "p"}),
    ("AcpdTasksFail", {'acpd_tasks_finished_total{instance="a",profile="p",outcome="failed"}': "0+1x60",
                       'acpd_tasks_finished_total{instance="a",profile="p",outcome="completed"}': "0x60"}, 50,
     {"profile": "p", "outcome": "failed"}),
    ("AcpdTasksFail", {'acpd_tasks_finished_total{instance="a",profile="p",outcome="failed"}': "0+1x60",
                       'acpd_tasks_finished_total{instance="a",profile="p",outcome="completed"}': "0+2x60"}, 50,
     None),
])
def test_the_alerts_come_when_they_should(promtool, folder, alert, series, minutes, labels):
    """labels None: no alert."""
    severity = "critical" if alert in ("AcpdDown", "AcpdStorageFails") else "warning"
    expected = [] if labels is None else [{"exp_labels": {"instance": "a", "severity": severity, **labels}}]
    (folder / "alerts.yml").write_text(re.sub(r"^ +annotations:\n +summary: .*\n", "",
                                              (MONITORING / "alerts.yml").read_text(), flags=re.M))
    (folder / "test.yml").write_text(json.dumps({
        "rule_files": ["alerts.yml"], "evaluation_interval": "1m",
        "tests": [{"interval": "1m", "input_series": [{"series": key, "values": values.strip()}
                                                      for key, values in series.items()],
                   "alert_rule_test": [{"eval_time": f"{minutes}m", "alertname": alert,
                                        "exp_alerts": expected}]}]}))
    run = promtool("test", "rules", "test.yml", cwd=folder)
    assert run.returncode == 0, run.stdout + run.stderr
