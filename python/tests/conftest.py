"""Real servers around the applications of apps.py, and a real Redis. Run from an environment that has the wheel:
tools/run-tests python."""
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

import pytest

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
E2E = ROOT / "tests" / "e2e"
BUILD = ROOT / "build"
sys.path[:0] = [str(HERE), str(E2E)]

import contract  # noqa: E402
import http_raw  # noqa: E402

STOP_S = 20


class Redis:
    """A redis-server of its own on a Unix socket, or on a port."""

    def __init__(self, *options, port=0):
        import redis

        self.folder = tempfile.TemporaryDirectory(prefix="lark-python-", dir="/tmp")
        self.path = f"{self.folder.name}/redis.sock"
        self.process = subprocess.Popen(
            ["redis-server", "--port", str(port), "--unixsocket", self.path, "--dir", self.folder.name, "--save", "",
             "--appendonly", "no", "--enable-debug-command", "local", *options],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.client = redis.Redis(unix_socket_path=self.path)
        try:
            wait_for("redis-server answers", self._answers)
        except BaseException:
            self.process.kill()
            raise

    def _answers(self):
        import redis

        try:
            return self.client.ping()
        except redis.ConnectionError:
            return False

    def stop(self):
        self.client.close()
        self.process.terminate()
        self.process.wait(STOP_S)
        self.folder.cleanup()


def wait_for(what, is_true, seconds=20):
    until = time.monotonic() + seconds
    while not (value := is_true()):
        assert time.monotonic() < until, f"{what}: not within {seconds} s"
        time.sleep(0.02)
    return value


def free_port():
    import socket

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def serve_command(kind, name, port, threads=4):
    if kind == "wsgi":
        return [sys.executable, "-m", "gunicorn", "--bind", f"127.0.0.1:{port}", "--threads", str(threads), "--chdir", str(HERE),
                "--worker-class", "gthread", "--keep-alive", "30", "--worker-tmp-dir", "/tmp", "--limit-request-line", "65536",
                "--no-control-socket" if "--no-control-socket" in GUNICORN_HELP else "--preload", f"apps:{name}()"]
    return [sys.executable, "-m", "uvicorn", "--factory", "--host", "127.0.0.1", "--port", str(port), "--app-dir", str(HERE),
            "--log-level", "warning", "--h11-max-incomplete-event-size", "65536", f"apps:{name}"]


def _gunicorn_help():
    return subprocess.run([sys.executable, "-m", "gunicorn", "--help"], capture_output=True, text=True).stdout


GUNICORN_HELP = _gunicorn_help()


class Server(http_raw.Client):
    """An application of apps.py behind gunicorn or uvicorn."""

    def __init__(self, kind, name, socket_path, mount=contract.MOUNT, threads=4, **environment):
        super().__init__(free_port(), mount)
        self.name = name
        self.log = tempfile.NamedTemporaryFile(prefix="lark-python-", suffix=".log", dir="/tmp")
        self.process = subprocess.Popen(
            serve_command(kind, name, self.port, threads), stdin=subprocess.DEVNULL, stdout=self.log, stderr=subprocess.STDOUT,
            env={**os.environ, "LARK_TEST_REDIS": socket_path, "PYTHONPATH": str(HERE), "PYTHONDONTWRITEBYTECODE": "1",
                 **environment})
        try:
            wait_for(f"{name} answers", self._answers, 60)
        except AssertionError as error:
            self.stop()
            raise AssertionError(f"{error}\n{self.said()}") from None
        except BaseException:  # the test's own time-out
            self.process.kill()
            raise

    def _answers(self):
        assert self.process.poll() is None, "it ended"
        try:
            return self.request("GET", "/PING/").status in (200, 401)  # 401: who calls must show a token
        except OSError:
            return False

    def said(self):
        return pathlib.Path(self.log.name).read_text(errors="replace")

    def transport(self, verb, target, body, headers, as_):
        if as_ is not None:
            headers = {**headers, "X-Test-As": json.dumps(as_)}
        target = self.mount + target.removeprefix(contract.MOUNT)
        answer = self.request(verb, target, body, headers, mount="")
        return answer.status, answer.headers, answer.body

    def stop(self):
        self.close()
        self.process.terminate()
        code = self.process.wait(STOP_S)
        assert code in (0, -15), f"ended with {code}\n{self.said()}"


@pytest.fixture(scope="session")
def redis_server():
    server = Redis()
    yield server
    server.stop()


@pytest.fixture
def clean_redis(redis_server):
    redis_server.client.flushall()
    return redis_server
