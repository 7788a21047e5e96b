# SPDX-License-Identifier: MIT
"""
A hostile client with a model of the correct state: all methods that change tasks, pipelined and in batches, over
several connections that die with unread replies, while commits fail at random or their outcome stays unknown for
longer than clients wait.

ACPD_FAULTS=N (./dev faults N) runs 25 N steps; ACPD_SEED=S repeats a run.
"""

import json
import os
import random
import select
import signal
import socket
import time

import acpd
from acpd import DEADLINE, wait_until
from database import assert_counters_are_right

STEPS = 25 * int(os.environ.get("ACPD_FAULTS", "160"))
SEED = int(os.environ.get("ACPD_SEED", str(random.randrange(1 << 32))))
SLOTS = 3
LEASE = 2  # seconds; a lease in an unread reply to a dead client lasts as long
DOUBT = 6  # seconds; clients wait for 5
DOUBTS_MAX = max(3, STEPS // 1000)
UNAVAILABLE, CONFLICT, NOT_FOUND = -32004, -32002, -32001


class Lease:
    """A lease of a worker; certain until its end. `ends`: open or unanswered calls that may have ended it."""

    def __init__(self, token, attempt, until):
        self.token, self.attempt, self.until, self.ends = token, attempt, until, 0

    def is_sure(self):
        return not self.ends and time.monotonic() < self.until


class Task:
    def __init__(self, key):
        self.key = key
        self.lease = None
        self.attempts = set()  # that were given to clients
        self.cancels = 0       # calls that may have cancelled it, or may yet
        self.retries = 0


class Connection:
    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(str(path))
        self.socket.setblocking(False)
        self.received = b""
        self.waiting = []  # (id, method, params) of the lines sent, each a list

    def send(self, calls, is_batch):
        messages = [{"jsonrpc": "2.0", "id": id, "method": method, "params": params}
                    for id, method, params in calls]
        lines = [messages] if is_batch else messages
        self.socket.setblocking(True)
        self.socket.sendall("".join(json.dumps(line) + "\n" for line in lines).encode())
        self.socket.setblocking(False)
        self.waiting += [calls] if is_batch else [[call] for call in calls]

    def replies(self, timeout):
        """(call, reply) of all replies received. A waiting claim may be answered late."""
        if select.select([self.socket], [], [], timeout)[0]:
            try:
                data = self.socket.recv(1 << 20)
                assert data, "acpd closed a connection"
                self.received += data
            except BlockingIOError:
                pass
        found = []
        while b"\n" in self.received:
            line, self.received = self.received.split(b"\n", 1)
            replies = json.loads(line)  # each line is whole
            replies = replies if isinstance(replies, list) else [replies]
            calls = next(calls for calls in self.waiting if calls[0][0] == replies[0]["id"])
            self.waiting.remove(calls)
            assert [call[0] for call in calls] == [reply["id"] for reply in replies]
            for (_, method, _), reply in zip(calls, replies):
                acpd.schemas.check_message(reply, method)
            found += list(zip(calls, replies))
        return found


class Model:
    def __init__(self, daemon, chance):
        self.acpd, self.chance = daemon, chance
        self.tasks = {}       # by id, those known to exist
        self.refused = set()  # keys of rejected assignments
        self.ids = 0
        self.connections = []
        self.is_away = False
        self.doubt_ends = 0  # when the storage may report the outcome of a commit; 0: at once
        self.long_doubts = 0
        self.failures = self.unknown = 0
        self.sent_at = {}  # by call
        self.asked_at = 0  # of the call whose reply is being handled

    # Calls.

    def next_id(self):
        self.ids += 1
        return self.ids

    def pick_held(self):
        held = [id for id, task in self.tasks.items() if task.lease]
        return self.chance.choice(held) if held else None

    def make_call(self):
        id = self.next_id()
        method = self.chance.choice(
            ["assign_task_to_profile"] * 3 + ["claim_task"] * 4 + ["complete_task"] * 3 + ["fail_task"] * 2 +
            ["extend_lease", "cancel_task", "retry_task", "update_task", "get_task", "list_tasks"])
        if method == "assign_task_to_profile":
            return id, method, {"name": "w", "task": {"title": "t", "key": f"k{id}"}}
        if method == "claim_task":
            return id, method, {"profiles": ["w"], "worker": "x", "lease": LEASE,
                                "wait": self.chance.choice([0, 0, 0.05])}
        if method in ("complete_task", "fail_task", "extend_lease"):
            held = self.pick_held()
            if held is None:
                return id, "get_health", {}
            params = {"id": held, "lease": self.tasks[held].lease.token}
            if method == "complete_task":
                params["result"] = held
            if method == "fail_task":
                params["error"] = {"message": "no", "class": self.chance.choice(["exit", "rate_limit"])}
            return id, method, params
        if method == "list_tasks" or not self.tasks:
            return id, "list_tasks", {"limit": 5}
        params = {"id": self.chance.choice(list(self.tasks))}
        if method == "update_task":
            params["priority"] = self.chance.choice(["low", "high"])
        return id, method, params

    def note_sent(self, call):
        """From now on, the call may have taken effect."""
        id, method, params = call
        self.sent_at[id] = time.monotonic()
        task = self.tasks.get(params.get("id"))
        if method in ("complete_task", "fail_task") and task.lease:
            task.lease.ends += 1
        if method == "cancel_task":
            task.cancels += 1
        if method == "retry_task":
            task.retries += 1

    # Replies.

    def surely_held(self):
        return [task for task in self.tasks.values()
                if task.lease and task.lease.is_sure() and not task.cancels]

    def take(self, call, reply):
        id, method, params = call
        self.asked_at = self.sent_at.pop(id)
        error = reply.get("error")
        if error and error["code"] == UNAVAILABLE:
            self.failures += 1
            if "may or may not" in error["message"]:
                self.unknown += 1
                return  # as if there had been no reply
        getattr(self, "take_" + method, lambda *_: None)(params, reply.get("result"), error)

    def take_assign_task_to_profile(self, params, result, error):
        key = params["task"]["key"]
        if error:
            assert error["code"] == UNAVAILABLE, error
            self.refused.add(key)
        else:
            task = self.tasks.setdefault(result["task"]["id"], Task(key))  # or it was claimed already
            assert result["task"]["key"] == task.key == key

    def take_claim_task(self, params, result, error):
        if error:
            assert error["code"] == UNAVAILABLE, error
            return
        if not result["task"]:
            return
        id, attempt = result["task"]["id"], result["task"]["attempt"]
        # Assigned by a call whose reply is not read yet, or never will be.
        task = self.tasks.setdefault(id, Task(result["task"]["key"]))
        assert attempt not in task.attempts, f"attempt {attempt} of task {id} was given to two"
        task.attempts.add(attempt)
        if task.lease and task.lease.attempt > attempt:
            return  # a late reply: there is a newer claim
        assert not task.lease or not task.lease.is_sure() or task.cancels, f"task {id} has two owners"
        task.lease = Lease(result["lease"], attempt, self.asked_at + LEASE)
        assert len(self.surely_held()) <= SLOTS, "more tasks run than may"

    def lease_of(self, params):
        task = self.tasks[params["id"]]
        return task, task.lease if task.lease and task.lease.token == params["lease"] else None

    def take_end(self, params, result, error):
        task, lease = self.lease_of(params)
        if error and error["code"] == UNAVAILABLE:
            if lease:
                lease.ends -= 1
            return
        if error:
            assert error["code"] == CONFLICT, error
            # Ended by another call that may have ended it, or cancelled.
            if lease:
                lease.ends -= 1
                assert not lease.is_sure() or task.cancels, f"{params} was refused"
        elif lease:
            task.lease = None

    take_complete_task = take_fail_task = take_end

    def take_extend_lease(self, params, result, error):
        task, lease = self.lease_of(params)
        if error and error["code"] != UNAVAILABLE:
            assert error["code"] == CONFLICT, error
            assert not lease or not lease.is_sure() or task.cancels, f"{params} is no longer held"
        elif lease and not error:
            lease.until = self.asked_at + LEASE

    def take_cancel_task(self, params, result, error):
        task = self.tasks[params["id"]]
        if error:
            assert error["code"] in (UNAVAILABLE, CONFLICT), error
            task.cancels -= 1
        # Otherwise its lease may have ended, until it is claimed again.

    def take_retry_task(self, params, result, error):
        assert not error or error["code"] in (UNAVAILABLE, CONFLICT), error

    # Steps.

    def connect(self):
        self.connections.append(Connection(self.acpd.socket))

    def drop(self, connection):
        """With unread replies and perhaps half a line sent: open calls may have taken effect."""
        if self.chance.random() < 0.3:
            connection.socket.setblocking(True)
            connection.socket.sendall(b'{"jsonrpc":"2.0","id":1,"method":"claim_task","params":{"prof')
        connection.socket.close()
        self.connections.remove(connection)

    def toggle_storage(self):
        path, aside = self.acpd.state / "acpd.db", self.acpd.folder / "aside"
        (aside if self.is_away else path).rename(path if self.is_away else aside)
        self.is_away = not self.is_away

    def toggle_doubt(self):
        if self.doubt_ends:
            if time.monotonic() > self.doubt_ends:
                self.acpd.order.unlink()
                self.doubt_ends = 0
            return
        outcomes = ["unseen", "lost", "refused"]
        self.doubt_ends = time.monotonic()
        if not self.is_away and self.chance.random() < 0.1 and self.long_doubts < DOUBTS_MAX:
            outcomes = outcomes[:2]
            self.long_doubts += 1
            self.doubt_ends += DOUBT
        self.acpd.order.write_text(self.chance.choice(outcomes))

    def read(self, timeout=0):
        for connection in list(self.connections):
            for call, reply in connection.replies(timeout):
                self.take(call, reply)

    def step(self):
        if len(self.connections) < 4:
            self.connect()
        if self.chance.random() < (0.4 if self.is_away else 0.06):
            self.toggle_storage()
        if self.chance.random() < (0.4 if self.doubt_ends else 0.06):
            self.toggle_doubt()
        is_stopped = self.chance.random() < 0.3  # calls sent meanwhile share a pass
        if is_stopped:
            self.acpd.process.send_signal(signal.SIGSTOP)
        try:
            for _ in range(self.chance.randrange(1, 4)):
                connection = self.chance.choice(self.connections)
                calls = [self.make_call() for _ in range(self.chance.choice([1, 1, 2, 6]))]
                for call in calls:
                    self.note_sent(call)
                connection.send(calls, is_batch=len(calls) > 1 and self.chance.random() < 0.4)
                if self.chance.random() < 0.15 and len(self.connections) > 1:
                    self.drop(connection)
        finally:
            if is_stopped:
                self.acpd.process.send_signal(signal.SIGCONT)
        while time.monotonic() < self.doubt_ends:
            self.read(0.1)
        if self.chance.random() < 0.8:
            self.read(self.chance.choice([0, 0.002]))

    def mend(self):
        if self.is_away:
            self.toggle_storage()
        self.acpd.order.unlink(missing_ok=True)

    def settle(self):
        """Ends all faults and waits for all replies."""
        self.mend()
        wait_until(lambda: self.read(0.01) or not any(c.waiting for c in self.connections),
                   "every call is answered", DEADLINE)
        for connection in list(self.connections):
            connection.socket.close()
        self.connections.clear()


def check(model, client):
    tasks = client.all_tasks()
    keys = [task["key"] for task in tasks.values()]
    assert len(keys) == len(set(keys)), "a task is there twice"
    assert not model.refused & set(keys), "what was refused is there"
    assert set(model.tasks) <= set(tasks), "what was acknowledged is not there"
    for id, task in model.tasks.items():
        assert tasks[id]["key"] == task.key


def complete_one(client):
    client.assign("w", priority="high")
    claim = client.claim_task(profiles=["w"], worker="x", wait=10)
    client.complete_task(id=claim["task"]["id"], lease=claim["lease"])
    return client.state("w")


def test_one_owner_whatever_dies_and_fails(make_daemon):
    print(f"ACPD_SEED={SEED} ACPD_FAULTS={STEPS // 25}")
    daemon = make_daemon(start=False)
    daemon.configure({
        "name": "w", "runner": {"type": "worker"}, "maxConcurrentTasks": SLOTS,
        "queueLimit": 10**6, "cooldown": {"min": 0.01, "max": 0.02},
        "retry": {"maxAttempts": 1000, "backoff": 0.01, "maxBackoff": 0.02}})
    daemon.start_faulty()
    model = Model(daemon, random.Random(SEED))
    try:
        for _ in range(STEPS):
            model.step()
        model.settle()
    finally:
        model.mend()
    with daemon.client() as client:
        wait_until(lambda: client.get_health()["storage"]["status"] == "ok")
        check(model, client)
        for id, task in model.tasks.items():
            if task in model.surely_held():
                assert client.complete_task(id=id, lease=task.lease.token)["attempt"] == task.lease.attempt
        wait_until(lambda: not client.list_tasks(status="running")["tasks"], "the others run out")
        assert client.state("w")["currentTasks"] == 0
        # Successes end the consequences of the failures: the cooldown, and one attempt at a time.
        wait_until(lambda: complete_one(client)["health"] == "healthy", "it is healthy again")
        for _ in range(SLOTS):
            client.assign("w", priority="high")
        claims = [client.claim_task(profiles=["w"], worker="x", wait=10)["task"] for _ in range(SLOTS)]
        assert all(claims), client.state("w")
        assert client.claim_task(profiles=["w"], worker="x") == {"task": None}
    daemon.stop()
    assert_counters_are_right(daemon)
    attempts = sum(len(task.attempts) for task in model.tasks.values())
    assert model.failures and attempts
    print(f"{STEPS} steps, {len(model.tasks)} tasks, {attempts} claims, {model.failures} calls refused, "
          f"{model.unknown} of them with an unknown outcome")
