"""Rules of the protocol, taken out of the real code one at a time."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from cas.errors import AlreadyExistsError, BackendError
from cas.format import keys
from cas.format.collection import VerdictRecord, encode_verdict
from cas.format.version import VoidRecord, encode_slot
from cas.model.ids import SessionId
from cas.objects.collection_log import LogAnswer, LogCheck
from cas.objects.id_sets import no_ids, unite, within
from cas.objects.listed_sessions import list_intents
from cas.operations import collect_garbage, commit, settle_sessions
from cas.operations.commit import Commit

Patch = pytest.MonkeyPatch


def no_log_check(patch: Patch) -> None:
    """W2: publish without a look at the log."""
    patch.setattr(commit, "check_log", lambda _backend, stamp, _ids: LogCheck(LogAnswer.OK, stamp))


def check_before_intent(patch: Patch) -> None:
    """W1 before W2: look at the log, then tell collectors."""

    def reversed_order(self, intent, manifest):
        stamp = self._check(manifest)
        self._session.put_intent(intent)
        return stamp

    patch.setattr(Commit, "_announce_and_check", reversed_order)


def intents_dropped_early(patch: Patch) -> None:
    """W5 after W3: delete the intents before the slot is taken."""
    take_slot = Commit._take_slot

    def drop_first(self, *args, **kwargs):
        for intent in list_intents(self._backend).get(self._session.id, ()):
            self._backend.delete(intent.key)
        return take_slot(self, *args, **kwargs)

    patch.setattr(Commit, "_take_slot", drop_first)


def no_read_back(patch: Patch) -> None:
    """W3: take anything but success for another's record."""
    other = VoidRecord(SessionId(b"?" * 16))

    def believing(backend, record, artifact, number):
        try:
            backend.create(keys.version_key(artifact, number), encode_slot(record))
        except (AlreadyExistsError, BackendError):
            return other
        return record

    patch.setattr(commit, "publish", believing)


def no_void_when_giving_up(patch: Patch) -> None:
    """Giving up: delete the intents while the slot may still be taken."""
    patch.setattr(Commit, "_give_up", lambda self, _number: self._session.release())


def slots_not_taken(patch: Patch) -> None:
    """G3: ignore sessions that seem dead without taking their slots."""
    patch.setattr(settle_sessions, "_settle", lambda _parts, _session, _target: iter(()))


def settled_before_condemned(patch: Patch) -> None:
    """G3 after G2: settle sessions, and only then tell what is condemned."""
    settle, go_on = collect_garbage.settle_dead_sessions, collect_garbage._Collection._collect

    def reversed_order(self, candidates, stored):
        settlement = settle(self._survey.parts, self._survey.grace)
        patch.setattr(collect_garbage, "settle_dead_sessions", lambda _parts, _grace: settlement)
        go_on(self, candidates, stored)

    patch.setattr(collect_garbage._Collection, "_collect", reversed_order)


def nobody_settled(patch: Patch) -> None:
    """G3: never take a session for dead."""
    nobody = settle_sessions.Settlement({})
    patch.setattr(collect_garbage, "settle_dead_sessions", lambda _parts, _grace: nobody)


def versions_before_intents(patch: Patch) -> None:
    """G4: list versions first, intents second."""

    def reversed_order(self, settlement, candidates, _stored):
        live = self._survey.live
        live.add_versions()
        sessions = list_intents(self._backend)
        live.add_intents(
            {one: found for one, found in sessions.items() if one not in settlement.settled}
        )
        both = (within(candidates, live.needed.ids()), within(candidates, live.announced.ids()))
        return unite(*both)

    patch.setattr(collect_garbage._Collection, "_cleared_by", reversed_order)


def verdict_replaced(patch: Patch) -> None:
    """G5: put the verdict over one that stands."""

    def overwriting(backend, run, cleared):
        record = VerdictRecord(run, no_ids() if cleared is None else cleared, all=cleared is None)
        backend.put(keys.verdict_key(run), [encode_verdict(record)])
        return record

    patch.setattr(collect_garbage, "give_verdict", overwriting)


def expired_run_goes_on(patch: Patch) -> None:
    """G6: delete though the records of the run have expired."""
    patch.setattr(collect_garbage, "is_on_record", lambda _log, _run: True)


Rule = Callable[[Patch], None]
