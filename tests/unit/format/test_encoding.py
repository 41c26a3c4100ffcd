"""Limits and checks that every record passes."""

from __future__ import annotations

import struct
import tracemalloc
import zlib

import msgpack
import numpy as np
import pytest
import zstandard

from cas.errors import CorruptionError, InvalidInputError, UnsupportedError
from cas.format.encoding import (
    MAX_WINDOW_BYTES,
    array_field,
    column,
    decompress_exact,
    ids_field,
    is_increasing,
    pack_map,
    pack_record,
    sortable_ids,
    unpack_map,
    unpack_record,
    view_column,
)

MAGIC = b"TEST"


def unpack(content, limit=1000):
    return unpack_record(MAGIC, content, what="it", limit=limit)


def test_record_has_the_bytes_of_the_specification():
    """Magic, version 1, msgpack, and the crc32 of all of it."""
    body = b"TEST\x01" + msgpack.packb({"a": 1})

    assert pack_record(MAGIC, {"a": 1}) == body + struct.pack("<I", zlib.crc32(body))


def test_fields_keep_their_order():
    """Reading and writing again gives the same bytes."""
    fields = {"z": 1, "a": [b"\0", "x", None, True, -1, 0.5], "m": {"k": {}}}

    assert list(unpack(pack_record(MAGIC, fields))) == ["z", "a", "m"]
    assert unpack(pack_record(MAGIC, fields)) == fields


@pytest.mark.parametrize("position", range(9))
def test_flipped_byte_is_refused(position):
    """The checksum covers all of a record."""
    content = bytearray(pack_record(MAGIC, {"a": 1}))
    content[position] ^= 1

    with pytest.raises(CorruptionError, match=r"^it: "):
        unpack(bytes(content))


def test_later_version_is_refused_by_number():
    """A record of a later format is no damage."""
    body = b"TEST\x02\x80"

    with pytest.raises(UnsupportedError, match="format version 2"):
        unpack(body + struct.pack("<I", zlib.crc32(body)))


def test_record_over_its_limit_is_refused_unread():
    """Length comes before everything else."""
    with pytest.raises(CorruptionError, match="21 bytes, not 10 to 20"):
        unpack(bytes(21), limit=20)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (msgpack.packb([1]), "not a msgpack map"),
        (msgpack.packb({1: 2}), "not msgpack"),
        (msgpack.packb({b"a": 2}), "a map key that is not text"),
        (b"\x81\xa1a", "not msgpack"),
        (msgpack.packb({}) + b"\0", "not msgpack"),
        (msgpack.packb({"a": msgpack.Timestamp(1)}), "not msgpack|Timestamp"),
        (msgpack.packb({"a": msgpack.ExtType(5, b"x")}), "not msgpack"),
        (b"\x81\xa1a\xa1\xff", "not msgpack"),
        (b"\x81\xa1a\xdd\xff\xff\xff\xff", "not msgpack"),
        (b"\x81\xa1a\xc6\xff\xff\xff\xff", "not msgpack"),
        (b"\x81\xa1a" + b"\x91" * 2000, "not msgpack"),
        (msgpack.packb({"a": [[[[[[[[1]]]]]]]]}), "nested deeper than 8"),
        (b"", "not msgpack"),
    ],
)
def test_map_that_breaks_a_rule_is_refused(content, problem):
    """Nothing but maps, lists, numbers, text and bytes, to a depth of 8."""
    with pytest.raises(CorruptionError, match=problem):
        unpack_map(content, what="it")


def test_nest_of_long_arrays_allocates_little():
    """A header that promises items does not get memory for them."""
    content = b"\x81\xa1a" + b"\xdd\x00\x00\xff\xff" * 400
    tracemalloc.start()

    with pytest.raises(CorruptionError):
        unpack_map(content, what="it")

    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 300 << 20


