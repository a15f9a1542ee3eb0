"""What tools/bench measures: calls, who is asked, and by which load."""
import dataclasses
import json

import servers

JSON = {"Content-Type": "application/json"}
TEXT = "0123456789abcdef"
KEYS = [f"bench:key:{i:03d}" for i in range(100)]
SIZES = {"1k": 1000, "100k": 100_000, "10m": 10_000_000}  # bytes of a value
LENGTHS = (10, 100, 1000, 10_000)  # elements of a list
COMPARED = ("lark", "webdis", "return-200")
BESIDE_WEBDIS = ("lark", "webdis")
CALLERS = ("lark", "lark-token", "lark-store", *servers.LarkJwt.names, "webdis", "return-200")


@dataclasses.dataclass
class Case:
    """lark, webdis: method, path, headers, body of the same call; value: what it must answer. load: a name of load.LOADS.
    told: without a bar, measured with --all or by name only."""
    name: str
    about: str
    connections: int
    lark: tuple
    webdis: tuple
    value: object
    gateways: tuple = COMPARED
    load: str = "wrk"
    told: bool = True


def get(name, about, connections, key="bench:key:000", value=TEXT, **more):
    return Case(name, about, connections, ("GET", f"/api/0/get/{key}/", {}, None), ("GET", f"/GET/{key}", {}, None), value,
                **more)


def lrange(n, **more):
    return Case(f"lrange_{n}_64", f"LRANGE of {n:,}, 64 connections", 64, ("GET", f"/api/0/lrange/bench:list:{n}/0/-1/", {}, None),
                ("GET", f"/LRANGE/bench:list:{n}/0/-1", {}, None), [TEXT] * n, **more)


def make_cases():
    yield get("get_1", "GET of 16 bytes, 1 connection", 1, told=False)
    yield get("get_64", "GET of 16 bytes, 64 connections", 64, gateways=CALLERS, told=False)
    yield get("get_1000", "GET of 16 bytes, 1,000 connections", 1000, told=False)
    yield Case("set_64", "SET of 16 bytes, 64 connections", 64,
               ("POST", "/api/0/set/bench:set/", JSON, json.dumps({"value": TEXT})),
               ("GET", f"/SET/bench:set/{TEXT}", {}, None), True, told=False)
    yield Case("mget_100_64", "MGET of 100, 64 connections", 64,
               ("GET", "/api/0/mget/?" + "&".join(f"key={key}" for key in KEYS), {}, None),
               ("GET", "/MGET/" + "/".join(KEYS), {}, None), [TEXT] * 100, told=False)
    yield lrange(1000, told=False)
    for n in (16, 256):
        yield get(f"get_{n}", f"GET of 16 bytes, {n} connections", n)
    yield get("get_pipelined_64", "GET of 16 bytes, pipelined ×16, 64 connections", 64, load="pipelined")
    yield get("get_tls_64", "GET of 16 bytes, TLS, 64 connections", 64, gateways=("lark-tls", "return-200-tls"))
    yield get("get_http2_100", "GET of 16 bytes, HTTP/2 over TLS, 1 connection, 100 streams", 1, load="http2",
              gateways=("lark-tls", "return-200-tls"))
    yield get("get_two_workers_64", "GET of 16 bytes, two workers or threads, 64 connections", 64,
              gateways=("lark-two", "webdis-two"))
    yield get("get_paced_64", "GET of 16 bytes at 70% of what it can, 64 connections", 64, load="paced")
    for name, size in SIZES.items():
        connections = 64 if size < 1_000_000 else 4
        yield get(f"get_{name}", f"GET of {bytes_text(size)}, {connections} connections", connections, key=f"bench:{name}",
                  value=text_of(size), gateways=BESIDE_WEBDIS)
    for n in LENGTHS:
        if n != 1000:
            yield lrange(n, gateways=BESIDE_WEBDIS)


# How CPU a request grows: what with, and at which value of it a case stands.
CURVES = {
    "bytes of a value": {"get_64": 16, **{f"get_{name}": size for name, size in SIZES.items()}},
    "elements of a list": {f"lrange_{n}_64": n for n in LENGTHS},
    "connections": {f"get_{n}": n for n in (1, 16, 64, 256, 1000)},
}


def bytes_text(size):
    return next(f"{size // unit} {name}" for unit, name in ((1_000_000, "MB"), (1000, "KB"), (1, "bytes")) if size >= unit)


def text_of(size):
    return (TEXT * (size // len(TEXT) + 1))[:size]


def fill(redis):
    redis.command("MSET", *(word for key in KEYS for word in (key, TEXT)))
    for name, size in SIZES.items():
        redis.command("SET", f"bench:{name}", text_of(size))
    for n in LENGTHS:
        redis.command("RPUSH", f"bench:list:{n}", *[TEXT] * n)
