from lark_redis.django.urls import app_name, urlpatterns

__all__ = ["app_name", "urlpatterns"]
