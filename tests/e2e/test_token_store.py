"""Tokens in a Redis of their own, shared by many gateways; docs/SECURITY.md names the tests of this file."""
import concurrent.futures
import json
import time

import conftest
import pytest
import token_files
from nginx_host import Nginx, RedisServer
from token_files import basic, bearer, challenges, entry

CI, TENANT, ODD = (token_files.new(word) for word in ("ci", "tenant", "odd"))


def keep(client, token, *args, **fields):
    made = entry(token, *args, **fields)
    client.set(f"lark:token:{made['sha256']}", json.dumps(made))
    return made


def drop(client, token):
    client.delete(f"lark:token:{entry(token)['sha256']}")


@pytest.fixture
def store():
    server = RedisServer("--databases", "4")
    yield server
    server.stop()


@pytest.fixture
def gate(plain_redis, store):
    """gate(**settings): an nginx that takes the tokens of `store`."""
    gates = []

    def start(url=None, location="", http="", scopes="", **settings):
        http = f"lark_redis tokens {url or store.url};\n{http}"
        server = Nginx(f"unix://{plain_redis.path}", http=http, location=f"lark_token_store tokens; {location}", scopes=scopes,
                       **settings)
        gates.append(server)
        return server

    yield start
    for server in gates:
        server.stop()


def test_a_token_of_the_store_calls(gate, store, plain_redis):
    keep(store.client, CI, ["write:set", "read:get"])
    keep(store.client, TENANT, ["admin"], prefix="u1", name="tenant")
    server = gate().start()
    assert server.get("/GET/a/").status == 401
    for headers in (bearer(CI), basic(CI)):
        assert server.post("/SET/a/", {"value": "1"}, headers=headers).data is True
    answer = server.get("/TTL/a/", headers=bearer(CI))
    assert (answer.status, challenges(answer)) == (403, ['Bearer error="insufficient_scope", scope="read:ttl"'])
    assert server.post("/SET/b/", {"value": "2"}, headers=bearer(TENANT)).data is True
    assert sorted(plain_redis.client.keys()) == [b"a", b"u1:b"]


def test_an_unknown_token_is_invalid(gate, store):
    answer = gate().start().get("/GET/a/", headers=bearer(CI))
    assert (answer.status, challenges(answer)) == (401, ['Bearer error="invalid_token"'])


def test_bodies_wait_for_the_store(gate, store, plain_redis):
    """A body that comes with, behind and long behind the header, small and large."""
    keep(store.client, CI, ["admin"])
    server = gate().start()
    for size in (1, 20_000, 700_000):
        time.sleep(0.6)  # so that the store is asked
        assert server.post("/SET/a/", {"value": "x" * size}, headers=bearer(CI)).data is True
        assert plain_redis.client.strlen("a") == size
    time.sleep(0.6)
    with server.connect() as connection:
        body = b'{"value": "late"}'
        connection.sendall(f"POST /api/0/SET/a/ HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {CI}\r\nConnection: close\r\n"
                           f"Content-Length: {len(body)}\r\n\r\n".encode())
        time.sleep(0.3)
        connection.sendall(body)
        got = b""
        while piece := connection.recv(4096):
            got += piece
    assert got.startswith(b"HTTP/1.1 200") and plain_redis.client.get("a") == b"late"


def test_pipelined_requests_keep_their_order(gate, store, plain_redis):
    keep(store.client, CI, ["admin"])
    plain_redis.client.mset({f"k{n}": n for n in range(20)})
    server = gate().start()
    got = server.raw(b"".join(f"GET /api/0/GET/k{n}/ HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {CI}\r\n"
                              f"{'Connection: close' if n == 19 else 'X: y'}\r\n\r\n".encode() for n in range(20)))
    assert [int(part.split(b'"data": "')[1].split(b'"')[0]) for part in got.split(b"HTTP/1.1 200")[1:]] == list(range(20))


def test_a_revocation_holds_within_a_second_on_every_gateway(gate, store):
    keep(store.client, CI, ["read:get"])
    gates = [gate().start() for _ in range(2)]

    def last_admitted(server):
        """Seconds after the revocation of the start of the last call that was let in."""
        last = 0.0
        while time.monotonic() - revoked < 1.5:
            started = time.monotonic()
            if server.get("/GET/a/", headers=bearer(CI)).status == 200:
                last = started - revoked
        return last

    for server in gates:
        assert server.get("/GET/a/", headers=bearer(CI)).status == 200
    revoked = time.monotonic()
    drop(store.client, CI)
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        late = list(pool.map(last_admitted, gates))
    assert max(late) < 1.0, late


def test_known_tokens_are_not_asked_for_again_and_again(gate, store):
    keep(store.client, CI, ["read:get"])
    server = gate().start()
    server.get("/GET/a/", headers=bearer(CI))
    before = store.client.info("commandstats").get("cmdstat_get", {"calls": 0})["calls"]
    started = time.monotonic()
    for _ in range(200):
        assert server.get("/GET/a/", headers=bearer(CI)).status == 200
    asked = store.client.info("commandstats")["cmdstat_get"]["calls"] - before
    assert asked <= (time.monotonic() - started) / 0.5 + 1


