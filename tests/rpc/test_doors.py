# SPDX-License-Identifier: MIT
"""Permissions of callers, and the audit log."""

import contextlib
import grp
import json
import os
import pwd
import resource
import stat

import pytest

from acpd import TOKEN, Client, RpcError, open_files, profile, shell, token_file, wait_until
from test_agents import agent
from test_workers import claim, held, worker_profile

NOBODY = pwd.getpwnam("nobody")
GROUP = grp.getgrgid(NOBODY.pw_gid).gr_name

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can call as another user")


@contextlib.contextmanager
def another_user():
    """The kernel identifies the user when the connection is made."""
    os.setegid(NOBODY.pw_gid)
    os.seteuid(NOBODY.pw_uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)


def connect_as_another(daemon):
    os.chmod(daemon.folder, 0o755)
    os.chmod(daemon.folder.parent, 0o755)
    with another_user():
        return Client(daemon.socket)


def hangs_up(client):
    with contextlib.suppress(ConnectionError):
        client.send_call("get_health")
        return client.line() is None
    return True


def code_of(call, *arguments, **params):
    with pytest.raises(RpcError) as error:
        call(*arguments, **params)
    return error.value.code


@needs_root
def test_without_a_group_the_socket_is_its_owners_alone(make_daemon):
    daemon = make_daemon(profile())
    assert stat.S_IMODE(os.stat(daemon.socket).st_mode) == 0o600
    with pytest.raises(PermissionError):
        connect_as_another(daemon)
    os.chmod(daemon.socket, 0o666)  # clients that pass the file's mode are rejected by uid
    with connect_as_another(daemon) as stranger:
        assert hangs_up(stranger)


@needs_root
def test_a_group_may_operate_unless_roles_say_otherwise(make_daemon):
    daemon = make_daemon(profile(), socketGroup=GROUP)
    status = os.stat(daemon.socket)
    assert (stat.S_IMODE(status.st_mode), status.st_gid) == (0o660, NOBODY.pw_gid)
    with connect_as_another(daemon) as member:
        assert member.finish(member.assign("p")["id"])["status"] == "completed"


@needs_root
@pytest.mark.parametrize("name", ["nobody", str(NOBODY.pw_uid), "*"])
def test_a_reader_may_read_and_nothing_else(make_daemon, name):
    daemon = make_daemon(profile(), worker_profile(), socketGroup=GROUP, roles={name: "read"})
    with connect_as_another(daemon) as reader, daemon.client() as owner:
        id = owner.finish(owner.assign("p")["id"])["id"]
        methods = reader.call("rpc.discover")["methods"]
        roles = {method["name"]: method["x-role"] for method in methods}
        assert reader.task(id)["id"] == id and reader.get_health()["status"] == "healthy"
        assert reader.subscribe()["seq"] >= 0
        assert reader.get_best_profile_for_task(task={"title": "t"})["bestProfile"]
        # All methods that are not for readers, regardless of parameters.
        writing = [name for name, role in roles.items() if role == "operate"]
        assert {"assign_task_to_profile", "submit_task", "update_task", "cancel_task", "retry_task",
                "update_profile_status", "reload_config", "answer_permission", "claim_task",
                "extend_lease", "complete_task", "fail_task"} <= set(writing)
        for method in writing:
            assert code_of(reader.call, method) == -32005
        with pytest.raises(RpcError, match='needs the role "operate"; user [0-9]+ has "read"'):
            reader.assign("p")
        assert len(owner.list_tasks()["tasks"]) == 1


@needs_root
def test_with_roles_who_has_none_is_refused(make_daemon):
    daemon = make_daemon(profile(), socketGroup=GROUP, roles={"root": "read"})
    with connect_as_another(daemon) as stranger:
        assert hangs_up(stranger)
    with daemon.client() as owner:
        owner.assign("p")  # root is always an operator


@needs_root
def test_roles_that_are_read_again_hold_for_those_who_are_there(make_daemon):
    daemon = make_daemon(profile(), socketGroup=GROUP, roles={"nobody": "operate"})
    with connect_as_another(daemon) as member, daemon.client() as owner:
        member.assign("p")
        daemon.configure(profile(), socketGroup=GROUP, roles={"nobody": "none"})
        owner.reload_config()
        assert code_of(member.assign, "p") == -32005
        assert code_of(member.get_health) == -32005


@needs_root
def test_a_role_that_is_taken_away_reaches_those_who_wait_and_follow(make_daemon):
    daemon = make_daemon(worker_profile(), socketGroup=GROUP, roles={"nobody": "operate"})
    with (connect_as_another(daemon) as waiter, connect_as_another(daemon) as follower,
          daemon.client() as owner):
        waiter.send_call("claim_task", profiles=["w"], worker="x", wait=60)
        waiter.get_health()  # it has been heard
        follower.subscribe()
        daemon.configure(worker_profile(), socketGroup=GROUP, roles={"nobody": "read"})
        owner.reload_config()
        owner.assign("w")
        assert waiter.reply()["error"]["code"] == -32005
        while follower.reply()["params"]["type"] != "task":  # readers may subscribe
            pass
        daemon.configure(worker_profile(), socketGroup=GROUP, roles={"nobody": "none"})
        owner.reload_config()
        while follower.line() is not None:
            pass


