"""What the documentation says is what happens: commands are run and answers compared, generated pages are up to date, links lead
somewhere."""
import importlib
import json
import os
import re
import shutil
import subprocess
import sys

import contract
import pytest
from conftest import BUILD, ROOT, free_port, stop, wait_for

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "data").glob("*.md"), ROOT / "tests/README.md",
                ROOT / "src/core/README.md"])


def tool(name):
    sys.path.insert(0, str(ROOT / "tools"))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.pop(0)


# --- commands and their answers ---------------------------------------------------------------------------------------

def sessions(text):
    """[(command, [line of the answer])] of the indented lines that begin with "$ "."""
    found, answer = [], None
    for line in text.splitlines():
        if not line.startswith("    "):
            answer = None
        elif line.startswith("    $ "):
            answer = []
            found.append((line[6:], answer))
        elif answer is not None and found[-1][0].endswith("\\"):
            found[-1] = (found[-1][0][:-1] + line.strip(), answer)
        elif answer is not None:
            answer.append(line[4:])
    return found


def test_sessions_are_found():
    page = "text\n\n    $ one \\\n        two\n    answer\n    more\n    $ three\n\n    no answer\n\n    $ four &\n"
    assert sessions(page) == [("one two", ["answer", "more"]), ("three", []), ("four &", [])]


class Terminal:
    """A shell with `lark` in its PATH, in a folder of its own; the ports of the page are ours."""

    def __init__(self, server, folder):
        self.folder, self.jobs, self.ports = folder, [], {"7380": server.port, "7381": free_port()}
        self.environment = {**{k: v for k, v in os.environ.items() if not k.startswith(("LARK_", "XDG_"))},
                            "PATH": f"{folder}/bin:{os.environ['PATH']}", "CURL_HOME": str(folder), "TERM": "dumb",
                            "HOME": str(folder)}  # where a state folder is that nobody has named
        (folder / "bin").mkdir()
        (folder / "bin/lark").symlink_to(BUILD / "lark")
        for name in ("build", "LICENSE"):
            (folder / name).symlink_to(BUILD if name == "build" else ROOT / name)
        (folder / ".curlrc").write_text("silent\nmax-time = 20\n")

    def here(self, command):
        for port, ours in self.ports.items():
            command = command.replace(f"127.0.0.1:{port}", f"127.0.0.1:{ours}")
        return command

    def run(self, command):
        if command.endswith("&"):
            self.start(self.here(command[:-1]))
            return ""
        name = re.match(r"([A-Z]+)=\$\(", command)
        if name:  # a later command has it in its environment
            command = f'{command}; printf %s "${name[1]}"'
        done = subprocess.run(["bash", "-c", self.here(command)], cwd=self.folder, env=self.environment, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL if name else subprocess.STDOUT, text=True,
                              timeout=30)
        assert done.returncode == 0, (command, done.stdout)
        if name:
            self.environment[name[1]] = done.stdout
        return "" if name else done.stdout

    def start(self, command):
        output = self.folder / f"job-{len(self.jobs)}"
        with output.open("wb") as out:
            self.jobs.append(subprocess.Popen(["bash", "-c", "exec " + command], cwd=self.folder, env=self.environment,
                                              stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT))
        wait_for(f"{command} is up", lambda: "Ctrl-C stops it" in output.read_text())

    def end(self):
        for job in self.jobs:
            stop(job, "a program of the page")


SESSIONS = {"README.md": 15, "docs/quickstart.md": 15, "docs/HTTP.md": 4}  # commands at least


@pytest.mark.parametrize("name", SESSIONS)
def test_commands_have_their_answers(lark, tmp_path_factory, name):
    found = sessions((ROOT / name).read_text())
    assert len(found) >= SESSIONS[name] and any(answer for _, answer in found)
    terminal = Terminal(lark, tmp_path_factory.mktemp("docs"))
    try:
        for command, answer in found:
            said = terminal.run(command).rstrip("\n")
            assert said.splitlines() == answer, command
    finally:
        terminal.end()


def test_every_curl_of_the_pages_is_run():
    for name in SESSIONS:
        text = (ROOT / name).read_text()
        assert len(re.findall(r"^\s*(?:\$ )?curl ", text, re.M)) == sum(c.startswith("curl ") for c, _ in sessions(text)), name


