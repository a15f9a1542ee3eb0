"""Redis behind the module: away, back, slow, frozen, killed; callers who leave; workers that end."""
import concurrent.futures
import pathlib
import signal
import socket
import threading
import time

import conftest
import http_raw
import nginx_host
import pytest
from nginx_host import aside, serving, timed


def raw_get(target, *fields):
    return b"\r\n".join([b"GET /api/0" + target + b" HTTP/1.1", b"Host: localhost", *fields, b"", b""])


# --- away and back ----------------------------------------------------------------------------------------------------


def test_killed_and_restarted():
    with serving() as web:
        assert web.post("/SET/a/", {"value": 1}).data is True
        for _ in range(3):
            web.redis.kill()
            # The first try to come back may still find the listening socket of a process that is being taken down.
            conftest.wait_for("Redis is missed", lambda: b"refused" in web.get("/PING/").body, 5)
            answer, seconds = timed(lambda: web.get("/PING/"))
            assert answer.error[0] == "redis_away" and answer.headers["Retry-After"] == "1", answer
            assert "refused" in answer.error[1], answer.error
            assert seconds < 0.05
            health = web.request("GET", "/healthz", mount="")
            assert health.status == 503 and "refused" in health.error[1]
            web.redis.start()
            begin = time.monotonic()
            conftest.wait_for("Redis is found again", lambda: web.get("/PING/").status == 200, 5)
            assert time.monotonic() - begin < 1


def test_away_from_the_start():
    nginx = nginx_host.Nginx(f"redis://127.0.0.1:{conftest.free_port()}").start()
    try:
        assert nginx.get("/PING/").error[0] == "redis_away"
        assert nginx.get("/NOSUCH/").status == 404
    finally:
        nginx.stop()


@pytest.mark.parametrize("url, words", [
    ("redis://:wrong@127.0.0.1:{port}", "WRONGPASS"),
    ("redis://nobody:wrong@127.0.0.1:{port}", "WRONGPASS"),
    ("redis://127.0.0.1:{port}", "NOAUTH"),
    ("redis://:right@127.0.0.1:{port}/4000", "SELECT"),
])
def test_refused_login(url, words):
    """A wrong password or database never goes on silently."""
    with serving("--requirepass", "right", url=url) as web:
        conftest.wait_for("the login is refused", lambda: web.post("/SET/a/", {"value": 1}).status == 503, 5)
        answer = web.post("/SET/a/", {"value": 1})
        assert answer.error[0] == "redis_away" and words in answer.error[1], answer
        assert web.redis.client.dbsize() == 0


def test_login_and_database(tmp_path):
    secret = tmp_path / "password"
    secret.write_text("right\n")
    for url in ("redis://:right@127.0.0.1:{port}/7", "redis://default:right@127.0.0.1:{port}/7",
                f'redis://127.0.0.1:{{port}}/7" "password_file={secret}'):
        with serving("--requirepass", "right", url=f'"{url}"') as web:
            assert web.post("/SET/a/", {"value": 1}).data is True
            assert web.redis.client.info("keyspace")["db7"]["keys"] == 1
            names = [client["name"] for client in web.redis.client.client_list()]
            assert names.count("lark") == 1


def test_unix_socket(tmp_path_factory):
    path = pathlib.Path(f"/tmp/lark-test-{conftest.free_port()}.sock")
    with serving("--unixsocket", str(path), "--unixsocketperm", "777", url=f"unix://{path}?db=2") as web:
        assert web.post("/SET/a/", {"value": 1}).data is True
        assert web.redis.client.info("keyspace")["db2"]["keys"] == 1
        path.unlink()
        web.redis.kill()
        conftest.wait_for("Redis is missed", lambda: web.get("/PING/").status == 503, 5)


# --- slow and frozen --------------------------------------------------------------------------------------------------


def test_deadline():
    with serving(location="lark_timeout 400ms;") as web:
        assert web.get("/PING/").data is True
        web.redis.freeze()
        answer, seconds = timed(lambda: web.get("/GET/a/"))
        assert answer.error[0] == "deadline" and 0.3 < seconds < 0.5, (answer, seconds)
        answer, seconds = timed(lambda: web.post("/SET/a/", {"value": 1}))
        # The new connection is not answered either: the write was held back, and was not done.
        assert answer.status in (503, 504) and seconds < 0.5, (answer, seconds)
        web.redis.thaw()
        conftest.wait_for("Redis answers", lambda: web.get("/PING/").status == 200, 5)


