"""From a request to what goes to Redis: who calls, and what may they. Rules of the API are the core's; here stands only
what a host has to do around them."""
from __future__ import annotations

import dataclasses
import functools
import json
import logging
import secrets
import urllib.parse
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from . import _core
from .http import Answer, Request, answer_of, refusal

log = logging.getLogger("lark_redis")

NOBODY = _core.Scopes(())


class SettingError(ValueError):
    """A setting is wrong. The text names it, and says what is expected."""


class BadCredentials(Exception):
    """There are credentials, and they are not valid; raised by `authenticate`. error: _core.BAD_CREDENTIALS or its like; text:
    what was expected, never a part of them; unknown: this source does not know them, another one may."""

    def __init__(self, error: int = _core.BAD_CREDENTIALS, text: str = "", unknown: bool = False) -> None:
        super().__init__(text or "the credentials are not valid")
        self.error, self.text, self.unknown = error, text, unknown


class TooLarge(Exception):
    """A body is over its limit; raised by a host's reader."""


@dataclasses.dataclass(frozen=True, slots=True)
class Caller:
    """scopes: None means the default ones; prefix: their keys live below prefix + ":"; identified: they said who they are;
    name: for people."""

    scopes: Iterable[str] | _core.Scopes | None = None
    prefix: str = ""
    identified: bool = True
    name: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Asked:
    """What a getter is told: method "lrange"; json: the body as values, None when it is none; query: name to its values;
    kwargs: the parameters in the path."""

    request: Request
    method: str
    json: Any
    query: dict[str, list[str]]
    kwargs: dict[str, str]


Authenticate = Callable[[Request], Caller | None]
ScopeGetter = Callable[[Asked], Iterable[str] | None]
PrefixGetter = Callable[[Asked], str | None]


async def settled(authenticate: Authenticate, request: Request) -> Authenticate:
    """Where the event loop must go on: a source that may have to ask somebody has done so then (see lark_redis.OAuth.settled)."""
    later = getattr(authenticate, "settled", None)
    return authenticate if later is None else await later(request)


class AnyOf:
    """AnyOf(TokensFile(...), OAuth(...)): for `authenticate`. The first source that knows the credentials says who calls."""

    def __init__(self, *sources: Authenticate) -> None:
        self.sources = sources

    def __call__(self, request: Request) -> Caller | None:
        for source in self.sources[:-1]:
            try:
                return source(request)
            except BadCredentials as error:
                if not error.unknown:
                    raise
        return self.sources[-1](request)

    async def settled(self, request: Request) -> Authenticate:
        """What a call will say."""
        for source in self.sources[:-1]:
            answer = await settled(source, request)
            try:
                answer(request)
            except BadCredentials as error:
                if error.unknown:
                    continue
            except Exception:
                pass  # raised once more where it is told
            return answer
        return await settled(self.sources[-1], request)


@functools.lru_cache(maxsize=256)
def _scopes(words: frozenset[str]) -> _core.Scopes:
    return _core.Scopes(words)


def scopes_of(words: Iterable[str] | _core.Scopes) -> _core.Scopes:
    """Scopes of a caller; words that no method has give nothing."""
    if isinstance(words, _core.Scopes):
        return words
    if isinstance(words, (str, bytes)):
        raise SettingError(f"scopes must be a set or list of words, got {words!r}")
    return _scopes(frozenset(words))


def default_scopes(words: Iterable[str] | None, name: str) -> _core.Scopes:
    """Scopes of a setting: unknown words are an error."""
    try:
        scopes = scopes_of(words or ())
    except (TypeError, ValueError) as error:
        raise SettingError(f"{name} must be a set or list of scopes such as {{'read:get'}}: {error}") from None
    if scopes.unknown:
        near = _core.Scopes.near(scopes.unknown[0])
        hint = f"; did you mean {' or '.join(near)}?" if near else ""
        raise SettingError(f"{name}: there is no scope {scopes.unknown[0]!r}{hint}")
    return scopes


def prefix_of(prefix: str | bytes | None) -> bytes:
    data = prefix.encode() if isinstance(prefix, str) else prefix or b""
    if data and not _core.prefix_valid(data):
        raise SettingError(f"not a key prefix: 1 to 64 of A-Z a-z 0-9 _ . -, got {prefix!r}")
    return data


