"""Read and check data/methods/*.json (and rows of the same form elsewhere) and write them as C tables.

Every rule a row must keep is here; a broken row stops the build with its name. data/README.md describes the fields.
"""
import json
import re
import sys

TYPES = ["key", "keys", "key-pattern", "sort-by", "sort-gets", "keys-weights", "key-values", "scores", "mapping", "value",
         "values", "field", "fields", "string", "int", "float", "bool", "datetime", "base64", "score-bound", "ids"]
KEY_TYPES = {"key", "keys", "key-pattern", "sort-by", "sort-gets", "keys-weights", "key-values", "ids"}
REPLIES = ["ok", "ok-or-null", "int", "int-or-null", "bool", "ttl", "float", "score", "score-or-null",
           "value", "word", "string", "string-or-null", "base64", "datetime", "key-or-null", "value-list", "set", "field-list", "key-list",
           "value-or-list", "map", "config", "pairs", "popped", "sort", "scan-keys", "scan-members", "scan-map",
           "scan-pairs", "info", "client-list", "debug-object", "object-info"]
REPLY_KEYS = {"key-list": "items", "key-or-null": "whole", "popped": "first", "scan-keys": "items"}
RAW_REPLIES = {"value", "string", "string-or-null", "base64"}  # one value: its bytes can be the answer
VERBS = {"GET": 1, "POST": 4, "PUT": 8, "DELETE": 16}
LANES = ["shared", "blocking", "private"]
ACCESS = ["read", "write"]
TENANTS = ["prefix", "refuse", "emulate"]
STEPS = [None, "keys", "dbsize", "randomkey", "flushdb", "client-kill"]
GIVE_BACKS = [None, "LPUSH", "RPUSH", "none"]
INS = {"path": 1, "json": 2, "query": 4, "body": 8}
SHAPES = [None, "cast", "groups", "scores"]
OPS = ["text", "param", "count", "second", "first", "swapped", "s", "ms", "each", "if", "if-second", "else"]
ROW_FIELDS = {"method", "summary", "redis", "verbs", "paths", "params", "argv", "keys", "scopes", "access", "lane",
              "tenant", "steps", "give_back", "reply", "reply_keys", "reply_rule", "example", "notes", "origin", "hidden",
              "put", "raw"}
REQUIRED_FIELDS = {"method", "summary", "redis", "verbs", "paths", "params", "argv", "keys", "scopes", "access", "lane",
                   "tenant", "reply"}
PARAM_FIELDS = {"name", "in", "type", "required", "default", "one_of", "with", "needs", "verbs", "shapes", "blocks",
                "tenant_max", "doc"}
PUT_TYPES = {"value", "values", "string"}  # of the parameter that the body of a PUT is
LIST_TYPES = {"keys", "fields", "values", "sort-gets", "keys-weights", "key-values", "scores", "mapping", "ids"}
SLOTS = 1024


class BadRow(Exception):
    pass


def check(condition, row, message):
    if not condition:
        raise BadRow(f"method {row.get('method', '?')!r}: {message}")


def load(folder):
    """All rows of the folder, in the order of file names and rows. Exits with the row's name when one is broken."""
    rows = []
    try:
        for path in sorted(folder.glob("*.json")):
            document = json.loads(path.read_text())
            for row in document["methods"]:
                row["section"] = document["section"]
                check_row(row)
                rows.append(row)
        names = [row["method"] for row in rows]
        for name in names:
            check(names.count(name) == 1, {"method": name}, "is there twice")
        check_routes(rows)
        check(0 < len(rows) <= 256, {"method": "*"}, f"{len(rows)} methods: 1 to 256 are possible")
    except BadRow as bad:
        sys.exit(f"{folder}: {bad}")
    return rows


def check_routes(rows):
    """No request may mean two methods."""
    taken = {}
    for row in rows:
        for path in row["paths"]:
            literal, n_params = path.split("{")[0].rstrip("/"), path.count("{")
            for verb in row["verbs"]:
                other = taken.setdefault((literal, n_params, verb), row["method"])
                check(other == row["method"], row, f"path {path!r} with {verb} is also {other!r}'s")


