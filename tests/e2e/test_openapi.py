"""The OpenAPI document: valid by an independent validator, complete, served, and true: schemathesis calls the server by it.

LARK_SCHEMATHESIS=N makes schemathesis generate N cases an operation instead of a few (an hour: about 400)."""
import collections
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import urllib.parse

import jsonschema
import openapi_spec_validator
import pytest
import rows
from conftest import ROOT, wait_for
from serve_host import Serve, lark as program, short_folder

HERE = ROOT / "tests/e2e"
CASES = int(os.environ.get("LARK_SCHEMATHESIS", "6"))
SEED = 20240229
VERBS = {"GET": "get", "POST": "post", "PUT": "put", "DELETE": "delete"}


folder = pytest.fixture(short_folder)


@pytest.fixture(scope="module")
def openapi():
    return json.loads(program("openapi")[1])


def operations(document):
    for path, item in document["paths"].items():
        for verb, operation in item.items():
            yield path, verb, operation


def validator(document, schema):
    """References in a schema are to the document's components."""
    return jsonschema.Draft202012Validator({**schema, "components": document["components"]})


def content(part):
    kinds = part["content"]
    return kinds["application/json"] if "application/json" in kinds else kinds["application/octet-stream"]


def parameters(document, operation):
    """Those of the operation itself, without Lark-Values."""
    return [p for p in operation["parameters"] if "$ref" not in p]


# --- the document -----------------------------------------------------------------------------------------------------

def test_is_valid(openapi):
    openapi_spec_validator.validate(openapi, cls=openapi_spec_validator.OpenAPIV31SpecValidator)


def test_schemas_are_valid(openapi):
    schemas = list(openapi["components"]["schemas"].values())
    for _, _, operation in operations(openapi):
        schemas += [p["schema"] for p in parameters(openapi, operation)]
        if "requestBody" in operation:
            schemas.append(content(operation["requestBody"])["schema"])
    for schema in schemas:
        jsonschema.Draft202012Validator.check_schema(schema)


def query_form(row):
    """The words of a method whose required path parameters may all stand in the query."""
    words = {path.split("{")[0] for path in row["paths"]}
    return {word for word in words if any("path" in p["in"] and p.get("required") for p in row["params"])}


def test_has_every_method_verb_and_path_in_both_forms(openapi):
    assert openapi["openapi"] == "3.1.0" and openapi["servers"] == [{"url": "/api/0"}]
    wanted = {(path, VERBS[verb]) for row in rows.ROWS for path in set(row["paths"]) | query_form(row)
              for verb in row["verbs"]}
    assert {(path, verb) for path, verb, _ in operations(openapi)} == wanted
    assert len(wanted) > 200


def test_path_parameters_agree_with_the_path(openapi):
    for path, verb, operation in operations(openapi):
        declared = [p for p in parameters(openapi, operation) if p["in"] == "path"]
        assert {p["name"] for p in declared} == set(re.findall(r"\{(\w+)\}", path)), (verb, path)
        assert all(p["required"] for p in declared)


def test_ids_are_unique_words(openapi):
    ids = [operation["operationId"] for _, _, operation in operations(openapi)]
    assert len(set(ids)) == len(ids) and all(re.fullmatch("[a-z][a-z0-9_]*", name) for name in ids)
    assert {"get", "get_by_query", "incr_as_incrby", "sort_post", "bitcount_by_key"} <= set(ids)


def test_every_parameter_of_a_row_is_told(openapi):
    for row in rows.ROWS:
        told = collections.Counter()
        for _, _, operation in operations(openapi):
            if operation["externalDocs"]["description"] != f"{row['redis']} in Redis":
                continue
            told.update({p["name"] for p in parameters(openapi, operation)})
            if "requestBody" in operation:
                schema = content(operation["requestBody"])["schema"]
                told.update(list(schema.get("properties", {})))
                told.update(p["name"] for p in row["params"] if p["in"] == ["body"] and schema["type"] == "array")
        assert set(told) == {p["name"] for p in row["params"]}, row["method"]


def test_scopes_and_tags_are_those_of_the_row(openapi):
    by_path = {(path, VERBS[verb]): row for row in rows.ROWS for path in row["paths"] for verb in row["verbs"]}
    for (path, verb), row in by_path.items():
        operation = openapi["paths"][path][verb]
        assert operation["x-lark-scopes"] == row["scopes"]
        assert all(f"`{scope}`" in operation["description"] for scope in row["scopes"])
    assert {tag["name"] for tag in openapi["tags"]} == {tag for _, _, o in operations(openapi) for tag in o["tags"]}


