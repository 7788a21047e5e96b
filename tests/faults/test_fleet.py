# SPDX-License-Identifier: MIT
"""Several acpd that share one PostgreSQL: one queue, limits for all together, nothing lost and nothing twice, whoever
is killed, stopped or cut off."""

import time

import acpd
import pytest
from acpd import RpcError, is_alive, shell, wait_until
from database import assert_counters_are_right
from fleet import ASKING, WORKER, nodes, record, recorder
from pages import block
from server import Proxy

pytestmark = pytest.mark.usefixtures("use_server")


def peak(lines):
    running, most = set(), 0
    for what, id, attempt, *_ in lines:
        (running.add if what == "begin" else running.discard)((id, attempt))
        most = max(most, len(running))
    return most


def test_a_limit_is_for_all_nodes_together_and_another_for_each(make_fleet, folder):
    a, b, c = make_fleet("abc", recorder(folder, maxConcurrentTasks=5, maxConcurrentTasksPerNode=2))
    with a.client() as client:
        ids = [client.assign("p")["id"] for _ in range(60)]
        tasks = [client.finish(id) for id in ids]
    assert {task["status"] for task in tasks} == {"completed"}
    assert {task["attempt"] for task in tasks} == {1}
    assert {task["node"] for task in tasks} == {"a", "b", "c"}, "all of them work"
    lines = record(folder)
    assert len(lines) == 120
    assert 2 < peak(lines) <= 5
    for place in {line[4] for line in lines}:
        assert peak(line for line in lines if line[4] == place) <= 2
    for daemon in (a, b, c):
        daemon.stop()
    assert_counters_are_right(a)


def test_a_cancel_reaches_another_node(make_fleet, folder):
    a, b = make_fleet("ab", recorder(folder, 1000, nodes=["a"]))
    with b.client() as client:
        id = client.assign("p")["id"]
        assert client.wait_status(id, "running")["node"] == "a"
        wait_until(lambda: record(folder), "it runs")
        assert client.cancel_task(id=id)["status"] == "cancelled"
        wait_until(lambda: not is_alive(record(folder)[0][3]), "it is stopped")
        wait_until(lambda: retry(client, id), "it can start over")
        assert client.wait_status(id, "running")["attempt"] == 2
        client.cancel_task(id=id)


def retry(client, id):
    try:
        return client.retry_task(id=id)
    except RpcError as error:
        assert "still being stopped" in error.message, error
        return None


def test_a_task_for_one_node_waits_for_it(make_fleet, folder):
    a, b = make_fleet("ab", recorder(folder, 0), {"name": "w", "runner": {"type": "worker"}})
    with a.client() as client:
        for_b = [client.assign("p", node="b")["id"] for _ in range(20)]
        assert {client.finish(id)["node"] for id in for_b} == {"b"}
        assert {place for *_, place in record(folder)} == {b.folder.name}
        b.stop()
        wait_until(lambda: list(nodes(a)) == ["a"], "b has left")
        waiting = client.assign("p", node="b")
        assert waiting["pending"]["reason"] == "node" and waiting["pending"]["eta"] is None
        claimed = client.assign("w", node="b")["id"]
        assert client.finish(client.assign("p")["id"])["node"] == "a", "others overtake it"
        assert client.claim_task(profiles=["w"], worker="x", wait=0)["task"] is None
        b.start()
        task = client.finish(waiting["id"])
        assert task["node"] == "b" and task["attempt"] == 1
    with b.client() as client:
        assert client.claim_task(profiles=["w"], worker="x")["task"]["id"] == claimed
        client.cancel_task(id=claimed)


def test_a_task_for_one_node_does_not_starve(make_fleet, folder):
    """The other node has a backlog, and claims each slot that it frees."""
    a, b = make_fleet("ab", recorder(folder, 0.05, maxConcurrentTasks=1))
    with a.client() as client:
        for _ in range(1000):
            client.assign("p", node="a", priority="low")
        wait_until(lambda: record(folder), "a works")
        task = client.finish(client.assign("p", node="b", priority="high")["id"])
        assert task["node"] == "b" and task["status"] == "completed"
        assert client.state("p")["queueSize"] > 0, "it did not wait until a had nothing to do"
        b.kill()  # a task for a node that is away holds nothing up
        client.assign("p", node="b", priority="high")
        done = client.state("p")["completedTasks"]
        wait_until(lambda: client.state("p")["completedTasks"] > done + 20, "a goes on")


