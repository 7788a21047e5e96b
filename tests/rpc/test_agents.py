# SPDX-License-Identifier: MIT
"""The ACP runner with a scripted agent (tests/agents/hostile.py)."""

import json
import os
import pathlib
import signal
import subprocess
import sys

import pytest

from acpd import RpcError, shell, wait_until

HOSTILE = str(pathlib.Path(__file__).parents[1] / "agents" / "hostile.py")


def agent(script, name="p", env=None, runner=None, **settings):
    """A profile whose agent runs the script, without retries."""
    settings.setdefault("retry", {"maxAttempts": 1, "backoff": 0.01, "maxBackoff": 0.01})
    return {"name": name, **settings,
            "runner": {"type": "acp", "command": ["/usr/bin/python3", HOSTILE],
                       "env": {"ACPD_TEST_SCRIPT": script, **(env or {})}, **(runner or {})}}


@pytest.fixture
def run(make_daemon):
    """Runs one task of an agent to its end."""
    def run(script, task=None, **settings):
        daemon = make_daemon(agent(script, **settings), killGrace=1)
        client = daemon.client()
        client.daemon = daemon
        id = client.assign("p", **(task or {}))["id"]
        return client, client.finish(id)

    return run


def entries(client, id, **params):
    return client.get_task_log(id=id, **params)["entries"]


def test_a_turn_from_prompt_to_result(run, folder):
    record = folder / "record"
    client, task = run(
        "say('One. '); say('Two.')\n"
        "note('tool_call', toolCallId='a', title='Look', kind='read', status='pending')\n"
        "note('tool_call_update', toolCallId='a', status='completed')\n"
        "note('plan', entries=[{'content': 'x', 'priority': 'low', 'status': 'completed'}])\n"
        "note('usage_update', used=10, size=100, cost={'amount': 0.5, 'currency': 'USD'})\n"
        "note('something_new', thing=1)\n"
        "say('The '); say('end.')\n"
        "end(usage={'inputTokens': 3})\n",
        env={"ACPD_TEST_RECORD": str(record)}, systemPrompt="Be brief.",
        runner={"cwd": str(folder), "mcpServers": [
            {"name": "m", "command": "/bin/m", "args": ["-x"], "env": {"K": "V"}}]},
        task={"title": "Do", "description": "something", "input": {"n": [2**70]}})
    assert task["status"] == "completed" and task["error"] is None
    assert task["result"] == {"text": "The end.", "stopReason": "end_turn",
                              "usage": {"inputTokens": 3},
                              "cost": {"amount": 0.5, "currency": "USD"}}
    sent = [json.loads(line) for line in record.read_text().splitlines()]
    assert [message["method"] for message in sent] == ["initialize", "session/new",
                                                       "session/prompt"]
    assert sent[0]["params"]["protocolVersion"] == 1
    assert sent[0]["params"]["clientCapabilities"] == {
        "fs": {"readTextFile": False, "writeTextFile": False}, "terminal": False}
    assert sent[1]["params"] == {"cwd": str(folder), "mcpServers": [
        {"name": "m", "command": "/bin/m", "args": ["-x"], "env": [{"name": "K", "value": "V"}]}]}
    texts = [block["text"] for block in sent[2]["params"]["prompt"]]
    assert texts[0] == "Be brief."
    assert texts[1].startswith("# Do\n\nsomething\n\nInput:\n") and str(2**70) in texts[1]
    log = entries(client, task["id"])
    assert [entry["update"]["sessionUpdate"] for entry in log] == [
        "agent_message_chunk", "tool_call", "tool_call_update", "plan", "usage_update",
        "something_new", "agent_message_chunk"]
    assert log[0]["text"] == "One. Two." and log[0]["update"]["content"]["text"] == "One. Two."
    assert log[2]["text"] == "Look (read, completed)"
    assert "cost so far 0.5 USD" in log[4]["text"]


