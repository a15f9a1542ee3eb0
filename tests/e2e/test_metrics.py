"""GET /metrics: what is counted, who may ask, and that nothing goes backwards. Read by Prometheus' own strict parsers."""
import json
import os
import signal
import socket
import threading

import conftest
import http_raw
import pytest
import token_files
from exposition import counters, parse, value
from nginx_host import Nginx, aside, serving
from token_files import bearer, entry

OPENMETRICS = {"Accept": "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.2"}
LOCATION = "location = /metrics { lark_metrics; }"
METERED, READER, ADMIN, STRANGER = (token_files.new(word) for word in ("metered", "reader", "admin", "stranger"))


def metrics(web, **options):
    return parse(web.get("/metrics", mount="", **options))


def rows():
    return json.loads((conftest.ROOT / "data/metrics.json").read_text())["metrics"]


def settled(web, is_true):
    """A request is counted when its last byte has gone: just after its caller has it."""
    def look():
        found = metrics(web)
        return is_true(found) and found
    return conftest.wait_for("the counters", look)


@pytest.fixture(scope="module")
def door(plain_redis):
    """An nginx with /metrics; its callers may do everything."""
    server = Nginx(f"unix://{plain_redis.path}", server=LOCATION).start()
    yield server
    server.stop()


# --- the format -------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("accept, is_open", [
    (None, False), ("*/*", False), ("text/plain", False), (OPENMETRICS["Accept"], True),
    ("Application/OpenMetrics-Text", True), ("application/openmetrics-text;q=0.5", True),
    ("application/openmetrics-text; q=0, text/plain", False), ("application/openmetrics-text;q=0.000", False),
    ("text/plain;q=0, application/openmetrics-text", True),
])
def test_the_format_is_what_the_caller_accepts(door, accept, is_open):
    answer = door.get("/metrics", mount="", headers={"Accept": accept} if accept else {})
    wanted = "application/openmetrics-text; version=1.0.0; charset=utf-8" if is_open else \
        "text/plain; version=0.0.4; charset=utf-8"
    assert answer.headers["Content-Type"] == wanted
    parse(answer)


def test_both_formats_say_the_same_and_hold_every_row(door):
    door.get("/GET/a/")
    plain, is_open = metrics(door), metrics(door, headers=OPENMETRICS)
    assert set(plain) == set(is_open)
    for row in rows():
        suffix = {"counter": "_total", "histogram": "_count"}.get(row["type"], "")
        samples = plain[row["name"] + suffix]
        labels = set(row.get("labels") or ([row["label"]] if "label" in row else []))
        assert all({name for name, _ in sample} == labels for sample in samples), row
        if "values" in row:
            assert [sample[0][1] for sample in samples] == row["values"]
    assert list(plain["lark_build_info"].values()) == [1]


def test_head_and_other_verbs(door):
    head = door.request("HEAD", "/metrics", mount="")
    assert head.status == 200 and head.body == b"" and int(head.headers["Content-Length"]) > 5000
    refused = door.post("/metrics", {"a": 1}, mount="")
    assert refused.status == 405 and refused.headers["Allow"] == "GET, HEAD"


# --- what is counted --------------------------------------------------------------------------------------------------

def test_requests_by_method_and_status_and_errors_by_code(door):
    before = metrics(door)
    door.post("/SET/m/", {"value": "1"})
    door.get("/GET/m/")
    door.get("/GET/m/")
    assert door.get("/LRANGE/m/0/1/").status == 400
    assert door.get("/GTE/m/").status == 404
    assert door.get("/GET/m/", headers={"Host": "evil.example"}).status == 421
    assert door.get("/nowhere", mount="").status == 404  # nginx' own error, through lark_error
    assert door.post("/SET/m/", b"{").status == 400
    after = settled(door, lambda now: value(now, "lark_errors_total", code="bad_json") >
                    value(before, "lark_errors_total", code="bad_json"))

    def more(name, **labels):
        return value(after, name, **labels) - value(before, name, **labels)

    assert more("lark_requests_total", method="set", status="2xx") == 1
    assert more("lark_requests_total", method="set", status="4xx") == 1
    assert more("lark_requests_total", method="get", status="2xx") == 2
    assert more("lark_requests_total", method="lrange", status="4xx") == 1
    assert more("lark_requests_total", method="unknown", status="4xx") == 3
    assert sum(sum(found["lark_requests_total"].values()) * sign for found, sign in ((after, 1), (before, -1))) == 8
    for code in ("redis_error", "unknown_method", "foreign_host", "unknown_path", "bad_json"):
        assert more("lark_errors_total", code=code) == 1, code
    assert more("lark_request_duration_seconds_count", lane="shared") == 8
    assert more("lark_redis_duration_seconds_count", lane="shared") == 4
    assert 8 * 40 < more("lark_received_bytes_total") < 8 * 200
    assert 8 * 200 < more("lark_sent_bytes_total") < 8 * 800