def test_deadline_of_a_write():
    with serving(location="lark_timeout 400ms;") as web:
        assert web.get("/PING/").data is True
        web.redis.freeze()
        answer = web.post("/INCR/n/", {})
        assert (answer.status, answer.error[0]) == (504, "outcome_unknown"), answer
        web.redis.thaw()
        conftest.wait_for("Redis answers", lambda: web.get("/PING/").status == 200, 5)
        assert web.redis.client.get("n") in (None, b"1")


def test_idle_dead_connection_is_found():
    with serving() as web:
        assert web.get("/PING/").data is True
        web.redis.freeze()
        begin = time.monotonic()
        conftest.wait_for("the dead connection is found", lambda: "did not answer" in web.said(), 10)
        assert time.monotonic() - begin < 5
        web.redis.thaw()


def test_a_read_is_sent_once_more():
    """Its connection is cut while the reply is awaited."""
    with serving() as web:
        web.redis.client.set("a", "1")
        assert web.get("/GET/a/").data == "1"
        web.redis.freeze()
        waiting = aside(web, "GET", "/GET/a/")
        time.sleep(0.1)
        web.redis.kill()
        web.redis.start()
        answer = waiting.result(10)
        assert answer.status in (200, 503), answer


def test_a_write_is_never_sent_again():
    with serving() as web:
        assert web.get("/PING/").data is True
        web.redis.freeze()
        waiting = aside(web, "POST", "/INCR/n/", {})
        time.sleep(0.1)
        web.redis.kill()
        answer = waiting.result(10)
        assert (answer.status, answer.error[0]) == (502, "outcome_unknown"), answer
        web.redis.start()


def test_counting_under_kills():
    """acknowledged <= value <= acknowledged + unknown, with every write on disk before its reply."""
    with serving("--appendonly", "yes", "--appendfsync", "always") as web:
        told = {"ok": 0, "unknown": 0, "not": 0}
        ends = threading.Event()

        def count():
            mine = {"ok": 0, "unknown": 0, "not": 0}
            client = http_raw.Client(web.port)
            while not ends.is_set():
                answer = client.post("/INCR/n/", {})
                if answer.status == 200:
                    mine["ok"] += 1
                else:
                    mine["unknown" if answer.error[0] == "outcome_unknown" else "not"] += 1
                    assert answer.error[0] in ("outcome_unknown", "redis_away", "redis_busy"), answer
            client.close()
            return mine

        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            futures = [pool.submit(count) for _ in range(8)]
            for _ in range(5):
                time.sleep(0.3)
                web.redis.kill()
                time.sleep(0.1)
                web.redis.start()
            time.sleep(0.3)
            ends.set()
            for future in futures:
                for name, n in future.result().items():
                    told[name] += n
        value = int(web.redis.client.get("n") or 0)
        assert told["ok"] > 0 and told["ok"] <= value <= told["ok"] + told["unknown"], (value, told)


# --- the lanes --------------------------------------------------------------------------------------------------------


def test_blocking_calls_hold_nobody_up():
    with serving(http="lark_pool_max 3;") as web:
        waiting = [aside(web, "POST", "/BLPOP/", {"keys": ["q"], "timeout": 5})
                   for _ in range(3)]
        conftest.wait_for("three are blocked", lambda: web.redis.client.info("clients")["blocked_clients"] == 3, 5)
        assert web.get("/PING/").data is True
        answer = web.post("/BLPOP/", {"keys": ["q"], "timeout": 5})
        assert (answer.status, answer.error[0]) == (429, "too_many_calls")
        assert answer.headers["Retry-After"] == "1"
        web.redis.client.rpush("q", "1", "2", "3")
        assert sorted(one.result(5).data[1] for one in waiting) == ["1", "2", "3"]
        assert web.post("/BLPOP/", {"keys": ["q"], "timeout": 1}).data is None


def test_block_max():
    with serving(location="lark_block_max 1s;") as web:
        for timeout in (0, 30):
            answer, seconds = timed(lambda: web.post("/BLPOP/", {"keys": ["q"], "timeout": timeout}))
            assert answer.data is None and 0.9 < seconds < 2.5


def test_a_caller_leaves_a_blocking_call():
    """What is pushed afterwards stays."""
    with serving() as web:
        body = b'{"keys": ["q"], "timeout": 30}'
        for how in ("close", "half", "reset"):
            connection = web.connect()
            connection.sendall(b"POST /api/0/BLPOP/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s"
                               % (len(body), body))
            conftest.wait_for("it is blocked", lambda: web.redis.client.info("clients")["blocked_clients"] == 1, 5)
            if how == "half":
                connection.shutdown(socket.SHUT_WR)
            if how == "reset":
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
            if how != "half":
                connection.close()
            conftest.wait_for("it is let go", lambda: web.redis.client.info("clients")["blocked_clients"] == 0, 2)
            connection.close()
            web.redis.client.rpush("q", how)
            time.sleep(0.05)
            assert web.redis.client.lpop("q") == how.encode()


