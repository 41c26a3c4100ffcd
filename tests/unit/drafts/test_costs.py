"""What a few edits of a big version cost: pages read and written, and data."""

from __future__ import annotations

from collections import Counter

import pytest
from memory_stores import PLAIN, DistantBackend, open_on, with_store

from cas.testing.trees import write_tree

FILES = 20_000


class CountedBackend(DistantBackend):
    """Counts what is got, by the folder of its key and by range."""

    def __init__(self) -> None:
        super().__init__()
        self.got: Counter[tuple[str, str, int]] = Counter()

    def get(self, key: str, start: int = 0, stop: int | None = None) -> bytes:
        """Count a request."""
        self.got[key.partition("/")[0], key, start] += 1
        return super().get(key, start, stop)

    def count(self, folder: str) -> int:
        """Return how many requests there were below a folder since the last time."""
        count = sum(times for (top, _, _), times in self.got.items() if top == folder)
        self.got = Counter({key: n for key, n in self.got.items() if key[0] != folder})
        return count


@pytest.fixture(scope="module")
def vast(tmp_path_factory):
    """A distant store with a version of many small files, and the cache of the machine that put
    them.
    """
    folder = tmp_path_factory.mktemp("vast")
    tree = {b"%02d/%05d" % (n % 50, n): b"%d" % n * 60 for n in range(FILES)}
    backend = with_store(CountedBackend())
    with open_on(backend, cache_dir=str(folder / "cache")) as store:
        store.put(write_tree(folder / "source", tree), "vast", PLAIN)
    return backend, folder / "cache", tree


def _edit(store, draft):
    pages = store.version("vast:v0")._pages
    draft.pipe("07/new", b"new")
    draft.rm("20/00020")
    draft.mv("33/00033", "33/moved")
    paths = [b"07/new", b"20/00020", b"33/00033", b"33/moved"]
    firsts = pages.root.first_paths
    return {sum(first <= path for first in firsts) for path in paths}, len(firsts)


def _open_borders(store, touched):
    """Count the borders of pages, numbered from 1, at which no group ends."""
    groups = store.version("vast:v0")._pages.root.groups
    borders = {page for number in touched for page in (number - 1, number)}
    return sum(not groups.is_end(page - 1) for page in borders if page > 0)


def test_where_it_was_put_a_draft_reads_the_pages_that_it_touches(vast):
    """And no data; it writes those pages and a root."""
    backend, cache, tree = vast
    with open_on(backend, cache_dir=str(cache)) as store:
        backend.count("meta")
        backend.count("blobs")
        with store.draft("touched", base="vast:v0", options=PLAIN) as draft:
            touched, pages = _edit(store, draft)

        assert len(touched) < pages
        assert backend.count("meta") <= len(touched) + 1  # and the root
        assert backend.count("blobs") == 0
        assert draft.version.totals.files == FILES
        assert draft.outcome.new_bytes == 0
        moved = draft.version["33/moved"]
    assert moved.size == len(tree[b"33/00033"])


def test_elsewhere_a_draft_reads_the_pages_that_it_touches_too(vast, tmp_path):
    """And what completes a group that begins or ends in them; data is not asked for."""
    backend, _, _ = vast
    with open_on(backend, cache_dir=str(tmp_path)) as store:
        backend.count("meta")
        backend.count("blobs")
        with store.draft("passed", base="vast:v0", options=PLAIN) as draft:
            touched, pages = _edit(store, draft)

        neighbours = _open_borders(store, touched)
        assert backend.count("meta") <= len(touched) + neighbours + 1 <= pages + 1
        assert backend.count("blobs") == 0


def test_a_draft_has_the_pages_of_a_put_of_the_same_files(vast, tmp_path):
    """However many entries come and go, pages begin again where those of the base do."""
    backend, cache, tree = vast
    changed = {path: content for path, content in tree.items() if not path.startswith(b"1")}
    more = {b"05/x%05d" % n: b"x%d" % n for n in range(9000)}
    with open_on(backend, cache_dir=str(cache)) as store:
        with store.draft("both", base="vast:v0", options=PLAIN) as draft:
            draft.remove("1*")
            draft.add(write_tree(tmp_path / "more", more))
        store.put(write_tree(tmp_path / "all", changed | more), "apart", PLAIN)

        made, put = store.version("both"), store.version("apart")
    assert made.digest == put.digest
    assert made.totals == put.totals
    assert made._pages.root.first_paths == put._pages.root.first_paths
