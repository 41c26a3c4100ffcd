"""The journal: what was read and stored before, so that unchanged files are not read again.

One SQLite file per user. For every set of sources it keeps the manifest pages made of them, with
what a stat said of each file; for every unfinished put, the blobs that are already durable. It is
safe to delete at any time, and a writer checks all it takes from it against the log of collections.
"""

from __future__ import annotations

import sqlite3
import threading
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cas.compression.codec import Codec, decode, encode
from cas.environment import ensure_private_dir
from cas.errors import CasError
from cas.format.manifest import Page, decode_page
from cas.model.ids import BlobId, PageId
from cas.objects.blob_list import BlobRef
from cas.transfer.tree import LocalTree

# Two writes within one tick of a file system's clock look alike: a file whose times are this
# close to when it was read may have changed since without showing it.
RACY_NS = 2_000_000_000
BUSY_SECONDS = 10
# Blobs of a put that was never resumed may have been collected long ago.
KEPT_NS = 30 * 86_400 * 1_000_000_000
SCHEMA_VERSION = 1

Int64s = NDArray[np.int64]

# SQLite gives a value of whatever type stands there: text for bytes, infinity for a number.
_NO_SENSE = (CasError, ValueError, TypeError, OverflowError)

_SCHEMA = """
CREATE TABLE IF NOT EXISTS pages (
  store TEXT, source BLOB, first BLOB, page_id BLOB, page_size INTEGER, page BLOB, stats BLOB,
  stamp INTEGER, noted_ns INTEGER, PRIMARY KEY (store, source, first)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS blobs (
  store TEXT, blob_id BLOB, size INTEGER, table_offset INTEGER, stamp INTEGER, noted_ns INTEGER,
  PRIMARY KEY (store, blob_id)) WITHOUT ROWID;
"""
# A file of another make, which knows nothing, may not have these columns.
_BY_ID = "CREATE INDEX IF NOT EXISTS pages_by_id ON pages (store, page_id)"


@dataclass(slots=True, eq=False)
class JournalPage:
    """A page made of local files, and the stat of each: mtime, ctime, inode; int64, shape (n,).

    Attributes:
        stamp: collections up to it had a verdict and none killed a blob of this page.
        noted_ns: when reading its files began.
    """

    page_id: PageId
    content: bytes
    mtimes: Int64s
    ctimes: Int64s
    inodes: Int64s
    stamp: int
    noted_ns: int
    _page: Page | None = field(default=None, repr=False)

    @property
    def page(self) -> Page:
        """The decoded page."""
        if self._page is None:
            self._page = decode_page(self.content, self.page_id)
        return self._page

    def replace(self, page_id: PageId, content: bytes, stamp: int) -> None:
        """Let it be another page of the same entries: they lie elsewhere."""
        self.page_id, self.content, self.stamp = page_id, content, stamp
        self._page = None

    def unchanged(self, tree: LocalTree, rows: Int64s, page_rows: Int64s) -> NDArray[np.bool_]:
        """Tell which entries of a tree are as they were when this page was made."""
        page = self.page
        mtimes, ctimes = self.mtimes[page_rows], self.ctimes[page_rows]
        settled = np.maximum(mtimes, ctimes) + RACY_NS < self.noted_ns
        same: NDArray[np.bool_] = (
            settled
            & (page.kinds[page_rows] == tree.kinds[rows])
            & (page.sizes[page_rows].astype(np.int64) == tree.sizes[rows])
            & (page.modes[page_rows] == tree.modes[rows])
            & (mtimes == tree.mtimes[rows])
            & (ctimes == tree.ctimes[rows])
            & (self.inodes[page_rows] == tree.inodes[rows])
        )
        return same


class JournalView:
    """The journal's pages of one set of sources, in path order."""

    def __init__(self, pages: Sequence[tuple[bytes, JournalPage]]) -> None:
        self._first = [first for first, _ in pages]
        self._pages = [page for _, page in pages]

    def page_of(self, path: bytes) -> JournalPage | None:
        """Return the page that holds `path` if any does."""
        at = bisect_right(self._first, path) - 1
        return self._pages[at] if at >= 0 else None


