# SPDX-License-Identifier: MIT
"""Classifying agents' errors: the class, the reason in words, and what to do."""

import json

import pytest

from acpd import shell, wait_until
from test_agents import agent, entries, run  # noqa: F401


def error_of(client, id):
    return wait_until(lambda: client.task(id)["error"], "the task has an error")


def tell(client, id):
    """The error of a single attempt, without retries."""
    error = error_of(client, id)
    client.update_profile_status(name="p", isActive=False)
    if client.task(id)["status"] not in ("failed", "cancelled"):
        client.cancel_task(id=id)
    return error


@pytest.fixture
def error(make_daemon):
    """The error of a task whose agent answers with this error."""
    def error(code, message, data=None, script=None, **settings):
        script = script or f"error(prompt['id'], {code!r}, {message!r}, data={data!r})"
        daemon = make_daemon(agent(script, **settings), killGrace=1)
        client = daemon.client()
        return tell(client, client.assign("p")["id"])

    return error


@pytest.mark.parametrize("code, message, data, error_class", [
    # Errors of the task itself, whatever numbers and words they contain.
    (-32603, "cannot parse notes.md, line 1429", None, "exit"),
    (-32603, "notes.md:429: unexpected token", None, "exit"),
    (-32603, "disk quota exceeded", None, "exit"),
    (-32603, "fork: Resource temporarily unavailable", None, "exit"),
    (-32603, "Internal error", {"requestId": "req_52913"}, "exit"),
    (-32603, "Internal error", {"requestId": 429}, "exit"),
    (-32603, "tool 'browser' is unavailable", None, "exit"),
    (-32603, "no such author: authentication.md", None, "exit"),
    (-32000, "Session not found", None, "exit"),
    (-32000, "the build failed", None, "exit"),
    (-32603, "x", 17, "exit"),
    (500, "Internal server error", None, "exit"),
    (-32603, "the test failed with exit status 429", None, "exit"),
    (-32603, "error: 429 tests failed", None, "exit"),
    (-32603, "429 files changed", None, "exit"),
    (-32603, "cannot open rate-limit.md", None, "exit"),
    (-32603, "the method authenticate is overloaded", None, "exit"),
    (-32603, "no such file: login.ts", None, "exit"),
    (-32603, "x", {"path": ["status", 429]}, "exit"),
    (-32603, "x", {"tool": {"status": "completed"}, "line": 429}, "exit"),
    # Providers' limits.
    (-32000, "You've hit your usage limit", None, "rate_limit"),
    (-32603, "API Error: 429 slow down", None, "rate_limit"),
    (-32603, "Request failed with status code 429", None, "rate_limit"),
    (-32603, "HTTP/1.1 429", None, "rate_limit"),
    (-32603, "429 Too Many Requests", None, "rate_limit"),
    (-32603, "x", {"statusCode": 429}, "rate_limit"),
    (-32603, "x", {"cause": {"status": 429}}, "rate_limit"),
    (-32603, "x", {"error": {"type": "rate_limit_error", "message": "slow"}}, "rate_limit"),
    (-32603, "x", '{"error":{"code":429,"status":"RESOURCE_EXHAUSTED"}}', "rate_limit"),
    (-32603, "You exceeded your current quota", None, "rate_limit"),
    (-32603, "x", {"status": "429"}, "rate_limit"),
    (-32603, "x", [{"error": {"code": 429}}], "rate_limit"),
    (-32603, 'API returned: {"error": {"type": "rate_limit_error"}}', None, "rate_limit"),
    (-32603, '429 {"error": {"message": "slow"}}', None, "rate_limit"),
    (-32603, "You've hit your limit · resets 3pm", None, "rate_limit"),
    (429, "x", None, "rate_limit"),
    # Temporary unavailability.
    (-32603, "x", {"type": "overloaded_error"}, "unavailable"),
    (-32603, "x", {"httpStatusCode": 503}, "unavailable"),
    (-32603, "503 Service Unavailable", None, "unavailable"),
    (-32603, "The model is overloaded", None, "unavailable"),
    (529, "x", None, "unavailable"),
    # No login.
    (-32603, "Authentication required", None, "auth"),
    (-32603, "x", "401 Unauthorized", "auth"),
    (-32603, "x", {"details": "API Error: 401 invalid x-api-key"}, "auth"),
    (-32000, "please sign in first", None, "auth"),
    (401, "x", None, "auth"),
    (403, "x", None, "auth"),
    # Structured data takes precedence over text.
    (-32603, "rate limit", {"status": 401}, "auth"),
])
def test_the_class_of_an_error(error, code, message, data, error_class):
    assert error(code, message, data)["class"] == error_class


