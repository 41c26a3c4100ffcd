"""Manifest pages and roots on a backend: read by location and verified, written as meta blobs.

Spec: specs/format/06-manifest.md
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

from cas.backend.base import Backend
from cas.compression.codec import Codec, encode
from cas.errors import REPAIR_HINT, CorruptionError, ErrorCode
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
    read_checked,
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
        cached = self._cached(location.page_id.raw)
        if isinstance(cached, Page):
            return cached
        page = decode_page(self.read_content(location), location.page_id)
        self._keep(location.page_id.raw, page)
        return page

    def read_root(self, location: PageLocation) -> Root:
        """Return a verified root; raises as `read_page` does.

        Pages of a small version stand right before its root: where a request costs more than some
        bytes more, they are fetched with it.
        """
        # The same root in another blob names that blob for the pages that lie with it.
        key = location.page_id.raw + location.blob_id.raw
        cached = self._cached(key)
        if isinstance(cached, Root):
            return cached
        if not self._backend.capabilities.local:
            start, stop = root_span(location)
            content = read_meta_range(self._backend, location.blob_id, start, stop)
            self._before_root = _Span(location.blob_id, start, content)
        root = place_root(decode_root(self.read_content(location), location.page_id), location)
        self._keep(key, root)
        return root

    def read_content(self, location: PageLocation) -> bytes:
        """Return the raw bytes of a page or root, which are those that its id vouches for.

        Raises as `read_page` does.
        """
        blob_id, start = location.blob_id, location.offset
        stop = start + location.length
        span = self._before_root
        content = span.slice(blob_id, start, stop) if span is not None else None
        if content is not None:
            with suppress(CorruptionError):
                return _check_page(location, content)
        key = keys.meta_key(blob_id)
        return read_checked(
            self._backend, key, start, stop, lambda content: _check_page(location, content)
        )

    def kept(self) -> list[tuple[bytes, Page | Root]]:
        """Return what is kept, the latest last, for `keep` of another reader of the same store.

        Takes no lock, which a forked child could find taken: copying is one step.
        """
        return list(self._cache.copy().items())

    def keep(self, kept: Iterable[tuple[bytes, Page | Root]]) -> None:
        """Keep what another reader has read and verified."""
        for key, page in kept:
            self._keep(key, page)

    def _cached(self, key: bytes) -> Page | Root | None:
        with self._lock:
            found = self._cache.get(key)
            if found is not None:
                self._cache.move_to_end(key)
            return found

    def _keep(self, key: bytes, page: Page | Root) -> None:
        with self._lock:
            self._cache[key] = page
            while len(self._cache) > self._cached_pages:
                self._cache.popitem(last=False)


def _check_page(location: PageLocation, content: bytes) -> bytes:
    """Return the raw page of a frame."""
    raw = decode_meta_frame(location.blob_id, location.offset, content)
    if blake3(raw).digest() != location.page_id.raw:
        raise CorruptionError(
            f"{keys.meta_key(location.blob_id)} at {location.offset}: "
            f"page is not {location.page_id.short}",
            code=ErrorCode.DIGEST_MISMATCH,
            hint=REPAIR_HINT,
        )
    return bytes(raw)


@dataclass(frozen=True, slots=True)
class AssembledManifest:
    """Where the root will lie, and the blobs that hold it and the new pages."""

    root: PageLocation
    blobs: list[AssembledBlob]


class ManifestLayout:
    """Lays raw pages out in meta blobs, one page a frame, and the root behind the last ones.

    Writes nothing. Used once, by one thread.

    Attributes:
        locations: where the pages lie that were added, in that order, as far as their blobs are
            full; after `finish` all of them.
    """

    def __init__(self, session: SessionId) -> None:
        self._session = session
        self._batch: list[EncodedFrame] = []
        self._size = 0
        self.locations: list[PageLocation] = []

    def add(self, content: bytes) -> AssembledBlob | None:
        """Add a page; return a blob if that made one full."""
        self._batch.append(_page_frame(content))
        self._size += len(self._batch[-1].payload)
        if self._size < TARGET_META_BLOB_BYTES:
            return None
        return self._close()

    def finish(
        self, encode_root: Callable[[Sequence[PageLocation]], bytes]
    ) -> tuple[PageLocation, AssembledBlob]:
        """Add the root; return where it lies, and the blob in which it does.

        Args:
            encode_root: makes the root, given where the pages lie; those in the root's own blob
                have `OWN_BLOB` and no size.
        """
        root = encode_root([*self.locations, *_locate(self._batch, OWN_BLOB, 0)])
        self._batch.append(_page_frame(root))
        blob = self._close()
        return self.locations.pop(), blob

    def _close(self) -> AssembledBlob:
        blob = assemble_blob(BLOB_KIND_META, self._session, self._batch)
        self.locations += _locate(self._batch, blob.blob_id, blob.size)
        self._batch, self._size = [], 0
        return blob


def assemble_manifest(
    session: SessionId,
    contents: Sequence[bytes],
    encode_root: Callable[[Sequence[PageLocation]], bytes],
) -> AssembledManifest:
    """Lay out the pages that are not stored yet, and a root; see `ManifestLayout`."""
    layout = ManifestLayout(session)
    blobs = [blob for blob in map(layout.add, contents) if blob is not None]
    root, last = layout.finish(encode_root)
    return AssembledManifest(root, [*blobs, last])


def located_columns(locations: Sequence[PageLocation]) -> dict[str, Any]:
    """Return the columns of a root that say which pages there are and where each lies."""
    blobs: dict[bytes, tuple[int, int]] = {}
    rows = [blobs.setdefault(one.blob_id.raw, (len(blobs), one.blob_size))[0] for one in locations]
    return {
        "page_ids": _rows_of_ids(one.page_id.raw for one in locations),
        "page_blobs": np.array(rows, np.uint32),
        "page_offsets": np.array([one.offset for one in locations], np.uint32),
        "page_lengths": np.array([one.length for one in locations], np.uint32),
        "blob_ids": _rows_of_ids(blobs),
        "blob_sizes": np.array([size for _, size in blobs.values()], np.uint32),
        "table_offsets": np.zeros(len(blobs), np.uint32),
    }


def _rows_of_ids(ids: Iterable[bytes]) -> NDArray[np.uint8]:
    return np.frombuffer(b"".join(ids), np.uint8).reshape(-1, 32)


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
