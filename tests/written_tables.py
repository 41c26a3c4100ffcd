"""Tables written as files, and read by the database without a store."""

from __future__ import annotations

import csv
import gzip
import io
import json

from cas.tables.compare import TableComparer
from cas.tables.kinds import kind_of
from cas.tables.outcomes import RowsOptions


class Content:
    """Bytes that can be read anywhere, and how many were."""

    def __init__(self, content):
        self._content = content
        self.size = len(content)
        self.received = 0

    def read(self, start, stop):
        """Return a range."""
        found = self._content[start:stop]
        self.received += len(found)
        return found


def csv_bytes(names, rows):
    """Return a CSV file; None is an empty cell."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    writer.writerows(rows)
    return text.getvalue().encode()


def json_bytes(rows):
    """Return lines of JSON."""
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def parquet_bytes(folder, types, rows, group=100_000):
    """Return a Parquet file; `types` are those of DuckDB by name."""
    import duckdb  # which may be missing

    path = folder / "made.parquet"
    with duckdb.connect() as database:
        columns = ", ".join(f'"{name}" {kind}' for name, kind in types.items())
        database.execute(f"CREATE TABLE t ({columns})")
        if len(rows) < 100:
            marks = ", ".join("?" * len(types))
            for row in rows:
                database.execute(f"INSERT INTO t VALUES ({marks})", row)
        else:  # a row at a time takes milliseconds
            lists = ", ".join(f"unnest(CAST(? AS {kind}[]))" for kind in types.values())
            database.execute(f"INSERT INTO t SELECT {lists}", [*map(list, zip(*rows, strict=True))])
        database.execute(f"COPY t TO '{path}' (FORMAT parquet, ROW_GROUP_SIZE {group})")
    return path.read_bytes()


def compare(database, path, old, new, **options):
    """Compare two files of a name, given as bytes."""
    comparer = TableComparer(database, kind_of(path), RowsOptions(**options))
    return comparer.compare(path, Content(old), Content(new))


def gzipped(content):
    """Return content as gzip has it."""
    return gzip.compress(content, mtime=0)
