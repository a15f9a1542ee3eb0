"""Redis over TLS: through the module in an nginx of the test's own, and through lark serve."""
import concurrent.futures
import contextlib
import pathlib
import signal
import socket
import threading
import time

import conftest
import contract
import http_raw
import nginx_host
import pytest
import serve_host
from tls_host import Authority, Front, TlsRedis

LATE = "no answer to the TLS handshake in time; does it speak TLS?"
folder = pytest.fixture(serve_host.short_folder)


@pytest.fixture(scope="session")
def authority():
    made = Authority()
    yield made
    made.done()


@pytest.fixture(scope="session")
def stranger():
    made = Authority("Somebody else's CA")
    yield made
    made.done()


@pytest.fixture(scope="session")
def good(authority):
    return authority.issue("good")


@contextlib.contextmanager
def redis_over_tls(authority, pair, *options):
    server = TlsRedis(authority, pair, *options)
    try:
        yield server
    finally:
        server.stop()


@contextlib.contextmanager
def serving(url, *words, **settings):
    """An nginx whose lark_redis has these words behind the URL."""
    nginx = nginx_host.Nginx(" ".join(f'"{word}"' for word in (url, *words)), **settings)
    try:
        yield nginx.start()
        nginx.stop()
    finally:
        if nginx.process and nginx.process.poll() is None:
            nginx.process.kill()
            nginx.process.wait()


def away(web, words):
    """Calls and /healthz are answered 503 with these words, which are in the error log. (Waited for in each: what a Redis says
    before it closes is sometimes lost to the reset that follows.)"""
    def says(answer):
        return (answer.status, answer.error[0]) == (503, "redis_away") and words in answer.error[1]

    conftest.wait_for(words, lambda: says(web.post("/SET/a/", {"value": 1})), 10)
    conftest.wait_for(f"{words} by /healthz", lambda: says(web.request("GET", "/healthz", mount="")), 10)
    assert f'Redis "main" cannot be reached: {words}' in web.said()


# --- it works ---------------------------------------------------------------------------------------------------------


def by_method():
    """Of the contract one case for each method."""
    seen, chosen = set(), []
    for case in contract.cases():
        if not contract.needs_principal(case) and set(case["methods"]) - seen:
            seen |= set(case["methods"])
            chosen.append(case)
    return chosen


@pytest.fixture(scope="module")
def tls_lark(authority, good):
    """lark serve with a Redis over TLS."""
    with redis_over_tls(authority, good) as server:
        lark = conftest.Lark("--redis", server.url, "--redis-ca", str(authority.ca))
        lark.over = server
        lark.start()
        yield lark
        lark.stop()


@pytest.mark.parametrize("case", by_method(), ids=lambda case: case["name"])
def test_contract_over_tls(case, tls_lark):
    tls_lark.over.client.flushall()
    contract.run_case(case, tls_lark.transport)


def test_versions_and_session(authority, good):
    """TLS 1.3, the name is sent, and what follows the first handshake is a resumption of it."""
    plain = nginx_host.RedisServer()
    front = Front(good, plain.port)
    try:
        with serving(f"rediss://localhost:{front.port}", f"ca={authority.ca}") as web:
            assert web.get("/PING/").data is True
            for _ in range(3):
                assert web.get("/CLIENT/GETNAME/").data is None
        assert set(front.names) == {"localhost"}
        assert set(front.versions) == {"TLSv1.3"}
        assert front.reused == [False, True, True, True]
        front.names.clear()
        with serving(f"rediss://127.0.0.1:{front.port}", f"ca={authority.ca}", ) as web:
            assert web.get("/PING/").data is True
        assert front.names == [None]  # an address is no name (RFC 6066 section 3)
        front.names.clear()
        with serving(f"rediss://127.0.0.1:{front.port}", f"ca={authority.ca}", "server_name=localhost") as web:
            assert web.get("/PING/").data is True
        assert front.names == ["localhost"]
    finally:
        front.stop()
        plain.stop()


@pytest.mark.parametrize("version, works", [("TLSv1.2", True), ("TLSv1.1", False)])
def test_old_versions(authority, good, version, works):
    options = ("--tls-protocols", version, "--tls-ciphers", "DEFAULT:@SECLEVEL=0")
    with redis_over_tls(authority, good, *options) as server, serving(server.url, f"ca={authority.ca}") as web:
        if works:
            assert web.post("/SET/a/", {"value": "b"}).data is True
            assert web.get("/CLIENT/GETNAME/").data is None
        else:
            away(web, "Redis refuses TLS with us: protocol version")


