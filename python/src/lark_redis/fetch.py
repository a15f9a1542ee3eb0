"""A document by HTTPS, through urllib: whole, bounded, in time, from whom the URL names."""
from __future__ import annotations

import http.client
import ipaddress
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

AGENT = "lark-redis"


class Failed(Exception):
    """There is no document; the text says why. status: the HTTP status, 0: no answer."""

    def __init__(self, why: str, status: int = 0) -> None:
        super().__init__(why)
        self.status = status


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def fault(url: str) -> str | None:
    """May documents be fetched from there? https, or http from a loopback address. None: they may; else what is expected."""
    try:
        parts = urllib.parse.urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    if not host or not url.isascii() or not url.isprintable() or " " in url:
        return "expected a URL, https://HOST/PATH"
    if parts.username is not None or parts.password is not None:
        return "expected a URL without a user"
    if "#" in url:
        return "expected a URL without a fragment"
    if parts.scheme != "https" and not (parts.scheme == "http" and _is_loopback(host)):
        return "expected a URL with https:// (http:// only to a loopback address)"
    return None


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Of a GET, three, from https to https. Where http leads to might not be loopback, and nobody has vouched for who said so."""

    max_redirections = 3

    def redirect_request(self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any,
                         newurl: str) -> urllib.request.Request | None:
        if req.get_method() != "GET" or req.type != "https" or not newurl.startswith("https://") or fault(newurl):
            return None
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener(url: str, trust: ssl.SSLContext) -> urllib.request.OpenerDirector:
    """None of urllib's handlers for files and FTP; of a loopback address by http, no proxy is asked."""
    opener = urllib.request.OpenerDirector()
    for handler in (urllib.request.HTTPHandler(), urllib.request.HTTPSHandler(context=trust), _Redirects(),
                    urllib.request.HTTPErrorProcessor(), urllib.request.HTTPDefaultErrorHandler()):
        opener.add_handler(handler)
    if url.startswith("https:"):
        opener.add_handler(urllib.request.ProxyHandler())
    return opener


def trust_of(ca: str | None) -> ssl.SSLContext:
    """Whom TLS is believed: the system's certificates, or those of a PEM file alone. TLS 1.2 or later."""
    context = ssl.create_default_context(cafile=ca)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _read(answer: http.client.HTTPResponse, limit: int, until: float) -> bytes:
    parts: list[bytes] = []
    size = 0
    while part := answer.read1(65536):
        parts.append(part)
        size += len(part)
        if size > limit:
            raise Failed(f"the answer has more than {limit} bytes")
        if time.monotonic() > until:
            raise Failed("the answer did not end in time")
    return b"".join(parts)


def fetch(url: str, trust: ssl.SSLContext, limit: int, timeout_s: float, form: bytes | None = None,
          authorization: str | None = None) -> bytes:
    """GET, or POST of a form. Failed. An answer other than 200 is none."""
    headers = {"Accept": "application/json", "User-Agent": AGENT}
    if authorization is not None:
        headers["Authorization"] = authorization
    request = urllib.request.Request(url, form, headers)
    until = time.monotonic() + timeout_s
    try:
        with _opener(url, trust).open(request, timeout=timeout_s) as answer:
            if answer.status != 200:
                raise Failed(f"the answer is HTTP {answer.status}, expected 200", answer.status)
            return _read(answer, limit, until)
    except urllib.error.HTTPError as error:
        error.close()
        raise Failed(f"the answer is HTTP {error.code}, expected 200", error.code) from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise Failed(str(getattr(error, "reason", error)) or type(error).__name__) from None
