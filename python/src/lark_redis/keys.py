"""Where an issuer's keys come from: a file, or its own address. What they verify is the extension's business."""
from __future__ import annotations

import json
import os
import ssl
import threading
import time
import weakref
from collections.abc import Callable

from . import fetch
from .gate import log
from .watched import Watched

FILE_MAX = 64 << 10
EVERY_S, TIMEOUT_S = 300, 5
WISH_S = 30
MAX_AGE_S = 3600
BACKOFF_MAX_S = 60

# Gives keys to the extension, all or, with a ValueError, none; how many.
Take = Callable[[bytes], int]


class KeysFile:
    """Read again when it has changed. A file that is broken then is told in the log, and the keys before it stay in use."""

    def __init__(self, path: str | os.PathLike[str], take: Take) -> None:
        self._file = Watched(path, "the keys", take)

    def usable(self) -> bool:
        self._file.look()
        return True

    def due(self) -> bool:
        return False

    def refresh(self) -> None:
        pass

    def wish(self) -> None:
        pass


class FetchedKeys:
    """From a URL, or from where the issuer's metadata say. Fetched when they are first needed, and behind a request every five
    minutes while there are any, and, every 30 seconds at most, when a token has an unknown key. What fails or is broken leaves the
    keys in use, until they are an hour old. No thread stays, so that a server may fork when it likes."""

    def __init__(self, issuer: str, url: str | None, trust: ssl.SSLContext, take: Take) -> None:
        self.issuer, self.url, self.trust, self.take = issuer, url, trust, take
        self.after_fork()
        self._fresh: float | None = None
        self._next = self._wish_from = 0.0
        self._backoff = 0
        self._told = False
        _all.add(self)

    def after_fork(self) -> None:
        """Whoever was at it is not in this process."""
        self._busy = threading.Lock()

    def usable(self) -> bool:
        now = time.monotonic()
        fresh = self._fresh is not None and now - self._fresh < MAX_AGE_S
        if fresh and now >= self._next:
            self._start()
        return fresh

    def due(self) -> bool:
        """There are no keys that may be used, and it is time to try."""
        return time.monotonic() >= self._next

    def wish(self) -> None:
        """A token has a key that is not known. Whoever sends such tokens makes a request to the issuer every 30 s."""
        now = time.monotonic()
        if now >= self._wish_from:
            self._wish_from = now + WISH_S
            self._start()

    def refresh(self) -> None:
        """Now, unless somebody was at it: then it is waited for."""
        if not self._busy.acquire(timeout=2 * TIMEOUT_S):
            return
        try:
            if self.due():
                self._refresh()
        finally:
            self._busy.release()

    def _start(self) -> None:
        busy = self._busy
        if not busy.acquire(blocking=False):
            return

        def work() -> None:
            try:
                self._refresh()
            finally:
                busy.release()

        try:
            threading.Thread(target=work, name="lark-keys", daemon=True).start()
        except RuntimeError:  # no threads here, or no more: the next one who needs keys fetches them
            busy.release()

    def _refresh(self) -> None:
        started = time.monotonic()
        try:
            url = self.url or self._discover()
            count = self._take(url)
        except (fetch.Failed, ValueError) as error:
            log.error("lark: no keys from %s, those that are there stay: %s", self.url or self.issuer, error)
            self._backoff = min(2 * self._backoff or 1, BACKOFF_MAX_S)
            self._next, self._told = time.monotonic() + self._backoff, False
            return
        if not self._told:
            log.info("lark: %d keys from %s", count, url)
        self._fresh, self._next, self._backoff, self._told = started, started + EVERY_S, 0, True

    def _take(self, url: str) -> int:
        body = fetch.fetch(url, self.trust, FILE_MAX, TIMEOUT_S)
        try:
            return self.take(body)
        except ValueError as error:
            raise ValueError(f"{url}: {error}") from None

    def _discover(self) -> str:
        """jwks_uri of the issuer's metadata: OpenID Connect's, and where there is none OAuth's.
        source: OpenID Connect Discovery 1.0 section 4, RFC 8414 section 3"""
        issuer = self.issuer.removesuffix("/")
        scheme, _, rest = issuer.partition("://")
        host, slash, path = rest.partition("/")
        places = (f"{issuer}/.well-known/openid-configuration",
                  f"{scheme}://{host}/.well-known/oauth-authorization-server{slash}{path}")
        try:
            return self._metadata(places[0])
        except fetch.Failed as error:
            if error.status not in (400, 404, 405):
                raise
            return self._metadata(places[1])

    def _metadata(self, place: str) -> str:
        try:
            said = json.loads(fetch.fetch(place, self.trust, FILE_MAX, TIMEOUT_S))
            issuer, url = said.get("issuer"), said.get("jwks_uri")
        except (ValueError, AttributeError, RecursionError):
            raise fetch.Failed(f"{place}: it is no JSON object of an issuer's metadata") from None
        except fetch.Failed as error:
            raise fetch.Failed(f"{place}: {error}", error.status) from None
        if issuer != self.issuer:
            raise fetch.Failed(f"{place}: its \"issuer\" is {str(issuer)[:100]!r}, expected {self.issuer!r}, to the byte")
        problem = fetch.fault(url) if isinstance(url, str) else "expected a URL"
        if problem is not None:
            raise fetch.Failed(f"{place}: its \"jwks_uri\": {problem}, got {str(url)[:100]!r}")
        return str(url)


_all: weakref.WeakSet[FetchedKeys] = weakref.WeakSet()


def _after_fork() -> None:
    for keys in list(_all):
        keys.after_fork()


os.register_at_fork(after_in_child=_after_fork)
