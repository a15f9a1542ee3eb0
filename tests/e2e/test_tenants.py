"""Tenants, line by line: docs/SECURITY.md names the tests of this file. Token u1 has a prefix, root has none; both are admin."""
import contextlib

import nginx_host
import pytest
import rows
import serve_host
import token_files
from nginx_host import Nginx
from token_files import bearer, entry

U1, U2, ROOT = (token_files.new(word) for word in ("u1", "u2", "root"))
folder = pytest.fixture(serve_host.short_folder)

NOT_THERE = """EVAL EVALSHA EVAL_RO EVALSHA_RO FCALL FCALL_RO SCRIPT FUNCTION ACL MODULE SLOWLOG LATENCY CLUSTER SHUTDOWN SYNC PSYNC
    MONITOR MIGRATE MOVE SELECT SWAPDB COPY AUTH HELLO RESET QUIT ASKING READONLY REPLICAOF FAILOVER COMMAND MULTI EXEC WATCH
    GEORADIUS XREADGROUP SORT_RO""".split()
REFUSED = {
    "RESTORE": ("POST", "/RESTORE/a/", {"ttl": 0, "value": "AAAA"}),
    "FLUSHALL": ("DELETE", "/FLUSHALL/", None),
    "CONFIG GET": ("GET", "/CONFIG/GET/", None),
    "CONFIG SET": ("POST", "/CONFIG/SET/maxclients/", {"value": "10000"}),
    "CONFIG RESETSTAT": ("POST", "/CONFIG/RESETSTAT/", None),
    "CLIENT LIST": ("GET", "/CLIENT/LIST/", None),
    "CLIENT GETNAME": ("GET", "/CLIENT/GETNAME/", None),
    "CLIENT SETNAME": ("POST", "/CLIENT/SETNAME/", {"name": "x"}),
    "CLIENT KILL": ("POST", "/CLIENT/KILL/", {"address": "127.0.0.1:1"}),
    "DEBUG OBJECT": ("GET", "/DEBUG/OBJECT/a/", None),
    "INFO": ("GET", "/INFO/", None),
    "SAVE": ("POST", "/SAVE/", None),
    "BGSAVE": ("POST", "/BGSAVE/", None),
    "BGREWRITEAOF": ("POST", "/BGREWRITEAOF/", None),
    "LASTSAVE": ("GET", "/LASTSAVE/", None),
}


class As:
    """A caller of a server: get, post, delete, request."""

    def __init__(self, server, token, **options):
        self.server, self.options = server, {"headers": bearer(token), **options}

    def request(self, verb, target, body=None):
        return self.server.request(verb, target, body, **self.options)

    def get(self, target):
        return self.request("GET", target)

    def post(self, target, body=None):
        return self.request("POST", target, body)

    def delete(self, target):
        return self.request("DELETE", target)


@contextlib.contextmanager
def before(redis_url, folder, **settings):
    path = token_files.write(folder / "tokens.json", entry(U1, ["admin"], prefix="u1", name="u1"),
                             entry(U2, ["admin"], prefix="u2", name="u2"), entry(ROOT, ["admin"], name="root"))
    settings["http"] = f"lark_tokens {path};" + settings.get("http", "")
    server = Nginx(redis_url, scopes="", **settings).start()
    try:
        yield server
        server.stop()
    finally:
        server.kill()


@pytest.fixture(scope="module")
def server(plain_redis, tmp_path_factory):
    with before(f"unix://{plain_redis.path}", tmp_path_factory.mktemp("tokens"), location="lark_scan_max 3000;") as door:
        yield door


@pytest.fixture
def db(plain_redis):
    return plain_redis.client


@pytest.fixture
def u1(server, db):
    return As(server, U1)


@pytest.fixture
def root(server, db):
    return As(server, ROOT)


# --- the closed table -------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("method", NOT_THERE)
def test_what_is_not_in_the_table_is_not_there(u1, root, method):
    """For nobody: scripts, other databases, the connection's own state, keys that Redis itself does not see."""
    for caller in (u1, root):
        for verb in ("GET", "POST"):
            answer = caller.request(verb, f"/{method}/a/")
            assert (answer.status, answer.error[0]) == (404, "unknown_method"), answer


@pytest.mark.parametrize("name", REFUSED)
def test_what_reaches_beyond_a_prefix_is_refused(u1, name):
    verb, target, body = REFUSED[name]
    answer = u1.request(verb, target, body)
    assert (answer.status, answer.error[0]) == (403, "prefix_refused"), answer


def test_the_refused_are_these():
    assert {row["redis"] for row in rows.ROWS if row["tenant"] == "refuse"} == set(REFUSED)