def test_byte_by_byte(authority, good):
    """Records that come and go in single bytes."""
    plain = nginx_host.RedisServer()
    front = Front(good, plain.port, chunk=1)
    try:
        with serving(f"rediss://localhost:{front.port}", f"ca={authority.ca}") as web:
            web.post("/RPUSH/l/", {"values": ["x" * 500, "y"]})
            for _ in range(20):
                assert web.get("/LRANGE/l/0/-1/").data == ["x" * 500, "y"]
    finally:
        front.stop()
        plain.stop()


def test_large_values(authority, good):
    """In and out; others are answered meanwhile."""
    with redis_over_tls(authority, good) as server, serving(
            server.url, f"ca={authority.ca}", location="client_max_body_size 100m; lark_timeout 30s;") as web:
        value = "".join(chr(48 + i % 75) for i in range(1000)).replace("\\", "x") * 30_000
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            def put():
                client = http_raw.Client(web.port)
                try:
                    return client.post("/SET/a/", {"value": value})
                finally:
                    client.close()

            waiting = pool.submit(put)
            while not waiting.done():
                assert web.get("/PING/").data is True
        assert waiting.result().data is True
        assert server.client.get("a") == value.encode()
        assert web.get("/GET/a/").data == value


def test_many_at_once(authority, good):
    """Pipelined on one connection, with replies of all sizes: each caller has his own."""
    with redis_over_tls(authority, good) as server, serving(server.url, f"ca={authority.ca}") as web:
        for i in range(50):
            server.client.set(f"k{i}", f"v{i}-" + "x" * (i * 900))

        def ask(seed):
            client = http_raw.Client(web.port)
            for i in range(200):
                n = (seed + i * 7) % 50
                assert client.get(f"/GET/k{n}/").data == f"v{n}-" + "x" * (n * 900)
            client.close()

        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            for done in [pool.submit(ask, seed) for seed in range(8)]:
                done.result(60)


def test_blocking_calls(authority, good):
    with redis_over_tls(authority, good) as server, serving(server.url, f"ca={authority.ca}") as web:
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            def block():
                client = http_raw.Client(web.port)
                try:
                    return client.post("/BLPOP/", {"keys": ["q"], "timeout": 20}).data
                finally:
                    client.close()

            waiting = pool.submit(block)
            conftest.wait_for("it is blocked", lambda: server.client.info("clients")["blocked_clients"] == 1, 10)
            server.client.rpush("q", "x")
            assert waiting.result(10) == ["q", "x"]
        assert web.post("/BLPOP/", {"keys": ["q"], "timeout": 1}).data is None


def test_restarted(authority, good):
    with redis_over_tls(authority, good) as server, serving(server.url, f"ca={authority.ca}") as web:
        for _ in range(2):
            assert web.post("/SET/a/", {"value": "b"}).data is True
            server.kill()
            away(web, "connection refused")
            server.start()
            conftest.wait_for("Redis is found again", lambda: web.get("/PING/").status == 200, 10)
        server.use(server.authority.issue("old", days=-1))
        server.kill()
        server.start()
        away(web, "the certificate of Redis has expired")
        server.use(good)
        server.kill()
        server.start()
        conftest.wait_for("Redis is trusted again", lambda: web.get("/PING/").status == 200, 10)


def test_counting_under_kills(authority, good):
    """acknowledged <= value <= acknowledged + unknown: what TLS has not told to be written counts as not done."""
    options = ("--appendonly", "yes", "--appendfsync", "always")
    with redis_over_tls(authority, good, *options) as server, serving(server.url, f"ca={authority.ca}") as web:
        ends = threading.Event()

        def count():
            mine = {"ok": 0, "outcome_unknown": 0, "redis_away": 0, "redis_busy": 0}
            client = http_raw.Client(web.port)
            while not ends.is_set():
                answer = client.post("/INCR/n/", {})
                mine["ok" if answer.status == 200 else answer.error[0]] += 1
            client.close()
            return mine

        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            futures = [pool.submit(count) for _ in range(8)]
            for _ in range(4):
                time.sleep(0.4)
                server.kill()
                time.sleep(0.1)
                server.start()
            time.sleep(0.4)
            ends.set()
            told = [future.result() for future in futures]
        ok, unknown = (sum(one[word] for one in told) for word in ("ok", "outcome_unknown"))
        value = int(server.client.get("n") or 0)
        assert 0 < ok <= value <= ok + unknown, (value, told)


