"""Every kind of client that redis-py has, and what happens when Redis does not answer."""
import asyncio
import json
import socket
import subprocess
import threading

import fakeredis
import pytest
import redis
import redis.asyncio
from conftest import Redis, free_port, wait_for
from lark_redis import Gate, Request, aio, asgi, plan, shape, sync, wsgi
from lark_redis.failures import OLD_GET_CONNECTION
from lark_redis.gate import handle, scopes_of
from redis.backoff import NoBackoff
from redis.retry import Retry
from werkzeug.test import Client

GATE = Gate(scopes=scopes_of({"admin"}))
TENANT = Gate(scopes=scopes_of({"admin"}), prefix_getter=lambda asked: "u1")
HEADERS = {"host": "localhost"}


def ask(client, verb, target, body=None, gate=GATE, headers=HEADERS):
    """(status, data or error code) through a synchronous client."""
    data = b"" if body is None else json.dumps(body).encode()
    request = Request(verb, b"/" + target.encode(), headers)
    answer = handle(gate, request, b"", lambda limit: data, lambda call, resp: sync.run(client, call, resp))
    return told(answer)


def told(answer):
    envelope = json.loads(answer.body)
    return answer.status, envelope["data"] if answer.status == 200 else envelope["meta"]["error_code"]


def ask_async(make, *requests, gate=GATE):
    """The same for each request, in one event loop, through an asynchronous client."""
    async def main():
        client = make()
        answers = await ask_all(client, *requests, gate=gate)
        await (client.aclose() if hasattr(client, "aclose") else client.close())
        return answers

    return asyncio.run(main())


async def ask_all(client, *requests, gate=GATE):
    answers = []
    for verb, target, body in requests:
        data = b"" if body is None else json.dumps(body).encode()

        async def read(limit, data=data):
            return data

        request = Request(verb, b"/" + target.encode(), HEADERS)
        answers.append(told(await asgi.handle(gate, request, b"", read, lambda call, resp: aio.run(client, call, resp))))
    return answers


ROUND = [
    ("POST", "SET/a/", {"value": {"n": 1}}), ("GET", "GET/a/", None), ("GET", "TYPE/a/", None), ("GET", "LLEN/a/", None),
    ("POST", "ZADD/z/", {"scores": [["m", 1.5]]}), ("GET", "ZRANGE/z/0/-1/?withscores=1", None),
    ("POST", "HMSET/h/", {"mapping": {"f": "v"}}), ("GET", "HGETALL/h/", None), ("GET", "GET/no/", None),
]
WANTED = [(200, True), (200, {"n": 1}), (200, "string"), (400, "redis_error"), (200, 1), (200, [["m", 1.5]]), (200, True),
          (200, {"f": "v"}), (200, None)]


@pytest.mark.parametrize("options", [
    {}, {"decode_responses": True}, {"protocol": 3}, {"protocol": 3, "decode_responses": True},
    {"single_connection_client": True}, {"health_check_interval": 1}], ids=str)
def test_options(clean_redis, options):
    client = redis.Redis(unix_socket_path=clean_redis.path, **options)
    assert [ask(client, *request) for request in ROUND] == WANTED
    clean_redis.client.flushall()
    make = redis.asyncio.Redis
    assert ask_async(lambda: make(unix_socket_path=clean_redis.path, **options), *ROUND) == WANTED
    client.close()


def part(client, name, asked="bytes=1-2", verb="GET"):
    """(status, bytes, Content-Range, Content-Length) of a raw value. client: one, or a function that makes an asynchronous one"""
    request = Request(verb, f"/GET/{name}/".encode(), {**HEADERS, "lark-values": "raw", "range": asked})
    if not callable(client):
        answer = handle(GATE, request, b"", lambda limit: b"", lambda call, resp: sync.run(client, call, resp))
    else:
        async def main():
            made = client()

            async def read(limit):
                return b""

            answers = [await asgi.handle(GATE, request, b"", read, lambda call, resp: aio.run(made, call, resp)) for _ in range(3)]
            await (made.aclose() if hasattr(made, "aclose") else made.close())
            assert answers[0] == answers[1] == answers[2]
            return answers[0]

        answer = asyncio.run(main())
    headers = dict(answer.headers)
    return answer.status, answer.body, headers.get("Content-Range"), headers["Content-Length"]


