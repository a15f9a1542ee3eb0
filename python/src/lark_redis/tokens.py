"""Bearer tokens: a tokens file, as the server takes it (`lark token create` writes one; docs/tokens.md)."""
from __future__ import annotations

import os
import pathlib
import threading
import time

from . import _core
from .gate import BadCredentials, Caller, log
from .http import Request


class TokensFile:
    """TokensFile(path): for `authenticate`. The file is read again when it has changed; one that is wrong then is told in
    the log, and the former counts on. require_prefix: a token without a prefix is refused unless it holds admin."""

    def __init__(self, path: str | os.PathLike[str], *, require_prefix: bool = False) -> None:
        self.path, self.require_prefix = pathlib.Path(path), require_prefix
        self._lock = threading.Lock()
        self._stamp = self._stat()
        self._tokens = self._read()

    def _stat(self) -> tuple[int, int, int]:
        stat = self.path.stat()
        return stat.st_mtime_ns, stat.st_ino, stat.st_size

    def _read(self) -> _core.Tokens:
        try:
            tokens = _core.Tokens(self.path.read_bytes())
        except ValueError as error:
            raise ValueError(f"{self.path}: {error}") from None
        for warning in tokens.warnings:
            log.warning("lark: %s: %s", self.path, warning)
        return tokens

    def _fresh(self) -> _core.Tokens:
        with self._lock:
            try:
                stamp = self._stat()
                if stamp != self._stamp:
                    self._stamp = stamp
                    self._tokens = self._read()
            except (OSError, ValueError) as error:
                log.error("lark: the tokens as they were count on: %s", error)
            return self._tokens

    def __call__(self, request: Request) -> Caller | None:
        header = request.headers.get("authorization")
        if header is None:
            return None
        found = self._fresh().find(header.strip().encode("latin-1", "replace"), int(time.time()), self.require_prefix)
        if found is None:
            raise BadCredentials(text="the token is not known", unknown=True)
        if len(found) == 2:
            raise BadCredentials(found[0], found[1])
        scopes, name, prefix = found
        return Caller(scopes, prefix.decode(), name=name)