@dataclasses.dataclass(slots=True)
class Gate:
    """The settings of one mount point.

    scopes: of who has none of their own; hosts: allowed Host names, None: the framework checks; limits: names of
    docs/python.md; scope_getter, prefix_getter: asked for each request; authenticate: from the Authorization header, the
    source of credentials (None from it: there were none; with none given and none enough, the answer is 401)"""

    scopes: _core.Scopes = NOBODY
    hosts: Iterable[str] | None = None
    limits: Mapping[str, int] | None = None
    scope_getter: ScopeGetter | None = None
    prefix_getter: PrefixGetter | None = None
    authenticate: Authenticate | None = None
    _configs: dict[bytes, _core.Config] = dataclasses.field(default_factory=dict)

    def config(self, mount: bytes) -> _core.Config:
        config = self._configs.get(mount)
        if config is None:
            config = _core.Config(mount, dict(self.limits or {}))
            if len(self._configs) < 64:  # a server may say anything about where it is mounted
                self._configs[mount] = config
        return config

    def begin(self, request: Request, mount: bytes, several: bool = True) -> _core.Call:
        """The call of a request, after the checks against browsers. several: may it take several commands, sent in one go?
        Else the bytes of a value are answered whole, whatever Range is asked."""
        values = request.headers.get("lark-values", "")
        seed = secrets.randbits(64) if self.prefix_getter or self.authenticate else 0
        # an If-Range cannot be met: no answer has a validator
        part = request.headers.get("range", "") if "if-range" not in request.headers else ""
        call = _core.Call(self.config(mount), request.verb, request.target, values.encode("latin-1", "replace"), seed,
                          part.encode("latin-1", "replace") if several else None)
        refused = refusal(request, self.hosts)
        if refused is not None:
            call.fail(*refused)
        return call

    @property
    def asks(self) -> bool:
        """Is the body wanted before the scopes are known?"""
        return self.scope_getter is not None or self.prefix_getter is not None

    def route(self, call: _core.Call, request: Request, body: bytes | None, authenticate: Authenticate | None = None) -> bool:
        """Who calls, and may they? Did they say who they are? What a getter does wrong is told in the log, and 500 to the
        caller. authenticate: in place of the gate's, when that one is settled."""
        try:
            scopes, prefix, identified = self._caller(call, request, body, authenticate or self.authenticate)
        except BadCredentials as error:
            call.fail(error.error, text=error.text or None)
            return False
        except Exception:
            log.exception("lark: who calls %s cannot be told", call.method or request.verb)
            call.fail(_core.INTERNAL)
            return False
        if not call.answered:
            call.route(scopes, prefix, self.authenticate is not None and not identified)
        return identified

    def _caller(self, call: _core.Call, request: Request, body: bytes | None,
                authenticate: Authenticate | None) -> tuple[_core.Scopes, bytes, bool]:
        scopes, prefix, identified = self.scopes, b"", False
        caller = authenticate(request) if authenticate else None
        if caller is not None:
            scopes = self.scopes if caller.scopes is None else scopes_of(caller.scopes)
            prefix, identified = prefix_of(caller.prefix), caller.identified
        if not self.asks:
            return scopes, prefix, identified
        call.find()
        if call.answered or request.verb == "OPTIONS":
            return scopes, prefix, identified
        asked = _asked(call, request, body or b"")
        if self.scope_getter is not None:
            words = self.scope_getter(asked)
            scopes = scopes if words is None else scopes_of(words)
        if self.prefix_getter is not None:
            given = self.prefix_getter(asked)
            prefix = prefix if given is None else prefix_of(given)
        return scopes, prefix, identified


def _asked(call: _core.Call, request: Request, body: bytes) -> Asked:
    try:
        value = json.loads(body) if body else None
    except (ValueError, RecursionError):
        value = None
    query = request.target.partition(b"?")[2].decode("latin-1")
    return Asked(
        request, call.method or "", value, urllib.parse.parse_qs(query, keep_blank_values=True),
        {name: urllib.parse.unquote(raw.decode("latin-1")) for name, raw in call.params})


def body_length(request: Request, limit: int) -> int | None:
    """The length that the request tells, None when it tells none. TooLarge, ValueError."""
    text = request.headers.get("content-length", "")
    if not text:
        return None
    if not (text.isascii() and text.isdigit()):
        raise ValueError(f"Content-Length: {text}")
    if int(text) > limit:
        raise TooLarge
    return int(text)


def handle(
    gate: Gate,
    request: Request,
    mount: bytes,
    read: Callable[[int], bytes],
    run: Callable[[_core.Call, bytes], None],
) -> Answer:
    """One request, from its first check to its answer. read(limit): the body; run: brings RESP to Redis and feeds replies."""
    call = gate.begin(request, mount)
    body = read_body(call, gate.config(mount).body_bytes, read) if gate.asks and not call.answered else None
    identified = not call.answered and gate.route(call, request, body)
    if not call.answered and body is None:
        body = read_body(call, gate.config(mount).body_bytes, read)
    if not call.answered:
        with told(call):
            resp = call.make(body or b"")
            if resp is not None:
                run(call, resp)
    return answer_of(call, identified, request)


def read_body(call: _core.Call, limit: int, read: Callable[[int], bytes]) -> bytes | None:
    try:
        return read(limit)
    except TooLarge:
        call.fail(_core.TOO_LARGE)
    except (ValueError, OSError):
        call.fail(_core.BAD_REQUEST)
    return None


class told:
    """What goes wrong in here without an answer is in the log with its traceback, and 500 `internal` to the caller."""

    def __init__(self, call: _core.Call) -> None:
        self.call = call

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> bool:
        if error is None or not isinstance(error, Exception):
            return False
        log.error("lark: %s failed", self.call.method, exc_info=error)
        self.call.fail(_core.INTERNAL)
        return True