@pytest.mark.parametrize("options", [{}, {"decode_responses": True}, {"protocol": 3}, {"single_connection_client": True}], ids=str)
def test_parts_of_values(clean_redis, options):
    """A Range takes several commands: the connection is in step behind them, whatever Redis said of each."""
    clean_redis.client.set("a", b"\x00\xff\x80\x01")
    clean_redis.client.rpush("l", "x")
    for client in (redis.Redis(unix_socket_path=clean_redis.path, **options),
                   lambda: redis.asyncio.Redis(unix_socket_path=clean_redis.path, **options)):
        assert part(client, "a") == (206, b"\xff\x80", "bytes 1-2/4", "2")
        assert part(client, "l")[0] == 400
        assert part(client, "none")[0] == 404
        assert part(client, "a", "bytes=4-")[::2] == (416, "bytes */4")
        assert part(client, "a", verb="HEAD") == (200, b"", None, "4")
        assert part(client, "a", "") == (200, b"\x00\xff\x80\x01", None, "4")


def test_parts_for_a_user_who_may_not(clean_redis):
    """One of the commands is refused, and with it the transaction."""
    clean_redis.client.execute_command("ACL SETUSER", "part", "on", "nopass", "~*", "+@all", "-getrange")
    clean_redis.client.set("a", "abcd")
    client = redis.Redis(unix_socket_path=clean_redis.path, username="part", password="x")
    assert part(client, "a")[0] == 403
    assert part(client, "a", verb="HEAD") == (200, b"", None, "4")
    assert ask(client, "GET", "GET/a/") == (200, "abcd")
    client.close()
    clean_redis.client.execute_command("ACL DELUSER", "part")


def test_callbacks_do_not_matter(clean_redis):
    client = redis.Redis(unix_socket_path=clean_redis.path)
    client.set_response_callback("GET", lambda reply, **_: b"something else")
    clean_redis.client.set("a", "1")
    assert ask(client, "GET", "GET/a/") == (200, "1")
    assert client.get("a") == b"something else"


def test_pools(clean_redis):
    pool = redis.BlockingConnectionPool.from_url(f"unix://{clean_redis.path}", max_connections=1, timeout=0.1)
    client = redis.Redis(connection_pool=pool)
    assert ask(client, "GET", "PING/") == (200, True)
    held = pool.get_connection(*(["_"] if OLD_GET_CONNECTION else []))
    assert ask(client, "GET", "PING/") == (503, "overload")
    pool.release(held)
    assert ask(client, "GET", "PING/") == (200, True)


@pytest.mark.parametrize("decode", [False, True])
def test_fakeredis(decode):
    assert [ask(fakeredis.FakeRedis(decode_responses=decode), *request) for request in ROUND[:1]] == WANTED[:1]
    client = fakeredis.FakeRedis(decode_responses=decode)
    assert [ask(client, *request) for request in ROUND] == WANTED
    assert ask_async(lambda: fakeredis.FakeAsyncRedis(decode_responses=decode), *ROUND) == WANTED
    client.set("part", "abcd")
    assert part(client, "part") == (206, b"bc", "bytes 1-2/4", "2")
    assert part(client, "part", verb="HEAD") == (200, b"", None, "4")


def test_steps_of_a_tenant(clean_redis):
    clean_redis.client.mset({"u1:a": 1, "u1:b": 2, "u2:c": 3, "d": 4})
    client = redis.Redis(unix_socket_path=clean_redis.path)
    status, names = ask(client, "GET", "KEYS/", gate=TENANT)
    assert (status, sorted(names)) == (200, ["a", "b"])
    assert ask(client, "GET", "DBSIZE/", gate=TENANT) == (200, 2)
    assert ask(client, "DELETE", "FLUSHDB/", gate=TENANT) == (200, True)
    assert sorted(clean_redis.client.keys()) == [b"d", b"u2:c"]


def test_private_calls_leave_no_trace(clean_redis):
    client = redis.Redis(unix_socket_path=clean_redis.path, max_connections=1)
    assert ask(client, "POST", "CLIENT/SETNAME/", {"name": "probe"}) == (200, True)
    assert client.client_getname() is None


