"""Which data blobs a page speaks of, noted on this machine so that each page is read once.

One SQLite file for each store, safe to delete at any time and safe for many processes. A note is
kept under the id of its page, which is a hash of what the page holds, so it never becomes wrong;
one that was damaged does not have its checksum and is not there.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np
from blake3 import blake3

from cas.environment import ensure_private_dir
from cas.errors import CasError
from cas.format.collection import listed_rows
from cas.format.encoding import ID_BYTES
from cas.objects.id_sets import Ids, view_sorted

FOLDER = "closures-1"
_BUSY_SECONDS = 10
_ASKED_AT_ONCE = 500
_FORGOTTEN_AT_ONCE = 20_000
_CHECK_BYTES = 16
_SCHEMA = """
PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;
CREATE TABLE IF NOT EXISTS pages (page_id BLOB PRIMARY KEY, ids BLOB, checksum BLOB) WITHOUT ROWID;
"""


class PageNotes:
    """The notes of one store. For one thread. What cannot be read or written costs time only."""

    def __init__(self, state_dir: Path | None, store_id: str) -> None:
        """Open or make the file; without a folder, one that is gone with this object."""
        self._connection = _open(state_dir, store_id)

    def load(self, page_ids: Iterable[bytes]) -> dict[bytes, Ids]:
        """Return what is known of these pages: the blobs of each, sorted."""
        wanted = list(page_ids)
        found: dict[bytes, Ids] = {}
        for start in range(0, len(wanted), _ASKED_AT_ONCE):
            some = wanted[start : start + _ASKED_AT_ONCE]
            marks = ",".join("?" * len(some))
            with suppress(sqlite3.Error):
                for row in self._connection.execute(
                    f"SELECT page_id, ids, checksum FROM pages WHERE page_id IN ({marks})",  # noqa: S608 - marks only
                    some,
                ):
                    page_id, ids, checksum = row
                    if _is_note(page_id, ids, checksum):
                        found[page_id] = view_sorted(ids)
        return found

    def save(self, notes: Mapping[bytes, Ids]) -> None:
        """Note the blobs of pages."""
        rows = []
        for page_id, ids in notes.items():
            packed = ids.tobytes()
            rows.append((page_id, packed, _checksum(page_id, packed)))
        if not rows:
            return
        with suppress(sqlite3.Error), self._connection:
            self._connection.execute("BEGIN")
            self._connection.executemany("INSERT OR REPLACE INTO pages VALUES (?,?,?)", rows)

    def keep_only(self, page_ids: Ids) -> None:
        """Remove notes of other pages, of so many at once at most that it takes no time to speak of.

        The file does not shrink; what comes next takes the space.

        Args:
            page_ids: in rising order.
        """
        gone: list[tuple[object]] = []
        with suppress(sqlite3.Error):
            cursor = self._connection.execute("SELECT page_id FROM pages")
            while len(gone) < _FORGOTTEN_AT_ONCE and (rows := cursor.fetchmany(_ASKED_AT_ONCE)):
                gone += _others(rows, page_ids)
            cursor.close()
        if not gone:
            return
        with suppress(sqlite3.Error), self._connection:
            self._connection.execute("BEGIN")
            self._connection.executemany("DELETE FROM pages WHERE page_id = ?", gone)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()


def _open(state_dir: Path | None, store_id: str) -> sqlite3.Connection:
    if state_dir is not None:
        with suppress(OSError, CasError, sqlite3.Error):
            ensure_private_dir(state_dir)
            folder = state_dir / FOLDER
            ensure_private_dir(folder)
            path = folder / f"{store_id}.sqlite"
            try:
                return _connect(path)
            except sqlite3.OperationalError:
                pass  # locked, read-only or full: not damaged
            except sqlite3.DatabaseError:
                path.unlink(missing_ok=True)
                return _connect(path)
    # A file of its own that SQLite makes when there is more than fits into its cache.
    return _connect("")


def _connect(path: Path | str) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None)
    try:
        connection.executescript(_SCHEMA)
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _checksum(page_id: bytes, packed: bytes) -> bytes:
    return blake3(page_id + packed).digest(_CHECK_BYTES)


def _others(rows: list[tuple[object]], page_ids: Ids) -> list[tuple[object]]:
    """Return the rows of pages that are not among these; what is no id is none of them."""
    ids = [raw for (raw,) in rows if isinstance(raw, bytes) and len(raw) == ID_BYTES]
    asked = np.frombuffer(b"".join(ids), np.uint8).reshape(-1, ID_BYTES)
    known = {raw for raw, one in zip(ids, listed_rows(page_ids, asked), strict=True) if one}
    return [row for row in rows if row[0] not in known]


def _is_note(page_id: object, ids: object, checksum: object) -> bool:
    """SQLite gives a value of whatever type stands there."""
    return (
        isinstance(page_id, bytes)
        and isinstance(ids, bytes)
        and len(ids) % ID_BYTES == 0
        and checksum == _checksum(page_id, ids)
    )
