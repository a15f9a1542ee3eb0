"""lark serve with a Redis that is not its own: what is refused before nginx starts, and where the password is."""
import os
import pathlib
import signal
import socket
import stat

import pytest
from conftest import Redis, free_port, wait_for
from serve_host import Serve, command_of, descendants, refused, short_folder

ADMIN = ("--default-scopes", "admin")
folder = pytest.fixture(short_folder)


@pytest.fixture
def locked_redis():
    """A Redis with a password on TCP; (port, password)."""
    port = free_port()
    server = Redis("--port", str(port), "--bind", "127.0.0.1", "--requirepass", "s3cr et$", "--databases", "4")
    server.client.connection_pool.connection_kwargs["password"] = "s3cr et$"
    server.start()
    yield port
    server.stop()


def refused_redis(folder, *options):
    said = refused("--state-dir", folder / "s", "--listen", f"127.0.0.1:{free_port()}", *options)
    assert said.startswith("Redis at ") and " cannot be used: " in said and "s3cr" not in said
    return said.split(" cannot be used: ")[1]


def test_a_redis_that_is_not_there(folder):
    port = free_port()
    assert refused_redis(folder, "--redis", f"redis://127.0.0.1:{port}") == "Connection refused"
    assert refused_redis(folder, "--redis", f"unix://{folder}/none") == "No such file or directory"
    assert "name" in refused_redis(folder, "--redis", "redis://none.invalid").lower()


def test_a_redis_that_does_not_answer(folder):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"redis://127.0.0.1:{silent.getsockname()[1]}"
        assert refused_redis(folder, "--redis", url) == "it does not answer in time"


def test_what_answers_is_not_redis(folder):
    with Serve(folder / "other", *ADMIN) as other:
        said = refused_redis(folder, "--redis", f"redis://127.0.0.1:{other.port}")
        assert said == "what answers there is not Redis"


def test_passwords_and_databases(folder, locked_redis):
    (folder / "p").write_text("s3cr et$\n")
    (folder / "wrong").write_text("s3cr3t\n")
    host = f"127.0.0.1:{locked_redis}"
    assert refused_redis(folder, "--redis", f"redis://{host}") == "it wants a password; give it with --redis-password-file"
    assert refused_redis(folder, "--redis", f"redis://{host}/3") == (
        "it wants a password; give it with --redis-password-file")
    assert refused_redis(folder, "--redis", f"redis://{host}", "--redis-password-file",
                         folder / "wrong").startswith("it refuses the password: WRONGPASS")
    assert refused_redis(folder, "--redis", f"redis://{host}/4", "--redis-password-file",
                         folder / "p") == "it refuses database 4: ERR DB index is out of range"
    assert not (folder / "s" / "nginx.conf").exists()


def test_a_redis_without_a_password_is_given_one(folder, plain_redis):
    said = refused_redis(folder, "--redis", f"unix://:s3cret@{plain_redis.path}")
    assert said.startswith("it refuses the password: ERR AUTH")


@pytest.mark.parametrize("how", ["file", "url", "environment"])
def test_the_password_is_nowhere_to_be_seen(folder, locked_redis, how):
    (folder / "p").write_text("s3cr et$\n")
    host = f"127.0.0.1:{locked_redis}/2"
    secret = f"redis://default:s3cr%20et%24@{host}"
    options = {"file": ("--redis", f"redis://{host}", "--redis-password-file", folder / "p"),
               "url": ("--redis", secret), "environment": ()}[how]
    names = {"LARK_REDIS": secret} if how == "environment" else {}
    with Serve(folder / "s", *ADMIN, *options, **names) as server:
        assert server.up(), server.err
        server.put("a", how)
        assert server.got("a") == how
        for pid in [server.process.pid, *descendants(server.process.pid)]:
            assert "s3cr" not in command_of(pid)
        for pid in descendants(server.process.pid):
            assert b"s3cr" not in pathlib.Path(f"/proc/{pid}/environ").read_bytes()
        assert "s3cr" not in server.said()
        assert server.end() == 0
    holders = [p.name for p in (folder / "s").rglob("*") if p.is_file() and b"s3cr" in p.read_bytes()]
    assert holders == ["redis.password"]
    assert stat.S_IMODE((folder / "s" / "redis.password").stat().st_mode) == 0o600


def test_healthz_tells_that_redis_is_away(folder, plain_redis):
    with Serve(folder / "s", *ADMIN) as server:
        assert server.request("GET", "/healthz")[0] == 200
        os.kill(server.redis_pid(), signal.SIGSTOP)
        try:
            wait_for("503", lambda: server.request("GET", "/healthz", timeout=15)[0] == 503, 20)
        finally:
            os.kill(server.redis_pid(), signal.SIGCONT)
        wait_for("200", lambda: server.request("GET", "/healthz", timeout=15)[0] == 200, 20)
