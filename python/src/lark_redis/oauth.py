"""Access tokens of an OAuth 2.0 or OpenID Connect issuer: JWTs by its keys, opaque tokens by asking it. What a token is worth is
judged by the extension, with the server's own code; here stands who is asked for what, and when. docs/python.md"""
from __future__ import annotations

import asyncio
import base64
import concurrent.futures
import os
import pathlib
import threading
import time
import urllib.parse
import weakref
from collections.abc import Callable
from typing import Any

from . import _core, fetch
from .gate import AnyOf, Authenticate, BadCredentials, Caller, SettingError, log
from .http import Request
from .keys import FetchedKeys, KeysFile
from .tokens import TokensFile

ANSWER_MAX, ANSWER_TIMEOUT_S = 64 << 10, 3
SECRET_MAX = 4096
QUESTIONS_MAX, THREADS_MAX = 64, 16
TELL_EVERY_S = 1

Found = tuple[_core.Scopes, str, bytes] | tuple[int, str] | bytes
Judged = tuple[_core.Scopes, str, bytes] | tuple[int, str]

# Keyword of OAuth -> what it means nothing without.
NEEDS = {"issuer": ("audience",), "audience": ("issuer",), "jwks": ("issuer",), "typ": ("issuer",), "scope_claim": ("issuer",),
         "prefix_claim": ("issuer",), "leeway": ("issuer",), "introspect": ("issuer", "client", "client_secret_file"),
         "introspect_cache": ("introspect",), "client": ("introspect",), "client_secret_file": ("introspect",), "ca": ("issuer",)}
COUNT_MAX = 60
PREFIX = "LARK_OAUTH_"
SETTINGS = {PREFIX + keyword.upper(): keyword for keyword in NEEDS}


def _check(given: dict[str, Any], name: Callable[[str], str]) -> None:
    """SettingError: the settings do not fit together. name: what a keyword is called where it was set."""
    for keyword, value in given.items():
        for needed in NEEDS[keyword]:
            if needed not in given:
                raise SettingError(f"{name(keyword)} needs {name(needed)} too")
        if keyword in ("leeway", "introspect_cache"):
            if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= COUNT_MAX:
                raise SettingError(f"{name(keyword)} must be whole seconds from 0 to {COUNT_MAX}, got {value!r}")
        elif not isinstance(value, str) and not (keyword in ("jwks", "client_secret_file", "ca") and isinstance(value, os.PathLike)):
            raise SettingError(f"{name(keyword)} must be text, got {value!r}")
    if given.get("typ", "at+jwt") not in ("at+jwt", "jwt", "any"):
        raise SettingError(f"{name('typ')} must be at+jwt, jwt or any, got {given['typ']!r}")
    if "issuer" in given and not 1 <= len(given["issuer"].encode()) <= 1024:
        raise SettingError(f"{name('issuer')} must have 1 to 1024 bytes")
    urls: list[str] = [keyword for keyword in ("jwks", "introspect") if keyword in given and (keyword != "jwks" or _is_url(given["jwks"]))]
    if "jwks" not in given and "introspect" not in given and "issuer" in given:
        urls.append("issuer")  # its metadata say where the keys are
    for keyword in urls:
        problem = fetch.fault(given[keyword])
        if problem is None and keyword == "issuer" and "?" in given["issuer"]:
            problem = "expected a URL without a query"
        if problem is not None:
            raise SettingError(f"{name(keyword)}: {problem}, got {given[keyword]!r}")


def _is_url(value: object) -> bool:
    return isinstance(value, str) and "://" in value


def _secret(path: str | os.PathLike[str]) -> str:
    """The first line of a file."""
    with pathlib.Path(path).open("rb") as file:
        line = file.readline(SECRET_MAX + 1).rstrip(b"\r\n")
    if not 1 <= len(line) <= SECRET_MAX:
        raise SettingError(f"{path}: must have a secret as its first line")
    return line.decode()


