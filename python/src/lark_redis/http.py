"""A request and an answer as every host has them, and the checks that come before a request is looked at."""
from __future__ import annotations

import dataclasses
import urllib.parse
from collections.abc import Callable, Iterable, Mapping

from . import _core

LOOPBACK = ("localhost", "127.0.0.1", "[::1]")

# On every answer: data of Redis is never run or kept by a browser, nor read by another site.
ALWAYS = [
    ("X-Content-Type-Options", "nosniff"),
    ("Content-Security-Policy", "sandbox; default-src 'none'"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Cache-Control", "private, no-store"),
    ("Vary", "Authorization"),
]


@dataclasses.dataclass(slots=True)
class Request:
    """verb: "GET"; target: path and query as they came on the wire; headers: by names in lower case; scheme: "http" or
    "https"; native: the request of the framework, for getters."""

    verb: str
    target: bytes
    headers: Mapping[str, str]
    scheme: str = "http"
    native: object = None


@dataclasses.dataclass(slots=True)
class Answer:
    status: int
    headers: list[tuple[str, str]]
    body: bytes


def _challenge(call: _core.Call, identified: bool, basic: bool) -> str | None:
    """Basic is offered to who used it, never unasked: a browser would remember the token and send it by itself from then on.
    source: RFC 6750 section 3, RFC 9110 section 11.6.1"""
    if call.error in (_core.BAD_CREDENTIALS, _core.UNKNOWN_KEY):
        return 'Bearer error="invalid_token"' + (', Basic realm="lark", charset="UTF-8"' if basic else "")
    if call.error == _core.SCOPE and identified:
        return f'Bearer error="insufficient_scope", scope="{call.scope}"'
    return "Bearer" if call.status == 401 else None


def answer_of(call: _core.Call, identified: bool = False, request: Request | None = None) -> Answer:
    """identified: the caller has said who they are, by credentials; request: that credentials may have come with."""
    kind = "application/octet-stream" if call.is_bytes else "application/json"
    headers = [("Content-Type", kind), *ALWAYS, ("Content-Length", str(call.length))]
    if call.accepts_ranges:
        headers.append(("Accept-Ranges", "bytes"))
    if call.content_range is not None:
        headers.append(("Content-Range", call.content_range))
    if call.allow is not None:
        headers.append(("Allow", call.allow))
    if call.retry_after:
        headers.append(("Retry-After", str(call.retry_after)))
    basic = request is not None and request.headers.get("authorization", "").lower().startswith("basic ")
    challenge = _challenge(call, identified, basic)
    if challenge is not None:
        headers.append(("WWW-Authenticate", challenge))
    return Answer(call.status, headers, call.body)


# --- the raw target --------------------------------------------------------------------------------------------------

# What a path may hold as it is (RFC 3986 section 3.3). "%" is none of it: in a decoded path it means itself.
_PATH_SAFE = "/:@!$&'()*+,;=-._~"


def raw_target(raw: bytes | None, decoded: str, query: bytes, decode: Callable[[bytes], str]) -> bytes:
    """The target of the request line. raw: what the server calls so, if anything; it counts only where it decodes to the
    path that the framework routed by. decode: how the server makes text of the path's bytes."""
    if raw is not None:
        path, mark, rest = raw.partition(b"?")
        if b"://" in path and not path.startswith(b"/"):
            path = b"/" + path.split(b"://", 1)[1].partition(b"/")[2]
        if decode(urllib.parse.unquote_to_bytes(path)) == decoded:
            return path + mark + rest if mark or not query else path + b"?" + query
    data = decoded.encode("latin-1" if decode is latin else "utf-8", "surrogateescape")
    target = urllib.parse.quote_from_bytes(data, safe=_PATH_SAFE).encode()
    return target + b"?" + query if query else target


def latin(path: bytes) -> str:
    """WSGI's text is bytes in disguise (PEP 3333)."""
    return path.decode("latin-1")


def utf8(path: bytes) -> str:
    """ASGI servers put U+FFFD for what is no UTF-8; raw_path has the bytes."""
    return path.decode("utf-8", "replace")


# --- browsers --------------------------------------------------------------------------------------------------------


def _split(authority: str) -> tuple[str, str]:
    """ "host:port" -> both, the host in lower case and without a final dot; an IPv6 address keeps its brackets."""
    end = authority.find("]") + 1 if authority.startswith("[") else 0
    host, _, port = authority[end:].partition(":")
    host = (authority[:end] + host).lower()
    return (host[:-1] if len(host) > 1 and host.endswith(".") else host), port


def host_allowed(host: str, hosts: Iterable[str]) -> bool:
    name = _split(host)[0]
    return any(
        allowed in ("*", name) or (allowed.startswith(".") and (name.endswith(allowed) or name == allowed[1:]))
        for allowed in hosts
    )


def _same_origin(origin: str, host: str, scheme: str) -> bool:
    start = scheme + "://"
    if origin[: len(start)].lower() != start:
        return False
    port = "443" if scheme == "https" else "80"
    theirs, ours = _split(origin[len(start) :]), _split(host)
    return theirs[0] == ours[0] and (theirs[1] or port) == (ours[1] or port)


# (error, header, its value, what was expected)
Refusal = tuple[int, bytes, bytes, "str | None"]


def refusal(request: Request, hosts: Iterable[str] | None) -> Refusal | None:
    """Why the request may not come in. hosts None: the framework has checked the host."""
    return _foreign(request, hosts) or _conditional(request)


def _refuse(error: int, name: str, value: str, expected: str | None = None) -> Refusal:
    return error, name.encode(), value.encode("latin-1", "replace"), expected


def _foreign(request: Request, hosts: Iterable[str] | None) -> Refusal | None:
    """Against DNS rebinding, and requests that a page of another origin makes a browser send."""
    headers = request.headers
    host = headers.get("host")
    if not host:
        return _refuse(_core.MISSING_HOST, "", "")
    if hosts is not None and not host_allowed(host, hosts):
        return _refuse(_core.FOREIGN_HOST, "Host", host)
    origin = headers.get("origin")
    if origin is not None and not _same_origin(origin, host, request.scheme):
        return _refuse(_core.FOREIGN_ORIGIN, "Origin", origin)
    site = headers.get("sec-fetch-site")
    if site is not None and site.lower() not in ("same-origin", "none"):
        return _refuse(_core.FOREIGN_ORIGIN, "Sec-Fetch-Site", site)
    encoding = headers.get("content-encoding")
    if encoding and encoding.lower() != "identity":
        return _refuse(_core.ENCODING, "Content-Encoding", encoding)
    return None


def _conditional(request: Request) -> Refusal | None:
    """What would be done otherwise than it was meant: a part that would be taken for the whole, a write that hangs on an entity
    tag, which no answer has.
    source: RFC 9110 sections 14.5 and 13"""
    headers, tags = request.headers, "absent: values have no entity tags; SET has nx and xx"
    if request.verb == "PUT" and "content-range" in headers:
        return _refuse(_core.BAD_HEADER, "Content-Range", headers["content-range"], "absent: SETRANGE stores a part of a value")
    if request.verb in ("GET", "HEAD", "OPTIONS"):
        return None
    if "if-match" in headers:
        return _refuse(_core.BAD_HEADER, "If-Match", headers["if-match"], tags)
    if headers.get("if-none-match", "").strip() == "*":
        return _refuse(_core.BAD_HEADER, "If-None-Match", headers["if-none-match"], tags)
    return None
