"""Repack: what lives in blobs that are mostly dead is stored anew, and versions are led there.

The old blobs are left to the next collection. Whatever step it dies at, nothing is lost, and the
next one goes on from there. Spec: specs/protocol/repack.md
"""

from __future__ import annotations

from collections.abc import Container, Iterator

import numpy as np

from cas.environment import monotonic_seconds
from cas.errors import CorruptionError
from cas.format.blob import frame_length
from cas.model.progress import Cancel
from cas.objects.blob_list import BlobRef
from cas.objects.blobs import decode_data_frame
from cas.objects.collection_log import LogListing, condemned_by_open_runs, list_log
from cas.objects.id_sets import Ids, ids_of, within
from cas.objects.parts import StoreParts
from cas.objects.sessions import WriterSession
from cas.operations.guarantees import require_create_if_absent
from cas.operations.measure_shares import data_shares, meta_shares, replaced_metas
from cas.operations.move_chunks import ChunkMover, LiveFeed
from cas.operations.new_places import MovedChunks
from cas.operations.plan_repack import RepackPlan, choose_data, choose_meta
from cas.operations.repack_outcomes import RepackOptions, RepackOutcome
from cas.operations.revise import Reviser, Revision
from cas.operations.stored_tree import StoredTree
from cas.operations.survey_places import Survey, VersionId, survey_places
from cas.transfer.carry_batches import CarriedFile
from cas.transfer.dedup import Facts
from cas.transfer.plan import plan_reads, runs_of
from cas.transfer.relocation import Relocation
from cas.transfer.stream import no_tree


def plan_repack(
    parts: StoreParts, options: RepackOptions, leave_out: Container[VersionId] = ()
) -> RepackPlan:
    """Return what a repack would do. Writes nothing.

    Args:
        parts: the store.
        options: which blobs are emptied.
        leave_out: versions that are taken to be purged.

    Raises:
        CorruptionError: a page or root is missing or damaged.
        BackendError: the storage failed.
    """
    return _Repack(parts, options, leave_out).plan


def repack(parts: StoreParts, options: RepackOptions) -> RepackOutcome:
    """Empty blobs that are mostly dead, and publish where versions lie from then on.

    Safe beside any number of writers, readers, collectors and other repacks. What others changed
    meanwhile is left to a later run.

    Raises:
        CorruptionError: a page or root is missing or damaged.
        BackendError: the storage failed; the next repack goes on.
        UnsupportedError: the storage does not keep two writers apart.
    """
    require_create_if_absent(parts, "repacking")
    started = monotonic_seconds()
    return _Repack(parts, options).run(started)


