"""Blocking calls: who leaves takes the command back in Redis, limits of the pool and of a caller, time-outs."""
import contextlib
import json
import re
import socket
import threading
import time

import conftest
import http_raw
import nginx_host
import pytest
import redis
import token_files


@contextlib.contextmanager
def serving(*redis_options, url=None, wire=None, **settings):
    """An nginx and a Redis of the test's own."""
    redis = nginx_host.RedisServer(*redis_options)
    port = wire.port if wire else redis.port
    if wire:
        wire.to(redis.port)
    nginx = nginx_host.Nginx((url or "redis://127.0.0.1:{port}").format(port=port), **settings)
    nginx.redis, nginx.callers = redis, []
    try:
        yield nginx.start()
        nginx.stop()
    finally:
        if nginx.process and nginx.process.poll() is None:
            nginx.process.kill()
            nginx.process.wait()
        redis.stop()
        for caller in nginx.callers:
            caller.close()


class Wire:
    """Between nginx and Redis: bytes of connections can be held back, in either direction. One thread for each."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.held = {"up": threading.Event(), "down": threading.Event()}  # set: what carries BLPOP's kind stands still
        self.pairs, self.closed = [], False
        self.cuts = False  # each connection ends with Redis' first word

    def to(self, port):
        self.target = port
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while not self.closed:
            try:
                near = self.listener.accept()[0]
            except OSError:
                return
            try:
                far = socket.create_connection(("127.0.0.1", self.target))
            except OSError:
                near.close()
                continue
            pair = {"near": near, "far": far, "blocking": False, "silent": False}
            self.pairs.append(pair)
            for source, sink, way in ((near, far, "up"), (far, near, "down")):
                threading.Thread(target=self._pump, args=(pair, source, sink, way), daemon=True).start()

    def _pump(self, pair, source, sink, way):
        with contextlib.suppress(OSError):
            while chunk := source.recv(65536):
                # Blocking connections are those that ask for their id.
                pair["blocking"] |= b"\r\nID\r\n" in chunk
                while (pair["silent"] or pair["blocking"] and self.held[way].is_set()) and not self.closed:
                    time.sleep(0.001)
                sink.sendall(chunk)
                if self.cuts and way == "down":
                    break
        for one in (source, sink):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def close(self):
        self.closed = True
        for one in (self.listener, *(pair[end] for pair in self.pairs for end in ("near", "far"))):
            one.close()


@pytest.fixture
def wire():
    one = Wire()
    yield one
    one.close()


def request(method, body, token=None):
    text = json.dumps(body).encode()
    who = b"Authorization: Bearer %s\r\n" % token.encode() if token else b""
    return (b"POST /api/0/%s/ HTTP/1.1\r\nHost: localhost\r\n%sContent-Length: %d\r\n\r\n%s"
            % (method.encode(), who, len(text), text))


# The port is chosen when it connects: many thousand calls leave none free that bind() would take. source: ip(7)
IP_BIND_ADDRESS_NO_PORT = 24


def call(web, method="BLPOP", source="127.0.0.1", token=None, **body):
    """A caller who waits: his socket."""
    body = body or {"keys": ["q"], "timeout": 30}
    connection = socket.socket()
    connection.settimeout(10)
    connection.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
    connection.bind((source, 0))
    connection.connect(("127.0.0.1", web.port))
    web.callers.append(connection)
    connection.sendall(request(method, body, token))
    return connection


def answer(connection):
    return http_raw.read_answer(connection, "POST")[0]


def leave(connection, how="close"):
    if how == "half":
        connection.shutdown(socket.SHUT_WR)
        return
    if how == "reset":
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    connection.close()


def blocked(web):
    return web.redis.client.info("clients")["blocked_clients"]


def wait_blocked(web, n):
    conftest.wait_for(f"{n} are blocked", lambda: blocked(web) == n, 10)


def pool_ids(web):
    """Redis' ids of our connections but the shared one, which is the oldest."""
    return set(sorted(int(one["id"]) for one in web.redis.client.client_list() if one["name"] == "lark")[1:])


