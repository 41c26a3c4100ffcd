"""Which files are tables, and how the database is told to read one."""

from __future__ import annotations

from dataclasses import dataclass

_COMPRESSIONS = {".gz": "gzip", ".zst": "zstd"}
_READERS = {
    ".parquet": "read_parquet({}, hive_partitioning = false)",
    # Cells are compared as they are written: what the first rows look like proves no type.
    ".csv": "read_csv({}, all_varchar = true, header = true, quote = '\"', escape = '\"',"
    " hive_partitioning = false, compression = '{}')",
    # Values are compared as they are written, too; all rows are looked at, so that no column is
    # missed that only some of them have.
    ".jsonl": "read_json({}, format = 'newline_delimited', maximum_depth = 1, sample_size = -1,"
    " hive_partitioning = false, compression = '{}')",
}
_READERS[".tsv"] = _READERS[".csv"].replace("header", "delim = '\\t', header")
_READERS[".ndjson"] = _READERS[".jsonl"]
_READERS[".pq"] = _READERS[".parquet"]


@dataclass(frozen=True, slots=True)
class TableKind:
    """A file format: its suffix, and how its bytes are compressed as a whole."""

    suffix: str
    compression: str

    @property
    def is_parquet(self) -> bool:
        """Whether rows lie in groups that can be read alone."""
        return self.suffix in (".parquet", ".pq")

    @property
    def is_json(self) -> bool:
        """Whether every value is text of JSON."""
        return self.suffix in (".jsonl", ".ndjson")

    def reader(self, quoted_url: str) -> str:
        """Return the SQL that reads a file of this kind."""
        return _READERS[self.suffix].format(quoted_url, self.compression)


def kind_of(path: str) -> TableKind | None:
    """Return what a path's name says it is, or None for no table."""
    name = path.rpartition("/")[2].lower()
    compression = "none"
    for suffix, found in _COMPRESSIONS.items():
        if name.endswith(suffix):
            name, compression = name.removesuffix(suffix), found
    for suffix in _READERS:
        if name.endswith(suffix) and name != suffix:
            kind = TableKind(suffix, compression)
            return None if kind.is_parquet and compression != "none" else kind
    return None
