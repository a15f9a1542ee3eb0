"""lark serve from start to end: signals, deaths, data, users; what is left afterwards is nothing."""
import json
import os
import pathlib
import pty
import re
import shutil
import signal
import socket
import stat
import subprocess
import threading
import time

import pytest
from conftest import free_port, wait_for
from serve_host import LARK, Serve, alive, clean_environment, command_of, descendants, gone, refused, short_folder

ADMIN = ("--default-scopes", "admin")


folder = pytest.fixture(short_folder)


# Start.

def test_what_it_says_when_up(folder):
    with Serve(folder / "s", *ADMIN) as server:
        assert f"http://127.0.0.1:{server.port}/api/0/" in server.out
        assert "development mode: loopback only, anonymous is admin" in server.out
        lines = re.findall(r"^  (curl .*)$", server.out, re.M)
        assert len(lines) == 3
        answers = [json.loads(subprocess.run(["sh", "-c", line.replace("curl", "curl -sS")], capture_output=True,
                                             text=True, timeout=20, check=True).stdout) for line in lines]
        assert [answer["data"] for answer in answers] == [True, "hello", 2]
        assert server.err == ""
        assert server.end() == 0


def test_without_scopes_every_call_is_403_and_says_so(folder):
    with Serve(folder / "s") as server:
        assert "no scopes: every call is answered 403. Start with --tokens or --default-scopes" in server.out
        assert "development mode" not in server.out
        status, body = server.request("GET", "/api/0/GET/a/")
        assert status == 403 and json.loads(body)["meta"]["error_code"] == "scope"
        assert server.request("GET", "/healthz")[0] == 200
        assert server.end() == 0


def test_a_caller_with_some_scopes(folder):
    with Serve(folder / "s", "--default-scopes", "read:get", "--mount", "/") as server:
        assert "anonymous callers have the scopes: read:get" in server.out
        assert server.request("GET", "/GET/a/")[0] == 200
        assert server.request("POST", "/SET/a/", b'{"value": 1}')[0] == 403
        assert server.request("GET", "/healthz")[0] == 200
        assert server.end() == 0


def test_children_have_groups_of_their_own(folder):
    with Serve(folder / "s", *ADMIN) as server:
        groups = {os.getpgid(server.process.pid), os.getpgid(server.nginx_pid()), os.getpgid(server.redis_pid())}
        assert len(groups) == 3
        for pid in server.children("nginx: worker"):
            assert os.getpgid(pid) == server.nginx_pid()


def test_workers(folder):
    with Serve(folder / "s", "--workers", 3) as server:
        wait_for("three workers", lambda: len(server.children("nginx: worker")) == 3)


def test_the_private_redis_is_private(folder):
    with Serve(folder / "s", *ADMIN) as server:
        state = json.loads(server.request("GET", "/api/0/CONFIG/GET/*/")[1])["data"]
        assert state["port"] == "0" and state["appendonly"] == "yes" and state["enable-debug-command"] == "local"
        assert stat.S_IMODE((folder / "s" / "redis.sock").stat().st_mode) == 0o700
        listening = subprocess.run(["ss", "-ltnHp"], capture_output=True, text=True, timeout=10).stdout
        assert f"pid={server.redis_pid()}," not in listening


def test_all_is_written_below_the_state_folder(folder):
    (folder / "home").mkdir()
    with Serve(folder / "s", *ADMIN, HOME=folder / "home") as server:
        server.put("a", "x" * 200_000)
        assert server.end() == 0
    assert {p.name for p in folder.iterdir()} == {"s", "home"} and not list((folder / "home").iterdir())
    for path in (folder / "s").rglob("*"):
        assert stat.S_IMODE(path.lstat().st_mode) & 0o077 == 0, path


