"""Access tokens of a real OpenID provider, through `lark serve`: JWTs by the keys that it fetches, opaque tokens by introspection."""
import json
import os
import re
import signal
import subprocess
import time
import types

import conftest
import nginx_host
import oidc_host
import pytest
import serve_host
import test_docs
from conftest import wait_for
from serve_host import refused

KEYS = "jwks.json"


@pytest.fixture(scope="module")
def provider():
    provider = oidc_host.Provider().start()
    yield provider
    provider.done()


@pytest.fixture(scope="module")
def secret(tmp_path_factory):
    path = tmp_path_factory.mktemp("oauth") / "secret"
    path.write_text(oidc_host.LARK[1] + "\n")
    return path


def options_of(provider, secret):
    return ["--oauth-issuer", provider.issuer, "--oauth-audience", oidc_host.AUDIENCE, "--oauth-ca", provider.authority.ca,
            "--oauth-jwks", f"{provider.issuer}/jwks", "--oauth-introspect", f"{provider.issuer}/token/introspection",
            "--oauth-client", oidc_host.LARK[0], "--oauth-client-secret-file", secret, "--oauth-introspect-cache", "1",
            "--oauth-prefix-claim", "tenant", "--oauth-leeway", "5", "--workers", "1"]


@pytest.fixture(scope="module")
def server(provider, secret):
    server = conftest.Lark(*options_of(provider, secret), scopes=None).start()
    server.keys = server.state / "s" / KEYS
    wait_for("the keys are there", server.keys.exists)
    yield server
    provider.stop()  # what is said of it from now on is no matter
    server.stop()


@pytest.fixture
def here(provider):
    """The provider as it was at its start."""
    if provider.process is None:
        provider.start()
    provider.tell(skew_s=0, life_s=600)
    return provider


def call(server, token, verb="GET", path="/GET/k/", body=None):
    return server.request(verb, path, body, {"Authorization": f"Bearer {token}"})


def status(server, token):
    return call(server, token).status


# --- tokens that are good ---------------------------------------------------------------------------------------------

@pytest.mark.parametrize("kind", ["jwt/RS256", "jwt/PS256", "jwt/ES256", "jwt/EdDSA", "opaque"])
def test_client_credentials(kind, here, server):
    token = here.token(kind, "read:get write:set")
    assert (token.count(".") == 2) == kind.startswith("jwt")
    assert call(server, token, "POST", "/SET/k/", {"value": kind}).status == 200
    answer = call(server, token)
    assert answer.status == 200 and answer.json["data"] == kind
    answer = call(server, token, path="/TTL/k/")
    assert answer.status == 403 and 'error="insufficient_scope"' in answer.headers["WWW-Authenticate"]


@pytest.mark.parametrize("kind", ["jwt", "opaque"])
def test_authorization_code_with_pkce(kind, here, server):
    """A person logs in at the provider; the key prefix is the person's."""
    ann, bob = here.log_in("ann", kind, "read:get write:set"), here.log_in("bob", kind)
    assert call(server, ann, "POST", "/SET/mine/", {"value": kind}).status == 200
    assert call(server, ann, path="/GET/mine/").json["data"] == kind
    assert call(server, bob, path="/GET/mine/").json["data"] is None
    assert server.redis().get("ann:mine") == kind.encode()


def test_tokens_that_are_none(here, server):
    for token in ("nobody", "lark_ci_" + "a" * 52, here.token("jwt")[:-4] + "AAAA"):
        answer = call(server, token)
        assert answer.status == 401 and 'error="invalid_token"' in answer.headers["WWW-Authenticate"], token
    assert server.get("/GET/k/").status == 401


# --- the provider's life ----------------------------------------------------------------------------------------------

def test_new_keys_are_fetched_when_they_are_met(here, server):
    old = here.token()
    assert status(server, old) == 200
    here.tell(rotate=True)
    new = here.token()
    answer = call(server, new)
    assert answer.status == 401 and 'error="invalid_token"' in answer.headers["WWW-Authenticate"]
    wait_for("the new key is known", lambda: status(server, new) == 200)
    assert status(server, old) == 401  # its key is not the provider's any more


def test_a_revocation_holds_when_the_cache_ends(here, server):
    token = here.token("opaque")
    assert status(server, token) == 200
    here.revoke(token)
    begin = time.monotonic()
    wait_for("it holds", lambda: status(server, token) == 401, 10)
    assert time.monotonic() - begin < 8  # a second, on a machine that does other things, too
    assert status(server, token) == 401


