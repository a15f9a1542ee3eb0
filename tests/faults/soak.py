"""Everything at once, for a long time, under ASan and UBSan: python tests/faults/soak.py MINUTES. Called by tools/soak.

Two servers stand before one Redis, behind the proxy: `steady`, whose worker stays the same, so that its memory tells of
leaks, and `reloaded`. Callers cancel, values are large, calls block; Redis is killed, connections are cut, delayed and
silent. Every ten seconds all hold still for a moment: that is when memory and descriptors are looked at.
"""
import contextlib
import functools
import os
import pathlib
import random
import shutil
import signal
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "e2e"), str(HERE.parent.parent / "tools")]

import faults  # noqa: E402
import exposition  # noqa: E402
import faults_table  # noqa: E402
import http_raw  # noqa: E402
import nginx_host  # noqa: E402
import token_files  # noqa: E402

ROUND_S = 10
CALM_S = 1.5
FIRST_S = 60
KEYS = {"small": 20_000, "large": 50, "large_bytes": 50_000}
LARGE_BYTES = (300_000, 1_500_000, 5_000_000)
DRIFT_MAX = 0.01
# What is freed is kept for a while, to find its use: so much, and no more, or it would look like a leak.
ASAN = "quarantine_size_mb=1:thread_local_quarantine_size_kb=64:malloc_context_size=8:allocator_release_to_os_interval_ms=500:"
# Who shows a token may call 50 times a second; whoever calls without one, as the load does, is not limited.
SETTINGS = {"location": "lark_timeout 3s; lark_block_max 5s; lark_rate_caller 50r/s burst=25;",
            "server": "client_max_body_size 64m; location = /metrics { lark_metrics; }"}
STEADY, FAST = token_files.new("steady"), token_files.new("fast")


class Tally:
    """Counts of several threads."""

    def __init__(self):
        self.lock, self.n = threading.Lock(), {}

    def add(self, **counts):
        with self.lock:
            for name, n in counts.items():
                self.n[name] = self.n.get(name, 0) + n

    def judge(self, right, what):
        self.add(wrong=not right)
        if not right:
            print(f"wrong: {what}", file=sys.stderr, flush=True)


def until_end(ends, step, tally):
    """Repeat it; a Redis that is away or a worker that leaves is no failure."""
    while not ends.is_set():
        try:
            step()
        except (OSError, http_raw.http.client.HTTPException):
            tally.add(cut=1)


def large_values(web, tally, name):
    """In and out again; between the two the value is nobody else's."""
    text = f"{random.random()}:" + "y" * random.choice(LARGE_BYTES)
    with contextlib.closing(http_raw.Client(web.port)) as client:
        written = client.post(f"/SET/{name}/", {"value": text})
        read = client.get(f"/GET/{name}/")
        if written.status == read.status == 200:
            tally.add(large=1)
            tally.judge(read.data in (text, None), f"{name}: {read!r}")  # None: Redis was killed in between


def blocking_calls(web, tally, name):
    """One waits for what another pushes; one leaves. The list is new: what a killed Redis has left belongs to nobody."""
    number = str(random.random())
    name = f"{name}-{number}"
    waiting = nginx_host.aside(web, "POST", "/BLPOP/", {"keys": [name], "timeout": 2})
    with contextlib.closing(http_raw.Client(web.port)) as client:
        with client.connect() as leaves:
            leaves.sendall(b"POST /api/0/BLPOP/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 34\r\n\r\n"
                           b'{"keys": ["nobody"], "timeout": 9}')
            time.sleep(random.uniform(0, 0.2))
        pushed = client.post(f"/RPUSH/{name}/", {"values": [number]})
    answer = waiting.result(20)
    if pushed.status == answer.status == 200 and answer.data is not None:
        tally.add(blocked=1)
        tally.judge(answer.data == [name, number], f"BLPOP of {name}, {number}: {answer!r}")


def token_calls(web, tally, name):
    """A caller with a token of his own, within his rate: his value, his prefix."""
    number = str(random.random())
    with contextlib.closing(http_raw.Client(web.port)) as client:
        written = client.post(f"/SET/{name}/", {"value": number}, headers=token_files.bearer(STEADY))
        read = client.get(f"/GET/{name}/", headers=token_files.bearer(STEADY))
        tally.judge(429 not in (written.status, read.status), f"{name}: a caller within his rate: {written!r} {read!r}")
        if written.status == read.status == 200:
            tally.add(tokens=2)
            tally.judge(read.data in (number, None), f"{name}: {read!r}")
    time.sleep(0.2)


