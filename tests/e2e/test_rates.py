"""How many requests in a time: callers, addresses, bad credentials. Rates of a minute, so that no test looks at a clock."""
import concurrent.futures
import contextlib
import os
import signal
import socket
import time

import conftest
import http_raw
import nginx_host
import pytest
from serve_host import refused
from token_files import bearer, entry, new, write

CI, BOB = new("ci"), new("bob")
PROXIED = "set_real_ip_from 127.0.0.1; real_ip_header X-Forwarded-For;"


@pytest.fixture(scope="module")
def tokens(tmp_path_factory):
    return write(tmp_path_factory.mktemp("rates") / "tokens.json", entry(CI, ["read:*"], name="ci"),
                 entry(BOB, ["read:*"], name="bob"))


@pytest.fixture
def serving(plain_redis, tokens):
    """serving(location, http=..., ...): an nginx of the test's own, before a Redis that all share."""
    with contextlib.ExitStack() as ends:
        def start(location, **settings):
            nginx = nginx_host.Nginx(f"unix://{plain_redis.path}", scopes=settings.pop("scopes", None),
                                     location=f"lark_tokens {tokens}; {location}", **settings).start()
            ends.callback(nginx.stop)
            return nginx

        yield start


class From(http_raw.Client):
    """A caller at another address of this machine."""

    def __init__(self, web, address):
        super().__init__(web.port)
        self.address = address

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.port), self.timeout_s, (self.address, 0))

    def request(self, *words, **options):
        try:
            return super().request(*words, **options)
        finally:
            self.close()


def over(answer, words, most):
    """Refused, and it is told when to come back."""
    assert (answer.status, answer.error[0]) == (429, "too_many_requests"), answer
    assert words in answer.error[1] and f"{most} at most" in answer.error[1], answer.error
    assert 1 <= int(answer.headers["Retry-After"]) <= 60 * most
    return int(answer.headers["Retry-After"])


def fails(web, n=1, **options):
    return [web.get("/GET/a/", headers=bearer(new()), **options).status for _ in range(n)]


# --- callers and addresses --------------------------------------------------------------------------------------------


def test_a_caller_at_its_rate_and_one_over(serving, plain_redis):
    web = serving("lark_rate_caller 4r/m;")
    assert [web.get("/GET/a/", headers=bearer(CI)).status for _ in range(4)] == [200] * 4
    gets = plain_redis.client.info("commandstats")["cmdstat_get"]["calls"]
    wait = over(web.get("/GET/a/", headers=bearer(CI)), "of this caller in a minute (lark_rate_caller)", 4)
    assert 10 <= wait <= 15  # its share of the minute
    assert plain_redis.client.info("commandstats")["cmdstat_get"]["calls"] == gets
    assert web.get("/GET/a/", headers=bearer(BOB)).status == 200  # nobody else's matter


def test_a_caller_is_a_credential_wherever_it_calls_from(serving):
    web = serving("lark_rate_caller 2r/m;")
    assert [From(web, f"127.0.0.{i}").get("/GET/a/", headers=bearer(CI)).status for i in (2, 3, 4)] == [200, 200, 429]


def test_without_credentials_the_address_counts(serving):
    web = serving("lark_rate_address 3r/m;", scopes="read:*")
    one, two = From(web, "127.0.0.2"), From(web, "127.0.0.3")
    assert [one.get("/GET/a/").status for _ in range(3)] == [200] * 3
    over(one.get("/GET/a/"), "of this address in a minute (lark_rate_address)", 3)
    assert two.get("/GET/a/").status == 200
    assert one.get("/GET/a/", headers=bearer(CI)).status == 200  # a good credential is not its address


def test_calls_that_fail_count(serving):
    web = serving("lark_rate_address 3r/m;")
    assert [web.get("/GET/a/").status for _ in range(4)] == [401, 401, 401, 429]
    caller = serving("lark_rate_caller 3r/m;")
    assert [caller.post("/SET/a/", {}, headers=bearer(CI)).status for _ in range(4)] == [403, 403, 403, 429]


def test_an_ipv6_network_is_one_address(serving):
    web = serving("lark_rate_address 2r/m;", server=PROXIED, scopes="read:*")
    seen = [web.get("/GET/a/", headers={"X-Forwarded-For": address}).status
            for address in ("2001:db8::1", "2001:db8::ffff:1", "2001:db8:0:0:9::1", "2001:db8:0:1::1", "2001:db9::1")]
    assert seen == [200, 200, 429, 200, 200]


