"""Compiles lark_redis._core from Lark's core. In the repository the sources, and the tables that are made from data/, are
first brought into core/; an sdist carries them there."""
import json
import pathlib
import shutil
import subprocess
import sys

from setuptools import Extension, setup

try:
    from setuptools.command.bdist_wheel import bdist_wheel
except ImportError:  # setuptools < 70.1
    from wheel.bdist_wheel import bdist_wheel

HERE = pathlib.Path(__file__).resolve().parent
REPOSITORY = HERE.parent
CORE = HERE / "core"
# What meson makes: the output, and the command that writes it.
TABLES = [
    ("lark/status.h", ["tools/generate.py", "status"]),
    ("errors.inc", ["tools/generate.py", "errors"]),
    ("catalogue.inc", ["tools/generate.py", "catalogue"]),
    ("powers.inc", ["tools/powers.py"]),
]


def bring(source, target):
    """Copy a file unless its bytes are there already."""
    if not target.exists() or target.read_bytes() != source.read_bytes():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)


def bring_core():
    for source in sorted((REPOSITORY / "src/core").glob("*.[ch]")):
        bring(source, CORE / source.name)
    for source in sorted((REPOSITORY / "src/auth").glob("*.[ch]")):
        bring(source, CORE / "auth" / source.name)
    for source in sorted((REPOSITORY / "include/lark").glob("*.h")):
        bring(source, CORE / "lark" / source.name)
    bring(REPOSITORY / "LICENSE", HERE / "LICENSE")
    for name, command in TABLES:
        fresh = CORE / (name + ".new")
        fresh.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run([sys.executable, *command, str(fresh)], cwd=REPOSITORY, check=True)
        bring(fresh, CORE / name)
        fresh.unlink()


def bring_rows():
    """What Python needs of the rows: the C tables have the rest."""
    rows = {}
    for path in sorted((REPOSITORY / "data/methods").glob("*.json")):
        content = json.loads(path.read_text())
        for row in content if isinstance(content, list) else content["methods"]:
            rows[row["method"]] = {name: row[name] for name in ("verbs", "paths", "scopes")}
    target = HERE / "src/lark_redis/rows.json"
    text = json.dumps(rows, indent=1)
    if not target.exists() or target.read_text() != text:
        target.write_text(text)


class abi3_wheel(bdist_wheel):
    """One wheel for this and all later CPythons."""

    def finalize_options(self):
        self.py_limited_api = "cp311"
        super().finalize_options()


if (REPOSITORY / "src/core/plan.c").exists():
    bring_core()
    bring_rows()
sources = [path.relative_to(HERE).as_posix() for folder in ("ext", "core", "core/auth") for path in sorted((HERE / folder).glob("*.c"))]
setup(
    cmdclass={"bdist_wheel": abi3_wheel},
    ext_modules=[Extension(
        "lark_redis._core", sources, include_dirs=["core", "core/auth", "ext"], libraries=["crypto"], py_limited_api=True,
        define_macros=[("_POSIX_C_SOURCE", "200809L")],
        extra_compile_args=["-std=c17", "-O2", "-fvisibility=hidden", "-fstack-protector-strong", "-Wall", "-Wextra",
                            "-Wno-missing-field-initializers"])],
)
