"""Carries out a Dockerfile in folders, for machines without a Docker engine: enough of it for packaging/Dockerfile.

Each FROM is a copy of one folder with a Debian, whatever image it names; RUN is a chroot of its own."""
import dataclasses
import json
import pathlib
import re
import shlex
import shutil

import chroot


@dataclasses.dataclass
class Stage:
    folder: pathlib.Path
    directory: str = "/"
    user: str = None
    environment: dict = dataclasses.field(default_factory=dict)
    entrypoint: str = ""
    healthcheck: str = ""
    folders: list = dataclasses.field(default_factory=list)


def instructions(text):
    """[(word, rest)] of a Dockerfile; lines that end with a backslash go on."""
    text = re.sub(r"^\s*#.*\n", "", text, flags=re.M).replace("\\\n", " ")
    return [tuple(line.strip().split(None, 1)) for line in text.splitlines() if line.strip()]


def _exec_form(text):
    return shlex.join(json.loads(text))


def _copy(stage, words, stages, context):
    source = next((word.removeprefix("--from=") for word in words if word.startswith("--from=")), None)
    *names, target = [word for word in words if not word.startswith("--")]
    where = stage.folder / (pathlib.PurePosixPath(stage.directory) / target).as_posix().lstrip("/")
    where.mkdir(parents=True, exist_ok=True)
    if source is None:
        assert names == ["."], "only COPY . of the context"
        for name, path in context.items():
            (where / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, where / name)
        return
    for name in names:
        found = sorted(stages[source].folder.glob(name.lstrip("/")))
        if not found:
            raise SystemExit(f"Dockerfile: COPY finds no {name}")
        for path in found:
            shutil.copy(path, where)


def _run(stage, text):
    chroot.run(stage.folder, text, user=stage.user, directory=stage.directory, environment=stage.environment)


def build(path, context, base, folder):
    """The last stage. context: {name: path} of what COPY sees."""
    stages, stage = {}, None
    for word, rest in instructions(pathlib.Path(path).read_text()):
        if word == "FROM":
            name = rest.split(" AS ")[-1] if " AS " in rest else str(len(stages))
            stage = stages[name] = Stage(chroot.copy(base, f"{folder}-{len(stages)}"))
        elif word == "RUN":
            _run(stage, rest)
        elif word == "COPY":
            _copy(stage, rest.split(), stages, context)
        elif word == "WORKDIR":
            stage.directory = rest
        elif word == "USER":
            stage.user = rest
        elif word == "ENV":
            stage.environment.update(pair.split("=", 1) for pair in shlex.split(rest))
        elif word == "ENTRYPOINT":
            stage.entrypoint = _exec_form(rest)
        elif word == "HEALTHCHECK":
            stage.healthcheck = _exec_form(rest.removeprefix("CMD"))
        elif word not in ("EXPOSE", "VOLUME"):
            raise SystemExit(f"Dockerfile: {word} is not known here")
    stage.folders = [each.folder for each in stages.values()]
    return stage
