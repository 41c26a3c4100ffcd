"""Columns that pages and roots share: NUL-joined paths, and the table of blobs.

Spec: specs/format/06-manifest.md
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from itertools import islice
from typing import Any

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

from cas.errors import REPAIR_HINT, CasError, CorruptionError, ErrorCode, InvalidInputError
from cas.format.encoding import (
    MAX_PAGE_BYTES,
    Buffer,
    malformed,
    pack_map,
    unpack_map,
    unsupported,
)
from cas.format.fields import FieldReader
from cas.model.ids import PageId

FORMAT_VERSION = 1

_NUL, _SLASH, _DOT = 0, 0x2F, 0x2E


def pack_manifest(kind: str, fields: dict[str, Any]) -> bytes:
    """Return a page or root: a msgpack map that says what it is."""
    return pack_map({"format": kind, "version": FORMAT_VERSION, **fields})


def open_manifest(content: Buffer, page_id: PageId | None, *, kind: str) -> tuple[FieldReader, str]:
    """Return a reader of the fields of a page or root, and what to call it in errors.

    Raises:
        CorruptionError: it is not what `page_id` vouches for, or no manifest of that kind.
        UnsupportedError: it has a later format.
    """
    what = kind if page_id is None else f"{kind} {page_id.short}"
    if len(content) > MAX_PAGE_BYTES:
        raise malformed(what, f"{len(content)} bytes, the limit is {MAX_PAGE_BYTES}")
    if page_id is not None:
        actual = blake3(content).digest()
        if actual != page_id.raw:
            raise CorruptionError(
                f"{what}: its digest is {actual[:6].hex()}",
                code=ErrorCode.DIGEST_MISMATCH,
                hint=REPAIR_HINT,
            )
    fields = FieldReader(unpack_map(content, what=what), what)
    found = fields.text("format")
    if found != kind:
        raise malformed(what, f"is a {found[:20]!r}, not a {kind}")
    version = fields.integer("version")
    if version != FORMAT_VERSION:
        raise unsupported(what, f"{kind} format {version}, this cas knows {FORMAT_VERSION}")
    return fields, what


def check_readable(kind: str, content: bytes, decode: Callable[[bytes, None], object]) -> bytes:
    """Return `content` if a reader would take it: what no reader takes must never be stored.

    Raises:
        InvalidInputError: it is over 16 MiB.
        ValueError: it breaks a rule of the format, which is a mistake of the caller's code.
    """
    if len(content) > MAX_PAGE_BYTES:
        raise InvalidInputError(
            f"a {kind} of {len(content)} bytes is over the limit of {MAX_PAGE_BYTES}",
            code=ErrorCode.INVALID_OPTION,
            hint="split the largest file or the version into several",
        )
    try:
        decode(content, None)
    except CasError as error:
        raise ValueError(f"not a {kind} that can be stored: {error}") from error
    return content


def join_paths(paths: list[bytes]) -> bytes:
    """Return paths as one run of bytes with a NUL between two."""
    return b"\0".join(paths)


def split_paths_column(joined: bytes, count: int, what: str) -> list[bytes]:
    """Return the `count` paths of a column, which are safe and strictly increasing.

    Raises:
        CorruptionError: they are not. A component is never empty, `.` or `..`.
    """
    if joined.count(0) != max(count - 1, 0) or (count == 0 and joined):
        raise malformed(what, f"its paths are not {count}")
    paths = joined.split(b"\0") if count else []
    check_paths(paths, joined, what)
    return paths


def check_paths(paths: list[bytes], joined: bytes, what: str) -> None:
    """Refuse paths that are unsafe or not strictly increasing; `joined` is `join_paths(paths)`.

    Raises:
        CorruptionError: naming the first offender.
    """
    if not paths:
        return
    if not all(map(operator.lt, paths, islice(paths, 1, None))):
        row = next(i for i in range(1, len(paths)) if paths[i - 1] >= paths[i])
        raise malformed(what, f"its paths are not in order at {_shown(paths[row])}")
    # One pass over all paths at once: where separators stand tells how long components are.
    octets = np.frombuffer(b"\0" + joined + b"\0", np.uint8)
    ends = np.flatnonzero((octets == _NUL) | (octets == _SLASH))
    lengths = np.diff(ends) - 1
    starts = ends[:-1] + 1
    bad = lengths == 0
    ones = np.flatnonzero(lengths == 1)
    bad[ones] = octets[starts[ones]] == _DOT
    twos = np.flatnonzero(lengths == 2)
    bad[twos] = (octets[starts[twos]] == _DOT) & (octets[starts[twos] + 1] == _DOT)
    if bad.any():
        at = int(starts[np.flatnonzero(bad)[0]]) - 1
        row = joined[:at].count(0)
        raise malformed(what, f"the path {_shown(paths[row])} is not safe")


def _shown(path: bytes) -> str:
    return repr(path[:80].decode("utf-8", "backslashreplace"))


def check_sums(counts: NDArray[Any], total: int, what: str, problem: str) -> NDArray[np.int64]:
    """Return where each group begins in a column of `total` rows, and at the end `total`.

    Raises:
        CorruptionError: the counts do not add up to `total`.
    """
    starts = np.zeros(len(counts) + 1, np.int64)
    np.cumsum(counts, dtype=np.int64, out=starts[1:])
    if int(starts[-1]) != total:
        raise malformed(what, problem)
    return starts


def blob_columns(
    blob_ids: NDArray[np.uint8],
    blob_sizes: NDArray[np.uint32],
    table_offsets: NDArray[np.uint32],
) -> dict[str, Any]:
    """Return the fields of a table of blobs."""
    return {
        "blob_ids": np.ascontiguousarray(blob_ids, np.uint8).tobytes(),
        "blob_sizes": np.ascontiguousarray(blob_sizes, "<u4").tobytes(),
        "table_offsets": np.ascontiguousarray(table_offsets, "<u4").tobytes(),
    }


def read_blob_columns(
    fields: FieldReader,
) -> tuple[NDArray[np.uint8], NDArray[np.uint32], NDArray[np.uint32]]:
    """Return ids, sizes and table offsets of a table of blobs."""
    ids = fields.ids("blob_ids", None)
    return (
        ids,
        fields.column("blob_sizes", np.uint32, len(ids)),
        fields.column("table_offsets", np.uint32, len(ids)),
    )
