"""The digest of an edited version, made of what its base states and of the pages that must be read."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from written_versions import tiny_page

from cas.format import manifest_paging
from cas.format.manifest import GroupDigestBuilder, digest_part
from cas.operations.draft_edits import EmptyFolder
from cas.operations.merge_pages import MergedEntry
from cas.operations.pages_to_read import Reading, pages_to_read

NAMES = [b"%02x" % number for number in range(48)]
KEEP, EDIT, REMOVE = "keep", "edit", "remove"


@pytest.fixture(autouse=True, scope="module")
def _short_groups():
    """One path in four ends a group."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(manifest_paging, "CUT_SHIFT", 30)
        yield


def built(pages):
    builder = GroupDigestBuilder()
    for paths in pages:
        builder.add(tiny_page(paths))
    return builder.groups()


cuts = st.sets(st.integers(1, len(NAMES) - 1), max_size=20).map(
    lambda ends: [NAMES[a:b] for a, b in pairwise(sorted({0, len(NAMES), *ends}))]
)


@settings(max_examples=300, deadline=None)
@given(cuts, st.data())
def test_what_is_read_and_what_the_base_states_give_the_digest(pages, data):
    """Wherever pages end, whichever are edited or removed, it is that of a fresh put."""
    base = built(pages)
    fates = data.draw(
        st.lists(
            st.sampled_from([KEEP, KEEP, EDIT, REMOVE]), min_size=len(pages), max_size=len(pages)
        )
    )
    merged, expected = [], []
    for number, (paths, fate) in enumerate(zip(pages, fates, strict=True)):
        if fate == KEEP:
            merged.append(number)
            expected.append(paths)
        elif fate == EDIT:
            new = sorted([*paths[1:], paths[0] + b"x"])
            merged.append([MergedEntry(path, EmptyFolder()) for path in new])
            expected.append(new)

    builder, starts = GroupDigestBuilder(), base.starts
    reading = pages_to_read(merged, base)
    for page, paths in zip(merged, expected, strict=True):
        how = reading[page] if isinstance(page, int) else Reading.WHOLE
        if how is Reading.WHOLE:
            builder.add(tiny_page(paths))
            continue
        builder.add_known(
            paths[0],
            base.digests[starts[page] : starts[page + 1]],
            is_end=base.is_end(page),
            part=digest_part(tiny_page(paths)) if how is Reading.TAIL else None,
        )

    assert builder.groups() == built(expected)


@settings(deadline=None)
@given(cuts, st.integers(0, 20))
def test_pages_whose_groups_are_whole_in_them_are_not_read(pages, edited):
    """Only those are that share a group with what is edited."""
    base = built(pages)
    edited = min(edited, len(pages) - 1)
    merged = list(range(len(pages)))
    merged[edited] = [MergedEntry(path, EmptyFolder()) for path in pages[edited]]

    read = {page for page, how in pages_to_read(merged, base).items() if how is not Reading.NOTHING}

    first = last = edited
    while first and not base.is_end(first - 1):
        first -= 1
        if base.counts[first]:
            break
    while last + 1 < len(pages) and not base.is_end(last):
        last += 1
        if base.counts[last]:
            break
    assert read <= set(range(first, last + 1)) - {edited}


def test_without_groups_every_page_is_read():
    """A base of digest 1 states none."""
    assert pages_to_read([0, 1], None) == {0: Reading.WHOLE, 1: Reading.WHOLE}
