"""A Redis that A shares with B and with keys of nobody, and what is wrong with it when A has called.

Every foreign key has MARK in its value, and in its name where the name is not one that a caller may guess: so a MARK that
comes to A is a leak, whatever A has sent."""
import base64
import collections
import json
import secrets

import grammar

OURS = grammar.PREFIX.encode() + b":"
IDLE_S = 1_000_000  # how long ago a foreign key was last looked at; Redis forgets this when anybody reads it
DAY_MS = 86_400_000


def new_mark():
    return "W" + secrets.token_hex(10)


def forms(mark):
    """The bytes as which a text that holds the mark can come: itself, and within base64 at each of the three places."""
    found = {mark.encode()}
    for shift in range(3):
        text = base64.b64encode(b"\0" * shift + mark.encode())
        found.add(text[4 if shift else 0:len(mark) // 3 * 4])
    return sorted(found)


class World:
    """client: redis-py, bytes."""

    def __init__(self, client):
        self.client, self.mark = client, new_mark()
        self.forms = forms(self.mark)
        self.foreign = {}
        client.flushall()
        self._make_foreign()
        self.remember()
        self.settings = self._settings()

    def _make_foreign(self):
        mark, make = self.mark.encode(), self._make
        names = [b"B:%s", b"B:{%s}", b"%s", b"AB:%s", b"a:A:%s", b"A%s", b"*:%s", b"[A]:%s", b"A\0:%s", b"\xff:%s", b"A\\:%s",
                 b"x:A:%s", b"A/%s", b"A%%3A%s", b"A.:%s", b":A:%s", b"\nA:%s", b"C:%s"]
        guessed = {b"B:s": "set", b"B:l": "list", b"B:z": "zset", b"B:h": "hash"}
        for name in grammar.GUESSED:
            make(guessed.get(name, "string"), name, mark)
        for family in (*grammar.FAMILIES, "stream"):
            for number, name in enumerate(names):
                make(family, name % (mark + b"-%s%d" % (family.encode(), number)), mark)
        # As A's own names, below B and below nobody: what a lost prefix would find.
        for family, own in grammar.OWN.items():
            for name in own:
                make(family, b"B:" + name, mark)
                make(family, name, mark)

    def _make(self, family, name, mark):
        r = self.client
        if family == "string":
            r.set(name, b"of B: " + mark)
        elif family == "list":
            r.rpush(name, b"1", b"2", mark)
        elif family == "set":
            r.sadd(name, mark)  # one only: the order of more changes with each RESTORE
        elif family == "zset":
            r.zadd(name, {b"m": 1, b"n": 2, mark: 3})
        elif family == "hash":
            r.hset(name, mapping={b"f": mark, b"g": b"1", mark: b"2"})
        else:
            r.xadd(name, {b"f": mark}, id="1-1")
        if len(self.foreign) % 3 == 0:
            r.pexpire(name, 30 * DAY_MS + len(self.foreign))
        self.foreign[name] = None

    def remember(self):
        """Foreign keys as they are now, each as if nobody had looked at it for long."""
        names = list(self.foreign)
        dumps, times = self._look(names)
        pipe = self.client.pipeline(transaction=False)
        for name, dump, time in zip(names, dumps, times):
            pipe.execute_command("RESTORE", name, max(time, 0), dump, "REPLACE", "ABSTTL", "IDLETIME", IDLE_S)
            self.foreign[name] = (dump, time)
        pipe.execute()

    def _look(self, names):
        pipe = self.client.pipeline(transaction=False)
        for name in names:
            pipe.dump(name)
        dumps = pipe.execute()
        for name in names:
            pipe.execute_command("PEXPIRETIME", name)
        return dumps, pipe.execute()

    def seed(self):
        """A's keys as at the beginning, so that good requests find something."""
        for name in self.names():
            if name.startswith(OURS):
                self.client.unlink(name)
        values = {"string": lambda name: self.client.set(name, b"12345"),
                  "list": lambda name: self.client.rpush(name, b"1", b"2", b"3"),
                  "set": lambda name: self.client.sadd(name, b"m", b"n", b"1"),
                  "zset": lambda name: self.client.zadd(name, {b"m": 1, b"n": 2, b"2": 3}),
                  "hash": lambda name: self.client.hset(name, mapping={b"f": b"1", b"g": b"B:s"})}
        for family, own in grammar.OWN.items():
            for name in own:
                values[family](OURS + name)

    def names(self):
        return set(self.client.keys(b"*"))

    def _settings(self):
        r = self.client
        return {"CONFIG": r.config_get("*"), "ACL": r.acl_list(), "functions": r.execute_command("FUNCTION", "LIST")}

    def wrong(self):
        """What has happened to what is not A's: one line each. Foreign keys are as if never looked at afterwards."""
        found, names = [], list(self.foreign)
        now = self.names()
        found += [f"a key that is not below A: is there: {name!r}" for name in now - set(names) if not name.startswith(OURS)]
        pipe = self.client.pipeline(transaction=False)
        for name in names:
            pipe.execute_command("OBJECT", "IDLETIME", name)
        idle = pipe.execute(raise_on_error=False)
        dumps, times = self._look(names)
        for name, seconds, dump, time in zip(names, idle, dumps, times):
            if dump is None:
                found.append(f"{name!r} is gone")
            elif dump != self.foreign[name][0]:
                found.append(f"the DUMP of {name!r} is another one")
            elif time != self.foreign[name][1]:
                found.append(f"{name!r} expires at {time}, not {self.foreign[name][1]}")
            elif seconds < IDLE_S // 2:
                found.append(f"{name!r} was looked at")
        if set(self.client.info("keyspace")) - {"db0"}:
            found.append(f"another database has keys: {self.client.info('keyspace')}")
        found += [f"{name} of Redis is another one" for name, value in self._settings().items() if value != self.settings[name]]
        if not found:
            self.remember()
        return found

    def wrong_lists(self, ask):
        """Are KEYS, SCAN and DBSIZE of A what there is? ask(target): data of a GET as A."""
        own = {name[len(OURS):] for name in self.names() if name.startswith(OURS)}
        keys = [_bytes(name) for name in ask("/KEYS/")]
        walked, cursor = set(), "0"
        while True:
            cursor, page = ask(f"/SCAN/?cursor={cursor}&count=1000")
            walked |= {_bytes(name) for name in page}
            if str(cursor) == "0":
                break
        told = {"KEYS": set(keys), "SCAN": walked, "DBSIZE": ask("/DBSIZE/")}
        wanted = {"KEYS": own, "SCAN": own, "DBSIZE": len(own)}
        found = [f"{name} of A: {told[name]!r}, wanted {wanted[name]!r}"[:600] for name in wanted if told[name] != wanted[name]]
        twice = [name for name, n in collections.Counter(keys).items() if n > 1]
        return found + [f"KEYS of A tells {name!r} twice" for name in twice]


def _bytes(name):
    if isinstance(name, dict):
        assert list(name) == ["$base64"], json.dumps(name)
        return base64.b64decode(name["$base64"])
    return name.encode()
