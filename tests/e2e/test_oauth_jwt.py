"""JWT access tokens of an issuer through nginx: docs/SECURITY.md names the tests of this file."""
import base64
import hashlib
import json
import os
import signal
import time

import conftest
import jwt_tokens
import pytest
import token_files
from jwt_tokens import AUDIENCE, ISSUER, claims
from nginx_host import Nginx
from token_files import bearer, challenges, entry

INVALID = 'Bearer error="invalid_token"'


@pytest.fixture(scope="module")
def maker():
    found = jwt_tokens.Maker()
    yield found
    found.stop()


@pytest.fixture
def door(plain_redis, tmp_path, maker):
    """start(more directives): an nginx whose API takes the issuer's tokens; .keys is the file of its keys."""
    doors = []
    tmp_path.chmod(0o755)

    def start(more="", jwks=None, age="", failures="off", **settings):
        keys = jwt_tokens.write(tmp_path / "keys.json", jwks or maker.jwks())
        settings.setdefault("scopes", "")
        server = Nginx(f"unix://{plain_redis.path}", location=f"""
            lark_oauth_issuer {ISSUER};
            lark_oauth_audience {AUDIENCE};
            lark_oauth_jwks {keys} {age};
            lark_rate_failures {failures};
            {more}""", **settings)
        server.keys = keys
        doors.append(server)
        return server.start()

    yield start
    for server in doors:
        server.stop()


def call(server, token, target="/GET/a/"):
    """The status of a call, and why it was refused."""
    answer = server.get(target, headers=bearer(token))
    for part in token.split("."):
        assert len(part) < 16 or part not in str(answer.headers) + answer.body.decode(), "the answer shows the token"
    if answer.status < 400 or answer.error[0] == "no_value":
        return 200, ""
    if answer.status == 401:
        assert challenges(answer) == [INVALID] and answer.error[0] == "credentials"
    return answer.status, answer.error[1]


def refused(server, token, why):
    status, said = call(server, token)
    assert status == 401 and why in said, (status, said)


# --- the header and the signature --------------------------------------------------------------------------------------

def test_algorithm_is_pinned_to_the_key(door, maker):
    server = door()
    for key, alg in (("rsa", "RS256"), ("rsa", "PS256"), ("ec", "ES256"), ("ed", "EdDSA")):
        token = maker.token(key, {"alg": alg})
        assert call(server, token) == (200, "") and call(server, token) == (200, "")
    refused(server, maker.by_hand(maker.header("ec", kid="rsa"), claims(), "ec"), '"alg" is not that of its key')
    refused(server, maker.by_hand(maker.header("rsa", kid="ed"), claims(), "rsa"), '"alg" is not that of its key')
    pinned = door(jwks=maker.jwks("rsa", alg="PS256"))
    assert call(pinned, maker.token("rsa", {"alg": "PS256"})) == (200, "")
    refused(pinned, maker.token("rsa"), '"alg" is not that of its key')


def test_never_none_never_hmac(door, maker):
    server = door()
    for alg in ("none", "None", "NONE", "HS256", "HS512", "RS1", ""):
        for signature in ("", "HS256", "RS256"):
            refused(server, maker.by_hand(maker.header(alg=alg), claims(), "rsa", signature), '"alg" must be one of')
    refused(server, maker.by_hand(maker.header(), claims(), "rsa", "HS256"), "signature is not that of its key")
    refused(server, maker.by_hand(maker.header(), claims(), "rsa", ""), "signature is not that of its key")


def test_a_secret_in_the_key_set_is_never_a_key(door, maker):
    secret = {"kty": "oct", "kid": "h", "alg": "HS256", "k": jwt_tokens.base64url("secret" * 8)}
    server = door(jwks={"keys": [secret, *maker.jwks()["keys"]]})
    assert call(server, maker.token()) == (200, "")
    refused(server, maker.by_hand(maker.header(alg="HS256", kid="h"), claims(), "rsa", "HS256"), '"alg" must be one of')
    assert 'key 1 (kid "h") is left out' in server.said()


