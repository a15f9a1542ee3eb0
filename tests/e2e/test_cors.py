"""CORS as bytes: who is listed, what a preflight says, which answers a page may read. test_browsers.py has the pages."""
import subprocess

import conftest
import nginx_host
import pytest
from serve_host import refused
from token_files import bearer, entry, new, write

APP, OTHER = "https://app.example", "http://localhost:3000"
CROSS = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors"}
ALWAYS = {"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "sandbox; default-src 'none'",
          "Cross-Origin-Resource-Policy": "same-origin", "Cache-Control": "private, no-store"}
TOKEN, READER = new("app"), new("reader")


@pytest.fixture(scope="module")
def door(tmp_path_factory):
    """Two origins are listed, calls need a token, and a caller may make many of them."""
    tokens = write(tmp_path_factory.mktemp("cors") / "tokens.json", entry(TOKEN, ["admin"], name="app"),
                   entry(READER, ["read:get"], name="reader"))
    with nginx_host.serving(scopes=None, server=f"lark_cors_origins {APP} {OTHER};",
                            location=f"lark_tokens {tokens}; client_max_body_size 1m; lark_timeout 300ms;") as web:
        yield web


def page(origin=APP, **more):
    return {"Origin": origin, **CROSS, **more}


def preflight(web, target, origin=APP, method="POST", **options):
    return web.request("OPTIONS", target, headers={"Origin": origin, **CROSS, "Access-Control-Request-Method": method,
                                                   "Access-Control-Request-Headers": "authorization,lark-values"}, **options)


def words(answer, name):
    return {word.strip() for value in answer.headers.get_all(name) or [] for word in value.split(",")}


def is_open_to(answer, origin=APP):
    """A page of that origin may read it, and nobody's credentials went along."""
    assert answer.headers.get_all("Access-Control-Allow-Origin") == [origin], answer.headers
    assert "Access-Control-Allow-Credentials" not in answer.headers
    assert {"Origin", "Authorization"} <= words(answer, "Vary")
    assert {"Retry-After", "WWW-Authenticate", "Content-Range", "Allow"} <= words(answer, "Access-Control-Expose-Headers")
    for name, value in ALWAYS.items():
        assert answer.headers.get_all(name) == [value], name


def is_closed(answer):
    assert not [name for name in answer.headers if name.lower().startswith("access-control")], answer.headers


def test_preflight_says_what_a_page_may_send(door):
    answer = preflight(door, "/SET/a/")
    assert (answer.status, answer.body) == (204, b"")
    is_open_to(answer)
    assert words(answer, "Access-Control-Allow-Methods") == {"GET", "HEAD", "POST", "PUT", "DELETE"}
    assert words(answer, "Access-Control-Allow-Headers") >= {"Authorization", "Content-Type", "Lark-Values", "Range"}
    assert int(answer.headers["Access-Control-Max-Age"]) > 0
    is_open_to(preflight(door, "/SET/a/", origin=OTHER), OTHER)


def test_preflight_needs_no_credentials_and_no_redis():
    nginx = nginx_host.Nginx(f"redis://127.0.0.1:{conftest.free_port()}", scopes=None,
                             location=f"lark_cors_origins {APP};").start()
    try:
        for target in ("/SET/a/", "/NOSUCH/", "/"):
            assert preflight(nginx, target).status == 204
        # The same without the question of a preflight is a call.
        assert nginx.request("OPTIONS", "/NOSUCH/", headers=page()).status == 404
    finally:
        nginx.stop()


