from lark_redis.flask import redis_api_blueprint

from ..utils import RedisApiException

__all__ = ["RedisApiException", "redis_api_blueprint"]
