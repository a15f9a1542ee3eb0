"""`lark token`, and `lark serve` with tokens."""
import concurrent.futures
import fcntl
import hashlib
import http_raw
import json
import os
import re
import signal
import subprocess
import time

import conftest
import pytest
import token_files
from conftest import BUILD
from serve_host import Serve, clean_environment
from nginx_host import RedisServer
from test_tokens import other_address
from token_files import basic, bearer, entry

SHAPE = re.compile(r"lark_[a-z0-9]{1,16}_[a-z2-7]{52}\n")


def lark(*words, **environment):
    return subprocess.run([BUILD / "lark", *map(str, words)], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          env=clean_environment(**environment), cwd="/", timeout=60)


@pytest.fixture
def desk(tmp_path):
    """desk(command, ...) runs `lark token` on a file of its own, told to no server."""
    def run(command, *words, tokens=tmp_path / "tokens.json", state=tmp_path / "state", **environment):
        told = [] if command == "list" else ["--state-dir", state]
        return lark("token", command, *words, "--tokens", tokens, *told, **environment)

    run.path, run.state = tmp_path / "tokens.json", tmp_path / "state"
    return run


def made(done):
    assert done.returncode == 0 and SHAPE.fullmatch(done.stdout), (done.stdout, done.stderr)
    return done.stdout.strip()


def entries(path):
    return json.loads(path.read_text())["tokens"]


# --- create -----------------------------------------------------------------------------------------------------------

def test_create_prints_the_token_once_and_keeps_its_hash(desk):
    token = made(desk("create", "--name", "CI box", "--scopes", "read:get, write:set", "--prefix", "u1", "--expires",
                      "2040-01-31T12:00:00+02:00"))
    assert token.startswith("lark_cibox_")
    assert entries(desk.path) == [{"name": "CI box", "sha256": hashlib.sha256(token.encode()).hexdigest(),
                                   "scopes": ["read:get", "write:set"], "prefix": "u1", "expires": "2040-01-31T10:00:00Z"}]
    assert desk.path.stat().st_mode & 0o777 == 0o600
    assert token.split("_")[2] not in desk.path.read_text()
    assert made(desk("create", "--name", "b", "--scopes", "admin")) != token
    assert entries(desk.path)[1] == {**entries(desk.path)[1], "prefix": None, "expires": None}
    assert [path.name for path in desk.path.parent.iterdir()] == ["tokens.json"], "nothing else is left there"


@pytest.mark.parametrize("words, why", [
    (["--scopes", "admin"], "needs --name"),
    (["--name", "a"], "needs --scopes"),
    (["--name", "a", "--scopes", ""], "--scopes: expected a value"),
    (["--name", "a", "--scopes", ","], "expected at least one scope"),
    (["--name", "a", "--scopes", "read:get,reed:get"], "--scopes: unknown scope 'reed:get'; did you mean read:get"),
    (["--name", "a\nb", "--scopes", "admin"], "--name: expected 1 to 64 bytes"),
    (["--name", "a" * 65, "--scopes", "admin"], "--name: expected 1 to 64 bytes"),
    (["--name", "a", "--scopes", "admin", "--prefix", "a:b"], "--prefix: expected 1 to 64 of"),
    (["--name", "a", "--scopes", "admin", "--expires", "tomorrow"], "--expires: expected a moment with its zone"),
    (["--name", "a", "--scopes", "admin", "--expires", "2030-01-31T12:00:00"], "--expires: expected a moment with its zone"),
    (["--name", "a", "--scopes", "admin", "--expires", "+30"], "--expires: expected a time from now"),
    (["--name", "a", "--scopes", "admin", "--expires", "+0d"], "--expires: expected a time from now"),
    (["--name", "a", "--scopes", "admin", "--expires", "2020-01-01T00:00:00Z"], "is past"),
    (["--name", "a", "--scopes", "admin", "--nane", "b"], "unexpected '--nane'"),
    (["--name", "a", "--scopes", "admin", "b"], "unexpected 'b'"),
])
def test_create_refuses(desk, words, why):
    done = desk("create", *words)
    assert done.returncode == 1 and why in done.stderr and done.stdout == "", done.stderr
    assert not desk.path.exists()


def test_create_takes_a_time_from_now(desk):
    made(desk("create", "--name", "a", "--scopes", "admin", "--expires", "+2h"))
    seconds = time.mktime(time.strptime(entries(desk.path)[0]["expires"], "%Y-%m-%dT%H:%M:%SZ")) - time.mktime(time.gmtime())
    assert 7100 < seconds <= 7200


