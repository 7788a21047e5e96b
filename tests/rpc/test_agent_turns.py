# SPDX-License-Identifier: MIT
"""Turns with agents: late and early messages, other sessions, and justified silence."""

import contextlib
import json

import pytest

from acpd import wait_until
from test_agents import agent, entries, run  # noqa: F401

TOOL = "note('tool_call', toolCallId='t', title='make', kind='execute', status='%s')\n"


@pytest.mark.parametrize("script", [
    TOOL % "pending" + "time.sleep(1)\nsay('done'); end()",
    TOOL % "in_progress" + "time.sleep(1)\n"
    "note('tool_call_update', toolCallId='t', status='completed')\nsay('done'); end()",
    "note('tool_call', toolCallId='t', title='make')\ntime.sleep(1)\nsay('done'); end()",
])
def test_an_open_tool_call_is_no_stall(run, script):  # noqa: F811
    client, task = run(script, runner={"stallTimeout": 0.3})
    assert task["status"] == "completed" and task["result"]["text"] == "done"


@pytest.mark.parametrize("script, error_class", [
    (TOOL % "pending" + "note('tool_call_update', toolCallId='t', status='completed')\n", "stall"),
    (TOOL % "pending" + "note('tool_call_update', toolCallId='t', status='failed')\n", "stall"),
    (TOOL % "completed", "stall"),
    (TOOL % "pending" + "ask(toolCallId='t'); read()\n", "stall"),  # rejected, and never mentioned again
    (TOOL % "pending", "timeout"),
])
def test_the_clocks_that_go_on(run, script, error_class):  # noqa: F811
    client, task = run(script + "sleep_for_ever()", timeout=1.5,
                       runner={"stallTimeout": 0.3, "permissions": "reject"})
    assert task["error"]["class"] == error_class


@pytest.mark.parametrize("script, error_class", [
    ("for _ in range(20): print('working', file=sys.stderr, flush=True); time.sleep(0.1)\nend()", None),
    ("for _ in range(20): raw('no message\\n'); time.sleep(0.1)\nend()", "stall"),
])
def test_signs_of_life(run, script, error_class):  # noqa: F811
    client, task = run(script, runner={"stallTimeout": 0.8})
    assert (task["error"] or {}).get("class") == error_class


@pytest.mark.parametrize("reuse", [False, True])
def test_what_comes_after_the_end_of_the_turn_is_part_of_it(run, reuse):  # noqa: F811
    client, task = run("say('abc '); end(); say('DEF'); read()", runner={"reuse": reuse})
    assert task["result"]["text"] == "abc DEF"
    assert "".join(client.log(task["id"])) == "abc DEF"


def test_an_agent_that_goes_on_talking_is_heard_to_its_end(run):  # noqa: F811
    client, task = run("say('0'); end()\nfor i in range(1, 10): time.sleep(0.1); say(str(i))")
    assert task["result"]["text"] == "0123456789"


SESSIONS = ("n = 1\n"
            "while True:\n"
            "    %s\n"
            "    message = read()\n"
            "    if message and message['method'] == 'session/close':\n"
            "        answer(message['id'], {}); message = read()\n"
            "    if not message: break\n"
            "    assert message['method'] == 'session/new', message\n"
            "    n += 1; answer(message['id'], {'sessionId': f's{n}'}); prompt = read()\n")


def test_other_sessions_are_noted_and_not_listened_to(make_daemon):
    daemon = make_daemon(agent(SESSIONS % (
        "say('mine'); note('agent_message_chunk', session='s', content={'type': 'text', 'text': 'old'})"
        " if n > 1 else say(' first'); note('agent_message_chunk', session='child', "
        "content={'type': 'text', 'text': 'its'}); end()"),
        runner={"reuse": True}, maxConcurrentTasks=1))
    with daemon.client() as client:
        client.finish(client.assign("p")["id"])
        id = client.assign("p")["id"]
        assert client.finish(id)["result"]["text"] == "mine"
        others = [entry for entry in entries(client, id) if entry["stream"] == "other-session"]
        assert [entry["text"] for entry in others] == [
            "session s: agent_message_chunk old", "session child: agent_message_chunk its"]
        assert others[0]["update"]["content"]["text"] == "old"


def test_a_question_of_a_session_that_has_ended_is_cancelled(make_daemon):
    daemon = make_daemon(agent(SESSIONS % (
        "ask(5, session='s') if n > 1 else None\n"
        "    if n > 1: say(json.dumps(read()['result']['outcome']))\n"
        "    end()"), runner={"reuse": True, "permissions": "ask"}, maxConcurrentTasks=1))
    with daemon.client() as client:
        client.finish(client.assign("p")["id"])
        task = client.finish(client.assign("p")["id"])
        assert json.loads(task["result"]["text"]) == {"outcome": "cancelled"}
        assert task["result"]["permissions"] == {"allowed": 0, "rejected": 0, "lapsed": 0}


