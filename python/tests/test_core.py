"""lark_redis._core used wrongly, from many threads, with large data and after a fork: an exception at worst.
tools/test-python runs this file under AddressSanitizer, too."""
import os
import random
import threading

import pytest
from lark_redis import _core

CONFIG = _core.Config(b"")
ADMIN = _core.Scopes(["admin"])


def made(verb, target, body=b""):
    call = _core.Call(CONFIG, verb, target)
    call.route(ADMIN)
    return call, call.make(body)


@pytest.mark.parametrize("wrong", [
    lambda: _core.Config("/x"), lambda: _core.Config(b"x"), lambda: _core.Config(b"/x/"), lambda: _core.Config(b"/x", {"args": -1}),
    lambda: _core.Config(b"/x", {"args": 1 << 32}), lambda: _core.Config(b"/x", {1: 1}), lambda: _core.Config(b"/x", {"args": True}),
    lambda: _core.Scopes("admin"), lambda: _core.Scopes([1]), lambda: _core.Scopes(None), lambda: _core.Scopes(["\ud800"]),
    lambda: _core.Call(None, "GET", b"/"), lambda: _core.Call(CONFIG, "GET", "/"), lambda: _core.Call(CONFIG, None, b"/"),
    lambda: _core.Call(CONFIG, "GET", b"/GET/a/").make(b""), lambda: _core.Call(CONFIG, "GET", b"/GET/a/").feed(b""),
    lambda: _core.Call(CONFIG, "GET", b"/GET/a/").route("admin"), lambda: made("GET", b"/GET/a/")[0].route(ADMIN),
    lambda: made("GET", b"/GET/a/")[0].make(b""), lambda: made("GET", b"/GET/a/")[0].feed_error("text"),
    lambda: _core.commands(b"*1\r\n$1\r"), lambda: _core.commands("x"), lambda: _core.prefix_valid("x")])
def test_wrong_use(wrong):
    with pytest.raises((TypeError, ValueError, RuntimeError)):
        if wrong() == []:
            raise ValueError("a command that is not complete is none")


def test_an_answered_call_takes_nothing():
    call, _ = made("GET", b"/GET/a/")
    assert call.feed(b"x") is None and call.answered
    for more in (lambda: call.feed(b"x"), lambda: call.feed_error(b"x"), call.again):
        with pytest.raises(RuntimeError):
            more()
    assert call.body.endswith(b'"data": "x"}')


def reply(random_, depth=0):
    leaves = (None, True, 0, -1, 1 << 70, 1.5, float("nan"), b"", b"\xff", "text", "\udcff", random_.randbytes(70000),
              Exception("x"), [], {}, set())
    if depth > 3 or random_.random() < 0.5:
        return random_.choice(leaves)
    items = [reply(random_, depth + 1) for _ in range(random_.randrange(4))]
    kind = random_.randrange(4)
    return items if kind == 0 else tuple(items) if kind == 1 else {str(n): item for n, item in enumerate(items)} if kind == 2 \
        else frozenset(item for item in items if isinstance(item, (bytes, int)))


TARGETS = [b"/GET/a/", b"/LRANGE/a/0/1/", b"/HGETALL/a/", b"/SMEMBERS/a/", b"/ZRANGE/a/0/1/?withscores=1", b"/SCAN/", b"/INFO/",
           b"/PING/", b"/CLIENT/LIST/", b"/LLEN/a/", b"/KEYS/", b"/LASTSAVE/", b"/SORT/a/?groups=2&get=x&get=y"]


@pytest.mark.parametrize("seed", range(8))
def test_any_reply_to_any_method(seed):
    random_ = random.Random(seed)
    for _ in range(300):
        call = _core.Call(CONFIG, "GET", random_.choice(TARGETS), random_.choice((b"", b"text", b"base64")), 7)
        call.route(ADMIN, random_.choice((b"", b"u1")))
        if call.answered or call.make(b"") is None:
            continue
        for _ in range(4):
            value = reply(random_)
            if call.feed(value) is None:
                break
        if call.answered:
            assert call.status in ((400,) if isinstance(value, Exception) else (200, 502)), call.body[:200]
            assert call.body.endswith(b"}")


def test_threads_run_meanwhile():
    """Large bodies and replies are worked on without the interpreter's lock, each call by itself."""
    body, wrong = b'{"value": "' + b"x" * (4 << 20) + b'"}', []

    def work():
        for _ in range(3):
            call, resp = made("POST", b"/SET/a/", body)
            if len(_core.commands(resp)[0][2]) != 4 << 20 or call.feed("OK") is not None or call.status != 200:
                wrong.append(call)
            call, _ = made("GET", b"/GET/a/")
            call.feed(body)
            if not call.body.endswith(body + b"}"):
                wrong.append(call)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_call_belongs_to_one_thread():
    call, _ = made("GET", b"/LRANGE/a/0/1/")
    items, refused = [b"x" * (1 << 20)] * 40, []

    def intrude():
        while not call.answered:
            try:
                call.fail(_core.INTERNAL)
            except RuntimeError:
                refused.append(1)

    thread = threading.Thread(target=intrude)
    thread.start()
    try:
        call.feed(items)
    except RuntimeError:
        pass  # the other was first
    thread.join()
    assert call.answered


def test_after_a_fork():
    call, _ = made("GET", b"/GET/a/")
    child = os.fork()
    if child == 0:
        os._exit(0 if call.feed(b"x") is None and made("GET", b"/PING/")[0].feed("PONG") is None else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert call.feed(b"y") is None and b'"y"' in call.body


def resident():
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif("libasan" in os.environ.get("LD_PRELOAD", ""), reason="a sanitizer keeps what is freed")
def test_nothing_is_left_behind():
    def many():
        for n in range(2000):
            call, resp = made("POST", b"/RPUSH/a/", b'{"values": ["' + b"x" * 3000 + b'"]}')
            _core.commands(resp)
            call.feed(n)
            made("GET", b"/LRANGE/a/0/1/")[0].feed([b"x" * 1000] * 10)
            made("GET", b"/LRANGE/a/0/1/")[0].feed([b"x", [b"y"]])
            made("GET", b"/LRANGE/a/x/1/")
            _core.Scopes(["read:get", "nope"])
            _core.Config(b"/x")

    many()
    before = resident()
    many()
    many()
    assert resident() - before < 2 << 20
