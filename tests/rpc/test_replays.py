# SPDX-License-Identifier: MIT
"""What real agents were seen to say, said again by tests/agents/replay.py: each attempt ends with the
class, the message and the result that it should."""

import json
import pathlib
import sys

import pytest

from acpd import wait_until

AGENTS = pathlib.Path(__file__).parents[1] / "agents"
REPLAYS = AGENTS / "replays"


@pytest.fixture
def replay(make_daemon):
    """Runs a task with an agent that replays, and returns the task once its attempt is over."""

    def replay(name, **runner):
        daemon = make_daemon({
            "name": "p", "retry": {"maxAttempts": 1}, "cooldown": {"min": 3600, "max": 3600},
            "runner": {"type": "acp", "permissions": "allow", **runner,
                       "command": [sys.executable, str(AGENTS / "replay.py"),
                                   str(REPLAYS / f"{name}.json")]}})
        with daemon.client() as client:
            id = client.assign("p")["id"]

            def ended():
                task = client.task(id)
                return task if task["status"] == "completed" or task["error"] else None

            return wait_until(ended, "the end of the attempt")

    return replay


FAILURES = {}


@pytest.mark.parametrize("name", FAILURES)
def test_an_end_is_of_the_class_that_the_agent_tells(replay, name):
    word, *parts = FAILURES[name]
    error = replay(name)["error"]
    assert error and error["class"] == word, error
    for part in parts:
        assert part in error["message"]


STRANGERS = {}


@pytest.mark.parametrize("name", STRANGERS)
def test_who_is_not_logged_in_is_told_what_to_do(replay, name):
    error = replay(name)["error"]
    assert error["class"] == "auth", error
    for part in STRANGERS[name]:
        assert part in error["message"]
