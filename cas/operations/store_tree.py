"""W0 of a put: store the content of a tree that the store does not have, and make its pages."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from blake3 import blake3

from cas.errors import ErrorCode, InvalidInputError
from cas.format.manifest import GroupDigestBuilder, encode_page
from cas.model.entry import EntryKind, Totals, path_to_bytes
from cas.model.ids import PageId
from cas.model.progress import Cancel
from cas.objects.base_version import Surroundings
from cas.objects.collection_log import condemned_by_open_runs
from cas.objects.parts import StoreParts
from cas.objects.sessions import WriterSession
from cas.operations.damaged_extents import damaged_extents
from cas.operations.follow_base import BaseFollower
from cas.operations.outcomes import PutOptions
from cas.operations.stored_tree import NewPage, StoredTree
from cas.operations.upload_tree import TreeUpload, raise_problems
from cas.transfer.dedup import Facts
from cas.transfer.journal import Journal, JournalPage, JournalView
from cas.transfer.remote_tree import scan_places
from cas.transfer.reuse import PageGroup, group_pages, match_groups
from cas.transfer.rows import EntryColumns
from cas.transfer.stream import stream_tree
from cas.transfer.tree import LocalTree, scan_tree


@dataclass(frozen=True, slots=True)
class StreamSource:
    """Bytes that come from a stream, and the path of the one file they become."""

    stream: BinaryIO
    path: str


@dataclass(frozen=True, slots=True)
class UrlSource:
    """Objects, prefixes or folders behind drivers of fsspec."""

    urls: tuple[str, ...]


Source = str | Sequence[str] | StreamSource | UrlSource


@contextmanager
def store_tree(
    parts: StoreParts,
    source: Source,
    options: PutOptions,
    session: WriterSession,
    found: Surroundings,
    *,
    notes: bool = True,
) -> Iterator[StoredTree]:
    """Scan a source, store its new content, and give its pages. The last blobs may be under way
    when they are given; what is not durable when the context is left is dropped.

    Args:
        notes: keep notes of what was stored, for the next put; a dry run stores nothing.

    Raises:
        IncompleteError: some files could not be read.
    """
    started_ns = parts.clock.now_ns()
    cancel = options.cancel or Cancel()
    with ExitStack() as open_things:
        tree = _scan(parts, source, options, open_things)
        raise_problems(tree.problems)
        journal = open_journal(parts)
        if journal is not None:
            open_things.callback(journal.close)
        stored = StoredTree(parts, session, tree, journal, started_ns, takes_notes=notes)
        _Storing(parts, options, cancel, found, stored).run(source, open_things)
        yield stored


def _scan(
    parts: StoreParts, source: Source, options: PutOptions, open_things: ExitStack
) -> LocalTree:
    cancel = options.cancel or Cancel()
    if isinstance(source, StreamSource):
        return stream_tree(_stream_path(source))
    if isinstance(source, UrlSource):
        # fsspec takes 0.1 s to import, which a put of local files need not spend.
        from cas.backend.places import open_place

        places = []
        for url in source.urls:
            places.append(open_place(url, options.source_options, parts.tally(url, "source")))
            open_things.callback(places[-1].close)
        return scan_places(places, exclude=options.exclude, check=cancel.check)
    sources = [source] if isinstance(source, str) else source
    return scan_tree(sources, exclude=options.exclude, check=cancel.check)


class _Storing:
    """One pass over a tree: match it with the journal, upload the rest, make the pages."""

    def __init__(
        self,
        parts: StoreParts,
        options: PutOptions,
        cancel: Cancel,
        found: Surroundings,
        stored: StoredTree,
    ) -> None:
        self._parts = parts
        self._options = options
        self._cancel = cancel
        self._found = found
        self._stored = stored
        self._usable_pages = found.usable_pages
        self._columns = EntryColumns(len(stored.tree))
        self._columns.sizes[:] = stored.tree.sizes
        self._columns.modes[:] = stored.tree.modes
        self._facts = Facts(
            stamp=found.stamp,
            floor=found.log.floor,
            newest=found.log.newest,
            is_condemned=condemned_by_open_runs(parts.backend, found.log),
            bad_blobs=found.bad_blobs,
            bad_chunks=found.damage.bad_chunks,
        )
        self._follower = BaseFollower(parts, found, self._facts)

    def run(self, source: Source, open_things: ExitStack) -> None:
        tree, stored = self._stored.tree, self._stored
        groups = group_pages(tree)
        view = JournalView(())
        if stored.journal is not None and tree.key:
            view = stored.journal.load(tree.key)
        match_groups(tree, groups, view, self._columns, stored.blobs, self._may_use)
        rows = [row for group in groups for row in group.to_read]
        if rows:
            spans = [(tree.paths[g.start], tree.paths[g.stop - 1]) for g in groups if g.to_read]
            # Of a stream nobody knows how long it is.
            if tree.key:
                stored.reads_index = stored.is_worth_requests(int(tree.sizes[rows].sum()))
            upload = TreeUpload(
                self._parts, self._options, self._cancel, self._facts, stored, self._columns
            )
            open_things.enter_context(upload)
            upload.load_known(self._found.base, spans)
            upload.run(rows, source.stream if isinstance(source, StreamSource) else None)
        self._make_pages(groups)

    def _may_use(self, page: JournalPage) -> bool:
        """The journal's word is good while its stamp is, or if the base version has the page."""
        if page.page_id.raw not in self._usable_pages:
            self._follower.follow(page)
        if page.page_id.raw in self._usable_pages:
            page.stamp = self._facts.stamp
        if not self._facts.is_current(page.stamp):
            return False
        ids = page.page.blob_ids
        if len(ids) == 0:
            return True
        if self._facts.is_condemned(ids).any():
            return False
        bad = self._facts.bad_blobs
        if bad and any(blob_id.tobytes() in bad for blob_id in ids):
            return False
        damage = self._found.damage.blobs
        return not damage or len(damaged_extents(page.page, damage)) == 0

    def _make_pages(self, groups: list[PageGroup]) -> None:
        stored, tree = self._stored, self._stored.tree
        builder = GroupDigestBuilder()
        counts = np.zeros(4, np.int64)
        size = 0
        for group in groups:
            if group.reused is not None:
                reused = group.reused
                new = NewPage(reused.page_id, reused.content, reused.page, reused.stamp)
            else:
                page = self._columns.page(
                    group.start, group.stop, tree.paths, tree.kinds, stored.blobs
                )
                content = encode_page(page)
                page_id = PageId(blake3(content).digest())
                new = NewPage(page_id, content, page, self._stamp_of(group))
            stored.pages.append(new)
            builder.add(new.page)
            counts += np.bincount(new.page.kinds, minlength=4)
            size += int(new.page.sizes[new.page.kinds == EntryKind.FILE].sum())
        stored.stated = builder.stated()
        stored.totals = Totals(
            files=int(counts[EntryKind.FILE]),
            symlinks=int(counts[EntryKind.SYMLINK]),
            directories=int(counts[EntryKind.DIRECTORY]),
            externals=int(counts[EntryKind.EXTERNAL]),
            size=size,
        )

    def _stamp_of(self, group: PageGroup) -> int:
        """The lowest stamp among the blobs of a page: what may be said of the page as a whole."""
        rows = self._columns.blob_rows(group.start, group.stop).tolist()
        stamps = (self._stored.blobs.ref(row).stamp for row in rows)
        return min(stamps, default=self._facts.stamp)


def open_journal(parts: StoreParts) -> Journal | None:
    """Open this user's journal; None where there is to be none or it cannot be opened."""
    if parts.state_dir is None:
        return None
    try:
        return Journal(parts.state_dir, parts.config.store_id)
    except (OSError, sqlite3.Error):
        return None  # a read-only home costs time, never data


def _stream_path(source: StreamSource) -> bytes:
    path = path_to_bytes(source.path)
    if not path or path.startswith(b"/") or any(p in (b"", b".", b"..") for p in path.split(b"/")):
        raise InvalidInputError(
            f"{source.path!r} cannot be a path inside a version",
            code=ErrorCode.INVALID_PATH,
            hint="give --path a relative path such as logs/run.txt",
        )
    return path
