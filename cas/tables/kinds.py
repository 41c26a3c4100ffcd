"""Which files are tables, and how the database is told to read one."""

from __future__ import annotations

from dataclasses import dataclass

from cas.tables.database import quote_text
from cas.tables.delimiters import find_delimiter
from cas.tables.served_files import Readable

_COMPRESSIONS = {".gz": "gzip", ".zst": "zstd"}
_PARQUET = frozenset({".parquet", ".pq"})
_JSON = frozenset({".jsonl", ".ndjson"})
_DELIMITED = frozenset({".csv", ".tsv"})


@dataclass(frozen=True, slots=True)
class TableKind:
    """A file format: its suffix, and how its bytes are compressed as a whole."""

    suffix: str
    compression: str

    @property
    def is_parquet(self) -> bool:
        """Whether rows lie in groups that can be read alone."""
        return self.suffix in _PARQUET

    @property
    def is_json(self) -> bool:
        """Whether every value is text of JSON."""
        return self.suffix in _JSON

    def reader(self, url: str, content: Readable) -> str:
        """Return the SQL that reads a file of this kind.

        Args:
            url: where the database reads it, as SQL.
            content: the file.
        """
        if self.is_parquet:
            return f"read_parquet({url}, hive_partitioning = false)"
        how = f"compression = '{self.compression}', hive_partitioning = false"
        if self.is_json:
            # All rows are looked at, so that no column is missed that only some have. Values are
            # compared as they are written, so no type loses anything.
            return (
                f"read_json({url}, {how}, format = 'newline_delimited', maximum_depth = 1,"
                " sample_size = -1)"
            )
        delimiter = "\t" if self.suffix == ".tsv" else find_delimiter(content, self.compression)
        # The same for cells: what the first rows look like proves no type.
        return (
            f"read_csv({url}, {how}, delim = {quote_text(delimiter)}, quote = '\"', escape = '\"',"
            " comment = '', skip = 0, header = true, all_varchar = true)"
        )

    def numbered_reader(self, url: str) -> str:
        """Return the same for Parquet, with the number of each row as another column."""
        return f"read_parquet({url}, hive_partitioning = false, file_row_number = true)"


def kind_of(path: str) -> TableKind | None:
    """Return what a path's name says it is, or None for no table."""
    name = path.rpartition("/")[2].lower()
    compression = "none"
    for suffix, found in _COMPRESSIONS.items():
        if name.endswith(suffix):
            name, compression = name.removesuffix(suffix), found
    for suffix in _PARQUET | _JSON | _DELIMITED:
        if name.endswith(suffix) and name != suffix:
            kind = TableKind(suffix, compression)
            return None if kind.is_parquet and compression != "none" else kind
    return None
