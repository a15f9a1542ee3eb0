"""Who lark serve runs as: root, the owner of the state folder, nobody in particular."""
import os
import pathlib
import pwd
import re
import shutil
import socket
import subprocess

import pytest
from serve_host import (BUILD, Serve, clean_environment, descendants, gone, lark, owner_of, short_folder)

ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become another user")
ADMIN = ("--default-scopes", "admin")
NOBODY = pwd.getpwnam("nobody")
AS_NOBODY = ("setpriv", "--reuid", str(NOBODY.pw_uid), "--regid", str(NOBODY.pw_gid), "--clear-groups")
folder = pytest.fixture(short_folder)


@pytest.fixture
def reachable(folder):
    """The program and the module where every user can reach them; what runs as another user needs that."""
    place = folder / "bin"
    place.mkdir()
    for name in ("lark", "ngx_http_lark_module.so"):
        shutil.copy(BUILD / name, place / name)
    folder.chmod(0o755)
    place.chmod(0o755)
    return place


@pytest.fixture
def nobodys(folder):
    """A state folder of nobody's."""
    path = folder / "s"
    path.mkdir(mode=0o700)
    os.chown(path, NOBODY.pw_uid, NOBODY.pw_gid)
    return path


def low_port():
    """A free port that only root may use."""
    for port in range(600, 1024):
        with socket.socket() as listener:
            try:
                listener.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def refused_as_nobody(program, *options):
    done = subprocess.run([*AS_NOBODY, program, "serve", *map(str, options)], capture_output=True, text=True, cwd="/",
                          timeout=20, env=clean_environment(PATH="/usr/bin:/bin"))
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    return done.stderr


@ROOT_ONLY
def test_as_an_unprivileged_user(reachable, nobodys):
    with Serve(nobodys, *ADMIN, before=AS_NOBODY, program=reachable / "lark", PATH="/usr/bin:/bin", HOME=None) as server:
        assert server.up(), server.err
        below = descendants(server.process.pid)
        assert {owner_of(pid) for pid in [server.process.pid, *below]} == {NOBODY.pw_uid}
        server.put("a", "b")
        assert len(server.children("redis-server")) == 1
        assert server.end() == 0 and server.err.count("\n") == 1


@ROOT_ONLY
@pytest.mark.parametrize("place", ["reachable", "in a folder of root's"])
def test_root_becomes_the_owner_of_the_state_folder(reachable, nobodys, place):
    if place != "reachable":
        reachable.chmod(0o700)
    with Serve(nobodys, *ADMIN, port=low_port(), program=reachable / "lark") as server:
        assert server.up(), server.err
        server.put("a", "b")
        below = descendants(server.process.pid)
        for pid in [server.process.pid, *below]:
            status = pathlib.Path(f"/proc/{pid}/status").read_text()
            for ids, number in (("Uid", NOBODY.pw_uid), ("Gid", NOBODY.pw_gid)):
                assert re.search(rf"^{ids}:(\s+{number}){{4}}$", status, re.M), status
            assert re.search(r"^CapPrm:\s+0000000000000400$", status, re.M), "only CAP_NET_BIND_SERVICE"
        for path in nobodys.rglob("*"):
            assert path.lstat().st_uid == NOBODY.pw_uid, path
        server.process.kill()
        server.process.wait()
        gone(below)  # PR_SET_PDEATHSIG survives the change of user


@ROOT_ONLY
def test_as_root_all_runs_as_root_in_its_own_folder(folder):
    with Serve(folder / "s", *ADMIN) as server:
        assert {owner_of(pid) for pid in descendants(server.process.pid)} == {0}
        assert server.end() == 0


@ROOT_ONLY
def test_a_folder_that_cannot_be_written(folder, reachable):
    (folder / "s").mkdir(mode=0o755)
    assert refused_as_nobody(reachable / "lark", "--state-dir", folder / "s") == (
        f"lark: state folder {folder / 's'} cannot be written: Permission denied\n")
    assert refused_as_nobody(reachable / "lark", "--state-dir", folder / "t") == (
        f"lark: state folder {folder / 't'} cannot be used: Permission denied\n")


@ROOT_ONLY
def test_an_owner_who_cannot_reach_his_folder(folder, reachable, nobodys):
    folder.chmod(0o700)
    code, out, err = lark("serve", "--state-dir", nobodys)
    assert (code, out, err) == (1, "", f"lark: state folder {nobodys} cannot be written by nobody: Permission denied\n")


@ROOT_ONLY
def test_a_privileged_port_as_nobody(reachable, nobodys):
    port = low_port()
    if int(pathlib.Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text()) <= port:
        pytest.skip("here every user may use such ports")
    said = refused_as_nobody(reachable / "lark", "--state-dir", nobodys, "--listen", f"127.0.0.1:{port}")
    assert said.startswith(f"lark: 127.0.0.1:{port} needs root or CAP_NET_BIND_SERVICE")


@ROOT_ONLY
def test_without_a_home_root_keeps_state_in_var_lib():
    assert '"/var/lib/lark/nginx.pid"' in lark("serve", "--print-nginx-config", HOME=None, XDG_STATE_HOME=None)[1]
