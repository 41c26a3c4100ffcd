"""What readers of pages and roots refuse; the vectors have more of it."""

from __future__ import annotations

import zlib
from dataclasses import replace

import msgpack
import numpy as np
import pytest
from blake3 import blake3

from cas.errors import CorruptionError, InvalidInputError, UnsupportedError
from cas.format.manifest import (
    HOLE,
    MAX_PAGE_ENTRIES,
    MODE_EXECUTABLE,
    DigestBuilder,
    GroupDigestBuilder,
    Page,
    Root,
    decode_page,
    decode_root,
    encode_page,
    encode_root,
    find_page,
    find_row,
    is_page_end,
    page_entry,
    place_root,
    root_page_location,
    split_paths,
)
from cas.model.entry import Entry, EntryKind, PageLocation, Totals
from cas.model.ids import BlobId, FileHash, PageId, VersionDigest

SMALL = {
    "paths": [b"a", b"b/c", b"d", b"e"],
    "kinds": np.array([0, 1, 2, 0], np.uint8),
    "modes": np.array([1, 0, 0, 0], np.uint8),
    "sizes": np.array([3, 1, 0, 90], np.uint64),
    "hashes": np.array([[1] * 32, [2] * 32, [0] * 32, [4] * 32], np.uint8),
    "inline_lengths": np.array([3, 1, 0, 0], np.uint32),
    "inline": b"xyza",
    "extent_counts": np.array([0, 0, 0, 2], np.uint32),
    "extent_blobs": np.array([0, HOLE], np.uint32),
    "extent_first": np.array([7, 0], np.uint32),
    "extent_chunks": np.array([2, 0], np.uint32),
    "extent_lengths": np.array([50, 40], np.uint64),
    "blob_ids": np.full((1, 32), 9, np.uint8),
    "blob_sizes": np.array([1000], np.uint32),
    "table_offsets": np.array([900], np.uint32),
}
ROOT = {
    "digest": VersionDigest(bytes(32)),
    "totals": Totals(files=2, symlinks=1, directories=1, externals=0, size=93),
    "page_ids": np.zeros((2, 32), np.uint8),
    "page_entries": np.array([3, 1], np.uint32),
    "first_paths": [b"a", b"e"],
    "page_blobs": np.array([0, 0], np.uint32),
    "page_offsets": np.array([40, 140], np.uint32),
    "page_lengths": np.array([100, 60], np.uint32),
    "blob_ids": np.full((1, 32), 9, np.uint8),
    "blob_sizes": np.array([300], np.uint32),
    "table_offsets": np.array([200], np.uint32),
}


# The one blob is that of the root itself.
OWN = {
    "blob_ids": np.zeros((1, 32), np.uint8),
    "blob_sizes": np.zeros(1, np.uint32),
    "table_offsets": np.zeros(1, np.uint32),
}


def page(**changed):
    return Page(**{**SMALL, **changed})


def root(**changed):
    return Root(**{**ROOT, **changed})


def test_entries_are_read_from_a_page():
    """Each kind has its own fields."""
    small = decode_page(encode_page(page()), None)

    assert [page_entry(small, row) for row in range(4)] == [
        Entry(
            path="a",
            kind=EntryKind.FILE,
            size=3,
            executable=True,
            hash=FileHash(b"\1" * 32),
        ),
        Entry(path="b/c", kind=EntryKind.SYMLINK, size=1, hash=FileHash(b"\2" * 32), target="a"),
        Entry(path="d", kind=EntryKind.DIRECTORY, size=0),
        Entry(path="e", kind=EntryKind.FILE, size=90, hash=FileHash(b"\4" * 32)),
    ]


def test_page_that_is_not_what_its_id_says_is_refused():
    """Nothing of a page is looked at before its hash is right."""
    with pytest.raises(CorruptionError, match=r"^page 000000000000: its digest is"):
        decode_page(encode_page(page()), PageId(bytes(32)))