class _Repack:
    """One run. The log is listed before anything else is read, so all facts have its stamp."""

    def __init__(
        self, parts: StoreParts, options: RepackOptions, leave_out: Container[VersionId] = ()
    ) -> None:
        self._parts = parts
        self._limits = options.limits
        self._progress = options.progress
        self._cancel = options.cancel or Cancel()
        self._log: LogListing = list_log(parts.backend)
        self._survey: Survey = survey_places(parts, self._cancel, leave_out)
        self._shares, self._problems = data_shares(parts, self._survey, self._limits.live_share)
        self.plan = self._choose(frozenset())

    def run(self, started: float) -> RepackOutcome:
        session = WriterSession(self._parts.backend)
        stored = StoredTree(self._parts, session, no_tree(), None, self._parts.clock.now_ns())
        revisions: list[Revision] = []
        written = 0
        try:
            if not self.plan.is_empty:
                relocation, stamp = self._move(stored)
                emptied = frozenset(one.blob_id for one in self.plan.meta)
                places = MovedChunks(self._parts, relocation, stamp, emptied)
                reviser = Reviser(self._parts, places)
                revisions += self._revise(reviser, relocation)
                written = reviser.written_bytes
                stored.merge_index()
        finally:
            session.close()
        return RepackOutcome(
            plan=self.plan,
            new_bytes=stored.counts.new_bytes,
            sent_bytes=stored.stored_bytes + stored.sent_bytes + written,
            revisions=tuple(revisions),
            problems=tuple(self._problems),
            seconds=monotonic_seconds() - started,
        )

    # -- what to empty

    def _choose(self, damaged: frozenset[bytes]) -> RepackPlan:
        survey = self._survey
        metas = meta_shares(survey)
        store_bytes = int(survey.data.sizes.sum()) + sum(one.share.size for one in metas)
        shares = [share for _, share in self._shares if share.blob_id not in damaged]
        data, postponed = choose_data(shares, store_bytes, self._limits)
        emptied = ids_of(one.blob_id for one in data)
        versions = frozenset(self._versions_naming(emptied))
        roots = {number: one.root.length for number, one in enumerate(survey.versions)}
        meta, versions = choose_meta(metas, versions, roots, self._limits)
        return RepackPlan(
            store_bytes=store_bytes,
            data=tuple(data),
            meta=tuple(meta),
            versions=len(versions),
            postponed=tuple(postponed),
            superseded=frozenset(one.blob_id for one in (*data, *meta))
            | replaced_metas(survey, emptied, versions),
        )

    def _versions_naming(self, emptied: Ids) -> list[int]:
        """Return the rows of the versions that have a page which names one of these blobs."""
        survey = self._survey
        names = survey.pages_naming(emptied)
        return [row for row, one in enumerate(survey.versions) if names[one.pages].any()]

    # -- moving

    def _move(self, stored: StoredTree) -> tuple[Relocation, int]:
        """Store what lives in the blobs anew; return where it lies, and its lowest stamp.

        Blobs that turn out to be damaged are left out of the plan.
        """
        while True:
            chosen = {one.blob_id for one in self.plan.data}
            refs = [ref for ref, _ in self._shares if ref.blob_id in chosen]
            try:
                return self._move_from(refs, stored)
            except CorruptionError:
                damaged = frozenset(ref.blob_id for ref in refs if not self._is_whole(ref))
                if not damaged:
                    raise
                self._shares = [one for one in self._shares if one[0].blob_id not in damaged]
                self.plan = self._choose(damaged)

    def _move_from(self, refs: list[BlobRef], stored: StoredTree) -> tuple[Relocation, int]:
        if not refs:
            return Relocation(), self._log.resolved_prefix
        facts = Facts(
            stamp=self._log.resolved_prefix,
            floor=self._log.floor,
            newest=self._log.newest,
            is_condemned=condemned_by_open_runs(self._parts.backend, self._log),
            bad_blobs=frozenset(ref.blob_id for ref in refs),
        )
        with ChunkMover(stored, facts, cancel=self._cancel, progress=self._progress) as mover:
            relocation = mover.run(self._live_chunks(refs))
        used = [ref.stamp for move in relocation.moved.values() for ref in move.refs]
        return relocation, min([facts.stamp, *used])

    def _live_chunks(self, refs: list[BlobRef]) -> Iterator[CarriedFile]:
        """Yield what is to be moved, in the order of versions and paths."""
        survey = self._survey
        feed = LiveFeed(self._parts.tables, refs)
        emptied = ids_of(ref.blob_id for ref in refs)
        seen = np.zeros(len(survey.pages), np.bool_)
        for version in survey.versions:
            for row in version.pages[~seen[version.pages]].tolist():
                seen[row] = True
                if len(within(survey.page_blobs[row], emptied)):
                    yield from feed.of_page(self._parts.pages.read_page(survey.pages[row]))

    def _is_whole(self, ref: BlobRef) -> bool:
        """Tell whether all that is live in a blob can be read; note what is wrong."""
        data = self._survey.data
        (row,) = np.flatnonzero((data.ids == np.frombuffer(ref.blob_id, np.uint8)).all(axis=1))
        chunks = data.chunks_of(int(row))
        try:
            table = self._parts.tables.read(ref)
            for read in plan_reads(table, runs_of(chunks)):
                content = memoryview(self._parts.tables.read_range(ref, read.start, read.stop))
                for frame in range(read.first_frame, read.stop_frame):
                    start = int(table.frame_offsets[frame]) - read.start
                    stored, count = int(table.frame_stored[frame]), int(table.frame_chunks[frame])
                    stop = start + frame_length(count, stored)
                    inside = chunks[table.chunk_frames[chunks] == frame]
                    decode_data_frame(ref.blob_id, table, frame, content[start:stop], inside)
        except CorruptionError as error:
            self._problems.append(str(error))
            return False
        return True

    # -- publishing

    def _revise(self, reviser: Reviser, relocation: Relocation) -> Iterator[Revision]:
        survey = self._survey
        emptied = ids_of(one.blob_id for one in self.plan.meta)
        rows = set(self._versions_naming(ids_of(relocation.moved)))
        for row, version in enumerate(survey.versions):
            metas = {version.root.blob_id.raw}
            metas |= {survey.pages[page].blob_id.raw for page in version.pages.tolist()}
            if row not in rows and not len(within(ids_of(metas), emptied)):
                continue
            self._cancel.check()
            record = version.record
            try:
                yield reviser.revise(record.artifact, record.number)
            except CorruptionError as error:
                self._problems.append(str(error))
