"""What a version holds: names, rows with sizes, a tree."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

from cas.cli.conditions import Field, Predicate, order_by, parse_conditions, size_field
from cas.cli.render import Console
from cas.cli.text import escape, format_table
from cas.cli.trees import SCREEN_CHILDREN, TreeStyle, draw_tree
from cas.errors import ErrorCode, NotFoundError
from cas.model.entry import Entry, EntryKind
from cas.model.units import format_count, format_size

if TYPE_CHECKING:
    from cas import Folder, Version

_KIND_LETTERS = {
    EntryKind.FILE: "-",
    EntryKind.SYMLINK: "l",
    EntryKind.DIRECTORY: "d",
    EntryKind.EXTERNAL: "e",
}

# Of entries, and of folders, which may be listed among them.
ENTRY_FIELDS: Mapping[str, Field] = {
    "name": Field(lambda one: one.path.rpartition("/")[2]),
    "path": Field(lambda one: one.path),
    "size": size_field(lambda one: one.size),
    "kind": Field(lambda one: one.kind.name.lower() if isinstance(one, Entry) else "folder"),
    "hash": Field(lambda one: one.hash.hex if isinstance(one, Entry) and one.hash else ""),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ListingStyle:
    """What of a version is listed, and how."""

    recursive: bool = False
    long: bool = False
    null: bool = False
    tree: bool = False
    depth: int | None = None
    sort: str | None = None
    reverse: bool = False
    limit: int | None = None
    filters: tuple[str, ...] = ()

    @property
    def wanted(self) -> Predicate | None:
        """What tells whether an entry is listed; None: all are."""
        return parse_conditions(self.filters, ENTRY_FIELDS)

    @property
    def order(self) -> Callable[[list[Any]], list[Any]] | None:
        """What puts entries in order; None: they are."""
        return order_by(self.sort, ENTRY_FIELDS, reverse=self.reverse)


def missing_path(version: Version, path: str) -> NotFoundError:
    """Return the error that a version has nothing at a path."""
    return NotFoundError(
        f"{version.ref} holds no {path!r}",
        code=ErrorCode.PATH_NOT_FOUND,
        hint=f"cas ls {version.ref}",
    )


def list_entries(console: Console, version: Version, path: str, style: ListingStyle) -> None:
    """Print what a version holds at `path`: a file, or a folder, or all that is below it.

    Raises:
        NotFoundError: there is nothing at `path`.
        InvalidInputError: what to filter or sort by makes no sense.
    """
    if path and not version.is_dir(path):
        if path not in version:
            raise missing_path(version, path)
        _list_rows(console, version, path, style, [version[path]])
    elif style.tree:
        _list_tree(console, version, path, style)
    elif style.recursive:
        found: Iterable[Entry] = version.entries(path)
        if style.depth is not None:
            deepest = style.depth + (path.count("/") + 1 if path else 0)
            found = (entry for entry in found if entry.path.count("/") < deepest)
        if (wanted := style.wanted) is not None:
            found = filter(wanted, found)
        _list_rows(console, version, path, style, found)
    else:
        _list_rows(console, version, path, style, _children(version, path, style))


def _children(version: Version, path: str, style: ListingStyle) -> list[Folder | Entry | str]:
    """Return what lies right below a folder: sub-folders first, as names if that is enough."""
    wanted = style.wanted
    if not (style.long or style.sort or wanted):
        names, entries = version.children(path)
        return [*(_below(path, name) for name in names), *entries]
    from cas import TreeOptions  # 5 ms that names alone need not spend

    top = version.tree(path, TreeOptions(depth=1, wanted=wanted))
    return [*top.folders.values(), *top.entries]


def _list_rows(
    console: Console, version: Version, path: str, style: ListingStyle, found: Iterable[Any]
) -> None:
    if (order := style.order) is not None:
        found = order(list(found))
    rows = iter(found)
    shown = rows if style.limit is None else islice(rows, style.limit)
    if console.as_json:
        _list_as_json(console, version, path, shown, rows)
        return
    if style.null:
        console.names(map(_name_of, shown), end=b"\0")
    elif style.long:
        table = format_table(
            ("", "SIZE", "HASH", "PATH"), list(map(_row_of, shown)), right=frozenset({1})
        )
        for line in table[1:]:
            console.answer(line)
    else:
        for row in shown:
            console.answer(_colored(console, row))
    if style.limit is not None and (rest := sum(1 for _ in rows)):
        console.note(f"... and {rest:,} more")


def _list_as_json(
    console: Console, version: Version, path: str, shown: Iterator[Any], rest: Iterator[Any]
) -> None:
    folders: list[str] = []
    totals: list[dict[str, Any]] = []
    entries: list[Entry] = []
    for row in shown:
        if isinstance(row, Entry):
            entries.append(row)
            continue
        name = row if isinstance(row, str) else row.path
        folders.append(name.rpartition("/")[2])
        if not isinstance(row, str):
            totals.append(_folder_document(row))
    document: dict[str, Any] = {"ref": version.ref, "path": path, "folders": folders}
    document |= {"folder_totals": totals} if totals else {}
    console.document({**document, "entries": entries, "more": sum(1 for _ in rest)})


def _list_tree(console: Console, version: Version, path: str, style: ListingStyle) -> None:
    from cas import TreeOptions  # as above

    cut = SCREEN_CHILDREN if console.shows_people and not console.as_json else None
    limit = cut if style.limit is None else style.limit or None
    order = style.order
    kept = limit if order is None else None  # what comes first is known at the end
    options = TreeOptions(depth=style.depth, limit=kept, wanted=style.wanted)
    top = version.tree(path, options)
    if console.as_json:
        _list_tree_as_json(console, version, top)
        return
    title = f"{version.ref}/{path}" if path else version.ref
    shown = draw_tree(console, title, top, TreeStyle(depth=style.depth, limit=limit, order=order))
    if style.depth is None and shown > 0:
        console.note(f"{format_count(shown, 'level')} shown; for more: -L {shown + 1}")


def _list_tree_as_json(console: Console, version: Version, top: Folder) -> None:
    """Print a tree as two flat lists: nesting has limits in JSON, folders have none."""
    folders: list[dict[str, Any]] = []
    entries: list[Entry] = []
    waiting = [top]
    while waiting:
        folder = waiting.pop()
        folders.append({**_folder_document(folder), "more": folder.more_entries})
        entries += folder.entries
        waiting += reversed(folder.folders.values())
    names = {"ref": version.ref, "path": top.path}
    console.document({**names, "folders": folders, "entries": entries})


def _folder_document(folder: Folder) -> dict[str, Any]:
    return {name: getattr(folder, name) for name in ("path", "files", "size", "others")}


def _below(path: str, name: str) -> str:
    return f"{path}/{name}" if path else name


def _name_of(row: Folder | Entry | str) -> str:
    if isinstance(row, Entry):
        return row.path
    return f"{row if isinstance(row, str) else row.path}/"


def _colored(console: Console, row: Folder | Entry | str) -> str:
    paint: Callable[[str], str] = partial(console.paint, fg="blue", bold=True)
    if isinstance(row, Entry):
        paint = str
        if row.executable or row.kind is not EntryKind.FILE:
            paint = partial(console.paint, fg="green" if row.executable else "cyan")
    return paint(escape(_name_of(row)))


def _row_of(row: Folder | Entry | str) -> tuple[str, str, str, str]:
    if isinstance(row, str):
        return "d", "", "", _name_of(row)
    if not isinstance(row, Entry):
        return "d", format_size(row.size), format_count(row.files, "file"), _name_of(row)
    letter = "x" if row.executable else _KIND_LETTERS[row.kind]
    arrow = f" -> {row.target}" if row.target is not None else ""
    digest = row.hash.short if row.hash else ""
    size = "" if row.kind is EntryKind.DIRECTORY else format_size(row.size)
    return letter, size, digest, f"{row.path}{arrow}"
