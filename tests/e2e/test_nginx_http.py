"""HTTP as it reaches the module: targets, hosts, origins, bodies that nobody reads, every form of connection."""
import concurrent.futures
import json
import os
import re
import shutil
import socket
import subprocess
import time

import conftest
import nginx_host
import pytest

HOST = b"Host: localhost\r\n"


@pytest.fixture(scope="module")
def server():
    redis = nginx_host.RedisServer()
    nginx = nginx_host.Nginx(redis.url, location="client_max_body_size 1m; client_body_buffer_size 8k;").start()
    nginx.redis = redis.client
    yield nginx
    nginx.stop()
    redis.stop()


@pytest.fixture
def web(server):
    server.redis.flushall()
    return server


def request(verb, target, *fields, body=b"", version=b"1.1"):
    return b"\r\n".join([verb + b" " + target + b" HTTP/" + version, *fields, b"", b""]) + body


def code(answer):
    return answer[0], answer[1]["meta"].get("error_code")


# --- the request line ------------------------------------------------------------------------------------------------


def test_the_raw_target_counts(web):
    web.redis.set("a/b", "slash")
    assert web.get("/GET/a%2Fb/").data == "slash"
    assert web.get("/get/a%2fb").data == "slash"
    for target in ("/GET/%2e%2e/", "/GET/../GET/a/", "/GET/./a/"):
        assert web.get(target).error[0] == "bad_path", target
    assert web.request("GET", "/api/x/../0/GET/a/", mount="").error[0] == "bad_path"
    assert web.request("GET", "/api/%30/GET/a/", mount="").error[0] == "bad_path"


@pytest.mark.parametrize("target", [b"/api/0/GET/%zz/", b"/api/0/GET/%00/", b"/api/0/GET/a b/", b"/%"])
def test_nginx_fails_before_any_location(web, target):
    found = nginx_host.answers(web.raw(request(b"GET", target, HOST[:-2], b"Connection: close")))
    assert [code(one) for one in found] == [(400, "bad_request")]


def test_too_long(web):
    answer = web.request("GET", "/GET/" + "a" * 40_000 + "/")
    assert (answer.status, answer.error[0]) == (414, "uri_too_long")
    answer = web.get("/GET/a/", headers={"X-Long": "a" * 40_000})
    assert (answer.status, answer.error[0]) == (431, "headers_too_large")


def test_two_hosts(web):
    web.redis.set("a", "1")
    ok = web.raw(request(b"GET", b"http://localhost/api/0/GET/a/", HOST[:-2], b"Connection: close"))
    assert [one[0] for one in nginx_host.answers(ok)] == [200]
    for target, host in ((b"http://evil.example/api/0/GET/a/", b"localhost"),
                         (b"http://localhost/api/0/GET/a/", b"evil.example"),
                         (b"/api/0/GET/a/", b"evil.example"), (b"/api/0/GET/a/", b"localhost.evil.example")):
        found = web.raw(request(b"GET", target, b"Host: " + host, b"Connection: close"))
        assert [code(one) for one in nginx_host.answers(found)] == [(421, "foreign_host")], (target, host)
    for host in ("LOCALHOST", "localhost:1234", "localhost.", f"127.0.0.1:{web.port}"):
        assert web.get("/PING/", headers={"Host": host}).data is True, host


def test_no_host(web):
    found = web.raw(request(b"GET", b"/api/0/PING/", version=b"1.0"))
    assert [code(one) for one in nginx_host.answers(found)] == [(400, "missing_host")]
    found = web.raw(request(b"GET", b"/api/0/PING/", b"Connection: close"))
    assert [code(one) for one in nginx_host.answers(found)] == [(400, "missing_host")]
    web.redis.set("a", "secret")
    assert b"secret" not in web.raw(b"GET /api/0/GET/a/\r\n")


