"""Requests that are wrong, each answered with what was wrong: method, parameter, expected type, got value."""
import json
import re

import pytest
import rows

PARAMS = [(row, param) for row in rows.ROWS for param in row["params"]]


def ids(pair):
    return f"{pair[0]['method']}-{pair[1]['name']}"


def error(answer, status, code):
    assert answer.status == status, answer
    assert answer.error[0] == code, answer
    return answer.error[1]


def names(message, row, param=None):
    """The message says the method, and the parameter as a word of its own."""
    assert re.search(row["method"].replace("_", "[_ /]"), message, re.IGNORECASE), message
    if param:
        assert re.search(rf"\b{param['name']}\b", message), message


# --- JSON ------------------------------------------------------------------------------------------------------------

# body, offset of the byte that cannot stand there
BROKEN = [
    (b"{bad", 1), (b"{", 1), (b"{\"value\": 1,}", 12), (b"{\"value\": 1 2}", 12), (b"{\"value\" 1}", 9),
    (b"{\"value\": tru3}", 13), (b"{\"value\": 01}", 11), (b"{\"value\": 1.}", 12), (b"{\"value\": .5}", 10),
    (b"{\"value\": +1}", 10), (b"{\"value\": 1e}", 12), (b"{\"value\": -}", 11), (b"{\"value\": 'x'}", 10),
    (b"{\"value\": NaN}", 10), (b"{\"value\": Infinity}", 10), (b"{value: 1}", 1), (b"{\"value\": \"a\nb\"}", 12),
    (b"{\"value\": \"a\\x\"}", 13), (b"{\"value\": \"\\u12g4\"}", 15), (b"{\"value\": 1} x", 13),
    (b"{\"value\": 1}{}", 12), (b"// c\n{\"value\": 1}", 0), (b"\xef\xbb\xbf{\"value\": 1}", 0),
    (b"{\"value\": \"a\x00b\"}", 12), (b"\x00", 0), (b"{\"value\": \"a\"]", 13), (b"   ", 3),
    # invalid UTF-8: alone, overlong, a surrogate, over U+10FFFF, cut
    (b"{\"value\": \"\xff\"}", 11), (b"{\"value\": \"\x80\"}", 11), (b"{\"value\": \"\xc0\xaf\"}", 11),
    (b"{\"value\": \"\xe0\x80\xaf\"}", 12), (b"{\"value\": \"\xed\xa0\x80\"}", 12), (b"{\"value\": \"\xf4\x90\x80\x80\"}", 12),
    (b"{\"value\": \"\xc3\"}", 12), (b"{\"\xff\": 1}", 2), (b"\xff", 0),
    # lone surrogates: high, low, high before text, two high, the wrong way round; in a name; deep inside
    (b"{\"value\": \"\\ud83d\"}", None), (b"{\"value\": \"\\ude00\"}", None), (b"{\"value\": \"\\ud83dA\"}", None),
    (b"{\"value\": \"\\ud83d\\u0041\"}", None), (b"{\"value\": \"\\ud83d\\ud83d\"}", None),
    (b"{\"value\": \"\\ude00\\ud83d\"}", None), (b"{\"\\ud83d\": 1}", None), (b"{\"value\": {\"a\": [\"\\udfff\"]}}", None),
    # the same member twice, also when it is spelled otherwise
    (b"{\"value\": 1, \"value\": 1}", None), (b"{\"value\": 1, \"v\\u0061lue\": 1}", None),
    (b"{\"value\": {\"a\": 1, \"a\": 2}}", None),
]


@pytest.mark.parametrize(("body", "offset"), BROKEN, ids=lambda value: repr(value))
def test_broken_json_says_where(lark, body, offset):
    message = error(lark.post("/SET/a/", body), 400, "bad_json")
    told = [int(word) for word in re.findall(r"\d+", message)]
    assert told and (offset is None or offset in told), message
    assert lark.redis().exists("a") == 0


def test_position_is_told_far_inside(lark):
    body = b"{\"value\": \"" + b"x" * 1_000_000 + b"\", }"
    message = error(lark.post("/SET/a/", body), 400, "bad_json")
    assert "1000014" in message, message


@pytest.mark.parametrize("body", [b"[1]", b"\"text\"", b"1", b"true"])
def test_a_body_of_the_wrong_kind(lark, body):
    message = error(lark.post("/SET/a/", body), 400, "bad_body")
    assert "object" in message, message


@pytest.mark.parametrize("body", [b"{\"a\": \"1\"}", b"\"text\"", b"1"])
def test_a_body_that_should_be_an_array(lark, body):
    answer = lark.post("/MSET/", body)
    assert answer.status == 400
    assert "array" in answer.error[1], answer


