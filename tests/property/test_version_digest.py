"""Digest 2 of versions: a hash over groups of entries, however they are cut into pages."""

from __future__ import annotations

import zlib
from itertools import pairwise

import numpy as np
import pytest
from blake3 import blake3
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cas.format import manifest_paging
from cas.format.manifest import (
    DigestCheck,
    GroupDigestBuilder,
    Page,
    PageGroups,
    StatedDigest,
    digest_part,
    group_ends,
    is_group_end,
    page_digest_columns,
)
from cas.model.ids import VersionDigest

# One path in four ends a group, so that a few dozen have many.
SHIFT = 30
ANY_TREE = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

names = st.lists(st.integers(0, 300), min_size=1, max_size=40, unique=True).map(
    lambda numbers: sorted(b"%03d" % number for number in numbers)
)


@pytest.fixture(autouse=True, scope="module")
def _short_groups():
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(manifest_paging, "CUT_SHIFT", SHIFT)
        yield


def page_of(paths):
    count = len(paths)
    nothing = np.zeros(0, np.uint32)
    return Page(
        paths=paths,
        kinds=np.zeros(count, np.uint8),
        modes=np.array([path[-1] & 1 for path in paths], np.uint8),
        sizes=np.array([len(path) for path in paths], np.uint64),
        hashes=np.frombuffer(b"".join(blake3(path).digest() for path in paths), np.uint8).reshape(
            -1, 32
        ),
        inline_lengths=np.array([len(path) for path in paths], np.uint32),
        inline=b"".join(paths),
        extent_counts=np.zeros(count, np.uint32),
        extent_blobs=nothing,
        extent_first=nothing,
        extent_chunks=nothing,
        extent_lengths=nothing.astype(np.uint64),
        blob_ids=np.zeros((0, 32), np.uint8),
        blob_sizes=nothing,
        table_offsets=nothing,
    )


def built(pages):
    builder = GroupDigestBuilder()
    for paths in pages:
        builder.add(page_of(paths))
    return builder


def pages_of(data, paths):
    """Cut paths anywhere."""
    cuts = data.draw(st.sets(st.integers(1, len(paths)), max_size=8))
    return [paths[a:b] for a, b in pairwise(sorted({0, len(paths), *cuts}))]


@ANY_TREE
@given(names)
def test_digest_is_what_the_page_of_the_specification_says(paths):
    """A group ends where a path says so, or nothing follows; the digest is of their digests."""
    groups, group = [], []
    for path in paths:
        group.append(path)
        if zlib.crc32(path) * 0x9E3779B1 % 2**32 >> SHIFT == 0 or path == paths[-1]:
            columns = map(blake3, page_digest_columns(page_of(group)))
            joined = b"".join(column.digest() for column in columns)
            groups.append(blake3(b"cas digest group 2\n" + joined).digest())
            group = []
    expected = blake3(
        b"cas version digest 2\n" + len(groups).to_bytes(8, "little") + b"".join(groups)
    )

    assert built([paths]).digest() == VersionDigest(expected.digest())


@ANY_TREE
@given(names, st.data())
def test_digest_does_not_depend_on_pages(paths, data):
    """The groups are the same, however pages are cut; each page says which end in it."""
    pages = pages_of(data, paths)
    whole, cut = built([paths]).groups(), built(pages).groups()

    assert cut.digest() == whole.digest()
    assert np.array_equal(cut.digests, whole.digests)
    assert int(cut.counts.sum()) == len(cut.digests)
    ended = [*map(is_group_end, (one[-1] for one in pages[:-1])), True]
    assert cut.ends.tolist() == ended
    cut.check(np.array([len(one) for one in pages], np.uint32), "root")


@ANY_TREE
@given(names, st.data())
def test_digest_changes_with_any_entry(paths, data):
    """Adding or removing an entry changes it, and groups away from it stay."""
    row = data.draw(st.integers(0, len(paths) - 1))
    fewer = paths[:row] + paths[row + 1 :]

    before, after = built([paths]).groups(), built([fewer] if fewer else []).groups()

    assert before.digest() != after.digest()
    ends = group_ends(paths)
    inside = int(np.searchsorted(ends, row, "right"))
    assert np.array_equal(before.digests[:inside], after.digests[:inside])


@ANY_TREE
@given(names, st.data())
def test_pages_that_are_known_need_not_be_looked_into(paths, data):
    """What a root says of pages gives the digest, and the last of them may be gone on with."""
    pages = pages_of(data, paths)
    groups = built(pages).groups()
    starts = np.concatenate([[0], np.cumsum(groups.counts)])
    stop = data.draw(st.integers(0, len(pages)))
    builder = GroupDigestBuilder()
    ended = [row for row in range(stop) if groups.counts[row] and row < len(pages) - 1]
    seen_from = stop if stop == len(pages) else max(ended, default=-1)
    if stop and seen_from == -1:
        stop = 0  # the first group goes beyond: there is nothing to be known

    for row, one in enumerate(pages):
        if row >= stop or row > seen_from:
            builder.add(page_of(one))
            continue
        is_end = bool(groups.ends[row])
        part = digest_part(page_of(one)) if row == seen_from and not is_end else None
        digests = groups.digests[starts[row] : starts[row + 1]]
        builder.add_known(one[0], digests, is_end=is_end, part=part)

    assert builder.groups() == groups


@ANY_TREE
@given(names, st.data())
def test_a_check_takes_what_is_stated_and_nothing_else(paths, data):
    """Neither other pages, nor pages in which other groups end than is said."""
    pages = pages_of(data, paths)
    stated = built(pages).stated()
    forged = stated.groups.pages.copy()
    forged[data.draw(st.integers(0, len(pages) - 1))] ^= data.draw(st.sampled_from([1, 2, 1 << 31]))
    lie = StatedDigest(stated.digest, PageGroups(stated.groups.digests, forged))

    def fits(what, pages):
        check = DigestCheck(what)
        for one in pages:
            check.add(page_of(one))
        return check.fits()

    assert fits(stated, pages)
    assert not fits(lie, pages)
    assert not fits(StatedDigest(stated.digest), pages)
    assert not fits(stated, pages[:-1])
    assert not fits(stated, [*pages, [b"zzz"]])
    assert not fits(stated, [[paths[0] + b"x"]] if len(paths) == 1 else [[*paths[:-1]]])
