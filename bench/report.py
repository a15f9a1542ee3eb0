"""From the numbers of tools/bench to bench/RESULTS.md and its pictures."""
import json
import statistics

import pictures
from cases import CURVES

# case, figure, against, the bound, how it is compared; must it hold (else it is where we want to be); whose figure
BARS = [
    ("get_64", "cpu_us", "lark", 1.15, "<=", True, "lark-token"),
    ("get_64", "cpu_us", "lark", 1.15, "<=", True, "lark-store"),
    ("get_64", "cpu_us", "lark", 1.25, "<=", False, "lark-rs256"),
    ("get_64", "cpu_us", "lark", 1.25, "<=", False, "lark-eddsa"),
    ("get_64", "cpu_us", "webdis", 0.55, "<=", True),
    ("get_64", "rps", "webdis", 1.8, ">=", True),
    ("get_64", "cpu_us", "webdis", 0.45, "<=", False),
    ("get_64", "rps", "webdis", 2.0, ">=", False),
    ("get_64", "cpu_us", "return-200", 1.35, "<=", False),
    ("get_1000", "cpu_us", "webdis", 0.55, "<=", False),
    ("set_64", "cpu_us", "webdis", 0.50, "<=", False),
    ("mget_100_64", "cpu_us", "webdis", 0.40, "<=", False),
    ("lrange_1000_64", "cpu_us", "webdis", 0.20, "<=", False),
]
FIGURES = {"cpu_us": "gateway CPU a request", "rps": "requests per second"}


def spread(values, form):
    """median (smallest–largest)"""
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{middle:{form}} ({low:{form}}–{high:{form}})"


def ratios(runs, figure, against, whose="lark"):
    """Of each round: its two runs stood beside each other in time."""
    return ratios_of(*([run[figure] for run in runs.get(name, [])] for name in (whose, against)))


def ratios_of(ours, theirs):
    return [one / other for one, other in zip(ours, theirs)]


def bars(results):
    """(passed, must hold, text) of each bar whose case was run."""
    for case, figure, against, bound, sign, must, *whose in BARS:
        found = ratios(results["runs"].get(case, {}), figure, against, *whose)
        if found:
            middle = statistics.median(found)
            passed = middle <= bound if sign == "<=" else middle >= bound
            about = next(one["about"] for one in results["cases"] if one["name"] == case)
            yield passed, must, (f"{about}: {''.join(f'{name}: ' for name in whose)}{FIGURES[figure]} {middle:.2f} of {against}'s, "
                                 f"{'at most' if sign == '<=' else 'at least'} {bound:.2f}")


def table(results, told):
    lines = ["| | gateway | CPU µs a request | requests/s | p50 ms | p99 ms | core busy | load's core |",
             "|---|---|--:|--:|--:|--:|--:|--:|"]
    for case in results["cases"]:
        for name, runs in results["runs"][case["name"]].items() if case["told"] == told else ():
            def column(figure, form, scale=1):
                values = [run[figure] * scale for run in runs if run[figure] is not None]
                return spread(values, form) if values else "–"
            busy, load_busy = (statistics.median(run[name] for run in runs) for name in ("busy", "load_busy"))
            lines.append(f"| {case['about']} | {name} | {column('cpu_us', ',.2f')} | {column('rps', ',.0f')} | "
                         f"{column('p50_us', '.2f', 0.001)} | {column('p99_us', '.2f', 0.001)} | {busy:.0%} | {load_busy:.0%} |")
    return lines if len(lines) > 2 else []


def ratio_table(results):
    lines = ["| | CPU, Lark ÷ webdis | requests/s, Lark ÷ webdis | CPU, Lark ÷ `return 200` |", "|---|--:|--:|--:|"]
    for case in results["cases"]:
        # with TLS, or two workers, under names of their own
        runs = {name.removesuffix("-tls").removesuffix("-two"): runs for name, runs in results["runs"][case["name"]].items()}
        cells = [ratios(runs, figure, against) for figure, against in
                 (("cpu_us", "webdis"), ("rps", "webdis"), ("cpu_us", "return-200"))]
        if any(cells):
            lines.append(f"| {case['about']} | " + " | ".join(spread(c, ".2f") if c else "–" for c in cells) + " |")
    return lines


def curve(results, names):
    """{gateway: [(how many, [CPU a request of each round]), ...]}"""
    found = {}
    for case, at in names.items():
        for gateway, runs in results["runs"].get(case, {}).items():
            if gateway in ("lark", "webdis", "return-200"):
                found.setdefault(gateway, []).append((at, [run["cpu_us"] for run in runs]))
    return {gateway: points for gateway, points in found.items() if len(points) > 1}


def curves(results):
    """{what grows: {gateway: points}} of those that were measured; what has bars is no curve by itself"""
    if not any(case["told"] for case in results["cases"]):
        return {}
    found = {what: curve(results, names) for what, names in CURVES.items()}
    return {what: lines for what, lines in found.items() if lines}


def growth_table(found):
    """What one more costs, between each two points beside each other."""
    lines = []
    for what, gateways in found.items():
        steps = [at for at, _ in next(iter(gateways.values()))]
        lines += ["", f"| CPU ns for each more ({what}) | " + " | ".join(f"{a:,} to {b:,}" for a, b in zip(steps, steps[1:])) + " |",
                  "|---|" + "--:|" * (len(steps) - 1)]
        for gateway, points in gateways.items():
            middles = [(at, statistics.median(values)) for at, values in points]
            slopes = [(v - u) / (b - a) * 1000 for (a, u), (b, v) in zip(middles, middles[1:])]
            lines.append(f"| {gateway} | " + " | ".join(f"{slope:,.2f}" for slope in slopes) + " |")
    return lines


