#!/usr/bin/env python3
"""Make the texts that `lark methods` and `lark openapi` print, from data/methods. Arguments: kind, output file, version.

    openapi.py methods   a table for people
    openapi.py json      the catalogue as JSON
    openapi.py openapi   the OpenAPI 3.1 document
    openapi.py c         all three as C arrays (documents.inc)
"""
import json
import pathlib
import re
import sys
import urllib.parse

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import catalogue  # noqa: E402
import directives  # noqa: E402
import openapi_schemas as schemas  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parent.parent
MOUNT = "/api/0"
SHOWN_MEMBERS = 6  # of a large object in an example

ABOUT = """\
An HTTP door to Redis: a request becomes a Redis command, the reply becomes JSON.

**Paths.** The method's name may be in any case; the last slash may be left out. Each part of the path is percent-decoded once.
The required parameters of a path are all in the path or all in the query (the operations whose id ends in `_by_query`); the query
takes what a path cannot: zero bytes, `.` and `..`.

**Parameters** come from the path, then the JSON body, then the query: the first that has one wins. The body is read as JSON whatever
its content type. Members that the method does not know are ignored, `null` means missing, a member that comes twice is refused.

**Scopes.** A call is allowed to who holds any one of the scopes in its `x-lark-scopes`. A token has scopes of its own; what a caller
without credentials holds is the server's setting (`lark serve --default-scopes`, `lark_default_scopes`): nothing, where there is none.

**Limits.** Body {lark_body_max}, one value {lark_value_max}, {lark_args_max} arguments of one command, JSON depth 32, 750,000 member names in a body,
request line and headers 64 KiB each, reply of Redis {lark_reply_max}; the server may have set others.

**Verbs.** HEAD goes with GET; OPTIONS answers the verbs of a path.
"""
SECTIONS = {
    "Admin": "The server, its connections and settings.", "Hash": "Objects of fields and values.",
    "Key": "Keys, and values that are text or numbers.", "List": "Lists, also as queues that callers wait for.",
    "Scan": "Walks over keys and members in steps.", "Set": "Sets of values.", "Sort": "Sorting lists, sets and sorted sets.",
    "Sorted Set": "Sets whose members have a score.",
}


def about():
    """ABOUT with the limits that the server has when nobody sets them."""
    defaults = {row["name"]: row.get("default") for row in directives.load()}
    return re.sub(r"\{(lark_\w+)\}", lambda name: re.sub(r"(\d)m$", r"\1 MiB", defaults[name[1]]), ABOUT)


def rows():
    schemas.in_step()
    return [row for row in catalogue.load(ROOT / "data/methods") if not row.get("hidden")]


def plain(row):
    """A row for readers: without where its facts come from."""
    return {"method": row["method"], "section": row["section"],
            **{k: v for k, v in row.items() if k not in ("method", "section", "origin")}}


def make_methods(_version):
    lines = [("METHOD", "VERB", "PATH", "SCOPES, ANY OF", "SUMMARY")]
    for row in rows():
        verbs = ",".join(row["verbs"])
        lines.append((row["method"], verbs, row["paths"][0], " ".join(row["scopes"]), row["summary"]))
        lines += [("", verbs, path, "", "") for path in row["paths"][1:]]
    widths = [max(len(line[i]) for line in lines) for i in range(4)]
    return "".join("  ".join([*(cell.ljust(width) for cell, width in zip(line, widths)), line[4]]).rstrip() + "\n"
                   for line in lines)


def make_json(version):
    return json.dumps({"lark": version, "methods": [plain(row) for row in rows()]}, indent=1, ensure_ascii=False) + "\n"


# --- paths, and where a parameter stands ------------------------------------------------------------------------------

def word_of(path):
    """/CONFIG/GET/{pattern}/ -> /CONFIG/GET/"""
    return path.split("{")[0]


def names_in(path):
    return re.findall(r"\{(\w+)\}", path)


def query_paths(row):
    """The paths of this row that stand for the query form and are in none of its `paths`."""
    words = dict.fromkeys(word_of(path) for path in row["paths"])
    required = any("path" in p["in"] and p.get("required") for p in row["params"])
    return [word for word in words if required and word not in row["paths"]]


def calls(row):
    """(path, verb, is it the query form?) of each operation."""
    return [(path, verb, path in query_paths(row)) for path in row["paths"] + query_paths(row) for verb in row["verbs"]]


def is_put(row, verb):
    """Are the body's bytes one parameter?"""
    return verb == "PUT" and "put" in row


