"""The contract's cases, unchanged, through every host, on real servers."""
import os

import contract
import pytest
from conftest import Server

CASES = contract.cases()
HOSTS = {
    "flask": ("wsgi", "flask_app", {}),
    "flask-resp3-decode": ("wsgi", "flask_app", {"LARK_TEST_PROTOCOL": "3", "LARK_TEST_DECODE": "1"}),
    "django": ("wsgi", "django_app", {}),
    "asgi": ("asgi", "asgi_app", {}),
    "django-async-resp3": ("asgi", "async_django_app", {"mount": "/async/0", "LARK_TEST_PROTOCOL": "3"}),
}
if os.environ.get("LARK_PYTHON_SET") == "oldest":
    HOSTS = {name: HOSTS[name] for name in ("flask", "django", "asgi")}


@pytest.fixture(scope="module", params=HOSTS, ids=list(HOSTS))
def host(request, redis_server):
    kind, name, settings = HOSTS[request.param]
    server = Server(kind, name, redis_server.path, **settings)
    yield server
    server.stop()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_contract(case, host, clean_redis):
    contract.run_case(case, host.transport)
