"""Real servers for the tests: `lark serve` with nginx and a private Redis, and the core alone with a Redis."""
import atexit
import base64
import contextlib
import hashlib
import json
import os
import pathlib
import random
import re
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time

import contract
import http_raw
import pytest
import redis

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
# Another build folder can be tested: LARK_TEST_BUILD=build-asan tools/run-tests e2e
BUILD = ROOT / os.environ.get("LARK_TEST_BUILD", "build")
PLAN_HOST = ROOT / os.environ.get("LARK_TEST_HOST_BUILD", "build-gcc") / "tests" / "host" / "lark-plan-host"
START_S, STOP_S, CLIENT_S = 20, 20, 50  # redis-py itself gives up after 5
BAD_WORDS = re.compile(r"exited on signal|\[(alert|emerg|crit)\]|Sanitizer|runtime error:|Assertion .* failed")


# nginx itself keeps memory until it ends: leaks are looked for in our own programs only.
SANITIZED_NGINX = """\
#!/bin/sh
export LD_PRELOAD="$(gcc -print-file-name=libasan.so) $(gcc -print-file-name=libubsan.so)"
export ASAN_OPTIONS="$ASAN_OPTIONS:detect_leaks=0"
exec {nginx} "$@"
"""


def use_sanitizers():
    """Where the build under test has sanitizers: let nginx take the module, and let all report into a folder."""
    if b"__asan_init" not in (BUILD / "lark").read_bytes():
        return None
    folder = pathlib.Path(tempfile.mkdtemp(prefix="lark-reports-", dir="/tmp"))
    folder.chmod(0o1777)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    script = folder / "nginx"
    script.write_text(SANITIZED_NGINX.format(nginx=shutil.which("nginx")))
    script.chmod(0o755)
    os.environ["PATH"] = f"{folder}:{os.environ['PATH']}"
    os.environ["ASAN_OPTIONS"] = f"abort_on_error=1:detect_leaks=1:log_path={folder}/asan"
    os.environ["UBSAN_OPTIONS"] = f"halt_on_error=1:abort_on_error=1:log_path={folder}/ubsan"
    return folder


REPORTS = use_sanitizers()

# What a shell starts in the background ignores SIGINT, and behind nohup SIGHUP; and so would all that the tests start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture(scope="session", autouse=True)
def no_reports():
    """No sanitizer had anything to say, in any process of the run."""
    yield
    if REPORTS:
        told = "".join(path.read_text(errors="replace") for path in sorted(REPORTS.glob("*san.*")))
        assert not told, told


def free_port():
    """Below those that the system gives to connections (32768 and on): one of them could take it before we do."""
    while True:
        port = random.SystemRandom().randrange(10000, 32768)  # not the seed that the workers share
        with socket.socket() as listener, contextlib.suppress(OSError):
            listener.bind(("127.0.0.1", port))
            return port


def wait_for(what, is_true, seconds=START_S):
    """Poll until it is true; the value it gave."""
    until = time.monotonic() + seconds
    while True:
        value = is_true()
        if value:
            return value
        assert time.monotonic() < until, f"{what}: not within {seconds} s"
        time.sleep(0.02)


def stop(process, name):
    """End a process that a fixture started; the exit code."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        return process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise AssertionError(f"{name} did not stop within {STOP_S} s of SIGTERM") from None


class Lark(http_raw.Client):
    """A `lark serve` of its own, on a free port, in a state folder of its own.

    port, url (with the mount point), state; get, post, delete, request, exchange: see http_raw.Client"""

    def __init__(self, *options, scopes="admin", private_redis=True, environment=None):
        super().__init__(free_port())
        self.url = f"http://127.0.0.1:{self.port}{self.mount}"
        # A short path: that of a Unix socket has to stay under 108 bytes.
        self.state = pathlib.Path(tempfile.mkdtemp(prefix="lark-", dir="/tmp"))
        self.output = self.state / "test-output.txt"
        self.private_redis = private_redis
        self._redis = None
        command = [BUILD / "lark", "serve", "--listen", f"127.0.0.1:{self.port}", "--state-dir", self.state / "s"]
        if scopes is not None:
            command += ["--default-scopes", scopes]
        clean = {name: value for name, value in os.environ.items() if not name.startswith("LARK_")}
        with self.output.open("wb") as output:
            self.process = subprocess.Popen([*command, *options], stdin=subprocess.DEVNULL, stdout=output,
                                            stderr=subprocess.STDOUT, env={**clean, **(environment or {})})

    def start(self):
        """Wait until it answers."""
        try:
            wait_for("lark serve answers", self._healthy)
        except AssertionError as error:
            self.stop()
            raise AssertionError(f"{error}\n{self.said()}") from None
        return self

    def _healthy(self):
        assert self.process.poll() is None, f"lark serve ended with {self.process.returncode}"
        try:
            return self.get("/healthz", mount="").status == 200
        except OSError:
            return False

    def said(self):
        return self.output.read_text(errors="replace")

    def redis(self):
        """redis-py on the private Redis' Unix socket; every value as bytes."""
        if self._redis is None:
            path = wait_for("the socket of the private Redis",
                            lambda: [p for p in self.state.rglob("*") if p.is_socket()])
            self._redis = redis.Redis(unix_socket_path=str(path[0]), socket_timeout=CLIENT_S)
        return self._redis

    def complaints(self):
        """Lines of any log below the state folder that tell of a crash or worse."""
        found = []
        for path in sorted(p for p in self.state.rglob("*") if p.is_file()):
            if path.suffix in (".log", ".txt"):
                found += [f"{path.name}: {line}" for line in path.read_text(errors="replace").splitlines()
                          if BAD_WORDS.search(line)]
        return found

    def stop(self):
        """Stop it and take the folder away; AssertionError when it ended badly or complained."""
        self.close()
        if self._redis is not None:
            self._redis.close()
        try:
            code = stop(self.process, "lark serve")
            complaints = self.complaints()
            assert code == 0 and not complaints, f"lark serve ended with {code}: {complaints}\n{self.said()}"
        finally:
            shutil.rmtree(self.state, ignore_errors=True)


