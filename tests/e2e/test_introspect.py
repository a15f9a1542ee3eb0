"""lark_oauth_introspect: what nginx asks, and answers that are none. The issuer is a web server of the test's own."""
import base64
import concurrent.futures
import contextlib
import http.server
import json
import socket
import threading
import time
import urllib.parse

import http_raw
import nginx_host
import pytest
from conftest import free_port, wait_for
from test_blocking import frame

ISSUER, AUDIENCE = "https://issuer.example", "https://lark.example"
SERVER = """
location = /introspect {{
    internal;
    proxy_pass http://127.0.0.1:{port}/introspect;
    proxy_http_version 1.1;
    proxy_method POST;
    proxy_pass_request_headers off;
    proxy_pass_request_body off;
    proxy_set_header Authorization $lark_introspect_authorization;
    proxy_set_header Content-Type application/x-www-form-urlencoded;
    proxy_set_body $lark_introspect_body;
    proxy_read_timeout 1s;
    proxy_ignore_client_abort on;
    proxy_max_temp_file_size 0;
}}
location = /open {{ return 200 "[$lark_introspect_body$lark_introspect_authorization]"; }}
"""
OAUTH = f"lark_oauth_issuer {ISSUER}; lark_oauth_audience {AUDIENCE}; lark_oauth_introspect /introspect"


class Issuer:
    """claims: what it says of any token, a dict; or bytes, sent as they are; or a function of the handler. asked: (headers, form)
    of each question, in order."""

    def __init__(self):
        self.asked, self.claims, self.code, outer = [], {"active": False}, 200, self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.asked.append((self.headers, body))
                if callable(outer.claims):
                    return outer.claims(self)
                answer = outer.claims if isinstance(outer.claims, bytes) else json.dumps(outer.claims).encode()
                self.send_response(outer.code)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            request_queue_size = 100

            def handle_error(self, *_):  # nginx leaves what takes too long
                pass

        self.server = Server(("127.0.0.1", free_port()), Handler)
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, args=(0.01,)).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture(scope="module")
def secret(tmp_path_factory):
    path = tmp_path_factory.mktemp("introspect") / "secret"
    path.write_text("a b&c\nmore\n")
    return path


@pytest.fixture(scope="module")
def web(secret):
    issuer = Issuer()
    settings = {"server": SERVER.format(port=issuer.port), "scopes": "",
                "location": f'{OAUTH} client=id:1 secret_file={secret};'}
    with contextlib.closing(contextlib.ExitStack()) as ends, nginx_host.serving(**settings) as nginx:
        ends.callback(issuer.stop)
        nginx.issuer = issuer
        nginx.allowed = "lark_oauth_introspect"
        yield nginx


@pytest.fixture(autouse=True)
def fresh(web):
    web.issuer.asked.clear()
    web.issuer.code, web.issuer.claims = 200, good()


def good(**claims):
    return {"active": True, "sub": "ann", "scope": "read:get write:set", **claims}


N = iter(range(10 ** 6))


def token():
    return f"opaque-{next(N)}"


def call(web, token, verb="GET", path="/GET/k/", body=None, client=None):
    return (client or web).request(verb, path, body, {"Authorization": f"Bearer {token}"})


# --- the question -----------------------------------------------------------------------------------------------------

def test_the_question(web):
    """RFC 7662 section 2.1; RFC 6749 section 2.3.1: id and secret are form-encoded before they become Basic."""
    assert call(web, "a+b/c==").status == 200
    (headers, body), = web.issuer.asked
    assert body == b"token=a%2Bb%2Fc%3D%3D&token_type_hint=access_token"
    assert urllib.parse.parse_qs(body.decode())["token"] == ["a+b/c=="]
    assert headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert headers["Authorization"] == "Basic " + base64.b64encode(b"id%3A1:a%20b%26c").decode()
    assert set(headers) == {"Host", "Connection", "Content-Length", "Content-Type", "Authorization"}  # nothing of the caller's


