# SPDX-License-Identifier: MIT
"""Whatever a failed pass created is gone with it, whatever its state was."""

import contextlib
import select
import signal

from acpd import RpcError, stopped, wait_until


@contextlib.contextmanager
def database_away(daemon):
    """Reads and writes succeed; commits fail."""
    path = daemon.state / "acpd.db"
    aside = daemon.folder / "aside.db"
    path.rename(aside)
    try:
        yield
    finally:
        aside.rename(path)


def storage(client):
    """A request in the failed pass fails with it."""
    try:
        return client.get_health()["storage"]["status"]
    except RpcError as error:
        assert error.code == -32004
        return "failing"


def reset(client, *calls):
    """Sends calls and closes the connection with an unread reply, so that acpd gets ECONNRESET."""
    client.send_call("get_profile_states")
    assert select.select([client.socket], [], [], 60)[0]

    def act():
        for method, params in calls:
            client.send_call(method, **params)
        client.close()

    return act


def worker_profile(**settings):
    return {"name": "w", "runner": {"type": "worker", "lease": 3600}, "maxConcurrentTasks": 1, **settings}


CLAIM = {"profiles": ["w"], "worker": "x"}


def test_a_claim_whose_worker_dies_in_a_pass_that_fails_is_no_claim(make_daemon):
    daemon = make_daemon(worker_profile())
    with daemon.client() as client:
        first, second = (client.assign("w")["id"] for _ in range(2))
        ghost = reset(daemon.client(), ("claim_task", CLAIM))
        with database_away(daemon):
            with stopped(daemon):
                ghost()
            wait_until(lambda: storage(client) == "failing")
        wait_until(lambda: storage(client) == "ok")
        task = client.task(first)
        assert (task["status"], task["attempt"], task["error"]) == ("queued", 0, None)
        mine = client.claim_task(**CLAIM, wait=10)
        assert (mine["task"]["id"], mine["task"]["attempt"]) == (first, 1)
        assert client.state("w")["currentTasks"] == 1
        assert client.claim_task(**CLAIM) == {"task": None}, "one slot, one task"
        assert client.complete_task(id=first, lease=mine["lease"], result=1)["result"] == 1
        assert client.claim_task(**CLAIM, wait=10)["task"]["id"] == second


def test_a_claim_whose_worker_dies_in_its_pass_is_given_back(make_daemon):
    """The same without a failure: the attempt counts, and its end is written."""
    daemon = make_daemon(worker_profile())
    with daemon.client() as client:
        id = client.assign("w")["id"]
        ghost = reset(daemon.client(), ("claim_task", CLAIM))
        with stopped(daemon):
            ghost()
        mine = client.claim_task(**CLAIM, wait=10)
        assert (mine["task"]["id"], mine["task"]["attempt"]) == (id, 2)


def fail_retry_and_claim(client, id, held):
    client.send_call("fail_task", id=id, lease=held["lease"], error={"message": "no"})
    client.send_call("retry_task", id=id)
    client.send_call("claim_task", **CLAIM)


def test_a_retry_in_the_pass_of_the_failure_before_it(make_daemon):
    """The failing attempt has no processes to wait for."""
    daemon = make_daemon(worker_profile(retry={"maxAttempts": 1}))
    with daemon.client() as client:
        id = client.assign("w")["id"]
        held = client.claim_task(**CLAIM)
        with stopped(daemon):
            fail_retry_and_claim(client, id, held)
        failed, retried, claimed = (client.reply() for _ in range(3))
        assert failed["result"]["status"] == "failed"
        assert retried["result"]["status"] == "queued", retried
        again = claimed["result"]
        assert (again["task"]["id"], again["task"]["attempt"]) == (id, 2)
        assert client.complete_task(id=id, lease=again["lease"])["status"] == "completed"
        assert client.state("w")["currentTasks"] == 0


def test_a_retry_and_its_claim_fall_with_their_pass(make_daemon):
    """Two attempts of one task in a failed pass: the old one still holds its lease."""
    daemon = make_daemon(worker_profile(retry={"maxAttempts": 1}))
    with daemon.client() as client:
        id = client.assign("w")["id"]
        held = client.claim_task(**CLAIM)
        with database_away(daemon):
            with stopped(daemon):
                fail_retry_and_claim(client, id, held)
            assert [client.reply()["error"]["code"] for _ in range(3)] == [-32004] * 3
        wait_until(lambda: storage(client) == "ok")
        assert client.extend_lease(id=id, lease=held["lease"])["success"]
        assert client.state("w")["currentTasks"] == 1
        assert client.complete_task(id=id, lease=held["lease"])["attempt"] == 1


def test_dependants_that_were_told_in_a_pass_that_failed_are_told_again(make_daemon):
    """There are too many for one pass."""
    count = 5000
    daemon = make_daemon(worker_profile(queueLimit=2 * count))
    with daemon.client() as client:
        first = client.assign("w")["id"]
        for _ in range(count):
            client.send_call("assign_task_to_profile", profileName="w", task={"title": "t", "dependsOn": [first]})
        for _ in range(count):
            client.reply()
        client.cancel_task(id=first)
        with database_away(daemon):
            wait_until(lambda: storage(client) == "failing" or not client.state("w")["queueSize"])
        wait_until(lambda: not client.state("w")["queueSize"], "all of them are told")
