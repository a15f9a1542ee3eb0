"""Every limit a caller can meet: at it all is well, one over is refused by its name, and the server goes on."""
import base64
import select
import socket

import conftest
import http_raw
import nginx_host
import pytest

ARGS = 4096  # of one Redis command, behind its name
DEPTH = 32  # of JSON, the body's own braces counted


def error(answer, status, code):
    assert answer.status == status, answer
    assert answer.error[0] == code, answer
    return answer.error[1]


def nested(depth):
    return "[" * depth + "]" * depth


def test_arguments_of_a_command(lark):
    assert lark.post("/RPUSH/l/", {"values": ["x"] * (ARGS - 1)}).data == ARGS - 1
    message = error(lark.post("/RPUSH/l/", {"values": ["x"] * ARGS}), 413, "too_large")
    assert str(ARGS) in message, message
    assert error(lark.post("/RPUSH/l/", {"values": ["x"] * 1_000_000}), 413, "too_large")
    assert lark.redis().llen("l") == ARGS - 1
    assert lark.post("/MSET/", [[f"k{i}", i] for i in range(ARGS // 2)]).data is True
    assert error(lark.post("/MSET/", [[f"m{i}", i] for i in range(ARGS // 2 + 1)]), 413, "too_large")
    assert lark.redis().dbsize() == ARGS // 2 + 1


def test_arguments_in_a_query(lark):
    assert len(lark.get("/MGET/?" + "&".join(["key="] * ARGS)).data) == ARGS
    assert error(lark.get("/MGET/?" + "&".join(["key="] * (ARGS + 1))), 413, "too_large")


@pytest.mark.parametrize("template", ['{"value": %s}', '{"value": 1, "ignored": %s}'])
def test_depth_of_json(lark, template):
    assert lark.post("/SET/a/", template % nested(DEPTH - 1)).data is True
    answer = lark.post("/SET/a/", template % nested(DEPTH))
    assert error(answer, 400, "bad_json")
    assert lark.post("/MSET/", "[" * 100_000).status == 400
    assert lark.get("/PING/").data is True


def test_depth_of_a_stored_object(lark):
    """Deeper than our own reader goes, it stays text."""
    for depth in (DEPTH - 1, DEPTH):
        text = "{\"a\": " + nested(depth) + "}"
        lark.redis().set("a", text)
        assert isinstance(lark.get("/GET/a/").data, dict if depth < DEPTH else str)


MEBI = 1 << 20
VALUE_BYTES, BODY_BYTES = 512 * MEBI, 683 * MEBI
HEADER_BYTES = 64 * 1024  # of one line: large_client_header_buffers
SMALL = {"http": "client_max_body_size 2m; lark_body_max 2m; lark_value_max 1m;"}


@pytest.fixture(scope="module")
def small():
    """A server with small limits of bodies."""
    with nginx_host.serving(**SMALL) as web:
        yield web


def json_of(size):
    """A body of just that many bytes."""
    value = '{"a": 1, "value": "v"}'
    return value + " " * (size - len(value))


@pytest.mark.parametrize(("verb", "body", "limit", "said"), [
    ("PUT", lambda n: "x" * n, MEBI, "bytes of a body, 1048576 at most"),
    ("POST", json_of, 2 * MEBI, "bytes of a body, 2097152 at most"),
    ("POST", lambda n: '{"value": "%s"}' % ("x" * n), MEBI, "bytes of one value, 1048576 at most"),
    ("POST", lambda n: '{"value": "%s"}' % ("\\u0041" * 10 + "x" * (n - 10)), MEBI, "bytes of one value, 1048576 at most"),
    ("POST", lambda n: '{"value": {"$base64": "%s"}}' % base64.b64encode(b"x" * n).decode(), MEBI,
     "bytes of one value, 1048576 at most"),
], ids=["put", "body", "text", "escapes", "base64"])
def test_size_of_a_body(small, verb, body, limit, said):
    client = small.redis.client
    client.flushall()
    assert small.request(verb, "/SET/a/", body(limit)).data is True
    assert client.exists("a")
    message = error(small.request(verb, "/SET/b/", body(limit + 1)), 413, "too_large")
    assert said in message, message
    assert client.exists("b") == 0
    assert small.get("/PING/").data is True


@pytest.mark.parametrize(("verb", "limit"), [("PUT", VALUE_BYTES), ("POST", BODY_BYTES)])
def test_a_body_that_is_announced_too_large_is_not_read(lark, verb, limit):
    """lark serve's own limits; the first answer asks for the body, the second does not want it."""
    for size, first in ((limit, 100), (limit + 1, 413)):
        with lark.connect() as connection:
            connection.sendall(b"%s /api/0/SET/a/ HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n"
                               b"Content-Length: %d\r\n\r\n" % (verb.encode(), size))
            if first == 100:
                assert connection.recv(1000).startswith(b"HTTP/1.1 100 ")
                continue
            answer, _ = http_raw.read_answer(connection)
        assert f"{limit} at most" in error(answer, 413, "too_large")


@pytest.mark.parametrize(("verb", "limit"), [("PUT", MEBI), ("POST", 2 * MEBI)])
def test_a_chunked_body_too_large(small, verb, limit):
    chunk = b"%x\r\n%s\r\n" % (65536, b" " * 65536)
    with small.connect() as connection:
        connection.sendall(b"%s /api/0/SET/c/ HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n" %
                           verb.encode())
        try:
            for _ in range(limit // 65536 + 1):
                connection.sendall(chunk)
            connection.sendall(b"0\r\n\r\n")
        except ConnectionError:
            pass  # it need not listen to the end
        try:
            answer, _ = http_raw.read_answer(connection)
            assert error(answer, 413, "too_large")
        except ConnectionError:
            pass  # the answer was lost with the connection
    assert small.redis.client.exists("c") == 0
    assert small.get("/PING/").data is True


def test_a_chunked_body_without_an_end(small):
    """It is refused when it is over the limit, not when the disk is full."""
    chunk, sent = b"%x\r\n%s\r\n" % (65536, b" " * 65536), 0
    with small.connect() as connection:
        connection.sendall(b"PUT /api/0/SET/c/ HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
        while not select.select([connection], [], [], 0)[0] and sent < 64 * MEBI:
            connection.sendall(chunk)
            sent += 65536
        answer, _ = http_raw.read_answer(connection)
    assert error(answer, 413, "too_large") and answer.headers["Connection"] == "close"
    assert sent < 8 * MEBI  # what was under way is the difference
    assert small.redis.client.exists("c") == 0
    assert small.get("/PING/").data is True


@pytest.mark.parametrize("size", [65_536, 65_537])
def test_size_of_a_text_that_is_read(lark, size):
    """Numbers, words, dates: what Lark looks at itself."""
    answer = lark.post("/INCRBY/a/", '{"amount": "%s"}' % ("0" * (size - 1) + "1"))
    if size > 65_536:
        assert "65536 at most" in error(answer, 413, "too_large")
    else:
        assert error(answer, 400, "redis_error")


def test_size_of_a_reply(lark):
    """A large one; the limit itself is tested where it is low, in test_large_replies.py."""
    lark.redis().setrange("a", 64 * MEBI, "x")
    assert len(lark.get("/GET/a/").data) == 64 * MEBI + 1
    lark.redis().delete("a")


def test_length_of_the_request_line(lark):
    line = len(f"GET {lark.mount}/GET// HTTP/1.1\r\n")
    assert lark.get(f"/GET/{'k' * (HEADER_BYTES - line)}/").data is None
    assert error(lark.get(f"/GET/{'k' * HEADER_BYTES}/"), 414, "uri_too_long")


def test_size_of_headers(lark):
    assert lark.get("/PING/", headers={"X-Long": "x" * (HEADER_BYTES - len("X-Long: \r\n"))}).data is True
    assert error(lark.get("/PING/", headers={"X-Long": "x" * HEADER_BYTES}), 431, "headers_too_large")
    many = {f"X-{i}": "x" * 10_000 for i in range(100)}
    assert error(lark.get("/PING/", headers=many), 431, "headers_too_large")


def test_size_of_a_credential(lark):
    """A header of 8,256 bytes is looked at: "Bearer " and a token."""
    for size, words in ((8249, "the token is not known"), (8250, "too long for a token")):
        message = error(lark.get("/GET/a/", headers={"Authorization": "Bearer " + "x" * size}), 401, "credentials")
        assert words in message, message


@pytest.fixture(scope="module")
def hasty():
    """A server that waits a second for its callers."""
    with nginx_host.serving(http="client_header_timeout 1s; client_body_timeout 1s; send_timeout 1s;") as web:
        yield web


@pytest.mark.parametrize("sent", [
    b"", b"GET /api/0/PI", b"POST /api/0/SET/slow/ HTTP/1.1\r\nHost: local",
    b"POST /api/0/SET/slow/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 20\r\n\r\n{\"value\": 1}",
    b"PUT /api/0/SET/slow/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\nxxx",
    b"PUT /api/0/SET/slow/ HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nxxx\r\n"],
    ids=["nothing", "half a line", "half a header", "half a body", "a part of a large body", "chunks without an end"])
def test_a_request_that_does_not_come(hasty, sent):
    """The connection is closed by and by, and nothing was done."""
    assert hasty.raw(sent, wait_s=conftest.CLIENT_S) == b""
    assert hasty.redis.client.exists("slow") == 0
    assert hasty.get("/PING/").data is True


def test_an_answer_that_nobody_takes(hasty):
    hasty.redis.client.setrange("large", 50 * MEBI, "x")
    with socket.socket() as idle:
        idle.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        idle.connect(("127.0.0.1", hasty.port))
        idle.sendall(b"GET /api/0/GET/large/ HTTP/1.1\r\nHost: localhost\r\n\r\n")
        conftest.wait_for("it is given up", lambda: "the caller takes nothing of its answer" in hasty.said())
    assert hasty.get("/PING/").data is True
