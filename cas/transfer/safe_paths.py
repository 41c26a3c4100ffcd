"""Which paths of a version cannot be made on this machine. Pure: found before anything is written."""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Iterable, Sequence

from cas.model.entry import path_to_text
from cas.transfer.tree import MAXIMUM_LEVELS, MAXIMUM_PATH_BYTES

_RESERVED = re.compile(
    r"(con|prn|aux|nul|com[0-9\u00b9\u00b2\u00b3]|lpt[0-9\u00b9\u00b2\u00b3])(\..*)?", re.IGNORECASE
)
_FORBIDDEN = re.compile(r'[<>:"|?*\\\x00-\x1f]')
MAXIMUM_NAME_BYTES = 255


def find_conflicts(paths: Sequence[bytes], *, folds_case: bool, is_windows: bool) -> list[str]:
    """Return a line for each path that cannot be made beside the others.

    Args:
        paths: what is to be made: files, links and empty folders.
        folds_case: the target's file system takes names that differ only in case or Unicode form
            for one.
        is_windows: its reserved names and characters count.
    """
    problems = [
        f"{path_to_text(path[:60])}... is nested more than {MAXIMUM_LEVELS} levels "
        f"or {MAXIMUM_PATH_BYTES} bytes deep"
        for path in paths
        if len(path) > MAXIMUM_PATH_BYTES or path.count(b"/") > MAXIMUM_LEVELS
    ]
    if problems:
        return problems  # before anything is done that takes time for each level
    folders = _folders_of(paths)
    for path in paths:
        if is_windows and (reason := _windows_reason(path)):
            problems.append(f"{path_to_text(path)}: {reason}")
        elif len(path) > MAXIMUM_NAME_BYTES and any(
            len(part) > MAXIMUM_NAME_BYTES for part in path.split(b"/")
        ):
            problems.append(f"{path_to_text(path)[:60]}...: a name longer than 255 bytes")
        if path in folders:
            problems.append(f"{path_to_text(path)} is both a file and a folder")
    if folds_case:
        known: dict[str, bytes] = {}
        for path in (*folders, *paths):
            other = known.setdefault(_fold(path), path)
            if other != path:
                problems.append(f"{path_to_text(path)} and {path_to_text(other)} are one name here")
    return sorted(set(problems))


def _folders_of(paths: Iterable[bytes]) -> set[bytes]:
    """Every folder above any of the paths."""
    folders: set[bytes] = set()
    for path in paths:
        parent = path.rpartition(b"/")[0]
        while parent and parent not in folders:
            folders.add(parent)
            parent = parent.rpartition(b"/")[0]
    return folders


def leads_outside(path: bytes, target: bytes) -> bool:
    """Tell whether a link at `path` that points to `target` leads out of the tree."""
    if target.startswith(b"/") or (sys.platform == "win32" and b":" in target):
        return True
    depth = path.count(b"/")
    for part in (
        target.replace(b"\\", b"/").split(b"/") if sys.platform == "win32" else (target.split(b"/"))
    ):
        if part == b"..":
            depth -= 1
        elif part not in (b"", b"."):
            depth += 1
        if depth < 0:
            return True
    return False


def _fold(path: bytes) -> str:
    return unicodedata.normalize("NFC", path_to_text(path)).casefold()


def _windows_reason(path: bytes) -> str | None:
    for part in path_to_text(path).split("/"):
        if _RESERVED.fullmatch(part):
            return f"{part} is a reserved name on Windows"
        if part.endswith((".", " ")):
            return f"{part!r} ends in a dot or a space, which Windows drops"
        if match := _FORBIDDEN.search(part):
            return f"{match.group()!r} cannot be in a name on Windows"
    return None
