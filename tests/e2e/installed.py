"""What `make install` puts, in a folder of its own: for the tests of people who build on liblark."""
import fcntl
import functools
import os
import pathlib
import shutil
import subprocess

import conftest

ROOT = conftest.ROOT
PREFIX = ROOT / "build-install" / "installed"


def run(*command, **options):
    """The output of a command; AssertionError with its words when it fails."""
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, **options)
    assert done.returncode == 0, f"{command} ended with {done.returncode}:\n{done.stdout}"
    return done.stdout


def make_install(**variables):
    """`make install` with these variables; one at a time, for its build folder is one."""
    with (ROOT / ".gitignore").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _make_install(variables)


def _make_install(variables):
    clean = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "DESTDIR")}
    run("make", "-C", ROOT, "install", *(f"{name}={value}" for name, value in variables.items()), env=clean)


@functools.cache
def prefix():
    """The folder with include, lib, bin; installed once in a run of the tests, whichever worker comes first."""
    run_id = os.environ.get("PYTEST_XDIST_TESTRUNUID", str(os.getpid()))
    stamp = PREFIX.with_suffix(".run")
    with (ROOT / ".gitignore").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not stamp.exists() or stamp.read_text() != run_id:
            shutil.rmtree(PREFIX, ignore_errors=True)
            _make_install({"PREFIX": PREFIX})
            stamp.write_text(run_id)
    return PREFIX


@functools.cache
def libdir():
    return next(prefix().rglob("liblark.so")).parent


def environment():
    """To build against the installed library and to run with it, and nothing of the source tree."""
    return {**os.environ, "PKG_CONFIG_PATH": str(libdir() / "pkgconfig"), "LD_LIBRARY_PATH": str(libdir())}


def files(folder):
    """Paths below a folder, without directories."""
    return {str(path.relative_to(folder)) for path in pathlib.Path(folder).rglob("*") if not path.is_dir()}
