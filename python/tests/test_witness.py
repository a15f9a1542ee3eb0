"""A reply never reaches another caller: each asks for nonces of its own, while others leave in the middle."""
import json
import random
import socket
import threading

import http_raw
import pytest
from conftest import Server, wait_for

CALLERS, ROUNDS = 16, 120
HOSTS = {"flask": ("wsgi", "flask_app", "/api/0"), "django": ("wsgi", "django_app", "/api/0"),
         "asgi": ("asgi", "asgi_app", "/api/0"), "django-async": ("asgi", "async_django_app", "/async/0")}


@pytest.fixture(scope="module", params=HOSTS, ids=list(HOSTS))
def host(request, redis_server):
    kind, name, mount = HOSTS[request.param]
    server = Server(kind, name, redis_server.path, mount, threads=8)
    yield server
    server.stop()


def caller(host, number, wrong):
    random_ = random.Random(number)
    mine = http_raw.Client(host.port, host.mount)
    for round_ in range(ROUNDS):
        nonce = f"{number}-{round_}-{random_.getrandbits(32)}"
        if random_.random() < 0.2:
            leave(host, nonce, random_)
            continue
        body = {"value": nonce * random_.choice((1, 100))}
        echoed = json.loads(mine.request("POST", "/ECHO/", body).body)
        if echoed.get("data") != body["value"]:
            wrong.append((body, echoed))
    mine.close()


def leave(host, nonce, random_):
    """Ask for something, and go before the answer is there."""
    body = json.dumps({"keys": [f"list-{nonce}"], "timeout": 0.05}).encode()
    with socket.create_connection(("127.0.0.1", host.port)) as connection:
        head = f"POST {host.mount}/BLPOP/ HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        connection.sendall((head + body)[: random_.randrange(10, len(head) + len(body) + 1)])


def test_no_reply_goes_astray(host, clean_redis):
    wrong = []
    threads = [threading.Thread(target=caller, args=(host, number, wrong)) for number in range(CALLERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong, wrong[:3]
    assert host.get("/PING/").data is True


def blocked(server):
    return server.client.info("clients")["blocked_clients"] > 0


def test_a_caller_who_leaves_takes_nothing(host, clean_redis):
    if host.name not in ("asgi_app",):
        pytest.skip("WSGI and Django do not tell that a caller has left")
    body = json.dumps({"keys": ["l"], "timeout": 20}).encode()
    with socket.create_connection(("127.0.0.1", host.port)) as connection:
        connection.sendall(f"POST {host.mount}/BLPOP/ HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}\r\n\r\n".encode()
                           + body)
        wait_for("it waits", lambda: blocked(clean_redis))
    wait_for("it waits no more", lambda: not blocked(clean_redis))
    clean_redis.client.rpush("l", "x")
    assert clean_redis.client.lrange("l", 0, -1) == [b"x"]
