# SPDX-License-Identifier: MIT
"""The seven points of the requirements, end to end with the built-in profiles, through socat."""

import json
import subprocess

import pytest

import acpd
from acpd import DEADLINE, wait_until


class Socat:
    """A person at a shell: one line in, one line out."""

    def __init__(self, daemon):
        self.address = f"UNIX-CONNECT:{daemon.socket}"

    def __call__(self, method, **params):
        line = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
        run = subprocess.run(["socat", "-t5", "-", self.address], input=line + "\n",
                             capture_output=True, text=True, timeout=DEADLINE, check=True)
        reply = json.loads(run.stdout)
        acpd.schemas.check_message(reply, method)
        return reply["result"] if "result" in reply else reply["error"]

    def finish(self, id):
        return wait_until(lambda: (task := self("get_task", id=id))["finishedAt"] and task)


@pytest.fixture
def call(make_daemon):
    return Socat(make_daemon(config=None))


def test_profile_state_retrieval(call):
    states = call("get_profile_states")
    assert [s["name"] for s in states] == ["product-manager", "refinement", "development"]
    for state in states:
        assert set(state) == {"name", "isActive", "currentTasks", "completedTasks", "failedTasks",
                              "averageProcessingTime", "lastActivity", "queueSize", "isProcessing",
                              "health", "healthReason", "oldestQueuedAge"}
        assert call("get_profile_state", name=state["name"]) == state
        assert call("get_profile_state", profileName=state["name"]) == state


def test_metrics_collection(call):
    id = call("assign_task_to_profile", profileName="refinement", task={"title": "t"})["task"]["id"]
    task = call.finish(id)
    metrics = call("get_all_profile_metrics")
    assert set(metrics) == {"product-manager", "refinement", "development"}
    assert metrics["refinement"] == call("get_profile_metrics", name="refinement")
    assert metrics["refinement"]["sampleSize"] == 1 and metrics["refinement"]["successRate"] == 100
    assert metrics["refinement"]["averageTaskDuration"] >= 1, "the demo takes its time"
    assert metrics["development"]["sampleSize"] == 0
    assert task["status"] == "completed"


def test_task_queue_management(call):
    call("update_profile_status", name="development", isActive=False)
    low = call("assign_task_to_profile", profileName="development",
               task={"title": "low", "priority": "low"})["task"]
    high = call("assign_task_to_profile", profileName="development",
                task={"title": "high", "priority": "high"})["task"]
    queue = call("get_profile_task_queue", name="development")
    assert [t["id"] for t in queue] == [high["id"], low["id"]]
    assert [t["pending"] for t in queue] == [{"reason": "paused", "position": 1, "eta": None},
                                             {"reason": "paused", "position": 2, "eta": None}]
    assert call("update_task", id=low["id"], priority="high")["priority"] == "high"
    assert call("cancel_task", id=high["id"])["status"] == "cancelled"
    assert [t["id"] for t in call("get_profile_task_queue", name="development")] == [low["id"]]


def test_profile_status_updates(call):
    reply = call("update_profile_status", name="development", isActive=False)
    assert reply["success"] is True and reply["state"]["isActive"] is False
    id = call("assign_task_to_profile", profileName="development", task={"title": "t"})["task"]["id"]
    assert call("get_task", id=id)["status"] == "queued", "a paused profile holds its queue"
    assert call("update_profile_status", name="development", isActive=True)["success"] is True
    assert call.finish(id)["status"] == "completed"


def test_smart_task_routing(call):
    for type, name in [("coding", "development"), ("estimation", "refinement"),
                       ("analysis", "product-manager")]:
        answer = call("get_best_profile_for_task", task={"title": "t", "type": type})
        assert answer["bestProfile"]["name"] == name and len(answer["candidates"]) == 3
    assert call("get_best_profile_for_task", task={"type": "surgery"})["bestProfile"] is None
    assert call("submit_task", task={"title": "t", "type": "testing"})["task"]["profile"] == \
        "development"


def test_task_assignment(call):
    reply = call("assign_task_to_profile", profileName="development",
                 task={"title": "Write it", "description": "in C", "type": "coding"})
    assert reply["success"] is True and reply["task"]["status"] == "queued"
    task = call.finish(reply["task"]["id"])
    assert task["status"] == "completed" and "in C" in task["result"]["text"]
    log = call("get_task_log", id=task["id"])
    assert any("Thinking" in entry["text"] for entry in log["entries"])
    assert call("assign_task_to_profile", profileName="nobody", task={"title": "t"})["code"] == -32001


def test_performance_monitoring(call):
    everything = call("get_profiles_with_states")
    assert [set(each) for each in everything] == [{"profile", "state", "metrics"}] * 3
    for range in ("1h", "24h", "7d"):
        assert call("get_profile_metrics", name="development", range=range)["range"] == range
    health = call("get_health")
    assert health["status"] == "healthy" and set(health["profiles"]) == {
        "product-manager", "refinement", "development"}
    assert health["storage"]["status"] == "ok" and health["updateInterval"] == 5


def test_a_newcomer_sees_a_slot_fill_a_queue_wait_a_log_and_a_cancel(call):
    ids = [call("assign_task_to_profile", profileName="refinement",
                task={"title": f"task {i}"})["task"]["id"] for i in (1, 2, 3)]
    state = wait_until(lambda: (s := call("get_profile_state", name="refinement"))["currentTasks"] and s)
    assert state["isProcessing"] is True and state["queueSize"] == 2
    assert call("get_task", id=ids[1])["pending"]["reason"] == "slots"
    assert wait_until(lambda: call("get_task_log", id=ids[0])["entries"])
    for id in ids:
        assert call("cancel_task", id=id)["status"] == "cancelled"
    assert wait_until(lambda: call("get_profile_state", name="refinement")["queueSize"] == 0)