def test_page_and_root_that_are_what_their_ids_say_are_taken():
    """The id is the BLAKE3 of the raw bytes."""
    for content, decode in ((encode_page(page()), decode_page), (encode_root(root()), decode_root)):
        decode(content, PageId(blake3(content).digest()))


def test_root_tells_where_each_page_lies():
    """Everything that one ranged read needs."""
    assert root_page_location(root(), 1) == PageLocation(
        page_id=PageId(bytes(32)),
        blob_id=BlobId(b"\t" * 32),
        blob_size=300,
        offset=140,
        length=60,
    )


def test_pages_beside_the_root_get_their_blob_when_the_root_is_placed():
    """A root cannot name the blob in which it lies, since that is named after its content."""
    own = decode_root(encode_root(root(**OWN)), None)
    lies_in = PageLocation(
        page_id=PageId(bytes(32)), blob_id=BlobId(b"b" * 32), blob_size=400, offset=200, length=90
    )

    placed = place_root(own, lies_in)

    assert [
        (one.blob_id, one.blob_size, one.offset)
        for one in (root_page_location(placed, 0), root_page_location(placed, 1))
    ] == [(lies_in.blob_id, 400, 40), (lies_in.blob_id, 400, 140)]
    assert place_root(root(), lies_in).blob_ids.tobytes() == b"\t" * 32


def test_pages_outside_of_the_roots_own_blob_are_refused():
    """The size is known only where the root is placed."""
    short = PageLocation(
        page_id=PageId(bytes(32)), blob_id=BlobId(b"b" * 32), blob_size=199, offset=100, length=90
    )

    with pytest.raises(CorruptionError, match="a page lies outside its blob"):
        place_root(root(**OWN), short)


def test_page_ends_after_a_chosen_path_or_when_it_is_full():
    """The path's crc32, multiplied, decides by its high bits between 1024 and 16384 entries."""
    names = (b"%d" % n for n in range(10**5))
    chosen = next(p for p in names if (zlib.crc32(p) * 0x9E3779B1) % (1 << 32) < 1 << 20)

    assert [is_page_end(chosen, n) for n in (1023, 1024)] == [False, True]
    assert [is_page_end(b"a", n) for n in (16383, 16384)] == [False, True]


def test_root_is_not_taken_for_a_page():
    """What an object is stands in it."""
    with pytest.raises(CorruptionError, match="is a 'root', not a page"):
        decode_page(encode_root(root()), None)


@pytest.mark.parametrize(
    "path",
    [b"", b"/", b"/a", b"a/", b"a//b", b".", b"..", b"./a", b"../a", b"a/.", b"a/..", b"a/../b",
     b"a/./b"],
)  # fmt: skip
def test_unsafe_path_is_refused(path):
    """No path leads out of the folder that it is put in."""
    with pytest.raises(ValueError, match="is not safe"):
        encode_page(page(paths=sorted([path, b"z1", b"z2", b"z3"])))


@pytest.mark.parametrize("path", [b"...", b".a", b"..a", b"a..", b"a.", b"a/.b/..c", b"\xff", b" "])
def test_path_that_only_looks_unsafe_is_taken(path):
    """Dots are allowed in names that are more than one or two of them."""
    names = sorted([path, b"z1", b"z2", b"z3"])

    assert decode_page(encode_page(page(paths=names)), None).paths == names


def test_first_unsafe_path_is_named():
    """The message leads to the entry."""
    with pytest.raises(ValueError, match=r"'b/\.\./c' is not safe"):
        encode_page(page(paths=[b"a", b"b/../c", b"d", b"e"]))