def test_nobody_chooses_his_address(serving):
    web = serving("lark_rate_address 2r/m;", scopes="read:*")
    seen = [web.get("/GET/a/", headers={name: f"192.0.2.{i}" for name in ("X-Forwarded-For", "X-Real-IP", "Forwarded")}).status
            for i in range(3)]
    assert seen == [200, 200, 429]


def test_burst_and_rate(serving):
    web = serving("lark_rate_caller 1r/m burst=3;")
    assert [web.get("/GET/a/", headers=bearer(CI)).status for _ in range(4)] == [200, 200, 200, 429]


def test_time_passes(serving):
    """Just as many more as the time that went by allows, however long that was."""
    web = serving("lark_rate_caller 20r/s burst=1;")
    begin = time.monotonic()
    n = 0
    while n < 5:
        n += web.get("/GET/a/", headers=bearer(CI)).status == 200
    assert time.monotonic() - begin > 0.15


def test_workers_count_together(serving):
    nginx = serving("lark_rate_caller 6r/m burst=50;")
    config = nginx.state / "nginx.conf"
    config.write_text(config.read_text().replace("worker_processes 1", "worker_processes 3"))
    old = set(nginx.workers())
    nginx.signal(signal.SIGHUP)
    conftest.wait_for("three new workers", lambda: len(nginx.workers()) == 3 and not set(nginx.workers()) & old)

    def ask(_):
        client = http_raw.Client(nginx.port)
        try:
            return client.get("/GET/a/", headers=bearer(CI)).status
        finally:
            client.close()

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        seen = list(pool.map(ask, range(100)))
    assert 50 <= seen.count(200) <= 52 and seen.count(200) + seen.count(429) == 100, seen  # one more in ten seconds


def test_a_reload_forgets_nothing(serving):
    web = serving("lark_rate_caller 3r/m;")
    assert [web.get("/GET/a/", headers=bearer(CI)).status for _ in range(4)] == [200, 200, 200, 429]
    old = web.workers()
    web.signal(signal.SIGHUP)
    conftest.wait_for("new workers", lambda: not set(web.workers()) & set(old) and web.workers())
    assert web.get("/GET/a/", headers=bearer(CI)).status == 429


def test_a_killed_worker_takes_nothing_along(serving):
    web = serving("lark_rate_caller 3r/m;")
    assert [web.get("/GET/a/", headers=bearer(CI)).status for _ in range(4)] == [200, 200, 200, 429]
    old = web.workers()
    web.allowed = "exited on signal 9"
    os.kill(old[0], signal.SIGKILL)
    conftest.wait_for("a new worker", lambda: web.workers() and web.workers() != old)
    assert web.get("/GET/a/", headers=bearer(CI)).status == 429


def test_a_full_table_never_lets_more_through(serving):
    """More addresses than there is room for: each may do no more than its rate, however often others come between."""
    web = serving("lark_rate_address 1r/m burst=2;", http="lark_rate_zone 64k;", server=PROXIED, scopes="read:*")
    addresses = [f"10.1.{i // 250}.{i % 250}" for i in range(1500)]
    passed = dict.fromkeys(addresses, 0)
    for address in addresses * 3:
        passed[address] += web.get("/PING/", headers={"X-Forwarded-For": address}).status == 200
    assert max(passed.values()) == 2 and sum(passed.values()) > 500
    assert "more callers than lark_rate_zone has room for" in web.said()
    assert web.get("/GET/a/", headers=bearer(CI)).status == 200  # callers have a table of their own


# --- bad credentials --------------------------------------------------------------------------------------------------


def test_bad_credentials_count_against_the_address(serving):
    web = serving("lark_rate_failures 4r/m;")
    assert fails(web, 4) == [401] * 4
    over(web.get("/GET/a/", headers=bearer(new())), "bad credentials of this address in a minute (lark_rate_failures)", 4)
    assert fails(From(web, "127.0.0.9")) == [401]
    assert web.get("/GET/a/").status == 401  # without credentials there is nothing to guess
    assert web.get("/GET/a/", headers=bearer(CI)).status == 200  # a token of the file is known without asking anybody


def test_good_credentials_do_not_count_as_bad(serving):
    web = serving("lark_rate_failures 1r/m burst=2;")
    assert [web.get("/GET/a/", headers=bearer(CI)).status for _ in range(10)] == [200] * 10
    assert fails(web, 3) == [401, 401, 429]


def test_bad_credentials_are_limited_by_default(serving):
    web = serving("", failures="")
    seen = fails(web, 75)
    assert seen[:60] == [401] * 60 and seen[-1] == 429, seen
    assert fails(serving("lark_rate_failures off;"), 75) == [401] * 75