def test_production_command_of_the_readme(tmp_path):
    """Its options are taken, with files and a Redis that are there; nginx takes the configuration."""
    block = re.search(r"^    (build/lark serve .*?)\n\n", (ROOT / "README.md").read_text(), re.M | re.S)[1]
    command = re.sub(r"\\\n\s*", "", block)
    (tmp_path / "password").write_text("secret\n")
    (tmp_path / "tokens.json").write_text('{"tokens": []}')
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-keyout", "key.pem", "-out",
                    "cert.pem"], cwd=tmp_path, check=True, capture_output=True)
    for there, ours in (("/etc/lark/password", f"{tmp_path}/password"), ("/etc/lark/tokens.json", f"{tmp_path}/tokens.json"), ("redis.internal", "127.0.0.1"), ("0.0.0.0:7380", f"0.0.0.0:{free_port()}"),
                        ("build/lark", str(BUILD / "lark"))):
        assert there in command
        command = command.replace(there, ours)
    done = subprocess.run(["bash", "-c", f"{command} --state-dir {tmp_path}/s --check-config"], cwd=tmp_path, capture_output=True, text=True,
                          timeout=30, env={k: v for k, v in os.environ.items() if not k.startswith("LARK_")})
    assert done.returncode == 0, done.stderr


def test_make_has_the_targets_of_the_pages():
    makefile = (ROOT / "Makefile").read_text()
    for page in PAGES:
        for target in re.findall(r"^    make (\w+)", page.read_text(), re.M):
            assert re.search(rf"^{target}:", makefile, re.M), f"{page.name}: make {target}"


# --- adding a command -------------------------------------------------------------------------------------------------

