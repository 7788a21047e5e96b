# SPDX-License-Identifier: MIT
"""The dashboard's files and pages."""

import gzip
import re
import subprocess

import pytest

PAGES = ["/profiles", "/profile-analytics", "/tasks", "/tasks/12", "/permissions"]
SCRIPT = "console.log('é');\n" * 1000


@pytest.fixture
def dashboard(folder):
    """A folder with every kind of file."""
    base = folder / "pages"
    (base / "assets").mkdir(parents=True)
    (base / "index.html").write_text("<!doctype html><title>mine</title>")
    (base / "assets" / "x-1a2b3c4d.js").write_text(SCRIPT)
    (base / "assets" / "x-1a2b3c4d.js.gz").write_bytes(gzip.compress(SCRIPT.encode()))
    (base / "assets" / "y-5e6f.css").write_text("a{}")
    (base / "assets" / "font-77.woff2").write_bytes(bytes(range(256)))
    (base / "favicon.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    (base / ".secret").write_text("hidden")
    (folder / "outside.txt").write_text("outside")
    return base


@pytest.fixture
def own(daemon, make_gateway, dashboard):
    return make_gateway(daemon, "--dashboard", dashboard)


def test_the_root_leads_to_the_first_page(gateway):
    answer = gateway.get("/")
    assert answer.status == 302 and answer.headers["location"] == "/profiles"
    assert "immutable" not in answer.headers.get("cache-control", "")


@pytest.mark.parametrize("path", PAGES)
def test_a_page_is_html_that_is_asked_for_again(gateway, path):
    answer = gateway.get(path)
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["cache-control"] == "no-cache"
    assert re.fullmatch(r'(W/)?"[!-~]+"', answer.headers["etag"])
    assert answer.body.lstrip().lower().startswith(b"<!doctype html>")
    assert gateway.get(path + "?range=24h").body == answer.body


@pytest.mark.parametrize("path", PAGES)
def test_all_that_a_page_names_is_there_and_its_own(gateway, path):
    page = gateway.get(path).body.decode()
    named = re.findall(r'(?:src|href)="([^"#]*)"', page)
    assert named
    for link in named:
        assert not link.startswith(("http:", "https:", "//", "data:")), link
        if not link.startswith("/"):
            link = "/" + link
        answer = gateway.get(link)
        assert answer.status == 200 or answer.headers.get("location"), link
        if link.endswith(".js"):
            assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
        if link.endswith(".css"):
            assert answer.headers["content-type"] == "text/css; charset=utf-8"
    # The policy forbids them.
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\son\w+=|\sstyle=", page)


@pytest.mark.parametrize("path", [*PAGES, "/assets/x-1a2b3c4d.js", "/favicon.svg"])
def test_what_a_browser_has_is_not_sent_again(own, path):
    first = own.get(path)
    etag = first.headers["etag"]
    for known in (etag, f'"other", {etag}', "*"):
        again = own.get(path, headers={"If-None-Match": known})
        assert again.status == 304 and again.body == b"", known
        assert again.headers["etag"] == etag
        assert again.headers["cache-control"] == first.headers["cache-control"]
        assert again.headers.get("vary") == first.headers.get("vary")
    assert own.request("HEAD", path, headers={"If-None-Match": etag}).status == 304
    for known in ('"other"', "", "nonsense", etag.strip('"')[:-1]):
        assert own.get(path, headers={"If-None-Match": known}).body == first.body, known


def test_a_changed_page_has_another_etag(daemon, make_gateway, dashboard):
    old = make_gateway(daemon, "--dashboard", dashboard).get("/profiles")
    (dashboard / "index.html").write_text("<!doctype html><title>new</title>")
    new = make_gateway(daemon, "--dashboard", dashboard).get(
        "/profiles", headers={"If-None-Match": old.headers["etag"]})
    assert new.status == 200 and b"new" in new.body
    assert new.headers["etag"] != old.headers["etag"]


def test_hashed_files_may_be_kept_for_ever_and_others_may_not(own):
    for path, kind in (("/assets/x-1a2b3c4d.js", "text/javascript; charset=utf-8"),
                       ("/assets/y-5e6f.css", "text/css; charset=utf-8"),
                       ("/assets/font-77.woff2", "font/woff2")):
        answer = own.get(path)
        assert answer.status == 200 and answer.headers["content-type"] == kind
        assert "immutable" in answer.headers["cache-control"]
        assert int(re.search(r"max-age=(\d+)", answer.headers["cache-control"])[1]) >= 31536000
    for path in ("/favicon.svg", "/index.html", "/profiles"):
        assert own.get(path).headers["cache-control"] == "no-cache", path
    assert own.get("/assets/font-77.woff2").body == bytes(range(256))


def test_gzip_goes_to_who_takes_it(own):
    path = "/assets/x-1a2b3c4d.js"
    plain = own.get(path, headers={"Accept-Encoding": "identity"})
    assert plain.body == SCRIPT.encode() and "content-encoding" not in plain.headers
    packed = own.get(path, headers={"Accept-Encoding": "br, gzip, deflate"})
    assert packed.headers["content-encoding"] == "gzip"
    assert gzip.decompress(packed.body) == SCRIPT.encode() and len(packed.body) < len(plain.body)
    assert packed.headers["content-type"] == plain.headers["content-type"]
    assert packed.headers["cache-control"] == plain.headers["cache-control"]
    assert packed.headers["etag"] != plain.headers["etag"], "they are two representations"
    for answer in (plain, packed):
        assert "accept-encoding" in answer.headers["vary"].lower()
    for refused in ("gzip;q=0", "br, gzip; q=0.0", "gzip;q=0, *;q=0", "xgzip"):
        answer = own.get(path, headers={"Accept-Encoding": refused})
        assert answer.body == SCRIPT.encode(), refused
        assert "content-encoding" not in answer.headers
    assert "content-encoding" not in own.get("/assets/y-5e6f.css",
                                             headers={"Accept-Encoding": "gzip"}).headers


def test_curl_unpacks_what_it_gets(own):
    run = subprocess.run(["curl", "-sS", "--compressed", f"{own.url}/assets/x-1a2b3c4d.js"],
                         capture_output=True, timeout=60)
    assert run.stdout.decode() == SCRIPT


@pytest.mark.parametrize("path", ["/none.js", "/assets/none.js", "/assets/", "/assets", "/.secret",
                                  "/assets/..", "/../outside.txt", "/%2e%2e/outside.txt",
                                  "/assets/..%2f..%2foutside.txt", "//favicon.svg", "/favicon.svg/",
                                  "/favicon.svg%00.js", "/favicon.svg%20", "/profiles/", "/Profiles",
                                  "/etc/passwd"])
def test_there_is_nothing_else(own, path):
    with own.raw() as raw:
        raw.send(f"GET {path} HTTP/1.1\r\nHost: {own.host}\r\nConnection: close\r\n\r\n")
        assert raw.answer().status in (400, 404)


def test_files_are_kept_in_memory(own, dashboard):
    for file in sorted(dashboard.rglob("*"), reverse=True):
        file.rmdir() if file.is_dir() else file.unlink()
    assert own.get("/assets/x-1a2b3c4d.js").body == SCRIPT.encode()
    assert b"mine" in own.get("/profiles").body


@pytest.mark.parametrize("case", ["none", "no index", "file", "unreadable name"])
def test_without_a_dashboard_it_does_not_start_and_says_why(daemon, make_gateway, folder, case):
    path = folder / "missing"
    if case == "no index":
        path.mkdir()
    elif case == "file":
        path.write_text("x")
    elif case == "unreadable name":
        path = folder / "a" / "b\nc"
    gateway = make_gateway(daemon, "--dashboard", path, start=False).spawn()
    assert gateway.process.wait(60) not in (0, -6, -11)
    assert "dashboard" in gateway.new_log() and "acp-gateway error" in gateway.new_log()
    if case != "unreadable name":
        assert str(path) in gateway.new_log()
