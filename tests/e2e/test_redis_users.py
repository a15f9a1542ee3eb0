"""Who we are to Redis and where it is: users of its ACL, Unix sockets, databases, names with several addresses, and a
reload to another Redis."""
import contextlib
import json
import os
import signal
import time

import conftest
import nginx_host
import pytest
import serve_host
from test_nginx_redis import aside, serving
from tls_host import Authority, TlsRedis

folder = pytest.fixture(serve_host.short_folder)


@contextlib.contextmanager
def serving_as(rights, place="", **settings):
    """An nginx that is the user joe of a Redis of its own, with these rights."""
    rules = ("--user", "joe", "on", ">pw", "~*", *rights.split())
    with serving(*rules, url="redis://joe:pw@127.0.0.1:{port}" + place, **settings) as web:
        yield web


def health(web):
    return web.request("GET", "/healthz", mount="")


# --- rights -----------------------------------------------------------------------------------------------------------


def test_a_user_without_client():
    """A name is a nicety."""
    with serving_as("+@all -client") as web:
        assert web.post("/SET/a/", {"value": "b"}).data is True
        assert web.get("/GET/a/").data == "b"
        assert health(web).status == 200
        assert {client["name"] for client in web.redis.client.client_list() if client["user"] == "joe"} == {""}
        refused = web.get("/CLIENT/GETNAME/")
        assert refused.status == 403 and "'client|getname'" in refused.error[1], refused
        assert web.post("/BLPOP/", {"keys": ["q"], "timeout": 1}).data is None


def test_a_user_with_one_command():
    """He is healthy, and his connection is kept while it is idle, though he may not PING."""
    with serving_as("+get") as web:
        web.redis.client.set("a", "b")
        assert web.get("/GET/a/").data == "b"
        assert health(web).status == 200
        refused = web.post("/SET/a/", {"value": "c"})
        assert refused.status == 403 and "'set'" in refused.error[1], refused
        before = web.redis.client.info("stats")["total_connections_received"]
        time.sleep(4.5)  # two PINGs
        assert web.get("/GET/a/").data == "b"
        assert web.redis.client.info("stats")["total_connections_received"] == before


def test_a_server_without_client():
    with serving("--rename-command", "CLIENT", "") as web:
        assert web.post("/SET/a/", {"value": "b"}).data is True
        assert health(web).status == 200


def test_a_user_without_select():
    """Another database is never taken instead."""
    with serving_as("+@all -select", "/3") as web:
        words = "Redis refused SELECT: NOPERM"
        conftest.wait_for(words, lambda: words in web.post("/SET/a/", {"value": 1}).body.decode(), 10)
        assert health(web).status == 503 and words in health(web).error[1]
        assert web.redis.client.info("keyspace") == {}


def test_a_user_who_is_taken_away_and_given_back():
    """Redis ends his connections: 503 until he may log in again."""
    with serving_as("+@all") as web:
        assert web.post("/SET/a/", {"value": "b"}).data is True
        rules = ("ACL", "SETUSER", "joe", "on", ">pw", "~*", "+@all")
        for change in (("ACL", "DELUSER", "joe"), ("ACL", "SETUSER", "joe", "resetpass", ">other")):
            web.redis.client.execute_command(*change)
            for client in web.redis.client.client_list():
                if client["user"] == "joe":
                    web.redis.client.client_kill_filter(_id=client["id"])
            words = "Redis refused AUTH: WRONGPASS"
            conftest.wait_for(words, lambda: words in web.get("/GET/a/").body.decode(), 10)
            assert health(web).status == 503 and words in health(web).error[1]
            assert words in web.said() and "pw" not in web.said()
            web.redis.client.execute_command(*rules)
            conftest.wait_for("he is back", lambda: web.get("/GET/a/").status == 200, 10)


def test_what_is_special_is_percent_encoded():
    with serving(url="redis://j%40e%3A%2F%3F:p%25%2F%23%40%3A%20%C3%A9@127.0.0.1:{port}") as web:
        web.redis.client.execute_command("ACL", "SETUSER", "j@e:/?", "on", ">p%/#@: é", "~*", "+@all")
        conftest.wait_for("he is let in", lambda: web.post("/SET/a/", {"value": "b"}).status == 200, 10)
        assert "j@e:/?" in {client["user"] for client in web.redis.client.client_list()}


# --- Unix sockets -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("login, query", [
    ("", "?db=2"), ("joe:p%2Fw@", "?db=2"), ("", "?db=2&user=joe&password=p/w"), (":default@", "?db=2")])
