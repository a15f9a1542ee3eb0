"""Every byte that goes in comes out: in keys, fields, members, values; empty, long, huge."""
import base64
import json
import urllib.parse

import pytest

ALL_BYTES = bytes(range(256))
TEXTS = ["", " ", "\x00", "\x7f", "\"\\/\b\f\n\r\t", "\u2028\u2029", "é", "😀", "\ufeff", "\uffff", "\U0010ffff", "null", "true", "1", "{", "}",
         "{}x", "[1]", "\"q\"", "$base64", "$base64:", "%41", "a/b", "a+b", "..", ".", "a b", "#", "?", "&=", ";", "'", "\r\n", "*1\r\n$4\r\nPING\r\n"]
OBJECTS = [{}, {"a": 1}, {"": ""}, {"a": {"b": [1, 2.5, None, True, "é"]}}, {"$base64": "AA==", "b": 1}]


def in_url(word):
    return urllib.parse.quote_from_bytes(word if isinstance(word, bytes) else word.encode(), safe="")


def as_json(raw):
    """How bytes are sent and come back: text where it is UTF-8, else base64."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return {"$base64": base64.b64encode(raw).decode()}


def sent(raw):
    return {"$base64": base64.b64encode(raw).decode()}


def came(value):
    return base64.b64decode(value["$base64"]) if isinstance(value, dict) else value.encode()


@pytest.mark.parametrize("text", TEXTS, ids=repr)
def test_text_round_trip(lark, text):
    redis = lark.redis()
    assert lark.post("/SET/a/", {"value": text}).data is True
    assert redis.get("a") == text.encode()
    assert lark.get("/GET/a/").data == text
    assert lark.post(f"/SET/?key={in_url(text)}", {"value": "v"}).data is True
    assert redis.get(text.encode()) == b"v"
    assert lark.get(f"/GET/?key={in_url(text)}").data == "v"
    assert text in lark.get("/KEYS/").data
    assert lark.post("/HMSET/h/", {"mapping": {text: text}}).data is True
    assert redis.hgetall("h") == {text.encode(): text.encode()}
    name = "$base64:" + base64.b64encode(text.encode()).decode() if text.startswith("$base64:") else text
    assert lark.get("/HGETALL/h/").data == {name: text}
    assert lark.post("/ECHO/", {"value": text}).data == text


@pytest.mark.parametrize("value", OBJECTS, ids=json.dumps)
def test_object_round_trip(lark, value):
    assert lark.post("/SET/a/", {"value": value}).data is True
    assert lark.redis().get("a") == json.dumps(value, ensure_ascii=False).encode()
    assert lark.get("/GET/a/").data == value


@pytest.mark.parametrize("value", [[], [1, 2], [[]], ["a", {"b": None}]], ids=json.dumps)
def test_an_array_is_stored_as_text_and_stays_text(lark, value):
    assert lark.post("/SET/a/", {"value": value}).data is True
    assert lark.redis().get("a") == json.dumps(value).encode()
    assert lark.get("/GET/a/").data == json.dumps(value)


@pytest.mark.parametrize("digits", ["0", "-0", "1.10", "1e3", "1E+400", "-1.5e-7", "0.1", "9223372036854775808", "123456789012345678901234567890",
                                    "3.141592653589793238462643383279", "1" * 1000])
def test_no_digit_of_a_number_is_lost(lark, digits):
    assert lark.post("/SET/a/", f'{{"value": {digits}}}').data is True
    assert lark.redis().get("a") == digits.encode()
    assert lark.get("/GET/a/").data == digits
    assert lark.post("/SET/a/", f'{{"value": {{"n": {digits}, "l": [{digits}]}}}}').data is True
    assert lark.redis().get("a") == f'{{"n": {digits}, "l": [{digits}]}}'.encode()
    assert f'"n": {digits}'.encode() in lark.get("/GET/a/").body


@pytest.mark.parametrize("number", [0, -1, 2**53 + 1, 2**63 - 1, -(2**63)])
def test_integers_of_64_bits(lark, number):
    lark.redis().set("n", number)
    assert lark.post("/INCR/n/", {"amount": 0}).data == number
    assert lark.post("/INCR/m/", f'{{"amount": {number}}}').data == number


@pytest.mark.parametrize("byte", range(256), ids="{:#04x}".format)
def test_each_byte_everywhere(lark, byte):
    redis, raw = lark.redis(), b"<" + bytes([byte]) + b">"
    part = in_url(raw)
    assert lark.post("/SET/v/", {"value": sent(raw)}).data is True
    assert redis.get("v") == raw
    assert lark.get("/GET/v/").data == as_json(raw)
    assert lark.get("/GET/v/", headers={"Lark-Values": "base64"}).data == base64.b64encode(raw).decode()
    assert lark.post(f"/SET/?key={part}", {"value": "q"}).data is True
    assert redis.get(raw) == b"q"
    assert lark.delete(f"/DEL/?name={part}").data == 1
    if byte != 0:  # nginx takes no NUL in a path: the query is the form for it
        assert lark.post(f"/SET/{part}/", {"value": "p"}).data is True
        assert redis.get(raw) == b"p"
        assert lark.get(f"/GET/{part}/").data == "p"
    redis.flushall()
    assert lark.post(f"/HSET/?name=h&key={part}", {"value": sent(raw)}).data == 1
    assert redis.hgetall("h") == {raw: raw}
    name = as_json(raw) if isinstance(as_json(raw), str) else "$base64:" + as_json(raw)["$base64"]
    assert lark.get("/HGETALL/h/").data == {name: as_json(raw)}
    assert lark.get("/HKEYS/h/").data == [as_json(raw)]
    assert lark.post("/SADD/s/", {"values": [sent(raw)]}).data == 1
    assert redis.smembers("s") == {raw}
    assert lark.get("/SMEMBERS/s/").data == [as_json(raw)]


def test_all_bytes_at_once(lark):
    redis, part = lark.redis(), in_url(ALL_BYTES)
    value = sent(ALL_BYTES)
    assert lark.post(f"/SET/?key={part}", {"value": value}).data is True
    assert redis.get(ALL_BYTES) == ALL_BYTES
    assert lark.get(f"/GET/?key={part}").data == value
    assert lark.get("/KEYS/").data == [value]
    assert lark.post("/RENAME/", {"src": value, "dst": "b"}).data is True
    assert lark.post("/LPUSH/l/", {"values": [value, "x", value]}).data == 3
    assert lark.get("/LRANGE/l/0/-1/").data == [value, "x", value]
    assert lark.post("/ZADD/z/", {"scores": [[value, 1]]}).data == 1
    assert lark.get("/ZRANGE/z/0/-1/?withscores=1").data == [[value, 1.0]]
    assert lark.post("/APPEND/b/", {"value": value}).data == 512


@pytest.mark.parametrize("base", ["***", "A", "AA", "AA=", "AAAA=", "AA==AA==", "A A=", "AA==\n", "AB==", "_-8=", 1, None, [], {}])
def test_bad_base64_is_refused(lark, base):
    answer = lark.post("/SET/a/", {"value": {"$base64": base}})
    if isinstance(base, str):
        assert answer.status == 400, answer
    elif answer.status == 200:  # an ordinary object; it comes back as the text it is, never as bytes
        assert lark.get("/GET/a/").data == json.dumps({"$base64": base})
    else:
        assert answer.status == 400, answer


def test_stored_text_that_is_no_object_by_our_rules_stays_text(lark):
    deep = "{\"a\":" * 33 + "1" + "}" * 33
    for text in ["{bad", "{\"a\": 1, \"a\": 2}", "{\"a\": \"\\ud83d\"}", "{\"a\": 01}", "{} x", "{\"a\": 1}\x00", " {\"a\": 1}", deep,
                 "{\"$base64\": \"AA==\"}", "{\"$b\\u0061se64\": \"AA==\"}"]:
        lark.redis().set("a", text)
        assert lark.get("/GET/a/").data == text
    lark.redis().set("a", b"{\"a\": \"\xff\"}")
    assert lark.get("/GET/a/").data == sent(b"{\"a\": \"\xff\"}")


def test_lark_values(lark):
    lark.redis().rpush("l", "{\"a\": 1}", "x", b"\xff")
    asked = [("json", [{"a": 1}, "x", {"$base64": "/w=="}]), ("text", ["{\"a\": 1}", "x", {"$base64": "/w=="}]),
             ("base64", ["eyJhIjogMX0=", "eA==", "/w=="])]
    for word, wanted in asked:
        assert lark.get("/LRANGE/l/0/-1/", headers={"Lark-Values": word}).data == wanted


@pytest.mark.parametrize("word", ["json", "text", "base64"])
def test_lark_values_is_about_values_only(lark, word):
    """Keys, fields, scores, and words of Redis' own are no values."""
    lark.redis().hset("h", "f", "v")
    lark.redis().zadd("z", {"m": 1.5})
    headers = {"Lark-Values": word}
    assert sorted(lark.get("/KEYS/", headers=headers).data) == ["h", "z"]
    assert lark.get("/HKEYS/h/", headers=headers).data == ["f"]
    assert lark.get("/ZSCORE/z/m/", headers=headers).data == 1.5
    assert lark.get("/TYPE/h/", headers=headers).data == "hash"
    assert lark.get("/OBJECT/encoding/h/", headers=headers).data == "listpack"
    assert lark.get("/SCAN/?match=h", headers=headers).data == ["0", ["h"]]
    assert lark.get("/CONFIG/GET/maxmemory", headers=headers).data == {"maxmemory": "0"}