@pytest.mark.parametrize("data, message", [
    ({"details": "the model fake-9 does not exist"},
     "Internal error: the model fake-9 does not exist (-32603)"),
    ({"message": "the model fake-9 does not exist", "requestId": "req_1"},
     "Internal error: the model fake-9 does not exist (-32603)"),
    ("the model fake-9 does not exist", "Internal error: the model fake-9 does not exist (-32603)"),
    ({"error": {"message": "the model fake-9 does not exist"}},
     "Internal error: the model fake-9 does not exist (-32603)"),
    ('{"error": {"message": "the model fake-9 does not exist"}}',
     "Internal error: the model fake-9 does not exist (-32603)"),
    ({"details": "Internal error"}, "Internal error (-32603)"),
    ({"requestId": "req_52913"}, "Internal error (-32603)"),
    (None, "Internal error (-32603)"),
])
def test_the_message_says_why(error, data, message):
    assert error(-32603, "Internal error", data)["message"] == (
        f"the agent answered session/prompt with an error: {message}")


def test_a_message_that_is_json_is_told_in_words(error):
    told = error(401, '{"error":{"code":401,"status":"UNAUTHENTICATED","message":"No such key."}}')
    assert told["class"] == "auth" and "requires a login (No such key. (401)): " in told["message"]


@pytest.mark.parametrize("data, seconds", [
    ({"retryAfter": 90}, 90), ({"headers": {"Retry-After": "80"}}, 80),
    ({"resets_in_seconds": 70.5}, 70.5), ({"error": {"details": [{"retryDelay": "60s"}]}}, 60),
    ({"retryAfter": "85s"}, 85), ({"retryAfter": 40, "headers": {"retry-after": ["75"]}}, 75),
    ({"retryAfter": "Fri, 31 Dec 2199 23:59:59 GMT"}, 100),
    ({"retryAfter": "Fri, 31 Dec 1999 23:59:59 GMT"}, 30),
    ({"retry_after": 1000000}, 100), ({"retryAfter": -5}, 30), ({"retryAfter": "soon"}, 30),
])
def test_a_provider_says_how_long_to_wait(make_daemon, data, seconds):
    daemon = make_daemon(agent(f"error(prompt['id'], 429, 'slow down', data={data!r})",
                               cooldown={"min": 30, "max": 100}))
    with daemon.client() as client:
        error_of(client, client.assign("p")["id"])
        wait_until(lambda: client.state("p")["healthReason"])
        assert f"cooling down for {seconds:g} s" in client.state("p")["healthReason"]


CODEX = ("note('session_info_update', _meta={'codex': {'error': {'message': 'stream error', "
         "'codexErrorInfo': {'responseTooManyFailedAttempts': {'httpStatusCode': %d}}}}})\n"
         "note('session_info_update', _meta={'codex': {'threadStatus': {'type': '%s'}}})\n"
         "end()")
CODEX_BESIDE = ("send(method='session/update', params={'sessionId': prompt['params']['sessionId'],\n"
                "     'update': {'sessionUpdate': 'session_info_update'}, '_meta': {'codex': {\n"
                "     'error': {'message': 'stream error'}, 'threadStatus': {'type': 'systemError'}}}})\n"
                "end()")


