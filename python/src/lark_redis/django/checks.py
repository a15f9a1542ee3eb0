"""`manage.py check`: wrong settings are told before the first request."""
from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register

from .. import _core, gate as gates, oauth
from ..tokens import TokensFile
from . import conf


def _problem(check: Any, *arguments: Any) -> str | None:
    try:
        check(*arguments)
    except (OSError, TypeError, ValueError) as error:
        return str(error)
    return None


def _oauth() -> None:
    """As for the first request, but for what is asked of the issuer."""
    if given := oauth.check_settings(conf.value):
        oauth.OAuth(**given)


def register_them() -> None:
    register(check_settings, "lark_redis")


def check_settings(*_: Any, **__: Any) -> list[CheckMessage]:
    found: list[CheckMessage] = []
    if not any(getattr(settings, name, None) for name in ("REDIS_CONNECTION_METHOD", "REDIS_ASYNC_CONNECTION_METHOD")):
        found.append(Error("Lark has no way to Redis.", id="lark_redis.E001",
                           hint="Set REDIS_CONNECTION_METHOD to a function that gives a redis.Redis."))
    scopes = getattr(settings, "DEFAULT_LARK_SCOPES", None)
    if problem := _problem(gates.default_scopes, scopes, "DEFAULT_LARK_SCOPES"):
        found.append(Error(problem, id="lark_redis.E002"))
    for name in ("REDIS_CONNECTION_METHOD", "REDIS_ASYNC_CONNECTION_METHOD", "LARK_SCOPE_GETTER", "LARK_PREFIX_GETTER",
                 "LARK_AUTHENTICATE"):
        if problem := _problem(conf.function, name):
            found.append(Error(problem, id="lark_redis.E003"))
    limits = getattr(settings, "LARK_LIMITS", None)
    if limits is not None and (problem := _problem(_core.Config, b"", limits)):
        found.append(Error(f"LARK_LIMITS: {problem}", id="lark_redis.E004"))
    if (tokens := getattr(settings, "LARK_TOKENS_FILE", None)) and (problem := _problem(TokensFile, tokens)):
        found.append(Error(f"LARK_TOKENS_FILE: {problem}", id="lark_redis.E005"))
    if problem := _problem(_oauth):
        found.append(Error(problem, id="lark_redis.E006", hint="docs/oauth.md has the words of all of them."))
    sources = ("LARK_SCOPE_GETTER", "LARK_AUTHENTICATE", "LARK_TOKENS_FILE", "LARK_OAUTH_ISSUER")
    if not scopes and not any(getattr(settings, name, None) for name in sources):
        found.append(Warning("Every call will be refused: nobody has scopes.", id="lark_redis.W001",
                             hint="Set DEFAULT_LARK_SCOPES, LARK_SCOPE_GETTER, LARK_TOKENS_FILE or LARK_OAUTH_ISSUER."))
    return found
