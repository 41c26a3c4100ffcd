"""Makes the reference files of specs/vectors that pin the stored formats, byte for byte.

    python tools/vectors/make.py            add what is missing
    python tools/vectors/make.py --check    only say whether all is as it should be

A file that is there already is never changed: stores written by released versions have those
bytes. Who changes a format raises its version and adds vectors under new names.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from formats import FORMATS, describe
from groups import make_groups, make_refused_groups
from refused import Refused, make_refused
from samples import make_keys, make_paging, make_values

VECTORS = Path(__file__).parents[2] / "specs" / "vectors"


def as_json(value: Any) -> bytes:
    """Return a value as an indented JSON file."""
    return json.dumps(value, indent=2, ensure_ascii=True).encode() + b"\n"


def make_files() -> dict[str, bytes]:
    """Return every file under specs/vectors that this tool makes, by its path there."""
    files: dict[str, bytes] = {}
    for name, (kind, value) in make_values().items():
        content = FORMATS[kind].encode(value)
        decoded = describe(FORMATS[kind].decode(content))
        files[f"{name}.bin"] = content
        files[f"{name}.json"] = as_json({"format": kind, "value": decoded})
    files["layout/keys.json"] = as_json(make_keys())
    files["manifest/paging.json"] = as_json(make_paging())
    files["manifest/groups.json"] = as_json(make_groups())
    files["refused.json"] = as_json(_described(make_refused()))
    files["refused-groups.json"] = as_json(_described(make_refused_groups()))
    return files


def _described(refused: list[Refused]) -> list[dict[str, str]]:
    return [
        {"name": one.name, "format": one.format, "error": one.error, "hex": one.content.hex()}
        for one in refused
    ]


def find_changed() -> dict[str, list[str]]:
    """Return the paths of vectors that are missing, and of those whose bytes would change."""
    found: dict[str, list[str]] = {"missing": [], "changed": []}
    for path, content in make_files().items():
        target = VECTORS / path
        if not target.exists():
            found["missing"].append(path)
        elif target.read_bytes() != content:
            found["changed"].append(path)
    return found


def main(arguments: list[str]) -> int:
    """Add missing vectors, or with `--check` only look; return the exit code."""
    found = find_changed()
    for path in found["changed"]:
        print(f"{path}: the code makes other bytes; raise the format's version, name it anew")
    if found["changed"]:
        return 1
    for path in found["missing"]:
        print(f"{path}: missing" if arguments else f"{path}: added")
        if not arguments:
            (VECTORS / path).parent.mkdir(parents=True, exist_ok=True)
            (VECTORS / path).write_bytes(make_files()[path])
    return 1 if arguments and found["missing"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