def test_one_process_serves_many_tasks_when_told(make_daemon):
    script = ("while True:\n"
              " say(str(os.getpid())); end()\n"
              " message = read()\n"
              " if not message: break\n"
              " assert message['method'] == 'session/new', message\n"
              " answer(message['id'], {'sessionId': 's2'}); prompt = read()\n")
    daemon = make_daemon(agent(script, runner={"reuse": True}, maxConcurrentTasks=1))
    with daemon.client() as client:
        def run():
            id = client.assign("p")["id"]
            task = client.finish(id)
            assert task["status"] == "completed", task["error"]
            assert client.log(id) == [task["result"]["text"]], "each attempt has its own log"
            return int(task["result"]["text"])

        first = run()
        assert run() == run() == first
        assert daemon.processes() == [first]
        client.reload_config()
        wait_until(lambda: not daemon.processes())
        second = run()
        assert second != first
        os.kill(second, signal.SIGKILL)
        wait_until(lambda: not daemon.processes())
        assert run() != second
    # The fixture checks that no idle agent outlives acpd.


def test_an_idle_agent_that_dies_as_it_is_asked_again_costs_the_task_nothing(make_daemon):
    """It had not received the work, so another one gets it, even if the task has only one attempt."""
    daemon = make_daemon(agent("say(str(os.getpid())); end(); read(); sys.exit(3)",
                               runner={"reuse": True}))
    with daemon.client() as client:
        assert client.finish(client.assign("p")["id"])["status"] == "completed"
        task = client.finish(client.assign("p")["id"])
        assert (task["status"], task["attempt"]) == ("completed", 2), task["error"]


def test_an_agent_that_failed_is_not_reused(make_daemon):
    script = "say(str(os.getpid()))\nend('refusal' if 'no' in str(prompt) else 'end_turn')\nread()"
    daemon = make_daemon(agent(script, runner={"reuse": True}))
    with daemon.client() as client:
        assert client.finish(client.assign("p", "no")["id"])["status"] == "failed"
        wait_until(lambda: not daemon.processes())


def test_cost_is_summed_per_profile_and_survives_a_restart(make_daemon):
    daemon = make_daemon(agent("note('usage_update', used=1, size=2, cost={'amount': 0.25, "
                               "'currency': 'EUR'})\nend()"), shell("true", "q"))
    with daemon.client() as client:
        for _ in range(2):
            client.finish(client.assign("p")["id"])
        client.finish(client.assign("q")["id"])
    daemon.restart()
    with daemon.client() as client:
        assert client.get_profile_metrics(name="p", range="24h")["cost"] == {
            "amount": 0.5, "currency": "EUR", "source": "reported by the agent"}
        assert client.get_profile_metrics(name="q")["cost"] is None


@pytest.mark.parametrize("reason, status, error_class, words", [
    ("refusal", "failed", "refusal", "refused"),
    ("max_tokens", "failed", "limit", "max_tokens"),
    ("max_turn_requests", "failed", "limit", "max_turn_requests"),
    ("cancelled", "failed", "exit", "cancelled its turn by itself"),
    ("fun", "failed", "exit", "fun"),
])
def test_the_stop_reason_decides(run, reason, status, error_class, words):
    client, task = run(f"end('{reason}')", **{"retry": {"maxAttempts": 1}})
    assert task["status"] == status and task["error"]["class"] == error_class
    assert words in task["error"]["message"] and task["result"] is None


@pytest.mark.parametrize("script, error_class, words", [
    ("sys.exit(0)", "exit", "status 0 during its turn"),
    ("sys.exit(75)", "exit", "status 75 during its turn"),
    ("os.kill(os.getpid(), 9)", "signal", "signal 9"),
    ("# raw\nsys.exit(3)", "exit", "status 3"),
    ("# raw\nsys.exit(0)", "exit", "before its turn started"),
    ("# raw\nread(); sys.exit(65)", "invalid", "status 65"),
    ("# raw\nanswer(read()['id'], {'protocolVersion': 2}); sleep_for_ever()", "invalid",
     "speaks version 2"),
    ("# raw\nanswer(read()['id'], {}); sleep_for_ever()", "invalid", "speaks version (none)"),
    ("# raw\nerror(read()['id'], -32603, 'broken'); sleep_for_ever()", "exit",
     "initialize with an error: broken"),
    ("# raw\nanswer(read()['id'], {'protocolVersion': 1})\n"
     "answer(read()['id'], {}); sleep_for_ever()", "exit", "without a sessionId"),
    ("error(prompt['id'], -32603, 'out of ideas')", "exit", "out of ideas"),
    ("answer(prompt['id'], {})", "exit", "without a stop reason"),
    ("answer(prompt['id'], None)", "exit", "without a stop reason"),
    ("raw('no message\\n' * 1000); sleep_for_ever()", "exit", "1000 lines"),
    ("raw('x' * (33 << 20)); sleep_for_ever()", "exit", "32 MiB"),
])
def test_what_goes_wrong_is_told_and_ends_only_the_attempt(run, script, error_class, words):
    client, task = run(script)
    assert task["status"] == "failed"
    assert task["error"]["class"] == error_class and words in task["error"]["message"]
    assert client.get_health()["loop"]["canLaunch"] is True


