"""Lark in Flask.

    app = Flask(__name__)
    app.config["DEFAULT_LARK_SCOPES"] = {"admin"}
    Redis(app)
    app.register_blueprint(redis_api_blueprint, url_prefix="/api/0")

Settings, read for each request: DEFAULT_LARK_SCOPES; LARK_SCOPE_GETTER(method, json, query, args, kwargs) -> scopes, None means
the default; LARK_PREFIX_GETTER, likewise -> prefix; LARK_ALLOWED_HOSTS; LARK_LIMITS; LARK_TOKENS_FILE, LARK_OAUTH_*; LARK_AUTHENTICATE. docs/flask.md"""
from __future__ import annotations

import copy
import threading
from collections.abc import Callable
from typing import Any

import redis
from flask import Blueprint, Flask, Response, current_app, g, request
from flask.blueprints import BlueprintSetupState
from redis.backoff import NoBackoff
from redis.retry import Retry
from werkzeug.datastructures import MultiDict
from werkzeug.routing import BaseConverter

from . import _core, gate as gates, oauth, sync, wsgi
from .http import LOOPBACK, answer_of

REDIS_URLS = {"main": "redis://localhost:6379/0", "admin": "redis://localhost:6379/1"}
VERBS = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"]


class Redis:
    """g.r and g.get_redis_connection in each request: clients for the URLs in app.config["REDIS_URLS"], made when they are
    first asked for, and kept by the app. options: further arguments of redis.Redis.from_url; of its own it sets
    client_name="lark", by which CLIENT KILL knows our connections, and a retry that lets no caller wait for a Redis that is
    away."""

    def __init__(self, app: Flask | None = None, **options: Any) -> None:
        self.options = {"client_name": "lark", "retry": Retry(NoBackoff(), 1), **options}
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        app.config.setdefault("REDIS_URLS", REDIS_URLS)
        app.extensions["lark_redis"] = {"clients": {}, "lock": threading.Lock(), "options": self.options}
        app.before_request(self.before_request)

    def connect(self, connection_type: str = "main") -> Any:
        """The client of this name; of the app that is now answering."""
        state = current_app.extensions["lark_redis"]
        client = state["clients"].get(connection_type)
        if client is None:
            urls = current_app.config["REDIS_URLS"]
            if connection_type not in urls:
                raise gates.SettingError(f"REDIS_URLS has no {connection_type!r}, only {', '.join(sorted(urls))}")
            with state["lock"]:
                if connection_type not in state["clients"]:
                    url = urls[connection_type]
                    state["clients"][connection_type] = redis.Redis.from_url(url, **state["options"])
                client = state["clients"][connection_type]
        return client

    def before_request(self) -> None:
        g.get_redis_connection = self.connect
        g.r = self.connect()


# --- the API ---------------------------------------------------------------------------------------------------------


class _Anything(BaseConverter):
    """All that stands behind the mount point, slashes and empty segments too: the core reads paths."""

    regex = r"[\s\S]*"
    part_isolating = False


def _flask_getter(name: str) -> Callable[[gates.Asked], Any] | None:
    getter = current_app.config.get(name)
    if getter is None:
        return None
    if not callable(getter):
        raise gates.SettingError(f"{name} must be a function (method, json, query, args, kwargs), got {getter!r}")

    def ask(asked: gates.Asked) -> Any:
        query: MultiDict[str, str] = MultiDict(
            (name, value) for name, values in asked.query.items() for value in values)
        return getter(asked.method, asked.json, query, (), asked.kwargs)

    return ask


_SETTINGS = ("DEFAULT_LARK_SCOPES", "LARK_ALLOWED_HOSTS", "LARK_LIMITS", "LARK_SCOPE_GETTER", "LARK_PREFIX_GETTER",
             "LARK_AUTHENTICATE", "LARK_TOKENS_FILE", "TRUSTED_HOSTS", *oauth.SETTINGS)


def _gate() -> gates.Gate:
    """The settings as they are now; made anew when one of them was changed."""
    config = current_app.config
    now = [config.get(name) for name in _SETTINGS]
    made = current_app.extensions.get("lark_redis_gate")
    if made is not None and all(old is new and was == new for old, was, new in zip(made[0], made[1], now)):
        return made[2]  # type: ignore[no-any-return]
    scopes = gates.default_scopes(now[0], "DEFAULT_LARK_SCOPES")
    hosts = now[1] if now[1] is not None else config.get("TRUSTED_HOSTS") or LOOPBACK
    gate = gates.Gate(scopes, tuple(hosts), now[2], _flask_getter("LARK_SCOPE_GETTER"), _flask_getter("LARK_PREFIX_GETTER"),
                      oauth.sources(config.get) or now[5])
    copies = [copy.copy(value) if isinstance(value, (set, list, dict)) else value for value in now]  # changed in place, too
    current_app.extensions["lark_redis_gate"] = (now, copies, gate)
    return gate


def _broken(why: Exception) -> gates.Gate:
    gates.log.error("lark: %s", why, exc_info=why)
    return gates.Gate(hosts=("*",))


def _run(call: _core.Call, resp: bytes) -> None:
    client = getattr(g, "r", None)
    if client is None:
        raise gates.SettingError("there is no g.r: call lark_redis.flask.Redis(app), or set g.r before each request")
    sync.run(client, call, resp)


def _view(prefix: str) -> Response:
    environ = request.environ
    asked = wsgi.request_of(environ, request._get_current_object())  # type: ignore[attr-defined]
    mount = wsgi.mount_of(environ, prefix)
    try:
        gate = _gate()
        gate.config(mount)
    except Exception as error:
        gate = _broken(error)
        call = gate.begin(asked, b"")
        call.fail(_core.INTERNAL)
        answer = answer_of(call)
    else:
        answer = gates.handle(gate, asked, mount, wsgi.reader(environ, asked), _run)
    return Response([answer.body], answer.status, answer.headers)  # a list: the length of what a HEAD leaves out stays told


def _record(state: BlueprintSetupState) -> None:
    """Each place where the blueprint is registered is a mount point."""
    app, prefix = state.app, (state.url_prefix or "").rstrip("/")
    if "DEFAULT_LARK_SCOPES" in app.config:
        gates.default_scopes(app.config["DEFAULT_LARK_SCOPES"], "DEFAULT_LARK_SCOPES")
    oauth.check_settings(app.config.get)
    app.url_map.converters.setdefault("lark_anything", _Anything)

    def view(rest: str = "") -> Response:
        return _view(prefix)

    for end, rule in (("", "/<lark_anything:rest>"), ("_root", "")):
        if prefix + rule:
            app.add_url_rule(
                prefix + rule, f"{state.name}.api{end}" if state.name else f"{state.blueprint.name}.api{end}", view,
                methods=VERBS, provide_automatic_options=False, strict_slashes=False, merge_slashes=False)


def make_blueprint(name: str = "redis_api") -> Blueprint:
    """A further blueprint, for an app that mounts several."""
    blueprint = Blueprint(name, __name__)
    blueprint.record(_record)
    return blueprint


redis_api_blueprint = make_blueprint()
