# SPDX-License-Identifier: MIT
"""Recorded sessions of real agents, replayed by tests/agents/replay.py: the class, message and result of each
attempt."""

import pathlib
import sys

import pytest

from acpd import wait_until

AGENTS = pathlib.Path(__file__).parents[1] / "agents"
REPLAYS = AGENTS / "replays"


@pytest.fixture
def replay(make_daemon):
    """Runs a task with a replaying agent; returns the task after its attempt."""

    def replay(name, **runner):
        command = [sys.executable, str(AGENTS / "replay.py"), str(REPLAYS / f"{name}.json")]
        daemon = make_daemon({
            "name": "p", "retry": {"maxAttempts": 1}, "cooldown": {"min": 3600, "max": 3600},
            "runner": {"type": "acp", "permissions": "allow", "command": command, **runner}},
            killGrace=0.1)
        with daemon.client() as client:
            id = client.assign("p")["id"]

            def ended():
                task = client.task(id)
                return task if task["status"] == "completed" or task["error"] else None

            return wait_until(ended, "the end of the attempt")

    return replay


# The class and the message.
FAILURES = {
    "claude-limit": ("rate_limit", "429"),
    "codex-limit": ("rate_limit", "429 Too Many Requests"),
    "copilot-limit": ("rate_limit", "429 Rate limit reached"),
    "gemini-limit": ("rate_limit", "Resource has been exhausted"),
    "opencode-limit": ("rate_limit", "Rate limit reached"),
    "claude-login": ("auth", "Authentication required"),
    "cline-login": ("auth", "Incorrect API key provided"),
    "codex-login": ("auth", "Authentication required"),
    "copilot-login": ("auth", "Authentication failed", "HTTP 401", "COPILOT_PROVIDER_API_KEY"),
    "gemini-login": ("auth", "invalid authentication credentials"),
    "opencode-login": ("auth", "Incorrect API key provided"),
    "qwen-login": ("auth", "Internal error: 401 Incorrect API key provided: scripted."),
}


@pytest.mark.parametrize("name", FAILURES)
def test_a_failure_has_the_class_and_the_reason_that_the_agent_gives(replay, name):
    word, *parts = FAILURES[name]
    error = replay(name)["error"]
    assert error and error["class"] == word, error
    for part in parts:
        assert part in error["message"]


# The names and descriptions of the login methods.
STRANGERS = {
    "auggie-stranger": ("Please run `auggie login` from your terminal",),
    "cline-stranger": ("Sign in with Cline", "Sign in with ChatGPT Subscription"),
    "codex-stranger": ("Use an API key to authenticate", "Use ChatGPT to authenticate"),
    "copilot-stranger": ("Log in with Copilot CLI", "Run `copilot login` in the terminal"),
    "gemini-stranger": ("Log in with Google", "Use an API key with Gemini Developer API"),
    "pi-stranger": ("Launch pi in the terminal", "Start pi in an interactive terminal"),
    "qwen-stranger": ("Use OpenAI API key", "setting the `OPENAI_API_KEY` environment variable"),
}


@pytest.mark.parametrize("name", STRANGERS)
def test_who_is_not_logged_in_is_told_how_to(replay, name):
    error = replay(name)["error"]
    assert error["class"] == "auth", error
    for part in STRANGERS[name]:
        assert part in error["message"]


# The end of the rejected question's title.
REFUSALS = {"codex-rejected": "echo hello > out.txt", "opencode-rejected": "/out.txt",
            "qwen-rejected": "Writing to out.txt"}


@pytest.mark.parametrize("name", REFUSALS)
def test_a_turn_that_ends_with_a_rejected_permission_is_a_refusal(replay, name):
    error = replay(name, permissions="reject")["error"]
    assert error and error["class"] == "refusal", error
    before, title = error["message"].split(": ")
    assert before == "the agent stopped after a permission was rejected"
    assert title.endswith(REFUSALS[name])


GOES_ON = {"claude-rejected": "DONE", "gemini-rejected": "DONE",
           "copilot-rejected": "Info: Operation cancelled by user"}


@pytest.mark.parametrize("name", GOES_ON)
def test_a_rejected_permission_and_a_text_completes_and_is_counted(replay, name):
    task = replay(name, permissions="reject")
    assert task["status"] == "completed", task["error"]
    assert task["result"]["text"] == GOES_ON[name]
    assert task["result"]["permissions"] == {"allowed": 0, "rejected": 1, "lapsed": 0}


# The whole text of the result: text after the answer to the prompt is part of it; text before the prompt, or
# in another message, is not.
TEXTS = {"codex-prompt": "PONG 1", "codex-hiccup": "PONG 1", "gemini-prompt": "PONG 1",
         "late-chunks": "abc DEF"}


@pytest.mark.parametrize("name", TEXTS)
def test_the_result_is_the_last_message_to_its_end(replay, name):
    task = replay(name, **({"mode": "autoEdit"} if name == "gemini-prompt" else {}))
    assert task["status"] == "completed", task["error"]
    assert task["result"]["text"] == TEXTS[name]


SILENT = ["claude-silence", "codex-silence", "copilot-silence", "gemini-silence",
          "opencode-silence"]


@pytest.mark.parametrize("name", SILENT)
def test_a_tool_call_may_be_silent_for_longer_than_the_stall_timeout(replay, name):
    task = replay(name, stallTimeout=1)
    assert task["status"] == "completed", task["error"]
    assert task["result"]["text"] == "DONE"


def test_a_rejected_tool_call_that_is_not_spoken_of_again_is_not_open(replay):
    error = replay("rejected-silence", permissions="reject", stallTimeout=0.5)["error"]
    assert error and error["class"] == "stall", error


def test_every_replay_is_tried():
    tried = {*FAILURES, *STRANGERS, *REFUSALS, *GOES_ON, *TEXTS, *SILENT, "rejected-silence"}
    assert {path.stem for path in REPLAYS.glob("*.json")} == tried