def test_crit_is_refused(door, maker):
    server = door()
    for crit in (["b64"], ["exp"], [], None, "b64"):
        header = {**maker.header(), "crit": crit, "b64": True}
        refused(server, maker.by_hand(header, claims()), '"crit"')


def test_keys_that_come_with_a_token_are_ignored(door, maker):
    server = door()
    stranger = {"jwk": maker.keys["other"], "jku": "http://127.0.0.1:1/keys", "x5u": "http://127.0.0.1:1/x", "x5c": ["AA"]}
    refused(server, maker.by_hand({**maker.header(), **stranger}, claims(), "other"), "signature is not that of its key")
    assert call(server, maker.by_hand({**maker.header(), **stranger}, claims())) == (200, "")


def test_another_key_is_refused(door, maker):
    server = door()
    refused(server, maker.by_hand(maker.header(), claims(), "other"), "signature is not that of its key")
    refused(server, maker.token("other"), "none of the issuer's keys")
    both = door(jwks=maker.jwks("rsa", "other"))
    assert call(both, maker.token("other")) == (200, "")
    refused(both, maker.token("other", {"kid": None}), "several would fit")
    assert call(server, maker.token("ec", {"kid": None})) == (200, "")


def test_not_a_bit_may_differ(door, maker):
    server = door()
    for key in ("rsa", "ec", "ed"):
        token = maker.token(key)
        assert call(server, token) == (200, "")
        head, body, signature = token.split(".")
        last = signature[-1]
        alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
        unused = alphabet[alphabet.index(last) ^ 1]  # a bit that says nothing: the same bytes, another text
        for changed in (signature[:-1] + unused, signature + "=", signature + "==", signature[:-1], signature + "A",
                        "A" + signature, signature[1:]):
            assert call(server, f"{head}.{body}.{changed}")[0] == 401, changed
        assert call(server, f"{head}.{body}A.{signature}")[0] == 401
        assert call(server, f"{head}.{body}.{signature}.")[0] == 401
        assert call(server, f"{head}.{body}")[0] == 401


def test_duplicate_members_are_refused(door, maker):
    server = door()
    header, body = json.dumps(maker.header()), json.dumps(claims())
    assert call(server, maker.by_hand(header, body)) == (200, "")
    refused(server, maker.by_hand(header[:-1] + ', "alg": "RS256"}', body), "header is not well formed")
    for more in ('"aud": "x"', '"s\\u0075b": "bob"', '"a": {"b": 1, "b": 1}'):
        refused(server, maker.by_hand(header, f"{body[:-1]}, {more}}}"), "claims are not well formed")


def test_more_than_8_kb_is_refused(door, maker):
    server = door(server="large_client_header_buffers 4 32k;")
    size = len(maker.token(fill="", kind="x"))
    fill = (8192 - size) * 3 // 4
    assert call(server, maker.token(fill="x" * fill, kind="x")) == (200, "")
    status, said = call(server, maker.token(fill="x" * (fill + 8), kind="x"))
    assert status == 401 and ("8192 bytes" in said or "too long" in said)


def test_typ_is_at_jwt_unless_an_option_allows_jwt(door, maker):
    strict, lax, same = door(), door("lark_oauth_typ any;"), door("lark_oauth_typ jwt;")
    for typ, of_strict, of_lax in (("at+jwt", 200, 200), ("application/AT+JWT", 200, 200), ("JWT", 401, 200),
                                   (None, 401, 200), ("logout+jwt", 401, 401), ("", 401, 401)):
        token = maker.token(header={"typ": typ})
        assert (call(strict, token)[0], call(lax, token)[0], call(same, token)[0]) == (of_strict, of_lax, of_lax), typ


# --- claims ------------------------------------------------------------------------------------------------------------

