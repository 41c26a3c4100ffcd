"""Records that name the older ones they take the place of, so that nothing is ever replaced and two
who write at once lose nothing. Each has a number, for the order, and a mark, which is random.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from cas.backend.base import Backend
from cas.errors import BackendError, CasError, CorruptionError, UnsupportedError
from cas.model.ids import SessionId


class Superseding(Protocol):
    """A record of this kind."""

    @property
    def supersedes(self) -> tuple[SessionId, ...]:
        """Marks of the records that it takes the place of."""
        ...


R = TypeVar("R", bound=Superseding)
ParseKey = Callable[[str], tuple[int, SessionId] | None]


@dataclass(frozen=True, slots=True, eq=False)
class ReadRecords(Generic[R]):
    """What there was of one kind of record.

    Attributes:
        records: those that count, the newest first.
        read: keys of the records that were read, or are superseded by such a one.
        unread: keys of records that are damaged.
        failed: keys of records that the storage did not give.
        number: of the newest record; 0 if there is none.
    """

    records: tuple[R, ...]
    read: tuple[str, ...]
    unread: tuple[str, ...]
    failed: tuple[str, ...]
    number: int


def read_records(
    backend: Backend, listed: Iterable[str], parse: ParseKey, decode: Callable[..., R]
) -> ReadRecords[R]:
    """Read records, the newest first; what cannot be read is passed over.

    Args:
        listed: keys; those that `parse` does not know are left out.
        decode: takes content, and `what` it is.
    """
    superseded: set[SessionId] = set()
    records: list[R] = []
    read, unread, failed = [], [], []
    number = 0
    for key in sorted(listed, reverse=True):
        parsed = parse(key)
        if parsed is None:
            continue
        number = max(number, parsed[0])
        if parsed[1] in superseded:
            read.append(key)
            continue
        try:
            record = decode(backend.get(key), what=key)
        except UnsupportedError:
            continue  # a later cas wrote it, and will know what to do with it
        except CorruptionError:
            unread.append(key)
            continue
        except CasError:
            failed.append(key)
            continue
        read.append(key)
        superseded.update(record.supersedes)
        records.append(record)
    return ReadRecords(tuple(records), tuple(read), tuple(unread), tuple(failed), number)


def marks_of(listed: Iterable[str], parse: ParseKey) -> tuple[SessionId, ...]:
    """Return the marks of records, for the one that takes their place."""
    return tuple(parsed[1] for parsed in map(parse, listed) if parsed is not None)


def remove_superseded(backend: Backend, old: Iterable[str]) -> bool:
    """Delete records; tell whether all of them are gone."""
    for key in old:
        try:
            backend.delete(key)
        except BackendError:
            return False  # a writer has no right to delete: superseded records are only litter
    return True
