"""Revisions: a version's places are published anew, its content stays. Steps P1 to P3.

Spec: specs/protocol/repack.md
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from cas.errors import CorruptionError
from cas.format.session import Intent
from cas.format.version import RevisionRecord, VoidRecord
from cas.model.entry import PageLocation
from cas.model.names import ArtifactName
from cas.objects.collection_log import LogAnswer, check_log, list_log
from cas.objects.id_sets import Ids, ids_of, sort_ids
from cas.objects.parts import StoreParts
from cas.objects.sessions import WriterSession
from cas.objects.versions import (
    list_slots,
    publish_revision,
    read_kept,
    read_revision,
    read_root_location,
)
from cas.operations.guarantees import require_create_if_absent
from cas.operations.leave_slot import leave_slot
from cas.operations.new_places import NewPlaces
from cas.operations.rewrite_manifest import ManifestRewriter, RewrittenManifest


class RevisionOutcome(StrEnum):
    """What became of a try to revise a version. All but the first leave it as it was."""

    PUBLISHED = "published"
    UNCHANGED = "unchanged"
    GONE = "gone"
    CONDEMNED = "condemned"
    STALE = "stale"
    OVERTAKEN = "overtaken"
    FENCED = "fenced"

    @property
    def is_worth_another_try(self) -> bool:
        """Whether somebody else was faster, so that it may go well from a fresh look on."""
        return self not in (self.PUBLISHED, self.UNCHANGED, self.GONE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """What became of a try to revise a version.

    Attributes:
        k: number of the revision that was published or asked for; 0 if it did not come to that.
        root: where the root lies now, as far as is known.
        condemned: ids of the blobs that a collection condemns.
    """

    artifact: ArtifactName
    number: int
    outcome: RevisionOutcome
    k: int = 0
    root: PageLocation | None = None
    condemned: frozenset[bytes] = frozenset()


class Reviser:
    """Publishes revisions of versions, each in a session of its own. Not thread-safe.

    The blobs that the new places lead to are the caller's: stored, and protected by its own
    intents until this is done.
    """

    def __init__(self, parts: StoreParts, places: NewPlaces, *, past_damage: bool = False) -> None:
        """Prepare.

        Args:
            past_damage: start from an older revision where the newest is damaged.

        Raises:
            UnsupportedError: the storage does not keep two writers apart.
        """
        require_create_if_absent(parts, "revising versions")
        self._parts = parts
        self._backend = parts.backend
        self._places = places
        self._past_damage = past_damage
        self._rewriter = ManifestRewriter(parts, places)

    @property
    def written_bytes(self) -> int:
        """Bytes of pages and roots that were stored."""
        return self._rewriter.written_bytes

    def revise(self, artifact: ArtifactName, number: int) -> Revision:
        """Publish the next revision of a version, from a fresh look at it.

        When the outcome is PUBLISHED, it is durable and can no longer be lost. A version in the
        trash is revised like any other; of one that is void or purged nothing is left to revise.

        Raises:
            CorruptionError: a page or the root cannot be read, or would come to hold other
                entries; nothing was published.
            BackendError: the storage failed; it may have been published.
        """
        session = WriterSession(self._backend)
        try:
            return self._revise(
                session, Revision(artifact=artifact, number=number, outcome=RevisionOutcome.GONE)
            )
        finally:
            session.close()

    def _revise(self, session: WriterSession, blank: Revision) -> Revision:
        artifact, number = blank.artifact, blank.number
        # P1. The log first: then all that the version needs is known with its stamp.
        log = list_log(self._backend)
        listing = list_slots(self._backend, artifact)
        record = read_kept(self._backend, listing, number)
        if record is None:
            return blank
        k = listing.revisions.get(number, 0) + 1
        location = read_root_location(self._backend, listing, record, past_damage=self._past_damage)
        made = self._rewriter.rewrite(session.id, record, location)
        if made is None:
            return replace(blank, outcome=RevisionOutcome.UNCHANGED, root=location)
        tried = replace(blank, k=k, root=location)
        # P2
        stamp = min(log.resolved_prefix, self._places.stamp)
        session.put_intent(self._final_intent(session, tried, made, stamp))
        ids: list[Ids] = []
        checked = check_log(self._backend, stamp, lambda: self._needed(made, ids))
        if checked.answer is LogAnswer.BAD:
            condemned = frozenset(row.tobytes() for row in ids[-1][checked.bad])
            return replace(tried, outcome=RevisionOutcome.CONDEMNED, condemned=condemned)
        if checked.answer is LogAnswer.STALE:
            return replace(tried, outcome=RevisionOutcome.STALE)
        # P3
        revision = RevisionRecord(
            session=session.id, root=made.root, stamp=checked.stamp, digest=record.digest
        )
        return self._take(session, tried, revision)

    def _final_intent(
        self, session: WriterSession, tried: Revision, made: RewrittenManifest, stamp: int
    ) -> Intent:
        """Name all that the new root needs: new pages and every blob they speak of by id, the
        pages that stay one by one, so that the old root and what only it needs are not kept.
        """
        return Intent(
            session=session.id,
            k=session.next_intent,
            final=True,
            artifact=str(tried.artifact),
            slot=tried.number,
            revision=tried.k,
            blob_ids=made.data_ids.tobytes(),
            meta_ids=made.meta_ids.tobytes(),
            pages=made.kept,
            stamp=stamp,
            created_ns=self._parts.clock.now_ns(),
        )

    def _needed(self, made: RewrittenManifest, ids: list[Ids]) -> Ids:
        tables = [made.data_ids, made.meta_ids]
        for location in made.kept:
            tables.append(ids_of([location.blob_id.raw]))
            try:
                tables.append(self._parts.pages.read_page(location).blob_ids)
            except CorruptionError:
                continue  # it is no worse off than in the version as it stands
        ids.append(sort_ids(np.concatenate(tables)))
        return ids[-1]

    def _take(self, session: WriterSession, tried: Revision, record: RevisionRecord) -> Revision:
        artifact, number, k = tried.artifact, tried.number, tried.k
        session.hold()
        try:
            stands = publish_revision(self._backend, record, artifact, number, k)
        except BaseException:
            leave_slot(
                self._parts,
                session,
                lambda: publish_revision(
                    self._backend, VoidRecord(session.id), artifact, number, k
                ),
                lambda: read_revision(self._backend, artifact, number, k) is not None,
            )
            raise
        if stands.session != session.id:
            session.release()
            return replace(tried, outcome=RevisionOutcome.OVERTAKEN)
        if isinstance(stands, VoidRecord):
            # A collector took this session for dead and settled it; its intents are the collector's.
            session.abandon()
            return replace(tried, outcome=RevisionOutcome.FENCED)
        session.release()
        return replace(tried, outcome=RevisionOutcome.PUBLISHED, root=record.root)
