# SPDX-License-Identifier: MIT
"""The command runner: the input of a program, the meaning of its exit, and that it always ends."""

import json
import os
import time

import pytest

from acpd import profile, shell, wait_until


@pytest.fixture
def run(make_daemon):
    """Runs one task of a profile to its end, without retries by default."""
    def run(made, daemon=None, **task):
        daemon = make_daemon(made)
        client = daemon.client()
        return client, client.finish(client.assign("p", **{"maxAttempts": 1, **task})["id"])

    return run


def test_the_program_gets_the_task_as_one_line_and_its_environment(run, folder):
    script = (f'cat > {folder}/stdin; env > {folder}/env; pwd > {folder}/cwd; '
              f'ls -l /proc/self/fd | wc -l > {folder}/fds; echo "$0" > {folder}/argv')
    client, task = run(shell(script, runner={"cwd": str(folder), "env": {"COLOUR": "red green",
                                                                        "HOME": "/elsewhere"}}),
                       title="héllo", input={"n": 1}, type="coding", capabilities=["x"])
    assert task["status"] == "completed"
    lines = (folder / "stdin").read_text().splitlines()
    assert len(lines) == 1
    given = json.loads(lines[0])
    assert given["id"] == task["id"] and given["title"] == "héllo" and given["input"] == {"n": 1}
    assert given["status"] == "running" and given["attempt"] == 1 and given["profile"] == "p"
    environment = dict(line.split("=", 1) for line in (folder / "env").read_text().splitlines()
                       if "=" in line)
    assert environment["ACPD_TASK_ID"] == str(task["id"])
    assert environment["ACPD_PROFILE"] == "p" and environment["ACPD_ATTEMPT"] == "1"
    assert os.path.basename(environment["ACPD_SOCKET"]) == "acpd.sock"
    assert environment["COLOUR"] == "red green" and environment["HOME"] == "/elsewhere"
    assert environment["PATH"] == os.environ["PATH"], "the rest is inherited"
    assert (folder / "cwd").read_text().strip() == str(folder)
    assert (folder / "fds").read_text().strip() == "5", "0, 1, 2, ls's own, and the line of the total"


def environment_of(make_daemon, folder, runner, **variables):
    """The environment of a program, read as bytes, because shells set PWD."""
    daemon = make_daemon(profile(command=["/usr/bin/python3", "-c", "import json, os, sys\n"
                                          "print(json.dumps(dict(os.environ)))"], runner=runner), start=False)
    daemon.environment.update(variables)
    with daemon.start(cwd=folder).client() as client:
        return client.finish(client.assign("p")["id"])["result"]


def test_the_environment_says_where_the_program_runs(make_daemon, folder):
    (folder / "real").mkdir()
    (folder / "link").symlink_to(folder / "real")
    found = environment_of(make_daemon, folder, {"cwd": f"{folder}/link"}, OLDPWD="/usr", PWD="/usr")
    assert found["PWD"] == f"{folder}/link" and "OLDPWD" not in found
    found = environment_of(make_daemon, folder, {}, OLDPWD="/usr", PWD="/usr")
    assert found["PWD"] == str(folder) and "OLDPWD" not in found


def test_a_variable_can_be_taken_away(make_daemon, folder):
    found = environment_of(make_daemon, folder, {"env": {"SECRET": None, "NOT_THERE": None, "EMPTY": ""}},
                           SECRET="x", EMPTY="x", KEPT="x")
    assert "SECRET" not in found and "NOT_THERE" not in found
    assert found["EMPTY"] == "" and found["KEPT"] == "x"
    assert found["ACPD_PROFILE"] == "p"


def test_a_path_that_was_taken_away_is_not_searched(make_daemon, folder):
    """Neither by the health check nor at the start; the system's own folders are."""
    (folder / "tool").write_text("#!/bin/sh\n")
    (folder / "tool").chmod(0o755)
    daemon = make_daemon(profile("with", ["tool"]), profile("without", ["tool"], runner={"env": {"PATH": None}}),
                         profile("system", ["true"], runner={"env": {"PATH": None}}), start=False)
    daemon.environment["PATH"] = f"{folder}:{os.environ['PATH']}"
    with daemon.start().client() as client:
        assert client.state("with")["health"] == client.state("system")["health"] == "healthy"
        assert client.state("without")["healthReason"] == 'the program "tool" was not found'
        for name in ("with", "system"):
            assert client.finish(client.assign(name)["id"])["status"] == "completed"
        id = client.assign("without")["id"]
        task = wait_until(lambda: (t := client.task(id))["error"] and t, "an error")
        assert 'cannot start "tool"' in task["error"]["message"]
        client.cancel_task(id=id)