def test_a_question_of_a_child_session_is_asked(make_daemon):
    daemon = make_daemon(agent("ask(5, session='child'); a = read(); say(json.dumps(a['result'])); end()"))
    with daemon.client() as client:
        id = client.assign("p")["id"]
        question, = wait_until(client.list_permissions)
        client.answer_permission(id=question["id"], optionId="yes")
        assert "yes" in client.finish(id)["result"]["text"]


CLOSES = json.dumps({"agentCapabilities": {"sessionCapabilities": {"close": {}}}})


@pytest.mark.parametrize("environment, reuse, turns", [
    ({}, True, 10), ({"ACPD_TEST_AGENT": CLOSES}, True, 12), ({}, 3, 3),
    ({"ACPD_TEST_AGENT": CLOSES}, 3, 3), ({}, 1, 1)])
def test_how_many_turns_a_process_serves(make_daemon, folder, environment, reuse, turns):
    record = folder / "record"
    daemon = make_daemon(agent(SESSIONS % "say(str(os.getpid())); end()", maxConcurrentTasks=1,
                               env={"ACPD_TEST_RECORD": str(record), **environment},
                               runner={"reuse": reuse}))
    with daemon.client() as client:
        ids = [client.assign("p")["id"] for _ in range(12)]
        processes = [client.finish(id)["result"]["text"] for id in ids]
    assert processes.count(processes[0]) == turns
    sent = [json.loads(line) for line in record.read_text().splitlines()]
    closed = [message["params"]["sessionId"] for message in sent if message["method"] == "session/close"]
    if environment:  # except the last one of a process, which ends with it
        assert closed[:2] == ["s", "s2"] and len(closed) >= turns - 1
    else:
        assert not closed


@pytest.mark.parametrize("answer", ["error(m['id'], -32603, 'no')", "time.sleep(1000)"])
def test_an_agent_that_does_not_close_its_session_is_not_kept(make_daemon, answer):
    daemon = make_daemon(agent(f"say(str(os.getpid())); end(); m = read(); {answer}; sleep_for_ever()",
                               env={"ACPD_TEST_AGENT": CLOSES}, runner={"reuse": True}), killGrace=0.1)
    with daemon.client() as client:
        first = client.finish(client.assign("p")["id"])
        assert first["status"] == "completed"
        assert client.finish(client.assign("p")["id"])["result"]["text"] != first["result"]["text"]


def test_what_came_before_the_prompt_is_no_part_of_the_result(run):  # noqa: F811
    client, task = run(
        "# raw\nanswer(read()['id'], {'protocolVersion': 1})\n"
        "answer(read()['id'], {'sessionId': 's'})\n"
        "m = read(); assert m['method'] == 'session/set_mode'\n"
        "prompt = {'params': {'sessionId': 's'}}; say('Mode set. '); answer(m['id'], {})\n"
        "prompt = read(); say('PONG'); end()", runner={"mode": "plan"})
    assert task["result"]["text"] == "PONG"
    assert client.log(task["id"]) == ["Mode set. ", "PONG"]


def test_another_message_id_begins_another_message(run):  # noqa: F811
    client, task = run("say('One', messageId='a'); say(' two.', messageId='a')\n"
                       "say('Three', messageId='b'); say(' four.', messageId='b'); end()")
    assert task["result"]["text"] == "Three four."
    assert client.log(task["id"]) == ["One two.", "Three four."]


def test_a_question_can_be_withdrawn(make_daemon):
    daemon = make_daemon(agent(
        "ask(3); time.sleep(0.3)\n"
        "send(method='$/cancel_request', params={'requestId': 3}); a = read()\n"
        "say(json.dumps(a['result'])); sleep_for_ever()", runner={"stallTimeout": 1}))
    with daemon.client() as client:
        id = client.assign("p")["id"]
        wait_until(client.list_permissions)
        wait_until(lambda: not client.list_permissions())
        wait_until(lambda: client.task(id)["error"])  # the clocks continue
        assert client.task(id)["error"]["class"] == "stall"
        assert '{"outcome": {"outcome": "cancelled"}}' in client.log(id)
        answered, = [entry for entry in entries(client, id)
                     if "answeredBy" in entry.get("permission", {})]
        assert answered["permission"]["answeredBy"] == "the agent, which withdrew it"


CONFIG = {"sessionId": "s", "configOptions": [
    {"id": "the-mode", "category": "mode", "currentValue": "ask", "options": [{"value": "plan"}]},
    {"id": "llm", "category": "model", "currentValue": "a", "options": [{"value": "b"}]},
    {"id": "model", "category": "other", "options": []},
    {"id": "web", "options": []}]}


