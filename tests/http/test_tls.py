# SPDX-License-Identifier: MIT
"""HTTPS: its files, its versions, and that no plain HTTP is served."""

import contextlib
import shutil
import socket
import ssl
import subprocess

import pytest

import acpd
from acpd import BUILD, DEADLINE, TOKEN, token_file, wait_until

ON = '{"isActive": true}'
HSTS = "strict-transport-security"


class Authority:
    """Issues certificates into a folder."""

    def __init__(self, folder):
        self.folder = folder
        self.config = folder / "openssl.cnf"
        self.config.write_text("[req]\ndistinguished_name = dn\n[dn]\n")

    def issue(self, name, issuer=None, is_ca=False):
        """The paths of a certificate, self-signed or by an issuer, and its key."""
        cert, key = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        by = ["-CA", issuer[0], "-CAkey", issuer[1]] if issuer else []
        subprocess.run(
            ["openssl", "req", "-x509", "-config", self.config, "-newkey", "ec", "-pkeyopt",
             "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key, "-out", cert, "-days", "2",
             "-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost",
             "-addext", f"basicConstraints=critical,CA:{'TRUE' if is_ca else 'FALSE'}", *by],
            check=True, capture_output=True, timeout=60)
        for file in (cert, key):
            file.chmod(0o600)
        return cert, key


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def pair(authority):
    return authority.issue("own")


def trusting(cert):
    return ssl.create_default_context(cafile=cert)


def options(pair):
    return ["--tls-cert", pair[0], "--tls-key", pair[1]]


@pytest.fixture
def secure(daemon, make_gateway, pair):
    return make_gateway(daemon, *options(pair), tls=trusting(pair[0]))


def test_everything_is_there_by_https(secure, client):
    own = {"Origin": secure.url, "Content-Type": None}
    answers = [secure.get("/profiles"), secure.get("/"), secure.get("/api/health"),
               secure.get("/nothing"), secure.get("/api/nothing"), secure.request("HEAD", "/metrics"),
               secure.get("/api/health", headers={"Host": "evil.example"}),
               secure.request("HEAD", "/api/events"), secure.post("/api/tasks", "x"),
               secure.put("/api/profiles/p/status", ON, headers=own)]
    assert [answer.status for answer in answers] == [200, 302, 200, 404, 404, 200, 403, 200, 400, 200]
    assert client.state("p")["isActive"] is True
    for answer in answers:
        assert answer.headers[HSTS] == "max-age=31536000", answer


def test_without_tls_nothing_is_said_of_it(gateway):
    assert HSTS not in gateway.get("/profiles").headers


def test_the_page_of_http_is_another_origin(secure, client):
    for origin in (f"http://{secure.host}", f"https://127.0.0.1:{secure.port + 1}"):
        secure.put("/api/profiles/p/status", ON, headers={"Origin": origin}).error(403)
    assert client.state("p")["isActive"] is False


def test_events_come_by_https_too(secure, client):
    connection = secure.connect()
    connection.request("GET", "/api/events")
    stream = connection.getresponse()
    assert stream.status == 200 and stream.getheader(HSTS)
    id = client.assign("p")["id"]
    while f'"id":{id},'.encode() not in stream.readline():
        pass
    assert secure.stop() == 0
    assert stream.read() is not None, "it ended, and was not cut"
    connection.close()


def test_a_large_body_comes_by_https_too(secure):
    body = b" " * ((16 << 20) - len(ON)) + ON.encode()
    assert secure.put("/api/profiles/p/status", body).status == 200


def test_idle_connections_give_way_to_those_that_are_silent_in_the_handshake(secure):
    """And those keep no one out."""
    secure.disconnect()
    with contextlib.ExitStack() as stack:
        kept = [stack.enter_context(contextlib.closing(secure.connect())) for _ in range(300)]
        for connection in kept:
            assert secure.request("GET", "/api/health", connection=connection).status == 200
        silent = [stack.enter_context(secure.raw()) for _ in range(500)]
        assert secure.is_answering()
        assert not all(raw.is_closed() for raw in silent), "a newcomer need not wait until they give up"


def test_tokens_work_by_https_too(daemon, make_gateway, pair, folder):
    gateway = make_gateway(daemon, *options(pair), "--token-file", token_file(folder),
                           tls=trusting(pair[0]))
    gateway.get("/api/health").error(401)
    assert gateway.get("/api/health",
                       headers={"Authorization": f"Bearer {TOKEN}"}).status == 200


def test_plain_http_is_not_spoken_there(secure):
    with secure.raw() as raw:
        raw.send(f"GET /api/health HTTP/1.1\r\nHost: {secure.host}\r\n\r\n")
        while raw.more():
            pass
        assert b"HTTP" not in raw.received
    assert secure.is_answering()


