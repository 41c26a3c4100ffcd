"""Repair: what is damaged or missing is looked for elsewhere, stored anew, and versions lead there.

Nothing that is stored is removed or replaced. Spec: specs/protocol/verify-repair.md
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace

import numpy as np

from cas.environment import monotonic_seconds
from cas.errors import BackendError, CorruptionError
from cas.format import keys
from cas.format.session import Intent
from cas.format.verification import DamageState
from cas.model.names import Ref
from cas.model.progress import Cancel, Progress
from cas.objects.blobs import TableReader
from cas.objects.collection_log import list_log
from cas.objects.damage import (
    KnownDamage,
    list_damage,
    merge_damage,
    read_damage,
    write_damage,
)
from cas.objects.index import build_segment, write_segment
from cas.objects.parts import StoreParts
from cas.objects.sessions import WriterSession
from cas.operations.affected_versions import name_affected
from cas.operations.damaged_extents import Int64s
from cas.operations.dry_backend import DryBackend
from cas.operations.guarantees import require_create_if_absent
from cas.operations.holes import Hole
from cas.operations.inspect_structure import (
    confirm_damage,
    inspect_structure,
    parts_past_cache,
)
from cas.operations.lost_ranges import holes_of
from cas.operations.outcomes import GetOptions
from cas.operations.rebuild_index import lost_from_index, rebuild_index
from cas.operations.rebuild_pages import PageRebuilder
from cas.operations.repair_blobs import BlobRepair, RepairedBlob, guess_source, lost_damage
from cas.operations.repair_needs import BlobNeed, RepairNeeds
from cas.operations.repair_outcomes import RepairOptions, RepairOutcome
from cas.operations.repair_sources import FileSource, Source, StoreSource
from cas.operations.repaired_places import RepairedPlaces
from cas.operations.repaired_versions import RepairedVersions
from cas.operations.verify import verify
from cas.operations.verify_outcomes import VerifyLevel, VerifyOptions
from cas.operations.ways_out import tell_unrepaired
from cas.transfer.relocation import Relocation

# A round may bring pages back, and what they speak of be damaged, too.
ROUNDS = 3


def repair(
    parts: StoreParts, ref: Ref | None, stores: Sequence[StoreParts], options: RepairOptions
) -> RepairOutcome:
    """Bring back what is damaged of one version, an artifact (a bare name), or the whole store.

    Damage is what the structure shows, and what earlier verifications recorded and is still so.
    Unless `options.apply` nothing is written. A repair that was killed may be run again by anyone.

    Args:
        stores: other stores to look in.

    Raises:
        NotFoundError: there is no such artifact, version or path.
        UnsupportedError: the storage does not keep two writers apart.
        BackendError: a storage failed; what was repaired until then stays so.
    """
    started = monotonic_seconds()
    if options.apply:
        require_create_if_absent(parts, "repairing")
    outcome = RepairOutcome(applied=options.apply)
    for _ in range(ROUNDS):
        one = _Repair(parts_past_cache(parts), parts.tables, ref, stores, options)
        outcome = _joined(outcome, one.run())
        # Each of them is read, whatever the first one shows: the next round sees only what is known.
        unsound = [
            each for each in one.unseen if options.apply and not _is_sound(parts, each, options)
        ]
        if not unsound:
            break
    else:
        left = [
            f"{each}: more of it is damaged than was seen; run the repair again" for each in unsound
        ]
        outcome = replace(outcome, unrepaired=(*outcome.unrepaired, *left))
    return replace(outcome, seconds=monotonic_seconds() - started)


def _is_sound(parts: StoreParts, ref: str, options: RepairOptions) -> bool:
    """Read all that a version needs which could not be read: nobody looked at that before."""
    level = VerifyOptions(level=VerifyLevel.DATA, cancel=options.cancel, progress=options.progress)
    return verify(parts, Ref.parse(ref), level).is_sound


def _joined(first: RepairOutcome, second: RepairOutcome) -> RepairOutcome:
    """Return what two rounds did together; what stays lost is told by the second."""
    return replace(
        second,
        problems=tuple(dict.fromkeys((*first.problems, *second.problems))),
        damaged_blobs=first.damaged_blobs + second.damaged_blobs,
        found_chunks=first.found_chunks + second.found_chunks,
        found_bytes=first.found_bytes + second.found_bytes,
        moved_bytes=first.moved_bytes + second.moved_bytes,
        revised=tuple(dict.fromkeys((*first.revised, *second.revised))),
        rebuilt_pages=tuple(dict.fromkeys((*first.rebuilt_pages, *second.rebuilt_pages))),
        rebuilt_blobs=first.rebuilt_blobs + second.rebuilt_blobs,
    )


class _Repair:
    """One round of a repair. For one thread.

    Attributes:
        unseen: versions that could not be read before, so that what they need may be damaged, too.
    """

    def __init__(
        self,
        parts: StoreParts,
        cached: TableReader,
        ref: Ref | None,
        stores: Sequence[StoreParts],
        options: RepairOptions,
    ) -> None:
        self._parts = parts
        # A dry run goes through everything but the revisions, and its writes go nowhere.
        dry = replace(parts, backend=DryBackend(parts.backend))
        self._writing = parts if options.apply else dry
        self._cached = cached
        self._ref = ref
        self._options = options
        self._cancel = options.cancel or Cancel()
        self._session = WriterSession(self._writing.backend)
        self.unseen: list[str] = []
        # The log first: of what versions named after that it is known that no run up to it killed it.
        self._stamp = list_log(parts.backend).resolved_prefix
        self._known = read_damage(parts.backend, list_damage(parts.backend))
        self._found = inspect_structure(parts, ref, self._cancel, options.progress)
        self._confirmed = set(confirm_damage(parts, self._found, self._known, self._cancel))
        name_affected(parts, self._found)
        self._stores = [StoreSource(parts, self._avoid(), parts.tables, is_other=False)]
        for other in stores:
            damage = read_damage(other.backend, list_damage(other.backend))
            self._stores.append(StoreSource(other, damage, other.tables, is_other=True))

    def _avoid(self) -> KnownDamage:
        return KnownDamage(self._found.damage)

    def run(self) -> RepairOutcome:
        """Do it."""
        try:
            return self._run()
        finally:
            self._session.close()

    def _run(self) -> RepairOutcome:
        found, options = self._found, self._options
        problems = tuple(found.problems)
        needs = self._needs()
        sources: list[Source] = list(self._stores)
        if options.paths:
            get = GetOptions(jobs=options.jobs, progress=options.progress, cancel=self._cancel)
            sources.append(FileSource(self._parts, options.paths, get))
        session = self._session.id
        with BlobRepair(self._writing, session, sources, self._stamp, self._cancel) as blobs:
            repaired = self._repair_blobs(blobs, needs, sources)
            places = self._places(blobs, repaired)
            versions = RepairedVersions(self._parts, found.versions, places, self._cancel)
            versions.rebuild_pages(self._page_rebuilder())
            versions.revise(apply=options.apply)
            around = [one for one in found.versions if one.needs_revision]
            self.unseen = [one.ref for one in (*versions.rebuilt, *around)]
            index = lost_from_index(self._parts, found)
            not_led = {one.ref for one in (*versions.without_pages, *versions.failed)}
            outcome = RepairOutcome(
                applied=options.apply,
                problems=problems,
                damaged_blobs=len(found.damage),
                found_chunks=blobs.counts.found_chunks,
                found_bytes=blobs.counts.found_bytes,
                moved_bytes=blobs.counts.moved_bytes,
                lost_chunks=sum(len(lost_damage(one)[1]) for one in repaired),
                revised=tuple(one.ref for one in versions.revised),
                rebuilt_pages=tuple(one.ref for one in versions.rebuilt),
                rebuilt_blobs=len(index[0]),
                lost=tuple(self._lost(repaired, not_led)),
                unrepaired=tuple(tell_unrepaired(found, versions.failed)),
                unread=tuple(dict.fromkeys(found.unread)),
            )
        if options.apply:
            if index[0] or index[1]:
                rebuild_index(self._parts, self._session, found, self._stamp, index)
            self._remember(repaired)
        return outcome

    def _needs(self) -> list[BlobNeed]:
        """Return what versions need of damaged data blobs."""
        needs = RepairNeeds({i: one for i, one in self._found.damage.items() if not one.is_meta})
        if self._found.damage:
            for location in self._found.locations:
                self._cancel.check()
                with suppress(CorruptionError):
                    needs.add(self._parts.pages.read_page(location))
        return list(needs.wanted())

    def _repair_blobs(
        self, blobs: BlobRepair, needs: list[BlobNeed], sources: list[Source]
    ) -> list[RepairedBlob]:
        guesses = blobs.find_tables(needs, self._cached)
        hashes = frozenset(h for need in needs if need.table is None for h in need.files)
        tables = [n.table.chunk_ids[_within(n)] for n in needs if n.table is not None]
        wanted = np.concatenate([np.zeros((0, 32), np.uint8), *tables])
        if hashes:
            own = StoreSource(self._parts, self._avoid(), guesses, is_other=False)
            sources.insert(1, guess_source(own, needs))
        for source in sources:
            if source is not (sources[1] if hashes else None):
                source.prepare(wanted, hashes)
        repaired = []
        for number, need in enumerate(needs):
            repaired.append(blobs.repair(need))
            if self._options.progress is not None:
                done = Progress(phase="repair", total_files=len(needs), done_files=number + 1)
                self._options.progress(done)
        blobs.finish()
        if blobs.sent:
            self._session.put_intent(self._intent(blobs))
            segment = build_segment(
                self._session.id, self._stamp, [(one.ref, one.chunk_ids) for one in blobs.sent]
            )
            key = keys.segment_key(0, self._session.id, self._session.segments)
            self._session.segments += 1
            write_segment(self._writing.backend, key, segment)
        return repaired

    def _intent(self, blobs: BlobRepair) -> Intent:
        return Intent(
            session=self._session.id,
            k=self._session.next_intent,
            final=False,
            artifact=None,
            slot=None,
            revision=None,
            blob_ids=b"".join(sorted(one.ref.blob_id for one in blobs.sent)),
            meta_ids=b"",
            pages=(),
            stamp=self._stamp,
            created_ns=self._parts.clock.now_ns(),
        )

    def _places(self, blobs: BlobRepair, repaired: list[RepairedBlob]) -> RepairedPlaces:
        moved = {one.need.target.blob_id: one.moved(blobs.blobs) for one in repaired if one.places}
        lost = {
            one.need.target.blob_id: lost_damage(one)[1]
            for one in repaired
            if one.places and one.need.table is None
        }
        emptied = {i for i, one in self._found.damage.items() if one.is_meta}
        # A damaged revision is gone around by another one, whose root is stored anew.
        emptied |= {one.root.blob_id.raw for one in self._found.versions if one.needs_revision}
        return RepairedPlaces(self._parts, Relocation(moved), self._stamp, lost, frozenset(emptied))

    def _page_rebuilder(self) -> PageRebuilder:
        bad = frozenset(self._found.damage)
        return PageRebuilder(self._writing, self._session, bad, self._stores, self._options)

    def _lost(self, repaired: list[RepairedBlob], pages: set[str]) -> Iterator[Hole]:
        damage: dict[bytes, tuple[Int64s, BlobNeed]] = {}
        for one in repaired:
            _, rows = lost_damage(one)
            if len(rows):
                damage[one.need.target.blob_id] = (rows, one.need)
        for version in self._found.versions:
            yield from holes_of(self._parts, version, damage, whole=version.ref in pages)

    def _remember(self, repaired: list[RepairedBlob]) -> None:
        """Bring the records of damage in line with what is needed now."""
        with suppress(BackendError):
            known = read_damage(self._parts.backend, list_damage(self._parts.backend))
            after = inspect_structure(parts_past_cache(self._parts), self._ref, self._cancel)
            damage = {**self._found.damage, **after.damage}
            for one in repaired:
                left, _ = lost_damage(one)
                if left is not None:
                    damage[one.need.target.blob_id] = left
            # What nobody could read, or what was recorded meanwhile, is not known to be whole.
            sound = [i for i in known.blobs if i in self._confirmed and i not in damage]
            if after.is_all and not after.unread:
                needed = {row.tobytes() for row in after.needed.ids}
                sound += [i for i in {*damage, *known.blobs} if i not in needed]
                damage = {i: one for i, one in damage.items() if i in needed}
            elif not after.is_all:
                mine = {row.tobytes() for row in self._found.needed.ids}
                sound = [i for i in sound if i in mine]
            merged = merge_damage(known, damage.values(), sound)
            if merged is not None:
                write_damage(self._parts.backend, known, merged)


def _within(need: BlobNeed) -> Int64s:
    """The needed rows that the table has and that are not whole in the blob itself."""
    assert need.table is not None
    rows = need.rows[need.rows < len(need.table.chunk_lengths)]
    if need.damage.state is DamageState.CHUNKS:
        return np.intersect1d(rows, need.damage.chunks)
    return rows if need.damage.state is not DamageState.HEADS else rows[:0]
