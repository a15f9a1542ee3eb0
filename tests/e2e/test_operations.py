"""What docs/OPERATIONS.md claims: the dashboard's names, a backup that is restored, nginx' upgrade of its binary."""
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import threading

import conftest
import http_raw
import pytest
import yaml
from nginx_host import Nginx
from serve_host import Serve, alive, short_folder

sys.path.insert(0, str(conftest.ROOT / "tools"))

import metrics as metric_rows  # noqa: E402

DOCS = conftest.ROOT / "docs"
folder = pytest.fixture(short_folder)


# --- the dashboard and the rules --------------------------------------------------------------------------------------

def dashboard_queries():
    board = json.loads((DOCS / "grafana/lark.json").read_text())
    return [target["expr"] for panel in board["panels"] for target in panel.get("targets", ())] + \
        [variable["query"] for variable in board["templating"]["list"] if variable["type"] == "query"]


def rules():
    return [rule for group in yaml.safe_load((DOCS / "grafana/alerts.yml").read_text())["groups"] for rule in group["rules"]]


def labels_of(row):
    return set(row.get("labels") or ([row["label"]] if "label" in row else []))


@pytest.mark.parametrize("query", [*dashboard_queries(), *(rule["expr"] for rule in rules())])
def test_a_query_names_metrics_and_labels_that_there_are(query):
    known = {name: row for row in metric_rows.load() for name in metric_rows.full_names(row)}
    named = re.findall(r"\blark_[a-z_]+(?:\{([^}]*)\})?", query)
    names = re.findall(r"\blark_[a-z_]+", query)
    assert names
    for name, selector in zip(names, named):
        assert name in known, name
        wanted = dict(re.findall(r'([a-z_]+)\s*=~?\s*"([^"]*)"', selector))
        assert set(wanted) - {"instance", "job"} <= labels_of(known[name]), (name, selector)
        values = known[name].get("values")
        assert not values or wanted.get(known[name]["label"], values[0]) in values, (name, selector)


def test_every_metric_is_on_the_dashboard():
    text = " ".join(dashboard_queries())
    for row in metric_rows.load():
        assert any(re.search(rf"\b{name}\b", text) for name in metric_rows.full_names(row)), row["name"]


def test_every_code_of_a_rule_is_an_error():
    codes = {row["code"] for row in json.loads((conftest.ROOT / "data/errors.json").read_text())["errors"]}
    named = set(re.findall(r'code="([^"]+)"', " ".join(rule["expr"] for rule in rules())))
    assert named and named <= codes
    for rule in rules():
        assert rule["alert"] and rule["labels"]["severity"] in ("warning", "critical") and rule["annotations"]["summary"]


# --- backup -----------------------------------------------------------------------------------------------------------

def backup_commands():
    page = (DOCS / "OPERATIONS.md").read_text().partition("## Backup of the private Redis")[2]
    block = re.search(r"(?:^    .*\n)+", page, re.M)[0]
    return "".join(line[4:] + "\n" for line in block.splitlines())


def test_a_backup_is_restored(folder):
    """The page's own commands, with the state folder of the test in the place of its."""
    state, commands = folder / "s", backup_commands()
    assert "/var/lib/lark" in commands and "tar" in commands
    with Serve(state, "--default-scopes", "admin") as server:
        for n in range(200):
            server.put(f"key{n}", f"value {n}")
        done = subprocess.run(["bash", "-euo", "pipefail", "-c", commands.replace("/var/lib/lark", str(state))], cwd=folder,
                              capture_output=True, text=True, timeout=30)
        assert done.returncode == 0, done.stderr
        server.put("key0", "changed")
        server.put("later", "x")
        assert server.end() == 0
    subprocess.run(["rm", "-r", state / "redis"], check=True)
    subprocess.run(["tar", "-C", state, "-xf", folder / "backup.tar"], check=True)
    with Serve(state, "--default-scopes", "admin") as server:
        assert [server.got(f"key{n}") for n in range(200)] == [f"value {n}" for n in range(200)]
        assert server.got("later") is None


# --- upgrade ----------------------------------------------------------------------------------------------------------

def text_of(path):
    """Of a file that may go at any moment."""
    try:
        return path.read_text()
    except OSError:
        return ""


def master_of(pid_file):
    return int(text_of(pid_file).strip() or 0)


def children_of(pid):
    return text_of(pathlib.Path(f"/proc/{pid}/task/{pid}/children")).split()


def ended(pid):
    conftest.wait_for(f"{pid} has ended", lambda: not alive(pid))


@pytest.fixture
def daemon(plain_redis):
    """An nginx that is a daemon: one whose parent waits for it ignores SIGUSR2."""
    server = Nginx(f"unix://{plain_redis.path}", server="location = /metrics { lark_metrics; }")
    conf, pid_file = server.state / "nginx.conf", server.state / "nginx.pid"
    conf.write_text(conf.read_text().replace("daemon off;", "daemon on;"))
    command = [shutil.which("nginx"), *server.command()[1:]]  # by its path: the new one is started so
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, env=server.environment(), timeout=20)
    conftest.wait_for("nginx runs", lambda: children_of(master_of(pid_file)))
    yield server
    server.close()
    masters = [pid for pid in (master_of(pid_file), master_of(server.state / "nginx.pid.oldbin")) if pid]
    for pid in masters:
        os.kill(pid, signal.SIGTERM)
        ended(pid)
    complaints = server.complaints()
    shutil.rmtree(server.state)
    assert not complaints, complaints


def test_a_binary_upgrade_loses_no_request(daemon):
    pid_file = daemon.state / "nginx.pid"
    lost, done, ends = [], [0], threading.Event()

    def call():
        while not ends.is_set():
            client = http_raw.Client(daemon.port)
            try:
                answer = client.get("/PING/", headers={"Connection": "close"})
                done[0] += answer.status == 200
                lost.extend([answer] * (answer.status != 200))
            except (OSError, http_raw.http.client.HTTPException) as error:
                lost.append(error)
            finally:
                client.close()

    conftest.wait_for("Redis", lambda: daemon.get("/PING/").status == 200)
    callers = [threading.Thread(target=call) for _ in range(2)]
    for caller in callers:
        caller.start()
    try:
        old = master_of(pid_file)
        conftest.wait_for("calls", lambda: done[0] > 20)
        os.kill(old, signal.SIGUSR2)
        new = conftest.wait_for("a new master", lambda: (pid := master_of(pid_file)) not in (0, old) and pid)
        conftest.wait_for("its workers", lambda: children_of(new))
        os.kill(old, signal.SIGQUIT)
        ended(old)
        before = done[0]
        conftest.wait_for("calls that the new one answers", lambda: done[0] > before + 20)
    finally:
        ends.set()
        for caller in callers:
            caller.join()
    assert not lost, lost[:3]
    assert daemon.get("/metrics", mount="").status == 200
