"""Pages read by those who judge a store: what looks like a later format is compared with its table."""

from __future__ import annotations

import numpy as np

from cas.backend.base import Backend
from cas.errors import CorruptionError, ErrorCode, UnsupportedError
from cas.format.blob import decode_frame
from cas.model.entry import PageLocation
from cas.objects.blobs import read_meta_range
from cas.objects.examine_blob import BlobTarget, read_table
from cas.objects.manifests import PageReader


class CheckedPageReader(PageReader):
    """Reads pages; a damaged head of a frame is damage, even if it names a codec of the future."""

    def __init__(self, backend: Backend, cached_pages: int = 64) -> None:
        super().__init__(backend, cached_pages)
        self._origin = backend

    def read_content(self, location: PageLocation) -> bytes:
        """Return the verified bytes of a page or root; raises as `PageReader` does."""
        try:
            return super().read_content(location)
        except UnsupportedError as error:
            if self._is_damaged(location):
                raise CorruptionError(
                    f"page {location.page_id.short}: the head of its frame is not what its table says",
                    code=ErrorCode.MALFORMED_OBJECT,
                ) from error
            raise

    def _is_damaged(self, location: PageLocation) -> bool:
        """Tell whether the frame of a page is not the one that the table of its blob describes."""
        stop = location.offset + location.length
        content = read_meta_range(self._origin, location.blob_id, location.offset, stop)
        head = decode_frame(content, what=f"page {location.page_id.short}")
        target = BlobTarget(location.blob_id.raw, True, location.blob_size, 0)
        table = read_table(self._origin, target)
        rows = np.flatnonzero(table.frame_offsets == location.offset)
        return not any(
            (table.frame_codecs[row], table.frame_params[row]) == (head.codec, head.param)
            for row in rows
        )