@pytest.mark.parametrize("value", [{1, 2}, 1 << 64, "\ud800", object()])
def test_value_without_a_stored_form_is_the_callers_mistake(value):
    """What msgpack cannot hold is refused when it is written."""
    with pytest.raises(InvalidInputError, match="cannot be stored"):
        pack_map({"a": value})


def test_column_is_little_endian_and_read_only():
    """Numbers come back from their packed bytes, and nobody can change them."""
    fields = {"a": column(np.array([1, 258]), "<u4")}

    array = array_field(fields, "a", np.uint32, 2, "it")

    assert (fields["a"], array.tolist()) == (b"\1\0\0\0\2\1\0\0", [1, 258])
    assert not array.flags.writeable


def test_column_that_is_not_aligned_is_copied():
    """Columns may begin anywhere."""
    array = view_column(b"\0\1\0\0\0", np.uint32, 1, 1)

    assert (array.tolist(), array.flags.aligned, array.flags.writeable) == ([1], True, False)


@pytest.mark.parametrize("fields", [{}, {"a": [1]}, {"a": b"123"}, {"a": b"12345678"}])
def test_column_of_another_length_is_refused(fields):
    """A column has exactly the numbers that the rest of the record promises."""
    with pytest.raises(CorruptionError, match=r"^it: a "):
        array_field(fields, "a", np.uint32, 1, "it")


def test_ids_that_are_not_whole_are_refused():
    """A column of ids has 32 bytes for each."""
    with pytest.raises(CorruptionError, match="not whole ids"):
        ids_field({"a": bytes(33)}, "a", None, "it")


def test_ids_compare_by_all_their_bytes():
    """Zeros at the end, and bytes over 127, are ordered as bytes are."""
    raw = sorted([bytes(32), b"\x80" + bytes(31), b"\x7f" * 32, b"\xff" * 32, bytes(31) + b"\1"])
    ids = np.frombuffer(b"".join(raw), np.uint8).reshape(-1, 32)

    assert is_increasing(sortable_ids(ids))
    assert not is_increasing(sortable_ids(ids[::-1]))
    assert not is_increasing(sortable_ids(ids[[0, 0]]))


def test_zstd_of_exactly_the_promised_size_is_read():
    """Raw size, stated size and real size are one."""
    packed = zstandard.ZstdCompressor().compress(b"abc" * 100)

    assert decompress_exact(packed, 300, 300, "it") == b"abc" * 100


def zstd_cases():
    whole = zstandard.ZstdCompressor().compress(bytes(300))
    unsized = zstandard.ZstdCompressor(write_content_size=False).compress(bytes(300))
    wide = zstandard.ZstdCompressionParameters(window_log=24)
    stream = zstandard.ZstdCompressor(compression_params=wide).compressobj(size=20 << 20)
    huge = stream.compress(bytes(20 << 20)) + stream.flush()
    lies = bytearray(whole)
    lies[5] ^= 1
    return {
        "another size": (whole, 299),
        "over the limit": (whole, 30 << 20),
        "nothing": (whole, 0),
        "cut off": (whole[:-1], 300),
        "followed by something": (whole + b"\0", 300),
        "size not stated": (unsized, 300),
        "wide window": (huge, 20 << 20),
        "stated size is a lie": (bytes(lies), 301),
        "no zstd": (b"abcdefgh", 300),
    }


@pytest.mark.parametrize("case", zstd_cases().values(), ids=zstd_cases())
def test_zstd_that_is_anything_else_is_refused(case):
    """Nothing is decompressed on its own word."""
    with pytest.raises(CorruptionError, match=r"^it: "):
        decompress_exact(*case, 24 << 20, "it")


def test_window_limit_leaves_room_for_what_is_written():
    """Tables and pages at the levels in use stay under it."""
    packed = zstandard.ZstdCompressor(level=19).compress(bytes(4 << 20))

    assert zstandard.get_frame_parameters(packed).window_size <= MAX_WINDOW_BYTES