def fast_calls(web, tally, name):
    """A caller over his rate is refused, and told how long to wait."""
    with contextlib.closing(http_raw.Client(web.port)) as client:
        for _ in range(100):
            answer = client.get(f"/GET/{name}/", headers=token_files.bearer(FAST))
            if answer.status == 429:
                tally.add(refused=1)
                tally.judge(answer.error[0] == "too_many_requests" and answer.headers["Retry-After"] == "1", f"{answer!r}")
    time.sleep(0.5)


class Watcher:
    """The metrics of one server, once a second: strictly read, and no counter goes backwards."""

    def __init__(self, web, tally):
        self.web, self.tally, self.last, self.ends = web, tally, {}, threading.Event()
        self.thread = threading.Thread(target=self.run)

    def look(self):
        with contextlib.closing(http_raw.Client(self.web.port)) as client:
            now = exposition.counters(exposition.parse(client.get("/metrics", mount="")))
        back = [key for key, number in self.last.items() if now.get(key, 0) < number]
        self.tally.judge(not back, f"metrics went backwards: {back[:3]}")
        self.tally.add(scrapes=1)
        self.last = now

    def run(self):
        while not self.ends.wait(1):
            try:
                self.look()
            except (OSError, http_raw.http.client.HTTPException):
                self.tally.add(cut=1)
            except (AssertionError, ValueError) as error:
                self.tally.judge(False, f"metrics: {error}")


def trouble(redis, proxy, reloaded, tally):
    """One fault at random."""
    kind = random.choice(("kill", "kill", "reload", "reload", "reset", "close", "cut", "silent", "delay"))
    if kind == "kill":
        redis.kill()
        time.sleep(random.uniform(0, 0.2))
        redis.start()
    elif kind == "reload":
        reloaded.signal(signal.SIGHUP)
    elif kind in ("reset", "close"):
        proxy.say(f"drop {kind}")
    elif kind == "cut":
        proxy.say(f"at {random.choice(('request', 'reply'))} {random.randrange(100_000)} reset")
    else:
        proxy.say("hole reply" if kind == "silent" else "delay 0 30")
        time.sleep(random.uniform(0.2, 1))
        proxy.say("hole none")
        proxy.say("delay 0 0")
    tally.add(**{kind: 1})


