"""nginx with the Lark module, started by the test itself: configurations that `lark serve` does not write."""
import concurrent.futures
import contextlib
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time

import conftest
import http_raw
import redis

MODULE = conftest.BUILD / "ngx_http_lark_module.so"
ERRORS = "error_page 400 403 404 405 413 414 415 421 429 494 500 501 502 503 504 /lark-error;"

CONFIG = """\
load_module {module};
daemon off;
master_process on;
{user}
worker_processes 1;
worker_shutdown_timeout {leave};
pid {state}/nginx.pid;
error_log {state}/error.log info;
{main}
events {{ worker_connections {connections}; }}
http {{
    access_log off;
    merge_slashes off;
    client_body_temp_path {state}/body;
    proxy_temp_path {state}/proxy;
    fastcgi_temp_path {state}/fastcgi;
    uwsgi_temp_path {state}/uwsgi;
    scgi_temp_path {state}/scgi;
    lark_redis main {redis};
    {failures}
    {http}
    server {{
        listen 127.0.0.1:{port} {listen};
        server_name localhost 127.0.0.1;
        {errors}
        {server}
        location /api/0/ {{
            lark main;
            {default_scopes}
            {location}
        }}
        location = /healthz {{ lark_health main; {health} }}
        location = /lark-error {{ internal; lark_error; }}
    }}
}}
"""


class RedisServer:
    """A redis-server on a TCP port, which can be killed and started again."""

    def __init__(self, *options):
        self.port = conftest.free_port()
        self.state = pathlib.Path(tempfile.mkdtemp(prefix="lark-redis-", dir="/tmp"))
        self.options = options
        self.url = f"redis://127.0.0.1:{self.port}"
        self.client = redis.Redis(port=self.port, retry=None, password=self._password(),
                                  socket_timeout=conftest.CLIENT_S)
        self.start()

    def _password(self):
        return self.options[self.options.index("--requirepass") + 1] if "--requirepass" in self.options else None

    def start(self):
        self.process = subprocess.Popen(
            ["redis-server", "--bind", "127.0.0.1", "--port", str(self.port), "--dir", self.state, "--save", "",
             "--appendonly", "no", "--enable-debug-command", "local", *self.options],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        conftest.wait_for("redis-server answers", self.answers)
        return self

    def answers(self):
        try:
            return self.client.ping()
        except redis.ConnectionError:
            return False

    def kill(self):
        self.process.kill()
        self.process.wait()

    def freeze(self):
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self):
        self.process.send_signal(signal.SIGCONT)

    def stop(self):
        self.client.close()
        if self.process.poll() is None:
            self.thaw()
            conftest.stop(self.process, "redis-server")
        shutil.rmtree(self.state, ignore_errors=True)


