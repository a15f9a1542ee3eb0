"""Runs the cases of tests/vectors/contract.jsonl over any host of Lark.

A case: {"name", "methods", "tags", "why", "needs"?, "steps": [...]}; it starts from an empty database. A step:
    verb, path (behind the mount point), query, json or raw (the body), headers, as ({"scopes": [...], "prefix": "u1"})
    capture: NAME     keep `data`; ${NAME} in later steps stands for it
    ${now_local+60}, ${now_utc+60}, ${now_epoch+60}    the present, moved by seconds
    retry: SECONDS    try again as long; sleep: SECONDS (a step of its own)
    expect            compared exactly; expect_like: `data` and `error_message` have a mode, see MODES

A transport brings a request to a host: transport(verb, target, body, headers, as_) -> (status, headers, body), with
bytes or None for the bodies, a mapping that ignores case for the headers, or None where the host has no headers.
"""
import collections
import datetime
import json
import pathlib
import re
import time
import urllib.parse

VECTORS = pathlib.Path(__file__).resolve().parent.parent / "vectors" / "contract.jsonl"
MOUNT = "/api/0"


def cases():
    with VECTORS.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def needs_principal(case):
    """Does a step of it say who calls?"""
    return any("as" in step for step in case["steps"])


def _unique_members(pairs):
    names = [name for name, _ in pairs]
    assert len(names) == len(set(names)), f"duplicate member names in the answer: {names}"
    return dict(pairs)


def _no_constant(word):
    raise AssertionError(f"{word} is no JSON")


def strict_json(body):
    """A body as Python values; refuses what Python takes and RFC 8259 does not."""
    return json.loads(body.decode("utf-8"), object_pairs_hook=_unique_members, parse_constant=_no_constant)


# --- comparing -------------------------------------------------------------------------------------------------------

TYPES = {
    "string": lambda v: isinstance(v, str),
    "int": lambda v: isinstance(v, int) and not isinstance(v, bool),
    "float": lambda v: isinstance(v, float),
    "number": lambda v: isinstance(v, (int, float)) and not isinstance(v, bool),
    "bool": lambda v: isinstance(v, bool),
    "array": lambda v: isinstance(v, list),
    "object": lambda v: isinstance(v, dict),
    "null": lambda v: v is None,
}
TYPES |= {"str": TYPES["string"], "integer": TYPES["int"], "boolean": TYPES["bool"], "list": TYPES["array"],
          "dict": TYPES["object"], "none": TYPES["null"]}


def canonical(value):
    """A text that is equal for equal JSON values only: 1, 1.0 and true differ, members have no order."""
    return json.dumps(value, sort_keys=True, ensure_ascii=True)


def same(got, want):
    return canonical(got) == canonical(want)


def _same_bag(got, want):
    return collections.Counter(map(canonical, got)) == collections.Counter(map(canonical, want))


def _list(value):
    return value if isinstance(value, list) else [value]


def _approx(got, spec):
    slack = spec.get("tolerance", spec.get("abs", max(abs(spec["value"]) * spec.get("rel", 1e-9), 1e-12)))
    return TYPES["number"](got) and abs(got - spec["value"]) <= slack


def _within(n, spec):
    return spec.get("min", n) <= n <= spec.get("max", n)


def _subset(got, want):
    if isinstance(want, dict):
        return isinstance(got, dict) and all(name in got and like(got[name], want[name]) for name in want)
    return isinstance(got, list) and all(any(like(item, wanted) for item in got) for wanted in want)


def _pairs(value):
    return list(map(list, value.items())) if isinstance(value, dict) else value


def _scan(got, spec):
    if not (isinstance(got, list) and len(got) == 2 and like(got[0], spec["cursor"])):
        return False
    if type(got[1]) is not type(spec["items"]):
        return False
    return _same_bag(got[1], spec["items"]) if isinstance(got[1], list) else same(got[1], spec["items"])


MODES = {
    "exact": lambda got, spec: same(got, spec["value"]),
    "unordered": lambda got, spec: isinstance(got, list) and _same_bag(got, spec["value"]),
    "approx": _approx,
    "range": lambda got, spec: TYPES["number"](got) and _within(got, spec),
    "type": lambda got, spec: any(TYPES[name](got) for name in _list(spec["value"])),
    "regex": lambda got, spec: isinstance(got, str) and re.search(spec["value"], got) is not None,
    "one_of": lambda got, spec: any(like(got, want) for want in spec["values"]),
    "subset": lambda got, spec: _subset(got, spec["value"]),
    "any": lambda got, spec: True,
    "length": lambda got, spec: hasattr(got, "__len__") and len(got) == spec.get("value", len(got))
    and _within(len(got), spec),
    "array_of": lambda got, spec: isinstance(got, list) and _within(len(got), spec)
    and all(like(item, spec["item"]) for item in got),
    "map_of": lambda got, spec: isinstance(got, dict) and _within(len(got), spec)
    and all(like(item, spec["item"]) for item in got.values()),
    "unordered_pairs": lambda got, spec: isinstance(got, (list, dict)) and _same_bag(_pairs(got),
                                                                                   _pairs(spec["value"])),
    "scan": _scan,
}


