# SPDX-License-Identifier: MIT
"""The demo agent behaves as the title of its task tells it to; docs/agents.md has the words."""

import pytest

from acpd import wait_until

READS = ["plan: Read the task (in_progress); Answer it (pending)", "Read the task (read, in_progress)"]
HAS_READ = ["Read the task (read, completed)", "plan: Read the task (completed); Answer it (completed)",
            "context: 1200 of 200000 tokens, cost so far 0.0012 USD"]


def answer(prompt):
    return f"This is the demo agent that ships with acpd. The prompt was:\n\n# {prompt}\n"


@pytest.fixture
def client(make_daemon):
    with make_daemon(config=None).client() as client:
        yield client


def assign(client, title):
    return client.assign("development", title=title)["id"]


def first_error(client, id):
    return wait_until(lambda: client.task(id)["error"])


def test_the_demo_agent_shows_what_it_does_and_answers(client):
    id = assign(client, "demo:think, and say it")
    result = client.finish(id)["result"]
    thoughts = [f"Thinking, step {step} of 12. " for step in range(2, 13)]
    assert client.log(id) == READS + thoughts + HAS_READ + [answer("demo:think, and say it")]
    assert result["text"] == answer("demo:think, and say it") and result["stopReason"] == "end_turn"
    assert result["usage"]["totalTokens"] == result["usage"]["inputTokens"] + result["usage"]["outputTokens"]
    assert result["cost"] == {"amount": 0.0012, "currency": "USD"}


@pytest.mark.parametrize("word, error_class, message", [
    ("fail", "exit", "the demo agent failed as requested"),
    ("limit", "rate_limit", "rate limit exceeded, as requested from the demo agent"),
    ("refuse", "refusal", "the agent refused to continue"),
    ("die", "exit", "the agent exited with status 0 during its turn"),
])
def test_the_demo_agent_fails_as_it_is_told(client, word, error_class, message):
    id = assign(client, f"demo:{word}")
    error = first_error(client, id)
    assert error["class"] == error_class and message in error["message"]
    assert client.log(id, attempt=1) == READS


@pytest.mark.parametrize("option, words", [("yes", "I may edit the file. "), ("no", "I may not edit the file. ")])
def test_the_demo_agent_asks_and_says_what_it_was_answered(client, option, words):
    id = assign(client, "demo:ask")
    question, = wait_until(client.list_permissions)
    assert question["toolCall"]["title"] == "Edit demo.txt"
    assert [o["optionId"] for o in question["options"]] == ["yes", "no"]
    client.answer_permission(id=question["id"], optionId=option)
    assert client.finish(id)["result"]["text"] == words + answer("demo:ask")


def test_the_demo_agent_says_nothing_more_until_it_is_cancelled(client):
    id = assign(client, "demo:stall")
    wait_until(lambda: len(client.log(id)) == len(READS))
    client.cancel_task(id=id)
    assert client.finish(id)["error"]["message"] == "cancelled on request"


def test_the_demo_agent_sends_much(client):
    id = assign(client, "demo:flood")
    assert client.finish(id)["result"]["text"].endswith("flood " + answer("demo:flood"))
    said = [entry["text"] for entry in client.entries(id)]
    assert "".join(said).count("flood ") == 10000
