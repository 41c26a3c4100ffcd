"""Collecting garbage, beside any number of writers, readers and other collectors.

Steps G0 to G8 of specs/protocol/collection.md, in this order. Killed at any point it is finished by
the next one, whoever runs it.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from cas.environment import monotonic_seconds
from cas.errors import CasError
from cas.objects.collection_log import list_log
from cas.objects.collections import DecidedRun, give_verdict, open_run
from cas.objects.id_sets import Ids, no_ids, unite, within
from cas.objects.listed_sessions import list_intents
from cas.objects.parts import StoreParts
from cas.objects.stored_blobs import StoredBlobs
from cas.operations.brakes import Brake, BrakeKind, refuse
from cas.operations.collection_outcomes import (
    CollectionOutcome,
    CollectionPlan,
    CollectOptions,
    Space,
)
from cas.operations.end_runs import (
    condemn_times,
    end_open_runs,
    finish,
    is_on_record,
    open_runs,
    unfinished_runs,
)
from cas.operations.expire_log import expire_log
from cas.operations.guarantees import require_collection, require_create_if_absent
from cas.operations.plan_collection import Planning, lacks, require_every_page
from cas.operations.retention import expire
from cas.operations.settle_sessions import Grace, Settlement, settle_dead_sessions
from cas.operations.survey import Survey

# As in Store: only a repack need load it.
if TYPE_CHECKING:
    from cas.operations.repack_outcomes import RepackOutcome

# An open run keeps writers from sharing what it condemned, so it is not waited for as long as for
# a writer. Ended too early, it costs its owner another run.
RUN_GRACE_SECONDS = 3600


def collect_garbage(parts: StoreParts, options: CollectOptions) -> CollectionOutcome:
    """Delete the blobs that nothing needs, and settle writers that are gone.

    Raises:
        RefusedError: a brake holds; nothing was deleted by this call.
        InvalidInputError: there is to be a repack, and pages that cannot be read shall be passed over.
        CorruptionError: there is to be a repack, and a page or root got lost or damaged meanwhile.
        UnsupportedError: the storage does not keep two writers apart, or a later cas wrote
            something that must be understood.
        CorruptionError: a record of the log is damaged.
        BackendError: the storage failed; the next collection goes on from there.
    """
    require_collection(parts, exclusive=options.exclusive)
    if options.repack is not None:
        # Before the policy moves anything.
        require_create_if_absent(parts, "repacking")
        require_every_page(options)
    with Survey(parts, options) as survey:
        return _Collection(survey).run()


class _Collection:
    """One collection: what it did so far."""

    def __init__(self, survey: Survey) -> None:
        self._survey = survey
        self._backend = survey.backend
        self._options = survey.options
        self._blobs = 0
        self._bytes = 0
        self._cleared = 0
        self._runs: list[int] = []
        self._settlements: list[Settlement] = []

    def run(self) -> CollectionOutcome:
        started = monotonic_seconds()
        ended = self._end_open_runs()
        planning = Planning(self._survey)
        plan = planning.plan()
        refuse(plan.brakes, self._options.overrides)
        # Only now, since a purge is for good: with a brake on, nothing is let go.
        self._survey.step("expire")
        moved = expire(self._survey.parts, planning.due)
        # Only now, since what lives in a blob is known when the policy has done its work.
        repacked = self._repack()
        if repacked is not None and not repacked.plan.is_empty:
            # What was found to be needed counts to the end of a run: old places would stay.
            due = planning.due
            del planning, plan  # a plan of a large store takes much memory
            self._survey.look_anew()
            planning = Planning(self._survey, due)
            plan = planning.plan(repacked=repacked.plan.superseded)
            refuse(plan.brakes, self._options.overrides, before="a repack was done")
        floor = self._carry_out(planning, plan)
        settlements = self._settlements
        return CollectionOutcome(
            plan=plan,
            moved=moved,
            repacked=repacked,
            deleted=Space(self._blobs, self._bytes),
            cleared=self._cleared,
            runs=tuple(self._runs),
            ended_runs=ended,
            settled=tuple(dict.fromkeys(one for each in settlements for one in each.settled)),
            voided=tuple(slot for each in settlements for slot in each.voided),
            floor=floor,
            seconds=monotonic_seconds() - started,
        )

    def _repack(self) -> RepackOutcome | None:
        options = self._options
        if options.repack is None:
            return None
        from cas.operations.repack import repack

        watched = replace(options.repack, progress=options.progress, cancel=options.cancel)
        return repack(self._survey.parts, watched)

    def _carry_out(self, planning: Planning, plan: CollectionPlan) -> int:
        """Collect what is planned, and return the floor."""
        for candidates in self._batches(planning, plan):
            self._collect(candidates, planning.stored)
        self._survey.step("index")
        floor = expire_log(self._survey)
        self._survey.closures.forget_others()
        return floor

    # -- G0

    def _end_open_runs(self) -> tuple[int, ...]:
        self._survey.step("recover")
        log = list_log(self._backend)
        waiting = open_runs(log)
        if waiting:
            times = condemn_times(self._backend)
            patience = min(self._options.grace_seconds, RUN_GRACE_SECONDS)
            grace = Grace(self._survey.parts, patience)
            waiting = [run for run in waiting if grace.is_over(times.get(run))]
        if not waiting and not unfinished_runs(log):
            return ()
        survey = self._survey
        ended, freed = end_open_runs(self._backend, survey.workers, waiting, survey.tell_deleted)
        self._note(freed)
        return ended

    # -- G2 to G8

    def _batches(self, planning: Planning, plan: CollectionPlan) -> list[Ids]:
        """Cut the candidates into runs. A run without any still settles sessions."""
        size = self._options.run_ids
        batches = [
            plan.candidates[start : start + size] for start in range(0, len(plan.candidates), size)
        ]
        return batches or ([no_ids()] if planning.dead else [])

    def _collect(self, candidates: Ids, stored: StoredBlobs) -> None:
        survey = self._survey
        survey.step("condemn")
        run = open_run(self._backend, list_log(self._backend).newest + 1, candidates)
        self._runs.append(run)
        try:
            settlement = settle_dead_sessions(
                survey.parts,
                survey.grace,
                ignore_unreadable=BrakeKind.UNREADABLE_PAGE in self._options.overrides,
            )
            self._settlements.append(settlement)
            cleared = self._cleared_by(settlement, candidates, stored)
        except BaseException:
            # Nobody needs to wait for this run. If this fails too, the next collection does it.
            with suppress(CasError):
                give_verdict(self._backend, run, None)
            raise
        verdict = give_verdict(self._backend, run, cleared)
        if not is_on_record(list_log(self._backend), run):
            return
        decided = DecidedRun(run, candidates, verdict.cleared, verdict.all)
        self._cleared += len(candidates) - len(decided.dead)
        survey.step("delete")
        self._note(finish(self._backend, survey.workers, decided, stored, survey.tell_deleted))
        survey.workers.run(self._backend.delete, settlement.keys)

    def _cleared_by(self, settlement: Settlement, candidates: Ids, stored: StoredBlobs) -> Ids:
        """Look again at what is needed: intents, and only then versions (G4)."""
        survey, live = self._survey, self._survey.live
        seen = len(live.brakes)
        sessions = list_intents(self._backend)
        live.add_intents(
            {one: intents for one, intents in sessions.items() if one not in settlement.settled}
        )
        fresh = [one for one in live.add_versions() if not one.is_purged]
        brakes = [*settlement.brakes, *live.brakes[seen:]]
        brakes += [
            Brake(BrakeKind.YOUNG_LOSS, f"{one.ref}, published meanwhile, {lacks(gone)}")
            for one, gone in survey.missing(fresh, survey.needs_of(fresh), stored)
        ]
        refuse(brakes, self._options.overrides)
        both = (within(candidates, live.needed.ids()), within(candidates, live.announced.ids()))
        return unite(*both)

    def _note(self, freed: Space) -> None:
        self._blobs += freed.blobs
        self._bytes += freed.bytes
