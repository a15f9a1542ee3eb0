"""RedisCluster: which node gets a call. On the node's own client it goes the way of any other.

A call goes to the node of its first key; keys in other slots are Redis' to refuse (CROSSSLOT). What looks at all keys
cannot be one call of a cluster: it is refused rather than answered in part."""
from __future__ import annotations

import time
import weakref
from typing import Any

from redis import exceptions

from . import _core, failures
from .connection import give_back, in_step, reply_or_error, take, talk

ASKING = b"*1\r\n$6\r\nASKING\r\n"
REDIRECTS_MAX = 5
RENEW_EVERY_S = 1.0

FAILED = (exceptions.RedisError, exceptions.RedisClusterException)
WALKS = {b"SCAN", b"KEYS", b"DBSIZE", b"RANDOMKEY", b"FLUSHDB", b"FLUSHALL"}
REFUSED = b"ERR %s goes over all keys, and a cluster has them on many nodes: call it on each node"
LOST_IN_CLUSTER = b"TRYAGAIN the cluster sends the call from node to node"

# Clients whose view of the cluster has perhaps become wrong, and when it was read last because of that.
_doubted: weakref.WeakSet[Any] = weakref.WeakSet()
_renewed: weakref.WeakKeyDictionary[Any, float] = weakref.WeakKeyDictionary()


def node_key(call: _core.Call, resp: bytes) -> bytes | None:
    """The key that says which node; None: any. The call is answered when it can be on none."""
    commands = _core.commands(resp)
    command = commands[1] if len(commands) > 1 else commands[0]  # of a transaction the one behind MULTI
    if command[0] in WALKS:
        call.feed_error(REFUSED % command[0])
        return None
    keys = call.keys
    return command[keys[0]] if keys else None


class Way:
    """A call's way to the node that has its key, for synchronous and asynchronous clients alike: it is told what happened, and
    says where to go. renews(), node(), a connection; missed() when there is none; then redirected(), or broke()."""

    def __init__(self, client: Any, call: _core.Call, resp: bytes) -> None:
        self.client, self.call = client, call
        self.asking = False
        self._key = node_key(call, resp)
        self._ask: exceptions.AskError | None = None
        self._moved = self._renewing = False
        self._misses = self._breaks = self._redirects = 0

    def renews(self) -> bool:
        """Is the view of the cluster to be read anew first? Where a node is away once a second at most."""
        self._renewing = self._moved or self._is_due()
        if self._renewing:
            self._moved = False
            _doubted.discard(self.client)
            _renewed[self.client] = time.monotonic()
        return self._renewing

    def _is_due(self) -> bool:
        return self.client in _doubted and time.monotonic() - _renewed.get(self.client, 0.0) >= RENEW_EVERY_S

    def node(self) -> Any:
        """Where to, as far as the client knows. FAILED: nobody has the slot."""
        self._renewing = False
        if self._ask is None:
            return self.client.get_node_from_key(self._key) if self._key is not None else self.client.get_default_node()
        host, port = self.client.nodes_manager.remap_host_port(self._ask.host, self._ask.port)
        node = self.client.get_node(host=host, port=port)
        if node is None:
            raise exceptions.ClusterError(f"the cluster leads to {host}:{port}, which it does not list")
        return node

    def missed(self, error: Exception) -> None:
        """No connection, nothing was sent: the cluster may have changed."""
        self._misses += 1
        if not failures.is_full(error) and not self._renewing:
            _doubted.add(self.client)
            if self._misses == 1 and self._is_due():
                return
        failures.refuse(self.call, error)

    def broke(self, error: exceptions.RedisError) -> None:
        """The connection broke under the call; or ASKING was refused."""
        self._breaks += 1
        text = failures.reply_text(error)
        if text is not None:
            self.call.feed_error(text)
            return
        _doubted.add(self.client)
        if failures.may_repeat(self.call, error, self._breaks):
            self.call.again()
        else:
            failures.lose(self.call, error)

    def redirected(self, replies: list[Any]) -> bool:
        """Does Redis lead elsewhere? Then it did nothing; of a transaction each command is redirected."""
        if any(isinstance(reply, exceptions.ClusterDownError) for reply in replies):
            _doubted.add(self.client)
        redirect = next((reply for reply in replies if isinstance(reply, exceptions.AskError)), None)  # MovedError is one
        if redirect is None:
            return False
        self._redirects += 1
        self._moved = isinstance(redirect, exceptions.MovedError)
        self.asking, self._ask = not self._moved, None if self._moved else redirect
        if self._redirects == REDIRECTS_MAX:
            self.call.feed_error(LOST_IN_CLUSTER)
        return True


def feed(call: _core.Call, replies: list[Any]) -> bytes | None:
    """The next step, if any."""
    step = None
    for reply in replies:
        text = failures.reply_text(reply) if isinstance(reply, exceptions.RedisError) else None
        step = call.feed(reply) if text is None else call.feed_error(text)
    return step


def run(client: Any, call: _core.Call, resp: bytes) -> None:
    way = Way(client, call, resp)
    while not call.answered:
        try:
            if way.renews():
                client.nodes_manager.initialize()
            single = client.get_redis_connection(way.node())
            connection = take(single, call.lane)
        except FAILED as error:
            way.missed(error)
            continue
        redirected = False
        try:
            if way.asking:
                connection.send_packed_command([ASKING], check_health=False)
                connection.read_response(disable_decoding=True)
            connection.send_packed_command([resp], check_health=False)
            replies = [reply_or_error(connection, call) for _ in range(call.awaited)]
            redirected = way.redirected(replies)
            if not redirected:
                talk(connection, call, feed(call, replies))
        except exceptions.RedisError as error:
            connection.disconnect()
            way.broke(error)
        finally:
            give_back(single, connection, call.lane, redirected or in_step(call))