def test_a_task_is_not_started_over_while_another_node_stops_it(make_fleet, folder):
    stubborn = shell(f"trap '' TERM; touch {folder}/started; while :; do sleep 0.05; done", nodes=["a"])
    a, b = make_fleet("ab", stubborn, killGrace=3600, lease=60)
    with b.client() as client:
        id = client.assign("p")["id"]
        wait_until((folder / "started").exists, "it runs")
        client.cancel_task(id=id)
        for _ in range(3):
            with pytest.raises(RpcError) as error:
                client.retry_task(id=id)
            assert "still being stopped" in error.value.message
        wait_until(lambda: [node["attempts"] for node in nodes(b).values()] == [1, 0])
        a.kill()
        a.start()
        wait_until(lambda: retry(client, id), "whoever runs there next lets go of it")


def test_events_and_pauses_and_profiles_are_everybodys(make_fleet, folder):
    a, b = make_fleet("ab", recorder(folder, 0, nodes=["a"]), WORKER)
    with a.client() as client, b.client() as other, b.client() as follower:
        follower.subscribe()
        id = client.assign("p")["id"]
        client.finish(id)
        heard = []
        while not heard or heard[-1] != "completed":
            event = follower.reply()["params"]
            if event["type"] == "task" and event["id"] == id:
                heard.append(event["status"])
        assert heard == ["queued", "running", "completed"]
        other.update_profile_status(name="p", isActive=False)
        wait_until(lambda: not client.state("p")["isActive"], "it is paused everywhere")
        id = client.assign("p")["id"]
        wait_until(lambda: other.state("p")["queueSize"] == 1, "it is counted everywhere")
        assert client.task(id)["status"] == "queued"
        client.update_profile_status(name="p", isActive=True)
        assert other.finish(id)["status"] == "completed"


def test_a_log_is_where_its_attempt_ran(make_fleet, folder):
    a, b = make_fleet("ab", shell("echo hello", nodes=["a"]))
    with a.client() as client, b.client() as other:
        id = client.assign("p")["id"]
        client.finish(id)
        assert any(entry["text"] == "hello" for entry in client.get_task_log(id=id)["entries"])
        with pytest.raises(RpcError) as error:
            other.get_task_log(id=id)
        assert error.value.message == (f"the log of task {id}, attempt 1, is on node \"a\", which is running; ask it "
                                       "there (it has no node.url)")
        a.stop()
        wait_until(lambda: len(nodes(b)) == 1, "it has left")
        with pytest.raises(RpcError) as error:
            other.get_task_log(id=id)
        assert error.value.message.endswith('is on node "a", which is not running')


def test_a_retired_node_ends_what_it_runs_and_leaves(make_fleet, folder):
    a, b = make_fleet("ab", shell(f"while [ ! -e {folder}/go ]; do sleep 0.02; done", maxConcurrentTasks=2,
                                  maxConcurrentTasksPerNode=1), recorder(folder, 0, name="q"))
    with b.client() as client:
        ids = [client.assign("p")["id"] for _ in range(2)]
        for id in ids:
            client.wait_status(id, "running")
        with pytest.raises(RpcError) as error:
            client.retire_node(name="c")
        assert error.value.message == 'node "c" not found'
        client.retire_node(name="a")
        assert '"retire_node","params":{"name":"a"}' in (b.state / "audit.log").read_text()
        wait_until(lambda: nodes(a)["a"]["state"] == "retiring", "it knows")
        assert client.finish(client.assign("q")["id"])["node"] == "b"
        assert a.process.poll() is None
        (folder / "go").touch()
        assert {client.finish(id)["status"] for id in ids} == {"completed"}
        assert a.process.wait(acpd.DEADLINE) == 0
        wait_until(lambda: list(nodes(b)) == ["b"], "it has left")


