"""Lark as a WSGI application, for every framework that can mount one."""
from __future__ import annotations

import urllib.parse
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from . import _core, gate as gates, sync
from .clients import Clients
from .http import LOOPBACK, Answer, Request, latin, raw_target

Environ = dict[str, Any]
StartResponse = Callable[..., Any]


def request_of(environ: Environ, native: object = None, path: str | None = None,
               decode: Callable[[bytes], str] = latin) -> Request:
    """From what a server gave. The raw target is RAW_URI (gunicorn, Werkzeug) or REQUEST_URI (uWSGI, mod_wsgi). path,
    decode: the whole path where a framework has changed it in the environ, and how it did."""
    raw = environ.get("RAW_URI") or environ.get("REQUEST_URI")
    if path is None:
        path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
    target = raw_target(raw.encode("latin-1", "replace") if raw else None, path,
                        environ.get("QUERY_STRING", "").encode("latin-1", "replace"), decode)
    headers = {name[5:].replace("_", "-").lower(): value for name, value in environ.items() if name.startswith("HTTP_")}
    if environ.get("CONTENT_LENGTH"):
        headers["content-length"] = environ["CONTENT_LENGTH"]
    return Request(environ["REQUEST_METHOD"], target, headers, environ.get("wsgi.url_scheme", "http"), native or environ)


def reader(environ: Environ, request: Request) -> Callable[[int], bytes]:
    def read(limit: int) -> bytes:
        length = gates.body_length(request, limit)
        stream = environ["wsgi.input"]
        if length is None:
            # without a length only a server that ends the stream may be read to its end
            if not (environ.get("wsgi.input_terminated") or request.headers.get("transfer-encoding")):
                return b""
            length = limit + 1
        parts: list[bytes] = []
        while length > 0 and (part := stream.read(min(length, 1 << 20))):
            parts.append(part)
            length -= len(part)
        body = b"".join(parts)
        if len(body) > limit:
            raise gates.TooLarge
        if "content-length" in request.headers and length > 0:
            raise ValueError("the body ended early")
        return body

    return read


def mount_of(environ: Environ, prefix: str) -> bytes:
    return urllib.parse.quote(environ.get("SCRIPT_NAME", "").encode("latin-1") + prefix.encode(), safe="/:@!$&'()*+,;=~").encode()


class Lark:
    """Lark(client, scopes={"read:*"}): an application. client: a redis.Redis, redis.RedisCluster, or a function that makes one,
    for the process.

    scopes: of who has no others; mount: the path in front of the methods, behind where this is mounted; app: the application
    that gets what is not below it; hosts: allowed Host names ("*": any); limits, scope_getter, prefix_getter, authenticate:
    see lark_redis.Gate"""

    def __init__(
        self,
        client: Any,
        *,
        scopes: Iterable[str] = (),
        mount: str = "",
        app: Callable[[Environ, StartResponse], Iterable[bytes]] | None = None,
        hosts: Iterable[str] = LOOPBACK,
        limits: Mapping[str, int] | None = None,
        scope_getter: gates.ScopeGetter | None = None,
        prefix_getter: gates.PrefixGetter | None = None,
        authenticate: gates.Authenticate | None = None,
    ) -> None:
        self.clients, self.mount, self.app = Clients(client), mount, app
        self.gate = gates.Gate(gates.default_scopes(scopes, "scopes"), tuple(hosts), limits, scope_getter, prefix_getter,
                               authenticate)
        self.gate.config(mount.encode())  # wrong limits and mount points are told now

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if self.app is not None and path != self.mount and not path.startswith(self.mount + "/"):
            return self.app(environ, start_response)
        request = request_of(environ)
        answer = gates.handle(self.gate, request, mount_of(environ, self.mount), reader(environ, request), self._run)
        return respond(answer, environ, start_response)

    def _run(self, call: _core.Call, resp: bytes) -> None:
        sync.run(self.clients.client(), call, resp)


REASONS = {200: "OK", 206: "Partial Content", 400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed",
           413: "Content Too Large", 415: "Unsupported Media Type", 416: "Range Not Satisfiable", 421: "Misdirected Request",
           500: "Internal Server Error", 502: "Bad Gateway", 503: "Service Unavailable", 504: "Gateway Timeout", 507: "Insufficient Storage"}


def respond(answer: Answer, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response(f"{answer.status} {REASONS.get(answer.status, 'Unknown')}", answer.headers)
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [answer.body]
