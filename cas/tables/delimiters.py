"""What stands between the cells of a CSV file: found in its first line.

DuckDB would guess from many lines and all they may mean: it was seen to skip lines that begin with
`#`, and to take lines of different lengths for one column, without a word.
"""

from __future__ import annotations

import re
import zlib

import zstandard

from cas.tables.served_files import Readable

_HEAD_BYTES = 64 << 10
_CANDIDATES = (",", ";", "\t", "|")
_QUOTED = re.compile(rb'"[^"]*("|$)')
_ZLIB_WITH_GZIP_HEAD = 31


def find_delimiter(content: Readable, compression: str) -> str:
    """Return the character that stands most often in the first line, outside of quotes; a comma if
    there is none.
    """
    head = content.read(0, _HEAD_BYTES)
    try:
        if compression == "gzip":
            head = zlib.decompressobj(_ZLIB_WITH_GZIP_HEAD).decompress(head, _HEAD_BYTES)
        elif compression == "zstd":
            head = zstandard.ZstdDecompressor().stream_reader(head).read(_HEAD_BYTES)
    except (zlib.error, zstandard.ZstdError):
        return _CANDIDATES[0]  # the database tells what is wrong
    lines = _QUOTED.sub(b"", head).splitlines()
    first = lines[0].decode("utf-8", "replace") if lines else ""
    return max(_CANDIDATES, key=first.count)