class Redis:
    """A redis-server of its own on a Unix socket."""

    def __init__(self, *options):
        self.state = pathlib.Path(tempfile.mkdtemp(prefix="lark-redis-", dir="/tmp"))
        self.path = self.state / "redis.sock"
        self.process = subprocess.Popen(
            ["redis-server", "--port", "0", "--unixsocket", self.path, "--dir", self.state, "--save", "",
             "--appendonly", "no", "--enable-debug-command", "local", *options],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.client = redis.Redis(unix_socket_path=str(self.path), socket_timeout=CLIENT_S)

    def start(self):
        try:
            wait_for("redis-server answers", self._answers)
        except AssertionError:
            self.stop()
            raise
        return self

    def _answers(self):
        try:
            return self.client.ping()
        except redis.ConnectionError:
            return False

    def stop(self):
        self.client.close()
        stop(self.process, "redis-server")
        shutil.rmtree(self.state, ignore_errors=True)


class PlanHost:
    """tests/host/plan_host.c: the core with who calls given to the plan, and a Redis."""

    def __init__(self, server, *options):
        self.server = server
        self.process = subprocess.Popen([PLAN_HOST, server.path, *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def redis(self):
        return self.server.client

    def ask(self, question):
        self.process.stdin.write(json.dumps(question).encode() + b"\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, "lark-plan-host ended; its words are above"
        return json.loads(line)

    def transport(self, verb, target, body, headers, as_):
        """For contract.run_case. Nobody in particular is admin, as in the server under test."""
        as_ = as_ or {"scopes": ["admin"]}
        answer = self.ask({
            "verb": verb, "target": target, "values": headers.get("Lark-Values", ""),
            "body_base64": None if body is None else base64.b64encode(body).decode(),
            "scopes": as_["scopes"], "prefix": as_.get("prefix", ""),
        })
        return answer["status"], None, base64.b64decode(answer["body_base64"])

    def stop(self):
        self.process.stdin.close()
        code = self.process.wait(STOP_S)
        self.process.stdout.close()
        assert code == 0, f"lark-plan-host ended with {code}"


def contract_tokens(folder):
    """A tokens file with a token for every `as` of the contract's cases: (its path, {as: token})."""
    known, entries = {}, []
    for case in contract.cases():
        for step in case["steps"]:
            if "as" in step and http_raw.caller_key(step["as"]) not in known:
                token = f"lark_contract_{secrets.token_hex(32)}"
                known[http_raw.caller_key(step["as"])] = token
                entries.append({"name": f"caller {len(entries) + 1}", "scopes": step["as"]["scopes"],
                                "sha256": hashlib.sha256(token.encode()).hexdigest(), "prefix": step["as"].get("prefix"),
                                "expires": None})
    path = folder / "tokens.json"
    path.write_text(json.dumps({"tokens": entries}))
    return path, known


def _use(server):
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def lark(tmp_path_factory):
    """The server that most tests of one worker share, in development mode; it knows the contract's callers, too. Its Redis is
    empty when a test begins; leave the rest as you found it."""
    path, tokens = contract_tokens(tmp_path_factory.mktemp("tokens"))
    server = Lark("--tokens", path)
    server.tokens = tokens
    yield from _use(server)


@pytest.fixture
def own_lark():
    """own_lark(*options, scopes=...) starts further servers; each is stopped after the test."""
    with contextlib.ExitStack() as servers:
        def start(*options, **settings):
            server = Lark(*options, **settings).start()
            servers.callback(server.stop)
            return server

        yield start


@pytest.fixture(scope="session")
def plain_redis():
    """A Redis without a Lark in front."""
    yield from _use(Redis())


@pytest.fixture(scope="session", params=[(), ("1",)], ids=["whole", "bytewise"])
def plan_host(plain_redis, request):
    """Twice: all passes whole; body, commands and replies pass byte by byte."""
    host = PlanHost(plain_redis, *request.param)
    yield host
    host.stop()


@pytest.fixture(autouse=True)
def empty_redis(request):
    """Whatever ran before a test: the shared Redis that it uses is empty."""
    for name, redis_of in (("lark", Lark.redis), ("plain_redis", lambda server: server.client)):
        if name in request.fixturenames:
            redis_of(request.getfixturevalue(name)).flushall()
