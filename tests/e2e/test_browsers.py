"""Pages in a real Chromium. Those of other origins try everything that a browser can send, at a server on which anybody may do
everything: the log shows that the request came, MONITOR that no command reached Redis. A listed page calls and reads."""

import json

import browser_host
import conftest
import pytest
import token_files

READER = token_files.new("reader")


@pytest.fixture(scope="module")
def pages():
    server = browser_host.Pages()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def web(pages, tmp_path_factory):
    folder = tmp_path_factory.mktemp("browsers")
    tokens = token_files.write(folder / "tokens.json", token_files.entry(READER, ["read:*"], name="reader"))
    server = conftest.Lark("--tokens", tokens, "--cors-origins", f"http://app.example:{pages.port}", "--rate-failures", "3",
                           "--access-log", folder / "access.log", "--access-log-paths")
    server.start()
    server.log = folder / "access.log"
    yield server
    server.stop()


@pytest.fixture(scope="module")
def browser(web):
    """It ends before the server does: connections that it made in advance would hold that up."""
    one = browser_host.Browser()
    yield one
    one.stop()


class Watch:
    """What comes to the server and to Redis between two moments, with a mark in its path."""

    def __init__(self, web):
        self.web, self.from_byte = web, web.log.stat().st_size
        self.monitor = web.redis().monitor()

    def __enter__(self):
        self.monitor.__enter__()
        return self

    def __exit__(self, *error):
        self.monitor.__exit__(*error)

    def came(self, mark):
        """[(verb, status)] of the requests, once there is one."""
        def lines():
            with self.web.log.open(errors="replace") as log:
                log.seek(self.from_byte)
                found = [json.loads(line) for line in log if mark in line and line.endswith("\n")]
            return [(line["verb"], line["status"]) for line in found]

        return conftest.wait_for(f"a request with {mark} in the log", lines, browser_host.WAIT_S)

    def commands(self, mark):
        self.web.redis().echo("the end of " + mark)
        found = []
        while True:
            command = self.monitor.next_command()["command"]
            if command.endswith("the end of " + mark):
                return [one for one in found if mark in one]
            found.append(command)


# --- pages that are not listed -----------------------------------------------------------------------------------------