def idle_table(results):
    if "idle" not in results:
        return []
    idle = results["idle"]
    return ["", f"Memory of {idle['connections']:,} connections that had one answer and stay open: what the gateway's processes have",
            "resident more than before, by connection. Sockets in the kernel are not in it.", "",
            "| gateway | bytes a connection |", "|---|--:|",
            *(f"| {name} | {spread(values, ',.0f')} |" for name, values in idle["bytes"].items())]


PYTHON = {"lark": "Flask with Lark, a GET of 16 bytes, CPU µs", "hand": "Flask with a view written by hand, the same call, CPU µs",
          "plan_shape": "`plan` and `shape` of it alone, CPU µs"}


def python_table(results):
    if "python" not in results:
        return []
    runs = results["python"]["runs"]
    return ["", "The Python package, WSGI calls without a server (`bench/python_flask.py`):", "", "| | |", "|---|--:|",
            *(f"| {about} | {spread(runs[name], '.1f')} |" for name, about in PYTHON.items()),
            f"| Lark ÷ by hand (at most 1.20 in the tests) | {spread(ratios_of(runs['lark'], runs['hand']), '.2f')} |"]


def raw(results):
    """One line a run, in the order of the columns."""
    columns = ["cpu_us", "rps", "p50_us", "p99_us", "busy", "load_busy"]
    lines = ["{", f'"columns": {json.dumps(columns)},', '"runs": {']
    for case, gateways in results["runs"].items():
        for name, runs in gateways.items():
            rows = ", ".join("[" + ", ".join("null" if run[c] is None else f"{run[c]:.6g}" for c in columns) + "]" for run in runs)
            lines.append(f'"{case} {name}": [{rows}],')
    lines[-1] = lines[-1].removesuffix(",")
    lines.append("}")
    for name in ("idle", "python"):
        if name in results:
            lines[-1] += ","
            lines.append(f'"{name}": {json.dumps(results[name])}')
    return lines + ["}"]


def told_parts(results):
    """What has no bar."""
    found = curves(results)
    lines = table(results, told=True)
    if not lines and "idle" not in results and "python" not in results:
        return ["", "`make bench ARGS=--all` measures more, without bars: TLS, HTTP/2, pipelining, two workers, larger values,",
                "shorter and longer lists, further numbers of connections, latency at 70% load, memory, the Python package."]
    return ["", "## Told without a bar", "", *lines, *idle_table(results), *python_table(results),
            *(["", "How CPU a request grows (both axes logarithmic; smallest to largest run as a line):", "",
               "![How CPU a request grows](curves.svg)", *growth_table(found)] if found else [])]


def bar_lines(results):
    return [f"{'PASS' if passed else 'FAIL'} {'bar' if must else 'aim'}: {text}" for passed, must, text in bars(results)]


HOW = """\
The gateway alone on one core; the load (one thread) and Redis on another. Access logs off, HTTP/1.1 where it does not say
HTTP/2, keep-alive, Redis without persistence. CPU is what the kernel's scheduler counted for the gateway's processes and threads,
user and system, divided by the answers. Every answer had status 200 and the right length; before and after each run one was
read and compared whole. The load is wrk's, but for:

- HTTP/2: h2load, one connection with 100 streams. TLS: 1.3, a self-made certificate (ECDSA, P-256), handshakes included.
- Pipelined: wrk sends 16 requests in one go. webdis answers them in no certain order.
- Two workers: on two cores, one of them that of load and Redis where there are only two.
- 70%: of the requests/s that the same gateway answered to wrk just before. `bench/paced.c` sends at random times (Poisson),
  whether earlier ones are answered or not; latency counts from when a request was due.
- webdis is asked `/GET/key`, `/SET/key/value`, `/MGET/…`, `/LRANGE/key/0/-1`; Lark's SET is a POST of JSON."""


def write(results, folder):
    """RESULTS.md, results.svg, and curves.svg where there are curves."""
    how = f"{results['rounds']} rounds, {results['seconds']} s each run, the gateways in turn, a second of load before those with a bar."
    text = [
        "# Speed", "",
        "Made by `make bench`; do not edit. What one request takes of a core in the gateway, beside Debian's webdis and",
        "beside nginx's own `return 200`, which asks nobody: the least that a module of nginx can come near to.",
        "", "![Gateway CPU a request](results.svg)", "",
        "Medians of the rounds (smallest–largest). A ratio is taken within a round, of two runs side by side in time.",
        "", *ratio_table(results), "", *(f"- {line}" for line in bar_lines(results)), "", *table(results, told=False), "",
        "*core busy*: of the gateway's core; *load's core*: where the load and Redis are. Which of both is at its end limits the",
        "requests per second.", *(line for failure in results["failed"] for line in ("", f"**Without numbers**: {failure}")),
        *told_parts(results), "", "## How", "", f"`{results['command'].strip()}` on {results['date']}: {how}", "",
        HOW, *(f"- {one['name']}: {one['about']}" for one in results["gateways"]),
        "", "| machine | |", "|---|---|", *(f"| {key} | {value} |" for key, value in results["machine"].items()),
        "", "## Raw numbers", "", "```json", *raw(results), "```", ""]
    (folder / "RESULTS.md").write_text("\n".join(text))
    (folder / "results.svg").write_text(pictures.bars([case for case in results["cases"] if not case["told"]], results["runs"]))
    (folder / "curves.svg").unlink(missing_ok=True)
    if found := curves(results):
        (folder / "curves.svg").write_text(pictures.curves(found))


def tell(results):
    """Print the bars, and what is no case. return: how many bars that must hold do not"""
    print("\n".join([*bar_lines(results), *idle_table(results), *python_table(results)]))
    return sum(must and not passed for passed, must, _ in bars(results))
