"""What became of the entries of a tree: their columns are filled in as their content is placed."""

from __future__ import annotations

import os

import numpy as np
from blake3 import blake3

from cas.model.entry import path_to_text
from cas.transfer.big_file import BigFile
from cas.transfer.cutting import CutBatch
from cas.transfer.placing import Placer, UploadCounts
from cas.transfer.rows import EntryColumns, merge_extents
from cas.transfer.stamp import FileStamp
from cas.transfer.tree import LocalTree


class EntryRecorder:
    """Notes what was read of entries, and where it lies. Not thread-safe.

    Attributes:
        problems: what could not be read, and why.
    """

    def __init__(
        self, tree: LocalTree, columns: EntryColumns, placer: Placer, counts: UploadCounts
    ) -> None:
        self._tree = tree
        self._columns = columns
        self._placer = placer
        self._counts = counts
        self._hole_hashes: dict[int, bytes] = {}
        self.problems: list[str] = []

    def note_problem(self, row: int, error: OSError) -> None:
        """Note why an entry cannot be read."""
        self._add_problem(row, error.strerror or str(error))

    def store_nothing(self, row: int) -> None:
        """Note an entry that has no content of its own."""
        self._columns.is_known[row] = True

    def store_inline(self, row: int, content: bytes) -> None:
        """Note content that goes into the page."""
        columns = self._columns
        columns.sizes[row] = len(content)
        columns.hashes[row] = np.frombuffer(blake3(content).digest(), np.uint8)
        columns.set_inline(row, content)
        columns.is_known[row] = True

    def store_link(self, row: int) -> None:
        """Read a link and note where it points."""
        try:
            target = os.readlink(self._tree.local_path(row))
        except OSError as error:
            self.note_problem(row, error)
            return
        self.store_inline(row, target)

    def store_emptied(self, row: int, stamp: FileStamp, *, executable: bool) -> None:
        """Note a file that was big when it was listed, and has no bytes now."""
        self._restamp(row, stamp)
        self._columns.modes[row] = executable
        self.store_inline(row, b"")
        self._counts.read_files += 1

    def store_batch(self, batch: CutBatch) -> None:
        """Place and note small files that were read."""
        for row, reason in batch.problems:
            self._add_problem(row, reason)
        if not batch.rows:
            return
        columns = self._columns
        rows = np.array(batch.rows, np.int64)
        counts = np.array(batch.item_counts, np.int64)
        columns.sizes[rows] = batch.sizes
        columns.hashes[rows] = np.frombuffer(b"".join(batch.hashes), np.uint8).reshape(-1, 32)
        for row, stamp, executable in batch.changed:
            self._restamp(row, stamp)
            columns.modes[row] = executable
        for row, content in batch.inlined:
            columns.set_inline(row, content)
        size = sum(batch.sizes)
        self._counts.read_files += len(rows)
        self._counts.read_bytes += size
        self._counts.passed_bytes += size
        with_items = counts > 0
        if with_items.any():
            owners = np.repeat(rows, counts)
            extents = self._placer.place(batch.items, owners, are_small=True)
            starts = (np.cumsum(counts) - counts)[with_items]
            merged, per_file = merge_extents(extents, starts)
            columns.add_extents(rows[with_items], per_file, merged)
        columns.is_known[rows] = True

    def store_big_file(self, file: BigFile, stamp: FileStamp, *, executable: bool) -> None:
        """Note a big file all of which is placed, and the stat that belongs to its bytes."""
        self._columns.modes[file.row] = executable
        self._restamp(file.row, stamp)
        self._store_placed(file)

    def store_stream(self, file: BigFile) -> None:
        """Note what a stream gave, all of which is placed."""
        self._tree.sizes[file.row] = file.size
        self._store_placed(file)

    def _store_placed(self, file: BigFile) -> None:
        columns, row = self._columns, file.row
        columns.sizes[row] = file.size
        columns.hashes[row] = np.frombuffer(file.hash(self._hole_hashes), np.uint8)
        extents, count = file.extents()
        columns.add_extents(np.array([row]), count, extents)
        columns.is_known[row] = True
        self._counts.read_files += 1

    def _restamp(self, row: int, stamp: FileStamp) -> None:
        """Remember the stat that belongs to the bytes that were read."""
        tree = self._tree
        tree.sizes[row] = stamp.size
        tree.mtimes[row] = stamp.mtime
        tree.ctimes[row] = stamp.ctime
        tree.inodes[row] = stamp.inode

    def _add_problem(self, row: int, reason: str) -> None:
        self.problems.append(f"{path_to_text(self._tree.paths[row])}: {reason}")
