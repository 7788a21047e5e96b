# SPDX-License-Identifier: MIT
"""
kill -9 at random moments, under load, against a checker that knows every acknowledged operation.

ACPD_FAULTS=N sets how often the daemon is killed (./dev faults N); ACPD_SEED=S repeats a run.
"""

import json
import os
import random
import threading
import time

from acpd import Client, RpcError, assert_counters_are_right, profile, shell, wait_until

KILLS = int(os.environ.get("ACPD_FAULTS", "30"))
SEED = int(os.environ.get("ACPD_SEED", str(random.randrange(1 << 32))))


class Worker(threading.Thread):
    """A client that assigns, cancels and retries, and writes down what was acknowledged."""

    def __init__(self, daemon, number, seed):
        super().__init__(daemon=True)
        self.acpd = daemon
        self.number = number
        self.random = random.Random(seed)
        self.keys = {}       # id -> key, of every acknowledged task
        self.cancelled = set()
        self.unsure = set()  # a change was sent whose answer is not known
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
                    "name": self.random.choice(["quick", "slow", "held"]),
                    "task": {"title": "t", "key": key, "input": "x" * self.random.randrange(2000),
                             "dependsOn": depends_on}}))
        for method, params in calls:
            client.send_call(method, **params)
        # Once every call of the round was answered, what a change did is known; what an earlier
        # round left unknown stays so until a change succeeds.
        done = {}
        for method, params in calls:
            reply = client.reply()
            assert reply is not None
            if method == "assign_task_to_profile":
                self.keys[reply["result"]["task"]["id"]] = params["task"]["key"]
            elif "result" in reply:
                done[params["id"]] = method
            else:
                assert reply["error"]["code"] == -32002, reply
        self.unsure = was_unsure - set(done)
        for id, method in done.items():
            (self.cancelled.add if method == "cancel_task" else self.cancelled.discard)(id)


def assert_dependencies_hold(tasks):
    """Of all tasks by id, once nothing moves any more."""
    for task in tasks.values():
        statuses = {tasks[id]["status"] for id in task["dependsOn"]}
        if task["status"] == "blocked":
            assert statuses & {"queued", "running", "blocked"}, (task, statuses)
            assert not statuses & {"failed", "cancelled"}, (task, statuses)
        elif task["status"] != "cancelled":
            assert statuses <= {"completed"}, (task, statuses)


def all_tasks(client):
    tasks, before = {}, None
    while True:
        page = client.list_tasks(limit=1000, before=before)
        tasks.update((task["id"], task) for task in page["tasks"])
        before = page["next"]
        if before is None:
            return tasks


def test_kill_9_loses_nothing_acknowledged_and_leaves_nothing_behind(make_daemon):
    print(f"ACPD_SEED={SEED} ACPD_FAULTS={KILLS}")
    chance = random.Random(SEED)
    daemon = make_daemon(
        profile("quick", maxConcurrentTasks=4, queueLimit=10**8),
        shell("setsid sleep 1000 & sleep 1000", "slow", maxConcurrentTasks=2, queueLimit=10**8),
        profile("held", queueLimit=10**8))
    with daemon.client() as client:
        client.update_profile_status(name="held", isActive=False)
    workers = [Worker(daemon, i, chance.random()) for i in range(3)]
    for worker in workers:
        worker.start()
    for _ in range(KILLS):
        time.sleep(chance.random() * 0.15)  # the random moment
        daemon.kill()
        daemon.start()
    for worker in workers:
        worker.ended = True
    for worker in workers:
        worker.join()

    with daemon.client() as client:
        tasks = all_tasks(client)
        keys = [task["key"] for task in tasks.values()]
        assert len(keys) == len(set(keys)), "no task is there twice"
        acknowledged = 0
        for worker in workers:
            acknowledged += len(worker.keys)
            for id, key in worker.keys.items():
                assert id in tasks and tasks[id]["key"] == key, f"task {id} ({key}) was lost"
            for id in worker.cancelled - worker.unsure:
                assert tasks[id]["status"] == "cancelled", tasks[id]
        assert acknowledged > KILLS
        assert client.state("held")["isActive"] is False
        # What can end does.
        wait_until(lambda: {t["status"] for t in client.get_profile_task_queue(
            name="quick", limit=1)} <= {"blocked"}, "the queue drains", 300)
        wait_until(lambda: client.state("quick")["currentTasks"] == 0, "the last ones end")
        client.update_profile_status(name="slow", isActive=False)
        tasks = all_tasks(client)
        assert {t["status"] for t in tasks.values() if t["profile"] == "quick"} <= {
            "completed", "cancelled", "blocked"}
        assert_dependencies_hold(tasks)
    daemon.stop()
    assert not daemon.processes()
    assert_counters_are_right(daemon)
    print(f"{KILLS} kills, {acknowledged} acknowledged tasks, none lost")


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


def test_kill_9_under_workers_that_claim_and_complete(make_daemon):
    chance = random.Random(SEED + 2)
    daemon = make_daemon({"name": "w", "runner": {"type": "worker", "lease": 2},
                          "maxConcurrentTasks": 50,
                          "retry": {"maxAttempts": 1000, "backoff": 0.01, "maxBackoff": 0.02}})
    with daemon.client() as client:
        ids = [client.assign("w", title=str(i))["id"] for i in range(1000)]
    claims, done, ended = [], {}, threading.Event()

    def call(method, **params):
        """Until it is answered; the answer, or the code of an error that is one."""
        while not ended.is_set():
            try:
                with daemon.client() as client:
                    return client.call(method, **params)
            except RpcError as error:
                if error.code != -32004:
                    return error.code
            except (OSError, AssertionError):
                pass
            time.sleep(0.005)  # the daemon is away

    def work():
        while not ended.is_set():
            claimed = call("claim_task", profiles=["w"], worker="w", wait=1)
            if not claimed or not claimed["task"]:
                continue
            id, attempt = claimed["task"]["id"], claimed["task"]["attempt"]
            claims.append((id, attempt))
            reply = call("complete_task", id=id, lease=claimed["lease"], result=attempt)
            if isinstance(reply, dict):
                done[id] = attempt

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for _ in range(min(KILLS, 20)):
        time.sleep(chance.random() * 0.15)
        daemon.kill()
        daemon.start()
    with daemon.client() as client:
        wait_until(lambda: client.state("w")["completedTasks"] == len(ids), "all are done", 300)
        ended.set()
        for worker in workers:
            worker.join()
        assert len(claims) == len(set(claims)), "no attempt was given to two"
        for id in ids:
            task = client.task(id)
            assert (id, task["result"]) in claims
            assert task["attempt"] == task["result"] == done.get(id, task["result"])
    daemon.stop()
    assert_counters_are_right(daemon)
