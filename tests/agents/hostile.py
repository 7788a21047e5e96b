#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""
An agent that does what its script says, however wrong. The script is Python in ACPD_TEST_SCRIPT and
runs when `prompt` has arrived, or instead of the handshake if it begins with "# raw". It can use:

  call(method, params, id)   sends a request, without waiting for the answer
  note(update)               sends a session/update
  answer(id, result)         answers a request from acpd
  error(id, code, message)   answers it with an error
  raw(bytes)                 writes arbitrary bytes to stdout
  read()                     the next message, or None at the end of input
  prompt                     the request session/prompt
  end(reason)                ends the turn
"""

import json
import os
import sys
import time

SCRIPT = os.environ["ACPD_TEST_SCRIPT"]


def raw(data):
    data = data if isinstance(data, bytes) else data.encode()
    view = memoryview(data)
    while view:
        view = view[os.write(1, view):]


def send(**message):
    raw(json.dumps({"jsonrpc": "2.0", **message}) + "\n")


def read():
    line = sys.stdin.readline()
    if line and "ACPD_TEST_RECORD" in os.environ:
        with open(os.environ["ACPD_TEST_RECORD"], "a") as record:
            record.write(line)
    return json.loads(line) if line else None


def call(method, params=None, id=0):
    send(id=id, method=method, params=params or {})


def ask(id=0, kind="edit", options=None, session=None, **tool_call):
    options = options or [{"optionId": "yes", "name": "Yes", "kind": "allow_once"},
                          {"optionId": "no", "name": "No", "kind": "reject_once"}]
    call("session/request_permission", {
        "sessionId": session or prompt["params"]["sessionId"], "options": options,
        "toolCall": {"toolCallId": f"t{id}", "title": "Do it", "kind": kind, **tool_call}}, id)


def note(sessionUpdate, session=None, **update):
    """`session`: if not the session of the turn."""
    session = session or prompt["params"]["sessionId"]
    send(method="session/update",
         params={"sessionId": session, "update": {"sessionUpdate": sessionUpdate, **update}})


def say(text, **update):
    note("agent_message_chunk", content={"type": "text", "text": text}, **update)


def answer(id, result):
    send(id=id, result=result)


def error(id, code, message, **data):
    send(id=id, error={"code": code, "message": message, **data})


def end(reason="end_turn", **more):
    answer(prompt["id"], {"stopReason": reason, **more})


def sleep_for_ever():
    while read():
        pass
    time.sleep(1000)


def handshake():
    while True:
        message = read()
        if message is None:
            sys.exit()
        if message["method"] == "initialize":
            answer(message["id"], {"protocolVersion": 1,
                                   **json.loads(os.environ.get("ACPD_TEST_AGENT", "{}"))})
        elif message["method"] == "session/new":
            answer(message["id"], json.loads(os.environ.get("ACPD_TEST_SESSION", '{"sessionId": "s"}')))
        elif message["method"] == "session/prompt":
            return message
        else:
            answer(message["id"], {})


if not SCRIPT.startswith("# raw"):
    prompt = handshake()
exec(SCRIPT)