@pytest.fixture
def added(tmp_path):
    """(a copy of data and tools, the row of the page, a function that puts a row into the copy)"""
    for folder in ("data", "tools"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    row = json.loads(re.search(r"^```json\n(\{.*?^\})\n```", (ROOT / "docs/adding-a-command.md").read_text(), re.M | re.S)[1])
    path = tmp_path / "data/methods/keys.json"
    keys = json.loads(path.read_text())

    def put(changed):
        path.write_text(json.dumps({**keys, "methods": [*keys["methods"], changed]}))
        return subprocess.run([sys.executable, tmp_path / "tools/generate.py", "catalogue", tmp_path / "tables"], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True)

    return tmp_path, row, put


def test_the_new_row_is_all_that_is_needed(added):
    folder, row, put = added
    assert row["method"] not in json.dumps([path.read_text() for path in (ROOT / "data/methods").glob("*.json")])
    made = put(row)
    assert made.returncode == 0, made.stdout
    subprocess.run([sys.executable, folder / "tools/openapi.py", "openapi", folder / "openapi.json", "0"], check=True)
    paths = json.loads((folder / "openapi.json").read_text())["paths"]
    assert paths["/GETDEL/{key}/"]["post"]["operationId"] == "getdel" and "/GETDEL/" in paths
    subprocess.run([sys.executable, folder / "tools/reference.py"], check=True)
    assert "## GETDEL" in (folder / "docs/reference/keys.md").read_text()


MISTAKES = {'`"scopes": []`': {"scopes": []}, '`"keys": []`': {"keys": []}, '`"verbs": ["GET"]`': {"verbs": ["GET"]},
            'no `"tenant"`': {"tenant": None}, '`"argv": ["GETDEL", "{name}"]`': {"argv": ["GETDEL", "{name}"]}}


def test_mistakes_say_what_the_page_says(added):
    _, row, put = added
    told = dict(re.findall(r"^\| (.*?`) \| `(method .*)` \|$", (ROOT / "docs/adding-a-command.md").read_text(), re.M))
    assert set(told) == set(MISTAKES)
    for mistake, change in MISTAKES.items():
        made = put({k: v for k, v in {**row, **change}.items() if v is not None})
        assert made.returncode == 1 and made.stdout.strip().endswith(told[mistake]), made.stdout


def test_the_case_of_the_page_is_a_case():
    case = json.loads(re.search(r'^(\{"name": "getdel".*)$', (ROOT / "docs/adding-a-command.md").read_text(), re.M)[1])
    assert set(case) <= {member for known in contract.cases() for member in known}
    assert all(contract.request_of(step, {})[0] == step["verb"] for step in case["steps"])


# --- pages ------------------------------------------------------------------------------------------------------------

def test_generated_pages_are_up_to_date():
    reference = tool("reference")
    assert reference.stale(reference.pages()) == [], "run tools/reference.py"


def test_stale_pages_are_found():
    reference = tool("reference")
    made = reference.pages()
    made["docs/reference/keys.md"] += "more\n"
    gone = made.pop("docs/reference/errors.md")
    assert gone and reference.stale(made) == ["docs/reference/keys.md", "docs/reference/errors.md"]


def test_the_reference_has_every_method():
    text = "".join(path.read_text() for path in (ROOT / "docs/reference").glob("*.md"))
    rows = tool("openapi").rows()
    assert len(re.findall(r"^## [A-Z ]+$", text, re.M)) == len(rows)
    for row in rows:
        assert all(f" {path}\n" in text for path in row["paths"]), row["method"]


def test_the_number_of_methods_is_told_right():
    for name in ("README.md", "docs/HTTP.md", "docs/README.md"):
        assert set(re.findall(r"(\d+) methods", (ROOT / name).read_text())) == {str(len(tool("openapi").rows()))}, name


def anchors(text):
    """Those of the headings, as GitHub makes them."""
    return {re.sub(r"[^\w\- ]", "", line.lstrip("# ").lower()).replace(" ", "-") for line in text.splitlines() if line.startswith("#")}


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if re.match(r"https?://", target):
            assert target.startswith(("https://redis.io/commands/", "https://redis.io/docs/latest/", "https://nginx.org/en/docs/",
                                      "https://www.w3.org/TR/")), target
            continue
        path, _, anchor = target.partition("#")
        there = page.parent / path if path else page
        assert there.exists(), target
        assert not anchor or anchor in anchors(there.read_text()), target


def test_the_index_names_every_page():
    index = (ROOT / "docs/README.md").read_text()
    for page in (ROOT / "docs").glob("*.md"):
        assert page.name == "README.md" or f"({page.name})" in index, page.name


def test_limits_of_the_contract_are_the_defaults():
    directives = {row["name"]: row for row in tool("directives").load()}
    text = (ROOT / "docs/HTTP.md").read_text()
    assert directives["lark_args_max"]["default"] == "4096" and "| 4096 |" in text
    assert directives["lark_scan_max"]["default"] == "100000" and "100,000" in text
    assert directives["lark_reply_max"]["default"] == "513m" and directives["lark_block_max"]["default"] == "60s"
    assert directives["lark_body_max"]["default"] == "683m" and directives["lark_value_max"]["default"] == "512m"
    assert all(f"{size} MiB" in page for size in (513, 683, 512) for page in (text, tool("openapi").about()))


def test_codes_of_the_contract_are_all_codes():
    errors = json.loads((ROOT / "data/errors.json").read_text())["errors"]
    table = (ROOT / "docs/HTTP.md").read_text().partition("| status | codes |")[2].partition("\n\n")[0]
    assert set(re.findall(r"`([a-z_]{4,})`", table)) == {row["code"] for row in errors} - {"internal"}


# --- shell completion and man page ------------------------------------------------------------------------------------

def complete(tmp_path, *words):
    """What bash offers for the last word."""
    script = tmp_path / "lark.bash"
    subprocess.run([sys.executable, ROOT / "tools/options.py", "bash", script], check=True)
    line = " ".join(f"'{word}'" for word in words)
    code = f"source {script}; COMP_WORDS=({line}); COMP_CWORD={len(words) - 1}; _lark; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    done = subprocess.run(["bash", "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stderr == "", done.stderr
    return done.stdout.split()


def test_completion_for_bash(tmp_path):
    options = json.loads((ROOT / "data/options.json").read_text())
    assert complete(tmp_path, "lark", "") == [command["name"] for command in options["commands"]]
    assert complete(tmp_path, "lark", "se") == ["serve"]
    assert set(complete(tmp_path, "lark", "serve", "--")) == {f"--{row['option']}" for row in options["options"]}
    assert complete(tmp_path, "lark", "serve", "--redis-s") == ["--redis-server", "--redis-server-name"]
    assert complete(tmp_path, "lark", "serve", "--listen", "") == []
    assert complete(tmp_path, "lark", "methods", "--j") == ["--json"]
    (tmp_path / "cert.pem").touch()
    (tmp_path / "folder").mkdir()
    assert complete(tmp_path, "lark", "serve", "--tls-cert", "ce") == ["cert.pem"]
    assert complete(tmp_path, "lark", "serve", "--state-dir", "") == ["folder"]


def test_completion_for_zsh(tmp_path):
    made = tmp_path / "_lark"
    subprocess.run([sys.executable, ROOT / "tools/options.py", "zsh", made], check=True)
    for row in json.loads((ROOT / "data/options.json").read_text())["options"]:
        assert re.search(rf"'--{row['option']}=?\[", made.read_text()), row["option"]
    zsh = shutil.which("zsh")
    if zsh:
        assert subprocess.run([zsh, "-n", made], capture_output=True).returncode == 0


def test_man_pages_have_all_options(tmp_path):
    options = json.loads((ROOT / "data/options.json").read_text())["options"]
    pages = {}
    for kind in ("man", "man5"):
        subprocess.run([sys.executable, ROOT / "tools/options.py", kind, tmp_path / kind], check=True)
        pages[kind] = (tmp_path / kind).read_text()
    for row in options:
        assert ".B " + f"--{row['option']}".replace("-", "\\-") in pages["man"], row["option"]
        assert (f"\n.B {row['key']}\n" in pages["man5"]) == row.get("in_file", row["type"] != "action"), row["key"]