# --- whom we trust ----------------------------------------------------------------------------------------------------


def test_unknown_authority(authority, stranger, good):
    with redis_over_tls(authority, good) as server:
        for words in ((f"ca={stranger.ca}",), ()):  # another CA, and the system's
            with serving(server.url, *words) as web:
                away(web, "the certificate of Redis is by no CA that is trusted here")
        assert server.client.dbsize() == 0


def test_wrong_host(authority):
    pair = authority.issue("elsewhere", alt="DNS:redis.example.org,DNS:*.wild.example.org,IP:127.0.0.2")
    with redis_over_tls(authority, pair) as server:
        trust = f"ca={authority.ca}"
        with serving(server.url, trust) as web:
            away(web, "the certificate of Redis is not for localhost")
        address = server.url.replace("localhost", "127.0.0.1")
        with serving(address, trust) as web:
            away(web, "the certificate of Redis is not for 127.0.0.1")
        with serving(address, trust, "server_name=other.example.org") as web:
            away(web, "the certificate of Redis is not for other.example.org")
        for name in ("redis.example.org", "a.wild.example.org", "127.0.0.2"):
            with serving(address, trust, f"server_name={name}") as web:
                assert web.get("/PING/").data is True


def test_ipv6(authority, good):
    with redis_over_tls(authority, good, "--bind", "::1") as server:
        with serving(f"rediss://[::1]:{server.port}", f"ca={authority.ca}") as web:
            assert web.get("/PING/").data is True


@pytest.mark.parametrize("name, days, words", [("past", -1, "the certificate of Redis has expired")])
def test_expired(authority, name, days, words):
    with redis_over_tls(authority, authority.issue(name, days=days)) as server:
        with serving(server.url, f"ca={authority.ca}") as web:
            away(web, words)


@pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])
def test_client_certificate(authority, stranger, good, version):
    ours, theirs = authority.issue("client"), stranger.issue("client")
    options = ("--tls-auth-clients", "yes", "--tls-protocols", version)
    with redis_over_tls(authority, good, *options) as server:
        trust = f"ca={authority.ca}"
        with serving(server.url, trust) as web:
            away(web, "Redis wants a client certificate" if version == "TLSv1.3" else
                 "Redis refuses TLS with us: handshake failure (perhaps it wants a client certificate)")
        with serving(server.url, trust, f"cert={theirs[0]}", f"key={theirs[1]}") as web:
            away(web, "Redis refuses our client certificate: unknown CA")
        with serving(server.url, trust, f"cert={ours[0]}", f"key={ours[1]}") as web:
            assert web.post("/SET/a/", {"value": "b"}).data is True
            assert web.get("/CLIENT/GETNAME/").data is None


def test_nothing_leaves_before_the_certificate_is_checked(authority, stranger):
    """Neither AUTH nor a command reaches one who is not who he should be, and what he says in clear is not heard."""
    heard = []
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        ends = threading.Event()

        def lie():
            listener.settimeout(0.1)
            while not ends.is_set():
                with contextlib.suppress(OSError):
                    connection = listener.accept()[0]
                    with connection:
                        connection.settimeout(0.5)
                        connection.sendall(b"+OK\r\n" * 3 + b"$1\r\nx\r\n")
                        heard.append(connection.recv(65536))

        liar = threading.Thread(target=lie)
        liar.start()
        url = f"rediss://:s3cret@localhost:{listener.getsockname()[1]}/2"
        with serving(url, f"ca={authority.ca}") as web:
            away(web, "what answers there speaks no TLS")
            assert web.get("/GET/a/").status == 503
        ends.set()
        liar.join()
    assert heard and all(piece[:1] in (b"\x16", b"") and b"s3cret" not in piece for piece in heard)


# --- what is no TLS, and what does not answer -------------------------------------------------------------------------


def test_clear_and_tls_mixed_up(authority, good):
    plain = nginx_host.RedisServer()
    try:
        with serving(f"rediss://localhost:{plain.port}", f"ca={authority.ca}", http="lark_connect_timeout 300ms;") as web:
            away(web, LATE)
    finally:
        plain.stop()
    with redis_over_tls(authority, good) as server, serving(server.url.replace("rediss", "redis")) as web:
        away(web, "Redis closed the connection without an answer; does it want TLS (rediss://)?")


