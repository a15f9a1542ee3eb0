"""Brings the commands of a call to Redis with a synchronous client of redis-py, and its replies back.

It takes a connection of the client's pool and speaks on it itself: so replies come as Redis sent them, whatever
decode_responses and response callbacks are set, and nothing is sent twice that may not be."""
from __future__ import annotations

from typing import Any

import redis
from redis import exceptions

from . import _core, cluster, failures
from .connection import give_back, in_step, take, talk


def run(client: Any, call: _core.Call, resp: bytes) -> None:
    """client: redis.Redis (Sentinel's and fakeredis' too) or redis.RedisCluster. The call is answered when it returns."""
    if isinstance(client, redis.RedisCluster):
        cluster.run(client, call, resp)
        return
    tries = 0
    while not call.answered:
        tries += 1
        try:
            connection = take(client, call.lane)
        except exceptions.RedisError as error:
            failures.refuse(call, error)
            return
        try:
            talk(connection, call, resp)
        except exceptions.RedisError as error:
            if failures.may_repeat(call, error, tries):
                call.again()
            else:
                failures.lose(call, error)
        finally:
            give_back(client, connection, call.lane, in_step(call))
