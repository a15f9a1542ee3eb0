"""API tokens through nginx: docs/SECURITY.md names the tests of this file."""
import json
import re
import socket
import time

import conftest
import pytest
import token_files
from nginx_host import Nginx
from token_files import basic, bearer, challenges, entry

READER, WRITER, TENANT, ADMIN, LATE, ODD = (token_files.new(word) for word in
                                            ("reader", "writer", "tenant", "admin", "late", "odd"))
INVALID = 'Bearer error="invalid_token"'


@pytest.fixture(scope="module")
def tokens_file(tmp_path_factory):
    return token_files.write(
        tmp_path_factory.mktemp("tokens") / "tokens.json", entry(READER, ["read:*"], name="reader"),
        entry(WRITER, ["write:set", "read:get"], name="writer"), entry(TENANT, ["admin"], prefix="u1", name="tenant"),
        entry(ADMIN, ["admin"], name="admin"), entry(LATE, ["admin"], expires="2020-01-01T00:00:00Z", name="late"),
        entry(ODD, ["read:gte", "get", "READ:*"], name="odd"))


@pytest.fixture
def door(plain_redis, tokens_file):
    """start(**settings): an nginx whose API takes the tokens; nobody else may do anything."""
    doors = []

    def start(location="", scopes="", **settings):
        settings.setdefault("http", f"log_format callers '$lark_caller $remote_user $request $status';\n"
                                    f"lark_tokens {tokens_file};")
        server = Nginx(f"unix://{plain_redis.path}", location=location, scopes=scopes, **settings)
        doors.append(server)
        return server

    yield start
    for server in doors:
        server.stop()


# --- answers of RFC 6750 ----------------------------------------------------------------------------------------------

def test_no_credentials_is_a_bare_challenge(door):
    answer = door().start().get("/GET/a/")
    assert (answer.status, challenges(answer)) == (401, ["Bearer"])
    assert answer.error[0] == "credentials" and "no credentials were given" in answer.error[1]


def test_a_token_calls(door, plain_redis):
    server = door().start()
    assert server.post("/SET/a/", {"value": "1"}, headers=bearer(WRITER)).data is True
    for headers in (bearer(READER), basic(READER), basic(READER, user=""), {"Authorization": f"bEaReR   {READER}"},
                    {"authorization": basic(READER)["Authorization"].replace("Basic", "BASIC")}):
        assert server.get("/GET/a/", headers=headers).data == "1"


def test_invalid_is_invalid_token(door):
    server = door().start()
    for header in ("Bearer nobody", "Bearer", f"Bearer {READER} x", f"Bearer {READER}x", f"Bearer {READER[:-1]}", READER,
                   f"Digest {READER}", f"Bearer {READER.upper()}"):
        answer = server.get("/GET/a/", headers={"Authorization": header})
        assert (answer.status, challenges(answer)) == (401, [INVALID]), header
        assert answer.error[0] == "credentials"
        assert READER[12:40] not in str(answer.headers) + answer.body.decode(), "the answer shows the token"


def test_basic_is_offered_to_who_used_it_only(door):
    answer = door().start().get("/GET/a/", headers=basic("nobody"))
    assert (answer.status, challenges(answer)) == (401, [INVALID, 'Basic realm="lark", charset="UTF-8"'])


def test_expired_is_invalid(door):
    answer = door().start().get("/GET/a/", headers=bearer(LATE))
    assert (answer.status, challenges(answer)) == (401, [INVALID])
    assert "expired" in answer.error[1]


def test_missing_scope_is_insufficient_scope(door):
    answer = door().start().post("/SET/a/", {"value": 1}, headers=bearer(READER))
    assert answer.status == 403 and answer.error[0] == "scope" and "write:set" in answer.error[1]
    assert challenges(answer) == ['Bearer error="insufficient_scope", scope="write:set"']
    answer = door().start().get("/CONFIG/GET/", headers=bearer(READER))
    assert challenges(answer) == ['Bearer error="insufficient_scope", scope="admin"']


def test_an_unknown_scope_matches_nothing(door):
    server = door()
    good, said = server.check()
    assert good and re.search(r'token "odd": there is no scope "read:gte": it matches nothing; did you mean read:get', said)
    assert server.start().get("/GET/a/", headers=bearer(ODD)).status == 403


def test_no_token_in_the_query(door):
    server = door().start()
    for query in (f"?access_token={READER}", f"?token={READER}", f"?authorization=Bearer%20{READER}"):
        answer = server.get("/GET/a/" + query)
        assert (answer.status, challenges(answer)) == (401, ["Bearer"])


def test_two_authorization_headers_are_refused(door):
    server = door().start()
    got = server.raw(f"GET /api/0/GET/a/ HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {READER}\r\n"
                     f"Authorization: Bearer {ADMIN}\r\nConnection: close\r\n\r\n".encode())
    assert got.startswith(b"HTTP/1.1 400 ")