def _now_ms() -> int:
    return int(time.monotonic() * 1000)


class OAuth:
    """OAuth(issuer=..., audience=...): for `authenticate`. The words and their meaning are those of `lark serve --oauth-...`:

    issuer, audience: "iss" and "aud" of tokens, to the byte; jwks: a file or a URL of the issuer's keys (with neither jwks nor
    introspect the issuer's metadata say where they are); typ: "jwt" or "any" for issuers that do not mark access tokens; scope_claim,
    prefix_claim; leeway: seconds; introspect, client, client_secret_file: where opaque tokens are asked about, and as whom;
    introspect_cache: seconds that an answer counts; ca: a PEM file of certificates, in place of the system's. require_prefix: a
    token without a prefix is refused unless it holds admin."""

    def __init__(
        self, *, issuer: str, audience: str, jwks: str | os.PathLike[str] | None = None, typ: str | None = None,
        scope_claim: str | None = None, prefix_claim: str | None = None, leeway: int | None = None, introspect: str | None = None,
        introspect_cache: int | None = None, client: str | None = None,
        client_secret_file: str | os.PathLike[str] | None = None, ca: str | os.PathLike[str] | None = None,
        require_prefix: bool = False,
    ) -> None:
        given = {"issuer": issuer, "audience": audience, "jwks": jwks, "typ": typ, "scope_claim": scope_claim,
                 "prefix_claim": prefix_claim, "leeway": leeway, "introspect": introspect, "introspect_cache": introspect_cache,
                 "client": client, "client_secret_file": client_secret_file, "ca": ca}
        _check({keyword: value for keyword, value in given.items() if value is not None}, str)
        takes_jwt = jwks is not None or introspect is None
        keep_s = 60 if introspect_cache is None else introspect_cache
        self._core = _core.Issuer(
            issuer.encode(), audience.encode(), (scope_claim or "").encode(), (prefix_claim or "").encode(), typ in ("jwt", "any"),
            30 if leeway is None else leeway, takes_jwt, introspect is not None, keep_s * 1000, require_prefix)
        self._told = float("-inf")
        self._trust = fetch.trust_of(None if ca is None else os.fspath(ca))
        self._keys: KeysFile | FetchedKeys | None = None
        if takes_jwt:
            self._keys = (FetchedKeys(issuer, None if jwks is None else str(jwks), self._trust, self._take)
                          if jwks is None or _is_url(jwks) else KeysFile(jwks, self._take))
        self.introspect = introspect
        self._authorization: str | None = None
        if client is not None and client_secret_file is not None:
            pair = ":".join(urllib.parse.quote(word, safe="") for word in (client, _secret(client_secret_file)))
            self._authorization = "Basic " + base64.b64encode(pair.encode()).decode()
        self.after_fork()
        _all.add(self)

    def after_fork(self) -> None:
        """Threads are not in this process, nor what they were asking."""
        self._questions = threading.Semaphore(QUESTIONS_MAX)
        self._pool: concurrent.futures.ThreadPoolExecutor | None = None

    def __call__(self, request: Request) -> Caller | None:
        header = _header(request)
        if header is None:
            return None
        found = self._find(header)
        return _caller(self._ask(found, header, time.monotonic()) if self._waits(found) else _judged(found))

    async def settled(self, request: Request) -> Authenticate:
        """What a call will say, found out while the event loop goes on."""
        header = _header(request)
        if header is None:
            return self
        found = self._find(header)
        if self._waits(found):
            if self._pool is None:
                self._pool = concurrent.futures.ThreadPoolExecutor(THREADS_MAX, "lark-oauth")
            found = await asyncio.get_running_loop().run_in_executor(self._pool, self._ask, found, header, time.monotonic())
        judged = _judged(found)
        return lambda _: _caller(judged)

    # --- finding out ---

    def _take(self, file: bytes) -> int:
        count = self._core.set_keys(file)
        self._tell()
        return count

    def _tell(self) -> None:
        """Scopes of other services may stand in every token: it is enough to say so once a second."""
        lines, now = self._core.take_warnings(), time.monotonic()
        if lines and now - self._told >= TELL_EVERY_S:
            self._told = now
            log.warning("lark: oauth: %s", "; ".join(lines))

    def _find(self, header: bytes) -> Found:
        usable = self._keys is not None and self._keys.usable()
        found = self._core.find(header, int(time.time()), _now_ms(), usable)
        self._tell()
        if self._keys is not None and not isinstance(found, bytes) and found[0] == _core.UNKNOWN_KEY:
            self._keys.wish()
        return found

    def _waits(self, found: Found) -> bool:
        """Is there something to be asked for?"""
        if isinstance(found, bytes):
            return True
        return found[0] == _core.ISSUER_AWAY and self._keys is not None and self._keys.due()

    def _ask(self, found: Found, header: bytes, since: float) -> Judged:
        """since: when it was wanted. Those that come while many wait are refused, so that an issuer that does not answer does
        not keep every thread of the server."""
        if not self._questions.acquire(blocking=False):
            return _core.ISSUER_AWAY, ""
        try:
            if time.monotonic() - since > ANSWER_TIMEOUT_S:
                return _core.ISSUER_AWAY, ""
            if isinstance(found, bytes):
                return self._introspect(found)
            if self._keys is not None:
                self._keys.refresh()
            return _judged(self._find(header))
        finally:
            self._questions.release()

    def _introspect(self, token: bytes) -> Judged:
        """source: RFC 7662 section 2"""
        form = urllib.parse.urlencode({"token": token, "token_type_hint": "access_token"}).encode()
        asked_ms, url = _now_ms(), self.introspect or ""
        try:
            answer = fetch.fetch(url, self._trust, ANSWER_MAX, ANSWER_TIMEOUT_S, form, self._authorization)
        except fetch.Failed as error:
            log.error("lark: %s cannot be asked about a token: %s", url, error)
            return _core.ISSUER_AWAY, ""
        judged = self._core.answer(token, answer, int(time.time()), asked_ms)
        self._tell()
        if judged[0] == _core.ISSUER_AWAY:
            log.error("lark: the answer of %s: %s", url, judged[1])
            return _core.ISSUER_AWAY, ""
        return judged


