from lark_redis.flask import Redis

__all__ = ["Redis"]