class Journal:
    """The journal file. Safe for many processes and threads.

    A journal that cannot be read knows nothing, and one that cannot be written notes nothing: that
    costs time, never data, so nothing here fails once the file is open.
    """

    def __init__(self, state_dir: Path, store_id: str) -> None:
        """Open or make the file; one that SQLite finds damaged is made anew.

        Raises:
            OSError, sqlite3.Error: neither can be done.
            InvalidInputError: the folder is not this user's alone.
        """
        ensure_private_dir(state_dir)
        self._store = store_id
        self._lock = threading.Lock()
        path = state_dir / f"journal-{SCHEMA_VERSION}.sqlite"
        try:
            self._connection = _connect(path)
        except sqlite3.OperationalError:
            raise  # locked, read-only or full: not damaged
        except sqlite3.DatabaseError:
            path.unlink(missing_ok=True)
            self._connection = _connect(path)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def load(self, source: bytes) -> JournalView:
        """Return the pages of a set of sources; damaged rows are left out."""
        pages = []
        for row in self._select(
            "SELECT page_id, page_size, page, stats, stamp, noted_ns FROM pages"
            " WHERE store=? AND source=? ORDER BY first",
            (self._store, source),
        ):
            with suppress(*_NO_SENSE):
                noted = _page_of_row(*row)
                pages.append((noted.page.paths[0], noted))
        pages.sort(key=lambda one: one[0])
        return JournalView(pages)

    def find_page(self, page_id: PageId) -> Page | None:
        """Return a page that any set of sources has, verified."""
        for size, page in self._select(
            "SELECT page_size, page FROM pages WHERE store=? AND page_id=? LIMIT 1",
            (self._store, page_id.raw),
        ):
            with suppress(*_NO_SENSE):
                return decode_page(bytes(decode(page, Codec.ZSTD, 0, size)), page_id)
        return None

    def save(self, source: bytes, pages: Sequence[JournalPage]) -> None:
        """Add pages of a set of sources, or replace those that begin with the same paths."""
        rows = [self._row(source, page) for page in pages]
        self._write("INSERT OR REPLACE INTO pages VALUES (?,?,?,?,?,?,?,?,?)", rows)

    def replace(self, source: bytes, pages: Sequence[JournalPage]) -> None:
        """Keep exactly these pages of a set of sources."""
        rows = [self._row(source, page) for page in pages]
        with suppress(sqlite3.Error), self._transaction():
            self._connection.execute(
                "DELETE FROM pages WHERE store=? AND source=?", (self._store, source)
            )
            self._connection.executemany("INSERT INTO pages VALUES (?,?,?,?,?,?,?,?,?)", rows)

    def note_blobs(self, refs: Sequence[BlobRef], now_ns: int) -> None:
        """Note durable blobs of a put that is not yet published."""
        rows = [(self._store, r.blob_id, r.size, r.table_offset, r.stamp, now_ns) for r in refs]
        self._write("INSERT OR REPLACE INTO blobs VALUES (?,?,?,?,?,?)", rows)

    def unpublished_blobs(self, now_ns: int) -> list[BlobRef]:
        """Return the blobs that interrupted puts of the last month left behind."""
        self._write("DELETE FROM blobs WHERE noted_ns < ?", [(now_ns - KEPT_NS,)])
        refs = []
        for row in self._select(
            "SELECT blob_id, size, table_offset, stamp FROM blobs WHERE store=?", (self._store,)
        ):
            with suppress(*_NO_SENSE):
                refs.append(_ref_of_row(*row))
        return refs

    def forget_blobs(self, blob_ids: Iterable[bytes]) -> None:
        """Forget blobs that a published version names now."""
        rows = [(self._store, blob_id) for blob_id in blob_ids]
        self._write("DELETE FROM blobs WHERE store=? AND blob_id=?", rows)

    def _select(self, statement: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        with suppress(sqlite3.Error), self._lock:
            return self._connection.execute(statement, values).fetchall()
        return []

    def _write(self, statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
        with suppress(sqlite3.Error), self._transaction():
            self._connection.executemany(statement, rows)

    def _row(self, source: bytes, page: JournalPage) -> tuple[object, ...]:
        stats = np.stack([page.mtimes, page.ctimes, page.inodes]).astype(np.int64).tobytes()
        return (
            self._store,
            source,
            page.page.paths[0],
            page.page_id.raw,
            len(page.content),
            bytes(encode(page.content, Codec.ZSTD, 0)),
            stats,
            page.stamp,
            page.noted_ns,
        )

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(
        path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
    )
    try:
        connection.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;" + _SCHEMA)
        with suppress(sqlite3.OperationalError):
            connection.execute(_BY_ID)
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _page_of_row(
    page_id: bytes, page_size: int, page: bytes, stats: bytes, stamp: int, noted_ns: int
) -> JournalPage:
    content = bytes(decode(page, Codec.ZSTD, 0, page_size))
    mtimes, ctimes, inodes = np.frombuffer(stats, np.int64).reshape(3, -1)
    noted = JournalPage(PageId(page_id), content, mtimes, ctimes, inodes, int(stamp), int(noted_ns))
    if len(noted.page.paths) != len(mtimes):
        raise ValueError("a page and its stats disagree")
    return noted


def _ref_of_row(blob_id: Any, size: Any, table_offset: Any, stamp: Any) -> BlobRef:
    if not isinstance(blob_id, bytes) or not isinstance(size, int):
        raise TypeError("no blob is like that")
    known = BlobId(blob_id)
    if not 0 <= table_offset < size < 1 << 32:
        raise ValueError("no blob is like that")
    return BlobRef(blob_id=known.raw, size=size, table_offset=int(table_offset), stamp=int(stamp))
