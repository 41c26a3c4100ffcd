"""How much space versions take: logical, unique and stored bytes, and what one alone holds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cas.format import keys
from cas.format.blob import CHUNK_BYTES
from cas.format.manifest import HOLE
from cas.format.version import MoveKind, VersionRecord
from cas.model.names import ArtifactName, Ref
from cas.objects.blob_list import BlobList
from cas.objects.parts import StoreParts
from cas.objects.versions import (
    list_artifacts,
    list_slots,
    read_last_move,
    read_root_location,
    read_slot,
    unknown_artifact,
)
from cas.operations.resolve import resolve_record
from cas.operations.version_pages import VersionPages

Int64s = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionUsage:
    """Space of one version, in bytes.

    Attributes:
        logical_bytes: sizes of its files.
        unique_bytes: its distinct chunks, before compression.
        stored_bytes: what those take in the store, frames counted by their share.
        exclusive_bytes: stored bytes that no other version in the store needs.
    """

    artifact: str
    number: int
    logical_bytes: int
    unique_bytes: int
    stored_bytes: int
    exclusive_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Space of the versions asked for together, and of the whole store, in bytes."""

    logical_bytes: int
    unique_bytes: int
    stored_bytes: int
    exclusive_bytes: int
    versions: tuple[VersionUsage, ...]
    store_bytes: int
    blobs: int


@dataclass(frozen=True, slots=True, eq=False)
class _Chunks:
    """The chunks that one version needs: global chunk numbers, sorted, each once."""

    artifact: ArtifactName
    number: int
    logical_bytes: int
    chunks: Int64s


def measure_usage(parts: StoreParts, ref: Ref | None) -> Usage:
    """Measure a version, with a bare name an artifact, or the whole store.

    Versions in the trash still take space and count for what is exclusive.

    Raises:
        NotFoundError: there is no such version.
    """
    numbers = None if ref is None else _wanted_numbers(parts, ref)
    space = _Space(parts)
    every = list(_iter_versions(parts, space))
    raw, stored = space.raw, space.stored
    wanted = [
        one
        for one in every
        if ref is None
        or numbers is None
        or (one.artifact == ref.artifact and one.number in numbers)
    ]
    count = space.chunk_count
    users = np.zeros(count, np.int32)
    for one in every:
        users[one.chunks] += 1
    asked = np.zeros(count, np.int32)
    for one in wanted:
        asked[one.chunks] += 1
    together = np.flatnonzero(asked)
    alone = np.flatnonzero((asked > 0) & (asked == users))
    sizes = [
        one.size for folder in (keys.BLOBS, keys.META) for one in parts.backend.list_objects(folder)
    ]
    return Usage(
        logical_bytes=sum(one.logical_bytes for one in wanted),
        unique_bytes=int(raw[together].sum()),
        stored_bytes=round(stored[together].sum()),
        exclusive_bytes=round(stored[alone].sum()),
        versions=tuple(_version_usage(raw, stored, one, users) for one in wanted),
        store_bytes=sum(sizes),
        blobs=len(sizes),
    )


def _version_usage(
    raw: Int64s, stored: NDArray[np.float64], one: _Chunks, users: NDArray[np.int32]
) -> VersionUsage:
    alone = one.chunks[users[one.chunks] == 1]
    return VersionUsage(
        artifact=str(one.artifact),
        number=one.number,
        logical_bytes=one.logical_bytes,
        unique_bytes=int(raw[one.chunks].sum()),
        stored_bytes=round(stored[one.chunks].sum()),
        exclusive_bytes=round(stored[alone].sum()),
    )


class _Space:
    """Numbers every chunk of every blob that versions speak of, with its raw and stored bytes."""

    def __init__(self, parts: StoreParts) -> None:
        self._parts = parts
        self._blobs = BlobList()
        self._first: dict[int, int] = {}
        self._raw: list[Int64s] = []
        self._stored: list[NDArray[np.float64]] = []
        self.chunk_count = 0

    @property
    def raw(self) -> Int64s:
        return np.concatenate([np.zeros(0, np.int64), *self._raw])

    @property
    def stored(self) -> NDArray[np.float64]:
        return np.concatenate([np.zeros(0, np.float64), *self._stored])

    def chunks_of(self, pages: VersionPages) -> Int64s:
        found: list[Int64s] = [np.zeros(0, np.int64)]
        for page in pages.iter_pages():
            rows = self._blobs.rows_of(page.blob_ids, page.blob_sizes, page.table_offsets, 0)
            starts = np.array([self._first_chunk(row) for row in rows.tolist()] or [0], np.int64)
            real = page.extent_blobs != HOLE
            first = starts[page.extent_blobs[real]] + page.extent_first[real]
            counts = page.extent_chunks[real].astype(np.int64)
            ends = np.cumsum(counts)
            total = int(ends[-1]) if len(ends) else 0
            spread = np.arange(total) + np.repeat(first - (ends - counts), counts)
            found.append(np.unique(spread))
        return np.unique(np.concatenate(found))

    def _first_chunk(self, row: int) -> int:
        if row not in self._first:
            table = self._parts.tables.read(self._blobs.ref(row))
            raw = table.chunk_lengths.astype(np.int64)
            share = table.frame_stored / np.maximum(table.frame_raw, 1)
            self._raw.append(raw)
            # A chunk's part of its frame's payload, and its entry in the frame's head.
            self._stored.append(raw * share[table.chunk_frames] + CHUNK_BYTES)
            self._first[row] = self.chunk_count
            self.chunk_count += len(raw)
        return self._first[row]


def _iter_versions(parts: StoreParts, space: _Space) -> Iterator[_Chunks]:
    for artifact in list_artifacts(parts.backend):
        listing = list_slots(parts.backend, artifact)
        for number in sorted(listing.slots):
            if read_last_move(parts.backend, listing, number) is MoveKind.PURGE:
                continue
            record = read_slot(parts.backend, artifact, number)
            if isinstance(record, VersionRecord):
                root = read_root_location(parts.backend, listing, record)
                chunks = space.chunks_of(VersionPages(parts, record, root))
                yield _Chunks(artifact, number, record.totals.size, chunks)


def _wanted_numbers(parts: StoreParts, ref: Ref) -> frozenset[int]:
    """The versions that a reference asks for: all of the artifact where it names none.

    Raises:
        NotFoundError: there is none.
    """
    if ref.number is None and ref.alias is None and ref.digest_prefix is None:
        slots = list_slots(parts.backend, ref.artifact).slots
        if not slots:
            raise unknown_artifact(parts.backend, ref.artifact)
        return slots
    return frozenset({resolve_record(parts, ref).record.number})
