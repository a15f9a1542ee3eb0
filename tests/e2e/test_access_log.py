"""What is told of one request: the access log, request ids, trace ids, Server-Timing, and the variables behind them."""
import json
import pathlib
import re
import signal

import conftest
import http_raw
import pytest
import token_files
from nginx_host import Nginx, aside
from token_files import bearer, entry

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
GOOD = f"00-{TRACE}-{PARENT}-01"
TOKEN = token_files.new("teller")
FIELDS = ["time", "route", "verb", "method", "caller", "address", "status", "error", "received", "sent", "duration_s", "redis_s",
          "request_id", "trace_id"]


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def line_of(path, request_id):
    """The line of a request: it is written after its answer."""
    return conftest.wait_for("the line", lambda: [line for line in lines(path) if line["request_id"] == request_id])[0]


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """`lark serve` with a log, a token and default scopes; .log is the log's path."""
    folder = tmp_path_factory.mktemp("log")
    tokens = token_files.write(folder / "tokens.json", entry(TOKEN, ["read:*", "write:*", "list:*"], name="tell \"er\" é"))
    server = conftest.Lark("--tokens", tokens, "--access-log", folder / "log", scopes="read:get").start()
    server.log = folder / "log"
    yield server
    server.stop()


# --- the line ---------------------------------------------------------------------------------------------------------

def test_a_call_is_told_without_its_key_and_value(told):
    answer = told.post("/SET/secret-key/?nx=1", {"value": "secret-value"},
                       headers={**bearer(TOKEN), "X-Request-ID": "call-1", "traceparent": GOOD})
    assert answer.data is True
    line = line_of(told.log, "call-1")
    assert list(line) == FIELDS
    assert (line["route"], line["verb"], line["method"], line["caller"]) == ("api", "POST", "set", 'tell "er" é')
    assert (line["status"], line["error"], line["trace_id"], line["address"]) == (200, "", TRACE, "127.0.0.1")
    assert 0 < line["redis_s"] <= line["duration_s"] < 10 and line["received"] > 100 and line["sent"] > 200
    text = told.log.read_text()
    assert "secret-key" not in text and "secret-value" not in text and TOKEN not in text


@pytest.mark.parametrize("verb, target, headers, method, error", [
    ("GET", "/LLEN/k/", {}, "llen", "credentials"),
    ("GET", "/GTE/k/", {}, "", "unknown_method"),
    ("GET", "/GET/k/", {"Host": "evil.example"}, "", "foreign_host"),
    ("GET", "/GET/k/", {"Sec-Fetch-Site": "cross-site"}, "", "foreign_origin"),
    ("GET", "/GET/k/", {"Authorization": "Bearer nonsense"}, "", "credentials"),
    ("GET", "/LRANGE/text/x/1/", bearer(TOKEN), "lrange", "bad_parameter"),
    ("POST", "/GET/k/", bearer(TOKEN), "get", "wrong_verb"),
])
def test_an_error_is_told_by_its_code(told, verb, target, headers, method, error):
    name = f"error-{verb}-{error}-{method}"
    answer = told.request(verb, target, headers={**headers, "X-Request-ID": name})
    assert answer.headers["X-Request-ID"] == name and answer.error[0] == error
    line = line_of(told.log, name)
    assert (line["method"], line["error"], line["status"]) == (method, error, answer.status)


def test_an_error_of_nginx_keeps_the_id(told):
    answer = told.get("/elsewhere", mount="", headers={"X-Request-ID": "nowhere", "traceparent": GOOD})
    assert answer.status == 404 and answer.headers["X-Request-ID"] == "nowhere"
    line = line_of(told.log, "nowhere")
    assert (line["route"], line["error"], line["trace_id"]) == ("error", "unknown_path", TRACE)


def test_pages_of_the_gateway_are_told_apart(told):
    for path in ("/healthz", "/readyz", "/metrics", "/openapi.json"):
        assert told.get(path, mount="").status == 200
    routes = {"health", "ready", "metrics"}
    conftest.wait_for("their lines", lambda: routes <= {line["route"] for line in lines(told.log)})


def test_a_caller_who_left_is_told_and_every_line_is_json(told):
    with told.connect() as leaves:
        leaves.sendall(b"POST /api/0/BLPOP/ HTTP/1.1\r\nHost: localhost\r\nX-Request-ID: left\r\n"
                       b"Authorization: Bearer " + TOKEN.encode() + b"\r\nContent-Length: 32\r\n\r\n"
                       b'{"keys": ["none"], "timeout": 9}')
        conftest.wait_for("the call blocks", lambda: told.redis().info("clients")["blocked_clients"])
    line = line_of(told.log, "left")
    assert (line["method"], line["status"], line["error"], line["redis_s"]) == ("blpop", 499, "", 0)
    with told.connect() as broken:
        broken.sendall(b"nonsense\r\n\r\n")
        assert b" 400 " in broken.recv(9999)
    conftest.wait_for("its line", lambda: any(line["status"] == 400 and line["error"] == "bad_request" for line in lines(told.log)))


