#!/usr/bin/env python3
"""Make the generated C files from data/: one argument names what, the second is the output file.

    generate.py status    include/lark/status.h: the error list as an enum
    generate.py errors    the error rows and Redis' error words as C tables
    generate.py catalogue the methods, routes and scopes as C tables (tools/catalogue.py reads and checks the rows)
"""
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
ROOT = pathlib.Path(__file__).resolve().parent.parent


def errors():
    rows = json.loads((ROOT / "data/errors.json").read_text())["errors"]
    for row in rows:
        for field in ("name", "code", "status", "message", "do"):
            if field not in row and not (field == "do" and row.get("internal")):
                sys.exit(f"data/errors.json: row {row.get('name', row)} lacks {field!r}")
    return rows


def c_string(text):
    return json.dumps(text)


def make_status():
    out = ["/* status.h - made from data/errors.json; do not edit. */", "#ifndef LARK_STATUS_H", "#define LARK_STATUS_H",
           "", "enum lark_status {", "    LARK_OK = 0,   /* done */", "    LARK_MORE = 1, /* more bytes are needed */",
           "    LARK_NEXT = 2, /* a further step is to be sent to Redis */"]
    rows = errors()
    for i, row in enumerate(rows):
        comma = "," if i + 1 < len(rows) else ""
        out.append(f"    LARK_E_{row['name']} = {-1 - i}{comma} /* {row['status']} {row['code']}: {row['message']} */")
    out += ["};", "", f"#define LARK_N_ERRORS {len(rows)} /* statuses -1 to -LARK_N_ERRORS have a row */", "", "#endif", ""]
    return "\n".join(out)


def make_errors():
    out = ["/* Made from data/errors.json; do not edit. */"]
    rows = errors()
    out.append("static const struct lark_error_row lark__error_rows[] = {")
    for row in rows:
        out.append(f"    {{LARK_E_{row['name']}, {c_string(row['code'])}, {c_string(row['message'])}, "
                   f"{row['status']}, {row.get('retry_after_s', 0)}}},")
    out.append("};")
    out.append("static const struct { struct lark_slice word; enum lark_status status; } lark__redis_words[] = {")
    for row in rows:
        for word in row.get("redis", ()):
            out.append(f"    {{{{(const uint8_t *){c_string(word)}, {len(word)}}}, LARK_E_{row['name']}}},")
    out += ["};", ""]
    return "\n".join(out)


def make_catalogue():
    import catalogue
    return catalogue.c_tables(catalogue.load(ROOT / "data/methods"), "lark__catalogue_default")


MAKERS = {"status": make_status, "errors": make_errors, "catalogue": make_catalogue}

if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] not in MAKERS:
        sys.exit(__doc__)
    pathlib.Path(sys.argv[2]).write_text(MAKERS[sys.argv[1]]())