def check_row(row):
    fields = set(row) - {"section"}
    check(fields <= ROW_FIELDS, row, f"unknown fields {sorted(fields - ROW_FIELDS)}")
    check(REQUIRED_FIELDS <= fields, row, f"lacks {sorted(REQUIRED_FIELDS - fields)}")
    check(re.fullmatch("[a-z][a-z0-9_]*", row["method"]), row, "the name is not lower-case letters, digits and _")
    check(row["verbs"] and set(row["verbs"]) <= set(VERBS), row, f"verbs must be among {sorted(VERBS)}")
    check(row["scopes"], row, "has no scope: nobody could call it")
    for scope in row["scopes"]:
        check(re.fullmatch(r"admin|[a-z_]+:(\*|[a-z0-9_]+)", scope), row, f"scope {scope!r} is not of the form a:b")
    check(row["access"] in ACCESS, row, f"access must be one of {ACCESS}")
    check(row["lane"] in LANES, row, f"lane must be one of {LANES}")
    check(row.get("give_back") in GIVE_BACKS, row, f"give_back must be one of {GIVE_BACKS[1:]}")
    check((row["lane"] == "blocking") == ("give_back" in row), row,
          "give_back belongs to the rows of lane blocking, and each of them says it")
    check(row.get("give_back") not in ("LPUSH", "RPUSH") or (row["access"] == "write" and row["reply"] == "popped"), row,
          "give_back needs a row that writes and replies popped: [key, element]")
    check(row["tenant"] in TENANTS, row, f"tenant must be one of {TENANTS}")
    check(row.get("steps") in STEPS, row, f"steps must be one of {STEPS[1:]}")
    check(row["tenant"] != "emulate" or row.get("steps"), row, "tenant emulate needs steps")
    check(row["reply"] in REPLIES, row, f"reply must be one of {REPLIES}")
    check(row.get("reply_keys") == REPLY_KEYS.get(row["reply"]), row,
          f"reply_keys must be {REPLY_KEYS.get(row['reply'])!r} for reply {row['reply']!r}")
    if row["access"] == "write" and "GET" in row["verbs"]:
        stores = [p for p in row["params"] if p.get("verbs") and "GET" not in p["verbs"]]
        check(stores, row, "a GET never changes anything: a row that writes needs POST, PUT or DELETE")
    check_params(row)
    check_put(row)
    check_raw(row)
    check_paths(row)
    check(set(placeholders(row["argv"])) >= set(row["keys"]), row, "a key parameter is missing in argv")
    compile_argv(row)


def check_params(row):
    names = [p.get("name") for p in row["params"]]
    check(len(names) == len(set(names)) and len(names) <= 16, row, "parameter names repeat, or there are over 16")
    keys = []
    for p in row["params"]:
        where = f"parameter {p.get('name')!r}"
        check(set(p) <= PARAM_FIELDS and {"name", "in", "type"} <= set(p), row, f"{where}: fields {sorted(set(p))}")
        check(p["type"] in TYPES, row, f"{where}: type must be one of {TYPES}")
        check(p["in"] and set(p["in"]) <= set(INS), row, f"{where}: in must be among {sorted(INS)}")
        check(not (p.get("required") and "default" in p), row, f"{where}: required, so no default")
        for other in (p.get("with"), p.get("needs", {}).get("param")):
            check(other is None or other in names, row, f"{where}: names the unknown parameter {other!r}")
        check(p.get("shapes") in SHAPES, row, f"{where}: shapes must be one of {SHAPES[1:]}")
        if p["type"] in KEY_TYPES:
            keys.append(p["name"])
    check(keys == row["keys"], row, f"keys {row['keys']} are not the parameters of key types {keys}")


