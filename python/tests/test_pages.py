"""The code on the pages runs as it stands there: blocks that begin with the name of a file become that file."""
import asyncio
import importlib
import json
import os
import pathlib
import re
import subprocess
import sys

import jwt_tokens
import pytest
from conftest import free_port, wait_for

if os.environ.get("LARK_PYTHON_SET") == "oldest":
    pytest.skip("the pages show current versions", allow_module_level=True)

DOCS = pathlib.Path(__file__).resolve().parent.parent.parent / "docs"
PAGES = ("python", "flask", "django", "fastapi", "python-migration")


def blocks():
    found = {}
    for page in PAGES:
        for code in re.findall(r"```python\n(.*?)```", (DOCS / f"{page}.md").read_text(), re.S):
            name = re.match(r"# (\w+\.py)\n", code)
            assert name and name[1] not in found, f"{page}.md: a block without a name of its own: {code[:60]}"
            found[name[1]] = code
    return found


@pytest.fixture
def page(tmp_path, monkeypatch, redis_server):
    """page(name): the module of a block; localhost is the Redis of the tests."""
    redis_server.client.flushall()
    redis_server.client.set("greeting", "hello")
    redis_server.client.set("u1:greeting", "hello, u1")
    for name, code in blocks().items():
        code = re.sub(r"redis\.(asyncio\.)?Redis\(", rf"\g<0>unix_socket_path={redis_server.path!r}, ", code)
        code = code.replace("redis://localhost:6379/0", f"unix://{redis_server.path}")
        (tmp_path / name).write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module
    for name in blocks():
        sys.modules.pop(name.removesuffix(".py"), None)


HELLO = {"meta": {"status": "ok", "status_code": 200}, "data": "hello"}


def test_flask(page, redis_server):
    web = page("flask_app").app.test_client()
    assert web.get("/api/0/GET/greeting/").json == HELLO
    assert web.post("/api/0/SET/a/", json={"value": "x"}).status_code == 403
    web = flask_app(page, "flask_users", redis_server).test_client()
    assert web.get("/api/0/GET/greeting/").status_code == 403
    with web.session_transaction() as session:
        session["user"] = "7"
    assert web.post("/api/0/SET/a/", json={"value": "x"}).json["data"] is True
    assert web.get("/api/0/KEYS/").json["data"] == ["a"]


# --- OAuth2 -----------------------------------------------------------------------------------------------------------

ISSUER, AUDIENCE = "https://login.example.com", "https://redis.example.com"


@pytest.fixture(scope="module")
def maker():
    maker = jwt_tokens.Maker()
    yield maker
    maker.stop()


def bearer(maker, **claims):
    """As the pages' provider would give it; the key prefix is u1's."""
    token = maker.token(**{"iss": ISSUER, "aud": AUDIENCE, "jti": "1", "tenant": "u1", "scope": "read:get", **claims})
    return {"Authorization": f"Bearer {token}"}


@pytest.fixture
def keys(maker, tmp_path):
    """The provider's keys in a file, for nobody answers at its address."""
    path = tmp_path / "keys.json"
    path.write_text(json.dumps(maker.jwks("rsa")))
    return path


def check_oauth(web, maker, get=lambda answer: answer.json):
    """web(verb, path, headers) -> answer"""
    answer = web("GET", "/api/0/GET/greeting/", bearer(maker))
    assert (answer.status_code, get(answer)["data"]) == (200, "hello, u1")
    assert web("GET", "/api/0/STRLEN/greeting/", bearer(maker)).status_code == 403
    for headers in ({}, bearer(maker, aud="https://other.example.com"), bearer(maker, exp=1)):
        answer = web("GET", "/api/0/GET/greeting/", headers)
        assert answer.status_code == 401 and answer.headers["WWW-Authenticate"].lower().startswith("bearer")


def flask_app(page, name, redis_server, **settings):
    app = page(name).app
    app.config.update(REDIS_URLS={"main": f"unix://{redis_server.path}"}, **settings)
    return app


def flask_web(app):
    return lambda verb, path, headers: app.test_client().open(path, method=verb, headers=headers)


def test_flask_oauth(page, maker, keys, redis_server):
    check_oauth(flask_web(flask_app(page, "flask_oauth", redis_server, LARK_OAUTH_JWKS=keys)), maker)


def test_flask_authlib(page, maker, redis_server):
    check_oauth(flask_web(flask_app(page, "flask_authlib", redis_server, KEYS=maker.jwks("rsa"))), maker)


def test_flask_login(page, redis_server):
    import flask_login

    app = flask_app(page, "flask_login_app", redis_server)
    app.add_url_rule("/login", view_func=lambda: str(flask_login.login_user(page("flask_login_app").load_user("7"))))
    web = app.test_client()
    assert web.get("/api/0/GET/greeting/").status_code == 403
    assert web.get("/login").text == "True"
    assert web.post("/api/0/SET/mine/", json={"value": "x"}).json["data"] is True
    assert web.get("/api/0/KEYS/").json["data"] == ["mine"] and app.test_client().get("/api/0/KEYS/").status_code == 403


