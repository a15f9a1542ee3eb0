"""path("api/0/", include("lark_redis.django.async_urls")): the same, with REDIS_ASYNC_CONNECTION_METHOD."""
from django.urls import re_path

from .checks import register_them
from .views import async_api

register_them()
app_name = "lark_redis"
urlpatterns = [re_path(r"(?s)^(?P<rest>.*)\Z", async_api, name="api")]
