"""The views behind lark_redis.django.urls and async_urls."""
from __future__ import annotations

import urllib.parse
from collections.abc import Callable
from typing import Any

from asgiref.sync import sync_to_async
from django.core.exceptions import DisallowedHost
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse
from django.http.request import RawPostDataException
from django.middleware.csrf import CsrfViewMiddleware
from django.utils.encoding import repercent_broken_unicode
from django.views.decorators.csrf import csrf_exempt

from .. import _core, aio, asgi, gate as gates, sync, wsgi
from ..http import Answer, Request, answer_of
from . import conf

SAFE = ("GET", "HEAD", "OPTIONS", "TRACE")


class _Csrf(CsrfViewMiddleware):
    def _reject(self, request: HttpRequest, reason: str) -> Any:
        return reason  # in place of a page that says so


def _no_response(request: HttpRequest) -> HttpResponse:
    raise NotImplementedError("only the check is used")


def _csrf_problem(request: HttpRequest) -> str | None:
    """A browser sends cookies by itself, and a password of Basic too; a bearer token it does not."""
    bearer = request.headers.get("Authorization", "").lower().startswith("bearer ")
    if request.method in SAFE or bearer or not request.COOKIES:
        return None
    check = _Csrf(_no_response)
    check.process_request(request)
    problem: Any = check.process_view(request, _no_response, (), {})
    return None if problem is None else str(problem)


def _request_of(request: HttpRequest) -> Request:
    if isinstance(request, ASGIRequest):
        asked = asgi.request_of(request.scope)
        asked.native = request
    else:
        asked = wsgi.request_of(request.META, request, request.path, _path_text)
    asked.scheme = request.scheme or "http"
    return asked


def _path_text(path: bytes) -> str:
    """As Django makes text of a path: what is no UTF-8 stays percent-encoded."""
    return repercent_broken_unicode(path).decode()


def _mount_of(request: HttpRequest, rest: str) -> bytes:
    mount = request.path[: len(request.path) - len(rest)].rstrip("/")
    return urllib.parse.quote(mount, safe="/:@!$&'()*+,;=~").encode()


def _begin(request: HttpRequest, asked: Request) -> tuple[gates.Gate, Answer | None]:
    """The settings; or the answer, when the framework's own checks say no, or the settings are wrong."""
    try:
        gate = conf.state.gate()
    except Exception:
        gates.log.exception("lark: wrong settings")
        return gates.Gate(), _refuse(asked, _core.INTERNAL)
    try:
        asked.headers = {**asked.headers, "host": request.get_host()}
    except DisallowedHost:
        return gate, _refuse(asked, _core.FOREIGN_HOST, b"Host", asked.headers.get("host", "").encode("latin-1", "replace"))
    problem = _csrf_problem(request)
    if problem is not None:
        return gate, _refuse(asked, _core.FOREIGN_ORIGIN, b"X-CSRFToken", problem.encode())
    return gate, None


def _refuse(asked: Request, error: int, name: bytes = b"", got: bytes = b"") -> Answer:
    call = _core.Call(_core.Config(b""), asked.verb, asked.target)
    call.fail(error, name, got)
    return answer_of(call)


def _response(request: HttpRequest, answer: Answer) -> HttpResponse:
    response = HttpResponse(b"" if request.method == "HEAD" else answer.body, status=answer.status)
    for name, value in answer.headers:
        response[name] = value
    return response


def _reader(request: HttpRequest, asked: Request) -> Callable[[int], bytes]:
    def read(limit: int) -> bytes:
        length = gates.body_length(asked, limit)
        if length is None and not isinstance(request, ASGIRequest):
            return wsgi.reader(request.META, asked)(limit)  # without a length Django takes a body of chunks for an empty one
        try:
            body = request.body if hasattr(request, "_body") else request.read(limit + 1)
        except RawPostDataException as error:
            raise ValueError from error
        if len(body) > limit:
            raise gates.TooLarge
        if length is not None and len(body) < length:
            raise ValueError("the body ended early, or somebody has read it")
        return body

    return read


def _run(call: _core.Call, resp: bytes) -> None:
    sync.run(conf.state.client(), call, resp)


@csrf_exempt
def api(request: HttpRequest, rest: str = "") -> HttpResponse:
    asked = _request_of(request)
    gate, refused = _begin(request, asked)
    answer = refused or gates.handle(gate, asked, _mount_of(request, rest), _reader(request, asked), _run)
    return _response(request, answer)


# Getters may ask the database, for the session's user: not in the event loop.
_aside = sync_to_async(lambda route: route(), thread_sensitive=True)


async def _async_run(call: _core.Call, resp: bytes) -> None:
    await aio.run(await conf.state.async_client(), call, resp)


async def async_api(request: HttpRequest, rest: str = "") -> HttpResponse:
    asked = _request_of(request)
    gate, refused = _begin(request, asked)
    if refused is None:
        reader = _reader(request, asked)

        async def read(limit: int) -> bytes:
            return reader(limit)

        aside = _aside if gate.asks or gate.authenticate else None
        refused = await asgi.handle(gate, asked, _mount_of(request, rest), read, _async_run, aside)
    return _response(request, refused)


setattr(async_api, "csrf_exempt", True)  # the decorator would hide from Django 4.2 that it is a coroutine function