def test_a_node_that_is_cut_off_kills_what_it_runs_before_others_start_it(make_fleet, folder, server):
    (folder / "proxy").mkdir()
    proxy = Proxy(server, folder / "proxy")
    a, b = make_fleet("ab", recorder(folder, 1000), start=False)
    for daemon in (a, b):
        config = acpd.json.loads(daemon.config.read_text())
        if daemon is a:
            config["store"]["url"] = config["store"]["url"].replace(server.folder, str(proxy.folder))
        daemon.configure(config)
    a.start()
    with a.client() as client:
        id = client.assign("p")["id"]
        assert client.wait_status(id, "running")["node"] == "a"
    wait_until(lambda: record(folder), "it runs")
    first = record(folder)[0][3]
    b.start()
    proxy.is_cut = True
    wait_until(lambda: len(record(folder)) == 2, "it runs elsewhere")
    assert not is_alive(first), "and nowhere else"
    proxy.is_cut = False
    assert a.process.wait(acpd.DEADLINE) != 0
    assert "no longer a node of the fleet" in a.log.read_text()
    with b.client() as client:
        assert client.task(id)["node"] == "b"
        client.cancel_task(id=id)
    proxy.close()


def test_metrics_are_sums_over_nodes(make_fleet, folder):
    a, b = make_fleet("ab", recorder(folder, 0, name="p", nodes=["a"]), WORKER)
    with a.client() as client, b.client() as other:
        ids = [(client if i % 2 else other).assign("p")["id"] for i in range(10)]
        for id in ids:
            client.finish(id)
        wait_until(lambda: [c.get_profile_metrics(name="p")["sampleSize"] for c in (client, other)] == [10, 10])
        a.kill()
        wait_until(lambda: list(nodes(b)) == ["b"], "it is found dead")
        wait_until(lambda: other.get_profile_metrics(name="p")["sampleSize"] == 10, "nothing is lost with it")


def test_a_name_is_one_nodes(make_fleet, make_daemon):
    a, = make_fleet("a", WORKER)
    again = make_daemon(WORKER, start=False)
    again.configure(acpd.json.loads(a.config.read_text()))
    again.spawn()
    assert again.process.wait(60) != 0
    assert 'another acpd that is running has the name "a"' in again.log.read_text()
    a.kill()
    again.start()
    assert list(nodes(again)) == ["a"]
    assert again.stop() == 0


def test_the_configuration_of_the_documentation_is_good(make_daemon):
    config = acpd.json.loads(block("docs/fleet.md", "{"))
    daemon = make_daemon(start=False)
    config["store"]["url"] = daemon.store["url"]
    daemon.configure(config)
    daemon.start()
    assert list(nodes(daemon)) == [config["node"]["name"]]


def test_the_queries_of_the_documentation_work(make_fleet, server):
    a, _ = make_fleet("ab", WORKER)
    for query in block("docs/fleet.md", "SELECT name, pass").splitlines():
        said = server.ask(query, a.database_name)
        assert "FROM node" not in query or said.splitlines()[0].startswith("a|")


def test_an_agent_is_answered_from_another_node(make_fleet, server):
    a, b = make_fleet("ab", ASKING, shell("true", "q", nodes=["b"]))
    with a.client() as client, b.client() as other, b.client() as follower:
        follower.subscribe()
        id = client.assign("p")["id"]
        question, = wait_until(other.list_permissions, "it is told")
        assert question["taskId"] == id and question == client.list_permissions()[0]
        with pytest.raises(RpcError) as error:
            other.answer_permission(id=question["id"], optionId="none")
        assert error.value.code == -32602
        option = question["options"][0]["optionId"]
        other.answer_permission(id=question["id"], optionId=option)
        assert client.finish(id)["status"] == "completed"
        wait_until(lambda: not other.list_permissions(), "it is closed")
        opened = []
        while len(opened) < 2:
            event = follower.reply()["params"]
            if event["type"] == "permission":
                opened.append((event["id"], event["isOpen"]))
        assert opened == [(question["id"], True), (question["id"], False)]
        with pytest.raises(RpcError) as error:
            client.answer_permission(id=question["id"], optionId=option)
        assert error.value.code == -32001, "it is closed"
        client.finish(client.assign("q")["id"])  # both nodes write
        told = server.ask("SELECT count(*) FROM news WHERE body LIKE '%?%'", a.database_name)
        assert told == "2", "what was heard is not told again"


def test_the_first_answer_counts_wherever_it_is_given(make_fleet):
    """The node of the agent hears of another node's answer later, and must not take a second one."""
    a, b = make_fleet("ab", ASKING)
    with a.client() as client, b.client() as other:
        ids = [client.assign("p")["id"] for _ in range(10)]
        questions = wait_until(lambda: len(found := other.list_permissions()) == 10 and found, "all of them ask")
        for question in questions:
            options = [option["optionId"] for option in question["options"]]
            other.answer_permission(id=question["id"], optionId=options[0])
            with pytest.raises(RpcError) as error:
                client.answer_permission(id=question["id"], optionId=options[-1])
            assert error.value.code in (-32001, -32002), "it is answered, or closed"
        assert {client.finish(id)["status"] for id in ids} == {"completed"}


