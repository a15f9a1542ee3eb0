"""Broken rows do not build, and the error names the row."""
import copy
import json
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent

GOOD = {
    "method": "copyset", "summary": "A row for tests", "redis": "COPYSET", "verbs": ["POST"],
    "paths": ["/COPYSET/{name}/"],
    "params": [{"name": "name", "in": ["path"], "type": "key", "required": True},
               {"name": "value", "in": ["json"], "type": "value"}],
    "argv": ["COPYSET", "{name}", {"if": "value", "then": ["{value}"]}],
    "keys": ["name"], "scopes": ["admin"], "access": "write", "lane": "shared", "tenant": "prefix", "reply": "ok",
}


def build(tmp_path, *rows):
    (tmp_path / "rows.json").write_text(json.dumps({"section": "Test", "methods": rows}))
    return subprocess.run([sys.executable, ROOT / "tools/catalogue.py", tmp_path, "table", tmp_path / "out.inc"],
                          capture_output=True, text=True)


def changed(path, value):
    """GOOD with one member (a path of names and indices) set, or taken away where the value is None."""
    row = copy.deepcopy(GOOD)
    *way, last = path
    place = row
    for step in way:
        place = place[step]
    if value is None:
        del place[last]
    else:
        place[last] = value
    return row


def test_good(tmp_path):
    done = build(tmp_path, GOOD)
    assert done.returncode == 0, done.stderr
    assert "COPYSET" in (tmp_path / "out.inc").read_text()


LACKING = [((field,), None) for field in ("summary", "redis", "verbs", "paths", "params", "argv", "keys", "scopes",
                                          "access", "lane", "tenant", "reply")]
WRONG = [
    (("scopes",), []), (("scopes",), ["Admin"]), (("scopes",), ["read"]), (("scopes",), ["read:"]), (("scopes",), [""]),
    (("access",), "both"), (("lane",), "fast"), (("tenant",), "open"), (("tenant",), "emulate"), (("steps",), "walk"),
    (("reply",), "text"), (("reply_keys",), "items"), (("reply",), "key-list"), (("colour",), "red"),
    (("verbs",), []), (("verbs",), ["PATCH"]), (("verbs",), ["GET"]), (("verbs",), ["GET", "POST"]),
    (("method",), "CopySet"), (("method",), "copy-set"), (("method",), ""),
    (("paths",), []), (("paths",), ["COPYSET"]), (("paths",), ["/copyset/{name}/"]), (("paths",), ["/COPYSET/{name}"]),
    (("paths",), ["/COPYSET/{other}/"]), (("paths",), ["/COPYSET/"]), (("paths",), ["/COPYSET/{name}/{value}/"]),
    (("hidden",), True),
    (("keys",), []), (("keys",), ["value"]), (("keys",), ["name", "value"]),
    (("argv",), []), (("argv",), ["{name}"]), (("argv",), ["COPYSET"]), (("argv",), ["COPYSET", "{name}", "{other}"]),
    (("argv",), ["COPYSET", "{name}", "value"]), (("argv",), ["COPYSET", "{name}", "{value:size}"]),
    (("argv",), ["COPYSET", "{name}", {"when": "value", "then": ["{value}"]}]),
    (("argv",), ["COPYSET", "{name}", {"each": "value", "then": ["{value}"]}]),
    (("argv",), ["COPYSET", "{name}", {"if": "other", "then": ["X"]}]),
    (("params", 0, "type"), "string"), (("params", 0, "type"), "any"), (("params", 0, "in"), []),
    (("params", 0, "in"), ["header"]), (("params", 0, "size"), 5), (("params", 0, "type"), None),
    (("params", 0, "default"), "x"), (("params", 1, "with"), "other"), (("params", 1, "shapes"), "round"),
    (("params", 1, "needs"), {"param": "other", "items": 1, "message": "x"}), (("params", 1, "name"), "name"),
    (("params", 1, "name"), None),
]
# what writes only with a parameter that a GET may not have is a GET otherwise (SORT)
WRITES = [["GET"], ["GET", "POST"]]


@pytest.mark.parametrize(("path", "value"), LACKING + WRONG, ids=lambda x: json.dumps(x)[:60])
def test_broken(tmp_path, path, value):
    row = changed(path, value)
    done = build(tmp_path, row)
    assert done.returncode != 0, "it builds"
    assert not (tmp_path / "out.inc").exists()
    assert f"method {row['method']!r}" in done.stderr, done.stderr
    assert "Traceback" not in done.stderr, done.stderr


@pytest.mark.parametrize("verbs", WRITES)
def test_write_on_get(tmp_path, verbs):
    row = changed(("verbs",), ["GET", "POST"])
    row["params"][1]["verbs"] = verbs
    done = build(tmp_path, row)
    assert done.returncode != 0 and "'copyset'" in done.stderr and "never changes" in done.stderr, done.stderr
    row["params"][1]["verbs"] = ["POST"]
    assert build(tmp_path, row).returncode == 0


def test_nameless(tmp_path):
    done = build(tmp_path, changed(("method",), None))
    assert done.returncode != 0 and "lacks ['method']" in done.stderr, done.stderr


def test_twice(tmp_path):
    done = build(tmp_path, GOOD, GOOD)
    assert done.returncode != 0 and "'copyset'" in done.stderr and "twice" in done.stderr


def test_one_path_twice(tmp_path):
    """Two methods that one request would reach."""
    done = build(tmp_path, GOOD, {**GOOD, "method": "other"})
    assert done.returncode != 0 and "'other'" in done.stderr, done.stderr


def test_the_rows_themselves():
    """Every row of data/methods has its class; blocking rows have the lane; GET rows write nothing."""
    sys.path.insert(0, str(ROOT / "tools"))
    import catalogue
    rows = catalogue.load(ROOT / "data/methods")
    assert len(rows) == 121
    for row in rows:
        blocks = any(p.get("blocks") for p in row["params"])
        assert blocks == (row["lane"] == "blocking"), row["method"]
        if row["access"] == "write" and row["verbs"] == ["GET"]:
            raise AssertionError(row["method"])
