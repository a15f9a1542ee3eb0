"""One connection of a synchronous client of redis-py: taken, spoken on, given back."""
from __future__ import annotations

import inspect
from typing import Any

from redis import exceptions

from . import _core, failures


def talk(connection: Any, call: _core.Call, resp: bytes | None) -> None:
    """All steps of a call on one connection; resp None: further replies come. RedisError: it broke; it is closed then, so
    that nobody gets the reply."""
    while not call.answered:
        try:
            if resp is not None:
                connection.send_packed_command([resp], check_health=False)
            reply = read(connection, call.block_ms)
        except exceptions.RedisError as error:
            text = failures.reply_text(error)
            if text is None:
                connection.disconnect()
                raise
            resp = call.feed_error(text)
        except BaseException:
            connection.disconnect()
            raise
        else:
            resp = call.feed(reply)


def read(connection: Any, block_ms: int) -> Any:
    """A reply as it came. Time that Redis waits by itself is added to the client's time-out."""
    if block_ms == 0 or not connection.socket_timeout:
        return connection.read_response(disable_decoding=True)
    seconds = connection.socket_timeout + block_ms / 1000
    if "timeout" in inspect.signature(connection.read_response).parameters:
        return connection.read_response(disable_decoding=True, timeout=seconds)
    socket = connection._sock
    socket.settimeout(seconds)
    try:
        return connection.read_response(disable_decoding=True)
    finally:
        if connection._sock is socket:
            socket.settimeout(connection.socket_timeout)


def reply_or_error(connection: Any, call: _core.Call) -> Any:
    """A reply; an exception for an error of Redis'."""
    try:
        return read(connection, call.block_ms)
    except exceptions.RedisError as error:
        if failures.reply_text(error) is None:
            raise
        return error


def take(client: Any, lane: str) -> Any:
    """A connection that is ready. A private one keeps state: it is fresh, and closed afterwards."""
    pool = client.connection_pool
    if lane == "private":
        connection = pool.connection_class(**{**pool.connection_kwargs, "client_name": None})
        connection.connect()
        return connection
    if client.connection is not None:
        _lock(client, "acquire")
        connection = client.connection
    else:
        connection = pool.get_connection("_") if failures.OLD_GET_CONNECTION else pool.get_connection()
    try:
        connection.connect()  # a client's only connection may have broken since
        connection.check_health()
    except BaseException:
        connection.disconnect()
        _release(client, connection)
        raise
    return connection


def in_step(call: _core.Call) -> bool:
    """Is the next reply the next call's? Not behind a reply that this one cannot have, and not while one is awaited."""
    return call.answered and call.awaited == 0 and call.error != _core.PROTOCOL


def give_back(client: Any, connection: Any, lane: str, reusable: bool) -> None:
    if lane == "private" or not reusable:
        connection.disconnect()
    if lane != "private":
        _release(client, connection)


def _release(client: Any, connection: Any) -> None:
    if connection is client.connection:
        _lock(client, "release")
    else:
        client.connection_pool.release(connection)


def _lock(client: Any, what: str) -> None:
    """A client with one connection has a lock for it, from redis-py 5.1 on; before, threads could not share it."""
    lock = getattr(client, "single_connection_lock", None)
    if lock is not None:
        getattr(lock, what)()