def user(without):
    """Redis options: who connects may do everything, without that command."""
    return ["--user", "default", "on", "nopass", "~*", "&*", "+@all", without]


# --- a caller leaves --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["close", "half", "reset"])
def test_the_command_is_taken_back(how):
    """CLIENT UNBLOCK ends it; its connection is used again; what is pushed 100 ms later stays."""
    with serving() as web:
        before = set()
        for n in range(20):
            caller = call(web)
            wait_blocked(web, 1)
            ids = pool_ids(web)
            assert not before or ids == before, "the connection was not used again"
            before = ids
            leave(caller, how)
            time.sleep(0.1)
            web.redis.client.rpush("q", f"{how}{n}")
            time.sleep(0.02)
            assert web.redis.client.lpop("q") == f"{how}{n}".encode()
            caller.close()
        assert web.redis.client.info("commandstats")["cmdstat_client|unblock"]["calls"] >= 20


def frame(kind, flags, stream, payload=b""):
    """RFC 9113, section 4.1."""
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def h2_call(stream, body):
    """HEADERS with literal fields (RFC 7541, section 6.2.2) and DATA."""
    text = json.dumps(body).encode()
    fields = {":method": "POST", ":scheme": "http", ":path": "/api/0/BLPOP/", ":authority": "localhost",
              "content-length": str(len(text))}
    block = b"".join(b"\x00" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()
                     for name, value in fields.items())
    return frame(1, 4, stream, block) + frame(0, 1, stream, text)


def test_a_stream_of_http2_is_reset():
    """Its call is taken back, that of its neighbour on the same connection is not."""
    with serving(listen="http2") as web:
        with web.connect() as connection:
            connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0)
                               + h2_call(1, {"keys": ["a", "q"], "timeout": 30})
                               + h2_call(3, {"keys": ["q"], "timeout": 30}))
            wait_blocked(web, 2)
            connection.sendall(frame(3, 0, 1, (8).to_bytes(4, "big")))
            wait_blocked(web, 1)
            web.redis.client.rpush("a", "x")
            web.redis.client.rpush("q", "y")
            got = b""
            while b'["q", "y"]' not in got:
                got += connection.recv(65536)
            assert web.redis.client.lrange("a", 0, -1) == [b"x"]
        assert web.redis.client.info("commandstats")["cmdstat_client|unblock"]["calls"] >= 1


@pytest.mark.parametrize("method, end", [("BLPOP", 0), ("BRPOP", -1)])
@pytest.mark.parametrize("element", [b"one", b"", b"\x00\r\n\xff" * 40_000, b"x" * 5_000_000], ids=["small", "empty", "bytes", "large"])
def test_an_element_on_its_way_goes_back_to_its_end(wire, method, end, element):
    with serving(wire=wire, location="lark_reply_max 64m;") as web:
        caller = call(web, method)
        wait_blocked(web, 1)
        wire.held["down"].set()
        web.redis.client.rpush("q", element)
        wait_blocked(web, 0)
        assert web.redis.client.llen("q") == 0  # it is on its way
        leave(caller)
        web.redis.client.rpush("q", "left", "right")
        time.sleep(0.05)
        wire.held["down"].clear()
        conftest.wait_for("it is back", lambda: web.redis.client.llen("q") == 3, 5)
        assert web.redis.client.lindex("q", end) == element
        conftest.wait_for("it is told", lambda: "was given back by" in web.said(), 2)
        assert ("LPUSH" if end == 0 else "RPUSH") in web.said() and "1th of this worker" in web.said()
        # The connection is whole: it serves the next call.
        assert web.post(f"/{method}/", {"keys": ["q"], "timeout": 1}).status == 200