def places_of(row, param, path, verb, in_query):
    """Where this parameter may stand in such a call: some of path, query, json, body, or raw: the body's bytes."""
    if verb not in param.get("verbs", [verb]):
        return []
    if param["name"] in names_in(path):
        return ["path"]
    put = is_put(row, verb)
    if put and param["name"] == row["put"]:
        return ["raw"]
    places = [place for place in ("body", "json") if place in param["in"] and verb in ("POST", "PUT") and not put]
    if "query" in param["in"] or (in_query and "path" in param["in"]) or (put and "json" in param["in"]):
        places.append("query")
    return places


def operation_id(row, path, verb):
    """The method's name, with what tells the operation from the method's first one."""
    first = row["paths"][0]
    name = row["method"] if verb == row["verbs"][0] else f"{row['method']}_{verb.lower()}"
    word = word_of(path).strip("/").replace("/", "_").lower()
    if word_of(path) != word_of(first):
        name += f"_as_{word}"
    names = names_in(path)
    if names != names_in(first):
        name += "_by_" + ("_and_".join(names) if names else "query")
    return name


# --- examples ---------------------------------------------------------------------------------------------------------

def example_values(row):
    """(values of the documented example by parameter, its response), or (None, None) when it has none."""
    request = row.get("example", {}).get("request", {})
    target, _, query = request.get("path", "").partition("?")
    for path in row["paths"]:
        match = re.fullmatch(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]*)", path), target)
        if match is None or request["verb"] != row["verbs"][0]:
            continue
        values = {name: urllib.parse.unquote(text) for name, text in match.groupdict().items()}
        lists = {p["name"] for p in row["params"] if p["type"] in schemas.LISTS}
        for name, texts in urllib.parse.parse_qs(query).items():
            values[name] = texts if name in lists else texts[0]
        body = request.get("json")
        whole = [p["name"] for p in row["params"] if p["in"] == ["body"]]
        if body is not None:
            values.update({whole[0]: body} if whole else body)
        return values, shortened(row["example"]["response"])
    return None, None


def shortened(response):
    data = response.get("data")
    if isinstance(data, dict) and len(data) > 2 * SHOWN_MEMBERS:
        data = dict(list(data.items())[:SHOWN_MEMBERS])
    return {"meta": response["meta"], "data": data}


class Example:
    """The values of one operation's example: the documented ones where all of them fit, else by type."""

    def __init__(self, row, path, verb, in_query):
        values, response = example_values(row)
        given = {p["name"] for p in row["params"] if places_of(row, p, path, verb, in_query)}
        if values is None or is_put(row, verb) or not set(values) <= given or not set(names_in(path)) <= set(values):
            values, response = {}, None
        needed = {p["name"] for p in row["params"] if p.get("required")} | set(names_in(path))
        self.response = response
        self.values = {p["name"]: self.value(row, p, values.get(p["name"])) for p in row["params"]
                       if p["name"] in needed or p["name"] in values}

    @staticmethod
    def value(row, param, documented):
        if documented is None:
            return schemas.example(row["method"], param)
        if "one_of" in param:
            return documented.lower()
        return {"1": True, "0": False}.get(documented, documented) if param["type"] == "bool" else documented

    def in_url(self, param, place):
        """As the schema of a path or query has it."""
        value = self.values[param["name"]]
        if param["type"] in schemas.LISTS:
            values = value if isinstance(value, list) else [value]
            return values[0] if place == "path" else values
        if param["type"] == "bool":
            return str(int(value))
        return int(value) if param["type"] == "int" else str(value)


# --- who calls --------------------------------------------------------------------------------------------------------

SECURITY_SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer",
               "description": "An API token (`lark token create`), or an access token of the issuer that the server trusts."},
    "basic": {"type": "http", "scheme": "basic", "description": "The token as password; any user name."},
}
# Either of them, or none: what that may do is the server's setting.
SECURITY = [{name: []} for name in SECURITY_SCHEMES] + [{}]


# --- one operation ----------------------------------------------------------------------------------------------------

def typed_default(param):
    text = param["default"]
    if not isinstance(text, str) or param["type"] not in ("int", "float"):
        return text
    return int(text) if param["type"] == "int" else float(text)


def with_default(schema, param):
    return {**schema, "default": typed_default(param)} if "default" in param else schema


def describe(param, also=""):
    words = [param["doc"]] if param.get("doc") else []
    if param.get("one_of"):
        words.append("In any case.")
    if param.get("with"):
        words.append(f"Goes together with {param['with']}.")
    return {"description": " ".join(words + ([also] if also else []))} if words or also else {}


