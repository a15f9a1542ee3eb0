"""Tokens are judged as by `lark serve`: status, challenge and body of each are the same, byte for byte."""
import base64
import hashlib
import json

import jwt_tokens
import pytest
from conftest import BUILD
from oauth_hosts import Host
from test_same_as_server import e2e_conftest

if not (BUILD / "lark").exists():
    pytest.skip("`make build` makes the server to compare with", allow_module_level=True)


@pytest.fixture(scope="module")
def maker():
    maker = jwt_tokens.Maker()
    yield maker
    maker.stop()


def headers_of(maker):
    """Authorization headers of every kind, good and bad."""
    hand, head, good = maker.by_hand, maker.header, jwt_tokens.claims(tenant="u1")
    tokens = [maker.token(tenant="u1"), maker.token("ec", tenant="u1"), maker.token("ed", tenant="u1"), maker.token(), "", "x", "a.b.c",
              maker.token("ed", header={"kid": "new"}), maker.token("ed", header={"kid": None}, tenant="u1"),
              hand(head(), good, "other"), hand(head(alg="none"), good, alg=""), hand(head(alg="HS256"), good, alg="HS256"),
              hand(head(crit=["x"]), good), hand(head(), "no claims"), hand("no header", good), "x" * 8300, hand(head(), good) + ".x",
              "lark_ci_" + "a" * 52, "secret", "late", "free"]
    for typ in ("JWT", "application/at+jwt", None):
        tokens.append(maker.token(header={"typ": typ}, tenant="u1"))
    for more in ({"iss": "x"}, {"aud": "x"}, {"aud": ["x", jwt_tokens.AUDIENCE]}, {"exp": 1}, {"exp": None}, {"exp": "x"}, {"nbf": 1 << 33},
                 {"iat": 1 << 33}, {"sub": None}, {"sub": None, "client_id": None}, {"scope": ""}, {"scope": None, "scp": ["read:get"]},
                 {"scope": "openid"}, {"scope": 7}, {"tenant": "a:b"}, {"tenant": 7}, {"tenant": ""}):
        tokens.append(maker.token(**{"tenant": "u1", **more}))
    yield None
    for token in tokens:
        yield f"Bearer {token}"
    for token in (tokens[0], "secret", "wrong"):
        yield "Basic " + base64.b64encode(f"me:{token}".encode()).decode()
    yield from ("Digest x", "Basic !", "Bearer", tokens[0])


def test_same(maker, tmp_path):
    keys, tokens = jwt_tokens.write(tmp_path / "keys.json", maker.jwks("rsa", "ec", "ed")), tmp_path / "tokens.json"
    tokens.write_text(json.dumps({"tokens": [
        {"name": name, "sha256": hashlib.sha256(name.encode()).hexdigest(), "scopes": ["read:*"], **more}
        for name, more in {"secret": {"prefix": "u1"}, "late": {"expires": 1}, "free": {}}.items()]}))
    lark = e2e_conftest().Lark(
        "--oauth-issuer", jwt_tokens.ISSUER, "--oauth-audience", jwt_tokens.AUDIENCE, "--oauth-jwks", keys, "--oauth-prefix-claim", "tenant",
        "--tokens", tokens, "--rate-failures", "0", scopes=None).start()
    try:
        lark.redis().mset({"a": "all", "u1:a": "mine"})
        path = next(p for p in lark.state.rglob("*") if p.is_socket())
        flask = Host("flask", str(path), {"issuer": jwt_tokens.ISSUER, "audience": jwt_tokens.AUDIENCE, "jwks": keys, "prefix_claim": "tenant",
                                          "tokens_file": tokens})
        different, statuses = [], set()
        for header in headers_of(maker):
            for verb, target in (("GET", "/GET/a/"), ("DELETE", "/DEL/a/"), ("GET", "/NO/")):
                headers = {} if header is None else {"Authorization": header}
                answer = lark.request(verb, target, b"", headers)
                # several challenges are several lines there, one line here: the same list
                want = (answer.status, ", ".join(answer.headers.get_all("WWW-Authenticate", [])), answer.body)
                status, told, body = flask.call(verb, lark.mount + target, headers, b"")
                got = (status, told.get("WWW-Authenticate", ""), body)
                statuses.add(status)
                if want != got:
                    different.append(f"{verb} {target} {str(header)[:100]}:\n  {want}\n  {got}")
    finally:
        lark.stop()
    assert statuses == {200, 401, 403, 404}
    assert not different, f"{len(different)} differ:\n" + "\n".join(different[:12])
