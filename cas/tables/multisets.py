"""Rows compared without a key: how often each is there on either side, whatever their order.

A row is known by a hash of 64 bits, so that no more is kept of it, however wide it is. Of a billion
pairs of a row that came and one that went, one in 18 billion tables would have one missed.
"""

from __future__ import annotations

from cas.tables.outcomes import ShownRow, TableDiff
from cas.tables.pair import Table, TablePair


def compare_as_multisets(pair: TablePair, path: str) -> TableDiff:
    """Return which rows one side has more often, columns that only one has left aside.

    Raises:
        InvalidInputError: a file is not what its name says.
    """
    hashed = f"hash({', '.join(pair.names)})"
    both = " UNION ALL ".join(
        f"SELECT {hashed} AS h, {counted} FROM {pair.select(table)}"
        for table, counted in ((pair.old, "1 AS o, NULL AS n"), (pair.new, "NULL AS o, 1 AS n"))
    )
    pair.keep(
        "differing",
        f"SELECT h, count(n) - count(o) AS n FROM ({both}) GROUP BY h HAVING count(n) <> count(o)",
    )
    ((added, removed),) = pair.database.ask(
        "SELECT coalesce(sum(n) FILTER (n > 0), 0), coalesce(-sum(n) FILTER (n < 0), 0)"
        " FROM differing"
    )
    return TableDiff(
        kind="modified",
        path=path,
        added=int(added),
        removed=int(removed),
        added_rows=_show(pair, pair.new, hashed, "n > 0") if added else (),
        removed_rows=_show(pair, pair.old, hashed, "n < 0") if removed else (),
    )


def _show(pair: TablePair, table: Table, hashed: str, which: str) -> list[ShownRow]:
    limit = pair.options.examples
    if not limit:
        return []
    pair.keep(
        "wanted",
        f"SELECT h, abs(n) AS n FROM differing WHERE {which} ORDER BY h LIMIT {limit}",
    )
    values = ", ".join(f"{pair.shown(name)} AS {name}" for name in pair.names)
    rows = f"SELECT *, {hashed} AS h FROM {pair.select(table)}"
    found = pair.database.ask(
        f"SELECT {values}, n FROM ({rows}) JOIN wanted USING (h) GROUP BY ALL ORDER BY ALL"
    )
    return [ShownRow(pair.read_row(pair.names, row), int(row[-1])) for row in found]
