# SPDX-License-Identifier: MIT
"""Processes of attempts as clients: they may read, submit tasks, and manage descendants of their own task."""

import json
import os
import pathlib
import signal
import socket
import sys

import pytest

from acpd import RpcError, profile, shell, wait_until

TESTS = pathlib.Path(__file__).parents[1]
PRELUDE = f"""
import json, os, sys, time
sys.path.insert(0, {str(TESTS)!r})
from acpd import Client, RpcError
task = json.loads(sys.stdin.read())
client = Client(os.environ["ACPD_SOCKET"])
def code(method, **params):
    try:
        client.call(method, **params)
        return 0
    except RpcError as error:
        return error.code
"""


def python(script, name="p", **settings):
    """A profile that runs this Python code, with a client of its daemon."""
    settings.setdefault("retry", {"maxAttempts": 1})
    return profile(name, [sys.executable, "-c", PRELUDE + script], **settings)


def tell(client, **task):
    """The output of a task's program."""
    done = client.finish(client.assign("p", **task)["id"])
    assert done["status"] == "completed", (done["error"], client.log(done["id"]))
    return done["result"]


def test_a_task_says_whose_process_submitted_it(make_daemon, make_gateway):
    daemon = make_daemon(
        python("print(json.dumps({'ids': [client.assign('q')['id'], "
               "client.submit_task(task={'title': 't', 'type': 'q'})['task']['id']]}))"),
        profile("q"))
    with daemon.client() as client:
        id = client.assign("p")["id"]
        assert client.task(id)["submittedBy"] is None
        for child in client.finish(id)["result"]["ids"]:
            assert client.task(child)["submittedBy"] == id
        gateway = make_gateway(daemon)
        assert gateway.post("/api/profiles/q/assign-task", {"task": {"title": "t"}}).json["task"][
            "submittedBy"] is None
    daemon.restart()
    with daemon.client() as client:
        assert client.task(id + 1)["submittedBy"] == id


def test_a_descendant_in_a_session_of_its_own_is_one_too(make_daemon, folder):
    daemon = make_daemon(python(f"""
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        client = Client(os.environ["ACPD_SOCKET"])
        id = client.assign("q")["id"]
        with open("{folder}/id.part", "w") as file: file.write(str(id))
        os.rename("{folder}/id.part", "{folder}/id")
        time.sleep(1000)
    os._exit(0)
while not os.path.exists("{folder}/id"): time.sleep(0.01)
print(json.dumps({{"id": int(open("{folder}/id").read()), "guarded": code("reload_config")}}))
"""), profile("q"))
    with daemon.client() as client:
        id = client.assign("p")["id"]
        result = client.finish(id)["result"]
        assert client.task(result["id"])["submittedBy"] == id and result["guarded"] == -32005


@pytest.mark.parametrize("depth", [0, 1, 3])
def test_tasks_do_not_submit_tasks_for_ever(make_daemon, depth):
    daemon = make_daemon(python("print(json.dumps({'code': code('assign_task_to_profile', name='p', "
                                "task={'title': 't'})}))"), submitDepth=depth)
    with daemon.client() as client:
        client.assign("p")
        for id in range(1, depth + 2):
            assert client.finish(id)["result"]["code"] == (0 if id <= depth else -32005)
        assert len(client.list_tasks()["tasks"]) == depth + 1


def test_the_default_depth_is_eight(make_daemon):
    daemon = make_daemon(python("code('assign_task_to_profile', name='p', task={'title': 't'})"))
    with daemon.client() as client:
        client.assign("p")
        for id in range(1, 10):
            client.finish(id)
        assert len(client.list_tasks()["tasks"]) == 9


