"""Tokens files for the tests, written as by hand."""
import base64
import hashlib
import json
import secrets


def new(name="ci"):
    return f"lark_{name}_{secrets.token_hex(32)}"


def entry(token, scopes=("read:*",), prefix=None, expires=None, name="ci"):
    return {"name": name, "sha256": hashlib.sha256(token.encode()).hexdigest(), "scopes": list(scopes), "prefix": prefix,
            "expires": expires}


def write(path, *entries):
    path.write_text(json.dumps({"tokens": list(entries)}, indent=1))
    return path


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


def basic(token, user="anybody"):
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{token}".encode()).decode()}


def challenges(answer):
    return answer.headers.get_all("WWW-Authenticate") or []
