"""Trees of files as values: path in bytes to content in bytes, written to disk and read back."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

Tree: TypeAlias = dict[bytes, bytes]


def write_tree(folder: Path, tree: Mapping[bytes, bytes]) -> Path:
    """Make `folder` hold the files of `tree` and no other file; return it.

    A file whose content is right already is not touched, so its times stay.
    """
    folder.mkdir(parents=True, exist_ok=True)
    current = read_tree(folder)
    for path in current.keys() - tree.keys():
        (folder / os.fsdecode(path)).unlink()
    for parent, _, _ in os.walk(folder, topdown=False):
        if Path(parent) != folder and not any(Path(parent).iterdir()):
            Path(parent).rmdir()
    for path, content in tree.items():
        target = folder / os.fsdecode(path)
        if current.get(path) != content:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
    return folder


def read_tree(folder: Path) -> Tree:
    """Return every regular file below `folder`, links not followed."""
    found = {}
    for parent, _, names in os.walk(folder):
        for name in names:
            path = Path(parent, name)
            if not path.is_symlink():
                found[os.fsencode(path.relative_to(folder))] = path.read_bytes()
    return found
