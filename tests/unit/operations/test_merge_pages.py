"""A draft's edits merged into the pages of its base: what comes out, and how many pages change."""

from __future__ import annotations

import random
from types import SimpleNamespace

import numpy as np
import pytest

from cas.format.manifest import MAX_PAGE_WEIGHT, split_paths
from cas.model.entry import EntryKind
from cas.operations.draft_edits import BaseEntry, DraftEdits, EmptyFolder, LocalEntry
from cas.operations.merge_pages import BaseRow, merge_pages
from cas.transfer.reuse import entry_weight
from cas.transfer.stamp import FileStamp

SMALL = 1000
HUGE = 1 << 30  # each weighs 10 KiB, so that pages end for their weight


class Pages:
    """A version as far as merging looks at it."""

    def __init__(self, paths, size):
        weights = np.array([entry_weight(path, size) for path in paths], np.int64)
        ends = split_paths(paths, weights)
        self.pages = [
            SimpleNamespace(paths=paths[a:b], sizes=np.full(b - a, size, np.uint64))
            for a, b in zip([0, *ends[:-1]], ends, strict=True)
        ]
        self.root = SimpleNamespace(first_paths=[page.paths[0] for page in self.pages])
        self.read = set()

    def page(self, number):
        self.read.add(number)
        return self.pages[number]

    def find(self, path):
        for page in self.pages:
            if path in page.paths:
                return page, page.paths.index(path)
        return None


def new(size=SMALL):
    return LocalEntry(b"/local", EntryKind.FILE, FileStamp(size, 1, 1, 1))


def paths_of(base, merged):
    """All paths of merged pages, page by page."""
    return [
        base.pages[page].paths if isinstance(page, int) else [one.path for one in page]
        for page in merged
    ]


def random_edits(rng, paths):
    gone = set(rng.sample(paths, 40))
    entries = {b"%02d/new-%04d" % (rng.randrange(40), n): new() for n in range(rng.randrange(3000))}
    entries |= {path: new() for path in rng.sample(paths, 20)}
    entries[b"moved"] = BaseEntry(paths[7])
    entries[b"zz-empty"] = EmptyFolder()
    return DraftEdits(entries, gone, {b"%02d" % rng.randrange(40)})


@pytest.mark.parametrize("seed", range(6))
def test_the_merged_pages_are_those_of_the_files_that_are_left(seed):
    """Cut where a put would cut them, in order, each entry once."""
    rng = random.Random(seed)
    paths = [b"%02d/%06d" % (n % 40, n) for n in range(30_000)]
    paths.sort()
    base = Pages(paths, SMALL)
    edits = random_edits(rng, paths)

    merged = list(merge_pages(base, edits))

    expected = sorted({path for path in paths if not edits.hides(path)} | set(edits.entries))
    found = paths_of(base, merged)
    assert [path for page in found for path in page] == expected
    assert np.cumsum([len(page) for page in found]).tolist() == split_paths(expected)


def test_nothing_is_read_where_nothing_changes():
    """Pages that no edit touches stay as they are."""
    paths = [b"%02d/%06d" % (n // 1000, n) for n in range(40_000)]
    base = Pages(paths, SMALL)

    merged = list(merge_pages(base, DraftEdits({b"20/new": new()}, {b"00/000001"})))

    changed = [page for page in merged if not isinstance(page, int)]
    assert len(base.read) == 2
    assert len(changed) == 2
    assert len(merged) == len(base.pages)
    assert [page for page in merged if isinstance(page, int)] == [
        number for number in range(len(base.pages)) if number not in base.read
    ]


@pytest.mark.parametrize("count", [1, 3, 60])
def test_ends_stay_where_pages_end_for_their_weight(count):
    """An edit of one of them does not move all ends behind it, nor leave a tiny page each time."""
    paths = [b"%06d" % n for n in range(9000)]
    base = Pages(paths, HUGE)
    assert len(base.pages) > 20

    edits = DraftEdits({b"000100-%d" % n: new(HUGE) for n in range(count)}, {b"004000"})
    merged = list(merge_pages(base, edits))

    found = paths_of(base, merged)
    weights = [sum(entry_weight(path, HUGE) for path in page) for page in found]
    assert [path for page in found for path in page] == sorted(
        {*paths, *edits.entries} - edits.gone
    )
    assert len(base.read) <= 3
    assert len(merged) <= len(base.pages) + 1
    assert max(weights) <= MAX_PAGE_WEIGHT
    assert min(weights) > MAX_PAGE_WEIGHT // 8


def test_a_version_is_emptied_and_filled():
    """All of the base may go; without a base there is what is new."""
    paths = [b"%06d" % n for n in range(5000)]
    base = Pages(paths, SMALL)

    emptied = list(merge_pages(base, DraftEdits({}, set(), {b""})))
    replaced = list(merge_pages(base, DraftEdits({b"a": new()}, set(), {b""})))
    fresh = list(merge_pages(None, DraftEdits({b"b": new(), b"a": new()})))
    moved = list(merge_pages(base, DraftEdits({b"x": BaseEntry(b"000003")}, set(), {b""})))

    assert emptied == []
    assert paths_of(base, replaced) == [[b"a"]]
    assert paths_of(base, fresh) == [[b"a", b"b"]]
    (page,) = moved
    origin = page[0].origin
    assert isinstance(origin, BaseRow)
    assert origin.page.paths[origin.row] == b"000003"