@pytest.mark.parametrize("body", [None, b"", b"null", b" null\n", b"{}"])
def test_no_body_is_missing_parameters(lark, body):
    message = error(lark.post("/SET/a/", body), 400, "missing_parameter")
    assert re.search(r"\bvalue\b", message), message


@pytest.mark.parametrize("content_type", [None, "text/plain", "application/x-www-form-urlencoded", "nonsense"])
def test_the_content_type_does_not_matter(lark, content_type):
    assert lark.post("/SET/a/", b"{\"value\": 1}", headers={"Content-Type": content_type}).data is True


# --- parameters ------------------------------------------------------------------------------------------------------

REQUIRED = [(row, param) for row, param in PARAMS if param.get("required") and "path" not in param["in"]]


@pytest.mark.parametrize("pair", REQUIRED, ids=ids)
def test_missing_parameter(lark, pair):
    row, param = pair
    verb, target, body = rows.request(row)
    if isinstance(body, dict) and param["name"] in body:
        del body[param["name"]]
    elif body is not None:
        body = None
    else:
        target = target.split("?")[0]
    for missing in ([body, {**body, param["name"]: None}] if isinstance(body, dict) else [body]):
        message = error(lark.request(verb, target, missing), 400, "missing_parameter")
        names(message, row, param if param["in"] != ["body"] else None)


TYPED = [(row, param) for row, param in PARAMS
         if param["type"] in rows.WRONG and {"json", "body"} & set(param["in"]) and row["verbs"][0] == "POST"]


@pytest.mark.parametrize("pair", TYPED, ids=ids)
def test_wrong_type_in_the_body(lark, pair):
    row, param = pair
    for wrong in rows.WRONG[param["type"]]:
        verb, target, body = rows.request(row, also=[param["name"]])
        body = wrong if "body" in param["in"] else {**body, param["name"]: wrong}
        answer = lark.request(verb, target, json.dumps(body))
        assert answer.status == 400, (wrong, answer)
        code, message = answer.error
        assert code in ("bad_parameter", "bad_body"), (wrong, answer)
        names(message, row, param if code == "bad_parameter" and "body" not in param["in"] else None)
        if isinstance(wrong, (str, float)) and wrong:
            assert str(wrong) in message, (wrong, answer)
    assert lark.redis().dbsize() == 0


IN_QUERY = [(row, param) for row, param in PARAMS if param["type"] in rows.WRONG_WORDS and "query" in param["in"]]


@pytest.mark.parametrize("pair", IN_QUERY, ids=ids)
def test_wrong_type_in_the_query(lark, pair):
    row, param = pair
    for wrong in rows.WRONG_WORDS[param["type"]]:
        free = [path for path in row["paths"] if "{" + param["name"] + "}" not in path]
        verb, target, body = rows.request(row, free[0])
        target += ("&" if "?" in target else "?") + f"{param['name']}={wrong}"
        message = error(lark.request(verb, target, body), 400, "bad_parameter")
        names(message, row, param)


IN_PATH = [(row, param) for row, param in PARAMS if param["type"] in rows.WRONG_WORDS and "path" in param["in"]]


@pytest.mark.parametrize("pair", IN_PATH, ids=ids)
def test_wrong_type_in_the_path(lark, pair):
    row, param = pair
    place = "{" + param["name"] + "}"
    path = next(path for path in row["paths"] if place in path)
    for wrong in rows.WRONG_WORDS[param["type"]]:
        verb, target, body = rows.request(row, path=path.replace(place, wrong))
        message = error(lark.request(verb, target, body), 400, "bad_parameter")
        names(message, row, param)


@pytest.mark.parametrize(("target", "body", "words"), [
    ("/SETEX/a/", {"value": "x", "time": "abc"}, ["setex", "time", "whole number", "abc"]),
    ("/INCR/a/", {"amount": 1.5}, ["incr", "amount", "whole number", "1.5"]),
    ("/ZADD/a/", {"scores": [["x", "abc"]]}, ["zadd", "scores", "abc"]),
    ("/BITOP/", {"operation": "nand", "dest": "d", "keys": ["a"]}, ["bitop", "operation", "nand", "xor"]),
    ("/EXPIREAT/a/", {"when": "tomorrow"}, ["expireat", "when", "tomorrow"]),
    ("/SET/a/", {"value": "x", "nx": "perhaps"}, ["set", "nx", "perhaps"]),
    ("/ZADD/a/", {"scores": [["x"]]}, ["zadd", "scores", "pairs", "too few"]),
    ("/HMSET/a/", {"mapping": [["x", 1, 2]]}, ["hmset", "mapping", "more than two"]),
])
def test_a_message_says_all(lark, target, body, words):
    message = error(lark.post(target, body), 400, "bad_parameter")
    for word in words:
        assert word in message.lower(), message


