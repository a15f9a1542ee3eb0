"""Whose reply it is: callers who leave, replies in pieces, connections that end in the middle."""
import contextlib
import time

import nginx_host
import pytest
from faults import MANY, Proxy, behind_proxy, form, load, populate, told

pytestmark = pytest.mark.timeout(form(120, 1800))


def test_nonces(record_property):
    """Each answer is compared with what only its key has."""
    n = form(30_000, 1_000_000)
    with behind_proxy(**MANY) as web:
        keys = populate(web.redis.client, small=n, large=form(50, 500), large_bytes=20_000)
        web.proxy.say("delay 0 100")
        with load(web.port, gets=n, callers=1000, depth=4, cancel=30, fresh=5, **keys) as callers:
            got = callers.result()
    others = got["lost"] + got["stale"] + got["unanswered"] + sum(got["refused"].values())
    told(record_property, "callers cancel at random bytes, 0-100 ms delay",
         f"{got['wrong']} wrong of {got['started']:,} ({got['cancelled']:,} cancelled, {others} without an answer), "
         f"{got['seconds']:.0f} s", "0 wrong, all others answered",
         got["wrong"] == 0 and others == 0 and got["cancelled"] > n / 20
         and got["answered"] + got["cancelled"] == got["started"])


def fill(client):
    client.set("text", b"caf\xc3\xa9 \"quoted\" \x00\x1f and \xff")
    client.set("object", '{"a": [1, 2.50, null], "b": "x"}')
    client.rpush("list", "a", "", "1", "{}", "x" * 70)
    client.hset("hash", mapping={"f": "1", "g": "two", "": ""})
    client.zadd("zset", {"a": 1.5, "b": 1e300, "c": -0.1})
    client.sadd("set", "one")
    client.set("n", "41")


READS = ("/GET/text/", "/GET/object/", "/GET/missing/", "/LRANGE/list/0/-1/", "/HGETALL/hash/", "/SMEMBERS/set/",
         "/ZRANGE/zset/0/-1/?withscores=1", "/STRLEN/text/", "/EXISTS/text/", "/MGET/?keys=text&keys=missing&keys=n",
         "/GET/list/", "/TYPE/zset/", "/TTL/n/", "/PING/")


class Channels:
    """The same Redis through many connections, each with its proxy: one that was cut rests before it is cut again, since
    Lark takes a connection that did not live for 100 ms for a Redis that is away."""

    N, REST_S = 24, 0.15

    def __init__(self, ends):
        self.redis = nginx_host.RedisServer()
        ends.callback(self.redis.stop)
        self.proxies = [Proxy(self.redis.port) for _ in range(self.N)]
        for one in self.proxies:
            ends.callback(one.stop)
        http = "".join(f"lark_redis c{i} redis://127.0.0.1:{one.port};" for i, one in enumerate(self.proxies))
        server = "".join(f"location /c{i}/ {{ lark c{i}; lark_default_scopes admin; }}" for i in range(self.N))
        self.web = nginx_host.Nginx(self.redis.url, http=http, server=server)
        ends.callback(self.web.kill)
        self.web.start()
        self.free_at = [time.monotonic() + 2 * self.REST_S] * self.N
        self.i = 0

    def ask(self, verb, target, body=None, commands=()):
        """Over the next channel: what the proxy is told, then a request."""
        self.i = (self.i + 1) % self.N
        time.sleep(max(0.0, self.free_at[self.i] - time.monotonic()))
        for command in commands:
            self.proxies[self.i].say(command)
        answer = self.web.request(verb, target, body, mount=f"/c{self.i}")
        for way in ("request", "reply"):  # what was not reached
            self.proxies[self.i].say(f"at {way} 0 pause 0")
        self.free_at[self.i] = time.monotonic() + self.REST_S
        return answer

    def size(self, target):
        """Bytes of Redis' reply. PINGs of Lark's own pass, too: the smallest of three is without one."""
        sizes = []
        for _ in range(3):
            before = self.proxies[0].stat()["reply"]
            self.web.request("GET", target, mount="/c0")
            sizes.append(self.proxies[0].stat()["reply"] - before)
        return min(sizes)


@contextlib.contextmanager
def channels():
    with contextlib.ExitStack() as ends:
        found = Channels(ends)
        yield found
        found.web.stop()


@pytest.mark.parametrize(("act", "words"), [("pause 300", "in two pieces"), ("reset", "ended by a reset"),
                                            ("close", "ended")])
def test_replies_cut_at_every_byte(record_property, act, words):
    """In two pieces; and with the connection's end there, when a read is sent once more."""
    n = different = 0
    with channels() as all_channels:
        fill(all_channels.redis.client)
        for target in READS:
            whole = all_channels.ask("GET", target)
            for at in range(all_channels.size(target)):
                answer = all_channels.ask("GET", target, commands=[f"at reply {at} {act}"])
                different += (answer.status, answer.body) != (whole.status, whole.body)
                n += 1
        assert n > 300
        connections = all_channels.redis.client.info("stats")["total_connections_received"]
        assert connections > n if act != "pause 300" else connections < 60
    told(record_property, f"replies cut at every byte: {words}", f"{different} of {n} differ", "identical JSON",
         different == 0)


def test_replies_byte_by_byte(record_property):
    n = different = 0
    with behind_proxy() as web:
        fill(web.redis.client)
        whole = {target: web.get(target) for target in READS}
        web.proxy.say("pace 1 20")
        for target, wanted in whole.items():
            for _ in range(form(2, 20)):
                answer = web.get(target)
                different += (answer.status, answer.body) != (wanted.status, wanted.body)
                n += 1
    told(record_property, "commands and replies one byte at a time", f"{different} of {n} differ", "identical JSON",
         different == 0)


def test_writes_cut_at_every_byte(record_property):
    """Of the command, or of its reply: told to be done, not done, or not known; and never done twice."""
    kinds = {200: 0, "unknown": 0, "not": 0}
    with channels() as all_channels:
        client = all_channels.redis.client
        all_channels.ask("POST", "/INCR/n/", {})
        size = len(b"*2\r\n$4\r\nINCR\r\n$1\r\nn\r\n")
        for way, last in (("request", size), ("reply", 4)):
            for at in range(last + 1):
                before = int(client.get("n"))
                answer = all_channels.ask("POST", "/INCR/n/", {}, [f"at {way} {at} reset"])
                kind = 200 if answer.status == 200 else "unknown" if answer.error[0] == "outcome_unknown" else "not"
                kinds[kind] += 1
                time.sleep(0.01)
                done = int(client.get("n")) - before
                assert done == 1 if kind == 200 else done == 0 if kind == "not" else done in (0, 1), (way, at, answer)
    told(record_property, "writes cut at every byte", f"{kinds[200]} done, {kinds['unknown']} outcome unknown, "
         f"{kinds['not']} not done, 0 done twice", "as told, never twice", kinds["unknown"] > 0 and kinds[200] > 0)