def test_issuer_and_audience_are_exact(door, maker):
    server = door()
    for issuer in (ISSUER + "/", ISSUER[:-1], ISSUER.upper(), "", None):
        refused(server, maker.token(iss=issuer), '"iss" is not the issuer')
    for audience in (AUDIENCE + "/", "lark", [], ["lark"], "", None):
        refused(server, maker.token(aud=audience), '"aud" is not this server')
    assert call(server, maker.token(aud=["other", AUDIENCE])) == (200, "")


def test_times_are_kept_with_a_leeway(door, maker):
    server, exact = door("lark_oauth_leeway 60s;"), door("lark_oauth_leeway 0s;")
    now = int(time.time())
    assert call(server, maker.token(exp=now - 30)) == (200, "")
    refused(server, maker.token(exp=now - 61), "has expired")
    refused(server, maker.token(exp=None), 'no "exp"')
    refused(exact, maker.token(exp=now), "has expired")
    assert call(server, maker.token(nbf=now + 30)) == (200, "")
    refused(exact, maker.token(nbf=now + 30), "not valid yet")
    refused(server, maker.token(nbf=now + 120), "not valid yet")
    refused(server, maker.token(iat=now + 120), "issued in the future")


def test_a_cached_token_ends_when_it_expires(door, maker):
    server = door("lark_oauth_leeway 0s;")
    tokens = (maker.token(exp=int(time.time()) + 3) for _ in range(5))  # a busy machine may not come to it in time
    token = next(token for token in tokens if call(server, token) == (200, ""))
    conftest.wait_for("it has expired", lambda: call(server, token)[0] == 401)
    assert "expired" in call(server, token)[1]


def test_scopes_come_from_scope_or_scp_or_a_configured_claim(door, maker):
    server, other = door(), door("lark_oauth_scope_claim https://lark.example/may;")
    for more in ({"scope": "openid read:get"}, {"scope": None, "scp": ["read:get"]}, {"scope": None, "scp": "read:get x"}):
        token = maker.token(**more)
        assert call(server, token)[0] == 200 and call(server, token, "/TTL/a/")[0] == 403
        assert call(other, token)[0] == 403
    token = maker.token(**{"scope": "admin", "https://lark.example/may": ["read:get"]})
    assert call(other, token)[0] == 200 and call(other, token, "/TTL/a/")[0] == 403
    answer = server.post("/SET/a/", {"value": 1}, headers=bearer(maker.token(scope="read:*")))
    assert challenges(answer) == ['Bearer error="insufficient_scope", scope="write:set"']


def test_an_unknown_scope_matches_nothing_and_is_warned(door, maker):
    server = door()
    for scope in ("READ:GET", "read:gte", "get", "read:get,write:set"):
        assert call(server, maker.token(scope=scope))[0] == 403
    assert 'there is no scope "READ:GET": it matches nothing' in server.said()


def test_prefix_from_a_claim_and_no_claim_no_entry(door, maker, plain_redis):
    server = door("lark_oauth_prefix_claim tenant;")
    assert server.post("/SET/a/", {"value": "1"}, headers=bearer(maker.token(tenant="u1"))).data is True
    assert plain_redis.client.keys() == [b"u1:a"]
    for tenant in (None, "", "a:b", "a*", "{a}", "x" * 65, 7, ["u1"]):
        answer = server.get("/GET/a/", headers=bearer(maker.token(tenant=tenant, scope="admin")))
        assert answer.status == 403 and answer.error[0] == "prefix_needed" and not challenges(answer), tenant


def test_prefix_from_sub_is_a_hash(door, maker, plain_redis):
    server = door("lark_oauth_prefix_claim sub;")
    assert server.post("/SET/a/", {"value": "1"}, headers=bearer(maker.token(sub="ann"))).data is True
    digest = hashlib.sha256(f"{ISSUER}\0ann".encode()).digest()
    prefix = base64.b32encode(digest).decode().lower().rstrip("=")
    assert plain_redis.client.keys() == [f"{prefix}:a".encode()]