def check_put(row):
    """With PUT the body's bytes are one parameter; the other members of the JSON body come in the query."""
    check(("PUT" in row["verbs"]) == ("put" in row), row, "the verb PUT and the field put go together")
    if "put" not in row:
        return
    param = {p["name"]: p for p in row["params"]}.get(row["put"], {})
    check(param.get("type") in PUT_TYPES and param["in"] == ["json"] and "one_of" not in param, row,
          f"put: {row['put']!r} is no parameter of the JSON body alone with a type among {sorted(PUT_TYPES)}")
    for p in row["params"]:
        check(p is param or p["type"] not in LIST_TYPES, row, f"put: parameter {p['name']!r} is a list, which no query has")


def check_raw(row):
    """Commands for a part of a value and its length, each with the one key: Range and HEAD of its bytes."""
    if "raw" not in row:
        return
    words = row["raw"]
    check(isinstance(words, dict) and set(words) == {"exists", "length", "range"}, row, "raw must name exists, length and range")
    check(all(re.fullmatch("[A-Z]+", str(word)) for word in words.values()), row, "raw: each must be one command word")
    check(row["verbs"] == ["GET"] and row["reply"] in RAW_REPLIES and [p["type"] for p in row["params"]] == ["key"], row,
          f"raw: must be a GET of one key with a reply among {sorted(RAW_REPLIES)}")


def check_paths(row):
    names = {p["name"]: p for p in row["params"]}
    check(bool(row["paths"]) != bool(row.get("hidden")), row, "has no path, or is hidden and has one")
    for path in row["paths"]:
        check(re.fullmatch(r"(/[A-Z_]+){1,2}(/\{[a-z_]+\})*/", path), row, f"path {path!r} is not /WORD/{{name}}/")
        for name in re.findall(r"\{([a-z_]+)\}", path):
            check(name in names and "path" in names[name]["in"], row, f"path {path!r}: {{{name}}} is no path parameter")
    for p in row["params"]:
        if p["in"] == ["path"] and p.get("required"):
            check(all("{" + p["name"] + "}" in path for path in row["paths"]), row,
                  f"parameter {p['name']!r} is required in the path but not in every path")


def placeholders(argv):
    for item in argv:
        if isinstance(item, dict):
            yield from placeholders(item.get("then", []) + item.get("else", []))
        else:
            match = re.fullmatch(r"\{([a-z_]+)(?::[a-z]+)?\}", item)
            if match:
                yield match.group(1)


def compile_argv(row):
    """argv as a list of (op, text, parameter index, ops to skip)."""
    index = {p["name"]: i for i, p in enumerate(row["params"])}

    def param(name):
        check(name in index, row, f"argv names the unknown parameter {name!r}")
        return index[name]

    def one(item):
        if isinstance(item, dict):
            return branch(item)
        match = re.fullmatch(r"\{([a-z_]+)(?::([a-z]+))?\}", item)
        if not match:
            # an empty item holds a place: MIGRATE host port "" ...
            check(re.fullmatch("[A-Z][A-Z0-9]*|", item), row, f"argv item {item!r} is neither a word nor {{name}}")
            return [("text", item, 0, 0)]
        name, part = match.groups()
        kind = row["params"][param(name)]["type"]
        if part is None:
            return [("swapped" if kind == "scores" else "first" if kind == "keys-weights" else "param", "", param(name),
                     0)]
        code = {"count": "count", "weights": "second", "ids": "second", "keys": "first", "s": "s", "ms": "ms"}.get(part)
        check(code, row, f"argv item {item!r}: unknown part {part!r}")
        return [(code, "", param(name), 0)]

    def branch(item):
        then = [op for sub in item["then"] for op in one(sub)]
        if "each" in item:
            check(len(then) == 2 and then[0][0] == "text", row, "argv each: then must be a word and the item")
            return [("each", then[0][1], param(item["each"]), 0)]
        check("if" in item, row, f"argv item {item} has neither if nor each")
        name, _, part = item["if"].partition(":")
        other = [op for sub in item.get("else", []) for op in one(sub)]
        if other:
            then.append(("else", "", 0, len(other)))
        return [("if-second" if part else "if", "", param(name), len(then))] + then + other

    ops = [op for item in row["argv"] for op in one(item)]
    check(ops and (ops[0][0] in ("text", "if")), row, "argv does not begin with a command word")
    return ops