def test_every_status_and_code_is_told(openapi):
    errors = json.loads((ROOT / "data/errors.json").read_text())["errors"]
    wanted = {(row["status"], row["code"]) for row in errors if not row.get("internal")}
    told, always = set(), None
    for path, verb, operation in operations(openapi):
        mine = set()
        for status, response in operation["responses"].items():
            if status in ("200", "206"):
                continue
            response = openapi["components"]["responses"][response["$ref"].rpartition("/")[2]]
            codes = content(response)["schema"]["allOf"][1]["properties"]["meta"]["properties"]["error_code"]["enum"]
            mine |= {(int(status), code) for code in codes}
            validator(openapi, content(response)["schema"]).validate(content(response)["example"])
        assert mine <= wanted, (verb, path)
        told |= mine
        always = mine if always is None else always & mine
    assert told == wanted
    conditional = {"prefix_refused", "too_expensive", "too_many_calls", "outcome_unknown", "redis_full", "no_value",
                   "range_not_satisfiable"}
    assert {code for _, code in wanted - always} == conditional


def test_every_example_keeps_its_schema(openapi):
    seen = collections.Counter()
    for path, verb, operation in operations(openapi):
        parts = [(p["schema"], p["example"]) for p in parameters(openapi, operation) if "example" in p]
        seen["parameter"] += len(parts)
        for part in [operation["responses"]["200"]] + ([operation["requestBody"]] if "requestBody" in operation else []):
            if "example" in content(part):
                seen["body"] += 1
                parts.append((content(part)["schema"], content(part)["example"]))
        for schema, example in parts:
            validator(openapi, schema).validate(example)
        required = [p for p in parameters(openapi, operation) if p["required"]]
        assert all("example" in p for p in required), (verb, path)
    assert seen["parameter"] > 200 and seen["body"] > 200


def test_every_documented_example_is_there(openapi):
    """As the rows have it, but for those that belong to another method, and for long objects, which are cut."""
    left = set()
    for row in rows.ROWS:
        if "example" not in row:
            continue
        request, found = row["example"]["request"], row["example"]["response"]
        shown = [content(o["responses"]["200"]).get("example") for _, _, o in operations(openapi)
                 if o["externalDocs"]["description"] == f"{row['redis']} in Redis"]
        cut = isinstance(found["data"], dict) and len(found["data"]) > 12
        if not any(one == found or (cut and one and one["data"].items() <= found["data"].items()) for one in shown):
            left.add((row["method"], request["path"]))
    assert left == {("hincrbyfloat", "/HINCRBY/a/1/")}


# --- served -----------------------------------------------------------------------------------------------------------

def test_is_served_with_the_same_bytes(lark):
    answer = lark.get("/openapi.json", mount="")
    assert answer.status == 200 and answer.headers["Content-Type"] == "application/json"
    assert answer.body.decode() == program("openapi")[1]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert lark.request("HEAD", "/openapi.json", mount="").status == 200


