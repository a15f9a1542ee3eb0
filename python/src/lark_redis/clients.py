"""The clients of redis-py that a mount point uses."""
from __future__ import annotations

import asyncio
import inspect
import threading
import weakref
from typing import Any


class Clients:
    """Clients(given): given is a client, or a function that makes one, which is called when a client is first needed: once in a
    process, and for asynchronous ones once in an event loop."""

    def __init__(self, given: Any) -> None:
        self._given, self._lock = given, threading.Lock()
        self._made: Any = None
        self._of_loops: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Any] = weakref.WeakKeyDictionary()

    def client(self) -> Any:
        if not callable(self._given):
            return self._given
        with self._lock:
            if self._made is None:
                self._made = self._given()
            return self._made

    async def async_client(self) -> Any:
        """The function may be async."""
        if not callable(self._given):
            return self._given
        loop = asyncio.get_running_loop()
        if loop not in self._of_loops:
            made = self._given()
            made = await made if inspect.iscoroutine(made) else made
            self._of_loops.setdefault(loop, made)  # of two at once the first counts; the other has no connection yet
        return self._of_loops[loop]
