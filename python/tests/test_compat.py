"""lark-redis-compat: the original's quickstart as it stands; beside the parser toolkit in either order."""
import glob
import importlib
import os
import pathlib
import subprocess
import sys

import fakeredis
import pytest
import redis

if os.environ.get("LARK_PYTHON_SET") == "oldest":
    pytest.skip("pip's work is the same whatever the versions", allow_module_level=True)

client_module = pytest.importorskip("lark.redis.client")
RedisApiClient = client_module.RedisApiClient

QUICKSTART = """\
from flask import Flask
from lark.ext.flask.redis_api import redis_api_blueprint
from lark.ext.flask.flask_redis import Redis
app = Flask(__name__)
Redis(app)
app.config['DEFAULT_LARK_SCOPES'] = set(['admin'])
app.register_blueprint(redis_api_blueprint, url_prefix='/api/0')
"""


def test_the_original_quickstart(redis_server, tmp_path, monkeypatch):
    (tmp_path / "original_quickstart.py").write_text(QUICKSTART)
    monkeypatch.syspath_prepend(tmp_path)
    app = importlib.import_module("original_quickstart").app
    app.config["REDIS_URLS"] = {"main": f"unix://{redis_server.path}"}
    web = app.test_client()
    redis_server.client.flushall()
    assert web.get("/api/0/get/a/").json == {"meta": {"status": "ok", "status_code": 200}, "data": None}
    assert web.post("/api/0/set/a/", json={"value": "foo"}).json["data"] is True
    assert web.get("/api/0/get/a/").json == {"meta": {"status": "ok", "status_code": 200}, "data": "foo"}


# --- RedisApiClient --------------------------------------------------------------------------------------------------


def call(method, *, json=None, query=None, kwargs=None, scopes=frozenset({"admin"}), r=None):
    return RedisApiClient.from_request(method, r or call.redis, json, query or {}, (), kwargs or {}, scopes)


@pytest.fixture(autouse=True)
def fake():
    call.redis = fakeredis.FakeRedis()


def test_from_request():
    assert call("set", json={"value": {"a": 1}}, kwargs={"key": "x/y"}) is True
    assert call("get", kwargs={"key": "x/y"}) == {"a": 1}
    assert call("get", query={"key": "x/y"}) == {"a": 1}
    assert call("mset", json=[["a", "1"], ["b", "2"]]) is True
    assert call("mget", query={"key": ["a", "b"]}) == ["1", "2"]
    assert call("delete", kwargs={"name": "a"}) == 1
    assert call("lrange", kwargs={"name": "l", "start": 0, "end": -1}) == []


def test_scopes():
    assert RedisApiClient().get.scopes == {"admin", "key:*", "read:*", "read:get"}
    assert call("get", kwargs={"key": "a"}, scopes={"read:get"}) is None
    for scopes in (set(), {"write:*"}):
        with pytest.raises(client_module.RedisApiClientAuthException, match="read:get") as caught:
            call("get", kwargs={"key": "a"}, scopes=scopes)
        assert caught.value.status_code == 403


def test_errors():
    with pytest.raises(client_module.RedisApiClientException, match="nope is not a redis method"):
        call("nope")
    with pytest.raises(client_module.RedisApiClientException, match="start") as caught:
        call("lrange", kwargs={"name": "l", "start": "x", "end": 1})
    assert (caught.value.status_code, caught.value.error_code) == (400, "bad_parameter")
    call.redis.set("a", "1")
    with pytest.raises(redis.ResponseError, match="^WRONGTYPE"):
        call("lrange", kwargs={"name": "a", "start": 0, "end": 1})
    with pytest.raises(redis.ConnectionError):
        call("get", kwargs={"key": "a"}, r=redis.Redis(unix_socket_path="/tmp/no-such.sock"))


# --- beside the parser toolkit ---------------------------------------------------------------------------------------

OURS = "import lark.ext.flask.redis_api, lark.redis.client"
PARSER = "import lark; lark.Lark('start: \"a\"').parse('a')"


class Environment:
    """Installed packages in a folder of their own, over those of this environment."""

    def __init__(self, folder):
        self.folder = folder
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
        site = glob.glob(f"{folder}/lib/python*/site-packages")[0]
        self.site = pathlib.Path(site)
        others = [name for name in sys.path if name.endswith("site-packages")]
        # ours must be found in this folder, not where the tests have it: only what is needed comes from there
        for name in ("flask", "werkzeug", "jinja2", "markupsafe", "itsdangerous", "click", "blinker", "redis", "lark_redis",
                     "async_timeout", "async_timeout.py"):
            for other in others:
                if os.path.exists(f"{other}/{name}"):
                    os.symlink(f"{other}/{name}", self.site / name)

    def pip(self, *words):
        subprocess.run([sys.executable, "-m", "pip", "--python", f"{self.folder}/bin/python", "--quiet",
                        "--disable-pip-version-check", *words], check=True)

    def runs(self, code):
        done = subprocess.run([f"{self.folder}/bin/python", "-c", code], capture_output=True, text=True)
        print(done.stderr)
        return done.returncode == 0


def wheel():
    found = glob.glob("dist/lark_redis_compat-*.whl")
    assert found, "run this through tools/test-python"
    return os.path.abspath(found[0])


@pytest.mark.timeout(180)
@pytest.mark.parametrize("parser_first", [True, False])
def test_beside_the_parser(tmp_path, parser_first):
    environment = Environment(tmp_path / "venv")
    ours, parser = ("install", "--no-deps", wheel()), ("install", "lark==1.3.1")
    for words in (parser, ours) if parser_first else (ours, parser):
        environment.pip(*words)
    assert environment.runs(OURS) and environment.runs(PARSER)
    environment.pip("uninstall", "--yes", "lark" if parser_first else "lark-redis-compat")
    assert environment.runs(OURS) is parser_first and environment.runs(PARSER) is not parser_first
    environment.pip("uninstall", "--yes", "lark-redis-compat" if parser_first else "lark")
    assert not [path for path in (environment.site / "lark").rglob("*.py")], "something was left behind"