def test_arguments_are_not_touched_by_any_shell(run):
    client, task = run(profile(command=["printf", "%s|", "a b", "", "$HOME;`id`", "x\ny"]))
    assert task["result"] == {"output": "a b||$HOME;`id`|x\ny|"}


@pytest.mark.parametrize("script, result", [
    ("echo one; echo two", {"output": "one\ntwo\n"}),
    ("true", {"output": ""}),
    ('echo chat; echo \'{"answer": 42, "list": [1]}\'', {"answer": 42, "list": [1]}),
    ("printf '{\"a\":1}'", {"a": 1}),
    ("echo '[1]'", {"output": "[1]\n"}),
    ("echo '{broken'", {"output": "{broken\n"}),
    (r"printf 'caf\303\251 \377 end'", {"output": "café � end"}),
    ("echo to stderr >&2", {"output": ""}),
    (r"""printf '\357\273\277{"a":1}\r\n'""", {"a": 1}),
    (r"""printf 'x\n \t {"a": [1, "b  c"]} \r\n\r\n  \n\n'""", {"a": [1, "b  c"]}),
    (r"""printf '  \357\273\277  {"a":1}'""", {"a": 1}),
    (r"""printf '{"id":123456789012345678901,"half":0.5}\n'""", {"id": 123456789012345678901, "half": 0.5}),
    (r"""printf '{"a":1}\n{"b":2}\n'""", {"b": 2}),
    (r"""printf '{"a":'; sleep 0.05; printf '1}'; sleep 0.05; printf '\n'""", {"a": 1}),
    (r"""printf '{"a":1}\nend\n'""", {"output": '{"a":1}\nend\n'}),
])
def test_the_result_is_the_last_line_if_an_object_else_the_output(run, script, result):
    client, task = run(shell(script))
    assert task["status"] == "completed" and task["result"] == result and task["error"] is None


def test_the_result_may_be_longer_than_the_output_that_is_kept(run):
    """Exactly up to inputLimit, 1 MiB."""
    size = (1 << 20) - len('{"log":""}')
    script = f"""printf '{{"log":"'; head -c {size} /dev/zero | tr '\\0' v; printf '"}}\\n'"""
    client, task = run(shell(script))
    assert task["result"] == {"log": "v" * size}
    assert [e for e in client.entries(task["id"]) if e["stream"] == "acpd"] == []


@pytest.mark.parametrize("script, output, why", [
    (r"""echo '{"a": 1, "b": }'""", '{"a": 1, "b": }\n', "not valid JSON at byte 14: "),
    (r"""printf '\n \357\273\277 {"a": NaN}\n'""", '\n \ufeff {"a": NaN}\n',
     "not valid JSON at byte 10: unexpected character"),
    (r"""printf '{\n  "a": 1\n}\n'""", '{\n  "a": 1\n}\n', "a JSON object must be on one line"),
    (r"""printf '{'; head -c 1048576 /dev/zero | tr '\0' v""", "v" * 65536, "over 1048576 bytes"),
], ids=["broken", "constant", "lines", "long"])
def test_a_last_line_that_looks_like_a_result_and_is_none_is_explained(run, script, output, why):
    client, task = run(shell(script))
    assert task["status"] == "completed"
    assert task["result"]["output"] == output
    note = client.entries(task["id"])[-1]
    assert note["stream"] == "acpd"
    assert note["text"].startswith(f"the last line of stdout is not used as the result: {why}")


def test_the_result_holds_the_tail_of_a_long_output(run):
    client, task = run(shell("seq 1 200000"))
    output = task["result"]["output"]
    assert 65000 < len(output) <= 65536
    assert output.endswith("\n199999\n200000\n")