@pytest.mark.parametrize("script, error_class", [
    ("error(prompt['id'], -32603, 'x', data={'details': 'Rate limit reached'})", "rate_limit"),
    ("error(prompt['id'], 429, 'slow down')", "rate_limit"),
    ("error(prompt['id'], -32603, 'the model is overloaded')", "unavailable"),
    ("error(prompt['id'], -32000, 'log in')", "auth"),
    ("# raw\nanswer(read()['id'], {'protocolVersion': 1})\n"
     "error(read()['id'], -32000, 'Authentication required'); sleep_for_ever()", "auth"),
])
def test_a_providers_trouble_is_not_the_tasks(make_daemon, script, error_class):
    daemon = make_daemon(agent(script))
    with daemon.client() as client:
        id = client.assign("p")["id"]
        task = wait_until(lambda: client.task(id)["error"] and client.task(id))
        assert task["error"]["class"] == error_class
        assert task["status"] != "failed", "it does not spend the only attempt"
        client.update_profile_status(name="p", isActive=False)
        client.cancel_task(id=id)


def test_a_missing_agent_is_unavailable(make_daemon):
    daemon = make_daemon({"name": "p", "runner": {"type": "acp", "command": ["/no/such/agent"]}})
    with daemon.client() as client:
        id = client.assign("p")["id"]
        error = wait_until(lambda: client.task(id)["error"])
        assert error["class"] == "unavailable" and "/no/such/agent" in error["message"]
        client.cancel_task(id=id)


def test_the_agent_is_authenticated_once_when_it_asks(run):
    client, task = run(
        "# raw\n"
        "answer(read()['id'], {'protocolVersion': 1})\n"
        "error(read()['id'], -32000, 'who are you')\n"
        "m = read(); assert m['method'] == 'authenticate' and m['params'] == {'methodId': 'key'}\n"
        "answer(m['id'], {})\n"
        "answer(read()['id'], {'sessionId': 's'})\n"
        "prompt = read(); end()\n", runner={"authMethod": "key"})
    assert task["status"] == "completed", task["error"]


def test_model_and_mode_are_set_before_the_prompt(run, folder):
    record = folder / "record"
    client, task = run("end()", runner={"model": "m1", "mode": "plan"}, env={
        "ACPD_TEST_RECORD": str(record),
        "ACPD_TEST_SESSION": json.dumps({"sessionId": "s", "configOptions": [{"id": "model"}]})})
    assert task["status"] == "completed", task["error"]
    sent = [json.loads(line) for line in record.read_text().splitlines()]
    assert (sent[2]["method"], sent[2]["params"]) == (
        "session/set_config_option", {"sessionId": "s", "configId": "model", "value": "m1"})
    assert (sent[3]["method"], sent[3]["params"]) == (
        "session/set_mode", {"sessionId": "s", "modeId": "plan"})
    assert sent[4]["method"] == "session/prompt"


