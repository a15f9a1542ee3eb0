#!/usr/bin/env python3
"""Make the reference pages from data/: the methods by section, errors, nginx directives, options of `lark serve`, metrics.

    reference.py            write docs/reference/*.md, docs/nginx-directives.md, docs/options.md and docs/metrics.md anew
    reference.py --check    tell which of them are not up to date
"""
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import directives  # noqa: E402
import metrics  # noqa: E402
import openapi  # noqa: E402
import openapi_schemas as schemas  # noqa: E402
import options  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parent.parent
MADE = "<!-- Made by tools/reference.py from {}; do not edit. -->"

TYPES = {
    "key": "key", "keys": "keys", "field": "field", "fields": "fields", "string": "text", "value": "value", "values": "values",
    "int": "whole number", "float": "number", "bool": "flag", "datetime": "date", "base64": "base64", "score-bound": "score bound",
    "key-values": "pairs of key and value", "scores": "pairs of member and score", "mapping": "object of values",
    "keys-weights": "keys, or object of weights", "key-pattern": "pattern", "sort-by": "pattern", "sort-gets": "patterns",
    "ids": "object of ids",
}
TAKES = [
    ("key, field, text, pattern", 'text, a number, true, false, or `{"$base64": ...}`'),
    ("keys, fields, patterns", "in a body an array of them, in the query the name repeated; not empty"),
    ("value", 'any JSON but null: text as it is, numbers as their digits, objects and arrays as JSON text, `{"$base64": ...}` as bytes'),
    ("values", "an array of values, in the query the name repeated; not empty"),
    ("whole number, number", "a number or its text, sent to Redis with the digits that came; a number may be `inf` or `-inf`"),
    ("flag", "`true`, `false`, `1`, `0`, also as text in any case"),
    ("date", "ISO 8601 text; without a zone in the server's local time; a date alone is midnight"),
    ("base64", 'base64 text, or `{"$base64": ...}`'),
    ("score bound", "a number, `-inf`, `+inf`; a `(` before it leaves that score out"),
    ("pairs", "an array of arrays of two"),
    ("object of values, of weights", "a JSON object; not empty"),
]
TENANTS = {"prefix": "the keys get it", "refuse": "refused (403)", "emulate": "answered from the caller's own keys, by walks with SCAN"}
LANES = {"blocking": "waits on a connection of its own", "private": "on a connection of its own"}


def table(head, lines):
    rows = [head, ["---"] * len(head), *lines]
    return ["| " + " | ".join(str(cell).replace("|", "\\|") for cell in row) + " |" for row in rows]


def page_name(section):
    return {"Sorted Set": "sorted-sets", "Hash": "hashes", "Key": "keys", "List": "lists", "Set": "sets"}.get(section, section.lower())


def title(row):
    return row["redis"] if row["redis"].split()[0] in openapi.word_of(row["paths"][0]) else \
        openapi.word_of(row["paths"][0]).strip("/").replace("/", " ")


def anchor(row):
    return title(row).lower().replace(" ", "-")


def where(param):
    """path, or query: a path parameter may also stand in the query when all required ones do."""
    words = {"path": "path", "json": "body", "query": "query", "body": "the body itself"}
    return ", ".join(words[place] for place in param["in"])


def condition(param):
    words = ["required"] if param.get("required") else []
    if "default" in param:
        words.append(f"default `{param['default']}`")
    if "one_of" in param:
        words.append("one of " + ", ".join(f"`{word}`" for word in param["one_of"]))
    if param.get("verbs"):
        words.append(f"{', '.join(param['verbs'])} only")
    if param.get("with"):
        words.append(f"together with `{param['with']}`")
    if param.get("tenant_max"):
        unit = " bytes" if param["type"] == "string" else ""
        words.append(f"at most {param['tenant_max']}{unit} for callers with a prefix")
    return "; ".join(words)


def sentence(text):
    return text[0].upper() + text[1:] + ("" if text.endswith((".", "?", "!")) else ".")


def example(row):
    values, response = openapi.example_values(row)
    if values is None:
        return []
    request = row["example"]["request"]
    lines = [f"    {request['verb']} {openapi.MOUNT}{request['path']}"]
    if request.get("json") is not None:
        lines.append("    " + json.dumps(request["json"], ensure_ascii=False))
    lines += ["", "    " + json.dumps(response, ensure_ascii=False), ""]
    if response["data"] != row["example"]["response"]["data"]:
        lines += ["(and more members)", ""]
    return lines


