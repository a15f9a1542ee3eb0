"""What hosts add to the contract: raw paths, browsers, limits, settings that are wrong, getters that fail, Redis away."""
import time

import http_raw
import pytest
from conftest import Server, free_port

HOSTS = {
    "flask": ("wsgi", "flask_app", "/api/0"),
    "django": ("wsgi", "django_app", "/api/0"),
    "wsgi": ("wsgi", "wsgi_app", "/api/0"),
    "asgi": ("asgi", "asgi_app", "/api/0"),
    "django-async": ("asgi", "async_django_app", "/async/0"),
}


@pytest.fixture(scope="module", params=HOSTS, ids=list(HOSTS))
def host(request, redis_server):
    kind, name, mount = HOSTS[request.param]
    server = Server(kind, name, redis_server.path, mount)
    yield server
    server.stop()


def test_every_byte_of_a_path(host, clean_redis):
    """Percent-encoded, in a key."""
    for raw in (bytes([n]) for n in range(256)):
        key = b"%" + raw.hex().encode()
        clean_redis.client.set(b"a" + raw + b"b", b"v" + raw)
        assert host.get(b"/STRLEN/a" + key + b"b/").data == 2, raw
        assert host.get(b"/STRLEN/?name=a" + key + b"b").data == 2, raw


@pytest.mark.parametrize("target, code", [
    ("/GET/../a/", "bad_path"), ("/GET/%2e%2e/a/", "bad_path"), ("/GET/%zz/", "bad_path"),
    ("//GET/a/", "unknown_method"), ("/GET/a/b/c/", "unknown_path"), ("/GTE/a/", "unknown_method"), ("", "unknown_method")])
def test_paths(host, target, code):
    if target == "" and "django" in host.name:
        pytest.skip("Django routes 'api/0' and 'api/0/' apart: the first is its own 404")
    assert host.get(target).error[0] == code


def test_the_mount_point_is_literal(host):
    mount = host.mount.replace("/0", "/%30")
    assert host.request("GET", "/PING/", mount=mount).error[0] == "bad_path"


@pytest.mark.parametrize("headers, status, code", [
    ({"Host": "evil.example"}, 421, "foreign_host"),
    ({"Origin": "http://evil.example"}, 403, "foreign_origin"),
    ({"Origin": "null"}, 403, "foreign_origin"),
    ({"Origin": "https://127.0.0.1:{port}"}, 403, "foreign_origin"),
    ({"Sec-Fetch-Site": "cross-site"}, 403, "foreign_origin"),
    ({"Sec-Fetch-Site": "same-site"}, 403, "foreign_origin"),
    ({"Content-Encoding": "gzip"}, 415, "unsupported_encoding"),
])
def test_browsers(host, clean_redis, headers, status, code):
    headers = {name: value.format(port=host.port) for name, value in headers.items()}
    answer = host.post("/SET/a/", {"value": "x"}, headers=headers)
    if status == 421 and "django" in host.name:
        assert answer.status == 400, "Django's CommonMiddleware has refused it before us"
    else:
        assert (answer.status, answer.error[0]) == (status, code)
    assert clean_redis.client.get("a") is None


def test_a_body_in_chunks(host, clean_redis):
    """It has no length, and is the value all the same."""
    for verb, body in ((b"PUT", b"first second"), (b"POST", b'{"value": "first second"}')):
        clean_redis.client.flushall()
        with host.connect() as connection:
            connection.sendall(b"%s %s/SET/a/ HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nTransfer-Encoding: chunked\r\n\r\n" %
                               (verb, host.mount.encode(), host.port))
            for piece in (body[:5], body[5:], b""):
                connection.sendall(b"%x\r\n%s\r\n" % (len(piece), piece))
            answer, _ = http_raw.read_answer(connection)
        assert answer.data is True, answer
        assert clean_redis.client.get("a") == b"first second"


def test_our_own_pages(host):
    headers = {"Origin": f"http://127.0.0.1:{host.port}", "Sec-Fetch-Site": "same-origin"}
    assert host.get("/PING/", headers=headers).data is True


def test_headers_of_every_answer(host):
    for answer in (host.get("/PING/"), host.get("/NO/")):
        assert answer.headers["Content-Type"] == "application/json"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Content-Security-Policy"] == "sandbox; default-src 'none'"
        assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert answer.headers["Cache-Control"] == "private, no-store"
        assert "Authorization" in answer.headers["Vary"]


def test_values_as_they_are(host, clean_redis):
    value = bytes(range(256))
    assert host.request("PUT", "/SET/a/?ex=100", value, headers={"Content-Type": "text/plain"}).data is True
    assert clean_redis.client.get("a") == value
    raw = {"Lark-Values": "raw"}
    answer = host.get("/GET/a/", headers=raw)
    assert (answer.status, answer.body, answer.headers["Content-Type"]) == (200, value, "application/octet-stream")
    assert answer.headers["Accept-Ranges"] == "bytes" and "Content-Range" not in answer.headers
    none = host.get("/GET/none/", headers=raw)
    assert (none.status, none.error[0], none.headers["Content-Type"]) == (404, "no_value", "application/json")
    clean_redis.client.rpush("l", value)
    other = host.get("/LINDEX/l/0/", headers={**raw, "Range": "bytes=0-1"})
    assert (other.status, other.body) == (200, value) and "Accept-Ranges" not in other.headers


