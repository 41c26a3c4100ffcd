"""Listing everything below a folder, completely or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fsspec import AbstractFileSystem
from fsspec.asyn import AsyncFileSystem

_ABSENT = (FileNotFoundError, NotADirectoryError)


def find_files(filesystem: AbstractFileSystem, folder: str) -> Mapping[str, Any]:
    """Return what the driver says of every file below a folder, by name.

    A driver without a listing of its own that goes to any depth would go by fsspec's walk, which
    leaves out each folder that it cannot list, without a word; so it is walked here. There links
    are left out, and a folder that vanishes before it is listed holds nothing.

    Raises:
        Exception: as the driver has it.
    """
    if _lists_at_once(filesystem):
        everything = filesystem.find(folder, detail=True)
        # adlfs answers with a list where an object has the name of the folder.
        return everything if isinstance(everything, Mapping) else {}
    found: dict[str, Any] = {}
    waiting = [folder]
    while waiting:
        current = waiting.pop()
        try:
            entries = filesystem.ls(current, detail=True)
        except _ABSENT:
            continue
        for entry in entries:
            name = entry["name"].rstrip("/")
            if entry.get("islink"):
                continue
            if entry["type"] != "directory":
                found[name] = entry
            elif name.lstrip("/") != current.strip("/"):  # some list the folder itself
                waiting.append(name)
    return found


def _lists_at_once(filesystem: AbstractFileSystem) -> bool:
    if isinstance(filesystem, AsyncFileSystem):
        # Every instance has a `find` made of this half, fsspec's own included.
        return type(filesystem)._find is not AsyncFileSystem._find  # noqa: SLF001
    # Of the instance: what wraps another filesystem has what that one has.
    return getattr(filesystem.find, "__func__", None) is not AbstractFileSystem.find