@pytest.mark.parametrize("script, error_class, words", [
    (CODEX % (429, "systemError"), "rate_limit", "its model failed: stream error"),
    (CODEX % (401, "systemError"), "auth", "stream error"),
    (CODEX_BESIDE, "exit", "its model failed: stream error"),
    ("say('Error: 429 Too Many Requests'); end()", "rate_limit", "429 Too Many Requests"),
    ("say('Error: Authentication required'); end()", "auth", "Authentication required"),
])
def test_an_end_of_turn_that_hides_a_failure(error, script, error_class, words):
    told = error(None, None, script=script)
    assert told["class"] == error_class and words in told["message"]


@pytest.mark.parametrize("script", [
    "say('Error: something odd'); end()", "say('Looking.'); say('Error: something odd'); end()"])
def test_copilot_tells_of_any_failure_in_words(error, script):
    told = error(None, None, script=script,
                 env={"ACPD_TEST_AGENT": '{"agentInfo": {"name": "copilot-cli"}}'})
    assert (told["class"], "something odd" in told["message"]) == ("exit", True)


@pytest.mark.parametrize("script", [
    CODEX % (429, "active") + "\n",                                   # the agent recovered
    "say('Error: is what the log says.'); end(usage={'totalTokens': 9})",
    "say('Error: line one\\n\\nand this is what it means'); end()",
    "say('The answer. Error: none'); end()",
    "say('Error: is the first word of the file that you asked about.'); end()",
])
def test_what_only_looks_like_a_failure_completes(run, script):  # noqa: F811
    client, task = run(script)
    assert task["status"] == "completed", task["error"]


OPTIONS = json.dumps({"sessionId": "s", "configOptions": [
    {"id": "m", "category": "model", "type": "select", "currentValue": "a",
     "options": [{"value": "a", "name": "A"}, {"group": "g", "options": [{"value": "b"}]}]},
    {"id": "thinking", "category": "thought_level", "options": [{"value": "low"}, {"value": "high"}]}]})
MODES = json.dumps({"sessionId": "s", "modes": {
    "currentModeId": "ask", "availableModes": [{"id": "ask"}, {"id": "plan"}]}})
REFUSES = ("# raw\nanswer(read()['id'], {'protocolVersion': 1})\n"
           "answer(read()['id'], json.loads(os.environ['ACPD_TEST_SESSION']))\n"
           "m = read(); error(m['id'], -32602, 'no such value'); sleep_for_ever()")


@pytest.mark.parametrize("session, runner, message", [
    (OPTIONS, {"model": "c"}, 'rejected session/set_config_option with model "c" (no such value); '
                              'it offers: a, b'),
    (OPTIONS, {"options": {"thought_level": "max"}},
     'rejected session/set_config_option with thought_level "max" (no such value); it offers: low, high'),
    (MODES, {"mode": "yolo"}, 'rejected session/set_mode with mode "yolo" (no such value); '
                              'it offers: ask, plan'),
    ('{"sessionId": "s"}', {"model": "c"}, 'rejected session/set_model with model "c"'),
])
def test_a_refused_setting_is_invalid_and_says_what_there_is(error, session, runner, message):
    told = error(None, None, script=REFUSES, env={"ACPD_TEST_SESSION": session}, runner=runner)
    assert told["class"] == "invalid" and message in told["message"]


def test_an_option_that_is_not_there_is_invalid(error):
    told = error(None, None, script="end()", env={"ACPD_TEST_SESSION": OPTIONS},
                 runner={"options": {"colour": "red"}})
    assert told == {"class": "invalid",
                    "message": 'the agent has no option "colour"; it offers: m, thinking'}


LOGIN = json.dumps({"authMethods": [
    {"id": "oauth", "name": "Browser", "description": "Log in with a browser"},
    {"id": "shell", "name": "Terminal", "type": "terminal"}]})


def test_auth_says_what_to_do(error):
    told = error(None, None, env={"ACPD_TEST_AGENT": LOGIN}, script=(
        "print('Starting.\\nOpen https://example.org/login?x=1 in a browser\\nWaiting.', "
        "file=sys.stderr, flush=True)\n"
        "error(prompt['id'], -32000, 'Authentication required'); read()"))
    assert told["class"] == "auth"
    assert told["message"] == (
        "the agent requires a login (Authentication required (-32000)): log in with the agent's "
        "own program (Terminal), or set runner.authMethod to one of (oauth, Browser: Log in with a "
        "browser); it wrote: Open https://example.org/login?x=1 in a browser")


