"""Files while their parts arrive: begun with the first part, finished with the last, in any order."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from blake3 import blake3

from cas.errors import BackendError, CorruptionError, ErrorCode
from cas.model.entry import path_to_text
from cas.model.progress import Cancelled
from cas.objects.blob_list import BlobRef
from cas.transfer.plan import Placement
from cas.transfer.target import PendingFile, TargetTree

# Less is fetched again faster than anybody minds.
KEPT_BYTES = 1 << 20

# Placements by the id of the blob that they are from.
Wanted = dict[bytes, tuple[BlobRef, list[Placement]]]


@dataclass(slots=True, eq=False)
class WantedFile:
    """A file to fetch: its inlined bytes, or the extents it lies in: rows of (blob or None, first
    chunk, chunks, bytes), in file order; None is a run of zeros.
    """

    path: bytes
    size: int
    executable: bool
    hash: bytes
    inline: bytes | None
    extents: list[tuple[BlobRef | None, int, int, int]]


@dataclass(slots=True)
class DownloadCounts:
    """What a download did so far; sizes in bytes.

    Attributes:
        done_bytes: of the files that are complete.
        written_bytes: written to files, wherever it came from.
        fetched_bytes: fetched from the store, as it is there.
        copied_bytes: written out of local files.
        resumed_bytes: written out of what an interrupted get left behind.
    """

    done_files: int = 0
    done_bytes: int = 0
    written_bytes: int = 0
    fetched_bytes: int = 0
    copied_bytes: int = 0
    resumed_bytes: int = 0


@dataclass(slots=True, eq=False)
class ArrivingFile:
    """A file while its parts arrive. Who writes to it holds `writing`."""

    wanted: WantedFile
    chunks_left: int
    pending: PendingFile | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)
    writing: threading.Lock = field(default_factory=threading.Lock)
    has_holes: bool = False


class ArrivingFiles:
    """The files of a download, by the numbers that placements give them. For many threads.

    Args:
        finished: lets each file appear once all of it is written.
        counts: its files and what is written of them are counted here.
    """

    def __init__(
        self,
        files: Sequence[WantedFile],
        target: TargetTree,
        finished: Callable[[WantedFile, PendingFile], None],
        counts: DownloadCounts,
    ) -> None:
        self._files = [
            ArrivingFile(file, sum(e[2] for e in file.extents if e[0] is not None))
            for file in files
        ]
        self._target = target
        self._finished = finished
        self._counts = counts
        self._lock = threading.Lock()

    def __getitem__(self, number: int) -> ArrivingFile:
        return self._files[number]

    def by_blob(self) -> Wanted:
        """Group what the files need by blob, in the order in which blobs are first needed."""
        wanted: Wanted = {}
        for number, one in enumerate(self._files):
            offset = 0
            for ref, first, chunks, length in one.wanted.extents:
                if ref is not None:
                    placement = Placement(number, offset, first, first + chunks, length)
                    found = wanted.get(ref.blob_id)
                    if found is None:
                        wanted[ref.blob_id] = (ref, [placement])
                    else:
                        found[1].append(placement)
                offset += length
        return wanted

    def without_chunks(self) -> list[ArrivingFile]:
        """Return the files for which nothing has to be fetched."""
        return [one for one in self._files if one.chunks_left == 0]

    def begin(self, one: ArrivingFile) -> PendingFile:
        """Return the temporary file that a file arrives in."""
        wanted = one.wanted
        with one.lock:
            if one.pending is None:
                one.pending = self._target.create(wanted.path, executable=wanted.executable)
                if len(wanted.extents) > 1:
                    one.pending.resize(wanted.size)
            return one.pending

    def leave_hole(self, placement: Placement) -> None:
        """Leave out chunks that are not to be had."""
        one = self._files[placement.file]
        self.begin(one).resize(one.wanted.size)
        one.has_holes = True
        self.note_written(one, placement.stop - placement.first, 0)

    def note_written(self, one: ArrivingFile, chunks: int, size: int) -> None:
        """Note that chunks of a file are dealt with; finish it if they were the last ones."""
        with one.lock:
            one.chunks_left -= chunks
            is_complete = one.chunks_left == 0
        with self._lock:
            self._counts.written_bytes += size
        if is_complete:
            self.complete(one)

    def complete(self, one: ArrivingFile) -> None:
        """Let a file appear of which no chunk is missing.

        Raises:
            CorruptionError: it is not what it must be.
            OSError: it cannot be written.
        """
        pending = self.begin(one)
        wanted = one.wanted
        if wanted.inline is not None:
            if blake3(wanted.inline).digest() != wanted.hash:
                raise CorruptionError(
                    f"{path_to_text(wanted.path)}: its page holds other bytes than its hash says",
                    code=ErrorCode.DIGEST_MISMATCH,
                )
            pending.write_at(memoryview(wanted.inline), 0)
        elif wanted.extents[0][0] is None:
            pending.resize(wanted.size)
        if one.has_holes:
            pending.commit()  # nothing vouches for it as a whole
        else:
            self._finished(wanted, pending)
        one.pending = None
        with self._lock:
            self._counts.done_files += 1
            self._counts.done_bytes += wanted.size

    def abandon(self, error: BaseException) -> None:
        """Remove files that are not complete, or leave them for the next get if one can be expected.

        A full disk or a damaged store is no reason to keep anything.
        """
        goes_on = isinstance(error, (BackendError, Cancelled, KeyboardInterrupt))
        for one in self._files:
            pending = one.pending
            if pending is not None:
                if goes_on and one.wanted.size >= KEPT_BYTES:
                    pending.keep()
                else:
                    pending.discard()
