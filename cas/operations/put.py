"""Put: a local tree or a stream becomes the next version of an artifact.

The order of the steps is the commit protocol's (specs/protocol/put.md): W0 stores what is new,
W1 tells every collector what the version needs, W2 checks that none of it is about to go, W3 takes
the slot. Whatever step it dies at, nothing that was published is lost.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from cas.environment import monotonic_seconds
from cas.errors import (
    ConflictError,
    CorruptionError,
    ErrorCode,
    InvalidInputError,
    RefusedError,
)
from cas.format.version import VersionRecord
from cas.model.durations import span_or_never
from cas.model.names import AliasName, ArtifactName, Ref
from cas.objects.base_version import Surroundings, is_purged, read_surroundings
from cas.objects.parts import StoreParts
from cas.objects.sessions import WriterSession
from cas.operations.commit import Commit, NotCommitted, until_committed
from cas.operations.describe import describe_version
from cas.operations.draft_edits import DraftSource
from cas.operations.guarantees import require_able_client
from cas.operations.move_alias import AliasMove, move_aliases, refuse_protected
from cas.operations.outcomes import PutOptions, PutOutcome
from cas.operations.resolve import resolve_record
from cas.operations.store_source import AnySource, look_around, store_source
from cas.operations.stored_tree import StoredTree


def put(
    parts: StoreParts, source: AnySource, artifact: ArtifactName, options: PutOptions
) -> PutOutcome:
    """Store the source as the next version, unless it is what the newest version holds.

    When this returns the version is durable and can no longer be lost.

    Raises:
        NotFoundError: a source, or a version that an option names, does not exist.
        InvalidInputError: an option or a name is not allowed, or there is nothing to put.
        IncompleteError: some files could not be read; nothing was published.
        ConflictError: `if_parent` is not the newest version.
        RefusedError: an alias is protected and points to another version; nothing was put.
        BackendError: the storage failed; a later put resumes where this one stopped.
        CorruptionError: `if_parent` is given and the record of the newest version is damaged.
        UnsupportedError: the driver is too old to keep this writer and others apart.
    """
    require_able_client(parts)
    started = monotonic_seconds()
    aliases = tuple(AliasName(alias) for alias in options.aliases)
    session = WriterSession(parts.backend)
    one = _Put(parts, source, artifact, options, session)
    try:
        outcome = until_committed(artifact, one.attempt)
        moved = _point_aliases(parts, artifact, outcome, aliases)
    finally:
        session.close()
    return replace(
        outcome,
        aliases=tuple(str(move.alias) for move in moved),
        warnings=outcome.warnings + _ignored_options(outcome, options),
        seconds=monotonic_seconds() - started,
    )


@dataclass(frozen=True, slots=True)
class _Put:
    """One put, which may have to begin again."""

    parts: StoreParts
    source: AnySource
    artifact: ArtifactName
    options: PutOptions
    session: WriterSession

    def attempt(self, bad_blobs: frozenset[bytes]) -> PutOutcome:
        """Try it once, beginning with a look at the store; see `until_committed`."""
        found = look_around(self.parts, self.source, self.artifact)
        try:
            return self._publish_on(found.avoiding(bad_blobs))
        except CorruptionError as error:
            if found.newest is None or not is_purged(self.parts.backend, found.newest):
                raise
            # What is missing is what a collection took after the purge: there is nothing to repair.
            raise NotCommitted from error

    def _publish_on(self, found: Surroundings) -> PutOutcome:
        parts, options, newest = self.parts, self.options, found.newest
        _check_parent(parts, found, options)
        aliases = tuple(AliasName(alias) for alias in options.aliases)
        to = newest.number if newest else None
        refuse_protected(parts, self.artifact, aliases, to=to)
        with store_source(parts, self.source, options, self.session, found) as stored:
            if newest and not options.force and stored.stated_for(newest, found.newest_root):
                stored.finish_sending()  # the journal speaks of it
                healed = self._heal(found, stored)
                # A version that can neither be read nor healed is put again under a new number.
                if healed or self._may_stay(found):
                    # Nothing was checked but what a revision leads to: of other pages no more is known.
                    known = found.base.page_locations if found.base else {}
                    stored.save_journal(found.stamp, known)
                    return replace(_outcome(stored, newest, created=False), healed=healed)
            _refuse_nothing(stored, options)
            record = self._commit(found, stored)
            self.session.begin_close()  # beside what is left to do
            stored.save_journal(record.stamp)
            stored.merge_index()
            return _outcome(stored, record, created=True)

    def _heal(self, found: Surroundings, stored: StoredTree) -> bool:
        """Make the newest version, which holds just this, whole again if it is damaged."""
        if not found.damage.blobs and found.unreadable is None:
            return False
        if not self._begins_with_newest(found):
            return False  # the pages of another version stand for none of this one
        from cas.operations.heal_version import heal_version  # only damage needs it

        return heal_version(self.parts, self.session, found, stored)

    def _may_stay(self, found: Surroundings) -> bool:
        """Tell whether the newest version, which holds just this, is left as it is."""
        if not isinstance(self.source, DraftSource):
            return found.base is not None
        if found.unreadable is not None:
            return False
        if not found.damage.blobs:
            return True
        from cas.operations.heal_version import is_touched  # only damage needs it

        own = found
        if not self._begins_with_newest(found):
            own = read_surroundings(self.parts.backend, self.parts.pages, self.artifact)
        return not is_touched(self.parts, own.avoiding(found.bad_blobs))

    def _begins_with_newest(self, found: Surroundings) -> bool:
        """Tell whether `found.base` is the newest version, or none because that cannot be read."""
        base = self.source.base if isinstance(self.source, DraftSource) else None
        return base is None or base == found.newest

    def _commit(self, found: Surroundings, stored: StoredTree) -> VersionRecord:
        description = describe_version(self.parts, found.newest, self.options)
        commit = Commit(self.parts, self.artifact, self.session, found, stored)
        return commit.run(description, must_follow=self.options.if_parent is not None)


def _point_aliases(
    parts: StoreParts,
    artifact: ArtifactName,
    outcome: PutOutcome,
    aliases: tuple[AliasName, ...],
) -> list[AliasMove]:
    version = artifact, outcome.number, outcome.digest
    try:
        return move_aliases(parts, version, aliases)
    except RefusedError as error:
        # It pointed to the newest version, or was protected since this put began.
        raise RefusedError(
            f"{outcome.ref} is published, but {error}", code=error.code, hint=error.hint
        ) from error


def _check_parent(parts: StoreParts, found: Surroundings, options: PutOptions) -> None:
    if options.if_parent is None:
        return
    if found.unknown is not None:
        raise found.unknown
    ref = Ref.parse(options.if_parent)
    expected = resolve_record(parts, ref).record
    newest = found.newest
    if newest is None or (newest.artifact, newest.number) != (
        expected.artifact,
        expected.number,
    ):
        named = f"{found.listing.artifact}:v{newest.number}" if newest else "none"
        raise ConflictError(
            f"the newest version is {named}, not {options.if_parent}",
            code=ErrorCode.PARENT_MOVED,
            hint="look at what was published meanwhile, then put again",
        )


def _refuse_nothing(stored: StoredTree, options: PutOptions) -> None:
    if stored.totals.entries == 0 and not options.force:
        raise InvalidInputError(
            "there is nothing to put: the source has no files, or all are excluded",
            code=ErrorCode.INVALID_OPTION,
            hint="--force makes an empty version all the same",
        )


def _ignored_options(outcome: PutOutcome, options: PutOptions) -> tuple[str, ...]:
    """Say what a put without a new version could not record."""
    if outcome.created:
        return ()
    given = {
        "description": options.description,
        "message": options.message,
        "metadata": options.metadata,
    }
    ignored = [name for name, value in given.items() if value]
    if span_or_never(options.ttl) is not None:
        ignored.append("ttl")
    if not ignored:
        return ()
    return (f"nothing changed, so {', '.join(ignored)} was not recorded (use --force)",)


def _outcome(stored: StoredTree, record: VersionRecord, *, created: bool) -> PutOutcome:
    counts = stored.counts
    return PutOutcome(
        artifact=str(record.artifact),
        number=record.number,
        digest=record.digest,
        created=created,
        totals=stored.totals,
        read_bytes=counts.read_bytes,
        new_bytes=counts.new_bytes,
        stored_bytes=stored.stored_bytes,
        sent_bytes=stored.sent_bytes,
        resumed_bytes=counts.resumed_bytes,
        refused_bytes=stored.refused_bytes,
        read_files=counts.read_files,
        reused_files=stored.totals.files - counts.read_files,
        skipped=tuple(stored.skipped),
        warnings=(),
        aliases=(),
        seconds=0.0,
    )