def test_our_own_connections_are_not_killed():
    server = Redis(port=(port := free_port()))
    client = redis.Redis(port=port, client_name="lark", retry=Retry(NoBackoff(), 1))
    client.ping()
    own = next(row["addr"] for row in client.client_list() if row["name"] == "lark")
    assert ask(client, "POST", "CLIENT/KILL/", {"address": own}) == (400, "bad_parameter")
    other = redis.Redis(port=port)
    other.ping()
    address = next(row["addr"] for row in other.client_list() if row["name"] == "" and row["addr"].startswith("127"))
    assert ask(client, "POST", "CLIENT/KILL/", {"address": address}) == (200, True)
    client.close()
    other.close()
    server.stop()


def test_blocking_outlasts_the_time_out(clean_redis):
    client = redis.Redis(unix_socket_path=clean_redis.path, socket_timeout=0.3)
    assert ask(client, "POST", "BLPOP/", {"keys": ["l"], "timeout": 1}) == (200, None)
    timer = threading.Timer(0.6, clean_redis.client.rpush, ("l", "x"))
    timer.start()
    assert ask(client, "POST", "BLPOP/", {"keys": ["l"], "timeout": 5}) == (200, ["l", "x"])
    make = redis.asyncio.Redis
    assert ask_async(lambda: make(unix_socket_path=clean_redis.path, socket_timeout=0.3),
                     ("POST", "BLPOP/", {"keys": ["l"], "timeout": 1})) == [(200, None)]


async def get_status(app):
    sent = []

    async def receive():
        return {"type": "http.request", "body": b""}

    async def send(message):
        sent.append(message)

    await app({"type": "http", "method": "GET", "path": "/GET/a/", "headers": [(b"host", b"localhost")]}, receive, send)
    return sent[0]["status"]


def test_a_function_makes_one_client(clean_redis):
    """For the process; asynchronous ones for each event loop, whose function may be async, too."""
    made = []

    def make():
        made.append(redis.Redis(unix_socket_path=clean_redis.path))
        return made[-1]

    async def make_async():
        made.append(redis.asyncio.Redis(unix_socket_path=clean_redis.path))
        return made[-1]

    web = Client(wsgi.Lark(make, scopes={"read:*"}))
    assert [web.get("/GET/a/").status_code for _ in range(3)] == [200] * 3 and len(made) == 1
    made.clear()
    for i in range(2):
        async def main():
            app = asgi.Lark(make_async, scopes={"read:*"})
            found = [await get_status(app) for _ in range(3)]
            await made[-1].aclose() if hasattr(made[-1], "aclose") else await made[-1].close()
            return found

        assert asyncio.run(main()) == [200] * 3 and len(made) == i + 1
    assert made[0] is not made[1]


# --- Redis does not answer -------------------------------------------------------------------------------------------


class Mute:
    """Takes commands and answers only the handshake: then it closes, or says nothing."""

    def __init__(self, closes):
        self.closes, self.commands, self.accepted = closes, [], 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.accepted += 1
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection):
        while data := connection.recv(65536):
            if b"CLIENT" in data or b"HELLO" in data:
                connection.sendall(b"+OK\r\n" * data.count(b"CLIENT"))
                continue
            self.commands.append(data)
            if self.closes:
                break
        connection.close()


@pytest.mark.parametrize("closes, verb, target, status, code, sent", [
    (True, "GET", "GET/a/", 502, "redis_lost", 2), (True, "POST", "INCR/a/", 502, "outcome_unknown", 1),
    (False, "GET", "GET/a/", 504, "deadline", 1), (False, "POST", "INCR/a/", 504, "outcome_unknown", 1)])
def test_a_write_is_never_sent_twice(closes, verb, target, status, code, sent):
    mute = Mute(closes)
    options = {"port": mute.port, "socket_timeout": 0.3, "protocol": 2}
    client = redis.Redis(**options)
    body = {} if verb == "POST" else None
    assert ask(client, verb, target, body) == (status, code)
    assert len(mute.commands) == sent, mute.commands
    mute.commands.clear()
    assert ask_async(lambda: redis.asyncio.Redis(**options), (verb, target, body)) == [(status, code)]
    assert len(mute.commands) == sent, mute.commands
    mute.listener.close()
    client.close()


