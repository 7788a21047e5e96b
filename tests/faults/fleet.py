# SPDX-License-Identifier: MIT
"""What tests of fleets share; the fixture make_fleet starts one."""

import pathlib

from acpd import shell

LEASE = 3  # of a node, in seconds
HOSTILE = str(pathlib.Path(__file__).parents[1] / "agents" / "hostile.py")
WORKER = {"name": "w", "runner": {"type": "worker", "lease": 3600}}
ASKING = {"name": "p", "nodes": ["a"], "maxConcurrentTasks": 10, "runner": {
    "type": "acp", "command": ["/usr/bin/python3", HOSTILE], "env": {"ACPD_TEST_SCRIPT": "ask(); read(); end()"}}}


def nodes(daemon):
    with daemon.client() as client:
        return {node["name"]: node for node in client.get_health()["nodes"]}


def recorder(folder, seconds=0.1, **settings):
    """A profile whose attempts write lines when they begin and end."""
    return shell(f'echo "begin $ACPD_TASK_ID $ACPD_ATTEMPT $$ $ACPD_SOCKET" >> {folder}/record; sleep {seconds}; '
                 f'echo "end $ACPD_TASK_ID $ACPD_ATTEMPT $$ $ACPD_SOCKET" >> {folder}/record', **settings)


def record(folder):
    path = folder / "record"
    lines = [line.split() for line in path.read_text().splitlines()] if path.exists() else []
    return [(what, int(id), int(attempt), int(pid), pathlib.Path(socket).parent.name)
            for what, id, attempt, pid, socket in lines]