def test_the_question_is_in_no_other_location(web):
    assert web.request("GET", "/open", mount="").body == b"[]"
    assert web.request("GET", "/introspect", mount="").status == 404


def test_tokens_of_ours_are_not_asked_about(web):
    assert call(web, "lark_ci_" + "a" * 52).status == 401 and web.issuer.asked == []


def test_basic_has_the_token_as_password(web):
    header = {"Authorization": "Basic " + base64.b64encode(f"any:{token()}".encode()).decode()}
    assert web.request("GET", "/GET/k/", headers=header).status == 200
    assert web.issuer.asked[0][1] == f"token=opaque-{next(N) - 1}&token_type_hint=access_token".encode()


def test_a_body_waits_for_the_answer(web):
    value = "x" * 300000
    assert call(web, token(), "POST", "/SET/k/", {"value": value}).status == 200
    assert call(web, token()).data == value
    web.issuer.claims = {"active": False}
    assert call(web, token(), "POST", "/SET/k/", {"value": "FLUSHALL"}).status == 401
    assert call(web, token(), "POST", "/SET/k/", {"value": "x"}).status == 401


# --- the answer -------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("claims, status", [
    (good(), 200), (good(iss=ISSUER, aud=AUDIENCE), 200), (good(aud=["other", AUDIENCE]), 200),
    (good(exp=int(time.time()) + 600), 200), (good(exp=int(time.time()) - 600), 401), (good(nbf=int(time.time()) + 600), 401),
    (good(iss="https://other.example"), 401), (good(aud="other"), 401), (good(scope="write:set"), 403), ({"active": True}, 401),
    ({"active": False}, 401), ({"active": False, "sub": 1}, 401), ({**good(), "active": False}, 401),
])
def test_claims(claims, status, web):
    web.issuer.claims = claims
    answer = call(web, token())
    assert answer.status == status
    assert ('error="invalid_token"' in answer.headers.get("WWW-Authenticate", "")) == (status == 401)


def cut(handler):
    handler.send_response(200)
    handler.send_header("Content-Length", "100")
    handler.end_headers()
    handler.wfile.write(b'{"active": true, "sub"')


def silence(handler):
    handler.rfile.read(1)  # until nginx leaves


def gone(handler):
    handler.connection.shutdown(socket.SHUT_RDWR)


def chunked(handler):
    """Over the bound, and no word of it before."""
    handler.send_response(200)
    handler.end_headers()
    handler.wfile.write(b'{"active": true, "sub": "ann", "more": "' + b"x" * 70000 + b'"}')


NO_ANSWERS = {
    "an error": (500, good()), "refused": (401, good()), "elsewhere": (302, good()), "none": (204, b""), "empty": (200, b""),
    "no JSON": (200, b"<html>"), "two": (200, b'{"active": true, "sub": "a"} {}'), "a list": (200, b"[]"),
    "a name twice": (200, b'{"active": false, "active": true, "sub": "a"}'), "not UTF-8": (200, b'{"active": true, "sub": "\xff"}'),
    "not active": (200, {"sub": "ann"}), "active in words": (200, good(active="true")), "an error in JSON": (200, {"error": "x"}),
    "too large": (200, good(more="x" * 70000)), "too large, chunked": (200, chunked), "cut": (200, cut), "silent": (200, silence),
    "gone": (200, gone),
}


@pytest.mark.parametrize("what", NO_ANSWERS)
def test_no_answer_is_503_and_is_not_kept(what, web):
    web.issuer.code, web.issuer.claims = NO_ANSWERS[what]
    name = token()
    answer = call(web, name)
    assert answer.status == 503 and answer.error[0] == "issuer_away" and answer.headers["Retry-After"] == "1", answer
    web.issuer.code, web.issuer.claims = 200, good()
    assert call(web, name).status == 200  # and nothing was kept


