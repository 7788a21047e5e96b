# SPDX-License-Identifier: MIT
"""
A language model that follows a script: an HTTP server on the loopback interface with the APIs that
agents use (OpenAI's chat completions and responses, Anthropic's messages, Gemini's generateContent),
streaming or not. The last `scene:WORD` of a user decides:

  say     answers "PONG 2" to the second scene of a conversation
  write   calls a tool that writes out.txt, then answers "DONE"
  build   calls a shell command that is silent for 40 seconds, then answers "DONE", or the output of
          the command if it did not end well
  wait    never answers
  limit   429
  hiccup  429 to the first request, then as `say`
  login   401
"""

import json
import re
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

NAME = "scripted-1"
SCENE = re.compile(r"scene:([a-z]+)")
FILE = "out.txt"
TEXT = "hello\n"
SILENCE = 40  # seconds
WRITE = f"echo hello > {FILE}"
# Not `sleep`, which some agents remove from commands. The command does not contain its output.
BUILD = f"python3 -c 'import time; time.sleep({SILENCE})'; printf bu%s ilt"

# The tools of agents, and their arguments. The first one that is offered is called.
WRITERS = {
    "Write": lambda path: {"file_path": path, "content": TEXT},
    "write_file": lambda path: {"file_path": path, "content": TEXT},
    "write": lambda path: {"filePath": path, "path": path, "content": TEXT},
    "create": lambda path: {"path": path, "file_text": TEXT},
    "write_to_file": lambda path: {"path": path, "absolutePath": path, "content": TEXT},
    "editor": lambda path: {"path": path, "new_text": TEXT},
    "save-file": lambda path: {"path": path, "file_content": TEXT},
}
SHELLS = {
    "Bash": lambda line: {"command": line, "description": "Run it", "timeout": 300000},
    "run_shell_command": lambda line: {"command": line, "description": "Run it",
                                       "is_background": False},
    "bash": lambda line: {"command": line, "description": "Run it", "initial_wait": 120,
                          "mode": "sync"},
    "exec_command": lambda line: {"cmd": line, "yield_time_ms": 120000,
                                  "sandbox_permissions": "require_escalated",
                                  "justification": "May I?"},
    "shell_command": lambda line: {"command": line, "timeout_ms": 120000},
    "shell": lambda line: {"command": ["bash", "-c", line], "timeout_ms": 120000},
    "execute_command": lambda line: {"command": line, "requires_approval": True},
    "run_commands": lambda line: {"commands": [line]},
    "launch-process": lambda line: {"command": line, "wait": True, "max_wait_seconds": 120,
                                    "cwd": "."},
}


def words(text):
    return re.findall(r"\S+\s*", text)


def text_of(content):
    """The text of a text or of an array of blocks."""
    if isinstance(content, list):
        return " ".join(block.get("text") or "" for block in content if isinstance(block, dict))
    return content or ""


class Answer:
    """The answer of the model: a text, or a tool call."""

    def __init__(self, text=None, tool=None, arguments=None):
        self.text = text
        self.tool = tool
        self.arguments = arguments
        self.number = time.monotonic_ns() // 1000

    @property
    def call_id(self):
        return f"call_{self.number}"