def test_one_of_two_answers_at_once_counts(make_fleet):
    a, b, c = make_fleet("abc", ASKING)
    with a.client() as client, b.client() as one, c.client() as two:
        ids = [client.assign("p")["id"] for _ in range(10)]
        questions = wait_until(lambda: len(found := one.list_permissions()) == 10 and found, "all of them ask")
        wait_until(lambda: len(two.list_permissions()) == 10, "everybody knows")
        for question in questions:
            for node in one, two:
                node.send_call("answer_permission", id=question["id"], optionId=question["options"][0]["optionId"])
        replies = list(zip([one.reply() for _ in questions], [two.reply() for _ in questions]))
        assert all(("result" in first) != ("result" in second) for first, second in replies), replies
        assert {reply["error"]["code"] for pair in replies for reply in pair if "error" in reply} <= {-32001, -32002}
        assert {client.finish(id)["status"] for id in ids} == {"completed"}


def test_nothing_is_counted_below_zero(make_fleet, folder):
    """What was started elsewhere a moment ago, and is cancelled here."""
    a, b = make_fleet("ab", recorder(folder, 1000, maxConcurrentTasks=5, nodes=["b"]))
    with a.client() as client, b.client() as other:
        for _ in range(5):
            ids = [other.assign("p")["id"] for _ in range(3)]
            for id in ids:
                other.wait_status(id, "running")
            for id in ids:
                client.cancel_task(id=id)
            state = client.state("p")
            assert state["currentTasks"] >= 0 and state["queueSize"] >= 0, state


def test_the_last_node_is_not_retired(make_fleet):
    a, b = make_fleet("ab", WORKER)
    with a.client() as client:
        client.retire_node(name="b")
        wait_until(lambda: list(nodes(a)) == ["a"], "b has left")
        with pytest.raises(RpcError) as error:
            client.retire_node(name="a")
        assert error.value.code == -32002
        assert error.value.message == 'node "a" is the only one: no other node could take over its work'
    assert "interrupted; " not in a.log.read_text() + b.log.read_text(), "nothing ran"


def differences(daemon, name):
    return sorted(nodes(daemon)[name]["differs"])


def test_nodes_tell_in_what_their_configurations_differ(make_fleet):
    agent = {"name": "z", "runner": {"type": "acp", "command": ["/bin/agent"], "env": {"KEY": "a"},
                                     "options": {"a": "1", "b": "2"}}}
    profiles = [shell("true", timeout=60, capabilities=["x", "y"]), shell("true", "same", priority=5), agent]
    a, b, c = make_fleet("abc", *profiles)
    for daemon in (a, b, c):
        wait_until(lambda: all(not node["differs"] for node in nodes(daemon).values()), "nothing differs")

    changed = acpd.json.loads(b.config.read_text())
    changed["profiles"][0] |= {"timeout": 61, "capabilities": ["y", "x"], "limits": {"openFiles": 64}, "queueLimit": 5}
    changed["profiles"][0]["runner"]["command"] = ["/bin/sh", "-c", "false"]
    changed["profiles"][2]["runner"] |= {"env": {"KEY": "b"}, "options": {"b": "2", "a": "1"}}
    changed["profiles"].append(shell("true", "more"))
    b.configure(changed)
    with b.client() as client:
        client.reload_config()
    expected = ["more", "p.limits.openFiles", "p.queueLimit", "p.runner.command", "p.timeout"]
    wait_until(lambda: differences(a, "b") == expected and differences(b, "a") == expected, "both tell")
    assert differences(a, "a") == differences(a, "c") == differences(c, "a") == differences(b, "b") == []
    assert "is configured differently: more, p.timeout, p.runner.command, p.queueLimit, p.limits.openFiles" in a.log.read_text()

    b.configure({**changed, "profiles": profiles})
    with b.client() as client:
        client.reload_config()
    wait_until(lambda: differences(a, "b") == differences(b, "c") == [], "they are alike again")
    wait_until(lambda: 'node "b" is configured like this one again' in a.log.read_text(), "which the log says")


