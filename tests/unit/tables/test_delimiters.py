"""The delimiter of a CSV file is what its first line says."""

from __future__ import annotations

import pytest
import zstandard
from written_tables import Content, gzipped

from cas.tables.delimiters import find_delimiter


@pytest.mark.parametrize(
    ("head", "delimiter"),
    [
        (b"a,b;c,d\n1;2;3;4\n", ","),
        (b"a;b;c,d\n1,2,3,4\n", ";"),
        (b"a\tb\r\n", "\t"),
        (b"a|b|c", "|"),
        (b'"a,b,c";d\n', ";"),
        (b'"a\n,,,""";d;"unfinished,,,,,', ";"),
        (b"a\n1,2\n", ","),
        (b"", ","),
        (b"\xff\xfe;\n", ";"),
    ],
)
def test_the_first_line_tells(head, delimiter):
    """Outside of quotes; a comma unless it tells something else; compressed or not."""
    assert find_delimiter(Content(head), "none") == delimiter
    assert find_delimiter(Content(gzipped(head + b"\n1\n" * 90_000)), "gzip") == delimiter
    assert find_delimiter(Content(zstandard.compress(head)), "zstd") == delimiter


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_what_is_not_compressed_after_all_is_left_to_the_database(compression):
    """It says what is wrong."""
    assert find_delimiter(Content(b"a;b\n"), compression) == ","
