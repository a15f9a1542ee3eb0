"""As sync.py, with an asynchronous client of redis-py."""
from __future__ import annotations

import asyncio
import inspect
from typing import Any

import redis.asyncio
from redis import exceptions

from . import _core, cluster, failures
from .connection import in_step

# redis-py's own time-out of one reply answers None, as Redis does where there is nothing, and keeps the connection
# (redis-py issue 3113): ours ends before.
LATER_S = 60


async def run(client: Any, call: _core.Call, resp: bytes) -> None:
    """client: redis.asyncio.Redis (Sentinel's and fakeredis' too) or redis.asyncio.RedisCluster."""
    if isinstance(client, redis.asyncio.RedisCluster):
        await _run_cluster(client, call, resp)
        return
    tries = 0
    while not call.answered:
        tries += 1
        try:
            connection = await _take(client, call.lane)
        except exceptions.RedisError as error:
            failures.refuse(call, error)
            return
        try:
            await _talk(connection, call, resp)
        except exceptions.RedisError as error:
            if failures.may_repeat(call, error, tries):
                call.again()
            else:
                failures.lose(call, error)
        finally:
            await _give_back(client, connection, call)


async def _talk(connection: Any, call: _core.Call, resp: bytes | None) -> None:
    while not call.answered:
        try:
            if resp is not None:
                await connection.send_packed_command([resp], check_health=False)
            reply = await _read(connection, call.block_ms)
        except exceptions.RedisError as error:
            text = failures.reply_text(error)
            if text is None:
                await connection.disconnect(nowait=True)
                raise
            resp = call.feed_error(text)
        except BaseException:  # cancelled, too: the reply will still come, and is nobody's
            await connection.disconnect(nowait=True)
            raise
        else:
            resp = call.feed(reply)


async def _read(connection: Any, block_ms: int) -> Any:
    """A reply as it came. Time that Redis waits by itself is added to the client's time-out."""
    seconds = connection.socket_timeout
    if block_ms == 0 or not seconds:
        return await connection.read_response(disable_decoding=True)
    seconds += block_ms / 1000
    options = {}
    if "timeout" in inspect.signature(connection.read_response).parameters:  # fakeredis has none
        options["timeout"] = seconds + LATER_S
    try:
        async with asyncio.timeout(seconds):
            return await connection.read_response(disable_decoding=True, **options)
    except TimeoutError:
        raise exceptions.TimeoutError(f"no reply within {seconds} s") from None


async def _take(client: Any, lane: str) -> Any:
    pool = client.connection_pool
    if lane == "private":
        connection = pool.connection_class(**{**pool.connection_kwargs, "client_name": None})
        await connection.connect()
        return connection
    if client.single_connection_client:
        await client.initialize()
        await client._single_conn_lock.acquire()
        connection = client.connection
    else:
        connection = await (pool.get_connection("_") if failures.OLD_GET_CONNECTION else pool.get_connection())
    try:
        if not connection.is_connected:
            await connection.connect()
        await connection.check_health()
    except BaseException:
        await connection.disconnect(nowait=True)
        await _release(client, connection)
        raise
    return connection


async def _give_back(client: Any, connection: Any, call: _core.Call) -> None:
    if call.lane == "private" or not in_step(call):
        await connection.disconnect(nowait=True)
    if call.lane != "private":
        await _release(client, connection)


async def _release(client: Any, connection: Any) -> None:
    if client.single_connection_client:
        client._single_conn_lock.release()
    else:
        await client.connection_pool.release(connection)


# --- a cluster -------------------------------------------------------------------------------------------------------


async def _run_cluster(client: Any, call: _core.Call, resp: bytes) -> None:
    """As cluster.run."""
    try:
        await client.initialize()
    except cluster.FAILED as error:
        failures.refuse(call, error)
        return
    way = cluster.Way(client, call, resp)
    while not call.answered:
        try:
            if way.renews():
                await client.nodes_manager.initialize()
            node = way.node()
            connection = await _take_of_node(node, call.lane)
        except cluster.FAILED as error:
            way.missed(error)
            continue
        redirected = False
        try:
            await connection.send_packed_command([cluster.ASKING, resp] if way.asking else [resp], check_health=False)
            if way.asking:
                await _read(connection, 0)
            replies = [await _reply_or_error(connection, call) for _ in range(call.awaited)]
            redirected = way.redirected(replies)
            if not redirected:
                await _talk(connection, call, cluster.feed(call, replies))
        except exceptions.RedisError as error:
            await connection.disconnect(nowait=True)
            way.broke(error)
        finally:
            if call.lane == "private" or not (redirected or in_step(call)):
                await connection.disconnect(nowait=True)
            if call.lane != "private":
                _release_to_node(node, connection)


async def _take_of_node(node: Any, lane: str) -> Any:
    """A node keeps connections, and does not look whether they still stand."""
    if lane == "private":
        connection = node.connection_class(**{**node.connection_kwargs, "client_name": None})
        await connection.connect()
        return connection
    connection = node.acquire_connection()
    try:
        await connection.connect()
        if await _is_used_up(connection):
            await connection.disconnect(nowait=True)
            await connection.connect()
    except BaseException:
        await connection.disconnect(nowait=True)
        _release_to_node(node, connection)
        raise
    return connection


async def _is_used_up(connection: Any) -> bool:
    """Redis has closed it, or said something that nobody asked for."""
    can_read = getattr(connection, "can_read", None) or connection.can_read_destructive  # the name until redis-py 8
    try:
        return bool(await can_read())
    except (exceptions.RedisError, OSError):
        return True


def _release_to_node(node: Any, connection: Any) -> None:
    if hasattr(node, "release"):
        node.release(connection)
    else:  # redis-py before 6.4
        node._free.append(connection)


async def _reply_or_error(connection: Any, call: _core.Call) -> Any:
    """As connection.reply_or_error."""
    try:
        return await _read(connection, call.block_ms)
    except exceptions.RedisError as error:
        if failures.reply_text(error) is None:
            raise
        return error
