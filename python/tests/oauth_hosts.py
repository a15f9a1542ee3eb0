"""Every host of the package with access tokens of an issuer, in this process: by the settings of each."""
import asyncio
import json
import os

import apps
import django.conf

if not django.conf.settings.configured:
    apps.django_settings(DEFAULT_LARK_SCOPES={"admin"})

import django.test  # noqa: E402
import redis  # noqa: E402
import redis.asyncio  # noqa: E402
from flask import Flask  # noqa: E402
from lark_redis import OAuth, asgi, wsgi  # noqa: E402
from lark_redis.flask import Redis, redis_api_blueprint  # noqa: E402
from werkzeug.datastructures import Headers  # noqa: E402
from werkzeug.test import Client  # noqa: E402

KINDS = ("flask", "wsgi", "django", "async-django", "asgi")


async def asgi_request(app, verb, target, headers, body=b""):
    """(status, headers, body) of an ASGI application."""
    path, _, query = target.partition("?")
    scope = {"type": "http", "http_version": "1.1", "method": verb, "path": path, "raw_path": path.encode(), "root_path": "",
             "query_string": query.encode(), "scheme": "http",
             "headers": [(name.lower().encode(), value.encode()) for name, value in {"Host": "localhost", **headers}.items()]}
    sent, received = [], [{"type": "http.request", "body": body}]

    async def receive():
        return received.pop() if received else await asyncio.Event().wait()

    async def send(message):
        sent.append(message)

    await app(scope, receive, send)
    headers = Headers([(name.decode(), value.decode()) for name, value in sent[0]["headers"]])
    return sent[0]["status"], headers, sent[1]["body"]


def flask_call(path, given):
    app = Flask("test")
    app.config.update(REDIS_URLS={"main": f"unix://{path}"}, **settings_of(given))
    Redis(app)
    app.register_blueprint(redis_api_blueprint, url_prefix="/api/0")
    web = app.test_client()

    def call(verb, target, headers, body):
        answer = web.open(target, method=verb, headers=headers, data=body)
        return answer.status_code, answer.headers, answer.data

    return call


def wsgi_call(path, given):
    web = Client(wsgi.Lark(redis.Redis(unix_socket_path=path), mount="/api/0", authenticate=OAuth(**given)))

    def call(verb, target, headers, body):
        answer = web.open(target, method=verb, headers=headers, data=body)
        return answer.status_code, answer.headers, answer.data

    return call


def asgi_call(path, given):
    async def client():
        return redis.asyncio.Redis(unix_socket_path=path)

    app = asgi.Lark(client, mount="/api/0", authenticate=OAuth(**given))
    return lambda verb, target, headers, body: asyncio.run(asgi_request(app, verb, target, headers, body))


def django_call(path, given, is_async=False):
    async def later(verb, target, headers, body):
        return await django.test.AsyncClient().generic(verb, target, body, **names_of(headers))

    def call(verb, target, headers, body):
        with django.test.override_settings(
                ALLOWED_HOSTS=["testserver"], DEFAULT_LARK_SCOPES=None,
                REDIS_CONNECTION_METHOD=lambda: redis.Redis(unix_socket_path=path),
                REDIS_ASYNC_CONNECTION_METHOD=lambda: redis.asyncio.Redis(unix_socket_path=path), **settings_of(given)):
            from lark_redis.django import conf

            conf.state._gate = gates.setdefault("gate", None) or conf.state.gate()
            gates["gate"] = conf.state._gate
            if is_async:
                answer = asyncio.run(later(verb, target.replace("/api/0", "/async/0"), headers, body))
            else:
                answer = django.test.Client().generic(verb, target, body, **names_of(headers))
        return answer.status_code, answer.headers, answer.content

    def names_of(headers):  # Django 4.2 on: headers=; AsyncClient of 4.2 has no such keyword
        return {name if is_async else "HTTP_" + name.upper(): value for name, value in headers.items()}

    gates = {}
    return call


def settings_of(given):
    return {("LARK_" if keyword == "tokens_file" else "LARK_OAUTH_") + keyword.upper(): value for keyword, value in given.items()}


MAKERS = {"flask": flask_call, "wsgi": wsgi_call, "django": django_call, "asgi": asgi_call,
          "async-django": lambda path, given: django_call(path, given, True)}


class Host:
    """ask(token, ...) -> (status, error code or data, challenge). given: keywords of OAuth."""

    def __init__(self, kind, redis_path, given):
        self.call = MAKERS[kind](redis_path, {name: os.fspath(value) if isinstance(value, os.PathLike) else value
                                              for name, value in given.items()})

    def ask(self, token, target="/GET/a/", verb="GET", body=None):
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        status, self.headers, answer = self.call(verb, "/api/0" + target, headers, json.dumps(body).encode() if body else b"")
        self.envelope = json.loads(answer)
        return status, self.envelope["meta"].get("error_code") or self.envelope["data"], self.headers.get("WWW-Authenticate")
