"""How an issuer is asked: how often, what an answer is, and who goes on meanwhile. The issuer is a server of the test's own, on a
loopback address; tokens are made by npm's jose."""
import asyncio
import base64
import collections
import hashlib
import http.server
import json
import logging
import os
import threading
import time
import urllib.parse

import jwt_tokens
import lark_redis
import pytest
from conftest import wait_for
from lark_redis import AnyOf, BadCredentials, OAuth, Request, SettingError, TokensFile, asgi, fetch, keys, oauth
from oauth_hosts import asgi_request

if os.environ.get("LARK_PYTHON_SET") == "oldest":
    pytest.skip("nothing here depends on a framework", allow_module_level=True)

GOOD = {"active": True, "sub": "bob", "scope": "read:get", "client_id": "app"}


class Issuer:
    """answers: path -> (status, body, headers) or a function that handles it; asked: what came, by path."""

    def __init__(self):
        self.answers, self.asked, owner = {}, collections.defaultdict(list), self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                owner.asked[self.path].append((dict(self.headers), body))
                answer = owner.answers.get(self.path, (404, b"", {}))
                if callable(answer):
                    answer = answer()
                status, body, headers = answer
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                try:
                    self.wfile.write(body)
                except OSError:
                    pass

            do_POST = do_GET

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def says(self, path, value, status=200, **headers):
        self.answers[path] = (status, value if isinstance(value, bytes) else json.dumps(value).encode(), headers)

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def issuer():
    issuer = Issuer()
    yield issuer
    issuer.stop()


@pytest.fixture(scope="module")
def maker():
    maker = jwt_tokens.Maker()
    yield maker
    maker.stop()


@pytest.fixture
def asking(issuer, tmp_path):
    """An OAuth that introspects at /ask."""
    return OAuth(**asking_settings(issuer, tmp_path))


def asking_settings(issuer, folder):
    (folder / "secret").write_text("p:w d\nignored\n")
    return {"issuer": issuer.url, "audience": "lark", "introspect": issuer.url + "/ask", "client": "me", "client_secret_file": folder / "secret"}


def bearer(token):
    return Request("GET", b"/", {"authorization": f"Bearer {token}"})


def code(source, token):
    try:
        return source(bearer(token)).name
    except BadCredentials as error:
        return error.error


AWAY, BAD, UNKNOWN = lark_redis._core.ISSUER_AWAY, lark_redis._core.BAD_CREDENTIALS, lark_redis._core.UNKNOWN_KEY


# --- introspection ----------------------------------------------------------------------------------------------------

def test_the_question(issuer, asking):
    issuer.says("/ask", GOOD)
    assert asking(bearer("a+b/c=")).name == "bob"
    [(headers, body)] = issuer.asked["/ask"]
    assert urllib.parse.parse_qs(body.decode()) == {"token": ["a+b/c="], "token_type_hint": ["access_token"]}
    assert base64.b64decode(headers["Authorization"].removeprefix("Basic ")) == b"me:p%3Aw%20d"
    assert headers["Content-Type"] == "application/x-www-form-urlencoded" and headers["Accept"] == "application/json"


def test_answers_are_kept(issuer, asking):
    issuer.says("/ask", GOOD)
    assert {code(asking, "good") for _ in range(5)} == {"bob"} and len(issuer.asked["/ask"]) == 1
    issuer.says("/ask", {"active": False})
    assert {code(asking, "bad") for _ in range(5)} == {BAD} and len(issuer.asked["/ask"]) == 2
    assert code(asking, "good") == "bob"


@pytest.mark.parametrize("status, body, headers", [
    (500, GOOD, {}), (201, GOOD, {}), (401, b"", {}), (302, b"", {"Location": "/other"}), (200, b"", {}), (200, b"no json", {}),
    (200, [GOOD], {}), (200, {"sub": "bob"}, {}), (200, {**GOOD, "active": "true"}, {}), (200, {**GOOD, "x": "y" * 65536}, {}),
    (200, b"{", {"Content-Length": "99"})])
