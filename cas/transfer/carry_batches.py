"""Files to be carried to another store as batches of chunks: which chunk of which blob each needs.

A batch is small enough to be read and verified by one thread, and large enough to be one ranged
read where files lie in the order of their paths. A file under 1 MiB is in one batch as a whole.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cas.errors import CorruptionError, ErrorCode
from cas.format.blob import BlobTable
from cas.model.entry import path_to_text
from cas.objects.blob_list import BlobRef
from cas.objects.blobs import TableReader
from cas.transfer.cutting import SMALL_FILE_BYTES
from cas.transfer.rows import ranges

NO_BLOB = -1
BATCH_BYTES = 8 << 20
BATCH_PIECES = 16384
BLOBS_AHEAD = 8
PIECES_AHEAD = 4096

Int64s = NDArray[np.int64]
Extent = tuple[BlobRef | None, int, int, int]


@dataclass(frozen=True, slots=True, eq=False)
class CarriedFile:
    """A file to carry: its row in the version, and the extents it lies in, as (blob or None, first
    chunk, chunks, bytes); None is a run of zeros. Of a part of a file the hash is None.
    """

    row: int
    path: bytes
    size: int
    hash: bytes | None
    extents: Sequence[Extent]


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Consecutive chunks and holes of files in path order; columns have one row for each.

    Attributes:
        refs: the source's blobs that are spoken of.
        tables: their tables.
        blobs: int64, row in `refs`, `NO_BLOB` for a hole.
        chunks: int64, row of the chunk in its blob; 0 for a hole.
        ids: uint8, shape (n, 32); zeros for a hole.
        lengths: int64, raw bytes.
        owners: int64, the row of the file.
        are_small: bool, whether the file is under 1 MiB and hence here as a whole.
        paths: of the files, by row, for errors.
        continues: the first file began in the batch before.
        is_open: the last file goes on in the next batch.
    """

    refs: list[BlobRef]
    tables: list[BlobTable]
    blobs: Int64s
    chunks: Int64s
    ids: NDArray[np.uint8]
    lengths: Int64s
    owners: Int64s
    are_small: NDArray[np.bool_]
    paths: dict[int, bytes]
    continues: bool
    is_open: bool

    @property
    def is_chunk(self) -> NDArray[np.bool_]:
        """Which rows are chunks; the others are holes."""
        is_chunk: NDArray[np.bool_] = self.blobs != NO_BLOB
        return is_chunk

    def path_of(self, row: int) -> str:
        """Return the path of the file that a row belongs to."""
        return path_to_text(self.paths[int(self.owners[row])])


def iter_batches(
    files: Iterable[CarriedFile],
    tables: TableReader,
    pool: ThreadPoolExecutor,
    *,
    limit_bytes: int,
) -> Iterator[Batch]:
    """Yield files as batches of about `limit_bytes`; the tables of blobs are read ahead.

    Raises:
        CorruptionError: a table is missing or damaged, or a page and a blob disagree.
        BackendError: the storage failed.
    """
    building = _Building()
    for piece, table in _with_tables(_pieces(files), tables, pool):
        first, stop = piece.first, piece.stop
        is_begun = piece.number > 0
        if piece.is_small and not is_begun and building.size + piece.file.size > limit_bytes:
            yield from building.close(is_open=False)
        while not piece.is_small and table is not None:
            cut = _cut(table, piece, first, limit_bytes - building.size)
            if cut >= stop:
                break
            building.add(piece, table, first, cut)
            yield from building.close(is_open=True)
            first = cut
        building.add(piece, table, first, stop)
        if building.is_full(limit_bytes) and (piece.is_last or not piece.is_small):
            yield from building.close(is_open=not piece.is_last)
    yield from building.close(is_open=False)


@dataclass(frozen=True, slots=True, eq=False)
class _Piece:
    """An extent of a file; `number` counts the file's extents."""

    file: CarriedFile
    number: int
    ref: BlobRef | None
    first: int
    stop: int
    length: int

    @property
    def is_small(self) -> bool:
        return self.file.size <= SMALL_FILE_BYTES

    @property
    def is_last(self) -> bool:
        return self.number == len(self.file.extents) - 1


def _pieces(files: Iterable[CarriedFile]) -> Iterator[_Piece]:
    for file in files:
        for number, (ref, first, chunks, length) in enumerate(file.extents):
            # A hole has no chunks, and is one row of a batch.
            stop = 1 if ref is None else first + chunks
            yield _Piece(file, number, ref, first, stop, length)


def _with_tables(
    pieces: Iterator[_Piece], tables: TableReader, pool: ThreadPoolExecutor
) -> Iterator[tuple[_Piece, BlobTable | None]]:
    """Pair pieces with the tables of their blobs, which are read some blobs ahead."""
    window: deque[tuple[_Piece, Future[BlobTable] | None]] = deque()
    known: dict[bytes, Future[BlobTable]] = {}
    waiting: Counter[bytes] = Counter()
    for piece in pieces:
        future = None
        if piece.ref is not None:
            future = known.get(piece.ref.blob_id)
            if future is None:
                future = known[piece.ref.blob_id] = pool.submit(tables.read, piece.ref)
            waiting[piece.ref.blob_id] += 1
        window.append((piece, future))
        while len(known) > BLOBS_AHEAD or len(window) > PIECES_AHEAD:
            first, ready = window.popleft()
            if first.ref is not None:
                waiting[first.ref.blob_id] -= 1
                if not waiting[first.ref.blob_id]:
                    del waiting[first.ref.blob_id], known[first.ref.blob_id]
            yield _finished(first, ready)
    while window:
        yield _finished(*window.popleft())