@pytest.mark.parametrize("asked, status, first, last", [
    ("bytes=0-1", 206, 0, 1), ("bytes=100-", 206, 100, 255), ("bytes=-6", 206, 250, 255), ("bytes=-1000", 206, 0, 255),
    ("bytes=255-999", 206, 255, 255), ("bytes=256-", 416, None, None), ("bytes=-0", 416, None, None),
    ("bytes=0-1,3-4", 200, 0, 255), ("lines=0-1", 200, 0, 255), ("bytes=5-4", 200, 0, 255)])
def test_parts_of_a_value(host, clean_redis, asked, status, first, last):
    value = bytes(range(256))
    clean_redis.client.set("a", value)
    answer = host.get("/GET/a/", headers={"Lark-Values": "raw", "Range": asked})
    assert answer.status == status, answer
    if status == 416:
        assert answer.error[0] == "range_not_satisfiable" and answer.headers["Content-Range"] == "bytes */256"
        return
    assert answer.body == value[first : last + 1]
    assert answer.headers.get("Content-Range") == (f"bytes {first}-{last}/256" if status == 206 else None)
    assert answer.headers["Accept-Ranges"] == "bytes"
    assert answer.headers["Content-Length"] == str(len(answer.body))


def test_parts_that_cannot_be(host, clean_redis):
    raw = {"Lark-Values": "raw", "Range": "bytes=0-1"}
    clean_redis.client.rpush("l", "x")
    clean_redis.client.set("empty", "")
    none, list_, empty = (host.get(f"/GET/{key}/", headers=raw) for key in ("none", "l", "empty"))
    assert (none.status, none.error[0]) == (404, "no_value")
    assert (list_.status, list_.error[0]) == (400, "redis_error") and "WRONGTYPE" in list_.error[1]
    assert (empty.status, empty.headers["Content-Range"]) == (416, "bytes */0")
    clean_redis.client.set("a", "abc")
    answer = host.get("/GET/a/", headers={**raw, "If-Range": '"x"'})
    assert (answer.status, answer.body) == (200, b"abc")


def test_the_head_of_a_value_reads_its_length_alone(host, clean_redis):
    clean_redis.client.set("a", "x" * 1000)
    clean_redis.client.config_resetstat()
    head = host.request("HEAD", "/GET/a/", headers={"Lark-Values": "raw", "Range": "bytes=0-1"})
    assert (head.status, head.headers["Content-Length"], head.headers["Accept-Ranges"]) == (200, "1000", "bytes")
    assert "Content-Range" not in head.headers
    commands = clean_redis.client.info("commandstats")
    assert commands["cmdstat_strlen"]["calls"] == 1 and "cmdstat_get" not in commands
    none = host.request("HEAD", "/GET/none/", headers={"Lark-Values": "raw"})
    assert none.status == 404


def test_head_and_options(host, clean_redis):
    clean_redis.client.set("a", "x" * 100)
    whole, head = host.get("/GET/a/"), host.request("HEAD", "/GET/a/")
    assert (head.status, head.body) == (200, b"")
    assert head.headers["Content-Length"] == str(len(whole.body))
    options = host.request("OPTIONS", "/GET/a/")
    assert options.data == ["GET", "HEAD", "OPTIONS"] and options.headers["Allow"] == "GET, HEAD, OPTIONS"
    assert host.request("PATCH", "/GET/a/").headers["Allow"] == "GET, HEAD, OPTIONS"


def test_a_getter_that_raises(host, clean_redis):
    answer = host.get("/GET/a/", headers={"X-Test-As": "no json"})
    assert (answer.status, answer.error[0]) == (500, "internal")
    assert "no json" not in answer.error[1] and "Traceback" not in answer.body.decode()
    assert "JSONDecodeError" in host.said()


@pytest.mark.parametrize("as_, status, code", [
    ('{"scopes": "admin"}', 500, "internal"), ('{"scopes": [1]}', 500, "internal"),
    ('{"scopes": ["admin"], "prefix": "a:b"}', 500, "internal"), ('{"scopes": ["reed:get"]}', 403, "scope"),
    ('{"scopes": null}', 403, "scope")])
def test_what_a_getter_gives(host, as_, status, code):
    answer = host.get("/GET/a/", headers={"X-Test-As": as_})
    assert (answer.status, answer.error[0]) == (status, code)


def test_large_values_and_limits(host, clean_redis):
    value = "ä" * (5 << 20)
    assert host.post("/SET/a/", {"value": value}).data is True
    assert host.get("/GET/a/").data == value
    clean_redis.client.set("b", b"\xff" * (3 << 20))
    assert len(host.get("/GET/b/").data["$base64"]) == 4 << 20
    assert host.post("/SET/a/", b" " * ((64 << 20) + 1)).error[0] == "too_large"


@pytest.mark.parametrize("name", HOSTS)
def test_redis_is_away(name):
    server = Away(*HOSTS[name])
    try:
        started = time.monotonic()
        answer = server.get("/GET/a/")
        assert (answer.status, answer.error[0], answer.headers["Retry-After"]) == (503, "redis_away", "1")
        assert server.post("/SET/a/", {"value": "x"}).error[0] == "redis_away"
        assert time.monotonic() - started < 5
    finally:
        server.stop()


class Away(Server):
    def __init__(self, kind, name, mount):
        super().__init__(kind, name, f"/tmp/no-such-socket-{free_port()}", mount)

    def _answers(self):
        try:
            return self.get("/PING/").status == 503
        except OSError:
            return False