def _header(request: Request) -> bytes | None:
    header = request.headers.get("authorization")
    return None if header is None else header.strip().encode("latin-1", "replace")


def _judged(found: Found) -> Judged:
    """Nobody is there to be asked: never open."""
    return (_core.ISSUER_AWAY, "") if isinstance(found, bytes) else found


def _caller(judged: Judged) -> Caller:
    if len(judged) == 2:
        raise BadCredentials(judged[0], judged[1])
    scopes, name, prefix = judged
    return Caller(scopes, prefix.decode(), name=name)


# --- the settings of a framework --------------------------------------------------------------------------------------


def check_settings(get: Callable[[str], Any]) -> dict[str, Any]:
    """The keywords of OAuth that are set; SettingError. get: a setting of this name, or None."""
    given = {keyword: value for name, keyword in SETTINGS.items() if (value := get(name)) is not None}
    _check(given, lambda keyword: PREFIX + keyword.upper())
    return given


def sources(get: Callable[[str], Any]) -> Authenticate | None:
    """Who tells who calls, of LARK_TOKENS_FILE and LARK_OAUTH_*; None: nobody."""
    tokens, given = get("LARK_TOKENS_FILE"), check_settings(get)
    found: list[Authenticate] = [TokensFile(tokens)] if tokens else []
    if given:
        found.append(OAuth(**given))
    return found[0] if len(found) == 1 else AnyOf(*found) if found else None


_all: weakref.WeakSet[OAuth] = weakref.WeakSet()


def _after_fork() -> None:
    for oauth in list(_all):
        oauth.after_fork()


os.register_at_fork(after_in_child=_after_fork)