def test_what_is_no_answer_is_503_and_not_kept(issuer, asking, caplog, status, body, headers):
    issuer.says("/ask", body, status, **headers)
    issuer.says("/other", GOOD)
    if "Content-Length" in headers:
        issuer.server.RequestHandlerClass.close_connection = True
    assert code(asking, "x") == AWAY and "/ask" in caplog.text and "x" not in [r.message for r in caplog.records]
    assert not issuer.asked["/other"]
    issuer.says("/ask", GOOD)
    assert code(asking, "x") == "bob"


@pytest.mark.parametrize("claims, expected", [
    ({"aud": "other"}, BAD), ({"iss": "https://other.example"}, BAD), ({"exp": 1}, BAD), ({"nbf": 1 << 33}, BAD), ({"aud": ["x", "lark"]}, "bob")])
def test_claims_of_an_answer(issuer, asking, claims, expected):
    issuer.says("/ask", {**GOOD, **claims})
    assert code(asking, "x") == expected


def test_the_event_loop_goes_on(issuer, tmp_path):
    """One request waits for an issuer that says nothing; the next one is answered meanwhile."""
    asked, go_on = threading.Event(), threading.Event()

    def slow():
        asked.set()
        go_on.wait(20)
        return 200, json.dumps({"active": False}).encode(), {}

    issuer.answers["/ask"] = slow
    app = asgi.Lark(None, mount="/api/0", authenticate=OAuth(**asking_settings(issuer, tmp_path)))

    async def main():
        waiting = asyncio.ensure_future(asgi_request(app, "GET", "/api/0/GET/a/", {"Authorization": "Bearer x"}))
        while not asked.is_set():
            await asyncio.sleep(0.01)
        other = await asgi_request(app, "GET", "/api/0/GET/a/", {})
        done = waiting.done()
        go_on.set()
        return other[0], done, (await waiting)[0]

    assert asyncio.run(main()) == (401, False, 401)


def test_who_comes_while_many_wait_is_refused(issuer, tmp_path, monkeypatch):
    monkeypatch.setattr(oauth, "QUESTIONS_MAX", 1)
    asking, asked, go_on = OAuth(**asking_settings(issuer, tmp_path)), threading.Event(), threading.Event()

    def slow():
        asked.set()
        go_on.wait(20)
        return 200, json.dumps(GOOD).encode(), {}

    issuer.answers["/ask"] = slow
    got = []
    first = threading.Thread(target=lambda: got.append(code(asking, "x")))
    first.start()
    assert asked.wait(20) and code(asking, "y") == AWAY
    go_on.set()
    first.join()
    assert got == ["bob"] and code(asking, "y") == "bob"


# --- keys -------------------------------------------------------------------------------------------------------------

def fetching(issuer, **more):
    return OAuth(**{"issuer": jwt_tokens.ISSUER, "audience": jwt_tokens.AUDIENCE, "jwks": issuer.url + "/jwks", **more})


def test_unknown_keys_make_one_request_in_30_s(issuer, maker, monkeypatch):
    issuer.says("/jwks", maker.jwks("rsa"))
    source = fetching(issuer)
    assert code(source, maker.token()) == "ann" and len(issuer.asked["/jwks"]) == 1
    unknown = maker.token("ed")
    for _ in range(20):
        assert code(source, unknown) == UNKNOWN
    wait_for("one more", lambda: len(issuer.asked["/jwks"]) == 2)
    wait_for("it is done", lambda: not source._keys._busy.locked())
    issuer.says("/jwks", maker.jwks("rsa", "ed"))
    for _ in range(20):
        assert code(source, unknown) == UNKNOWN
    assert len(issuer.asked["/jwks"]) == 2
    source._keys._wish_from = time.monotonic()  # 30 seconds later
    assert code(source, unknown) == UNKNOWN
    wait_for("the new key is known", lambda: code(source, unknown) == "ann")


