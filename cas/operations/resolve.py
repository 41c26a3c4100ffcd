"""References become version records: numbers, aliases, digests and `latest`.

A hidden or void target is an error that names it; never does a name silently lead elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from cas.backend.base import Backend
from cas.errors import CorruptionError, ErrorCode, InvalidInputError, NotFoundError
from cas.format.version import MoveKind, VersionRecord, VoidRecord
from cas.model.ids import DIGEST_BYTES
from cas.model.names import ArtifactName, Ref
from cas.objects.aliases import read_alias, read_aliases
from cas.objects.parts import StoreParts
from cas.objects.versions import (
    SlotListing,
    iter_visible,
    list_slots,
    near_names,
    read_last_move,
    read_slot,
    unknown_artifact,
)


@dataclass(frozen=True, slots=True)
class ResolvedVersion:
    """A visible version, and the listing that it was found in."""

    record: VersionRecord
    listing: SlotListing
    is_digest_pinned: bool = False


def resolve_record(parts: StoreParts, ref: Ref) -> ResolvedVersion:
    """Find the version that a reference names.

    Raises:
        NotFoundError: no such artifact, version or alias, or it was deleted.
        InvalidInputError: a digest prefix fits several versions.
    """
    slot = _SlotAhead(parts.backend, ref)
    listing = list_slots(parts.backend, ref.artifact)
    if not listing.slots:
        raise unknown_artifact(parts.backend, ref.artifact)
    if ref.digest_prefix is not None:
        return _by_digest(parts, listing, ref.digest_prefix)
    if ref.number is not None:
        visible = read_visible(parts, listing, ref.number, str(ref), read=slot.read)
        return ResolvedVersion(visible, listing)
    if ref.alias is not None:
        return _by_alias(parts, listing, ref)
    record = _latest(parts, listing)
    if record is None:
        raise NotFoundError(
            f"every version of {ref.artifact} was deleted",
            code=ErrorCode.VERSION_DELETED,
            hint=f"cas log {ref.artifact} lists them; cas restore brings back what is in the trash",
        )
    return ResolvedVersion(record, listing)


def _latest(parts: StoreParts, listing: SlotListing) -> VersionRecord | None:
    """Return the newest visible version. Another is never taken for it, also not past damage."""
    try:
        return next(iter_visible(parts.backend, listing), None)
    except CorruptionError as error:
        artifact = listing.artifact
        raise CorruptionError(
            f"{error}; so it is not known which version of {artifact} is the newest",
            code=error.code,
            hint=f"cas log {artifact} lists those that can be read; name one of them, or put a new "
            "version",
        ) from error


class _SlotAhead:
    """Reads the slot that a number names while the slots are listed: one round trip less."""

    def __init__(self, backend: Backend, ref: Ref) -> None:
        self._future: Future[VersionRecord | VoidRecord | None] | None = None
        if ref.number is not None and not backend.capabilities.local:
            pool = ThreadPoolExecutor(1, thread_name_prefix="cas-slot")
            try:
                self._future = pool.submit(read_slot, backend, ref.artifact, ref.number)
            finally:
                pool.shutdown(wait=False)

    def read(
        self, backend: Backend, artifact: ArtifactName, number: int
    ) -> VersionRecord | VoidRecord | None:
        """Return what stands in the slot."""
        if self._future is None:
            return read_slot(backend, artifact, number)
        return self._future.result()


def read_visible(
    parts: StoreParts,
    listing: SlotListing,
    number: int,
    asked: str,
    *,
    read: Callable[[Backend, ArtifactName, int], VersionRecord | VoidRecord | None] = read_slot,
) -> VersionRecord:
    """Read a version that must be there and not hidden.

    Args:
        asked: what the user wrote.
        read: gives what stands in the slot.
    """
    artifact = listing.artifact
    named = f"{artifact}:v{number}"
    # An alias or digest is told beside the version that it leads to.
    named = named if asked == named else f"{asked}: {named}"
    try:
        move = read_last_move(parts.backend, listing, number)
    except CorruptionError:
        # Restored or purged: nobody knows. Whoever names just this version may have what there is.
        move = None
    if move is MoveKind.PURGE:
        raise NotFoundError(f"{named} was deleted for good", code=ErrorCode.VERSION_DELETED)
    if move is MoveKind.TRASH:
        raise NotFoundError(
            f"{named} is in the trash",
            code=ErrorCode.VERSION_DELETED,
            hint=f"cas restore {artifact}:v{number} brings it back",
        )
    record = read(parts.backend, artifact, number)
    if isinstance(record, VersionRecord):
        return record
    if record is not None:
        raise NotFoundError(
            f"{artifact}:v{number} was never finished: its put was abandoned",
            code=ErrorCode.VERSION_NOT_FOUND,
        )
    newest = max(listing.slots)
    raise NotFoundError(
        f"{artifact} has no version v{number}; the newest is v{newest}",
        code=ErrorCode.VERSION_NOT_FOUND,
        hint=f"cas log {artifact} lists them",
    )


def _by_alias(parts: StoreParts, listing: SlotListing, ref: Ref) -> ResolvedVersion:
    assert ref.alias is not None
    state = read_alias(parts.backend, ref.artifact, ref.alias)
    if state is None or state.record.number is None:
        states = read_aliases(parts.backend, ref.artifact, past_damage=True)
        names = [name for name, one in states.items() if one.record.number is not None]
        near = near_names(str(ref.alias), [*names, "latest"]) or ", ".join(names[:5])
        raise NotFoundError(
            f"{ref.artifact} has no alias {str(ref.alias)!r}",
            code=ErrorCode.ALIAS_NOT_FOUND,
            hint=f"did you mean {near}?" if near else f"cas log {ref.artifact} lists versions",
        )
    return ResolvedVersion(read_visible(parts, listing, state.record.number, str(ref)), listing)


def _by_digest(parts: StoreParts, listing: SlotListing, prefix: str) -> ResolvedVersion:
    artifact: ArtifactName = listing.artifact
    damaged: list[CorruptionError] = []
    found = [
        record
        for record in iter_visible(parts.backend, listing, damaged=damaged)
        if record.digest.hex.startswith(prefix)
    ]
    if not found and damaged:
        raise damaged[0]
    if not found:
        raise NotFoundError(
            f"{artifact} has no version whose digest begins with {prefix}",
            code=ErrorCode.VERSION_NOT_FOUND,
            hint=f"cas log {artifact} lists them",
        )
    if len({record.digest for record in found}) > 1:
        numbers = ", ".join(f"v{record.number}" for record in found)
        raise InvalidInputError(
            f"{artifact}:{prefix} fits several versions: {numbers}",
            code=ErrorCode.INVALID_REF,
            hint="write more digits",
        )
    return ResolvedVersion(found[0], listing, is_digest_pinned=len(prefix) == 2 * DIGEST_BYTES)