def test_a_child_handles_what_descends_from_its_task_and_nothing_else(make_daemon):
    """Also from another process; but not its parent, siblings, other people's tasks or itself."""
    daemon = make_daemon(
        python("""
ids = task["input"] or {}
mine = client.assign("held")["id"]
other = client.call("assign_task_to_profile", name="q", task={"title": "t", "input": {"outer": task["id"]}})
grandchild = client.finish(other["task"]["id"])["result"]["id"]
print(json.dumps({
    "update": [code("update_task", id=id, priority="high") for id in (mine, grandchild)],
    "cancel": [code("cancel_task", id=id) for id in (mine, grandchild)],
    "retry": [code("retry_task", id=mine)],
    "strange": [code(method, id=id) for id in (ids["waiting"], task["id"], 999)
                for method in ("cancel_task", "retry_task", "update_task")],
    "worker": [code("claim_task", profiles=["w"], worker="x"),
               code("complete_task", id=ids["leased"], lease=ids["lease"])],
    "rule": [code("update_profile_status", name="q", isActive=False), code("reload_config"),
             code("retire_node", name="any"), code("answer_permission", id="1-1-1", optionId="yes")],
    "reads": [code("get_task", id=ids["waiting"]), code("list_tasks"), code("get_health"),
              code("subscribe")]}))
"""),
        python("print(json.dumps({'id': client.assign('held')['id'], "
               "'upward': code('cancel_task', id=task['input']['outer'])}))", "q"),
        profile("held"), {"name": "w", "runner": {"type": "worker"}})
    with daemon.client() as client:
        client.update_profile_status(name="held", isActive=False)
        waiting = client.assign("held")["id"]
        leased = client.assign("w")["id"]
        claimed = client.claim_task(profiles=["w"], worker="me")
        client.assign("w")
        told = tell(client, input={"waiting": waiting, "leased": leased, "lease": claimed["lease"]})
        assert told == {"update": [0, 0], "cancel": [0, 0], "retry": [0], "strange": [-32005] * 9,
                        "worker": [-32005] * 2, "rule": [-32005] * 4, "reads": [0] * 4}
        inner = next(task for task in client.list_tasks()["tasks"] if task["profile"] == "q")
        assert inner["result"]["upward"] == -32005
        assert client.task(waiting)["status"] == "queued"
        assert client.complete_task(id=leased, lease=claimed["lease"])["status"] == "completed"


def test_a_child_may_call_what_is_listed_here_and_nothing_else(make_daemon):
    daemon = make_daemon(python("""
names = [method["name"] for method in client.call("rpc.discover")["methods"]]
print(json.dumps({name: code(name) for name in names}))
"""))
    with daemon.client() as client:
        codes = tell(client)
    refused = {name for name, code in codes.items() if code == -32005}
    assert codes.keys() - refused == {
        "rpc.discover", "get_health", "subscribe", "get_metrics_export", "get_profile_states",
        "get_profile_state", "get_profiles_with_states", "get_profile_task_queue", "get_best_profile_for_task",
        "get_profile_metrics", "get_all_profile_metrics", "get_metrics_history", "get_capacity", "get_task",
        "list_tasks", "get_task_log", "list_permissions", "assign_task_to_profile", "submit_task", "update_task",
        "cancel_task", "retry_task"}


def test_connections_that_a_child_leaves_behind_are_its_own(make_daemon, folder):
    """They wait while acpd is busy, and their process ends before acpd accepts them."""
    daemon = make_daemon(profile("q"), python(f"""
import socket
open("{folder}/up", "w").close()
while not os.path.exists("{folder}/go"): time.sleep(0.01)
sockets = []
for i in range(300):
    s = socket.socket(socket.AF_UNIX)
    s.connect(os.environ["ACPD_SOCKET"])
    s.sendall(b'{{"jsonrpc":"2.0","id":1,"method":"update_profile_status","params":'
              b'{{"name":"q","isActive":false}}}}\\n{{"jsonrpc":"2.0","id":2,"method":"cancel_task",'
              b'"params":{{"id":1}}}}\\n')
    sockets.append(s)
os.rename("{folder}/up", "{folder}/sent")
"""))
    with daemon.client() as client:
        client.update_profile_status(name="q", isActive=False)
        waiting = client.assign("q")["id"]
        assert waiting == 1
        client.update_profile_status(name="q", isActive=True)
        client.finish(waiting)
        id = client.assign("p")["id"]
        wait_until((folder / "up").exists)
        daemon.process.send_signal(signal.SIGSTOP)
        try:
            (folder / "go").touch()
            wait_until((folder / "sent").exists)
            wait_until(lambda: not daemon.processes(ACPD_TASK_ID=id), "the child is gone")
        finally:
            daemon.process.send_signal(signal.SIGCONT)
        assert client.finish(id)["status"] == "completed"
        assert client.state("q")["isActive"] is True