@pytest.mark.parametrize("status, body", [(500, b""), (200, b"no json"), (200, b'{"keys": []}'), (200, b" " * 70000), (302, b"")])
def test_broken_keys_leave_the_former_in_use(issuer, maker, caplog, status, body):
    issuer.says("/jwks", maker.jwks("rsa"))
    source = fetching(issuer)
    assert code(source, maker.token()) == "ann"
    issuer.says("/jwks", body, status, **({"Location": "/other"} if status == 302 else {}))
    source._keys._next = 0  # five minutes later
    assert code(source, maker.token(sub="bob")) == "bob", "nobody waits for the new ones"
    wait_for("it is told", lambda: "those that are there stay" in caplog.text)
    assert code(source, maker.token(sub="eve")) == "eve" and not issuer.asked["/other"]
    source._keys._fresh = time.monotonic() - 3600
    assert code(source, maker.token()) == AWAY, "an hour old"


def test_a_failure_is_not_repeated_at_once(issuer, maker):
    source, token = fetching(issuer), maker.token()
    assert {code(source, token) for _ in range(10)} == {AWAY} and len(issuer.asked["/jwks"]) == 1


@pytest.mark.parametrize("metadata, why", [
    ({"issuer": "https://other.example", "jwks_uri": "{}/jwks"}, "\"issuer\" is 'https://other.example', expected"),
    ({"issuer": "{}", "jwks_uri": "http://keys.example/jwks"}, "http:// only to a loopback address"),
    ({"issuer": "{}", "jwks_uri": 1}, "expected a URL"), ([], "no JSON object"), (b"x", "no JSON object")])
def test_metadata_that_are_wrong(issuer, maker, caplog, metadata, why):
    said = metadata if isinstance(metadata, bytes) else json.dumps(metadata).replace("{}", issuer.url).encode()
    issuer.says("/.well-known/openid-configuration", said)
    source = OAuth(issuer=issuer.url, audience=jwt_tokens.AUDIENCE)
    assert code(source, maker.token(iss=issuer.url)) == AWAY and why in caplog.text


def test_oauths_own_metadata(issuer, maker):
    name = issuer.url + "/realm"
    issuer.says("/.well-known/oauth-authorization-server/realm", {"issuer": name, "jwks_uri": issuer.url + "/jwks"})
    issuer.says("/jwks", maker.jwks("rsa"))
    assert code(OAuth(issuer=name, audience=jwt_tokens.AUDIENCE), maker.token(iss=name)) == "ann"
    assert "/realm/.well-known/openid-configuration" in issuer.asked


def test_after_a_fork(issuer, maker, tmp_path):
    """What a thread of the parent held is free in the child."""
    issuer.says("/jwks", maker.jwks("rsa"))
    source, token = fetching(issuer), maker.token()
    with source._keys._busy:
        child = os.fork()
        if child == 0:
            os._exit(0 if code(source, token) == "ann" else 1)
    assert os.waitpid(child, 0)[1] == 0


# --- beside other sources ---------------------------------------------------------------------------------------------

def test_a_tokens_file_beside_it(issuer, asking, tmp_path):
    """A token of the file is never shown to the issuer."""
    path = tmp_path / "tokens.json"
    path.write_text(json.dumps({"tokens": [
        {"name": "ci", "sha256": hashlib.sha256(b"secret").hexdigest(), "scopes": ["read:*"]},
        {"name": "old", "sha256": hashlib.sha256(b"late").hexdigest(), "scopes": ["read:*"], "expires": "2001-01-01T00:00:00Z"}]}))
    issuer.says("/ask", GOOD)
    both = AnyOf(TokensFile(path), asking)

    async def later(token):
        answer = await both.settled(bearer(token))
        return code(answer, token)

    for ask in (lambda token: code(both, token), lambda token: asyncio.run(later(token))):
        assert (ask("secret"), ask("late"), ask("lark_x_y"), ask("")) == ("ci", BAD, BAD, BAD)
        assert not issuer.asked
    assert both(Request("GET", b"/", {})) is None
    assert (code(both, "other"), asyncio.run(later("another"))) == ("bob", "bob")


