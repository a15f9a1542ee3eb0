"""Requests of tenant A, made from the rows of data/methods: good ones, nearly good ones and hostile ones.

The same seed makes the same requests. Every text stands ready in the forms that a path, a query and a body need."""
import base64
import json
import random
import re
import urllib.parse

import rows

PREFIX = "A"
# What the tokens of A may do, each of one.
SCOPES = (["admin"], ["read:*", "write:*"], ["key:*", "list:*", "sets:*", "sorted_sets:*", "hashes:*", "sort:*", "scan:*", "basic:*"])
# What a caller may know or guess of others' names; `world` has keys of these names.
GUESSED = (b"A", b"B:", b"B:known", b"B:s", b"B:l", b"B:z", b"free", b"a:A:x", b"*", b"#", b"\0", b"\xff:x", b"nosort")
ATOMS = (b"*", b"?", b"[", b"]", b"[^A]", b"[A-Z]", b"\\", b"\\*", b"^", b":", b"{", b"}", b"{A}", b"\0", b"A", b"A:", b"AB:",
         b"B:", b"B", b"a:A:", b"#", b"->", b"*->f", b"nosort", b"\r\n", b" ", b"%", b"%2F", b"/", b"..", b".", "é".encode(),
         b"\xff", b"\xc0\xaf", b"$base64", b"$base64:QjpzCg==", b"BY", b"GET", b"STORE", b"LIMIT", b"WEIGHTS", b"MATCH", b"0",
         b"-1", b"'", b'"', b"\x7f", b"known", b"\n*1\r\n$8\r\nFLUSHALL\r\n", b"<", b"&key=B:s", b";", b"x" * 70)
FAMILIES = ("string", "list", "set", "zset", "hash")
OWN = {family: [f"{family}{n}".encode() for n in range(4)] for family in FAMILIES}
NAMES = [name for names in OWN.values() for name in names]
FIELDS = (b"f", b"g", b"1", b"2", b"A:f", b"B:s", b"m", b"n")
INTS = (b"0", b"1", b"2", b"-1", b"10", b"3")
ODD_INTS = (b"-9223372036854775808", b"9223372036854775807", b"18446744073709551616", b"4294967295", b"1e3", b"007", b"+1", b" 1",
            b"0x10", b"", b"abc", b"1.5", b"99999999999999999999999", b"*", b"\0")
FLOATS = (b"1.5", b"-2", b"1e3", b"inf", b"-inf", b"nan", b"1e999", b"0.1", b"1e-320", b"x", b"")
BOUNDS = (b"0", b"1", b"(1", b"-inf", b"+inf", b"inf", b"(", b"[a", b"5")
VERBS = ("GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS")
VALUES_HEADERS = ("json", "text", "base64", "raw", "RAW", "", "B:s", "json, raw")
RANGES = ("bytes=0-3", "bytes=1-", "bytes=-2", "bytes=0-0,2-3", "bytes=99-", "bytes=5-1", "bytes=18446744073709551616-", "lines=0-1")
EMPTIES, WAITS = 0.001, 0.003  # how often FLUSHDB comes, and each method that waits


def load_rows():
    """The rows with the group that each stands in."""
    found = []
    for path in sorted(rows.FOLDER.glob("*.json")):
        content = json.loads(path.read_text(encoding="utf-8"))
        for row in content if isinstance(content, list) else content["methods"]:
            found.append({**row, "group": path.stem})
    return found


class Text:
    """One text in its three forms."""

    __slots__ = ("path", "query", "json")

    def __init__(self, raw, rng):
        self.query = urllib.parse.quote_from_bytes(raw, safe="").encode()
        # A server keeps these out of a path, and the connection would end with them.
        self.path = b"string0" if b"\0" in raw or raw in (b".", b"..", b"") else self.query
        try:
            text = raw.decode()
        except UnicodeDecodeError:
            text = None
        if text is None or rng.random() < 0.1:
            self.json = b'{"$base64": "%s"}' % _base64(raw)
        elif rng.random() < 0.1:
            self.json = b'"%s"' % "".join(f"\\u{ord(c):04x}" if ord(c) < 65536 else c for c in text).encode()
        else:
            self.json = json.dumps(text, ensure_ascii=False).encode()


def _base64(raw):
    return base64.b64encode(raw)


def _choose(rng, pool):
    return pool[int(rng.random() * len(pool))]


