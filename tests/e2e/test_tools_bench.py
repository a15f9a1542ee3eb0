"""The parts of `make bench`: its calls are what it says, its load is as paced, its report has all bars. No time is judged."""
import json
import pathlib
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

import conftest
import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.append(str(ROOT / "bench"))
import cases  # noqa: E402
import idle  # noqa: E402
import report  # noqa: E402
import servers  # noqa: E402

PACED = conftest.PLAN_HOST.parents[2] / "bench" / "lark-bench-paced"
CASES = list(cases.make_cases())


class Running(servers.Lark):
    """The tests' server, as the benchmark sees one."""

    def __init__(self, lark):
        self.port, self.process, self.log = lark.port, lark.process, lark.output


@pytest.fixture
def running(own_lark):
    lark = own_lark()
    client = lark.redis()
    client.command = client.execute_command
    cases.fill(client)
    return Running(lark)


def test_each_call_of_the_benchmark_is_answered_as_it_says(running):
    for case in CASES:
        sizes = running.check(case)
        assert sizes.whole > sizes.content > 0


def test_a_wrong_answer_ends_the_benchmark(running):
    with pytest.raises(servers.Failure, match="get_x: a wrong answer, 200"):
        running.check(cases.get("get_x", "", 1, value="another"))


def test_idle_connections_are_counted_with_what_they_take(running):
    assert 0 <= idle.hold(running, CASES[0], 300) < 200_000


def paced(running, *arguments, path="/api/0/get/bench:key:000/"):
    request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"
    return subprocess.run([PACED, str(running.port), *map(str, arguments)], input=request, capture_output=True, text=True)


def test_a_paced_load_asks_as_often_as_told(running):
    done = paced(running, 40, 1, 16, running.check(CASES[0]).whole)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    # 40 are expected, with a deviation of 6; when they are due is the same each time
    assert 20 < found["requests"] < 60 and found["us"] >= 1e6
    assert 0 < found["p50_us"] <= found["p99_us"]


def test_a_paced_load_ends_on_what_it_does_not_expect(running):
    size = running.check(CASES[0]).whole
    for found, said in ((paced(running, 100, 1, 2, size - 1), "too long"), (paced(running, 100, 1, 2, size, path="/"), "status 200"),
                        (paced(running, 10, 1, 1, size + 1), "stay without an answer")):
        assert found.returncode == 1 and said in found.stderr, found.stderr
    assert paced(running, "many", 1, 1, size).returncode == paced(running, 1, 1).returncode == 2


def made_up(told=True, cpu_us={"lark": 10, "webdis": 60, "return-200": 9, "return-200-tls": 9}, rounds=3):
    shown = [case for case in CASES if told or not case.told]

    def one(name, i):
        return {"cpu_us": cpu_us.get(name, 10) + i / 10, "rps": 1e6 / cpu_us.get(name, 10), "p50_us": 100, "p99_us": None, "busy": 1,
                "load_busy": 0.5}

    found = {"cases": [{"name": case.name, "about": case.about, "told": case.told} for case in shown],
             "runs": {case.name: {name: [one(name, i) for i in range(rounds)] for name in case.gateways} for case in shown},
             "gateways": [{"name": "lark", "about": "lark serve"}], "failed": [], "machine": {"kernel": "6.1"}, "date": "2026-01-01", "rounds": rounds,
             "seconds": 2, "command": "tools/bench --all"}
    if told:
        found["idle"] = {"connections": 10000, "bytes": {name: [300.0, 310.0, 305.0] for name in cases.COMPARED}}
        found["python"] = {"runs": {"lark": [110.0, 120.0], "hand": [100.0, 110.0], "plan_shape": [10.0, 11.0]}}
    return found


def test_a_report_has_every_case_bar_and_picture(tmp_path, capsys):
    results = made_up()
    report.write(results, tmp_path)
    text = (tmp_path / "RESULTS.md").read_text()
    for case in CASES:
        assert text.count(f"| {case.about} | ") >= len(case.gateways)
    assert report.tell(results) == 0
    assert capsys.readouterr().out.count("PASS ") == text.count("- PASS ") == len(report.BARS)
    raw = json.loads(text.partition("```json\n")[2].partition("```")[0])
    assert len(raw["runs"]) == sum(len(case.gateways) for case in CASES) and raw["idle"]["connections"] == 10000
    # all calls of a gateway cost the same here, so that one connection more costs nothing
    assert "| lark | 0.00 | 0.00 | 0.00 | 0.00 |" in text and "| Lark ÷ by hand (at most 1.20 in the tests) | 1.10 (1.09–1.10) |" in text
    for name in ("results.svg", "curves.svg"):
        root = ElementTree.parse(tmp_path / name).getroot()
        assert root.tag.endswith("}svg") and len(list(root)) > 20 and f"]({name})" in text


def test_a_short_report_names_what_it_leaves_out(tmp_path):
    (tmp_path / "curves.svg").write_text("of an earlier run")
    report.write(made_up(told=False), tmp_path)
    text = (tmp_path / "RESULTS.md").read_text()
    assert "ARGS=--all" in text and "curves.svg" not in text and not (tmp_path / "curves.svg").exists()


def test_a_gateway_that_failed_has_no_numbers(tmp_path):
    results = made_up()
    del results["runs"]["get_10m"]["webdis"]
    results["failed"].append("webdis, get_10m: wrk met errors: 1")
    report.write(results, tmp_path)
    text = (tmp_path / "RESULTS.md").read_text()
    assert "**Without numbers**: webdis, get_10m: wrk met errors: 1" in text
    assert "| GET of 10 MB, 4 connections | lark | " in text and "| GET of 10 MB, 4 connections | webdis | " not in text


def test_a_bar_that_is_missed_is_told_and_counted(capsys):
    missed = report.tell(made_up(cpu_us={"lark": 30, "webdis": 40, "return-200": 25, "lark-token": 40}))
    said = capsys.readouterr().out
    # 0.75 of webdis's CPU, 1.33 times its requests, and 1.33 of Lark's CPU with a token; aims are told only
    assert missed == 3 and said.count("FAIL bar: ") == 3 and said.count("FAIL aim: ") == 6


def test_bars_and_curves_are_of_cases_that_there_are():
    names = {case.name: case for case in CASES}
    for case, _, against, _, _, _, *whose in report.BARS:
        assert {against, *whose} <= set(names[case].gateways) and not names[case].told
    assert {case for curve in cases.CURVES.values() for case in curve} <= set(names)


@pytest.mark.parametrize(("words", "said"), [
    (("--case", "get_2"), "invalid choice: 'get_2' (choose from 'get_1', "),
    (("--gateway", "larc"), "invalid choice: 'larc' (choose from 'lark', "),
    (("--rounds", "0"), "rounds and seconds are at least 1"),
])
def test_the_benchmark_says_what_it_does_not_know(words, said):
    done = subprocess.run([ROOT / "tools/bench", *words], capture_output=True, text=True)
    assert done.returncode == 2 and said in done.stderr
