"""A stream as a tree of one file, whose size shows at its end."""

from __future__ import annotations

import numpy as np

from cas.model.entry import EntryKind
from cas.transfer.tree import LocalTree


def stream_tree(path: bytes) -> LocalTree:
    """Return the tree of one file that is yet to be read; the journal keeps nothing of it."""
    zeros = [np.zeros(1, np.int64) for _ in range(4)]
    return LocalTree(
        key=b"",
        bases={},
        paths=[path],
        kinds=np.array([EntryKind.FILE], np.uint8),
        modes=np.zeros(1, np.uint8),
        sizes=zeros[0],
        mtimes=zeros[1],
        ctimes=zeros[2],
        inodes=zeros[3],
    )
