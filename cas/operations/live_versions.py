"""The versions that a store must be able to read, and what is wrong with the records that say so.

Trash is live: it can be restored. What was purged is not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from cas.backend.base import Backend
from cas.errors import CasError, CorruptionError, NotFoundError, UnsupportedError
from cas.format import keys
from cas.format.version import (
    MoveKind,
    RevisionRecord,
    VersionRecord,
    VoidRecord,
    decode_alias,
    decode_expiry,
    decode_move,
    decode_revision,
    decode_slot,
)
from cas.model.entry import PageLocation
from cas.model.names import AliasName, ArtifactName, Ref
from cas.objects.parts import StoreParts
from cas.objects.versions import list_artifacts, list_slots, unknown_artifact
from cas.operations.resolve import resolve_record
from cas.operations.side_by_side import READERS, map_side_by_side
from cas.operations.verify_outcomes import Problem

# Versions whose records are in memory at once.
_AT_ONCE = 256


@dataclass(frozen=True, slots=True)
class LiveVersion:
    """A version that is not purged, and where its root lies by its newest revision.

    Attributes:
        last_revision: the highest revision there is, void, damaged or not; 0 for none.
        needs_revision: that revision is damaged, so readers do not get past it.
    """

    record: VersionRecord
    root: PageLocation
    last_revision: int = 0
    needs_revision: bool = False

    @property
    def ref(self) -> str:
        """The version as a reference."""
        return self.record.ref


class LiveVersions:
    """Reads the records of versions. What cannot be read is noted, and the rest goes on.

    Attributes:
        versions: those found, by artifact and number.
        problems: records that are damaged.
        unread: what this cas cannot read.
    """

    def __init__(self, parts: StoreParts, fetchers: Executor | None = None) -> None:
        """Look at nothing yet.

        Args:
            parts: those of the store.
            fetchers: read records for several at once.
        """
        self._backend: Backend = parts.backend
        self._parts = parts
        self._fetchers = fetchers
        self._ahead: dict[str, bytes | NotFoundError] = {}
        self.versions: list[LiveVersion] = []
        self.problems: list[Problem] = []
        self.unread: list[str] = []

    def read(self, ref: Ref | None) -> None:
        """Read the records of one version, of an artifact (a bare name), or of all.

        Raises:
            NotFoundError: there is no such artifact or version.
            BackendError: the storage failed.
        """
        if ref is None:
            self._read_all()
            return
        if ref.number is None and ref.alias is None and ref.digest_prefix is None:
            if not list_slots(self._backend, ref.artifact).slots:
                raise unknown_artifact(self._backend, ref.artifact)
            self._read_artifact(ref.artifact, None)
            return
        number = ref.number
        if number is None:
            number = resolve_record(self._parts, ref).record.number
        if number not in list_slots(self._backend, ref.artifact).slots:
            resolve_record(self._parts, ref)  # says what is wrong with it
        self._read_artifact(ref.artifact, number)

    def _read_all(self) -> None:
        def read(artifact: ArtifactName) -> LiveVersions:
            one = LiveVersions(self._parts, fetchers)
            one._read_artifact(artifact, None)
            return one

        # One pool for the records of all artifacts, lest each of 16 had 16 threads.
        with ThreadPoolExecutor(READERS, thread_name_prefix="cas-records") as fetchers:
            for found in map_side_by_side(self._parts, read, list_artifacts(self._backend)):
                self.versions += found.versions
                self.problems += found.problems
                self.unread += found.unread

    def _read_artifact(self, artifact: ArtifactName, wanted: int | None) -> None:
        numbers: set[int] = set()
        voids: set[int] = set()
        counts: dict[str, dict[int, list[int]]] = {"revision": {}, "move": {}, "expiry": {}}
        listed = sorted(o.key for o in self._backend.list_objects(keys.versions_prefix(artifact)))
        by_number: dict[int, list[str]] = {}
        for key in listed:
            parsed = keys.parse_version_key(key)
            if parsed is None or wanted not in (None, parsed.number):
                continue
            by_number.setdefault(parsed.number, []).append(key)
            if parsed.kind == "slot":
                numbers.add(parsed.number)
            else:
                counts[parsed.kind].setdefault(parsed.number, []).append(parsed.k)
        moves, revisions, expiries = counts["move"], counts["revision"], counts["expiry"]
        for number in self._each_read_ahead(sorted(numbers), by_number):
            # What was purged is of no interest any more, whatever its record says.
            is_purged = self._is_purged(artifact, number, moves.get(number, []))
            record = self._read_slot(artifact, number, is_purged=is_purged)
            if isinstance(record, VoidRecord):
                voids.add(number)
            elif record is not None and not is_purged:
                self._check_expiries(record, expiries.get(number, []))
                self._add(record, revisions.get(number, []))
        for number in sorted({*moves, *revisions, *expiries} | numbers):
            for of, key_of in (
                (moves, keys.move_key),
                (revisions, keys.revision_key),
                (expiries, keys.expiry_key),
            ):
                self._note_gaps(
                    of.get(number, []),
                    partial(key_of, artifact, number),
                    first=1,
                    ref=f"{artifact}:v{number}",
                )
        if wanted is None:
            named = [*numbers, *moves, *revisions]
            self._note_gaps(named, partial(keys.version_key, artifact), have=numbers)
            self._check_aliases(artifact, numbers - voids)

    def _each_read_ahead(
        self, numbers: Sequence[int], keys_of: Mapping[int, Sequence[str]]
    ) -> Iterator[int]:
        """Yield numbers whose records are there to be looked at one after the other."""
        for start in range(0, len(numbers), _AT_ONCE):
            some = numbers[start : start + _AT_ONCE]
            self._read_ahead([key for number in some for key in keys_of[number]])
            yield from some

    def _read_ahead(self, wanted: Sequence[str]) -> None:
        if self._fetchers is None or self._parts.backend.capabilities.local:
            contents = map_side_by_side(self._parts, self._fetch, wanted)
        else:
            contents = list(self._fetchers.map(self._fetch, wanted))
        self._ahead = dict(zip(wanted, contents, strict=True))

    def _fetch(self, key: str) -> bytes | NotFoundError:
        try:
            return self._backend.get(key)
        except NotFoundError as error:
            return error

    def _read_slot(
        self, artifact: ArtifactName, number: int, *, is_purged: bool
    ) -> VersionRecord | VoidRecord | None:
        key = keys.version_key(artifact, number)
        content = self._get(key)
        if content is None:
            return None
        try:
            return decode_slot(content, what=key, artifact=artifact, number=number)
        except (CorruptionError, UnsupportedError) as error:
            self._note(error, key, "record", f"{artifact}:v{number}", is_settled=is_purged)
            return None

    def _check_expiries(self, record: VersionRecord, expiries: list[int]) -> None:
        """Only the last one says when a version may go; it stays if that is damaged."""
        for k in sorted(expiries):
            key = keys.expiry_key(record.artifact, record.number, k)
            content = self._get(key)
            try:
                if content is not None:
                    decode_expiry(content, what=key)
            except (CorruptionError, UnsupportedError) as error:
                self._note(error, key, "record", "", is_settled=k != max(expiries))

    def _is_purged(self, artifact: ArtifactName, number: int, moves: list[int]) -> bool:
        last: MoveKind | None = None
        for k in sorted(moves):
            is_last = k == max(moves)
            key = keys.move_key(artifact, number, k)
            content = self._get(key)
            try:
                if content is not None:
                    last = decode_move(content, what=key).kind
            except (CorruptionError, UnsupportedError) as error:
                self._note(error, key, "record", f"{artifact}:v{number}", is_settled=not is_last)
        return last is MoveKind.PURGE

    def _add(self, record: VersionRecord, revisions: list[int]) -> None:
        root, needs_revision = record.root, False
        last_error: tuple[CasError, str] | None = None
        for k in sorted(revisions):
            key = keys.revision_key(record.artifact, record.number, k)
            content = self._get(key)
            try:
                revision = None if content is None else decode_revision(content, what=key)
                if isinstance(revision, RevisionRecord):
                    if revision.digest != record.digest:
                        raise CorruptionError(f"{key}: it is a revision of other data")
                    root, needs_revision = revision.root, False
            except (CorruptionError, UnsupportedError) as error:
                needs_revision = True
                last_error = (error, key)
        if needs_revision and last_error is not None:
            # One below a revision that can be read is nobody's business any more.
            self._note(*last_error, "record", record.ref)
        last = max(revisions, default=0)
        self.versions.append(LiveVersion(record, root, last, needs_revision))

    def _check_aliases(self, artifact: ArtifactName, numbers: set[int]) -> None:
        generations: dict[str, list[int]] = {}
        damaged: list[tuple[CasError, str, str, int]] = []
        found_keys = [o.key for o in self._backend.list_objects(keys.aliases_prefix(artifact))]
        self._read_ahead([key for key in found_keys if keys.parse_alias_key(key) is not None])
        for key in found_keys:
            parsed = keys.parse_alias_key(key)
            content = None if parsed is None else self._get(key)
            if parsed is None or content is None:
                continue
            generations.setdefault(parsed[0], []).append(parsed[1])
            try:
                number = decode_alias(content, what=key).number
            except (CorruptionError, UnsupportedError) as error:
                damaged.append((error, key, *parsed))
                continue
            if number is not None and number not in numbers:
                text = f"{key}: points to v{number}, which there is not"
                self.problems.append(Problem(kind="alias", key=key, text=text))
        for why, key, alias, generation in damaged:
            is_last = generation == max(generations[alias])
            self._note(why, key, "alias", f"{artifact}:{alias}", is_settled=not is_last)
        for alias, found in sorted(generations.items()):
            self._note_gaps(found, partial(keys.alias_key, artifact, AliasName(alias)))

    def _note_gaps(
        self,
        named: list[int],
        key_of: Callable[[int], str],
        *,
        first: int = 0,
        have: set[int] | None = None,
        ref: str = "",
    ) -> None:
        """Note numbers that are not there though higher ones are, as nobody skips one."""
        for number in range(first, max(named, default=-1) + 1):
            if number not in (named if have is None else have):
                key = key_of(number)
                text = f"{key} is missing, though a later one is there"
                versions = (ref,) if ref else ()
                self.problems.append(Problem(kind="record", key=key, text=text, versions=versions))

    def _get(self, key: str) -> bytes | None:
        """Read a record that was listed; None if it is gone, which only litter may be."""
        content = self._ahead.pop(key, None) or self._fetch(key)
        if isinstance(content, NotFoundError):
            self._note(content, key, "record", "")
            return None
        return content

    def _note(
        self, error: CasError, key: str, kind: str, ref: str, *, is_settled: bool = False
    ) -> None:
        if isinstance(error, UnsupportedError):
            self.unread.append(str(error))
            return
        self.problems.append(
            Problem(
                kind=kind,
                key=key,
                text=f"{error}; a later one counts" if is_settled else str(error),
                versions=(ref,) if ref and not is_settled else (),
                is_harmless=is_settled or not ref,
                is_settled=is_settled,
            )
        )
