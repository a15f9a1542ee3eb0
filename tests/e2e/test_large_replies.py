"""Large values and large collections on their way out: bounded memory, the first byte early, callers slow or gone."""
import base64
import contextlib
import json
import pathlib
import socket
import subprocess
import threading
import time

import conftest
import nginx_host
import pytest

MEBI = 1 << 20
SPOOL = MEBI  # a longer value waits in the spool until its form is known
GROWTH = 32 * MEBI  # of the worker, whatever it carries


@contextlib.contextmanager
def serving(**settings):
    redis = nginx_host.RedisServer()
    nginx = nginx_host.Nginx(redis.url, **settings)
    nginx.redis = redis
    try:
        yield nginx.start()
        nginx.stop()
    finally:
        if nginx.process and nginx.process.poll() is None:
            nginx.process.kill()
            nginx.process.wait()
        redis.stop()


@pytest.fixture(scope="module")
def web():
    with serving() as nginx:
        yield nginx


def peak(web, reset=False):
    """Bytes of memory that the worker had at most since the last reset."""
    process = pathlib.Path(f"/proc/{web.workers()[0]}")
    if reset:
        (process / "clear_refs").write_text("5")
    fields = dict(line.split(":") for line in (process / "status").read_text().splitlines())
    return int(fields["VmHWM"].split()[0]) * 1024


def descriptors(web, asks=True):
    """Of the worker, the test's own connection among them."""
    if asks:
        assert web.get("/PING/").data is True
    return len(list(pathlib.Path(f"/proc/{web.workers()[0]}/fd").iterdir()))


def ask(web, target, *fields, version=b"1.1", receive_bytes=None):
    """A caller of its own who has asked and not read yet."""
    connection = socket.socket()
    if receive_bytes:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    connection.settimeout(30)
    connection.connect(("127.0.0.1", web.port))
    lines = [b"GET /api/0" + target.encode() + b" HTTP/" + version, b"Host: localhost", *fields, b"", b""]
    connection.sendall(b"\r\n".join(lines))
    return connection


def settled(web, before, asks=True):
    conftest.wait_for("all descriptors are back", lambda: descriptors(web, asks) <= before, 10)


def fill(web, key, value):
    web.redis.client.set(key, value)
    return value


def want(value, values="json"):
    """What a value becomes, by other code than the core's. Returns (data, its JSON text or None)."""
    if values == "base64":
        return base64.b64encode(value).decode()
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return {"$base64": base64.b64encode(value).decode()}
    if values == "json" and text.startswith("{"):
        with contextlib.suppress(ValueError):
            found = json.loads(text)
            return text if list(found) == ["$base64"] else found
    return text


