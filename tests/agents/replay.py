#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
replay.py FILE: an agent that repeats what a real one said. FILE is JSON:

  {"agent": "codex-acp 2.6.0", "about": "…",
   "on": {"session/prompt": [STEP, …], …}}

Each time acpd calls a method, its steps are done. A step is an object with one of these:

  result    answers the call with this result; `error`: with this error
  update    sends this session/update; `of` names its session, if not the current one
  notify    sends this notification, an object {method, params}
  ask       sends this request, an object {method, params}, and waits for its answer
  pause     seconds of silence
  stderr    writes this line to stderr; `line`: to stdout, valid or not
  exit      exits with this status
  call      which call `result` or `error` answers, if not the last one: "session/prompt"

"$session" in any text stands for the session, "$cwd" for its folder. Methods without steps are
answered with {}; at the end of its input the agent exits.
"""

import json
import sys
import time

with open(sys.argv[1]) as file:
    ON = json.load(file)["on"]

names = {"session": "", "cwd": ""}
calls = {}  # the id of the last call, by method
count = 0


def named(value):
    if isinstance(value, str):
        for name, text in names.items():
            value = value.replace(f"${name}", text)
    elif isinstance(value, list):
        value = [named(item) for item in value]
    elif isinstance(value, dict):
        value = {key: named(item) for key, item in value.items()}
    return value


def write(text):
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def send(**message):
    write(json.dumps({"jsonrpc": "2.0", **named(message)}))


def read():
    line = sys.stdin.readline()
    if not line:
        sys.exit(0)
    return json.loads(line)


def answer(method, step):
    kind = "result" if "result" in step else "error"
    send(id=calls[step.get("call", method)], **{kind: step[kind]})


def ask(request):
    """Sends a request and waits for the answer; serves acpd's calls meanwhile."""
    global count
    count += 1
    id = f"question-{count}"
    send(id=id, **request)
    while (message := read()).get("id") != id or "method" in message:
        take(message)


def do(method, step):
    if "result" in step or "error" in step:
        answer(method, step)
    elif "update" in step:
        send(method="session/update", params={"sessionId": step.get("of", "$session"),
                                              "update": step["update"]})
    elif "notify" in step:
        send(**step["notify"])
    elif "ask" in step:
        ask(step["ask"])
    elif "pause" in step:
        time.sleep(step["pause"])
    elif "stderr" in step:
        print(named(step["stderr"]), file=sys.stderr, flush=True)
    elif "line" in step:
        write(named(step["line"]))
    elif "exit" in step:
        sys.exit(step["exit"])


def take(message):
    method, params = message.get("method"), message.get("params") or {}
    if "id" in message:
        calls[method] = message["id"]
    if method == "session/new":
        names["session"] = f"session-{message['id']}"
        names["cwd"] = params["cwd"]
    for step in ON.get(method, [{"result": {}}] if "id" in message else []):
        do(method, step)


while True:
    take(read())
