"""What hosts add to the contract: raw paths, browsers, limits, settings that are wrong, getters that fail, Redis away."""
import time

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
    raw = {"Lark-Values": "raw", "Range": "bytes=0-1"}  # a Range may be ignored
    answer = host.get("/GET/a/", headers=raw)
    assert (answer.status, answer.body, answer.headers["Content-Type"]) == (200, value, "application/octet-stream")
    head = host.request("HEAD", "/GET/a/", headers=raw)
    assert (head.status, head.headers["Content-Length"]) == (200, "256")
    none = host.get("/GET/none/", headers=raw)
    assert (none.status, none.error[0], none.headers["Content-Type"]) == (404, "no_value", "application/json")


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
