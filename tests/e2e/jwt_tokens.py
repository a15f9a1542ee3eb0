"""JWTs for the tests: made and judged by tests/oauth/tokens.mjs, which is not our code; or put together by hand."""
import base64
import json
import subprocess
import time

import conftest

FOLDER = conftest.ROOT / "tests/oauth"
ISSUER = "https://issuer.example/realm"
AUDIENCE = "https://lark.example"
ALGORITHMS = {"rsa": "RS256", "other": "RS256", "ec": "ES256", "ed": "EdDSA"}


def base64url(data):
    return base64.urlsafe_b64encode(data if isinstance(data, bytes) else data.encode()).rstrip(b"=").decode()


def claims(**more):
    """Good ones; None takes one away."""
    now = int(time.time())
    found = {"iss": ISSUER, "aud": AUDIENCE, "sub": "ann", "client_id": "app", "iat": now, "exp": now + 300,
             "scope": "read:* write:set", **more}
    return {name: value for name, value in found.items() if value is not None}


class Maker:
    """keys: the public ones by name: rsa, other, ec, ed; the kid of each is its name."""

    def __init__(self):
        subprocess.run([conftest.ROOT / "tools/npm-ci", FOLDER], check=True)
        self.process = subprocess.Popen(["node", FOLDER / "tokens.mjs"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True)
        self.keys = {name: {**key, "kid": name} for name, key in self._ask(do="keys").items()}

    def stop(self):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait(conftest.STOP_S)

    def _ask(self, **request):
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def header(self, key="rsa", **more):
        found = {"alg": ALGORITHMS[key], "kid": key, "typ": "at+jwt", **more}
        return {name: value for name, value in found.items() if value is not None}

    def token(self, key="rsa", header=None, **more):
        """By jose. header, more: further members and claims."""
        return self._ask(do="token", key=key, header=self.header(key, **(header or {})), claims=claims(**more))

    def by_hand(self, header, body, key="rsa", alg=None):
        """Of any header and claims, values or texts. alg: of the signature; "": none"""
        text = ".".join(base64url(part if isinstance(part, str) else json.dumps(part)) for part in (header, body))
        alg = ALGORITHMS[key] if alg is None else alg
        return text + "." + (self._ask(do="signature", key=key, alg=alg, text=text) if alg else "")

    def jwks(self, *names, **more):
        """A key set. more: members for all of its keys"""
        return {"keys": [{**self.keys[name], **more} for name in names or ("rsa", "ec", "ed")]}

    def judge(self, token, jwks, **options):
        """What jose says of it: True, or the code of an error."""
        return self._ask(do="verify", token=token, jwks=jwks, options={
            "issuer": ISSUER, "audience": AUDIENCE, "typ": "at+jwt", "clockTolerance": 30,
            "requiredClaims": ["exp"], "algorithms": ["RS256", "PS256", "ES256", "EdDSA"], **options})


def write(path, jwks):
    """As who refreshes it does: another file takes its place."""
    new = path.with_suffix(".new")
    new.write_text(jwks if isinstance(jwks, str) else json.dumps(jwks))
    new.chmod(0o644)
    new.replace(path)
    return path
