"""Names for ranges of stored files by their chunks: ranges of one name have the same bytes."""

from __future__ import annotations

import numpy as np
from blake3 import blake3

from cas.errors import CorruptionError
from cas.objects.blobs import TableReader
from cas.transfer.file_chunks import FileChunks, chunks_of
from cas.transfer.reading import FileContent


def read_chunks(tables: TableReader, content: FileContent) -> FileChunks | None:
    """Return the chunks of a file by which ranges can be named; None of one that is tiny, empty or
    has holes, or of which a blob is not where it was: whoever reads the file then finds out why.
    """
    try:
        chunks = chunks_of(tables, content)
    except CorruptionError:
        return None
    return None if chunks is None or not len(chunks.ids) or chunks.has_holes else chunks


def name_range(chunks: FileChunks, start: int, stop: int) -> bytes:
    """Return what only equal ranges of files share: the chunks that bytes `start` to `stop` touch,
    and where in the first of them they begin. The range must not be empty.
    """
    inside = chunks.within(start, stop)
    hasher = blake3(f"{-int(inside.starts[0])} {stop - start} ".encode())
    return hasher.update(np.ascontiguousarray(inside.ids).data).digest()
