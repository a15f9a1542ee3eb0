"""mypy, strict, over the installed package."""
import importlib.util
import os
import subprocess
import sys

import pytest


@pytest.mark.skipif(importlib.util.find_spec("mypy") is None, reason="with current versions only")
@pytest.mark.timeout(300)
def test_strict(tmp_path):
    (tmp_path / "user.py").write_text("import lark_redis.flask\nreveal_type(lark_redis.plan)\nx: int = lark_redis.methods()\n")
    checked = subprocess.run([sys.executable, "-m", "mypy", "--strict", "--cache-dir", tmp_path / "cache", "-p", "lark_redis"],
                             capture_output=True, text=True, cwd=tmp_path, env={**os.environ, "PYTHONPATH": ""})
    assert checked.returncode == 0, checked.stdout
    wrong = subprocess.run([sys.executable, "-m", "mypy", "--cache-dir", tmp_path / "cache", "user.py"], capture_output=True,
                           text=True, cwd=tmp_path)
    assert 'expression has type "list[str]"' in wrong.stdout, wrong.stdout
