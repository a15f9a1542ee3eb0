from django.apps import AppConfig


class LarkConfig(AppConfig):
    name = "lark_redis.django"
    label = "lark_redis"
    verbose_name = "Lark"

    def ready(self) -> None:
        from . import checks

        checks.register_them()
