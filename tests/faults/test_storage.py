# SPDX-License-Identifier: MIT
"""A full disk: acknowledged changes are kept, reads still work, and service resumes by itself."""

import contextlib
import json
import os
import subprocess

import pytest

from acpd import RpcError, profile, shell, wait_until


@pytest.fixture
def small_disk(folder):
    path = folder / "disk"
    path.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "acpd-test", path],
                             capture_output=True)
    if mounted.returncode != 0:
        pytest.skip("mounting a small tmpfs needs CAP_SYS_ADMIN")
    yield path
    subprocess.run(["umount", "-l", path], check=True)


def assign(client, **task):
    try:
        return client.assign("p", **task)["id"]
    except RpcError as error:
        assert error.code == -32004 and "storage" in error.message
        return None


def stuff(path, leave):
    """Fills the disk with this file, except for this many bytes."""
    space = os.statvfs(path.parent)
    rest = space.f_bavail * space.f_bsize - leave
    with open(path, "ab", buffering=0) as file:
        with contextlib.suppress(OSError):
            while rest > 0:
                rest -= file.write(b"\0" * 4096)


def test_a_full_disk(make_daemon, small_disk, folder):
    daemon = make_daemon(profile("p"), shell(f"until [ -e {folder}/go ]; do sleep 0.02; done", "q"),
                         start=False)
    daemon.state = small_disk / "state"
    daemon.start()
    with daemon.client() as client:
        client.update_profile_status(name="p", isActive=False)
        running = client.wait_status(client.assign("q")["id"], "running")["id"]
        stuffing = small_disk / "stuffing"
        stuff(stuffing, leave=400 * 1024)
        acknowledged = []
        while (id := assign(client, input="x" * 20000)) is not None:
            acknowledged.append(id)
            assert len(acknowledged) < 1000
        assert acknowledged, "there was some room"
        stuff(stuffing, leave=0)
        # Pipelined with a failing write: earlier reads succeed, later ones fail.
        client.send_call("get_profile_state", name="p")
        client.send_call("assign_task_to_profile", profileName="p",
                         task={"title": "t", "input": "x" * 500000})
        client.send_call("get_profile_state", name="p")
        before, refused, after = [client.reply() for _ in range(3)]
        assert before["result"]["queueSize"] == len(acknowledged)
        assert refused["error"]["code"] == -32004
        assert after.get("error", {}).get("code") == -32004 or \
            after["result"]["queueSize"] == len(acknowledged)
        assert [client.task(id)["status"] for id in acknowledged] == ["queued"] * len(acknowledged)
        small = 0
        while assign(client):
            small += 1  # in the rest of the log's last pages
        health = client.get_health()
        assert health["status"] == "unhealthy" and health["storage"]["status"] == "failing"
        assert "full" in health["storage"]["error"]
        # The end of a child is not a request, but must not get lost either.
        (folder / "go").touch()
        stuffing.unlink()
        wait_until(lambda: client.get_health()["storage"]["status"] == "ok", "it works again")
        assert client.finish(running)["status"] == "completed"
        assert assign(client)
    daemon.kill()
    daemon.start()
    with daemon.client() as client:
        assert client.state("p")["queueSize"] == len(acknowledged) + small + 1
    assert "the storage is working again" in daemon.log.read_text()
    daemon.stop()


def test_a_log_on_a_full_disk_has_whole_lines_only(make_daemon, small_disk, folder):
    """An entry that does not fit leaves nothing behind; the attempt continues without its log."""
    script = (f"for i in $(seq 200); do echo before $i; done; until [ -e {folder}/go ]; do sleep 0.02; done; "
              "i=0; while [ $i -lt 20000 ]; do i=$((i + 1)); echo a line of the log, number $i; done; echo done >&2")
    daemon = make_daemon(shell(script, "p"), start=False)
    daemon.state = small_disk / "state"
    daemon.start()
    with daemon.client() as client:
        id = client.assign("p")["id"]
        wait_until(lambda: client.log(id)[-1:] == ["before 200"], "the log begins")
        stuffing = small_disk / "stuffing"
        # The last page has room for a part of the next output, cut at an arbitrary position.
        stuff(stuffing, leave=20000)
        (folder / "go").touch()
        wait_until(lambda: "cannot write the run's log" in daemon.log.read_text())
        stuffing.unlink()
        assert client.finish(id)["status"] == "completed"
        [file] = (daemon.state / "logs").rglob(f"{id}-*")
        text = file.read_bytes()
        assert text.endswith(b"}\n"), text[-200:]
        entries = [json.loads(line) for line in text.splitlines()]
        assert [entry["text"] for entry in entries[:200]] == [f"before {i}" for i in range(1, 201)]
        assert client.entries(id) == entries
    daemon.stop()


def test_workers_on_a_full_disk(make_daemon, small_disk):
    daemon = make_daemon({"name": "w", "runner": {"type": "worker"}, "maxConcurrentTasks": 1000},
                         start=False)
    daemon.state = small_disk / "state"
    daemon.start()

    def claim(client):
        try:
            return client.claim_task(profiles=["w"], worker="x", wait=10)
        except RpcError as error:
            assert error.code == -32004 and "storage" in error.message
            return None

    with daemon.client() as client:
        ids = [client.assign("w")["id"] for _ in range(100)]
        stuffing = small_disk / "stuffing"
        claims = [claim(client)]
        stuff(stuffing, leave=0)
        while (claimed := claim(client)) is not None:
            claims.append(claimed)  # in the rest of the log's last pages
        assert [c["task"]["id"] for c in claims] == ids[:len(claims)] and len(claims) < len(ids)
        with pytest.raises(RpcError):
            client.complete_task(id=ids[0], lease=claims[0]["lease"], result="x" * 500000)
        assert client.state("w")["currentTasks"] == len(claims)
        stuffing.unlink()
        wait_until(lambda: client.get_health()["storage"]["status"] == "ok", "it works again")
        for claimed in claims:
            done = client.complete_task(id=claimed["task"]["id"], lease=claimed["lease"])
            assert done["attempt"] == 1
        again = claim(client)["task"]
        assert again["id"] == ids[len(claims)] and again["attempt"] == 1
        assert client.state("w")["currentTasks"] == 1
    daemon.stop()
