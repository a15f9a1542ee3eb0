"""Flask with Lark costs at most 1.2 times the CPU of a view written by hand (bench/python_flask.py tells how)."""
import json
import os
import pathlib
import subprocess
import sys

import pytest

if os.environ.get("LARK_PYTHON_SET") == "oldest":
    pytest.skip("measured with current versions", allow_module_level=True)

BENCH = pathlib.Path(__file__).resolve().parent.parent.parent / "bench" / "python_flask.py"


@pytest.mark.timeout(300)
def test_cost(redis_server):
    found = json.loads(subprocess.run([sys.executable, BENCH, redis_server.path, "20"], check=True, capture_output=True).stdout)
    print(found)
    assert found["ratio"] <= 1.2, found
    assert found["plan_shape"] < 100, found