def test_a_blocking_call_on_a_silent_redis(tmp_path):
    """No reply is not "nothing there": it may still come, and would be the next call's."""
    call = ("POST", "BRPOPLPUSH/", {"src": "l", "dst": "m", "timeout": 1})
    for asynchronous in (False, True):
        mute = Mute(closes=False)
        options = {"port": mute.port, "socket_timeout": 0.2, "protocol": 2}
        client = redis.Redis(**options)
        found = ask_async(lambda: redis.asyncio.Redis(**options), call, call) if asynchronous else [ask(client, *call) for _ in range(2)]
        assert found == [(504, "outcome_unknown")] * 2
        assert (len(mute.commands), mute.accepted) == (2, 2), "each on a connection of its own"
        mute.listener.close()
        client.close()


def test_a_client_with_one_connection_and_no_redis():
    """Nothing was sent: a write says so."""
    server = Redis(port=(port := free_port()))
    options = {"port": port, "single_connection_client": True, "retry": Retry(NoBackoff(), 0)}
    client = redis.Redis(**options)
    assert ask(client, "POST", "INCR/a/", {}) == (200, 1)
    server.stop()
    assert ask(client, "POST", "INCR/a/", {})[0] in (502, 503)  # it has to be seen that the connection is gone
    assert ask(client, "POST", "INCR/a/", {}) == (503, "redis_away")
    client.close()


# --- Sentinel --------------------------------------------------------------------------------------------------------


def test_sentinel(tmp_path):
    server = Redis(port=(port := free_port()))
    config = tmp_path / "sentinel.conf"
    sentinel_port = free_port()
    config.write_text(f"port {sentinel_port}\nbind 127.0.0.1\nsentinel monitor main 127.0.0.1 {port} 1\n")
    sentinel = subprocess.Popen(["redis-server", config, "--sentinel"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        finder = redis.sentinel.Sentinel([("127.0.0.1", sentinel_port)], socket_timeout=2)
        wait_for("Sentinel knows the master", lambda: masters(finder))
        assert [ask(finder.master_for("main"), *request) for request in ROUND] == WANTED
    finally:
        sentinel.terminate()
        sentinel.wait(20)
        server.stop()


def masters(finder):
    try:
        return finder.discover_master("main")
    except redis.RedisError:
        return None


# --- plan and shape --------------------------------------------------------------------------------------------------


def test_plan_and_shape():
    step = plan(Request("POST", b"/api/0/SET/a/", HEADERS), GATE, b'{"value": "x"}', mount="/api/0")
    assert (step.method, step.writes, step.lane, step.commands) == ("set", True, "shared", [[b"SET", b"a", b"x"]])
    answer = shape(step, "OK")
    assert (answer.status, told(answer)[1]) == (200, True)
    step = plan(Request("GET", b"/GET/a/", HEADERS), GATE)
    assert told(shape(step, redis.ResponseError("WRONGTYPE no"))) == (400, "redis_error")
    step = plan(Request("GET", b"/NO/", HEADERS), GATE)
    assert (step.answer.status, step.commands) == (404, [])
    step = plan(Request("GET", b"/KEYS/", HEADERS), TENANT)
    assert shape(step, [b"7", [b"u1:a", b"u2:b"]]) is None
    assert step.commands[0][:2] == [b"SCAN", b"7"]
    assert told(shape(step, [b"0", [b"u1:a"]])) == (200, ["a"])


@pytest.mark.parametrize("reply", [object(), [object()], {1: 2}, [[[[1]]]], b"x", "x", 1.5, Exception("x")], ids=lambda reply: type(reply).__name__)
def test_replies_that_no_method_has(reply):
    step = plan(Request("GET", b"/LLEN/a/", HEADERS), GATE)
    try:
        answer = shape(step, reply)
    except TypeError as error:
        assert "not a reply" in str(error)
    except Exception as error:
        assert error is reply
    else:
        assert (answer.status, told(answer)[1]) == (502, "redis_protocol")
