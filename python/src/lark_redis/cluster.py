"""RedisCluster: which node gets a call. On the node's own client it goes the way of any other.

A call goes to the node of its first key; keys in other slots are Redis' to refuse (CROSSSLOT). What looks at all keys
cannot be one call of a cluster: it is refused rather than answered in part."""
from __future__ import annotations

from typing import Any

from redis import exceptions

from . import _core, failures
from .connection import give_back, reply_or_error, take, talk

ASKING = b"*1\r\n$6\r\nASKING\r\n"
REDIRECTS_MAX = 5

WALKS = {b"SCAN", b"KEYS", b"DBSIZE", b"RANDOMKEY", b"FLUSHDB", b"FLUSHALL"}
REFUSED = b"ERR %s goes over all keys, and a cluster has them on many nodes: call it on each node"


def node_key(call: _core.Call, resp: bytes) -> bytes | None:
    """The key that says which node; None: any. The call is answered when it can be on none."""
    command = _core.commands(resp)[0]
    positions = [position for position in call.keys if command[0] not in WALKS]
    if command[0] in WALKS:
        call.feed_error(REFUSED % command[0])
    return command[positions[0]] if positions else None


def run(client: Any, call: _core.Call, resp: bytes) -> None:
    key = node_key(call, resp)
    if call.answered:
        return
    try:
        node = client.get_node_from_key(key) if key is not None else client.get_default_node()
    except (exceptions.RedisError, exceptions.RedisClusterException) as error:
        failures.refuse(call, error)
        return
    asking = False
    for _ in range(REDIRECTS_MAX):
        redirect = _on_node(client, node, call, resp, asking)
        if redirect is None:
            return
        asking = not isinstance(redirect, exceptions.MovedError)
        if not asking:
            client.nodes_manager.initialize()
        node = client.get_node(host=redirect.host, port=redirect.port) or node
    call.feed_error(b"TRYAGAIN the cluster sends the call from node to node")


def _on_node(
    client: Any, node: Any, call: _core.Call, resp: bytes, asking: bool
) -> exceptions.AskError | None:
    """Where the call is to go instead: then Redis did nothing of it."""
    single = client.get_redis_connection(node)
    tries = 0
    while not call.answered:
        tries += 1
        try:
            connection = take(single, call.lane)
        except exceptions.RedisError as error:
            failures.refuse(call, error)
            return None
        try:
            if asking:
                connection.send_packed_command([ASKING], check_health=False)
                connection.read_response(disable_decoding=True)
            connection.send_packed_command([resp], check_health=False)
            replies = [reply_or_error(connection, call) for _ in range(call.awaited)]
        except exceptions.RedisError as error:
            connection.disconnect()
            _failed(call, error, tries)
        except BaseException:
            connection.disconnect()
            raise
        else:
            redirect = redirect_of(replies)
            if redirect is not None:
                return redirect
            _finish(connection, call, replies)
        finally:
            give_back(single, connection, call)
    return None


def redirect_of(replies: list[Any]) -> exceptions.AskError | None:
    """Of a transaction each command is redirected, and nothing is done."""
    return next((reply for reply in replies if isinstance(reply, exceptions.AskError)), None)  # MovedError is one


def feed(call: _core.Call, replies: list[Any]) -> bytes | None:
    """The next step, if any."""
    step = None
    for reply in replies:
        text = failures.reply_text(reply) if isinstance(reply, exceptions.RedisError) else None
        step = call.feed(reply) if text is None else call.feed_error(text)
    return step


def _finish(connection: Any, call: _core.Call, replies: list[Any]) -> None:
    try:
        talk(connection, call, feed(call, replies))
    except exceptions.RedisError as error:
        failures.lose(call, error)


def _failed(call: _core.Call, error: exceptions.RedisError, tries: int) -> None:
    text = failures.reply_text(error)
    if text is not None:
        call.feed_error(text)
    elif failures.may_repeat(call, error, tries):
        call.again()
    else:
        failures.lose(call, error)
