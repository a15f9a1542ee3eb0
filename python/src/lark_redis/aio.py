"""As sync.py, with an asynchronous client of redis-py."""
from __future__ import annotations

import inspect
from typing import Any

import redis.asyncio
from redis import exceptions

from . import _core, cluster, failures


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
    if call.awaited > 0:
        await connection.disconnect(nowait=True)


async def _read(connection: Any, block_ms: int) -> Any:
    seconds = connection.socket_timeout
    if block_ms == 0 or not seconds:
        return await connection.read_response(disable_decoding=True)
    if "timeout" in inspect.signature(connection.read_response).parameters:
        return await connection.read_response(disable_decoding=True, timeout=seconds + block_ms / 1000)
    return await connection.read_response(disable_decoding=True)  # fakeredis


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
    if call.lane == "private" or call.error == _core.PROTOCOL:
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
    try:
        await client.initialize()
    except (exceptions.RedisError, exceptions.RedisClusterException) as error:
        failures.refuse(call, error)
        return
    key = cluster.node_key(call, resp)
    node, asking, tries = None, False, 0
    while not call.answered:
        tries += 1
        if tries > cluster.REDIRECTS_MAX:
            call.feed_error(b"TRYAGAIN the cluster sends the call from node to node")
            return
        try:
            if node is None:
                node = client.get_node_from_key(key) if key is not None else client.get_default_node()
            redirect = await _on_node(node, call, resp, asking)
            if redirect is None:
                return
            asking = not isinstance(redirect, exceptions.MovedError)
            if not asking:
                await client.nodes_manager.initialize()
            node = client.get_node(host=redirect.host, port=redirect.port)
        except (exceptions.RedisError, exceptions.RedisClusterException) as error:
            text = failures.reply_text(error)
            if text is not None:
                call.feed_error(text)
            elif failures.may_repeat(call, error, tries):
                call.again()
            else:
                failures.lose(call, error)


async def _on_node(node: Any, call: _core.Call, resp: bytes, asking: bool) -> exceptions.AskError | None:
    """Where the call is to go instead. RedisError: no connection, or it broke."""
    connection = node.acquire_connection()
    try:
        await connection.connect()
        await connection.send_packed_command([cluster.ASKING, resp] if asking else [resp], check_health=False)
        if asking:
            await _read(connection, 0)
        replies = [await _reply_or_error(connection, call) for _ in range(call.awaited)]
        redirect = cluster.redirect_of(replies)
        if redirect is None:
            await _talk(connection, call, cluster.feed(call, replies))
        return redirect
    except BaseException:
        await connection.disconnect(nowait=True)
        raise
    finally:
        if call.lane == "private" or call.error == _core.PROTOCOL:
            await connection.disconnect(nowait=True)
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
