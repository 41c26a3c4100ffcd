"""Manifest pages and roots on a backend: read by location and verified, written as meta blobs.

Spec: specs/format/06-manifest.md
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from blake3 import blake3

from cas.backend.base import Backend
from cas.compression.codec import Codec, encode
from cas.errors import CorruptionError, ErrorCode
from cas.format import keys
from cas.format.blob import HEADER_BYTES, frame_length
from cas.format.manifest import Page, Root, decode_page, decode_root, place_root
from cas.model.entry import PageLocation
from cas.model.ids import BlobId, PageId, SessionId
from cas.objects.blobs import (
    BLOB_KIND_META,
    AssembledBlob,
    EncodedFrame,
    assemble_blob,
    decode_meta_frame,
    read_meta_range,
    write_blob,
)
from cas.objects.root_ahead import root_span

CACHED_PAGES = 64
# Stands in a root for the blob in which it lies itself.
OWN_BLOB = BlobId(bytes(32))
# A reader fetches pages one by one; larger blobs would only make writing them less parallel.
TARGET_META_BLOB_BYTES = 16 << 20


class PageReader:
    """Reads pages and roots, and keeps the latest ones. Thread-safe."""

    def __init__(self, backend: Backend, cached_pages: int = CACHED_PAGES) -> None:
        self._backend = backend
        self._cached_pages = cached_pages
        self._lock = threading.Lock()
        self._cache: OrderedDict[bytes, Page | Root] = OrderedDict()
        self._before_root: _Span | None = None

    def read_page(self, location: PageLocation) -> Page:
        """Return a verified page.

        Raises:
            CorruptionError: it is missing, or not what its id vouches for.
            BackendError: the storage failed.
        """
        cached = self._cached(location.page_id)
        if isinstance(cached, Page):
            return cached
        page = decode_page(self.read_content(location), location.page_id)
        self._keep(location.page_id, page)
        return page

    def read_root(self, location: PageLocation) -> Root:
        """Return a verified root; raises as `read_page` does.

        Pages of a small version stand right before its root: where a request costs more than some
        bytes more, they are fetched with it.
        """
        cached = self._cached(location.page_id)
        if isinstance(cached, Root):
            return cached
        if not self._backend.capabilities.local:
            start, stop = root_span(location)
            content = read_meta_range(self._backend, location.blob_id, start, stop)
            self._before_root = _Span(location.blob_id, start, content)
        root = place_root(decode_root(self.read_content(location), location.page_id), location)
        self._keep(location.page_id, root)
        return root

    def read_content(self, location: PageLocation) -> bytes:
        """Return the raw bytes of a page or root, which are those that its id vouches for.

        Raises as `read_page` does.
        """
        blob_id, start = location.blob_id, location.offset
        stop = start + location.length
        span = self._before_root
        content = span.slice(blob_id, start, stop) if span is not None else None
        if content is None:
            content = read_meta_range(self._backend, blob_id, start, stop)
        raw = decode_meta_frame(blob_id, start, content)
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
class AssembledManifest:
    """Where the root will lie, and the blobs that hold it and the new pages."""

    root: PageLocation
    blobs: list[AssembledBlob]


def assemble_manifest(
    session: SessionId,
    contents: Sequence[bytes],
    encode_root: Callable[[Sequence[PageLocation]], bytes],
) -> AssembledManifest:
    """Lay raw pages out in meta blobs, one page a frame, and the root behind the last ones.

    Writes nothing.

    Args:
        session: the writer's.
        contents: the pages that are not stored yet.
        encode_root: makes the root, given where these pages will lie; those in the root's own blob
            have `OWN_BLOB` and no size.
    """
    locations: list[PageLocation] = []
    blobs: list[AssembledBlob] = []
    batch: list[EncodedFrame] = []
    size = 0
    for content in contents:
        batch.append(_page_frame(content))
        size += len(batch[-1].payload)
        if size >= TARGET_META_BLOB_BYTES:
            blob = assemble_blob(BLOB_KIND_META, session, batch)
            blobs.append(blob)
            locations += _locate(batch, blob.blob_id, blob.size)
            batch, size = [], 0
    root = _page_frame(encode_root([*locations, *_locate(batch, OWN_BLOB, 0)]))
    batch.append(root)
    blob = assemble_blob(BLOB_KIND_META, session, batch)
    return AssembledManifest(_locate(batch, blob.blob_id, blob.size)[-1], [*blobs, blob])


def write_meta_blob(backend: Backend, blob: AssembledBlob) -> None:
    """Write a meta blob; when this returns it is durable."""
    write_blob(backend, BLOB_KIND_META, blob)


def _page_frame(content: bytes) -> EncodedFrame:
    codec, payload = Codec.ZSTD, encode(content, Codec.ZSTD, 0)
    if len(payload) >= len(content):
        codec, payload = Codec.RAW, content
    return EncodedFrame(codec, 0, payload, len(content), blake3(content).digest(), (len(content),))


def _locate(batch: Sequence[EncodedFrame], blob_id: BlobId, blob_size: int) -> list[PageLocation]:
    """Say where the pages of a blob lie in it."""
    locations = []
    offset = HEADER_BYTES
    for frame in batch:
        length = frame_length(1, len(frame.payload))
        locations.append(
            PageLocation(
                page_id=PageId(frame.chunk_ids),
                blob_id=blob_id,
                blob_size=blob_size,
                offset=offset,
                length=length,
            )
        )
        offset += length
    return locations


@dataclass(frozen=True, slots=True)
class _Span:
    """Bytes of a meta blob that were fetched with others."""

    blob_id: BlobId
    start: int
    content: bytes

    def slice(self, blob_id: BlobId, start: int, stop: int) -> bytes | None:
        """Return a range of a blob, or None if it is not all here."""
        if blob_id != self.blob_id or start < self.start or stop - self.start > len(self.content):
            return None
        return self.content[start - self.start : stop - self.start]