def test_the_issuer_away_is_503_never_open(web, secret):
    settings = {"server": SERVER.format(port=free_port()), "scopes": "read:get", "location": f"{OAUTH};"}
    with nginx_host.serving(**settings) as nginx:
        nginx.allowed = "connect() failed"
        assert call(nginx, token()).error[0] == "issuer_away"
        assert nginx.get("/GET/k/").status == 200  # who shows nothing is not asked about
        nginx.write(location=OAUTH.replace("/introspect", "/nowhere") + ";")
        nginx.signal(1)
        wait_for("a location that is none", lambda: "/nowhere" in nginx.said() or call(nginx, token()) is None)
        assert call(nginx, token()).status == 503


# --- the cache --------------------------------------------------------------------------------------------------------

def test_an_answer_counts_for_a_time(web):
    name = token()
    assert [call(web, name).status for _ in range(5)] == [200] * 5 and len(web.issuer.asked) == 1
    web.issuer.claims = {"active": False}
    other = token()
    assert [call(web, other).status for _ in range(5)] == [401] * 5 and len(web.issuer.asked) == 2
    assert call(web, name).status == 200


def test_an_answer_does_not_count_beyond_the_tokens_end(web):
    web.issuer.claims = good(exp=int(time.time()) - 28)  # 30 s of leeway
    name = token()
    assert call(web, name).status == 200
    wait_for("the token has ended", lambda: call(web, name).status == 401, 10)
    assert len(web.issuer.asked) == 1


def test_made_up_tokens_do_not_push_out_good_ones(web):
    name = token()
    assert call(web, name).status == 200
    web.issuer.claims = {"active": False}
    assert {call(web, token()).status for _ in range(300)} == {401}
    n = len(web.issuer.asked)
    assert call(web, name).status == 200 and len(web.issuer.asked) == n


def test_a_token_good_in_one_location_is_not_so_in_another(web):
    """The question is of the server; what the answer must say is each location's own."""
    server = f"""{SERVER.format(port=web.issuer.port)} {OAUTH};
        location /other/ {{ lark main; lark_oauth_audience other; }}
        location /prefixed/ {{ lark main; lark_oauth_prefix_claim tenant; }}"""
    with nginx_host.serving(server=server, scopes="", location="lark_oauth_scope_claim scope;") as nginx:
        web.issuer.claims = good(aud=AUDIENCE, tenant="u1")
        name = token()
        header = {"Authorization": f"Bearer {name}"}
        for _ in range(2):
            assert call(nginx, name, "POST", "/SET/k/", {"value": "mine"}).status == 200
            assert nginx.request("GET", "/GET/k/", headers=header, mount="/other").status == 401
            assert nginx.request("GET", "/GET/k/", headers=header, mount="/prefixed").data is None  # u1:k


def test_a_token_without_a_prefix_is_not_asked_about_without_end(web):
    """It is good, but lets nobody in: it counts as a bad one of its address."""
    location = f"{OAUTH}; lark_oauth_prefix_claim tenant; lark_rate_failures 5r/m;"
    with nginx_host.serving(server=SERVER.format(port=web.issuer.port), scopes="", location=location, failures="") as nginx:
        got = [call(nginx, "without").status for _ in range(10)]
        assert got == [403] * 5 + [429] * 5 and len(web.issuer.asked) == 5


# --- many -------------------------------------------------------------------------------------------------------------

def slow(handler):
    time.sleep(0.2)
    answer = json.dumps(good()).encode()
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(answer)))
    handler.end_headers()
    handler.wfile.write(answer)


def test_many_callers_with_one_token(web):
    web.issuer.claims = slow
    name = token()

    def ask(_):
        client = http_raw.Client(web.port)
        try:
            return call(web, name, client=client).status
        finally:
            client.close()

    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        assert set(pool.map(ask, range(40))) == {200}


def test_callers_who_leave(web):
    """In every state of the question; who stays is served, and the worker is the same."""
    web.issuer.claims = slow
    workers = web.workers()
    for delay_s in (0, 0.05, 0.1, 0.3):
        for end in ("close", "reset", "half"):
            connection = web.connect()
            connection.sendall(f"GET /api/0/GET/k/ HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token()}\r\n\r\n".encode())
            time.sleep(delay_s)
            if end == "reset":
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            if end == "half":
                connection.shutdown(socket.SHUT_WR)
                assert nginx_host.read_all(connection).startswith(b"HTTP/1.1 200 "), delay_s
            connection.close()
    assert call(web, token()).status == 200 and web.workers() == workers


