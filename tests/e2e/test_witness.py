"""A calls every method with everything, beside B's keys and keys of nobody (tests/witness); and each thing that would tell of
a leak does tell. docs/SECURITY.md, tenants."""
import conftest
import pytest
import witness
import world


def test_10000_requests():
    with witness.Witness() as w:
        print(f"seed {w.seed}")
        w.run(10_000)
        while w.done < 30_000 and not w.told and w.never(("prefix", "emulate"), 200):
            w.run(w.done + 1000)  # one of many seeds has no LSET that does something in the first ten thousand
        assert not w.told, f"seed {w.seed}:\n" + "\n".join(w.told[:10])
        assert w.never(("prefix", "emulate"), 200) == [], w.seed  # each method did something
        assert w.never(("refuse",), 403) == [], w.seed
        assert not any(status >= 500 for _, status in w.driver.statuses), w.statuses()


def test_the_same_seed_makes_the_same_requests():
    rows, tokens = witness.grammar.load_rows(), ["t"]
    one, same, other = (witness.grammar.Grammar(rows, seed, tokens) for seed in (1, 1, 2))
    first = [one.next() for _ in range(1000)]
    assert first == [same.next() for _ in range(1000)]
    assert first != [other.next() for _ in range(1000)]


def test_without_a_prefix_the_witness_tells():
    with witness.Witness(seed=1, prefix=None, scopes=(["read:*", "write:*"],)) as w:
        w.run(2000)
        told = "\n".join(w.told)
        for words in ("comes to A", "is gone", "a key that is not below A: is there"):
            assert words in told, (words, told[:3000])


PLANTED = {
    "is gone": lambda r: r.delete(b"B:s"),
    "the DUMP of b'B:l' is another one": lambda r: r.rpush(b"B:l", b"x"),
    "b'B:z' expires at": lambda r: r.pexpire(b"B:z", 1_000_000),
    "b'free' was looked at": lambda r: r.get(b"free"),
    "a key that is not below A: is there: b'A\\x00:x'": lambda r: r.set(b"A\0:x", b"1"),
    "another database has keys": lambda r: (r.execute_command("COPY", "A:hash0", "x", "DB", 3)),
    "CONFIG of Redis is another one": lambda r: r.config_set("hz", 11),
    "ACL of Redis is another one": lambda r: r.execute_command("ACL", "SETUSER", "joe"),
}


@pytest.fixture
def plain_world():
    server = conftest.Redis().start()
    yield world.World(server.client)
    server.stop()


def test_each_change_is_told(plain_world):
    for words, change in PLANTED.items():
        plain_world.client.flushall()
        fresh = world.World(plain_world.client)
        fresh.seed()
        assert fresh.wrong() == []
        change(fresh.client)
        assert any(words in line for line in fresh.wrong()), words


def test_lists_that_are_not_true_are_told(plain_world):
    plain_world.seed()
    names = [name.decode()[2:] for name in plain_world.names() if name.startswith(b"A:")]

    def ask(target, names=names):
        return {"K": names, "S": ["0", names], "D": len(names)}[target[1]]

    assert plain_world.wrong_lists(ask) == []
    assert len(plain_world.wrong_lists(lambda target: ask(target, [*names, "x"]))) == 3
    assert len(plain_world.wrong_lists(lambda target: ask(target, names[1:]))) == 3
    assert plain_world.wrong_lists(lambda target: ask(target, [*names, names[0]]))[-1].endswith("twice")


@pytest.mark.parametrize("shift", range(6))
def test_a_mark_is_found_in_base64_too(shift):
    mark = world.new_mark()
    for text in (mark, world.base64.b64encode(b"abcdef"[:shift] + mark.encode() + b"xyz").decode()):
        assert any(form in text.encode() for form in world.forms(mark)), text
