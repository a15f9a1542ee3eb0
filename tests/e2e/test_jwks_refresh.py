"""lark jwks-refresh: an issuer's keys, fetched, checked, and put into a file whole or not at all."""
import contextlib
import http.server
import json
import os
import ssl
import subprocess
import threading
import time

import pytest
import tls_host
from conftest import free_port, stop, wait_for
from serve_host import LARK, clean_environment, lark, pending

KEY = {"kty": "EC", "crv": "P-256", "kid": "one", "use": "sig", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
       "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}  # RFC 7515 appendix A.3
KEYS = json.dumps({"keys": [KEY]}).encode()
OLD = b"what was there"


class Documents:
    """A web server: pages[path] is (status, headers, body) or a function that answers by itself; asked: the paths, in order."""

    def __init__(self, pages=None, pair=None):
        self.pages, self.asked, outer = pages or {}, [], self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                outer.asked.append(self.path)
                page = outer.pages.get(self.path, (404, {}, b""))
                if callable(page):
                    return page(self)
                self.send_response(page[0])
                for name, value in {"Content-Length": str(len(page[2])), **page[1]}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(page[2])

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            def handle_error(self, *_):  # clients that leave are some of the tests
                pass

        self.server = Server(("127.0.0.1", free_port()), Handler)
        self.url = f"http{'s' if pair else ''}://localhost:{self.server.server_port}"
        if pair:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*pair)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=self.server.serve_forever, args=(0.01,)).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture(scope="module")
def authority():
    authority = tls_host.Authority()
    authority.pair = authority.issue("issuer", "DNS:localhost")
    yield authority
    authority.done()


@pytest.fixture
def web(authority):
    with Documents(pair=authority.pair) as documents:
        yield documents


@pytest.fixture
def out(tmp_path):
    path = tmp_path / "jwks.json"
    path.write_bytes(OLD)
    return path


def page(body, status=200, **headers):
    return status, headers, body


def once(*words):
    return lark("jwks-refresh", "--once", *words)


# --- what is fetched --------------------------------------------------------------------------------------------------

def test_a_good_answer_takes_the_place_of_the_file(web, authority, out):
    web.pages["/keys"] = page(KEYS)
    code, said, err = once("--url", f"{web.url}/keys", "--ca", authority.ca, "--out", out)
    assert (code, said, err) == (0, "", f"lark: 1 key from {web.url}/keys to {out}\n")
    assert out.read_bytes() == KEYS and out.stat().st_mode & 0o777 == 0o644
    assert [path.name for path in out.parent.iterdir()] == [out.name]


def test_a_file_that_was_not_there_is_made(web, authority, out):
    out.unlink()
    web.pages["/keys"] = page(KEYS)
    assert lark("jwks-refresh", "--once", "--url", f"{web.url}/keys", "--ca", authority.ca, "--out", out.name,
                cwd=out.parent)[0] == 0
    assert out.read_bytes() == KEYS


def test_http_from_loopback(out):
    with Documents({"/keys": page(KEYS)}) as web:
        for host in ("localhost", "127.0.0.1", "127.1.2.3"):
            out.write_bytes(OLD)
            url = web.url.replace("localhost", host) + "/keys"
            assert (once("--url", url, "--out", out)[0] == 0) == (host != "127.1.2.3"), host  # nobody listens there


def test_keys_that_cannot_be_used_are_told(web, authority, out):
    web.pages["/keys"] = page(json.dumps({"keys": [KEY, {"kty": "oct", "k": "AAAA", "kid": "two"}]}).encode())
    code, _, err = once("--url", f"{web.url}/keys", "--ca", authority.ca, "--out", out)
    assert code == 0 and 'key 2 (kid "two") is left out' in err and err.endswith(f"1 key from {web.url}/keys to {out}\n")


def test_redirects_are_followed_from_https_to_https(web, authority, out):
    web.pages["/keys"] = page(KEYS)
    for i, to in enumerate(["/keys", "/from0", "/from1"]):
        web.pages[f"/from{i}"] = page(b"", 302, Location=web.url + to)
    assert once("--url", f"{web.url}/from2", "--ca", authority.ca, "--out", out)[0] == 0
    assert out.read_bytes() == KEYS and web.asked == ["/from2", "/from1", "/from0", "/keys"]


# --- what is not ------------------------------------------------------------------------------------------------------

def silence(handler):
    handler.rfile.read(1)  # until the client leaves


