"""lark methods, openapi, version, help: what only prints."""
import json
import re
import subprocess

import pytest
import rows
from conftest import ROOT
from serve_host import BUILD, lark

PRINTING = [("methods",), ("methods", "--json"), ("openapi",), ("version",), ("help",), ("help", "serve")]


@pytest.mark.parametrize("words", PRINTING, ids=" ".join)
def test_prints_and_leaves_with_0(words):
    code, out, err = lark(*words)
    assert code == 0 and err == "" and out.endswith("\n")


def test_methods_is_a_table_of_every_method():
    _, out, _ = lark("methods")
    head, *lines = out.splitlines()
    assert head.split() == ["METHOD", "VERB", "PATH", "SCOPES,", "ANY", "OF", "SUMMARY"]
    named = [line.split()[0] for line in lines if not line.startswith(" ")]
    assert len(named) == len(rows.ROWS) and len(set(named)) == len(named)
    assert re.search(r"^get +GET +/GET/\{key\}/ +admin key:\* read:get read:\* +Read a value$", out, re.M)


def test_methods_json_is_the_catalogue():
    document = json.loads(lark("methods", "--json")[1])
    assert document["lark"] == "0.1.0"
    assert {row["method"] for row in document["methods"]} == {row["method"] for row in rows.ROWS}
    for row in document["methods"]:
        assert row["summary"] and row["verbs"] and row["paths"] and row["scopes"] and row["section"], row


def test_version_tells_the_nginx():
    _, out, _ = lark("version")
    assert re.fullmatch(r"lark 0\.1\.0 \(for nginx \d+\.\d+\.\d+\)\n", out)
    assert lark("--version")[1] == out


def test_help_names_every_option():
    _, out, _ = lark("help", "serve")
    options = json.loads((ROOT / "data/options.json").read_text())["options"]
    for row in options:
        assert f"--{row['option']}" in out
    assert lark("serve", "--help")[1] == out == lark("serve", "-h")[1]


@pytest.mark.parametrize("words, line", [
    ((), "a command is missing; see lark help"),
    (("serv",), "there is no command 'serv'; did you mean serve; see lark help"),
    (("frobnicate",), "there is no command 'frobnicate'; see lark help"),
    (("help", "method"), "there is no command 'method'; did you mean methods; see lark help"),
    (("help", "serve", "x"), "unexpected argument 'x'; see lark help"),
    (("methods", "--jsn"), "unexpected argument '--jsn'; see lark help methods"),
    (("version", "x"), "unexpected argument 'x'; see lark help version"),
])
def test_wrong_words_are_one_line(words, line):
    assert lark(*words) == (1, "", f"lark: {line}\n")


def test_output_that_cannot_be_written_is_an_error():
    with open("/dev/full", "w") as full:
        done = subprocess.run([BUILD / "lark", "openapi"], stdout=full, stderr=subprocess.PIPE, text=True, timeout=10)
    assert done.returncode == 1 and done.stderr == "lark: standard output cannot be written\n"