def test_tokens_end(here, server):
    here.tell(life_s=-10)
    assert status(server, here.token("jwt")) == 401
    here.tell(life_s=4)
    token = here.token("opaque")
    assert status(server, token) == 200
    wait_for("it has ended", lambda: status(server, token) == 401, 20)


def test_clocks_may_differ_by_the_leeway(here, server):
    for skew_s, expected in ((3, 200), (-3, 200), (120, 401)):
        here.tell(skew_s=skew_s)
        assert status(server, here.token("jwt")) == expected, skew_s
        assert status(server, here.token("opaque")) == expected, skew_s


def test_the_provider_goes_and_comes(here, server):
    """JWTs are taken for an hour, by the keys that are there; opaque tokens are 503, never open; all until it is back."""
    jwt, opaque = here.token("jwt"), here.token("opaque")
    assert status(server, jwt) == 200
    here.stop()
    answer = call(server, opaque)
    assert answer.status == 503 and answer.json["meta"]["error_code"] == "issuer_away" and answer.headers["Retry-After"]
    assert status(server, jwt) == 200 and status(server, "lark_ci_" + "a" * 52) == 401
    hours_ago = time.time() - 3700
    os.utime(server.keys, (hours_ago, hours_ago))
    wait_for("the keys are too old", lambda: status(server, jwt) == 503)
    assert call(server, jwt).json["meta"]["error_code"] == "issuer_away"
    here.start()
    assert status(server, here.token("opaque")) == 200
    pid = [pid for pid in serve_host.descendants(server.process.pid) if "jwks-refresh" in serve_host.command_of(pid)][0]
    os.kill(pid, signal.SIGKILL)  # it would wait for its time; a new one does not
    token = here.token("jwt")
    wait_for("the keys are fresh", lambda: status(server, token) == 200)
    assert "lark jwks-refresh ended (signal 9), see jwks.log; it is started again" in server.said()


# --- the server's life ------------------------------------------------------------------------------------------------

@pytest.fixture
def state():
    yield from serve_host.short_folder()


def test_without_keys_and_introspection_the_issuer_is_asked(here, state):
    with serve_host.Serve(state, "--oauth-issuer", here.issuer, "--oauth-audience", oidc_host.AUDIENCE, "--oauth-ca",
                          here.authority.ca) as server:
        wait_for("the keys are there", (state / KEYS).exists)
        child = server.children("jwks-refresh")
        assert len(child) == 1 and "key" in (state / "jwks.log").read_text()
        server.process.kill()
        serve_host.gone(child)


def test_keys_of_another_issuer_are_forgotten(here, state):
    config = state / "config.json"
    settings = {"oauth_issuer": here.issuer, "oauth_audience": oidc_host.AUDIENCE, "oauth_ca": str(here.authority.ca)}
    config.write_text(json.dumps(settings))
    with serve_host.Serve(state, "--config", config) as server:
        wait_for("the keys are there", (state / KEYS).exists)
        config.write_text(json.dumps({**settings, "oauth_issuer": "https://localhost:1"}))
        server.send(signal.SIGHUP)
        wait_for("they are gone", lambda: not (state / KEYS).exists())
        wait_for("it tries", lambda: "no keys from https://localhost:1" in (state / "jwks.log").read_text())
        config.write_text(json.dumps({"tokens": None}))
        child = server.children("jwks-refresh")
        server.send(signal.SIGHUP)
        serve_host.gone(child)
        wait_for("it is reloaded", lambda: server.said().count("reloaded") == 2)
        assert server.children("jwks-refresh") == []


GIVEN = ("--oauth-issuer", "https://i.example", "--oauth-audience", "a")
ASKED = (*GIVEN, "--oauth-introspect", "https://i.example/i")


