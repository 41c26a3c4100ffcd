"""Pages of the base that no edit touches: they are not downloaded, unless something must be known of
them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from memory_stores import PLAIN, DistantBackend, open_on, with_store
from written_versions import cut, write_version

from cas.format import keys
from cas.format.encoding import Buffer
from cas.format.manifest import split_paths
from cas.objects.collections import open_run
from cas.objects.id_sets import ids_of

FILES = 100_000
PATHS = sorted(b"%02d/%06d.txt" % (n % 40, n) for n in range(FILES))
BY_PATH = split_paths(PATHS)
# No group ends where a page does.
BY_COUNT = [*range(1500, FILES, 1500), FILES]


class WatchedBackend(DistantBackend):
    """Notes the ranges of meta blobs that are got."""

    def __init__(self) -> None:
        super().__init__()
        self.got: list[tuple[str, int]] = []
        self.before_intent: Callable[[], object] | None = None

    def get(self, key: str, start: int = 0, stop: int | None = None) -> bytes:
        """Note a request."""
        if key.startswith(keys.META):
            self.got.append((key, start))
        return super().get(key, start, stop)

    def put(self, key: str, parts: Sequence[Buffer]) -> None:
        """Let something happen right before the first intent is there."""
        if key.startswith("sessions") and self.before_intent is not None:
            act, self.before_intent = self.before_intent, None
            act()
        super().put(key, parts)


def store_of(ends, kind=2):
    backend = with_store(WatchedBackend())
    write_version(backend, "vast", cut(PATHS, ends), kind=kind)
    return backend


def edit(backend):
    """Make three edits far apart; return the draft, and on how many pages of how many they are."""
    with open_on(backend) as store:
        backend.got.clear()
        with store.draft("vast", base="vast:v0", options=PLAIN) as draft:
            draft.pipe("07/new", b"new")
            draft.rm("20/000020.txt")
            draft.mv("33/000033.txt", "33/moved")
        requests = len(backend.got)
        firsts = store.version("vast:v0")._pages.root.first_paths
        store.version("vast:v1")._pages.verify_digest()
    edited = [b"07/new", b"20/000020.txt", b"33/000033.txt", b"33/moved"]
    touched = {sum(first <= path for first in firsts) for path in edited}
    return draft, requests, len(touched), len(firsts)


def test_a_machine_without_a_cache_reads_the_pages_that_are_touched_and_the_root():
    """Three edits of a hundred thousand files; a move touches two places."""
    draft, requests, touched, pages = edit(store_of(BY_PATH))

    assert requests <= touched + 1 < pages
    assert draft.version.totals.files == FILES


def test_where_no_group_ends_between_pages_those_that_complete_it_are_read():
    """The digest is right all the same, and pages further off are not asked for."""
    draft, requests, touched, pages = edit(store_of(BY_COUNT))

    assert touched + 1 < requests < pages
    assert draft.version.totals.files == FILES


def test_of_a_base_of_digest_1_every_page_is_passed_over_once():
    """What is made of it has digest 2."""
    backend = store_of(BY_PATH, kind=1)

    _, requests, _, pages = edit(backend)

    assert requests <= pages + 1
    with open_on(backend) as store:
        assert store.version("vast:v0")._pages.root.groups is None
        assert store.version("vast:v1")._pages.root.groups is not None
        with store.draft("vast", base="vast:v1", options=PLAIN) as back:
            back.mv("33/moved", "33/000033.txt")
            back.rm("07/new")
            back.pipe("20/000020.txt", b"20/000020.txt")
        again = store.version("vast:v2")
        write_version(backend, "same", cut(PATHS, BY_PATH))
        assert again.digest == store.version("same").digest


@pytest.mark.parametrize("of", ["vast", "same"])
def test_what_a_version_of_digest_1_holds_is_not_published_again(of):
    """Whichever kind the base has."""
    backend = store_of(BY_PATH, kind=1)
    write_version(backend, "same", cut(PATHS, BY_PATH))

    with open_on(backend) as store:
        draft = store.draft("vast", base=f"{of}:v0", options=PLAIN)
        draft.pipe("07/000007.txt", b"07/000007.txt")
        draft.commit()

        assert (draft.outcome.created, draft.version.number) == (False, 0)


def test_what_is_kept_is_read_while_a_collection_may_condemn_it():
    """Any page may lead to what is about to go."""
    backend = store_of(BY_PATH)
    open_run(backend, 1, ids_of([b"o" * 32]))

    draft, requests, _, pages = edit(backend)

    assert requests >= pages
    assert draft.version.number == 1


def test_a_collection_that_begins_during_the_commit_has_what_is_kept_read():
    """The check of the log asks for the blobs behind every page, just then."""
    backend = store_of(BY_PATH)
    with open_on(backend) as store:
        draft = store.draft("vast", base="vast:v0", options=PLAIN)
        draft.pipe("07/new", b"new")
        backend.got.clear()
        backend.before_intent = lambda: open_run(backend, 1, ids_of([b"o" * 32]))
        draft.commit()

    assert len(backend.got) >= len(BY_PATH) - 1  # the page that is touched was read before
    assert draft.version.number == 1
