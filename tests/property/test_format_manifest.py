"""Pages, roots and version digests, for any entries."""

from __future__ import annotations

import zlib
from itertools import accumulate

import numpy as np
from blake3 import blake3
from hypothesis import given, settings
from hypothesis import strategies as st

from cas.format.manifest import (
    HOLE,
    MAX_PAGE_ENTRIES,
    MAX_PAGE_WEIGHT,
    MIN_PAGE_ENTRIES,
    MODE_EXECUTABLE,
    DigestBuilder,
    Page,
    Root,
    decode_page,
    decode_root,
    encode_page,
    encode_root,
    find_page,
    find_row,
    is_page_end,
    page_digest_columns,
    page_entry,
    root_page_location,
    split_paths,
)
from cas.model.entry import EntryKind, Totals, path_to_text
from cas.model.ids import PageId, VersionDigest
from cas.testing.strategies import paths

BLOBS = 3

extent = st.one_of(
    st.tuples(st.just(HOLE), st.just(0), st.just(0), st.integers(1, 1 << 40)),
    st.tuples(
        st.integers(0, BLOBS - 1),
        st.integers(0, 16000),
        st.integers(1, 384),
        st.integers(1, 1 << 30),
    ),
)
hashes = st.binary(min_size=32, max_size=32)
files = st.one_of(
    st.builds(
        lambda inline, h, m: (EntryKind.FILE, m, len(inline), h, inline, []),
        st.binary(max_size=40),
        hashes,
        st.integers(0, 1),
    ),
    st.builds(
        lambda e, h, m: (EntryKind.FILE, m, sum(one[3] for one in e), h, b"", e),
        st.lists(extent, min_size=1, max_size=4),
        hashes,
        st.integers(0, 1),
    ),
)
others = st.one_of(
    st.just((EntryKind.DIRECTORY, 0, 0, bytes(32), b"", [])),
    st.builds(
        lambda target, h: (EntryKind.SYMLINK, 0, len(target), h, target, []),
        st.binary(min_size=1, max_size=20),
        hashes,
    ),
    st.builds(
        lambda url, h, size: (EntryKind.EXTERNAL, 0, size, h, url, []),
        st.binary(min_size=1, max_size=20),
        hashes,
        st.integers(0, 1 << 50),
    ),
)
rows = st.one_of(files, others)
trees = st.dictionaries(paths(), rows, min_size=1, max_size=12)


def u32(values):
    return np.array(list(values), np.uint32)


def make_page(tree):
    """Make the page of a dictionary of path to (kind, mode, size, hash, inline, extents)."""
    names = sorted(tree)
    entries = [tree[name] for name in names]
    extents = [one for entry in entries for one in entry[5]]
    return Page(
        paths=names,
        kinds=np.array([entry[0] for entry in entries], np.uint8),
        modes=np.array([entry[1] for entry in entries], np.uint8),
        sizes=np.array([entry[2] for entry in entries], np.uint64),
        hashes=np.frombuffer(b"".join(entry[3] for entry in entries), np.uint8).reshape(-1, 32),
        inline_lengths=u32(len(entry[4]) for entry in entries),
        inline=b"".join(entry[4] for entry in entries),
        extent_counts=u32(len(entry[5]) for entry in entries),
        extent_blobs=u32(one[0] for one in extents),
        extent_first=u32(one[1] for one in extents),
        extent_chunks=u32(one[2] for one in extents),
        extent_lengths=np.array([one[3] for one in extents], np.uint64),
        blob_ids=np.arange(BLOBS * 32, dtype=np.uint8).reshape(BLOBS, 32),
        blob_sizes=u32([1 << 26] * BLOBS),
        table_offsets=u32([1 << 25] * BLOBS),
    )


def columns(value):
    """Return all columns of a page or root as plain lists."""
    return {
        name: column.tolist() if isinstance(column, np.ndarray) else column
        for name, column in vars(value).items()
        if not name.endswith("_starts")
    }


@given(trees)
def test_page_is_read_as_it_was_written(tree):
    """Whatever a tree holds, its page comes back, and writes the same bytes again."""
    page = make_page(tree)
    content = encode_page(page)

    again = decode_page(content, PageId(blake3(content).digest()))

    assert columns(again) == columns(page)
    assert encode_page(again) == content