def test_a_body_behind_a_preflight_is_never_a_request(door):
    door.redis.client.set("witness", "1")
    hidden = b"DELETE /api/0/FLUSHALL/ HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\n\r\n" % TOKEN.encode()
    stream = door.raw(b"OPTIONS /api/0/SET/a/ HTTP/1.1\r\nHost: localhost\r\nOrigin: %s\r\n"
                      b"Access-Control-Request-Method: POST\r\nContent-Length: %d\r\n\r\n" % (APP.encode(), len(hidden)) +
                      hidden + b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    assert stream.startswith(b"HTTP/1.1 204 ") and stream.count(b"HTTP/1.1 ") == 2
    assert door.redis.client.get("witness") == b"1"


@pytest.mark.parametrize("origin", [
    "https://app.example.evil.example", "http://app.example", "https://app.example:443", "https://app.example/", "null", "*",
    "https://APP.example", "https://evil.example", "https://app.exampl", "", f"{APP}, {APP}", f"{APP} {OTHER}"])
def test_who_is_not_listed_is_refused_before_redis_is_touched(door, origin):
    client = door.redis.client
    before = client.info("commandstats").get("cmdstat_set", {"calls": 0})["calls"]
    for answer in (preflight(door, "/SET/a/", origin=origin),
                   door.post("/SET/a/", {"value": 1}, headers={**page(origin), **bearer(TOKEN)})):
        assert (answer.status, answer.error[0]) == (403, "foreign_origin"), origin
        is_closed(answer)
        assert {"Origin", "Authorization"} <= words(answer, "Vary")
    assert client.info("commandstats").get("cmdstat_set", {"calls": 0})["calls"] == before


def test_two_origins_are_none(door):
    for second in (APP, "https://evil.example"):
        stream = door.raw(b"GET /api/0/PING/ HTTP/1.1\r\nHost: localhost\r\nOrigin: %s\r\nOrigin: %s\r\n"
                          b"Connection: close\r\n\r\n" % (APP.encode(), second.encode()))
        assert [one[0] for one in nginx_host.answers(stream)] == [403]
        assert b"Access-Control" not in stream


def test_fetch_site_without_a_listed_origin_is_refused(door):
    """An image of a listed page sends no Origin, and nobody may read it."""
    answer = door.get("/PING/", headers={**CROSS, **bearer(TOKEN)})
    assert answer.error[0] == "foreign_origin"
    is_closed(answer)


def test_a_listed_page_calls_and_reads(door):
    answer = door.post("/SET/a/", {"value": "v"}, headers={**page(), **bearer(TOKEN)})
    assert answer.data is True
    is_open_to(answer)
    get = door.get("/GET/a/", headers={**page(OTHER), **bearer(READER)})
    assert get.data == "v"
    is_open_to(get, OTHER)
    raw = door.get("/GET/a/", headers={**page(), **bearer(READER), "Lark-Values": "raw", "Range": "bytes=0-0"})
    assert (raw.status, raw.body, raw.headers["Content-Range"]) == (206, b"v", "bytes 0-0/1")
    is_open_to(raw)
    is_open_to(door.request("HEAD", "/GET/a/", headers={**page(), **bearer(READER)}))
    is_open_to(door.request("OPTIONS", "/GET/a/", headers={**page(), **bearer(READER)}))


def test_a_large_answer_may_be_read(door):
    door.redis.client.setrange("large", 3_000_000, "x")
    answer = door.get("/GET/large/", headers={**page(), **bearer(TOKEN)})
    assert len(answer.data) == 3_000_001
    is_open_to(answer)


def test_http2():
    """The same in frames."""
    with nginx_host.serving(listen="http2", scopes="read:*", server=f"lark_cors_origins {APP};") as web:
        def ask(*words):
            done = subprocess.run(["curl", "-si", "--http2-prior-knowledge", "--max-time", "20", "-H", f"Origin: {APP}", "-H",
                                   "Sec-Fetch-Site: cross-site", *words, f"http://127.0.0.1:{web.port}/api/0/GET/a/"],
                                  capture_output=True, text=True, check=True)
            return done.stdout

        before = ask("-X", "OPTIONS", "-H", "Access-Control-Request-Method: GET")
        assert before.startswith("HTTP/2 204 ") and f"access-control-allow-origin: {APP}\n" in before.replace("\r", "")
        assert f"access-control-allow-origin: {APP}\n" in ask().replace("\r", "")
        assert ask("-H", "Origin:", "-H", "Origin: https://evil.example").startswith("HTTP/2 403 ")


def test_own_pages_need_no_list_and_get_no_headers(door):
    own = f"http://127.0.0.1:{door.port}"
    answer = door.get("/PING/", headers={"Origin": own, "Sec-Fetch-Site": "same-origin", **bearer(TOKEN)})
    assert answer.data is True
    is_closed(answer)


ERRORS = {
    "no credentials": (401, "POST", "/SET/a/", {}, '{"value": 1}'),
    "bad credentials": (401, "GET", "/GET/a/", bearer(new()), None),
    "scope": (403, "POST", "/SET/a/", bearer(READER), '{"value": 1}'),
    "no method": (404, "GET", "/NOSUCH/", bearer(TOKEN), None),
    "verb": (405, "DELETE", "/GET/a/", bearer(TOKEN), None),
    "json": (400, "POST", "/SET/a/", bearer(TOKEN), "{"),
    "header": (400, "GET", "/GET/a/", {**bearer(TOKEN), "Lark-Values": "xml"}, None),
    "encoding": (415, "POST", "/SET/a/", {**bearer(TOKEN), "Content-Encoding": "br"}, "x"),
    "redis": (400, "POST", "/INCRBY/text/", bearer(TOKEN), '{"amount": 1}'),
    "nginx' own limit": (413, "POST", "/SET/a/", bearer(TOKEN), "x" * 1_100_000),
    "nginx' own 414": (414, "GET", "/GET/" + "a" * 40_000 + "/", bearer(TOKEN), None),
    "range": (416, "GET", "/GET/text/", {**bearer(TOKEN), "Lark-Values": "raw", "Range": "bytes=90-"}, None),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors_may_be_read(door, name):
    status, verb, target, fields, body = ERRORS[name]
    door.redis.client.set("text", "no number")
    answer = door.request(verb, target, body, headers={**page(), **fields})
    assert answer.status == status, answer
    assert answer.error
    if name == "nginx' own 414":  # the headers were not read: nobody knows where it came from
        is_closed(answer)
        return
    is_open_to(answer)


def test_redis_away_and_late_may_be_read(door):
    door.redis.freeze()
    try:
        late = door.get("/GET/a/", headers={**page(), **bearer(TOKEN)})
    finally:
        door.redis.thaw()
    assert late.status == 504
    is_open_to(late)
    nginx = nginx_host.Nginx(f"redis://127.0.0.1:{conftest.free_port()}", location=f"lark_cors_origins {APP};").start()
    try:
        away = nginx.get("/GET/a/", headers=page())
        assert away.status == 503
        is_open_to(away)
    finally:
        nginx.stop()


def test_a_foreign_host_is_refused_whatever_the_origin(door):
    answer = preflight(door, "/SET/a/", mount=f"http://evil.example{door.mount}")
    assert answer.error[0] == "foreign_host"


def test_off_by_default(lark):
    assert preflight(lark, "/SET/a/").error[0] == "foreign_origin"
    assert lark.get("/PING/").headers["Vary"] == "Authorization"


def test_default_scopes_are_a_listed_pages_too():
    """A page without a token is anybody: it may what callers without credentials may."""
    with nginx_host.serving(scopes="read:*", server=f"lark_cors_origins {APP};") as web:
        assert web.get("/GET/a/", headers=page()).data is None
        assert web.post("/SET/a/", {"value": 1}, headers=page()).status == 403


@pytest.mark.parametrize(("origin", "expected"), [
    ("*", "star"), ("null", "null"), ("app.example", "scheme"), ("https://app.example/", "slash"),
    ("https://app.example/path", "path"), ("https://*.example", "star"), ("https://App.example", "lower case"),
    ("https://app.example:443", "scheme's own"), ("https://app.example:x", "port"), ("https://user@app.example", "nothing but")])
def test_what_is_no_origin_is_a_configuration_error(door, origin, expected):
    said = refused("--cors-origins", f"{APP},{origin}")
    assert said.startswith("--cors-origins: expected ") and expected in said and said.endswith(f"got '{origin}'")
    nginx = nginx_host.Nginx(door.redis.url, server=f'lark_cors_origins {APP} "{origin}";')
    taken, words_of_nginx = nginx.check()
    nginx.stop()
    assert not taken and 'lark_cors_origins: expected ' in words_of_nginx and expected in words_of_nginx, words_of_nginx


def test_lark_serve_lists_origins(own_lark):
    server = own_lark("--cors-origins", f"{APP}, {OTHER}")
    assert preflight(server, "/SET/a/").status == 204
    is_open_to(server.post("/SET/a/", {"value": 1}, headers=page(OTHER)), OTHER)
    is_open_to(server.request("GET", "/healthz", mount="", headers=page()))
    is_open_to(server.request("GET", "/nowhere", mount="", headers=page()))
    document = server.request("GET", "/openapi.json", mount="", headers=page())
    assert document.headers["Access-Control-Allow-Origin"] == APP and "Origin" in words(document, "Vary")
    is_closed(server.request("GET", "/openapi.json", mount="", headers=page("https://evil.example")))
