"""The blocks of docs/C-LIBRARY.md make a program that compiles without a warning and says what the page shows."""
import re
import subprocess

import installed
import pytest

pytestmark = pytest.mark.timeout(600)

PAGE = installed.ROOT / "docs" / "C-LIBRARY.md"


@pytest.fixture(params=["shared", "static", "sanitized"])
def program(request, tmp_path):
    source = tmp_path / "ask.c"
    source.write_text("\n".join(re.findall(r"^```c\n(.*?)^```$", PAGE.read_text(), re.M | re.S)))
    flags = installed.run("pkg-config", "--cflags", "--libs", "lark", env=installed.environment()).split()
    if request.param != "shared":
        flags = [str(installed.libdir() / "liblark.a") if flag == "-llark" else flag for flag in flags]
    if request.param == "sanitized":
        flags.append("-fsanitize=address,undefined")
    installed.run("gcc", "-std=c17", "-D_POSIX_C_SOURCE=200809L", "-Wall", "-Wextra", "-Wpedantic", "-Wshadow",
                  "-Wconversion", "-Wsign-conversion", "-Wmissing-prototypes", "-Werror", "-O2", "-g", source, *flags,
                  "-o", tmp_path / "ask")
    return tmp_path / "ask"


def test_page(program, plain_redis):
    shown = re.findall(r"^    \$ ask (.*)\n    (.*)$", PAGE.read_text(), re.M)
    assert len(shown) == 3
    for words, wanted in shown:
        done = subprocess.run(f"{program} {words}".replace("/tmp/redis.sock", str(plain_redis.path)), shell=True,
                              capture_output=True, text=True, env=installed.environment())
        assert (done.returncode, done.stdout.rstrip("\n"), done.stderr) == (0, wanted, "")
    assert plain_redis.client.keys() == [b"u1:greeting"]
