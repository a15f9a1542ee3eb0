"""plan and shape: Lark without a host. The commands are yours to send, however you like.

    step = plan(Request("GET", b"/api/0/GET/a/", {"host": "localhost"}), gate, mount="/api/0")
    while step.answer is None:
        shape(step, my_redis_client(step.commands))
    return step.answer
"""
from __future__ import annotations

from . import _core, failures
from .gate import Gate
from .http import Answer, Request, answer_of


class Plan:
    """A request on its way. commands: what is to be sent now, each a list of arguments; answer: once there is one.
    writes: does it change anything? lane: "shared", "blocking" (a connection that nobody waits behind), "private" (a fresh
    one, closed afterwards); block_ms: how long Redis may wait by itself."""

    __slots__ = ("answer", "call", "packed")

    def __init__(self, call: _core.Call, packed: bytes | None, identified: bool = False, request: Request | None = None) -> None:
        self.call, self.packed = call, packed
        self.answer: Answer | None = answer_of(call, identified, request) if call.answered else None

    @property
    def commands(self) -> list[list[bytes]]:
        return _core.commands(self.packed) if self.packed is not None else []

    @property
    def method(self) -> str | None:
        return self.call.method

    @property
    def writes(self) -> bool:
        return self.call.writes

    @property
    def lane(self) -> str:
        return self.call.lane

    @property
    def block_ms(self) -> int:
        return self.call.block_ms


def plan(request: Request, gate: Gate, body: bytes = b"", mount: str = "") -> Plan:
    """What to send to Redis for a request; or, without a command, its answer."""
    call = gate.begin(request, mount.encode(), several=False)
    packed = None
    identified = not call.answered and gate.route(call, request, body)
    if not call.answered:
        packed = call.make(body)
    return Plan(call, packed, identified, request)


def shape(step: Plan, reply: object) -> Answer | None:
    """Take the reply to step.commands, as a Redis client parsed it; an exception for an error. None: step.commands are
    further ones, to be sent over the same connection."""
    if isinstance(reply, Exception):
        text = failures.reply_text(reply)
        if text is None:
            raise reply
        step.packed = step.call.feed_error(text)
    else:
        step.packed = step.call.feed(reply)
    step.answer = answer_of(step.call) if step.call.answered else None
    return step.answer
