"""What a collection would delete, and what keeps the rest: step G1 of specs/protocol/collection.md.

Any set of candidates is safe, since a run looks again at what is needed after it has condemned them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from cas.errors import CorruptionError, ErrorCode, InvalidInputError
from cas.format.collection import listed_rows
from cas.format.encoding import ID_BYTES
from cas.model.ids import SessionId
from cas.objects.closure import Unreadable
from cas.objects.collection_log import LogListing, list_log
from cas.objects.id_sets import Ids, ids_of, sort_ids, unite, view_sorted
from cas.objects.known_slots import KnownSlots
from cas.objects.listed_sessions import ListedIntent, list_intents, read_intent, read_intents
from cas.objects.parts import StoreParts
from cas.objects.stored_blobs import StoredBlobs
from cas.operations.brakes import Brake, BrakeKind, holds_beside_too_much, with_unread
from cas.operations.collection_outcomes import (
    CollectionPlan,
    CollectOptions,
    KeptVersion,
    Share,
    Space,
)
from cas.operations.end_runs import runs_without_end
from cas.operations.explain_kept import explain_kept, read_live_aliases
from cas.operations.find_live import FoundVersion
from cas.operations.plan_repack import RepackPlan
from cas.operations.retention import DueVersions, find_due
from cas.operations.settle_sessions import brake_of_intent
from cas.operations.short_listings import check_known, known_from_records
from cas.operations.survey import Survey

LARGEST_SHARE = 0.3

Rows = NDArray[np.bool_]
Sessions = Mapping[SessionId, Sequence[ListedIntent]]


def plan_collection(parts: StoreParts, options: CollectOptions) -> CollectionPlan:
    """Return what a collection would do, without writing anything to the store.

    Raises:
        UnsupportedError: a later cas wrote something that must be understood.
        InvalidInputError: there is to be a repack, and pages that cannot be read shall be passed over.
        CorruptionError: there is to be a repack, and a page or root got lost or damaged meanwhile.
        BackendError: the storage failed.
    """
    if options.repack is not None:
        require_every_page(options)
    with Survey(parts, options) as survey:
        planning = Planning(survey)
        if options.repack is None or holds_beside_too_much(planning.brakes, options.overrides):
            return planning.plan()
        from cas.operations.repack import plan_repack

        going = planning.due.trash_moves()
        return planning.plan(plan_repack(parts, options.repack, leave_out=going))


def require_every_page(options: CollectOptions) -> None:
    """Raise if pages that cannot be read shall be passed over, which a repack cannot do.

    It would end in the midst, when the policy has purged what is due already.

    Raises:
        InvalidInputError: that is so.
    """
    if BrakeKind.UNREADABLE_PAGE in options.overrides:
        raise InvalidInputError(
            "a repack reads every page, so none can be passed over",
            code=ErrorCode.INVALID_OPTION,
            hint=f"first cas repair, or leave out --repack or --override {BrakeKind.UNREADABLE_PAGE}",
        )


class Planning:
    """Makes the plan of one collection, and keeps what the collection needs afterwards.

    Attributes:
        stored: the blobs as they were listed.
        dead: sessions whose writers seem to be gone.
        due: what the policy would move. Versions to be purged are taken to be purged already; one
            that is restored instead is found by the run, which looks again.
        brakes: why nothing may be deleted, however much it is.
    """

    def __init__(self, survey: Survey, done: DueVersions | None = None) -> None:
        """Look at the store.

        Args:
            survey: the view of it.
            done: what the policy has moved already; None finds what is due.
        """
        self._survey = survey
        self._live = survey.live
        survey.step("expire")
        self._unread: CorruptionError | None = None
        try:
            self.due = done or find_due(survey.parts, survey.options.policy)
        except CorruptionError as error:
            self.due, self._unread = find_due(survey.parts, None), error
        survey.step("list")
        # First of all: what is listed and is needed by nobody found later is garbage or young.
        self.stored = survey.list_blobs()
        self._log = list_log(survey.backend)
        sessions = list_intents(survey.backend)
        self.dead: Sessions = {
            session: intents
            for session, intents in sessions.items()
            if survey.grace.seems_dead(intents)
        }
        survey.step("mark")
        alive = {one: intents for one, intents in sessions.items() if one not in self.dead}
        self._live_sessions = len(alive)
        self._live.add_intents(alive)
        self._live.add_versions(self.due.trash_moves())
        self._aliases = read_live_aliases(survey, self._live.listings)
        self.brakes = self._find_brakes()

    def plan(
        self, repack: RepackPlan | None = None, repacked: frozenset[bytes] = frozenset()
    ) -> CollectionPlan:
        """Return the plan; raises as `plan_collection` does.

        Args:
            repack: one to come; what it supersedes is taken to be needed by no version.
            repacked: what one that was done has superseded, if no version needs it in fact.
        """
        stored = self.stored
        superseded = stored.among(ids_of(repack.superseded if repack else repacked))
        needed = stored.among(self._live.needed.ids())
        if repack is not None:
            needed &= ~superseded
        announced = stored.among(self._live.announced.ids()) & ~needed
        unneeded = ~needed & ~announced
        purged = stored.among(self._survey.needs_of(self._gone_versions()))
        young = unneeded & ~purged & (stored.times > self._survey.grace.since_ns)
        garbage = unneeded & ~young
        kept: Sequence[KeptVersion] = ()
        if self._survey.options.explain:
            store_id = self._survey.parts.config.store_id
            kept = explain_kept(self._live.versions, self._aliases, store_id, self._live.left_out)
        return CollectionPlan(
            store=Space(len(stored), stored.bytes),
            garbage=_space(stored, garbage),
            shares=tuple(self._shares(garbage, superseded)),
            young=_space(stored, young),
            announced=_space(stored, announced),
            dead_sessions=tuple(self.dead),
            live_sessions=self._live_sessions,
            open_runs=tuple(runs_without_end(self._log)),
            kept=tuple(kept),
            brakes=(*self.brakes, *self._too_much(garbage & ~superseded)),
            due=self.due.plan,
            repack=repack,
            candidates=sort_ids(stored.ids[garbage]),
        )

    # -- what goes

    def _gone_versions(self) -> list[FoundVersion]:
        """Versions that are purged, or about to be, of which the root is still there."""
        gone = [
            one
            for version, one in self._live.versions.items()
            if one.is_purged or version in self._live.left_out
        ]
        roots = np.frombuffer(b"".join(one.root.blob_id.raw for one in gone), np.uint8)
        there = listed_rows(self.stored.ids, roots.reshape(-1, ID_BYTES))
        return [one for one, is_there in zip(gone, there.tolist(), strict=True) if is_there]

    def _shares(self, garbage: Rows, superseded: Rows) -> Iterator[Share]:
        """Say where the garbage came from; each blob counts once, for the first that had it."""
        emptied, left = garbage & superseded, garbage & ~superseded
        if emptied.any():
            space = _space(self.stored, emptied)
            yield Share(why="repacked", artifact=None, space=space)
        due = {(one.artifact, one.number) for one in self.due.plan.purge}
        groups: dict[tuple[str, str], list[FoundVersion]] = {}
        for one in self._gone_versions():
            artifact = str(one.record.artifact)
            why = "due" if (artifact, one.record.number) in due else "purged"
            groups.setdefault((why, artifact), []).append(one)
        # What is due comes first: all that it needs goes because it goes.
        for (why, artifact), versions in sorted(groups.items()):
            yield from self._share(why, artifact, self._survey.needs_of(versions), left)
        for artifact_of_session, ids in self._dead_ids():
            yield from self._share("interrupted", artifact_of_session, ids, left)
        if left.any():
            space = _space(self.stored, left)
            yield Share(why="unreferenced", artifact=None, space=space)

    def _share(self, why: str, artifact: str | None, ids: Ids, left: Rows) -> Iterator[Share]:
        mine = left & self.stored.among(ids)
        if mine.any():
            left &= ~mine
            yield Share(why=why, artifact=artifact, space=_space(self.stored, mine))

    def _dead_ids(self) -> Iterator[tuple[str | None, Ids]]:
        """Yield what each dead session named, and for which artifact it was."""
        for intents in self.dead.values():
            artifact, ids = None, []
            try:
                for _, intent in read_intents(self._survey.backend, intents, self._survey.workers):
                    if intent is None:
                        continue
                    artifact = intent.artifact or artifact
                    ids += [view_sorted(intent.blob_ids), view_sorted(intent.meta_ids)]
                    behind = self._survey.closures.of_locations(
                        intent.pages, unreadable=Unreadable.IGNORE
                    )
                    ids += [behind.data_ids, behind.meta_ids]
            except CorruptionError:
                pass  # whoever settles the session finds out
            yield artifact, unite(*ids)

    # -- what brakes

    def _find_brakes(self) -> list[Brake]:
        known = KnownSlots(self._survey.parts.state_dir, self._survey.parts.config.store_id)
        brakes = [*self._live.brakes, *self._damaged_intents()]
        brakes += [*self._missing(), *self._short(known)]
        if not brakes:
            known.save(self._live.listings.values())
        return with_unread(brakes, self._unread)

    def _damaged_intents(self) -> Iterator[Brake]:
        """Find intents of dead sessions that cannot be read, before a run is opened for nothing."""
        backend = self._survey.backend
        for listed in (one for intents in self.dead.values() for one in intents):
            try:
                read_intent(backend, listed)
            except CorruptionError as error:
                yield brake_of_intent(error)

    def _missing(self) -> Iterator[Brake]:
        versions = [
            one
            for version, one in self._live.versions.items()
            if not one.is_purged and version not in self._live.left_out
        ]
        for one, gone in self._survey.missing(versions, self._live.needed.ids(), self.stored):
            yield Brake(BrakeKind.MISSING_BLOB, f"{one.ref} {lacks(gone)}")

    def _short(self, known: KnownSlots) -> Iterator[Brake]:
        """Find what something speaks of and no listing shows."""
        listings = self._live.listings
        yield from check_known(listings, known.load(), by="an earlier collection")
        records = [one.record for one in self._live.versions.values()]
        for ref, named in known_from_records(records, self._survey.parts.config.store_id):
            yield from check_known(listings, named, by=ref)
        for artifact, targets in self._aliases.items():
            for alias, number in targets.items():
                yield from check_known(listings, {artifact: number + 1}, by=f"its alias {alias!r}")
        stamp = max((record.stamp for record in records), default=0)
        # Versions were read after the log: another collection may have begun in between.
        log = self._log if self._log.newest >= stamp else list_log(self._survey.backend)
        yield from _log_brake(log, stamp)

    def _too_much(self, garbage: Rows) -> Iterator[Brake]:
        """Look at how much goes. What a repack emptied was read, verified and stored anew, and that
        has a limit of its own.
        """
        size, total = int(self.stored.sizes[garbage].sum()), self.stored.bytes
        if size > LARGEST_SHARE * total:
            share = f"{100 * size / total:.0f} % of the bytes in the store"
            limit = f"more than {100 * LARGEST_SHARE:.0f} %"
            yield Brake(BrakeKind.TOO_MUCH, f"{share} would go, {limit}")


def lacks(gone: Ids) -> str:
    """Say which blobs are missing."""
    names = ", ".join(row.tobytes().hex()[:12] for row in gone[:3])
    more = f" and {len(gone) - 3} more" if len(gone) > 3 else ""
    return f"needs blobs that are not there: {names}{more}"


def _log_brake(log: LogListing, stamp: int) -> Iterator[Brake]:
    if log.newest < stamp:
        message = f"the log of collections ends at run {log.newest}, and a version knows of {stamp}"
        yield Brake(BrakeKind.SHORT_LISTING, message)


def _space(stored: StoredBlobs, rows: Rows) -> Space:
    return Space(int(rows.sum()), int(stored.sizes[rows].sum()))
