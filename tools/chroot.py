"""A fresh Debian in a folder, to try packages in, made with debootstrap from where this machine's apt gets its own.

Needs root. Each command runs in namespaces of its own: what it mounts and starts is gone when it ends. The network is
the machine's, so that a server in there can be asked from outside; nothing is started by installing a package."""
import pathlib
import re
import shlex
import shutil
import subprocess

ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8",
               "DEBIAN_FRONTEND": "noninteractive"}
NO_SERVICES = "#!/bin/sh\n# Nothing is started in here.\nexit 101\n"


def codename():
    return re.search(r"^VERSION_CODENAME=(\w+)", pathlib.Path("/etc/os-release").read_text(), re.M)[1]


def _stanzas(text):
    """The fields of each part of a .sources file (sources.list(5), DEB822-STYLE FORMAT)."""
    text = re.sub(r"^#.*\n?", "", text, flags=re.M)
    for part in re.split(r"\n\s*\n", text):
        fields = dict(re.findall(r"^([\w-]+):[ \t]*((?:.*)(?:\n[ \t]+.*)*)", part, re.M))
        if fields and fields.get("Enabled", "yes").strip() != "no":
            yield {name: value.split() for name, value in fields.items()}


def apt_sources():
    """[(address, suite, components)] of this machine's apt, of its own release only."""
    etc, found = pathlib.Path("/etc/apt"), []
    for path in [etc / "sources.list", *sorted((etc / "sources.list.d").glob("*.list"))]:
        for line in path.read_text().splitlines() if path.exists() else ():
            words = re.sub(r"\[[^]]*\]|#.*", "", line).split()
            if words[:1] == ["deb"]:
                found.append((words[1], words[2], words[3:]))
    for path in sorted((etc / "sources.list.d").glob("*.sources")):
        for fields in _stanzas(path.read_text()):
            if "deb" in fields.get("Types", ()):
                found += [(uri, suite, fields.get("Components", [])) for uri in fields["URIs"]
                          for suite in fields["Suites"]]
    release = codename()
    return [row for row in found if row[1] == release or row[1].startswith((f"{release}-", f"{release}/"))]


def apt_options():
    """How this machine's apt fetches (proxies, dates): of apt-config, without paths of files on it."""
    dump = subprocess.run(["apt-config", "dump"], capture_output=True, text=True, check=True).stdout
    return [line for line in dump.splitlines() if re.match("Acquire::(https?|Check)", line) and '"/' not in line]


def make_base(folder):
    """debootstrap's smallest variant, with this machine's apt sources. Made once; the folder may be copied."""
    folder, done = pathlib.Path(folder), pathlib.Path(f"{folder}.done")
    if done.exists() and folder.is_dir():
        return folder
    sources = apt_sources()
    mirror = next((uri for uri, suite, _ in sources if suite == codename()), None)
    if mirror is None:
        raise SystemExit(f"tools/deb: apt has no source of {codename()} on this machine")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    log = pathlib.Path(f"{folder}.log")
    with log.open("w") as output:
        code = subprocess.run(["debootstrap", "--variant=minbase", codename(), folder, mirror],
                              stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT).returncode
    if code:
        raise SystemExit(f"tools/deb: debootstrap ended with {code}:\n{log.read_text()[-3000:]}")
    etc = folder / "etc"
    (etc / "apt/sources.list").write_text("".join(f"deb {uri} {suite} {' '.join(parts)}\n"
                                                  for uri, suite, parts in sources))
    (etc / "apt/apt.conf.d/90machine").write_text("\n".join(apt_options()) + "\n")
    for name in ("resolv.conf", "hosts"):
        shutil.copy(pathlib.Path("/etc") / name, etc / name)
    policy = folder / "usr/sbin/policy-rc.d"
    policy.write_text(NO_SERVICES)
    policy.chmod(0o755)
    run(folder, "apt-get update -q")
    done.touch()
    return folder


def copy(base, folder):
    """A folder of the same content; what was there before is taken away."""
    remove(folder)
    subprocess.run(["cp", "-a", "--reflink=auto", base, folder], check=True)
    return pathlib.Path(folder)


def remove(folder):
    if pathlib.Path(folder).exists():
        subprocess.run(["rm", "-rf", "--one-file-system", folder], check=True)


def command(folder, shell_text, user=None, directory="/", environment=None):
    """The words that run a shell text in there; SIGTERM to unshare's child reaches the shell's successor by `exec`."""
    shell_text = f"cd {shlex.quote(directory)} && {shell_text}"
    become = ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups", "--"] if user else []
    settings = [f"{name}={value}" for name, value in {**ENVIRONMENT, **(environment or {})}.items()]
    return ["unshare", "--mount", "--pid", "--fork", "--kill-child", f"--root={folder}", "--mount-proc", "--",
            "/usr/bin/env", "-i", *settings, *become, "/bin/sh", "-c", shell_text]


def run(folder, shell_text, **options):
    """Run it in there; its output. SystemExit with its words when it fails."""
    done = subprocess.run(command(folder, shell_text, **options), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, errors="replace")
    if done.returncode:
        raise SystemExit(f"tools/deb: in {folder}: {shell_text}: ended with {done.returncode}:\n{done.stdout[-4000:]}")
    return done.stdout
