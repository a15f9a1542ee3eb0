"""Bearer tokens: a tokens file, as the server takes it (`lark token create` writes one; docs/tokens.md)."""
from __future__ import annotations

import os
import pathlib
import time

from . import _core
from .gate import BadCredentials, Caller, log
from .http import Request
from .watched import Watched


class TokensFile:
    """TokensFile(path): for `authenticate`. The file is read again when it has changed; one that is wrong then is told in
    the log, and the former counts on. require_prefix: a token without a prefix is refused unless it holds admin."""

    def __init__(self, path: str | os.PathLike[str], *, require_prefix: bool = False) -> None:
        self.path, self.require_prefix = pathlib.Path(path), require_prefix
        self._file = Watched(path, "the tokens", self._take)

    def _take(self, text: bytes) -> None:
        self._tokens = _core.Tokens(text)
        for warning in self._tokens.warnings:
            log.warning("lark: %s: %s", self.path, warning)

    def __call__(self, request: Request) -> Caller | None:
        header = request.headers.get("authorization")
        if header is None:
            return None
        self._file.look()
        found = self._tokens.find(header.strip().encode("latin-1", "replace"), int(time.time()), self.require_prefix)
        if found is None:
            raise BadCredentials(text="the token is not known", unknown=True)
        if len(found) == 2:
            raise BadCredentials(found[0], found[1])
        scopes, name, prefix = found
        return Caller(scopes, prefix.decode(), name=name)
