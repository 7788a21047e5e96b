#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
tee.py FILE COMMAND...: runs an agent and logs each line that it and its client write, as
{"at": seconds, "from": "client" | "agent" | "stderr" | "tee", "line": …}. Each process of an agent
has its own log, FILE.1.jsonl, FILE.2.jsonl and so on.
"""

import itertools
import json
import os
import subprocess
import sys
import threading
import time


def open_next(path):
    for number in itertools.count(1):
        try:
            return open(f"{path}.{number}.jsonl", "x", buffering=1)
        except FileExistsError:
            pass


file, began, lock = open_next(sys.argv[1]), time.monotonic(), threading.Lock()


def note(origin, line):
    with lock:
        file.write(json.dumps({"at": round(time.monotonic() - began, 3), "from": origin,
                               "line": line}) + "\n")


def write_all(sink, data):
    while data:
        data = data[os.write(sink, data):]


def pump(origin, source, sink):
    rest = b""
    while data := os.read(source, 1 << 16):
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            note(origin, line.decode(errors="replace"))
        try:
            write_all(sink, data)
        except OSError:
            break
    if rest:
        note(origin, rest.decode(errors="replace"))
    note(origin, None)  # the end of file
    os.close(sink)


agent = subprocess.Popen(sys.argv[2:], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE)
pipes = [("client", 0, os.dup(agent.stdin.fileno())), ("agent", agent.stdout.fileno(), 1),
         ("stderr", agent.stderr.fileno(), 2)]
agent.stdin.close()
threads = [threading.Thread(target=pump, args=pipe, daemon=True) for pipe in pipes]
for thread in threads:
    thread.start()
status = agent.wait()
for thread in threads[1:]:
    thread.join(1)
note("tee", f"exit {status}")
sys.exit(status if status >= 0 else 128 - status)