BROKEN = {
    "paths out of order": {"paths": [b"b", b"a", b"c", b"d"]},
    "a path twice": {"paths": [b"a", b"a", b"c", b"d"]},
    "NUL in a path": {"paths": [b"a\0b", b"c", b"d", b"e"]},
    "file shorter than its extents": {"sizes": np.array([3, 1, 0, 89], np.uint64)},
    "file longer than its bytes": {"sizes": np.array([4, 1, 0, 90], np.uint64)},
    "link longer than its target": {"sizes": np.array([3, 2, 0, 90], np.uint64)},
    "folder with a size": {"sizes": np.array([3, 1, 1, 90], np.uint64)},
    "folder with a hash": {"hashes": np.full((4, 32), 1, np.uint8)},
    "folder with bytes": {"inline_lengths": np.array([3, 0, 1, 0], np.uint32)},
    "executable link": {"modes": np.array([1, 1, 0, 0], np.uint8)},
    "link with extents": {"extent_counts": np.array([0, 1, 0, 1], np.uint32)},
    "file with bytes and extents": {
        "inline_lengths": np.array([3, 0, 0, 1], np.uint32),
        "sizes": np.array([3, 0, 0, 90], np.uint64),
    },
    "empty link": {
        "sizes": np.array([3, 0, 0, 90], np.uint64),
        "inline_lengths": np.array([3, 0, 0, 0], np.uint32),
        "inline": b"xyz",
    },
    "external without a URL": {"kinds": np.array([0, 1, 3, 0], np.uint8)},
    "bytes of nobody": {"inline": b"xyzab"},
    "extents of nobody": {"extent_counts": np.array([0, 0, 0, 1], np.uint32)},
    "counts beyond 32 bits": {"extent_counts": np.array([2**32 - 1] * 4, np.uint32)},
    "extent of no bytes": {"extent_lengths": np.array([90, 0], np.uint64)},
    "extent over 63 bits": {"extent_lengths": np.array([1 << 63, 40], np.uint64)},
    "extents that wrap around": {
        "extent_counts": np.array([0, 0, 0, 3], np.uint32),
        "extent_blobs": np.array([HOLE] * 3, np.uint32),
        "extent_first": np.zeros(3, np.uint32),
        "extent_chunks": np.zeros(3, np.uint32),
        "extent_lengths": np.array([(1 << 63) - 1, (1 << 63) - 1, 92], np.uint64),
    },
    "size over 63 bits": {"sizes": np.array([3, 1, 0, 1 << 63], np.uint64)},
    "extent of an unlisted blob": {"extent_blobs": np.array([1, HOLE], np.uint32)},
    "hole with chunks": {"extent_chunks": np.array([2, 1], np.uint32)},
    "hole with a first chunk": {"extent_first": np.array([7, 1], np.uint32)},
    "extent of no chunks": {"extent_chunks": np.array([0, 0], np.uint32)},
    "extent of too many chunks": {"extent_chunks": np.array([16378, 0], np.uint32)},
    "extent that wraps around": {"extent_first": np.array([2**32 - 1, 0], np.uint32)},
    "table after the blob": {"table_offsets": np.array([1000], np.uint32)},
    "half an id": {"blob_ids": np.zeros((1, 16), np.uint8)},
}


@pytest.mark.parametrize("changed", BROKEN.values(), ids=BROKEN)
def test_page_that_breaks_a_rule_is_neither_written_nor_read(changed):
    """Writers refuse what readers refuse."""
    with pytest.raises(ValueError, match="not a page that can be stored"):
        encode_page(page(**changed))


@pytest.mark.parametrize("field", sorted({*SMALL, "count", "format", "version"}))
def test_page_without_a_field_is_refused(field):
    """Nothing has a default."""
    fields = msgpack.unpackb(encode_page(page()))
    del fields[field]

    with pytest.raises(CorruptionError):
        decode_page(msgpack.packb(fields), None)


