"""The processes of a benchmark: Redis, and the gateways that are compared. Each is started on the core it is given."""
import collections
import contextlib
import http.client
import json
import os
import pathlib
import re
import resource
import signal
import socket
import ssl
import subprocess
import time

LARK_HEADERS = ("x-content-type-options", "content-security-policy", "cross-origin-resource-policy", "cache-control",
                "vary")
# Bytes of an answer: with its head, and without
Sizes = collections.namedtuple("Sizes", "whole content")

ROOT = pathlib.Path(__file__).resolve().parent.parent


class Failure(Exception):
    """What is wrong, in words for a person."""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def pinned(core, *command):
    return ["taskset", "-c", str(core), *map(str, command)]


def tree(pid):
    """A process and all that come from it."""
    children = {}
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                stat = pathlib.Path(entry.path, "stat").read_text()
                children.setdefault(int(stat.rpartition(")")[2].split()[1]), []).append(int(entry.name))
    found = [pid]
    for one in found:
        found += children.get(one, [])
    return found


def cpu_us(pid):
    """CPU time of a process and its children, in user and kernel, all threads. The scheduler's nanoseconds where the
    kernel tells them, else the hundredths of a second in stat."""
    total = 0.0
    for one in tree(pid):
        with contextlib.suppress(OSError):
            for task in os.scandir(f"/proc/{one}/task"):
                try:
                    total += int(pathlib.Path(task.path, "schedstat").read_text().split()[0]) / 1000
                except (FileNotFoundError, IndexError):
                    fields = pathlib.Path(task.path, "stat").read_text().rpartition(")")[2].split()
                    total += (int(fields[11]) + int(fields[12])) * 1e6 / os.sysconf("SC_CLK_TCK")
    return total


class Server:
    """A process that answers on a port; its words go to a file in the state folder. tokens: a file of credentials, of which
    each request shows the next one. pair: files of its certificate and key, when it talks TLS."""
    name = None
    tokens = None
    pair = None

    def __init__(self, state, core):
        self.state, self.core, self.port, self.process = state / self.name, core, free_port(), None
        self.state.mkdir()
        self.log = self.state / "output.log"

    def start(self, *command):
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(pinned(self.core, *command), stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=subprocess.STDOUT, cwd=self.state)
        end = time.monotonic() + 30
        while True:
            with contextlib.suppress(OSError):
                self.connect()
                return
            if self.process.poll() is not None or time.monotonic() > end:
                raise Failure(f"{self.name} did not start:\n{self.log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.02)

    @property
    def scheme(self):
        return "https" if self.pair else "http"

    def connect(self):
        socket.create_connection(("127.0.0.1", self.port), timeout=1).close()

    def client(self, timeout):
        """Another client than those that load it."""
        if self.pair:
            return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=timeout,
                                               context=ssl.create_default_context(cafile=self.pair[0]))
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)

    def stop(self):
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def cpu_us(self):
        return cpu_us(self.process.pid)

    def ask(self, case):
        """One request. return: status, headers, body, bytes of the whole answer"""
        method, path, headers, body = self.request(case)
        connection = self.client(timeout=30)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            content = answer.read()
        except (OSError, http.client.HTTPException) as error:
            said = self.log.read_text(errors="replace")[-1000:]
            raise Failure(f"{self.name}, {case.name}: {error!r}\n{said}".strip()) from error
        finally:
            connection.close()
        head = sum(len(k) + len(v) + 4 for k, v in answer.getheaders()) + len(f"HTTP/1.1 200 {answer.reason}") + 4
        return answer.status, answer.headers, content, head + len(content)

    def check(self, case):
        """return: Sizes of an answer, as they are on the wire. Raises Failure when it is not what the case wants."""
        status, _, body, size = self.ask(case)
        try:
            good = status == 200 and self.value(case, json.loads(body)) == case.value
        except (ValueError, KeyError, TypeError):
            good = False
        if not good:
            raise Failure(f"{self.name}, {case.name}: a wrong answer, {status} {body[:200]!r}")
        return Sizes(size, len(body))