def test_every_error_and_every_method_has_its_name(door):
    found = metrics(door)
    errors = json.loads((conftest.ROOT / "data/errors.json").read_text())["errors"]
    assert {labels[0][1] for labels in found["lark_errors_total"]} == {row["code"] for row in errors}
    methods = {dict(labels)["method"] for labels in found["lark_requests_total"]}
    catalogue = {row["method"] for path in (conftest.ROOT / "data/methods").glob("*.json")
                 for row in json.loads(path.read_text())["methods"]}
    assert methods <= catalogue | {"unknown"}


def test_a_request_that_nginx_refuses_behind_lark_is_counted_once(plain_redis):
    limits = "limit_req_zone $lark_caller$remote_addr zone=one:1m rate=1r/m;"
    server = Nginx(f"unix://{plain_redis.path}", server=LOCATION, http=limits,
                   location="limit_req zone=one; limit_req_status 429;").start()
    try:
        assert [server.get("/GET/a/").status for _ in range(3)] == [200, 429, 429]
        found = settled(server, lambda now: value(now, "lark_errors_total", code="too_many_calls") == 2)
        assert value(found, "lark_requests_total", method="unknown", status="4xx") == 2
        assert sum(found["lark_requests_total"].values()) == 3
        assert value(found, "lark_requests_in_progress") == 0
    finally:
        server.stop()


def test_times_go_where_they_belong(door):
    before = metrics(door)
    assert door.post("/BLPOP/", {"keys": ["nobody"], "timeout": 1}).data is None
    after = settled(door, lambda now: value(now, "lark_request_duration_seconds_count", lane="blocking") >
                    value(before, "lark_request_duration_seconds_count", lane="blocking"))
    for name in ("lark_request_duration_seconds", "lark_redis_duration_seconds"):
        def more(suffix, **labels):
            return value(after, name + suffix, lane="blocking", **labels) - value(before, name + suffix, lane="blocking", **labels)
        assert more("_bucket", le="0.5") == 0 and more("_bucket", le="10.0") == 1 and more("_count") == 1
        assert 0.9 < more("_sum") < 10


def test_gauges_of_what_waits_and_is_connected(door, plain_redis):
    assert value(metrics(door), "lark_requests_in_progress") == 0
    waiting = [aside(door, "POST", "/BLPOP/", {"keys": [f"gauge-{n}"], "timeout": 20}) for n in range(3)]
    busy = settled(door, lambda now: value(now, "lark_requests_in_progress") == 3 and
                   value(now, "lark_redis_connections", lane="blocking") -
                   value(now, "lark_redis_idle_connections") == 3)
    assert value(busy, "lark_redis_connections", lane="shared") == 1
    assert value(busy, "lark_http_connections", state="writing") >= 3
    for n in range(3):
        plain_redis.client.rpush(f"gauge-{n}", "x")
    assert all(call.result(20).status == 200 for call in waiting)
    idle = settled(door, lambda now: value(now, "lark_requests_in_progress") == 0 and
                   value(now, "lark_redis_idle_connections") == value(now, "lark_redis_connections", lane="blocking"))
    assert value(idle, "lark_redis_queue_length") == 0
    assert value(idle, "lark_workers", state="running") == 1 and value(idle, "lark_worker_memory_bytes") > 1e6


