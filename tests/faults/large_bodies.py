"""Large bodies that are made while they are sent: a test never holds one."""
import base64
import time

import http_raw

MEBI = 1 << 20
EVERY_BYTE = bytes(range(256))


class Body:
    """The value is piece, n times; on the wire it is head, word n times, tail."""

    def __init__(self, verb, head, word, tail, piece, n):
        self.verb, self.head, self.word, self.tail, self.piece, self.n = verb, head, word, tail, piece, n

    @property
    def size(self):
        return len(self.head) + len(self.word) * self.n + len(self.tail)

    def send(self, client, target, headers=b"", bytes_per_s=None):
        """One PUT or POST on a new connection, no faster than that; its answer."""
        begun = time.monotonic()
        with client.connect() as connection:
            connection.settimeout(120)
            connection.sendall(b"%s /api/0%s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n%s\r\n" %
                               (self.verb, target, self.size, headers) + self.head)
            for i in range(self.n):
                if bytes_per_s:
                    time.sleep(max(0, begun + i * len(self.word) / bytes_per_s - time.monotonic()))
                connection.sendall(self.word)
            connection.sendall(self.tail)
            return http_raw.read_answer(connection)[0]

    def is_stored(self, redis, key):
        """Is it the value of the key, byte for byte?"""
        step = len(self.piece)
        return redis.strlen(key) == step * self.n and all(
            redis.getrange(key, i * step, (i + 1) * step - 1) == self.piece for i in range(self.n))


def put(mebibytes):
    piece = EVERY_BYTE * (MEBI // 256)
    return Body(b"PUT", b"", piece, b"", piece, mebibytes)


def escaped(mebibytes):
    """A JSON string of which every third character is an escape."""
    unit, text = b'a\\u00e9\\n\\"xyz<', "aé\n\"xyz<".encode()
    times = MEBI // len(text)
    return Body(b"POST", b'{"value": "', unit * times, b'"}', text * times, mebibytes)


def in_base64(mebibytes):
    piece = EVERY_BYTE * (MEBI // 256) + bytes(2)  # a number of bytes that three divides
    return Body(b"POST", b'{"value": {"$base64": "', base64.b64encode(piece), b'"}}', piece, mebibytes)


def members(n):
    """An object of so many members, and how it is stored: written anew with blanks."""
    names = [b'"%07d"' % i for i in range(n)]
    return b'{"value": {' + b",".join(b"%s:0" % name for name in names) + b"}}", b"{" + b", ".join(b"%s: 0" % name for name in names) + b"}"


FORMS = {"PUT": put, "escapes": escaped, "$base64": in_base64}
