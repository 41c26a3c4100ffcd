"""Version slots, their revisions, moves and expiries.

The slot is the commit point: whoever creates it first has it for ever, and everybody reads it
back before believing anything. Spec: specs/protocol/put.md
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial

from cas.backend.base import Backend, create_confirmed
from cas.environment import random_bytes
from cas.errors import CorruptionError, ErrorCode, NotFoundError
from cas.format import keys
from cas.format.fields import MAX_INTEGER
from cas.format.version import (
    ExpiryRecord,
    MoveKind,
    MoveRecord,
    RevisionRecord,
    VersionRecord,
    VoidRecord,
    decode_expiry,
    decode_move,
    decode_revision,
    decode_slot,
    encode_expiry,
    encode_move,
    encode_revision,
    encode_slot,
)
from cas.model.entry import PageLocation
from cas.model.ids import SESSION_ID_BYTES, SessionId
from cas.model.names import ArtifactName
from cas.objects.records import read_record


@dataclass(frozen=True, slots=True)
class SlotListing:
    """The slots of an artifact, and how many revisions, moves and expiries each has."""

    artifact: ArtifactName
    slots: frozenset[int]
    revisions: dict[int, int] = field(default_factory=dict)
    moves: dict[int, int] = field(default_factory=dict)
    expiries: dict[int, int] = field(default_factory=dict)

    @property
    def next_slot(self) -> int:
        """The slot after the last one seen."""
        return max(self.slots, default=-1) + 1

    def newest_first(self) -> list[int]:
        """Return the numbers of the slots, the highest first."""
        return sorted(self.slots, reverse=True)


def list_artifacts(backend: Backend) -> list[ArtifactName]:
    """Return the names of all artifacts that have a folder, sorted."""
    found = map(keys.parse_artifact_folder, backend.list_folders(keys.artifacts_prefix()))
    return sorted(name for name in found if name is not None)


def list_slots(backend: Backend, artifact: ArtifactName) -> SlotListing:
    """List the slots of an artifact; one without any gives an empty listing."""
    slots: set[int] = set()
    revisions: dict[int, int] = {}
    moves: dict[int, int] = {}
    expiries: dict[int, int] = {}
    by_kind = {"revision": revisions, "move": moves, "expiry": expiries}
    for stored in backend.list_objects(keys.versions_prefix(artifact)):
        parsed = keys.parse_version_key(stored.key)
        if parsed is None:
            continue
        if parsed.kind == "slot":
            slots.add(parsed.number)
        else:
            counts = by_kind[parsed.kind]
            counts[parsed.number] = max(counts.get(parsed.number, 0), parsed.k)
    return SlotListing(artifact, frozenset(slots), revisions, moves, expiries)


def read_slot(
    backend: Backend, artifact: ArtifactName, number: int
) -> VersionRecord | VoidRecord | None:
    """Return what stands in a slot, or None if nothing does."""
    key = keys.version_key(artifact, number)
    decode = partial(decode_slot, artifact=artifact, number=number)
    try:
        return read_record(backend, key, decode)
    except NotFoundError:
        return None
    except CorruptionError as error:
        ref = f"{artifact}:v{number}"
        raise CorruptionError(
            str(error),
            code=error.code,
            hint=f"the other versions are as they were; restore the object from a backup, or put "
            f"what {ref} held again, and give it up with cas rm --now --force {ref}",
        ) from error


def publish(
    backend: Backend, record: VersionRecord | VoidRecord, artifact: ArtifactName, number: int
) -> VersionRecord | VoidRecord:
    """Create a slot unless it is taken, and return what stands in it now, for certain.

    Raises:
        BackendError: the outcome is still unknown after several tries.
    """
    key = keys.version_key(artifact, number)
    content = create_confirmed(backend, key, encode_slot(record))
    return decode_slot(content, what=key, artifact=artifact, number=number)


def read_last_move(backend: Backend, listing: SlotListing, number: int) -> MoveKind | None:
    """Return the kind of a version's last move, or None if it was never moved."""
    move = read_move(backend, listing, number)
    return None if move is None else move.kind


def read_move(backend: Backend, listing: SlotListing, number: int) -> MoveRecord | None:
    """Return the last move of a version, or None if it was never moved.

    Raises:
        CorruptionError: the move is damaged, and may have been a restoration or a purge.
    """
    last = listing.moves.get(number)
    return None if last is None else _read_move(backend, listing.artifact, number, last)


def _read_move(backend: Backend, artifact: ArtifactName, number: int, k: int) -> MoveRecord:
    """Return a move; what a damaged one was is known if only one kind may follow the move before."""
    key = keys.move_key(artifact, number, k)
    try:
        return read_record(backend, key, decode_move)
    except CorruptionError as error:
        if k > 1 and _read_move(backend, artifact, number, k - 1).kind is not MoveKind.RESTORE:
            raise CorruptionError(
                f"{error}; it brought {artifact}:v{number} back from the trash or ended it",
                code=error.code,
                hint=f"cas get {artifact}:v{number} reads what is there; cas rm --now --force "
                f"{artifact}:v{number} gives it up",
            ) from error
    # D1: nothing but the trash follows what is visible. When that was is not known: not long ago,
    # so that no policy purges it.
    return MoveRecord(
        kind=MoveKind.TRASH,
        created_ns=MAX_INTEGER,
        session=SessionId(bytes(SESSION_ID_BYTES)),
        reason="its record is damaged",
    )


def read_expiry(backend: Backend, listing: SlotListing, record: VersionRecord) -> int | None:
    """Return when a version may go by itself, as was said last; None is never.

    Where the last word is damaged the version stays until somebody says something else.
    """
    last = listing.expiries.get(record.number)
    if last is None:
        return record.expires_ns
    key = keys.expiry_key(listing.artifact, record.number, last)
    try:
        return read_record(backend, key, decode_expiry).expires_ns
    except CorruptionError:
        return None