def test_the_store_away_is_503_never_open(gate, store):
    keep(store.client, CI, ["admin"])
    server = gate(scopes="read:ping").start()
    assert server.get("/GET/a/", headers=bearer(CI)).status == 200
    store.kill()
    time.sleep(0.6)
    for headers in (bearer(CI), bearer("anything"), basic(CI)):
        answer = server.get("/PING/", headers=headers)
        assert answer.status == 503 and answer.error[0] == "tokens_away" and answer.headers["Retry-After"] == "1"
    assert server.get("/PING/").data is True, "who shows none is not asked about"
    store.start()
    keep(store.client, CI, ["admin"])
    conftest.wait_for("it is asked again", lambda: server.get("/GET/a/", headers=bearer(CI)).status == 200)


def test_a_store_that_hangs_is_503_in_a_second(gate, store):
    server = gate().start()
    assert server.get("/GET/a/", headers=bearer(CI)).status == 401
    store.freeze()
    started = time.monotonic()
    assert server.get("/GET/a/", headers=bearer(CI)).error[0] == "tokens_away"
    assert 0.5 < time.monotonic() - started < 1.5
    store.thaw()
    conftest.wait_for("it is asked again", lambda: server.get("/GET/a/", headers=bearer(CI)).status == 401)


def test_a_caller_who_leaves_while_the_store_is_asked(gate, store):
    keep(store.client, CI, ["admin"])
    server = gate().start()
    assert server.get("/GET/a/", headers=bearer(CI)).status == 200
    time.sleep(0.6)
    store.freeze()
    for _ in range(20):
        with server.connect() as connection:
            connection.sendall(f"GET /api/0/GET/a/ HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {CI}\r\n\r\n".encode())
            time.sleep(0.01)
    store.thaw()
    conftest.wait_for("it goes on", lambda: server.get("/GET/a/", headers=bearer(CI)).status == 200)


def test_the_log_knows_the_caller(gate, store):
    """Callers of a token store too, when their call is over and their place in memory is another's."""
    keep(store.client, CI, ["admin"], name="the caller's name")
    server = gate(http="log_format callers '$lark_caller $status';")
    server.write(location=f"lark_token_store tokens; access_log {server.state}/access.log callers;")
    server.start()
    for _ in range(3):
        assert server.get("/PING/", headers=bearer(CI)).status == 200
        assert server.get("/PING/", headers=bearer(ODD)).status == 401
    lines = conftest.wait_for("the log", lambda: (found := (server.state / "access.log").read_text().splitlines())[5:] and found)
    assert lines == ["the caller's name 200", "- 401"] * 3


def test_files_are_asked_first(gate, store, tmp_path):
    path = token_files.write(tmp_path / "t.json", entry(CI, ["read:get"]))
    server = gate(location=f"lark_tokens {path};").start()
    store.kill()
    assert server.get("/GET/a/", headers=bearer(CI)).status == 200
    assert server.get("/GET/a/", headers=bearer(ODD)).status == 503


@pytest.mark.parametrize("value", [b"", b"{", b"1", b'{"name": "x"}', b"\xff\xfe", b'{"a": 1}', b"x" * 9000,
                                   b'{"name": "x", "sha256": "' + b"0" * 64 + b'", "scopes": ["admin"]}'])
def test_an_entry_that_is_none_lets_nobody_in(gate, store, value):
    store.client.set(f"lark:token:{entry(CI)['sha256']}", value)
    assert gate().start().get("/GET/a/", headers=bearer(CI)).status in (401, 503)


def test_an_entry_of_another_type_lets_nobody_in(gate, store):
    store.client.rpush(f"lark:token:{entry(CI)['sha256']}", "admin")
    assert gate().start().get("/GET/a/", headers=bearer(CI)).status == 503


def test_an_unknown_scope_of_the_store_matches_nothing(gate, store):
    keep(store.client, ODD, ["read:gte", "read:ttl"])
    server = gate().start()
    assert server.get("/GET/a/", headers=bearer(ODD)).status == 403
    assert server.get("/TTL/a/", headers=bearer(ODD)).status == 200
    assert 'there is no scope "read:gte": it matches nothing; did you mean read:get' in server.said()


def test_expired_tokens_of_the_store(gate, store):
    keep(store.client, CI, ["admin"], expires=int(time.time()) + 2)
    server = gate().start()
    assert server.get("/GET/a/", headers=bearer(CI)).status == 200
    time.sleep(2.1)
    assert "expired" in server.get("/GET/a/", headers=bearer(CI)).error[1]


# --- at start ---------------------------------------------------------------------------------------------------------

def test_the_datas_own_database_is_an_error(gate, store, plain_redis):
    good, said = gate(url=f"unix://{plain_redis.path}").check()
    assert not good and "is the database of" in said and "would make himself admin" in said
    good, said = gate(url=f"unix://{plain_redis.path}?db=1").check()
    assert good, said
    server = Nginx(store.url, http=f"lark_redis tokens redis://localhost:{store.port}/0;", location="lark_token_store tokens;",
                   scopes="")
    good, said = server.check()
    server.stop()
    assert not good and "is the database of" in said, "by another name of the same address, too"


def test_the_store_must_be_known(gate):
    server = gate()
    server.write(location="lark_token_store nothing;")
    good, said = server.check()
    assert not good and 'lark_token_store: there is no lark_redis "nothing"' in said