def large(kind, size):
    if kind == "text":
        return (b'"\\\n\x01 plain and \xc3\xa9\xe2\x82\xac ' * (size // 16))[:size - 1] + b"."
    if kind == "bytes":
        return b"\x00\xff\xfe" * (size // 3) + b"\xff" * (size % 3)
    if kind == "object":
        return b'{"a": "' + b"y" * (size - 20) + b'", "b": 1.50}'
    return b'{"$base64": "' + b"A" * (size - 15) + b'"}'


# --- values ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [SPOOL - 1, SPOOL, SPOOL + 1, 3 * SPOOL])
def test_values_around_the_threshold(web, size):
    for kind in ("text", "bytes", "object", "lookalike"):
        value = fill(web, "a", large(kind, size))
        for values in ("json", "text", "base64"):
            answer = web.get("/GET/a/", headers={"Lark-Values": values})
            assert answer.status == 200
            assert answer.json["data"] == want(value, values), (kind, values)


def test_large_values_among_others(web):
    values = [b"small", large("bytes", SPOOL + 2), b"", large("object", SPOOL + 5), b"{}", large("text", SPOOL + 1)]
    client = web.redis.client
    client.delete("l", "h", "z", "gone")
    client.rpush("l", *values)
    assert web.get("/LRANGE/l/0/-1/").data == [want(value) for value in values]
    client.hset("h", mapping={f"f{i}": value for i, value in enumerate(values)})
    assert web.get("/HGETALL/h/").data == {f"f{i}": want(value) for i, value in enumerate(values)}
    client.zadd("z", {value: i for i, value in enumerate(values)})
    assert web.get("/ZRANGE/z/0/-1/?withscores=1").data == [[want(v), float(i)] for i, v in enumerate(values)]
    fill(web, "a", values[1])
    assert web.get("/MGET/?key=a&key=gone&key=a").data == [want(values[1]), None, want(values[1])]
    assert web.get("/DUMP/a/").data == base64.b64encode(client.dump("a")).decode()
    fill(web, "a", values[3])
    assert web.get("/GETRANGE/a/0/-1/").data == values[3].decode()


def read_to_end(connection):
    """(first byte after seconds, the raw answer's length, its head, its last bytes)."""
    begin = time.monotonic()
    first, total, head, tail = None, 0, b"", b""
    buffer = bytearray(1 << 20)
    while n := connection.recv_into(buffer):
        first = first or time.monotonic() - begin
        if total < 1024:
            head += bytes(buffer[:1024])
        total += n
        tail = (tail + bytes(buffer[max(0, n - 64):n]))[-64:]
    return first, total, head, tail


@pytest.mark.parametrize("kind, values, size", [("text", "json", 100 * MEBI), ("bytes", "json", 139_810_136),
                                                ("object", "json", 100 * MEBI)])
def test_100_megabytes_in_little_memory(web, kind, values, size):
    client = web.redis.client
    client.delete("big")
    filler = {"text": b"x", "bytes": b"\xff", "object": b"y"}[kind]
    value = filler * (100 * MEBI) if kind != "object" else b'{"a": "' + filler * (100 * MEBI - 9) + b'"}'
    client.set("big", value)
    del value
    before, files = peak(web, reset=True), descriptors(web)
    with ask(web, "/GET/big/", b"Connection: close") as connection:
        _, total, head, tail = read_to_end(connection)
    assert head.startswith(b"HTTP/1.1 200 ") and b"chunked" in head
    assert tail.endswith(b"}\r\n0\r\n\r\n"), tail
    assert size <= total < size + size // 100
    assert peak(web) - before < GROWTH
    settled(web, files)
    client.delete("big")


# --- collections -------------------------------------------------------------------------------------------------------

ELEMENTS = 1_000_000


@pytest.fixture(scope="module")
def million(web):
    words = [b"$7\r\n%d\r\n" % n for n in range(ELEMENTS, 2 * ELEMENTS)]
    with socket.create_connection(("127.0.0.1", web.redis.port)) as connection:
        for command, values in ((b"RPUSH", words), (b"SADD", words), (b"HSET", [word * 2 for word in words])):
            head = b"*%d\r\n$%d\r\n%s\r\n" % (2 + b"".join(values[:1]).count(b"$") * ELEMENTS, len(command), command)
            connection.sendall(head + b"$%d\r\n%s\r\n" % (len(command), command) + b"".join(values))
            assert connection.recv(100) == b":%d\r\n" % ELEMENTS
    yield web
    web.redis.client.unlink("RPUSH", "SADD", "HSET")


@pytest.mark.parametrize("target, n, kind", [("/LRANGE/RPUSH/0/-1/", ELEMENTS, list), ("/SMEMBERS/SADD/", ELEMENTS, list),
                                             ("/HGETALL/HSET/", ELEMENTS, dict), ("/SORT/RPUSH/", ELEMENTS, list)])
def test_a_million_elements(million, target, n, kind):
    before = peak(million, reset=True)
    answer = million.get(target)
    assert answer.status == 200, answer.body[:400]
    assert answer.headers["Transfer-Encoding"] == "chunked"
    data = json.loads(answer.body)["data"]
    assert isinstance(data, kind) and len(data) == n
    assert peak(million) - before < GROWTH
    assert million.get("/PING/").data is True  # on the same connection


def test_the_first_byte_before_the_last_arrived(million):
    """Redis stands still in the middle of its reply: a part of the answer is there all the same, and the end is not."""
    for _ in range(5):  # it may have said all before it stands still
        with ask(million, "/LRANGE/RPUSH/0/-1/") as connection:
            got = connection.recv(1 << 16)
            million.redis.freeze()
            try:
                connection.settimeout(0.5)
                with contextlib.suppress(TimeoutError):
                    while not got.endswith(b"\r\n0\r\n\r\n"):
                        got += connection.recv(1 << 20)
                    continue
            finally:
                million.redis.thaw()
            assert got.startswith(b"HTTP/1.1 200 ") and got.count(b'"1000000"') == 1
            while not got.endswith(b"\r\n0\r\n\r\n"):
                got += connection.recv(1 << 20)
            break
    else:
        pytest.fail("nothing came before all was there")
    assert million.redis.client.ping()


def test_keys(web):
    web.redis.client.execute_command("DEBUG", "POPULATE", ELEMENTS, "some-longer-name-of-a-key", 1)
    before = peak(web, reset=True)
    answer = web.get("/KEYS/some-*/")
    assert answer.headers["Transfer-Encoding"] == "chunked" and len(set(answer.data)) == ELEMENTS
    assert peak(web) - before < GROWTH
    web.redis.client.flushdb()


# --- callers -----------------------------------------------------------------------------------------------------------


def test_http_1_0(web):
    value = fill(web, "a", large("text", 3 * MEBI))
    with ask(web, "/GET/a/", version=b"1.0") as connection:
        stream = nginx_host.read_all(connection)
    head, _, body = stream.partition(b"\r\n\r\n")
    assert b"chunked" not in head and b"Connection: close" in head
    assert json.loads(body)["data"] == want(value)


def test_keepalive_and_head(web):
    for size in (70_000, 700_000, 3 * MEBI):
        fill(web, "a", b"x" * size)
        for _ in range(2):
            assert len(web.get("/GET/a/").data) == size
            head = web.request("HEAD", "/GET/a/")
            assert head.status == 200 and head.body == b""
        assert web.get("/PING/").data is True
    assert len(web.get("/GET/a/", headers={"Connection": "close"}).data) == size


def curl(web, target, *words):
    """(exit code, body) of a request by HTTP/2."""
    done = subprocess.run(["curl", "-sS", "--http2-prior-knowledge", "--max-time", "20", *words,
                           f"http://127.0.0.1:{web.port}/api/0{target}"], capture_output=True)
    return done.returncode, done.stdout


def test_http_2():
    with serving(listen="http2", location="lark_reply_max 8m;") as web:
        value = fill(web, "a", large("text", 5 * MEBI))
        web.redis.client.rpush("l", *range(100_000))
        web.redis.client.rpush("larger", *[b"y" * 1000] * 10_000)
        code, body = curl(web, "/GET/a/")
        assert code == 0 and json.loads(body)["data"] == want(value)
        code, body = curl(web, "/LRANGE/l/0/-1/")
        assert code == 0 and len(json.loads(body)["data"]) == 100_000
        code, body = curl(web, "/LRANGE/larger/0/-1/")
        assert code != 0 and len(body) > MEBI  # cut off, and the caller knows
        files = descriptors(web, asks=False)
        for _ in range(3):
            code, body = curl(web, "/GET/a/", "--limit-rate", "500k", "--max-time", "0.3")
            assert code != 0
        settled(web, files, asks=False)
        assert curl(web, "/PING/")[0] == 0


@pytest.mark.parametrize("target", ["/GET/a/", "/LRANGE/l/0/-1/"])
@pytest.mark.parametrize("bytes_read", [0, 1, 300_000])
def test_a_caller_leaves_midway(web, target, bytes_read):
    client = web.redis.client
    client.delete("l")
    fill(web, "a", b"x" * (20 * MEBI))
    client.rpush("l", *[b"y" * 1000] * 20_000)
    files = descriptors(web)
    for _ in range(3):
        with ask(web, target) as connection:
            while bytes_read > 0 and (got := len(connection.recv(min(bytes_read, 65536)))):
                bytes_read -= got
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        assert web.get("/PING/").data is True
    settled(web, files)


def test_ten_slow_readers(web):
    client = web.redis.client
    fill(web, "big", b"x" * (100 * MEBI))
    before, files = peak(web, reset=True), descriptors(web)
    with contextlib.ExitStack() as all_callers:
        callers = []
        for _ in range(10):
            callers.append(all_callers.enter_context(ask(web, "/GET/big/", receive_bytes=65536)))
            assert callers[-1].recv(10) == b"HTTP/1.1 2"
        assert peak(web) - before < GROWTH
        assert web.get("/PING/").data is True
        for caller in callers[5:]:
            caller.close()
        total = 10
        while not (chunk := callers[0].recv(1 << 20)).endswith(b"0\r\n\r\n"):
            total += len(chunk)
        assert total + len(chunk) > 100 * MEBI
    assert peak(web) - before < GROWTH
    settled(web, files)
    client.delete("big")


# --- limits ------------------------------------------------------------------------------------------------------------


def cut_off(web, target, version=b"1.1"):
    """What came of an answer that does not end as it should."""
    with ask(web, target, version=version) as connection:
        got, was_reset = b"", False
        try:
            while chunk := connection.recv(1 << 20):
                got += chunk
        except ConnectionResetError:
            was_reset = True
    return got, was_reset


def test_reply_limit():
    with serving(location="lark_reply_max 2m;") as web:
        client = web.redis.client
        client.set("a", b"x" * (2 * MEBI))
        assert len(web.get("/GET/a/").data) == 2 * MEBI
        client.set("a", b"x" * (2 * MEBI + 1))
        assert web.get("/GET/a/").error[0] == "reply_too_large"  # before anything was sent
        client.rpush("l", *[b"y" * 1000] * 3000)
        got, _ = cut_off(web, "/LRANGE/l/0/-1/")
        assert got.startswith(b"HTTP/1.1 200 ") and not got.endswith(b"0\r\n\r\n")
        got, was_reset = cut_off(web, "/LRANGE/l/0/-1/", b"1.0")
        assert was_reset, got[-100:]
        assert web.get("/PING/").data is True


def test_spool_limit():
    with serving(http="lark_spool_max 3m;") as web:
        client = web.redis.client
        client.set("a", b"x" * (2 * MEBI))
        client.set("b", b"x" * (5 * MEBI))
        client.rpush("l", *[b"y" * 1000] * 50_000)
        assert len(web.get("/GET/a/").data) == 2 * MEBI
        files = descriptors(web)
        assert web.get("/GET/b/").error[0] == "spool_full"
        with ask(web, "/LRANGE/l/0/-1/", receive_bytes=65536) as slow:
            conftest.wait_for("the answer is cut off", lambda: "cut off" in web.said(), 10)
            assert not nginx_host.read_all(slow).endswith(b"0\r\n\r\n")
        for _ in range(3):
            assert len(web.get("/GET/a/").data) == 2 * MEBI  # what was kept is given back
        settled(web, files)


# --- the others --------------------------------------------------------------------------------------------------------


def test_deadline_moves_with_the_reply():
    """A reply that takes longer than lark_timeout is not late as long as it moves."""
    with serving(location="lark_timeout 2s;") as web:
        web.redis.client.rpush("l", *[b"y" * 10_000] * 10_000)
        begin = time.monotonic()
        with ask(web, "/LRANGE/l/0/-1/", b"Connection: close") as connection:
            total = len(connection.recv(65536))
            for _ in range(2):
                web.redis.freeze()
                time.sleep(1.2)
                web.redis.thaw()
                time.sleep(0.05)
            total += read_to_end(connection)[1]
        assert total > 100_000_000 and time.monotonic() - begin > 2


def p99(web, stop):
    taken = []
    client = nginx_host.http_raw.Client(web.port)
    while not stop.is_set() or len(taken) < 500:
        begin = time.monotonic()
        assert client.get("/GET/small/").data == "s"
        taken.append(time.monotonic() - begin)
    client.close()
    return sorted(taken)[len(taken) * 99 // 100]


def test_others_do_not_wait(web):
    """Small GETs go on beside a large reply whose caller does not read; tests/faults/test_large_out.py judges how fast."""
    client = web.redis.client
    client.delete("l")
    client.set("small", "s")
    client.rpush("l", *[b"y" * 10_000] * 5_000)
    alone = threading.Event()
    alone.set()
    for _ in range(5):
        with ask(web, "/LRANGE/l/0/-1/", receive_bytes=65536) as stalled:
            assert stalled.recv(10) == b"HTTP/1.1 2"
            assert p99(web, alone) < 1
    # Of the large replies' connections none is left.
    conftest.wait_for("one connection", lambda: len([c for c in client.client_list() if c["name"] == "lark"]) == 1, 10)
