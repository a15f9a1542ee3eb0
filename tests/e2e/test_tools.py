"""The checkers find what they are for; the headers compile alone; the generator makes the same every time."""
import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
HEADERS = sorted((ROOT / "include/lark").glob("*.h"))


def run(*command, **options):
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)


def tree(root, files):
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


GOOD_TREE = {
    "include/lark/types.h": "#include <stddef.h>\n#include <lark/status.h>\n",
    "include/lark/meson.build": "custom_target('status.h', output: 'status.h')\n",
    "src/core/num.h": "#include <lark/types.h>\n",
    "src/core/num.c": '#include "num.h"\n#include <string.h>\n#include "errors.inc"\n',
    "src/core/meson.build": "custom_target('errors.inc', output: 'errors.inc')\n",
    "src/redis/conn.h": "#include <lark/types.h>\n",
    "src/nginx/module.h": "#include <ngx_core.h>\n",
    "src/cli/main.c": '#include <stdio.h>\n#include "conn.h"\n',
    "tests/unit/num_test.c": '#include <cmocka.h>\n#include "num.h"\n',
}


def test_check_includes_takes_the_repository():
    result = run(ROOT / "tools/check-includes")
    assert result.returncode == 0, result.stdout


def test_check_includes_takes_right_arrows(tmp_path):
    result = run(ROOT / "tools/check-includes", tree(tmp_path, GOOD_TREE))
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize(("name", "line"), [
    ("src/core/num.c", "#include <stdio.h>"),
    ("src/core/num.c", "#include <sys/socket.h>"),
    ("src/core/num.c", '#include "conn.h"'),
    ("src/core/num.c", '  #  include "conn.h"'),
    ("src/core/num.c", "#include <openssl/evp.h>"),
    ("src/core/num.c", "#include HEADER"),
    ("src/core/num.c", '#include "nowhere.h"'),
    ("src/redis/conn.h", '#include "errors.inc"'),
    ("include/lark/types.h", '#include "num.h"'),
    ("include/lark/types.h", "#include <stdlib.h>"),
    ("src/redis/conn.h", '#include "num.h"'),
    ("src/redis/conn.h", '#include "../core/num.h"'),
    ("src/redis/conn.h", "#include <ngx_core.h>"),
    ("src/cli/main.c", '#include "module.h"'),
    ("src/cli/main.c", "#include <jansson.h>"),
    ("src/nginx/module.h", '#include "num.h"'),
    ("src/nginx/module.h", "#include <openssl/evp.h>"),
    ("src/elsewhere/a.c", "#include <stdio.h>"),
])
def test_check_includes_finds_a_wrong_arrow(tmp_path, name, line):
    result = run(ROOT / "tools/check-includes", tree(tmp_path, {**GOOD_TREE, name: line + "\n"}))
    assert result.returncode == 1
    assert f"{name}:1: " in result.stdout, result.stdout


def archive(folder, source):
    (folder / "a.c").write_text(source)
    built = run("gcc", "-O2", "-fPIE", "-fstack-protector-strong", "-c", "a.c", cwd=folder)
    assert built.returncode == 0, built.stdout
    assert run("ar", "rcs", "liba.a", "a.o", cwd=folder).returncode == 0
    return run(ROOT / "tools/check-symbols", folder / "liba.a")


def test_check_symbols_takes_what_the_core_may_do(tmp_path):
    result = archive(tmp_path, """
        #include <assert.h>
        #include <string.h>
        static const char *const words[] = {"a", "b"};
        const char *lark_word(int i);
        const char *lark_word(int i) { assert(i < 2); return words[i]; }
        void lark_copy(char *to, const char *from, size_t n);
        void lark_copy(char *to, const char *from, size_t n) { memcpy(to, from, n); }
    """)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize(("source", "word"), [
    ("#include <stdio.h>\nvoid lark_f(void) { puts(\"x\"); }", "wants puts"),
    ("#include <stdlib.h>\nvoid *lark_f(size_t n) { return malloc(n); }", "wants malloc"),
    ("#include <time.h>\ntime_t lark_f(void) { return time(0); }", "wants time"),
    ("#include <string.h>\nsize_t lark_f(const char *s) { return strlen(s); }", "wants strlen"),
    ("int other(void) { return 1; }", "global name other"),
    ("int lark_n = 1;", "lark_n is data that can change"),
    ("int lark_n;", "lark_n is data that can change"),
    ("int lark_f(void) { static int n; return n++; }", "is data that can change"),
])
def test_check_symbols_finds(tmp_path, source, word):
    result = archive(tmp_path, source)
    assert result.returncode == 1
    assert word in result.stdout, result.stdout


@pytest.mark.parametrize("header", HEADERS, ids=lambda path: path.name)
@pytest.mark.parametrize("dialect", [("gcc", "-std=c99", "c"), ("clang", "-std=c99", "c"), ("g++", "-std=c++17", "c++"),
                                     ("clang++", "-std=c++17", "c++")], ids=" ".join)
def test_public_header_compiles_alone(tmp_path, header, dialect):
    compiler, standard, language = dialect
    (tmp_path / "alone").write_text(f"#include <lark/{header.name}>\n#include <lark/{header.name}>\n")
    result = run(compiler, standard, "-x", language, "-Wall", "-Wextra", "-Werror", "-pedantic", "-fsyntax-only",
                 "-I", ROOT / "include", "-I", ROOT / "build/include", tmp_path / "alone")
    assert result.returncode == 0, result.stdout


def test_there_are_public_headers():
    assert HEADERS


@pytest.mark.parametrize("what", ["status", "errors", "catalogue"])
def test_generator_makes_the_same_every_time(tmp_path, what):
    made = []
    for seed in ("0", "1", "2"):
        out = tmp_path / seed
        result = run(sys.executable, ROOT / "tools/generate.py", what, out,
                     env={**os.environ, "PYTHONHASHSEED": seed})
        assert result.returncode == 0, result.stdout
        made.append(out.read_bytes())
    assert made[0] and made[0] == made[1] == made[2]
