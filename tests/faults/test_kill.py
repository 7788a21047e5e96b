# SPDX-License-Identifier: MIT
"""
kill -9 at random moments under load; a checker knows every acknowledged operation.

ACPD_FAULTS=N sets the number of kills (./dev faults N); ACPD_SEED=S repeats a run.
"""

import contextlib
import json
import os
import random
import threading
import time

from acpd import DEADLINE, Client, RpcError, profile, shell, wait_until
from database import assert_bytes_are_right

KILLS = int(os.environ.get("ACPD_FAULTS", "50"))
RETAINED = 1 << 20  # bytes of finished tasks
SEED = int(os.environ.get("ACPD_SEED", str(random.randrange(1 << 32))))


class Worker(threading.Thread):
    """A client that assigns, cancels and retries tasks, and records what was acknowledged."""

    def __init__(self, daemon, number, seed):
        super().__init__(daemon=True)
        self.acpd = daemon
        self.number = number
        self.random = random.Random(seed)
        self.keys = {}       # id -> key, of every acknowledged task
        self.steady = set()  # ids of tasks that nothing but cancel_task can end
        self.cancelled = set()
        self.unsure = set()  # a change was sent whose reply is unknown
        self.ended = False
        self.counter = 0

    def run(self):
        while not self.ended:
            try:
                with self.acpd.client() as client:
                    while not self.ended:
                        self.step(client)
            except (OSError, AssertionError):
                time.sleep(0.005)  # the daemon is away

    def step(self, client):
        calls = []
        was_unsure = set(self.unsure)
        for _ in range(self.random.choice([1, 1, 10, 50])):
            if self.keys and self.random.random() < 0.2:
                id = self.random.choice(list(self.keys))
                method = self.random.choice(["cancel_task", "retry_task"])
                self.unsure.add(id)
                calls.append((method, {"id": id}))
            else:
                self.counter += 1
                key = f"{self.number}.{self.counter}"
                depends_on = self.random.choices(list(self.keys), k=self.random.randrange(3)) if (
                    self.keys and self.random.random() < 0.3) else []
                calls.append(("assign_task_to_profile", {
                    "name": self.random.choice(["quick", "slow", "held", "w"]),
                    "task": {"title": "t", "key": key, "input": "x" * self.random.randrange(2000),
                             "dependsOn": depends_on}}))
        for method, params in calls:
            client.send_call(method, **params)
        # Once every call of the round is answered, the effect of a change is known. What an earlier
        # round left unknown stays so until a change succeeds.
        done = {}
        for method, params in calls:
            reply = client.reply()
            assert reply is not None
            if method == "assign_task_to_profile" and "error" in reply:
                assert reply["error"]["code"] == -32602, reply  # its dependency has been removed
            elif method == "assign_task_to_profile":
                id = reply["result"]["task"]["id"]
                self.keys[id] = params["task"]["key"]
                if params["name"] == "held" and not params["task"]["dependsOn"]:
                    self.steady.add(id)
            elif "result" in reply:
                done[params["id"]] = method
            else:
                assert reply["error"]["code"] in (-32002, -32001), reply  # or it has been removed
        self.unsure = was_unsure - set(done)
        for id, method in done.items():
            (self.cancelled.add if method == "cancel_task" else self.cancelled.discard)(id)


class Claimer(threading.Thread):
    """A worker that claims and completes tasks, and records its claims and what was acknowledged."""

    def __init__(self, daemon):
        super().__init__(daemon=True)
        self.acpd = daemon
        self.claims = []  # (id, attempt)
        self.done = {}    # id -> attempt whose completion was acknowledged
        self.ended = False

    def call(self, method, **params):
        """Repeats the call until it is answered; None for an error."""
        while not self.ended:
            try:
                with self.acpd.client() as client:
                    return client.call(method, **params)
            except RpcError as error:
                if error.code != -32004:
                    return None
            except (OSError, AssertionError):
                pass
            time.sleep(0.005)  # the daemon is away
        return None

    def run(self):
        while not self.ended:
            claimed = self.call("claim_task", profiles=["w"], worker="w", wait=0.2)
            if not claimed or not claimed["task"]:
                continue
            id, attempt = claimed["task"]["id"], claimed["task"]["attempt"]
            self.claims.append((id, attempt))
            if self.call("complete_task", id=id, lease=claimed["lease"], result=attempt):
                self.done[id] = attempt


def assert_dependencies_hold(tasks):
    """Checks all tasks by id, once nothing changes any more."""
    for task in tasks.values():
        statuses = {tasks[id]["status"] for id in task["dependsOn"] if id in tasks}
        if task["status"] == "blocked":
            assert statuses & {"queued", "running", "blocked"}, (task, statuses)
            assert not statuses & {"failed", "cancelled"}, (task, statuses)
        elif task["status"] != "cancelled":
            assert statuses <= {"completed"}, (task, statuses)


def assert_acknowledged(worker, tasks):
    """Only finished tasks may be missing, removed by retention."""
    for id, key in worker.keys.items():
        if id in tasks:
            assert tasks[id]["key"] == key
        else:
            assert id not in worker.steady - worker.cancelled - worker.unsure, f"{id} ({key}) was lost"
    for id in worker.cancelled - worker.unsure:
        assert id not in tasks or tasks[id]["status"] == "cancelled", tasks[id]


