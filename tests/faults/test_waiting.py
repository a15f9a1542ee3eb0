"""Blocking calls: many at once, and callers who leave them."""
import contextlib
import time

import conftest
import nginx_host
import pytest
import test_blocking
from faults import MANY, form, load, others, placed, populate, told, worker
from nginx_host import timed
from test_blocking import answer, blocked, call, leave, wait_blocked

pytestmark = pytest.mark.timeout(form(120, 1800))
SOURCES = [f"127.0.0.{2 + i}" for i in range(16)]


@contextlib.contextmanager
def waiting(web, n, sources=SOURCES):
    """n callers who wait, from so many addresses; all leave in the end."""
    callers = [call(web, source=sources[i % len(sources)], keys=["nothing"], timeout=50) for i in range(n)]
    try:
        conftest.wait_for(f"{n} wait", lambda: blocked(web) == n, 20)
        yield callers
    finally:
        for caller in callers:
            caller.close()
        conftest.wait_for("all are let go", lambda: blocked(web) == 0, 20)


def test_a_thousand(record_property):
    """What they take of others' time, in rounds with and without them."""
    alone, beside = [], []
    with nginx_host.serving(**MANY) as web:
        web.callers = []
        keys = populate(web.redis.client, small=1000)

        def p99():
            with load(web.port, seconds=form(1, 4), callers=8, pause=1, **keys) as gets:
                got = gets.result()
            assert got["wrong"] == 0 and not got["refused"], got
            return got["p99_ms"]

        with placed(web):
            p99()
            for _ in range(5):
                alone.append(p99())
                with waiting(web, 1000):
                    beside.append(p99())
    live, how = others(beside, alone, 1.25)
    told(record_property, "1,000 blocked calls from 16 callers", f"GET {how}; median of 5 rounds", "p99 <= 1.25 times", live)


def test_limits(record_property):
    """64 of a caller, 1,024 of all; then each that leaves makes room for one."""
    with nginx_host.serving(**MANY) as web:
        web.callers = []
        process = worker(web)
        before = process.descriptors()
        with waiting(web, 1024) as callers:
            over = [answer(call(web, source=source)) for source in (SOURCES[0], "127.0.0.200")]
            told_why = ["of this caller" in over[0].error[1], "of all callers" in over[1].error[1]]
            callers[0].close()
            conftest.wait_for("one has left", lambda: blocked(web) == 1023, 5)
            time.sleep(0.05)
            call(web, source=SOURCES[0])
            conftest.wait_for("one has come", lambda: blocked(web) == 1024, 5)
            for caller in web.callers:
                caller.close()
        time.sleep(0.2)
        # up to 32 connections of the pool stay for the next calls
        kept = process.descriptors() - before
        statuses = [one.status for one in over]
    told(record_property, "one more blocking call than a caller, and than the pool, may have",
         f"{statuses}, {kept} descriptors kept", "429, 429; <= 32 descriptors",
         statuses == [429, 429] and all(told_why) and kept <= 32)


def test_callers_leave(record_property):
    """At any moment; those who stay get what was pushed."""
    lost, doubled, got, left, back = test_blocking.come_and_go(form(1500, 30_000))
    told(record_property, "callers leave blocking calls at any moment",
         f"{lost} lost, {doubled} doubled of {got + left:,} elements ({got:,} answered, {back} given back)",
         "0 lost, 0 doubled", (lost, doubled) == (0, 0) and back > 0)


def test_pushed_after_the_leave(record_property):
    """100 ms after."""
    n, taken, let_go = form(10, 50), 0, []
    with nginx_host.serving() as web:
        web.callers = []
        for i in range(n):
            caller = call(web)
            wait_blocked(web, 1)
            begin = time.monotonic()
            leave(caller)
            wait_blocked(web, 0)
            let_go.append(time.monotonic() - begin)
            time.sleep(max(0, 0.1 - let_go[-1]))
            web.redis.client.rpush("q", str(i))
            time.sleep(0.05)
            taken += web.redis.client.lpop("q") != str(i).encode()
    told(record_property, "pushed 100 ms after a caller left a blocking call",
         f"{taken} of {n} taken; let go within {1000 * max(let_go):.0f} ms", "never taken", taken == 0)


@pytest.mark.parametrize("block_max_s", form([1], [1, 60]))
def test_timeout_zero(record_property, block_max_s):
    location = "" if block_max_s == 60 else f"lark_block_max {block_max_s}s;"
    with nginx_host.serving(location=location) as web:
        web.callers = []
        with call(web, keys=["q"], timeout=0) as caller:
            caller.settimeout(100)
            got, seconds = timed(lambda: answer(caller))
    told(record_property, f"timeout 0, lark_block_max {block_max_s} s", f"{got.data} after {seconds:.1f} s",
         "cut to lark_block_max, then null", got.data is None and abs(seconds - block_max_s) < 1)