def test_callers_leave_at_any_time():
    """Their replies are read and dropped: nobody gets another's."""
    with serving() as web:
        for i in range(100):
            web.redis.client.set(f"k{i}", f"v{i}-" + "x" * (i * 300))
        ends = threading.Event()

        def leave():
            n = 0
            while not ends.is_set():
                connection = web.connect()
                connection.sendall(b"".join(raw_get(b"/GET/k%d/" % ((n + i) % 100)) for i in range(3)))
                if n % 3 == 0:
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
                with connection:
                    if n % 3 == 1:
                        connection.recv(100)
                n += 1

        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            futures = [pool.submit(leave) for _ in range(4)]
            client = http_raw.Client(web.port)
            until = time.monotonic() + 3
            n = 0
            while time.monotonic() < until:
                assert client.get(f"/GET/k{n % 100}/").data == f"v{n % 100}-" + "x" * (n % 100 * 300)
                n += 1
            ends.set()
            client.close()
            for future in futures:
                future.result()
        assert n > 50


def test_private_connection():
    """What a call leaves on its connection is nobody else's."""
    with serving() as web:
        assert web.get("/PING/").data is True
        before = web.redis.client.info("stats")["total_connections_received"]
        answer = web.get("/CLIENT/GETNAME/")
        assert answer.status in (200, 404), answer
        if answer.status == 200:
            assert answer.data is None
            assert web.redis.client.info("stats")["total_connections_received"] == before + 1
            conftest.wait_for("it is closed", lambda: len(web.redis.client.client_list()) == 2, 2)


def test_overload():
    with serving(http="lark_queue_max 4;", location="lark_timeout 2s;") as web:
        assert web.get("/PING/").data is True
        web.redis.freeze()
        waiting = [aside(web, "GET", "/GET/a/") for _ in range(4)]
        time.sleep(0.3)
        answer, seconds = timed(lambda: web.get("/GET/a/"))
        assert (answer.status, answer.error[0]) == (503, "overload") and seconds < 0.05, answer
        assert answer.headers["Retry-After"] == "1"
        web.redis.thaw()
        assert [one.result(5).status for one in waiting] == [200] * 4


def test_reply_limit():
    with serving(location="lark_reply_max 10k;") as web:
        web.redis.client.set("big", "x" * 20_000)
        web.redis.client.rpush("list", *["x" * 500] * 100)
        for _ in range(3):
            assert web.get("/GET/big/").error[0] == "reply_too_large"
            assert web.get("/LRANGE/list/0/-1/").error[0] == "reply_too_large"
            assert web.get("/PING/").data is True


def test_a_write_whose_reply_is_over_the_limit_was_done():
    """It must not be sent again: the next element would be lost, too."""
    with serving(location="lark_reply_max 10k;") as web:
        web.redis.client.rpush("jobs", "x" * 20_000, "y")
        answer = web.post("/LPOP/jobs/", {})
        assert (answer.status, answer.error[0]) == (502, "outcome_unknown") and "has done the write" in answer.error[1]
        assert "the reply to a write is lost: the reply of Redis is over the limit" in web.said()
        assert web.post("/LPOP/jobs/", {}).data == "y"


def test_large_body_goes_its_own_way():
    """Its command is made while it is written: neither the worker's memory nor the others notice."""
    with serving(location="client_max_body_size 100m; lark_timeout 20s;") as web:
        def memory(name):
            status = pathlib.Path(f"/proc/{web.workers()[0]}/status").read_text()
            return int(status.split(f"{name}:")[1].split()[0]) / 1024

        assert web.post("/SET/a/", {"value": "warm"}).data is True
        before = memory("VmRSS")
        value = "".join(chr(33 + i % 90) for i in range(1000)).replace("{", "x") * 40_000
        waiting = aside(web, "POST", "/SET/a/", {"value": value})
        while not waiting.done():
            assert web.get("/PING/").data is True
        assert waiting.result().data is True
        assert web.redis.client.get("a") == value.encode()
        if b"asan" not in pathlib.Path(f"/proc/{web.workers()[0]}/maps").read_bytes():
            assert memory("VmHWM") - before < 32
        assert web.post("/SET/b/", {"value": value[:500_000]}).data is True
        assert web.redis.client.get("b") == value[:500_000].encode()


def test_a_large_body_that_redis_refuses():
    with serving("--proto-max-bulk-len", "1mb", location="client_max_body_size 100m;") as web:
        answer = web.post("/SET/a/", {"value": "x" * 3_000_000})
        assert answer.status in (400, 502, 503), answer
        assert web.get("/PING/").data is True
        assert web.redis.client.get("a") is None


