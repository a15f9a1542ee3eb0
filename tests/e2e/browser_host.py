"""A real browser: Debian's Chromium without a window, and the pages that it opens."""
import contextlib
import http.server
import os
import shutil
import socket
import threading

from selenium import webdriver
from selenium.webdriver.chrome.service import Service

WAIT_S = 30
SWITCHES = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync",
            "--disable-features=HttpsUpgrades,HttpsFirstBalancedModeAutoEnable",
            # every name of these tests is this machine
            "--host-resolver-rules=MAP *.example 127.0.0.1")
CALL = """
const done = arguments[arguments.length - 1], url = arguments[0], more = arguments[1];
(async () => { %s })().then(value => done(value === undefined ? null : value), error => done("refused: " + error));
"""


class Browser:
    def __init__(self):
        options = webdriver.ChromeOptions()
        options.binary_location = shutil.which("chromium")
        options.page_load_strategy = "eager"
        for switch in SWITCHES:
            options.add_argument(switch)
        # chromedriver is of the same package as chromium: they always fit
        self.driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver"), log_output=os.devnull))
        self.driver.set_script_timeout(WAIT_S)
        self.driver.set_page_load_timeout(WAIT_S)

    def open(self, url):
        self.driver.get(url)

    def run(self, script, url="", more=None):
        """The value of an async function's body, which knows url and more."""
        return self.driver.execute_async_script(CALL % script, url, more)

    def stop(self):
        self.driver.quit()


class _Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = b"<!doctype html><title>page</title><link rel=icon href='data:,'><body>"
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format, *args):
        pass


class Pages:
    """An empty page under every path, for whatever host is asked for."""

    def __init__(self):
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Page)
        self.port = self.server.server_port
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,))
        self.thread.start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


class Relay:
    """A port that leads to another one, which may change: to the browser it is a name that gets another address."""

    def __init__(self, target):
        self.target, self.callers = target, []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self._accept)
        self.thread.start()

    def switch(self, target):
        """From now on; what the browser has connected in advance ends."""
        self.target = target
        for caller in self.callers:
            with contextlib.suppress(OSError):
                caller.shutdown(socket.SHUT_RDWR)

    def _accept(self):
        while True:
            try:
                caller = self.listener.accept()[0]
            except OSError:
                return
            self.callers.append(caller)
            threading.Thread(target=self._serve, args=(caller,), daemon=True).start()

    def _serve(self, caller):
        with contextlib.suppress(OSError), caller, socket.create_connection(("127.0.0.1", self.target), WAIT_S) as server:
            back = threading.Thread(target=_pump, args=(server, caller), daemon=True)
            back.start()
            _pump(caller, server)
            back.join()

    def stop(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join()


def _pump(source, sink):
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