class Chat:
    """OpenAI's chat completions."""

    path = re.compile(r"/chat/completions$")

    @staticmethod
    def items(body):
        for message in body.get("messages", []):
            yield message["role"], text_of(message.get("content"))

    @staticmethod
    def tools(body):
        return [tool["function"]["name"] for tool in body.get("tools") or [] if "function" in tool]

    errors = {
        429: {"error": {"message": "Rate limit reached for scripted-1 on requests per min (RPM): "
                                   "Limit 3, Used 3, Requested 1. Please try again in 1s.",
                        "type": "requests", "param": None, "code": "rate_limit_exceeded"}},
        401: {"error": {"message": "Incorrect API key provided: scripted.", "param": None,
                        "type": "invalid_request_error", "code": "invalid_api_key"}},
    }

    @staticmethod
    def whole(answer, body):
        message = {"role": "assistant", "content": answer.text}
        if answer.tool:
            message["tool_calls"] = Chat.calls(answer)
        return {"id": "chat", "object": "chat.completion", "created": 1, "model": NAME,
                "choices": [{"index": 0, "message": message, "finish_reason": Chat.finish(answer)}],
                "usage": Chat.usage}

    usage = {"prompt_tokens": 20, "completion_tokens": 7, "total_tokens": 27}

    @staticmethod
    def calls(answer):
        return [{"index": 0, "id": answer.call_id, "type": "function", "function": {
            "name": answer.tool, "arguments": json.dumps(answer.arguments)}}]

    @staticmethod
    def finish(answer):
        return "tool_calls" if answer.tool else "stop"

    @staticmethod
    def events(answer, body):
        def chunk(*choices, **more):
            return None, {"id": "chat", "object": "chat.completion.chunk", "created": 1,
                          "model": NAME, "choices": list(choices), **more}

        def delta(finish=None, **delta):
            return {"index": 0, "delta": delta, "finish_reason": finish}

        yield chunk(delta(role="assistant", content=""))
        if answer.tool:
            yield chunk(delta(tool_calls=Chat.calls(answer)))
        else:
            for word in words(answer.text):
                yield chunk(delta(content=word))
        yield chunk(delta(Chat.finish(answer)))
        yield chunk(usage=Chat.usage)
        yield None, "[DONE]"


class Responses:
    """OpenAI's responses."""

    path = re.compile(r"/responses$")

    @staticmethod
    def items(body):
        items = body.get("input", [])
        if isinstance(items, str):
            items = [{"role": "user", "content": items}]
        for item in items:
            if item.get("type", "message") == "message":
                yield item.get("role"), text_of(item.get("content"))
            elif item["type"].endswith("_output"):
                yield "tool", json.dumps(item.get("output"))

    @staticmethod
    def tools(body):
        return [tool.get("name") or tool.get("type") for tool in body.get("tools") or []]

    errors = Chat.errors

    @staticmethod
    def item(answer):
        if answer.tool:
            return {"type": "function_call", "id": "item", "call_id": answer.call_id,
                    "name": answer.tool, "arguments": json.dumps(answer.arguments),
                    "status": "completed"}
        return {"type": "message", "id": "item", "role": "assistant", "status": "completed",
                "content": [{"type": "output_text", "text": answer.text, "annotations": []}]}

    @staticmethod
    def whole(answer, body):
        return {"id": f"resp_{answer.number}", "object": "response", "status": "completed",
                "created_at": 1, "model": NAME, "output": [Responses.item(answer)],
                "usage": {"input_tokens": 20, "input_tokens_details": {"cached_tokens": 0},
                          "output_tokens": 7, "output_tokens_details": {"reasoning_tokens": 0},
                          "total_tokens": 27}}

    @staticmethod
    def events(answer, body):
        def event(type, **more):
            return f"response.{type}", {"type": f"response.{type}", **more}

        whole, item = Responses.whole(answer, body), Responses.item(answer)
        place = {"output_index": 0}
        yield event("created", response={**whole, "status": "in_progress", "output": [],
                                         "usage": None})
        empty = {} if answer.tool else {"content": []}
        yield event("output_item.added", item={**item, "status": "in_progress", **empty}, **place)
        for word in words(answer.text or ""):
            yield event("output_text.delta", item_id="item", content_index=0, delta=word, **place)
        yield event("output_item.done", item=item, **place)
        yield event("completed", response=whole)