def test_the_store_is_not_asked_over_the_limit():
    """What a stranger can make the gateway do ends with the rate."""
    with nginx_host.serving() as data, nginx_host.serving() as store:
        web = nginx_host.Nginx(data.redis.url, scopes=None, http=f"lark_redis tokens {store.redis.url}/1;",
                               location="lark_token_store tokens; lark_rate_failures 3r/m;").start()
        try:
            assert fails(web, 3) == [401] * 3
            asked = store.redis.client.info("commandstats")["cmdstat_get"]["calls"]
            assert asked == 3
            assert fails(web, 5) == [429] * 5
            assert store.redis.client.info("commandstats")["cmdstat_get"]["calls"] == asked
        finally:
            web.stop()


def test_a_page_may_read_that_it_is_over(serving):
    web = serving("lark_rate_caller 1r/m; lark_cors_origins https://app.example;")
    fields = {**bearer(CI), "Origin": "https://app.example", "Sec-Fetch-Site": "cross-site"}
    assert web.get("/GET/a/", headers=fields).status == 200
    answer = web.get("/GET/a/", headers=fields)
    assert answer.status == 429 and answer.headers["Access-Control-Allow-Origin"] == "https://app.example"
    assert "Retry-After" in answer.headers["Access-Control-Expose-Headers"]


# --- settings ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("words", "expected"), [
    ("100", "expected off, or a rate"), ("0r/s", "expected off, or a rate"), ("1000001r/s", "expected off, or a rate"),
    ("1r/h", "expected off, or a rate"), ("xr/s", "expected off, or a rate"), ("-1r/s", "expected off, or a rate"),
    ("1r/s burst=0", "expected burst=N"), ("1r/s burst=x", "expected burst=N"), ("1r/s nodelay", "expected burst=N"),
    ("off burst=2", "expected off, or a rate"), ("1r/s burst=2 burst=3", "expected off, or a rate")])
def test_what_is_no_rate(plain_redis, words, expected):
    nginx = nginx_host.Nginx(f"unix://{plain_redis.path}", location=f"lark_rate_caller {words};")
    taken, said = nginx.check()
    nginx.stop()
    assert not taken and f"lark_rate_caller: {expected}" in said, said


def test_lark_serve_sets_rates(own_lark, tokens):
    web = own_lark("--tokens", tokens, "--rate-caller", "1", "--rate-address", "0", "--rate-failures", "2",
                   "--trusted-proxies", "127.0.0.0/8,::1", scopes=None)
    assert 429 in [web.get("/GET/a/", headers=bearer(CI)).status for _ in range(20)]
    seen = [web.get("/GET/a/", headers={**bearer(new()), "X-Forwarded-For": f"203.0.113.9, {address}"}).status
            for address in ("192.0.2.1", "192.0.2.1", "192.0.2.1", "192.0.2.2", "192.0.2.1, 127.0.0.7")]
    assert seen == [401, 401, 429, 401, 429]
    assert [web.get("/GET/a/").status for _ in range(20)] == [401] * 20


@pytest.mark.parametrize("network", ["10.0.0.1/8", "10.0.0.0/33", "proxy.example", "10.0.0.0/", "::1/200", "all", "10.0.0.0/8;", "/8"])
def test_what_is_no_proxy(network):
    assert refused("--trusted-proxies", f"127.0.0.1,{network}") == \
        f"--trusted-proxies: expected IP addresses or networks as 10.0.0.0/8, got '{network}'"


# --- calls at a time --------------------------------------------------------------------------------------------------


def test_calls_at_a_time(own_lark, tokens):
    """Of a caller, else of an address: at the limit all wait, one over is refused, and when one is done the next is let in."""
    web = own_lark("--tokens", tokens, "--max-calls", "3")
    waiting = [nginx_host.aside(web, "POST", "/BLPOP/", {"keys": ["q"], "timeout": 30}) for _ in range(3)]
    clients = web.redis()
    conftest.wait_for("three wait", lambda: clients.info("clients")["blocked_clients"] == 3)
    answer = web.post("/SET/a/", "GET /api/0/FLUSHALL/ HTTP/1.1\r\n\r\n")
    assert (answer.status, answer.error[0], answer.headers["Retry-After"]) == (429, "too_many_calls", "1")
    assert web.get("/GET/a/", headers=bearer(BOB)).data is None
    clients.rpush("q", "1", "2", "3")
    assert {one.result().status for one in waiting} == {200}
    assert web.get("/GET/a/").data is None