@pytest.mark.parametrize("name", ["CONFIG GET", "CONFIG RESETSTAT", "CLIENT LIST", "INFO", "LASTSAVE", "FLUSHALL"])
def test_an_admin_without_a_prefix_has_them(root, name):
    verb, target, body = REFUSED[name]
    assert root.request(verb, target, body).status == 200


# --- every key of every method ----------------------------------------------------------------------------------------

KEYED = [row for row in rows.ROWS if row.get("keys") and row["tenant"] == "prefix"]
KEY_VALUES = {"key": "KEY-1", "keys": ["KEY-1", "KEY-2"], "keys-weights": {"KEY-1": 1, "KEY-2": 2},
              "key-values": [["KEY-1", "v"], ["KEY-2", "w"]], "key-pattern": "KEY-*", "sort-by": "KEY-*",
              "sort-gets": ["KEY-*", "KEY-*->f"]}


@pytest.mark.parametrize("row", KEYED, ids=lambda row: row["method"])
def test_every_key_goes_below_the_prefix(u1, db, row, monkeypatch):
    """Sources, destinations, BY, GET, STORE: as Redis sees them."""
    for kind, value in KEY_VALUES.items():
        monkeypatch.setitem(rows.GOOD, kind, value)
    optional = [param["name"] for param in row["params"] if param["type"] in KEY_VALUES or param.get("blocks")]
    with db.monitor() as monitor:
        for path in row["paths"]:
            verb, target, body = rows.request(row, path, optional)
            if "POST" in row["verbs"]:  # SORT: all of it
                verb = "POST"
            u1.request(verb, target, body)
        db.echo("the end")
        seen = []
        while not seen or "the end" not in seen[-1]:
            seen.append(monitor.next_command()["command"])
    words = [word for command in seen for word in command.split() if "KEY-" in word]
    assert words and all(word.strip('"').startswith("u1:KEY-") for word in words), seen
    assert not db.keys("KEY-*")


# --- KEYS and SCAN ----------------------------------------------------------------------------------------------------

FOREIGN = ("a", "u2:a", "u1", "u1x:a", "xu1:a", "x:u1:a", "U1:a", "[u1]:a", "*", "u1\0:a")
PATTERNS = ("*", "**", "?", "*:*", "[^b]*", "[a-z]*", "\\*", "[", "[^", "\\", "u1:*", "*u1*", "u2:a", "", "^", "]*", "*\\", "?*?")


def all_scanned(caller, query=""):
    found, cursor = [], "0"
    while True:
        cursor, names = caller.get(f"/SCAN/?cursor={cursor}{query}").data
        found += names
        if cursor == "0":
            return found


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_pattern_never_leaves_the_prefix(u1, root, db, pattern):
    """What it finds is what Redis finds among the same names without a prefix."""
    own = ["a", "b", "*", "ab", "u1:a", "u2:a", "[", "\\", "a:b"]
    for name in own:
        db.select(1)
        db.set(name, "1")
        db.select(0)
        db.set(f"u1:{name}", "1")
    for name in FOREIGN:
        db.set(name, "1")
    db.select(1)
    wanted = sorted(name.decode() for name in db.keys(pattern))
    db.select(0)
    quoted = "".join(f"%{byte:02x}" for byte in pattern.encode())
    if pattern:
        assert sorted(set(u1.get(f"/KEYS/?pattern={quoted}").data)) == wanted
        assert sorted(set(all_scanned(u1, f"&match={quoted}"))) == wanted
    assert sorted(all_scanned(u1)) == sorted(u1.get("/KEYS/").data) == sorted(own)
    assert len(root.get("/KEYS/").data) == len(own) + len(FOREIGN)


def test_count_and_pattern_have_ceilings(u1, root):
    assert u1.get("/SCAN/?count=1000").status == 200
    for count in ("1001", "18446744073709551616", "-1001"):
        assert u1.get(f"/SCAN/?count={count}").error[0] == "bad_parameter"
    assert root.get("/SCAN/?count=1001").status == 200
    # Below 0 Redis gives members again and again: a number of some billions would fill its memory.
    assert u1.get("/SRANDMEMBER/s/-10000/").status == 200
    for number in ("-10001", "10001"):
        assert u1.get(f"/SRANDMEMBER/s/{number}/").error[0] == "bad_parameter"
    assert root.get("/SRANDMEMBER/s/-10001/").status == 200
    long = "a" * 257
    walks = [f"/{method}/{name}/" for method, name in (("SSCAN", "s"), ("HSCAN", "h"), ("ZSCAN", "z"))]
    for walk in walks:  # their own members: SMEMBERS gives them all
        assert u1.get(f"{walk}?count=1001").status == 200
    for target in (f"/KEYS/{long}/", f"/SCAN/?match={long}", f"/SORT/a/?by={long}", f"/SORT/a/?get={long}",
                   *(f"{walk}?match={long}" for walk in walks)):
        assert (u1.get(target).status, u1.get(target).error[0]) == (413, "too_large"), target
        assert u1.get(target.replace(long, long[:256])).status == 200, target
        assert root.get(target).status == 200, target