class Messages:
    """Anthropic's messages."""

    path = re.compile(r"/messages$")

    @staticmethod
    def items(body):
        for message in body.get("messages", []):
            content = message["content"]
            if isinstance(content, str):
                content = [{"type": "text", "text": content}]
            for block in content:
                if block.get("type") == "text":
                    yield message["role"], block["text"]
                elif block.get("type") == "tool_result":
                    yield "tool", json.dumps(block.get("content"))

    @staticmethod
    def tools(body):
        return [tool["name"] for tool in body.get("tools") or [] if "name" in tool]

    errors = {
        429: {"type": "error", "error": {
            "type": "rate_limit_error",
            "message": "This request would exceed your organization's rate limit."}},
        401: {"type": "error", "error": {"type": "authentication_error",
                                         "message": "invalid x-api-key"}},
    }

    @staticmethod
    def content(answer):
        if answer.tool:
            return {"type": "tool_use", "id": answer.call_id, "name": answer.tool,
                    "input": answer.arguments}
        return {"type": "text", "text": answer.text}

    @staticmethod
    def stop(answer):
        return "tool_use" if answer.tool else "end_turn"

    @staticmethod
    def whole(answer, body):
        return {"id": f"msg_{answer.number}", "type": "message", "role": "assistant",
                "model": body.get("model", NAME), "content": [Messages.content(answer)],
                "stop_reason": Messages.stop(answer), "stop_sequence": None,
                "usage": {"input_tokens": 20, "output_tokens": 7, "cache_read_input_tokens": 0,
                          "cache_creation_input_tokens": 0}}

    @staticmethod
    def events(answer, body):
        def event(type, **more):
            return type, {"type": type, **more}

        def delta(type, name, value):
            return event("content_block_delta", index=0, delta={"type": type, name: value})

        yield event("message_start", message={**Messages.whole(answer, body), "content": [],
                                              "stop_reason": None})
        empty = {"input": {}} if answer.tool else {"text": ""}
        yield event("content_block_start", index=0,
                    content_block={**Messages.content(answer), **empty})
        if answer.tool:
            yield delta("input_json_delta", "partial_json", json.dumps(answer.arguments))
        for word in words(answer.text or ""):
            yield delta("text_delta", "text", word)
        yield event("content_block_stop", index=0)
        yield event("message_delta", usage={"output_tokens": 7},
                    delta={"stop_reason": Messages.stop(answer), "stop_sequence": None})
        yield event("message_stop")


class Gemini:
    """Gemini's generateContent."""

    path = re.compile(r":(streamGenerateContent|generateContent)$")

    @staticmethod
    def items(body):
        for message in body.get("contents", []):
            for part in message.get("parts", []):
                if "text" in part:
                    yield message.get("role", "user"), part["text"]
                elif "functionResponse" in part:
                    yield "tool", json.dumps(part["functionResponse"])

    @staticmethod
    def tools(body):
        return [function["name"] for tool in body.get("tools") or []
                for function in tool.get("functionDeclarations", [])]

    errors = {
        429: {"error": {"code": 429, "status": "RESOURCE_EXHAUSTED",
                        "message": "Resource has been exhausted (e.g. check quota)."}},
        401: {"error": {"code": 401, "status": "UNAUTHENTICATED",
                        "message": "Request had invalid authentication credentials."}},
    }

    @staticmethod
    def whole(answer, body):
        part = {"text": answer.text}
        if answer.tool:
            part = {"functionCall": {"name": answer.tool, "args": answer.arguments}}
        return Gemini.piece(part, finishReason="STOP")

    @staticmethod
    def piece(part, **more):
        return {"candidates": [{"index": 0, "content": {"role": "model", "parts": [part]}, **more}],
                "modelVersion": NAME, "usageMetadata": {
                    "promptTokenCount": 20, "candidatesTokenCount": 7, "totalTokenCount": 27}}

    @staticmethod
    def events(answer, body):
        if answer.tool:
            yield None, Gemini.whole(answer, body)
            return
        for word in words(answer.text):
            yield None, Gemini.piece({"text": word})
        yield None, Gemini.piece({"text": ""}, finishReason="STOP")


INTERFACES = [Chat, Responses, Messages, Gemini]
ERRORS = {"limit": 429, "hiccup": 429, "login": 401}


