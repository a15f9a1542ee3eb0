"""examples/microhttpd, built against what `make install` put, answers every case that needs no word on who calls."""
import re
import shutil
import subprocess

import conftest
import contract
import http_raw
import installed
import pytest

pytestmark = pytest.mark.timeout(600)

EXAMPLE = installed.ROOT / "examples" / "microhttpd"
CASES = [case for case in contract.cases() if not contract.needs_principal(case)]


class ExampleHost(http_raw.Client):
    def __init__(self, folder, redis):
        super().__init__(conftest.free_port())
        shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("lark-mini"), dirs_exist_ok=True)
        installed.run("make", "-C", folder, "CFLAGS=-O2 -g -Wall -Wextra -Wno-unused-parameter -Werror",
                      env=installed.environment())
        self.redis = redis
        self.process = subprocess.Popen([folder / "lark-mini", str(self.port), redis.path, "admin"],
                                        stdin=subprocess.DEVNULL, env=installed.environment())
        conftest.wait_for("the example listens", self.listens)

    def listens(self):
        assert self.process.poll() is None, f"lark-mini ended with {self.process.returncode}"
        try:
            self.connect().close()
        except OSError:
            return False
        return True

    def stop(self):
        self.close()
        assert self.process.poll() is None, f"lark-mini ended with {self.process.returncode}"
        conftest.stop(self.process, "lark-mini")


@pytest.fixture(scope="session")
def example(plain_redis, tmp_path_factory):
    host = ExampleHost(tmp_path_factory.mktemp("example"), plain_redis)
    yield host
    host.stop()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_contract(case, example):
    contract.run_case(case, example.transport)


def test_all_the_cases_are_there():
    assert len(CASES) == 277


def test_other_verbs(example):
    answer = example.request("OPTIONS", "/GET/a/")
    assert (answer.status, answer.headers["Allow"]) == (200, "GET, HEAD, OPTIONS")
    assert example.request("DELETE", "/GET/a/").headers["Allow"] == "GET, HEAD, OPTIONS"
    assert example.request("HEAD", "/GET/a/").body == b""


def test_other_sites_are_refused(example):
    assert example.get("/GET/a/", headers={"Host": "evil.example"}).error[0] == "foreign_host"
    assert example.get("/GET/a/", headers={"Origin": "http://evil.example"}).error[0] == "foreign_origin"


def test_a_blocked_call_disturbs_nobody(example):
    other = http_raw.Client(example.port)
    with other.connect() as waiting:
        waiting.sendall(f"GET /api/0/PING/ HTTP/1.1\r\nHost: 127.0.0.1:{example.port}\r\n\r\n".encode())
        http_raw.read_answer(waiting)
        body = b'{"keys": ["nothing-here"], "timeout": 2}'
        waiting.sendall(f"POST /api/0/BLPOP/ HTTP/1.1\r\nHost: 127.0.0.1:{example.port}\r\n"
                        f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
        assert example.post("/RPUSH/nothing-here/", {"values": ["late"]}).data == 1
        answer, _ = http_raw.read_answer(waiting, "POST")
        assert answer.data == ["nothing-here", "late"]


def test_it_is_short():
    lines = (EXAMPLE / "lark-mini.c").read_text()
    code = re.sub(r"/\*.*?\*/", "", lines, flags=re.S)
    assert len([line for line in code.splitlines() if line.strip()]) < 150
