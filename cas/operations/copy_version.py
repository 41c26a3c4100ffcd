"""Copy: versions of one store become versions of another, which is sent only what it lacks.

The target's side is a put: the same steps in the same order (specs/protocol/put.md), with another
store in place of local files. The source is only read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from cas.environment import monotonic_seconds
from cas.format.version import VersionRecord
from cas.model.names import AliasName, Ref
from cas.objects.aliases import read_aliases
from cas.objects.base_version import read_surroundings
from cas.objects.parts import StoreParts
from cas.objects.sessions import WriterSession
from cas.operations.choose_versions import ChosenVersion, choose_versions
from cas.operations.commit import Commit, until_committed
from cas.operations.copy_meter import CopyMeter
from cas.operations.copy_outcomes import AliasMode, CopiedVersion, CopyOptions, CopyOutcome
from cas.operations.describe import Description
from cas.operations.heal_copy import heal_copy, heal_from, is_damage_known
from cas.operations.move_alias import move_aliases
from cas.operations.pinned import PinnedVersion, pin_version
from cas.operations.store_copy import store_copy
from cas.operations.stored_tree import StoredTree


def copy_versions(
    source: StoreParts, target: StoreParts, refs: Sequence[str] | None, options: CopyOptions
) -> CopyOutcome:
    """Copy versions in the order of their numbers; None means every version of every artifact.

    Each version is published as soon as it is stored. When this returns all of them are durable.

    Raises:
        NotFoundError: there is no such version in the source.
        InvalidInputError: an option or a reference is not allowed, or the stores are the same.
        CorruptionError: the source is damaged where it is read; that version was not published.
        BackendError: one of the storages failed; the next copy resumes where this one stopped.
    """
    started = monotonic_seconds()
    chosen = choose_versions(source, target, refs, options)
    meter = CopyMeter(options.progress, [one.totals for one in chosen])
    copied: list[CopiedVersion] = []
    warnings: list[str] = []
    for one in chosen:
        done, notes = _copy_version(source, target, one, options, meter)
        done = _carry_aliases(target, one, done, options.aliases)
        copied.append(done)
        warnings += notes
        warnings += [
            f"{alias} points to another version of {done.artifact} there and stays so "
            f"(--aliases move moves it)"
            for alias in done.kept_aliases
        ]
        meter.finish(one.totals)
    return CopyOutcome(
        source=source.backend.url,
        target=target.backend.url,
        versions=tuple(copied),
        new_bytes=sum(one.new_bytes for one in copied),
        stored_bytes=sum(one.stored_bytes for one in copied),
        sent_bytes=sum(one.sent_bytes for one in copied),
        fetched_bytes=sum(one.fetched_bytes for one in copied),
        warnings=tuple(warnings),
        seconds=monotonic_seconds() - started,
    )


def _copy_version(
    source: StoreParts,
    target: StoreParts,
    chosen: ChosenVersion,
    options: CopyOptions,
    meter: CopyMeter,
) -> tuple[CopiedVersion, tuple[str, ...]]:
    """Copy one version unless the target has it; return what became of it, and warnings."""
    if chosen.existing is not None:
        return _healed_or_existing(source, target, chosen, options, meter), ()
    pinned = pin_version(source, Ref(chosen.artifact, number=chosen.number))
    session = WriterSession(target.backend)

    def attempt(bad_blobs: frozenset[bytes]) -> tuple[CopiedVersion, tuple[str, ...]]:
        found = read_surroundings(target.backend, target.pages, chosen.name)
        found = found.avoiding(bad_blobs)
        newest = found.newest if found.base is not None else None
        if newest and newest.digest == chosen.digest and not options.force:
            warnings = _lost_descriptions(pinned.record, newest)
            healed = None
            if found.damage.blobs:
                healed = heal_from((source, pinned), target, found, options, (session, meter))
            return _existing(chosen, newest.number, healed), warnings
        with store_copy((source, pinned), target, options, session, found, meter) as stored:
            commit = Commit(target, chosen.name, session, found, stored)
            record = commit.run(_description(pinned), must_follow=False)
            session.begin_close()  # beside what is left to do
            stored.save_journal(record.stamp)
            stored.merge_index()
            return _created(chosen, record, stored), ()

    try:
        return pinned.pages.following_moves(lambda: until_committed(chosen.name, attempt))
    finally:
        session.close()


def _description(pinned: PinnedVersion) -> Description:
    """What the version says of itself, carried over as it stands, with what later releases add."""
    record = pinned.record
    return Description(
        type=record.type,
        description=record.description,
        message=record.message,
        metadata=record.metadata,
        inputs=record.inputs,
        producer=record.producer,
        extra=record.extra,
    )


def _lost_descriptions(record: VersionRecord, there: VersionRecord) -> tuple[str, ...]:
    """Say what a version without a copy of its own could not carry over."""
    names = ("type", "description", "message", "metadata", "inputs")
    lost = [name for name in names if getattr(record, name) != getattr(there, name)]
    if not lost:
        return ()
    ref = there.ref
    return (f"{ref} holds the same with another {', '.join(lost)} (--force makes a new version)",)


def _healed_or_existing(
    source: StoreParts,
    target: StoreParts,
    chosen: ChosenVersion,
    options: CopyOptions,
    meter: CopyMeter,
) -> CopiedVersion:
    """Say of a version that it is there, and make it whole if something of it is known as damaged."""
    number = chosen.existing
    assert number is not None
    if not is_damage_known(target):
        return _existing(chosen, number)
    pinned = pin_version(source, Ref(chosen.artifact, number=chosen.number))
    heal = partial(heal_copy, (source, pinned), target, (chosen.name, number), options, meter)
    return _existing(chosen, number, pinned.pages.following_moves(heal))


def _existing(
    chosen: ChosenVersion, number: int, healed: StoredTree | None = None
) -> CopiedVersion:
    one = CopiedVersion(
        source=chosen.source_ref,
        artifact=str(chosen.name),
        number=number,
        digest=chosen.digest,
        created=False,
        totals=chosen.totals,
    )
    return one if healed is None else replace(_with_counts(one, healed), healed=True)


def _created(chosen: ChosenVersion, record: VersionRecord, stored: StoredTree) -> CopiedVersion:
    one = CopiedVersion(
        source=chosen.source_ref,
        artifact=str(record.artifact),
        number=record.number,
        digest=record.digest,
        created=True,
        totals=record.totals,
    )
    return _with_counts(one, stored)


def _with_counts(one: CopiedVersion, stored: StoredTree) -> CopiedVersion:
    counts = stored.counts
    return replace(
        one,
        new_bytes=counts.new_bytes,
        stored_bytes=stored.stored_bytes,
        sent_bytes=stored.sent_bytes,
        fetched_bytes=counts.read_bytes,
        resumed_bytes=counts.resumed_bytes,
        refused_bytes=stored.refused_bytes,
    )


def _carry_aliases(
    target: StoreParts, chosen: ChosenVersion, done: CopiedVersion, mode: AliasMode
) -> CopiedVersion:
    if mode is AliasMode.NONE or not chosen.aliases:
        return done
    states = read_aliases(target.backend, chosen.name)
    points = {alias: state.record.number for alias, state in states.items()}
    wanted = [alias for alias in chosen.aliases if points.get(alias) != done.number]
    kept = [
        alias
        for alias in wanted
        if points.get(alias) is not None
        and (mode is AliasMode.NEW or states[alias].record.protected)
    ]
    names = [AliasName(alias) for alias in wanted if alias not in kept]
    moves = move_aliases(target, (chosen.name, done.number, done.digest), names)
    return replace(
        done, aliases=tuple(move.alias for move in moves), kept_aliases=tuple(sorted(kept))
    )