def stream_of(number, name):
    """HEADERS of a GET with a token, literal fields (RFC 7541, section 6.2.2)."""
    fields = {":method": "GET", ":scheme": "http", ":path": "/api/0/GET/k/", ":authority": "localhost",
              "authorization": f"Bearer {name}"}
    block = b"".join(b"\x00" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()
                     for name, value in fields.items())
    return frame(1, 5, number, block)


def answered(connection, streams):
    """Read until each of the streams has an answer; those that have one."""
    got, ended = b"", set()
    while not streams <= ended:
        while len(got) < 9 or len(got) < 9 + int.from_bytes(got[:3], "big"):
            piece = connection.recv(65536)
            assert piece, "the connection has ended"
            got += piece
        size, number = int.from_bytes(got[:3], "big"), int.from_bytes(got[5:9], "big")
        if got[3] == 0 and got[4] & 1:  # DATA, the last
            assert b'"status_code": 200' in got[9:9 + size], got[9:9 + size]
            ended.add(number)
        got = got[9 + size:]
    return ended


def test_http2_streams_that_are_reset(web):
    """Before, while, and about when the issuer answers; their neighbours on the same connection are served."""
    web.issuer.claims = slow
    settings = {"server": SERVER.format(port=web.issuer.port), "scopes": "", "location": f"{OAUTH};", "listen": "http2"}
    with nginx_host.serving(**settings) as nginx:
        workers = nginx.workers()
        for delay_s in (0, 0.1, 0.19, 0.2, 0.21):
            with nginx.connect() as connection:
                connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0)
                                   + b"".join(stream_of(number, token()) for number in range(1, 16, 2)))
                time.sleep(delay_s)
                connection.sendall(b"".join(frame(3, 0, number, (8).to_bytes(4, "big")) for number in range(1, 16, 4)))
                assert answered(connection, set(range(3, 16, 4)))
        with nginx.connect() as connection:  # all of them leave with their connection
            connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0)
                               + b"".join(stream_of(number, token()) for number in range(1, 16, 2)))
            time.sleep(0.1)
        time.sleep(0.3)
        with nginx.connect() as connection:
            connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0) + stream_of(1, token()))
            assert answered(connection, {1})
        assert nginx.workers() == workers


def test_pipelined_requests_with_tokens(web):
    one = "GET /api/0/GET/k/ HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\n\r\n"
    last = one.replace("Host", "Connection: close\r\nHost")
    got = web.raw("".join([one.format(token()), one.format(token()), last.format(token())]).encode())
    assert [status for status, _ in nginx_host.answers(got)] == [200] * 3


# --- the configuration ------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("location, why", [
    ("lark_oauth_introspect /introspect;", "lark_oauth_introspect needs lark_oauth_issuer"),
    (f"{OAUTH} client=a;", "takes client= and secret_file= together"),
    (f"{OAUTH} client=a secret_file=/nowhere/s;", 'cannot read "/nowhere/s"'),
    (f"{OAUTH} client=a secret_file=/dev/null;", "is no file"),
    (f"{OAUTH} cache=61s;", 'cache= must be from 0 to 60s, not "61s"'),
    (f"{OAUTH} cache=x;", "cache= must be from 0 to 60s"),
    (f"{OAUTH} word;", 'each once, got "word"'),
    (f"{OAUTH} cache=1s cache=1s;", "each once"),
    (f"{OAUTH.replace('/introspect', 'https://issuer')};", "needs a location of this server"),
    (f"{OAUTH}; lark_oauth_introspect /other;", "is duplicate"),
])
def test_a_wrong_directive_is_an_error(location, why, web):
    nginx = nginx_host.Nginx("redis://127.0.0.1:1", scopes="", location=location)
    good, said = nginx.check()
    nginx.stop()
    assert not good and why in said, said
