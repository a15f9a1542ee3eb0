"""The schemas of the OpenAPI document: what a parameter may be in a body and in a URL, what a reply is, what an error is.

JSON Schema 2020-12, as the core reads and writes (src/core/value.c, body.c, shape.c): exact enough that a validator refuses
what Lark refuses."""
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import catalogue  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parent.parent

TEXT = {"type": "string"}
NULL = {"type": "null"}
INT = {"type": "integer"}
BINARY = {"type": "string", "format": "binary"}


def ref(name):
    return {"$ref": f"#/components/schemas/{name}"}


def array(items, least=0):
    return {"type": "array", "items": items, **({"minItems": least} if least else {})}


def pair(first, second):
    return {"type": "array", "prefixItems": [first, second], "items": False, "minItems": 2, "maxItems": 2}


def mapping(values, least=0):
    return {"type": "object", "additionalProperties": values, **({"minProperties": least} if least else {})}


def nullable(schema):
    return {"anyOf": [schema, NULL]}


# --- what goes in ----------------------------------------------------------------------------------------------------

BASE64 = "(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/][AQgw]==|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=)?"
NUMBER = r"[+-]?(?:(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|[iI][nN][fF](?:[iI][nN][iI][tT][yY])?)"
DATE = r"[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|1[0-9]|2[0-8])"
TIME = r"(?:[01][0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9](?:[.,][0-9]+)?)?(?:[Zz]|[+-](?:[01][0-9]|2[0-3])(?::?[0-5][0-9])?)?"
# Of a month's last days the pattern cannot tell which months have them.
DATETIME = f"^(?:{DATE}|[0-9]{{4}}-(?:0[1-9]|1[0-2])-(?:29|30|31))(?:[Tt ]{TIME})?$"

INPUTS = {
    "Bytes": {"description": "Any bytes, as base64.", "type": "object", "required": ["$base64"], "additionalProperties": False,
              "properties": {"$base64": {"type": "string", "contentEncoding": "base64", "pattern": f"^{BASE64}$"}},
              "examples": [{"$base64": "AP+A"}]},
    "Scalar": {"description": "Text as it is, a number as its digits, true and false as these words, or bytes.",
               "anyOf": [{"type": ["string", "number", "boolean"]}, ref("Bytes")], "examples": ["a"]},
    "Value": {"description": "Text as it is, a number as its digits, true and false as these words, an object or array as its "
                             "JSON text, or bytes: an object whose one member is $base64.",
              "anyOf": [{"type": ["string", "number", "boolean", "object", "array"]}, ref("Bytes")],
              "examples": ["text", {"a": 1}, {"$base64": "AP+A"}]},
    "Int": {"description": "A whole number, without a fraction or an exponent; also as text. It goes to Redis with the digits "
                           "that came.",
            "anyOf": [INT, {"type": "string", "pattern": "^-?[0-9]+$"}], "examples": [1]},
    "Float": {"description": "A number, also as text; inf and -inf as text.",
              "anyOf": [{"type": "number"}, {"type": "string", "pattern": f"^{NUMBER}$"}], "examples": [1.5]},
    "Flag": {"description": "true, false, 1 or 0, also as text in any case.",
             "enum": [True, False, 1, 0, "true", "false", "1", "0"]},
    "DateTime": {"description": "ISO 8601. Without a zone it is the server's local time; a date alone is midnight.",
                 "type": "string", "pattern": DATETIME, "examples": ["2030-01-01T00:00:00Z"]},
    "Base64": {"description": "Base64 text, line ends may stand in it.",
               "anyOf": [{"type": "string", "contentEncoding": "base64", "pattern": f"^{BASE64}$"}, ref("Bytes")],
               "examples": ["AMAB"]},
    "ScoreBound": {"description": "A score; -inf and +inf as text; a ( before it leaves that score out.",
                   "anyOf": [{"type": "number"}, {"type": "string", "pattern": f"^\\(?{NUMBER}$"}], "examples": ["(1.5"]},
}
SCALAR, VALUE_IN = ref("Scalar"), ref("Value")

