"""The tables of blobs: each vouches for its id, and what pages say of chunks fits them."""

from __future__ import annotations

from collections import OrderedDict
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from cas.errors import CasError, CorruptionError, ErrorCode
from cas.format import keys
from cas.format.blob import BlobTable
from cas.format.manifest import Page
from cas.format.verification import DamageState
from cas.model.entry import EntryKind, PageLocation
from cas.model.progress import Cancel, Progress
from cas.objects.damage import BlobDamage
from cas.objects.examine_blob import BlobTarget, read_table
from cas.objects.parts import StoreParts
from cas.operations.inspect_structure import Inspection
from cas.operations.verify_outcomes import Problem, VerifyOptions

READERS = 16
KEPT_CHUNKS = 1 << 20


def check_tables(
    parts: StoreParts, found: Inspection, options: VerifyOptions, cancel: Cancel
) -> int:
    """Read the table of every blob that versions need, and compare pages with them.

    Returns:
        How many tables were read and are right.
    """
    local = parts.backend.capabilities.local
    threads = options.jobs or (parts.jobs if local else READERS)
    with ThreadPoolExecutor(threads, thread_name_prefix="cas-tables") as pool:
        check = _TableCheck(parts, found, pool)
        for number, location in enumerate(found.locations):
            cancel.check()
            check.page(location)
            if options.progress is not None:
                total = len(found.locations)
                options.progress(Progress(phase="tables", total_files=total, done_files=number))
        check.metas(cancel)
    return len(check.right)


class _TableCheck:
    """Compares pages with tables; those read last are kept."""

    def __init__(self, parts: StoreParts, found: Inspection, pool: ThreadPoolExecutor) -> None:
        self._parts = parts
        self._found = found
        self._pool = pool
        self._tables: OrderedDict[bytes, BlobTable] = OrderedDict()
        self._chunks = 0
        self.right: set[bytes] = set()

    def page(self, location: PageLocation) -> None:
        """Read the tables that a page needs, and compare it with them."""
        page = self._parts.pages.read_page(location)
        sizes, offsets = page.blob_sizes.tolist(), page.table_offsets.tolist()
        waits: dict[int, Future[BlobTable]] = {}
        for row, blob_id in enumerate(page.blob_ids):
            target = BlobTarget(blob_id.tobytes(), False, sizes[row], offsets[row])
            if target.blob_id not in self._tables and target.blob_id not in self._found.damage:
                waits[row] = self._pool.submit(read_table, self._parts.backend, target)
        for row, future in waits.items():
            self._take(page.blob_ids[row].tobytes(), future, is_meta=False)
        problem = self._disagreement(page)
        if problem is not None:
            key = keys.meta_key(location.blob_id)
            text = f"{key} at {location.offset}: {problem}"
            self._found.problems.append(Problem(kind="page", key=key, text=text))
        self._drop()

    def metas(self, cancel: Cancel) -> None:
        """Read the tables of the blobs of pages and roots."""
        needed = self._found.needed
        targets = (t for t in needed.targets(range(len(needed))) if t.is_meta)
        batch: list[tuple[BlobTarget, Future[BlobTable]]] = []
        for target in targets:
            cancel.check()
            if target.blob_id in self._found.damage:
                continue
            batch.append((target, self._pool.submit(read_table, self._parts.backend, target)))
            if len(batch) >= 2 * READERS:
                first, future = batch.pop(0)
                self._take(first.blob_id, future, is_meta=True)
        for target, future in batch:
            self._take(target.blob_id, future, is_meta=True)
        self._drop()

    def _take(self, blob_id: bytes, future: Future[BlobTable], *, is_meta: bool) -> None:
        try:
            table = future.result()
        except CorruptionError as error:
            missing = error.code is ErrorCode.MISSING_OBJECT
            state = DamageState.MISSING if missing else DamageState.TABLE
            self._found.add_damage([BlobDamage(blob_id, is_meta, state)])
            return
        except CasError as error:
            self._found.unread.append(str(error))
            return
        self.right.add(blob_id)
        self._tables[blob_id] = table
        self._chunks += len(table.chunk_lengths)

    def _drop(self) -> None:
        while self._chunks > KEPT_CHUNKS and len(self._tables) > 1:
            _, dropped = self._tables.popitem(last=False)
            self._chunks -= len(dropped.chunk_lengths)

    def _disagreement(self, page: Page) -> str | None:
        """Say what of a page does not fit its blobs' tables, or None."""
        for row, blob_id in enumerate(page.blob_ids):
            table = self._tables.get(blob_id.tobytes())
            if table is None:
                continue
            starts = np.zeros(len(table.chunk_lengths) + 1, np.int64)
            np.cumsum(table.chunk_lengths, out=starts[1:])
            rows = np.flatnonzero(page.extent_blobs == row)
            first = page.extent_first[rows].astype(np.int64)
            stop = first + page.extent_chunks[rows]
            name = blob_id.tobytes().hex()[:12]
            if (stop >= len(starts)).any():
                return f"it speaks of chunks that blob {name} does not have"
            if (starts[stop] - starts[first] != page.extent_lengths[rows]).any():
                return f"it gives chunks of blob {name} another length than its table"
            if self._other_hash(page, table, rows):
                return f"a file of one chunk of blob {name} has another hash than the chunk"
        return None

    @staticmethod
    def _other_hash(page: Page, table: BlobTable, extents: np.ndarray) -> bool:
        """Whether a file that is one chunk has not the chunk's hash."""
        owners = np.searchsorted(page.extent_starts, extents, side="right") - 1
        single = (page.extent_counts[owners] == 1) & (page.extent_chunks[extents] == 1)
        single &= page.kinds[owners] == EntryKind.FILE
        hashes = page.hashes[owners[single]]
        ids = table.chunk_ids[page.extent_first[extents[single]]]
        return bool((hashes != ids).any())
