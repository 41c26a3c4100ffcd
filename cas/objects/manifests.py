"""Manifest pages and roots on a backend: read by location and verified, written as meta blobs.

Spec: specs/format/06-manifest.md
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from blake3 import blake3

from cas.backend.base import Backend
from cas.compression.codec import Codec, encode
from cas.errors import CorruptionError, ErrorCode
from cas.format import keys
from cas.format.blob import frame_length
from cas.format.manifest import Page, Root, decode_page, decode_root
from cas.model.entry import PageLocation
from cas.model.ids import PageId, SessionId
from cas.objects.blobs import (
    BLOB_KIND_META,
    AssembledBlob,
    EncodedFrame,
    assemble_blob,
    read_meta_frame,
    write_blob,
)

CACHED_PAGES = 64
# A reader fetches pages one by one; larger blobs would only make writing them less parallel.
TARGET_META_BLOB_BYTES = 16 << 20


class PageReader:
    """Reads pages and roots, and keeps the latest ones. Thread-safe."""

    def __init__(self, backend: Backend, cached_pages: int = CACHED_PAGES) -> None:
        self._backend = backend
        self._cached_pages = cached_pages
        self._lock = threading.Lock()
        self._cache: OrderedDict[bytes, Page | Root] = OrderedDict()

    def read_page(self, location: PageLocation) -> Page:
        """Return a verified page.

        Raises:
            CorruptionError: it is missing, or not what its id vouches for.
            BackendError: the storage failed.
        """
        cached = self._cached(location.page_id)
        if isinstance(cached, Page):
            return cached
        page = decode_page(self._read(location), location.page_id)
        self._keep(location.page_id, page)
        return page

    def read_root(self, location: PageLocation) -> Root:
        """Return a verified root; raises as `read_page` does."""
        cached = self._cached(location.page_id)
        if isinstance(cached, Root):
            return cached
        root = decode_root(self._read(location), location.page_id)
        self._keep(location.page_id, root)
        return root

    def _read(self, location: PageLocation) -> bytes:
        raw = read_meta_frame(self._backend, location.blob_id, location.offset, location.length)
        if blake3(raw).digest() != location.page_id.raw:
            raise CorruptionError(
                f"{keys.meta_key(location.blob_id)} at {location.offset}: "
                f"page is not {location.page_id.short}",
                code=ErrorCode.DIGEST_MISMATCH,
                hint="the store is damaged there; put the data again or restore the blob",
            )
        return bytes(raw)

    def _cached(self, page_id: PageId) -> Page | Root | None:
        with self._lock:
            found = self._cache.get(page_id.raw)
            if found is not None:
                self._cache.move_to_end(page_id.raw)
            return found

    def _keep(self, page_id: PageId, page: Page | Root) -> None:
        with self._lock:
            self._cache[page_id.raw] = page
            while len(self._cache) > self._cached_pages:
                self._cache.popitem(last=False)


@dataclass(frozen=True, slots=True)
class WrittenPages:
    """Where pages went, in the order given, and what was sent for them."""

    locations: list[PageLocation]
    blobs: list[AssembledBlob]


def assemble_pages(session: SessionId, contents: Sequence[bytes]) -> WrittenPages:
    """Lay raw pages out in meta blobs, one page a frame. Writes nothing."""
    locations: list[PageLocation] = []
    blobs: list[AssembledBlob] = []
    batch: list[EncodedFrame] = []
    size = 0
    for content in contents:
        batch.append(_page_frame(content))
        size += len(batch[-1].payload)
        if size >= TARGET_META_BLOB_BYTES:
            _close_batch(session, batch, locations, blobs)
            batch, size = [], 0
    if batch:
        _close_batch(session, batch, locations, blobs)
    return WrittenPages(locations, blobs)


def write_meta_blob(backend: Backend, blob: AssembledBlob) -> None:
    """Write a meta blob; when this returns it is durable."""
    write_blob(backend, BLOB_KIND_META, blob)


def _page_frame(content: bytes) -> EncodedFrame:
    codec, payload = Codec.ZSTD, encode(content, Codec.ZSTD, 0)
    if len(payload) >= len(content):
        codec, payload = Codec.RAW, content
    return EncodedFrame(codec, 0, payload, len(content), blake3(content).digest(), (len(content),))


def _close_batch(
    session: SessionId,
    batch: list[EncodedFrame],
    locations: list[PageLocation],
    blobs: list[AssembledBlob],
) -> None:
    blob = assemble_blob(BLOB_KIND_META, session, batch)
    blobs.append(blob)
    offsets = blob.table.frame_offsets.tolist()
    locations += [
        PageLocation(
            page_id=PageId(frame.chunk_ids),
            blob_id=blob.blob_id,
            blob_size=blob.size,
            offset=offset,
            length=frame_length(1, len(frame.payload)),
        )
        for offset, frame in zip(offsets, batch, strict=True)
    ]