# Parameter types as a JSON body has them.
PARAMETERS = {
    "key": SCALAR, "field": SCALAR, "string": SCALAR, "key-pattern": SCALAR, "sort-by": SCALAR,
    "keys": array(SCALAR, 1), "fields": array(SCALAR, 1), "sort-gets": array(SCALAR, 1), "values": array(VALUE_IN, 1),
    "value": VALUE_IN, "int": ref("Int"), "float": ref("Float"), "bool": ref("Flag"), "datetime": ref("DateTime"),
    "base64": ref("Base64"), "score-bound": ref("ScoreBound"),
    "keys-weights": {"anyOf": [array(SCALAR, 1), mapping(ref("Float"), 1)]},
    "key-values": array(pair(SCALAR, VALUE_IN), 1), "scores": array(pair(VALUE_IN, ref("Float")), 1),
    "mapping": {"anyOf": [mapping(VALUE_IN, 1), array(pair(SCALAR, VALUE_IN), 1)]},
    "ids": mapping(SCALAR, 1),
}
# As one word of a URL; what is a list repeats its name in the query, or is one word in the path.
WORDS = {
    "key": TEXT, "keys": TEXT, "field": TEXT, "fields": TEXT, "string": TEXT, "value": TEXT, "values": TEXT,
    "key-pattern": TEXT, "sort-by": TEXT, "sort-gets": TEXT, "int": INT,
    "bool": {"type": "string", "enum": ["true", "false", "1", "0"]},
    "score-bound": {"type": "string", "pattern": f"^\\(?{NUMBER}$"},
}
LISTS = ("keys", "fields", "values", "sort-gets")
# A server keeps a zero byte out of a path, and takes . and .. for steps: they go into the query.
IN_PATH = {"type": "string", "pattern": "^[^\\u0000]*$", "not": {"enum": [".", ".."]}}

EXAMPLES = {
    "key": "a", "keys": ["a", "b"], "field": "f", "fields": ["f", "g"], "string": "text", "value": "text", "values": ["x", "y"],
    "key-pattern": "*", "sort-by": "weight:*", "sort-gets": ["#"], "keys-weights": {"a": 1, "b": 2}, "scores": [["m", 1.5]],
    "key-values": [["a", "1"], ["b", {"c": 2}]], "mapping": {"f": "v"}, "int": 1, "float": 1.5, "bool": True, "ids": {"a": "0"},
    "datetime": "2030-01-01T00:00:00Z", "base64": "AMAB", "score-bound": "1.5",
}

# Where the type alone says too little.
OWN_EXAMPLES = {
    ("info", "section"): "memory", ("client_kill", "address"): "127.0.0.1:50000", ("config_get", "pattern"): "maxmemory*",
    ("client_setname", "name"): "reports", ("bitop", "dest"): "d", ("restore", "ttl"): 0,
    ("restore", "value"): "AMABCgAmeOe20QER/A==",
}


def example(method, param):
    if "one_of" in param:
        return param["one_of"][0]
    return OWN_EXAMPLES.get((method, param["name"]), EXAMPLES[param["type"]])


# --- what comes out --------------------------------------------------------------------------------------------------

SCORE = {"anyOf": [{"type": "number"}, {"type": "string", "enum": ["inf", "-inf", "nan"]}]}
STORED = ref("Stored")
PLAIN = ref("Plain")
OUTPUTS = {
    "Plain": {"description": "Text, or bytes that are no UTF-8.", "anyOf": [TEXT, ref("Bytes")]},
    "Stored": {"description": "A stored value: an object when the text is one, other text, bytes that are no UTF-8, null when "
                              "there is none. Lark-Values chooses.",
               "anyOf": [TEXT, {"type": "object"}, NULL]},
    "Score": {"description": "The shortest decimal that means the same double; inf, -inf and nan as text.", **SCORE},
    "Meta": {"type": "object", "required": ["status", "status_code"],
             "properties": {"status": {"const": "ok"}, "status_code": {"const": 200}}},
}
# Reply kinds as they stand in `data`.
REPLIES = {
    "ok": {"const": True}, "ok-or-null": {"enum": [True, None]}, "int": INT, "int-or-null": {"type": ["integer", "null"]},
    "bool": {"type": "boolean"}, "ttl": {"type": ["integer", "null"]}, "float": ref("Score"), "score": ref("Score"),
    "score-or-null": nullable(ref("Score")), "value": STORED, "word": TEXT, "string": PLAIN, "string-or-null": nullable(PLAIN),
    "base64": {"type": ["string", "null"], "contentEncoding": "base64", "pattern": f"^{BASE64}$"},
    "datetime": {"type": ["string", "null"], "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}$"},
    "key-or-null": nullable(PLAIN), "value-list": array(STORED), "set": array(STORED), "field-list": array(PLAIN),
    "key-list": array(PLAIN), "value-or-list": {"anyOf": [STORED, array(STORED)]}, "map": mapping(STORED),
    "config": mapping(PLAIN), "pairs": array({"anyOf": [STORED, pair(STORED, {"anyOf": [ref("Score"), TEXT]})]}),
    "popped": nullable(pair(PLAIN, STORED)), "sort": {"anyOf": [array(STORED), array(array(STORED)), INT]},
    "scan-keys": pair(TEXT, array(PLAIN)), "scan-members": pair(TEXT, array(STORED)), "scan-map": pair(TEXT, mapping(STORED)),
    "scan-pairs": pair(TEXT, array(pair(STORED, ref("Score")))), "info": {"type": "object"}, "client-list": array(mapping(PLAIN)),
    "debug-object": {"type": "object"}, "object-info": {"anyOf": [INT, PLAIN, NULL]},
}


