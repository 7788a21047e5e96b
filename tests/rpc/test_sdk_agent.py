# SPDX-License-Identifier: MIT
"""The ACP runner with the example agent of the protocol's SDK (tests/agents/package.json)."""

import pathlib

import pytest

from acpd import wait_until

AGENT = (pathlib.Path(__file__).parents[1]
         / "agents/node_modules/@agentclientprotocol/sdk/dist/examples/agent.js")


@pytest.fixture
def start(make_daemon):
    assert AGENT.exists(), "npm ci in tests/agents brings it; ./dev test does so"

    def start(**runner):
        daemon = make_daemon({"name": "p", "runner": {
            "type": "acp", "command": ["node", str(AGENT)], **runner}})
        client = daemon.client()
        return daemon, client, client.assign("p", "Change the configuration")["id"]

    return start


def answers(client, id):
    return [(entry["permission"]["optionId"], entry["permission"]["answeredBy"])
            for entry in client.get_task_log(id=id)["entries"]
            if entry["stream"] == "permission" and "answeredBy" in entry["permission"]]


def test_a_turn_with_permission_allowed(start):
    daemon, client, id = start(permissions="allow")
    task = client.finish(id)
    assert task["status"] == "completed", task["error"]
    assert "The changes have been applied" in task["result"]["text"]
    assert task["result"]["stopReason"] == "end_turn"
    assert answers(client, id) == [("allow", "the profile's rules")]
    updates = [entry["update"]["sessionUpdate"]
               for entry in client.get_task_log(id=id)["entries"] if entry["stream"] == "agent"]
    assert updates == ["agent_message_chunk", "tool_call", "tool_call_update",
                       "agent_message_chunk", "tool_call", "tool_call_update",
                       "agent_message_chunk"]


def test_a_turn_with_permission_rejected_still_ends(start):
    daemon, client, id = start(permissions={"edit": "reject"})
    task = client.finish(id)
    assert task["status"] == "completed", task["error"]
    assert "skip the configuration update" in task["result"]["text"]
    assert answers(client, id) == [("reject", "the profile's rules")]


def test_a_turn_with_permission_asked_and_answered(start):
    daemon, client, id = start()
    question, = wait_until(client.list_permissions)
    assert question["toolCall"]["kind"] == "edit"
    assert question["toolCall"]["title"] == "Modifying critical configuration file"
    client.answer_permission(id=question["id"], optionId="allow")
    task = client.finish(id)
    assert "The changes have been applied" in task["result"]["text"]
    assert answers(client, id)[0][0] == "allow"


def test_cancelled_in_mid_turn(start):
    daemon, client, id = start()
    wait_until(lambda: client.log(id))
    client.cancel_task(id=id)
    wait_until(lambda: not daemon.processes())
    assert client.task(id)["status"] == "cancelled"


def test_cancelled_while_a_question_is_open(start):
    """The agent says end_turn then; the cancel is remembered."""
    daemon, client, id = start()
    wait_until(client.list_permissions)
    client.cancel_task(id=id)
    wait_until(lambda: not daemon.processes())
    task = client.task(id)
    assert task["status"] == "cancelled" and task["result"] is None
    assert client.list_permissions() == []
    assert answers(client, id) == [(None, "the cancelled turn")]