def test_of_many_differences_a_hundred_are_told(make_fleet):
    a, b = make_fleet("ab", WORKER)
    more = [{**WORKER, "name": f"w{i}"} for i in range(150)]
    b.configure({**acpd.json.loads(b.config.read_text()), "profiles": [WORKER, *more]})
    with b.client() as client:
        client.reload_config()
    wait_until(lambda: len(differences(a, "b")) == 100, "a hundred")
    assert "and more" in a.log.read_text()


def test_dependants_of_a_profile_that_another_node_has_just_added(make_fleet):
    a, b = make_fleet("ab", shell("true", nodes=["a"]), WORKER, lease=10)
    for number in range(4):
        config = acpd.json.loads(b.config.read_text())
        config["profiles"].append(shell("true", f"new{number}", nodes=["b"]))
        b.configure(config)
        with a.client() as client, b.client() as other:
            first = client.assign("w")["id"]
            lease = client.claim_task(profiles=["w"], worker="x")["lease"]
            other.reload_config()
            ids = [other.assign(profile, dependsOn=[first])["id"] for profile in (f"new{number}", "p")]
            client.complete_task(id=first, lease=lease)
            assert [other.finish(id)["status"] for id in ids] == ["completed"] * 2


def test_room_is_what_the_store_has_and_not_what_a_node_remembers(make_fleet):
    evicting = {"name": "e", "runner": {"type": "worker", "lease": 3600}, "queueLimit": 3, "overflow": "evict"}
    a, b = make_fleet("ab", evicting, lease=10)
    with a.client() as client, b.client() as other:
        for _ in range(3):
            ids = [client.assign("e")["id"] for _ in range(3)]
            late = other.assign("e", priority="high")  # it is full, and b may not know
            assert late["status"] == "queued" and client.task(ids[2])["status"] == "cancelled"
            wait_until(lambda: other.state("e")["queueSize"] == 3, "b knows")
            for id in ids[:2]:
                client.cancel_task(id=id)
            other.assign("e", priority="high")  # there is room, and b may not know
            assert client.task(late["id"])["status"] == "queued", "nobody is evicted"
            for id, task in client.all_tasks().items():
                if task["status"] == "queued":
                    client.cancel_task(id=id)
            wait_until(lambda: other.state("e")["queueSize"] == 0, "b knows")


def test_a_cancel_that_meets_the_end_is_no_failure_of_the_storage(make_fleet, folder):
    a, = make_fleet("a", shell(f"while [ ! -e {folder}/go-$ACPD_TASK_ID ]; do sleep 0.01; done"), WORKER)
    with a.client() as client, a.client() as bystander:
        for _ in range(10):
            id = client.assign("p")["id"]
            client.wait_status(id, "running")
            (folder / f"go-{id}").touch()
            with acpd.stopped(a):
                time.sleep(0.05)  # so that the end and the cancel are of one pass, mostly
                client.send_call("cancel_task", id=id)
                bystander.send_call("assign_task_to_profile", profileName="w", task={"title": "t"})
            assert "error" not in bystander.reply()
            client.reply()
    assert "storage fails" not in a.log.read_text()


def test_an_outage_that_is_longer_than_the_lease(make_fleet, folder, server):
    a, b = make_fleet("ab", recorder(folder, 1000, nodes=["a"]), recorder(folder, 0, name="q"))
    with a.client() as client:
        id = client.assign("p")["id"]
        client.wait_status(id, "running")
    wait_until(lambda: record(folder), "it runs")
    with server.stopped():
        wait_until(lambda: not is_alive(record(folder)[0][3]), "it is killed")

    def who_lives():
        return [daemon for daemon in (a, b) if daemon.process.poll() is None]

    # The first one that is back may take the other one for dead, which then stops.
    wait_until(lambda: all(nodes(daemon).keys() == {"ab"[(a, b).index(each)] for each in who_lives()}
                           for daemon in who_lives()), "they agree")
    if a not in who_lives():
        a.start()

    def runs_again():
        try:
            task = client.task(id)
        except RpcError as error:
            assert error.code == -32004, "it may be reconnecting"
            return False
        return task["attempt"] > 1 and task["status"] == "running"

    with a.client() as client:
        wait_until(runs_again, "it runs again")
        assert client.finish(client.assign("q")["id"])["status"] == "completed"
        client.cancel_task(id=id)
