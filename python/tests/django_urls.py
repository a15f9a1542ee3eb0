from django.urls import include, path

urlpatterns = [
    path("api/0/", include("lark_redis.django.urls")),
    path("async/0/", include("lark_redis.django.async_urls", namespace="async")),
]
