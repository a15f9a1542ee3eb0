#!/usr/bin/env python3
"""make_seeds.py FOLDER STAMP: the vectors as inputs of the fuzz targets, FOLDER/TARGET/NAME; then touch STAMP.

The first bytes of an input are choices; each target's C file says which."""
import base64
import hashlib
import json
import pathlib
import random
import re
import shutil
import struct
import sys
import urllib.parse

ROOT = pathlib.Path(__file__).resolve().parent.parent
VERBS = ["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "OTHER"]
CUTS = [b"\x00\x01", b"\x02\x07", b"\x05\x09"]
MEMORY = b"\x04"

# What Redis answers, in RESP2 and RESP3: enough for each kind of reply to have its own.
REPLIES = [
    b"+OK\r\n", b":1\r\n", b":0\r\n", b":-1\r\n", b":-2\r\n", b":1385345555\r\n", b"$-1\r\n", b"*-1\r\n", b"_\r\n",
    b"#t\r\n", b",1.5\r\n", b",inf\r\n", b",-nan\r\n", b"(123456789012345678901234567890\r\n", b"$0\r\n\r\n",
    b"$5\r\nhello\r\n", b'$8\r\n{"a": 1}\r\n', b'$19\r\n{"$base64": "AAAA"}\r\n', b"$4\r\n\xff\x00\xfe\x80\r\n",
    b"=7\r\ntxt:abc\r\n", b"!9\r\nERR wrong\r\n", b"-WRONGTYPE Operation against u1:key\r\n", b"-ERR no u1:u1:x\r\n",
    b"$20\r\n-1.2345678901234567e\r\n", b"$18\r\n3.1400000000000001\r\n", b"$4\r\n-inf\r\n", b"$2\r\n10\r\n",
    b"*0\r\n", b"*2\r\n$1\r\na\r\n$1\r\nb\r\n", b"*3\r\n$4\r\nu1:a\r\n$-1\r\n:3\r\n", b"~2\r\n$1\r\na\r\n:1\r\n",
    b"*4\r\n$1\r\na\r\n$1\r\n1\r\n$1\r\nb\r\n$18\r\n2.2999999999999998\r\n", b"%1\r\n$1\r\nf\r\n$1\r\nv\r\n",
    b"*2\r\n*2\r\n$1\r\na\r\n,1.5\r\n*2\r\n$1\r\nb\r\n,2\r\n", b"*2\r\n$1\r\n0\r\n*2\r\n$4\r\nu1:a\r\n$4\r\nu2:b\r\n",
    b"*2\r\n$2\r\n17\r\n*2\r\n$1\r\na\r\n$1\r\n1\r\n*2\r\n$1\r\n0\r\n*0\r\n", b"*2\r\n$4\r\nu1:q\r\n$1\r\nv\r\n",
    b"*2\r\n$1\r\n5\r\n*2\r\n$4\r\nu1:a\r\n$4\r\nu1:b\r\n:2\r\n*2\r\n$1\r\n0\r\n*1\r\n$4\r\nu1:a\r\n:1\r\n",
    b"*2\r\n$1\r\n5\r\n*2\r\n$4\r\nu1:a\r\n$7\r\na.b-c_D\r\n*2\r\n$1\r\n0\r\n*2\r\n$4\r\nu1:a\r\n$9\r\na.b-c_D:x\r\n",
    b"|1\r\n+key\r\n+v\r\n$1\r\na\r\n", b">2\r\n+message\r\n$1\r\nx\r\n", b"*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n",
    b"+Value at:0x7f6d refcount:1 encoding:embstr serializedlength:6 lru:123 lru_seconds_idle:1\r\n",
    b"$48\r\n# Keyspace\r\ndb0:keys=1,expires=0\r\nused:1.50\r\nx:a=b\r\n\r\n",
    b"$31\r\nid=3 addr=1.2.3.4:5 name=x db=0\r\n+OK\r\n", b"$31\r\nid=3 addr=1.2.3.5:5 name=x db=0\r\n+OK\r\n",
    b"$34\r\nid=3 addr=1.2.3.4:5 name=lark db=0\r\n+OK\r\n",
]
TEXTS = [
    '{"a": [1, -2.5e3, true, false, null, {"b": "\\u00e9\\ud83d\\ude00\\n"}], "$base64": "AAAA"}', "[[[[[[[[]]]]]]]]",
    '"\u00e9\u20ac\U0001f600\\u0000\\/"', "-0.0e-0", "1e999", "123456789012345678901234567890",
    '{"a":1,"a":2}', " [ ] ",
    '{"' + '":0,"'.join(map(str, range(40))) + '":0}', '"\\ud800"', "[" * 33 + "]" * 33,
]

# Where our reader and jansson could disagree: surrogates, UTF-8, numbers, white space, ends.
EDGES = [
    rb'"\udc00"', rb'"\ud800\ud800"', rb'"\ud83dx"', rb'"\uD83D\uDE00"', rb'{"\udfff": 0}', rb'"\u00"', rb'"\x"',
    b'"\xed\xa0\x80"', b'"\xed\x9f\xbf"', b'"\xc0\x80"', b'"\xe0\x9f\x80"', b'"\xe0\xa0\x80"', b'"\xf0\x8f\x80\x80"',
    b'"\xf4\x8f\xbf\xbf"', b'"\xf4\x90\x80\x80"', b'"\xf5\x80\x80\x80"', b'"\xc3"', b'"\x80"', b'"\xff"',
    b'\xef\xbb\xbf1', b"01", b"-", b"1.", b".5", b"1e", b"1e+", b"-01", b"+1", b"1E-2", b"0e0", b"NaN", b"tru",
    b"nul", b"truex", b"1 2", b"[1,]", b"[,1]", b'{"a"}', b'{"a":}', b'{"a":1,}', b"{,}", b'{"a":1 "b":2}',
    b"\t\r\n 1 \n", b"\x0c1", b"\xa01", b"", b"]", b'"\x1f"', b'"\x7f"', b"//1", b"[1]]", b"'a'",
]
# Where our reader and hiredis could disagree.
LINES = [
    b":9223372036854775807", b":9223372036854775808", b":-9223372036854775808", b":-9223372036854775809", b":+1",
    b":01", b":-0", b":", b":1 ", b"$-2", b"$01\r\na", b"$-0\r\n", b"*-2", b"*00", b"*2147483648",
    b"$9223372036854775807", b"+a\rb", b"+a\nb", b"+", b"-", b"*1\r\n+", b"$3\r\nabcde", b"$3\r\nabc\n\r",
    b"*8\r\n" + b"*1\r\n" * 9 + b":1", b"*1\r\n" * 17 + b":1", b"%-1", b"~-1", b"=3\r\nabc", b"!-1", b"#x", b",1e",
    b"(1.5", b"_x", b"|0\r\n:1", b"%1\r\n:1",
]


def rows(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line.strip()]


def methods():
    """The rows that have a path: {name: its words}; a reply's input begins with the name."""
    found = {}
    for path in sorted((ROOT / "data/methods").glob("*.json")):
        for row in json.loads(path.read_text(encoding="utf-8"))["methods"]:
            if row["paths"]:
                found[row["method"]] = [re.match("/[A-Z_]+(/[A-Z_]+)?/", path)[0] for path in row["paths"]]
    return found


def bytes_of(value):
    """A value of the vectors: text or {"b64": ...}."""
    return base64.b64decode(value["b64"]) if isinstance(value, dict) else str(value).encode()


def target_of(step):
    path = re.sub(r"\$\{[^}]*\}", "1", step["path"])
    query = step.get("query")
    if isinstance(query, dict):
        query = urllib.parse.urlencode(query, doseq=True)
    return path + ("?" + query if query else "")


def plan_seeds(steps):
    for step in steps:
        verb = step["verb"].upper()
        body = json.dumps(step["json"]) if "json" in step else step.get("raw", "")
        headers = {name.lower(): value for name, value in step.get("headers", {}).items()}
        prefix = b"\x01" if step.get("as", {}).get("prefix") else b"\x00"
        number = VERBS.index(verb) if verb in VERBS else 6
        for caller in {prefix, b"\x01"}:
            yield (bytes([number]) + b"\x01" + caller + CUTS[1] + MEMORY + target_of(step).encode() + b"\n" +
                   str(headers.get("lark-values", "")).encode() + b"\n" + str(body).encode())
        yield bytes([number]) + b"\x01\x04" + CUTS[0] + b"\xff/api/0" + target_of(step).encode() + b"\n\n"


def core_plan_seeds(vectors):
    for word in ("admni", "key", "reed:get", "write:*", "sorted_set:*", "u1", "a" * 65):
        yield b"\x00\x01\x00" + CUTS[1] + MEMORY + b"/GET/a\n" + word.encode() + b"\n"
    for row in vectors:
        number = VERBS.index(row["verb"]) if row["verb"] in VERBS else 6
        prefix = 1 if row.get("as", {}).get("prefix") else 0
        rest = bytes_of(row["target"]) + b"\n" + bytes_of(row.get("values", "")) + \
            b"\t" + bytes_of(row.get("range", "")) + b"\n" + bytes_of(row.get("body", ""))
        yield bytes([number, 1, prefix | 4]) + CUTS[1] + MEMORY + rest


RANGES = tuple(bytes([n]) for n in range(8))  # which of those in fuzz/reply.c


def core_reply_seeds(vectors):
    words = {word: name for name, paths in methods().items() for word in paths}
    for row in vectors:
        target = bytes_of(row["target"]).decode("utf-8", "replace").upper().removeprefix("/API/0")
        names = [words[word] for word in words if target.startswith(word)]
        mode = {"text": 1, "base64": 2, "raw": 128}.get(row.get("values"), 0) | (4 if row.get("as", {}).get("prefix") else 0)
        choice = b"\x06" if row["verb"] == "HEAD" else b"\x02"
        for resp in filter(None, (row.get("resp"), row.get("resp3"))):
            for mask in RANGES if mode & 128 and row.get("range") else (b"\x00", b"\xff"):
                yield ((names or ["get"])[0].encode() + b"\n" + mask + choice + bytes([mode]) + CUTS[1] + MEMORY +
                       bytes_of(resp))


def json_seeds(steps):
    texts = [json.dumps(step[name], ensure_ascii=False) for step in steps for name in ("json", "expect", "expect_like")
             if name in step]
    for i, text in enumerate(dict.fromkeys(TEXTS + texts)):
        yield CUTS[i % 3] + MEMORY + text.encode("utf-8", "surrogatepass")
    for text in EDGES:
        yield CUTS[1] + MEMORY + text


def resp_seeds():
    for i, reply in enumerate(REPLIES):
        yield CUTS[i % 3] + MEMORY + reply
        yield CUTS[i % 3] + MEMORY + b"*2\r\n" + reply + b"$3\r\nabc\r\n" + reply
    for line in LINES:
        yield CUTS[1] + MEMORY + line + b"\r\n:1\r\n"
    yield CUTS[0] + MEMORY + b"".join(REPLIES)


def reply_seeds():
    names = b"".join(b"$6\r\nu1:%03d\r\n" % (n % 90) for n in range(100))
    scan = b"*2\r\n$1\r\n7\r\n*100\r\n" + names + b"*2\r\n$1\r\n0\r\n*100\r\n" + names
    for name in (b"keys", b"dbsize", b"randomkey"):
        yield name + b"\n\x05\x02\x04" + CUTS[2] + MEMORY + scan
    for name in (b"keys", b"dbsize", b"randomkey", b"flushdb"):  # one that never ends
        yield name + b"\n\x05\x02\x44" + CUTS[2] + MEMORY + b"*2\r\n$1\r\n7\r\n*1\r\n$1\r\na\r\n" * 12
    for name in (b"blpop", b"brpop"):
        yield name + b"\n\x05\x02\x04" + CUTS[0] + MEMORY + b"*2\r\n$4\r\nu2:q\r\n$1\r\nv\r\n"
    for method, name in enumerate(methods()):
        for i, reply in enumerate(REPLIES):
            mode = (i + method) % 3 | (4 if i % 2 else 0)
            choices = bytes([0xff if i % 3 else 0x00, method + i & 0xff, mode])
            yield name.encode() + b"\n" + choices + CUTS[i % 3] + MEMORY + reply


def url_seeds():
    text = (ROOT / "tests/unit/redis_url_test.c").read_text(encoding="utf-8")
    for url in re.findall(r'"((?:redis|unix)[^"]*)"', text):
        yield url.encode()


def number_seeds():
    texts = ["1", "-0", "0.1", "1e22", "5e-324", "2.2250738585072014e-308", "1.7976931348623157e+308", "inf", "-nan",
             "9007199254740993", "3.1400000000000001", "0.30000000000000004", "123456789012345678", "1e400", "+1.5",
             ".5", "007"]
    for number in texts:
        yield b"\x07" + number.encode()
        yield b"\x00" + struct.pack(">d", float(number.lstrip("+")))
    for power in (-342, -308, -22, 0, 22, 308):
        yield b"\x01" + struct.pack(">QBH", 1 << 63 | 12345, 11, 400 + power)
    for date in ("2013-12-18", "2013-12-18T23:11:39.232554Z", "2013-12-18 23:11:39+02:00", "0001-01-01",
                 "9999-12-31T23:59:60Z"):
        yield b"\x03" + date.encode()
    for seconds in (0, -1, 951782400, 4107542400, -62135596800):
        yield b"\x02" + (seconds + (1 << 39)).to_bytes(5, "big")


def conn_seeds():
    yield bytes([0, 16, 17, 33, 48, 49, 80, 80, 80, 96, 112, 255, 64])
    yield bytes([5, 16, 20, 80, 81, 82, 83, 16, 34, 80, 80, 128, 48, 64, 0, 16, 80, 255, 112])
    yield bytes(range(256))
    dice = random.Random(1)
    for _ in range(40):
        yield bytes(dice.choice((dice.randrange(256), dice.randrange(16, 128), 255)) for _ in range(200))


def auth_seeds():
    text = (ROOT / "tests/unit/authorization_test.c").read_text(encoding="utf-8")
    headers = re.findall(r'\{"((?:[^"\\]|\\.)*)", ', text)
    for header in headers:
        yield b"\x00" + header.encode().decode("unicode_escape").encode("latin-1")
    entry = {"name": "ci", "sha256": "0" * 64, "scopes": ["read:*", "write:set"], "prefix": "u1", "expires": None}
    other = {**entry, "name": "b\u00e9", "sha256": "F" * 64, "scopes": [], "expires": "2030-01-31T12:00:00+02:00", "prefix": None}
    lists = [[], [entry], [entry, other], [entry, entry], [{**entry, "expires": 1900000000}], [{**entry, "scopes": ["reed:get", "a\nb"]}],
             [{**entry, "prefix": "a:b"}], [{"name": "a\u0000"}], [{**entry, "x": 1}], [1], [{**entry, "scopes": [[]]}]]
    for tokens in lists:
        for indent in (None, 1):
            yield b"\x01\x06" + json.dumps({"tokens": tokens}, indent=indent).encode()
    for file in (b"", b"{", b"[]", b"{}", b'{"tokens": 1}', b'{"tokens": [], "tokens": []}', b'{"x": []}', b'{"tokens": [{,}]}'):
        yield b"\x01\x07" + file


def jwt_seeds():
    good = {"iss": "https://issuer.example", "aud": "lark", "exp": 1700000100, "sub": "ann", "scope": "read:* openid x"}
    header = {"alg": "EdDSA", "kid": "a", "typ": "at+jwt"}
    rsa = {"kty": "RSA", "n": base64.urlsafe_b64encode(b"\xff" * 256).decode().rstrip("="), "e": "AQAB", "kid": "r"}
    ed = {"kty": "OKP", "crv": "Ed25519", "x": "A" * 43, "use": "sig", "key_ops": ["verify"]}
    ec = {"kty": "EC", "crv": "P-256", "x": "axfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5RdiYwpY",
          "y": "T-NC4v4af5uO5-tKfA-eFivOM1drMV7Oy7ZAaDe_UfU", "alg": "ES256"}
    odd = [{"kty": "oct", "k": "AAAA"}, {**rsa, "use": "enc"}, {**rsa, "e": "AQ"}, {**ed, "d": "AA"}, {**ec, "y": "A" * 43}, 1, []]
    for keys in ([], [rsa], [ed], [ec], [rsa, ed, ec], [rsa, rsa], *([key] for key in odd), [*odd[:5], ed]):
        yield b"\x00\x06" + json.dumps({"keys": keys, "x": [{"n": 1}]}).encode()
    for file in (b"", b"{", b"[]", b"{}", b'{"keys": 1}', b'{"keys": [], "keys": []}', b'{"keys": [{,}]}'):
        yield b"\x00\x07" + file
    claims = [good, {**good, "aud": ["x", "lark"], "nbf": 1700000000.5, "iat": 1}, {**good, "tenant": "u1", "active": True},
              {**good, "sub": "x" * 65}, {**good, "exp": 1}, {**good, "scp": ["read:get", 1]}, {"active": True, "client_id": "a"},
              {**good, "a": {"b": [[{}], "\u00e9"]}}]
    for one in claims:
        for choice in (0, 1, 2, 12, 16, 33):
            yield bytes((1, choice)) + json.dumps(one).encode()
            yield bytes((3, choice)) + json.dumps(header).encode() + b"\0" + json.dumps(one).encode()
    yield b"\x01\x00" + json.dumps(good).encode()[:-1] + b', "sub": "bob"}'
    for more in ({"crit": []}, {"alg": "none"}, {"alg": "Ed25519"}, {"kid": "b"}, {"typ": "JWT"}, {"jwk": ed, "jku": "x"}):
        yield b"\x03\x10" + json.dumps({**header, **more}).encode() + b"\0" + json.dumps(good).encode()
    for text in (b"", b"..", b"a.b.c", b"e30.e30.", b"e30.e30.AA", b"eyJhbGciOiJFZERTQSJ9.e30." + b"A" * 86):
        yield b"\x02\x00" + text


def main():
    folder, stamp = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    vectors = ROOT / "tests/vectors"
    steps = [step for case in rows(vectors / "contract.jsonl") for step in case["steps"] if "verb" in step]
    requests, replies = rows(vectors / "core/requests.jsonl"), rows(vectors / "core/replies.jsonl")
    seeds = {"plan": [*plan_seeds(steps), *core_plan_seeds(requests + replies)], "json": json_seeds(steps),
             "resp": resp_seeds(), "reply": [*reply_seeds(), *core_reply_seeds(replies)], "url": url_seeds(),
             "conn": conn_seeds(), "number": number_seeds(), "auth": auth_seeds(), "jwt": jwt_seeds()}
    shutil.rmtree(folder, ignore_errors=True)
    for target, inputs in seeds.items():
        (folder / target).mkdir(parents=True)
        for data in inputs:
            (folder / target / hashlib.sha256(data).hexdigest()[:16]).write_bytes(data)
    stamp.touch()


if __name__ == "__main__":
    main()
