"""RedisApiClient: one call of the API without HTTP, as the original had it.

    RedisApiClient.from_request("get", redis.Redis(), None, {}, (), {"key": "a"}, {"admin"})    -> the data"""
import json
import types

from lark_redis import Gate, Request, rows
from lark_redis.gate import scopes_of
from lark_redis.plan import Plan, plan
from lark_redis.sync import run
from redis.exceptions import ConnectionError, ResponseError


class RedisApiClientException(Exception):
    """There is no such method, or its parameters are wrong. status_code, error_code: as the HTTP API says it."""

    status_code = 400
    error_code = "bad_parameter"


class RedisApiClientAuthException(RedisApiClientException):
    """The scopes do not allow the method."""


class RedisApiClient:
    """Its attributes are the methods: RedisApiClient().get.scopes is the set of scopes any one of which allows GET."""

    def __getattr__(self, name):
        row = rows.ROWS.get(name)
        if row is None:
            raise AttributeError(name)
        return types.SimpleNamespace(method=name, scopes=set(row["scopes"]))

    @classmethod
    def from_request(cls, redis_method, r, request_json, get_query_dict, url_args, url_kwargs, request_scopes=frozenset()):
        """The data of a call. request_json: the body as values; get_query_dict: the query; url_kwargs: what the path holds.

        RedisApiClientException, RedisApiClientAuthException; and what redis-py raises: ResponseError, ConnectionError"""
        if redis_method not in rows.ROWS:
            raise RedisApiClientException(f"{redis_method} is not a redis method")
        query = {name: _list(get_query_dict, name) for name in get_query_dict or {}}
        verb, target = rows.target(redis_method, dict(url_kwargs or {}), query)
        body = b"" if request_json is None else json.dumps(request_json).encode()
        request = Request(verb, target.encode(), {"host": "localhost"})
        step = plan(request, Gate(scopes=scopes_of(request_scopes), hosts=None), body)
        if step.packed is not None:
            run(r, step.call, step.packed)
        return _data(step)


def _list(query, name):
    """All values of a name: Flask's and Django's dicts of queries have several."""
    values = query.getlist(name) if hasattr(query, "getlist") else query[name]
    return [str(value) for value in values] if isinstance(values, (list, tuple)) else [str(values)]


def _data(step: Plan):
    envelope = json.loads(step.call.body)
    meta = envelope["meta"]
    if meta["status"] == "ok":
        return envelope["data"]
    code, message = meta["error_code"], meta["error_message"]
    if code.startswith("redis_"):
        raise (ResponseError if step.call.status in (400, 403, 507) else ConnectionError)(message)
    kind = RedisApiClientAuthException if code in ("scope", "credentials", "prefix_refused") else RedisApiClientException
    error = kind(message)
    error.status_code, error.error_code = meta["status_code"], code
    raise error
