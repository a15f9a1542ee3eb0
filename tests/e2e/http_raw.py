"""HTTP/1.1 to a server on loopback, with every byte of the request as the test wrote it."""
import http.client
import json
import socket

import contract


class Answer:
    """status, headers (case is ignored), body (bytes)."""

    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self):
        """The body as values; contract.check_envelope has more checks."""
        return contract.strict_json(self.body)

    @property
    def data(self):
        assert self.status == 200, self
        return contract.check_envelope(self.status, self.headers, self.body)["data"]

    @property
    def error(self):
        """(error_code, error_message) of an error in the API's form."""
        assert self.status >= 400, self
        meta = contract.check_envelope(self.status, self.headers, self.body)["meta"]
        return meta["error_code"], meta["error_message"]

    def __repr__(self):
        return f"<HTTP {self.status} {self.body[:500]!r}>"


def _bytes(text):
    return text if isinstance(text, bytes) else text.encode()


def caller_key(as_):
    """Who calls in a case of the contract, as a word."""
    return json.dumps([as_["scopes"], as_.get("prefix")])


class Client:
    """One caller: a connection that is kept open and made again when the server closed it."""

    def __init__(self, port, mount=contract.MOUNT, timeout_s=30):
        self.port, self.mount, self.timeout_s = port, mount, timeout_s
        self._socket = None
        self.tokens = {}

    def close(self):
        if self._socket:
            self._socket.close()
        self._socket = None

    def connect(self):
        """A new connection of the caller's own."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=self.timeout_s)

    def exchange(self, request, verb="GET"):
        """Send these very bytes over the kept connection and read one answer."""
        fresh = self._socket is None
        if fresh:
            self._socket = self.connect()
        try:
            return self._exchange(request, verb)
        except (ConnectionError, http.client.BadStatusLine):
            self.close()
            if fresh:
                raise
        self._socket = self.connect()  # the server had closed the idle connection
        return self._exchange(request, verb)

    def _exchange(self, request, verb):
        try:
            self._socket.sendall(request)
        except ConnectionError:
            pass  # it may have answered before all was sent, and said so
        answer, closes = read_answer(self._socket, verb)
        if closes:
            self.close()
        return answer

    def request(self, verb, target, body=None, headers=None, mount=None):
        """Target (behind the mount point), header names and values, body: str as UTF-8, or bytes; other bodies become
        JSON."""
        if body is not None and not isinstance(body, (bytes, str)):
            body = json.dumps(body, ensure_ascii=False)
        fields = {"Host": f"127.0.0.1:{self.port}"}
        if body is not None:
            fields["Content-Length"] = str(len(_bytes(body)))
        fields.update(headers or {})
        target = _bytes(self.mount if mount is None else mount) + _bytes(target)
        lines = [_bytes(verb) + b" " + target + b" HTTP/1.1"]
        lines += [_bytes(name) + b": " + _bytes(value) for name, value in fields.items() if value is not None]
        return self.exchange(b"\r\n".join(lines) + b"\r\n\r\n" + _bytes(body or b""), verb)

    def get(self, target, **options):
        return self.request("GET", target, **options)

    def post(self, target, body=None, **options):
        return self.request("POST", target, body, **options)

    def delete(self, target, **options):
        return self.request("DELETE", target, **options)

    def transport(self, verb, target, body, headers, as_):
        """For contract.run_case; self.tokens has the token of every caller."""
        if as_ is not None:
            headers = {**headers, "Authorization": f"Bearer {self.tokens[caller_key(as_)]}"}
        answer = self.request(verb, target, body, headers, mount="")
        return answer.status, answer.headers, answer.body


def read_answer(connection, verb="GET"):
    """(Answer, does the server close now?) from a socket."""
    response = http.client.HTTPResponse(connection, method=verb)
    response.begin()
    with response:
        return Answer(response.status, response.headers, response.read()), response.will_close