def cut(handler):
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(KEYS)))
    handler.end_headers()
    handler.wfile.write(KEYS[:-5])


LARGE = KEYS + b" " * 65536
BAD_PAGES = {
    "an error": (page(KEYS, 500), "the answer is HTTP 500, expected 200"),
    "no content": (page(b"", 204), "the answer is HTTP 204, expected 200"),
    "no JSON": (page(b"<html>"), "not valid JSON"),
    "JSON twice": (page(KEYS + KEYS), "not valid JSON"),
    "no key set": (page(b'{"key": []}'), '"keys" is missing'),
    "no key": (page(b'{"keys": []}'), '"keys" is empty'),
    "no usable key": (page(b'{"keys": [{"kty": "oct", "k": "AAAA"}]}'), "none of its 1 keys can verify"),
    "too large": (page(LARGE), "more than 65536 bytes"),
    "too large, and does not say so": (lambda handler: handler.wfile.write(b"HTTP/1.0 200 OK\r\n\r\n" + LARGE),
                                       "more than 65536 bytes"),
    "cut": (cut, "transfer closed"),
    "silent": (silence, "timed out"),
    "to http": (page(b"", 302, Location="http://localhost:1/keys"), "Protocol \"http\""),
    "to a file": (page(b"", 302, Location="file:///etc/passwd"), "Protocol \"file\""),
    "round and round": (page(b"", 302, Location="/keys"), "Maximum (3) redirects followed"),
}


@pytest.mark.parametrize("what", BAD_PAGES)
def test_a_broken_answer_keeps_the_old_file(what, web, authority, out):
    web.pages["/keys"], why = BAD_PAGES[what]
    code, said, err = once("--url", f"{web.url}/keys", "--ca", authority.ca, "--out", out, "--timeout", "1")
    assert (code, said) == (1, "")
    err = err.splitlines(keepends=True)[-1]  # the keys that are left out stand before it
    assert err.startswith(f"lark: no keys from {web.url}/keys, what is in {out} stays: ") and why in err, err
    assert out.read_bytes() == OLD and [path.name for path in out.parent.iterdir()] == [out.name]


def test_a_certificate_that_is_not_trusted(web, authority, out):
    web.pages["/keys"] = page(KEYS)
    with contextlib.closing(contextlib.ExitStack()) as ends:
        other = tls_host.Authority()
        ends.callback(other.done)
        for words in ((), ("--ca", other.ca)):
            code, _, err = once("--url", f"{web.url}/keys", "--out", out, *words)
            assert code == 1 and "certificate" in err, err
        code, _, err = once("--url", web.url.replace("localhost", "127.0.0.1") + "/keys", "--ca", authority.ca, "--out", out)
        assert code == 1 and "127.0.0.1" in err.rsplit(": ", 1)[1], err
    assert out.read_bytes() == OLD and web.asked == []


def test_http_does_not_redirect(out):
    with Documents({"/keys": page(b"", 302, Location="/other"), "/other": page(KEYS)}) as web:
        code, _, err = once("--url", f"{web.url}/keys", "--out", out)
    assert code == 1 and "HTTP 302" in err and web.asked == ["/keys"]


@pytest.mark.parametrize("words, why", [
    ((), "needs one of --url and --issuer"),
    (("--url", "https://a/", "--issuer", "https://a"), "needs one of --url and --issuer"),
    (("--url", "https://a/"), "needs --out"),
    (("--url", "http://example.com/keys", "--out", "x"), "--url: expected a URL with https:// (http:// only to a loopback address), got"),
    (("--url", "http://127.0.0.1.example.com/", "--out", "x"), "expected a URL with https://"),
    (("--url", "http://0177.0.0.1.example/", "--out", "x"), "expected a URL with https://"),
    (("--url", "file:///etc/passwd", "--out", "x"), "--url: expected a URL"),
    (("--url", "keys.json", "--out", "x"), "--url: expected a URL"),
    (("--url", "https://ann:secret@a/", "--out", "x"), "--url: expected a URL without a user"),
    (("--issuer", "https://a/?x=y", "--out", "x"), "--issuer: expected a URL without a query"),
    (("--url", "https://a/", "--out", "x", "--interval", "0"), "--interval: expected whole seconds from 1 to 1800, got '0'"),
    (("--url", "https://a/", "--out", "x", "--interval", "1801"), "--interval: expected whole seconds from 1 to 1800"),
    (("--url", "https://a/", "--out", "x", "--timeout", "1s"), "--timeout: expected whole seconds from 1 to 60, got '1s'"),
    (("--url", "https://a/", "--out", "/nowhere/x"), "--out: the folder of /nowhere/x cannot be used: No such file"),
    (("--url", "https://a/", "--out", "/tmp/"), "--out: the folder of /tmp/ cannot be used"),
    (("--url",), "a value is missing behind --url"),
    (("--uri", "x"), "unexpected --uri"),
    (("x",), "unexpected 'x'"),
])
def test_wrong_words_are_one_line(words, why):
    code, said, err = once(*words)
    assert (code, said) == (1, "") and len(err.splitlines()) == 1 and why in err, err


