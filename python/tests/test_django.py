"""Django's own: settings, checks, CSRF."""
import asyncio
import logging

import apps
import django.conf
import pytest

if not django.conf.settings.configured:
    apps.django_settings(DEFAULT_LARK_SCOPES={"admin"})

import redis  # noqa: E402
import redis.asyncio  # noqa: E402
from django.core import checks  # noqa: E402
from django.test import AsyncClient, Client, override_settings  # noqa: E402
from django.utils.asyncio import async_unsafe  # noqa: E402
from lark_redis import Caller  # noqa: E402


@pytest.fixture(autouse=True)
def settings(clean_redis):
    with override_settings(REDIS_CONNECTION_METHOD=lambda: redis.Redis(unix_socket_path=clean_redis.path),
                           DEFAULT_LARK_SCOPES={"admin"}, ALLOWED_HOSTS=["testserver"]):
        yield


def code(answer):
    return answer.status_code, answer.json()["meta"].get("error_code")


def test_it_answers():
    web = Client()
    assert web.post("/api/0/SET/a/", {"value": {"n": 1}}, content_type="application/json").json()["data"] is True
    assert web.get("/api/0/GET/a/").json()["data"] == {"n": 1}


@pytest.mark.parametrize("wrong, ids", [
    ({"REDIS_CONNECTION_METHOD": None, "REDIS_ASYNC_CONNECTION_METHOD": None}, ["lark_redis.E001"]),
    ({"DEFAULT_LARK_SCOPES": {"reed:get"}}, ["lark_redis.E002"]),
    ({"LARK_SCOPE_GETTER": "no.such.module"}, ["lark_redis.E003"]),
    ({"LARK_PREFIX_GETTER": 7}, ["lark_redis.E003"]),
    ({"LARK_LIMITS": {"x": 1}}, ["lark_redis.E004"]),
    ({"LARK_OAUTH_ISSUER": "https://i.example"}, ["lark_redis.E006"]),
    ({"LARK_OAUTH_AUDIENCE": "a", "LARK_OAUTH_ISSUER": "http://i.example"}, ["lark_redis.E006"]),
    ({"LARK_OAUTH_AUDIENCE": "a", "LARK_OAUTH_ISSUER": "https://i.example", "LARK_OAUTH_CA": "/nowhere"}, ["lark_redis.E006"]),
    ({"LARK_OAUTH_AUDIENCE": "a", "LARK_OAUTH_ISSUER": "https://i.example", "DEFAULT_LARK_SCOPES": None}, []),
    ({"DEFAULT_LARK_SCOPES": None}, ["lark_redis.W001"]),
    ({}, []),
])
def test_checks(wrong, ids):
    with override_settings(**wrong):
        assert [found.id for found in checks.run_checks(tags=["lark_redis"])] == ids


@pytest.mark.parametrize("wrong, words", [
    ({"REDIS_CONNECTION_METHOD": None}, "REDIS_CONNECTION_METHOD is not set"),
    ({"REDIS_CONNECTION_METHOD": lambda: "no client"}, "REDIS_CONNECTION_METHOD must give a redis.Redis"),
    ({"REDIS_CONNECTION_METHOD": apps.async_client}, "REDIS_CONNECTION_METHOD must give a redis.Redis"),
    ({"DEFAULT_LARK_SCOPES": {"reed:get"}}, "did you mean"),
    ({"LARK_SCOPE_GETTER": "no.such.module"}, "No module named"),
    ({"LARK_OAUTH_ISSUER": "https://i.example"}, "LARK_OAUTH_ISSUER needs LARK_OAUTH_AUDIENCE too"),
])
def test_wrong_settings(wrong, words, caplog):
    with override_settings(**wrong), caplog.at_level(logging.ERROR, "lark_redis"):
        answer = Client().get("/api/0/GET/a/")
    assert code(answer) == (500, "internal") and words in caplog.text and words not in answer.content.decode()


def test_what_a_getter_is_told():
    told = []
    with override_settings(LARK_SCOPE_GETTER=lambda *words: told.append(words) or {"admin"}):
        Client().post("/api/0/SET/k/?a=1&a=2", {"value": 1}, content_type="application/json")
    request, method, body, query, args, kwargs = told[0]
    assert request.path == "/api/0/SET/k/" and (method, body, args, kwargs) == ("set", {"value": 1}, (), {"key": "k"})
    assert query.getlist("a") == ["1", "2"]


@pytest.mark.parametrize("content_type, body", [
    ("application/json", '{"value": "x"}'), ("application/x-www-form-urlencoded", '{"value": "x"}'), ("text/plain", '{"value": "x"}')])
def test_csrf(content_type, body):
    web = Client(enforce_csrf_checks=True)
    send = {"data": body, "content_type": content_type}
    assert web.post("/api/0/SET/a/", **send).status_code == 200, "no cookie: no browser's own doing"
    web.cookies["sessionid"] = "x"
    assert code(web.post("/api/0/SET/a/", **send)) == (403, "foreign_origin")
    assert web.get("/api/0/GET/a/").status_code == 200
    assert web.post("/api/0/SET/a/", **send, HTTP_AUTHORIZATION="Bearer x").status_code == 200
    assert code(web.post("/api/0/SET/a/", **send, HTTP_AUTHORIZATION="Basic x")) == (403, "foreign_origin")
    web.cookies["csrftoken"] = "a" * 32
    assert web.post("/api/0/SET/a/", **send, HTTP_X_CSRFTOKEN="a" * 32).status_code == 200


def test_foreign_host_without_common_middleware():
    with override_settings(MIDDLEWARE=[]):
        assert code(Client().get("/api/0/PING/", HTTP_HOST="evil.example")) == (421, "foreign_host")


def test_credentials():
    with override_settings(DEFAULT_LARK_SCOPES=None, LARK_AUTHENTICATE=lambda request: (
            Caller({"read:*"}) if request.headers.get("authorization") == "Bearer good" else None)):
        assert code(Client().get("/api/0/GET/a/")) == (401, "credentials")
        assert code(Client().get("/api/0/GET/a/", HTTP_AUTHORIZATION="Bearer good"))[0] == 200


def test_getters_of_async_views_may_ask_the_database(clean_redis):
    """Django's own guard raises where what blocks is called in the event loop: request.user of a session does so."""
    async def main():
        return code(await AsyncClient().get("/async/0/GET/a/"))

    @async_unsafe("ask the database outside of the event loop")
    def user_of_the_session():
        return {"read:*"}

    make = {"REDIS_ASYNC_CONNECTION_METHOD": lambda: redis.asyncio.Redis(unix_socket_path=clean_redis.path)}
    for getter in ({"LARK_SCOPE_GETTER": lambda *words: user_of_the_session()},
                   {"LARK_AUTHENTICATE": lambda request: Caller(user_of_the_session())}):
        with override_settings(**make, **getter, DEFAULT_LARK_SCOPES=None):
            assert asyncio.run(main()) == (200, None)