@pytest.mark.parametrize("words, why", [
    (("--oauth-audience", "a"), "--oauth-audience needs --oauth-issuer too"),
    (("--oauth-jwks", "https://i.example"), "--oauth-jwks needs --oauth-issuer too"),
    (("--oauth-issuer", "https://i.example"), "--oauth-issuer needs --oauth-audience too"),
    (ASKED, "--oauth-introspect needs --oauth-client too"),
    ((*ASKED, "--oauth-client", "c"), "--oauth-introspect needs --oauth-client-secret-file too"),
    ((*GIVEN, "--oauth-client", "c"), "--oauth-client needs --oauth-introspect too"),
    ((*ASKED, "--oauth-client", "c", "--oauth-client-secret-file", "/nowhere/s"), "--oauth-client-secret-file: /nowhere/s cannot be read"),
    (("--oauth-issuer", "https://i.example/?x=y", "--oauth-audience", "a"), "--oauth-issuer: expected a URL without a query"),
    (("--oauth-issuer", "http://i.example", "--oauth-audience", "a"), "--oauth-issuer: expected a URL with https://"),
    ((*GIVEN, "--oauth-jwks", "http://i.example/keys"), "--oauth-jwks: expected a URL with https://"),
    ((*GIVEN, "--oauth-jwks", "/nowhere/keys"), "--oauth-jwks: /nowhere/keys cannot be read: No such file"),
    ((*GIVEN, "--oauth-jwks", "/etc/passwd"), "--oauth-jwks: /etc/passwd: byte 0: not valid JSON"),
    ((*GIVEN, "--oauth-typ", "id"), "--oauth-typ: expected at+jwt, jwt or any, got 'id'"),
    ((*GIVEN, "--oauth-leeway", "61"), "--oauth-leeway: expected a whole number from 0 to 60, got '61'"),
    (("--oauth-issuer", "https://i.example", "--oauth-audience", 'a"b'), "--oauth-audience: quotes"),
    ((*GIVEN, "--listen", "0.0.0.0:1"), "--oauth-issuer: tokens would be sent without TLS to 0.0.0.0:1"),
])
def test_serve_says_what_is_missing(words, why):
    assert why in refused(*words)


def test_nothing_secret_is_in_the_configuration(provider, secret):
    code, out, err = serve_host.lark("serve", *options_of(provider, secret), "--print-nginx-config", "--state-dir", "/tmp/x")
    assert code == 0 and "lark_oauth_introspect" in out and "secret &" not in out + err and "proxy_ssl_verify on;" in out


def test_environment_does_not_say_whom_to_trust(tmp_path):
    code, out, err = serve_host.lark("serve", "--print-nginx-config", "--state-dir", tmp_path / "s",
                                     LARK_OAUTH_ISSUER="https://i.example", LARK_OAUTH_AUDIENCE="a")
    assert code == 0 and "lark_oauth" not in out
    assert "LARK_OAUTH_ISSUER is ignored: --oauth-issuer is never read from the environment" in err


# --- the page ---------------------------------------------------------------------------------------------------------

PAGE = (conftest.ROOT / "docs/oauth.md").read_text()


class Terminal(test_docs.Terminal):
    """As for other pages; the provider's port is ours, too, and it says that it is up in its own word."""

    def __init__(self, folder):
        super().__init__(types.SimpleNamespace(port=conftest.free_port()), folder)
        self.provider = str(conftest.free_port())
        for name in ("tests", "tools"):
            (folder / name).symlink_to(conftest.ROOT / name)

    def here(self, command):
        return super().here(command).replace("7443", self.provider)

    def start(self, command):
        output = self.folder / f"job-{len(self.jobs)}"
        with output.open("wb") as out:
            self.jobs.append(subprocess.Popen(["bash", "-c", "exec " + command], cwd=self.folder, env=self.environment,
                                              stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT))
        wait_for(f"{command} is up", lambda: re.search("Ctrl-C stops it|^ready$", output.read_text(), re.M))


def test_commands_of_the_page_have_their_answers():
    found = test_docs.sessions(PAGE)
    assert len(found) >= 10 and sum(bool(answer) for _, answer in found) >= 4
    for folder in serve_host.short_folder():
        terminal = Terminal(folder)
        try:
            for command, answer in found:
                assert terminal.run(command).rstrip("\n").splitlines() == answer, command
        finally:
            for job in reversed(terminal.jobs):
                conftest.stop(job, "a program of the page")


def test_nginx_takes_the_pages_configuration(tmp_path):
    block = re.search(r"```nginx\n(.*?)```", PAGE, re.S)[1]
    (tmp_path / "secret").write_text("secret\n")
    for there, ours in (("/etc/lark/oauth.secret", tmp_path / "secret"), ("/var/lib/lark/keys.json", tmp_path / "keys.json"),
                        ("proxy_pass https://login.example.com", "proxy_pass https://127.0.0.1")):
        assert there in block
        block = block.replace(there, str(ours))
    directives = re.search(r"lark main;\n(.*?)    }\n", block, re.S)[1]
    nginx = nginx_host.Nginx("redis://127.0.0.1:1", scopes="", location=directives,
                             server=re.search(r"    location = /introspect \{.*?\n    }\n", block, re.S)[0])
    good, said = nginx.check()
    nginx.stop()
    assert good, said


def test_the_page_has_every_option():
    options = {row["option"] for row in json.loads((conftest.ROOT / "data/options.json").read_text())["options"]}
    assert {option for option in options if option.startswith("oauth-")} == set(re.findall(r"`--(oauth-[a-z-]+)[` ]", PAGE))