@pytest.mark.parametrize("script, error_class, message", [
    ("exit 1", "exit", "status 1"),
    ("exit 255", "exit", "status 255"),
    ("exit 64", "invalid", "status 64"),
    ("exit 65", "invalid", "status 65"),
    ("exit 78", "invalid", "status 78"),
    ("kill -SEGV $$", "signal", "signal 11"),
    ("kill -TERM $$", "signal", "signal 15"),
])
def test_ends_that_fail_a_task(run, script, error_class, message):
    client, task = run(shell(script))
    assert task["status"] == "failed" and task["result"] is None
    assert task["error"]["class"] == error_class and message in task["error"]["message"]


@pytest.mark.parametrize("script", ["exit 64", "exit 65", "exit 78"])
def test_an_invalid_task_is_not_retried(run, script):
    client, task = run(shell(script), maxAttempts=3)
    assert task["status"] == "failed" and task["attempt"] == 1


@pytest.mark.parametrize("status, error_class", [(75, "unavailable"), (77, "auth")])
def test_what_is_not_the_tasks_fault_spends_no_attempt(make_daemon, folder, status, error_class):
    marker = folder / "ok"
    daemon = make_daemon(shell(f"test -e {marker} || exit {status}",
                               cooldown={"min": 0.01, "max": 0.05},
                               retry={"maxAttempts": 1, "backoff": 0.01, "maxBackoff": 0.05}))
    with daemon.client() as client:
        id = client.assign("p")["id"]
        task = wait_until(lambda: (t := client.task(id))["attempt"] >= 4 and t, "four attempts")
        assert task["error"]["class"] == error_class or task["status"] == "running"
        marker.touch()
        assert client.finish(id)["status"] == "completed"
        metrics = client.get_profile_metrics(name="p")
        assert metrics["errorRate"] == 0 and metrics["sampleSize"] == 1


def test_a_program_that_cannot_be_started_is_unavailable(make_daemon, folder):
    daemon = make_daemon(profile(command=["no-such-program"]),
                         profile("q", runner={"cwd": str(folder / "none")}))
    with daemon.client() as client:
        for name, words in [("p", "no-such-program"), ("q", "none")]:
            id = client.assign(name)["id"]
            task = wait_until(lambda: (t := client.task(id))["error"] and t, "an error")
            assert task["error"]["class"] == "unavailable"
            assert words in task["error"]["message"] and "No such file" in task["error"]["message"]
            client.cancel_task(id=id)


def test_retries_back_off_and_end_after_max_attempts(make_daemon, folder):
    daemon = make_daemon(shell(f"date +%s.%N >> {folder}/starts; exit 3",
                               retry={"maxAttempts": 4, "backoff": 0.05, "maxBackoff": 0.2}))
    with daemon.client() as client:
        task = client.finish(client.assign("p")["id"])
        assert task["status"] == "failed" and task["attempt"] == 4
        assert task["error"] == {"class": "exit", "message": "exited with status 3"}
        assert len((folder / "starts").read_text().split()) == 4
        state = client.state("p")
        assert (state["failedTasks"], state["completedTasks"], state["queueSize"]) == (1, 0, 0)
        metrics = client.get_profile_metrics(name="p")
        assert (metrics["sampleSize"], metrics["errorRate"], metrics["successRate"]) == (4, 100, 0)


def test_a_task_that_waits_for_its_retry_says_so(make_daemon):
    daemon = make_daemon(shell("exit 1", retry={"maxAttempts": 9, "backoff": 3600,
                                                "maxBackoff": 3600}))
    with daemon.client() as client:
        id = client.assign("p")["id"]
        task = client.wait_status(id, "scheduled")
        assert task["pending"]["reason"] == "backoff" and task["pending"]["eta"]
        assert task["error"]["class"] == "exit" and task["attempt"] == 1


def test_attempts_and_timeout_can_be_overridden_by_the_task(make_daemon):
    daemon = make_daemon(shell("sleep 1000", retry={"backoff": 0.01}))
    with daemon.client() as client:
        task = client.finish(client.assign("p", timeout=0.2, maxAttempts=2)["id"])
        assert task["status"] == "failed" and task["attempt"] == 2
        assert task["error"]["class"] == "timeout" and "0.2 s" in task["error"]["message"]


