"""The settings, and the clients that they give."""
from __future__ import annotations

import inspect
import threading
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.core.signals import setting_changed
from django.http import QueryDict
from django.utils.module_loading import import_string

from .. import gate as gates, oauth
from ..clients import Clients

NAMES = ("DEFAULT_LARK_SCOPES", "LARK_SCOPE_GETTER", "LARK_PREFIX_GETTER", "LARK_AUTHENTICATE", "LARK_LIMITS", "LARK_TOKENS_FILE",
         *oauth.SETTINGS, "REDIS_CONNECTION_METHOD", "REDIS_ASYNC_CONNECTION_METHOD")


def value(name: str) -> Any:
    return getattr(settings, name, None)


def function(name: str) -> Callable[..., Any] | None:
    """A setting that is a function, or the dotted name of one."""
    given = value(name)
    if isinstance(given, str):
        try:
            given = import_string(given)
        except ImportError as error:
            raise gates.SettingError(f"{name}: {error}") from None
    if given is not None and not callable(given):
        raise gates.SettingError(f"{name} must be a function or the dotted name of one, got {given!r}")
    return given  # type: ignore[no-any-return]


def _getter(name: str) -> Callable[[gates.Asked], Any] | None:
    getter = function(name)
    if getter is None:
        return None

    def ask(asked: gates.Asked) -> Any:
        query = QueryDict(mutable=True)
        for key, values in asked.query.items():
            query.setlist(key, values)
        return getter(asked.request.native, asked.method, asked.json, query, (), asked.kwargs)

    return ask


def make_gate() -> gates.Gate:
    """Hosts are Django's business: ALLOWED_HOSTS."""
    scopes = gates.default_scopes(value("DEFAULT_LARK_SCOPES"), "DEFAULT_LARK_SCOPES")
    return gates.Gate(scopes, None, value("LARK_LIMITS"), _getter("LARK_SCOPE_GETTER"),
                      _getter("LARK_PREFIX_GETTER"), oauth.sources(value) or function("LARK_AUTHENTICATE"))


class _State:
    """Made from the settings when they are first needed; anew when a test overrides one."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.clear()

    def clear(self) -> None:
        self._gate: gates.Gate | None = None
        self._clients = Clients(lambda: connect("REDIS_CONNECTION_METHOD"))
        self._async_clients = Clients(lambda: connect("REDIS_ASYNC_CONNECTION_METHOD"))

    def gate(self) -> gates.Gate:
        with self.lock:
            if self._gate is None:
                self._gate = make_gate()
            return self._gate

    def client(self) -> Any:
        """One client for the process: its pool is what threads share."""
        return self._clients.client()

    async def async_client(self) -> Any:
        """One client for the event loop."""
        return await self._async_clients.async_client()


def connect(name: str) -> Any:
    method = function(name)
    if method is None:
        raise gates.SettingError(f"{name} is not set: a function that gives the Redis client")
    client = method()
    is_async = inspect.iscoroutinefunction(getattr(client, "execute_command", None))
    if not hasattr(client, "execute_command") or is_async != (name == "REDIS_ASYNC_CONNECTION_METHOD"):
        kind = "redis.asyncio.Redis" if name == "REDIS_ASYNC_CONNECTION_METHOD" else "redis.Redis"
        raise gates.SettingError(f"{name} must give a {kind} or its like, got {client!r}")
    return client


state = _State()


def _on_setting(*, setting: str, **_: Any) -> None:
    if setting in NAMES:
        state.clear()


setting_changed.connect(_on_setting)
