"""Lark as an ASGI application, for every framework that can mount one: FastAPI, Starlette, Quart and others."""
from __future__ import annotations

import asyncio
import urllib.parse
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from typing import Any

from . import _core, aio, gate as gates
from .clients import Clients
from .http import LOOPBACK, Answer, Request, answer_of, raw_target, utf8

Scope = Mapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Run = Callable[[_core.Call, bytes], Awaitable[None]]
Aside = Callable[[Callable[[], bool]], Awaitable[bool]]


class Left(Exception):
    """The caller is gone: there is nobody to answer."""


def request_of(scope: Scope) -> Request:
    root, path = scope.get("root_path", ""), scope["path"]
    full = path if path.startswith(root) else root + path
    target = raw_target(scope.get("raw_path"), full, scope.get("query_string", b""), utf8)
    headers: dict[str, str] = {}
    for name, value in scope["headers"]:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        headers[key] = f"{headers[key]}, {text}" if key in headers else text
    return Request(scope["method"], target, headers, scope.get("scheme", "http"), scope)


async def read_body(receive: Receive, request: Request, limit: int) -> bytes:
    gates.body_length(request, limit)
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Left
        part = message.get("body", b"")
        size += len(part)
        if size > limit:
            raise gates.TooLarge
        parts.append(part)
        if not message.get("more_body", False):
            return b"".join(parts)


async def handle(gate: gates.Gate, request: Request, mount: bytes, read: Callable[[int], Awaitable[bytes]], run: Run,
                 aside: Aside | None = None) -> Answer:
    """As lark_redis.gate.handle. read(limit): the body; aside: runs what asks the application who calls, where that may block."""
    call = gate.begin(request, mount)
    body: bytes | None = None
    if gate.asks and not call.answered:
        body = await _read(call, gate, mount, read)
    identified = False
    if not call.answered:
        identified = await _route(gate, call, request, body, aside)
    if not call.answered and body is None:
        body = await _read(call, gate, mount, read)
    if not call.answered:
        try:
            resp = call.make(body or b"")
            if resp is not None:
                await run(call, resp)
        except Exception as error:
            if isinstance(error, Left):
                raise
            gates.log.exception("lark: %s failed", call.method)
            call.fail(_core.INTERNAL)
    return answer_of(call, identified, request)


async def _route(gate: gates.Gate, call: _core.Call, request: Request, body: bytes | None, aside: Aside | None) -> bool:
    try:
        who = await gates.settled(gate.authenticate, request) if gate.authenticate else None
    except Exception:
        gates.log.exception("lark: who calls %s cannot be told", request.verb)
        call.fail(_core.INTERNAL)
        return False
    if aside is None:
        return gate.route(call, request, body, who)
    return await aside(lambda: gate.route(call, request, body, who))


async def _read(call: _core.Call, gate: gates.Gate, mount: bytes, read: Callable[[int], Awaitable[bytes]]) -> bytes | None:
    try:
        return await read(gate.config(mount).body_bytes)
    except gates.TooLarge:
        call.fail(_core.TOO_LARGE)
    except (ValueError, OSError):
        call.fail(_core.BAD_REQUEST)
    return None


async def while_there(receive: Receive, work: Awaitable[None]) -> None:
    """A blocked call ends when its caller leaves: else it would take an element that nobody gets."""
    task, gone = asyncio.ensure_future(work), asyncio.ensure_future(_gone(receive))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise Left
        await task
    finally:
        for pending in (task, gone):
            if not pending.done():
                pending.cancel()
                await asyncio.gather(pending, return_exceptions=True)


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


class Lark:
    """Lark(client, scopes={"read:*"}): an application. client: a redis.asyncio.Redis or RedisCluster, or a function (async or
    not) that makes one, for each event loop. The rest as in lark_redis.wsgi.Lark."""

    def __init__(
        self,
        client: Any,
        *,
        scopes: Iterable[str] = (),
        mount: str = "",
        app: Callable[[Scope, Receive, Send], Awaitable[None]] | None = None,
        hosts: Iterable[str] = LOOPBACK,
        limits: Mapping[str, int] | None = None,
        scope_getter: gates.ScopeGetter | None = None,
        prefix_getter: gates.PrefixGetter | None = None,
        authenticate: gates.Authenticate | None = None,
    ) -> None:
        self.clients, self.mount, self.app = Clients(client), mount, app
        self.gate = gates.Gate(gates.default_scopes(scopes, "scopes"), tuple(hosts), limits, scope_getter, prefix_getter,
                               authenticate)
        self.gate.config(mount.encode())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not self._ours(scope):
            await self._other(scope, receive, send)
            return
        request = request_of(scope)
        mount = urllib.parse.quote(scope.get("root_path", "") + self.mount, safe="/:@!$&'()*+,;=~").encode()

        async def run(call: _core.Call, resp: bytes) -> None:
            work = aio.run(await self.clients.async_client(), call, resp)
            await (while_there(receive, work) if call.lane == "blocking" else work)

        try:
            answer = await handle(self.gate, request, mount, lambda limit: read_body(receive, request, limit), run)
        except Left:
            return
        await respond(answer, request.verb, send)

    def _ours(self, scope: Scope) -> bool:
        if self.app is None:
            return True
        root, path = scope.get("root_path", ""), scope["path"]
        rest = path[len(root):] if path.startswith(root) else path
        return bool(rest == self.mount or rest.startswith(self.mount + "/"))

    async def _other(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.app is not None:
            await self.app(scope, receive, send)
        elif scope["type"] == "lifespan":
            while (message := await receive())["type"] != "lifespan.shutdown":
                await send({"type": message["type"] + ".complete"})
            await send({"type": "lifespan.shutdown.complete"})
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000})


async def respond(answer: Answer, verb: str, send: Send) -> None:
    headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in answer.headers]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if verb == "HEAD" else answer.body})