class Redis(Server):
    name = "redis"

    def __init__(self, state, core):
        super().__init__(state, core)
        self.socket = self.state / "redis.sock"
        self.start("redis-server", "--bind", "127.0.0.1", "--port", self.port, "--unixsocket", self.socket, "--save",
                   "", "--appendonly", "no", "--dir", self.state, "--logfile", self.state / "redis.log")

    def connect(self):
        super().connect()
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(str(self.socket))

    def command(self, *words):
        message = b"*%d\r\n" % len(words)
        for word in map(str.encode, words):
            message += b"$%d\r\n%s\r\n" % (len(word), word)
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(10)
            s.connect(str(self.socket))
            s.sendall(message)
            answer = s.recv(4096)
        if not answer or answer[:1] == b"-":
            raise Failure(f"Redis refused {words[0]}: {answer!r}")


def make_pair(state):
    """A certificate of one's own, and its key; both ECDSA, whose handshakes cost little."""
    pair = state / "cert.pem", state / "key.pem"
    if not pair[0].exists():
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                        "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-out", pair[0], "-keyout", pair[1]],
                       check=True, capture_output=True)
    return pair


class Lark(Server):
    name = "lark"

    def __init__(self, state, core, redis, build, *options, workers=1):
        super().__init__(state, core)
        url = f"unix://{redis.socket}" if redis.unix else f"redis://127.0.0.1:{redis.port}"
        self.about = f"lark serve --workers {workers} --default-scopes admin --redis {re.sub('^unix.*', 'unix://…', url)}"
        self.start(build / "lark", "serve", "--workers", workers, "--default-scopes", "admin", "--state-dir", self.state,
                   "--listen", f"127.0.0.1:{self.port}", "--redis", url, *options)

    def connect(self):
        """A listener is not enough: `lark serve` tries the port before nginx has it."""
        connection = self.client(timeout=1)
        try:
            connection.request("GET", "/healthz")
            if connection.getresponse().status != 200:
                raise ConnectionRefusedError("not yet")
        except http.client.HTTPException as error:
            raise ConnectionRefusedError("not yet") from error
        finally:
            connection.close()

    def request(self, case):
        return case.lark

    def value(self, case, answer):
        return answer["data"]


class LarkTwo(Lark):
    name = "lark-two"

    def __init__(self, state, core, redis, build):
        super().__init__(state, core, redis, build, workers=2)
        self.about += f", on the cores {core}"


class LarkTls(Lark):
    name = "lark-tls"

    def __init__(self, state, core, redis, build):
        self.pair = make_pair(state)
        super().__init__(state, core, redis, build, "--tls-cert", self.pair[0], "--tls-key", self.pair[1])
        self.about += " with --tls-cert and --tls-key (ECDSA, P-256)"


class LarkToken(Lark):
    """The same, with a token shown on each call: kept in a file, or in a token store and found there a moment ago."""

    def __init__(self, state, core, redis, build, store=False):
        self.name = "lark-store" if store else "lark-token"
        place = ["--token-store", f"unix://{redis.socket}?db=1"] if store else ["--tokens", state / "tokens.json"]
        made = subprocess.run([build / "lark", "token", "create", "--name", "bench", "--scopes", "admin", *place],
                              capture_output=True, text=True, check=True)
        self.header = {"Authorization": f"Bearer {made.stdout.strip()}"}
        super().__init__(state, core, redis, build, *place)
        self.about = f"the same with {'--token-store' if store else '--tokens'}, and a token shown on each call"

    def request(self, case):
        method, path, headers, body = case.lark
        return method, path, {**headers, **self.header}, body


class LarkJwt(Lark):
    """The same, with an access token of an issuer on each call: one that was verified before, or (first) each time another of
    twice as many as a worker keeps."""
    names = {"lark-rs256": ("RS256", False), "lark-rs256-first": ("RS256", True), "lark-eddsa": ("EdDSA", False),
             "lark-eddsa-first": ("EdDSA", True)}
    KEPT = 4096

    def __init__(self, state, core, redis, build, name):
        self.name = name
        alg, first = self.names[name]
        tokens, keys = state / f"{self.name}.tokens", state / f"{self.name}.jwks"
        made = subprocess.run(["node", ROOT / "bench/tokens.mjs", alg, str(2 * self.KEPT if first else 1), tokens],
                              capture_output=True, text=True, check=True)
        keys.write_text(made.stdout)
        self.header = {"Authorization": f"Bearer {tokens.read_text().split()[0]}"}
        self.tokens = tokens if first else None
        super().__init__(state, core, redis, build, "--oauth-issuer", "https://issuer.example", "--oauth-audience", "bench",
                         "--oauth-jwks", keys)
        self.about = f"the same with --oauth-issuer, and a JWT ({alg}) on each call, {'each time another' if first else 'the same'}"

    def request(self, case):
        method, path, headers, body = case.lark
        return method, path, {**headers, **self.header}, body


