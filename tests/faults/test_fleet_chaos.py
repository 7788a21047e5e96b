# SPDX-License-Identifier: MIT
"""
Three acpd that share one PostgreSQL, whose nodes are killed, stopped and cut off, whose server restarts, ends sessions
and loses answers: every acknowledged task ends once, no task runs in two places at the same time, no limit is passed.

ACPD_FAULTS=N sets the number of faults (./dev faults N); ACPD_SEED=S repeats a run.
"""

import contextlib
import json
import os
import random
import signal
import subprocess
import threading
import time

import acpd
import pytest
from acpd import RpcError, shell, wait_until
from database import assert_counters_are_right
from server import Proxy

pytestmark = pytest.mark.usefixtures("use_server")

FAULTS = int(os.environ.get("ACPD_FAULTS", "20"))
SEED = int(os.environ.get("ACPD_SEED", str(random.randrange(1 << 32))))
LEASE = 3
LIMIT, LIMIT_PER_NODE = 10, 5

# An attempt holds two locks as long as it lives: its task's, and one of as many as may run at once.
ATTEMPT = """
echo "begin $ACPD_TASK_ID $ACPD_ATTEMPT" >> {folder}/record
exec 8>>{folder}/locks/task-$ACPD_TASK_ID
flock -n 8 || echo "task $ACPD_TASK_ID runs twice" >> {folder}/wrong
for slot in $(seq {limit}); do
    exec 9>>{folder}/locks/$ACPD_PROFILE-$slot
    flock -n 9 && break
    [ $slot != {limit} ] || echo "more than {limit} of $ACPD_PROFILE run" >> {folder}/wrong
done
node=$(basename "$(dirname "$ACPD_SOCKET")")
for slot in $(seq {limit_per_node}); do
    exec 7>>{folder}/locks/$ACPD_PROFILE-$node-$slot
    flock -n 7 && break
    [ $slot != {limit_per_node} ] || echo "more than {limit_per_node} of $ACPD_PROFILE run on $node" >> {folder}/wrong
done
case $ACPD_TASK_ID in *0) sleep 0.3;; esac
echo "end $ACPD_TASK_ID $ACPD_ATTEMPT" >> {folder}/record
"""


class Fleet:
    """The daemons, each behind a proxy of its own."""

    def __init__(self, server, make_daemon, folder):
        self.server, self.daemons, self.proxies = server, [], []
        (folder / "locks").mkdir()
        script = ATTEMPT.format(folder=folder, limit=LIMIT, limit_per_node=LIMIT_PER_NODE)
        profiles = [shell(script, name, maxConcurrentTasks=LIMIT, maxConcurrentTasksPerNode=LIMIT_PER_NODE)
                    for name in "pq"]
        for name in "abc":
            (folder / f"proxy-{name}").mkdir()
            proxy = Proxy(server, folder / f"proxy-{name}")
            daemon = make_daemon(*profiles, start=False)
            daemon.node = name
            first = self.daemons[0] if self.daemons else daemon
            daemon.configure({"profiles": profiles, "node": {"name": name}, "killGrace": 0.2,
                              "store": {**first.store, "lease": LEASE, "timeout": 1,
                                        "url": first.store["url"].replace(server.folder, str(proxy.folder))}})
            self.daemons.append(daemon)
            self.proxies.append(proxy)
            daemon.start()

    def revive(self):
        """Starts those again that were killed, or ended since others had taken over what they ran."""
        for daemon in self.daemons:
            if daemon.process.poll() is not None:
                with contextlib.suppress(AssertionError):  # the server may be away
                    daemon.start()

    def sessions(self, sql="true"):
        self.server.ask(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = "
                        f"'{self.daemons[0].database_name}' AND {sql}")


class Load(threading.Thread):
    """Assigns tasks with keys, to whichever node answers, until each is acknowledged."""

    def __init__(self, fleet, number):
        super().__init__(daemon=True)
        self.fleet, self.number, self.random = fleet, number, random.Random(SEED + number)
        self.keys, self.is_over, self.unexpected = {}, False, []
        self.start()

    def run(self):
        count = 0
        while not self.is_over:
            task = {"title": "t", "key": f"{self.number}-{count}"}
            if self.keys and self.random.random() < 0.2:
                task["dependsOn"] = self.random.sample(sorted(self.keys.values())[-20:], 1)
            id = self.assign(self.random.choice("pq"), task)
            if id:
                self.keys[task["key"]] = id
                count += 1
                time.sleep(0.05)  # no more than they can run meanwhile, however many faults there are

    def assign(self, profile, task):
        try:
            with self.random.choice(self.fleet.daemons).client() as client:
                return client.assign_task_to_profile(profileName=profile, task=task)["task"]["id"]
        except RpcError as error:
            if error.code != -32004:
                self.unexpected.append(error)
            time.sleep(0.02)
        except (OSError, AssertionError):
            time.sleep(0.02)
        return None


