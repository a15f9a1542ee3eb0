#!/usr/bin/env python3
"""Make what comes from data/directives.json: the module's command table, or the reference page.

    directives.py commands OUTPUT   the ngx_command_t table, its defaults and bounds, as a C include
    directives.py page OUTPUT       docs/nginx-directives.md
"""
import json
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
CONTEXTS = {"http": "NGX_HTTP_MAIN_CONF", "server": "NGX_HTTP_SRV_CONF", "location": "NGX_HTTP_LOC_CONF"}
ARGS = {"none": "NGX_CONF_NOARGS", "1": "NGX_CONF_TAKE1", "2": "NGX_CONF_TAKE2", "1more": "NGX_CONF_1MORE",
        "2more": "NGX_CONF_2MORE", "flag": "NGX_CONF_FLAG"}
SLOTS = {"time": "ngx_conf_set_msec_slot", "size": "ngx_conf_set_size_slot", "number": "ngx_conf_set_num_slot",
         "flag": "ngx_conf_set_flag_slot", "text": "ngx_conf_set_str_slot"}
CHECKS = {"time": "ngx_http_lark_check_size", "size": "ngx_http_lark_check_size", "number": "ngx_http_lark_check_number"}
UNITS = {"time": {"ms": 1, "s": 1000, "m": 60000, "h": 3600000}, "size": {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30},
         "number": {"": 1}}
UNBOUNDED = ("own", "flag", "text")
WITHOUT_DEFAULT = ("own", "text")
NEEDED = ("name", "contexts", "args", "type", "conf", "syntax", "doc")


def load():
    rows = json.loads((ROOT / "data/directives.json").read_text())["directives"]
    for row in rows:
        wanted = NEEDED + {"own": ("set",), "flag": ("field", "default"), "text": ("field",)}.get(row.get("type"), ("field", "default", "min", "max"))
        missing = [field for field in wanted if field not in row]
        if missing:
            sys.exit(f"data/directives.json: row {row.get('name', row)} lacks {', '.join(missing)}")
    return rows


def amount(row, field):
    if row["type"] == "flag":
        return ("off", "on").index(row[field])
    match = re.fullmatch(r"(\d+)([a-z]*)", row[field])
    units = UNITS[row["type"]]
    if not match or match[2] not in units:
        sys.exit(f"data/directives.json: {row['name']}: {field} {row[field]!r} is no {row['type']}")
    return int(match[1]) * units[match[2]]


def commands(rows):
    out = ["/* Made from data/directives.json; do not edit. */", ""]
    for row in rows:
        if row["type"] not in WITHOUT_DEFAULT:
            out.append(f"#define {row['name'].upper()}_DEFAULT {amount(row, 'default')}")
    out.append("")
    for row in rows:
        if row["type"] not in UNBOUNDED:
            out.append(f"static ngx_http_lark_bounds_t {row['name']}_bounds = {{{CHECKS[row['type']]}, "
                       f"{amount(row, 'min')}, {amount(row, 'max')}, \"{row['min']}\", \"{row['max']}\"}};")
    out += ["", "ngx_command_t ngx_http_lark_commands[] = {"]
    for row in rows:
        where = "|".join([CONTEXTS[context] for context in row["contexts"]] + [ARGS[row["args"]]])
        conf = f"NGX_HTTP_{row['conf'].upper()}_CONF_OFFSET"
        if row["type"] == "own":
            at = f"offsetof(ngx_http_lark_{row['conf']}_conf_t, {row['field']})" if "field" in row else "0"
            rest = f"{row['set']}, {conf}, {at}, NULL"
        else:
            bounds = "NULL" if row["type"] in UNBOUNDED else f"&{row['name']}_bounds"
            rest = f"{SLOTS[row['type']]}, {conf}, offsetof(ngx_http_lark_{row['conf']}_conf_t, {row['field']}), {bounds}"
        out.append(f"    {{NGX_HTTP_LARK_TEXT(\"{row['name']}\"), {where},\n     {rest}}},")
    out += ["    ngx_null_command", "};", ""]
    return "\n".join(out)


def page(rows):
    out = ["# nginx directives", "", "<!-- Made by tools/directives.py from data/directives.json; do not edit. -->", ""]
    for row in rows:
        syntax = f"{row['name']} {row['syntax']}".strip()
        out += [f"## {row['name']}", "", f"    {syntax};", "", f"In {', '.join(row['contexts'])}."]
        if row["type"] not in WITHOUT_DEFAULT:
            out[-1] += f" Default {row['default']}" + (f", from {row['min']} to {row['max']}." if "min" in row else ".")
        out += ["", row["doc"], ""]
    return "\n".join(out)


MAKERS = {"commands": commands, "page": page}

if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] not in MAKERS:
        sys.exit(__doc__)
    pathlib.Path(sys.argv[2]).write_text(MAKERS[sys.argv[1]](load()))
