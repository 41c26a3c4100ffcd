"""Where a repair looks for chunks: the store's other blobs, other stores, plain files.

Whatever comes from any of them is verified against the id of the chunk, or with the whole file.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Protocol

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

from cas.errors import CasError
from cas.format.blob import BlobTable
from cas.format.manifest import Page
from cas.format.segment import chunk_keys
from cas.objects.blob_list import BlobRef
from cas.objects.blobs import TableReader, decode_data_frame, read_range
from cas.objects.damage import KnownDamage
from cas.objects.examine_blob import BlobTarget, read_table
from cas.objects.index import MAXIMUM_COPIES, load_index
from cas.objects.parts import StoreParts
from cas.operations.affected_versions import pages_of
from cas.operations.gather_seeds import cut_seeds, scan_seeds
from cas.operations.live_versions import LiveVersion, LiveVersions
from cas.operations.outcomes import GetOptions
from cas.operations.repair_needs import FileNeed, Span
from cas.operations.version_pages import PageContents
from cas.transfer.reading import ContentReader, FileContent
from cas.transfer.seeds import SeedIndex

Ids = NDArray[np.uint8]
INDEX_BYTES = 256 << 20
PIECE_BYTES = 8 << 20


class Source(Protocol):
    """Something that may hold what is damaged elsewhere. For one thread."""

    def prepare(self, chunk_ids: Ids, hashes: frozenset[bytes]) -> None:
        """Find out where the chunks are that will be asked for, and the files of these hashes."""
        ...

    def table(self, target: BlobTarget) -> BlobTable | None:
        """Return the verified table of a blob, if the same blob is here."""
        ...

    def chunk(self, chunk_id: bytes, length: int) -> bytes | None:
        """Return the verified bytes of a chunk, if it is here."""
        ...

    def pieces(self, file: FileNeed) -> list[bytes] | None:
        """Return the bytes of the spans of a file, if it is here as a whole, which is verified."""
        ...


class StoreSource:
    """A store, be it another one or that which is repaired. See `Source`.

    Args:
        avoid: what is damaged in it.
        tables: reads its tables.
        is_other: whether it is another store, which may have the very same blobs, copied as they are.
    """

    def __init__(
        self, parts: StoreParts, avoid: KnownDamage, tables: TableReader, *, is_other: bool
    ) -> None:
        self._parts = parts
        self._avoid = avoid
        self._tables = tables
        self._is_other = is_other
        self._places: dict[bytes, list[tuple[BlobRef, int]]] = {}
        self._files: dict[bytes, list[FileContent]] = {}
        self._versions: list[LiveVersion] | None = None
        self._raw: tuple[bytes, int, memoryview] | None = None

    @property
    def versions(self) -> list[LiveVersion]:
        """The versions of the store whose records can be read."""
        if self._versions is None:
            live = LiveVersions(self._parts)
            live.read(None)
            self._versions = live.versions
        return self._versions

    @property
    def parts(self) -> StoreParts:
        """The opened pieces of the store."""
        return self._parts

    def prepare(self, chunk_ids: Ids, hashes: frozenset[bytes]) -> None:
        """Find out where chunks and files are."""
        if len(chunk_ids):
            self._find_by_index(chunk_ids)
        missing = [
            row for row in range(len(chunk_ids)) if chunk_ids[row].tobytes() not in self._places
        ]
        if missing or hashes:
            self._find_by_pages(chunk_ids[missing], hashes)

    def table(self, target: BlobTarget) -> BlobTable | None:
        """Return the verified table of a blob, if the same blob is here."""
        if not self._is_other:
            return None
        try:
            table = read_table(self._parts.backend, target)
        except CasError:
            return None
        ref = BlobRef(
            blob_id=target.blob_id, size=target.size, table_offset=target.table_offset, stamp=0
        )
        self._note(ref, table, table.chunk_ids)
        return table

    def chunk(self, chunk_id: bytes, length: int) -> bytes | None:
        """Return the verified bytes of a chunk, if it is here."""
        for ref, row in self._places.get(chunk_id, ()):
            with suppress(CasError):
                table = self._tables.read(ref)
                if int(table.chunk_lengths[row]) == length:
                    return self._read(ref, table, row)
        return None

    def pieces(self, file: FileNeed) -> list[bytes] | None:
        """Return the bytes of the spans of a file, if it is here as a whole."""
        for content in self._files.get(file.hash, ()):
            reader = ContentReader(self._tables, content)
            with suppress(CasError):
                found = verified_pieces(
                    (
                        reader.read(start, start + PIECE_BYTES)
                        for start in range(0, content.size, PIECE_BYTES)
                    ),
                    file,
                )
                if found is not None:
                    return found
        return None

    def offer(self, file: FileNeed) -> None:
        """Take a file for one that may be here, whatever pages say."""
        self._files.setdefault(file.hash, []).append(file.content)

    def _read(self, ref: BlobRef, table: BlobTable, row: int) -> bytes:
        """Return a verified chunk; its frame is kept, since the next chunk is often the next row."""
        frame = int(table.chunk_frames[row])
        if self._raw is None or self._raw[:2] != (ref.blob_id, frame):
            start, stop = int(table.frame_offsets[frame]), table.frame_stop(frame)
            content = read_range(self._parts.backend, ref.id, start, stop)
            rows = np.array([row], np.int64)
            raw = decode_data_frame(ref.blob_id, table, frame, content, rows)
            self._raw = (ref.blob_id, frame, memoryview(raw))
        start = int(table.chunk_starts[row])
        chunk = bytes(self._raw[2][start : start + int(table.chunk_lengths[row])])
        if blake3(chunk).digest() != table.chunk_ids[row].tobytes():
            self._raw = None
            return self._read(ref, table, row)
        return chunk

    def _find_by_index(self, chunk_ids: Ids) -> None:
        index = load_index(self._parts.backend, floor=0, budget_bytes=INDEX_BYTES)
        for copy in range(MAXIMUM_COPIES):
            candidates = index.candidates(chunk_ids, copy)
            if not candidates:
                break
            for ref in candidates:
                with suppress(CasError):  # another may have it
                    self._note(ref, self._tables.read(ref), chunk_ids)

    def _find_by_pages(self, missing: Ids, hashes: frozenset[bytes]) -> None:
        """Go through every version: the index is a hint, and files are not in it."""
        seen: set[bytes] = set()
        for page in self._pages():
            if hashes:
                self._note_files(page, hashes)
            if len(missing) == 0:
                continue
            sizes, offsets = page.blob_sizes.tolist(), page.table_offsets.tolist()
            for row, raw in enumerate(page.blob_ids):
                blob_id = raw.tobytes()
                if blob_id in seen:
                    continue
                seen.add(blob_id)
                ref = BlobRef(blob_id=blob_id, size=sizes[row], table_offset=offsets[row], stamp=0)
                with suppress(CasError):
                    self._note(ref, self._tables.read(ref), missing)

    def _pages(self) -> Iterator[Page]:
        seen: set[bytes] = set()
        for version in self.versions:
            for location, page in pages_of(self._parts, version):
                if page is not None and location.page_id.raw not in seen:
                    seen.add(location.page_id.raw)
                    yield page

    def _note_files(self, page: Page, hashes: frozenset[bytes]) -> None:
        contents: PageContents | None = None
        for row in np.flatnonzero(page.extent_counts).tolist():
            file_hash = page.hashes[row].tobytes()
            if file_hash in hashes and len(self._files.get(file_hash, ())) < MAXIMUM_COPIES:
                contents = contents or PageContents(page)
                self._files.setdefault(file_hash, []).append(contents.content(row))

    def _note(self, ref: BlobRef, table: BlobTable, wanted: Ids) -> None:
        """Note which of the wanted chunks are whole in a blob."""
        if ref.blob_id in self._avoid.bad_blobs:
            return
        damaged = self._avoid.bad_chunks.get(ref.blob_id, np.zeros(0, np.int64))
        hits = np.isin(chunk_keys(table.chunk_ids), chunk_keys(wanted))
        hits[damaged[damaged < len(hits)]] = False
        for row in np.flatnonzero(hits).tolist():
            places = self._places.setdefault(table.chunk_ids[row].tobytes(), [])
            if len(places) < MAXIMUM_COPIES and (ref, row) not in places:
                places.append((ref, row))


class FileSource:
    """Local files and folders, cut as the store cuts. See `Source`."""

    def __init__(self, parts: StoreParts, paths: Sequence[str], options: GetOptions) -> None:
        self._parts = parts
        self._options = options
        cancel = options.cancel
        assert cancel is not None
        self._seeds = scan_seeds(paths, cancel)
        self._index: SeedIndex | None = None
        self._hashes: dict[int, bytes] = {}

    def prepare(self, chunk_ids: Ids, hashes: frozenset[bytes]) -> None:  # noqa: ARG002
        """Find out where chunks and files are."""
        if len(chunk_ids):
            self._index = cut_seeds(self._parts, self._options, self._seeds)

    def table(self, target: BlobTarget) -> BlobTable | None:  # noqa: ARG002
        """Return the verified table of a blob, if the same blob is here."""
        return None

    def chunk(self, chunk_id: bytes, length: int) -> bytes | None:
        """Return the verified bytes of a chunk, if it is here."""
        if self._index is None:
            return None
        found = self._index.locate(chunk_id)
        if found is None:
            return None
        seed, start = found
        content = self._read(seed, start, length)
        return content if blake3(content).digest() == chunk_id else None

    def pieces(self, file: FileNeed) -> list[bytes] | None:
        """Return the bytes of the spans of a file, if it is here as a whole."""
        for number, seed in enumerate(self._seeds):
            if seed.stamp.size != file.content.size:
                continue
            if self._hashes.get(number, file.hash) != file.hash:
                continue
            found = verified_pieces(
                (
                    self._read(number, start, PIECE_BYTES)
                    for start in range(0, file.content.size, PIECE_BYTES)
                ),
                file,
            )
            if found is not None:
                return found
        return None

    def _read(self, seed: int, start: int, length: int) -> bytes:
        descriptor = self._seeds[seed].open_unchanged()
        if descriptor is None:
            return b""
        try:
            return os.pread(descriptor, length, start)
        except OSError:
            return b""  # what cannot be read is not here
        finally:
            os.close(descriptor)


def verified_pieces(content: Iterator[bytes], file: FileNeed) -> list[bytes] | None:
    """Return the bytes of a file's spans, or None if it is not the file that it must be.

    Args:
        content: the whole file, in order.
    """
    hasher = blake3(max_threads=blake3.AUTO)
    spans: Sequence[Span] = file.spans
    parts: list[list[bytes]] = [[] for _ in spans]
    at = 0
    for piece in content:
        hasher.update(piece)
        for kept, span in zip(parts, spans, strict=True):
            low, high = max(span.start, at), min(span.stop, at + len(piece))
            if low < high:
                kept.append(piece[low - at : high - at])
        at += len(piece)
    if hasher.digest() != file.hash:
        return None
    return [b"".join(kept) for kept in parts]
