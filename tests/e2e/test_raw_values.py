"""Raw values: a PUT stores its body as it is, Lark-Values: raw answers the bytes as they are, whole and in parts."""
import json

import http_raw
import nginx_host
import pytest

RAW = {"Lark-Values": "raw"}
EVERY_BYTE = bytes(range(256))
SAFE = {"x-content-type-options": "nosniff", "content-security-policy": "sandbox; default-src 'none'",
        "cross-origin-resource-policy": "same-origin", "cache-control": "private, no-store"}


def put(client, target, body=b"", **headers):
    return client.request("PUT", target, body, headers=headers)


def raw(client, target, verb="GET", **headers):
    """The bytes of an answer that is well formed in its headers, too."""
    answer = client.request(verb, target, headers={**RAW, **headers})
    if answer.status < 400:
        assert answer.headers["Content-Type"] == "application/octet-stream", answer
        assert {name: answer.headers[name] for name in SAFE} == SAFE
        if verb != "HEAD":
            assert int(answer.headers["Content-Length"]) == len(answer.body)
    return answer


def bytes_of(client, target, **headers):
    answer = raw(client, target, **headers)
    assert answer.status == 200, answer
    return answer.body


# --- in ---------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("value", [b"", b"text", EVERY_BYTE, b'{"value": 1}', b"\r\n$3\r\nabc\r\n", "é".encode("latin-1")],
                         ids=["empty", "text", "every byte", "json", "resp", "no utf-8"])
def test_put_and_get(lark, value):
    assert put(lark, "/SET/k/", value).data is True
    assert lark.redis().get("k") == value
    assert bytes_of(lark, "/GET/k/") == value


@pytest.mark.parametrize("content_type", ["application/json", "text/plain", "application/x-www-form-urlencoded", "", "nonsense"])
def test_any_content_type(lark, content_type):
    assert put(lark, "/SET/k/", b"[1,", **{"Content-Type": content_type}).data is True
    assert lark.redis().get("k") == b"[1,"


def test_further_parameters_are_in_the_query(lark):
    assert put(lark, "/SET/k/?ex=100&nx=1", b"a").data is True
    assert 90 < lark.redis().ttl("k") <= 100
    assert put(lark, "/SET/k/?nx=true", b"b").data is None
    assert put(lark, "/SET/k/?value=q", b"c").data is True
    assert lark.redis().get("k") == b"c"
    answer = put(lark, "/SET/k/?ex=soon", b"d")
    assert answer.status == 400 and answer.error[0] == "bad_parameter"
    assert lark.redis().get("k") == b"c"


def test_append_setrange_and_lists(lark):
    assert put(lark, "/APPEND/k/", b"ab\0").data == 3
    assert put(lark, "/APPEND/k/", b"").data == 3
    assert put(lark, "/SETRANGE/k/?offset=1", EVERY_BYTE).data == 257
    assert put(lark, "/SETRANGE/k/", b"x").error[0] == "missing_parameter"
    assert lark.redis().get("k") == b"a" + EVERY_BYTE
    assert put(lark, "/LPUSH/l/", b'["a", "b"]').data == 1
    assert put(lark, "/RPUSH/l/", EVERY_BYTE).data == 2
    assert put(lark, "/RPUSH/l/").data == 3
    assert lark.redis().lrange("l", 0, -1) == [b'["a", "b"]', EVERY_BYTE, b""]
    assert bytes_of(lark, "/LINDEX/l/1/") == EVERY_BYTE


@pytest.mark.parametrize("target, key", [("/SET/?key=%00", b"\0"), ("/SET/%FF%2F%25/", b"\xff/%"), ("/SET/?key=a+b%2B&px=99999", b"a b+"),
                                         ("/SET//", b""), ("/set/k", b"k")])
def test_keys(lark, target, key):
    assert put(lark, target, b"v").data is True
    assert lark.redis().get(key) == b"v"
    assert bytes_of(lark, target.replace("SET", "GET").replace("set", "get")) == b"v"