# --- settings ---------------------------------------------------------------------------------------------------------

WHO = {"issuer": "https://i.example", "audience": "a"}


@pytest.mark.parametrize("given, why", [
    ({"issuer": "https://i.example"}, "issuer needs audience too"), ({"audience": "a"}, "audience needs issuer too"),
    ({"jwks": "k.json"}, "jwks needs issuer too"), ({**WHO, "introspect": "https://i.example/ask"}, "introspect needs client too"),
    ({**WHO, "client": "x"}, "client needs introspect too"), ({**WHO, "typ": "id"}, "typ must be at.jwt, jwt or any, got 'id'"),
    ({**WHO, "leeway": 61}, "leeway must be whole seconds from 0 to 60, got 61"), ({**WHO, "leeway": "5"}, "leeway must be"),
    ({**WHO, "issuer": 1}, "issuer must be text, got 1"), ({**WHO, "issuer": "i.example"}, "issuer: expected a URL"),
    ({**WHO, "issuer": "https://i.example?x"}, "issuer: expected a URL without a query"),
    ({**WHO, "jwks": "http://keys.example/"}, "jwks: expected a URL with https:// .*, got 'http://keys.example/'"),
    ({**WHO, "jwks": "https://u:p@keys.example/"}, "jwks: expected a URL without a user"),
    ({**WHO, "jwks": "ftp://keys.example/"}, "jwks: expected a URL with https://"),
    ({**WHO, "jwks": "file:///etc/passwd"}, "jwks: expected a URL"),
])
def test_settings_that_are_wrong(given, why):
    with pytest.raises(SettingError, match=why):
        oauth._check(given, str)
    names = {"LARK_OAUTH_" + keyword.upper(): value for keyword, value in given.items()}
    with pytest.raises(SettingError, match="LARK_OAUTH_"):
        oauth.sources(names.get)


def test_files_that_are_wrong(tmp_path):
    asks = {**WHO, "introspect": "https://i.example/ask", "client": "x", "client_secret_file": tmp_path / "secret"}
    with pytest.raises(OSError):
        OAuth(**asks)
    (tmp_path / "secret").write_text("\n")
    with pytest.raises(SettingError, match="secret: must have a secret as its first line"):
        OAuth(**asks)
    (tmp_path / "keys").write_text("{}")
    with pytest.raises(ValueError, match="keys: "):
        OAuth(**WHO, jwks=tmp_path / "keys")
    with pytest.raises(OSError):
        OAuth(**WHO, jwks="missing")
    with pytest.raises(OSError):
        OAuth(**WHO, ca=str(tmp_path / "none"))


@pytest.mark.parametrize("url, good", [
    ("https://a.example/x?y", True), ("http://localhost:1/", True), ("http://127.9.9.9/", True), ("http://[::1]:1/", True),
    ("http://127.0.0.1.example/", False), ("http://localhost.example/", False), ("http://10.0.0.1/", False), ("https://", False),
    ("https://a/#x", False), ("https://a b/", False), ("https://a\n/", False), ("https://[x/", False), ("https://a:x/", False)])
def test_where_from(url, good):
    assert (fetch.fault(url) is None) == good


def test_scopes_of_others_are_told(issuer, maker, caplog):
    issuer.says("/jwks", maker.jwks("rsa"))
    with caplog.at_level(logging.WARNING, "lark_redis"):
        assert code(fetching(issuer), maker.token(scope="read:get write:nothing")) == "ann"
    assert "write:nothing" in caplog.text


def test_constants_of_the_page():
    """docs/python.md names them."""
    assert (keys.EVERY_S, keys.WISH_S, keys.MAX_AGE_S, oauth.ANSWER_TIMEOUT_S) == (300, 30, 3600, 3)
