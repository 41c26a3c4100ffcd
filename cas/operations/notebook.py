"""What a notebook shows of versions, diffs, listings and outcomes. Bounded, whatever they hold.

A version's card is made of its record, which is there already, and of the top of its tree, for which
few pages are read and none is waited for long. Aliases are left out: they move, and asking for them
costs requests; a card stays true for as long as the notebook is kept.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from heapq import merge
from itertools import islice
from typing import TYPE_CHECKING

from cas.format.manifest import page_entry
from cas.model.entry import EntryKind, path_to_text
from cas.model.html import (
    BLUE,
    GREEN,
    PURPLE,
    RED,
    YELLOW,
    Cell,
    Markup,
    card,
    code,
    colored,
    plain,
    remark,
    table,
    when,
)
from cas.model.units import format_count, format_rate, format_size
from cas.operations.list_folder import iter_children
from cas.operations.list_tree import TreeOptions, list_tree

if TYPE_CHECKING:
    from cas.operations.diff import Change, Diff
    from cas.operations.outcomes import GetOutcome, PutOutcome
    from cas.operations.pinned import PinnedVersion
    from cas.operations.show_history import ArtifactSummary, VersionSummary
    from cas.operations.version_pages import VersionPages

MOST_CHILDREN = 20
MOST_CHANGES = 50
MOST_VALUES = 12
MOST_SUMMARIES = 50
# Up to here folders are summed up, which takes every page.
FEW_PAGES = 4
# A store that does not answer must not hold up a notebook.
PATIENCE_SECONDS = 4.0

Row = tuple[Cell, ...]


def version_card(version: PinnedVersion) -> Markup:
    """Return what a version is and what lies at its top."""
    record = version.record
    totals = record.totals
    counts = f"{format_count(totals.files, 'file')}, {format_size(totals.size)}"
    facts: list[tuple[str, Cell]] = [
        ("digest", code(record.digest.short)),
        ("holds", counts),
        ("created", when(record.created_ns)),
        ("new", f"{format_size(record.new_bytes)}, stored {format_size(record.stored_bytes)}"),
        ("about", record.description),
        ("message", record.message),
    ]
    values = record.metadata.items()
    facts += [(name, _value(value)) for name, value in islice(values, MOST_VALUES)]
    if len(values) > MOST_VALUES:
        facts.append(("", f"… and {len(values) - MOST_VALUES:,} more values"))
    if record.inputs:
        shown = [f"{one.artifact}:v{one.number}" for one in record.inputs[:MOST_VALUES]]
        shown += ["…"] * (len(record.inputs) > MOST_VALUES)
        facts.append(("made from", ", ".join(shown)))
    rows = [(colored(name, BLUE), value) for name, value in facts if value]
    title = record.ref
    return card(title, record.type, table(("", ""), rows), *_top_of(version.pages))


def diff_card(diff: Diff) -> Markup:
    """Return how many paths differ, and the first of them."""
    groups = (
        ("added", diff.added, GREEN, diff.added_bytes),
        ("removed", diff.removed, RED, diff.removed_bytes),
        ("modified", diff.modified, YELLOW, diff.modified_bytes),
        ("renamed", diff.renamed, BLUE, None),
        ("mode changed", diff.mode_changed, PURPLE, None),
    )
    counts = [
        (colored(f"{len(changes):,} {name}", color), "" if size is None else format_size(size))
        for name, changes, color, size in groups
        if changes
    ]
    total = sum(len(changes) for _, changes, _, _ in groups)
    if not total:
        return card("Diff", "no differences")
    colors = {name.partition(" ")[0]: color for name, _, color, _ in groups}
    first = islice(merge(*(group[1] for group in groups), key=_path_of), MOST_CHANGES)
    rows = [_change_row(change, colors[change.kind]) for change in first]
    rest = total - len(rows)
    return card(
        "Diff",
        format_count(total, "path"),
        table(("", ""), counts, right=frozenset({1})),
        table(("", "path", "size"), rows, right=frozenset({2})),
        remark(f"… and {rest:,} more") if rest else None,
    )


def put_card(outcome: PutOutcome) -> Markup:
    """Return what a put did."""
    holds = f"{format_count(outcome.totals.files, 'file')}, {format_size(outcome.totals.size)}"
    speed = format_rate(outcome.totals.size, outcome.seconds)
    facts: list[Row] = [
        ("digest", code(outcome.digest.short)),
        ("holds", holds),
        ("new", f"{format_size(outcome.new_bytes)}, stored {format_size(outcome.stored_bytes)}"),
        ("sent", f"{format_size(outcome.sent_bytes)} in {outcome.seconds:.1f} s ({speed})"),
        ("aliases", ", ".join(outcome.aliases)),
        ("left out", format_count(len(outcome.skipped), "path") if outcome.skipped else ""),
        *(("warning", colored(text, YELLOW)) for text in outcome.warnings[:MOST_VALUES]),
    ]
    state = "created" if outcome.created else "unchanged"
    return card(outcome.ref, state, table(("", ""), _filled(facts)))


def get_card(outcome: GetOutcome) -> Markup:
    """Return what a get did."""
    facts: list[Row] = [
        ("to", code(outcome.dest)),
        ("files", f"{outcome.files:,}, {format_size(outcome.size)}"),
        ("fetched", f"{format_size(outcome.fetched_bytes)} in {outcome.seconds:.1f} s"),
        ("written", format_size(outcome.written_bytes)),
        ("there already", format_count(outcome.unchanged_files, "file")),
        ("left out", format_count(len(outcome.skipped), "path") if outcome.skipped else ""),
        ("holes", colored(f"{len(outcome.holes):,}", RED) if outcome.holes else ""),
    ]
    title = f"{outcome.artifact}:v{outcome.number}"
    return card(title, "written", table(("", ""), _filled(facts)))


def artifacts_table(artifacts: Sequence[ArtifactSummary]) -> Markup:
    """Return the first artifacts of a list."""
    rows: list[Row] = [
        (
            code(one.name),
            one.type,
            "-" if one.latest is None else f"v{one.latest}",
            f"{one.versions:,}",
            format_size(one.size),
            when(one.created_ns) if one.created_ns else "-",
            ", ".join(one.aliases),
        )
        for one in artifacts[:MOST_SUMMARIES]
    ]
    headings = ("artifact", "type", "latest", "versions", "size", "created", "aliases")
    listed = table(headings, rows, right=frozenset({3, 4}))
    return _cut(format_count(len(artifacts), "artifact"), listed, len(artifacts))


def versions_table(versions: Sequence[VersionSummary]) -> Markup:
    """Return the first versions of a list."""
    rows: list[Row] = [
        (
            code(f"{one.artifact}:v{one.number}"),
            "" if one.state == "live" else colored(one.state, RED),
            when(one.created_ns) if one.created_ns else "-",
            f"{one.totals.files:,}" if one.totals else "",
            format_size(one.totals.size) if one.totals else "",
            format_size(one.new_bytes) if one.totals else "",
            ", ".join(one.aliases),
            one.message or one.description,
        )
        for one in versions[:MOST_SUMMARIES]
    ]
    headings = ("version", "", "created", "files", "size", "new", "aliases", "message")
    listed = table(headings, rows, right=frozenset({3, 4, 5}))
    return _cut(format_count(len(versions), "version"), listed, len(versions))


def _cut(title: str, listed: Markup, total: int) -> Markup:
    rest = total - MOST_SUMMARIES
    return card(title, "", listed, remark(f"… and {rest:,} more") if rest > 0 else None)


def _filled(rows: Sequence[Row]) -> list[Row]:
    return [(colored(str(name), BLUE), value) for name, value in rows if value]


def _value(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _path_of(change: Change) -> bytes:
    return change.path.encode("utf-8", "surrogateescape")


def _change_row(change: Change, color: str) -> Row:
    path = code(change.path)
    if change.old_path is not None:
        path = Markup(f"{code(change.old_path).text} → {path.text}")
    old, new = (
        "" if size is None else format_size(size) for size in (change.old_size, change.new_size)
    )
    sizes = old or new if not (old and new) or old == new else f"{old} → {new}"
    return colored(change.kind, color), path, sizes


def _top_of(pages: VersionPages) -> list[Markup | None]:
    """Return what lies at the top of a version, or what kept it from being read."""
    found: list[tuple[list[Row], str]] = []

    def read() -> None:
        try:
            found.append(_read_top(pages))
        except Exception:  # noqa: BLE001 whatever it is, the card does without
            return

    # As a daemon, since retries of a store that is gone may go on for minutes.
    reader = threading.Thread(target=read, name="cas-notebook", daemon=True)
    reader.start()
    reader.join(PATIENCE_SECONDS)
    if not found:
        why = "did not answer in time" if reader.is_alive() else "cannot be read now"
        return [remark(f"its files are not listed: the store {why}")]
    rows, rest = found[0]
    return [table(("", ""), rows, right=frozenset({1})), remark(rest) if rest else None]


def _read_top(pages: VersionPages) -> tuple[list[Row], str]:
    """Return rows of what lies at the top, and how much more there is."""
    if len(pages) <= FEW_PAGES:
        top = list_tree(pages, b"", TreeOptions(depth=1, limit=MOST_CHILDREN))
        rows: list[Row] = [
            (code(f"{name}/"), f"{format_count(one.files, 'file')}, {format_size(one.size)}")
            for name, one in top.folders.items()
        ]
        rows += [(code(one.path), _size_of(one.kind, one.size)) for one in top.entries]
        rest = len(rows) - MOST_CHILDREN + top.more_entries
        return rows[:MOST_CHILDREN], f"… and {rest:,} more" if rest > 0 else ""
    rows, last, count = [], None, 0
    for child in iter_children(pages, b""):
        if child.entry is not None and child.entry[0] is not last:
            last, count = child.entry[0], count + 1
        if len(rows) == MOST_CHILDREN or count > FEW_PAGES:
            return rows, "… and more"
        if child.entry is None:
            rows.append((code(f"{path_to_text(child.path)}/"), ""))
        else:
            entry = page_entry(*child.entry)
            rows.append((code(entry.path), _size_of(entry.kind, entry.size)))
    return rows, ""


def _size_of(kind: EntryKind, size: int) -> Cell:
    if kind is EntryKind.FILE:
        return format_size(size)
    return plain("empty folder" if kind is EntryKind.DIRECTORY else kind.name.lower())
