"""path("api/0/", include("lark_redis.django.urls"))"""
from django.urls import re_path

from .checks import register_them
from .views import api

register_them()
app_name = "lark_redis"
urlpatterns = [re_path(r"(?s)^(?P<rest>.*)\Z", api, name="api")]