# Every way to make a browser send something; `url` is a call of the API, `more` its verb in the path.
FORM = """
const form = document.createElement("form"), frame = document.createElement("iframe"), field = document.createElement("input");
frame.name = "frame-" + Math.random(); form.target = frame.name; form.method = "POST"; form.action = url;
form.enctype = "%s"; field.name = '{"value": "x", "ignored": "'; field.value = '"}';
form.append(field); document.body.append(frame, form); form.submit();
"""
ELEMENT = """
const element = document.createElement("%s");
Object.assign(element, {%s}); document.body.append(element);
"""
ATTACKS = {
    "form": ("SET", FORM % "application/x-www-form-urlencoded"),
    "form-plain": ("SET", FORM % "text/plain"),
    "form-multipart": ("SET", FORM % "multipart/form-data"),
    "form-get": ("GET", FORM.replace('"POST"', '"GET"') % "text/plain"),
    "fetch-plain": ("SET", """return (await fetch(url, {method: "POST", body: '{"value": 1}'})).status;"""),
    "fetch-no-cors": ("SET", """return (await fetch(url, {method: "POST", mode: "no-cors", body: '{"value": 1}'})).type;"""),
    "fetch-credentials": ("SET", """await fetch(url, {method: "POST", credentials: "include", body: '{"value": 1}'});"""),
    "fetch-keepalive": ("SET", """await fetch(url, {method: "POST", keepalive: true, body: '{"value": 1}'});"""),
    "fetch-get": ("GET", "return await (await fetch(url)).text();"),
    "fetch-head": ("GET", """await fetch(url, {method: "HEAD"});"""),
    "fetch-json": ("SET", """
        await fetch(url, {method: "POST", headers: {"Content-Type": "application/json"}, body: '{"value": 1}'});"""),
    "fetch-token": ("SET", """await fetch(url, {method: "POST", headers: {Authorization: "Bearer x"}, body: '{"value": 1}'});"""),
    "fetch-put": ("SET", """await fetch(url, {method: "PUT", body: "x"});"""),
    "fetch-delete": ("DEL", """await fetch(url, {method: "DELETE"});"""),
    "xhr": ("SET", """
        const call = new XMLHttpRequest(); call.open("POST", url);
        await new Promise(end => { call.onloadend = end; call.send('{"value": 1}'); });
        if (call.status) return call.responseText; throw Error("unreadable");"""),
    "beacon": ("SET", """if (!navigator.sendBeacon(url, '{"value": 1}')) throw Error("not sent");"""),
    "image": ("GET", ELEMENT % ("img", "src: url")),
    "script": ("GET", ELEMENT % ("script", "src: url")),
    "module": ("GET", ELEMENT % ("script", "type: 'module', src: url")),
    "style": ("GET", ELEMENT % ("link", "rel: 'stylesheet', href: url")),
    "prefetch": ("GET", ELEMENT % ("link", "rel: 'prefetch', href: url")),
    "frame": ("GET", ELEMENT % ("iframe", "src: url")),
    "sandboxed-frame": ("GET", ELEMENT % ("iframe", "sandbox: 'allow-scripts', src: url")),
    "object": ("GET", ELEMENT % ("object", "data: url")),
    "video": ("GET", ELEMENT % ("video", "src: url, preload: 'auto'")),
    "null-origin": ("SET", ELEMENT % ("iframe", """sandbox: "allow-scripts",
        srcdoc: `<script>fetch(${JSON.stringify(url)}, {method: "POST", body: '{"value": 1}'})</scr` + `ipt>`""")),
    "websocket": ("GET", """
        const socket = new WebSocket(url.replace("http:", "ws:"));
        await new Promise((opened, failed) => { socket.onopen = opened; socket.onerror = failed; });"""),
    "event-source": ("GET", """
        const events = new EventSource(url); events.onerror = () => events.close();
        await new Promise(end => setTimeout(end, 50)); if (events.readyState === 1) throw Error("open");"""),
    "link": ("GET", "setTimeout(() => location.assign(url), 0);"),
}
NEVER_READ = ("fetch-plain", "fetch-credentials", "fetch-get", "fetch-put", "fetch-delete", "fetch-token", "fetch-json", "xhr")


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize(("page", "target"), [("evil.example", "127.0.0.1"), ("localhost", "localhost")],
                         ids=["other site", "other port"])
def test_no_command_of_another_page_reaches_redis(browser, pages, web, page, target, attack):
    method, script = ATTACKS[attack]
    mark = f"w-{attack}-{page}"
    browser.open(f"http://{page}:{pages.port}/")
    with Watch(web) as watch:
        said = browser.run(script, f"http://{target}:{web.port}/api/0/{method}/{mark}/")
        assert {status for _, status in watch.came(mark)} == {403}
        assert watch.commands(mark) == []
    if attack in NEVER_READ:
        assert str(said).startswith("refused: "), said


def test_the_watch_sees_commands(web):
    """What the tests above rely on."""
    with Watch(web) as watch:
        assert web.post("/SET/w-watch/", {"value": 1}).data is True
        assert watch.came("w-watch") == [("POST", 200)]
        assert watch.commands("w-watch") == ["SET w-watch 1"]


def test_a_password_that_the_browser_keeps_helps_no_page(browser, pages, web):
    browser.open(f"http://reader:{READER}@127.0.0.1:{web.port}/api/0/GET/own/")
    browser.open(f"http://evil.example:{pages.port}/")
    with Watch(web) as watch:
        for mode in ("cors", "no-cors"):
            browser.run("await fetch(url, {credentials: 'include', mode: more});",
                        f"http://127.0.0.1:{web.port}/api/0/GET/w-kept/", mode)
        assert {status for _, status in watch.came("w-kept")} == {403}
        assert watch.commands("w-kept") == []