# --- an issuer --------------------------------------------------------------------------------------------------------

OPENID, OAUTH = "/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"


@pytest.mark.parametrize("path, at", [("", OPENID), ("/", OPENID), ("/realms/a", "/realms/a" + OPENID), ("", OAUTH),
                                      ("/realms/a", OAUTH + "/realms/a")])
def test_an_issuer_says_where_its_keys_are(path, at, web, authority, out):
    issuer = web.url + path
    web.pages = {at: page(json.dumps({"issuer": issuer, "jwks_uri": f"{web.url}/keys"}).encode()), "/keys": page(KEYS)}
    code, _, err = once("--issuer", issuer, "--ca", authority.ca, "--out", out)
    assert code == 0 and out.read_bytes() == KEYS, (err, web.asked)


@pytest.mark.parametrize("document, why", [
    (lambda url: {"issuer": url + "/", "jwks_uri": url}, "to the byte"),
    (lambda url: {"jwks_uri": url}, "to the byte"),
    (lambda url: {"issuer": url}, 'its "jwks_uri": expected a URL'),
    (lambda url: {"issuer": url, "jwks_uri": "http://example.com/"}, 'its "jwks_uri": expected a URL with https://'),
    (lambda url: {"issuer": [url], "jwks_uri": url}, "to the byte"),
    (lambda url: [url], "no JSON object of an issuer's metadata"),
])
def test_metadata_that_is_not_the_issuers(document, why, web, authority, out):
    web.pages[OPENID] = page(json.dumps(document(web.url)).encode())
    code, _, err = once("--issuer", web.url, "--ca", authority.ca, "--out", out)
    assert code == 1 and why in err and web.url + OPENID in err and out.read_bytes() == OLD, err


# --- again and again --------------------------------------------------------------------------------------------------

@contextlib.contextmanager
def refreshing(*words):
    process = subprocess.Popen([LARK, "jwks-refresh", *map(str, words)], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE,
                               env=clean_environment())
    process.text = ""
    try:
        yield process
    finally:
        code = stop(process, "lark jwks-refresh")
        process.stderr.close()
        assert code == -15


def said(process):
    process.text += pending(process.stderr)
    return process.text


def test_again_after_the_interval_and_after_a_failure(web, authority, out):
    with refreshing("--url", f"{web.url}/keys", "--ca", authority.ca, "--out", out, "--interval", "1") as process:
        wait_for("a failure is told", lambda: "HTTP 404" in said(process))
        web.pages["/keys"] = page(KEYS)
        wait_for("the keys are there", lambda: out.read_bytes() == KEYS)
        wait_for("it is told", lambda: "1 key from" in said(process))
        more = json.dumps({"keys": [KEY], "more": 1}).encode()
        web.pages["/keys"] = page(more)
        wait_for("the next keys are there", lambda: out.read_bytes() == more)
        web.pages["/keys"] = page(b"nonsense")
        wait_for("the next failure is told", lambda: "not valid JSON" in said(process))
        assert out.read_bytes() == more and said(process).count("1 key from") == 1


def test_who_wants_new_keys_gets_them_at_once_but_not_always(web, authority, out):
    web.pages["/keys"] = page(KEYS)
    wanted = out.with_name(out.name + ".refresh-wanted")
    with refreshing("--url", f"{web.url}/keys", "--ca", authority.ca, "--out", out):
        wait_for("the keys are there", lambda: out.read_bytes() == KEYS)
        wanted.touch()
        wait_for("they are fetched again", lambda: len(web.asked) == 2)
        os.utime(wanted)
        wanted.write_bytes(b"x")
        time.sleep(1)
        assert len(web.asked) == 2  # the next wish is heard after 30 seconds