def test_http_1_0(web):
    found = web.raw(request(b"GET", b"/api/0/PING/", HOST[:-2], version=b"1.0"))
    assert [one[0] for one in nginx_host.answers(found)] == [200]
    two = request(b"GET", b"/api/0/PING/", HOST[:-2], b"Connection: keep-alive", version=b"1.0")
    last = request(b"GET", b"/api/0/PING/", HOST[:-2], version=b"1.0")
    assert [one[0] for one in nginx_host.answers(web.raw(two + last))] == [200, 200]


# --- browsers --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["GET", "HEAD", "POST", "DELETE", "OPTIONS"])
def test_origin(web, verb):
    host = f"127.0.0.1:{web.port}"
    for origin in ("http://evil.example", "null", f"https://{host}", "http://127.0.0.1", f"http://{host}, http://{host}",
                   f"http://{host}.evil.example", "http://", ""):
        answer = web.request(verb, "/DEL/a/", headers={"Origin": origin})
        assert answer.status == 403, (origin, answer)
        if verb != "HEAD":
            assert answer.error[0] == "foreign_origin"
    for origin in (f"http://{host}", f"HTTP://{host}"):
        assert web.request(verb, "/PING/", headers={"Origin": origin}).status != 403, origin
    assert web.get("/PING/", headers={"Host": "localhost", "Origin": "http://localhost:80"}).data is True


def test_fetch_site(web):
    for site in ("cross-site", "same-site", "", "x"):
        assert web.get("/PING/", headers={"Sec-Fetch-Site": site}).error[0] == "foreign_origin"
    for site in ("same-origin", "none"):
        assert web.get("/PING/", headers={"Sec-Fetch-Site": site}).data is True


def test_content_encoding(web):
    answer = web.post("/SET/a/", {"value": 1}, headers={"Content-Encoding": "gzip"})
    assert (answer.status, answer.error[0]) == (415, "unsupported_encoding")
    assert web.post("/SET/a/", {"value": 1}, headers={"Content-Encoding": "identity"}).data is True


def test_nothing_from_outside_chooses_who_calls(web):
    fields = {name: "u1" for name in ("Lark-Prefix", "X-Lark-Prefix", "Lark-Scopes", "X-Lark-Scopes", "Lark-As")}
    assert web.post("/SET/a/?prefix=u1&scopes=none&as=u1", {"value": "1"}, headers=fields).data is True
    assert web.redis.keys() == [b"a"]


# --- bodies that nobody reads -----------------------------------------------------------------------------------------

HIDDEN = request(b"DELETE", b"/api/0/FLUSHALL/", HOST[:-2])
# What is answered before the body is read, and the status.
EARLY = {
    "origin": (request(b"POST", b"/api/0/SET/a/", HOST[:-2], b"Origin: http://evil.example"), 403),
    "fetch site": (request(b"POST", b"/api/0/SET/a/", HOST[:-2], b"Sec-Fetch-Site: cross-site"), 403),
    "host": (request(b"POST", b"/api/0/SET/a/", b"Host: evil.example"), 421),
    "encoding": (request(b"POST", b"/api/0/SET/a/", HOST[:-2], b"Content-Encoding: br"), 415),
    "no method": (request(b"POST", b"/api/0/NOSUCH/a/", HOST[:-2]), 404),
    "no path": (request(b"POST", b"/api/0/SET/a/b/c/", HOST[:-2]), 404),
    "verb": (request(b"DELETE", b"/api/0/SET/a/", HOST[:-2]), 405),
    "unknown verb": (request(b"PROPFIND", b"/api/0/SET/a/", HOST[:-2]), 405),
    "bad path": (request(b"POST", b"/api/0/SET/%2e%2e/", HOST[:-2]), 400),
    "bad header": (request(b"POST", b"/api/0/SET/a/", HOST[:-2], b"Lark-Values: xml"), 400),
    "options": (request(b"OPTIONS", b"/api/0/SET/a/", HOST[:-2]), 200),
    "health": (request(b"POST", b"/healthz", HOST[:-2]), 405),
    "no location": (request(b"POST", b"/elsewhere", HOST[:-2]), 404),
}