def word_schema(param, place):
    if "one_of" in param:
        return {"type": "string", "enum": param["one_of"]}
    schema = schemas.WORDS[param["type"]]
    if place == "path":
        return schemas.IN_PATH if schema == schemas.TEXT else schema
    return schemas.array(schema, 1) if param["type"] in schemas.LISTS else schema


def url_parameter(param, place, places, example):
    out = {"name": param["name"], "in": place, "required": place == "path" or bool(param.get("required")),
           "schema": with_default(word_schema(param, place), param),
           **describe(param, "The body's wins." if "json" in places else "")}
    if param["type"] in schemas.LISTS and place == "query":
        out.update(style="form", explode=True)
    if param["name"] in example.values and "json" not in places:
        out["example"] = example.in_url(param, place)
    return out


def member_schema(param):
    schema = {"type": "string", "enum": param["one_of"]} if "one_of" in param else schemas.PARAMETERS[param["type"]]
    if not param.get("required"):
        schema = schemas.nullable(schema)
    return {**with_default(schema, param), **describe(param)}


def request_body(params, example):
    """params: those with their places that this operation has."""
    whole = [p for p, places in params if "body" in places]
    raw = [p for p, places in params if "raw" in places]
    members = [p for p, places in params if "json" in places]
    if whole:
        content = {"schema": {**schemas.PARAMETERS[whole[0]["type"]], **describe(whole[0])},
                   "example": example.values[whole[0]["name"]]}
        return {"requestBody": {"required": True, "content": {"application/json": content}}}
    if raw:
        example = example.values[raw[0]["name"]]
        content = {"schema": {**schemas.BINARY, "description": f"The bytes of `{raw[0]['name']}`, as they are."},
                   "example": example[0] if isinstance(example, list) else example}
        return {"requestBody": {"content": {"application/octet-stream": content}}}
    if not members:
        return {}
    needed = [p["name"] for p in members if p.get("required")]
    schema = {"type": "object" if needed else ["object", "null"],
              "properties": {p["name"]: member_schema(p) for p in members}}
    if needed:
        schema["required"] = needed
    together = {p["name"]: [p["with"]] for p in members if p.get("with")}
    if together:
        schema["dependentRequired"] = together
    content = {"schema": schema}
    values = {p["name"]: example.values[p["name"]] for p in members if p["name"] in example.values}
    if values:
        content["example"] = values
    return {"requestBody": {"required": bool(needed), "content": {"application/json": content}}}


def is_raw(row):
    """May the answer be the bytes of a value (Lark-Values: raw)?"""
    return row["reply"] in catalogue.RAW_REPLIES


def has_range(row, verb):
    return verb == "GET" and "raw" in row


def raw_content(row):
    content = {"schema": {**schemas.BINARY, "description": "With `Lark-Values: raw`: the value's bytes, as they are."}}
    return {"application/octet-stream": content} if is_raw(row) else {}


def ref_parameter(name):
    return {"$ref": f"#/components/parameters/{name}"}


# Of a value in bytes: `Lark-Values: raw` with a Range.
PART = {
    "description": "With `Lark-Values: raw` and a Range: these bytes of the value.",
    "headers": {"Content-Range": {"description": "bytes FIRST-LAST/TOTAL", "required": True, "schema": schemas.TEXT}},
    "content": {"application/octet-stream": {"schema": schemas.BINARY}},
}


def values_parameter(raw):
    about = ("How stored values are written. json: one that is a JSON object as that object; text: all as text; base64: all as "
             "base64 text. An empty value counts as none.")
    if raw:
        about += " raw: the answer is the bytes of the value; where there is none 404."
    return {"name": "Lark-Values", "in": "header", "required": False, "description": about,
            "schema": {"type": "string", "enum": ["json", "text", "base64"] + ["raw"] * raw, "default": "json"}}