def test_django_oauth(page, maker, keys, redis_server):
    import oauth_hosts  # configures Django
    import redis
    from django.test import Client, override_settings

    def web(verb, path, headers):
        return Client().generic(verb, path, **{"HTTP_" + name.upper(): value for name, value in headers.items()})

    given = {name: value for name, value in vars(page("oauth_settings")).items() if name.startswith("LARK_")}
    settings = {"ALLOWED_HOSTS": ["testserver"], "DEFAULT_LARK_SCOPES": None,
                "REDIS_CONNECTION_METHOD": lambda: redis.Redis(unix_socket_path=redis_server.path)}
    assert "django" in oauth_hosts.KINDS and len(given) == 3
    with override_settings(**settings, **given, LARK_OAUTH_JWKS=str(keys)):
        check_oauth(web, maker, lambda answer: answer.json())
    with override_settings(**settings, KEYS=maker.jwks("rsa"), ROOT_URLCONF="authlib_urls", LARK_SCOPE_GETTER="authlib_urls.scopes",
                           LARK_PREFIX_GETTER="authlib_urls.prefix"):
        check_oauth(web, maker, lambda answer: answer.json())


def test_asgi_oauth(page, maker, keys, tmp_path):
    code = (tmp_path / "oauth_app.py").read_text()
    (tmp_path / "oauth_app.py").write_text(code.replace("OAuth(", f"OAuth(jwks={os.fspath(keys)!r}, "))
    app = page("oauth_app").app
    check_oauth(lambda verb, path, headers: get(app, path, **headers), maker, lambda answer: answer.json())


# --- other hosts ------------------------------------------------------------------------------------------------------

def test_wsgi(page):
    from werkzeug.test import Client

    assert Client(page("wsgi_app").application).get("/api/0/GET/greeting/").json == HELLO


def test_plan_and_shape(page, redis_server):
    answer = page("plan_shape").answer(lambda words: redis_server.client.execute_command(*words), "GET", b"/api/0/GET/greeting/")
    assert (answer.status, answer.body) == (200, b'{"meta": {"status": "ok", "status_code": 200}, "data": "hello"}')


def get(app, target, **headers):
    import httpx

    async def main():
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as web:
            return await web.get(target, headers=headers)

    return asyncio.run(main())


@pytest.mark.parametrize("name", ["asgi_app", "quart_app", "fastapi_app"])
def test_asgi(page, name):
    assert get(page(name).app, "/api/0/GET/greeting/").json() == HELLO
    other = get(page(name).app, "/elsewhere")
    assert other.status_code == (400 if name == "asgi_app" else 404)


def test_fastapi_users(page):
    app = page("fastapi_users").app
    nobody = get(app, "/api/0/GET/greeting/")
    assert (nobody.status_code, nobody.headers["www-authenticate"]) == (401, "Bearer")
    assert get(app, "/api/0/GET/greeting/", authorization="Bearer let-me-in").json()["data"] == "hello, u1"
    assert get(app, "/api/0/LRANGE/l/0/1/", authorization="Bearer let-me-in").status_code == 403


def test_starlette_mount(page, redis_server):
    import redis.asyncio
    from lark_redis.asgi import Lark
    from starlette.applications import Starlette
    from starlette.routing import Mount

    lark = Lark(lambda: redis.asyncio.Redis(unix_socket_path=redis_server.path), scopes={"read:*"})
    app = Starlette(routes=[Mount("/outer", routes=[Mount("/api/0", lark)])])
    assert get(app, "/outer/api/0/GET/greeting/").json() == HELLO


def test_aiohttp(page):
    from aiohttp.test_utils import TestClient, TestServer

    async def main():
        async with TestClient(TestServer(page("aiohttp_app").application())) as web:
            good = await (await web.get("/api/0/GET/greeting/")).json()
            return good, (await web.post("/api/0/SET/a/", data=b'{"value": "x"}')).status

    assert asyncio.run(main()) == (HELLO, 403)


MANAGE = """\
import os, sys
os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
from django.core.management import execute_from_command_line
execute_from_command_line(sys.argv)
"""
MORE = "\nROOT_URLCONF = 'urls'\nSECRET_KEY = 'x'\nALLOWED_HOSTS = ['127.0.0.1']\nDEBUG = False\n"


def test_django(page, tmp_path):
    import urllib.request

    page("re")
    (tmp_path / "manage.py").write_text(MANAGE)
    (tmp_path / "settings.py").write_text((tmp_path / "settings.py").read_text() + MORE)
    subprocess.run([sys.executable, "manage.py", "check"], cwd=tmp_path, check=True)
    port = free_port()
    server = subprocess.Popen([sys.executable, "manage.py", "runserver", "--noreload", f"127.0.0.1:{port}"], cwd=tmp_path,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def answer():
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/0/GET/greeting/") as got:
                return got.read()
        except OSError:
            return None

    try:
        assert wait_for("Django answers", answer) == b'{"meta": {"status": "ok", "status_code": 200}, "data": "hello"}'
    finally:
        server.terminate()
        server.wait(20)


def test_migration(page):
    pytest.importorskip("lark.ext.utils")
    app = page("original_quickstart").app
    assert app.test_client().get("/api/0/NO/").status_code == 404
