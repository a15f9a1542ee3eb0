"""What `make install` puts where: the library and its symbols, headers that stand alone, the program and its module."""
import re
import shutil

import installed
import pytest

pytestmark = pytest.mark.timeout(600)

HEADERS = ["auth", "catalogue", "json", "jwt", "lark", "plan", "reply", "resp", "spool", "status", "text", "types"]
LIBRARIES = {"lark": "liblark", "auth": "liblark-auth"}
SYMBOLS_FILE = installed.ROOT / "packaging" / "debian" / "liblark1.symbols"


def declared(library="lark"):
    """The functions that the installed headers of a library mark LARK_API."""
    text = "".join(path.read_text() for path in (installed.prefix() / "include" / "lark").glob("*.h")
                   if (path.stem in ("auth", "jwt")) == (library == "auth"))
    text = re.sub(r"/\*.*?\*/|^\s*#.*?$", "", text, flags=re.S | re.M)
    found = re.findall(r"\bLARK_API\b[^;{]*?\b(lark_\w+)\(", text)
    assert len(found) == len(set(found)) > 20
    return set(found)


def test_files():
    lib = installed.libdir().relative_to(installed.prefix())
    wanted = {f"include/lark/{name}.h" for name in HEADERS}
    wanted |= {f"{lib}/{name}" for name in ("liblark.a", "liblark.so", "liblark.so.1", "liblark.so.1.0.0",
                                            "liblark-auth.so", "liblark-auth.so.1", "liblark-auth.so.1.0.0",
                                            "pkgconfig/lark.pc", "pkgconfig/lark-auth.pc", "nginx/modules/ngx_http_lark_module.so")}
    wanted |= {"bin/lark", "share/man/man1/lark.1", "share/man/man5/lark.json.5"}
    got = installed.files(installed.prefix())
    assert wanted <= got
    assert all(name.startswith(("share/man/", "share/bash-completion/", "share/zsh/", "share/fish/"))
               for name in got - wanted), got - wanted


def test_destdir(tmp_path):
    installed.prefix()
    installed.make_install(PREFIX=installed.PREFIX, DESTDIR=tmp_path)
    staged = tmp_path / installed.PREFIX.relative_to("/")
    assert installed.files(staged) == installed.files(installed.prefix())
    assert installed.files(tmp_path) == {f"{installed.PREFIX.relative_to('/')}/{name}"
                                         for name in installed.files(staged)}


@pytest.mark.parametrize("library", LIBRARIES)
def test_symbols_are_the_functions_of_the_headers(library):
    listed = installed.run("nm", "-D", "--defined-only", "--with-symbol-versions",
                           installed.libdir() / f"{LIBRARIES[library]}.so")
    found = {line.split()[-1] for line in listed.splitlines()}
    assert found == {f"{name}@@LARK_1" for name in declared(library)} | {"LARK_1"}


@pytest.mark.parametrize("library", LIBRARIES)
def test_symbols_of_the_package(library):
    head = f"{LIBRARIES[library]}.so.1 liblark1 #MINVER#"
    lines = SYMBOLS_FILE.read_text().splitlines()
    lines = lines[lines.index(head):]
    assert lines[1] == "* Build-Depends-Package: liblark-dev"
    end = next((n for n, line in enumerate(lines[2:], 2) if not line.startswith(" ")), len(lines))
    assert {line.split()[0] for line in lines[2:end]} == {f"{name}@LARK_1" for name in declared(library) | {"LARK_1"}}


def test_library_needs_libc_only():
    dynamic = installed.run("readelf", "-d", "-W", installed.libdir() / "liblark.so")
    assert re.findall(r"\(SONAME\).*\[(.*)\]", dynamic) == ["liblark.so.1"]
    assert re.findall(r"\(NEEDED\).*\[(.*)\]", dynamic) == ["libc.so.6"]
    assert "TEXTREL" not in dynamic


def test_auth_needs_libcrypto_too():
    dynamic = installed.run("readelf", "-d", "-W", installed.libdir() / "liblark-auth.so")
    assert re.findall(r"\(SONAME\).*\[(.*)\]", dynamic) == ["liblark-auth.so.1"]
    needed = re.findall(r"\(NEEDED\).*\[(.*)\]", dynamic)
    assert set(needed) == {"libc.so.6", "libcrypto.so.3", "liblark.so.1"}


def test_archive_has_the_same_functions():
    listed = installed.run("nm", "--defined-only", "--extern-only", installed.libdir() / "liblark.a")
    names = {line.split()[2] for line in listed.splitlines() if len(line.split()) == 3}
    assert {name for name in names if not name.startswith("lark__")} == declared()


def test_pkg_config():
    def ask(*words):
        return installed.run("pkg-config", *words, "lark", env=installed.environment()).split()

    assert ask("--cflags") == [f"-I{installed.prefix()}/include"]
    assert ask("--libs") == [f"-L{installed.libdir()}", "-llark"]
    assert ask("--modversion") == [installed.run(installed.prefix() / "bin" / "lark", "version").split()[1]]


@pytest.mark.parametrize("compiler", [("gcc", "c", "-std=c99"), ("g++", "c++", "-std=c++17")],
                         ids=lambda words: words[2][5:])
@pytest.mark.parametrize("header", HEADERS)
def test_headers_stand_alone(header, compiler, tmp_path):
    program, language, standard = compiler
    source = tmp_path / "alone.txt"
    source.write_text(f"#include <lark/{header}.h>\n#include <lark/{header}.h>\nint main(void) {{ return 0; }}\n")
    installed.run(program, standard, "-x", language, "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only",
                  "-I", installed.prefix() / "include", source)


def test_program_finds_its_module(tmp_path):
    program, module = installed.prefix() / "bin" / "lark", installed.libdir() / "nginx/modules/ngx_http_lark_module.so"
    config = installed.run(program, "serve", "--print-nginx-config", "--state-dir", tmp_path)
    assert f'load_module "{module}";' in config
    shutil.rmtree(tmp_path)
    installed.run(program, "serve", "--check-config", "--state-dir", tmp_path)