def test_noise_is_logged_and_skipped(run):
    client, task = run(
        "raw('hello\\n'); raw('{\"jsonrpc\":\"2.0\",\"id\":99,\"result\":{}}\\n'); raw('[1]\\n')\n"
        "raw('{\"jsonrpc\":\"1.0\",\"id\":3,\"result\":{\"stopReason\":\"end_turn\"}}\\n')\n"
        "raw('\\n'); print('to stderr', file=sys.stderr, flush=True)\n"
        "send(method='some/notification', params={})\n"
        "line = json.dumps({'jsonrpc': '2.0', 'id': prompt['id'],\n"
        "                   'result': {'stopReason': 'end_turn'}})\n"
        "raw(line[:10]); time.sleep(0.05); raw(line[10:] + '\\r\\n')\n")
    assert task["status"] == "completed"
    log = entries(client, task["id"])
    assert [entry["text"] for entry in log if entry["stream"] == "stdout"][:1] == ["hello"]
    assert [entry["text"] for entry in log if entry["stream"] == "stderr"] == ["to stderr"]


def test_every_request_is_answered(run, folder):
    record = folder / "record"
    client, task = run(
        "call('fs/read_text_file', {'path': '/etc/passwd'}, id=0); a = read()\n"
        "call('terminal/create', {}, id='x'); b = read()\n"
        "call('session/request_permission', {'options': []}, id=7); c = read()\n"
        "assert (a['id'], a['error']['code']) == (0, -32601), a\n"
        "assert (b['id'], b['error']['code']) == ('x', -32601), b\n"
        "assert (c['id'], c['error']['code']) == (7, -32602), c\n"
        "end()\n", env={"ACPD_TEST_RECORD": str(record)})
    assert task["status"] == "completed", (task["error"], client.log(task["id"]))


@pytest.mark.parametrize("script, runner, error_class, words", [
    ("# raw\nsleep_for_ever()", {"startTimeout": 0.3}, "timeout", "startTimeout of 0.3 s"),
    ("sleep_for_ever()", {"stallTimeout": 0.3}, "stall", "stallTimeout of 0.3 s"),
    ("signal = __import__('signal'); signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
     "while True: time.sleep(1)", {"stallTimeout": 0.3}, "stall", "was silent"),
])
def test_a_silent_agent_loses_its_slot(run, script, runner, error_class, words):
    client, task = run(script, runner=runner)
    assert task["error"]["class"] == error_class and words in task["error"]["message"]


def test_a_busy_agent_does_not_stall_but_times_out(run):
    client, task = run("while True:\n say('still here'); time.sleep(0.05)",
                       runner={"stallTimeout": 0.5}, timeout=1.5)
    assert task["error"]["class"] == "timeout" and "timeout of 1.5 s" in task["error"]["message"]


ASK = "ask({0}); a = read(); say(json.dumps(a['result']['outcome'])); end()"


@pytest.mark.parametrize("kind, permissions, outcome", [
    ("read", None, {"outcome": "selected", "optionId": "yes"}),
    ("edit", "allow", {"outcome": "selected", "optionId": "yes"}),
    ("edit", "reject", {"outcome": "selected", "optionId": "no"}),
    ("execute", {"execute": "reject"}, {"outcome": "selected", "optionId": "no"}),
    ("unheard_of", {"other": "allow"}, {"outcome": "selected", "optionId": "yes"}),
])
def test_the_profiles_rules_answer(run, kind, permissions, outcome):
    client, task = run(ASK.format(f"kind='{kind}'"),
                       runner={"permissions": permissions} if permissions else {})
    assert json.loads(task["result"]["text"]) == outcome
    asked = [entry for entry in entries(client, task["id"]) if entry["stream"] == "permission"]
    assert [entry["permission"]["answeredBy"] for entry in asked] == ["the profile's rules"]


def test_an_option_that_rejects_for_ever_will_do(run):
    options = "[{'optionId': 'never', 'name': 'N', 'kind': 'reject_always'}]"
    client, task = run(ASK.format(f"options={options}"), runner={"permissions": "reject"})
    assert json.loads(task["result"]["text"])["optionId"] == "never"