def operation(row, path, verb, in_query, errors):
    example = Example(row, path, verb, in_query)
    params = [(p, places_of(row, p, path, verb, in_query)) for p in row["params"]]
    content = {"schema": schemas.ref(schemas.reply_name(row["reply"]))}
    if example.response:
        content["example"] = example.response
    in_url = [url_parameter(p, place, places, example) for p, places in params for place in places
              if place in ("path", "query")]
    notes = [row["notes"]] if row.get("notes") else []
    notes.append("Scopes, any one of: " + ", ".join(f"`{scope}`" for scope in row["scopes"]) + ".")
    headers = [ref_parameter("Lark-Values-Raw" if is_raw(row) else "Lark-Values")]
    answers = {"200": {"description": row["reply_rule"], "content": {"application/json": content, **raw_content(row)}}}
    if has_range(row, verb):
        headers.append(ref_parameter("Range"))
        answers["206"] = PART
    return {
        "operationId": operation_id(row, path, verb), "tags": [row["section"]], "summary": row["summary"],
        "description": "\n\n".join(notes),
        "externalDocs": {"url": redis_page(row), "description": f"{row['redis']} in Redis"},
        "parameters": in_url + headers, **request_body(params, example),
        "responses": {**answers, **errors.of(row, verb)},
        "x-lark-scopes": row["scopes"], "x-lark-access": "read" if verb == "GET" else row["access"],
        "x-lark-lane": row["lane"], "x-lark-tenant": row["tenant"],
    }


def redis_page(row):
    return "https://redis.io/commands/" + row["redis"].lower().replace(" ", "-") + "/"


def components(errors, kinds):
    return {
        "schemas": {**schemas.INPUTS, **schemas.OUTPUTS, "Error": errors.schema(),
                    **{schemas.reply_name(kind): schemas.reply_schema(kind) for kind in schemas.REPLIES if kind in kinds}},
        "parameters": {
            "Lark-Values": values_parameter(False), "Lark-Values-Raw": values_parameter(True),
            "Range": {"name": "Range", "in": "header", "required": False,
                      "description": "With `Lark-Values: raw`: only these bytes of the value. What is not one range of bytes counts as "
                                     "none.",
                      "schema": schemas.TEXT, "example": "bytes=0-99"}},
        "responses": dict(sorted(errors.responses.items())),
        "securitySchemes": SECURITY_SCHEMES,
    }


def make_openapi(version):
    errors, paths, all_rows = schemas.Errors(), {}, rows()
    ids = set()
    for row in all_rows:
        for path, verb, in_query in calls(row):
            made = operation(row, path, verb, in_query, errors)
            if made["operationId"] in ids or verb.lower() in paths.get(path, {}):
                sys.exit(f"tools/openapi.py: {verb} {path} ({made['operationId']}) is there twice")
            ids.add(made["operationId"])
            paths.setdefault(path, {})[verb.lower()] = made
    tags = [{"name": tag, "description": SECTIONS[tag]} for tag in dict.fromkeys(row["section"] for row in all_rows)]
    return lines({
        "openapi": "3.1.0",
        "info": {"title": "Lark", "version": version, "summary": "An HTTP door to Redis",
                 "license": {"name": "MIT", "identifier": "MIT"}, "description": about()},
        "servers": [{"url": MOUNT}], "security": SECURITY, "tags": tags, "paths": paths,
        "components": components(errors, {row["reply"] for row in all_rows})})


def lines(document):
    """JSON with a line for each operation, schema and response: short, and still to be read and compared."""
    def compact(value):
        return json.dumps(value, ensure_ascii=False)

    def block(value, depth, open_to):
        if depth >= open_to or not isinstance(value, dict) or not value:
            return compact(value)
        pad = " " * (depth + 1)
        members = ",\n".join(f"{pad}{compact(name)}: {block(item, depth + 1, open_to)}" for name, item in value.items())
        return "{\n" + members + "\n" + " " * depth + "}"

    return block(document, 0, 3) + "\n"


# --- as C -------------------------------------------------------------------------------------------------------------

def c_array(name, text):
    data = text.encode()
    parts = [", ".join(str(byte) for byte in data[i:i + 24]) for i in range(0, len(data), 24)]
    return f"static const uint8_t {name}[] = {{\n" + ",\n".join("    " + part for part in parts) + "};\n"


def make_c(version):
    url = b'"servers": [{"url": "'
    at = make_openapi(version).encode().index(url) + len(url)
    return (f"/* Made from data/methods; do not edit. */\n#define OPENAPI_MOUNT_AT {at} /* of the server's url */\n"
            f"#define OPENAPI_MOUNT_LEN {len(MOUNT)}\n") + "".join(
        c_array(name, make(version)) for name, make in
        (("methods_text", make_methods), ("methods_json", make_json), ("openapi_json", make_openapi)))


MAKERS = {"methods": make_methods, "json": make_json, "openapi": make_openapi, "c": make_c}

if __name__ == "__main__":
    if len(sys.argv) != 4 or sys.argv[1] not in MAKERS:
        sys.exit(__doc__)
    pathlib.Path(sys.argv[2]).write_text(MAKERS[sys.argv[1]](sys.argv[3]))
