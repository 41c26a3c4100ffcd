"""Trees of what does not lie on this machine: one file that comes as a stream, or nothing."""

from __future__ import annotations

import numpy as np

from cas.model.entry import EntryKind
from cas.transfer.tree import LocalTree


def stream_tree(path: bytes) -> LocalTree:
    """Return the tree of one file that is yet to be read; the journal keeps nothing of it."""
    return _tree([path])


def no_tree() -> LocalTree:
    """Return the tree of no local path, for a version that comes from elsewhere."""
    return _tree([])


def _tree(paths: list[bytes]) -> LocalTree:
    zeros = [np.zeros(len(paths), np.int64) for _ in range(4)]
    return LocalTree(
        key=b"",
        bases={},
        paths=paths,
        kinds=np.full(len(paths), EntryKind.FILE, np.uint8),
        modes=np.zeros(len(paths), np.uint8),
        sizes=zeros[0],
        mtimes=zeros[1],
        ctimes=zeros[2],
        inodes=zeros[3],
    )