@pytest.mark.parametrize("roles, words", [
    ({"nobody-of-this-name": "read"}, 'unknown user "nobody-of-this-name"'),
    ({"nobody": "admin"}, '"read", "operate" or "none"'),
    ({"12x": "read"}, "not a valid user number"),
    ({"4294967295": "read"}, "not a valid user number"),
    ("read", "an object"),
    ({}, "at least one user"),
])
def test_senseless_roles_are_refused(make_daemon, roles, words):
    daemon = make_daemon(profile(), roles=roles, start=False).spawn()
    assert daemon.process.wait(60) == 78
    assert "roles: " in daemon.log.read_text() and words in daemon.log.read_text()


def test_no_call_can_name_a_program(daemon, client):
    """Commands come only from the configuration."""
    def names(value):
        if isinstance(value, dict):
            for name, member in value.items():
                yield name if name != "name" else member
                yield from names(member)
        elif isinstance(value, list):
            for member in value:
                yield from names(member)

    methods = client.call("rpc.discover")["methods"]
    assert not {"command", "argv", "program", "runner", "env", "cwd", "shell", "mcpServers"} & {
        name for method in methods for name in names(method["params"]) if isinstance(name, str)}
    for method in ("assign_task_to_profile", "submit_task"):
        params = {"task": {"title": "t", "command": ["sh"]}}
        assert code_of(client.call, method, **params,
                       **({"name": "p"} if method != "submit_task" else {})) == -32602


def test_secrets_of_the_configuration_are_told_to_nobody(make_daemon):
    secret = "hunter2-hunter2"
    runner = {"env": {"API_KEY": secret}}
    daemon = make_daemon(
        shell("true", runner=runner),
        {"name": "a", "runner": {"type": "acp", "command": ["false"], **runner, "mcpServers": [
            {"name": "m", "command": "m", "env": {"TOKEN": secret}}]}})
    with daemon.client() as client:
        client.finish(client.assign("p")["id"])
        client.assign("a", maxAttempts=1)
        told = [json.dumps(client.call(method["name"]))
                for method in client.call("rpc.discover")["methods"]
                if method["x-role"] == "read" and not any(p["required"] for p in method["params"])
                and method["name"] != "subscribe"]
        client.reload_config()
    assert len(told) > 8 and not [text for text in told if secret in text]
    assert secret not in daemon.log.read_text()
    assert secret not in (daemon.state / "audit.log").read_text()


# The audit log.


def audited(daemon):
    return [json.loads(line) for line in (daemon.state / "audit.log").read_text().splitlines()]


def test_every_write_is_written_down(make_daemon):
    daemon = make_daemon(profile(), worker_profile())
    with daemon.client() as client:
        client.update_profile_status(name="p", isActive=False)
        id = client.assign("p", "the title", description="of no use here", input={"x": 1},
                           priority="high")["id"]
        client.update_task(id=id, priority="low")
        client.cancel_task(id=id)
        client.retry_task(id=id)
        client.submit_task(task={"title": "t", "type": "w"})
        mine = claim(client)
        client.complete_task(**held(mine), result={"big": "x" * 1000})
        client.reload_config()
        lines = audited(daemon)
    assert [line["method"] for line in lines] == [
        "update_profile_status", "assign_task_to_profile", "update_task", "cancel_task",
        "retry_task", "submit_task", "claim_task", "complete_task", "reload_config"]
    assert {(line["uid"], line["pid"]) for line in lines} == {(os.geteuid(), os.getpid())}
    assert [line.get("task") for line in lines] == [None, id, id, id, id, id + 1, id + 1, id + 1, None]
    assert lines[1]["params"] == {"profileName": "p",
                                  "task": {"title": "the title", "priority": "high"}}
    assert all(line["at"].endswith("Z") for line in lines)
    assert mine["lease"] not in json.dumps(lines), "a lease's token is a secret"


def test_an_answer_to_an_agent_is_written_down(make_daemon):
    daemon = make_daemon(agent("ask(); read(); end()"))
    with daemon.client() as client:
        id = client.assign("p")["id"]
        question, = wait_until(client.list_permissions)
        client.answer_permission(id=question["id"], optionId="yes")
        line = audited(daemon)[-1]
        assert (line["method"], line["params"]) == ("answer_permission", {"id": question["id"], "optionId": "yes"})
        client.finish(id)