def test_an_access_log_goes_on_in_a_new_file(folder):
    with Serve(folder / "s", *ADMIN, "--access-log", folder / "log", "--access-log-paths") as server:
        server.got("a")
        wait_for("a line in the log", lambda: "/api/0/GET/a/" in (folder / "log").read_text())
        (folder / "log").rename(folder / "log.1")
        server.send(signal.SIGUSR1)
        wait_for("a new log", (folder / "log").exists)
        wait_for("a line in the new log", lambda: server.got("b") is None and "GET/b/" in (folder / "log").read_text())
        before = (folder / "log.1").read_text()
        server.got("c")
        wait_for("a line in the new log", lambda: "GET/c/" in (folder / "log").read_text())
        assert (folder / "log.1").read_text() == before and "GET/c/" not in before
        assert server.end() == 0


def test_a_key_of_ten_thousand_characters(folder):
    with Serve(folder / "s", *ADMIN) as server:
        server.put("k" * 10_000, "long")
        assert server.got("k" * 10_000) == "long"


# TLS.

@pytest.fixture
def certificate(folder):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                    "-keyout", folder / "key", "-out", folder / "cert", "-days", "2", "-subj", "/CN=localhost",
                    "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"], check=True, capture_output=True, timeout=30)
    return ("--tls-cert", folder / "cert", "--tls-key", folder / "key")


def test_tls_and_http2(folder, certificate):
    with Serve(folder / "s", *ADMIN, *certificate) as server:
        assert f"https://127.0.0.1:{server.port}/api/0/" in server.out
        done = subprocess.run(["curl", "-sS", "--http2", "--cacert", folder / "cert", "-w", " %{http_version}",
                               f"https://localhost:{server.port}/api/0/PING/"], capture_output=True, text=True,
                              timeout=20)
        assert done.stdout.endswith(" 2") and json.loads(done.stdout[:-2])["data"] is True, done
        assert server.end() == 0


def test_a_key_with_a_passphrase_does_not_hang(folder, certificate):
    subprocess.run(["openssl", "ec", "-in", folder / "key", "-aes128", "-passout", "pass:x", "-out", folder / "locked"],
                   check=True, capture_output=True, timeout=30)
    said = refused("--tls-cert", folder / "cert", "--tls-key", folder / "locked", "--state-dir", folder / "s",
                   "--check-config")
    assert said.startswith("nginx refuses its configuration: cannot load certificate key")


# Data and deaths.

@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGQUIT])
def test_data_is_there_at_the_next_start(folder, number):
    with Serve(folder / "s", *ADMIN) as server:
        server.put("a", "kept")
        assert server.end(number) == 0
    with Serve(folder / "s", *ADMIN) as server:
        assert server.got("a") == "kept"
        assert server.end() == 0


def test_redis_that_cannot_save_ends_all_the_same(folder):
    with Serve(folder / "s", *ADMIN) as server:
        server.put("a", "b")
        shutil.rmtree(folder / "s" / "redis")
        started = time.monotonic()
        assert server.end() in (0, 1) and time.monotonic() - started < 10


def test_redis_that_is_killed_comes_back_with_its_data(folder):
    with Serve(folder / "s", *ADMIN) as server:
        for turn in range(3):
            server.put(f"k{turn}", "kept")
            old = server.redis_pid()
            os.kill(old, signal.SIGKILL)
            wait_for("another Redis", lambda: server.children("redis-server") not in ([], [old]))
            wait_for("it answers", lambda: server.request("GET", "/healthz")[0] == 200)
            assert [server.got(f"k{n}") for n in range(turn + 1)] == ["kept"] * (turn + 1)
        server.said()
        assert server.err.count("lark: the private Redis ended (signal 9); it is started again\n") == 3
        assert server.end() == 0


@pytest.mark.parametrize("moment", ["at once", "while it starts", "later"])
def test_kill_9_of_lark_leaves_nothing(folder, moment):
    with Serve(folder / "s", *ADMIN, wait=moment == "later") as server:
        if moment == "while it starts":
            wait_for("children", lambda: descendants(server.process.pid))
        if moment == "later":
            server.put("a", "kept")
        below = descendants(server.process.pid)
        server.process.kill()
        server.process.wait()
        gone(below)
    time.sleep(0.1)
    mine = [p for p in map(str, (p.name for p in pathlib.Path("/proc").iterdir() if p.name.isdigit()))
            if str(folder) in command_of(p) and alive(p)]
    assert mine == []
    # the folder and the port are free at once
    with Serve(folder / "s", *ADMIN, port=server.port) as again:
        assert again.up(), again.err
        assert again.got("a") == ("kept" if moment == "later" else None)
        assert again.end() == 0