def test_a_login_that_does_not_answer_is_auth(error):
    told = error(None, None, runner={"authMethod": "oauth", "startTimeout": 0.5}, script=(
        "# raw\nanswer(read()['id'], {'protocolVersion': 1})\n"
        "error(read()['id'], -32000, 'Authentication required')\n"
        "print('visit https://example.org/device', file=sys.stderr, flush=True); sleep_for_ever()"))
    assert told["class"] == "auth"
    assert "did not answer authenticate (oauth) within its startTimeout of 0.5 s" in told["message"]
    assert "https://example.org/device" in told["message"]


def test_a_prompt_that_asks_for_a_login_is_sent_again(run, folder):  # noqa: F811
    record = folder / "record"
    client, task = run(
        "error(prompt['id'], -32000, 'Authentication required')\n"
        "m = read(); assert m['method'] == 'authenticate', m; answer(m['id'], {})\n"
        "prompt = read(); assert prompt['method'] == 'session/prompt', prompt\n"
        "say('done'); end()",
        runner={"authMethod": "key"}, env={"ACPD_TEST_RECORD": str(record)})
    assert task["status"] == "completed" and task["result"]["text"] == "done"


@pytest.mark.parametrize("script, error_class, message", [
    ("echo one >&2; echo 'fatal: no such branch' >&2; echo '----' >&2; exit 3", "exit",
     "exited with status 3: fatal: no such branch"),
    ("printf '\\033[31merror:\\033[0m it broke\\033]0;title\\007\\n' >&2; exit 1", "exit",
     "exited with status 1: error: it broke"),
    ("printf '10 %%\\r20 %%\\rstopped at 20 %%\\n\\n' >&2; exit 1", "exit",
     "exited with status 1: stopped at 20 %"),
    ("printf 'Error: no such module\n    at load (x.js:1:2)\n  at main\n\nNode.js v20.1.0\n' >&2; "
     "exit 1", "exit", "exited with status 1: Error: no such module"),
    ("echo hello; exit 1", "exit", "exited with status 1"),
    ("echo going down >&2; kill -9 $$", "signal", "killed by signal 9 (Killed): going down"),
])
def test_a_command_says_why_it_failed(make_daemon, script, error_class, message):
    daemon = make_daemon(shell(script, retry={"maxAttempts": 1}))
    with daemon.client() as client:
        told = client.finish(client.assign("p")["id"])["error"]
        assert (told["class"], told["message"]) == (error_class, message)


def test_an_error_has_the_stderr_lines_of_stderr(make_daemon):
    daemon = make_daemon(shell("for i in $(seq 30); do printf '\\033[1mline %d\\033[0m\\n' $i >&2; done;"
                               "exit 1", retry={"maxAttempts": 1}),
                         shell("head -c 100000 /dev/zero | tr '\\0' x >&2; echo >&2; echo € >&2; exit 1",
                               "q", retry={"maxAttempts": 1}))
    with daemon.client() as client:
        id = client.assign("p")["id"]
        tail = client.finish(id)["error"]["tail"]
        assert tail == "\n".join(f"line {n}" for n in range(11, 31))
        # A later attempt replaces the error; a retried task has none.
        assert "error" in client.retry_task(id=id) and client.finish(id)["error"]["tail"] == tail
        tail = client.finish(client.assign("q")["id"])["error"]["tail"]
        assert tail.endswith("xxx\n€") and len(tail.encode()) <= 4096


def test_an_agent_that_dies_leaves_its_last_words(run):  # noqa: F811
    client, task = run("print('Segmentation fault in module x', file=sys.stderr, flush=True)\n"
                       "raw('{\"jsonrpc\": \"2.0\", \"error\": \"out of mem'); sys.exit(3)")
    assert task["error"]["class"] == "exit"
    assert task["error"]["message"] == (
        "the agent exited with status 3 during its turn: Segmentation fault in module x; its last, "
        'unfinished line: {"jsonrpc": "2.0", "error": "out of mem')
    assert task["error"]["tail"] == "Segmentation fault in module x"