def test_a_message_is_safe_whatever_came(lark):
    """What came is shown escaped and cut: the answer stays valid JSON and small."""
    for wrong in ["\u0000\u001f\"\\\u2028", "x" * 65_000, "é" * 100, "</script>"]:
        answer = lark.post("/EXPIRE/a/", {"time": wrong})
        assert error(answer, 400, "bad_parameter")
        assert len(answer.body) < 1000, answer
    for target in ["/%FF%00%1F%22/", "/" + "N" * 4000 + "/", "/GET/%22%5C%FF/x/"]:
        answer = lark.get(target)
        assert answer.error
        assert len(answer.body) < 1000, answer


@pytest.mark.parametrize("number", ["123456789012345678901234567890", "-123456789012345678901234567890",
                                    "9223372036854775808", "-9223372036854775809"])
def test_an_integer_beyond_64_bits_is_refused_not_changed(lark, number):
    for request in (("POST", "/INCR/a/", f'{{"amount": {number}}}'), ("POST", "/EXPIRE/a/", f'{{"time": {number}}}'),
                    ("GET", f"/GETRANGE/a/0/{number}/", None), ("GET", f"/SCAN/?count={number}", None)):
        answer = lark.request(*request)
        assert answer.status == 400, (request, answer)
    assert lark.redis().dbsize() == 0


# --- paths and verbs -------------------------------------------------------------------------------------------------

@pytest.mark.parametrize(("word", "near"), [("GTE", "GET"), ("STE", "SET"), ("HGETAL", "HGETALL"), ("ZRANGEBYSCOR", "ZRANGEBYSCORE"),
                                            ("lpsh", "LPUSH"), ("CONFIG/GTE", "CONFIG"), ("EXPIRES", "EXPIRE")])
def test_unknown_method_offers_near_names(lark, word, near):
    message = error(lark.get(f"/{word}/a/"), 404, "unknown_method")
    assert re.search(rf"\b{near}\b", message, re.IGNORECASE), message


@pytest.mark.parametrize("word", ["EVAL", "SELECT", "XADD", "SHUTDOWN", "MULTI", "SUBSCRIBE", "MONITOR", "FCALL", "LATENCY",
                                  "QWERTYUIOPASDFGH", "G", "_", "..."])
def test_unknown_method(lark, word):
    assert error(lark.get(f"/{word}/a/"), 404, "unknown_method")


@pytest.mark.parametrize("target", ["/GET/", "/GET", "/HGET/?name=h", "/HGET/h/", "/GET/a/b/", "/PING/x/", "/GET/a//", "/CONFIG/",
                                    "/CONFIG/NOPE/", "/DEL/a/b/"])
def test_a_path_the_method_does_not_have(lark, target):
    for verb in ("GET", "DELETE") if target.startswith("/DEL") else ("GET",):
        answer = lark.request(verb, target)
        assert answer.status == 404, answer
        assert answer.error[0] in ("unknown_path", "unknown_method"), answer


@pytest.mark.parametrize("target", ["", "/", "//", "///"])
def test_the_mount_point_itself(lark, target):
    assert lark.get(target).status == 404


@pytest.mark.parametrize("row", rows.ROWS, ids=lambda row: row["method"])
def test_wrong_verb_and_options(lark, row):
    """Every path tells its verbs, by OPTIONS and by 405; a wrong verb does nothing."""
    for path in row["paths"]:
        _, target, body = rows.request(row, path)
        options = lark.request("OPTIONS", target)
        allowed = set(re.split(", *", options.headers["Allow"]))
        assert options.status == 200 and set(row["verbs"]) | {"OPTIONS"} <= allowed, options
        assert ("GET" in allowed) == ("HEAD" in allowed)
        for verb in {"GET", "POST", "PUT", "DELETE", "PATCH", "BREW"} - allowed:
            answer = lark.request(verb, target, body)
            assert error(answer, 405, "wrong_verb")
            assert set(re.split(", *", answer.headers["Allow"])) == allowed, answer
    assert lark.redis().dbsize() == 0


def test_head_is_get_without_the_body(lark):
    lark.redis().set("a", "x")
    head, get = lark.request("HEAD", "/GET/a/"), lark.get("/GET/a/")
    assert head.status == 200 and head.body == b""
    assert head.headers["Content-Type"] == get.headers["Content-Type"]
    head = lark.request("HEAD", "/NOPE/")
    assert head.status == 404 and head.body == b""


@pytest.mark.parametrize("target", ["/GET/%2e%2e/", "/GET/%2E/", "/GET/../PING/", "/GET/./", "/./PING/", "/GET/a#b", "/GET/a?key=#",
                                    "/GET%00/a/", "/GET/%zz/", "/GET/%2/", "/GET/%", "/GET/a%00b/", "/GET/?key=%zz", "/GET/?key=%4"])
def test_bad_path(lark, target):
    answer = lark.get(target)
    assert answer.status == 400, answer
    assert answer.error[0] in (["bad_parameter"] if "?key=%" in target else ["bad_path", "bad_request"]), answer