def test_unix_socket(folder, login, query):
    path = folder / "a b.sock"
    rules = ("--unixsocket", path, "--unixsocketperm", "777", "--user", "joe", "on", ">p/w", "~*", "+@all")
    if "default" in login:
        rules += ("--requirepass", "default")
    with serving(*rules, url=f'"unix://{login}{folder}/a%20b.sock{query}"') as web:
        assert web.post("/SET/a/", {"value": "b"}).data is True
        assert web.redis.client.info("keyspace")["db2"]["keys"] == 1
        user = "joe" if "joe" in login + query else "default"
        assert {client["user"] for client in web.redis.client.client_list() if client["name"] == "lark"} == {user}


def test_unix_socket_that_refuses(folder):
    """It closes without an answer (no TLS there to be asked for), has no such database."""
    path = folder / "r.sock"
    options = ("--unixsocket", path, "--unixsocketperm", "777", "--databases", "4")
    with serving(*options, url=f"unix://{path}?db=9") as web:
        words = "Redis refused SELECT: ERR DB index is out of range"
        conftest.wait_for(words, lambda: words in web.get("/GET/a/").body.decode(), 10)


def test_serve_as_a_user_of_a_unix_socket(folder):
    path = folder / "r.sock"
    (folder / "p").write_text("pw\n")
    rules = ("--unixsocket", path, "--user", "joe", "on", ">pw", "~*", "+@all", "-client")
    redis = nginx_host.RedisServer(*rules)
    try:
        words = ("--redis", f"unix://joe@{path}?db=2", "--redis-password-file", folder / "p")
        with serve_host.Serve(folder / "s", "--default-scopes", "admin", *words) as web:
            assert web.up(), web.err
            web.put("a", "b")
            assert redis.client.info("keyspace")["db2"]["keys"] == 1
            assert web.end() == 0
        redis.client.execute_command("ACL", "SETUSER", "joe", "-select")
        said = serve_host.refused("--state-dir", folder / "s", "--listen", f"127.0.0.1:{conftest.free_port()}", *words)
        assert " cannot be used: it refuses database 2: NOPERM" in said
    finally:
        redis.stop()


def test_serve_as_a_user_who_may_only_get(folder):
    redis = nginx_host.RedisServer("--user", "joe", "on", ">pw", "~*", "+get")
    try:
        redis.client.set("a", "b")
        url = f"redis://joe:pw@127.0.0.1:{redis.port}"
        with serve_host.Serve(folder / "s", "--default-scopes", "admin", "--redis", url) as web:
            assert web.up(), web.err
            assert web.got("a") == "b"
            assert web.end() == 0
    finally:
        redis.stop()


@pytest.mark.parametrize("password", ["p%0Aw", "p%00w", "p%0D"])
def test_serve_refuses_passwords_it_cannot_pass_on(folder, password):
    said = serve_host.refused("--state-dir", folder / "s", "--redis", f"redis://:{password}@127.0.0.1")
    assert said == "--redis: a password with a line end or a NUL cannot be passed on"


# --- several addresses of a name --------------------------------------------------------------------------------------


def hosts_of_its_own(folder):
    """Words before a command: for it two.test has two addresses."""
    if os.geteuid() != 0:
        pytest.skip("needs root for a mount of its own")
    (folder / "hosts").write_text("127.0.0.1 localhost\n127.0.0.3 two.test\n127.0.0.1 two.test\n")
    return ("unshare", "--mount", "sh", "-c", f'mount --bind {folder}/hosts /etc/hosts && exec "$@"', "sh")


class NginxWithHosts(nginx_host.Nginx):
    before = ()

    def command(self, *words):
        return [*self.before, *super().command(*words)]


@contextlib.contextmanager
def serving_two(folder, redis, words=""):
    web = NginxWithHosts(f"{redis.url.replace('localhost', 'two.test').replace('127.0.0.1', 'two.test')} {words}")
    web.before = hosts_of_its_own(folder)
    try:
        yield web.start()
        web.stop()
    finally:
        if web.process and web.process.poll() is None:
            web.process.kill()
            web.process.wait()