# --- empty and long keys ---------------------------------------------------------------------------------------------

def test_the_empty_key(lark):
    assert lark.post("/SET//", {"value": "1"}).data is True
    assert lark.redis().get("") == b"1"
    assert lark.get("/GET//").data == "1"
    assert lark.get("/GET/?key=").data == "1"
    assert lark.get("/EXISTS//").data is True
    assert lark.get("/KEYS/").data == [""]
    assert lark.post("/HSET///", {"value": "1"}).status in (200, 400)


@pytest.mark.parametrize("length", [1_000, 10_000])
@pytest.mark.parametrize("letter", ["k", "é"])
def test_long_keys(lark, length, letter):
    key = letter * (length if letter == "k" else length // 6)
    assert lark.post(f"/SET/{in_url(key)}/", {"value": "1"}).data is True
    assert lark.get(f"/GET/?key={in_url(key)}").data == "1"
    assert lark.redis().keys() == [key.encode()]
    assert lark.post("/RENAME/", {"src": key, "dst": key * 20}).data is True
    assert lark.get("/KEYS/").data == [key * 20]


# --- replies: huge and empty -----------------------------------------------------------------------------------------

MEBI = 1 << 20


@pytest.mark.parametrize("raw", [
    b"x" * (10 * MEBI), "é".encode() * (5 * MEBI), b"\xff" * (10 * MEBI), b"x" * (10 * MEBI - 1) + b"\xff", ALL_BYTES * (40 * 1024),
    b"\"" * (5 * MEBI), b"\x01" * (2 * MEBI), b"{" * (2 * MEBI), b"x" * (MEBI - 1), b"x" * MEBI, b"x" * (MEBI + 1),
], ids=lambda raw: f"{raw[:1]!r}-{len(raw)}")
def test_a_huge_value(lark, raw):
    lark.redis().set("a", raw)
    assert came(lark.get("/GET/a/").data) == raw
    assert base64.b64decode(lark.get("/GET/a/", headers={"Lark-Values": "base64"}).data) == raw
    assert lark.get("/PING/").data is True


def test_a_huge_object(lark):
    value = {f"name {i}": [i, "é" * 10] for i in range(60_000)}
    text = json.dumps(value, ensure_ascii=False)
    assert len(text) > MEBI
    lark.redis().set("a", text)
    assert lark.get("/GET/a/").data == value
    lark.redis().set("a", text[:-1])  # found to be no object only at its end
    assert lark.get("/GET/a/").data == text[:-1]
    lark.redis().set("a", text.encode()[:-1] + b"\xff")
    assert came(lark.get("/GET/a/").data) == text.encode()[:-1] + b"\xff"


def test_a_huge_value_in(lark):
    for value in ["x" * (7 * MEBI), "\n" * (3 * MEBI), {"a": "é" * MEBI}]:
        assert lark.post("/SET/a/", {"value": value}).data is True
        assert lark.get("/GET/a/").data == value
    raw = ALL_BYTES * (16 * 1024)
    assert lark.post("/SET/a/", {"value": sent(raw)}).data is True
    assert lark.redis().get("a") == raw


def test_100_000_elements(lark):
    redis, n = lark.redis(), 100_000
    with redis.pipeline() as pipeline:
        for start in range(0, n, 10_000):
            items = range(start, start + 10_000)
            pipeline.rpush("l", *items)
            pipeline.sadd("s", *items)
            pipeline.hset("h", mapping={f"f{i}": i for i in items})
            pipeline.zadd("z", {f"m{i}": i for i in items})
        pipeline.execute()
    assert lark.get("/LRANGE/l/0/-1/").data == [str(i) for i in range(n)]
    assert set(lark.get("/SMEMBERS/s/").data) == {str(i) for i in range(n)}
    assert lark.get("/HGETALL/h/").data == {f"f{i}": str(i) for i in range(n)}
    assert lark.get("/ZRANGE/z/0/-1/?withscores=1").data == [[f"m{i}", float(i)] for i in range(n)]


def test_empty_replies(lark):
    lark.redis().set("empty", "")
    assert lark.get("/GET/empty/").data == ""
    assert lark.get("/GET/missing/").data is None
    assert lark.get("/GETRANGE/missing/0/-1/").data == ""
    for target in ("/LRANGE/missing/0/-1/", "/SMEMBERS/missing/", "/HKEYS/missing/", "/HVALS/missing/", "/KEYS/none*/",
                   "/ZRANGE/missing/0/-1/", "/ZRANGE/missing/0/-1/?withscores=1", "/SORT/missing/"):
        assert lark.get(target).data == [], target
    assert lark.get("/HGETALL/missing/").data == {}
    assert lark.get("/MGET/?key=missing&key=empty").data == [None, ""]
    assert lark.get("/HMGET/missing/?key=f").data == [None]
    assert lark.get("/SCAN/?match=none*").data == ["0", []]
    assert lark.get("/HSCAN/missing/").data == ["0", {}]
