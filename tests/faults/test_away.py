"""Redis killed, silent, or in no state to answer; and more calls than it takes."""
import threading
import time

import conftest
import faults
import http_raw
import pytest
import test_redis_errors
from faults import behind_proxy, form, load, median, populate, told, until, worker
from nginx_host import serving, timed

pytestmark = pytest.mark.timeout(form(120, 1800))


def test_redis_killed_and_restarted(record_property):
    """Under load, whose callers look at each answer: their own, or 503, or 502 for one that was under way."""
    down, back = [], []
    with serving() as web:
        keys = populate(web.redis.client, small=10_000)
        web.redis.client.save()
        client = http_raw.Client(web.port)
        with load(web.port, callers=16, depth=2, pause=20, seconds=1500, **keys) as callers:
            for _ in range(form(5, 100)):
                web.redis.kill()
                until("Redis is missed", lambda: client.get("/GET/small:1/").status == 503, 5)
                for _ in range(10):
                    answer, seconds = timed(lambda: client.get("/GET/small:1/"))
                    assert answer.status == 503 and answer.error[0] == "redis_away", answer
                    assert answer.headers["Retry-After"] == "1"
                    down.append(seconds * 1000)
                web.redis.start()
                back.append(until("Redis is found again", lambda: client.get("/GET/small:1/").status == 200, 5))
                time.sleep(0.3)
            got = callers.end()
        client.close()
    down.sort()
    late = down[int(len(down) * 0.99) - 1]
    told(record_property, f"Redis killed (-9) and restarted, {len(back)} times: while down",
         f"503 with Retry-After, p99 {late:.1f} ms (slowest {down[-1]:.1f} ms of {len(down)})", "503 within 50 ms",
         late < 50)
    told(record_property, "... first success after PING", f"slowest {max(back):.2f} s, median {median(back):.2f} s",
         "< 1 s", max(back) < 1)
    strange = {status: n for status, n in got["refused"].items() if status not in ("503", "502")}
    told(record_property, "... callers meanwhile", f"{got['wrong']} wrong of {got['answered']:,}; refused "
         f"{sum(got['refused'].values()):,}; {got['lost'] + got['unanswered']} without an answer", "0 wrong, all answered",
         got["wrong"] == got["lost"] == got["unanswered"] == 0 and not strange and got["answered"] > 100)


def test_counting_under_kills(record_property):
    with serving("--appendonly", "yes", "--appendfsync", "always") as web:
        with load(web.port, callers=16, incr="n", seconds=1500) as callers:
            for _ in range(form(5, 100)):
                time.sleep(0.3)
                web.redis.kill()
                time.sleep(0.05)
                web.redis.start()
            time.sleep(0.3)
            got = callers.end()
        value = int(web.redis.client.get("n"))
    unknown = got["unknown"] + got["lost"] + got["stale"] + got["unanswered"]
    strange = {status: n for status, n in got["refused"].items() if status not in ("503", "502")}
    told(record_property, f"INCR under {form(5, 100)} kills, AOF always",
         f"{got['answered']:,} <= {value:,} <= {got['answered']:,} + {unknown}", "acknowledged <= value <= "
         "acknowledged + unknown", got["answered"] <= value <= got["answered"] + unknown and got["answered"] > 100
         and got["unknown"] > 0 and not strange)


@pytest.mark.parametrize("way", ["request", "reply", "both"])
def test_silent_connection(record_property, way):
    """The connection stays and nothing passes: the deadline ends the wait, on it and on the next one."""
    off, statuses = [], set()
    with behind_proxy(location="lark_timeout 700ms;") as web:
        web.redis.client.set("a", "1")
        for _ in range(form(2, 10)):
            conftest.wait_for("Redis answers", lambda: web.get("/GET/a/").status == 200, 10)
            web.proxy.say(f"hole {way}")
            for _ in range(2):
                answer, seconds = timed(lambda: web.get("/GET/a/"))
                assert answer.error[0] == "deadline", answer
                statuses.add(answer.status)
                off.append(abs(seconds - 0.7) * 1000)
            web.proxy.say("hole none")
            web.proxy.say("drop reset")
    off.sort()
    usual = off[int(0.9 * (len(off) - 1))]
    told(record_property, f"a silent connection ({way})",
         f"{statuses}, {usual:.0f} ms off (9 of 10; the worst {off[-1]:.0f})", "504 at the deadline +-100 ms",
         usual <= 100 and statuses == {504})


