"""A version against a local folder: what `status` and `diff REF PATH` show."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from blake3 import blake3

from cas.errors import ErrorCode, IncompleteError, NotFoundError
from cas.format.manifest import Page
from cas.model.entry import Entry, EntryKind, path_to_text
from cas.model.ids import FileHash
from cas.objects.parts import StoreParts
from cas.operations.diff import Diff, compare_entries
from cas.operations.pinned import PinnedVersion
from cas.operations.store_tree import open_journal
from cas.transfer.cutting import open_source
from cas.transfer.existing import hash_stream
from cas.transfer.journal import JournalView
from cas.transfer.tree import LocalTree, scan_tree

HASH_BATCH = 64


def diff_folder(
    parts: StoreParts,
    version: PinnedVersion,
    folder: str,
    exclude: Sequence[str] = (),
    *,
    renames: bool = True,
) -> Diff:
    """Compare a version (old) with a local folder or file (new).

    Files that the journal knows to be unchanged, or whose size differs, are not read.

    Raises:
        NotFoundError: there is no such folder.
        IncompleteError: some files cannot be read.
    """
    if not os.path.lexists(folder):
        raise NotFoundError(f"{folder} does not exist", code=ErrorCode.PATH_NOT_FOUND)
    tree = scan_tree([folder], exclude=exclude)
    if tree.problems:
        raise IncompleteError(
            f"{len(tree.problems)} paths cannot be read", problems=tuple(tree.problems)
        )
    old = list(version.pages.iter_entries())
    known = _known_hashes(parts, tree)
    sizes = {entry.path: entry.size for entry in old if entry.kind is EntryKind.FILE}
    with ThreadPoolExecutor(parts.jobs, thread_name_prefix="cas-hash") as pool:
        new = list(_entries(tree, known, sizes, pool, renames=renames))
    return compare_entries(old, new, renames=renames)


def _entries(
    tree: LocalTree,
    known: dict[int, bytes],
    sizes: dict[str, int],
    pool: ThreadPoolExecutor,
    *,
    renames: bool,
) -> Iterator[Entry]:
    removed_sizes = set(sizes.values())

    def must_hash(row: int) -> bool:
        if tree.kinds[row] != EntryKind.FILE or row in known:
            return False
        size = int(tree.sizes[row])
        path = path_to_text(tree.paths[row])
        if path in sizes:
            return sizes[path] == size
        return renames and size in removed_sizes

    rows = [row for row in range(len(tree)) if must_hash(row)]
    batches = [rows[start : start + HASH_BATCH] for start in range(0, len(rows), HASH_BATCH)]
    for hashed in pool.map(lambda batch: [(row, _hash(tree, row)) for row in batch], batches):
        known.update(hashed)
    for row in range(len(tree)):
        yield _entry(tree, row, known.get(row))


def _entry(tree: LocalTree, row: int, digest: bytes | None) -> Entry:
    kind = EntryKind(int(tree.kinds[row]))
    path = path_to_text(tree.paths[row])
    if kind is EntryKind.DIRECTORY:
        return Entry(path=path, kind=kind, size=0)
    if kind is EntryKind.SYMLINK:
        target = os.readlink(tree.local_path(row))
        return Entry(
            path=path,
            kind=kind,
            size=len(target),
            hash=FileHash(blake3(target).digest()),
            target=path_to_text(target),
        )
    return Entry(
        path=path,
        kind=kind,
        size=int(tree.sizes[row]),
        executable=bool(tree.modes[row]),
        hash=FileHash(digest or bytes(32)),
    )


def _hash(tree: LocalTree, row: int) -> bytes:
    descriptor = open_source(tree.local_path(row))
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        return hash_stream(file.read)


def _known_hashes(parts: StoreParts, tree: LocalTree) -> dict[int, bytes]:
    """Hashes that the journal knows, by row."""
    journal = open_journal(parts)
    if journal is None:
        return {}
    try:
        view = journal.load(tree.key)
        return dict(_journal_hashes(view, tree))
    finally:
        journal.close()


def _journal_hashes(view: JournalView, tree: LocalTree) -> Iterator[tuple[int, bytes]]:
    rows_of: dict[int, dict[bytes, int]] = {}
    for row, path in enumerate(tree.paths):
        page = view.page_of(path)
        if page is None or tree.kinds[row] != EntryKind.FILE:
            continue
        if id(page) not in rows_of:
            rows_of[id(page)] = _rows_by_path(page.page)
        at = rows_of[id(page)].get(path)
        if at is not None and page.unchanged(tree, np.array([row]), np.array([at]))[0]:
            yield row, page.page.hashes[at].tobytes()


def _rows_by_path(page: Page) -> dict[bytes, int]:
    return {path: row for row, path in enumerate(page.paths)}