@pytest.mark.parametrize("address", ["127.0.0.3", "127.0.0.1"])
def test_the_next_address_is_tried(folder, address):
    """The first request is answered, whichever of the two it is."""
    redis = nginx_host.RedisServer("--bind", "127.0.0.1")
    redis.kill()
    redis.options = ("--bind", address, "--unixsocket", str(folder / "r.sock"), "--protected-mode", "no")
    redis.client.close()
    redis.client = type(redis.client)(unix_socket_path=str(folder / "r.sock"), retry=None)
    redis.start()
    try:
        with serving_two(folder, redis) as web:
            assert web.post("/SET/a/", {"value": "b"}).data is True
            assert "cannot be reached" not in web.said()
            assert web.post("/BLPOP/", {"keys": ["q"], "timeout": 1}).data is None
            redis.kill()
            conftest.wait_for("Redis is missed", lambda: "refused" in web.get("/PING/").body.decode(), 5)
            redis.start()
            conftest.wait_for("Redis is found again", lambda: web.get("/PING/").status == 200, 5)
        with serve_host.Serve(folder / "s", "--default-scopes", "admin", "--redis", f"redis://two.test:{redis.port}",
                              before=hosts_of_its_own(folder)) as web:
            assert web.up(), web.err
            web.put("a", "c")
            assert redis.client.get("a") == b"c"
            assert web.end() == 0
    finally:
        redis.stop()


@pytest.mark.parametrize("address", ["127.0.0.3", "127.0.0.1"])
def test_the_address_that_answers_gives_the_reason(folder, address):
    """Not the other one, where nobody is."""
    authority = Authority()
    redis = TlsRedis(authority, authority.issue("old", "DNS:two.test", days=-1), "--bind", address)
    try:
        with serving_two(folder, redis, f"ca={authority.ca}") as web:
            words = "the certificate of Redis has expired"
            conftest.wait_for(words, lambda: words in web.get("/PING/").body.decode(), 5)
            until = time.monotonic() + 2
            while time.monotonic() < until:
                assert words in web.get("/PING/").error[1]
            lines = [line for line in web.said().splitlines() if "cannot be reached" in line]
            assert len(lines) == 1 and words in lines[0], lines
    finally:
        redis.stop()
        authority.done()


# --- another Redis by a reload ----------------------------------------------------------------------------------------


def test_a_reload_to_another_redis():
    """New calls go to the new one; who waits is answered by the old one."""
    new = nginx_host.RedisServer("--requirepass", "right")
    try:
        with serving() as web:
            assert web.post("/SET/a/", {"value": "old"}).data is True
            waiting = aside(web, "POST", "/BLPOP/", {"keys": ["q"], "timeout": 15})
            conftest.wait_for("it is blocked", lambda: web.redis.client.info("clients")["blocked_clients"] == 1, 5)
            old = web.workers()
            web.write(redis=f"redis://:right@127.0.0.1:{new.port}/5")
            web.signal(signal.SIGHUP)
            conftest.wait_for("the new Redis is asked", lambda: web.get("/GET/a/").data is None, 10)
            assert web.post("/SET/a/", {"value": "new"}).data is True
            assert new.client.info("keyspace")["db5"]["keys"] == 1
            web.redis.client.rpush("q", "x")
            assert waiting.result(10).data == ["q", "x"]
            conftest.wait_for("the old worker is gone", lambda: not set(old) & set(web.workers()), 10)
            conftest.wait_for("the old Redis is left",
                              lambda: [c["name"] for c in web.redis.client.client_list()].count("lark") == 0, 5)
            assert web.redis.client.get("a") == b"old"
    finally:
        new.stop()


def test_serve_reloads_to_another_redis(folder):
    """A URL that Redis refuses leaves the old one in force."""
    one, two = nginx_host.RedisServer(), nginx_host.RedisServer("--requirepass", "right")
    config = folder / "lark.json"

    def write(url):
        config.write_text(json.dumps({"default_scopes": "admin", "redis": url}))

    try:
        write(one.url)
        with serve_host.Serve(folder / "s", "--config", config) as web:
            assert web.up(), web.err
            web.put("a", "one")
            write(f"redis://:wrong@127.0.0.1:{two.port}")
            web.send(signal.SIGHUP)
            conftest.wait_for("it is refused", lambda: "not reloaded" in web.said(), 10)
            assert "it refuses the password: WRONGPASS" in web.err and web.got("a") == "one"
            write(f"redis://:right@127.0.0.1:{two.port}/1")
            web.send(signal.SIGHUP)
            conftest.wait_for("it is reloaded", lambda: "lark: reloaded\n" in web.said(), 10)
            conftest.wait_for("the new Redis is asked",
                              lambda: json.loads(web.request("GET", "/api/0/GET/a/")[1])["data"] is None, 10)
            web.put("a", "two")
            assert two.client.info("keyspace")["db1"]["keys"] == 1 and one.client.get("a") == b"one"
            assert web.end() == 0
    finally:
        one.stop()
        two.stop()