class Grammar:
    """next() is a request: (bytes, verb, does it wait?, method). Which token it bears is chosen by `callers`: header lines."""

    def __init__(self, rows, seed, callers, host="127.0.0.1", mount="/api/0"):
        self.rng = rng = random.Random(seed)
        self.callers = [f"Authorization: Bearer {token}\r\n".encode() for token in callers]
        self.host, self.mount = host.encode(), mount.encode()
        rare = {row["method"]: EMPTIES if row["method"] == "flushdb" else WAITS for row in rows
                if row["method"] == "flushdb" or row["lane"] == "blocking"}
        self.rows = [row for row in rows if row["method"] not in rare]
        self.rare = [(row, rare[row["method"]]) for row in rows if row["method"] in rare]
        self.texts = lambda raws: [Text(raw, rng) for raw in raws]
        self.own = {family: self.texts(names * 2) for family, names in OWN.items()}
        self.names, self.fields, self.guessed = self.texts(NAMES), self.texts(FIELDS), self.texts(GUESSED)
        self.ints, self.odd_ints = self.texts(INTS), self.texts(ODD_INTS)
        self.waits = self.texts((b"1", b"0.05") * 6 + (b"-1", b"", b"x"))  # 0, none and much: a minute
        self.floats, self.bounds = self.texts(FLOATS), self.texts(BOUNDS)
        self.flags = self.texts((b"1", b"0", b"true", b"False", b"", b"x"))
        self.dates = self.texts((b"2040-01-01T00:00:00Z", b"1970-01-01T00:00:00Z", b"x", b""))
        self.data = self.texts((b"v", b"1", b"2", b"", b'{"a": "B:s"}', b"B:known", b"A:x", b"\xff\0", b"{", b"m", b"n"))
        self.templates = {}
        self.renew()

    def renew(self):
        """Other hostile texts."""
        rng = self.rng
        raws = [b"".join(_choose(rng, ATOMS) for _ in range(int(rng.random() * 4) + 1)) for _ in range(150)]
        self.hostile = self.texts(raws)
        self.patterns = self.hostile + self.guessed + self.texts((b"*", b"*:*", b"**", b"?", b"s*", b"[a-z]*", b"A:*", b"*" * 257))

    # --- values ---

    def key(self, family):
        r = self.rng.random()
        if r < 0.6:
            return _choose(self.rng, self.own[family])
        if r < 0.75:
            return _choose(self.rng, self.names)
        return _choose(self.rng, self.guessed if r < 0.88 else self.hostile)

    def number(self):
        return _choose(self.rng, self.ints if self.rng.random() < 0.85 else self.odd_ints)

    def some(self, pool):
        return _choose(self.rng, pool if self.rng.random() < 0.8 else self.hostile)

    def text(self, param, family):
        """One text for a parameter, or for one item of it."""
        kind, rng = param["type"], self.rng
        if kind in ("key", "keys", "keys-weights"):
            return self.key(family)
        if "one_of" in param:
            return self._word(param) if rng.random() < 0.93 else _choose(rng, self.hostile)
        if param.get("blocks"):
            return _choose(rng, self.waits)
        if kind == "int":
            return self.number()
        if kind in ("key-pattern", "sort-by", "sort-gets"):
            return _choose(rng, self.patterns)
        pool = {"float": self.floats, "bool": self.flags, "score-bound": self.bounds, "datetime": self.dates,
                "field": self.fields, "fields": self.fields}.get(kind, self.data)
        return self.some(pool)

    def _word(self, param):
        words = self.templates.get(id(param))
        if words is None:
            words = self.templates[id(param)] = self.texts(word.encode() for word in param["one_of"])
        return _choose(self.rng, words)

    def member(self, param, family):
        """JSON for a body."""
        kind, rng = param["type"], self.rng
        if rng.random() < 0.03 and not param.get("blocks"):
            return _choose(rng, (b"null", b"[]", b"{}", b"true", b"-0", b"1e400", b'[["B:s"]]', b'{"$base64": "!"}', b'""'))
        count = 1 + int(rng.random() * 3)
        item = self.text
        if kind in ("keys", "fields", "values", "sort-gets"):
            return b"[%s]" % b", ".join(item(param, family).json for _ in range(count))
        if kind == "keys-weights":
            if rng.random() < 0.5:
                return b"[%s]" % b", ".join(self.key(family).json for _ in range(count))
            return b"{%s}" % b", ".join(b"%s: %s" % (self._name(self.key(family)), self.some(self.floats).json)
                                        for _ in range(count))
        if kind in ("key-values", "scores", "mapping"):
            first, second = {"key-values": (lambda: self.key(family), lambda: self.some(self.data)),
                             "scores": (lambda: self.some(self.data), lambda: self.some(self.floats)),
                             "mapping": (lambda: self.some(self.fields), lambda: self.some(self.data))}[kind]
            if kind == "mapping" and rng.random() < 0.5:
                return b"{%s}" % b", ".join(b"%s: %s" % (self._name(first()), second().json) for _ in range(count))
            return b"[%s]" % b", ".join(b"[%s, %s]" % (first().json, second().json) for _ in range(count))
        return item(param, family).json

    @staticmethod
    def _name(text):
        return text.json if text.json.startswith(b'"') else b'"x"'

    # --- requests ---

    def row(self):
        r = self.rng.random()
        for row, share in self.rare:
            if r < share:
                return row
            r -= share
        return _choose(self.rng, self.rows)

    def _place(self, row, verb, path, family):
        """(target, members of a JSON body, has it a whole body?)"""
        rng, query, body, whole = self.rng, [], [], None
        in_path = set(re.findall(r"\{(\w+)\}", path))
        loose = in_path and rng.random() < 0.1  # all of the path go into the query
        target = path.split("{")[0].encode() if loose else path.encode()
        for param in row["params"]:
            name = param["name"]
            if name in in_path and not loose:
                target = target.replace(b"{%s}" % name.encode(), self.text(param, family).path)
                continue
            if not (param.get("required") or param.get("blocks")) and rng.random() < 0.6:
                continue
            if "body" in param["in"]:
                whole = self.member(param, family)
            elif "json" in param["in"] and verb == "POST" and name not in in_path:
                body.append(b'"%s": %s' % (name.encode(), self.member(param, family)))
            elif row.get("put") != name or verb != "PUT":
                times = 1 + int(rng.random() * 3) if param["type"] in ("keys", "fields", "values", "sort-gets") else 1
                query += [b"%s=%s" % (name.encode(), self.text(param, family).query) for _ in range(times)]
        if rng.random() < 0.03:
            query.append(b"prefix=B&scopes=admin&store=B:s")
        return target + (b"?" + b"&".join(query) if query else b""), body, whole

    def _body(self, row, verb, members, whole):
        if verb == "PUT":
            return _choose(self.rng, (b"", b"B:s", b"\0\xff", b'{"value": 1}', b"v" * 100))
        if whole is not None:
            return whole
        if members or verb == "POST":
            if self.rng.random() < 0.02:
                members = [*members, _choose(self.rng, (b'"prefix": "B"', b'"dest": "B:s"', b'"x": [[[', b'"name": "B:l"'))]
            return b"{%s}" % b", ".join(members)
        return b""

    def next(self):
        rng, row = self.rng, self.row()
        verb = _choose(rng, row["verbs"]) if rng.random() < 0.9 else _choose(rng, VERBS)
        if verb == "GET" and rng.random() < 0.04:
            verb = "HEAD"
        family = FAMILY_OF.get(row["group"]) or _choose(rng, FAMILIES)
        target, members, whole = self._place(row, verb, _choose(rng, row["paths"]), family)
        body = self._body(row, verb, members, whole)
        lines = [b"%s %s%s HTTP/1.1\r\nHost: %s\r\n" % (verb.encode(), self.mount, target, self.host), _choose(rng, self.callers)]
        if body or verb in ("POST", "PUT"):
            lines.append(b"Content-Length: %d\r\n" % len(body))
        r = rng.random()
        if r < 0.35:
            lines.append(b"Lark-Values: %s\r\n" % _choose(rng, VALUES_HEADERS[:4] if r < 0.32 else VALUES_HEADERS).encode())
        if r < 0.2 and rng.random() < 0.5:
            lines.append(b"Range: %s\r\n" % _choose(rng, RANGES).encode())
        if r > 0.98:
            lines.append(b"X-Lark-Prefix: B\r\nX-Scopes: admin\r\nCookie: prefix=B\r\n")
        return b"".join(lines) + b"\r\n" + body, verb, row["lane"] == "blocking", row["method"]


FAMILY_OF = {"hashes": "hash", "lists": "list", "sets": "set", "sorted_sets": "zset"}
