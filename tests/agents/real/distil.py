#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
distil.py TRANSCRIPT: prints a replay (see ../replay.py) of what an agent said. Names of sessions
and folders are replaced, and long parts of little interest are cut. Read the result, and write its
`about`.
"""

import json
import pathlib
import re
import sys

BUILD = pathlib.Path(__file__).resolve().parents[3] / "build-agents"

DULL = {"available_commands_update", "config_option_update"}
DULL_MEMBERS = {"availableModels", "quota", "description", "updatedAt", "turnId"}
LIST_MAX = 6
TEXT_MAX = 400
PAUSE_MIN = 5  # seconds of silence that are kept, as a pause
PAUSE = 2  # seconds of such a pause
LATE = 0.1  # seconds from the end of a turn to a message after it


def shortened(value, member=None):
    """The value without its dull parts; `member` is its name in an object."""
    if isinstance(value, str):
        return value[:TEXT_MAX]
    if isinstance(value, list):
        return [shortened(item, member) for item in value[:LIST_MAX]]
    if isinstance(value, dict):
        dull = DULL_MEMBERS - ({"description"} if member == "authMethods" else set())
        return {key: shortened(item, key) for key, item in value.items() if key not in dull}
    return value


def anonymous(entries):
    """The entries with the names of session and folders replaced."""
    text = "\n".join(json.dumps(entry) for entry in entries).replace(str(BUILD), "/opt")
    for cwd in set(re.findall(r'\\"cwd\\":\\"(/tmp/acpd-agents-[^/]+/[a-z]+)\\"', text)):
        text = text.replace(cwd, "$cwd").replace(cwd.rsplit("/", 1)[0], "/base")
    for session in set(re.findall(r'\\"sessionId\\":\\"([^"\\]+)\\"', text)):
        text = text.replace(session, "$session")
    return [json.loads(line) for line in text.splitlines()]


def step_of(message):
    if "method" not in message:
        kind = "result" if "result" in message else "error"
        return {kind: message[kind]}
    if "id" in message:
        return {"ask": {"method": message["method"], "params": message["params"]}}
    if message["method"] == "session/update":
        update = message["params"]["update"]
        return None if update.get("sessionUpdate") in DULL else {"update": update}
    return {"notify": {"method": message["method"], "params": message["params"]}}


def steps(entries):
    """Yields (method, step) for all that the agent said; `method` was called last."""
    method, methods, last, is_over = None, {}, 0, False
    for entry in entries:
        if entry["from"] not in ("client", "agent") or not entry["line"]:
            continue
        try:
            message = json.loads(entry["line"])
        except ValueError:
            yield method, {"line": entry["line"]}
            continue
        if entry["from"] == "client":
            method = message.get("method", method)
            methods[message.get("id")] = message.get("method")
            last = entry["at"]
            continue
        step = step_of(message)
        if step is None:
            continue
        if entry["at"] - last > PAUSE_MIN and method == "session/prompt":
            yield method, {"pause": PAUSE}
        elif is_over:
            yield method, {"pause": LATE}
        last = entry["at"]
        if ("result" in step or "error" in step) and methods.get(message["id"]) != method:
            step["call"] = methods[message["id"]]
        is_over = "stopReason" in step.get("result", {})
        yield method, shortened(step)


def text_of(replay):
    """The replay as JSON, with one line per step."""
    def line(value):
        return json.dumps(value, ensure_ascii=False)

    lists = []
    for method, steps in replay["on"].items():
        lines = ",\n".join(f"   {line(step)}" for step in steps)
        lists.append(f"  {line(method)}: [\n{lines}\n  ]")
    on = ",\n".join(lists)
    return f'{{\n "agent": {line(replay["agent"])},\n "about": {line(replay["about"])},\n' \
           f' "on": {{\n{on}\n }}\n}}'


def main():
    with open(sys.argv[1]) as file:
        entries = anonymous([json.loads(line) for line in file])
    replay = {"agent": "", "about": "", "on": {}}
    for method, step in steps(entries):
        if "agentInfo" in step.get("result", {}):
            info = step["result"]["agentInfo"]
            replay["agent"] = f"{info['name'].split('/')[-1]} {info['version']}"
        replay["on"].setdefault(method, []).append(step)
    print(text_of(replay))


if __name__ == "__main__":
    main()