def test_targets_are_told_when_they_are_wanted(own_lark, tmp_path):
    server = own_lark("--access-log", tmp_path / "log", "--access-log-paths")
    server.get("/GET/a%22b/?x=1", headers={"X-Request-ID": "target"})
    assert line_of(tmp_path / "log", "target")["target"] == "/api/0/GET/a%22b/?x=1"
    server.get(b"/GET/\xff\"\xc2\x9b\\/", headers={"X-Request-ID": "bytes"})  # no UTF-8: the line would be no JSON
    assert line_of(tmp_path / "log", "bytes")["target"] == "/api/0/GET/%FF%22%C2%9B%5C/"


# --- ids --------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("value", ["a", "A-Z_0.9", "x" * 128])
def test_a_good_request_id_is_taken(told, value):
    assert told.get("/GET/a/", headers={"X-Request-ID": value}).headers["X-Request-ID"] == value


@pytest.mark.parametrize("value", ["", "x" * 129, "a b", "a/b", "ä", "a\"b", "a;b", None])
def test_any_other_is_replaced_by_one_of_its_own(told, value):
    seen = set()
    for _ in range(3):
        answer = told.get("/GET/a/", headers={"X-Request-ID": value})
        seen.add(answer.headers["X-Request-ID"])
        assert answer.status == 200
    assert len(seen) == 3 and all(re.fullmatch(r"[0-9a-f]{32}", one) for one in seen)


def test_of_two_ids_the_first_good_one_counts(told):
    answer = told.exchange(b"GET /api/0/GET/a/ HTTP/1.1\r\nHost: localhost\r\nX-Request-ID: \xff\r\nX-Request-ID: one\r\n"
                           b"X-Request-ID: two\r\n\r\n")
    assert answer.headers.get_all("X-Request-ID") == ["one"]


def test_without_a_log_no_id_is_made_and_the_callers_comes_back(lark):
    assert "X-Request-ID" not in lark.get("/GET/a/").headers
    assert lark.get("/GET/a/", headers={"X-Request-ID": "mine"}).headers["X-Request-ID"] == "mine"


@pytest.mark.parametrize("value, is_good", [
    (GOOD, True), (f"00-{TRACE}-{PARENT}-00", True), (f"01-{TRACE}-{PARENT}-01", True), (f"cc-{TRACE}-{PARENT}-01-more", True),
    (f"00-{TRACE}-{PARENT}-01-more", False), (f"00-{TRACE}-{PARENT}-01-", False), (f"cc-{TRACE}-{PARENT}-01.more", False),
    (f"ff-{TRACE}-{PARENT}-01", False), (f"00-{'0' * 32}-{PARENT}-01", False), (f"00-{TRACE}-{'0' * 16}-01", False),
    (f"00-{TRACE.upper()}-{PARENT}-01", False), (f"00-{TRACE}-{PARENT}-0g", False), (f"0-{TRACE}-{PARENT}-01", False),
    (f"00_{TRACE}-{PARENT}-01", False), (f"00-{TRACE[1:]}-{PARENT}-01", False), ("", False), ("x" * 4000, False),
])
def test_a_traceparent_is_checked(told, value, is_good):
    name = f"trace-{hash(value) & 0xffffffff}"
    assert told.get("/GET/a/", headers={"X-Request-ID": name, "traceparent": value}).status == 200
    assert line_of(told.log, name)["trace_id"] == (TRACE if is_good else "")


def test_of_two_traceparents_none_counts(told):
    parent = f"traceparent: {GOOD}\r\n".encode()
    answer = told.exchange(b"GET /api/0/GET/a/ HTTP/1.1\r\nHost: localhost\r\nX-Request-ID: twice\r\n" + parent * 2 + b"\r\n")
    assert answer.status == 200 and line_of(told.log, "twice")["trace_id"] == ""


# --- Server-Timing ----------------------------------------------------------------------------------------------------

def timing(answer):
    """{name: milliseconds}"""
    found = re.fullmatch(r"(?:redis;dur=(\d+\.\d{3}), )?total;dur=(\d+\.\d{3})", answer.headers["Server-Timing"])
    assert found, answer.headers["Server-Timing"]
    return {"redis": found[1] and float(found[1]), "total": float(found[2])}


def test_times_are_told_to_who_asks(told):
    assert "Server-Timing" not in told.get("/GET/a/").headers
    quick = timing(told.get("/GET/a/", headers={"Lark-Timing": "1"}))
    assert 0 < quick["redis"] <= quick["total"]
    waiting = aside(told, "GET", "/PING/")
    waiting.result(20)
    slow = timing(told.post("/BLPOP/", {"keys": ["nobody"], "timeout": 1}, headers={**bearer(TOKEN), "Lark-Timing": "1"}))
    assert 900 < slow["redis"] <= slow["total"]