# --- the worker's end -------------------------------------------------------------------------------------------------


def test_quit_answers_what_it_took():
    """SIGQUIT: an awaited reply is waited for; then the worker leaves at once."""
    with serving() as web:
        assert web.get("/PING/").data is True
        waiting = aside(web, "POST", "/BLPOP/", {"keys": ["q"], "timeout": 10})
        conftest.wait_for("it is blocked", lambda: web.redis.client.info("clients")["blocked_clients"] == 1, 5)
        web.close()
        web.signal(signal.SIGQUIT)
        time.sleep(0.5)
        assert web.process.poll() is None
        web.redis.client.rpush("q", "last")
        assert waiting.result(5).data == ["q", "last"]
        assert web.process.wait(2) == 0


def test_idle_worker_leaves_at_once():
    with serving() as web:
        for _ in range(10):
            assert web.get("/PING/").data is True
        web.close()
        begin = time.monotonic()
        web.signal(signal.SIGQUIT)
        assert web.process.wait(5) == 0
        assert time.monotonic() - begin < 1.5


def test_reload_under_load():
    """No request whose first byte was read goes unanswered."""
    with serving() as web:
        web.redis.client.set("a", "1")
        ends = threading.Event()

        def ask():
            n = 0
            client = http_raw.Client(web.port)
            while not ends.is_set():
                assert client.get("/GET/a/").data == "1"
                n += 1
            client.close()
            return n

        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            futures = [pool.submit(ask) for _ in range(4)]
            for _ in range(10):
                time.sleep(0.1)
                web.signal(signal.SIGHUP)
            time.sleep(0.3)
            ends.set()
            assert all(future.result() > 10 for future in futures)
        conftest.wait_for("the old workers have left", lambda: len(web.workers()) == 1, 10)


# --- the configuration ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("settings, words", [
    ({"http": "lark_redis main redis://h;"}, "is duplicate"),
    ({"redis": "http://h"}, "a Redis URL begins with redis://, rediss:// or unix://"),
    ({"http": "lark_redis two redis://127.0.0.1/x;"}, "the database is not a number: x"),
    ({"http": "lark_redis two redis://127.0.0.1 password=x;"}, "password_file=PATH"),
    ({"http": "lark_redis two redis://127.0.0.1 password_file=/nowhere;"}, "password_file cannot read"),
    ({"http": "lark_redis two redis://joe@127.0.0.1;"}, "no password"),
    ({"http": "lark_redis two unix:///" + "a" * 107 + ";"}, "longer than 107 bytes"),
    ({"http": "lark_queue_max 0;"}, "lark_queue_max must be from 1 to 1048576"),
    ({"http": "lark_timeout 2h;"}, "lark_timeout must be from 1ms to 1h"),
    ({"http": "lark_reply_max 2000m;"}, "lark_reply_max must be from 1k to 1024m"),
    ({"scopes": "admn"}, 'there is no scope "admn"'),
    ({"location": "lark_allowed_hosts localhost:80;"}, "is no host name"),
    ({"location": "lark_allowed_hosts *.example.com;"}, "is no host name"),
    ({"server": "location /x/ { lark nowhere; }"}, 'there is no lark_redis "nowhere"'),
    ({"server": "location ~ ^/x/ { lark main; }"}, "needs a prefix location"),
    ({"server": "location = /x/ { lark main; }"}, "needs a prefix location"),
    ({"server": "location /x/ { lark main; lark_health main; }"}, "beside another handler"),
    ({"http": "server { listen 127.0.0.1:1; location / { lark main; } }"}, "would answer no Host"),
])
def test_configuration_errors(settings, words):
    nginx = nginx_host.Nginx("redis://127.0.0.1:6379", **settings)
    try:
        taken, said = nginx.check()
        assert not taken and words in said, said
        assert len([line for line in said.splitlines() if "[emerg]" in line]) == 1, said
    finally:
        nginx.stop()


def test_a_password_is_never_said():
    nginx = nginx_host.Nginx("redis://joe:hunter2@127.0.0.1:notaport")
    try:
        taken, said = nginx.check()
        assert not taken and "hunter2" not in said, said
    finally:
        nginx.stop()


def test_mount_at_the_root():
    with serving(server="location / { lark main; lark_default_scopes read:*; }") as web:
        assert web.get("/GET/a/", mount="").data is None
        assert web.post("/SET/a/", {"value": 1}, mount="").error[0] == "scope"


def test_no_scope_is_given_by_default():
    with serving(server="location /closed/ { lark main; }") as web:
        assert web.get("/GET/a/", mount="/closed").error[0] == "scope"
