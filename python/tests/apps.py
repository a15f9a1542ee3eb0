"""The applications under test: each is started by a real server, with the address of Redis in the environment.

Only here do a request's own words say who calls (X-Test-As), so that the contract's cases can."""
import json
import os

SOCKET = os.environ.get("LARK_TEST_REDIS", "")
PROTOCOL = int(os.environ.get("LARK_TEST_PROTOCOL", "2"))
DECODE = os.environ.get("LARK_TEST_DECODE") == "1"
HOSTS = ["127.0.0.1", "localhost"]


def options(retry):
    from redis.backoff import NoBackoff

    return {"retry": retry(NoBackoff(), 1), "unix_socket_path": SOCKET, "protocol": PROTOCOL, "decode_responses": DECODE, "client_name": "lark",
            "socket_timeout": 20}


def client():
    import redis
    import redis.retry

    return redis.Redis(**options(redis.retry.Retry))


def async_client():
    import redis.asyncio
    import redis.asyncio.retry

    return redis.asyncio.Redis(**options(redis.asyncio.retry.Retry))


def as_of(headers):
    return json.loads(headers.get("X-Test-As") or headers.get("x-test-as") or '{"scopes": ["admin"]}')


def flask_app():
    from flask import Flask, g, request
    from lark_redis.flask import redis_api_blueprint

    app = Flask(__name__)
    app.config["LARK_SCOPE_GETTER"] = lambda method, body, query, args, kwargs: as_of(request.headers)["scopes"]
    app.config["LARK_PREFIX_GETTER"] = lambda method, body, query, args, kwargs: as_of(request.headers).get("prefix")
    shared = client()

    @app.before_request
    def connect():
        g.r = shared

    app.register_blueprint(redis_api_blueprint, url_prefix="/api/0")
    return app


def plain_flask_app():
    """As a user would have it: one set of scopes for all."""
    from flask import Flask
    from lark_redis.flask import Redis, redis_api_blueprint

    app = Flask(__name__)
    app.config["REDIS_URLS"] = {"main": f"unix://{SOCKET}"}
    app.config["DEFAULT_LARK_SCOPES"] = {"admin"}
    Redis(app)
    app.register_blueprint(redis_api_blueprint, url_prefix="/api/0")
    return app


def django_settings(**more):
    from django.conf import settings

    settings.configure(
        ALLOWED_HOSTS=HOSTS, ROOT_URLCONF="django_urls", SECRET_KEY="for tests", INSTALLED_APPS=["lark_redis.django"],
        MIDDLEWARE=["django.middleware.common.CommonMiddleware", "django.middleware.csrf.CsrfViewMiddleware"],
        REDIS_CONNECTION_METHOD=client, REDIS_ASYNC_CONNECTION_METHOD=async_client, **more)
    import django

    django.setup()


GETTERS = {
    "LARK_SCOPE_GETTER": lambda request, method, body, query, args, kwargs: as_of(request.headers)["scopes"],
    "LARK_PREFIX_GETTER": lambda request, method, body, query, args, kwargs: as_of(request.headers).get("prefix"),
}


def django_app():
    django_settings(**GETTERS)
    from django.core.wsgi import get_wsgi_application

    return get_wsgi_application()


def async_django_app():
    django_settings(**GETTERS)
    from django.core.asgi import get_asgi_application

    return get_asgi_application()


def asgi_app():
    from lark_redis.asgi import Lark

    return Lark(async_client(), mount="/api/0", scope_getter=lambda asked: as_of(asked.request.headers)["scopes"],
                prefix_getter=lambda asked: as_of(asked.request.headers).get("prefix"))


def wsgi_app():
    from lark_redis.wsgi import Lark

    return Lark(client(), mount="/api/0", scope_getter=lambda asked: as_of(asked.request.headers)["scopes"],
                prefix_getter=lambda asked: as_of(asked.request.headers).get("prefix"))


def tenants_flask_app():
    """Who calls is told by tokens."""
    from flask import Flask
    from lark_redis.flask import Redis, redis_api_blueprint

    app = Flask(__name__)
    app.config.update(REDIS_URLS={"main": f"unix://{SOCKET}"}, LARK_TOKENS_FILE=os.environ["LARK_TEST_TOKENS"])
    Redis(app)
    app.register_blueprint(redis_api_blueprint, url_prefix="/api/0")
    return app


def tenants_django_app():
    from django.core.wsgi import get_wsgi_application

    django_settings(LARK_TOKENS_FILE=os.environ["LARK_TEST_TOKENS"])
    return get_wsgi_application()