def test_an_error_and_a_large_answer_have_times(told):
    refused = told.get("/LLEN/a/", headers={"Lark-Timing": "1"})
    assert refused.status == 401 and timing(refused)["redis"] is None
    told.redis().set("large", "x" * 3_000_000)
    large = timing(told.get("/GET/large/", headers={"Lark-Timing": "1"}))
    assert 0 < large["redis"] <= large["total"]


@pytest.mark.parametrize("value", ["0", "yes", "11", ""])
def test_a_timing_that_is_none_is_an_error(told, value):
    answer = told.get("/GET/a/", headers={"Lark-Timing": value})
    assert answer.status == 400 and answer.error == ("bad_header", f'header Lark-Timing must be 1, got "{value}"')


# --- variables in a configuration of one's own ------------------------------------------------------------------------

def test_the_variables_stand_in_formats_headers_and_keys(plain_redis):
    server = Nginx(f"unix://{plain_redis.path}", http="log_format own '$lark_route|$lark_method|$lark_error|$lark_redis_time|"
                   "$lark_time|$lark_request_id|$lark_trace_id|$lark_caller|$request_uri';")
    server.write(server=f"access_log {server.state}/own own; location = /other {{ return 204; }}",
                 location="add_header X-Method $lark_method;")
    server.start()
    try:
        answer = server.get("/GET/a/", headers={"traceparent": GOOD})
        assert answer.headers["X-Method"] == "get"
        assert server.get("/other", mount="").status == 204
        log = conftest.wait_for("two lines", lambda: (found := (server.state / "own").read_text().splitlines())[1:] and found)
        assert re.fullmatch(rf"api\|get\|-\|\d+\.\d{{6}}\|\d+\.\d{{6}}\|{answer.headers['X-Request-ID']}\|{TRACE}\|-\|/api/0/GET/a/", log[0])
        assert log[1] == "-|-|-|0.000000|0.000000|-|-|-|/other"
    finally:
        server.stop()


# --- health and readiness ---------------------------------------------------------------------------------------------

def test_readiness_names_what_is_missing(plain_redis):
    gone = conftest.free_port()
    server = Nginx(f"unix://{plain_redis.path}", http=f"lark_redis gone redis://127.0.0.1:{gone}; lark_redis kept unix://{plain_redis.path}?db=3;",
                   server="location = /readyz { lark_ready main; } location = /both { lark_ready main gone; }"
                   "location = /store { lark_ready main kept gone; } location /s/ { lark main; lark_token_store gone; lark_default_scopes admin; }",
                   ).start()
    try:
        conftest.wait_for("ready", lambda: server.get("/readyz", mount="").status == 200)
        assert server.get("/readyz", mount="", headers={"Host": "10.0.0.1"}).data is True
        for path in ("/both", "/store"):
            answer = server.get(path, mount="")
            assert answer.status == 503 and answer.headers["Retry-After"] == "1"
            assert answer.error[0] == "tokens_away" and "connection refused" in answer.error[1]
        assert server.post("/readyz", {}, mount="").status == 405
    finally:
        server.stop()


def test_a_worker_that_leaves_is_not_ready(plain_redis):
    """An old connection may still reach it: a load balancer is told to go elsewhere."""
    server = Nginx(f"unix://{plain_redis.path}", server="location = /readyz { lark_ready main; }").start()
    try:
        conftest.wait_for("ready", lambda: server.get("/readyz", mount="").status == 200)
        server.close()
        (old,) = server.workers()
        with server.connect() as connection:
            connection.sendall(b"GET /readyz HTTP/1.1\r\n")
            blocked = aside(server, "POST", "/BLPOP/", {"keys": ["leaving"], "timeout": 20})
            conftest.wait_for("a call keeps the worker", lambda: plain_redis.client.info("clients")["blocked_clients"])
            server.signal(signal.SIGHUP)
            conftest.wait_for("the old worker leaves", lambda: b"shutting down" in pathlib.Path(f"/proc/{old}/cmdline").read_bytes())
            assert server.get("/readyz", mount="").status == 200  # a new one
            connection.sendall(b"Host: localhost\r\n\r\n")
            answer, closes = http_raw.read_answer(connection)
        assert answer.status == 503 and answer.error[0] == "stopping" and closes
        plain_redis.client.rpush("leaving", "x")
        assert blocked.result(20).status == 200
    finally:
        server.stop()


def test_ready_of_a_redis_that_is_none(plain_redis):
    for words, said in (("lark_ready;", "invalid number of arguments"), ("lark_ready nobody;", 'there is no lark_redis "nobody"'),
                        ("lark_ready main; lark_ready main;", "is duplicate")):
        good, text = Nginx(f"unix://{plain_redis.path}", server=f"location = /readyz {{ {words} }}").check()
        assert not good and said in text, text