class Webdis(Server):
    def __init__(self, state, core, redis, threads, name="webdis"):
        self.name = name
        super().__init__(state, core)
        # One thread and its own pool size take the least CPU on one core (tried: 2 and 4 threads, pools of 1 and 20).
        # verbosity 0 logs errors only; websockets are off by default.
        config = {"redis_host": str(redis.socket) if redis.unix else "127.0.0.1", "redis_port": redis.port,
                  "redis_auth": None, "http_host": "127.0.0.1", "http_port": self.port, "threads": threads,
                  "daemonize": False, "database": 0, "acl": [{"disabled": ["DEBUG"]}], "verbosity": 0,
                  "logfile": str(self.state / "webdis.log")}
        (self.state / "webdis.json").write_text(json.dumps(config, indent=4))
        host = "the Unix socket" if redis.unix else "127.0.0.1"
        self.about = (f"webdis.json as packaged but redis_host {host}, threads {threads}, verbosity 0, daemonize false; core {core}")
        self.start("webdis", self.state / "webdis.json")

    def request(self, case):
        return case.webdis

    def value(self, case, answer):
        (value,) = answer.values()
        return True if value == [True, "OK"] else value


class Return200(Server):
    """nginx alone: what an answer of these bytes costs without asking anybody."""
    CONFIG = """\
daemon off;
worker_processes 1;
{user}worker_rlimit_nofile {files};
pid {state}/nginx.pid;
error_log {state}/error.log warn;
events {{ worker_connections {connections}; }}
http {{
    default_type application/json;
    access_log off;
{temp}
    server_tokens off;
    merge_slashes off;
    keepalive_requests 1000000000;
    large_client_header_buffers 8 64k;
    server {{
        listen 127.0.0.1:{port}{tls};
        server_name _;
{locations}
    }}
}}
"""

    def __init__(self, state, core, lark, cases, tls=False):
        self.name = "return-200-tls" if tls else "return-200"
        self.pair = make_pair(state) if tls else None
        super().__init__(state, core)
        self.about = f"nginx, one worker, `return 200` of the body and headers that Lark answers{', TLS and HTTP/2' if tls else ''}"
        temp = "\n".join(f"    {what}_temp_path {self.state}/{what};"
                         for what in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        files = min(resource.getrlimit(resource.RLIMIT_NOFILE)[1], 65536)  # as Lark sets its limits
        # One location for each path: cases that differ in connections alone share it.
        by_path = {case.lark[1].partition("?")[0]: case for case in cases}
        (self.state / "nginx.conf").write_text(self.CONFIG.format(
            state=self.state, port=self.port, temp=temp, files=files, connections=min(files // 2, 16384), tls=(
                f" ssl http2;\n        ssl_certificate {self.pair[0]};\n        ssl_certificate_key {self.pair[1]}" if tls else ""),
            user="user root;\n" if os.geteuid() == 0 else "",
            locations="\n".join(self.location(path, lark, case) for path, case in by_path.items())))
        self.start("nginx", "-e", self.state / "error.log", "-p", self.state, "-c", self.state / "nginx.conf")
        for case in cases:
            theirs, ours = lark.ask(case)[1], self.ask(case)[1]
            if set(map(str.lower, theirs)) != set(map(str.lower, ours)):
                raise Failure(f"Lark has other headers than `return 200`: {theirs.items()} {ours.items()}")

    @staticmethod
    def location(path, lark, case):
        """A parameter of nginx's configuration is shorter than 4 KB: a longer body is put together of variables."""
        _, headers, body, _ = lark.ask(case)
        text = body.decode()
        if "'" in text or "$" in text or "\\" in text:
            raise Failure(f"{case.name}: the body cannot be quoted in nginx's configuration")
        pieces = [text[i:i + 2000] for i in range(0, len(text), 2000)]
        lines = [f"location = {path} {{"]
        lines += [f'    add_header {name} "{headers[name]}";' for name in LARK_HEADERS if name in headers]
        if len(pieces) > 1:
            lines += [f"    set $p{i} '{piece}';" for i, piece in enumerate(pieces)]
            pieces = [f"$p{i}" for i in range(len(pieces))]
        lines += [f"    return 200 '{''.join(pieces)}';", "}"]
        return "\n".join("        " + line for line in lines)

    def request(self, case):
        return case.lark

    def value(self, case, answer):
        return answer["data"]