def with_fields(start, *fields):
    return start[:-2] + b"".join(field + b"\r\n" for field in fields) + b"\r\n"


@pytest.mark.parametrize("how", ["length", "chunked", "late", "expect", "expect late"])
@pytest.mark.parametrize("name", EARLY)
def test_a_request_hidden_in_a_body(web, name, how):
    start, status = EARLY[name]
    web.redis.set("witness", "1")
    body = HIDDEN
    if how == "chunked":
        body = b"%x\r\n" % len(HIDDEN) + HIDDEN + b"\r\n0\r\n\r\n"
        start = with_fields(start, b"Transfer-Encoding: chunked")
    else:
        start = with_fields(start, b"Content-Length: %d" % len(HIDDEN))
    if how.startswith("expect"):
        start = with_fields(start, b"Expect: 100-continue")
    last = request(b"GET", b"/api/0/PING/", HOST[:-2], b"Connection: close")
    with web.connect() as connection:
        connection.settimeout(5)
        connection.sendall(start if "late" in how else start + body)
        if "late" in how:
            time.sleep(0.05)
        try:
            if "late" in how:
                connection.sendall(body)
            connection.sendall(last)
        except (BrokenPipeError, ConnectionResetError):
            pass
        found = nginx_host.answers(nginx_host.read_all(connection))
    assert found[0][0] == status, found
    assert len(found) <= 2 and all(one[0] == 200 for one in found[1:]), found
    assert web.redis.get("witness") == b"1"


def test_too_large_a_body(web):
    web.redis.set("witness", "1")
    for fields, body in ((b"Content-Length: 2000000", HIDDEN * 30_000),
                         (b"Transfer-Encoding: chunked", b"1e8480\r\n" + HIDDEN * 30_000)):
        with web.connect() as connection:
            connection.settimeout(5)
            try:
                connection.sendall(request(b"POST", b"/api/0/SET/a/", HOST[:-2], fields) + body[:2_000_000])
            except (BrokenPipeError, ConnectionResetError):
                pass
            found = nginx_host.read_all(connection)
        # An answer may be lost when the server closes on a caller that is still sending.
        assert not found or code(nginx_host.answers(found)[0]) == (413, "too_large")
    assert web.redis.get("witness") == b"1"
    assert web.redis.get("a") is None


# --- bodies -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 900, 7_000, 8_192, 9_000, 40_000, 900_000])
def test_body_of_any_size(web, size):
    """In the header's buffer, in a buffer of its own, in a file."""
    value = "".join(chr(33 + i % 90) for i in range(size)).replace("{", "x")
    assert web.post("/SET/a/", {"value": value}).data is True
    assert web.redis.get("a") == value.encode()
    assert web.get("/GET/a/").data == value


@pytest.mark.parametrize("size", [1, 5_000, 100_000])
def test_chunked_body(web, size):
    body = json.dumps({"value": "v" * size}).encode()
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(body[i:i + 1000]), body[i:i + 1000]) for i in range(0, len(body), 1000))
    stream = web.raw(request(b"POST", b"/api/0/SET/a/", HOST[:-2], b"Transfer-Encoding: chunked", b"Connection: close",
                             body=chunks + b"0\r\n\r\n"))
    assert nginx_host.answers(stream)[0][1]["data"] is True
    assert web.redis.strlen("a") == size


def test_expect_continue(web):
    with web.connect() as connection:
        connection.settimeout(5)
        connection.sendall(request(b"POST", b"/api/0/SET/a/", HOST[:-2], b"Content-Length: 11", b"Connection: close",
                                   b"Expect: 100-continue"))
        assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b'{"value":1}')
        assert nginx_host.answers(nginx_host.read_all(connection))[0][0] == 200


