from lark_redis.django.views import api as query_redis

__all__ = ["query_redis"]
