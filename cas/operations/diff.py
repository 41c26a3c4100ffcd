"""What changed between two versions, or between a version and a local folder.

Pages that both versions share are skipped unread.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from cas.format.manifest import Page, Root, find_page, page_entry
from cas.model.entry import Entry, EntryKind, path_to_bytes
from cas.operations.list_folder import pages_below
from cas.operations.pinned import PinnedVersion
from cas.operations.version_pages import VersionPages


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One path that differs. `kind` is `added`, `removed`, `modified`, `renamed` or `mode`.

    Sizes are bytes, None where the side has no such path. `old_path` is set for a rename.
    """

    kind: str
    path: str
    old_path: str | None = None
    old_size: int | None = None
    new_size: int | None = None
    entry_kind: EntryKind = EntryKind.FILE


@dataclass(frozen=True, slots=True)
class Diff:
    """Every change, each list in path order."""

    added: tuple[Change, ...] = ()
    removed: tuple[Change, ...] = ()
    modified: tuple[Change, ...] = ()
    renamed: tuple[Change, ...] = ()
    mode_changed: tuple[Change, ...] = ()
    pages_read: int = 0

    @property
    def changes(self) -> list[Change]:
        """All changes in path order."""
        every = (*self.added, *self.removed, *self.modified, *self.renamed, *self.mode_changed)
        return sorted(every, key=lambda change: change.path)

    @property
    def is_empty(self) -> bool:
        """Whether nothing differs."""
        return not self.changes

    @property
    def added_bytes(self) -> int:
        """Bytes of files that only the new side has."""
        return sum(change.new_size or 0 for change in self.added)

    @property
    def removed_bytes(self) -> int:
        """Bytes of files that only the old side has."""
        return sum(change.old_size or 0 for change in self.removed)

    @property
    def modified_bytes(self) -> int:
        """Bytes of modified files, as they are on the new side."""
        return sum(change.new_size or 0 for change in self.modified)

    def _repr_html_(self) -> str | None:
        # Here, as in all methods of this name: only a notebook needs these modules.
        from cas.model.html import show_or_nothing
        from cas.operations.notebook import diff_card

        return show_or_nothing(lambda: diff_card(self))


def diff_versions(
    old: PinnedVersion, new: PinnedVersion, path: str = "", *, renames: bool = True
) -> Diff:
    """Compare two versions, reading only the pages that they do not share.

    Args:
        old: the one side.
        new: the other.
        path: only what is at or below it counts.
        renames: tell files that only moved.
    """
    prefix = path_to_bytes(path)
    old_pages, new_pages, read = _unshared(old.pages, new.pages, prefix)
    sides = (_entries(pages, prefix) for pages in (old_pages, new_pages))
    return compare_entries(*sides, renames=renames, pages_read=read)


def compare_entries(
    old: Iterable[Entry], new: Iterable[Entry], *, renames: bool = True, pages_read: int = 0
) -> Diff:
    """Compare two sequences of entries, each in path order by bytes."""
    added: list[Entry] = []
    removed: list[Entry] = []
    modified: list[Change] = []
    modes: list[Change] = []
    for before, after in _pairs(iter(old), iter(new)):
        if before is None and after is not None:
            added.append(after)
        elif after is None and before is not None:
            removed.append(before)
        elif before is not None and after is not None:
            change = _compare(before, after)
            if change is not None:
                (modes if change.kind == "mode" else modified).append(change)
    renamed = _match_renames(added, removed) if renames else []
    return Diff(
        tuple(_one_side("added", entry) for entry in added),
        tuple(_one_side("removed", entry) for entry in removed),
        tuple(modified),
        tuple(renamed),
        tuple(modes),
        pages_read,
    )


def _unshared(
    old: VersionPages, new: VersionPages, prefix: bytes
) -> tuple[Iterator[Page], Iterator[Page], int]:
    old_root, new_root = old.root, new.root
    old_ids = [row.tobytes() for row in old_root.page_ids]
    new_ids = [row.tobytes() for row in new_root.page_ids]
    shared = set(old_ids) & set(new_ids)
    old_rows = [row for row in _pages_at(old_root, prefix) if old_ids[row] not in shared]
    new_rows = [row for row in _pages_at(new_root, prefix) if new_ids[row] not in shared]
    return (
        (old.page(row) for row in old_rows),
        (new.page(row) for row in new_rows),
        len(old_rows) + len(new_rows),
    )


def _pages_at(root: Root, path: bytes) -> list[int]:
    below = pages_below(root, path)
    itself = find_page(root, path) if path else -1
    return sorted({*below, itself} - {-1})


def _entries(pages: Iterator[Page], prefix: bytes) -> Iterator[Entry]:
    below = prefix + b"/"
    for page in pages:
        for row, path in enumerate(page.paths):
            if not prefix or path == prefix or path.startswith(below):
                yield page_entry(page, row)


def _pairs(
    old: Iterator[Entry], new: Iterator[Entry]
) -> Iterator[tuple[Entry | None, Entry | None]]:
    """Merge two sorted sequences by path."""
    before, after = next(old, None), next(new, None)
    while before is not None or after is not None:
        if before is None:
            yield None, after
            after = next(new, None)
        elif after is None:
            yield before, None
            before = next(old, None)
        else:
            left, right = _order(before), _order(after)
            if left == right:
                yield before, after
                before, after = next(old, None), next(new, None)
            elif left < right:
                yield before, None
                before = next(old, None)
            else:
                yield None, after
                after = next(new, None)


def _order(entry: Entry) -> bytes:
    return entry.path.encode("utf-8", "surrogateescape")


def _compare(before: Entry, after: Entry) -> Change | None:
    if before == after:
        return None
    content = replace(before, executable=after.executable)
    return Change(
        kind="mode" if content == after else "modified",
        path=after.path,
        old_size=before.size,
        new_size=after.size,
        entry_kind=after.kind,
    )


def _one_side(kind: str, entry: Entry) -> Change:
    return Change(
        kind=kind,
        path=entry.path,
        old_size=entry.size if kind == "removed" else None,
        new_size=entry.size if kind == "added" else None,
        entry_kind=entry.kind,
    )


def _match_renames(added: list[Entry], removed: list[Entry]) -> list[Change]:
    """Pair files that went with files that came and have the same bytes; empty files never."""
    sources: dict[bytes, list[Entry]] = {}
    for entry in reversed(removed):
        if entry.kind is EntryKind.FILE and entry.size and entry.hash:
            sources.setdefault(entry.hash.raw, []).append(entry)
    renamed: list[Change] = []
    kept: list[Entry] = []
    gone: set[str] = set()
    for entry in added:
        matches = sources.get(entry.hash.raw) if entry.hash else None
        if entry.kind is not EntryKind.FILE or not matches:
            kept.append(entry)
            continue
        source = matches.pop()
        gone.add(source.path)
        renamed.append(
            Change(
                kind="renamed",
                path=entry.path,
                old_path=source.path,
                old_size=source.size,
                new_size=entry.size,
            )
        )
    added[:] = kept
    removed[:] = [entry for entry in removed if entry.path not in gone]
    return renamed