def test_a_walk_has_a_budget(u1, root, db):
    pipe = db.pipeline()
    for number in range(10_000):
        pipe.set(f"u2:{number}", "1")
    pipe.execute()
    for verb, target in (("GET", "/KEYS/"), ("GET", "/DBSIZE/"), ("GET", "/RANDOMKEY/"), ("DELETE", "/FLUSHDB/")):
        answer = u1.request(verb, target)
        assert (answer.status, answer.error[0]) == (413, "too_expensive"), (target, answer)
    assert root.get("/DBSIZE/").data == db.dbsize() == 10_000


# --- DBSIZE, RANDOMKEY, FLUSHDB ---------------------------------------------------------------------------------------

def test_dbsize_randomkey_flushdb_are_the_prefixs(u1, root, db):
    for name in FOREIGN:
        db.set(name, "1")
    assert u1.get("/DBSIZE/").data == 0 and u1.get("/RANDOMKEY/").data is None
    for name in ("a", "b", ""):
        db.set(f"u1:{name}", "1")
    assert u1.get("/DBSIZE/").data == 3 and sorted(u1.get("/KEYS/").data) == ["", "a", "b"]
    assert {u1.get("/RANDOMKEY/").data for _ in range(80)} == {"a", "b", ""}
    assert u1.delete("/FLUSHDB/").data is True
    assert {name.decode() for name in db.keys()} == set(FOREIGN)
    assert root.delete("/FLUSHDB/").data is True and db.dbsize() == 0


# --- SORT -------------------------------------------------------------------------------------------------------------

def test_sort_by_get_and_store_stay_below_the_prefix(u1, db):
    db.rpush("u1:list", "1", "2")
    for prefix, weights in (("u1:", (2, 1)), ("", (1, 2)), ("u2:", (1, 2))):
        for number, weight in enumerate(weights, 1):
            db.set(f"{prefix}w{number}", weight)
            db.set(f"{prefix}v{number}", f"{prefix}value{number}")
            db.hset(f"{prefix}h{number}", "f", f"{prefix}field{number}")
    assert u1.get("/SORT/list/?by=w*&get=%23&get=v*&get=h*-%3Ef").data == [
        "2", "u1:value2", "u1:field2", "1", "u1:value1", "u1:field1"]
    assert u1.get("/SORT/list/?by=nosort&get=v*").data == ["u1:value1", "u1:value2"]
    assert u1.get("/SORT/list/?by=nosort&get=u2:v*").data == [None, None]
    # Written so that its bytes are seen only when it is decoded.
    for by in (r'"\u0077\u002a"', '{"$base64": "dyo="}'):
        assert u1.post("/SORT/list/", f'{{"by": {by}, "get": ["\\u0023"], "store": "to"}}').data == 2
        assert db.lrange("u1:to", 0, -1) == [b"2", b"1"]
    assert not db.exists("to")


# --- names come off, values stay --------------------------------------------------------------------------------------

def test_the_prefix_comes_off_names_only(u1, db):
    for number, method in enumerate(("BLPOP", "BRPOP")):
        db.rpush(f"u1:q{number}", "u1:value")
        assert u1.post(f"/{method}/", {"keys": ["none", f"q{number}"], "timeout": 1}).data == [f"q{number}", "u1:value"]
    assert u1.post("/SET/a/", {"value": "u1:a"}).data is True
    assert u1.get("/GET/a/").data == "u1:a" and u1.post("/ECHO/", {"value": "u1:a"}).data == "u1:a"
    assert u1.post("/HSET/h/u1:f/", {"value": "u1:v"}).data == 1
    assert u1.get("/HGETALL/h/").data == {"u1:f": "u1:v"} and u1.get("/HSCAN/h/").data == ["0", {"u1:f": "u1:v"}]
    assert u1.post("/SADD/s/", {"values": ["u1:m"]}).data == 1 and u1.get("/SMEMBERS/s/").data == ["u1:m"]
    assert sorted(u1.get("/KEYS/").data) == sorted(all_scanned(u1)) == ["a", "h", "s"]
    assert u1.post("/SET/u1:a/", {"value": "1"}).data is True and db.get("u1:u1:a") == b"1"
    assert u1.get("/KEYS/u1:*/").data == ["u1:a"]