class Nginx(http_raw.Client):
    """settings: redis, main, connections, leave, http, server, location, health, listen, scopes, errors, failures; see CONFIG.
    Bad credentials are not limited: tests show many."""

    def __init__(self, redis_url, **settings):
        super().__init__(conftest.free_port())
        self.state = pathlib.Path(tempfile.mkdtemp(prefix="lark-nginx-", dir="/tmp"))
        self.process = None
        self.allowed = None  # what a line of the log may say and is no complaint
        self.values = {"module": MODULE, "state": self.state, "port": self.port, "redis": redis_url, "main": "",
                       "connections": 512, "leave": "20s", "http": "", "server": "", "location": "", "health": "", "listen": "",
                       "scopes": "admin", "errors": ERRORS, "failures": "lark_rate_failures off;",
                       "user": "user root;" if os.geteuid() == 0 else ""}
        self.write(**settings)

    def write(self, **settings):
        self.values.update(settings)
        self.values["default_scopes"] = f"lark_default_scopes {self.values['scopes']};" if self.values["scopes"] else ""
        (self.state / "nginx.conf").write_text(CONFIG.format(**self.values))

    def command(self, *words):
        return ["nginx", "-e", self.state / "error.log", "-p", self.state, "-c", self.state / "nginx.conf", *words]

    def check(self):
        """What `nginx -t` says: (does it take the configuration, its words)."""
        done = subprocess.run(self.command("-t"), stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              env=self.environment())
        return done.returncode == 0, done.stderr

    def start(self, **options):
        self.process = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, env=self.environment(), **options)
        conftest.wait_for("nginx listens", self._listens)
        return self

    def environment(self):
        """A module with sanitizers needs their libraries in nginx before anything else; what they find goes to files.
        They see the module's own memory, not overflows inside nginx' pools. LARK_TEST_ASAN: further options."""
        libraries = subprocess.run(["ldd", MODULE], capture_output=True, text=True, check=True).stdout.split()
        wanted = [word for word in libraries if word.startswith("/") and ("libasan" in word or "libubsan" in word)]
        if not wanted:
            return None
        more = os.environ.get("LARK_TEST_ASAN", "")
        return dict(os.environ, LD_PRELOAD=" ".join(wanted),
                    ASAN_OPTIONS=f"{more}detect_leaks=0:abort_on_error=1:log_path={self.state}/asan",
                    UBSAN_OPTIONS=f"halt_on_error=1:abort_on_error=1:print_stacktrace=1:log_path={self.state}/ubsan")

    def _listens(self):
        assert self.process.poll() is None, f"nginx ended with {self.process.returncode}:\n{self.said()}"
        try:
            self.connect().close()
        except OSError:
            return False
        return bool(self.workers())  # before that a signal would find no handler

    def said(self):
        path = self.state / "error.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def complaints(self):
        reports = [path.read_text(errors="replace") for path in self.state.glob("*san.*")]
        lines = [line for line in self.said().splitlines() if conftest.BAD_WORDS.search(line)]
        return [line for line in lines if not (self.allowed and self.allowed in line)] + reports

    def workers(self):
        children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(pid) for pid in children.read_text().split()]

    def signal(self, number):
        self.process.send_signal(number)

    def stop(self):
        self.close()
        try:
            if self.process is not None:
                code = conftest.stop(self.process, "nginx")
                assert code == 0 and not self.complaints(), f"nginx ended with {code}: {self.complaints()}"
        finally:
            shutil.rmtree(self.state, ignore_errors=True)

    def kill(self):
        """What a test that failed leaves behind."""
        if self.process and self.process.poll() is None:
            for pid in [*self.workers(), self.process.pid]:
                os.kill(pid, signal.SIGKILL)
            self.process.wait()

    def raw(self, request, wait_s=10):
        """Send these bytes on a new connection; all that comes until the server closes it or is silent."""
        with self.connect() as connection:
            connection.settimeout(wait_s)
            connection.sendall(request)
            return read_all(connection)


def read_all(connection):
    got = b""
    try:
        while chunk := connection.recv(65536):
            got += chunk
    except (TimeoutError, ConnectionResetError):
        pass
    return got


def answers(stream):
    """[(status, JSON body)] of all the answers in a stream of bytes."""
    found = []
    while stream:
        head, _, rest = stream.partition(b"\r\n\r\n")
        lines = head.split(b"\r\n")
        fields = {name.lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines[1:])}
        size = int(fields[b"content-length"])
        found.append((int(lines[0].split()[1]), json.loads(rest[:size])))
        stream = rest[size:]
    return found


def half_closed(client, request):
    """An answer to a caller that has said that it will send nothing more."""
    with client.connect() as connection:
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        return read_all(connection)


@contextlib.contextmanager
def serving(*redis_options, url="redis://127.0.0.1:{port}", between=None, **settings):
    """An nginx and a Redis of the test's own; between(port of Redis) makes something with a port that stands between."""
    with contextlib.ExitStack() as ends:
        redis = RedisServer(*redis_options)
        ends.callback(redis.stop)
        proxy = between(redis.port) if between else redis
        if between:
            ends.callback(proxy.stop)
        nginx = Nginx(url.format(port=proxy.port), **settings)
        nginx.redis, nginx.proxy = redis, proxy
        ends.callback(nginx.kill)
        yield nginx.start()
        nginx.stop()


def timed(call):
    begin = time.monotonic()
    return call(), time.monotonic() - begin


def aside(web, verb, target, body=None):
    """A caller of its own in a thread of its own: the future of its answer."""
    def ask():
        client = http_raw.Client(web.port)
        try:
            return client.request(verb, target, body)
        finally:
            client.close()

    pool = concurrent.futures.ThreadPoolExecutor(1)
    future = pool.submit(ask)
    pool.shutdown(wait=False)
    return future