def test_options_are_found_by_category_then_by_id(make_daemon, folder):
    record = folder / "record"
    daemon = make_daemon(agent("end()", env={
        "ACPD_TEST_RECORD": str(record), "ACPD_TEST_SESSION": json.dumps(CONFIG)},
        runner={"model": "b", "mode": "plan", "options": {"web": "on"}}))
    with daemon.client() as client:
        task = client.finish(client.assign("p", model="c", options={"web": "off"})["id"])
        assert task["status"] == "completed", task["error"]
        assert (task["model"], task["mode"], task["options"]) == ("c", None, {"web": "off"})
    sent = [json.loads(line) for line in record.read_text().splitlines()]
    assert [(m["params"]["configId"], m["params"]["value"]) for m in sent
            if m["method"] == "session/set_config_option"] == [
        ("llm", "c"), ("the-mode", "plan"), ("web", "off")]


@pytest.mark.parametrize("task, field", [
    ({"options": {"a": 1}}, "task.options.a"), ({"options": []}, "task.options"),
    ({"options": {"a": "x" * 257}}, "task.options.a"), ({"model": ""}, "task.model"),
    ({"mode": "x" * 257}, "task.mode")])
def test_bad_options_of_a_task_are_named(client, task, field):
    from acpd import RpcError

    with pytest.raises(RpcError) as refused:
        client.assign("p", **task)
    assert (refused.value.code, refused.value.data["field"]) == (-32602, field)


SERVERS = [{"type": "http", "name": "h", "url": "http://127.0.0.1:1/mcp", "headers": {"K": "V"}},
           {"name": "m", "command": "/bin/m"}]


def test_mcp_servers_over_http(run, folder):  # noqa: F811
    record = folder / "record"
    client, task = run("end()", runner={"mcpServers": SERVERS}, env={
        "ACPD_TEST_RECORD": str(record),
        "ACPD_TEST_AGENT": json.dumps({"agentCapabilities": {"mcpCapabilities": {"http": True}}})})
    assert task["status"] == "completed", task["error"]
    opened = [json.loads(line) for line in record.read_text().splitlines()][1]
    assert opened["params"]["mcpServers"] == [
        {"type": "http", "name": "h", "url": "http://127.0.0.1:1/mcp",
         "headers": [{"name": "K", "value": "V"}]},
        {"name": "m", "command": "/bin/m", "args": [], "env": []}]


def test_an_agent_without_http_is_not_given_such_servers(run):  # noqa: F811
    client, task = run("end()", runner={"mcpServers": SERVERS})
    assert task["error"] == {"class": "invalid",
                             "message": 'the agent does not support MCP servers of type "http"'}


@pytest.mark.parametrize("session, runner, says", [
    ({"sessionId": "s", "modes": {"currentModeId": "auto", "availableModes": []}}, {}, True),
    ({"sessionId": "s", "modes": {"currentModeId": "default", "availableModes": []}}, {}, False),
    ({"sessionId": "s", "modes": {"currentModeId": "default"}}, {"mode": "yolo"}, True),
    ({"sessionId": "s", "modes": {"currentModeId": "auto"}}, {"mode": "default"}, False),
    ({"sessionId": "s", "configOptions": [
        {"id": "m", "category": "mode", "currentValue": "bypassPermissions"}]}, {}, True),
    ({"sessionId": "s"}, {}, False)])
def test_a_mode_that_does_not_ask_is_told_at_the_start(run, session, runner, says):  # noqa: F811
    client, task = run("say('hello'); end()", runner=runner,
                       env={"ACPD_TEST_SESSION": json.dumps(session)})
    first = entries(client, task["id"])[0]
    assert (first["stream"] == "acpd" and "act without asking" in first["text"]) == says


CHOICES = {
    "three": [{"optionId": name, "name": name, "kind": "allow_once"}
              for name in ("Alpha", "Bravo", "Charlie")],
    "unknown": [{"optionId": "go", "name": "Go", "kind": "proceed"},
                {"optionId": "stop", "name": "Stop", "kind": "halt"}],
}


@pytest.mark.parametrize("options", CHOICES.values(), ids=CHOICES)
def test_a_choice_is_a_persons(make_daemon, options):
    daemon = make_daemon(agent(f"ask(options={options!r}); a = read(); say(json.dumps(a['result'])); end()",
                               runner={"permissions": "allow"}))
    with daemon.client() as client:
        id = client.assign("p")["id"]
        question, = wait_until(client.list_permissions)
        client.answer_permission(id=question["id"], optionId=options[1]["optionId"])
        assert options[1]["optionId"] in client.finish(id)["result"]["text"]


@pytest.mark.parametrize("options, chosen", [
    (["allow_always", "allow_once", "reject_once"], "1"), (["allow_always", "reject_once"], "0")])
