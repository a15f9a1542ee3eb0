"""What loads a gateway: wrk, h2load, and our own load of a given rate. Each is a function (server, case, seconds, core,
state, sizes) that returns requests, us (how long it took), p50_us, p99_us (or None), and either bytes or content: bytes of all
answers, with or without their heads. Any error ends the benchmark. sizes: of an answer; None before the first round."""
import json
import re
import statistics
import subprocess

import servers

PIPELINE = 16
STREAMS = 100

# wrk tells its results as text with few digits; this is all of them. A response's bytes are counted with its head.
LUA = """\
wrk.method = %(method)s
%(headers)s
wrk.body = %(body)s
%(more)s
done = function(summary, latency)
    local e = summary.errors
    io.write(string.format("\\nRESULT {\\"requests\\": %%d, \\"us\\": %%d, \\"bytes\\": %%d, \\"p50_us\\": %%d, "
        .. "\\"p99_us\\": %%d, \\"connect\\": %%d, \\"read\\": %%d, \\"write\\": %%d, \\"status\\": %%d, "
        .. "\\"timeout\\": %%d}\\n", summary.requests, summary.duration, summary.bytes, latency:percentile(50),
        latency:percentile(99), e.connect, e.read, e.write, e.status, e.timeout))
end
"""

LUA_TOKENS = """\
local lines, at = {}, 0
for line in io.lines(%s) do lines[#lines + 1] = "Bearer " .. line end
request = function()
    at = at %% #lines + 1
    wrk.headers["Authorization"] = lines[at]
    return wrk.format()
end
"""

LUA_PIPELINE = """\
local requests
init = function()
    requests = string.rep(wrk.format(), %d)
end
request = function() return requests end
"""


def lua_text(text):
    return "nil" if text is None else json.dumps(text)  # ASCII without control characters: the same in both


def program(server, case, core, *command, **options):
    """Run a load. return: what it says"""
    done = subprocess.run(servers.pinned(core, *command), capture_output=True, **options)
    if done.returncode:
        said = (done.stdout + done.stderr).decode(errors="replace")[-2000:]
        raise servers.Failure(f"{server.name}, {case.name}: {command[0]} ended with {done.returncode}: {said}")
    return done.stdout.decode()


def wrk(server, case, seconds, core, state, sizes=None, more=""):
    method, path, headers, body = server.request(case)
    script = state / "wrk.lua"
    if server.tokens:
        more += LUA_TOKENS % lua_text(str(server.tokens))
    script.write_text(LUA % {"method": lua_text(method), "body": lua_text(body), "more": more, "headers": "\n".join(
        f"wrk.headers[{lua_text(k)}] = {lua_text(v)}" for k, v in headers.items())})
    said = program(server, case, core, "wrk", "-t", 1, "-c", case.connections, "-d", f"{seconds}s", "--timeout", "10s", "-s",
                   script, f"{server.scheme}://127.0.0.1:{server.port}{path}")
    found = json.loads(said.rpartition("RESULT ")[2])
    if found["requests"] == 0 or any(found[error] for error in ("connect", "read", "write", "status", "timeout")):
        raise servers.Failure(f"{server.name}, {case.name}: wrk met errors: {found}")
    return found


def pipelined(server, case, seconds, core, state, sizes=None):
    """Without latencies: wrk fills in what callers that it held up would have seen, and takes each of 16 requests for one."""
    return {**wrk(server, case, seconds, core, state, more=LUA_PIPELINE % PIPELINE), "p50_us": None, "p99_us": None}


def http2(server, case, seconds, core, state, sizes=None):
    log = state / "h2load.log"
    log.unlink(missing_ok=True)  # it appends
    said = program(server, case, core, "h2load", "-t", 1, "-c", case.connections, "-m", STREAMS, "-D", seconds, "--log-file", log,
                   f"{server.scheme}://127.0.0.1:{server.port}{server.request(case)[1]}")
    counts = {word: int(n) for n, word in re.findall(r"(\d+) (done|failed|errored|timeout|2xx)", said)}
    content = re.search(r"\((\d+)\) data", said)
    # start in us since 1970, status, us it took; what was under way at the end has no status 200
    took = sorted(int(us) for _, status, us in map(str.split, log.read_text().splitlines()) if status == "200")
    wrong = counts.get("errored", 0) + counts.get("timeout", 0) + counts["done"] - counts["2xx"]
    if not took or wrong or "Application protocol: h2" not in said:
        raise servers.Failure(f"{server.name}, {case.name}: h2load met errors: {said[-1500:]}")
    return {"requests": counts["done"], "us": seconds * 1e6, "content": int(content[1]), "p50_us": statistics.median(took),
            "p99_us": took[len(took) * 99 // 100]}


class Paced:
    """A load of 70% of what a server answered to wrk as fast as it goes, just before the first round."""
    LOAD = 0.7

    def __init__(self, build):
        self.tool, self.rates = build / "bench/lark-bench-paced", {}

    def __call__(self, server, case, seconds, core, state, sizes=None):
        if (server.name, case.name) not in self.rates:
            full = wrk(server, case, seconds, core, state)
            self.rates[server.name, case.name] = round(full["requests"] / full["us"] * 1e6 * self.LOAD)
        if sizes is None:
            return {}
        method, path, headers, body = server.request(case)
        assert body is None
        request = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n" + "".join(
            f"{k}: {v}\r\n" for k, v in headers.items()) + "\r\n"
        found = json.loads(program(server, case, core, self.tool, server.port, self.rates[server.name, case.name], seconds,
                                   case.connections, sizes.whole, input=request.encode()))
        return {**found, "bytes": found["requests"] * sizes.whole}  # it has looked at each


def loads(build):
    return {"wrk": wrk, "pipelined": pipelined, "http2": http2, "paced": Paced(build)}