def test_a_question_waits_for_its_answer(make_daemon):
    daemon = make_daemon(agent(ASK.format(""), runner={"stallTimeout": 0.5}, timeout=3600))
    with daemon.client() as client:
        id = client.assign("p")["id"]
        question, = wait_until(client.list_permissions)
        assert question["taskId"] == id and question["profile"] == "p"
        assert question["toolCall"]["title"] == "Do it" and question["toolCall"]["kind"] == "edit"
        assert [option["optionId"] for option in question["options"]] == ["yes", "no"]
        assert question["askedAt"] < question["deadline"]
        with pytest.raises(RpcError) as refused:
            client.answer_permission(id=question["id"], optionId="maybe")
        assert refused.value.code == -32602 and refused.value.data["field"] == "optionId"
        assert client.answer_permission(id=question["id"], optionId="yes") == {"success": True}
        with pytest.raises(RpcError) as refused:
            client.answer_permission(id=question["id"], optionId="no")
        assert refused.value.code == -32001
        task = client.finish(id)
        assert json.loads(task["result"]["text"]) == {"outcome": "selected", "optionId": "yes"}
        assert client.list_permissions() == []
        asked, answered = [entry["permission"] for entry in entries(client, id)
                           if entry["stream"] == "permission"]
        assert "answeredBy" not in asked
        assert answered["optionId"] == "yes"
        assert answered["answeredBy"] == f"user {os.getuid()}, process {os.getpid()}"


def test_attempts_without_an_agent_have_no_questions(make_daemon):
    """A running command, a worker's task and an agent that asked nothing."""
    daemon = make_daemon(shell("sleep 1000"), {"name": "w", "runner": {"type": "worker"}},
                         agent("note('plan', entries=[]); time.sleep(1000)", "a"))
    with daemon.client() as client:
        ids = [client.assign(name)["id"] for name in ("p", "w", "a")]
        assert client.claim_task(profiles=["w"], worker="x")["task"]["id"] == ids[1]
        for id in ids:
            client.wait_status(id, "running")
        wait_until(lambda: client.log(ids[2]), "the agent is in its turn")
        for id in ids:
            for question in (f"{id}-1-1", f"{id}-1-0", f"{id}-2-1"):
                with pytest.raises(RpcError) as refused:
                    client.answer_permission(id=question, optionId="yes")
                assert refused.value.code == -32001 and question in refused.value.message
        assert client.list_permissions() == []
        assert [client.task(id)["status"] for id in ids] == ["running"] * 3
        for id in ids:
            client.cancel_task(id=id)


def test_an_open_question_stops_the_clocks(make_daemon):
    daemon = make_daemon(agent(ASK.format(""), runner={"stallTimeout": 0.2}, timeout=0.8))
    with daemon.client() as client:
        id = client.assign("p")["id"]
        question, = wait_until(client.list_permissions)
        start = question["askedAt"]
        # Longer than both timers: polls get_task until the daemon's own clock says so.
        wait_until(lambda: client.get_profile_state(name="p") and elapsed(client, start) > 1.5)
        client.answer_permission(id=question["id"], optionId="no")
        assert client.finish(id)["status"] == "completed"


def elapsed(client, since):
    from datetime import datetime, timezone
    return (datetime.now(timezone.utc) - datetime.fromisoformat(
        since.replace("Z", "+00:00"))).total_seconds()


def test_the_deadline_of_a_question_rejects(run):
    client, task = run(ASK.format(""), runner={"permissionTimeout": 0.2})
    assert json.loads(task["result"]["text"])["optionId"] == "no"
    assert entries(client, task["id"])[-2]["permission"]["answeredBy"] == "the deadline"


@pytest.mark.parametrize("script", [
    "say('x'); sleep_for_ever()",                                      # never ends its turn
    "say('x'); m = read(); assert m['method'] == 'session/cancel'; end('cancelled')",
    "say('x'); m = read(); ask(); a = read(); say(str(a)); end('end_turn')",  # asks after the cancel
    "say('x'); read(); end('end_turn')",                               # a late answer
    "say('x'); sys.stdin.close(); time.sleep(1000)",
])
def test_cancel_in_mid_turn(make_daemon, script):
    daemon = make_daemon(agent(script), killGrace=0.3)
    with daemon.client() as client:
        id = client.assign("p")["id"]
        wait_until(lambda: "x" in client.log(id))
        assert client.cancel_task(id=id)["status"] == "cancelled"
        wait_until(lambda: not daemon.processes())
        wait_until(lambda: client.state("p")["currentTasks"] == 0)
        assert client.task(id)["status"] == "cancelled"


