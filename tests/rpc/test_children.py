# SPDX-License-Identifier: MIT
"""Hostile or numerous child processes: their cost, and that none is left."""

import os

from acpd import open_files, profile, resident_bytes, shell, wait_until


def parents():
    """The parent and the state of every process."""
    found = {}
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{entry}/stat") as file:
                state, parent = file.read().rsplit(") ", 1)[1].split()[:2]
        except OSError:
            continue
        found[int(entry)] = int(parent), state
    return found


def descendants(pid):
    """Descendants of a process, including zombies: {pid: state}."""
    all, found = parents(), {}
    queue = [pid]
    while queue:
        above = queue.pop()
        below = [child for child, (parent, _) in all.items() if parent == above]
        found.update({child: all[child][1] for child in below})
        queue += below
    return found


def test_gigabytes_of_output_cost_bounded_memory_and_disk(make_daemon, monkeypatch):
    monkeypatch.setenv("ASAN_OPTIONS", "quarantine_size_mb=1")  # freed memory counts as free
    size = 2 << 30
    daemon = make_daemon(shell(f"yes 0123456789abcdef | head -c {size}", "lines"),
                         shell(f"head -c {size} /dev/zero", "zeros"),
                         shell(f"printf '{{'; head -c {size} /dev/zero", "object"), logLimit=100000)
    pid = daemon.process.pid
    with daemon.client() as client:
        client.get_health()
        before = resident_bytes(pid)
        for name in ("lines", "zeros", "object"):
            id = client.assign(name)["id"]

            def has_ended():
                assert resident_bytes(pid) - before < 32 << 20
                return client.task(id)["status"] == "completed"

            wait_until(has_ended, "the flood ends", deadline=240)
            log = client.get_task_log(id=id)
            assert log["truncated"] is True
        logs = sum(file.stat().st_size for file in (daemon.state / "logs").rglob("*")
                   if file.is_file())
        assert logs < 400000


def test_a_program_may_close_its_output_and_go_on(make_daemon, folder):
    daemon = make_daemon(shell(f"echo said; exec >&- 2>&-; touch {folder}/closed; "
                               f"until [ -e {folder}/go ]; do sleep 0.01; done; exit 3"))
    with daemon.client() as client:
        id = client.assign("p", maxAttempts=1)["id"]
        wait_until((folder / "closed").exists)
        assert client.task(id)["status"] == "running"
        (folder / "go").touch()
        task = client.finish(id)
        assert task["error"]["class"] == "exit" and "3" in task["error"]["message"]
        assert client.log(id)[0] == "said"


def test_output_that_is_no_text_is_shown_as_such(make_daemon):
    daemon = make_daemon(shell(r"printf 'a\000b\377c\n\n\355\240\200\nno end\303'; printf '\000' >&2"))
    with daemon.client() as client:
        task = client.finish(client.assign("p")["id"])
        assert task["status"] == "completed"
        assert task["result"]["output"] == "a\0b\ufffdc\n\n\ufffd\ufffd\ufffd\nno end\ufffd"
        entries = client.get_task_log(id=task["id"])["entries"]
        assert [e["text"] for e in entries if e["stream"] == "stdout"] == [
            "a\0b\ufffdc", "", "\ufffd\ufffd\ufffd", "no end\ufffd"]
        assert [e["text"] for e in entries if e["stream"] == "stderr"] == ["\0"]


def test_a_thousand_children_leave_no_zombie_and_no_descriptor(make_daemon):
    daemon = make_daemon(profile(maxConcurrentTasks=20))
    with daemon.client() as client:
        def run(count):
            goal = client.state("p")["completedTasks"] + count
            for _ in range(count):
                client.assign("p")
            wait_until(lambda: client.state("p")["completedTasks"] == goal, "all have run")

        run(50)
        wait_until(lambda: len(descendants(daemon.process.pid)) == 1, "the supervisor is alone")
        [supervisor] = descendants(daemon.process.pid)
        before = open_files(daemon.process.pid), open_files(supervisor)
        run(1000)
        wait_until(lambda: list(descendants(daemon.process.pid)) == [supervisor],
                   "no child is left, dead or alive")
        wait_until(lambda: (open_files(daemon.process.pid), open_files(supervisor)) == before,
                   "descriptors are given back")
