#!/usr/bin/env python3
"""Run nginx' own configure for the headers it makes: configure.py NGINX_SOURCE OUTPUT_FOLDER

nginx-dev has headers and configure, no .c files. configure writes into its tree, so it works on a copy; the flags are
those of the distribution's nginx: a module is only loaded when its signature is the same. Done once for each build
folder; delete OUTPUT_FOLDER to do it again."""
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import tempfile

HEADERS = ("ngx_auto_config.h", "ngx_auto_headers.h")


def main(source, output):
    version = re.search(r'#define NGINX_VERSION\s+"([^"]+)"', (source / "src/core/nginx.h").read_text())[1]
    stamp = output / "version"
    if not stamp.exists() or stamp.read_text() != version:
        flags = re.search(r"\((.*)\)", (source / "conf_flags").read_text(), re.S)[1]
        with tempfile.TemporaryDirectory(prefix="lark-nginx-") as folder:
            tree = pathlib.Path(folder) / "nginx"
            shutil.copytree(source, tree)
            command = ["./configure", *shlex.split(flags)]
            done = subprocess.run(command, cwd=tree, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            if done.returncode != 0:
                sys.exit("nginx' configure failed:\n" + done.stdout[-2000:])
            output.mkdir(parents=True, exist_ok=True)
            for name in HEADERS:
                shutil.copy(tree / "objs" / name, output / name)
        stamp.write_text(version)
    print(version)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))