def test_the_caller_is_named_by_sub(door, maker, tmp_path):
    log = tmp_path / "callers.log"
    server = door(f"access_log {log} callers;", http="log_format callers '$lark_caller $status';")
    for more in ({"sub": "auth0|ann"}, {"sub": None}, {"sub": "x" * 65}, {"iss": "x"}):
        call(server, maker.token(**more))
    conftest.wait_for("all are in the log", lambda: log.read_text().count("\n") == 4)
    hashed = base64.b32encode(hashlib.sha256(f"{ISSUER}\0{'x' * 65}".encode()).digest()).decode().lower().rstrip("=")
    assert [line.split()[0] for line in log.read_text().splitlines()] == ["auth0|ann", "app", hashed, "-"]


# --- keys --------------------------------------------------------------------------------------------------------------

def test_workers_pick_a_new_key_set_up_and_drop_what_they_verified(door, maker):
    server = door()
    old, new = maker.token("rsa"), maker.token("other")
    assert call(server, old) == (200, "") and call(server, new)[0] == 401
    jwt_tokens.write(server.keys, maker.jwks("other"))
    conftest.wait_for("the new key counts", lambda: call(server, new)[0] == 200)
    refused(server, old, "none of the issuer's keys")


def test_a_broken_key_set_leaves_the_keys_before_it(door, maker):
    server = door()
    for text, why in (("{", "not valid JSON"), ('{"keys": [{"kty": "oct", "k": "AAAA"}]}', "none of its 1 keys can verify"),
                      ("x" * 70000, "has more than 65536 bytes")):
        jwt_tokens.write(server.keys, text)
        conftest.wait_for("it is told", lambda: call(server, maker.token()) == (200, "") and why in server.said())
        assert call(server, maker.token("ec")) == (200, "")
    assert "the keys before it stay in use" in server.said()
    server.keys.unlink()
    conftest.wait_for("it is told", lambda: call(server, maker.token()) == (200, "") and "cannot find" in server.said())


def test_stale_keys_are_not_used(door, maker):
    server = door(age="max_age=1h")
    token = maker.token()
    assert call(server, token) == (200, "")
    os.utime(server.keys, (time.time() - 3700,) * 2)
    conftest.wait_for("the keys are too old", lambda: call(server, token)[0] == 503)
    answer = server.get("/GET/a/", headers=bearer(token))
    assert answer.error[0] == "issuer_away" and answer.headers["Retry-After"] == "1" and not challenges(answer)
    assert wanted(server).exists()
    os.utime(server.keys)
    conftest.wait_for("they were refreshed", lambda: call(server, token)[0] == 200)


def test_keys_that_nobody_refreshes_do_not_get_stale(door, maker):
    server = door()
    os.utime(server.keys, (0, 0))
    time.sleep(1.05)
    assert call(server, maker.token()) == (200, "")


def test_before_the_first_keys_nobody_is_let_in(door, maker):
    later = door(age="max_age=1h")
    later.keys.unlink()
    later.signal(signal.SIGHUP)
    conftest.wait_for("a worker without keys", lambda: call(later, maker.token())[0] == 503)
    jwt_tokens.write(later.keys, maker.jwks())
    conftest.wait_for("the keys came", lambda: call(later, maker.token())[0] == 200)


def wanted(server):
    return server.keys.with_name(server.keys.name + ".refresh-wanted")


def test_an_unknown_kid_asks_for_one_refresh_and_is_401_meanwhile(door, maker):
    server = door(age="max_age=1h")
    assert call(server, maker.token()) == (200, "") and not wanted(server).exists()
    refused(server, maker.token("other"), "none of the issuer's keys")
    first = wanted(server).stat().st_mtime_ns
    wanted(server).unlink()
    for _ in range(3):
        refused(server, maker.token("other", {"kid": "yet another"}), "none of the issuer's keys")
    assert not wanted(server).exists() and first > 0
    alone = door()
    refused(alone, maker.token("other"), "none of the issuer's keys")
    assert not wanted(alone).exists()  # nobody refreshes that file