def faults(fleet, chance):
    """What may happen, each to a node or to the server."""

    def kill():
        chance.choice(fleet.daemons).kill()

    def kill_two():
        for daemon in chance.sample(fleet.daemons, 2):
            daemon.kill()

    def stop(seconds):
        daemon = chance.choice(fleet.daemons)
        processes = [daemon.process.pid, *map(int, subprocess.run(
            ["pgrep", "-P", str(daemon.process.pid)], capture_output=True, text=True).stdout.split())]
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for process in processes:  # its supervisor, too: that would wake it
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process, signal.SIGSTOP)
            time.sleep(0.05)
        for process in processes:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGCONT)

    def hang(seconds):
        daemon = chance.choice(fleet.daemons)
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            daemon.process.send_signal(signal.SIGSTOP)
            time.sleep(0.01)
        daemon.process.send_signal(signal.SIGCONT)

    def cut(seconds):
        proxy = chance.choice(fleet.proxies)
        proxy.is_cut = True
        time.sleep(seconds)
        proxy.is_cut = False

    def lose(what):
        proxy = chance.choice(fleet.proxies)
        proxy.loses = what

    return [kill, kill, kill_two, lambda: stop(0.5), lambda: hang(LEASE + 1), lambda: cut(0.5), lambda: cut(2 * LEASE),
            lambda: lose("the request"), lambda: lose("the answer"), lambda: lose("the answer"),
            fleet.sessions, lambda: fleet.sessions("random() < 0.4"), fleet.server.restart]


@pytest.fixture
def fleet(server, make_daemon, folder):
    fleet = Fleet(server, make_daemon, folder)
    yield fleet
    for proxy in fleet.proxies:
        proxy.loses, proxy.is_cut = None, False
    for daemon in fleet.daemons:  # before the database is dropped
        daemon.stop()


def unfinished(fleet):
    return int(fleet.server.ask("SELECT count(*) FROM task WHERE status <= 4", fleet.daemons[0].database_name))


def test_whatever_happens_nothing_is_lost_and_nothing_runs_twice(fleet, folder):
    print(f"ACPD_SEED={SEED}", flush=True)
    chance = random.Random(SEED)
    loads = [Load(fleet, number) for number in range(3)]
    for _ in range(FAULTS):
        chance.choice(faults(fleet, chance))()
        time.sleep(chance.random() * 1.5)
        fleet.revive()
        assert not (folder / "wrong").exists(), (folder / "wrong").read_text()
    for load in loads:
        load.is_over = True
        load.join()
    for proxy in fleet.proxies:
        proxy.loses = None

    def is_done():
        fleet.revive()
        return not unfinished(fleet)

    wait_until(is_done, "all tasks have ended", 4 * acpd.DEADLINE)
    assert not (folder / "wrong").exists(), (folder / "wrong").read_text()
    assert not [error for load in loads for error in load.unexpected]
    check_tasks(fleet, loads, folder)
    for daemon in fleet.daemons:
        daemon.stop()
    assert_counters_are_right(fleet.daemons[0])
    assert fleet.daemons[0].rows("SELECT count(*) FROM node") == [(0,)]


def check_tasks(fleet, loads, folder):
    tasks = wait_until(lambda: all_tasks(fleet), "one of them answers")
    acknowledged = {key: id for load in loads for key, id in load.keys.items()}
    assert {task["key"]: id for id, task in tasks.items() if task["key"] in acknowledged} == acknowledged
    assert len({task["key"] for task in tasks.values()}) == len(tasks), "a key is there twice"
    began = [line.split() for line in (folder / "record").read_text().splitlines()]
    ended = {int(id) for what, id, _ in began if what == "end"}
    for id, task in tasks.items():
        # One that was interrupted again and again has failed, and so have those that depend on it.
        assert task["status"] == "completed" or task["error"]["class"] in ("interrupted", "cancelled"), task
        assert task["status"] != "completed" or id in ended, task
        assert [task["attempt"]] == [n for n, in fleet.daemons[0].rows(f"SELECT count(*) FROM attempt WHERE task_id = {id}")
                                     ] or task["status"] == "cancelled", task
    completed = sum(task["status"] == "completed" for task in tasks.values())
    assert fleet.daemons[0].rows("SELECT count(*) FROM attempt WHERE error_class IS NULL") == [(completed,)]
    assert completed > 0.9 * len(tasks)
    print(json.dumps({"tasks": len(tasks), "executions": sum(what == "begin" for what, *_ in began),
                      "completed": completed}))


def all_tasks(fleet):
    """From one that is connected to the database; the last fault may have cut the connection of any."""
    for daemon in fleet.daemons:
        with contextlib.suppress(OSError, RpcError), daemon.client() as client:
            return client.all_tasks()
    return None
