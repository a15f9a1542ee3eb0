"""Access tokens of a real OpenID provider (npm's oidc-provider) through every host: JWTs and opaque ones, new keys, a revocation, a
provider that goes and comes."""
import os
import pathlib
import urllib.request

import oidc_host
import pytest
from conftest import free_port, wait_for
from lark_redis import keys
from oauth_hosts import KINDS, Host

# What a framework's version could change is who_calls; the rest is run with current versions only.
current = pytest.mark.skipif(os.environ.get("LARK_PYTHON_SET") == "oldest", reason="with current versions only")
INVALID = 'Bearer error="invalid_token"'
SCOPES = "read:get write:set"


@pytest.fixture(scope="module")
def provider():
    provider = oidc_host.Provider()
    for tries in (1, 2, 3):
        try:
            provider.start()
            break
        except AssertionError:  # somebody has taken its port meanwhile
            provider.stop()
            provider.port = free_port()
            provider.issuer = f"https://localhost:{provider.port}"
            assert tries < 3
    yield provider
    provider.done()


@pytest.fixture
def here(provider):
    if provider.process is None:
        provider.start()
    provider.tell(skew_s=0, life_s=600)
    return provider


@pytest.fixture
def given(here, tmp_path):
    (tmp_path / "secret").write_text(oidc_host.LARK[1] + "\n")
    return {"issuer": here.issuer, "audience": oidc_host.AUDIENCE, "ca": here.authority.ca, "jwks": f"{here.issuer}/jwks",
            "introspect": f"{here.issuer}/token/introspection", "client": oidc_host.LARK[0],
            "client_secret_file": tmp_path / "secret", "prefix_claim": "tenant"}


@pytest.fixture(params=["flask", "asgi"])
def host(request, given, clean_redis):
    """One that waits for an issuer in its thread, and one that must not."""
    return Host(request.param, clean_redis.path, given)


@pytest.fixture
def flask(given, clean_redis):
    return Host("flask", clean_redis.path, given)


@pytest.mark.parametrize("kind", KINDS)
def test_who_calls(kind, here, given, clean_redis):
    host = Host(kind, clean_redis.path, given)
    for form in ("jwt", "opaque"):
        token = here.token(form, SCOPES)
        assert (token.count(".") == 2) == (form == "jwt")
        assert host.ask(token, "/SET/a/", "POST", {"value": form}) == (200, True, None)
        assert host.ask(token) == (200, form, None)
        assert clean_redis.client.get("app:a") == form.encode(), "the prefix is the claim's"
        assert host.ask(token, "/TTL/a/") == (403, "scope", 'Bearer error="insufficient_scope", scope="read:ttl"')
    assert host.ask(None) == (401, "credentials", "Bearer")
    for wrong in ("nobody", "lark_ci_" + "a" * 52, here.token()[:-4] + "AAAA"):
        assert host.ask(wrong) == (401, "credentials", INVALID), wrong


@current
@pytest.mark.parametrize("kind", ["jwt/PS256", "jwt/ES256", "jwt/EdDSA"])
def test_algorithms(kind, here, flask):
    assert flask.ask(here.token(kind))[0] == 200


@current
def test_a_person_logs_in(here, flask, clean_redis):
    """Authorization code with PKCE: the prefix is the person's."""
    ann, bob = here.log_in("ann", "jwt", SCOPES), here.log_in("bob", "opaque")
    assert flask.ask(ann, "/SET/mine/", "POST", {"value": "x"})[0] == 200
    assert (flask.ask(ann, "/GET/mine/")[1], flask.ask(bob, "/GET/mine/")[1]) == ("x", None)
    assert clean_redis.client.get("ann:mine") == b"x"


@current
def test_new_keys_are_fetched_when_they_are_met(host, here):
    old = here.token()
    assert host.ask(old)[0] == 200
    here.tell(rotate=True)
    new = here.token()
    assert host.ask(new) == (401, "credentials", INVALID), "behind the request, not in it"
    wait_for("the new key is known", lambda: host.ask(new)[0] == 200)
    assert host.ask(old)[0] == 401, "its key is not the provider's any more"


@current
def test_a_revocation_holds_when_the_cache_ends(here, given, clean_redis):
    cached, asked = (Host("flask", clean_redis.path, {**given, "introspect_cache": n}) for n in (60, 0))
    token = here.token("opaque")
    assert [host.ask(token)[0] for host in (cached, asked)] == [200, 200]
    here.revoke(token)
    assert [host.ask(token)[0] for host in (cached, asked)] == [200, 401]


@current
def test_tokens_end(here, flask):
    here.tell(life_s=-60)
    assert flask.ask(here.token()) == (401, "credentials", INVALID)
    assert "the token has expired" in flask.envelope["meta"]["error_message"]
    here.tell(life_s=600, skew_s=120)
    assert flask.ask(here.token())[0] == 401, "of tomorrow"


@current
def test_the_provider_goes_and_comes(host, here, monkeypatch):
    """JWTs are taken for an hour, by the keys that are there; opaque tokens are 503, never open."""
    jwt, known, opaque = here.token(), here.token("opaque"), here.token("opaque")
    assert [host.ask(token)[0] for token in (jwt, known)] == [200, 200]
    here.stop()
    away = (503, "issuer_away", None)
    assert host.ask(opaque) == away and host.headers["Retry-After"] == "1"
    assert [host.ask(token)[0] for token in (jwt, known)] == [200, 200]
    monkeypatch.setattr(keys, "MAX_AGE_S", 0)
    assert host.ask(jwt) == away, "too old"
    monkeypatch.setattr(keys, "MAX_AGE_S", 3600)
    here.start()
    assert host.ask(here.token("opaque"))[0] == 200


@current
def test_the_provider_is_away_at_the_start(host, here):
    token = here.token()
    here.stop()
    assert host.ask(token) == (503, "issuer_away", None)
    here.start()
    fresh = here.token()
    wait_for("keys are there", lambda: host.ask(fresh)[0] == 200)


@current
def test_the_issuers_metadata_say_where_the_keys_are(here, given, clean_redis):
    host = Host("asgi", clean_redis.path, {name: given[name] for name in ("issuer", "audience", "ca")})
    assert host.ask(here.token())[0] == 200
    other = Host("asgi", clean_redis.path, {**{name: given[name] for name in ("issuer", "audience", "ca")}, "issuer": here.issuer + "/"})
    assert other.ask(here.token()) == (503, "issuer_away", None)


@current
def test_keys_in_a_file(here, given, clean_redis, tmp_path, caplog):
    path = tmp_path / "keys.json"

    def write():
        path.with_suffix(".new").write_bytes(urllib.request.urlopen(
            given["jwks"], context=here.context).read())
        path.with_suffix(".new").replace(path)

    write()
    host = Host("flask", clean_redis.path, {"issuer": here.issuer, "audience": oidc_host.AUDIENCE, "jwks": path})
    assert host.ask(here.token())[0] == 200
    here.tell(rotate=True)
    token = here.token()
    assert host.ask(token) == (401, "credentials", INVALID)
    path.write_text("{broken")
    assert host.ask(token)[0] == 401
    assert "the keys as they were count on" in caplog.text and str(path) in caplog.text
    write()
    assert host.ask(token)[0] == 200


@current
def test_nobody_else_is_believed(here, given, clean_redis):
    """TLS is verified: without the authority's certificate there are no keys, and no answers."""
    host = Host("flask", clean_redis.path, {**given, "ca": pathlib.Path("/etc/ssl/certs/ca-certificates.crt")})
    assert host.ask(here.token()) == host.ask(here.token("opaque")) == (503, "issuer_away", None)
