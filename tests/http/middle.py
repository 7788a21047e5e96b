# SPDX-License-Identifier: MIT
"""A man in the middle between a gateway and its daemon, for tests of misbehaviour of both."""

import json
import socket
import threading


class Middle:
    """Listens in place of the daemon and records the calls. `decide(call, forward)` returns the reply, or
    None to close the connection; `forward()` returns the daemon's reply."""

    def __init__(self, path, daemon, decide):
        self.socket = path
        self.daemon = daemon
        self.decide = decide
        self.calls = []  # methods
        self.requests = []
        self.connections = []
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(str(path))
        self.listener.listen(100)
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections.append(connection)
            threading.Thread(target=self.serve, args=[connection], daemon=True).start()

    def forward(self, line):
        with self.daemon.client() as client:
            client.send(line)
            return client.line() + b"\n"

    def serve(self, connection):
        with connection, connection.makefile("rb") as lines:
            try:
                for line in lines:
                    call = json.loads(line)
                    self.calls.append(call["method"])
                    self.requests.append(call)
                    reply = self.decide(call, lambda: self.forward(line))
                    if reply is None:
                        connection.shutdown(socket.SHUT_RDWR)
                        return
                    connection.sendall(reply)
            except OSError:
                pass

    def close(self):
        for ending in [self.listener, *self.connections]:
            try:
                ending.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            ending.close()