def test_a_program_that_ignores_sigterm_is_killed_after_the_grace(make_daemon, folder):
    daemon = make_daemon(shell(f"trap '' TERM; touch {folder}/up; while :; do sleep 0.1; done"),
                         killGrace=0.3)
    with daemon.client() as client:
        id = client.assign("p")["id"]
        wait_until((folder / "up").exists)
        assert client.cancel_task(id=id)["status"] == "cancelled"
        wait_until(lambda: not daemon.processes(), "all are gone")


FAMILY = """
setsid sh -c 'trap "" TERM HUP; echo $$ >> {folder}/pids; while :; do sleep 0.1; done' &
(sh -c 'echo $$ >> {folder}/pids; exec sleep 1000' &)
sh -c 'trap "" TERM; (setsid sleep 1001 &); echo $$ >> {folder}/pids; while :; do sleep 0.1; done' &
while [ "$(wc -l < {folder}/pids)" != 3 ]; do sleep 0.02; done
touch {folder}/up
"""


def family(daemon):
    return daemon.processes()


def test_no_descendant_outlives_its_attempt(make_daemon, folder):
    (folder / "pids").touch()
    daemon = make_daemon(shell(FAMILY.format(folder=folder)))
    with daemon.client() as client:
        task = client.finish(client.assign("p")["id"])
        assert task["status"] == "completed", "the attempt ends when the direct child exits"
        assert len((folder / "pids").read_text().split()) == 3
        assert family(daemon) == [], "and its family is gone by then"


def test_cancel_ends_the_whole_family(make_daemon, folder):
    (folder / "pids").touch()
    daemon = make_daemon(shell(FAMILY.format(folder=folder) + "sleep 1000"), killGrace=0.2)
    with daemon.client() as client:
        id = client.assign("p")["id"]
        wait_until((folder / "up").exists)
        assert len(family(daemon)) >= 5
        assert client.cancel_task(id=id)["status"] == "cancelled"
        wait_until(lambda: not family(daemon), "all are gone")
        assert client.task(id)["error"] == {"class": "cancelled", "message": "cancelled on request"}


def test_two_families_end_apart(make_daemon, folder):
    daemon = make_daemon(shell(f"setsid sleep 1000 & touch {folder}/$ACPD_TASK_ID; sleep 1000",
                               maxConcurrentTasks=2), killGrace=0.2)
    with daemon.client() as client:
        first, second = client.assign("p")["id"], client.assign("p")["id"]
        wait_until(lambda: all((folder / str(i)).exists() for i in (first, second)))
        client.cancel_task(id=first)
        wait_until(lambda: not daemon.processes(ACPD_TASK_ID=first), "the first is gone")
        assert len(daemon.processes(ACPD_TASK_ID=second)) >= 3, "the second is untouched"
        assert client.task(second)["status"] == "running"


def test_the_log_has_every_line_with_its_stream_and_time(make_daemon):
    daemon = make_daemon(shell("echo one; echo err >&2; printf 'no newline'"))
    with daemon.client() as client:
        id = client.finish(client.assign("p")["id"])["id"]
        log = client.get_task_log(id=id)
        entries = [(e["stream"], e["text"]) for e in log["entries"]]
        assert sorted(entries) == [("stderr", "err"), ("stdout", "no newline"), ("stdout", "one")]
        assert all(e["at"].endswith("Z") for e in log["entries"])
        assert log["truncated"] is False
        assert client.get_task_log(id=id, after=log["next"])["entries"] == []


def test_what_has_no_line_end_is_seen_while_the_program_runs(make_daemon, folder):
    """A prompt, then the rest of its line; entries that continue a line are marked."""
    script = (f"printf 'Password: '; until [ -e {folder}/go ]; do sleep 0.01; done; "
              "printf 'caf\\303' >&2; sleep 0.4; printf '\\251\\n' >&2; echo ok")
    daemon = make_daemon(shell(script))
    with daemon.client() as client:
        id = client.assign("p")["id"]
        wait_until(lambda: client.log(id) == ["Password: "], "the prompt is seen")
        assert client.task(id)["status"] == "running"
        (folder / "go").touch()
        client.finish(id)
        out = [(e["text"], e.get("continues")) for e in client.entries(id) if e["stream"] == "stdout"]
        assert out == [("Password: ", None), ("ok", True)]
        err = [e["text"] for e in client.entries(id) if e["stream"] == "stderr"]
        assert "".join(err) == "café"


