"""What a notebook shows of entries. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from cas.model.entry import Entry, EntryKind
from cas.model.html import BLUE, Cell, Markup, card, code, colored, remark, table
from cas.model.units import format_exact_size, format_size

MOST_ENTRIES = 20


def entry_card(entry: Entry) -> Markup:
    """Return everything about an entry."""
    executable = ", executable" if entry.executable else ""
    facts: list[tuple[str, Cell]] = [
        ("size", "" if entry.kind is EntryKind.DIRECTORY else format_exact_size(entry.size)),
        ("leads to", code(entry.target) if entry.target is not None else ""),
        ("hash", code(entry.hash.hex) if entry.hash else ""),
    ]
    rows = [(colored(name, BLUE), value) for name, value in facts if value]
    return card(entry.path, f"{entry.kind.name.lower()}{executable}", table(("", ""), rows))


def entries_table(entries: Sequence[Entry]) -> Markup:
    """Return the first entries of a list, and how many others there are."""
    rows: list[tuple[Cell, ...]] = [
        (code(one.path), one.kind.name.lower(), format_size(one.size), _short_hash(one))
        for one in entries[:MOST_ENTRIES]
    ]
    size = sum(one.size for one in entries if one.kind is EntryKind.FILE)
    title = f"{len(entries):,} {'entry' if len(entries) == 1 else 'entries'}"
    listed = table(("path", "kind", "size", "hash"), rows, right=frozenset({2}))
    rest = len(entries) - MOST_ENTRIES
    more = remark(f"… and {rest:,} more") if rest > 0 else None
    return card(title, format_size(size), listed, more)


def _short_hash(entry: Entry) -> Cell:
    return code(entry.hash.short) if entry.hash else ""
