"""What fsspec calls the details of a path of a draft: maps of name, size, type, times and hash."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from cas.drafts.base_tree import BaseFile
from cas.drafts.draft_tree import Folder, Held
from cas.format.manifest import MODE_EXECUTABLE
from cas.model.entry import EntryKind, path_to_text
from cas.operations.draft_edits import LocalEntry

Details = dict[str, Any]


def describe(path: bytes, held: Held, base_seconds: float | None) -> Details:
    """Return the details of what stands at a path, as far as it says them itself.

    Args:
        base_seconds: when the base version was made, if there is one.
    """
    details: Details = {"name": path_to_text(path), "size": 0, "type": "directory"}
    if isinstance(held, Folder):
        return details
    if isinstance(held, LocalEntry):
        return details | _of_local(held)
    return details | _of_base(held) | {"created": base_seconds, "mtime": base_seconds}


def link_target(held: LocalEntry | BaseFile) -> bytes | None:
    """Return where a symbolic link leads; None if it is none."""
    if isinstance(held, LocalEntry):
        is_link = held.kind is EntryKind.SYMLINK
        return os.fsencode(_local_path(held).readlink()) if is_link else None
    return inline_of(held) if held.kind is EntryKind.SYMLINK else None


def inline_of(held: BaseFile) -> bytes:
    """Return the bytes of an entry that stand in its page."""
    start, stop = held.page.inline_starts[held.row : held.row + 2].tolist()
    return held.page.inline[start:stop]


def _local_path(held: LocalEntry) -> Path:
    return Path(os.fsdecode(held.local))


def _of_local(held: LocalEntry) -> Details:
    seconds = held.stamp.mtime / 1e9
    times = {"created": seconds, "mtime": seconds}
    if held.kind is EntryKind.SYMLINK:
        target = str(_local_path(held).readlink())
        return {"type": "other", "destination": target, "islink": True} | times
    return {"type": "file", "size": held.stamp.size, "executable": held.executable} | times


def _of_base(held: BaseFile) -> Details:
    page, row = held.page, held.row
    if held.kind is EntryKind.FILE:
        return {
            "type": "file",
            "size": int(page.sizes[row]),
            "blake3": page.hashes[row].tobytes().hex(),
            "executable": bool(page.modes[row] & MODE_EXECUTABLE),
        }
    details: Details = {"type": "other", "size": int(page.sizes[row])}
    details["destination"] = path_to_text(inline_of(held))
    if held.kind is EntryKind.SYMLINK:
        details["islink"] = True
    return details