def test_cancel_while_a_question_is_open(make_daemon, folder):
    record = folder / "record"
    daemon = make_daemon(agent("ask(); read(); read(); end()",
                               env={"ACPD_TEST_RECORD": str(record)}), killGrace=1)
    with daemon.client() as client:
        id = client.assign("p")["id"]
        wait_until(client.list_permissions)
        client.cancel_task(id=id)
        wait_until(lambda: not daemon.processes())
        assert client.list_permissions() == []
        assert client.task(id)["status"] == "cancelled"
    sent = [json.loads(line) for line in record.read_text().splitlines()][3:]
    assert sent[0]["method"] == "session/cancel"
    assert sent[1]["result"] == {"outcome": {"outcome": "cancelled"}}


def test_cancel_before_the_turn(make_daemon):
    daemon = make_daemon(agent("# raw\nprint('up', file=sys.stderr, flush=True); sleep_for_ever()"),
                         killGrace=0.3)
    with daemon.client() as client:
        id = client.assign("p")["id"]
        wait_until(lambda: "up" in client.log(id))
        client.cancel_task(id=id)
        wait_until(lambda: not daemon.processes())


def test_a_flood_is_cut_and_bounded(run):
    client, task = run("for i in range(3000): say('flood ' * 20)\nend()")
    assert task["status"] == "completed"
    assert len(task["result"]["text"]) <= 65536
    assert len(entries(client, task["id"])) < 500


def test_a_large_update_is_abridged(run):
    client, task = run("note('tool_call', toolCallId='a', title='Big', rawInput='x' * 2000000)\n"
                       "end()")
    entry, = entries(client, task["id"])
    assert entry["update"] == {"sessionUpdate": "tool_call", "toolCallId": "a", "title": "Big",
                               "truncated": True}


def test_processes_of_an_attempt_may_submit_but_not_rule(make_daemon, folder):
    """An agent that runs as our user cannot grant its own requests."""
    out = folder / "out"
    call = ('python3 -c \'import sys; sys.path.insert(0, "%s"); from acpd import *\n'
            'c = Client("%s")\n'
            'def code(method, **params):\n'
            '    try: c.call(method, **params); return 0\n'
            '    except RpcError as error: return error.code\n'
            'print([code("submit_task", task={"title": "t", "type": "other"}), '
            'code("get_health"), '
            'code("answer_permission", id="1-1-1", optionId="yes"), '
            'code("update_profile_status", name="other", isActive=False), '
            'code("reload_config")])\' > %s.part; mv %s.part %s')
    daemon = make_daemon(start=False)
    script = call % (pathlib.Path(__file__).parents[1], daemon.socket, out, out, out)
    daemon.configure(shell(f"(setsid sh -c '{script.replace(chr(39), chr(39) + chr(92) + chr(39) * 2)}' &); sleep 1000"),
                     shell("true", "other"))
    daemon.start()
    with daemon.client() as client:
        id = client.assign("p")["id"]
        wait_until(out.exists)
        assert json.loads(out.read_text()) == [0, 0, -32005, -32005, -32005]
        assert client.update_profile_status(name="other", isActive=False)["success"]
        client.cancel_task(id=id)


def test_kill_9_leaves_no_agent_and_no_question(make_daemon):
    daemon = make_daemon(agent("ask(); subprocess = __import__('subprocess')\n"
                               "subprocess.Popen(['setsid', 'sleep', '1000']); sleep_for_ever()"))
    with daemon.client() as client:
        id = client.assign("p")["id"]
        old, = wait_until(client.list_permissions)
    daemon.kill()
    wait_until(lambda: not daemon.processes(ACPD_ATTEMPT="1"))
    daemon.start()
    with daemon.client() as client:
        new, = wait_until(client.list_permissions)
        assert new["id"] != old["id"] and new["attempt"] == 2
        client.cancel_task(id=id)
        wait_until(lambda: not daemon.processes())