@pytest.mark.parametrize("version, is_taken", [
    (ssl.TLSVersion.TLSv1, False), (ssl.TLSVersion.TLSv1_1, False),
    (ssl.TLSVersion.TLSv1_2, True), (ssl.TLSVersion.TLSv1_3, True)])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_tls_is_1_2_or_newer(secure, pair, version, is_taken):
    secure.tls = trusting(pair[0])
    secure.tls.set_ciphers("ALL:@SECLEVEL=0")  # this client accepts anything
    secure.tls.minimum_version = secure.tls.maximum_version = version
    if is_taken:
        assert secure.is_answering()
        return
    with pytest.raises(ssl.SSLError):
        secure.is_answering()


def test_the_file_may_hold_a_chain(daemon, make_gateway, authority):
    root = authority.issue("root", is_ca=True)
    middle = authority.issue("middle", root, is_ca=True)
    leaf = authority.issue("leaf", middle)
    chain = authority.folder / "chain.pem"
    chain.write_text(leaf[0].read_text() + middle[0].read_text())
    gateway = make_gateway(daemon, *options((chain, leaf[1])), tls=trusting(root[0]))
    assert gateway.is_answering()
    alone = make_gateway(daemon, *options(leaf), tls=trusting(root[0]))
    with pytest.raises(ssl.SSLCertVerificationError):
        alone.is_answering()


def bad_files(authority, folder):
    """Cases: their files and the expected messages."""
    good = authority.issue("good")
    other = authority.issue("other")
    nothing, garbage, hollow = folder / "nothing.pem", folder / "garbage.pem", folder / "hollow.pem"
    garbage.write_bytes(bytes(range(256)) * 10)
    hollow.write_text("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n")
    for file in (garbage, hollow):
        file.chmod(0o600)
    locked, opened = folder / "locked.key", folder / "opened.key"
    subprocess.run(["openssl", "pkey", "-in", good[1], "-out", locked, "-aes128", "-passout",
                    "pass:x"], check=True, capture_output=True, timeout=60)
    shutil.copy(good[1], opened)
    opened.chmod(0o644)
    return [
        (nothing, good[1], "cannot read"), (good[0], nothing, "cannot read"),
        (garbage, good[1], "contains no certificate"), (good[0], garbage, "contains no private key"),
        (good[1], good[1], "contains no certificate"), (good[0], good[0], "contains no private key"),
        (hollow, good[1], "cannot use --tls-cert"), (good[0], other[1], "key values mismatch"),
        (good[0], locked, "is encrypted"), (good[0], opened, "is open to every user"),
    ]


def refusal(gateway):
    """Its message when it does not start."""
    gateway.spawn()
    assert gateway.process.wait(DEADLINE) == 1
    return gateway.new_log()


def test_files_that_are_no_good_are_refused_at_the_start(daemon, make_gateway, authority, folder):
    for cert, key, message in bad_files(authority, folder):
        log = refusal(make_gateway(daemon, *options((cert, key)), start=False))
        assert message in log and "ready" not in log, (cert, key)
        assert "BEGIN" not in log


def test_one_file_without_the_other_is_refused(daemon, make_gateway, pair):
    for some in (options(pair)[:2], options(pair)[2:]):
        assert "must be given together" in refusal(make_gateway(daemon, *some, start=False))


def test_without_openssl_it_says_what_to_install(daemon, make_gateway, pair, folder, monkeypatch):
    monkeypatch.setattr(acpd, "GATEWAY", shutil.copy(acpd.GATEWAY, folder / "alone"))
    page = ["--dashboard", BUILD / "dashboard/dist"]
    assert "libssl3" in refusal(make_gateway(daemon, *page, *options(pair), start=False))
    assert make_gateway(daemon, *page).is_answering(), "HTTP needs none of it"


# Hostile clients.


def test_broken_handshakes_harm_nobody(secure, pair):
    hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"
    for garbage in (b"", b"\x16", hello, hello + b"\0" * 509, b"\xff" * 5000, b"GET / HTTP/1.1\r\n\r\n"):
        for _ in range(20):
            with secure.raw() as raw:
                raw.send(garbage)
    for _ in range(20):  # a client that trusts nobody aborts the handshake
        with pytest.raises(ssl.SSLError), secure.raw() as raw:
            ssl.create_default_context().wrap_socket(raw.socket, server_hostname="127.0.0.1")
    for _ in range(20):  # a whole handshake, then no close_notify
        with secure.raw() as raw:
            trusting(pair[0]).wrap_socket(raw.socket, server_hostname="127.0.0.1").detach()
    assert secure.is_answering()
    assert len(secure.new_log().splitlines()) == 1, "they do not fill the log"


def test_a_silent_handshake_is_ended(secure):
    with contextlib.ExitStack() as stack:
        silent = [stack.enter_context(secure.raw()) for _ in range(100)]
        assert secure.is_answering(), "they keep nobody out"
        for raw in silent:
            while raw.more():
                pass


def test_an_open_connection_does_not_hold_the_end_up(secure):
    assert secure.is_answering()
    with socket.create_connection(("127.0.0.1", secure.port)):
        assert secure.get("/profiles").status == 200
        connection, secure.connection = secure.connection, None
        assert secure.stop() == 0
        connection.close()
    wait_until(lambda: "stopped" in secure.new_log())