def raw_facts(row):
    facts = []
    if "put" in row:
        others = [f"`{p['name']}`" for p in row["params"] if p["in"] == ["json"] and p["name"] != row["put"]]
        also = f"; {', '.join(others)} in the query" if others else ""
        facts.append(["with PUT", f"the body's bytes are {'one of ' if row['put'] == 'values' else ''}`{row['put']}`, as they are{also}"])
    if openapi.is_raw(row):
        also = "; takes Range" if "raw" in row else ""
        facts.append(["`Lark-Values: raw`", f"the bytes as they are{also}"])
    return facts


def method(row):
    out = [f"## {title(row)}", "", sentence(row["summary"]), ""]
    out += [f"    {verb} {path}" for path in row["paths"] for verb in row["verbs"]] + [""]
    if row["params"]:
        out += table(["parameter", "in", "type", "", ""],
                     [[f"`{p['name']}`", where(p), TYPES[p["type"]], condition(p), p.get("doc", "")] for p in row["params"]]) + [""]
    facts = [["reply", row["reply_rule"]], *raw_facts(row), ["scopes, any of", " ".join(f"`{scope}`" for scope in row["scopes"])],
             ["access", row["access"]]]
    if row["lane"] in LANES:
        facts.append(["connection", LANES[row["lane"]]])
    if row["tenant"] != "prefix" or row["keys"]:
        facts.append(["with a key prefix", TENANTS[row["tenant"]]])
    facts.append(["in Redis", f"[{row['redis']}]({openapi.redis_page(row)})"])
    out += table(["", ""], facts) + [""]
    if row.get("notes"):
        out += [row["notes"], ""]
    return out + example(row)


def section_page(section, rows):
    name = page_name(section).replace("-", " ").capitalize()
    out = [f"# {name}", "", MADE.format("data/methods"), "", openapi.SECTIONS[section], ""]
    out += table(["method", "", "what it does"],
                 [[f"[{title(row)}](#{anchor(row)})", ", ".join(row["verbs"]), row["summary"]] for row in rows]) + [""]
    for row in rows:
        out += method(row)
    return "\n".join(out).rstrip() + "\n"


def index_page(sections):
    out = ["# Reference", "", MADE.format("data/methods"), "",
           "Paths stand behind the mount point, `/api/0`. Path parameters are all in the path or all in the query:",
           "`/GET/{key}/` is also `/GET/?key=...`. [HTTP.md](../HTTP.md) has the rules; `lark openapi` the same as OpenAPI 3.1.", ""]
    for section, rows in sections.items():
        name = page_name(section)
        out += [f"**[{section}]({name}.md)**: " + " · ".join(f"[{title(row)}]({name}.md#{anchor(row)})" for row in rows), ""]
    out += ["[Errors](errors.md)", "", "## Types of parameters", ""]
    return "\n".join(out + table(["type", "takes"], TAKES)) + "\n"


def errors_page(_sections):
    out = ["# Errors", "", MADE.format("data/errors.json"), "",
           '    {"meta": {"status": "error", "status_code": 400, "error_message": "...", "error_code": "bad_parameter"}}', "",
           "`error_code` is stable; the message is for people and says which method and parameter, what was expected, what came.", ""]
    lines = []
    for row in schemas.error_rows():
        also = f"; `Retry-After: {row['retry_after_s']}`" if row.get("retry_after_s") else ""
        words = "; Redis says " + ", ".join(row["redis"]) if row.get("redis") else ""
        lines.append([row["status"], f"`{row['code']}`", row["message"] + words + also, row["do"]])
    return "\n".join(out + table(["status", "code", "when", "what to do"], lines)) + "\n"


def pages():
    sections = {}
    for row in openapi.rows():
        sections.setdefault(row["section"], []).append(row)
    made = {"docs/reference/README.md": index_page(sections), "docs/reference/errors.md": errors_page(sections),
            "docs/nginx-directives.md": directives.page(directives.load()), "docs/options.md": options.make_page(options.load()),
            "docs/metrics.md": metrics.page(metrics.load())}
    for section, rows in sections.items():
        made[f"docs/reference/{page_name(section)}.md"] = section_page(section, rows)
    return made


def stale(made):
    """Names of pages that differ from what they should be, and of pages that nothing makes any more."""
    there = {str(path.relative_to(ROOT)) for path in (ROOT / "docs/reference").glob("*.md")}
    return sorted(name for name in made if not (ROOT / name).exists() or (ROOT / name).read_text() != made[name]) + \
        sorted(there - set(made))


def main():
    made = pages()
    if sys.argv[1:] == ["--check"]:
        old = stale(made)
        if old:
            sys.exit(f"not up to date: {', '.join(old)}; run tools/reference.py")
        return
    if sys.argv[1:]:
        sys.exit(__doc__)
    (ROOT / "docs/reference").mkdir(parents=True, exist_ok=True)
    for name, text in made.items():
        (ROOT / name).write_text(text)


if __name__ == "__main__":
    main()
