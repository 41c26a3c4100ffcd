"""Listing everything below a folder where a driver lists one folder at a time."""

from __future__ import annotations

from typing import Any

from fsspec import AbstractFileSystem

_ABSENT = (FileNotFoundError, NotADirectoryError)


def walk_files(filesystem: AbstractFileSystem, folder: str) -> dict[str, Any]:
    """Return what the driver says of every file below a folder, by name; links are left out.

    fsspec's own walk leaves out each folder that it cannot list, without a word. Here that raises.
    A folder that vanishes before it is listed holds nothing.

    Raises:
        Exception: as the driver has it.
    """
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