@pytest.mark.parametrize("mount", ["/api//0", "/api/./0", "/x/../api/0", "/%61pi/0", "//api/0"])
def test_a_mount_point_spelled_otherwise(lark, mount):
    lark.redis().set("a", "secret")
    answer = lark.get("/GET/a/", mount=mount)
    assert answer.status in (400, 404), answer
    assert answer.error[0] in ("bad_path", "bad_request", "unknown_path", "unknown_method"), answer


def test_a_version_of_http_that_is_none(lark):
    answer = lark.exchange(b"GET /api/0/PING/ HTTP/2.0\r\nHost: localhost\r\n\r\n")
    assert (answer.status, answer.error[0]) == (400, "bad_request")


def test_bad_headers(lark):
    message = error(lark.get("/GET/a/", headers={"Lark-Values": "nope"}), 400, "bad_header")
    assert "Lark-Values" in message and "nope" in message, message
    assert error(lark.get("/GET/a/", headers={"Lark-Values": b"\xff"}), 400, "bad_header")
    encoded = lark.post("/SET/a/", b"\x1f\x8b", headers={"Content-Encoding": "gzip"})
    assert error(encoded, 415, "unsupported_encoding")
    assert error(lark.get("/GET/a/", headers={"Host": "evil.example"}), 421, "foreign_host")
    assert error(lark.get("/GET/a/", headers={"Origin": "http://evil.example"}), 403, "foreign_origin")
    assert error(lark.get("/GET/a/", headers={"Sec-Fetch-Site": "cross-site"}), 403, "foreign_origin")


def test_a_query_parameter_given_twice(lark):
    """Repeated names make a list; a parameter that is no list has no use for one."""
    message = error(lark.get("/GET/?key=a&key=b"), 400, "bad_parameter")
    assert re.search(r"\bkey\b", message), message


# --- a second request hidden in the body of an early error -----------------------------------------------------------

HIDDEN = b"DELETE /api/0/FLUSHALL/ HTTP/1.1\r\nHost: localhost\r\n\r\n"
EARLY = {
    "unknown method": ("POST /api/0/NOPE/", [], 404),
    "unknown path": ("POST /api/0/GET/", [], 404),
    "outside the mount": ("POST /nothing", [], 404),
    "healthz": ("POST /healthz", [], None),
    "wrong verb": ("POST /api/0/GET/a/", [], 405),
    "odd verb": ("BREW /api/0/GET/a/", [], 405),
    "bad path": ("POST /api/0/SET/%2e%2e/", [], 400),
    "NUL in the path": ("POST /api/0/SET/%00/", [], 400),
    "bad values header": ("POST /api/0/SET/a/", ["Lark-Values: nope"], 400),
    "encoding": ("POST /api/0/SET/a/", ["Content-Encoding: gzip"], 415),
    "foreign host": ("POST /api/0/SET/a/", ["Host: evil.example"], 421),
    "foreign origin": ("POST /api/0/SET/a/", ["Origin: http://evil.example"], 403),
    "cross-site": ("POST /api/0/SET/a/", ["Sec-Fetch-Site: cross-site"], 403),
    "bad JSON": ("POST /api/0/SET/a/", [], 400),
    "options": ("OPTIONS /api/0/GET/a/", [], 200),
    "get with a body": ("GET /api/0/PING/", [], None),
}


@pytest.mark.parametrize("framing", ["length", "length, expect", "chunked", "chunked, expect", "length, http/1.0"])
@pytest.mark.parametrize("name", EARLY)
def test_a_hidden_request_never_runs(lark, name, framing):
    line, headers, status = EARLY[name]
    lark.redis().set("canary", "alive")
    if not any(header.startswith("Host:") for header in headers):
        headers = [*headers, "Host: localhost"]
    if "expect" in framing:
        headers = [*headers, "Expect: 100-continue"]
    body = HIDDEN
    if "chunked" in framing:
        headers = [*headers, "Transfer-Encoding: chunked"]
        body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(HIDDEN), HIDDEN)
    else:
        headers = [*headers, f"Content-Length: {len(HIDDEN)}"]
    version = "HTTP/1.0" if "1.0" in framing else "HTTP/1.1"
    head = "\r\n".join([f"{line} {version}", *headers, "", ""]).encode()
    with lark.connect() as connection:
        connection.sendall(head + body + b"GET /api/0/PING/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        said = b""
        while True:
            try:
                block = connection.recv(65536)
            except ConnectionResetError:
                break
            if not block:
                break
            said += block
    answers = re.findall(rb"HTTP/1\.1 (\d+)", said)
    final = [int(code) for code in answers if code != b"100"]
    assert status is None or final[0] == status, said
    assert len(final) <= 2, said
    assert lark.redis().get("canary") == b"alive"
