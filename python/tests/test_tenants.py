"""The witness (tests/witness) through the Python hosts: A calls every method with everything, with tokens, beside B's keys and
keys of nobody, which stay as they are and unseen. docs/SECURITY.md, tenants."""
import random
import sys

import pytest
from conftest import E2E, Redis, Server

sys.path[:0] = [str(E2E.parent / "witness")]

import driver  # noqa: E402
import grammar  # noqa: E402
import token_files  # noqa: E402
import world  # noqa: E402

N, BATCH = 10_000, 2500


@pytest.mark.timeout(300)
@pytest.mark.parametrize("app", ["tenants_flask_app", "tenants_django_app"])
def test_10000_requests(app, tmp_path):
    seed = random.SystemRandom().randrange(2**32)
    redis = Redis("--proto-max-bulk-len", "1mb")
    tokens = [token_files.new(f"a{n}") for n in range(len(grammar.SCOPES))]
    path = token_files.write(tmp_path / "tokens.json", *(token_files.entry(token, scopes, prefix=grammar.PREFIX, name=f"a{n}")
                                                         for n, (token, scopes) in enumerate(zip(tokens, grammar.SCOPES))))
    server = None
    try:
        there = world.World(redis.client)
        server = Server("wsgi", app, redis.path, threads=16, LARK_TEST_TOKENS=str(path))
        asks = driver.Driver(server.port, there.forms, lines=8, depth=1, waiting=8)
        calls = grammar.Grammar(grammar.load_rows(), seed, tokens, host=f"127.0.0.1:{server.port}")
        while asks.done < N:
            there.seed()
            calls.renew()
            asks.run(calls, BATCH)
            told = asks.told + there.wrong() + there.wrong_lists(
                lambda target: server.get(target, headers=token_files.bearer(tokens[0])).data)
            told += ["the server's own words have a foreign name or value" for form in there.forms if form.decode() in server.said()]
            assert not told, f"seed {seed}:\n" + "\n".join(told[:10])
        asks.close()
        done = {method for method, status in asks.statuses if status == 200}
        assert len(done) > 90, (seed, sorted(done))
        assert not any(status >= 500 for _, status in asks.statuses), (seed, asks.statuses)
    finally:
        if server:
            server.stop()
        redis.stop()