@pytest.mark.parametrize(
    ("changed", "match"),
    [
        ({"kinds": b"\4\1\2\0"}, "entries of kind 4"),
        ({"modes": b"\3\0\0\0"}, "mode bits 0x3"),
        ({"version": 2}, "page format 2"),
        ({"critical": ["later"], "later": 1}, "'later'"),
    ],
)
def test_page_of_a_later_release_is_refused_by_name(changed, match):
    """Unknown is not damaged."""
    fields = msgpack.unpackb(encode_page(page()))

    with pytest.raises(UnsupportedError, match=match):
        decode_page(msgpack.packb({**fields, **changed}), None)


def test_fields_of_a_later_release_do_not_hinder_reading():
    """What is not critical can be passed over."""
    fields = msgpack.unpackb(encode_page(page()))

    assert decode_page(msgpack.packb({**fields, "later": 1}), None).paths == SMALL["paths"]


def test_page_over_its_limit_is_the_callers_to_split():
    """A file in too many pieces is refused when it is written, with a way out."""
    count = 900_000
    huge = page(
        extent_counts=np.array([0, 0, 0, count], np.uint32),
        extent_blobs=np.zeros(count, np.uint32),
        extent_first=np.zeros(count, np.uint32),
        extent_chunks=np.ones(count, np.uint32),
        extent_lengths=np.ones(count, np.uint64),
        sizes=np.array([3, 1, 0, count], np.uint64),
    )

    with pytest.raises(InvalidInputError, match="over the limit"):
        encode_page(huge)
    with pytest.raises(CorruptionError, match="the limit is"):
        decode_page(bytes((16 << 20) + 1), None)


BROKEN_ROOTS = {
    "empty page": {"page_entries": np.array([4, 0], np.uint32)},
    "too many entries": {"page_entries": np.array([MAX_PAGE_ENTRIES + 1, 1], np.uint32)},
    "other totals": {"page_entries": np.array([3, 2], np.uint32)},
    "pages out of order": {"first_paths": [b"e", b"a"]},
    "unlisted blob": {"page_blobs": np.array([0, 1], np.uint32)},
    "page in the header": {"page_offsets": np.array([39, 140], np.uint32)},
    "page after the blob": {"page_offsets": np.array([40, 241], np.uint32)},
    "own blob with a size": {"blob_ids": np.zeros((1, 32), np.uint8)},
    "own blob twice": {
        "blob_ids": np.zeros((2, 32), np.uint8),
        "blob_sizes": np.zeros(2, np.uint32),
        "table_offsets": np.zeros(2, np.uint32),
    },
    "page without a payload": {"page_lengths": np.array([100, 50], np.uint32)},
    "table after the blob": {"table_offsets": np.array([301], np.uint32)},
    "negative size": {"totals": Totals(files=2, symlinks=1, directories=1, externals=0, size=-1)},
}


@pytest.mark.parametrize("changed", BROKEN_ROOTS.values(), ids=BROKEN_ROOTS)
def test_root_that_breaks_a_rule_is_neither_written_nor_read(changed):
    """Writers refuse what readers refuse."""
    with pytest.raises(ValueError, match="not a root that can be stored"):
        encode_root(root(**changed))


def test_version_without_entries_has_a_root_without_pages():
    """An empty folder can be put."""
    empty = {
        name: value[:0] if isinstance(value, np.ndarray | list) else value
        for name, value in ROOT.items()
    }
    totals = Totals(files=0, symlinks=0, directories=0, externals=0, size=0)

    again = decode_root(encode_root(Root(**{**empty, "totals": totals})), None)

    assert (len(again.page_ids), again.first_paths, find_page(again, b"a")) == (0, [], -1)
    assert split_paths([]) == []


def test_path_before_the_first_page_is_nowhere():
    """The answer is no row, not the first one."""
    assert [find_page(root(), path) for path in (b"A", b"a", b"dz", b"e", b"z")] == [-1, 0, 0, 1, 1]
    assert [find_row(page(), path) for path in (b"", b"a", b"b", b"e", b"z")] == [
        None,
        0,
        None,
        3,
        None,
    ]


