"""Flask's own: connections, settings, several blueprints."""
import logging

import pytest
from flask import Flask, g
from lark_redis import Caller, SettingError
from lark_redis.flask import Redis, make_blueprint, redis_api_blueprint


@pytest.fixture
def app(clean_redis):
    app = Flask("test")
    app.config["REDIS_URLS"] = {"main": f"unix://{clean_redis.path}?db=0", "admin": f"unix://{clean_redis.path}?db=1"}
    Redis(app)
    app.register_blueprint(redis_api_blueprint, url_prefix="/api/0")
    return app


def code(answer):
    return answer.status_code, answer.json["meta"].get("error_code")


def test_connections_belong_to_the_app(clean_redis):
    redis, apps = Redis(), [Flask("one"), Flask("two")]
    for number, app in enumerate(apps):
        app.config["REDIS_URLS"] = {"main": f"unix://{clean_redis.path}?db={number}"}
        redis.init_app(app)
        app.add_url_rule("/", view_func=lambda: str(g.r.connection_pool.connection_kwargs["db"]))
    assert [app.test_client().get("/").text for app in apps] == ["0", "1"]


def test_urls(app):
    @app.get("/dbs")
    def dbs():
        admin = g.get_redis_connection("admin")
        assert admin is g.get_redis_connection("admin") and g.r is g.get_redis_connection()
        with pytest.raises(SettingError, match="REDIS_URLS has no 'other', only admin, main"):
            g.get_redis_connection("other")
        return [client.connection_pool.connection_kwargs["db"] for client in (g.r, admin)]

    assert app.test_client().get("/dbs").json == [0, 1]
    assert Redis(bare := Flask("bare")) and bare.config["REDIS_URLS"]["admin"] == "redis://localhost:6379/1"


def test_default_is_nothing(app):
    web = app.test_client()
    assert code(web.get("/api/0/GET/a/")) == (403, "scope")
    app.config["DEFAULT_LARK_SCOPES"] = {"read:get"}
    assert code(web.get("/api/0/GET/a/")) == (200, None)
    app.config["DEFAULT_LARK_SCOPES"].clear()
    assert code(web.get("/api/0/GET/a/")) == (403, "scope")


def test_what_a_getter_is_told(app):
    told = []
    app.config["LARK_SCOPE_GETTER"] = lambda *words: told.append(words) or {"admin"}
    web = app.test_client()
    web.post("/api/0/SET/x%2Fy/?a=1&a=2", json={"value": [1]})
    method, body, query, args, kwargs = told[0]
    assert (method, body, args, kwargs) == ("set", {"value": [1]}, (), {"key": "x/y"})
    assert query.getlist("a") == ["1", "2"]
    web.post("/api/0/SET/a/", data="no json")
    assert told[1][1] is None
    web.get("/api/0/NO/")
    web.options("/api/0/GET/a/")
    assert len(told) == 2, "nobody is asked about what is not there"
    app.config["LARK_SCOPE_GETTER"] = lambda *words: None
    app.config["DEFAULT_LARK_SCOPES"] = {"read:get"}
    assert [code(web.get(f"/api/0/{name}/a/"))[0] for name in ("GET", "STRLEN")] == [200, 403]


def test_prefixes(app, clean_redis):
    app.config.update(DEFAULT_LARK_SCOPES={"admin"}, LARK_PREFIX_GETTER=lambda *words: "u1")
    web = app.test_client()
    assert web.post("/api/0/SET/a/", json={"value": "x"}).json["data"] is True
    assert clean_redis.client.keys() == [b"u1:a"]
    assert code(web.get("/api/0/CLIENT/LIST/")) == (403, "prefix_refused")


