# SPDX-License-Identifier: MIT
"""
kill -9 on acpd while agents work: no task is lost, none is owned twice, no process is left.

ACPD_FAULTS=N sets the number of kills; ACPD_SEED=S repeats a run.
"""

import os
import pathlib
import random
import time

from acpd import wait_until
from database import assert_counters_are_right

KILLS = int(os.environ.get("ACPD_FAULTS", "50"))
SEED = int(os.environ.get("ACPD_SEED", str(random.randrange(1 << 32))))
HOSTILE = str(pathlib.Path(__file__).parents[1] / "agents" / "hostile.py")

# An agent that works on a task holds its lock; a second one would report it. Its children outlive its turn
# and leave its session.
SCRIPT = """
import fcntl, random, subprocess
task = os.environ["ACPD_TASK_ID"]
lock = open(os.environ["FOLDER"] + "/" + task, "a")
try:
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
except BlockingIOError:
    open(os.environ["FOLDER"] + "/twice", "a").write(task + "\\n")
subprocess.Popen(["setsid", "sleep", "1000"])
say("working")
time.sleep(random.random() * 0.3)
if random.random() < 0.3:
    ask(kind="read"); read()
end()
"""


def test_kill_9_while_agents_work(make_daemon, folder):
    print(f"ACPD_SEED={SEED} ACPD_FAULTS={KILLS}")
    chance = random.Random(SEED)
    locks = folder / "locks"
    locks.mkdir()
    daemon = make_daemon({"name": "p", "maxConcurrentTasks": 3, "queueLimit": 10**8, "runner": {
        "type": "acp", "command": ["/usr/bin/python3", HOSTILE],
        "env": {"ACPD_TEST_SCRIPT": SCRIPT, "FOLDER": str(locks)}}})
    ids = []
    for _ in range(KILLS):
        with daemon.client() as client:
            while client.state("p")["queueSize"] < 3:
                ids.append(client.assign("p")["id"])
        time.sleep(chance.random() * 0.4)  # the random moment
        daemon.kill()
        daemon.start()
    with daemon.client() as client:
        for id in ids:
            task = client.finish(id)
            # Ten interruptions in a row count as the task's own fault.
            assert task["status"] == "completed" or task["error"]["class"] == "interrupted", task
    assert not (locks / "twice").exists(), "a task was owned twice"
    daemon.stop()
    assert not daemon.processes()
    assert_counters_are_right(daemon)
    print(f"{KILLS} kills, {len(ids)} tasks, none lost")