# --- beside others -----------------------------------------------------------------------------------------------------

def test_api_tokens_stand_beside_jwts(door, maker, tmp_path):
    ours = token_files.new("ci")
    tokens = token_files.write(tmp_path / "tokens.json", entry(ours, ["read:*"]))
    server = door(f"lark_tokens {tokens};")
    assert call(server, ours) == (200, "") and call(server, maker.token()) == (200, "")
    refused(server, "lark_a.b.c", "not known")
    refused(server, "a.b.c", "header is not well formed")
    refused(server, "a.b", "not known")


def test_too_many_bad_jwts_are_429_and_a_verified_one_is_not(door, maker):
    server = door(failures="2r/m burst=1")
    good, fresh, bad = maker.token(), maker.token(jti="2"), maker.by_hand(maker.header(), claims(), "other")
    assert call(server, good) == (200, "")
    for _ in range(5):
        call(server, bad)
    assert call(server, bad)[0] == 429 and call(server, fresh)[0] == 429
    assert call(server, good) == (200, "")


def test_without_credentials_the_challenge_is_bare(door):
    answer = door().get("/GET/a/")
    assert (answer.status, challenges(answer)) == (401, ["Bearer"])


def test_a_token_good_in_one_location_is_not_so_in_another(door, maker):
    server = door(server=f"""location /other/ {{
        lark main; lark_oauth_issuer {ISSUER}; lark_oauth_audience other; lark_oauth_jwks %KEYS%; }}""".replace(
            "%KEYS%", str(door().keys)))
    token = maker.token()
    for _ in range(2):
        assert call(server, token) == (200, "")
        answer = server.exchange(f"GET /other/GET/a/ HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n".encode())
        assert answer.status == 401 and '"aud"' in answer.error[1]


def test_metadata_name_the_issuer_and_challenges_name_them(door, maker):
    where = "/.well-known/oauth-protected-resource/api/0"
    resource = "https://redis.example.com/api/0"
    settings = f"lark_oauth_issuer {ISSUER}; lark_oauth_resource {resource};"
    server = door(f"lark_oauth_resource {resource};", server=f"location = {where} {{ lark_resource_metadata; {settings} }}")
    answer = server.exchange(f"GET {where} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    assert answer.status == 200 and answer.headers["Content-Type"] == "application/json"
    assert answer.json == {"resource": resource, "authorization_servers": [ISSUER], "bearer_methods_supported": ["header"]}
    answer = server.exchange(f"POST {where} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n".encode())
    assert answer.status == 405 and answer.headers["Allow"] == "GET, HEAD"
    told = f'resource_metadata="https://redis.example.com{where}"'
    assert challenges(server.get("/GET/a/")) == [f"Bearer {told}"]
    assert challenges(server.get("/GET/a/", headers=bearer("a.b.c"))) == [f"{INVALID}, {told}"]
    answer = server.get("/TTL/a/", headers=bearer(maker.token(scope="read:get")))
    assert challenges(answer) == [f'Bearer error="insufficient_scope", scope="read:ttl", {told}']


# --- configuration -----------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("location, why", [
    ("lark_oauth_jwks %KEYS%;", "needs lark_oauth_issuer"),
    (f"lark_oauth_issuer {ISSUER}; lark_oauth_jwks %KEYS%;", "and lark_oauth_audience beside it"),
    (f"lark_oauth_issuer ''; lark_oauth_audience {AUDIENCE}; lark_oauth_jwks %KEYS%;", "needs lark_oauth_issuer"),
    ("lark_oauth_jwks /nowhere/keys.json;", "lark_oauth_jwks cannot read"),
    ("lark_oauth_jwks /tmp;", "is no file"),
    ("lark_oauth_jwks %BROKEN%;", "byte 1: not valid JSON"),
    ("lark_oauth_jwks %KEYS% max_age=30s;", "max_age= must be from 1m to 1h"),
    ("lark_oauth_jwks %KEYS% max_age=2h;", "max_age= must be from 1m to 1h"),
    ("lark_oauth_jwks %KEYS% fresh;", "takes max_age=TIME behind the file"),
    ("lark_oauth_jwks %KEYS%; lark_oauth_jwks %KEYS%;", "is duplicate"),
    ("lark_oauth_typ id;", "must be at+jwt, jwt or any"),
    ("lark_oauth_leeway 61s;", "must be from 0s to 60s"),
    ("lark_oauth_resource redis.example.com;", "must be the URL of the API"),
    ("lark_oauth_resource 'https://a/\"';", "must be the URL of the API"),
])
def test_a_bad_configuration_is_told(plain_redis, tmp_path, maker, location, why):
    keys = jwt_tokens.write(tmp_path / "keys.json", maker.jwks())
    (tmp_path / "broken.json").write_text("{")
    location = location.replace("%KEYS%", str(keys)).replace("%BROKEN%", str(tmp_path / "broken.json"))
    good, said = Nginx(f"unix://{plain_redis.path}", location=location, scopes="").check()
    assert not good and why in said, said


