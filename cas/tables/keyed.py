"""Rows matched by a key: which came, which went, and which cells of the others changed."""

from __future__ import annotations

from cas.errors import ErrorCode, InvalidInputError
from cas.tables.outcomes import ChangedRow, ShownRow, TableDiff
from cas.tables.pair import TablePair

_NAMED_DUPLICATES = 3
_JOINED = "old_rows a JOIN new_rows b"


def compare_by_key(pair: TablePair, path: str) -> TableDiff:
    """Return what differs, columns that only one side has left aside.

    A first query keeps the keys of rows that differ, known by a hash of 64 bits of their values; a
    second one fetches those rows, which are compared cell by cell.

    Raises:
        InvalidInputError: a key is not unique on a side, or a file is not what its name says.
    """
    _find_differing(pair)
    _refuse_duplicates(pair)
    ((added, removed, changed),) = pair.database.ask(
        "SELECT count(*) FILTER (o = 0), count(*) FILTER (n = 0),"
        " count(*) FILTER (o = 1 AND n = 1) FROM differing"
    )
    if added or removed or changed:
        _fetch_differing(pair)
    return TableDiff(
        kind="modified",
        path=path,
        added=int(added),
        removed=int(removed),
        changed=int(changed),
        changed_cells=_count_cells(pair) if changed else {},
        added_rows=_show_alone(pair, "new_rows", "old_rows") if added else (),
        removed_rows=_show_alone(pair, "old_rows", "new_rows") if removed else (),
        changed_rows=_show_changed(pair) if changed else (),
    )


def _find_differing(pair: TablePair) -> None:
    """Keep each key that is not once on both sides with the same values."""
    hashed = f"hash({', '.join(pair.values)})" if pair.values else "0::UBIGINT"
    key = ", ".join(pair.keys)
    sides = [
        f"SELECT {key}, 1 AS o, NULL AS n, {hashed} AS h FROM {pair.select(pair.old)}",
        f"SELECT {key}, NULL AS o, 1 AS n, {hashed} AS h FROM {pair.select(pair.new)}",
    ]
    shared = pair.select_shared_keys()
    if shared is not None:  # the same rows on both sides, which may share a key with others
        sides.append(f"SELECT {key}, 1 AS o, 1 AS n, 0::UBIGINT AS h FROM {shared}")
    # Counts, and the hashes of both sides in one, take half the memory of sums and of two hashes.
    pair.keep(
        "differing",
        f"SELECT {key}, count(o) AS o, count(n) AS n FROM ({' UNION ALL '.join(sides)})"
        f" GROUP BY {key} HAVING count(o) > 1 OR count(n) > 1 OR count(o) <> count(n)"
        " OR bit_xor(h) <> 0",
    )


def _refuse_duplicates(pair: TablePair) -> None:
    keys = ", ".join(pair.keys)
    shown = ", ".join(map(pair.shown, pair.keys))
    found = pair.database.ask(
        f"SELECT {shown}, o, n, count(*) OVER () FROM differing WHERE o > 1 OR n > 1"
        f" ORDER BY {keys} LIMIT {_NAMED_DUPLICATES}"
    )
    if not found:
        return
    named = []
    for row in found:
        *_, before, after, _ = row
        key = ", ".join(f"{name}={value}" for name, value in pair.read_row(pair.keys, row).items())
        named.append(f"{key} ({before:,} old and {after:,} new rows)")
    more = found[0][-1] - len(found)
    raise InvalidInputError(
        f"{'+'.join(pair.options.keys)} is no key, rows share it: {'; '.join(named)}"
        + (f"; and {more:,} more" if more else ""),
        code=ErrorCode.INVALID_OPTION,
        hint="name more columns that together tell rows apart, or compare without a key",
    )


def _fetch_differing(pair: TablePair) -> None:
    """Keep the rows of both sides that are compared cell by cell or shown."""
    first = f"ORDER BY {', '.join(pair.keys)} LIMIT {pair.options.examples}"
    pair.keep(
        "wanted",
        "SELECT * FROM differing WHERE o = 1 AND n = 1"
        f" UNION ALL (SELECT * FROM differing WHERE o = 0 {first})"
        f" UNION ALL (SELECT * FROM differing WHERE n = 0 {first})",
    )
    for table, name, has in ((pair.old, "old_rows", "o"), (pair.new, "new_rows", "n")):
        pair.keep(
            name,
            f"SELECT a.* FROM {pair.select(table)} a"
            f" SEMI JOIN (SELECT * FROM wanted WHERE {has} = 1) b ON {_same_key(pair)}",
        )


def _count_cells(pair: TablePair) -> dict[str, int]:
    sums = ", ".join(f"sum((a.{name} IS DISTINCT FROM b.{name})::INT)" for name in pair.values)
    (counts,) = pair.database.ask(f"SELECT {sums} FROM {_JOINED} ON {_same_key(pair)}")
    named = zip(pair.values, counts, strict=True)
    return {pair.column(name): int(count) for name, count in named if count}


def _show_changed(pair: TablePair) -> list[ChangedRow]:
    selected = [pair.shown(name, "a") for name in pair.keys]
    for name in pair.values:
        selected.append(f"a.{name} IS DISTINCT FROM b.{name}")
        selected += [pair.shown(name, side) for side in "ab"]
    rows = pair.database.ask(
        f"SELECT {', '.join(selected)} FROM {_JOINED} ON {_same_key(pair)}"
        f" ORDER BY {_order(pair)} LIMIT {pair.options.examples}"
    )
    changed = []
    for row in rows:
        cells = {}
        for name, differs, *sides in zip(
            pair.values, *(row[len(pair.keys) + at :: 3] for at in range(3)), strict=True
        ):
            if differs:
                old, new = map(pair.read_value, sides)
                cells[pair.column(name)] = old, new
        changed.append(ChangedRow(pair.read_row(pair.keys, row), cells))
    return changed


def _show_alone(pair: TablePair, table: str, other: str) -> list[ShownRow]:
    shown = ", ".join(pair.shown(name, "a") for name in pair.names)
    found = pair.database.ask(
        f"SELECT {shown} FROM {table} a ANTI JOIN {other} b ON {_same_key(pair)}"
        f" ORDER BY {_order(pair)} LIMIT {pair.options.examples}"
    )
    return [ShownRow(pair.read_row(pair.names, row)) for row in found]


def _same_key(pair: TablePair) -> str:
    return " AND ".join(f"a.{name} IS NOT DISTINCT FROM b.{name}" for name in pair.keys)


def _order(pair: TablePair) -> str:
    return ", ".join(f"a.{name}" for name in pair.keys)