# --- C -----------------------------------------------------------------------------------------------------------------


def slice_of(text):
    return f"{{(const uint8_t *){json.dumps(text)}, {len(text.encode())}}}"


def enum(prefix, name):
    return "LARK__" + prefix + "_" + name.upper().replace("-", "_")


def joined(words, last=" or "):
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + last + words[-1]


def param_lines(row, out):
    name = row["method"]
    index = {p["name"]: i for i, p in enumerate(row["params"])}
    for p in row["params"]:
        if "one_of" in p:
            words = ", ".join(slice_of(w) for w in p["one_of"])
            out.append(f"static const struct lark_slice one_of_{name}_{p['name']}[] = {{{words}}};")
    if not row["params"]:
        return
    out.append(f"static const struct lark_param params_{name}[] = {{")
    for p in row["params"]:
        fields = [f".name = {slice_of(p['name'])}", f".type = {enum('TYPE', p['type'])}",
                  f".in = {sum(INS[i] for i in p['in'])}", f".with = {index[p['with']] if 'with' in p else -1}",
                  f".needs = {index[p['needs']['param']] if 'needs' in p else -1}"]
        if "default" in p:
            fields.append(f".default_text = {slice_of(p['default'])}")
        if "one_of" in p:
            fields += [f".one_of = one_of_{name}_{p['name']}", f".n_one_of = {len(p['one_of'])}",
                       f".expected = {json.dumps(joined(p['one_of']))}"]
        if "needs" in p:
            fields += [f".needs_items = {p['needs']['items']}", f".needs_message = {json.dumps(p['needs']['message'])}"]
        if p.get("shapes"):
            fields.append(f".shapes = {enum('SHAPES', p['shapes'])}")
        if p.get("verbs"):
            fields.append(f".verbs = {sum(VERBS[v] for v in p['verbs'])}")
        if p.get("tenant_max"):
            fields.append(f".tenant_max = {p['tenant_max']}")
        fields += [f".{flag} = true" for flag in ("required", "blocks") if p.get(flag)]
        out.append(f"    {{{', '.join(fields)}}},")
    out.append("};")


def op_lines(row, out):
    codes = {"s": "LARK__OP_TIME_S", "ms": "LARK__OP_TIME_MS"}
    ops = compile_argv(row)
    out.append(f"static const struct lark_op ops_{row['method']}[] = {{")
    for code, text, param, skip in ops:
        fields = [f".code = {codes.get(code) or enum('OP', code)}"]
        if text:
            fields.append(f".text = {slice_of(text)}")
        fields += [f".param = {param}"] if param else []
        fields += [f".skip = {skip}"] if skip else []
        out.append(f"    {{{', '.join(fields)}}},")
    out.append("};")
    return len(ops)


def put_index(row):
    return [p["name"] for p in row["params"]].index(row["put"]) if "put" in row else -1


def raw_words(row):
    words = row.get("raw", {})
    return "{" + ", ".join(slice_of(words[name]) if words else "{NULL, 0}" for name in ("exists", "length", "range")) + "}"


def method_line(row, n_ops):
    params = f"params_{row['method']}" if row["params"] else "NULL"
    return (f"    {{{slice_of(row['method'])}, {slice_of(row['redis'])},\n"
            f"     {json.dumps(joined(row['paths']) if row['paths'] else '')},\n"
            f"     {json.dumps(joined(row['scopes']))},\n"
            f"     {params}, ops_{row['method']}, {len(row['params'])}, {n_ops}, {sum(VERBS[v] for v in row['verbs'])}, "
            f"{enum('REPLY', row['reply'])}, {LANES.index(row['lane'])}, {ACCESS.index(row['access'])}, "
            f"{TENANTS.index(row['tenant'])}, {STEPS.index(row.get('steps'))}, "
            f"{slice_of(row['give_back'] if row.get('give_back', 'none') != 'none' else '')}, {put_index(row)}, "
            f"{'true' if row['reply'] in RAW_REPLIES else 'false'}, {raw_words(row)}}},")