def test_the_key_is_as_redis_gave_it(wire):
    """Of several lists, the one it came from."""
    with serving(wire=wire) as web:
        caller = call(web, keys=["a", "b\x00\r\n", "c"], timeout=30)
        wait_blocked(web, 1)
        wire.held["down"].set()
        web.redis.client.rpush("b\x00\r\n", "x")
        wait_blocked(web, 0)
        leave(caller)
        time.sleep(0.05)
        wire.held["down"].clear()
        conftest.wait_for("it is back", lambda: web.redis.client.lrange("b\x00\r\n", 0, -1) == [b"x"], 5)


def test_an_unblock_that_overtakes_its_command(wire):
    """The command is still on its way when its caller leaves: it must not stay behind in Redis."""
    with serving(wire=wire) as web:
        assert web.post("/BLPOP/", {"keys": ["q"], "timeout": 0.01}).data is None
        wire.held["up"].set()
        caller = call(web)
        time.sleep(0.05)
        leave(caller)
        time.sleep(0.03)
        wire.held["up"].clear()
        time.sleep(0.1)
        web.redis.client.rpush("q", "x")
        time.sleep(0.05)
        assert web.redis.client.lrange("q", 0, -1) == [b"x"] and blocked(web) == 0


def test_a_late_unblock_hits_nobody(wire):
    """A connection is used again only when its UNBLOCK is answered: others' calls wait their time."""
    with serving() as web:
        def churn(n):
            for _ in range(n):
                caller = call(web)
                time.sleep(0.002)
                leave(caller)

        threads = [threading.Thread(target=churn, args=(100,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            begin = time.monotonic()
            assert web.post("/BLPOP/", {"keys": ["other"], "timeout": 0.3}).data is None
            assert time.monotonic() - begin > 0.29
        for thread in threads:
            thread.join()
        wait_blocked(web, 0)


def come_and_go(n):
    """n elements pushed among callers who leave at any time: (lost, doubled, got, left, given back)."""
    with serving(http="lark_block_calls_max 200;") as web:
        got, lock, ends = [], threading.Lock(), threading.Event()

        def take(text):
            with lock:
                got.extend(int(one) for one in re.findall(rb'\["q", "(\d+)"\]', text))

        def caller_after_caller(seed):
            while not ends.is_set():
                caller = call(web)
                caller.settimeout(0.001 * (seed % 7))
                with contextlib.suppress(TimeoutError, BlockingIOError):
                    take(caller.recv(65536))
                leave(caller, "half")  # he may have been answered before that was noticed
                caller.settimeout(10)
                while text := caller.recv(65536):
                    take(text)
                caller.close()

        threads = [threading.Thread(target=caller_after_caller, args=(i,)) for i in range(6)]
        for thread in threads:
            thread.start()
        for i in range(n):
            web.redis.client.rpush("q", i)
            if i % 10 == 0:
                time.sleep(0.01)
        ends.set()
        for thread in threads:
            thread.join()
        wait_blocked(web, 0)
        time.sleep(0.3)
        left = [int(one) for one in web.redis.client.lrange("q", 0, -1)]
        all_of_them = got + left
        return (n - len(set(all_of_them)), len(all_of_them) - len(set(all_of_them)), len(got), len(left),
                web.said().count("was given back by"))


def test_no_element_is_lost_or_doubled():
    lost, doubled, got, _, back = come_and_go(1500)
    assert (lost, doubled) == (0, 0) and got > 150 and back > 0


def test_a_move_stays_where_it_was_moved_to(wire):
    """BRPOPLPUSH pops for a list, not for a caller: the element stands there, as for a worker who died."""
    with serving(wire=wire) as web:
        caller = call(web, "BRPOPLPUSH", src="a", dst="b", timeout=30)
        wait_blocked(web, 1)
        leave(caller)
        wait_blocked(web, 0)
        caller = call(web, "BRPOPLPUSH", src="a", dst="b", timeout=30)
        wait_blocked(web, 1)
        wire.held["down"].set()
        web.redis.client.rpush("a", "x")
        wait_blocked(web, 0)
        leave(caller)
        time.sleep(0.05)
        wire.held["down"].clear()
        time.sleep(0.1)
        assert web.redis.client.llen("a") == 0 and web.redis.client.lrange("b", 0, -1) == [b"x"]


def test_redis_refuses_unblock():
    """Then the connection is closed, and said so once."""
    with serving(*user("-client|unblock")) as web:
        for _ in range(3):
            caller = call(web)
            wait_blocked(web, 1)
            leave(caller)
            wait_blocked(web, 0)
            web.redis.client.rpush("q", "x")
            time.sleep(0.05)
            assert web.redis.client.lpop("q") == b"x"
        assert web.said().count("refused CLIENT UNBLOCK") == 1


def test_a_redis_that_is_busy_is_asked_again():
    """A script holds up CLIENT UNBLOCK for a moment: that is no refusal, and later callers are taken back as before."""
    with serving() as web:
        web.redis.client.config_set("busy-reply-threshold", 50)
        caller = call(web)
        wait_blocked(web, 1)
        script = threading.Thread(target=run_script, args=(web.redis.port,))
        script.start()
        conftest.wait_for("Redis is busy", lambda: is_busy(web), 5)
        leave(caller)
        time.sleep(0.1)
        other = redis.Redis(port=web.redis.port)
        other.script_kill()
        script.join()
        wait_blocked(web, 0)
        for n in range(3):
            caller = call(web)
            wait_blocked(web, 1)
            leave(caller)
            wait_blocked(web, 0)
        assert web.redis.client.info("commandstats")["cmdstat_client|unblock"]["calls"] >= 4
        assert "refused CLIENT UNBLOCK" not in web.said()
        other.close()


def run_script(port):
    with contextlib.suppress(redis.RedisError), contextlib.closing(redis.Redis(port=port)) as client:
        client.eval("while true do end", 0)


def is_busy(web):
    try:
        web.redis.client.ping()
    except redis.exceptions.ResponseError as error:
        return "BUSY" in str(error)
    except redis.RedisError:
        pass
    return False


def test_redis_refuses_the_id():
    with serving(*user("-client|id")) as web:
        caller = call(web)
        wait_blocked(web, 1)
        leave(caller)
        wait_blocked(web, 0)
        assert web.post("/BLPOP/", {"keys": ["q"], "timeout": 0.01}).data is None


def test_redis_refuses_the_push(wire):
    """Told in the log: with lengths, never the value."""
    with serving(*user("-lpush"), wire=wire) as web:
        caller = call(web)
        wait_blocked(web, 1)
        wire.held["down"].set()
        web.redis.client.rpush("q", "secret-value")
        wait_blocked(web, 0)
        leave(caller)
        time.sleep(0.05)
        wire.held["down"].clear()
        conftest.wait_for("it is told", lambda: "could not be given back" in web.said(), 5)
        assert "an element of 12 bytes" in web.said() and "a key of 1 bytes" in web.said() and "NOPERM" in web.said()
        assert "secret-value" not in web.said()


def test_redis_dies_meanwhile(wire):
    with serving(wire=wire) as web:
        caller = call(web)
        wait_blocked(web, 1)
        web.redis.freeze()
        leave(caller)
        time.sleep(0.1)
        web.redis.thaw()
        web.redis.kill()
        conftest.wait_for("Redis is missed", lambda: web.get("/PING/").status == 503, 5)
        web.redis.start()
        conftest.wait_for("Redis is found again", lambda: web.get("/PING/").status == 200, 5)
        assert web.post("/BLPOP/", {"keys": ["q"], "timeout": 0.01}).data is None


def test_left_before_there_was_a_connection(wire):
    """Nothing was sent: the connection being made is given up."""
    with serving(wire=wire) as web:
        wire.held["up"].set()
        callers = [call(web) for _ in range(5)]
        time.sleep(0.1)
        for caller in callers:
            leave(caller)
        time.sleep(0.1)
        wire.held["up"].clear()
        web.redis.client.rpush("q", "x")
        time.sleep(0.1)
        assert web.redis.client.lrange("q", 0, -1) == [b"x"] and not pool_ids(web)


def test_a_worker_ends_when_all_is_back(wire):
    """SIGQUIT while an element is on its way to a caller who has left."""
    with serving(wire=wire) as web:
        caller = call(web)
        wait_blocked(web, 1)
        wire.held["down"].set()
        web.redis.client.rpush("q", "x")
        wait_blocked(web, 0)
        leave(caller)
        time.sleep(0.05)
        web.signal(3)
        time.sleep(0.2)
        assert web.process.poll() is None
        wire.held["down"].clear()
        assert web.process.wait(5) == 0
        assert web.redis.client.lrange("q", 0, -1) == [b"x"]


# --- the pool ---------------------------------------------------------------------------------------------------------


def test_limit_of_a_caller():
    with serving(http="lark_block_calls_max 3;") as web:
        mine = [call(web) for _ in range(3)]
        wait_blocked(web, 3)
        over = web.post("/BLPOP/", {"keys": ["q"], "timeout": 1})
        assert (over.status, over.error[0], over.headers["Retry-After"]) == (429, "too_many_calls", "1")
        assert "of this caller (lark_block_calls_max), 3 at most" in over.error[1]
        others = [call(web, source=f"127.0.0.{2 + i}") for i in range(3)]
        wait_blocked(web, 6)
        assert web.get("/PING/").data is True
        for gone in (mine.pop(), others.pop()):
            leave(gone)
        wait_blocked(web, 4)
        time.sleep(0.05)
        mine.append(call(web))
        wait_blocked(web, 5)
        assert web.post("/BLPOP/", {"keys": ["q"], "timeout": 1}).status == 429
        for one in mine + others:
            web.redis.client.rpush("q", "x")
        for one in mine + others:
            assert answer(one).data == ["q", "x"]
        assert web.post("/BLPOP/", {"keys": ["q"], "timeout": 0.01}).data is None


def test_limit_of_a_credential(tmp_path):
    """Whoever shows one is the same caller from everywhere, and another one than his neighbours."""
    ann, bob = token_files.new("ann"), token_files.new("bob")
    path = token_files.write(tmp_path / "tokens.json", token_files.entry(ann, ["list:*"], name="ann"),
                             token_files.entry(bob, ["list:*"], name="bob"))
    with serving(http=f"lark_block_calls_max 2; lark_tokens {path};") as web:
        call(web, token=ann)
        call(web, token=ann, source="127.0.0.2")
        call(web, token=bob)
        wait_blocked(web, 3)
        assert answer(call(web, token=ann, source="127.0.0.3")).status == 429
        call(web, token=bob)
        wait_blocked(web, 4)


def test_counts_are_exact_after_all_that_can_happen():
    """Answers, errors, leaving, kills by Redis, restarts: in the end each caller has all his calls again."""
    with serving(http="lark_block_calls_max 4; lark_pool_max 6;") as web:
        for round_ in range(3):
            web.redis.client.set("text", "x")
            assert web.post("/BLPOP/", {"keys": ["text"], "timeout": 1}).error[0] == "redis_error"
            callers = [call(web) for _ in range(4)]
            wait_blocked(web, 4)
            leave(callers.pop())
            leave(callers.pop(), "reset")
            wait_blocked(web, 2)
            if round_ == 1:
                web.redis.kill()
                web.redis.start()
                conftest.wait_for("Redis is found again", lambda: web.get("/PING/").status == 200, 5)
            else:
                web.redis.client.client_kill_filter(_type="normal", skipme=True)
            assert [answer(one).error[0] for one in callers] == ["outcome_unknown"] * 2
            conftest.wait_for("Redis is found again", lambda: web.get("/PING/").status == 200, 5)
            mine = [call(web) for _ in range(4)]
            other = [call(web, source="127.0.0.2") for _ in range(2)]
            wait_blocked(web, 6)
            assert web.post("/BLPOP/", {"keys": ["q"], "timeout": 1}).error[1].count("lark_block_calls_max") == 1
            third = answer(call(web, source="127.0.0.3"))
            assert (third.status, third.headers["Retry-After"]) == (429, "1")
            assert "of all callers (lark_pool_max), 6 at most" in third.error[1]
            for one in mine + other:
                leave(one)
            wait_blocked(web, 0)
            time.sleep(0.05)


def test_idle_connections_make_room():
    """A full pool of idle ones is no reason to refuse a call that needs a fresh one."""
    with serving(http="lark_pool_max 2;") as web:
        callers = [call(web), call(web)]
        wait_blocked(web, 2)
        web.redis.client.rpush("q", "1", "2")
        for one in callers:
            answer(one)
        assert web.get("/CLIENT/GETNAME/").status == 200


def test_a_dead_idle_connection_fails_no_call(wire):
    """Killed or silent: the call is made on another one, once."""
    with serving(wire=wire, http="lark_connect_timeout 300ms;") as web:
        for _ in range(5):
            assert web.post("/BLPOP/", {"keys": ["q"], "timeout": 0.01}).data is None
            web.redis.client.client_kill_filter(_type="normal", skipme=True)
            web.redis.client.rpush("q", "x")
            conftest.wait_for("Redis is found again", lambda: web.get("/PING/").status == 200, 5)
            assert web.post("/BLPOP/", {"keys": ["q"], "timeout": 1}).data == ["q", "x"]
        callers = [call(web) for _ in range(3)]
        wait_blocked(web, 3)
        web.redis.client.rpush("q", "1", "2", "3")
        for one in callers:
            answer(one)
        for pair in wire.pairs:  # new ones work; of three idle ones only one is tried
            pair["silent"] = pair["blocking"]
        web.redis.client.rpush("q", "x")
        begin = time.monotonic()
        assert web.post("/BLPOP/", {"keys": ["q"], "timeout": 1}).data == ["q", "x"]
        assert 0.25 < time.monotonic() - begin < 0.6


def test_connections_that_end_at_once_are_not_made_in_a_loop(wire):
    with serving(wire=wire) as web:
        wire.cuts = True
        web.redis.client.client_kill_filter(_type="normal", skipme=True)
        time.sleep(0.2)
        before = len(wire.pairs)
        time.sleep(1)
        assert len(wire.pairs) - before < 60
        wire.cuts = False
        conftest.wait_for("Redis is found again", lambda: web.get("/PING/").status == 200, 1)


def test_time_outs():
    """Fractions as Redis takes them; 0 and more than the limit mean the limit."""
    with serving(location="lark_block_max 1s;") as web:
        for timeout, low, high in ((0.25, 0.24, 0.5), ("0.1", 0.09, 0.35), (1e-9, 0, 0.25), (0, 0.99, 1.3),
                                   (30, 0.99, 1.3), (1e300, 0.99, 1.3)):
            for method, more in (("BLPOP", {"keys": ["q"]}), ("BRPOPLPUSH", {"src": "q", "dst": "r"})):
                begin = time.monotonic()
                assert web.post(f"/{method}/", {**more, "timeout": timeout}).data is None
                assert low <= time.monotonic() - begin < high, (method, timeout)
        assert "negative" in web.post("/BLPOP/", {"keys": ["q"], "timeout": -1}).error[1]
        assert web.post("/BLPOP/", {"keys": ["q"], "timeout": "soon"}).error[0] == "bad_parameter"