def in_step():
    """Types and reply kinds are those of the catalogue."""
    for kinds, known, what in ((catalogue.REPLIES, REPLIES, "reply kind"), (catalogue.TYPES, PARAMETERS, "type"),
                               (catalogue.TYPES, EXAMPLES, "type with an example")):
        if set(kinds) != set(known):
            sys.exit(f"tools/openapi_schemas.py: {what}: {sorted(set(kinds) ^ set(known))} differ from tools/catalogue.py")


def reply_name(kind):
    return "Reply" + "".join(word.capitalize() for word in kind.split("-"))


def reply_schema(kind):
    return {"type": "object", "required": ["meta", "data"], "properties": {"meta": ref("Meta"), "data": REPLIES[kind]}}


# --- errors ----------------------------------------------------------------------------------------------------------

def applies(code, row, verb):
    """Can a call of this row be answered with this code?"""
    writes = row["access"] == "write" and verb != "GET"
    return {"prefix_refused": row["tenant"] == "refuse", "too_expensive": row["tenant"] == "emulate",
            "no_value": row["reply"] in catalogue.RAW_REPLIES, "range_not_satisfiable": verb == "GET" and "raw" in row,
            "too_many_calls": row["lane"] != "shared", "outcome_unknown": writes, "redis_full": writes}.get(code, True)


def error_rows():
    rows = json.loads((ROOT / "data/errors.json").read_text())["errors"]
    return [row for row in rows if not row.get("internal")]


class Errors:
    """The error responses: one for each status and set of codes that some call has."""

    def __init__(self):
        self.rows = error_rows()
        self.responses = {}

    def of(self, row, verb):
        """status -> reference, for the `responses` of an operation."""
        out = {}
        for status in sorted({error["status"] for error in self.rows}):
            all_of_it = [error for error in self.rows if error["status"] == status]
            mine = [error for error in all_of_it if applies(error["code"], row, verb)]
            if mine:
                name = f"Error{status}" + ("" if mine == all_of_it else "Plain")
                self.responses.setdefault(name, self.response(status, mine))
                out[str(status)] = {"$ref": f"#/components/responses/{name}"}
        return out

    @staticmethod
    def response(status, errors):
        codes = list(dict.fromkeys(error["code"] for error in errors))
        headers = {}
        if any(error.get("retry_after_s") for error in errors):
            headers["Retry-After"] = {"description": "Seconds.", "required": True, "schema": INT}
        if status == 405:
            headers["Allow"] = {"description": "The verbs that the path takes.", "required": True, "schema": TEXT}
        if status == 416:
            headers["Content-Range"] = {"description": "bytes */TOTAL", "required": True, "schema": TEXT}
        if status == 401:
            headers["WWW-Authenticate"] = {"required": True, "schema": TEXT}
        meta = {"properties": {"status_code": {"const": status}, "error_code": {"enum": codes}}}
        example = {"meta": {"status": "error", "status_code": status, "error_message": errors[0]["message"],
                            "error_code": codes[0]}}
        return {"description": "\n".join(f"- `{error['code']}`: {error['message']}" for error in errors),
                **({"headers": headers} if headers else {}),
                "content": {"application/json": {
                    "schema": {"allOf": [ref("Error"), {"properties": {"meta": meta}}]}, "example": example}}}

    def schema(self):
        codes = list(dict.fromkeys(error["code"] for error in self.rows))
        return {"description": "The message says which method and parameter, what was expected, what came. The code is a stable "
                               "word for programs.",
                "type": "object", "required": ["meta"], "properties": {"meta": {
                    "type": "object", "required": ["status", "status_code", "error_message", "error_code"], "properties": {
                        "status": {"const": "error"}, "status_code": INT, "error_message": {"type": "string", "minLength": 1},
                        "error_code": {"type": "string", "enum": codes}}}}}
