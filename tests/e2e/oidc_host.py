"""A real OpenID provider (tests/oauth/provider.mjs, npm's oidc-provider) over TLS, and its callers."""
import base64
import hashlib
import http.cookiejar
import json
import re
import secrets
import ssl
import subprocess
import urllib.error
import urllib.parse
import urllib.request

import conftest
import tls_host

FOLDER = conftest.ROOT / "tests/oauth"
AUDIENCE = "https://lark.example"
CLIENT = ("app", "app+secret/of the test")
LARK = ("lark", "lark:secret & more")
CALLBACK = "https://app.example/callback"


class NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


class Browser:
    """Follows redirects to the provider by itself, keeps cookies, stops where it would leave."""

    def __init__(self, provider):
        self.opener = urllib.request.build_opener(
            urllib.request.HTTPSHandler(context=provider.context), NoRedirects(),
            urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()))
        self.home = provider.issuer

    def go(self, url, form=None):
        """(address, page) where it ends; a page of None: an address outside of the provider."""
        for _ in range(10):
            if not url.startswith(self.home):
                return url, None
            data = None if form is None else urllib.parse.urlencode(form).encode()
            try:
                with self.opener.open(url, data, timeout=10) as answer:
                    return url, answer.read().decode()
            except urllib.error.HTTPError as error:
                with error:
                    assert error.code in (302, 303), (url, error.code, error.read())
                    url, form = urllib.parse.urljoin(url, error.headers["Location"]), None
        raise AssertionError("too many redirects")


class Provider:
    """issuer, authority (its CA); start, stop, tell. It keeps its port when it is started again."""

    def __init__(self, authority=None):
        subprocess.run([conftest.ROOT / "tools/npm-ci", FOLDER], check=True)
        self.own_authority = authority is None
        self.authority = authority or tls_host.Authority("Lark test provider")
        self.pair = self.authority.issue("provider", "DNS:localhost")
        self.port = conftest.free_port()
        self.issuer = f"https://localhost:{self.port}"
        self.context = ssl.create_default_context(cafile=self.authority.ca)
        self.process = None

    def start(self):
        settings = {"port": self.port, "cert": str(self.pair[0]), "key": str(self.pair[1]), "control": True}
        self.process = subprocess.Popen(["node", FOLDER / "provider.mjs", json.dumps(settings)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert self.process.stdout.readline() == "ready\n"
        return self

    def stop(self):
        if self.process is not None:
            self.process.stdin.close()
            self.process.stdout.close()
            self.process.wait(conftest.STOP_S)
            self.process = None

    def done(self):
        self.stop()
        if self.own_authority:
            self.authority.done()

    def tell(self, **settings):
        """rotate=True, skew_s=..., life_s=...: see provider.mjs."""
        self.process.stdin.write(json.dumps(settings) + "\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "done\n"

    # --- its endpoints ---

    def post(self, path, form, client=None):
        request = urllib.request.Request(self.issuer + path, urllib.parse.urlencode(form).encode())
        if client is not None:
            pair = ":".join(urllib.parse.quote(word, safe="") for word in client)
            request.add_header("Authorization", "Basic " + base64.b64encode(pair.encode()).decode())
        with urllib.request.urlopen(request, timeout=10, context=self.context) as answer:
            return json.loads(answer.read() or b"null")

    def token(self, kind="jwt", scope="read:get"):
        """An access token by client credentials. kind: jwt, jwt/ES256, opaque, ..."""
        form = {"grant_type": "client_credentials", "scope": scope, "resource": f"{AUDIENCE}/{kind}"}
        return self.post("/token", form, CLIENT)["access_token"]

    def revoke(self, token):
        self.post("/token/revocation", {"token": token}, CLIENT)

    def log_in(self, user, kind="jwt", scope="read:get"):
        """An access token by authorization code with PKCE: a person logs in and consents on the provider's own pages."""
        browser, verifier, resource = Browser(self), secrets.token_urlsafe(48), f"{AUDIENCE}/{kind}"
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        question = {"client_id": "web", "response_type": "code", "redirect_uri": CALLBACK, "scope": f"openid {scope}",
                    "resource": resource, "code_challenge": challenge, "code_challenge_method": "S256"}
        url, page = browser.go(f"{self.issuer}/auth?{urllib.parse.urlencode(question)}")
        for _ in range(2):  # to log in, then to consent
            prompt = re.search(r'name="prompt" value="(\w+)"', page)[1]
            url, page = browser.go(url, {"prompt": prompt, "login": user, "password": "any"})
            if page is None:
                break
        assert url.startswith(CALLBACK), url
        code = urllib.parse.parse_qs(urllib.parse.urlparse(url).query)["code"][0]
        form = {"grant_type": "authorization_code", "client_id": "web", "code": code, "redirect_uri": CALLBACK,
                "code_verifier": verifier, "resource": resource}
        return self.post("/token", form)["access_token"]
