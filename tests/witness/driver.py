"""Sends what a Grammar makes, over many kept connections, many requests at once on each, and reads every answer."""
import collections
import re
import selectors
import socket
import time

LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked", re.IGNORECASE)
CLOSES = re.compile(rb"\r\nconnection: *close", re.IGNORECASE)
ROUND_S = 30


def answer_end(data, at, verb):
    """Where the answer that begins at `at` ends, or -1 when it is not all there; does the server close after it?"""
    head_end = data.find(b"\r\n\r\n", at)
    if head_end < 0:
        return -1, False
    head = bytes(data[at:head_end])
    closes, end = CLOSES.search(head) is not None, head_end + 4
    if verb == "HEAD" or head[9:12] in (b"204", b"304"):
        return end, closes
    length = LENGTH.search(head)
    if length:
        end += int(length[1])
        return (end if end <= len(data) else -1), closes
    if not CHUNKED.search(head):
        raise ValueError(f"an answer without a length: {head!r}")
    while True:
        line_end = data.find(b"\r\n", end)
        if line_end < 0:
            return -1, closes
        size = int(data[end:line_end], 16)
        end = line_end + 2 + size + 2
        if end > len(data):
            return -1, closes
        if size == 0:
            return end, closes


class Line:
    """A connection and the requests whose answers it still owes."""

    def __init__(self, port):
        self.port, self.socket, self.owed, self.got, self.at, self.tries = port, None, [], bytearray(), 0, 0

    def send(self, requests):
        self.owed, self.at = requests, 0
        self.got.clear()
        if self.socket is None:
            self.socket = socket.create_connection(("127.0.0.1", self.port), timeout=ROUND_S)
        try:
            self.socket.sendall(b"".join(request[0] for request in requests))
        except ConnectionError:
            pass  # what was answered can be read

    def close(self):
        if self.socket:
            self.socket.close()
        self.socket = None


class Driver:
    """told: lines about answers that hold one of the forbidden bytes, and about requests without an answer.
    statuses: how often each (method, status) came."""

    def __init__(self, port, forbidden, lines=24, depth=20, waiting=24):
        self.forbidden, self.depth = list(forbidden), depth
        self.lines = [Line(port) for _ in range(lines)]
        self.waiting = [Line(port) for _ in range(waiting)]
        self.told, self.statuses, self.done = [], collections.Counter(), 0

    def close(self):
        for line in (*self.lines, *self.waiting):
            line.close()

    def run(self, grammar, n):
        """n requests. Those that may wait go one at a time over connections of their own."""
        waits, left = [], n
        batch = self._make(grammar, min(left, len(self.lines) * self.depth), waits)
        while left > 0:
            lines = [(line, batch[at::len(self.lines)]) for at, line in enumerate(self.lines)]
            for line, part in lines:
                if part:
                    line.send(part)
            left -= len(batch) + self._waits
            batch = self._make(grammar, min(left, len(self.lines) * self.depth), waits)  # while the server works
            self._collect([line for line, part in lines if part])
        while waits:
            now, waits = waits[:len(self.waiting)], waits[len(self.waiting):]
            for line, request in zip(self.waiting, now):
                line.send([request])
            self._collect(self.waiting[:len(now)])

    def _make(self, grammar, n, waits):
        made = [grammar.next() for _ in range(max(n, 0))]
        slow = [request for request in made if request[2]]
        self._waits = len(slow)
        waits += slow
        return [request for request in made if not request[2]]

    def _collect(self, lines):
        selector, until = selectors.DefaultSelector(), time.monotonic() + ROUND_S
        for line in lines:
            selector.register(line.socket, selectors.EVENT_READ, line)
        while selector.get_map():
            if time.monotonic() > until:
                owed = [key.data.owed[0][0] for key in selector.get_map().values()]
                raise AssertionError(f"not answered within {ROUND_S} s: {owed}"[:4000])
            for key, _ in selector.select(1):
                self._read(selector, key.data)
        selector.close()

    def _read(self, selector, line):
        try:
            piece = line.socket.recv(262144)
        except ConnectionError:
            piece = b""
        line.got += piece
        ended = self._answers(line) or not piece
        if not line.owed:
            selector.unregister(line.socket)
            if ended:
                line.close()
        elif ended:
            self._again(selector, line)

    def _again(self, selector, line):
        """The server closed before all was answered: the rest once more, but what closes it twice has no answer."""
        selector.unregister(line.socket)
        line.close()
        rest = line.owed
        line.tries += 1
        if line.tries > 2:
            self.told.append(f"no answer to {rest[0][0]!r}")
            rest, line.tries = rest[1:], 0
        if rest:
            line.send(rest)
            selector.register(line.socket, selectors.EVENT_READ, line)

    def _answers(self, line):
        """Take the answers that are whole; does the server close now?"""
        taken, closes = 0, False
        while taken < len(line.owed) and not closes:
            request, verb, _, method = line.owed[taken]
            end, closes = answer_end(line.got, line.at, verb)
            if end < 0:
                closes = False
                break
            self._look(request, method, bytes(line.got[line.at:end]))
            line.at, taken, line.tries = end, taken + 1, 0
        if taken:
            line.owed = line.owed[taken:]
            del line.got[:line.at]
            line.at = 0
        return closes

    def _look(self, request, method, answer):
        self.statuses[method, int(answer[9:12])] += 1
        self.done += 1
        for form in self.forbidden:
            if form in answer:
                self.told.append(f"a foreign name or value comes to A:\n    {request!r}\n    {answer!r}"[:4000])
                break