def test_slow_body(web):
    body = b'{"value": "slow"}'
    with web.connect() as connection:
        connection.settimeout(5)
        connection.sendall(request(b"POST", b"/api/0/SET/a/", HOST[:-2], b"Content-Length: %d" % len(body),
                                   b"Connection: close"))
        for byte in body:
            connection.sendall(bytes([byte]))
            time.sleep(0.002)
        assert nginx_host.answers(nginx_host.read_all(connection))[0][0] == 200
    assert web.redis.get("a") == b"slow"


# --- answers ----------------------------------------------------------------------------------------------------------


SAFE = {"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "sandbox; default-src 'none'",
        "Cross-Origin-Resource-Policy": "same-origin", "Cache-Control": "private, no-store", "Vary": "Authorization"}
RAW = {"Lark-Values": "raw"}
ANSWERS = {
    "value": ("GET", "/GET/a/", {}, 200), "write": ("POST", "/INCR/n/", {}, 200), "head": ("HEAD", "/GET/a/", {}, 200),
    "options": ("OPTIONS", "/GET/a/", {}, 200), "raw": ("GET", "/GET/a/", RAW, 200),
    "range": ("GET", "/GET/a/", {**RAW, "Range": "bytes=0-0"}, 206), "raw head": ("HEAD", "/GET/a/", RAW, 200),
    "no byte in the range": ("GET", "/GET/a/", {**RAW, "Range": "bytes=900-"}, 416), "no value": ("GET", "/GET/none/", RAW, 404),
    "stream": ("GET", "/LRANGE/large/0/-1/", {}, 200), "large value": ("GET", "/GET/large-value/", {}, 200),
    "large raw": ("GET", "/GET/large-value/", RAW, 200), "no method": ("GET", "/NOSUCH/", {}, 404),
    "redis' error": ("POST", "/INCR/a/", {}, 400), "verb": ("PATCH", "/GET/a/", {}, 405), "host": ("GET", "/PING/", {"Host": "x.example"}, 421),
    "origin": ("GET", "/PING/", {"Origin": "https://evil.example"}, 403), "nginx' own 414": ("GET", "/GET/" + "a" * 40_000, {}, 414),
    "nginx' own 431": ("GET", "/PING/", {"X-Long": "a" * 40_000}, 431), "beside": ("GET", "http://localhost/nowhere", {}, 404),
    "health": ("GET", "http://localhost/healthz", {}, 200), "condition": ("GET", "/GET/a/", {"If-None-Match": "*"}, 200),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_headers(web, name):
    """Data is never run, kept or read by another site: on every answer, each header once."""
    verb, target, fields, status = ANSWERS[name]
    web.redis.set("a", "<script>")
    web.redis.setrange("large-value", 2_000_000, "x")
    web.redis.rpush("large", *["x" * 1000] * 300)
    answer = web.request(verb, target, headers=fields, mount="" if target.startswith("http") else None)
    assert answer.status == status, answer
    for header, value in SAFE.items():
        assert answer.headers.get_all(header) == [value], header
    assert answer.headers["Content-Type"] == ("application/octet-stream" if "raw" in name or name == "range" else "application/json")
    assert "Access-Control-Allow-Origin" not in answer.headers and "Set-Cookie" not in answer.headers
    if "Content-Length" in answer.headers and verb != "HEAD":
        assert int(answer.headers["Content-Length"]) == len(answer.body)


OLD, COMING = "Wed, 21 Oct 2015 07:28:00 GMT", "Wed, 21 Oct 2099 07:28:00 GMT"


@pytest.mark.parametrize(("field", "value"), [("If-None-Match", "*"), ("If-None-Match", '"x"'), ("If-Match", '"x"'), ("If-Match", "*"),
                                              ("If-Unmodified-Since", OLD), ("If-Modified-Since", COMING)])
def test_conditions_never_hide_what_was_done(web, field, value):
    """nginx would look at them after the write, and answer 304 or 412."""
    answer = web.post("/INCR/n/", headers={field: value})
    if field == "If-Match" or value == "*":
        assert answer.status == 400 and answer.error[0] == "bad_header" and field in answer.error[1]
        assert web.redis.get("n") is None
    else:
        assert answer.data == 1 and web.redis.get("n") == b"1"
    web.redis.set("a", "1")
    assert web.get("/GET/a/", headers={field: value}).data == "1"


def test_headers_of_an_answer_hold_no_byte_of_the_request(web):
    mark = "witness1234"
    fields = {"Origin": f"http://127.0.0.1:{web.port}", "X-Mark": mark, "Lark-Values": mark, "Cookie": mark, "Referer": mark,
              "Range": f"bytes={mark}"}
    for target in (f"/GET/{mark}/?a={mark}", f"/{mark}/", f"/GET/{mark}%0d%0aX-Mark:%201/", f"/SET/{mark}/", f"/PING/{mark}/{mark}"):
        for verb in ("GET", "HEAD", "POST", "OPTIONS", "PUT", mark.upper()):
            answer = web.request(verb, target, headers=fields)
            assert mark not in str(answer.headers).lower(), (verb, target)


def test_head_and_options(web):
    web.redis.set("a", "value")
    get, head = web.get("/GET/a/"), web.request("HEAD", "/GET/a/")
    assert head.status == 200 and head.body == b""
    assert head.headers["Content-Length"] == get.headers["Content-Length"]
    options = web.request("OPTIONS", "/GET/a/")
    assert options.status == 200
    assert {"GET", "HEAD", "OPTIONS"} <= set(options.headers["Allow"].split(", "))
    wrong = web.post("/GET/a/", {})
    assert wrong.status == 405 and wrong.error[0] == "wrong_verb"
    assert {"GET", "HEAD", "OPTIONS"} <= set(wrong.headers["Allow"].split(", "))


def test_error_page_is_not_to_be_asked_for(web):
    assert web.request("GET", "/lark-error", mount="").status == 404


def test_health(web):
    assert web.request("GET", "/healthz", mount="", headers={"Host": "elsewhere.example"}).data is True
    assert web.request("HEAD", "/healthz", mount="").status == 200
    assert web.request("POST", "/healthz", mount="", body="").headers["Allow"] == "GET, HEAD"


# --- connections ------------------------------------------------------------------------------------------------------


def test_pipelined(web):
    """Many requests in one write: every answer, in order."""
    for i in range(200):
        web.redis.set(f"k{i}", f"v{i}")
    stream = b"".join(request(b"GET", b"/api/0/GET/k%d/" % i, HOST[:-2]) for i in range(199))
    stream += request(b"GET", b"/api/0/GET/k199/", HOST[:-2], b"Connection: close")
    found = nginx_host.answers(web.raw(stream))
    assert [one[1]["data"] for one in found] == [f"v{i}" for i in range(200)]


def test_many_at_once(web):
    """Each caller gets its own reply."""
    for i in range(50):
        web.redis.set(f"k{i}", f"v{i}")

    def ask(i):
        client = nginx_host.http_raw.Client(web.port)
        for _ in range(40):
            assert client.get(f"/GET/k{i}/").data == f"v{i}"
        client.close()
        return True

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        assert all(pool.map(ask, range(50)))


def test_a_caller_that_sends_no_more_is_answered(web):
    found = nginx_host.answers(nginx_host.half_closed(web, request(b"GET", b"/api/0/PING/", HOST[:-2])))
    assert [one[0] for one in found] == [200]


def test_http2(tmp_path):
    """curl speaks it over TLS: requests with and without bodies, many at once, early errors."""
    curl = shutil.which("curl")
    features = subprocess.run([curl, "--version"], capture_output=True, text=True, check=True).stdout if curl else ""
    if "HTTP2" not in features:
        pytest.skip("no curl with HTTP/2")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost",
                    "-keyout", tmp_path / "key.pem", "-out", tmp_path / "cert.pem"], check=True, capture_output=True)
    redis = nginx_host.RedisServer()
    nginx = nginx_host.Nginx(redis.url, listen="ssl http2", server=f"ssl_certificate {tmp_path}/cert.pem; "
                             f"ssl_certificate_key {tmp_path}/key.pem;").start()
    base = f"https://127.0.0.1:{nginx.port}/api/0"

    def ask(*words):
        done = subprocess.run([curl, "-sk", "--http2", "--max-time", "10", "-w", "\n%{http_code} %{http_version}", *words],
                              capture_output=True, text=True, check=True)
        body, _, tail = done.stdout.rpartition("\n")
        status, version = tail.split()
        assert version == "2"
        return int(status), json.loads(body)

    try:
        assert ask(f"{base}/SET/a/", "-d", '{"value": "' + "v" * 100_000 + '"}')[0] == 200
        assert ask(f"{base}/GET/a/")[1]["data"] == "v" * 100_000
        assert ask(f"{base}/NOSUCH/", "-d", "x" * 100_000)[0] == 404
        assert ask(f"{base}/PING/", "-H", "Origin: http://evil.example")[0] == 403
        assert ask(f"{base}/PING/", "-H", f"Origin: https://127.0.0.1:{nginx.port}")[0] == 200
        assert ask(f"{base}/PING/", "-H", "Host: evil.example")[0] == 421
        many = subprocess.run([curl, "-sk", "--http2", "-Z", "--max-time", "20"] + [f"{base}/GET/a/?n={i}" for i in range(30)],
                              capture_output=True, text=True, check=True)
        assert many.stdout.count("v" * 100_000) == 30
        gone = subprocess.run([curl, "-sk", "--http2", "--max-time", "0.5", f"{base}/BLPOP/", "-d",
                               '{"keys": ["q"], "timeout": 30}'], capture_output=True)
        assert gone.returncode == 28
        conftest.wait_for("the call is let go", lambda: redis.client.info("clients")["blocked_clients"] == 0, 2)
    finally:
        nginx.stop()
        redis.stop()


