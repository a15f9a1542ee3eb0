"""The rows of data/methods as far as callers need them: rows.json is made from them when the package is built."""
from __future__ import annotations

import json
import pathlib
import re
import urllib.parse
from typing import Any

ROWS: dict[str, dict[str, Any]] = json.loads((pathlib.Path(__file__).parent / "rows.json").read_text())
"""name -> {"verbs", "paths", "scopes"}"""


def _quote(value: object) -> str:
    return urllib.parse.quote(str(value), safe="")


def target(method: str, in_path: dict[str, Any], query: dict[str, list[str]]) -> tuple[str, str]:
    """(verb, target behind the mount point) of a call. in_path: parameters of its path; those that no path of it takes
    whole go into the query."""
    row = ROWS[method]
    words = [(name, text) for name, texts in query.items() for text in texts]
    for path in row["paths"]:
        names = re.findall(r"\{(\w+)\}", path)
        if set(names) == set(in_path):
            head = re.sub(r"\{(\w+)\}", lambda found: _quote(in_path[found[1]]), path)
            break
    else:
        head = re.sub(r"\{\w+\}/", "", row["paths"][0])
        words = [*in_path.items(), *words]
    tail = "&".join(f"{_quote(name)}={_quote(text)}" for name, text in words)
    return row["verbs"][0], head + ("?" + tail if tail else "")
