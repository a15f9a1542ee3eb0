"""Which gateways there are, by the names that results and --gateway use. Each is started when it is first asked for."""
import contextlib
import functools
import pathlib
import tempfile

import servers


class Gateways(contextlib.ExitStack):
    """cores: of a gateway, and of one with two workers (a list as taskset takes it). Leaving it stops all."""

    def __init__(self, state, cores, redis, build, cases, webdis_threads=1):
        super().__init__()
        self.state, self.redis, self.cases, self.started = state, redis, cases, {}
        lark = {"lark": (servers.Lark, cores[0]), "lark-tls": (servers.LarkTls, cores[0]), "lark-two": (servers.LarkTwo, cores[1]),
                "lark-token": (servers.LarkToken, cores[0]),
                "lark-store": (functools.partial(servers.LarkToken, store=True), cores[0]),
                **{name: (functools.partial(servers.LarkJwt, name=name), cores[0]) for name in servers.LarkJwt.names}}
        self.makers = {name: functools.partial(make, core=core, redis=redis, build=build) for name, (make, core) in lark.items()}
        webdis = functools.partial(servers.Webdis, redis=redis)
        self.makers |= {"webdis": functools.partial(webdis, core=cores[0], threads=webdis_threads),
                        "webdis-two": functools.partial(webdis, core=cores[1], threads=2, name="webdis-two")}
        for name, tls in (("return-200", False), ("return-200-tls", True)):
            self.makers[name] = functools.partial(self.return_200, core=cores[0], name=name, tls=tls)

    def return_200(self, state, core, name, tls):
        return servers.Return200(state, core, self.get("lark"), [case for case in self.cases if name in case.gateways], tls)

    def get(self, name):
        if name not in self.started:
            self.started[name] = self.makers[name](self.state)
            self.callback(self.started[name].stop)
        return self.started[name]

    @contextlib.contextmanager
    def fresh(self, name):
        """Another one that has answered nobody yet."""
        server = self.makers[name](pathlib.Path(tempfile.mkdtemp(dir=self.state)))
        try:
            yield server
        finally:
            server.stop()
