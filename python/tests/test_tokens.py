"""Bearer tokens from a tokens file, as the server takes it; in Flask and Django by one setting."""
import base64
import hashlib
import json
import resource
import time

import apps
import django.conf
import pytest
from flask import Flask
from lark_redis import Caller, TokensFile
from lark_redis.flask import Redis, redis_api_blueprint

if not django.conf.settings.configured:
    apps.django_settings(DEFAULT_LARK_SCOPES={"admin"})

import redis  # noqa: E402
from django.test import Client, override_settings  # noqa: E402

TOKENS = {"reader": {"scopes": ["read:*", "no:such"], "prefix": "u1"}, "boss": {"scopes": ["admin"]},
          "late": {"scopes": ["admin"], "expires": "2001-01-01T00:00:00Z"}}


def write(path, names=tuple(TOKENS)):
    entries = [{"name": name, "sha256": hashlib.sha256(f"secret-{name}".encode()).hexdigest(), **TOKENS[name]} for name in names]
    path.write_text(json.dumps({"tokens": entries}))


def bearer(name):
    return {"Authorization": f"Bearer secret-{name}"}


@pytest.fixture
def path(tmp_path):
    write(tmp_path / "tokens.json")
    return tmp_path / "tokens.json"


@pytest.fixture(params=["flask", "django"])
def web(request, path, clean_redis):
    """get(method path, headers) -> (status, error code, challenge)"""
    clean_redis.client.mset({"u1:a": "mine", "a": "all"})
    if request.param == "flask":
        app = Flask("test")
        app.config.update(LARK_TOKENS_FILE=path, REDIS_URLS={"main": f"unix://{clean_redis.path}"})
        Redis(app)
        app.register_blueprint(redis_api_blueprint, url_prefix="/api/0")
        client = app.test_client()
        yield lambda target, headers={}, verb="get": told(getattr(client, verb)("/api/0" + target, headers=headers))
        return
    with override_settings(LARK_TOKENS_FILE=str(path), DEFAULT_LARK_SCOPES=None, ALLOWED_HOSTS=["testserver"],
                           REDIS_CONNECTION_METHOD=lambda: redis.Redis(unix_socket_path=clean_redis.path)):
        yield lambda target, headers={}, verb="get": told(getattr(Client(), verb)(
            "/api/0" + target, **{"HTTP_" + name.upper(): value for name, value in headers.items()}))


def told(answer):
    envelope = json.loads(answer.data if hasattr(answer, "data") else answer.content)
    return (answer.status_code, envelope["meta"].get("error_code") or envelope["data"],
            answer.headers.get("WWW-Authenticate"))


def test_who_calls(web):
    assert web("/GET/a/", bearer("reader")) == (200, "mine", None)
    assert web("/GET/a/", bearer("boss")) == (200, "all", None)
    basic = base64.b64encode(b"anybody:secret-reader").decode()
    assert web("/GET/a/", {"Authorization": f"Basic {basic}"})[:2] == (200, "mine")
    assert web("/GET/a/") == (401, "credentials", "Bearer")
    invalid = (401, "credentials", 'Bearer error="invalid_token"')
    for wrong in ("Bearer wrong", "Bearer secret-late", "Bearer ", "secret-boss", "Digest x", "Bearer " + "x" * 9000):
        assert web("/GET/a/", {"Authorization": wrong}) == invalid, wrong[:20]
    assert web("/DEL/a/", bearer("reader"), "delete") == (
        403, "scope", 'Bearer error="insufficient_scope", scope="write:delete"')


def test_the_file_changes(web, path, caplog):
    assert web("/GET/a/", bearer("boss"))[0] == 200
    write(path, ["reader"])
    assert web("/GET/a/", bearer("boss"))[0] == 401
    path.write_text("{broken")
    assert web("/GET/a/", bearer("reader"))[0] == 200, "the former counts on"
    assert "the tokens as they were count on" in caplog.text
    path.unlink()
    assert web("/GET/a/", bearer("reader"))[0] == 200


def test_a_file_that_cannot_be_read_is_looked_at_again(path, clean_redis, caplog):
    """The revocation holds as soon as it can be read, though the file has not changed since."""
    from lark_redis import BadCredentials, Request

    tokens, request = TokensFile(path), Request("GET", b"/", {"authorization": "Bearer secret-boss"})
    assert tokens(request).name == "boss"
    path.write_text('{"tokens": []}')
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        with pytest.raises(OSError):
            open(path)
        assert [tokens(request).name for _ in range(3)] == ["boss"] * 3
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert caplog.text.count("Too many open files") == 1, "told once"
    with pytest.raises(BadCredentials):
        tokens(request)


def test_wrong_files(path, caplog):
    TokensFile(path)
    assert "no:such" in caplog.text
    path.write_text('{"tokens": [{"name": "x"}]}')
    with pytest.raises(ValueError, match="tokens.json: .*sha256"):
        TokensFile(path)
    with pytest.raises(OSError):
        TokensFile(path.with_name("missing"))


def test_a_prefix_is_required(path, clean_redis):
    from lark_redis import BadCredentials, Request

    tokens = TokensFile(path, require_prefix=True)

    def ask(name):
        return tokens(Request("GET", b"/", {"authorization": f"Bearer secret-{name}"}))

    assert (ask("reader").prefix, ask("reader").name, ask("boss").name) == ("u1", "reader", "boss")
    digest = hashlib.sha256(b"secret-plain").hexdigest()
    path.write_text(json.dumps({"tokens": [{"name": "plain", "sha256": digest, "scopes": ["read:*"]}]}))
    with pytest.raises(BadCredentials):
        ask("plain")
    assert isinstance(TokensFile(path)(Request("GET", b"/", {"authorization": "Bearer secret-plain"})), Caller)


def test_speed(path):
    from lark_redis import Request

    tokens, request = TokensFile(path), Request("GET", b"/", {"authorization": "Bearer secret-boss"})
    started = time.process_time()
    for _ in range(1000):
        tokens(request)
    assert time.process_time() - started < 1
