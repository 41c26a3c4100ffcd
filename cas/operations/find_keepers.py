"""Which versions and sessions keep a blob, and which files of theirs lie in it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from cas.errors import CorruptionError, ErrorCode, InvalidInputError, NotFoundError
from cas.format import keys
from cas.format.collection import listed_rows
from cas.format.encoding import ID_BYTES
from cas.format.manifest import Page, Root
from cas.model.durations import SECOND_NS
from cas.model.entry import PageLocation, path_to_text
from cas.model.ids import BlobId, SessionId
from cas.model.units import format_count
from cas.objects.closure import ClosureReader, Unreadable
from cas.objects.id_sets import Ids, no_ids, sort_ids, unite, view_sorted
from cas.objects.listed_sessions import list_intents, read_intent
from cas.objects.parts import StoreParts
from cas.objects.versions import read_root_location
from cas.operations.census import Census, CountedVersion, Name, VersionState
from cas.operations.collection_outcomes import DEFAULT_GRACE_SECONDS
from cas.operations.damaged_records import DamagedRecord, damage_of_version
from cas.operations.side_by_side import map_side_by_side
from cas.operations.version_pages import VersionPages

SHOWN_PATHS = 5
# Finding paths means reading pages whole; for others only that they need the blob is told.
VERSIONS_WITH_PATHS = 20
MINIMUM_DIGITS = 8

Flags = NDArray[np.bool_]

_HEX = frozenset("0123456789abcdef")


@dataclass(frozen=True, slots=True)
class StoredBlob:
    """A blob of data or of pages; `size` None: it does not lie in the store."""

    blob_id: BlobId
    key: str
    size: int | None = None
    modified_ns: int | None = None

    @classmethod
    def of_data(cls, blob_id: BlobId) -> Self:
        """Return a blob of data that was not looked at."""
        return cls(blob_id, keys.blob_key(blob_id))

    @classmethod
    def of_pages(cls, blob_id: BlobId) -> Self:
        """Return a blob of pages that was not looked at."""
        return cls(blob_id, keys.meta_key(blob_id))


@dataclass(slots=True)
class BlobKeepers:
    """What keeps a blob.

    Attributes:
        versions: those that need it, purged ones left out.
        sessions: ids of sessions that announced it.
        unreadable: ids of sessions that may have: an intent of theirs is damaged.
        paths: of versions some files that lie in it, and how many others there are.
        due_ns: from when on a collection would take it if nothing kept it; None is at once.
    """

    blob: StoredBlob
    versions: list[Name] = field(default_factory=list)
    sessions: tuple[str, ...] = ()
    unreadable: tuple[str, ...] = ()
    paths: dict[Name, tuple[tuple[str, ...], int]] = field(default_factory=dict)
    due_ns: int | None = None


def find_blob(parts: StoreParts, what: str, artifacts: set[str]) -> StoredBlob | None:
    """Return the blob that a key, an id or at least 8 digits of one name; None if it is no such text.

    The name of an artifact is none, however much it looks like one.

    Raises:
        NotFoundError: no blob has that id.
        InvalidInputError: several have it.
    """
    folders: tuple[str, ...] = (keys.BLOBS, keys.META)
    text = what
    if keys.parse_blob_key(what) is not None:
        folders, text = (what.partition("/")[0],), what.rpartition("/")[2]
    is_id = MINIMUM_DIGITS <= len(text) <= 2 * ID_BYTES and _HEX.issuperset(text)
    if not is_id or what in artifacts:
        return None
    found = {
        one.key: StoredBlob(blob_id, one.key, one.size, one.modified_ns)
        for folder in folders
        for one in parts.backend.list_objects(f"{folder}/{text[:2]}")
        if (blob_id := keys.parse_blob_key(one.key)) is not None and blob_id.hex.startswith(text)
    }
    if not found:
        raise NotFoundError(
            f"no blob of this store has an id that begins with {text}",
            code=ErrorCode.OBJECT_NOT_FOUND,
            hint="it was deleted, if it ever was there",
        )
    if len(found) > 1:
        raise InvalidInputError(
            f"{text} fits {len(found)} blobs", code=ErrorCode.INVALID_REF, hint="write more digits"
        )
    return next(iter(found.values()))


def find_keepers(
    parts: StoreParts, census: Census, blobs: Sequence[StoredBlob]
) -> tuple[list[BlobKeepers], list[DamagedRecord]]:
    """Return what keeps each of some blobs, and versions of which not all can be read: these keep
    what they can be seen to need.

    Raises:
        BackendError: the storage failed.
    """
    found = [BlobKeepers(_look_at(parts, blob)) for blob in blobs]
    wanted = np.concatenate([no_ids(), *(_id_row(one.blob) for one in found)])
    in_purged = np.zeros(len(found), np.bool_)
    versions, roots, unreadable = _locate(parts, census)
    with ClosureReader(parts) as closures:
        pages = _PagesWith(closures, wanted)
        read = closures.iter_roots(roots)
        for one, location, root in zip(versions, roots, read, strict=True):
            needed, error = pages.needed_by(location, root)
            if error is not None and one.state is not VersionState.PURGED and one.damage is None:
                unreadable.append(damage_of_version(*one.name, error))
            if one.state is VersionState.PURGED:
                in_purged |= needed
                continue
            for at in np.flatnonzero(needed).tolist():
                found[at].versions.append(one.name)
        for announced in _iter_announced(parts, closures):
            is_among = listed_rows(announced.ids, wanted).tolist()
            for keepers, is_announced in zip(found, is_among, strict=True):
                if is_announced:
                    keepers.sessions += (announced.session.hex,)
                elif announced.is_damaged:
                    keepers.unreadable += (announced.session.hex,)
    for keepers, is_purged in zip(found, in_purged.tolist(), strict=True):
        for name in keepers.versions[:VERSIONS_WITH_PATHS]:
            keepers.paths[name] = _paths_in(parts, census, census.versions[name], keepers.blob)
        stored_ns = keepers.blob.modified_ns
        if stored_ns is not None and not is_purged:
            keepers.due_ns = stored_ns + int(DEFAULT_GRACE_SECONDS * SECOND_NS)
    return found, unreadable


def _locate(
    parts: StoreParts, census: Census
) -> tuple[list[CountedVersion], list[PageLocation], list[DamagedRecord]]:
    """Return versions with where the root of each lies, and those of which nobody knows."""

    def locate(one: CountedVersion) -> PageLocation | CorruptionError:
        try:
            return _root_of(parts, census, one)
        except CorruptionError as error:
            return error

    every = list(census.versions.values())
    versions, roots, unknown = [], [], []
    for one, location in zip(every, map_side_by_side(parts, locate, every), strict=True):
        if not isinstance(location, CorruptionError):
            versions.append(one)
            roots.append(location)
        elif one.state is not VersionState.PURGED and one.damage is None:
            unknown.append(damage_of_version(*one.name, location))
    return versions, roots, unknown


class _PagesWith:
    """Tells which of some blobs versions need; looks once at each page, however many share it."""

    def __init__(self, closures: ClosureReader, wanted: Ids) -> None:
        self._closures = closures
        self._wanted = wanted
        self._none = np.zeros(len(wanted), np.bool_)
        self._seen: dict[bytes, Flags] = {}

    def needed_by(
        self, location: PageLocation, root: Root | CorruptionError
    ) -> tuple[Flags, CorruptionError | None]:
        """Return which of them a root needs as far as it can be read, and why that is not all."""
        found = listed_rows(view_sorted(location.blob_id.raw), self._wanted)
        if isinstance(root, CorruptionError):
            return found, root
        found |= listed_rows(sort_ids(root.blob_ids), self._wanted)
        pages = self._closures.iter_pages(root, self._seen, unreadable=Unreadable.IGNORE)
        for raw, ids in pages:
            listed = listed_rows(ids, self._wanted)
            self._seen[raw] = listed if listed.any() else self._none
        unread = 0
        for page_id in root.page_ids:
            among = self._seen.get(page_id.tobytes())
            if among is None:
                unread += 1
            else:
                found |= among
        return found, _pages_unread(unread) if unread else None


def _pages_unread(count: int) -> CorruptionError:
    pages = format_count(count, "page")
    return CorruptionError(f"{pages} of it cannot be read", code=ErrorCode.MALFORMED_OBJECT)


def _look_at(parts: StoreParts, blob: StoredBlob) -> StoredBlob:
    if blob.size is not None:
        return blob
    for one in parts.backend.list_objects(blob.key.rpartition("/")[0]):
        if one.key == blob.key:
            return replace(blob, size=one.size, modified_ns=one.modified_ns)
    return blob


@dataclass(frozen=True, slots=True, eq=False)
class _Announced:
    """All that the intents of a session name and lead to, as far as they can be read."""

    session: SessionId
    ids: Ids
    is_damaged: bool


def _iter_announced(parts: StoreParts, closures: ClosureReader) -> Iterator[_Announced]:
    for session, listed in list_intents(parts.backend).items():
        ids: list[Ids] = []
        is_damaged = False
        for one in listed:
            try:
                intent = read_intent(parts.backend, one)
            except CorruptionError:
                is_damaged = True
                continue
            if intent is not None:
                closure = closures.of_locations(intent.pages, unreadable=Unreadable.IGNORE)
                ids += [view_sorted(intent.blob_ids), view_sorted(intent.meta_ids)]
                ids += [closure.data_ids, closure.meta_ids]
        yield _Announced(session, unite(*ids), is_damaged)


def _id_row(blob: StoredBlob) -> Ids:
    return np.frombuffer(blob.blob_id.raw, np.uint8).reshape(1, ID_BYTES)


def _paths_in(
    parts: StoreParts, census: Census, one: CountedVersion, blob: StoredBlob
) -> tuple[tuple[str, ...], int]:
    """Return some files of a version that lie in a data blob, and how many others there are."""
    if not blob.key.startswith(f"{keys.BLOBS}/"):
        return (), 0
    pages = VersionPages(parts, one.record, _root_of(parts, census, one))

    def read() -> tuple[tuple[str, ...], int]:
        paths: list[str] = []
        count = 0
        for page in pages.iter_pages():
            rows = _rows_in(page, blob.blob_id)
            paths += [path_to_text(page.paths[row]) for row in rows[: SHOWN_PATHS - len(paths)]]
            count += len(rows)
        return tuple(paths), count - len(paths)

    try:
        return pages.following_moves(read)
    except CorruptionError:
        return (), 0  # that it needs the blob is known all the same


def _root_of(parts: StoreParts, census: Census, one: CountedVersion) -> PageLocation:
    listing = census.listings[one.record.artifact]
    return read_root_location(parts.backend, listing, one.record)


def _rows_in(page: Page, blob_id: BlobId) -> list[int]:
    at = np.flatnonzero((page.blob_ids == np.frombuffer(blob_id.raw, np.uint8)).all(axis=1))
    if len(at) == 0:
        return []
    is_in = np.isin(page.extent_blobs, at)
    owners = np.repeat(np.arange(len(page.paths)), page.extent_counts)
    return sorted(set(owners[is_in].tolist()))