def quarter(values):
    """The lower quartile: a leak raises it as any other; what chances to be in use at a moment does not."""
    return sorted(values)[len(values) // 4]


class Soak:
    def __init__(self, minutes):
        self.seconds = minutes * 60
        self.tally = Tally()
        self.resident, self.descriptors = [], []
        self.redis = nginx_host.RedisServer()
        faults.populate(self.redis.client, **KEYS)
        self.redis.client.save()
        self.proxy = faults.Proxy(self.redis.port)
        url = f"redis://127.0.0.1:{self.proxy.port}"
        self.tokens = token_files.write(pathlib.Path(tempfile.mkdtemp(prefix="lark-soak-", dir="/tmp")) / "tokens.json",
                                        token_files.entry(STEADY, ["admin"], prefix="soak", name="steady"),
                                        token_files.entry(FAST, ["read:get"], name="fast"))
        settings = {**SETTINGS, "http": f"lark_tokens {self.tokens};"}
        self.steady, self.reloaded = (nginx_host.Nginx(url, **settings, **faults.MANY) for _ in range(2))
        self.watchers = [Watcher(web, self.tally) for web in (self.steady, self.reloaded)]

    def calm(self, begin):
        time.sleep(CALM_S)
        process = faults.worker(self.steady)
        self.resident.append((time.monotonic() - begin, process.resident_mb()))
        self.descriptors.append(process.descriptors())

    def round(self):
        ends = threading.Event()
        steps = [functools.partial(step, web, self.tally, f"{step.__name__}-{n}")
                 for n, web in enumerate((self.steady, self.reloaded)) for step in (large_values, blocking_calls, token_calls, fast_calls)]
        threads = [threading.Thread(target=until_end, args=(ends, step, self.tally)) for step in steps]
        with contextlib.ExitStack() as callers:
            loads = [callers.enter_context(faults.load(web.port, callers=32, depth=4, cancel=15, fresh=5, pause=5,
                                                       seconds=ROUND_S, **KEYS))
                     for web in (self.steady, self.reloaded)]
            for thread in threads:
                thread.start()
            until = time.monotonic() + ROUND_S
            while time.monotonic() < until:
                time.sleep(random.uniform(0.3, 3))
                trouble(self.redis, self.proxy, self.reloaded, self.tally)
            ends.set()
            for thread in threads:
                thread.join()
            for running in loads:
                got = running.result()
                self.tally.add(**{name: got[name] for name in ("answered", "wrong", "cancelled", "lost", "unanswered")})

    def run(self):
        begin = time.monotonic()
        steady_pid = None
        try:
            self.steady.start()
            self.reloaded.start()
            steady_pid = faults.worker(self.steady).pid
            for watcher in self.watchers:
                watcher.thread.start()
            while time.monotonic() - begin < self.seconds:
                self.round()
                self.calm(begin)
                self.say(begin)
            assert self.steady.workers() == [steady_pid], "the steady worker was replaced"
        finally:
            self.reports = self.end()
        return self.rows()

    def end(self):
        """Stop all; what was complained of."""
        said = []
        for watcher in self.watchers:
            watcher.ends.set()
            if watcher.thread.ident:
                watcher.thread.join()
        shutil.rmtree(self.tokens.parent)
        for web in (self.steady, self.reloaded):
            try:
                web.stop()
            except AssertionError as error:
                said.append(str(error))
        self.proxy.stop()
        self.redis.stop()
        return said

    def say(self, begin):
        n = self.tally.n
        print(f"{time.monotonic() - begin:5.0f} s: {self.resident[-1][1]:.1f} MB, {self.descriptors[-1]} descriptors, "
              f"{n.get('answered', 0):,} answered, {n.get('wrong', 0)} wrong", flush=True)

    def rows(self):
        n = self.tally.n
        first = min(FIRST_S, self.seconds / 2)
        later = [mb for at, mb in self.resident if at >= first]
        third = max(1, len(later) // 3)
        start, finish = quarter(later[:third]), quarter(later[-third:])
        drift = finish / start - 1
        events = ", ".join(f"{n.get(name, 0)} {name}" for name in ("kill", "reload", "cut", "reset", "close", "silent"))
        half = max(1, len(self.descriptors) // 2)
        before, after = min(self.descriptors[:half]), min(self.descriptors[half:] or self.descriptors)
        return [
            ("sanitizers' reports, crashes, alerts", f"{len(self.reports)} ({events})", "0", not self.reports),
            ("wrong replies", f"{n.get('wrong', 0)} of {n.get('answered', 0):,} ({n.get('large', 0)} large, "
             f"{n.get('blocked', 0)} blocking, {n.get('cancelled', 0):,} cancelled)", "0",
             n.get("wrong", 0) == 0 and n.get("answered", 0) > 0 and n.get("large", 0) > 0),
            ("metrics, read each second: strictly, never backwards; callers with tokens",
             f"{n.get('scrapes', 0)} read, {n.get('tokens', 0)} calls", "some of both", n.get("scrapes", 0) > 0 and n.get("tokens", 0) > 0),
            ("refused for calling too fast", str(n.get("refused", 0)), "some, and nobody else", n.get("refused", 0) > 0),
            ("requests without an answer", str(n.get("unanswered", 0)), "0", n.get("unanswered", 0) == 0),
            ("resident memory after the first minute", f"{start:.1f} -> {finish:.1f} MB: {100 * drift:+.2f}%",
             "drift < 1%", drift < DRIFT_MAX),
            ("descriptors, the fewest of each half", f"{before}, {after}", "stable", after <= before),
        ]


def main():
    minutes = float(sys.argv[1]) if len(sys.argv) > 1 else 30
    assert faults.SANITIZED, "LARK_TEST_BUILD is no build with sanitizers"
    os.environ["LARK_TEST_ASAN"] = ASAN
    soak = Soak(minutes)
    rows = soak.run()
    faults_table.show_rows([(*texts, "ok" if good else "FAILED") for *texts, good in rows])
    print("\n".join(soak.reports))
    failed = sum(not good for *_, good in rows)
    print(f"{len(rows) - failed} passed, {failed} failed")
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
