"""The server's own life: reloads and ends under load, no descriptors left, many idle connections."""
import collections
import contextlib
import http.client
import json
import pathlib
import signal
import socket
import time

import conftest
import faults
import http_raw
import nginx_host
import pytest
from faults import behind_proxy, form, load, populate, told, until, worker
from nginx_host import aside, serving

pytestmark = pytest.mark.timeout(form(120, 1800))

N_KEYS = 1000


def fill(client):
    client.mset({f"small:{i}": f"value:{i}" for i in range(N_KEYS)})
    return {"small": N_KEYS}


# --- reloads and ends -------------------------------------------------------------------------------------------------


def statuses(path):
    """What the server says of all the requests whose first byte it has read."""
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    found = collections.Counter(str(line["status"]) for line in lines if line.get("target", "").find("/GET/small:") >= 0)
    path.unlink()
    return found


@pytest.fixture
def access_log():
    path = pathlib.Path(f"/tmp/lark-access-{conftest.free_port()}.log")
    yield path
    path.unlink(missing_ok=True)


def test_reload_under_load(record_property, access_log):
    """Each request that was read was answered, and the answer arrived."""
    server = conftest.Lark("--workers", "1", "--access-log", str(access_log), "--access-log-paths").start()
    reloads, n = 0, form(10, 100)
    try:
        keys = fill(server.redis())
        with load(server.port, callers=16, depth=2, fresh=30, pause=2, seconds=1500, **keys) as callers:
            for _ in range(n):
                time.sleep(0.1)
                server.process.send_signal(signal.SIGHUP)
                reloads += 1
                conftest.wait_for("reloaded", lambda: server.said().count("reloaded") >= reloads, 20)
            begin = time.monotonic()
            got = callers.end()
        drained = until("the old workers have left", lambda: len(workers_of(server)) == 1, 60, 0.02)
        drained = max(drained, time.monotonic() - begin)
    finally:
        server.stop()
    logged = statuses(access_log)
    told(record_property, f"reload {n} times under load",
         f"{logged['200']:,} requests read, {got['answered']:,} answered, {got['wrong']} wrong, {got['lost']} lost; "
         f"drained in {drained:.1f} s", "none unanswered, drained in <= 30 s",
         logged == {"200": got["answered"]} and got["answered"] > 20 * n and drained <= 30
         and got["wrong"] == got["lost"] == got["unanswered"] == 0)


def test_reload_with_large_answers(record_property):
    """Redis has said all, and the caller takes it as fast as it comes: nobody but the worker itself is waited for."""
    n = form(40, 200)
    with serving(**faults.MANY) as web:
        keys = populate(web.redis.client, large=5, large_bytes=1_000_000)  # 6 MB of JSON each
        with load(web.port, callers=4, seconds=1500, **keys) as callers:
            for _ in range(n):
                time.sleep(0.1)
                web.signal(signal.SIGHUP)
            got = callers.end()
        until("the old workers have left", lambda: len(web.workers()) == 1, 30, 0.02)
        cut = web.said().count("open socket")
        web.allowed = "[alert]" if cut else None  # the figure tells
    told(record_property, f"reload {n} times under large answers", f"{got['answered']:,} whole, {got['lost']} cut, "
         f"{got['wrong']} wrong", "none cut", got["lost"] == got["wrong"] == got["unanswered"] == cut == 0
         and got["answered"] > n)


def workers_of(server):
    """Worker processes of nginx below `lark serve`."""
    children = pathlib.Path("/proc").glob("[0-9]*/cmdline")
    found = []
    for path in children:
        with contextlib.suppress(OSError):
            name = path.read_bytes()
            parent = int((path.parent / "stat").read_text().rpartition(")")[2].split()[1])
            above = int(pathlib.Path(f"/proc/{parent}/stat").read_text().rpartition(")")[2].split()[1])
            if name.startswith(b"nginx: worker") and above == server.process.pid:
                found.append(int(path.parent.name))
    return found


