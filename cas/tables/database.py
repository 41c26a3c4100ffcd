"""The database that compares rows: DuckDB in memory, which reads nothing but what it is served."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from cas.environment import available_cpus
from cas.errors import ErrorCode, InvalidInputError, UnsupportedError
from cas.model.units import MIB
from cas.tables.served_files import SCHEME, Readable, ServedFiles

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_THREADS = 4
_QUERY = re.compile(r"\n\s*LINE \d+: ")
_URL = re.compile(rf"(?:[Ff]ile )?[\"']?(?P<url>{SCHEME}://\d+)[\"']?")
_LONGEST_REASON = 300


class Database:
    """A connection, and the files that it is served."""

    def __init__(self, connection: DuckDBPyConnection, files: ServedFiles) -> None:
        self._connection = connection
        self._files = files
        self._called: dict[str, str] = {}

    def serve(self, content: Readable, called: str = "the file") -> str:
        """Make content readable, and return its URL as SQL; say what errors are to call it."""
        url = self._files.serve(content)
        self._called[url] = called
        return quote_text(url)

    def release(self) -> None:
        """Forget what was served, and what queries kept of it."""
        kept = self.ask("SELECT table_name FROM duckdb_tables() WHERE temporary")
        for (name,) in kept:
            self.ask(f"DROP TABLE {quote_name(name)}")
        self._files.release()
        self._called.clear()

    def ask(self, query: str) -> list[tuple[Any, ...]]:
        """Return the rows of a query.

        Raises:
            InvalidInputError: a file is not what its name says, or cannot be compared.
            KeyboardInterrupt: Ctrl-C was pressed meanwhile.
            CasError: what a read of a file raised; or other errors that it raised.
        """
        import duckdb

        self._files.failure = None
        try:
            return self._run(query)
        except duckdb.Error as error:
            if self._files.failure is not None:
                raise self._files.failure from error
            if isinstance(error, duckdb.OutOfMemoryException):
                raise InvalidInputError(
                    f"the table needs more memory, or room in {tempfile.gettempdir()}: "
                    f"{_describe(error, self._called)}",
                    code=ErrorCode.INVALID_OPTION,
                    hint="RowsOptions has memory_bytes; TMPDIR names another temporary folder",
                ) from error
            raise InvalidInputError(
                _describe(error, self._called), code=ErrorCode.INVALID_OPTION
            ) from error

    def _run(self, query: str) -> list[tuple[Any, ...]]:
        """Run a query in another thread: native code hears of no Ctrl-C while it computes."""
        with ThreadPoolExecutor(1, thread_name_prefix="cas-rows") as pool:
            found = pool.submit(lambda: self._connection.execute(query).fetchall())
            try:
                return found.result()
            except KeyboardInterrupt:
                self._connection.interrupt()
                raise


@contextmanager
def open_database(memory_bytes: int) -> Iterator[Database]:
    """Open a database of its own; what does not fit into memory goes to a temporary folder.

    Column names, types and values come from whoever wrote the files. So the database can reach no
    file, network or extension, and its settings are locked.

    Raises:
        UnsupportedError: DuckDB is not installed (MISSING_EXTRA).
    """
    try:
        import duckdb
    except ImportError as error:
        raise UnsupportedError(
            f"comparing rows needs DuckDB: {error}",
            code=ErrorCode.MISSING_EXTRA,
            hint="pip install 'cas-store[rows]'",
        ) from error
    files = ServedFiles()
    with tempfile.TemporaryDirectory(prefix="cas-rows-") as spill:
        settings: dict[str, str | bool | int | float | list[str]] = {
            "memory_limit": f"{max(1, memory_bytes // MIB)}MiB",
            "threads": min(_THREADS, available_cpus()),
            "temp_directory": spill,
            "preserve_insertion_order": False,
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "allow_community_extensions": False,
        }
        with duckdb.connect(":memory:", config=settings) as connection:
            connection.register_filesystem(files)
            allowed = ", ".join(map(quote_text, (f"{SCHEME}://", spill)))
            connection.execute(f"SET allowed_directories = [{allowed}]")
            connection.execute("SET enable_external_access = false")
            connection.execute("SET lock_configuration = true")
            yield Database(connection, files)


def quote_name(name: str) -> str:
    """Return a name of a column as SQL.

    Raises:
        InvalidInputError: it holds a NUL, which ends a query.
    """
    return _quote(name, '"')


def quote_text(text: str) -> str:
    """Return text as SQL; raises as `quote_name` does."""
    return _quote(text, "'")


def _quote(text: str, mark: str) -> str:
    if "\0" in text:
        raise InvalidInputError(
            f"{text!r} holds a NUL, which SQL cannot", code=ErrorCode.INVALID_OPTION
        )
    return mark + text.replace(mark, mark * 2) + mark


def _describe(error: Exception, called: Mapping[str, str]) -> str:
    """Return what is wrong with which file, without the query and advice about SQL."""
    whole = str(error)
    url = _URL.search(whole)
    name = called.get(url["url"], "the file") if url else "the file"
    text = _QUERY.split(whole)[0]
    text = text.partition(" Error: ")[2] or text
    lines = [line.strip() for line in text.splitlines()]
    told = "; ".join(line.rstrip(".;") for line in takewhile(_is_no_advice, lines) if line)
    if told.startswith("Error when sniffing"):
        told = "it is no CSV: lines have other numbers of cells, or a quote is not closed"
    told = _URL.sub(name, told)
    is_told = name == "the file" or name in told
    return (told if is_told else f"{name}: {told}")[:_LONGEST_REASON]


def _is_no_advice(line: str) -> bool:
    return not line.startswith(("Possible", "The search space"))