def test_who_takes_put(lark):
    assert "PUT" in lark.request("OPTIONS", "/SET/k/").data
    answer = put(lark, "/GETSET/k/", b"v")
    assert answer.status == 405 and "PUT" not in answer.headers["Allow"]


def test_a_part_of_a_value_is_not_taken_for_the_whole(lark):
    answer = put(lark, "/SET/k/", b"part", **{"Content-Range": "bytes 0-3/10"})
    assert answer.status == 400 and answer.error[0] == "bad_header"
    assert lark.redis().exists("k") == 0


def test_chunked_and_expected(lark):
    with lark.connect() as connection:
        connection.sendall(b"PUT /api/0/SET/k/ HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
                           b"3\r\nab\0\r\n1\r\n\n\r\n0\r\n\r\n")
        assert http_raw.read_answer(connection)[0].data is True
        assert lark.redis().get("k") == b"ab\0\n"
        connection.sendall(b"PUT /api/0/SET/k/ HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
        assert http_raw.read_answer(connection)[0].data is True
        assert lark.redis().get("k") == b""
        connection.sendall(b"PUT /api/0/SET/k/ HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n")
        assert connection.recv(1000).startswith(b"HTTP/1.1 100 ")
        connection.sendall(b"xyz")
        assert http_raw.read_answer(connection)[0].data is True
        assert lark.redis().get("k") == b"xyz"


@pytest.mark.parametrize("size", [65_536, 300_000])
def test_a_body_in_a_file(lark, size):
    value = (EVERY_BYTE * (size // 256 + 1))[:size]
    assert put(lark, "/SET/k/", value).data is True
    assert lark.redis().get("k") == value
    assert bytes_of(lark, "/GET/k/") == value


# --- out --------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("verb, target", [("GET", "/HGET/h/f/"), ("GET", "/LINDEX/l/0/"), ("GET", "/GETRANGE/k/0/-1/"),
                                          ("POST", "/GETSET/k/"), ("POST", "/LPOP/l/")])
def test_methods_of_one_value(lark, verb, target):
    lark.redis().set("k", EVERY_BYTE)
    lark.redis().hset("h", "f", EVERY_BYTE)
    lark.redis().rpush("l", EVERY_BYTE)
    body = b'{"value": "new"}' if verb == "POST" else None
    answer = lark.request(verb, target, body, headers=RAW)
    assert (answer.status, answer.body) == (200, EVERY_BYTE)
    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert "Accept-Ranges" not in answer.headers


def test_dump_and_restore(lark):
    lark.redis().set("k", EVERY_BYTE)
    assert bytes_of(lark, "/DUMP/k/") == lark.redis().dump("k")


@pytest.mark.parametrize("target", ["/MGET/?key=k", "/LRANGE/l/0/1/", "/STRLEN/k/", "/HGETALL/h/", "/PING/"])
def test_other_methods_say_so(lark, target):
    answer = raw(lark, target)
    code, message = answer.error
    assert (answer.status, code) == (400, "bad_header") and "one value" in message


def test_no_value(lark):
    for target in ("/GET/none/", "/HGET/none/f/", "/LINDEX/none/0/"):
        answer = raw(lark, target)
        assert (answer.status, answer.error[0]) == (404, "no_value"), target
    assert raw(lark, "/GET/none/", Range="bytes=0-1").error[0] == "no_value"
    assert raw(lark, "/GET/none/", "HEAD").status == 404
    assert bytes_of(lark, "/GETRANGE/none/0/-1/") == b""


def test_errors_of_redis_stay_json(lark):
    lark.redis().rpush("l", "x")
    assert raw(lark, "/GET/l/").error[0] == "redis_error"
    assert raw(lark, "/GET/l/", Range="bytes=0-1").error[0] == "redis_error"
    assert raw(lark, "/GET/l/", "HEAD").status == 400
    assert lark.get("/PING/").data is True


@pytest.mark.parametrize("size", [65_535, 65_536, 65_537, 3_000_000])
def test_a_large_value_goes_out_while_it_comes(lark, size):
    """With its length, where JSON of that size is chunked; and a part of it, and one that nobody reads."""
    value = (EVERY_BYTE * (size // 256 + 1))[:size]
    lark.redis().set("k", value)
    lark.redis().hset("h", "f", value)
    assert bytes_of(lark, "/GET/k/") == value
    part = raw(lark, "/GET/k/", Range="bytes=1-")
    assert (part.status, part.headers["Content-Range"]) == (206, f"bytes 1-{size - 1}/{size}")
    assert part.body == value[1:]
    for target in ("/GET/k/", "/HGET/h/f/"):
        assert raw(lark, target, "HEAD").headers["Content-Length"] == str(size)
    assert bytes_of(lark, "/HGET/h/f/") == value


# --- parts ------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("header, first, last", [
    ("bytes=0-0", 0, 0), ("bytes=0-255", 0, 255), ("bytes=0-", 0, 255), ("bytes=10-20", 10, 20), ("bytes=255-255", 255, 255),
    ("bytes=255-", 255, 255), ("bytes=250-9999999999999999999999", 250, 255), ("bytes=-1", 255, 255), ("bytes=-256", 0, 255),
    ("bytes=-9999999999999999999999", 0, 255), ("BYTES=1-2", 1, 2)])
def test_range(lark, header, first, last):
    lark.redis().set("k", EVERY_BYTE)
    answer = raw(lark, "/GET/k/", Range=header)
    assert answer.status == 206
    assert answer.headers["Content-Range"] == f"bytes {first}-{last}/256"
    assert answer.headers["Accept-Ranges"] == "bytes"
    assert answer.body == EVERY_BYTE[first:last + 1]


@pytest.mark.parametrize("value, header", [(b"abc", "bytes=3-"), (b"abc", "bytes=3-3"), (b"abc", "bytes=-0"), (b"", "bytes=0-"),
                                           (b"", "bytes=0-0"), (b"", "bytes=-1"), (b"abc", "bytes=99999999999999999999-")])
def test_range_not_satisfiable(lark, value, header):
    lark.redis().set("k", value)
    answer = raw(lark, "/GET/k/", Range=header)
    assert (answer.status, answer.error[0]) == (416, "range_not_satisfiable")
    assert answer.headers["Content-Range"] == f"bytes */{len(value)}"


@pytest.mark.parametrize("header", ["bytes=0-0,1-1", "bytes=2-1", "bytes=", "bytes=-", "items=0-1", "bytes=a-", "bytes 0-1", "bytes=0-0x"])
def test_what_is_no_single_range_is_ignored(lark, header):
    lark.redis().set("k", EVERY_BYTE)
    answer = raw(lark, "/GET/k/", Range=header)
    assert (answer.status, answer.body) == (200, EVERY_BYTE) and "Content-Range" not in answer.headers


def test_range_elsewhere_is_ignored(lark):
    lark.redis().set("k", "abc")
    lark.redis().hset("h", "f", "abc")
    assert lark.get("/GET/k/", headers={"Range": "bytes=0-0"}).data == "abc"
    assert bytes_of(lark, "/HGET/h/f/", Range="bytes=0-0") == b"abc"
    assert bytes_of(lark, "/GET/k/", Range="bytes=0-0", **{"If-Range": '"x"'}) == b"abc"


@pytest.mark.parametrize("value", [b"", b"abc", EVERY_BYTE * 300])
def test_head(lark, value):
    lark.redis().set("k", value)
    lark.redis().config_resetstat()
    answer = raw(lark, "/GET/k/", "HEAD", Range="bytes=0-0")
    assert (answer.status, answer.headers["Content-Length"], answer.body) == (200, str(len(value)), b"")
    assert answer.headers["Accept-Ranges"] == "bytes"
    assert "cmdstat_get" not in lark.redis().info("commandstats"), "HEAD need not read the value"
    lark.redis().hset("h", "f", value)
    assert raw(lark, "/HGET/h/f/", "HEAD").headers["Content-Length"] == str(len(value))


def test_a_part_and_its_total_are_of_one_value(lark):
    """Between length and part nobody else's write comes: what is answered was there at one time."""
    values = [bytes([65 + n]) * (n + 1) * 10 for n in range(20)]
    with lark.redis().pipeline(transaction=False) as pipe, lark.connect() as connection:
        for round_ in range(60):
            for value in values:
                pipe.set("k", value)
            request = (f"GET /api/0/GET/k/ HTTP/1.1\r\nHost: localhost\r\nLark-Values: raw\r\nRange: bytes=-{round_ + 1}\r\n\r\n")
            if round_ == 0:
                lark.redis().set("k", values[0])
            connection.sendall(request.encode())
            pipe.execute()
            answer, _ = http_raw.read_answer(connection)
            total = int(answer.headers["Content-Range"].rpartition("/")[2])
            assert answer.body == values[total // 10 - 1][-round_ - 1:]


def test_tenants(plan_host):
    """Prefixes go before the keys of all commands of a part, and come off an error."""
    plan_host.redis().set("u1:k", b"\xff\0value")
    plan_host.redis().set("k", "another's")
    plan_host.redis().rpush("u1:l", "x")

    def ask(target, verb="GET", values="raw", **more):
        question = {"verb": verb, "target": "/api/0" + target, "values": values, "body_base64": None, "scopes": ["read:get", "write:set"],
                    "prefix": "u1", **more}
        return plan_host.ask(question)

    assert ask("/GET/k/")["body_base64"] == "/wB2YWx1ZQ=="
    part = ask("/GET/k/", range="bytes=2-3")
    assert (part["status"], part["body_base64"]) == (206, "dmE=")
    assert ask("/GET/k/", "HEAD")["status"] == 200
    assert ask("/GET/none/", range="bytes=2-3")["status"] == 404
    assert ask("/GET/l/", range="bytes=2-3")["status"] == 400
    assert ask("/GET/k/", range="bytes=7-")["status"] == 416
    assert ask("/SET/p/", "PUT", "", body_base64="AP8=")["status"] == 200
    assert plan_host.redis().get("u1:p") == b"\0\xff"
    assert ask("/GETSET/p/", "POST", body_base64="AP8=")["status"] == 403


def test_redis_permissions_of_a_part(plain_nginx):
    """A Redis user that may not use MULTI gets told so, and the shared connection goes on in order."""
    client, server = plain_nginx
    server.client.set("k", "value")
    server.client.acl_setuser("default", enabled=True, nopass=True, keys=["*"], categories=["+@all"], commands=["-multi"])
    try:
        answer = raw(client, "/GET/k/", Range="bytes=0-1")
        assert (answer.status, answer.error[0]) == (403, "redis_denied")
        assert bytes_of(client, "/GET/k/") == b"value"
    finally:
        server.client.acl_setuser("default", enabled=True, nopass=True, keys=["*"], categories=["+@all"], commands=["+multi"])
    answer = raw(client, "/GET/k/", Range="bytes=0-1")
    assert (answer.status, answer.body) == (206, b"va")


@pytest.fixture
def plain_nginx():
    server = nginx_host.RedisServer()
    client = nginx_host.Nginx(server.url).start()
    yield client, server
    client.stop()
    server.stop()


def test_pipelined(lark):
    """Parts among other calls of one turn: each answer is its own."""
    lark.redis().set("k", "abcdef")
    requests, wanted = b"", []
    for n in range(6):
        requests += (f"GET /api/0/GET/k/ HTTP/1.1\r\nHost: localhost\r\nLark-Values: raw\r\nRange: bytes={n}-{n}\r\n\r\n"
                     f"GET /api/0/GET/k/ HTTP/1.1\r\nHost: localhost\r\n\r\n").encode()
        wanted += [b"abcdef"[n:n + 1], "abcdef"]
    with lark.connect() as connection:
        connection.sendall(requests)
        stream = connection.makefile("rb")
        got = []
        for _ in wanted:
            size, kind = 0, ""
            while (line := stream.readline().strip().lower()):
                size = int(line.split()[1]) if line.startswith(b"content-length:") else size
                kind = line.split()[1] if line.startswith(b"content-type:") else kind
            body = stream.read(size)
            got.append(json.loads(body)["data"] if kind == b"application/json" else body)
    assert got == wanted