@pytest.mark.parametrize("drawing", [r"\r%d%%", r"%d%%\r"], ids=["before", "behind"])
def test_a_bar_that_is_drawn_over_is_seen_and_does_not_flood_the_log(make_daemon, folder, drawing):
    """It is redrawn more than a thousand times, the last time before a pause."""
    script = (f"i=0; while [ $i -lt 1500 ]; do i=$((i + 1)); printf '{drawing}' $i; sleep 0.001; done; "
              f"until [ -e {folder}/go ]; do sleep 0.01; done; printf 'done\\n'")
    daemon = make_daemon(shell(script))
    with daemon.client() as client:
        id = client.assign("p")["id"]
        wait_until(lambda: client.log(id), "something is seen")
        wait_until(lambda: client.log(id)[-1] == "1500%", "the last drawing is seen")
        assert client.task(id)["status"] == "running"
        (folder / "go").touch()
        client.finish(id)
        texts = client.log(id)
        assert texts[-1].endswith("done") and 2 <= len(texts) < 500
        assert all(text.endswith("%") for text in texts[:-1])


def test_a_log_is_read_in_pages_while_it_grows(make_daemon, folder):
    daemon = make_daemon(shell(f"seq 1 3; until [ -e {folder}/go ]; do sleep 0.02; done; seq 4 60000"))
    with daemon.client() as client:
        id = client.assign("p")["id"]
        texts, after = [], 0

        def read():
            nonlocal after
            page = client.get_task_log(id=id, after=after)
            texts.extend(e["text"] for e in page["entries"])
            after = page["next"]
            return page["entries"]

        wait_until(lambda: read() or len(texts) == 3)
        (folder / "go").touch()
        client.finish(id)
        while read():
            pass
        assert texts == [str(i) for i in range(1, 60001)]


def test_a_log_is_capped_and_the_cut_is_marked(make_daemon):
    daemon = make_daemon(shell("seq 1 100000; echo last"), logLimit=10000)
    with daemon.client() as client:
        task = client.finish(client.assign("p")["id"])
        assert task["result"]["output"].endswith("\n100000\nlast\n"), "the result is not cut"
        log = client.get_task_log(id=task["id"])
        assert log["truncated"] is True
        assert log["entries"][-1]["stream"] == "acpd" and "10000 bytes" in log["entries"][-1]["text"]
        assert log["entries"][0]["text"] == "1" and 50 < len(log["entries"]) < 1000


def test_each_attempt_has_its_own_log(make_daemon):
    daemon = make_daemon(shell("echo attempt $ACPD_ATTEMPT; exit 1",
                               retry={"maxAttempts": 2, "backoff": 0.01}))
    with daemon.client() as client:
        id = client.finish(client.assign("p")["id"])["id"]
        assert client.log(id) == ["attempt 2"]
        assert client.log(id, attempt=1) == ["attempt 1"]


def test_a_flood_of_output_starves_no_one(make_daemon):
    daemon = make_daemon(shell("while :; do echo yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy; done"),
                         profile("q"), logLimit=100000)
    with daemon.client() as client:
        id = client.assign("p")["id"]
        client.wait_status(id, "running")
        for _ in range(20):
            assert client.finish(client.assign("q")["id"])["status"] == "completed"
        client.cancel_task(id=id)


def test_never_more_than_the_slots_and_all_of_them(make_daemon, folder):
    # Each attempt records how many run at the same time.
    script = (f"mkdir {folder}/run.$ACPD_TASK_ID; ls -d {folder}/run.* | wc -l >> {folder}/seen; "
              f"sleep 0.05; rmdir {folder}/run.$ACPD_TASK_ID")
    daemon = make_daemon(shell(script, maxConcurrentTasks=5))
    with daemon.client() as client:
        ids = [client.assign("p")["id"] for _ in range(60)]
        for id in ids:
            assert client.finish(id)["status"] == "completed"
        seen = [int(line) for line in (folder / "seen").read_text().split()]
        assert len(seen) == 60 and max(seen) == 5
        assert client.state("p")["currentTasks"] == 0