@pytest.mark.parametrize("settings, words", [
    ({"DEFAULT_LARK_SCOPES": {"reed:get"}}, "there is no scope 'reed:get'; did you mean read:get"),
    ({"DEFAULT_LARK_SCOPES": "admin"}, "DEFAULT_LARK_SCOPES must be a set or list"),
    ({"LARK_SCOPE_GETTER": "no function"}, "LARK_SCOPE_GETTER must be a function"),
    ({"LARK_LIMITS": {"bodies": 1}}, 'there is no limit "bodies"'),
    ({"LARK_LIMITS": {"args": "many"}}, "must be a whole number"),
    ({"LARK_OAUTH_JWKS": "keys.json"}, "LARK_OAUTH_JWKS needs LARK_OAUTH_ISSUER too"),
])
def test_wrong_settings(app, caplog, settings, words):
    app.config.update(settings)
    with caplog.at_level(logging.ERROR, "lark_redis"):
        answer = app.test_client().get("/api/0/GET/a/")
    assert code(answer) == (500, "internal") and words in caplog.text
    assert words not in answer.text, "what is wrong is told in the log only"


@pytest.mark.parametrize("settings, words", [
    ({"DEFAULT_LARK_SCOPES": {"reed:get"}}, "did you mean"), ({"LARK_OAUTH_ISSUER": "https://i.example"}, "needs LARK_OAUTH_AUDIENCE")])
def test_wrong_settings_are_told_when_it_is_mounted(settings, words):
    app = Flask("test")
    app.config.update(settings)
    with pytest.raises(SettingError, match=words):
        app.register_blueprint(redis_api_blueprint, url_prefix="/api/0")


def test_no_connection(caplog):
    app = Flask("test")
    app.config["DEFAULT_LARK_SCOPES"] = {"admin"}
    app.register_blueprint(redis_api_blueprint, url_prefix="/api/0")
    assert code(app.test_client().get("/api/0/GET/a/")) == (500, "internal")
    assert "there is no g.r: call lark_redis.flask.Redis(app)" in caplog.text


def test_limits(app):
    app.config.update(DEFAULT_LARK_SCOPES={"admin"}, LARK_LIMITS={"body_bytes": 20, "reply_bytes": 10, "args": 2})
    web = app.test_client()
    assert web.post("/api/0/SET/a/", json={"value": "1234567"}).status_code == 200
    assert code(web.post("/api/0/SET/a/", json={"value": "12345678"})) == (413, "too_large")
    assert code(web.get("/api/0/MGET/?key=a&key=b&key=c")) == (413, "too_large")
    app.config["LARK_LIMITS"] = {}
    web.post("/api/0/SET/a/", json={"value": "x" * 11})
    app.config["LARK_LIMITS"] = {"reply_bytes": 10}
    assert code(web.get("/api/0/GET/a/")) == (502, "reply_too_large")


def test_hosts(app):
    app.config["DEFAULT_LARK_SCOPES"] = {"admin"}
    web = app.test_client()
    assert code(web.get("/api/0/PING/", base_url="http://app.example.com")) == (421, "foreign_host")
    app.config["LARK_ALLOWED_HOSTS"] = [".example.com"]
    assert code(web.get("/api/0/PING/", base_url="http://app.example.com:8000"))[0] == 200
    assert code(web.get("/api/0/PING/", base_url="http://example.com.evil.org"))[0] == 421


def test_credentials(app):
    app.config["LARK_AUTHENTICATE"] = lambda request: (
        Caller({"read:*"}, "u1") if request.headers.get("authorization") == "Bearer good" else None)
    web = app.test_client()
    nobody = web.get("/api/0/GET/a/")
    assert (*code(nobody), nobody.headers["WWW-Authenticate"]) == (401, "credentials", "Bearer")
    assert code(web.get("/api/0/GET/a/", headers={"Authorization": "Bearer good"}))[0] == 200
    assert code(web.post("/api/0/SET/a/", json={}, headers={"Authorization": "Bearer good"})) == (403, "scope")


def test_several(app):
    app.config["DEFAULT_LARK_SCOPES"] = {"admin"}
    app.register_blueprint(make_blueprint("second"), url_prefix="/second")
    app.add_url_rule("/api/0/mine", view_func=lambda: "mine")
    web = app.test_client()
    assert web.get("/second/PING/").json["data"] is True and web.get("/api/0/PING/").json["data"] is True
    assert web.get("/api/0/mine").text == "mine"
    assert code(web.get("/second/NO/")) == (404, "unknown_method")