def test_whose_process_has_ended_may_still_submit(make_daemon, folder):
    """A client that does not wait for the reply. It may do nothing else."""
    daemon = make_daemon(profile("q"))
    with daemon.client() as client:
        daemon.process.send_signal(signal.SIGSTOP)
        try:
            child = os.fork()
            if child == 0:
                with daemon.client() as other:
                    other.send_call("assign_task_to_profile", name="q", task={"title": "left"})
                    other.send_call("update_profile_status", name="q", isActive=False)
                os._exit(0)
            os.waitpid(child, 0)
        finally:
            daemon.process.send_signal(signal.SIGCONT)
        wait_until(lambda: client.list_tasks()["tasks"])
        task, = client.list_tasks()["tasks"]
        assert task["title"] == "left" and task["submittedBy"] is None
        assert client.state("q")["isActive"] is True


def hold(folder):
    """A socket to which a child can hand a connection."""
    holder = socket.socket(socket.AF_UNIX)
    holder.bind(f"{folder}/hold")
    holder.listen()
    return holder


def test_a_connection_of_an_attempt_that_is_over_is_nobody_elses(make_daemon, folder):
    """Even if the keeper of its family has another one now."""
    first = python(f"""
import array, socket
s = socket.socket(socket.AF_UNIX)
s.connect(os.environ["ACPD_SOCKET"])
s.sendall(b'{{"jsonrpc":"2.0","id":1,"method":"list_tasks"}}\\n')
s.recv(100000)
o = socket.socket(socket.AF_UNIX)
o.connect("{folder}/hold")
o.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [s.fileno()]))])
""", "first")
    second = python(f"""
id = client.assign("held")["id"]
open("{folder}/child", "w").write(str(id))
os.rename("{folder}/child", "{folder}/done")
time.sleep(1000)
""", "second")
    daemon = make_daemon(profile("held"), first, second)
    with hold(folder) as holder, daemon.client() as client:
        client.update_profile_status(name="held", isActive=False)
        over = client.assign("first")["id"]
        passed, _ = holder.accept()
        _, ancillary, _, _ = passed.recvmsg(10, 1000)
        client.finish(over)
        running = client.assign("second")["id"]
        wait_until((folder / "done").exists)
        child = int((folder / "done").read_text())
        assert client.task(child)["submittedBy"] == running
        with daemon.client() as outside:
            outside.socket.close()
            outside.socket = socket.socket(fileno=int.from_bytes(ancillary[0][2][:4], sys.byteorder))
            assert outside.assign("held")["submittedBy"] is None
            with pytest.raises(RpcError, match="does not descend"):
                outside.cancel_task(id=child)
        client.cancel_task(id=running)


def test_calls_that_a_child_leaves_behind_are_not_the_next_ones(make_daemon, folder):
    leaving = python("""
import json, socket
s = socket.socket(socket.AF_UNIX)
s.connect(os.environ["ACPD_SOCKET"])
for i in range(1000):
    s.sendall(json.dumps({"jsonrpc": "2.0", "method": "assign_task_to_profile", "params":
                          {"name": "held", "task": {"title": "left"}}}).encode() + b"\\n")
""", "leaving")
    daemon = make_daemon(profile("held"), leaving, shell("sleep 0.5", "next"), linesPerPass=10)
    with daemon.client() as client:
        client.update_profile_status(name="held", isActive=False)
        first = client.assign("leaving")["id"]
        client.finish(first)
        second = client.assign("next")["id"]
        client.finish(second)
        wait_until(lambda: client.get_profile_state(name="held")["queueSize"] == 1000, "all of them are done")
        assert {task["submittedBy"] for task in client.all_tasks().values() if task["profile"] == "held"} \
            <= {first, None}
