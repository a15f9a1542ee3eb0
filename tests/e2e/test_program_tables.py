"""tools/options.py: a broken row of data/options.json ends the build with its name."""
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent.parent / "tools"))
import options  # noqa: E402

GOOD = {"key": "some_name", "option": "some-name", "env": "LARK_SOME_NAME", "type": "text", "metavar": "X",
        "default": "x", "help": "Words."}


def test_a_good_row():
    options.check(GOOD)


@pytest.mark.parametrize("change, why", [
    ({"help": ""}, "lacks 'help'"), ({"type": "words"}, "unknown type 'words'"), ({"colour": 1}, "unknown fields"),
    ({"option": "other"}, "must be the same words"), ({"env": "LARK_OTHER"}, "must be LARK_SOME_NAME"),
    ({"type": "flag"}, "have no metavar"), ({"default": None}, "needs 'shown'"), ({"type": "count"}, "needs min and max"),
    ({"key": "some_scopes", "option": "some-scopes", "env": "LARK_SOME_SCOPES"}, "never chosen by the environment"),
    ({"key": "key_prefix", "option": "key-prefix", "env": "LARK_KEY_PREFIX"}, "never chosen by the environment"),
])
def test_broken_rows(change, why):
    row = {**GOOD, **change}
    with pytest.raises(SystemExit) as ended:
        options.check(row)
    assert why in str(ended.value) and row["key"] in str(ended.value)


def test_the_table_of_the_repository():
    keys = [row["key"] for row in options.load()["options"]]
    assert len(keys) == len(set(keys)) and "default_scopes" in keys