def words_of(rows):
    """word -> list of (method index, parameter indices), longest path first; containers have no routes"""
    words = {}
    for m, row in enumerate(rows):
        index = {p["name"]: i for i, p in enumerate(row["params"])}
        for path in row["paths"]:
            literal = "/".join(re.findall(r"/([A-Z_]+)(?=/)", path.split("{")[0]))
            names = re.findall(r"\{([a-z_]+)\}", path)
            words.setdefault(literal, []).append((m, [index[n] for n in names]))
            if "/" in literal:
                words.setdefault(literal.split("/")[0], [])
    return words


def hash_word(word, seed):
    h = seed
    for c in word.encode():
        h = ((h ^ c) * 16777619) & 0xFFFFFFFF
    return (h ^ (h >> 15)) & (SLOTS - 1)


def perfect_seed(words):
    for seed in range(1, 1 << 24):
        if len({hash_word(w, seed) for w in words}) == len(words):
            return seed
    sys.exit("no perfect hash for the words: raise LARK_SLOTS")


# Scopes of pages of the gateway's own: they allow no method.
PAGE_SCOPES = ("read:metrics",)


def scope_table(rows):
    scopes = {scope: set() for scope in PAGE_SCOPES}
    for m, row in enumerate(rows):
        for scope in row["scopes"]:
            scopes.setdefault(scope, set()).add(m)
    return dict(sorted(scopes.items()))


def c_tables(rows, symbol):
    out = ["/* Made by tools/catalogue.py from the method rows; do not edit. */"]
    counts = []
    for row in rows:
        param_lines(row, out)
        counts.append(op_lines(row, out))
    out.append("static const struct lark_method all_methods[] = {")
    out += [method_line(row, n) for row, n in zip(rows, counts)]
    out.append("};")
    words = words_of(rows)
    out.append("static const struct lark_route all_routes[] = {")
    word_lines, at = [], 0
    for word, routes in words.items():
        word_lines.append(f"    {{{slice_of(word)}, {at}, {len(routes)}, {'false' if routes else 'true'}}},")
        for method, params in routes:
            out.append(f"    {{{method}, {len(params)}, {{{', '.join(map(str, params)) or 0}}}}},")
            at += 1
    if at == 0:
        out.append("    {0, 0, {0}},")
    out.append("};")
    out += ["static const struct lark_word all_words[] = {", *(word_lines or ["    {{NULL, 0}, 0, 0, false},"]), "};"]
    if at > 255 or len(words) > 255:
        sys.exit("over 255 words or routes: widen the indices in src/core/catalogue.h")
    seed = perfect_seed(list(words))
    slots = [0] * SLOTS
    for i, word in enumerate(words):
        slots[hash_word(word, seed)] = i + 1
    out.append("static const uint8_t all_slots[LARK_SLOTS] = {" + ", ".join(map(str, slots)) + "};")
    out.append("static const struct lark_scope_word all_scopes[] = {")
    scopes = scope_table(rows)
    for scope, methods in scopes.items():
        bits = sum(1 << m for m in methods)
        parts = ", ".join(f"0x{bits >> (64 * i) & (2**64 - 1):x}u" for i in range(4))
        out.append(f"    {{{slice_of(scope)}, {{{parts}}}}},")
    out.append("};")
    out.append(f"static const struct lark_catalogue {symbol} = {{\n    all_methods, all_routes, all_words, all_scopes, {len(rows)}, "
               f"{len(words)}, {len(scopes)}, {seed}u, all_slots}};")
    return "\n".join(out) + "\n"


if __name__ == "__main__":  # rows of another folder, as tests have them: catalogue.py FOLDER SYMBOL OUTPUT
    import pathlib

    pathlib.Path(sys.argv[3]).write_text(c_tables(load(pathlib.Path(sys.argv[1])), sys.argv[2]))
