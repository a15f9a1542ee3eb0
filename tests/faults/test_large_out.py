"""Values of 100 MB on their way out, and readers who take their time: the worker's memory, and the others."""
import contextlib
import hashlib
import os
import pathlib
import shutil
import socket
import subprocess
import tempfile
import threading
import time

import conftest
import http_raw
import pytest
from faults import SANITIZED, form, load, others, placed, populate, told, until, worker
from nginx_host import serving

pytestmark = [pytest.mark.timeout(form(120, 1800)), pytest.mark.skipif(SANITIZED, reason="they measure memory")]

MB = 1024 * 1024
SIZE = 100 * MB
LARGEST = form(200, 512) * MB  # what Redis takes at most
SETTINGS = {"location": "lark_timeout 60s;", "server": "client_max_body_size 600m;"}
RAW = {"Lark-Values": "raw"}


def value(size=SIZE):
    """No two blocks the same; text, so that each form can carry it."""
    block = "".join(hashlib.sha256(str(i).encode()).hexdigest() for i in range(1024))
    return "".join(f"{i:08d}{block[8:]}" for i in range(size // len(block) + 1))[:size].encode()


def ask(web, target, headers=None, receive_bytes=None):
    """A connection on which a GET was sent and whose reader has not begun."""
    connection = socket.socket()
    if receive_bytes:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    connection.settimeout(60)
    connection.connect(("127.0.0.1", web.port))
    fields = "".join(f"{name}: {text}\r\n" for name, text in (headers or {}).items())
    connection.sendall(f"GET /api/0{target} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n".encode())
    return connection


class Figures:
    """What a worker's memory grew by, and others' p99: beside again(), repeated, and beside instead(), in interleaved
    rounds. Redis stops for everybody while it makes a reply of this size (0.4 s were seen for 100 MB), whoever
    asks: what the same transfer past Lark does to them is the measure."""

    def __init__(self, web, again, instead):
        self.keys = populate(web.redis.client, small=10_000)
        process = worker(web)
        self.without, self.beside, self.n_times = [], [], 0
        self._measure(web, lambda: time.sleep(0.1))
        again()
        process.forget_peak()
        before = process.resident_mb()
        for _ in range(5):
            self.without.append(self._measure(web, instead))
            n = self.n_times
            self.beside.append(self._measure(web, again))
            assert self.n_times > n
        self.growth = process.peak_mb() - before
        self.others_live, self.others = others(self.beside, self.without, 2)

    def _measure(self, web, again):
        ends = threading.Event()
        thread = threading.Thread(target=self._repeat, args=(again, ends))
        thread.start()
        with load(web.port, callers=4, seconds=form(1, 4), **self.keys) as callers:
            got = callers.result()
        ends.set()
        thread.join()
        assert got["wrong"] == 0 and got["answered"] == got["started"], got
        return got["p99_ms"]

    def _repeat(self, again, ends):
        while not ends.is_set():
            begin = time.monotonic()
            again()
            self.n_times += 1
            ends.wait(max(0.0, 1 - (time.monotonic() - begin)))

    def __str__(self):
        return f"{self.growth:.1f} MB more; others' {self.others}"

    def good(self):
        return self.growth < 32 and self.others_live


BAR = "< 32 MB; others' p99 < 2 times of the same past Lark"


def get_directly(web):
    """The same at Redis itself."""
    with socket.create_connection(("127.0.0.1", web.redis.port), timeout=60) as connection:
        connection.sendall(b"*2\r\n$3\r\nGET\r\n$3\r\nbig\r\n")
        read_over(connection)


def skim(web, headers):
    """A GET of the large value whose bytes are not looked at."""
    with ask(web, "/GET/big/", headers) as connection:
        read_over(connection)


def read_over(connection):
    left = SIZE
    while left > 0:
        piece = connection.recv(MB)
        assert piece
        left -= len(piece)


def take(web, headers):
    """A GET of the large value, read at once: its digest, the envelope taken off."""
    with ask(web, "/GET/big/", headers) as connection:
        response = http_raw.http.client.HTTPResponse(connection, method="GET")
        response.begin()
        digest, first = hashlib.sha256(), True
        held = b""
        while piece := response.read(MB):
            if first and not headers:
                piece = piece.split(b'"data": "', 1)[1]
            first = False
            held += piece
            digest.update(held[:-2])
            held = held[-2:]
        digest.update(held if headers else b"")
        assert headers or held == b'"}'
        response.close()
    return digest.digest()


@pytest.mark.parametrize("how", ["as it is", "in JSON"])
def test_large_value_out(record_property, how):
    data = value()
    headers = RAW if how == "as it is" else None
    wanted = hashlib.sha256(data).digest()
    with serving(**SETTINGS) as web:
        web.redis.client.set("big", data)
        assert take(web, headers) == wanted
        with placed(web):
            figures = Figures(web, lambda: skim(web, headers), lambda: get_directly(web))
        assert take(web, headers) == wanted
    told(record_property, f"a 100 MB value out, {how}", str(figures), BAR, figures.good())


@pytest.mark.parametrize("how", ["as it is", "in JSON"])
def test_largest_value_out(record_property, how):
    headers = RAW if how == "as it is" else None
    data = value(LARGEST)
    with serving(**SETTINGS) as web:
        web.redis.client.set("big", data)
        wanted = hashlib.sha256(data).digest()
        del data
        process = worker(web)
        assert web.get("/PING/").data is True
        before = process.resident_mb()
        process.forget_peak()
        assert take(web, headers) == wanted
        growth = process.peak_mb() - before
    told(record_property, f"a {LARGEST // MB} MB value out, {how}", f"{growth:.1f} MB more", "< 32 MB", growth < 32)


def test_slow_readers(record_property):
    """Ten of 100 MB each, half in JSON; then one after the other leaves or reads to its end."""
    data = value()
    with serving(**SETTINGS) as web:
        web.redis.client.set("big", data)
        keys = populate(web.redis.client, small=10_000)
        process = worker(web)
        take(web, RAW)
        web.close()
        conftest.wait_for("the others are gone", lambda: process.descriptors() < 40, 10)
        descriptors = process.descriptors()
        process.forget_peak()
        before = process.resident_mb()
        with contextlib.ExitStack() as open_ones:
            readers = [open_ones.enter_context(ask(web, "/GET/big/", RAW if i % 2 else None, 32 * 1024))
                       for i in range(10)]
            for reader in readers:
                assert reader.recv(1000).startswith(b"HTTP/1.1 200")
            with placed(web):
                beside = measure_p99(web, keys)
            for i, reader in enumerate(readers):
                if i % 3 == 0:
                    reader.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
                    reader.close()
            readers[1].setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * MB)
            rest = count_bytes(readers[1], SIZE)
        growth = process.peak_mb() - before
        until("descriptors are as before", lambda: process.descriptors() <= descriptors, 5, 0.01)
        assert web.get("/PING/").status == 200
        with placed(web):
            alone = measure_p99(web, keys)
    live, how = others(beside, alone, 2)
    told(record_property, "ten slow readers of 100 MB, some leave", f"{growth:.1f} MB more, descriptors back to "
         f"{descriptors}; one read {rest:,} bytes; others' {how}",
         "< 32 MB; descriptors back to the start; p99 < 2 times", growth < 32 and rest >= SIZE - 2000 and live)


def count_bytes(connection, at_least):
    n = 0
    connection.settimeout(5)
    with contextlib.suppress(TimeoutError):
        while n < at_least and (piece := connection.recv(MB)):
            n += len(piece)
    return n


def measure_p99(web, keys, rounds=form(3, 5)):
    p99s = []
    for _ in range(rounds):
        with load(web.port, callers=4, seconds=form(1, 2), **keys) as callers:
            got = callers.result()
        assert got["answered"] == got["started"] and got["wrong"] == 0, got
        p99s.append(got["p99_ms"])
    return p99s


def test_stalled_reader(record_property):
    """It reads nothing of a large reply on the shared connection, and is there for longer than a deadline."""
    beside, alone = [], []
    with serving(location="lark_timeout 2s;", server="client_max_body_size 600m;") as web:
        keys = populate(web.redis.client, small=10_000)
        web.redis.client.set("big", "x" * 20 * MB)
        with placed(web):
            measure_p99(web, keys, 1)
            for _ in range(form(3, 5)):
                alone += measure_p99(web, keys, 1)
                with ask(web, "/GET/big/", None, 32 * 1024) as stalled:
                    assert stalled.recv(100).startswith(b"HTTP/1.1 200")
                    time.sleep(0.2)
                    beside += measure_p99(web, keys, 1)
    live, how = others(beside, alone, 2)
    told(record_property, "a reader who stalls at a 20 MB reply", f"others' {how}", "< 2 times", live)


def stalled_three(web):
    """What readers get who begin when Redis has sent more than there is room for."""
    seen = []
    web.redis.client.set("big", "x" * 60 * MB)
    web.redis.client.rpush("list", *["x" * 100_000] * 600)
    for target, headers in (("/GET/big/", RAW), ("/GET/big/", None), ("/LRANGE/list/0/-1/", None)):
        with ask(web, target, headers, 32 * 1024) as connection:
            time.sleep(1.5)
            try:
                answer, _ = http_raw.read_answer(connection)
                seen.append(f"{answer.status} {answer.error[0]}")
            except (http_raw.http.client.IncompleteRead, ConnectionError):
                seen.append("cut")
        assert web.get("/PING/").status == 200
    return seen


def test_spool_limit(record_property):
    """Before the headers a 502, after them the connection ends: never a part that looks whole."""
    with serving(http="lark_spool_max 30m;", **SETTINGS) as web:
        seen = stalled_three(web)
    told(record_property, "60 MB to a stalled reader, lark_spool_max 30m", ", ".join(seen), "502 before the headers, cut after",
         set(seen) <= {"502 spool_full", "cut"})


@contextlib.contextmanager
def small_disk(mb):
    """A file system that is full soon. It needs root, and the right to mount."""
    folder = tempfile.mkdtemp(prefix="lark-disk-", dir="/tmp")
    try:
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={mb}m,mode=755", "lark-test", folder],
                                 capture_output=True, text=True)
        if mounted.returncode:
            pytest.skip(f"no file system can be mounted here: {mounted.stderr.strip()}")
        try:
            yield pathlib.Path(folder)
        finally:
            subprocess.run(["umount", "--lazy", folder], check=True)
    finally:
        os.rmdir(folder)


def test_disk_full(record_property):
    """There is no room left where large answers and bodies wait: no part looks whole, nothing is half done, the others live."""
    with small_disk(20) as disk:
        location = f"{SETTINGS['location']} client_body_temp_path {disk}/body;"
        with serving(location=location, server=SETTINGS["server"]) as web:
            web.allowed = "No space left on device"
            seen = stalled_three(web)
            until("the room is there again", lambda: shutil.disk_usage(disk).used < MB, 5, 0.01)
            body = web.request("PUT", "/SET/new/", b"x" * 40 * MB)
            seen.append(f"a body: {body.status} {body.error[0]}")
            assert web.redis.client.exists("new") == 0
            until("the room is there again", lambda: shutil.disk_usage(disk).used < MB, 5, 0.01)
            assert web.request("PUT", "/SET/new/", b"x" * 10 * MB).data is True
    told(record_property, "a full disk: three large answers, a body", ", ".join(seen),
         "502 before the headers, cut after; the body 500, not done",
         set(seen[:3]) <= {"cut", "502 spool_full"} and seen[3] == "a body: 500 internal")