def test_a_redis_that_goes_and_comes():
    with serving(server=LOCATION) as web:
        web.allowed = "lark"
        conftest.wait_for("Redis", lambda: web.get("/PING/").status == 200)
        before = metrics(web)
        assert value(before, "lark_redis_connects_total", result="ok") == 1
        web.redis.kill()
        gone = settled(web, lambda now: value(now, "lark_redis_connects_total", result="failed") > 2)
        assert value(gone, "lark_redis_connections_lost_total") == 1
        assert value(gone, "lark_redis_connections", lane="shared") == 0
        assert web.get("/PING/").status == 503
        settled(web, lambda now: value(now, "lark_errors_total", code="redis_away") == 1)
        web.redis.start()
        back = settled(web, lambda now: value(now, "lark_redis_connections", lane="shared") == 1)
        assert value(back, "lark_redis_connects_total", result="ok") == 2


def test_large_values_show_while_they_are_on_their_way(door, plain_redis):
    plain_redis.client.set("large", b"x" * 30_000_000)
    with door.connect() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.sendall(b"GET /api/0/GET/large/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        busy = settled(door, lambda now: value(now, "lark_spool_file_bytes") > 1_000_000)
        assert value(busy, "lark_large_answers") == 1
    settled(door, lambda now: value(now, "lark_spool_file_bytes") == value(now, "lark_spool_memory_bytes") ==
            value(now, "lark_large_answers") == 0)
    with door.connect() as slow:
        slow.sendall(b"PUT /api/0/SET/large/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 900000\r\n\r\n" + b"y" * 600_000)
        settled(door, lambda now: value(now, "lark_large_bodies") == 1)
    settled(door, lambda now: value(now, "lark_large_bodies") == 0)


# --- nothing goes backwards -------------------------------------------------------------------------------------------

def test_counters_are_summed_over_workers_and_survive_reload_and_death(plain_redis):
    server = Nginx(f"unix://{plain_redis.path}", server=LOCATION)
    conf = server.state / "nginx.conf"
    conf.write_text(conf.read_text().replace("worker_processes 1;", "worker_processes 3;"))
    server.allowed = "exited on signal 9"
    server.start()
    sent, ends, seen = [0], threading.Event(), []

    def call():
        while not ends.is_set():
            client = http_raw.Client(server.port)
            try:
                sent[0] += client.get("/GET/a/").status == 200
            except (OSError, http_raw.http.client.HTTPException):
                pass
            finally:
                client.close()

    def look():
        watcher = http_raw.Client(server.port)
        try:
            now = counters(metrics(watcher))
        except (OSError, http_raw.http.client.HTTPException):
            return
        finally:
            watcher.close()
        if seen:
            assert all(now[key] >= number for key, number in seen[-1].items())
        seen.append(now)

    caller = threading.Thread(target=call)
    caller.start()
    try:
        for _ in range(3):
            for _ in range(10):
                look()
            server.signal(signal.SIGHUP)
            for _ in range(10):
                look()
            conftest.wait_for("the former workers have left", lambda: len(server.workers()) == 3)
            os.kill(server.workers()[0], signal.SIGKILL)
            for _ in range(10):
                look()
            conftest.wait_for("a successor", lambda: len(server.workers()) == 3)
    finally:
        ends.set()
        caller.join()
    found = settled(server, lambda now: value(now, "lark_requests_in_progress") == 0 and
                    value(now, "lark_workers", state="leaving") == 0)
    counted = value(found, "lark_requests_total", method="get", status="2xx")
    assert sent[0] <= counted <= sent[0] + 3 and sent[0] > 50  # a killed worker may have answered, and nobody heard
    assert value(found, "lark_worker_deaths_total") == 3 and value(found, "lark_worker_starts_total") == 3 + 3 * 4
    assert value(found, "lark_workers", state="running") == 3
    server.stop()


# --- who may ask ------------------------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def guarded(plain_redis, tmp_path_factory):
    """An nginx with tokens; a local address that is not loopback, a proxy and realip in front of /metrics."""
    tokens = token_files.write(
        tmp_path_factory.mktemp("tokens") / "tokens.json", entry(METERED, ["read:metrics"], name="metered"),
        entry(READER, ["read:*"], name="reader"), entry(ADMIN, ["admin"], name="admin"))
    server = Nginx(f"unix://{plain_redis.path}", scopes="", http=f"lark_tokens {tokens};",
                   server=LOCATION + "location = /realip { set_real_ip_from 127.0.0.1; real_ip_header X-Client; lark_metrics; }"
                   "location = /proxied { proxy_pass http://127.0.0.1:$server_port/metrics; proxy_set_header Host localhost;"
                   " proxy_set_header X-Forwarded-For $remote_addr; }"
                   "location = /plainly { proxy_pass http://127.0.0.1:$server_port/metrics; }").start()
    yield server
    server.stop()


def test_a_program_on_this_machine_may_ask(guarded):
    for host in ("localhost", "127.0.0.1:1", "[::1]"):
        assert guarded.get("/metrics", mount="", headers={"Host": host}).status == 200


@pytest.mark.parametrize("token, status", [(METERED, 200), (ADMIN, 200), (READER, 403), (STRANGER, 401)],
                         ids=["read:metrics", "admin", "read:*", "unknown"])
def test_a_credential_needs_the_scope_wherever_it_comes_from(guarded, token, status):
    answer = guarded.get("/metrics", mount="", headers=bearer(token))
    assert answer.status == status
    if status == 403:
        assert answer.error == ("scope", "this page needs one of the scopes admin or read:metrics")


def test_a_scraper_with_a_credential_may_use_any_host_name(guarded):
    assert guarded.get("/metrics", mount="", headers={"Host": "10.0.0.7:7380", **bearer(METERED)}).status == 200


@pytest.mark.parametrize("header", ["Forwarded", "X-Forwarded-For", "X-Real-IP", "Via"])
def test_a_proxy_on_this_machine_is_not_this_machine(guarded, header):
    answer = guarded.get("/metrics", mount="", headers={header: "127.0.0.1"})
    assert answer.status == 401 and "a call from this machine itself" in answer.error[1]
    assert guarded.get("/metrics", mount="", headers={header: "127.0.0.1", **bearer(METERED)}).status == 200


def test_behind_a_proxy_that_says_so(guarded):
    assert guarded.get("/proxied", mount="").status == 401
    assert guarded.get("/proxied", mount="", headers=bearer(METERED)).status == 200


def test_behind_an_nginx_that_says_nothing(guarded):
    """Host and version are its own then, and no header tells of the caller."""
    assert guarded.get("/plainly", mount="").status == 401


def test_no_header_makes_a_caller_local_or_keeps_him_so(guarded):
    assert guarded.get("/realip", mount="", headers={"X-Client": "127.0.0.1"}).status == 200
    assert guarded.get("/realip", mount="", headers={"X-Client": "192.0.2.1"}).status == 401


def test_a_page_of_another_origin_reads_nothing(guarded):
    rebound = guarded.get("/metrics", mount="", headers={"Host": "evil.example"})
    assert rebound.status == 421
    for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        assert guarded.get("/metrics", mount="", headers=headers).status == 403


def test_a_caller_from_elsewhere(plain_redis):
    """Through the address of another interface, as another machine would come; skipped where there is none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            pytest.skip("this machine has loopback only")
        address = probe.getsockname()[0]
    port = conftest.free_port()
    server = Nginx(f"unix://{plain_redis.path}", scopes="", server=LOCATION + f"listen {address}:{port};"
                   f"lark_allowed_hosts {address};").start()
    try:
        with socket.create_connection((address, port), timeout=10) as connection:
            connection.sendall(f"GET /metrics HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n".encode())
            assert http_raw.read_answer(connection)[0].status == 403
    finally:
        server.stop()


def test_metrics_of_lark_serve(own_lark):
    server = own_lark(scopes="read:get")
    server.get("/GET/a/")
    settled(server, lambda now: value(now, "lark_requests_total", method="get", status="2xx") == 1)
    assert server.get("/metrics", mount="", headers={"Host": "evil.example"}).status == 421


def test_the_scope_gives_no_method(guarded):
    assert guarded.get("/GET/a/", headers=bearer(METERED)).status == 403
