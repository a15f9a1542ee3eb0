"""What Redis says when it cannot or will not, and what the caller is told."""
import contextlib
import socket
import threading
import time

import pytest
import redis


def error(answer, status, code):
    assert answer.status == status, answer
    assert answer.error[0] == code, answer
    return answer.error[1]


def unavailable(answer):
    assert answer.headers["Retry-After"].isdigit(), answer.headers
    return error(answer, 503, "redis_busy")


@contextlib.contextmanager
def setting(client, **values):
    before = {name: client.config_get(name)[name] for name in values}
    for name, value in values.items():
        client.config_set(name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            client.config_set(name, value)


@contextlib.contextmanager
def replica_of_nobody(client):
    """Redis as a replica whose master cannot be reached."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))  # bound and not listening: refused
        client.execute_command("REPLICAOF", "127.0.0.1", listener.getsockname()[1])
        try:
            yield
        finally:
            client.execute_command("REPLICAOF", "NO", "ONE")


@pytest.mark.parametrize(("verb", "target", "body", "words"), [
    ("GET", "/GET/list/", None, "WRONGTYPE"),
    ("POST", "/INCR/text/", None, "not an integer"),
    ("POST", "/INCRBYFLOAT/text/", None, "float"),
    ("POST", "/RENAME/", {"src": "missing", "dst": "b"}, "no such key"),
    ("POST", "/SETEX/a/", {"value": "x", "time": 0}, "invalid expire"),
    ("POST", "/LSET/list/", {"index": 5, "value": "x"}, "out of range"),
    ("POST", "/SETRANGE/text/", {"offset": -1, "value": "x"}, "out of range"),
    ("POST", "/RESTORE/a/", {"ttl": 0, "value": "AAAA"}, "DUMP payload"),
    ("POST", "/RESTORE/text/", {"ttl": 0, "value": "AAAA"}, "BUSYKEY"),
    ("POST", "/CONFIG/SET/nosuch/", {"value": "x"}, "nosuch"),
    ("POST", "/SETBIT/a/", {"offset": 2**40, "value": True}, "bit offset"),
])
def test_an_error_keeps_its_text(lark, verb, target, body, words):
    lark.redis().rpush("list", "x")
    lark.redis().set("text", "x")
    message = error(lark.request(verb, target, body), 400, "redis_error")
    assert words in message, message


def test_an_error_text_of_any_bytes_is_valid_json(lark):
    """Redis puts what it got into some messages."""
    for name in ("%22%5C", "%FF%FE", "%C3", "%01", "%0D%0A", "x" * 500):
        answer = lark.post(f"/CONFIG/SET/{name}/", {"value": "x"})
        assert answer.status == 400 and answer.error, answer


def test_out_of_memory(lark):
    with setting(lark.redis(), maxmemory="1"):
        message = error(lark.post("/SET/a/", {"value": "x"}), 507, "redis_full")
        assert lark.get("/GET/a/").data is None
        assert "OOM" in message or "memory" in message, message
    assert lark.post("/SET/a/", {"value": "x"}).data is True


def test_no_permission(lark):
    client = lark.redis()
    try:
        client.execute_command("ACL", "SETUSER", "default", "-set")
        message = error(lark.post("/SET/a/", {"value": "x"}), 403, "redis_denied")
        assert "permission" in message or "permit" in message, message
        assert lark.get("/GET/a/").data is None
    finally:
        client.execute_command("ACL", "SETUSER", "default", "+@all")
    assert lark.post("/SET/a/", {"value": "x"}).data is True


def test_read_only(lark):
    lark.redis().set("a", "x")
    with replica_of_nobody(lark.redis()):
        message = unavailable(lark.post("/SET/a/", {"value": "y"}))
        assert "READONLY" in message or "read only" in message, message
        assert lark.get("/GET/a/").data == "x"


def test_master_down(lark):
    lark.redis().set("a", "x")
    with setting(lark.redis(), **{"replica-serve-stale-data": "no"}), replica_of_nobody(lark.redis()):
        assert unavailable(lark.get("/GET/a/"))


def test_not_enough_replicas(lark):
    with setting(lark.redis(), **{"min-replicas-to-write": "1"}):
        assert unavailable(lark.post("/SET/a/", {"value": "y"}))


def test_busy_with_a_script(lark):
    client = lark.redis()
    with setting(client, **{"busy-reply-threshold": "100"}):
        other = redis.Redis(unix_socket_path=client.connection_pool.connection_kwargs["path"])
        ended = []

        def spin():
            try:
                other.eval("while true do end", 0)
            except redis.ResponseError as failure:
                ended.append(str(failure))

        thread = threading.Thread(target=spin)
        thread.start()
        try:
            time.sleep(0.3)
            unavailable(lark.get("/GET/a/"))
            unavailable(lark.post("/SET/a/", {"value": "x"}))
        finally:
            client.script_kill()
            thread.join()
            other.close()
        assert ended
    assert lark.get("/GET/a/").data is None


def test_loading(lark):
    client = lark.redis()
    with client.pipeline() as pipeline:
        for i in range(2000):
            pipeline.set(f"k{i}", "x" * 1000)
        pipeline.execute()
    # Settings of Redis' own tests: a pause at each key, and a look at other clients every KiB.
    with setting(client, **{"key-load-delay": "2000", "loading-process-events-interval-bytes": "1024"}):
        thread = threading.Thread(target=client.execute_command, args=("DEBUG", "RELOAD"))
        thread.start()
        try:
            time.sleep(0.5)
            answer = lark.get("/GET/k1/")
            while answer.status == 200 and thread.is_alive():
                answer = lark.get("/GET/k1/")
            unavailable(answer)
        finally:
            client.config_set("key-load-delay", "0")
            thread.join()
    assert lark.get("/GET/k1/").data == "x" * 1000


def test_a_pause_is_waited_for(lark):
    """A Redis that is slow but within the deadline answers as ever, in order, to each its own."""
    lark.redis().mset({f"k{i}": str(i) for i in range(8)})
    thread = threading.Thread(target=lark.redis().execute_command, args=("DEBUG", "SLEEP", "0.5"))
    thread.start()
    with contextlib.ExitStack() as open_ones:
        connections = [open_ones.enter_context(lark.connect()) for _ in range(8)]
        for i, connection in enumerate(connections):
            connection.sendall(f"GET /api/0/GET/k{i}/ HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        for i, connection in enumerate(connections):
            said = b""
            while b'"data"' not in said:
                block = connection.recv(65536)
                assert block, said
                said += block
            assert f'"data": "{i}"'.encode() in said or f'"data":"{i}"'.encode() in said, said
    thread.join()