def test_create_warns_that_reading_can_write(desk):
    assert "GETSET" in desk("create", "--name", "a", "--scopes", "read:*").stderr
    assert "GETSET" not in desk("create", "--name", "b", "--scopes", "read:get").stderr


def test_create_keeps_what_was_written_by_hand(desk):
    hand = '{\n\t"tokens" :[ {"scopes":["read:*"],  "name":"h\\u0061nd",\n"sha256":"' + "A" * 64 + '"}\n\n  ]\n}'
    desk.path.write_text(hand)
    made(desk("create", "--name", "a", "--scopes", "admin"))
    made(desk("create", "--name", "b", "--scopes", "admin"))
    assert [e["name"] for e in entries(desk.path)] == ["hand", "a", "b"]
    assert desk.path.read_text().startswith(hand.split("}")[0]) and desk.path.read_text().endswith("\n\n  ]\n}")
    for name in ("a", "b"):
        assert desk("revoke", name).returncode == 0
    assert desk.path.read_text() == hand


def test_create_refuses_a_name_that_is_there(desk):
    made(desk("create", "--name", "a", "--scopes", "admin"))
    done = desk("create", "--name", "a", "--scopes", "read:get")
    assert done.returncode == 1 and "has a token of the name 'a'" in done.stderr and len(entries(desk.path)) == 1


def test_create_leaves_a_broken_file_alone(desk):
    desk.path.write_text('{"tokens": [,]}')
    done = desk("create", "--name", "a", "--scopes", "admin")
    assert done.returncode == 1 and "line 1, column 13: token 1: not valid JSON" in done.stderr
    assert desk.path.read_text() == '{"tokens": [,]}'


def test_create_follows_a_link_and_keeps_the_group(desk, tmp_path):
    real = token_files.write(tmp_path / "real.json")
    real.chmod(0o640)
    desk.path.symlink_to(real)
    made(desk("create", "--name", "a", "--scopes", "admin"))
    assert desk.path.is_symlink() and len(entries(real)) == 1 and real.stat().st_mode & 0o777 == 0o640


def test_creating_at_once_loses_nothing(desk):
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        done = list(pool.map(lambda n: desk("create", "--name", f"n{n}", "--scopes", "admin"), range(24)))
    assert len({made(one) for one in done}) == 24
    assert sorted(e["name"] for e in entries(desk.path)) == sorted(f"n{n}" for n in range(24))


# --- list, revoke -----------------------------------------------------------------------------------------------------

def test_list(desk):
    made(desk("create", "--name", "ci", "--scopes", "read:get,write:set", "--prefix", "u1", "--expires", "2040-01-31T12:00:00Z"))
    done = desk("list")
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["NAME", "PREFIX", "EXPIRES", "SCOPES"]
    assert lines[1].split() == ["ci", "u1", "2040-01-31T12:00:00Z", "read:get", "write:set"]
    assert entries(desk.path)[0]["sha256"] not in done.stdout
    done = desk("list", tokens=desk.path.parent / "none.json")
    assert done.returncode == 1 and "none.json cannot be read: No such file" in done.stderr


def test_revoke(desk):
    for name in ("a", "b", "c"):
        made(desk("create", "--name", name, "--scopes", "admin"))
    for name, left in (("b", ["a", "c"]), ("a", ["c"]), ("c", [])):
        assert desk("revoke", name).returncode == 0
        assert [e["name"] for e in entries(desk.path)] == left
    done = desk("revoke", "a")
    assert done.returncode == 1 and "has no token of the name 'a'" in done.stderr
    done = desk("revoke")
    assert done.returncode == 1 and "needs the name" in done.stderr


@pytest.mark.parametrize("words, why", [
    ((), "needs a command"), (("crate",), "did you mean create"), (("list",), "needs --tokens or --token-store"), (("list", "--tokens", "a", "--token-store", "redis://b"), "not both"),
    (("list", "--name", "a"), "--name is not for lark token list"), (("create", "--name"), "--name needs a value"),
])
def test_words(words, why):
    done = lark("token", *words)
    assert done.returncode == 1 and why in done.stderr


def test_help():
    shown = lark("help", "token").stdout
    assert "--expires T" in shown and lark("token", "--help").stdout == shown == lark("token", "create", "--help").stdout


# --- with a server ----------------------------------------------------------------------------------------------------

@pytest.fixture
def server(desk):
    """A `lark serve` with the desk's tokens; caller(server) makes a client of it."""
    made(desk("create", "--name", "first", "--scopes", "admin"))
    with Serve(desk.state, "--tokens", desk.path) as serve:
        yield serve