def test_a_rebound_name_reaches_nothing(browser, pages, web):
    """The page's own origin is at Lark's address now: to the browser there is nothing foreign about it."""
    relay = browser_host.Relay(pages.port)
    try:
        browser.open(f"http://rebound.example:{relay.port}/")
        relay.switch(web.port)
        with Watch(web) as watch:
            for method, options in (("SET", {"method": "POST", "body": '{"value": 1}'}), ("GET", {})):
                said = browser.run("const answer = await fetch(url, more); return [answer.status, await answer.json()];",
                                   f"/api/0/{method}/w-rebound/", options)
                assert said[0] == 421 and said[1]["meta"]["error_code"] == "foreign_host"
            assert watch.commands("w-rebound") == []
        assert browser.run("return (await fetch('/openapi.json')).status;") == 421
    finally:
        browser.open("about:blank")
        relay.stop()


def test_a_stored_page_does_not_run(browser, web):
    """Typed into the address line: the answer is shown, and nothing in it is a page or a script."""
    web.redis().set("page", "<script>document.title = 'ran'</script>")
    browser.open(f"http://127.0.0.1:{web.port}/api/0/GET/page/")
    assert "document.title" in browser.driver.page_source
    assert browser.driver.title != "ran"


# --- a listed page -----------------------------------------------------------------------------------------------------

FETCH = """
const answer = await fetch(url, more);
return {status: answer.status, text: await answer.text(), headers: Object.fromEntries(answer.headers)};
"""


@pytest.fixture
def app(browser, pages, web):
    """app(verb, target, body, headers): what a listed page gets."""
    browser.open(f"http://app.example:{pages.port}/")
    web.redis().flushall()

    def call(verb, target, body=None, headers=None):
        options = {"method": verb, "headers": headers or {}, **({} if body is None else {"body": body})}
        return browser.run(FETCH, f"http://127.0.0.1:{web.port}/api/0{target}", options)

    return call


def test_a_listed_page_calls(app, web):
    bearer = token_files.bearer(READER)
    json = {"Content-Type": "application/json"}
    assert '"data": true' in app("POST", "/SET/a/", '{"value": "v"}', json)["text"]
    assert '"data": "v"' in app("GET", "/GET/a/", headers=bearer)["text"]
    assert app("PUT", "/SET/b/", "raw")["status"] == 200 and web.redis().get("b") == b"raw"
    part = app("GET", "/GET/b/", headers={**bearer, "Lark-Values": "raw", "Range": "bytes=1-"})
    assert (part["status"], part["text"], part["headers"]["content-range"]) == (206, "aw", "bytes 1-2/3")
    assert app("HEAD", "/GET/b/", headers=bearer)["status"] == 200
    assert '"data": 1' in app("DELETE", "/DEL/b/")["text"]


def test_a_listed_page_reads_errors(app):
    bearer = token_files.bearer(READER)
    refused = app("POST", "/SET/a/", '{"value": 1}', bearer)
    assert refused["status"] == 403 and '"scope"' in refused["text"] and "write:set" in refused["headers"]["www-authenticate"]
    assert '"unknown_method"' in app("GET", "/NOSUCH/", headers=bearer)["text"]
    assert '"bad_json"' in app("POST", "/SET/a/", "{")["text"]
    assert app("DELETE", "/GET/a/", headers=bearer)["headers"]["allow"]
    seen = [app("GET", "/GET/a/", headers=token_files.bearer(token_files.new())) for _ in range(4)]
    assert [one["status"] for one in seen] == [401, 401, 401, 429]
    assert "invalid_token" in seen[0]["headers"]["www-authenticate"] and '"credentials"' in seen[0]["text"]
    assert '"too_many_requests"' in seen[3]["text"] and int(seen[3]["headers"]["retry-after"]) >= 1


def test_a_listed_page_reads_nothing_of_what_has_no_origin(browser, app, web):
    """An image of it names no origin: it is anybody's."""
    with Watch(web) as watch:
        browser.run(ELEMENT % ("img", "src: url"), f"http://127.0.0.1:{web.port}/api/0/GET/w-own-image/")
        assert {status for _, status in watch.came("w-own-image")} == {403}
        assert watch.commands("w-own-image") == []