@given(trees)
def test_every_entry_of_a_page_is_found_by_its_path(tree):
    """Looking up a path gives the entry that was put there."""
    page = decode_page(encode_page(make_page(tree)), None)

    for path, (kind, mode, size, file_hash, inline, _) in tree.items():
        entry = page_entry(page, find_row(page, path))
        has_target = kind in (EntryKind.SYMLINK, EntryKind.EXTERNAL)
        assert (entry.path, entry.kind, entry.size) == (path_to_text(path), kind, size)
        assert entry.executable == (mode == MODE_EXECUTABLE)
        assert (entry.hash.raw if entry.hash else bytes(32)) == file_hash
        assert entry.target == (path_to_text(inline) if has_target else None)
        assert find_row(page, path + b"\xff\xff") is None


@given(trees, st.data())
def test_version_digest_does_not_depend_on_pages(tree, data):
    """The same entries have the same digest, however they are split into pages."""
    names = sorted(tree)
    at = data.draw(st.integers(0, len(names)))
    whole, parts = DigestBuilder(), DigestBuilder()

    whole.add(make_page(tree))
    for part in (names[:at], names[at:]):
        if part:
            parts.add(make_page({name: tree[name] for name in part}))

    assert parts.digest() == whole.digest()


@given(trees)
def test_version_digest_is_what_the_page_of_the_specification_says(tree):
    """The digest is BLAKE3 over two hashes: of the paths, and of 42 bytes for each entry."""
    builder = DigestBuilder()
    builder.add(make_page(tree))

    names = b"".join(path + b"\0" for path in sorted(tree))
    fixed = b"".join(
        bytes([kind, mode]) + size.to_bytes(8, "little") + file_hash
        for _, (kind, mode, size, file_hash, _, _) in sorted(tree.items())
    )
    joined = b"cas version digest 1\n" + blake3(names).digest() + blake3(fixed).digest()

    assert page_digest_columns(make_page(tree)) == (names, fixed)
    assert builder.digest() == VersionDigest(blake3(joined).digest())


@given(
    st.integers(0, 1 << 20),
    st.integers(0, 60_000),
    st.sampled_from([None, 100, 1_000, 300_000, 5 << 20]),
)
@settings(max_examples=40, deadline=None)
def test_pages_are_cut_as_one_entry_after_another_would_be(salt, count, weight):
    """Cutting a whole list at once gives the cuts of going through it entry by entry."""
    names = sorted(b"%x-%06d" % (salt, number) for number in range(count))
    ends, start, held = [], 0, 0
    for row, name in enumerate(names):
        if weight and start < row and held + weight > MAX_PAGE_WEIGHT:
            ends.append(row)
            start, held = row, 0
        held += weight or 0
        if is_page_end(name, row + 1 - start):
            ends.append(row + 1)
            start, held = row + 1, 0
    if start < count:
        ends.append(count)
    weights = None if weight is None else np.full(count, weight, np.int64)

    assert split_paths(names, weights) == ends


@given(st.binary(min_size=1), st.integers(1, MAX_PAGE_ENTRIES))
def test_page_ends_by_its_last_path_alone_between_the_limits(path, count):
    """Between the smallest and the largest page only the path decides."""
    expected = count == MAX_PAGE_ENTRIES or (
        count >= MIN_PAGE_ENTRIES and zlib.crc32(path) * 0x9E3779B1 % 2**32 < 2**20
    )

    assert is_page_end(path, count) == expected


@given(st.lists(paths(), min_size=1, max_size=12, unique=True), st.lists(paths(), max_size=4))
def test_root_leads_to_the_only_page_that_can_hold_a_path(firsts, wanted):
    """A root comes back as it was written, and finds the page for any path."""
    firsts.sort()
    count = len(firsts)
    lengths = [60 + row for row in range(count)]
    root = Root(
        digest=VersionDigest(bytes(32)),
        totals=Totals(files=2 * count, symlinks=0, directories=0, externals=0, size=0),
        page_ids=np.arange(count * 32, dtype=np.int64).astype(np.uint8).reshape(count, 32),
        page_entries=u32([2] * count),
        first_paths=firsts,
        page_blobs=u32([0] * count),
        page_offsets=u32(
            40 + end - length for end, length in zip(accumulate(lengths), lengths, strict=True)
        ),
        page_lengths=u32(lengths),
        blob_ids=np.ones((1, 32), np.uint8),
        blob_sizes=u32([10_000]),
        table_offsets=u32([0]),
    )
    content = encode_root(root)
    again = decode_root(content, PageId(blake3(content).digest()))

    assert columns(again) == columns(root)
    assert encode_root(again) == content
    for path in [*wanted, *firsts]:
        assert find_page(again, path) == sum(first <= path for first in firsts) - 1
    assert [root_page_location(again, row).length for row in range(count)] == lengths
