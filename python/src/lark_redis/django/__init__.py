"""Lark in Django.

    REDIS_CONNECTION_METHOD = lambda: redis.Redis()          # settings.py; a function, or the dotted name of one
    DEFAULT_LARK_SCOPES = {"admin"}
    path("api/0/", include("lark_redis.django.urls"))         # urls.py; lark_redis.django.async_urls for async views

"lark_redis.django" in INSTALLED_APPS lets `manage.py check` look at the settings. docs/django.md"""