def _finished(piece: _Piece, future: Future[BlobTable] | None) -> tuple[_Piece, BlobTable | None]:
    if future is None:
        return piece, None
    try:
        table = future.result()
    except CorruptionError as error:
        raise name_file(error, path_to_text(piece.file.path)) from error
    if piece.stop > len(table.chunk_lengths):
        raise _disagreement(piece)
    lengths = table.chunk_lengths[piece.first : piece.stop]
    if int(lengths.sum(dtype=np.int64)) != piece.length:
        raise _disagreement(piece)
    is_file = len(piece.file.extents) == 1 and piece.stop - piece.first == 1
    is_file &= piece.file.hash is not None
    # The hash of a file of one chunk is the chunk's id.
    if is_file and table.chunk_ids[piece.first].tobytes() != piece.file.hash:
        raise _disagreement(piece)
    return piece, table


def _cut(table: BlobTable, piece: _Piece, first: int, room: int) -> int:
    """Where to end a batch that has room for some bytes: after a frame, so it is read once."""
    ends = np.cumsum(table.chunk_lengths[first : piece.stop], dtype=np.int64)
    last = first + int(np.searchsorted(ends, max(room, 1), "left"))
    if last >= piece.stop:
        return piece.stop
    return min(piece.stop, int(table.first_chunks[int(table.chunk_frames[last]) + 1]))


class _Building:
    """A batch while pieces are added to it."""

    def __init__(self) -> None:
        self.size = 0
        self._continues = False
        self._start()

    def _start(self) -> None:
        self.size = 0
        self._refs: dict[bytes, int] = {}
        self._kept: list[tuple[BlobRef, BlobTable]] = []
        self._rows: list[tuple[int, int, int, int, bool]] = []
        self._holes: list[tuple[int, int]] = []
        self._paths: dict[int, bytes] = {}

    def is_full(self, limit_bytes: int) -> bool:
        return self.size >= limit_bytes or len(self._rows) >= BATCH_PIECES

    def add(self, piece: _Piece, table: BlobTable | None, first: int, stop: int) -> None:
        row = piece.file.row
        blob = NO_BLOB
        if piece.ref is None or table is None:
            self._holes.append((len(self._rows), piece.length))
        else:
            blob = self._refs.setdefault(piece.ref.blob_id, len(self._kept))
            if blob == len(self._kept):
                self._kept.append((piece.ref, table))
            whole = stop - first == piece.stop - piece.first
            lengths = table.chunk_lengths[first:stop]
            self.size += piece.length if whole else int(lengths.sum(dtype=np.int64))
        self._rows.append((row, blob, first, stop - first, piece.is_small))
        self._paths[row] = piece.file.path

    def close(self, *, is_open: bool) -> Iterator[Batch]:
        """Yield what was added as a batch, if anything was, and begin the next."""
        if not self._rows:
            return
        pieces = np.array(self._rows, np.int64)
        counts = pieces[:, 3]
        starts = np.cumsum(counts) - counts
        blobs = np.repeat(pieces[:, 1], counts)
        chunks = ranges(pieces[:, 2], counts)
        ids = np.zeros((len(blobs), 32), np.uint8)
        lengths = np.zeros(len(blobs), np.int64)
        for row, (_, table) in enumerate(self._kept):
            of_row = blobs == row
            ids[of_row] = table.chunk_ids[chunks[of_row]]
            lengths[of_row] = table.chunk_lengths[chunks[of_row]]
        for at, length in self._holes:
            lengths[starts[at]] = length
        batch = Batch(
            refs=[ref for ref, _ in self._kept],
            tables=[table for _, table in self._kept],
            blobs=blobs,
            chunks=chunks,
            ids=ids,
            lengths=lengths,
            owners=np.repeat(pieces[:, 0], counts),
            are_small=np.repeat(pieces[:, 4] != 0, counts),
            paths=self._paths,
            continues=self._continues,
            is_open=is_open,
        )
        self._continues = is_open
        self._start()
        yield batch


def name_file(error: CorruptionError, path: str) -> CorruptionError:
    """Return an error about a blob that says which file needs it."""
    return CorruptionError(f"{path}: {error.args[0]}", code=error.code, hint=error.hint)


def _disagreement(piece: _Piece) -> CorruptionError:
    assert piece.ref is not None
    return CorruptionError(
        f"{path_to_text(piece.file.path)}: its page and blob {piece.ref.blob_id.hex()[:12]} disagree",
        code=ErrorCode.MALFORMED_OBJECT,
    )