def fresh(server, token):
    """The status of a call on a new connection."""
    client = http_raw.Client(server.port)
    status = client.get("/GET/a/", headers=bearer(token)).status
    client.close()
    return status


def test_create_and_revoke_hold_when_they_return(server, desk):
    with_idle = http_raw.Client(server.port)
    for _ in range(3):
        token = made(desk("create", "--name", "new", "--scopes", "read:get"))
        assert fresh(server, token) == 200
        assert with_idle.get("/GET/a/", headers=basic(token)).status == 200, "on a connection that was idle, too"
        assert desk("revoke", "new").returncode == 0
        assert fresh(server, token) == 401
        assert with_idle.get("/GET/a/", headers=bearer(token)).status == 401
    with_idle.close()


def test_revoke_holds_under_load(server, desk):
    """No request that begins after `revoke` has returned is let in, on any connection."""
    token = made(desk("create", "--name", "new", "--scopes", "read:get"))
    stop, revoked = time.monotonic() + 30, []

    def call(_):
        client, late = http_raw.Client(server.port), []
        while time.monotonic() < stop and len(late) < 50:
            after = bool(revoked)
            status = client.get("/GET/a/", headers=bearer(token)).status
            late += [status] if after else []
        client.close()
        return late

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        calls = [pool.submit(call, n) for n in range(8)]
        time.sleep(0.3)
        assert desk("revoke", "new").returncode == 0
        revoked.append(True)
        assert {status for one in calls for status in one.result()} <= {401, 429}


def test_a_change_by_hand_is_taken_on_hup_and_a_broken_one_is_told(server, desk):
    token = token_files.new()
    token_files.write(desk.path, entry(token))
    server.send(signal.SIGHUP)
    client = http_raw.Client(server.port)
    conftest.wait_for("the new file holds", lambda: client.get("/GET/a/", headers=bearer(token)).status == 200)
    desk.path.write_text('{"tokens": [\n{"name": 1}]}')
    server.send(signal.SIGHUP)
    conftest.wait_for("it is told", lambda: "not reloaded: the old settings stay in force" in server.said())
    assert f'{desk.path}: line 2, column 10: token 1: "name" must be a string' in server.said()
    assert client.get("/GET/a/", headers=bearer(token)).status == 200
    client.close()


def test_create_says_when_the_server_does_not_take_it(desk, tmp_path):
    """Something else of the settings is wrong: the token is in the file, and does not hold."""
    made(desk("create", "--name", "first", "--scopes", "admin"))
    config = tmp_path / "lark.json"
    config.write_text(json.dumps({"tokens": str(desk.path)}))
    with Serve(desk.state, "--config", config) as serve:
        config.write_text("{")
        started = time.monotonic()
        done = desk("create", "--name", "new", "--scopes", "admin")
        assert done.returncode == 1 and "kept its old settings" in done.stderr and time.monotonic() - started < 10
        assert SHAPE.fullmatch(done.stdout), "it is shown all the same: it cannot be made out again"
        assert "not valid JSON" in serve.said()


def test_a_revocation_holds_while_redis_is_away(desk, tmp_path):
    """What is as it was is not asked by a reload."""
    store = RedisServer()
    try:
        token = made(desk("create", "--name", "leaked", "--scopes", "admin"))
        with Serve(desk.state, "--redis", store.url, "--tokens", desk.path) as serve:
            client = http_raw.Client(serve.port)
            assert client.get("/PING/", headers=bearer(token)).status == 200
            store.kill()
            done = desk("revoke", "leaked")
            assert done.returncode == 0, (done.stderr, serve.said())
            conftest.wait_for("it holds", lambda: client.get("/PING/", headers=bearer(token)).status == 401, 5)
            client.close()
    finally:
        store.stop()


def test_what_cannot_be_told_is_a_failure(desk):
    """The lock is held, by nobody whom it names: a container's server, or none of its owner's processes."""
    desk.state.mkdir()
    lock = desk.state / "lark.lock"
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        for pid in ("", "1", "4194305"):
            lock.write_text(pid)
            done = desk("create", "--name", f"a{pid}", "--scopes", "admin")
            assert done.returncode == 1 and SHAPE.fullmatch(done.stdout), done
            assert "is held, but not by a process" in done.stderr and "cannot be told" in done.stderr
    lock.unlink()
    lock.symlink_to("/etc/hostname")
    assert desk("create", "--name", "b", "--scopes", "admin").returncode == 1