def test_one_way_to_allow_is_taken(run, options, chosen):  # noqa: F811
    options = [{"optionId": str(i), "name": kind, "kind": kind} for i, kind in enumerate(options)]
    client, task = run(f"ask(options={options!r}); a = read(); say(json.dumps(a['result'])); end()",
                       runner={"permissions": "allow"})
    assert json.loads(task["result"]["text"])["outcome"]["optionId"] == chosen


def test_noise_counts_in_a_row(run):  # noqa: F811
    client, task = run("for i in range(11):\n raw('no message\\n' * 100)\n say('x')\nend()")
    assert task["status"] == "completed", task["error"]


def test_an_id_that_comes_back_as_a_text_is_the_same(run):  # noqa: F811
    client, task = run("say('hello'); answer(str(prompt['id']), {'stopReason': 'end_turn'}); sleep_for_ever()")
    assert task["status"] == "completed" and task["result"]["text"] == "hello"


def test_a_text_with_a_nul_stays_whole(run):  # noqa: F811
    client, task = run("say('before\\0after'); end()")
    assert task["result"]["text"] == "before\0after"
    entry, = entries(client, task["id"])
    assert entry["text"] == entry["update"]["content"]["text"] == "before\0after"


def test_numbers_of_an_agent_are_kept_whatever_their_length(run):  # noqa: F811
    client, task = run("note('tool_call', toolCallId='t', title='count', status='completed', "
                       "rawOutput=123456789012345678901)\nsay('done')\nend(usage={'n': 10 ** 30, 'm': -2 ** 64})")
    assert task["status"] == "completed" and task["result"]["text"] == "done"
    assert task["result"]["usage"] == {"n": 10 ** 30, "m": -2 ** 64}
    called, said = entries(client, task["id"])
    assert called["update"]["rawOutput"] == 123456789012345678901 and said["text"] == "done"


def read_log(client, id):
    """The whole log, read page by page, as by a user who follows it."""
    after, found = 0, []
    while True:
        page = client.get_task_log(id=id, after=after)
        if page["next"] == after:
            return found
        found += page["entries"]
        after = page["next"]


def test_a_large_message_is_in_the_log_in_pieces(run):  # noqa: F811
    client, task = run("say('ä' * 600000); end()", )
    log = read_log(client, task["id"])
    assert "".join(entry["text"] for entry in log) == "ä" * 600000
    assert max(len(json.dumps(entry)) for entry in log) < 65536


def test_an_entry_is_bounded_and_says_that_it_was_cut(run):  # noqa: F811
    options = ("[{'optionId': str(i), 'name': 'x' * 20000, 'kind': 'allow_once'} for i in range(64)]")
    client, task = run(f"ask(options={options}); read(); say('done'); end()",
                       runner={"permissions": "reject"})
    assert task["status"] == "completed", task["error"]
    asked, said = read_log(client, task["id"])
    assert asked["truncated"] is True and asked["text"].startswith("permission for Do it")
    assert said["text"] == "done"


def test_an_entry_that_is_longer_than_a_page_is_stepped_over(run):  # noqa: F811
    """Earlier versions wrote such entries."""
    client, task = run("say('one'); end()")
    log = next(client.daemon.state.glob(f"logs/*/{task['id']}-1.jsonl"))
    long = json.dumps({"at": "2026-01-31T12:00:00.000Z", "stream": "stdout", "text": "x" * 3000000},
                      separators=(",", ":"))
    log.write_text(f'{log.read_text()}{long}\n{log.read_text()}')
    first, left_out, last = read_log(client, task["id"])
    assert first["text"] == last["text"] == "one"
    assert left_out == {"at": "2026-01-31T12:00:00.000Z", "stream": "acpd", "truncated": True,
                        "text": f"an entry of {len(long) + 1} bytes was omitted"}


@pytest.mark.parametrize("how", ["cancelled", "failed"])
def test_the_cost_of_a_turn_counts_however_it_ends(make_daemon, how):
    daemon = make_daemon(agent(
        "note('usage_update', used=1, size=2, cost={'amount': 0.25, 'currency': 'USD'})\n"
        + ("end('refusal')" if how == "failed" else "read(); end('cancelled', usage={'totalTokens': 7})")))
    with daemon.client() as client:
        id = client.assign("p")["id"]
        if how == "cancelled":
            wait_until(lambda: client.log(id))
            client.cancel_task(id=id)
        assert client.finish(id)["status"] == how
        wait_until(lambda: client.state("p")["currentTasks"] == 0 and not daemon.processes())
        cost = wait_until(lambda: client.get_profile_metrics(name="p")["cost"])
        assert cost == {"amount": 0.25, "currency": "USD", "source": "reported by the agent"}
        with contextlib.closing(daemon.database()) as database:
            rows = database.execute("SELECT cost, currency, usage FROM attempt").fetchall()
        assert rows == [(0.25, "USD", '{"totalTokens":7}' if how == "cancelled" else None)]