def test_no_header_query_or_environment_chooses_scopes_or_prefix(door, plain_redis, monkeypatch):
    for name, value in (("LARK_DEFAULT_SCOPES", "admin"), ("LARK_SCOPES", "admin"), ("LARK_PREFIX", "u1")):
        monkeypatch.setenv(name, value)
    plain_redis.client.set("a", "1")
    server = door().start()
    headers = {**bearer(READER), "X-Scopes": "admin", "Scopes": "admin", "Prefix": "u2", "Lark-Prefix": "u2"}
    assert server.get("/DBSIZE/?scopes=admin&prefix=u2", headers=headers).data == 1
    answer = server.post("/SET/a/?scopes=admin", {"value": "2", "scopes": ["admin"]}, headers=headers)
    assert answer.status == 403


# --- who calls without credentials ------------------------------------------------------------------------------------

def test_default_scopes_beside_tokens(door):
    server = door(scopes="read:ping").start()
    assert server.get("/PING/").data is True
    answer = server.get("/GET/a/")
    assert (answer.status, challenges(answer)) == (401, ["Bearer"])
    answer = server.get("/PING/", headers=bearer("nobody"))
    assert answer.status == 401, "bad credentials are not taken for none"


def test_without_a_source_the_header_is_not_ours(door):
    server = door(http="", scopes="read:get").start()
    assert server.get("/GET/a/", headers=bearer("somebody-else's")).data is None
    answer = server.post("/SET/a/", {"value": 1})
    assert (answer.status, challenges(answer)) == (403, [])


# --- prefixes ---------------------------------------------------------------------------------------------------------

def test_the_prefix_comes_from_the_token(door, plain_redis):
    server = door().start()
    server.post("/SET/a/", {"value": "mine"}, headers=bearer(TENANT))
    plain_redis.client.set("u2:b", "theirs")
    assert plain_redis.client.get("u1:a") == b"mine"
    assert server.get("/KEYS/*/", headers=bearer(TENANT)).data == ["a"]
    assert server.get("/GET/u2:b/", headers=bearer(TENANT)).data is None
    assert sorted(server.get("/KEYS/*/", headers=bearer(ADMIN)).data) == ["u1:a", "u2:b"]
    assert server.get("/CONFIG/GET/", headers=bearer(TENANT)).error[0] == "prefix_refused"


def test_require_prefix(door):
    server = door(location="lark_require_prefix on;").start()
    answer = server.get("/GET/a/", headers=bearer(READER))
    assert answer.status == 403 and answer.error[0] == "prefix_needed"
    assert server.get("/GET/a/", headers=bearer(TENANT)).data is None
    assert server.get("/GET/a/", headers=bearer(ADMIN)).data is None
    assert server.get("/GET/a/").status == 401


def test_require_prefix_and_default_scopes_are_refused_together(door):
    good, said = door(location="lark_require_prefix on;", scopes="read:get").check()
    assert not good and "lark_require_prefix is on: remove one of them" in said


# --- the file ---------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("text, why", [
    ("", "line 1, column 1: not valid JSON"),
    ('{"tokens": [{"name": "a", "sha256": "abc", "scopes": []}]}', 'token "a": "sha256" must be the 64 hexadecimal'),
    ('{"tokens": [{"name": "a", "scopes": []}]}', 'token "a": "sha256" is missing'),
    ('{"tokens": [{"name": "a", "expiers": 1}]}', 'there is no member "expiers"'),
])
def test_a_broken_file_is_an_error_at_start(door, tmp_path, text, why):
    (tmp_path / "t.json").write_text(text)
    good, said = door(http=f"lark_tokens {tmp_path}/t.json;").check()
    assert not good and why in said and "t.json" in said


def test_a_missing_file_is_an_error_at_start(door, tmp_path):
    good, said = door(http=f"lark_tokens {tmp_path}/none.json;").check()
    assert not good and "cannot read" in said


def test_reload_takes_the_file_and_a_broken_one_keeps_the_old(door, tmp_path):
    path = token_files.write(tmp_path / "t.json", entry(READER))
    server = door(http=f"lark_tokens {path};").start()
    assert server.get("/GET/a/", headers=bearer(READER)).status == 200
    path.write_text("{")
    server.signal(conftest.signal.SIGHUP)
    conftest.wait_for("nginx says so", lambda: "not valid JSON" in server.said())
    (server.state / "error.log").write_text("")  # what was wanted is no complaint
    assert server.get("/GET/a/", headers=bearer(READER)).status == 200
    token_files.write(path, entry(ADMIN, ["admin"]))
    server.signal(conftest.signal.SIGHUP)
    conftest.wait_for("the new file holds", lambda: server.get("/GET/a/", headers=bearer(ADMIN)).status == 200)
    conftest.wait_for("on every worker", lambda: server.get("/GET/a/", headers=bearer(READER)).status == 401)