def test_sigterm_under_load(record_property, access_log):
    took, logged, answered, wrong = [], collections.Counter(), 0, 0
    for _ in range(form(2, 20)):
        server = conftest.Lark("--workers", "1", "--access-log", str(access_log), "--access-log-paths").start()
        try:
            keys = fill(server.redis())
            with load(server.port, callers=16, depth=2, fresh=30, pause=2, seconds=60, **keys) as callers:
                time.sleep(0.5)
                begin = time.monotonic()
                server.stop()
                took.append(time.monotonic() - begin)
                got = callers.end()
        finally:
            if server.process.poll() is None:
                server.stop()
        logged += statuses(access_log)
        answered += got["answered"]
        wrong += got["wrong"]
    told(record_property, f"SIGTERM under load, {len(took)} times",
         f"{logged['200']:,} requests read, {answered:,} answered, {wrong} wrong; ended in {max(took):.1f} s",
         "none unanswered, drained in <= 30 s",
         logged == {"200": answered} and answered > 100 and wrong == 0 and max(took) <= 30)


def test_sigterm_waits_for_what_was_read(record_property):
    """Calls that Redis has not answered yet, a body that is still coming, one blocking call."""
    server = conftest.Lark("--workers", "1").start()
    body = b'{"value": "late"}'
    try:
        server.get("/PING/")
        blocked = aside(server, "POST", "/BLPOP/", {"keys": ["q"], "timeout": 20})
        conftest.wait_for("it is blocked", lambda: server.redis().info("clients")["blocked_clients"] == 1, 5)
        with server.connect() as connection:
            connection.sendall(b"POST /api/0/SET/a/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(body))
            time.sleep(0.2)
            server.process.send_signal(signal.SIGTERM)
            conftest.wait_for("it stops", lambda: "stopping" in server.said(), 5)
            time.sleep(0.5)
            connection.sendall(body)
            slow, _ = http_raw.read_answer(connection, "POST")
        client = server.redis()
        client.rpush("q", "last")
        answers = [slow.status, blocked.result(10).status]
        with pytest.raises((ConnectionError, http.client.HTTPException)):
            alone(server, "/PING/")
    finally:
        server.stop()
    told(record_property, "SIGTERM with a body coming and a call blocked", f"answered {answers}", "answered",
         answers == [200, 200])


def test_blocked_for_longer_than_a_worker_stays(record_property):
    """They are answered before nginx ends it: one gets what comes meanwhile, the others null, and nothing is taken for them."""
    leave_s, n = form(8, 30), form(20, 200)
    with serving(leave=f"{leave_s}s", http="lark_block_calls_max 500;", connections=2000) as web:
        calls = [aside(web, "POST", "/BLPOP/", {"keys": [f"q{i}"], "timeout": 55}) for i in range(n)]
        conftest.wait_for("they are blocked", lambda: web.redis.client.info("clients")["blocked_clients"] == n, 10)
        old = worker(web)
        begin = time.monotonic()
        web.signal(signal.SIGHUP)
        time.sleep(0.5)
        web.redis.client.rpush("q0", "in time")
        answers = [call.result(leave_s) for call in calls]
        took = time.monotonic() - begin
        until("the old worker has left", lambda: not old.folder.exists(), leave_s, 0.02)
        for i in range(n):
            web.redis.client.rpush(f"q{i}", "later")
        taken = sum(web.redis.client.llen(f"q{i}") != 1 for i in range(n))
    nulls = [answer.status == 200 and answer.data is None for answer in answers[1:]]
    told(record_property, f"{n} calls blocked for longer than worker_shutdown_timeout {leave_s}s, a reload",
         f"one answered {answers[0].data}, {sum(nulls)} null after {took:.1f} s, {taken} elements lost",
         "all answered before, none lost", answers[0].data == ["q0", "in time"] and all(nulls) and took < leave_s and taken == 0)


def test_changed_redis_on_reload(record_property):
    """The old one answers what was asked of it, and is then left; the new one answers the rest."""
    other = nginx_host.RedisServer()
    try:
        with serving() as web:
            keys = fill(web.redis.client)
            fill(other.client)
            web.redis.client.set("where", "old")
            other.client.set("where", "new")
            with load(web.port, callers=8, fresh=30, pause=2, seconds=60, **keys) as callers:
                blocked = aside(web, "POST", "/BLPOP/", {"keys": ["q"], "timeout": 20})
                conftest.wait_for("it is blocked", lambda: web.redis.client.info("clients")["blocked_clients"] == 1, 5)
                time.sleep(0.3)
                web.write(redis=other.url)
                web.signal(signal.SIGHUP)
                until("the new one answers", lambda: alone(web, "/GET/where/").data == "new", 5)
                time.sleep(0.5)
                web.redis.client.rpush("q", "from the old")
                item = blocked.result(5).data[1]
                left = until("the old one is left", lambda: len(web.redis.client.client_list()) == 1, 30)
                got = callers.end()
            web.redis.stop()
            web.close()
            assert web.get("/GET/where/").data == "new"
    finally:
        other.stop()
    told(record_property, "a changed Redis on reload", f"a call blocked there got {item!r}, then left in {left:.1f} s; "
         f"{got['wrong']} wrong, {got['lost']} lost of {got['answered']:,}", "the old one drained in <= 30 s",
         item == "from the old" and got["wrong"] == got["lost"] == got["unanswered"] == 0 and not got["refused"])


# --- descriptors and memory -------------------------------------------------------------------------------------------


def test_no_descriptor_left(record_property):
    """More callers than descriptors, and the connection to Redis lost meanwhile."""
    with behind_proxy(main="worker_rlimit_nofile 100;", connections=512) as web:
        web.allowed = "(24: Too many open files)"
        web.redis.client.set("a", "1")
        assert web.get("/GET/a/").data == "1"
        web.close()
        process = worker(web)
        with contextlib.ExitStack() as open_ones:
            for _ in range(300):
                open_ones.enter_context(web.connect())
            conftest.wait_for("no descriptor is left", lambda: web.allowed in web.said(), 5)
            shares = [share_of_cpu(process)]
            web.proxy.say("drop reset")
            time.sleep(0.2)
            shares.append(share_of_cpu(process))
        back = until("it answers", lambda: answers_again(web), 10, 0.01)
        assert process.pid in web.workers()
    told(record_property, "no descriptor left (EMFILE)", f"{100 * max(shares):.1f}% of a core meanwhile; answers "
         f"{back:.2f} s after the others left", "no spin (< 10%), recovers < 1 s", max(shares) < 0.1 and back < 1)


def share_of_cpu(process, seconds=1.5):
    before, begin = process.cpu_s(), time.monotonic()
    time.sleep(seconds)
    return (process.cpu_s() - before) / (time.monotonic() - begin)


def alone(web, target, timeout_s=10):
    """An answer on a connection of its own."""
    client = http_raw.Client(web.port, timeout_s=timeout_s)
    try:
        return client.get(target)
    finally:
        client.close()


def answers_again(web):
    with contextlib.suppress(OSError):
        return alone(web, "/GET/a/", 0.3).status == 200


def bytes_of_idle(web, target, n):
    """Resident memory of the worker for each of n connections that have had an answer and stay."""
    request = f"GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    process = worker(web)
    with contextlib.ExitStack() as open_ones:
        def more(count):
            for _ in range(count):
                connection = open_ones.enter_context(socket.create_connection(("127.0.0.1", web.port), timeout=10))
                connection.sendall(request)
                assert connection.recv(4096).startswith(b"HTTP/1.1 200")

        more(200)  # what is made once
        before = process.resident_mb()
        more(n)
        return (process.resident_mb() - before) * 1024 * 1024 / n


def test_idle_connections(record_property):
    n = form(3000, 10_000)
    plain = 'location = /plain { default_type application/json; return 200 "{}"; }'
    sizes = {}
    for target in ("/plain", "/api/0/GET/a/"):
        with serving(server=plain, http="keepalive_timeout 600s;", **faults.MANY) as web:
            web.redis.client.set("a", "1")
            assert web.get("/GET/a/").data == "1"
            sizes[target] = bytes_of_idle(web, target, n)
    own, ours = sizes.values()
    told(record_property, f"{n:,} idle connections", f"{ours:,.0f} bytes each, nginx' own {own:,.0f}: "
         f"{max(0, ours - own):,.0f} more", "<= 4,096 bytes above nginx' own", ours - own <= 4096)
