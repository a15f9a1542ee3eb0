"""Bodies are those of the server, byte for byte over RESP2 and equal as JSON over RESP3: both ask the same Redis."""
import importlib.util
import json
import pathlib

import pytest
import rows
from conftest import E2E, Server

if not (pathlib.Path(E2E).parent.parent / "build" / "lark").exists():
    pytest.skip("`make build` makes the server to compare with", allow_module_level=True)

# Their answers differ from call to call, on the server too, or tell about the connection that asks.
VARY = {"client_list", "client_getname", "client_setname", "client_kill", "info", "debug_object", "randomkey", "spop",
        "srandmember", "bgsave", "bgrewriteaof", "save", "object", "config_get", "config_set", "config_resetstat", "dump"}
VALUES = [None, "json", "text", "base64", "nope"]


def e2e_conftest():
    spec = importlib.util.spec_from_file_location("e2e_conftest", E2E / "conftest.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def lark():
    server = e2e_conftest().Lark().start()
    yield server
    server.stop()


@pytest.fixture(scope="module", params=["2", "3"], ids=["resp2", "resp3"])
def flask(request, lark):
    lark.redis()
    path = next(p for p in lark.state.rglob("*") if p.is_socket())
    server = Server("wsgi", "flask_app", str(path), LARK_TEST_PROTOCOL=request.param)
    server.protocol = request.param
    yield server
    server.stop()


def fill(redis):
    redis.flushall()
    redis.mset({"a": '{"n": [1, 2.50]}', "b": b"\xff\x00", "n": "12", "text": "hé", "look": '{"$base64": "AA"}'})
    redis.rpush("l", "x", '{"a": 1}', b"\xfe", "")
    redis.sadd("s", "x")
    redis.hset("h", mapping={"f": "v", b"\xff": b"\xff", "g": '{"a": 1}'})
    redis.zadd("z", {"m": 1.5, "n": 0.1, "o": 1e20, "p": float("inf"), "q": -0.0, "r": 3e-9})


def requests():
    """Good ones, the same on keys of each type, and wrong ones."""
    for row in rows.ROWS:
        if row["method"] in VARY or row["lane"] == "blocking" or row.get("hidden"):
            continue
        optional = [param["name"] for param in row["params"] if not param.get("required") and "with" not in param]
        for also in ((), *((name,) for name in optional)):
            verb, target, body = rows.request(row, also=also)
            yield verb, target, body
            for key in ("b", "l", "s", "h", "z", "missing", "text", "look"):
                if "/a/" in target:
                    yield verb, target.replace("/a/", f"/{key}/", 1), body
        for wrong in ("?start=x", "x/y/z/"):
            yield verb, target.split("?")[0] + wrong, body
        if verb == "POST":
            yield verb, target, {}
            yield verb, target, [1]


REQUESTS = list(requests())


@pytest.mark.timeout(300)
def test_same(lark, flask):
    assert len(REQUESTS) > 500
    different, statuses = [], set()
    for number, (verb, target, body) in enumerate(REQUESTS):
        values = VALUES[number % len(VALUES)]
        headers = {} if values is None else {"Lark-Values": values}
        answers = []
        for host in (lark, flask):
            if verb != "GET" or not answers:
                fill(lark.redis())
            answers.append(host.request(verb, target, body, headers))
        want, got = answers
        statuses.add(want.status)
        if target.startswith(("/KEYS/", "/SCAN/")):  # in the order of Redis' table, which moves by itself
            same = sorted(want.body) == sorted(got.body) or target.startswith("/SCAN/")
        else:
            same = want.body == got.body if flask.protocol == "2" else json.loads(want.body) == json.loads(got.body)
        if want.status != got.status or not same:
            different.append(f"{verb} {target} {body} {values}:\n  {want}\n  {got}")
    assert {200, 400, 404} <= statuses
    assert not different, f"{len(different)} of {len(REQUESTS)} differ:\n" + "\n".join(different[:12])


@pytest.mark.parametrize("verb, headers", [
    ("PUT", {"Content-Range": "bytes 0-3/10"}), ("POST", {"If-Match": '"x"'}), ("PUT", {"If-Match": "*"}),
    ("POST", {"If-None-Match": "*"}), ("DELETE", {"If-None-Match": " *"}), ("POST", {"If-None-Match": '"x"'}),
    ("GET", {"If-None-Match": "*"}), ("GET", {"If-Match": '"x"'}), ("POST", {"Content-Range": "bytes 0-3/10"})], ids=str)
def test_headers_that_a_write_hangs_on(lark, flask, verb, headers):
    target = {"GET": "/GET/a/", "DELETE": "/DEL/?name=a"}.get(verb, "/SET/a/")
    answers = []
    for host in (lark, flask):
        lark.redis().set("a", "before")
        body = {"PUT": b"part", "POST": {"value": "after"}}.get(verb)
        answer = host.request(verb, target, body, headers)
        answers.append((answer.status, answer.body, lark.redis().get("a")))
    assert answers[0] == answers[1]
    assert (answers[0][0] == 200) == (verb == "GET" or headers.get("If-None-Match") == '"x"' or (verb == "POST" and "Content-Range" in headers))