def test_nginx_that_is_killed_ends_the_server(folder):
    with Serve(folder / "s", *ADMIN) as server:
        below = descendants(server.process.pid)
        os.kill(server.nginx_pid(), signal.SIGKILL)
        assert server.process.wait(20) == 1
        assert not any(alive(pid) for pid in below)
        server.said()
        assert server.err.count("\n") == 1 and "nginx ended unexpectedly (signal 9)" in server.err


def test_a_worker_that_is_killed_is_replaced(folder):
    with Serve(folder / "s", *ADMIN, "--workers", 1) as server:
        old = wait_for("a worker", lambda: server.children("nginx: worker"))[0]
        os.kill(old, signal.SIGKILL)
        wait_for("a new worker", lambda: server.children("nginx: worker") not in ([], [old]))
        wait_for("it answers", lambda: server.request("GET", "/healthz")[0] == 200)
        assert server.end() == 0


def test_a_redis_that_cannot_start(folder):
    (folder / "s" / "redis" / "appendonlydir").mkdir(parents=True)
    (folder / "s" / "redis" / "appendonlydir" / "appendonly.aof.manifest").write_text("nonsense\n")
    said = refused("--state-dir", folder / "s", "--listen", f"127.0.0.1:{free_port()}")
    assert said.startswith("the private Redis does not start (exit code 1): ")


def test_only_lines_of_this_start_are_shown(folder):
    """The last line of the log is of another day when a program dies without a word."""
    with Serve(folder / "s") as server:
        assert server.end() == 0
    assert (folder / "s" / "redis.log").stat().st_size > 0
    said = refused("--state-dir", folder / "s", "--listen", f"127.0.0.1:{free_port()}", "--redis-server", "/bin/false")
    assert said == "the private Redis does not start (exit code 1)"


def test_leftovers_of_a_crash_do_not_matter(folder):
    (folder / "s").mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(folder / "s" / "redis.sock"))
    (folder / "s" / "nginx.pid").write_text("1\n")
    (folder / "s" / ".nginx.conf.new").symlink_to(folder / "victim")
    (folder / "s" / "nginx.conf").symlink_to(folder / "victim")
    with Serve(folder / "s", *ADMIN) as server:
        assert server.up(), server.err
        assert server.end() == 0
    assert not (folder / "victim").exists()


def test_a_second_server_in_the_same_folder(folder):
    with Serve(folder / "s", *ADMIN) as server:
        said = refused("--state-dir", folder / "s", "--listen", f"127.0.0.1:{free_port()}")
        assert said == f"state folder {folder / 's'} is in use by another lark serve"
        server.put("a", "b")
        assert server.end() == 0


def test_a_second_server_on_the_same_port(folder):
    with Serve(folder / "s", *ADMIN) as server:
        said = refused("--state-dir", folder / "t", "--listen", f"127.0.0.1:{server.port}")
        assert said.startswith(f"127.0.0.1:{server.port} is in use by another program")


# Stop.

def blocked_call(server, seconds):
    """A BLPOP under way; (thread, list that will hold its answer)."""
    answers = []
    body = json.dumps({"keys": ["q"], "timeout": seconds}).encode()

    def call():
        try:
            answers.append(server.request("POST", "/api/0/BLPOP/", body, timeout=60))
        except (OSError, IndexError) as error:
            answers.append(error)
    thread = threading.Thread(target=call)
    thread.start()
    wait_for("the call waits in Redis", lambda: "cmd=blpop" in redis_clients(server))
    return thread, answers


def redis_clients(server):
    return subprocess.run(["redis-cli", "-s", server.state / "redis.sock", "client", "list"], capture_output=True,
                          text=True, timeout=10).stdout