def test_the_order_is_priority_then_age(make_daemon, folder):
    daemon = make_daemon(shell(f"echo $ACPD_TASK_ID >> {folder}/order", maxConcurrentTasks=1))
    with daemon.client() as client:
        client.update_profile_status(name="p", isActive=False)
        ids = {}
        for priority in ["low", "medium", "high", "low", "high", "medium"]:
            ids.setdefault(priority, []).append(client.assign("p", priority=priority)["id"])
        expected = ids["high"] + ids["medium"] + ids["low"]
        assert [t["id"] for t in client.get_profile_task_queue(name="p")] == expected
        client.update_profile_status(name="p", isActive=True)
        for id in expected:
            client.finish(id)
        assert [int(line) for line in (folder / "order").read_text().split()] == expected


def test_a_waiting_task_ages_past_newer_ones_of_a_higher_priority(make_daemon):
    daemon = make_daemon(profile(), agingInterval=0.05)
    with daemon.client() as client:
        client.update_profile_status(name="p", isActive=False)
        old = client.assign("p", priority="low")
        wait_until(lambda: client.state("p")["oldestQueuedAge"] > 0.15, "it has aged two levels")
        new = client.assign("p", priority="high")
        assert [t["id"] for t in client.get_profile_task_queue(name="p")] == [old["id"], new["id"]]


def test_the_age_is_that_of_the_task_that_has_waited_longest(make_daemon):
    daemon = make_daemon(profile("p"), profile("q"))
    with daemon.client() as client:
        for name in "pq":
            client.update_profile_status(name=name, isActive=False)
        assert client.state("p")["oldestQueuedAge"] is None
        old = client.assign("p")
        wait_until(lambda: client.state("p")["oldestQueuedAge"] > 0.5, "it has waited")
        between = time.monotonic()
        new = client.assign("p")
        assert client.state("p")["oldestQueuedAge"] > 0.5, "a new task makes it no younger"
        client.update_task(id=old["id"], profile="q")
        assert client.state("p")["oldestQueuedAge"] <= time.monotonic() - between + 0.001
        assert client.state("q")["oldestQueuedAge"] > 0.5
        for id, name in ((old["id"], "q"), (new["id"], "p")):
            client.cancel_task(id=id)
            assert client.state(name)["oldestQueuedAge"] is None


def test_a_task_waits_for_its_time(make_daemon):
    daemon = make_daemon(profile())
    with daemon.client() as client:
        at = time.time() + 0.7
        iso = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at)) + f".{int(at % 1 * 1000):03d}Z"
        task = client.assign("p", runAt=iso)
        assert task["status"] == "scheduled" and task["runAt"] == iso
        assert task["pending"]["reason"] == "scheduled" and task["pending"]["eta"] == iso
        done = client.finish(task["id"])
        assert done["status"] == "completed" and done["startedAt"] >= iso


def test_a_killed_keeper_interrupts_its_attempt_alone(make_daemon, folder):
    daemon = make_daemon(shell(f"setsid sleep 1000 & touch {folder}/$ACPD_TASK_ID.$ACPD_ATTEMPT; "
                               "sleep 1000", maxConcurrentTasks=2))
    with daemon.client() as client:
        ids = [client.assign("p")["id"] for _ in range(2)]
        wait_until(lambda: all((folder / f"{id}.1").exists() for id in ids))
        child = next(pid for pid in daemon.processes(ACPD_TASK_ID=ids[0])
                     if "acpd-keeper" in comm(parent(pid)))
        os.kill(parent(child), 9)
        wait_until((folder / f"{ids[0]}.2").exists, "it runs again")
        assert client.task(ids[0])["attempt"] == 2 and client.task(ids[1])["attempt"] == 1
        assert all("ACPD_ATTEMPT=2" in open(f"/proc/{pid}/environ").read()
                   for pid in daemon.processes(ACPD_TASK_ID=ids[0])), "the first family is gone"


def parent(pid):
    return int(open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()[1])


def comm(pid):
    return open(f"/proc/{pid}/comm").read()
