"""`lark serve` as its users start it: with options, an environment and a state folder of the test's own."""
import json
import os
import pathlib
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import time

from conftest import BUILD, free_port, wait_for

LARK = BUILD / "lark"
END_S = 20


def clean_environment(**names):
    """Ours without LARK_...; a name that is None is taken away."""
    merged = {**{k: v for k, v in os.environ.items() if not k.startswith("LARK_")}, **names}
    return {k: str(v) for k, v in merged.items() if v is not None}


def lark(*words, cwd=None, **environment):
    """Run to the end: (exit code, standard output, standard error)."""
    done = subprocess.run([LARK, *map(str, words)], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=END_S, cwd=cwd, env=clean_environment(**environment))
    return done.returncode, done.stdout, done.stderr


def refused(*options, **environment):
    """The one line that `lark serve` leaves with."""
    code, out, err = lark("serve", *options, **environment)
    assert code == 1 and out == "", (code, out, err)
    lines = err.splitlines()
    assert len(lines) == 1 and lines[0].startswith("lark: "), err
    return lines[0].removeprefix("lark: ")


def short_folder():
    """Body of a fixture: a folder whose path leaves room for a socket's name."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="lark-", dir="/tmp"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


def gone(pids, seconds=10):
    wait_for("all processes have ended", lambda: not any(alive(pid) for pid in pids), seconds)


def descendants(pid):
    """Process ids below a process, from /proc."""
    parents = {}
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text()
            except OSError:
                continue
            parents.setdefault(int(stat.rpartition(")")[2].split()[1]), []).append(int(entry.name))
    found, todo = [], [pid]
    while todo:
        below = parents.get(todo.pop(), [])
        found += below
        todo += below
    return found


def alive(pid):
    """Does it run? A zombie does not."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def command_of(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return ""


def owner_of(pid):
    return pathlib.Path(f"/proc/{pid}").stat().st_uid


def pending(pipe):
    """What can be read from a pipe without waiting."""
    got = b""
    while select.select([pipe], [], [], 0)[0]:
        piece = os.read(pipe.fileno(), 65536)
        if not piece:
            break
        got += piece
    return got.decode()


class Serve:
    """A running `lark serve`. It is up, or has ended, when the constructor is through.

    with Serve(state, "--default-scopes", "admin") as server: ..."""

    def __init__(self, state, *options, port=None, before=(), program=LARK, wait=True, **environment):
        self.port = port or free_port()
        self.state = state
        self.process = subprocess.Popen(
            [*before, program, "serve", "--state-dir", state, "--listen", f"127.0.0.1:{self.port}", *map(str, options)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd="/",
            env=clean_environment(**environment))
        self.out = self.err = ""
        if wait:
            try:
                wait_for("lark serve is up", lambda: "Ctrl-C stops it" in self.said() or self.process.poll() is not None)
            except BaseException:
                self.kill()
                raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()

    def said(self):
        """All that it has written so far."""
        self.out += pending(self.process.stdout)
        self.err += pending(self.process.stderr)
        return self.out + self.err

    def up(self):
        self.said()
        return "Ctrl-C stops it" in self.out

    def children(self, word):
        """Process ids below us whose command line holds the word."""
        return [pid for pid in descendants(self.process.pid) if word in command_of(pid)]

    def redis_pid(self):
        return wait_for("a private Redis", lambda: self.children("redis-server"))[0]

    def nginx_pid(self):
        return self.children("nginx: master")[0]

    def send(self, number):
        self.process.send_signal(number)

    def request(self, verb, path, body=b"", timeout=10):
        """(status, body) of one request on a connection of its own."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=timeout) as connection:
            connection.sendall(f"{verb} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
                               f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
            got = b""
            while piece := connection.recv(65536):
                got += piece
        head, _, content = got.partition(b"\r\n\r\n")
        return int(head.split()[1]), content

    def put(self, key, value):
        status, body = self.request("POST", f"/api/0/SET/{key}/", json.dumps({"value": value}).encode())
        assert status == 200, body

    def got(self, key):
        status, body = self.request("GET", f"/api/0/GET/{key}/")
        assert status == 200, body
        return json.loads(body)["data"]

    def end(self, number=signal.SIGTERM):
        """Stop it and see that nothing of it is left: the exit code."""
        below = descendants(self.process.pid)
        self.send(number)
        code = self.process.wait(END_S)
        self.said()
        assert [command_of(pid) for pid in below if alive(pid)] == []
        return code

    def kill(self):
        """Make sure that it is gone, with all below it. Ends only what this object started."""
        below = descendants(self.process.pid)
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(END_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        until = time.monotonic() + 5
        while any(alive(pid) for pid in below) and time.monotonic() < until:
            time.sleep(0.02)
        for pid in below:
            if alive(pid):
                os.kill(pid, signal.SIGKILL)
        self.said()
        self.process.stdout.close()
        self.process.stderr.close()