def test_nginx_stops_first_and_redis_lives_until_then(folder):
    with Serve(folder / "s", *ADMIN) as server:
        thread, answers = blocked_call(server, 3)
        redis_pid, nginx_pid = server.redis_pid(), server.nginx_pid()
        server.send(signal.SIGINT)
        while alive(nginx_pid):
            assert alive(redis_pid), "Redis went before nginx"
            time.sleep(0.01)
        thread.join()
        assert answers[0][0] == 200 and json.loads(answers[0][1])["data"] is None
        assert server.process.wait(20) == 0
        assert not alive(redis_pid)
        server.said()
        assert server.err == "lark: stopping: requests under way are answered first\n"


def test_a_second_ctrl_c_does_not_wait(folder):
    with Serve(folder / "s", *ADMIN) as server:
        thread, answers = blocked_call(server, 25)
        server.send(signal.SIGINT)
        time.sleep(0.3)
        assert server.process.poll() is None
        started = time.monotonic()
        server.send(signal.SIGINT)
        assert server.process.wait(20) == 0 and time.monotonic() - started < 10
        thread.join()


def test_ctrl_c_while_it_starts(folder):
    for delay in (0, 0.02, 0.05, 0.1, 0.2):
        with Serve(folder / "s", wait=False) as server:
            wait_for("it runs", lambda: command_of(server.process.pid).startswith(str(LARK)))
            time.sleep(delay)
            below = descendants(server.process.pid)
            server.send(signal.SIGINT)
            # before it listens to signals it just ends
            assert server.process.wait(20) in (0, -signal.SIGINT)
            gone(below)


def test_ctrl_c_in_a_terminal_reaches_only_lark(folder):
    """The whole foreground group gets the signal; nginx and Redis are in groups of their own."""
    process = subprocess.Popen([LARK, "serve", "--state-dir", folder / "s", "--listen", f"127.0.0.1:{free_port()}"],
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                               env=clean_environment(), start_new_session=True)
    try:
        for line in process.stdout:
            if "Ctrl-C" in line:
                break
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(20) == 0
        assert process.stdout.read() == "lark: stopping: requests under way are answered first\n"
    finally:
        process.stdout.close()
        if process.poll() is None:
            process.kill()
            process.wait()


def test_a_closed_terminal_stops_it(folder):
    """SIGHUP of a terminal that is gone means the end, not a reload."""
    screen, terminal = pty.openpty()
    process = subprocess.Popen(["setsid", "--ctty", LARK, "serve", "--state-dir", folder / "s",
                                "--listen", f"127.0.0.1:{free_port()}"],
                               stdin=terminal, stdout=terminal, stderr=terminal, env=clean_environment())
    os.close(terminal)
    said = b""
    while b"Ctrl-C stops it" not in said:
        said += os.read(screen, 4096)
    below = descendants(process.pid)
    assert len(below) >= 3
    os.close(screen)
    try:
        assert process.wait(20) == 0
    finally:
        process.terminate()  # whatever came of it, nothing is left running
        gone(below)


def test_nohup(folder):
    """Who ignores SIGHUP goes on when the terminal is closed."""
    screen, terminal = pty.openpty()
    port = free_port()
    output = (folder / "said").open("wb")
    process = subprocess.Popen(["setsid", "--ctty", "nohup", LARK, "serve", "--state-dir", folder / "s",
                                "--listen", f"127.0.0.1:{port}"],
                               stdin=terminal, stdout=output, stderr=output, env=clean_environment())
    os.close(terminal)
    wait_for("it is up", lambda: "Ctrl-C stops it" in (folder / "said").read_text())
    os.close(screen)
    time.sleep(0.5)
    went_on = process.poll() is None
    process.terminate()
    assert process.wait(20) == 0 and went_on
    output.close()


# Reload.

RFC7515_KEY = {"kty": "EC", "crv": "P-256", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
               "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0", "kid": "1", "alg": "ES256"}  # appendix A.3


