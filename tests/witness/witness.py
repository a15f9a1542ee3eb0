"""The witness: A calls everything, and everybody else's keys stay as they are and unseen.

    tests/witness/witness.py [N] [--seed S]     `make witness N=1000000`

A real `lark serve` (nginx, tokens) before a real Redis. Ends with 1 when anything of anybody else was seen or touched."""
import argparse
import collections
import contextlib
import pathlib
import random
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
if __name__ == "__main__":
    sys.path[:0] = [str(HERE), str(HERE.parent / "e2e")]

import conftest  # noqa: E402
import driver  # noqa: E402
import grammar  # noqa: E402
import token_files  # noqa: E402
import world  # noqa: E402

BATCH = 5000
# One value is 1 MiB at most: SETBIT far behind would make many of 512 MiB.
REDIS = ("--proto-max-bulk-len", "1mb")


class Witness:
    """with Witness() as witness: witness.run(10_000); witness.told is empty, or says what was seen.

    prefix: None plants the leak that all of this is there to find."""

    def __init__(self, seed=None, prefix=grammar.PREFIX, scopes=grammar.SCOPES, workers=2):
        self.seed = random.SystemRandom().randrange(2**32) if seed is None else seed
        self.prefix, self.scopes, self.workers = prefix, scopes, workers
        self.rows, self.told, self.done, self.seconds = grammar.load_rows(), [], 0, 0.0

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lark-witness-", dir="/tmp")))
            folder.chmod(0o755)
            self.redis = conftest.Redis("--unixsocketperm", "777", *REDIS)
            stack.callback(self.redis.stop)
            self.redis.start()
            self.redis.state.chmod(0o755)
            self.world = world.World(self.redis.client)
            self.tokens = [token_files.new(f"a{n}") for n in range(len(self.scopes))]
            entries = [token_files.entry(token, scopes, prefix=self.prefix, name=f"a{n}")
                       for n, (token, scopes) in enumerate(zip(self.tokens, self.scopes))]
            path = token_files.write(folder / "tokens.json", *entries)
            self.lark = conftest.Lark("--tokens", path, "--redis", f"unix://{self.redis.path}", "--workers", str(self.workers),
                                      "--access-log", folder / "access.log", scopes=None)
            stack.callback(self.lark.stop)
            self.folder = folder
            self.lark.start()
            self.driver = driver.Driver(self.lark.port, self.world.forms)
            stack.callback(self.driver.close)
            self.grammar = grammar.Grammar(self.rows, self.seed, self.tokens)
            self.stack = stack.pop_all()
        return self

    def __exit__(self, *_):
        self.stack.close()

    def run(self, n, say=lambda line: None):
        """Until n requests are answered, or something is told."""
        while self.done < n and not self.told:
            self.world.seed()
            self.grammar.renew()
            started = time.monotonic()
            self.driver.run(self.grammar, min(BATCH, n - self.done))
            self.seconds += time.monotonic() - started
            self.done = self.driver.done
            self.look()
            say(f"{self.done} requests, {self.done / self.seconds:.0f} a second, {self.statuses()}")
        return self

    def look(self):
        """After a batch: all that would tell of A's having been where it must not be."""
        self.told += self.driver.told + self.world.wrong()
        if self.prefix is not None:
            self.told += self.world.wrong_lists(self._ask)
        self.told += self.wrong_logs()

    def _ask(self, target):
        return self.lark.get(target, headers=token_files.bearer(self.tokens[0])).data

    def wrong_logs(self):
        """Lines of logs, configurations and the program's own words that name what is not A's."""
        found = []
        for path in (*self.lark.state.rglob("*"), *self.folder.rglob("*")):
            if path.is_file():
                content = path.read_bytes()
                found += [f"{path.name} has a foreign name or value" for form in self.world.forms if form in content]
        return found

    def statuses(self):
        counts = collections.Counter()
        for (_, status), n in self.driver.statuses.items():
            counts[status] += n
        return " ".join(f"{status}: {n}" for status, n in sorted(counts.items()))

    def never(self, tenant, status):
        """Methods of rows with this `tenant` that never had an answer of this status."""
        return sorted(row["method"] for row in self.rows if row["tenant"] in tenant
                      and not self.driver.statuses[row["method"], status])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("n", nargs="?", type=int, default=10_000)
    parser.add_argument("--seed", type=int)
    options = parser.parse_args()
    with Witness(options.seed) as witness:
        print(f"seed {witness.seed}", flush=True)
        witness.run(options.n, say=lambda line: print(line, flush=True))
        print("\n".join(witness.told[:20]) or f"{witness.done} requests; nothing of anybody else was seen or touched")
        sys.exit(bool(witness.told))


if __name__ == "__main__":
    main()
