#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""./dev shots: takes screenshots of every view and state of the page, in build-shots."""

import os
import pathlib
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from acpd import Daemon, Gateway  # noqa: E402
from world import make_world  # noqa: E402

WARM_SECONDS = 20  # time for some tasks to end, so that averages are known


def shoot(out, url, *names, **variables):
    out.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, **{key: str(value) for key, value in variables.items()}}
    subprocess.run(["node", "shots.mjs", url, str(out), *names], cwd=HERE, env=environment, check=True)


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
    print(f"{len(list(out.glob('*.png')))} screenshots in {out}")


main()
