# SPDX-License-Identifier: MIT
"""Compares replies with acpd's own schemas: nothing may be missing or undeclared."""

import functools
import json
import re

import fastjsonschema


def closed(schema):
    """The schema without undeclared members: clients accept them, tests do not."""
    if isinstance(schema, list):
        return [closed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    schema = {key: closed(value) for key, value in schema.items()}
    if isinstance(schema.get("properties"), dict) and "type" in schema:
        schema.setdefault("additionalProperties", False)
    return schema


class Calls:
    """The calls of a connection, which identify the methods of its replies."""

    def __init__(self, schemas):
        self.schemas = schemas
        self.methods = {}  # by id; None if two calls used the id

    def note(self, data):
        """Notes calls, if the data consists of whole lines of valid ones."""
        for line in data.splitlines():
            try:
                calls = json.loads(line)
            except (ValueError, RecursionError):
                continue
            for call in calls if isinstance(calls, list) else [calls]:
                if isinstance(call, dict) and isinstance(call.get("id"), (int, str)):
                    method = call.get("method")
                    same = self.methods.setdefault(call["id"], method) == method
                    self.methods[call["id"]] = method if same else None

    def check(self, reply):
        for message in reply if isinstance(reply, list) else [reply]:
            id = message.get("id")
            self.schemas.check_message(message, self.methods.get(id) if isinstance(id, (int, str)) else None)


class Schemas:
    """The schemas in the documents of the build."""

    def __init__(self, folder):
        self.folder = folder

    @functools.cached_property
    def openrpc(self):
        return json.loads((self.folder / "openrpc.json").read_text())

    @functools.cached_property
    def openapi(self):
        return json.loads((self.folder / "openapi.json").read_text())

    @functools.cached_property
    def results(self):
        return {method["name"]: method["result"]["schema"] for method in self.openrpc["methods"]}

    @functools.cached_property
    def operations(self):
        """(verb, pattern of paths, operation)"""
        return [(verb.upper(), re.compile(re.sub("{[^}]+}", "[^/]+", path)), operation)
                for path, verbs in self.openapi["paths"].items() for verb, operation in verbs.items()]

    @functools.cached_property
    def validators(self):
        return {}

    def calls(self):
        return Calls(self)

    def check(self, document, name, schema, value):
        """Raises an error with the path to a mismatch."""
        key = id(document), name
        if key not in self.validators:
            whole = closed({**schema, "components": document["components"]})
            self.validators[key] = fastjsonschema.compile(whole)
        try:
            self.validators[key](value)
        except fastjsonschema.JsonSchemaException as error:
            raise AssertionError(f"{name} is not as declared: {error.message}\n{json.dumps(value)[:2000]}") from None

    def check_named(self, document, name, value):
        self.check(document, name, {"$ref": f"#/components/schemas/{name}"}, value)

    def check_message(self, message, method=None):
        """Checks a message of the socket, a reply to this method if known."""
        if "error" in message:
            self.check_named(self.openrpc, "Error", message["error"])
        elif message.get("method") == "event":
            self.check_named(self.openrpc, "Event", message["params"])
        elif method in self.results:
            self.check(self.openrpc, method, self.results[method], message["result"])

    def check_answer(self, verb, path, status, type, body):
        """Checks an HTTP answer."""
        if status >= 400:
            if type == "application/json":
                self.check_named(self.openapi, "Error", json.loads(body))
            return
        for known, pattern, operation in self.operations:
            if known != verb or not pattern.fullmatch(path.partition("?")[0]):
                continue
            content = operation["responses"][str(status)]["content"]
            if type == "application/json":
                self.check(self.openapi, operation["operationId"], content[type]["schema"], json.loads(body))
            else:
                assert type.partition(";")[0] in content, (path, type)
            return