def test_any_user(tmp_path):
    """The module loads and runs as whoever starts nginx."""
    if os.geteuid() != 0:
        pytest.skip("needs root to become somebody else")
    redis = nginx_host.RedisServer()
    nginx = nginx_host.Nginx(redis.url, user="")
    for path in (nginx.state, *nginx.state.iterdir()):
        os.chown(path, 65534, 65534)
    try:
        module = nginx.state / "module.so"
        shutil.copy(nginx_host.MODULE, module)
        module.chmod(0o755)
        nginx.write(module=module)
        nginx.start(user=65534, group=65534, extra_groups=[])
        assert nginx.get("/PING/").data is True
    finally:
        nginx.stop()
        redis.stop()


def test_a_socket_that_is_not_read(web):
    """A caller who reads nothing keeps nobody else waiting."""
    web.redis.set("big", "x" * 5_000_000)
    with socket.create_connection(("127.0.0.1", web.port)) as slow:
        slow.sendall(request(b"GET", b"/api/0/GET/big/", HOST[:-2]) * 3)
        for _ in range(50):
            assert web.get("/PING/").data is True


def test_the_module_without_a_redis(tmp_path):
    """Error pages and metrics of an nginx that names no Redis (yet): nobody brings its worker down."""
    tokens = tmp_path / "tokens.json"
    tokens.write_text('{"tokens": []}')
    nginx = nginx_host.Nginx("unix:///none", server=f"location = /metrics {{ lark_metrics; lark_tokens {tokens}; }}")
    conf = nginx.state / "nginx.conf"
    text = re.sub(r"location (/api/0/|= /healthz) \{[^}]*\}", "", conf.read_text())
    conf.write_text(text.replace("lark_redis main unix:///none;", "").replace("lark_rate_failures off;", ""))
    nginx.start()
    try:
        workers = nginx.workers()
        for _ in range(3):
            assert nginx.get("/nothing", mount="").status == 404
            assert nginx.get("/metrics", mount="", headers={"Authorization": "Bearer lark_x"}).status == 401
            assert nginx.get("/metrics", mount="").status == 500
        assert nginx.workers() == workers and "there is no lark_redis" in nginx.said()
    finally:
        nginx.stop()
