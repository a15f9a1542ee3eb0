"""What the tests of faults share: the proxy between Lark and Redis, the callers, and how a figure is told."""
import contextlib
import json
import os
import pathlib
import subprocess
import time

import conftest
import nginx_host

TOOLS = conftest.PLAN_HOST.parent.parent / "faults"
LONG = os.environ.get("LARK_FAULTS") == "long"
SANITIZED = b"__asan_init" in (conftest.BUILD / "lark").read_bytes()
# For nginx_host.Nginx: more connections than its own few
MANY = {"main": "worker_rlimit_nofile 20000;", "connections": 16000}


def form(short, long):
    """The size of a test: CI's, or that of `make faults`."""
    return long if LONG else short


def told(record_property, fault, figure, bar, good):
    """A row of the table that tools/run-tests prints; the test fails where it is not good."""
    record_property("row", json.dumps([fault, figure, bar, bool(good)]))
    assert good, f"{fault}: {figure}; wanted: {bar}"


class Proxy:
    """tests/faults/proxy.c, whose head has the commands."""

    def __init__(self, redis_port):
        self.process = subprocess.Popen([TOOLS / "lark-fault-proxy", str(redis_port)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True, bufsize=1)
        self.port = int(self.process.stdout.readline().split()[1])

    def say(self, command):
        self.process.stdin.write(command + "\n")
        answer = self.process.stdout.readline().strip()
        assert answer not in ("", "what?"), f"lark-fault-proxy: {command}: {answer}"
        return answer

    def stat(self):
        words = self.say("stat").split()
        return dict(zip(words[::2], map(int, words[1::2])))

    def stop(self):
        self.process.stdin.close()
        self.process.stdout.close()
        assert self.process.wait(10) == 0


def behind_proxy(*redis_options, **settings):
    """serving() with `.proxy` between Lark and Redis."""
    return nginx_host.serving(*redis_options, between=Proxy, **settings)


class Load:
    """tests/faults/load.c at work: Load(port, gets=1000, ...).result() is its report."""

    def __init__(self, port, **options):
        words = [word for name, value in options.items() for word in (f"--{name.replace('_', '-')}", str(value))]
        self.process = subprocess.Popen([TOOLS / "lark-fault-load", str(port), *words], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, text=True)
        if placed.now:
            with contextlib.suppress(PermissionError):
                os.sched_setscheduler(self.process.pid, os.SCHED_RR, os.sched_param(1))

    def end(self):
        """No more requests; the report."""
        self.process.terminate()
        return self.result()

    def result(self, wait_s=900):
        said, _ = self.process.communicate(timeout=wait_s)
        assert self.process.returncode == 0, self.process.returncode
        return json.loads(said)


@contextlib.contextmanager
def load(port, **options):
    """A Load beside the test's own steps; `.result()` or `.end()` it inside."""
    running = Load(port, **options)
    try:
        yield running
    finally:
        if running.process.poll() is None:
            running.process.kill()
            running.process.communicate()


def populate(client, small=0, large=0, large_bytes=0):
    """The keys that load.c asks for: what options of the same name say."""
    if small:
        client.execute_command("DEBUG", "POPULATE", small, "small")
    if large:
        client.execute_command("DEBUG", "POPULATE", large, "large", large_bytes)
    named = {"small": small, "large": large, "large_bytes": large_bytes}
    return {name: n for name, n in named.items() if n}


class Process:
    """What /proc tells of a process."""

    def __init__(self, pid):
        self.pid, self.folder = pid, pathlib.Path(f"/proc/{pid}")

    def _memory(self, name):
        return int((self.folder / "status").read_text().split(f"{name}:")[1].split()[0]) / 1024

    def resident_mb(self):
        return self._memory("VmRSS")

    def peak_mb(self):
        """The most since forget_peak()."""
        return self._memory("VmHWM")

    def forget_peak(self):
        (self.folder / "clear_refs").write_text("5")

    def cpu_s(self):
        fields = (self.folder / "stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def descriptors(self):
        return len(list((self.folder / "fd").iterdir()))


def worker(web):
    return Process(conftest.wait_for("one worker", lambda: len(web.workers()) == 1 and web.workers())[0])


def until(what, is_true, seconds, step_s=0.001):
    """Poll quickly; how many seconds it took."""
    begin = time.monotonic()
    while not is_true():
        assert time.monotonic() - begin < seconds, f"{what}: not within {seconds} s"
        time.sleep(step_s)
    return time.monotonic() - begin


def median(values):
    return sorted(values)[len(values) // 2]


@contextlib.contextmanager
def placed(web):
    """For what judges times: the worker has a processor for itself; Redis, readers and callers share another, and the
    callers run first. Without it a p99 tells how the scheduler spread four processes over two processors. Nothing changes
    where there is only one."""
    mine = os.sched_getaffinity(0)
    first, second = (sorted(mine) * 2)[:2]
    for pid, processor in ((worker(web).pid, first), (web.redis.process.pid, second), (os.getpid(), second)):
        for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
            os.sched_setaffinity(int(task.name), {processor})
    placed.now = True
    try:
        yield
    finally:
        placed.now = False
        os.sched_setaffinity(0, mine)


placed.now = False


def others(beside_ms, without_ms, bar):
    """The p99 of others in rounds, with and without something: is the median ratio under the bar? And words for the figure.
    Both times are parts of a millisecond. The long form, on a quiet machine, judges just the ratio. The short form runs
    beside anything, where it may tell of the scheduler alone: there the bar is twice as high, and 2 ms more are let pass."""
    ratio = median([beside / without for beside, without in zip(beside_ms, without_ms)])
    words = f"p99 {ratio:.2f} times ({median(beside_ms):.2f} ms, {median(without_ms):.2f} without)"
    if ratio < bar or LONG:
        return ratio < bar, words
    return median(beside_ms) < 2 * bar * median(without_ms) + 2, f"{words}; short form: {2 * bar:g} times and 2 ms"