def scene_of(items):
    """The last scene, the number of scenes, and the output of tools since the last one, or None."""
    scene, count, output = "say", 0, None
    for role, text in items:
        for match in SCENE.finditer(text) if role == "user" else ():
            scene, count, output = match[1], count + 1, None
        if role == "tool":
            output = (output or "") + text
    return scene, count, output


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def send_json(self, status, body, **headers):
        data = json.dumps(body).encode()
        self.send_response(status)
        headers = {"content-type": "application/json", "content-length": str(len(data)), **headers}
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def send_events(self, events):
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("connection", "close")
        self.end_headers()
        self.close_connection = True
        for name, data in events:
            data = data if isinstance(data, str) else json.dumps(data)
            self.wfile.write(f"event: {name}\n".encode() if name else b"")
            self.wfile.write(f"data: {data}\n\n".encode())
            self.wfile.flush()

    def read_body(self):
        if "chunked" not in self.headers.get("transfer-encoding", ""):
            return self.rfile.read(int(self.headers.get("content-length") or 0))
        data = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            data += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return data

    def do_HEAD(self):
        self.send_json(200, {})

    def do_GET(self):
        self.send_json(200 if "models" in self.path else 404, {
            "object": "list", "models": [],
            "data": [{"id": NAME, "object": "model", "type": "model", "display_name": "Scripted",
                      "created": 1, "owned_by": "nobody"}]})

    def do_POST(self):
        raw, path = self.read_body(), self.path.split("?")[0]
        try:
            body = json.loads(raw or b"{}")
        except ValueError:
            return self.send_json(400, {"error": {"message": "the body is not valid JSON"}})
        if re.search(r"count_?tokens$", path, re.I):
            return self.send_json(200, {"input_tokens": 20, "totalTokens": 20})
        for interface in INTERFACES:
            if interface.path.search(path):
                try:
                    return self.answer(interface, body, path)
                except ConnectionError:
                    return None  # the agent was cancelled
        return self.send_json(404, {"error": {"message": f"there is no {path}"}})

    def answer(self, interface, body, path):
        scene, count, output = scene_of(interface.items(body))
        tools = interface.tools(body)
        self.server.heard(scene, interface.__name__, path, tools)
        is_first = sum(request[0] == scene for request in self.server.requests) == 1
        if scene in ERRORS and (scene != "hiccup" or is_first):
            status = ERRORS[scene]
            more = {"retry-after": "1"} if status == 429 else {}
            return self.send_json(status, interface.errors[status], **more)
        if scene == "wait":
            self.server.closing.wait()
            return None
        answer = self.choose(scene, count, output, tools, body)
        if body.get("stream") or path.endswith("streamGenerateContent"):
            return self.send_events(interface.events(answer, body))
        return self.send_json(200, interface.whole(answer, body))

    def choose(self, scene, count, output, tools, body):
        if (body.get("generationConfig") or {}).get("responseMimeType") == "application/json":
            # gemini asks which model to use
            return Answer(json.dumps({"reasoning": "", "model_choice": "flash",
                                      "complexity_reasoning": "", "complexity_score": 10}))
        if output is not None and scene == "build" and "built" not in output:
            running = re.findall("running with session ID ([0-9]+)", output)
            if running and "write_stdin" in tools:  # codex waits for 30 seconds, then asks again
                return Answer(tool="write_stdin", arguments={
                    "session_id": int(running[-1]), "chars": "", "yield_time_ms": 30000})
            return Answer(output)
        if output is not None:
            return Answer("DONE")
        wanted = {"write": {**WRITERS, **SHELLS}, "build": SHELLS}.get(scene, {})
        for name, arguments in wanted.items():
            if name in tools:
                line = BUILD if scene == "build" else WRITE
                what = line if name in SHELLS else f"{self.server.folder}/{FILE}"
                return Answer(tool=name, arguments=arguments(what))
        return Answer(f"PONG {count}")


class Model(ThreadingHTTPServer):
    """Serves on a free port while its context is entered."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, folder):
        super().__init__(("127.0.0.1", 0), Handler)
        self.folder = folder  # where files are written
        self.closing = threading.Event()
        self.requests = []  # (scene, interface, path, tools)
        self.url = f"http://127.0.0.1:{self.server_port}"

    def heard(self, *request):
        self.requests.append(request)

    def handle_error(self, *_):
        pass  # agents hang up at any time

    def __enter__(self):
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.closing.set()
        self.shutdown()
        self.server_close()
