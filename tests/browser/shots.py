#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""./dev shots: takes screenshots of every view and state of the page, in build-shots."""

import contextlib
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

import acpd  # noqa: E402
from acpd import Daemon, Gateway, wait_until  # noqa: E402
from server import Server  # noqa: E402
from world import assign_work, configuration, make_world  # noqa: E402

WARM_SECONDS = 20  # time for some tasks to end, so that averages are known


def shoot(out, url, *names, **variables):
    out.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, **{key: str(value) for key, value in variables.items()}}
    subprocess.run(["node", "shots.mjs", url, str(out), *names], cwd=HERE, env=environment, check=True)


@contextlib.contextmanager
def fleet(folder):
    """Four nodes that share a PostgreSQL."""
    server = Server()
    acpd.POSTGRES = server.url
    world = configuration()
    for name, node in (("development", "build-2"), ("review", "build-3")):
        next(profile for profile in world["profiles"] if profile["name"] == name)["nodes"] = [node]
    nodes = []
    try:
        for name in ("build-1", "build-2", "build-3", "build-4"):
            (folder / name).mkdir(parents=True)
            nodes.append(Daemon(folder / name))
            nodes[-1].configure({**world, "store": {**nodes[0].store, "lease": 60},
                                 "node": {"name": name, "url": f"http://{name}.example:8080"}})
            nodes[-1].start()
            if name == "build-1":  # the others differ from it
                world["profiles"][0] = {**world["profiles"][0], "timeout": 60, "maxConcurrentTasks": 9}
        yield nodes
    finally:
        for node in nodes:
            node.kill()
        server.close()


def shoot_fleet(out, folder):
    """Two nodes run, one is retiring, one is silent."""
    with fleet(folder) as nodes, nodes[0].client() as client:
        def has(state):
            return lambda: any(node["state"] == state for node in client.get_health()["nodes"])

        wait_until(lambda: len(client.get_health()["nodes"]) == len(nodes))
        nodes[3].process.send_signal(signal.SIGSTOP)
        wait_until(has("silent"))
        client.assign("review", title="Review it all", input={"seconds": 600, "exit": 0})
        assign_work(client, random.Random(1))
        task = client.wait_status(client.assign("development", title="Build it", priority="high",
                                                input={"seconds": 30, "exit": 0})["id"], "running")
        client.retire_node(name="build-3")
        wait_until(has("retiring"))
        gateway = Gateway(folder, nodes[0].socket).start()
        shoot(out, gateway.url, "fleet", TASK=task["id"])
        gateway.stop()


def main():
    out = pathlib.Path(sys.argv[1]).resolve()
    with tempfile.TemporaryDirectory(prefix="acpd-", dir="/tmp") as folder:
        folder = pathlib.Path(folder)
        (folder / "busy").mkdir()
        daemon, task = make_world(folder / "busy")
        gateway = Gateway(folder, daemon.socket).start()
        time.sleep(WARM_SECONDS)
        with daemon.client() as client:
            failed = client.list_tasks(status="failed", limit=1)["tasks"]
        shoot(out, gateway.url, "busy", TASK=task, FAILED=failed[0]["id"] if failed else task)
        daemon.kill()
        shoot(out, gateway.url, "away")
        gateway.stop()

        (folder / "demo").mkdir()
        demo = Daemon(folder / "demo").start()
        gateway = Gateway(folder / "demo", demo.socket).start()
        shoot(out, gateway.url, "empty")
        with demo.client() as client:
            client.assign("development", title="Rename the module, demo:ask", type="coding")
            while not client.list_permissions():
                time.sleep(0.1)
            shoot(out, gateway.url, "asking")
        gateway.stop()
        demo.stop()

        if shutil.which("psql"):  # several nodes share a PostgreSQL
            shoot_fleet(out, folder / "fleet")
    print(f"{len(list(out.glob('*.png')))} screenshots in {out}")


main()