def test_half_open_handshake(authority):
    """Who accepts and says nothing is given up after lark_connect_timeout."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(100)
        url = f"rediss://localhost:{silent.getsockname()[1]}"
        with serving(url, f"ca={authority.ca}", http="lark_connect_timeout 400ms;") as web:
            begin = time.monotonic()
            conftest.wait_for("it is given up", lambda: LATE in web.said(), 5)
            assert time.monotonic() - begin < 1.5
            away(web, LATE)


def test_closed_in_the_handshake(authority):
    with socket.socket() as rude:
        rude.bind(("127.0.0.1", 0))
        rude.listen(100)
        ends = threading.Event()

        def close_all():
            rude.settimeout(0.1)
            while not ends.is_set():
                with contextlib.suppress(OSError):
                    with rude.accept()[0] as connection:
                        connection.recv(65536)

        closing = threading.Thread(target=close_all)
        closing.start()
        with serving(f"rediss://localhost:{rude.getsockname()[1]}", f"ca={authority.ca}") as web:
            away(web, "the connection was closed in the TLS handshake")
        ends.set()
        closing.join()


# --- the configuration ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words, says", [
    (("ca=/none.crt",), 'the file of trusted certificates /none.crt cannot be used: No such file or directory'),
    (("cert={cert}",), "takes cert= and key= together"),
    (("key={key}",), "takes cert= and key= together"),
    (("cert={cert}", "key={other}"), "the client key {other} cannot be used: key values mismatch"),
    (("cert={key}", "key={key}"), "the client certificate {key} cannot be used: "),
    (("ca={cert}", "ca={cert}"), "each once"),
    (("verify=off",), "takes password_file=PATH, ca=PATH, cert=PATH, key=PATH and server_name=NAME"),
])
def test_refused_words(authority, good, words, says):
    names = {"cert": good[0], "key": good[1], "other": authority.folder / "ca.key"}
    words = [word.format(**names) for word in words]
    nginx = nginx_host.Nginx(" ".join(["rediss://localhost", *words]))
    taken, said = nginx.check()
    nginx.stop()
    assert not taken and says.format(**names) in said, said


def test_words_of_tls_need_tls(good):
    nginx = nginx_host.Nginx(f"redis://localhost ca={good[0]}")
    taken, said = nginx.check()
    nginx.stop()
    assert not taken and "rediss://" in said


def test_a_reload_takes_other_certificates(authority, stranger, good):
    with redis_over_tls(authority, good) as server, serving(server.url, f"ca={stranger.ca}") as web:
        away(web, "the certificate of Redis is by no CA that is trusted here")
        web.write(redis=f"{server.url} ca={authority.ca}")
        web.signal(signal.SIGHUP)
        conftest.wait_for("it is trusted", lambda: web.get("/PING/").status == 200, 10)


# --- lark serve -------------------------------------------------------------------------------------------------------


def refused(folder, *options):
    said = serve_host.refused("--state-dir", folder / "s", "--listen", f"127.0.0.1:{conftest.free_port()}", *options)
    assert "s3cr" not in said
    return said


def test_serve_refuses_at_start(folder, authority, stranger, good):
    """One line, and exit code 1."""
    with redis_over_tls(authority, good, "--requirepass", "s3cret", "--databases", "4") as server:
        (folder / "p").write_text("s3cret\n")
        (folder / "wrong").write_text("s3cr3t\n")
        trust = ("--redis-ca", authority.ca)
        right = ("--redis-password-file", folder / "p")
        at = f"Redis at {server.url} cannot be used: "
        assert refused(folder, "--redis", server.url, *right).startswith(
            at + "the certificate of Redis is by no CA that is trusted here: ")
        assert refused(folder, "--redis", server.url, "--redis-ca", stranger.ca, *right).startswith(
            at + "the certificate of Redis is by no CA that is trusted here: ")
        assert refused(folder, "--redis", server.url, *trust, *right, "--redis-server-name", "r.example.org") == (
            at + "the certificate of Redis is not for r.example.org")
        assert refused(folder, "--redis", server.url, *trust) == (
            at + "it wants a password; give it with --redis-password-file")
        assert refused(folder, "--redis", server.url, *trust, "--redis-password-file", folder / "wrong").startswith(
            at + "it refuses the password: WRONGPASS")
        assert refused(folder, "--redis", f"{server.url}/4", *trust, *right) == (
            f"Redis at {server.url}/4 cannot be used: it refuses database 4: ERR DB index is out of range")
        plain = server.url.replace("rediss", "redis")
        assert refused(folder, "--redis", plain, *right) == (
            f"Redis at {plain} cannot be used: "
            "the connection was closed without an answer; does it want TLS (rediss://)?")
        server.use(authority.issue("old", days=-1))
        server.kill()
        server.start()
        assert refused(folder, "--redis", server.url, *trust, *right) == at + "the certificate of Redis has expired"
    assert not (folder / "s" / "nginx.conf").exists()


@pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])
def test_serve_client_certificate(folder, authority, stranger, good, version):
    ours, theirs = authority.issue("client"), stranger.issue("client")
    options = ("--tls-auth-clients", "yes", "--tls-protocols", version)
    with redis_over_tls(authority, good, *options) as server:
        common = ("--redis", server.url, "--redis-ca", authority.ca)
        said = refused(folder, *common)
        assert said.endswith("wants a client certificate" if version == "TLSv1.3" else
                             "Redis refuses TLS with us: handshake failure (perhaps it wants a client certificate)")
        assert refused(folder, *common, "--redis-cert", theirs[0], "--redis-key", theirs[1]).endswith(
            ": Redis refuses our client certificate: unknown CA")
        with serve_host.Serve(folder / "s", "--default-scopes", "admin", *common, "--redis-cert", ours[0],
                              "--redis-key", ours[1]) as web:
            assert web.up(), web.err
            web.put("a", "b")
            assert web.got("a") == "b" and server.client.get("a") == b"b"
            assert web.end() == 0


def test_serve_what_is_no_tls(folder, authority):
    plain = nginx_host.RedisServer()
    try:
        said = refused(folder, "--redis", f"rediss://localhost:{plain.port}", "--redis-ca", authority.ca)
        assert said.endswith(f" cannot be used: {LATE}")
    finally:
        plain.stop()
    with serving("redis://localhost") as web:
        said = refused(folder, "--redis", f"rediss://localhost:{web.port}", "--redis-ca", authority.ca)
        assert said.endswith(" cannot be used: what answers there speaks no TLS")


def test_serve_refuses_options(folder, authority, good):
    cert = authority.folder / "good.crt"
    assert refused(folder, "--redis", "redis://localhost", "--redis-ca", cert) == (
        "--redis-ca needs --redis with rediss://")
    assert refused(folder, "--redis-server-name", "x") == "--redis-server-name needs --redis with rediss://"
    assert refused(folder, "--redis", "rediss://localhost", "--redis-cert", cert) == "--redis-cert needs --redis-key too"
    assert refused(folder, "--redis", "rediss://localhost", "--redis-server-name", "a b") == (
        "--redis-server-name: expected a host name or an address, got 'a b'")
    assert refused(folder, "--redis", "rediss://localhost", "--redis-ca", "/none.crt") == (
        "file of --redis-ca, /none.crt cannot be read: No such file or directory")
    said = refused(folder, "--redis", "rediss://localhost:1", "--redis-ca", good[1])
    assert said.endswith("Connection refused")


def test_serve_tells_later(folder, authority, good):
    """Redis comes back as somebody else: 503 with the reason, until he is himself again."""
    with redis_over_tls(authority, good) as server:
        with serve_host.Serve(folder / "s", "--default-scopes", "admin", "--redis", server.url, "--redis-ca",
                              authority.ca) as web:
            assert web.up(), web.err
            server.use(authority.issue("elsewhere", alt="DNS:elsewhere"))
            server.kill()
            server.start()
            words = b"the certificate of Redis is not for localhost"
            conftest.wait_for("503", lambda: words in web.request("GET", "/healthz")[1], 10)
            status, body = web.request("GET", "/api/0/GET/a/")
            assert status == 503 and words in body
            assert words in pathlib.Path(folder / "s" / "error.log").read_bytes()
            server.use(good)
            server.kill()
            server.start()
            conftest.wait_for("200", lambda: web.request("GET", "/healthz")[0] == 200, 10)
            assert web.end() == 0
