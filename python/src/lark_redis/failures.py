"""What redis-py raises becomes the text that Redis sent, or one of the host's own errors. Shared by sync.py and aio.py."""
from __future__ import annotations

import redis
from redis import exceptions

from . import _core

OLD_GET_CONNECTION = tuple(int(part) for part in redis.__version__.split(".")[:2]) < (5, 3)

# redis-py takes the first word off the errors that it has a class for (redis/_parsers/base.py, EXCEPTION_CLASSES), and
# says which it was from 7.0 on. The first class that fits counts.
_WORDS = [
    (exceptions.BusyLoadingError, "LOADING"),
    (exceptions.NoScriptError, "NOSCRIPT"),
    (exceptions.OutOfMemoryError, "OOM"),
    (exceptions.ExecAbortError, "EXECABORT"),
    (exceptions.ReadOnlyError, "READONLY"),
    (exceptions.NoPermissionError, "NOPERM"),
    (exceptions.MasterDownError, "MASTERDOWN"),
    (exceptions.ClusterDownError, "CLUSTERDOWN"),
    (exceptions.ClusterCrossSlotError, "CROSSSLOT"),
    (exceptions.TryAgainError, "TRYAGAIN"),
]
# First words that it has no class for, and so leaves: source: Redis 7, src/*.c, addReplyError("-WORD ...").
_KEPT = {
    "WRONGTYPE", "BUSYKEY", "BUSYGROUP", "BUSY", "MISCONF", "NOREPLICAS", "NOGROUP", "NOGOODSLAVE", "NOTBUSY", "UNKILLABLE",
    "NOADDR", "NOPROTO", "UNBLOCKED", "INPROG", "INVALIDOBJ", "DENIED", "DUPLICATE", "STATE", "NOMASTERLINK", "IOERR",
    "NOTREADY", "ERR",
}


def reply_text(error: Exception) -> bytes | None:
    """The error reply that redis-py made an exception of; None when it was none of Redis'."""
    word = getattr(error, "status_code", None)
    if word is None:
        word = _word(error)
    if word is None:
        return None
    text = f"{word} {error}" if word else str(error)
    return text.encode("utf-8", "surrogateescape")


def _word(error: Exception) -> str | None:
    """The word that was taken off; empty: none was."""
    for kind, word in _WORDS:
        if isinstance(error, kind):
            return word
    if isinstance(error, exceptions.MovedError):
        return f"MOVED {error.slot_id}"
    if isinstance(error, exceptions.AskError):
        return f"ASK {error.slot_id}"
    if isinstance(error, exceptions.AuthenticationError):
        return "WRONGPASS" if str(error).startswith(("invalid username", "WRONGPASS")) else "NOAUTH"
    if isinstance(error, exceptions.ResponseError):
        return "" if str(error).split(" ", 1)[0] in _KEPT else "ERR"
    # Sentinel's connections say so when a master has become a replica: it refused the command
    return "READONLY" if isinstance(error.__context__, exceptions.ReadOnlyError) else None


def is_full(error: Exception) -> bool:
    """Has the client's own pool no connection left? (The class is new in redis-py 6.)"""
    kind = getattr(exceptions, "MaxConnectionsError", ())
    return isinstance(error, kind) or str(error) in ("Too many connections", "No connection available.")


def refuse(call: _core.Call, error: Exception) -> None:
    """No connection was to be had: nothing was sent."""
    call.fail(_core.OVERLOAD if is_full(error) else _core.AWAY, got=str(error).encode("utf-8", "replace"))


def lose(call: _core.Call, error: Exception) -> None:
    """A command went out, and no reply came."""
    if isinstance(error, exceptions.TimeoutError):
        call.fail(_core.DEADLINE_UNKNOWN if call.writes else _core.DEADLINE)
    elif isinstance(error, exceptions.InvalidResponse):
        call.fail(_core.PROTOCOL)
    else:
        call.fail(_core.LOST_UNKNOWN if call.writes else _core.LOST)


def may_repeat(call: _core.Call, error: Exception, tries: int) -> bool:
    """A read whose connection broke is sent once more. A write never is."""
    return not call.writes and tries == 1 and not isinstance(error, (exceptions.TimeoutError, exceptions.InvalidResponse))
