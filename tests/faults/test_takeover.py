# SPDX-License-Identifier: MIT
"""What a node ran that was killed, stopped or seemed to be dead."""

import os
import signal
import time

import acpd
import pytest
from acpd import RpcError, is_alive, wait_until
from fleet import ASKING, WORKER, nodes, record, recorder

pytestmark = pytest.mark.usefixtures("use_server")


def test_what_a_killed_node_ran_runs_elsewhere(make_fleet, folder):
    a, b = make_fleet("ab", recorder(folder, 1000, maxConcurrentTasks=1), recorder(folder, 0, name="q"))
    with a.client() as client:
        id = client.assign("p")["id"]
        victim = client.wait_status(id, "running")["node"]
        wait_until(lambda: record(folder), "it runs")
    victim, other = (a, b) if victim == "a" else (b, a)
    victim.kill()
    with other.client() as client:
        task = wait_until(lambda: (task := client.task(id))["attempt"] == 2 and task["status"] == "running" and task)
        wait_until(lambda: list(nodes(other)) == [task["node"]], "the dead one is forgotten")
        wait_until(lambda: len(record(folder)) == 2, "it runs again")
        assert not is_alive(record(folder)[0][3]) and is_alive(record(folder)[1][3])
        assert client.finish(client.assign("q")["id"])["status"] == "completed"
        client.cancel_task(id=id)
    victim.start()
    wait_until(lambda: len(nodes(other)) == 2, "it is back")


def test_a_killed_node_that_comes_back_at_once_waits_for_no_lease(make_fleet, folder):
    a, b = make_fleet("ab", recorder(folder, 1000, nodes=["a"]), lease=60)
    with a.client() as client:
        id = client.assign("p")["id"]
        client.wait_status(id, "running")
    a.kill()
    a.start()
    with a.client() as client:
        wait_until(lambda: client.task(id)["attempt"] == 2, "it runs again")
        assert client.wait_status(id, "running")["node"] == "a"
        assert sorted(nodes(a)) == ["a", "b"]
        client.cancel_task(id=id)


def test_a_worker_keeps_its_lease_when_another_node_takes_over(make_fleet):
    a, b = make_fleet("ab", WORKER)
    with a.client() as client:
        id = client.assign("w")["id"]
        lease = client.claim_task(profiles=["w"], worker="x")["lease"]
    a.kill()
    with b.client() as client:
        wait_until(lambda: list(nodes(b)) == ["b"], "it is found dead")
        wait_until(lambda: client.task(id)["node"] == "b", "the lease is taken over")
        assert client.task(id)["attempt"] == 1
        assert client.complete_task(id=id, lease=lease)["status"] == "completed"


def test_a_node_that_lives_after_all_is_not_taken_over(make_fleet, folder):
    a, b = make_fleet("ab", recorder(folder, 1000, nodes=["a"]), start=False)
    a.start()
    b.start_faulty()
    wait_until(lambda: len(nodes(b)) == 2, "they know each other")
    with b.client() as client:
        id = client.assign("p")["id"]
        client.wait_status(id, "running")
        b.order.write_text("end_node")
        a.kill()
        wait_until(lambda: "the verb end_node is stale" in b.log.read_text(), "it is taken for dead")
        assert sorted(nodes(b)) == ["a", "b"] and client.task(id)["node"] == "a"
        b.order.unlink()
        wait_until(lambda: list(nodes(b)) == ["b"], "it is dead")
        wait_until(lambda: client.task(id)["status"] == "queued", "it waits for the only node that may run it")
        client.cancel_task(id=id)


def test_a_lease_that_ended_before_it_was_taken_over(make_fleet):
    a, b = make_fleet("ab", WORKER, start=False)
    a.start()
    b.start_faulty()
    wait_until(lambda: len(nodes(b)) == 2, "they know each other")
    with a.client() as client:
        id = client.assign("w")["id"]
        lease = client.claim_task(profiles=["w"], worker="x")["lease"]
    b.order.write_text("adopt")
    a.kill()
    with b.client() as client:
        wait_until(lambda: "the verb adopt is stale" in b.log.read_text(), "it is taken over")
        with pytest.raises(RpcError, match="no longer"):
            client.complete_task(id=id, lease=lease)
        b.order.unlink()
        b.restart()
    with b.client() as client:
        assert client.complete_task(id=id, lease=lease)["status"] == "completed"


def test_what_a_stopped_node_ran_runs_elsewhere_at_once(make_fleet, folder):
    a, b = make_fleet("ab", recorder(folder, 1000), lease=3600)
    with b.client() as client:
        id = client.assign("p")["id"]
        node = client.wait_status(id, "running")["node"]
    stopped, other = (a, b) if node == "a" else (b, a)
    assert stopped.stop() == 0
    with other.client() as client:
        wait_until(lambda: client.task(id)["attempt"] == 2 and client.task(id)["status"] == "running", "it runs again")
        client.cancel_task(id=id)


def test_questions_of_a_dead_node_are_closed(make_fleet):
    a, b = make_fleet("ab", ASKING)
    with b.client() as other, b.client() as follower:
        follower.subscribe()
        id = other.assign("p")["id"]
        question, = wait_until(other.list_permissions, "it is told")
        a.kill()
        heard = []
        while len(heard) < 2:
            event = follower.reply()["params"]
            if event["type"] == "permission":
                heard.append((event["id"], event["isOpen"]))
        assert heard == [(question["id"], True), (question["id"], False)]
        assert other.list_permissions() == []
        other.cancel_task(id=id)


def test_a_node_that_hangs_loses_its_children_to_its_supervisor(make_fleet, folder):
    a, b = make_fleet("ab", recorder(folder, 1000, nodes=["a"]), recorder(folder, 0, name="q"))
    with a.client() as client:
        id = client.assign("p")["id"]
        client.wait_status(id, "running")
    wait_until(lambda: record(folder), "it runs")
    child = record(folder)[0][3]
    deadline = time.monotonic() + acpd.DEADLINE
    while is_alive(child):
        assert time.monotonic() < deadline
        os.kill(a.process.pid, signal.SIGSTOP)  # its supervisor wakes it now and then
        time.sleep(0.01)
    os.kill(a.process.pid, signal.SIGCONT)
    with b.client() as client:
        assert client.finish(client.assign("q")["id"])["status"] == "completed"
        client.cancel_task(id=id)
    a.process.wait(acpd.DEADLINE) if a.process.poll() is not None else None
