# SPDX-License-Identifier: MIT
"""Contents of bodies: what is rejected, and what is returned unchanged."""

import pytest


@pytest.mark.parametrize("body, word", [
    ("nonsense", "JSON"), ("{", "JSON"), ('{"isActive":true}}', "JSON"), ("{'isActive':true}", "JSON"),
    ('{"isActive":true,}', "JSON"), ('{"isActive":NaN}', "JSON"), ('{"isActive":01}', "JSON"),
    (b'{"isActive":"\xff"}', "JSON"), (b'{"\xc0\xaf":true}', "JSON"), (b"\xef\xbb\xbf{}", "JSON"),
    (b'{"isActive":true,"a":"\x00"}', "JSON"), ("[" * 100000, "JSON"),
    ('{"isActive":1e400}', "JSON"),
    ("[true]", "object"), ("true", "object"), ("null", "object"), ('"isActive"', "object"),
])
def test_a_body_that_is_no_json_object_is_refused(gateway, client, body, word):
    error = gateway.put("/api/profiles/p/status", body).error(400)
    assert word in error["error"] and error["code"] in (-32700, -32600)
    assert client.state("p")["isActive"] is False


def test_white_space_alone_or_around_a_body(gateway, client):
    assert gateway.put("/api/profiles/p/status", " \r\n{\"isActive\" : true}\t\n").status == 200
    assert client.state("p")["isActive"] is True


# Formatted as by json-c, so it must be returned unchanged.
NESTED = ('{"deep":' + "[" * 40 + '{"a":{}}' + "]" * 40 + ',"numbers":[0,-1,0.10,1e-7,2.50E+3,'
          '9223372036854775807,-9223372036854775808,18446744073709551615,1.0,'
          '18446744073709551616,-9223372036854775809,12345678901234567890123,'
          '3.141592653589793238],"text":"é漢😀\\u0000\\"\\\\\\n\\u001f</script>","":null,'
          '"ключ":[true,false,null,[],{},""]}')


def test_what_is_handed_in_comes_back_byte_for_byte(gateway, client):
    body = '{"task":{"title":"t","input":%s}}' % NESTED
    answer = gateway.post("/api/profiles/p/assign-task", body)
    assert answer.status == 201, answer
    wanted = b'"input":' + NESTED.encode()
    assert wanted in answer.body
    assert wanted in gateway.get("/api/tasks/1").body
    client.send_call("get_task", id=1)
    assert wanted in client.line(), "the daemon was given it so"
    client.send(('{"jsonrpc":"2.0","id":9,"method":"assign_task_to_profile","params":'
                 '{"name":"p","task":{"title":"t","input":%s}}}\n' % NESTED))
    client.line()
    assert wanted in gateway.get("/api/tasks/2").body, "from the socket too"


def test_a_mebibyte_of_input_both_ways(gateway, client):
    given = "é" * (1024 * 512 - 10)
    answer = gateway.post("/api/profiles/p/assign-task", {"task": {"title": "t", "input": given}})
    assert answer.status == 201 and answer.json["task"]["input"] == given
    assert gateway.get("/api/tasks/1").json["input"] == given
    assert client.task(1)["input"] == given
    too_much = {"task": {"title": "t", "input": "x" * (1 << 20)}}
    error = gateway.post("/api/profiles/p/assign-task", too_much).error(400, -32602)
    assert error["data"]["field"] == "task.input"


@pytest.mark.parametrize("mebibytes", [5, 9, 15])
def test_more_than_the_daemon_takes_is_refused_for_its_size(gateway, client, mebibytes):
    """Between the limits of gateway and daemon: the answer must not be "may have been done"."""
    body = {"task": {"title": "t", "input": "x" * (mebibytes << 20)}}
    for _ in range(3):
        answer = gateway.post("/api/profiles/p/assign-task", body)
        assert answer.status in (400, 413), answer
        assert gateway.get("/api/health").status == 200
    assert client.state("p")["queueSize"] == 0


def test_a_chunked_body_is_a_body(gateway, client):
    def pieces():
        yield b'{"isAct'
        yield b'ive":'
        yield b"true}"

    connection = gateway.connect()
    connection.request("PUT", "/api/profiles/p/status", pieces(),
                       {"Content-Type": "application/json", "Transfer-Encoding": "chunked"},
                       encode_chunked=True)
    assert connection.getresponse().status == 200
    connection.close()
    assert client.state("p")["isActive"] is True
