#!/usr/bin/env python3
"""Make what data/metrics.json says: one argument names what, the second is the output file.

    metrics.py enum    the counters of a worker as a C enum (ngx_http_lark_counters.h)
    metrics.py table   the metrics as a C table (ngx_http_lark_metrics.inc)
    metrics.py page    docs/metrics.md
"""
import json
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
TYPES = ("counter", "gauge", "histogram", "info")
FIELDS = {"name", "type", "id", "made", "label", "values", "labels", "doc"}
MADE = "Made from data/metrics.json; do not edit."


def check(row):
    """One row's faults end the build with its name."""
    def bad(why):
        sys.exit(f"data/metrics.json: metric {row.get('name', row)}: {why}")
    if set(row) - FIELDS or not {"name", "type", "doc"} <= set(row):
        bad("needs name, type, doc, id (perhaps with label and values) or made (perhaps with labels)")
    if not re.fullmatch(r"lark(_[a-z]+)+", row["name"]) or row["name"].endswith(("_total", "_count", "_sum", "_bucket")):
        bad("the name is lark_ and words, without a suffix of a type")
    if set(row["doc"]) & set('"\\\n'):
        bad("its doc would have to be escaped")
    if row["type"] not in TYPES or (row["type"] == "info") != row["name"].endswith("_info"):
        bad(f"the type is one of {', '.join(TYPES)}; an info ends with _info, and nothing else does")
    if ("id" in row) == ("made" in row) or ("label" in row) != ("values" in row) or ("label" in row and "made" in row):
        bad("has an id, perhaps with label and values, or is made")


def load():
    rows = json.loads((ROOT / "data/metrics.json").read_text())["metrics"]
    for row in rows:
        check(row)
    if len({row["name"] for row in rows}) < len(rows):
        sys.exit("data/metrics.json: a name is there twice")
    return rows


def counters(row):
    names = [f"{row['id']}_{value.upper()}" for value in row["values"]] if "values" in row else [row["id"]]
    return [f"NGX_HTTP_LARK_N_{name}" for name in names]


def make_enum(rows):
    """Gauges first: they end with their worker."""
    gauges, others = ([f"    {name}," for row in rows if "id" in row and (row["type"] == "gauge") == is_gauge
                       for name in counters(row)] for is_gauge in (True, False))
    return "\n".join([f"/* {MADE} */", "#ifndef NGX_HTTP_LARK_COUNTERS_H", "#define NGX_HTTP_LARK_COUNTERS_H", "", "enum {",
                      *gauges, "    NGX_HTTP_LARK_N_GAUGES,", "    NGX_HTTP_LARK_N_LAST_GAUGE = NGX_HTTP_LARK_N_GAUGES - 1,",
                      *others, "    NGX_HTTP_LARK_N_COUNTERS", "};", "", "#endif", ""])


def make_table(rows):
    out = [f"/* {MADE} */"]
    out += [f"static void made_{row['made']}(page_t *page, const metric_t *metric);" for row in rows if "made" in row]
    for row in rows:
        if "values" in row:
            values = ", ".join(json.dumps(value) for value in row["values"])
            out.append(f"static const char *const {row['name']}_values[] = {{{values}}};")
    out.append("static const metric_t metrics[] = {")
    for row in rows:
        rest = f"0, NULL, NULL, 1, made_{row['made']}" if "made" in row else \
            f"{counters(row)[0]}, " + (f"{json.dumps(row['label'])}, {row['name']}_values, {len(row['values'])}, NULL"
                                       if "values" in row else "NULL, NULL, 1, NULL")
        out.append(f"    {{{json.dumps(row['name'])}, TYPE_{row['type'].upper()}, {json.dumps(row['doc'])},\n     {rest}}},")
    return "\n".join([*out, "};", ""])


def full_names(row):
    """As Prometheus keeps them."""
    if row["type"] == "histogram":
        return [f"{row['name']}{suffix}" for suffix in ("_bucket", "_count", "_sum")]
    return [row["name"] + ("_total" if row["type"] == "counter" else "")]


def page(rows):
    out = ["# Metrics", "", f"<!-- {MADE.replace('Made', 'Made by tools/reference.py')} -->", "",
           "What `GET /metrics` tells, as Prometheus keeps it; [OPERATIONS.md](OPERATIONS.md#metrics) says who may ask, and what to watch.",
           "", "| metric | type | labels | |", "|---|---|---|---|"]
    for row in rows:
        labels = row.get("labels") or ([row["label"]] if "label" in row else [])
        values = f": {', '.join(row['values'])}" if "values" in row else ""
        out.append(f"| {', '.join(f'`{name}`' for name in full_names(row))} | {row['type']} | "
                   f"{', '.join(f'`{label}`' for label in labels)}{values} | {row['doc']} |")
    return "\n".join(out) + "\n"


MAKERS = {"enum": make_enum, "table": make_table, "page": page}

if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] not in MAKERS:
        sys.exit(__doc__)
    pathlib.Path(sys.argv[2]).write_text(MAKERS[sys.argv[1]](load()))
