"""The rows of data/methods, a good request for each, and values that are of the wrong type."""
import json
import pathlib
import re
import urllib.parse

FOLDER = pathlib.Path(__file__).resolve().parent.parent.parent / "data" / "methods"

GOOD = {
    "base64": "AAAA", "bool": True, "datetime": "2040-01-01T00:00:00Z", "field": "f", "fields": ["f"], "float": 1.5,
    "int": 1, "key": "a", "key-pattern": "*", "key-values": [["a", "1"]], "keys": ["a"], "keys-weights": ["a"],
    "mapping": {"f": "v"}, "score-bound": "1", "scores": [["m", 1]], "sort-by": "nosort", "sort-gets": ["#"],
    "string": "x", "value": "v", "values": ["v"],
}
# As members of a body, or as a whole body.
WRONG = {
    "base64": ["***", [], True],
    "bool": ["yes", "", 2, [], {}],
    "datetime": ["tomorrow", "", [], {}],
    "float": ["abc", "", True, [], {}],
    "int": ["abc", "", "1.5", 1.5, True, [], {}],
    "key": [[]],
    "key-values": [{"a": "1"}, "a", 1, [["a"]], [["a", "1", "2"]], [1], ["a"]],
    "keys": ["a", 1, {}],
    "keys-weights": ["a", 1, {"a": "x"}, {"a": []}],
    "mapping": ["a", 1, [], True],
    "scores": [{"x": 1}, "a", 1, [["x", "abc"]], [["x"]], [1], [["x", True]]],
    "values": [{}, True],
}
# As words of a query or a path.
WRONG_WORDS = {
    "bool": ["yes", "2", "-1"],
    "int": ["abc", "1.5", "0x10", "1e3", "%201", "--1", "+"],
    "float": ["abc", "1..5", "0x10", "1e", "%201"],
    "score-bound": ["abc", "((1", "1x"],
}


def load():
    found = []
    for path in sorted(FOLDER.glob("*.json")):
        content = json.loads(path.read_text(encoding="utf-8"))
        found += content if isinstance(content, list) else content["methods"]
    return found


ROWS = load()


def good(param):
    return param["one_of"][0] if "one_of" in param else GOOD[param["type"]]


def words(value):
    return value if isinstance(value, list) else [value]


def segment(value):
    """A value as one part of a path or query."""
    word = words(value)[0]
    return urllib.parse.quote({True: "1", False: "0"}.get(word, word) if isinstance(word, bool) else str(word), safe="")


def request(row, path=None, also=()):
    """(verb, target behind the mount point, body) that a row takes: required parameters and those named in `also`."""
    path = path or row["paths"][0]
    in_path = set(re.findall(r"\{(\w+)\}", path))
    values = {param["name"]: good(param) for param in row["params"]}
    target = re.sub(r"\{(\w+)\}", lambda match: segment(values[match[1]]), path)
    body, query = {}, []
    for param in row["params"]:
        name = param["name"]
        if name in in_path or not (param.get("required") or name in also):
            continue
        if "body" in param["in"]:
            body = values[name]
        elif "json" in param["in"] and row["verbs"][0] == "POST":
            body[name] = values[name]
        else:
            query += [f"{name}={segment(word)}" for word in words(values[name])]
    return row["verbs"][0], target + ("?" + "&".join(query) if query else ""), body or None