def test_idle_dead_connection(record_property):
    """Nobody asks anything, and it is found all the same."""
    times = []
    with behind_proxy() as web:
        for _ in range(form(1, 5)):
            conftest.wait_for("Redis answers", lambda: web.get("/PING/").status == 200, 10)
            n = web.said().count("did not answer")
            web.proxy.say("hole both")
            times.append(until("it is found", lambda: web.said().count("did not answer") > n, 10, 0.02))
            web.proxy.say("hole none")
            web.proxy.say("drop close")
    told(record_property, "an idle dead connection is found", f"within {max(times):.1f} s", "<= 5 s", max(times) <= 5)


def test_states_of_redis(record_property):
    """The tests are those of tests/e2e/test_redis_errors.py."""
    tests = {"OOM 507": "out_of_memory", "LOADING 503": "loading", "MASTERDOWN 503": "master_down",
             "READONLY 503": "read_only", "BUSY 503": "busy_with_a_script", "NOPERM 403": "no_permission"}
    server = conftest.Lark().start()
    try:
        for name in tests.values():
            server.redis().flushall()
            getattr(test_redis_errors, f"test_{name}")(server)
    finally:
        server.stop()
    told(record_property, "states of Redis", ", ".join(tests), "507, 503, 403", True)


def test_overload(record_property):
    """The queue is full: at once, and without memory for each that is refused."""
    p99s, n = [], 0
    with serving(http="lark_queue_max 1000;", location="lark_timeout 120s;", **faults.MANY) as web:
        keys = populate(web.redis.client, small=1000)
        process = worker(web)
        assert web.get("/PING/").status == 200
        web.redis.freeze()
        with load(web.port, gets=1000, callers=1000, **keys) as waiting:
            conftest.wait_for("the queue is full", lambda: process.descriptors() > 1000, 10)
            time.sleep(0.2)
            for i in range(6):
                with load(web.port, gets=form(1000, 10_000), callers=8, pause=1, **keys) as refused:
                    got = refused.result()
                assert got["refused"] == {"503": got["started"]}, got
                if i == 0:
                    before = process.resident_mb()
                else:
                    p99s.append(got["refused_p99_ms"])
                    n += got["started"]
            growth = process.resident_mb() - before
            web.redis.thaw()
            first = waiting.result()
    assert first["answered"] == 1000 and first["wrong"] == 0, first
    told(record_property, "overload: the queue is full", f"503 to {n:,} of {n:,}, p99 {median(p99s):.1f} ms (median of "
         f"{len(p99s)} rounds); {growth:.1f} MB more", "503 in < 10 ms, bounded memory", median(p99s) < 10 and growth < 1)


def test_slow_redis_reader(record_property):
    """Redis takes nothing more: what waits to be written has a bound, too."""
    with behind_proxy(location="client_max_body_size 10m; client_body_buffer_size 300k; lark_timeout 5s;") as web:
        assert web.get("/PING/").status == 200
        process = worker(web)
        before = process.resident_mb()
        web.proxy.say("hole request")
        body, statuses, lock = {"value": "x" * 200_000}, {}, threading.Lock()

        def post():
            client = http_raw.Client(web.port)
            for _ in range(4):
                status = client.post("/SET/a/", body).status
                with lock:
                    statuses[status] = statuses.get(status, 0) + 1
            client.close()

        threads = [threading.Thread(target=post) for _ in range(form(150, 300))]
        for thread in threads:
            thread.start()
        time.sleep(1)
        growth = process.resident_mb() - before
        web.proxy.say("hole none")
        for thread in threads:
            thread.join()
    told(record_property, "overload: Redis reads nothing", f"{statuses}; {growth:.0f} MB more",
         "503 over 16 MB queued; < 100 MB more, bodies of those who wait included",
         statuses.get(503, 0) > 0 and growth < 100)
