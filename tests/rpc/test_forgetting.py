# SPDX-License-Identifier: MIT
"""Profiles that are no longer configured: unused ones are removed by the reload, others once all of their data
is gone."""

import contextlib
import json
import os
import signal
import sqlite3
import threading

from acpd import profile, wait_until
from database import seal


def rows(daemon):
    with contextlib.closing(daemon.database()) as database:
        return {name for name, in database.execute("SELECT name FROM profile")}


def test_names_that_were_never_used_are_forgotten_at_the_reload(make_daemon):
    daemon = make_daemon(profile("kept"))
    with daemon.client() as client:
        client.finish(client.assign("kept")["id"])
        for generation in range(5):
            names = [f"g{generation}-{i}" for i in range(100)]
            daemon.configure(profile("kept"), *(profile(name) for name in names))
            client.reload_config()
            assert rows(daemon) == {"kept", *names}
            assert {state["name"] for state in client.get_profile_states()} == {"kept", *names}
        assert client.finish(client.assign("g4-7")["id"])["status"] == "completed"
        daemon.configure(profile("kept"))
        client.reload_config()
        assert rows(daemon) == {"kept", "g4-7"}
        # It comes back with its history.
        daemon.configure(profile("kept"), profile("g4-7"))
        client.reload_config()
        assert client.state("g4-7")["completedTasks"] == 1


def test_a_used_one_goes_with_its_last_task_and_its_history(make_daemon):
    daemon = make_daemon(profile("kept"), profile("old"), profile("waits"), healthCheckInterval=1)
    with daemon.client() as client:
        client.finish(client.assign("old")["id"])
        client.update_profile_status(name="waits", isActive=False)
        waiting = client.assign("waits")["id"]
        client.finish(client.assign("kept")["id"])
    daemon.stop()
    daemon.configure(profile("kept"), healthCheckInterval=1)
    with daemon.start().client() as client:
        passes = client.get_health()["loop"]["passes"]
        wait_until(lambda: client.get_health()["loop"]["passes"] > passes + 5)
        assert rows(daemon) == {"kept", "old", "waits"}, "there is a task, or history"
        assert client.task(1)["profile"] == "old"
    daemon.stop()
    with contextlib.closing(sqlite3.connect(daemon.database_file)) as database:
        database.execute("UPDATE task SET finished_at = 1 WHERE id = 1")
        seal(database, "id = 1")
        database.execute("DELETE FROM bucket")
        database.commit()
    with daemon.start().client() as client:
        wait_until(lambda: rows(daemon) == {"kept", "waits"})
        client.cancel_task(id=waiting)
        assert client.finish(client.assign("kept")["id"])["status"] == "completed"
        assert client.list_tasks()["tasks"], "lists go on"


def test_what_is_assigned_in_the_pass_that_forgets_is_refused_and_not_lost(make_daemon):
    daemon = make_daemon(profile("kept"), profile("gone"), profile("used"))
    with daemon.client() as client:
        daemon.configure(profile("kept"))
        daemon.process.send_signal(signal.SIGSTOP)
        client.send_call("assign_task_to_profile", name="used", task={"title": "before"})
        client.send_call("reload_config")
        client.send_call("assign_task_to_profile", name="gone", task={"title": "after"})
        client.send_call("get_profile_state", name="gone")
        daemon.process.send_signal(signal.SIGCONT)
        used, reloaded, assigned, state = (client.reply() for _ in range(4))
        assert used["result"]["task"]["profile"] == "used" and "result" in reloaded
        assert assigned["error"]["code"] == -32001, json.dumps(assigned)
        assert state["error"]["code"] == -32001
        assert rows(daemon) == {"kept", "used"}
        assert client.task(used["result"]["task"]["id"])["title"] == "before"


def test_forgetting_falls_with_a_pass_that_fails(make_daemon):
    daemon = make_daemon(profile("kept"), profile("gone"))
    with daemon.client() as client:
        daemon.configure(profile("kept"))
        path, aside = daemon.database_file, daemon.folder / "aside"
        path.rename(aside)
        client.send_call("reload_config")
        assert client.reply()["error"]["code"] == -32004
        aside.rename(path)
        wait_until(lambda: client.get_health()["storage"]["status"] == "ok")
        assert {state["name"] for state in client.get_profile_states()} == {"kept", "gone"}
        assert client.finish(client.assign("gone")["id"])["status"] == "completed"


def test_names_that_go_and_come_back_within_a_pass(make_daemon):
    """Several reloads in one pass while the file changes: the last one read applies."""
    daemon = make_daemon(profile("kept"))
    both = [{"profiles": [profile("kept")]}, {"profiles": [profile("kept"), profile("fickle")]}]
    files = [daemon.folder / f"config-{i}.json" for i in range(2)]
    done = threading.Event()

    def change():
        while not done.is_set():
            for file, settings in zip(files, both):
                file.write_text(json.dumps(settings))
                os.replace(file, daemon.config)

    changing = threading.Thread(target=change)
    changing.start()
    try:
        with daemon.client() as client:
            for _ in range(10):
                for _ in range(100):
                    client.send_call("reload_config")
                for _ in range(100):
                    assert client.reply()["result"]
    finally:
        done.set()
        changing.join()
    with daemon.client() as client:
        daemon.configure(profile("kept"), profile("fickle"))
        client.reload_config()
        assert client.finish(client.assign("fickle")["id"])["status"] == "completed"
    assert rows(daemon) == {"kept", "fickle"}