def assert_claimed_once(claimers, tasks):
    claims = [claim for claimer in claimers for claim in claimer.claims]
    assert len(claims) == len(set(claims)), "no attempt was given to two"
    for claimer in claimers:
        for id, attempt in claimer.done.items():
            if id in tasks:
                assert (tasks[id]["status"], tasks[id]["result"]) == ("completed", attempt), tasks[id]


def assert_every_task_is_accounted_for(daemon, tasks):
    """Of a stopped daemon: ids have no gaps, so every task ever added is waiting or counted as finished. Retention has
    removed no more than its limit requires."""
    newest = max(tasks)
    with contextlib.closing(daemon.database()) as database:
        waiting, finished = database.execute(
            "SELECT sum(queued + scheduled + blocked + running), sum(completed + failed + cancelled) "
            "FROM profile").fetchone()
        live, = database.execute("SELECT count(*) FROM task WHERE status <= 4").fetchone()
        kept, largest = database.execute(
            "SELECT sum(bytes), max(bytes) FROM task WHERE status > 4").fetchone()
    assert waiting == live
    assert waiting + finished == newest, "a task was lost, or is counted twice"
    assert len(tasks) == newest or kept > RETAINED - 2 * largest


def let_everything_end(client):
    wait_until(lambda: {t["status"] for name in ("quick", "w") for t in client.get_profile_task_queue(
        name=name, limit=1)} <= {"blocked"}, "the queues drain", 300)
    wait_until(lambda: client.state("quick")["currentTasks"] == 0, "the last ones end")
    wait_until(lambda: client.state("w")["currentTasks"] == 0, "the last leases end")


def test_kill_9_loses_nothing_acknowledged_and_leaves_nothing_behind(make_daemon):
    """Assignments, dependencies, claims, completions, cancellations, retries and retention at the same time."""
    print(f"ACPD_SEED={SEED} ACPD_FAULTS={KILLS}")
    chance = random.Random(SEED)
    daemon = make_daemon(
        profile("quick", maxConcurrentTasks=4, queueLimit=10**8),
        shell("setsid sleep 1000 & sleep 1000", "slow", maxConcurrentTasks=2, queueLimit=10**8),
        profile("held", queueLimit=10**8),
        {"name": "w", "runner": {"type": "worker", "lease": 2}, "maxConcurrentTasks": 50,
         "queueLimit": 10**8, "retry": {"maxAttempts": 1000, "backoff": 0.01, "maxBackoff": 0.02}},
        taskRetention={"bytes": RETAINED})
    with daemon.client() as client:
        client.update_profile_status(name="held", isActive=False)
    workers = [Worker(daemon, i, chance.random()) for i in range(3)]
    claimers = [Claimer(daemon) for _ in range(2)]
    for thread in [*workers, *claimers]:
        thread.start()
    for _ in range(KILLS):
        time.sleep(chance.random() * 0.15)  # the random moment
        daemon.kill()
        daemon.start()
    for worker in workers:
        worker.ended = True
    for worker in workers:
        worker.join(DEADLINE)
        assert not worker.is_alive()

    with daemon.client() as client:
        tasks = client.all_tasks()
        keys = [task["key"] for task in tasks.values()]
        assert len(keys) == len(set(keys)), "no task is there twice"
        for worker in workers:
            assert_acknowledged(worker, tasks)
        acknowledged = sum(len(worker.keys) for worker in workers)
        assert acknowledged > KILLS
        assert client.state("held")["isActive"] is False
        let_everything_end(client)
        for claimer in claimers:
            claimer.ended = True
        for claimer in claimers:
            claimer.join(DEADLINE)
            assert not claimer.is_alive()
        client.update_profile_status(name="slow", isActive=False)
        tasks = client.all_tasks()
        assert {t["status"] for t in tasks.values() if t["profile"] in ("quick", "w")} <= {
            "completed", "cancelled", "blocked"}
        assert_dependencies_hold(tasks)
        assert_claimed_once(claimers, tasks)
        for worker in workers:
            assert_acknowledged(worker, tasks)
    daemon.stop()
    assert not daemon.processes()
    assert_every_task_is_accounted_for(daemon, tasks)
    assert_bytes_are_right(daemon)
    print(f"{KILLS} kills, {acknowledged} acknowledged tasks, "
          f"{sum(len(claimer.claims) for claimer in claimers)} claims, {max(tasks) - len(tasks)} removed by "
          "retention, none lost")


def test_kill_9_in_the_middle_of_a_thousand_assignments(make_daemon):
    chance = random.Random(SEED + 1)
    daemon = make_daemon(shell("(setsid sleep 1000 &) ; sleep 1000", maxConcurrentTasks=3))
    acknowledged = []
    with Client(daemon.socket) as client:
        for i in range(1000):
            client.send_call("assign_task_to_profile", profileName="p", task={"title": str(i)})
        count = chance.randrange(1, 1000)
        while len(acknowledged) < count:
            acknowledged.append(json.loads(client.line())["result"]["task"])
        daemon.kill()
    wait_until(lambda: not daemon.processes(), "no child is left")
    daemon.start()
    with daemon.client() as client:
        for task in acknowledged:
            assert client.task(task["id"])["title"] == task["title"]
        assert client.state("p")["queueSize"] + client.state("p")["currentTasks"] >= count
