"""Verify: what versions need is there and is what it must be; what is not is named and remembered.

Spec: specs/protocol/verify-repair.md
"""

from __future__ import annotations

from cas.environment import monotonic_seconds
from cas.errors import BackendError
from cas.model.names import Ref
from cas.model.progress import Cancel
from cas.objects.damage import list_damage, merge_damage, read_damage, write_damage
from cas.objects.parts import StoreParts
from cas.operations.affected_versions import name_affected
from cas.operations.check_tables import check_tables
from cas.operations.inspect_structure import (
    Inspection,
    confirm_damage,
    forget_what_went,
    inspect_structure,
    parts_past_cache,
)
from cas.operations.verify_outcomes import VerifyLevel, VerifyOptions, VerifyOutcome
from cas.operations.verify_reads import DataReads, read_blobs


def verify(parts: StoreParts, ref: Ref | None, options: VerifyOptions) -> VerifyOutcome:
    """Verify one version, an artifact (a bare name), or the whole store, past any cache.

    Writes nothing but results and records of damage, which are hints; without the right to write
    them it verifies all the same.

    Raises:
        NotFoundError: there is no such artifact or version.
        BackendError: the storage failed where nothing could be gone around.
    """
    started = monotonic_seconds()
    level = VerifyLevel(options.level)
    fresh = parts_past_cache(parts)
    cancel = options.cancel or Cancel()
    found = inspect_structure(fresh, ref, cancel, options.progress)
    known = read_damage(fresh.backend, list_damage(fresh.backend))
    read_tables = 0
    reads = DataReads()
    reads.confirmed += confirm_damage(fresh, found, known, cancel)
    try:
        if level is VerifyLevel.TABLES:
            read_tables = check_tables(fresh, found, options, cancel)
        elif level is VerifyLevel.DATA:
            read_blobs(fresh, found, options, reads, started)
        forget_what_went(fresh, found, ref, cancel)
    finally:
        if options.remember:
            reads.not_kept = _remember_damage(fresh, found, reads) or reads.not_kept
    name_affected(fresh, found)
    return VerifyOutcome(
        level=level,
        versions=len(found.versions),
        pages=len(found.locations),
        blobs=len(found.needed),
        blob_bytes=int(found.needed.sizes.sum()),
        read_tables=read_tables,
        read_blobs=reads.blobs,
        read_bytes=reads.size,
        left_blobs=reads.left,
        recent_blobs=reads.recent,
        problems=tuple(found.problems),
        unread=tuple(dict.fromkeys(found.unread)),
        not_kept=reads.not_kept,
        seconds=monotonic_seconds() - started,
    )


def _remember_damage(parts: StoreParts, found: Inspection, reads: DataReads) -> str | None:
    """Bring the records of damage in the store in line with what was found; return why not."""
    try:
        known = read_damage(parts.backend, list_damage(parts.backend))
        read = (*reads.confirmed, *reads.sound)
        sound = [one for one in read if one not in found.damage]
        if found.is_all and found.versions and not found.unread:
            # What no version needs any more is of no interest: it may be gone tomorrow.
            needed = {row.tobytes() for row in found.needed.ids} if known.blobs else set()
            sound += [blob_id for blob_id in known.blobs if blob_id not in needed]
        merged = merge_damage(known, found.damage.values(), sound)
        if merged is not None or known.unread:
            write_damage(parts.backend, known, known.blobs.values() if merged is None else merged)
    except BackendError as error:
        return str(error)  # a reader may verify, too; then nobody remembers it
    return None
