"""Listing everything below a folder, completely or not at all."""

from __future__ import annotations

from typing import Any

from fsspec import AbstractFileSystem

_ABSENT = (FileNotFoundError, NotADirectoryError)


def find_files(filesystem: AbstractFileSystem, folder: str, *, at_once: bool) -> dict[str, Any]:
    """Return what the driver says of every file below a folder, by name.

    Args:
        filesystem: the driver.
        folder: where to look, without the protocol.
        at_once: the driver has a listing of its own that goes to any depth. Where it has not it
            would go by fsspec's walk, which leaves out each folder that it cannot list, without a
            word; so it is walked here. There links are left out, and a folder that vanishes
            before it is listed holds nothing.

    Raises:
        Exception: as the driver has it.
    """
    if at_once:
        everything: dict[str, Any] = filesystem.find(folder, detail=True)
        return everything
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