def test_metadata_without_an_issuer_are_told(plain_redis):
    good, said = Nginx(f"unix://{plain_redis.path}", server="location = /m { lark_resource_metadata; }").check()
    assert not good and "needs lark_oauth_resource and lark_oauth_issuer" in said


# --- a second opinion --------------------------------------------------------------------------------------------------

def forgeries(maker):
    """Many tokens, good and bad: (what it is, token)."""
    now = int(time.time())
    for key in ("rsa", "ec", "ed", "other"):
        yield f"good {key}", maker.token(key)
        yield f"no kid {key}", maker.token(key, {"kid": None})
        for kid in ("rsa", "ec", "ed", "x"):
            yield f"{key} as {kid}", maker.by_hand(maker.header(key, kid=kid), claims(), key)
        for alg in ("none", "HS256", "RS256", "PS256", "ES256", "EdDSA", "RS512"):
            yield f"{key} says {alg}", maker.by_hand(maker.header(key, alg=alg), claims(), key)
    yield "PS256", maker.token("rsa", {"alg": "PS256"})
    yield "RS256 with the bytes of PS256", maker.by_hand(maker.header(), claims(), "rsa", "PS256")
    yield "PS256 with the bytes of RS256", maker.by_hand(maker.header(alg="PS256"), claims(), "rsa", "RS256")
    for more in ({"iss": "x"}, {"aud": "x"}, {"aud": ["x", AUDIENCE]}, {"exp": now - 31}, {"exp": now - 20}, {"exp": None},
                 {"exp": "x"}, {"nbf": now + 20}, {"nbf": now + 60}, {"nbf": "x"}, {"aud": None}, {"iss": None}):
        yield f"claims {more}", maker.by_hand(maker.header(), claims(**more))
    for more in ({"typ": "JWT"}, {"typ": None}, {"crit": ["exp"], "exp": 1}, {"crit": []}, {"kid": 7}):
        yield f"header {more}", maker.by_hand(maker.header(**more), claims())
    for body in ("[]", "1", "{", "null", '"x"'):
        yield f"claims that are {body}", maker.by_hand(maker.header(), body)


# jose takes what we do not: a kid that is no text.
STRICTER = ("header {'kid': 7}",)


def test_jose_agrees(door, maker):
    jwks = maker.jwks()
    server = door(jwks=jwks)
    n_good = 0
    for what, token in forgeries(maker):
        ours, theirs = call(server, token)[0] == 200, maker.judge(token, jwks) is True
        assert ours == theirs or (what in STRICTER and not ours), (what, call(server, token), maker.judge(token, jwks))
        n_good += ours
    assert n_good >= 12
