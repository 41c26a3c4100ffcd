"""Whether what stands in a target is what a version holds."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass

from blake3 import blake3

from cas.model.entry import EntryKind
from cas.transfer.target import TargetTree

BLOCK_BYTES = 8 << 20


@dataclass(frozen=True, slots=True)
class Expected:
    """What a version holds at a path; `link` is where a symlink points."""

    kind: EntryKind
    size: int
    hash: bytes
    link: bytes | None = None


def matches_entry(
    target: TargetTree, path: bytes, status: os.stat_result, expected: Expected
) -> bool | None:
    """Compare an entry with what stands there; None if that is another kind of thing."""
    kind = expected.kind
    if kind is EntryKind.DIRECTORY:
        return True if stat.S_ISDIR(status.st_mode) else None
    if stat.S_ISDIR(status.st_mode):
        return None
    if kind is EntryKind.SYMLINK:
        return stat.S_ISLNK(status.st_mode) and target.read_link(path) == expected.link
    if kind is not EntryKind.FILE or not stat.S_ISREG(status.st_mode):
        return False
    if status.st_size != expected.size:
        return False
    return hash_existing(target, path) == expected.hash


def hash_existing(target: TargetTree, path: bytes) -> bytes:
    """Return the BLAKE3 of a file below a target."""
    descriptor = target.open_existing(path)
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        return hash_stream(file.read)


def hash_stream(read: Callable[[int], bytes | None]) -> bytes:
    """Return the BLAKE3 of what `read(size)` gives until it gives nothing."""
    hasher = blake3(max_threads=blake3.AUTO)
    while block := read(BLOCK_BYTES):
        hasher.update(block)
    digest: bytes = hasher.digest()
    return digest