def add_expiry(
    backend: Backend, listing: SlotListing, number: int, expires_ns: int | None, now_ns: int
) -> None:
    """Say when a version may go, after whatever others say meanwhile."""
    mark = SessionId(random_bytes(SESSION_ID_BYTES))
    record = ExpiryRecord(expires_ns=expires_ns, created_ns=now_ns, session=mark)
    content = encode_expiry(record)
    k = listing.expiries.get(number, 0) + 1
    while (
        create_confirmed(backend, keys.expiry_key(listing.artifact, number, k), content) != content
    ):
        k += 1


def is_hidden(backend: Backend, listing: SlotListing, number: int) -> bool:
    """Tell whether a version lies in the trash or was purged."""
    return read_last_move(backend, listing, number) in (MoveKind.TRASH, MoveKind.PURGE)


def iter_visible(
    backend: Backend, listing: SlotListing, *, damaged: list[CorruptionError] | None = None
) -> Iterator[VersionRecord]:
    """Yield the versions that are neither void nor hidden, the newest first, reading as it goes.

    Args:
        damaged: takes why it cannot be known of some whether they are visible; these are passed over.

    Raises:
        CorruptionError: that cannot be known, and `damaged` is None.
    """
    for number in listing.newest_first():
        try:
            if is_hidden(backend, listing, number):
                continue
            record = read_slot(backend, listing.artifact, number)
        except CorruptionError as error:
            if damaged is None:
                raise
            damaged.append(error)
            continue
        if isinstance(record, VersionRecord):
            yield record


def is_given_up(backend: Backend, listing: SlotListing, number: int) -> bool:
    """Tell whether a version is purged for certain, so that it does not matter what it was."""
    try:
        return read_last_move(backend, listing, number) is MoveKind.PURGE
    except CorruptionError:
        return False


def read_kept(backend: Backend, listing: SlotListing, number: int) -> VersionRecord | None:
    """Return a version that keeps what it needs, one in the trash included; None for what is void
    or purged.
    """
    if read_last_move(backend, listing, number) is MoveKind.PURGE:
        return None
    record = read_slot(backend, listing.artifact, number)
    return record if isinstance(record, VersionRecord) else None


def read_root_location(
    backend: Backend, listing: SlotListing, record: VersionRecord, *, past_damage: bool = False
) -> PageLocation:
    """Return where the version's root lies now: in its newest revision that is not void.

    Args:
        past_damage: go on to older revisions where one is damaged. Only a repair may: what they
            lead to may have been collected.
    """
    for k in range(listing.revisions.get(record.number, 0), 0, -1):
        key = keys.revision_key(listing.artifact, record.number, k)
        try:
            revision = read_record(backend, key, decode_revision)
        except CorruptionError as error:
            if not past_damage:
                ref = f"{listing.artifact}:v{record.number}"
                raise CorruptionError(
                    f"{error}; where {ref} lies is not known",
                    code=error.code,
                    hint=f"cas repair --apply {ref} finds it again",
                ) from error
            continue
        if isinstance(revision, RevisionRecord):
            return revision.root
    return record.root


def read_revision(
    backend: Backend, artifact: ArtifactName, number: int, k: int
) -> RevisionRecord | VoidRecord | None:
    """Return what stands in revision `k` of a version, or None if nothing does."""
    key = keys.revision_key(artifact, number, k)
    try:
        return read_record(backend, key, decode_revision)
    except NotFoundError:
        return None


def publish_revision(
    backend: Backend,
    record: RevisionRecord | VoidRecord,
    artifact: ArtifactName,
    number: int,
    k: int,
) -> RevisionRecord | VoidRecord:
    """Create revision `k` of a version unless it is taken; return what stands there for certain.

    Raises:
        BackendError: the outcome is still unknown after several tries.
    """
    key = keys.revision_key(artifact, number, k)
    return decode_revision(create_confirmed(backend, key, encode_revision(record)), what=key)


def add_move(
    backend: Backend, artifact: ArtifactName, number: int, k: int, kind: MoveKind, now_ns: int
) -> MoveRecord:
    """Create move `k` of a version unless it is taken; return the move that stands there now."""
    return create_move(backend, artifact, number, k, new_move(kind, now_ns))


def new_move(kind: MoveKind, now_ns: int, reason: str = "") -> MoveRecord:
    """Return a move with a mark of its own; `reason` is for people."""
    mark = SessionId(random_bytes(SESSION_ID_BYTES))
    return MoveRecord(kind=kind, created_ns=now_ns, session=mark, reason=reason)


def create_move(
    backend: Backend, artifact: ArtifactName, number: int, k: int, move: MoveRecord
) -> MoveRecord:
    """Create move `k` of a version unless it is taken; return the move that stands there now."""
    key = keys.move_key(artifact, number, k)
    return decode_move(create_confirmed(backend, key, encode_move(move)), what=key)


def unknown_artifact(backend: Backend, artifact: ArtifactName) -> NotFoundError:
    """Build the error for an artifact that is not there, with near names."""
    near = near_names(str(artifact), map(str, list_artifacts(backend)))
    return NotFoundError(
        f"no artifact {str(artifact)!r} in this store",
        code=ErrorCode.ARTIFACT_NOT_FOUND,
        hint=f"did you mean {near}?" if near else "cas ls lists what there is",
    )


def near_names(name: str, names: Iterator[str] | map[str] | list[str]) -> str:
    """Return up to three names close to `name`, for a hint; empty if none is."""
    from difflib import get_close_matches  # only errors need it

    return ", ".join(get_close_matches(name, list(names), n=3, cutoff=0.5))
