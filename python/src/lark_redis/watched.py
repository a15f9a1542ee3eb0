"""A file that is read again when it has changed."""
from __future__ import annotations

import os
import pathlib
import threading
from collections.abc import Callable

from .gate import log


class Watched:
    """Watched(path, "the tokens", take): take gets the file's bytes, and uses them, or raises ValueError. The first time what is
    wrong is raised; later it is told in the log, and what was taken before counts on: a broken file until it changes, one
    that cannot be read until it can."""

    def __init__(self, path: str | os.PathLike[str], what: str, take: Callable[[bytes], object]) -> None:
        self.path, self._what, self._take = pathlib.Path(path), what, take
        self._lock = threading.Lock()
        self._told: str | None = None
        stamp = self._stat()
        self._read()
        self._stamp = stamp

    def look(self) -> None:
        """Is there something new?"""
        with self._lock:
            try:
                stamp = self._stat()
                if stamp == self._stamp:
                    return
                self._read()
            except ValueError as error:
                self._stamp = stamp
                self._tell(error)
            except OSError as error:
                self._tell(error)
            else:
                self._stamp, self._told = stamp, None

    def _stat(self) -> tuple[int, int, int]:
        stat = self.path.stat()
        return stat.st_mtime_ns, stat.st_ino, stat.st_size

    def _read(self) -> None:
        try:
            self._take(self.path.read_bytes())
        except ValueError as error:
            raise ValueError(f"{self.path}: {error}") from None

    def _tell(self, error: Exception) -> None:
        if str(error) != self._told:
            self._told = str(error)
            log.error("lark: %s as they were count on: %s", self._what, error)
