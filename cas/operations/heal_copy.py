"""Healing by a copy: what the source holds whole takes the place of what is damaged in the target.

As a put of the same does (specs/protocol/verify-repair.md, "Healing by a put"), for any version
that a copy finds to be there already.
"""

from __future__ import annotations

from cas.model.names import ArtifactName
from cas.objects.base_version import Surroundings, read_surroundings
from cas.objects.damage import list_damage
from cas.objects.parts import StoreParts
from cas.objects.sessions import WriterSession
from cas.operations.commit import until_committed
from cas.operations.copy_meter import CopyMeter
from cas.operations.copy_outcomes import CopyOptions
from cas.operations.heal_version import heal_version, is_touched
from cas.operations.pinned import PinnedVersion
from cas.operations.store_copy import store_copy
from cas.operations.stored_tree import StoredTree


def is_damage_known(target: StoreParts) -> bool:
    """Tell whether anything of a store is known to be damaged; one listing."""
    return bool(list_damage(target.backend))


def heal_copy(
    source: tuple[StoreParts, PinnedVersion],
    target: StoreParts,
    existing: tuple[ArtifactName, int],
    options: CopyOptions,
    meter: CopyMeter,
) -> StoredTree | None:
    """Make a version of the target whole again that holds what the source's does, if it is damaged.

    Returns:
        What was stored for it, or None if nothing was healed.

    Raises:
        CorruptionError: the source is damaged, too.
        BackendError: one of the two storages failed.
    """
    artifact, number = existing
    session = WriterSession(target.backend)

    def attempt(bad_blobs: frozenset[bytes]) -> StoredTree | None:
        found = read_surroundings(target.backend, target.pages, artifact, number=number)
        return heal_from(source, target, found.avoiding(bad_blobs), options, (session, meter))

    try:
        return until_committed(artifact, attempt)
    finally:
        session.close()


def heal_from(
    source: tuple[StoreParts, PinnedVersion],
    target: StoreParts,
    found: Surroundings,
    options: CopyOptions,
    run: tuple[WriterSession, CopyMeter],
) -> StoredTree | None:
    """Do so for the version that was found; see `heal_copy`.

    Raises:
        NotCommitted: a collector was faster.
    """
    session, meter = run
    if found.newest is None or not target.config.create_if_absent or not is_touched(target, found):
        return None
    with store_copy(source, target, options, session, found, meter) as stored:
        stored.finish_sending()
        return stored if heal_version(target, session, found, stored) else None