def test_pages_must_follow_one_another():
    """A version with a path twice has no digest."""
    builder = DigestBuilder()
    builder.add(page())

    with pytest.raises(CorruptionError, match="'a'"):
        builder.add(page())


def test_page_of_nothing_does_not_change_a_digest():
    """Pages are packing; a digest is of entries."""
    builder = DigestBuilder()
    builder.add(
        page(
            paths=[],
            **{
                name: value[:0]
                for name, value in SMALL.items()
                if isinstance(value, np.ndarray) and name not in ("blob_ids", "blob_sizes")
            },
        )
    )

    assert builder.digest() == DigestBuilder().digest()


@pytest.mark.parametrize(
    "changed",
    [
        {"paths": [b"a", b"b/c", b"d", b"f"]},
        {"modes": np.array([0, 0, 0, 0], np.uint8)},
        {"sizes": np.array([2, 1, 0, 90], np.uint64)},
        {"hashes": np.zeros((4, 32), np.uint8)},
        {"kinds": np.array([0, 0, 2, 0], np.uint8)},
    ],
)
def test_digest_covers_path_kind_mode_size_and_hash(changed):
    """Any of them changes it."""
    one, other = DigestBuilder(), DigestBuilder()
    one.add(page())
    other.add(page(**changed))

    assert one.digest() != other.digest()


def test_digest_does_not_cover_where_bytes_lie():
    """The same files have one digest in any store."""
    one, other = DigestBuilder(), DigestBuilder()
    one.add(page())
    other.add(page(extent_first=np.array([8, 0], np.uint32)))

    assert one.digest() == other.digest()


def test_entry_that_is_too_heavy_stands_alone():
    """A file in very many pieces does not push others out of their page."""
    names = [b"%04d" % number for number in range(10)]
    weights = np.full(10, 100)
    weights[4] = 9 << 20

    assert split_paths(names, weights) == [4, 5, 10]


def test_executable_bit_is_one():
    """It stands in every stored page."""
    assert (MODE_EXECUTABLE, HOLE) == (1, 0xFFFFFFFF)


def test_page_is_equal_to_itself_after_its_columns_are_sliced():
    """Columns that are views of something larger are written as their own bytes."""
    doubled = np.repeat(SMALL["sizes"], 2)
    sliced = replace(page(), sizes=doubled[::2])

    assert blake3(encode_page(sliced)).digest() == blake3(encode_page(page())).digest()


def test_old_readers_must_refuse_a_digest_of_groups():
    """The fields are marked as critical, and no reader takes one of them alone."""
    builder = GroupDigestBuilder()
    builder.add(page())
    stated = builder.stated()
    whole = Totals(files=2, symlinks=1, directories=1, externals=0, size=93)
    one = {name: value[:1] for name, value in ROOT.items() if name not in ("digest", "totals")}
    one |= {"page_entries": np.array([4], np.uint32), "totals": whole}
    content = encode_root(Root(**one, digest=stated.digest, groups=stated.groups))

    assert msgpack.unpackb(content)["critical"] == ["groups", "page_groups"]
    assert decode_root(content, None).stated == stated


def test_groups_go_on_from_nothing_that_was_not_looked_into():
    """A page in the middle of a group of which only the digest is known cannot be added."""
    builder = GroupDigestBuilder()
    builder.add_known(b"A", np.zeros((1, 32), np.uint8), is_end=False)

    with pytest.raises(ValueError, match="looked into"):
        builder.digest()
    with pytest.raises(ValueError, match="looked into"):
        builder.add(page())


def test_pages_that_are_known_must_follow_one_another_too():
    """Their first paths tell."""
    builder = GroupDigestBuilder()
    builder.add(page())

    with pytest.raises(CorruptionError, match="'e'"):
        builder.add_known(b"e", np.zeros((1, 32), np.uint8), is_end=True)