def test_a_refused_reload_keeps_the_issuers_keys(folder):
    """They count until the settings do: another issuer's are not taken for them, nor are they given up."""
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-keyout", folder / "key.pem",
                    "-out", folder / "cert.pem"], check=True, capture_output=True)
    config, keys = folder / "lark.json", folder / "s" / "jwks.json"

    def write(issuer, cert):
        config.write_text(json.dumps({"oauth_issuer": f"https://{issuer}.example", "oauth_audience": "x", "tls_cert": str(folder / cert),
                                      "oauth_jwks": f"https://127.0.0.1:1/{issuer}", "tls_key": str(folder / "key.pem")}))

    write("a", "cert.pem")
    (folder / "broken.pem").write_text("no certificate\n")
    with Serve(folder / "s", "--config", config) as server:
        assert server.up(), server.err
        keys.write_text(json.dumps({"keys": [RFC7515_KEY]}))
        write("b", "broken.pem")
        server.send(signal.SIGHUP)
        wait_for("it is refused", lambda: "not reloaded" in server.said())
        assert keys.exists() and "a.example" in (folder / "s" / "jwks.source").read_text()
        write("b", "cert.pem")
        server.send(signal.SIGHUP)
        wait_for("it is taken", lambda: "lark: reloaded\n" in server.said())
        assert not keys.exists() and "b.example" in (folder / "s" / "jwks.source").read_text()
        assert server.end() == 0


def test_reload(folder):
    config = folder / "lark.json"
    config.write_text(json.dumps({"default_scopes": []}))
    with Serve(folder / "s", "--config", config) as server:
        assert server.request("GET", "/api/0/GET/a/")[0] == 403
        config.write_text(json.dumps({"default_scopes": ["admin"], "workers": 1}))
        server.send(signal.SIGHUP)
        wait_for("the new scopes", lambda: server.request("GET", "/api/0/GET/a/")[0] == 200)
        wait_for("one worker", lambda: len(server.children("nginx: worker process")) == 1)
        assert "lark: reloaded\n" in server.said()
        assert server.end() == 0


@pytest.mark.parametrize("text, line", [
    ("{", "not valid JSON"), ('{"workers": 0}', "workers: expected a whole number"),
    ('{"state_dir": "/tmp/elsewhere"}', None), ('{"redis": "redis://127.0.0.1:1"}', "redis (private or not) cannot change"),
    ('{"tls_cert": "/nowhere", "tls_key": "/nowhere"}', "TLS certificate /nowhere cannot be read"),
    ('{"access_log": "/nowhere/log"}', "access log /nowhere/log cannot be written"),
    ('{"nginx": "/nowhere/nginx"}', "nginx cannot change by a reload"),
    ('{"nginx_module": "/nowhere/module.so"}', "nginx_module cannot change by a reload"),
    ('{"redis_server": "/nowhere/redis"}', "redis_server cannot change by a reload"),
])
def test_a_reload_that_is_wrong_changes_nothing(folder, text, line):
    config = folder / "lark.json"
    config.write_text(json.dumps({"default_scopes": ["admin"]}))
    with Serve(folder / "s", "--config", config) as server:
        before = (folder / "s" / "nginx.conf").read_text()
        config.write_text(text)
        server.send(signal.SIGHUP)
        if line is None:  # the flag wins over the file
            wait_for("it reloads", lambda: "lark: reloaded\n" in server.said())
        else:
            wait_for("it says so", lambda: "not reloaded: the old settings stay in force" in server.said())
            assert line in server.err
            assert (folder / "s" / "nginx.conf").read_text() == before
            assert server.request("GET", "/api/0/GET/a/")[0] == 200
        assert server.end() == 0


def test_reloads_leave_nothing_open(folder):
    with Serve(folder / "s", *ADMIN) as server:
        files = len(list(pathlib.Path(f"/proc/{server.process.pid}/fd").iterdir()))
        for _ in range(20):
            server.send(signal.SIGHUP)
            time.sleep(0.05)
        assert server.got("a") is None
        wait_for("no zombies", lambda: not [p for p in descendants(server.process.pid) if not alive(p)])
        assert len(list(pathlib.Path(f"/proc/{server.process.pid}/fd").iterdir())) == files
        assert server.end() == 0