def test_errors_of_redis_lose_the_prefix(folder):
    """Redis' own words about a command that it does not know have the key."""
    redis = nginx_host.RedisServer("--rename-command", "STRLEN", "")
    try:
        with before(redis.url, folder) as door:
            code, message = As(door, U1).get("/STRLEN/secret/").error
            assert code == "redis_error" and "secret" in message and "u1:" not in message, message
            assert "u1:secret" in As(door, ROOT).get("/STRLEN/u1:secret/").error[1]
    finally:
        redis.stop()


# --- what a prefix may be ---------------------------------------------------------------------------------------------

@pytest.mark.parametrize("prefix", ["a:b", "a:", "{a}", "a*", "a?", "[a]", "a\\", "a b", "é", "a\n", "a" * 65])
def test_what_is_no_prefix(folder, prefix):
    path = folder / "tokens.json"
    code, out, err = serve_host.lark("token", "create", "--name", "x", "--scopes", "read:*", "--prefix", prefix, "--tokens", path,
                                     "--state-dir", folder / "s")
    assert code == 1 and out == "" and "prefix" in err and not path.exists(), (code, out, err)
    token_files.write(path, entry(U1, prefix=prefix))
    said = serve_host.refused("--state-dir", folder / "s", "--tokens", path)
    assert "prefix" in said, said


# --- a second wall: a user of Redis for each tenant -------------------------------------------------------------------

# As in docs/SECURITY.md.
RULES = "resetchannels ~{0}:* +@read +@write +@connection +@transaction -@admin -@dangerous +sort -randomkey -dbsize"
USER_CONFIG = "lark_redis {0} redis://{0}:pw@127.0.0.1:{1};"
USER_LOCATION = "location /{0}/ {{ lark {0}; }}"


@pytest.fixture(scope="module")
def walls(tmp_path_factory):
    """(nginx, Redis): /u1/ and /u2/ call Redis as u1 and u2."""
    redis = nginx_host.RedisServer()
    try:
        for name in ("u1", "u2"):
            redis.client.execute_command("ACL", "SETUSER", name, "on", ">pw", *RULES.format(name).split())
        settings = {"http": "".join(USER_CONFIG.format(name, redis.port) for name in ("u1", "u2")),
                    "server": "".join(USER_LOCATION.format(name) for name in ("u1", "u2"))}
        with before(redis.url, tmp_path_factory.mktemp("tokens"), **settings) as door:
            yield door, redis.client
    finally:
        redis.stop()


def test_each_tenant_has_a_user_of_redis(walls):
    """All that tenants may do works through the second wall but SORT's BY and GET; without the prefix it holds by itself."""
    door, db = walls
    db.flushall()
    u1, u2, lost = As(door, U1, mount="/u1"), As(door, U2, mount="/u2"), As(door, ROOT, mount="/u1")
    for caller in (u1, u2):
        assert caller.post("/SET/a/", {"value": "1"}).data is True
        assert caller.post("/RPUSH/list/", {"values": ["2", "1"]}).data == 2
        assert caller.get("/SORT/list/").data == ["1", "2"]
        assert sorted(caller.get("/KEYS/").data) == ["a", "list"] and caller.get("/DBSIZE/").data == 2
        assert caller.get("/RANDOMKEY/").data in ("a", "list")
        assert caller.post("/BLPOP/", {"keys": ["list"], "timeout": 1}).data == ["list", "2"]
    ranged = door.request("GET", "/GET/a/", mount="/u1", headers={**bearer(U1), "Lark-Values": "raw", "Range": "bytes=0-0"})
    assert (ranged.status, ranged.body) == (206, b"1")
    for target in ("/SORT/list/?by=w*", "/SORT/list/?get=v*"):
        answer = u1.get(target)
        assert answer.error[0] == "redis_error" and "denied due to insufficient ACL permissions" in answer.error[1], answer
    # A credential without a prefix, as if the first wall were gone.
    assert lost.get("/GET/u1:a/").data == "1"
    for verb, target, body in (("GET", "/GET/u2:a/", None), ("POST", "/SET/a/", {"value": "1"}), ("DELETE", "/FLUSHALL/", None),
                               ("POST", "/RENAME/", {"src": "u1:a", "dst": "u2:a"}), ("GET", "/RANDOMKEY/", None),
                               ("POST", "/RPOPLPUSH/", {"src": "u1:list", "dst": "u2:list"}), ("GET", "/CONFIG/GET/", None),
                               ("DELETE", "/FLUSHDB/", None), ("GET", "/KEYS/", None), ("GET", "/CLIENT/LIST/", None)):
        answer = lost.request(verb, target, body)
        assert (answer.status, answer.error[0]) == (403, "redis_denied"), (target, answer)
    assert u1.delete("/FLUSHDB/").data is True
    assert sorted(db.keys()) == [b"u2:a", b"u2:list"]