def test_a_lock_that_is_held_for_ever_is_told(desk):
    """Whoever may read the folder can hold it."""
    folder = os.open(desk.path.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        done = desk("create", "--name", "a", "--scopes", "admin")
    finally:
        os.close(folder)
    assert done.returncode == 1 and "somebody holds a lock on its folder" in done.stderr
    assert not desk.path.exists()


def test_others_may_still_read_it(desk):
    made(desk("create", "--name", "a", "--scopes", "admin"))
    desk.path.chmod(0o644)
    made(desk("create", "--name", "b", "--scopes", "admin"))
    assert desk.path.stat().st_mode & 0o777 == 0o644


def test_create_without_a_server_says_so(desk):
    assert "no lark serve with the state folder" in desk("create", "--name", "a", "--scopes", "admin").stderr


def test_nothing_secret_is_anywhere(desk, tmp_path):
    """Not in the state folder, the printed configuration, what the server writes; nor is it in any argument."""
    log = tmp_path / "access.log"
    token = made(desk("create", "--name", "new", "--scopes", "read:get"))
    secret = token.split("_")[2]
    with Serve(desk.state, "--tokens", desk.path, "--access-log", log) as serve:
        client = http_raw.Client(serve.port)
        assert client.get("/GET/a/", headers=bearer(token)).status == 200
        assert client.get("/GET/a/", headers=basic("wrong", user=token)).status == 401
        assert client.get("/elsewhere/", headers=basic(token, user=token), mount="").status == 404
        assert client.post("/GET/a/", {}, headers={"Authorization": token}).status == 401
        client.close()
        conftest.wait_for("the log", lambda: log.exists() and len(log.read_text().splitlines()) >= 4)
        assert '"caller": "new"' in log.read_text()
        for path in [log, *(p for p in desk.state.rglob("*") if p.is_file())]:
            assert secret.encode() not in path.read_bytes(), path
        assert secret not in serve.said()
    printed = lark("serve", "--state-dir", desk.state, "--tokens", desk.path, "--print-nginx-config").stdout
    assert "lark_tokens" in printed and secret not in printed and entries(desk.path)[0]["sha256"] not in printed


def test_serve_refuses_tokens_without_tls(desk):
    made(desk("create", "--name", "a", "--scopes", "admin"))
    address = f"{other_address()}:{conftest.free_port()}"
    words = ["serve", "--state-dir", desk.state, "--listen", address, "--tokens", desk.path]
    done = lark(*words, "--check-config")
    assert done.returncode == 1 and "without TLS" in done.stderr and "--insecure" in done.stderr
    assert lark(*words, "--insecure", "--check-config").returncode == 0
    assert "lark_insecure on;" in lark(*words, "--insecure", "--print-nginx-config").stdout


@pytest.mark.parametrize("name", ["LARK_TOKENS", "LARK_REQUIRE_PREFIX", "LARK_INSECURE", "LARK_DEFAULT_SCOPES"])
def test_serve_takes_no_credentials_from_the_environment(desk, name):
    done = lark("serve", "--state-dir", desk.state, "--check-config", **{name: "1"})
    assert done.returncode == 0 and f"{name} is ignored" in done.stderr


def test_serve_require_prefix(desk):
    made(desk("create", "--name", "a", "--scopes", "read:get"))
    done = lark("serve", "--state-dir", desk.state, "--require-prefix", "--default-scopes", "read:get", "--check-config")
    assert done.returncode == 1 and "--require-prefix" in done.stderr and "remove one of them" in done.stderr
    words = ("serve", "--state-dir", desk.state, "--tokens", desk.path, "--require-prefix", "--print-nginx-config")
    assert "lark_require_prefix on;" in lark(*words).stdout


def test_serve_needs_a_good_tokens_file(desk):
    done = lark("serve", "--state-dir", desk.state, "--tokens", desk.path, "--check-config")
    assert done.returncode == 1 and "cannot be read: No such file or directory; lark token create makes it" in done.stderr
    desk.path.write_text("[]")
    done = lark("serve", "--state-dir", desk.state, "--tokens", desk.path, "--check-config")
    assert done.returncode == 1 and 'expected {"tokens": [...]}' in done.stderr


# --- tokens in Redis --------------------------------------------------------------------------------------------------

PASSWORD = "store's secret"


@pytest.fixture
def store(tmp_path):
    server = RedisServer("--databases", "4", "--requirepass", PASSWORD)
    (tmp_path / "password").write_text(PASSWORD + "\n")
    server.words = ["--token-store", server.url, "--token-store-password-file", tmp_path / "password"]
    yield server
    server.stop()


def test_store_create_list_revoke(store):
    token = made(lark("token", "create", "--name", "ci", "--scopes", "read:get", "--prefix", "u1", *store.words))
    digest = hashlib.sha256(token.encode()).hexdigest()
    assert store.client.hgetall("lark:tokens") == {b"ci": digest.encode()}
    assert json.loads(store.client.get(f"lark:token:{digest}")) == {"name": "ci", "sha256": digest, "scopes": ["read:get"],
                                                                   "prefix": "u1", "expires": None}
    done = lark("token", "create", "--name", "ci", "--scopes", "admin", *store.words)
    assert done.returncode == 1 and "has a token of the name 'ci'" in done.stderr and done.stdout == ""
    made(lark("token", "create", "--name", "b", "--scopes", "admin", "--expires", "2040-01-31T12:00:00Z", *store.words))
    lines = lark("token", "list", *store.words).stdout.splitlines()[1:]
    assert sorted(line.split() for line in lines) == [["b", "-", "2040-01-31T12:00:00Z", "admin"], ["ci", "u1", "never", "read:get"]]
    assert lark("token", "revoke", "ci", *store.words).returncode == 0
    assert store.client.hkeys("lark:tokens") == [b"b"] and len(store.client.keys()) == 2
    done = lark("token", "revoke", "ci", *store.words)
    assert done.returncode == 1 and "has no token of the name 'ci'" in done.stderr


def test_store_away_or_wrong(store):
    words = ("token", "list", "--token-store")
    done = lark(*words, store.url)
    assert done.returncode == 1 and "wants a password" in done.stderr
    done = lark(*words, f"redis://127.0.0.1:{conftest.free_port()}")
    assert done.returncode == 1 and "Connection refused" in done.stderr
    done = lark(*words, "http://x")
    assert done.returncode == 1 and "--token-store" in done.stderr
    done = lark(*words, store.url, "--token-store-ca", "/x")
    assert done.returncode == 1 and "needs --token-store with rediss://" in done.stderr
    done = lark(*words, store.url.replace("//", f"//:{PASSWORD.replace(' ', '%20')}x@"))
    assert done.returncode == 1 and PASSWORD not in done.stderr and "secret" not in done.stderr


def test_store_with_a_server(store, desk):
    """Two servers, no word to either of them: a new token holds at once, a revoked one no longer when revoke returns."""
    with Serve(desk.state, *store.words) as one, Serve(desk.path.parent / "two", *store.words) as two:
        token = made(lark("token", "create", "--name", "ci", "--scopes", "read:get", *store.words))
        assert [fresh(server, token) for server in (one, two)] == [200, 200]
        started = time.monotonic()
        assert lark("token", "revoke", "ci", *store.words).returncode == 0
        assert time.monotonic() - started < 3
        assert [fresh(server, token) for server in (one, two)] == [401, 401]
        for path in desk.state.rglob("*"):
            if path.is_file() and path.name != "tokens.password":
                assert PASSWORD.encode() not in path.read_bytes(), path
        assert (desk.state / "tokens.password").stat().st_mode & 0o777 == 0o600
    printed = lark("serve", "--state-dir", desk.state, *store.words, "--print-nginx-config").stdout
    assert "lark_token_store tokens;" in printed and PASSWORD not in printed


def test_store_is_not_the_datas_own(store, desk, plain_redis):
    """Not by another address either: the two are asked who they are."""
    unix = f"unix://{plain_redis.path}"
    port = conftest.free_port()
    plain_redis.client.config_set("port", port)
    try:
        tcp = f"redis://127.0.0.1:{port}"
        done = lark("serve", "--state-dir", desk.state, "--listen", f"127.0.0.1:{conftest.free_port()}", "--redis", unix,
                    "--token-store", tcp)
        assert done.returncode == 1 and "is the database of the data" in done.stderr
        done = lark("serve", "--state-dir", desk.state, "--check-config", "--redis", unix, "--token-store", unix)
        assert done.returncode == 1 and "is the database of" in done.stderr
        with Serve(desk.state, "--redis", unix, "--token-store", f"{tcp}/1") as serve:
            assert serve.up()
    finally:
        plain_redis.client.config_set("port", 0)


def test_store_away_at_start_is_an_error(desk):
    done = lark("serve", "--state-dir", desk.state, "--listen", f"127.0.0.1:{conftest.free_port()}", "--token-store",
                f"redis://127.0.0.1:{conftest.free_port()}")
    assert done.returncode == 1 and "the token store at redis://127.0.0.1" in done.stderr
