"""Redis over TLS for the tests: certificates made by openssl, a redis-server with a TLS port, a TLS front of our own."""
import asyncio
import pathlib
import shutil
import ssl
import subprocess
import tempfile
import threading

import conftest
import nginx_host
import redis


class Authority:
    """A CA in a folder of its own. issue() makes certificates, each as NAME.crt and NAME.key."""

    def __init__(self, name="Lark test CA"):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="lark-ca-", dir="/tmp"))
        self.folder.chmod(0o755)
        self.ca = self.folder / "ca.crt"
        self._openssl("req", "-x509", *self._new_key("ca"), "-out", self.ca, "-days", "30", "-subj", f"/CN={name}",
                      "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=keyCertSign")

    def _openssl(self, *words):
        done = subprocess.run(["openssl", *words], cwd=self.folder, stdin=subprocess.DEVNULL, capture_output=True,
                              text=True)
        assert done.returncode == 0, done.stderr

    def _new_key(self, name):
        return ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", self.folder / f"{name}.key")

    def issue(self, name, alt="DNS:localhost,IP:127.0.0.1,IP:::1", days=30):
        """(certificate, key); with days=-1 it ended before it began to be asked for."""
        request, certificate, extensions = (self.folder / f"{name}.{end}" for end in ("csr", "crt", "ext"))
        self._openssl("req", *self._new_key(name), "-out", request, "-subj", f"/CN={name}")
        extensions.write_text(f"subjectAltName={alt}\nbasicConstraints=CA:FALSE\n")
        self._openssl("x509", "-req", "-in", request, "-CA", self.ca, "-CAkey", "ca.key", "-CAcreateserial",
                      "-days", str(days), "-extfile", extensions, "-out", certificate)
        return certificate, self.folder / f"{name}.key"

    def done(self):
        shutil.rmtree(self.folder, ignore_errors=True)


class TlsRedis(nginx_host.RedisServer):
    """A redis-server whose only port speaks TLS; `client` looks into it by a Unix socket."""

    def __init__(self, authority, pair, *options):
        self.port = conftest.free_port()
        self.url = f"rediss://localhost:{self.port}"
        self.state = pathlib.Path(tempfile.mkdtemp(prefix="lark-redis-", dir="/tmp"))
        path = self.state / "redis.sock"
        self.more = options
        self.authority = authority
        self.use(pair)
        self.client = redis.Redis(unix_socket_path=str(path), retry=None, password=self._password(),
                                  socket_timeout=conftest.CLIENT_S)
        self.start()

    def use(self, pair):
        """Have this certificate and key from the next start on."""
        self.options = ("--port", "0", "--tls-port", str(self.port), "--unixsocket", str(self.state / "redis.sock"),
                        "--unixsocketperm", "777", "--tls-cert-file", pair[0], "--tls-key-file", pair[1],
                        "--tls-ca-cert-file", self.authority.ca, "--tls-auth-clients", "no", *self.more)


class Front:
    """A TLS server in front of a port that speaks none; keeps what it saw of each handshake."""

    def __init__(self, pair, port, chunk=65536):
        self.names, self.reused, self.versions = [], [], []
        self.to, self.chunk = port, chunk
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(*pair)
        self.context.sni_callback = lambda _socket, name, _context: self.names.append(name)
        self.loop = asyncio.new_event_loop()
        self.server = self.loop.run_until_complete(
            asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self.context))
        self.port = self.server.sockets[0].getsockname()[1]
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()

    async def _serve(self, reader, writer):
        secured = writer.get_extra_info("ssl_object")
        self.reused.append(secured.session_reused)
        self.versions.append(secured.version())
        back, out = await asyncio.open_connection("127.0.0.1", self.to)
        await asyncio.gather(self._copy(reader, out), self._copy(back, writer), return_exceptions=True)

    async def _copy(self, reader, writer):
        try:
            while piece := await reader.read(self.chunk):
                writer.write(piece)
                await writer.drain()
        finally:
            writer.close()

    async def _end(self):
        self.server.close()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def stop(self):
        asyncio.run_coroutine_threadsafe(self._end(), self.loop).result(10)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()
