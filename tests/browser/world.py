# SPDX-License-Identifier: MIT
"""A busy system for screenshots: real programs that run for some seconds, and two weeks of history written directly
into the database."""

import contextlib
import math
import random
import sqlite3
import time

from acpd import Daemon
from database import metrics_blob

MINUTE, QUARTER, HOUR = 60_000, 900_000, 3_600_000

# Sleeps for input.seconds and ends as input.exit says.
SCRIPT = r"""read -r line
field() { printf %s "$line" | sed -n "s/.*\"$1\": *\([0-9.]*\).*/\1/p"; }
echo "looking at the task"; sleep "$(field seconds)"; echo "done"; exit "$(field exit)" """

PROFILES = [
    # name, role, capabilities, slots, colour, tasks an hour, seconds each, share that fails
    ("product-manager", "Product Manager", ["analysis", "feature-identification", "prioritization"],
     2, "#8b5cf6", 40, 6, 0.0),
    ("refinement", "Refinement Specialist", ["task-breakdown", "dependency-analysis", "estimation"],
     3, "#0891b2", 90, 9, 0.01),
    ("development", "Developer", ["coding", "testing", "debugging", "documentation"],
     6, "#10b981", 160, 14, 0.02),
    ("review", "Code Reviewer", ["review", "security-audit"], 4, "#b45309", 70, 11, 0.5),
    ("tests", "Test Engineer", ["testing", "fuzzing", "coverage"], 4, "#2563eb", 110, 8, 0.0),
    ("writing", "Technical Writer", ["documentation", "changelog"], 2, "#64748b", 12, 10, 0.0),
]

TITLES = {
    "product-manager": ["Weigh the wishes of October", "Find what users ask for twice"],
    "refinement": ["Break down “socket activation”", "Estimate the migration of the queue"],
    "development": ["Fix the race in the drain", "Implement retry with jitter", "Name the limit in errors",
                    "Port the ring to the store", "Bound the depth of JSON"],
    "review": ["Review the bounded reader", "Audit the gateway’s headers"],
    "tests": ["Soak for four hours", "Fuzz the line reader", "Cover the empty queue"],
    "writing": ["Say what a lease is", "Write the changelog"],
}


def configuration():
    return {"profiles": [
        {"name": name, "role": role, "capabilities": capabilities, "maxConcurrentTasks": slots,
         "color": color, "queueLimit": 100, "priority": 5,
         "retry": {"maxAttempts": 2, "backoff": 1},
         "runner": {"type": "command", "command": ["sh", "-c", SCRIPT]}}
        for name, role, capabilities, slots, color, *_ in PROFILES]}


def bins(values):
    """A histogram in the format of metrics_histogram_print()."""
    counts = {}
    for ms in values:
        bin = max(0, math.ceil(4 * math.log2(ms)) - 1) if ms > 1 else 0
        counts[bin] = counts.get(bin, 0) + 1
    return " ".join(f"{bin}:{n}" for bin, n in sorted(counts.items()))


def figures(chance, hours, rate, seconds, failing):
    """The figures of one bucket of a profile's history."""
    n = int(chance.gauss(rate * hours, math.sqrt(rate * hours + 1)) + 0.5)
    n = max(0, n)
    failed = sum(chance.random() < failing for _ in range(n))
    durations = [1000 * seconds * chance.lognormvariate(0, 0.5) for _ in range(n)]
    waits = [1 + 1000 * seconds * chance.lognormvariate(-1, 1) for _ in range(n)]
    return {"completed": n - failed, "failed": failed, "cancelled": 0, "retried": failed // 3,
            "successes": n - failed, "errors": failed, "duration_sum": int(sum(durations)),
            "started": n, "wait_sum": int(sum(waits)), "durations": bins(durations),
            "waits": bins(waits), "arrived": n, "queue_max": chance.randrange(1, 9)}


def write_past(daemon, chance):
    """Two weeks of history, with a night in which acpd did not run."""
    now = int(time.time() * 1000)
    night = (now - 9 * HOUR, now - 7 * HOUR)
    with contextlib.closing(sqlite3.connect(daemon.state / "acpd.db")) as database:
        ids = dict(database.execute("SELECT name, id FROM profile"))
        for name, _, _, _, _, rate, seconds, failing in PROFILES:
            for span, reach in ((MINUTE, 2 * HOUR), (QUARTER, 48 * HOUR), (HOUR, 15 * 24 * HOUR)):
                for at in range((now - reach) // span * span, now // span * span, span):
                    if night[0] <= at < night[1]:
                        continue
                    day = 1 + 0.7 * math.sin(2 * math.pi * (at / (24 * HOUR) - 0.3))
                    recent = failing if now - at < 30 * HOUR else failing / 6
                    data = metrics_blob(**figures(chance, span / HOUR, rate * day, seconds, recent))
                    database.execute("INSERT OR REPLACE INTO bucket VALUES (?, ?, ?, ?)",
                                     [ids[name], span, at, data])
        database.executemany("INSERT OR REPLACE INTO uptime (started_at, seen_at) VALUES (?, ?)",
                             [(now - 15 * 24 * HOUR, night[0]), (night[1], now)])
        database.commit()


def assign_work(client, chance, rounds=3):
    types = {name: capabilities for name, _, capabilities, *_ in PROFILES}
    for _ in range(rounds):
        for name, _, _, slots, _, _, seconds, failing in PROFILES:
            for _ in range(slots + chance.randrange(3)):
                client.assign(
                    name, title=chance.choice(TITLES[name]), type=chance.choice(types[name]),
                    priority=chance.choice(["low", "medium", "medium", "high"]),
                    input={"seconds": round(seconds * chance.lognormvariate(0, 0.4), 1),
                           "exit": int(chance.random() < failing)})


def make_world(folder, seed=1):
    """A busy daemon; the caller stops it."""
    chance = random.Random(seed)
    daemon = Daemon(folder, configuration())
    daemon.start()
    with daemon.client() as client:
        client.update_profile_status(name="writing", isActive=False)
    daemon.stop()
    write_past(daemon, chance)
    daemon.start()
    with daemon.client() as client:
        assign_work(client, chance)
        last = client.submit_task(task={
            "title": "Write the test for the bounded reader", "type": "testing",
            "description": "It must fail without the fix.",
            "input": {"seconds": 5, "exit": 0}})["task"]
    return daemon, last["id"]