@pytest.mark.parametrize("end", ["say('\\n'); end()", "end('cancelled')"])
def test_a_turn_that_stops_at_a_rejected_permission_is_a_refusal(run, end):  # noqa: F811
    client, task = run("say('I shall edit it.'); ask(title='Edit login.ts'); read()\n"
                       "note('tool_call_update', toolCallId='t0', status='failed')\n" + end,
                       runner={"permissions": "reject"})
    assert task["status"] == "failed" and task["error"] == {
        "class": "refusal",
        "message": "the agent stopped after a permission was rejected: Edit login.ts"}


@pytest.mark.parametrize("after", [
    "say('It was rejected, so I did it otherwise.')",
    "note('tool_call', toolCallId='other', title='Look', status='completed')",
    "note('tool_call_update', toolCallId='other', status='completed')",
    "ask(1, kind='read'); read()",
])
def test_a_turn_that_goes_on_after_a_rejection_completes(run, after):  # noqa: F811
    client, task = run(f"ask(); read(); {after}; end()", runner={"permissions": {"edit": "reject"}})
    assert task["status"] == "completed", task["error"]
    assert task["result"]["permissions"]["rejected"] == 1


def test_the_result_counts_permissions(run):  # noqa: F811
    client, task = run(
        "ask(0, kind='read'); read(); ask(1, kind='read'); read(); ask(2, kind='edit'); read()\n"
        "ask(3, kind='execute'); read(); say('done'); end()",
        runner={"permissions": {"edit": "reject", "execute": "ask"}, "permissionTimeout": 0.1})
    assert task["result"]["permissions"] == {"allowed": 2, "rejected": 1, "lapsed": 1}


@pytest.mark.parametrize("script, text", [
    # The agent separates its messages by ids: progress of a tool does not split one.
    ("say('one ', messageId='a'); note('tool_call', toolCallId='t', title='T')\n"
     "say('two', messageId='a')", "one two"),
    ("say('one', messageId='a'); say('two', messageId='b')", "two"),
    # Without ids, only the start of a tool call separates them.
    ("note('tool_call', toolCallId='t', title='T'); say('one ')\n"
     "note('tool_call_update', toolCallId='t', status='in_progress'); say('two')", "one two"),
    ("say('one'); note('tool_call', toolCallId='t', title='T'); say('two')", "two"),
    # An empty or blank last piece removes nothing.
    ("say('one'); note('tool_call', toolCallId='t', title='T'); say('')", "one"),
    ("say('one', messageId='a'); say('\\n', messageId='b')", "one"),
])
def test_the_result_is_the_last_message(run, script, text):  # noqa: F811
    client, task = run(f"{script}; end()")
    assert task["status"] == "completed" and task["result"]["text"] == text


def test_a_last_line_needs_no_newline(run):  # noqa: F811
    client, task = run("say('done'); sys.stdout.write(json.dumps({'jsonrpc': '2.0', 'id': prompt['id'], "
                       "'result': {'stopReason': 'end_turn'}})); sys.stdout.flush(); sys.exit(0)")
    assert task["status"] == "completed", task["error"]


def test_an_agent_is_heard_until_it_is_gone(run):  # noqa: F811
    """An agent that does not exit by itself may still send something when it is stopped."""
    client, task = run("import signal\n"
                       "def leave(*_): say('last words'); sys.exit(0)\n"
                       "signal.signal(signal.SIGTERM, leave); end(); sleep_for_ever()")
    assert task["status"] == "completed", task["error"]
    assert task["result"]["text"] == "last words"


def test_a_rejection_without_an_option_for_it_is_one(run):  # noqa: F811
    client, task = run("ask(options=[{'optionId': 'y', 'kind': 'allow_once', 'name': 'Yes'}])\n"
                       "m = read(); assert m['result']['outcome']['outcome'] == 'cancelled', m\n"
                       "end('cancelled')", runner={"permissions": "reject"})
    assert task["error"]["class"] == "refusal", task