def like(got, want):
    """Does a value match? A member `mode` makes `want` a pattern; anything else is compared exactly."""
    if isinstance(want, dict) and want.get("mode") in MODES:
        return MODES[want["mode"]](got, want)
    return same(got, want)


def check_envelope(status, headers, body):
    """Every answer of the API keeps this form; returns the envelope."""
    if headers is not None:
        assert headers["Content-Type"] == "application/json", headers["Content-Type"]
    envelope = strict_json(body)
    meta = envelope["meta"]
    assert meta["status_code"] == status, f"HTTP {status}, but {meta}"
    if status == 200:
        assert meta == {"status": "ok", "status_code": 200}, meta
        assert set(envelope) == {"meta", "data"}, sorted(envelope)
    else:
        assert meta["status"] == "error", meta
        assert isinstance(meta["error_message"], str) and meta["error_message"], meta
        assert re.fullmatch("[a-z_]+", meta["error_code"]), meta
        assert set(envelope) == {"meta"}, sorted(envelope)
    if status == 405 and headers is not None:
        assert headers["Allow"], "a 405 without Allow"
    return envelope


def check(step, status, headers, body):
    """Compare one answer with what its step expects; returns the envelope."""
    shown = body[:2000].decode("utf-8", "replace")
    assert body, f"HTTP {status} without a body"
    envelope = check_envelope(status, headers, body)
    found = {**envelope["meta"], **envelope, "status": status}
    for member, want in step.get("expect", {}).items():
        assert member in found and same(found[member], want), f"{member}: wanted {want!r}; got {status} {shown}"
    for member, want in step.get("expect_like", {}).items():
        assert member in found and like(found[member], want), f"{member}: wanted {want!r}; got {status} {shown}"
    return envelope


# --- running ---------------------------------------------------------------------------------------------------------

PLACE = re.compile(r"\$\{(\w+)([+-]\d+(?:\.\d+)?)?\}")


def _moment(name, seconds):
    if name == "now_epoch":
        return int(time.time() + seconds)
    zone = datetime.timezone.utc if name == "now_utc" else None
    moment = datetime.datetime.now(zone) + datetime.timedelta(seconds=seconds)
    return moment.replace(tzinfo=None).isoformat()


def fill(value, captured):
    """Put captured values and the present into ${...}. A text that is nothing else keeps the value's type."""
    if isinstance(value, dict):
        return {fill(name, captured): fill(item, captured) for name, item in value.items()}
    if isinstance(value, list):
        return [fill(item, captured) for item in value]
    if not isinstance(value, str):
        return value

    def look_up(match):
        if match[1] in ("now_local", "now_utc", "now_epoch"):
            return _moment(match[1], float(match[2] or 0))
        return captured[match[1]]

    whole = PLACE.fullmatch(value)
    if whole:
        return look_up(whole)
    return PLACE.sub(lambda match: str(look_up(match)), value)


def _fill_target(text, captured):
    return PLACE.sub(lambda match: urllib.parse.quote(str(fill(match[0], captured)), safe=""), text)


def request_of(step, captured, mount=MOUNT):
    """(verb, target, body, headers) of a step."""
    target = mount + _fill_target(step["path"], captured)
    if "query" in step:
        target += "?" + _fill_target(step["query"], captured)
    body, headers = None, {}
    if "json" in step:
        body = json.dumps(fill(step["json"], captured), ensure_ascii=False).encode()
    elif "raw" in step:
        body = str(fill(step["raw"], captured)).encode()
    if body is not None:
        headers["Content-Type"] = "application/json"
    headers.update(step.get("headers", {}))
    return step["verb"], target, body, headers


def run_case(case, transport, mount=MOUNT):
    """Run one case on a database that is empty; AssertionError says which step failed and how."""
    captured = {}
    for number, step in enumerate(case["steps"], 1):
        if "sleep" in step:
            time.sleep(step["sleep"])
        if "verb" not in step:
            continue
        until = time.monotonic() + step.get("retry", 0)
        while True:
            try:
                answer = transport(*request_of(step, captured, mount), step.get("as"))
                envelope = check(step, *answer)
                break
            except AssertionError as error:
                if time.monotonic() >= until:
                    raise AssertionError(f"step {number}, {step['verb']} {step['path']}: {error}") from None
                time.sleep(0.1)
        if "capture" in step:
            captured[step["capture"]] = envelope["data"]