@pytest.mark.parametrize(("host", "status"), [
    ("localhost", 200), ("LOCALHOST", 200), ("localhost.", 200), ("localhost:1", 200), ("127.0.0.1", 200), ("[::1]", 200),
    ("[::1]:80", 200), ("evil.example", 421), ("127x0.0.1", 421), ("localhost.evil.example", 421), ("evil.example localhost", 400),
    ("1", 421), ("", 400),
])
def test_only_known_hosts_get_it(lark, host, status):
    answer = lark.exchange(f"GET /openapi.json HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    assert answer.status == status
    if status == 421:
        assert answer.error[0] == "foreign_host"


@pytest.mark.parametrize(("target", "host"), [
    ("http://evil.example/openapi.json", "localhost"), ("http://localhost/openapi.json", "evil.example"),
])
def test_both_hosts_of_a_request_count(lark, target, host):
    assert lark.exchange(f"GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()).status == 421


def test_hosts_of_the_option_are_known(own_lark):
    server = own_lark("--allowed-hosts", "Redis.example.com,localhost,10.0.0.1")
    for host, status in (("redis.example.com", 200), ("10.0.0.1", 200), ("redisxexample.com", 421), ("localhost", 200)):
        assert server.exchange(f"GET /openapi.json HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()).status == status


@pytest.mark.parametrize(("mount", "url"), [("/", "/"), ("/a/much/longer/~mount.point", "/a/much/longer/~mount.point"), ("/x", "/x")])
def test_its_server_is_the_mount_point(own_lark, openapi, mount, url):
    server = own_lark("--mount", mount)
    served = server.get("/openapi.json", mount="").json
    assert served["servers"] == [{"url": url}]
    assert {**served, "servers": None} == {**openapi, "servers": None}


def test_it_is_whole_or_json_says_why(lark):
    whole = lark.get("/openapi.json", mount="")
    ranged = lark.get("/openapi.json", mount="", headers={"Range": "bytes=99999999-"})
    assert (ranged.status, ranged.body) == (200, whole.body)
    refused = lark.get("/openapi.json", mount="", headers={"If-Match": '"x"'})
    assert refused.status == 400 and refused.error[0] == "bad_request" and refused.headers["X-Content-Type-Options"] == "nosniff"


def test_a_reload_moves_its_server(folder):
    config = folder / "lark.json"
    config.write_text('{"mount": "/a"}')

    def url(server):
        return json.loads(server.request("GET", "/openapi.json")[1])["servers"][0]["url"]

    with Serve(folder / "s", "--config", config) as server:
        assert url(server) == "/a"
        config.write_text('{"mount": "/b", "workers": 0}')
        server.send(signal.SIGHUP)
        wait_for("it says that this is wrong", lambda: "not reloaded" in server.said())
        assert url(server) == "/a"
        config.write_text('{"mount": "/b"}')
        server.send(signal.SIGHUP)
        wait_for("the new mount point", lambda: url(server) == "/b")
        assert server.end() == 0


def test_other_verbs_are_refused(lark):
    answer = lark.exchange(b"POST /openapi.json HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}")
    assert answer.error[0] == "wrong_verb" and answer.error[1].startswith("this path takes GET, HEAD, ")


# --- true: its examples -----------------------------------------------------------------------------------------------

def example_request(openapi, path, operation):
    query = []
    for parameter in parameters(openapi, operation):
        if "example" not in parameter:
            continue
        value = parameter["example"]
        if parameter["in"] == "path":
            path = path.replace("{%s}" % parameter["name"], urllib.parse.quote(str(value), safe=""))
        else:
            query += [(parameter["name"], word) for word in (value if isinstance(value, list) else [value])]
    body = content(operation["requestBody"]).get("example") if "requestBody" in operation else None
    return path + ("?" + urllib.parse.urlencode(query) if query else ""), body


UNSAFE = {"/CONFIG/SET/{name}/": "the example would lower maxclients", "/CONFIG/SET/": "the same"}


def test_the_server_answers_every_example(lark, openapi):
    codes = collections.Counter()
    for path, verb, operation in operations(openapi):
        if path in UNSAFE:
            continue
        target, body = example_request(openapi, path, operation)
        lark.redis().flushall()
        if "/BLPOP/" in path or "/BRPOP" in path:
            lark.redis().rpush("a", "1")
        answer = lark.request(verb.upper(), target, body=body)
        response = operation["responses"][str(answer.status)]
        if "$ref" in response:
            response = openapi["components"]["responses"][response["$ref"].rpartition("/")[2]]
        validator(openapi, content(response)["schema"]).validate(answer.json)
        codes[answer.json["meta"].get("error_code", "ok")] += 1
    assert set(codes) == {"ok", "redis_error"} and codes["redis_error"] <= 16, codes


# --- true: schemathesis -----------------------------------------------------------------------------------------------

@pytest.mark.timeout(600 + 60 * CASES)
@pytest.mark.parametrize("tags", [("Key",), ("Hash", "Set"), ("Sorted Set", "Sort", "Scan"), ("List", "Admin")],
                         ids=lambda tags: "-".join(tags).replace(" ", ""))
def test_schemathesis_finds_nothing(own_lark, tmp_path, tags):
    server = own_lark()
    server.redis().config_set("proto-max-bulk-len", 1 << 20)  # SETRANGE and SETBIT: no values of 512 MB
    report, explained = tmp_path / "report.json", tmp_path / "explained"
    explained.touch()
    command = [pathlib.Path(sys.executable).with_name("schemathesis"), "--config-file", HERE / "schemathesis.toml", "--no-color", "run",
               f"http://127.0.0.1:{server.port}/openapi.json", "--url", server.url, "--phases", "examples,coverage,fuzzing",
               "--max-examples", str(CASES), "--seed", str(SEED), "--request-timeout", "20", "--continue-on-failure",
               "--report", "json", "--report-json-path", report]
    for tag in tags:
        command += ["--include-tag", tag]
    environment = {**os.environ, "SCHEMATHESIS_HOOKS": "schemathesis_hooks", "PYTHONPATH": str(HERE),
                   "LARK_EXPLAINED": str(explained)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True)
    assert report.exists(), done.stdout[-5000:]
    told = json.loads(report.read_text())
    assert done.returncode == 0 and told["complete"] and not told["failures"] and not told["errors"], done.stdout[-20000:]
    assert told["operations"]["tested"] == told["operations"]["selected"] > 0
    assert told["test_cases"]["generated"] > 10 * told["operations"]["tested"]
    reasons = collections.Counter(json.loads(line)[0] for line in explained.read_text().splitlines())
    print(f"{tags}: {told['operations']['tested']} operations, {told['test_cases']['generated']} cases, "
          f"{told['running_time']:.0f} s, explained {dict(reasons)}")
