"""A version against a folder, or objects behind a URL: what `status` and `diff REF PATH` show."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
from blake3 import blake3

from cas.backend.open import is_remote_url, local_path
from cas.errors import ErrorCode, IncompleteError, NotFoundError
from cas.format.manifest import Page
from cas.model.entry import Entry, EntryKind, path_to_bytes, path_to_text
from cas.model.ids import FileHash
from cas.objects.parts import StoreParts
from cas.operations.diff import Diff, compare_entries
from cas.operations.pinned import PinnedVersion
from cas.operations.store_tree import open_journal
from cas.transfer.cutting import open_source
from cas.transfer.existing import hash_stream
from cas.transfer.journal import JournalView
from cas.transfer.remote_hashing import hash_objects
from cas.transfer.remote_tree import scan_places
from cas.transfer.tree import LocalTree, scan_tree

HASH_BATCH = 64

Hasher = Callable[[Sequence[int]], Mapping[int, bytes]]


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderOptions:
    """How a version is compared with a folder.

    Attributes:
        path: of the version; what is below it is compared.
        exclude: patterns of what is left out of the new side.
        source_options: for the driver of a URL, as `PutOptions.source_options`.
        renames: tell files that only moved.
    """

    path: str = ""
    exclude: Sequence[str] = ()
    source_options: Mapping[str, Any] = field(default_factory=dict)
    renames: bool = True


def diff_folder(
    parts: StoreParts, version: PinnedVersion, folder: str, options: FolderOptions | None = None
) -> Diff:
    """Compare a version (old) with a local folder or file, or what lies behind a URL (new).

    Files that the journal knows to be unchanged, or whose size differs, are not read. Objects have
    no executable bit, and there are no links and empty folders among them: those are not compared.

    Raises:
        NotFoundError: there is no such folder, or path of the version.
        IncompleteError: some files cannot be read.
        BackendError: what lies behind the URL cannot be listed or read.
    """
    options = options or FolderOptions()
    renames = options.renames
    old = _entries_below(version, options.path)
    with ExitStack() as open_things:
        tree: LocalTree
        hasher: Hasher
        if is_remote_url(folder):
            # fsspec takes 0.1 s to import, which local folders need not spend.
            from cas.backend.places import open_place

            place = open_place(folder, options.source_options, parts.tally(folder, "source"))
            open_things.callback(place.close)
            tree = remote_tree = scan_places([place], exclude=options.exclude)
            hasher = partial(hash_objects, remote_tree, memory_bytes=parts.memory_bytes)
            old = [replace(one, executable=False) for one in old if one.kind is EntryKind.FILE]
        else:
            tree = _scan_folder(local_path(folder), options.exclude)
            hasher = partial(_hash_files, tree, jobs=parts.jobs)
        if tree.problems:
            raise IncompleteError(
                f"{len(tree.problems)} paths cannot be read", problems=tuple(tree.problems)
            )
        known = _known_hashes(parts, tree)
        known.update(hasher(_rows_to_hash(tree, known, old, renames=renames)))
    new = (_entry(tree, row, known.get(row)) for row in range(len(tree)))
    return compare_entries(old, new, renames=renames)


def _entries_below(version: PinnedVersion, path: str) -> list[Entry]:
    """Return the entries below a path, by their paths from there; of a file by its name."""
    if not path:
        return list(version.pages.iter_entries())
    above = f"{path.rpartition('/')[0]}/".lstrip("/")
    found = list(version.pages.iter_entries(path_to_bytes(path)))
    if not found:
        ref = version.record.ref
        raise NotFoundError(
            f"{ref} has no {path!r}",
            code=ErrorCode.PATH_NOT_FOUND,
            hint=f"cas ls {ref} lists what it has",
        )
    cut = above if found[0].path == path else f"{path}/"
    return [replace(one, path=one.path.removeprefix(cut)) for one in found]


def _scan_folder(folder: str, exclude: Sequence[str]) -> LocalTree:
    if not os.path.lexists(folder):
        raise NotFoundError(f"{folder} does not exist", code=ErrorCode.PATH_NOT_FOUND)
    return scan_tree([folder], exclude=exclude)


def _rows_to_hash(
    tree: LocalTree, known: Mapping[int, bytes], old: Sequence[Entry], *, renames: bool
) -> list[int]:
    """Return the rows of files that may be what the old side has, there or elsewhere."""
    sizes = {entry.path: entry.size for entry in old if entry.kind is EntryKind.FILE}
    removed_sizes = set(sizes.values())

    def must_hash(row: int) -> bool:
        if tree.kinds[row] != EntryKind.FILE or row in known:
            return False
        size = int(tree.sizes[row])
        path = path_to_text(tree.paths[row])
        if path in sizes:
            return sizes[path] == size
        return renames and size in removed_sizes

    return [row for row in range(len(tree)) if must_hash(row)]


def _hash_files(tree: LocalTree, rows: Sequence[int], *, jobs: int) -> dict[int, bytes]:
    batches = [rows[start : start + HASH_BATCH] for start in range(0, len(rows), HASH_BATCH)]
    with ThreadPoolExecutor(jobs, thread_name_prefix="cas-hash") as pool:
        hashed = pool.map(lambda batch: [(row, _hash(tree, row)) for row in batch], batches)
        return {row: digest for batch in hashed for row, digest in batch}


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