def test_workers_need_not_read_the_file(door, tmp_path):
    path = token_files.write(tmp_path / "t.json", entry(READER))
    path.chmod(0o600)
    server = door(http=f"lark_tokens {path};").start()
    path.unlink()
    assert server.get("/GET/a/", headers=bearer(READER)).status == 200


# --- the wire ---------------------------------------------------------------------------------------------------------

def other_address():
    """An address of this machine that is not loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            pytest.skip("this machine has loopback only")
        return probe.getsockname()[0]


@pytest.mark.parametrize("listen", ["here", "any"])
def test_credentials_without_tls_are_refused(door, listen):
    here = other_address()
    port = conftest.free_port()
    address = f"{here if listen == 'here' else '0.0.0.0'}:{port}"
    server = door(listen=f"; listen {address}", location="lark_allowed_hosts localhost;").start()

    def status(host):
        with socket.create_connection((host, port), timeout=10) as connection:
            connection.sendall(f"GET /api/0/GET/a/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
                               f"Authorization: Bearer {READER}\r\n\r\n".encode())
            got = b""
            while piece := connection.recv(65536):
                got += piece
        return got.split()[1], b"cleartext" in got

    assert status(here) == (b"403", True)
    if listen == "any":
        assert status("127.0.0.1") == (b"200", False)
    server.write(location="lark_allowed_hosts localhost; lark_insecure on;")
    server.signal(conftest.signal.SIGHUP)
    conftest.wait_for("lark_insecure holds", lambda: status(here) == (b"200", False))


def test_the_guard_comes_first(door):
    server = door().start()
    assert server.get("/GET/a/", headers={**bearer(READER), "Host": "evil.example"}).status == 421
    assert server.get("/GET/a/", headers={**bearer(READER), "Origin": "https://evil.example"}).error[0] == "foreign_origin"


def test_a_refused_body_is_never_a_request(door, plain_redis):
    server = door().start()
    inner = f"POST /api/0/SET/smuggled/ HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {ADMIN}\r\nContent-Length: 14\r\n" \
            '\r\n{"value": "x"}'
    got = server.raw((f"POST /api/0/SET/a/ HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer nobody\r\n"
                      f"Content-Length: {len(inner)}\r\n\r\n{inner}").encode(), wait_s=1)
    assert got.startswith(b"HTTP/1.1 401 ") and got.count(b"HTTP/1.1 ") == 1
    assert plain_redis.client.get("smuggled") is None


def test_limits_may_count_by_caller(door, tokens_file):
    server = door(http=f"lark_tokens {tokens_file};\nlimit_req_zone $lark_caller zone=callers:1m rate=1r/m;",
                  location="limit_req zone=callers; limit_req_status 429;").start()
    assert server.get("/GET/a/", headers=bearer(READER)).status == 200
    assert server.get("/GET/a/", headers=bearer(READER)).error[0] == "too_many_calls"
    assert server.get("/GET/a/", headers=bearer(ADMIN)).status == 200, "the other caller has a budget of its own"


def test_no_secret_in_a_log(door, tokens_file):
    server = door()
    server.write(location=f"access_log {server.state}/access.log callers;")
    server.start()
    for headers in (bearer(READER), basic(READER, user=READER), basic("", user=READER), {"Authorization": READER},
                    {"Authorization": f"Digest {READER}"}, bearer(LATE)):
        server.get("/GET/a/", headers=headers)
    server.raw(b"GET /api/0/GET/a/ HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " + READER.encode() + b"\r\nbad\x00: x\r\n\r\n",
               wait_s=1)
    secret = READER.split("_")[2]
    digest = json.loads(tokens_file.read_text())["tokens"][0]["sha256"]
    conftest.wait_for("the log has them", lambda: len((server.state / "access.log").read_text().splitlines()) >= 6)
    log = (server.state / "access.log").read_text()
    assert "reader - GET /api/0/GET/a/ HTTP/1.1 200" in log and "late - GET /api/0/GET/a/ HTTP/1.1 401" in log
    for path in server.state.glob("*.log"):
        text = path.read_text(errors="replace")
        assert secret not in text and digest not in text, path.name


def test_the_time_of_a_lookup_says_nothing(door):
    """Not how far a guess agrees: a token that is wrong in its last letter takes as long as one that is all wrong."""
    server = door().start()

    def median(token):
        times = []
        for _ in range(300):
            started = time.perf_counter()
            assert server.get("/PING/", headers=bearer(token)).status == 401
            times.append(time.perf_counter() - started)
        return sorted(times)[150]

    near, far = READER[:-1] + ("0" if READER[-1] != "0" else "1"), "x" * len(READER)
    ratios = [median(near) / median(far) for _ in range(3)]
    assert 0.5 < sorted(ratios)[1] < 2, ratios