def test_what_others_were_given_meanwhile_is_not_written_down_as_ones_own(make_daemon):
    """A claim that finds nothing writes nothing, even if another, waiting one is served before it."""
    daemon = make_daemon(worker_profile())
    with daemon.client() as client, daemon.client() as waiter:
        waiter.send_call("claim_task", profiles=["w"], worker="x", wait=60)
        waiter.get_health()  # it has been heard
        calls = [{"jsonrpc": "2.0", "id": 1, "method": "assign_task_to_profile",
                  "params": {"name": "w", "task": {"title": "t"}}},
                 {"jsonrpc": "2.0", "id": 2, "method": "claim_task",
                  "params": {"profiles": ["w"], "worker": "y"}}]
        client.send(json.dumps(calls) + "\n")
        replies = client.reply(), waiter.reply()
        assert [replies[0][1]["result"], replies[1]["result"]["task"]["id"]] == [{"task": None}, 1]
        assert [(line["method"], line.get("params", {}).get("worker")) for line in audited(daemon)] == [
            ("assign_task_to_profile", None), ("claim_task", "x")]


def test_reads_and_refusals_are_not(make_daemon):
    daemon = make_daemon(profile("p", queueLimit=1))
    with daemon.client() as client:
        client.update_profile_status(name="p", isActive=False)
        client.assign("p", key="k")
        client.assign("p", key="k")  # adds nothing
        for _ in range(2):
            assert code_of(client.assign, "p") == -32003
        assert code_of(client.cancel_task, id=99) == -32001
        client.list_tasks()
        client.get_health()
        assert [line["method"] for line in audited(daemon)] == [
            "update_profile_status", "assign_task_to_profile"]


def test_an_acknowledged_write_is_in_the_log_when_acpd_is_killed(make_daemon):
    daemon = make_daemon(profile("p", queueLimit=10**6))
    with daemon.client() as client:
        client.update_profile_status(name="p", isActive=False)
        for i in range(1000):
            client.send_call("assign_task_to_profile", name="p", task={"title": str(i)})
        ids = [client.reply()["result"]["task"]["id"] for _ in range(500)]
        daemon.kill()
    assert set(ids) <= {line.get("task") for line in audited(daemon)}
    with open(daemon.state / "audit.log", "a") as log:
        log.write('{"at":"2026-')  # as a power failure may leave it
    daemon.start()
    with daemon.client() as client:
        client.assign("p")
    *_, cut, last = (daemon.state / "audit.log").read_text().splitlines()
    assert cut == '{"at":"2026-' and json.loads(last)["method"] == "assign_task_to_profile"


def test_the_gateway_says_for_whom_it_calls_and_nobody_else(make_daemon, make_gateway, folder):
    daemon = make_daemon(worker_profile())
    gateway = make_gateway(daemon, "--token-file", token_file(folder, f"{TOKEN} ci\n"))
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    with daemon.client() as client:
        assert gateway.post("/api/profiles/w/assign-task", {"task": {"title": "t"}}, headers=bearer).status == 201
        assert audited(daemon)[-1]["actor"] == "ci"
        for claimed in ("ci", 5, "a b"):
            client.send(json.dumps({"jsonrpc": "2.0", "id": 1, "method": "assign_task_to_profile",
                                    "actor": claimed, "params": {"name": "w", "task": {"title": "t"}}}) + "\n")
            assert client.reply()["result"]["success"] is True
            assert "actor" not in audited(daemon)[-1]


def test_the_log_is_bounded(make_daemon):
    daemon = make_daemon(profile("p", queueLimit=10**6), auditLimit=65536)
    with daemon.client() as client:
        client.update_profile_status(name="p", isActive=False)
        before = open_files(daemon.process.pid)
        for i in range(1500):
            client.send_call("assign_task_to_profile", name="p", task={"title": "x" * 100})
        for _ in range(1500):
            client.reply()
        wait_until(lambda: open_files(daemon.process.pid) <= before, "the older logs are closed")
    sizes = {path.name: path.stat().st_size for path in daemon.state.glob("audit.log*")}
    assert set(sizes) == {"audit.log", "audit.log.1"}
    assert 65536 <= sizes["audit.log.1"] < 400000


@needs_root
def test_a_log_that_cannot_be_written_stops_nobody_and_is_told(make_daemon):
    daemon = make_daemon(profile(), start=False)
    (daemon.state / "audit.log").mkdir(parents=True)
    daemon.start()
    with daemon.client() as client:
        id = client.assign("p")["id"]
        health = client.get_health()
        assert health["status"] == "unhealthy"
        assert any("audit log" in reason for reason in health["reasons"])
        (daemon.state / "audit.log").rmdir()
        other = client.assign("p")["id"]
        wait_until(lambda: client.get_health()["status"] == "healthy")
        assert [line["task"] for line in audited(daemon)] == [id, other], "it waited in memory"
