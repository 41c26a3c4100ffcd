"""Which versions a copy is about, what they will be called, and which of them are there already."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cas.errors import ErrorCode, InvalidInputError
from cas.format.version import VersionRecord
from cas.model.entry import Totals
from cas.model.ids import VersionDigest
from cas.model.names import ArtifactName, Ref
from cas.objects.parts import StoreParts
from cas.objects.versions import iter_visible, list_artifacts, list_slots, unknown_artifact
from cas.operations.copy_outcomes import CopyOptions
from cas.operations.resolve import resolve_record
from cas.operations.show_history import live_aliases, show_versions


@dataclass(frozen=True, slots=True, kw_only=True)
class ChosenVersion:
    """A version to copy.

    Attributes:
        artifact: its artifact in the source.
        name: its artifact in the target.
        aliases: what points to it in the source.
        existing: the number of the version of the target that it is already, or None.
    """

    artifact: ArtifactName
    number: int
    name: ArtifactName
    digest: VersionDigest
    totals: Totals
    aliases: tuple[str, ...]
    existing: int | None

    @property
    def source_ref(self) -> str:
        """The version as a reference in the source."""
        return f"{self.artifact}:v{self.number}"


def choose_versions(
    source: StoreParts, target: StoreParts, refs: Sequence[str] | None, options: CopyOptions
) -> list[ChosenVersion]:
    """Return the versions that references name, by artifact as named and number; None means all.

    Raises:
        NotFoundError: there is no such version.
        InvalidInputError: a reference or option makes no sense here, or both stores are the same.
    """
    wanted = _wanted(source, refs, options)
    if options.name is not None and len(wanted) > 1:
        raise InvalidInputError(
            f"{len(wanted)} artifacts cannot all be called {options.name!r}",
            code=ErrorCode.INVALID_OPTION,
            hint="copy one of them at a time",
        )
    chosen: list[ChosenVersion] = []
    for artifact, records in wanted.items():
        name = ArtifactName(options.name) if options.name is not None else artifact
        if name == artifact and source.config.store_id == target.config.store_id:
            raise InvalidInputError(
                f"{artifact} would be copied onto itself: both are the store "
                f"{source.config.store_id[:12]}",
                code=ErrorCode.INVALID_OPTION,
                hint="name another store, or another artifact with --as NAME",
            )
        chosen += _choose(source, target, artifact, name, records, force=options.force)
    return chosen


def align(
    source: Sequence[VersionDigest], target: Sequence[tuple[int, VersionDigest]]
) -> list[int | None]:
    """Return for each version of a history the number that it has in another history, or None.

    Versions are the same if their digests are and they follow each other in both: going back to
    old data is a version of its own. One with the same digest as the one before it, which a copy
    leaves out, is where that one is.
    """
    found: list[int | None] = []
    at = 0
    before: VersionDigest | None = None
    for digest in source:
        stop = len(target)
        if digest == before and found[-1] is not None:
            stop = min(at + 1, stop)
        here = next((row for row in range(at, stop) if target[row][1] == digest), None)
        if here is not None:
            found.append(target[here][0])
            at = here + 1
        else:
            found.append(found[-1] if digest == before else None)
        before = digest
    return found


def _wanted(
    source: StoreParts, refs: Sequence[str] | None, options: CopyOptions
) -> dict[ArtifactName, dict[int, VersionRecord] | None]:
    """The versions that are wanted of each artifact; None for all."""
    if refs is None:
        return dict.fromkeys(list_artifacts(source.backend))
    wanted: dict[ArtifactName, dict[int, VersionRecord] | None] = {}
    for text in refs:
        ref = Ref.parse(text)
        if ref.path:
            raise InvalidInputError(
                f"{text}: only whole versions are copied", code=ErrorCode.INVALID_REF
            )
        if options.all_versions:
            _refuse_version(text, ref)
            wanted[ref.artifact] = None
            continue
        record = resolve_record(source, ref).record
        records = wanted.setdefault(ref.artifact, {})
        assert records is not None
        records[record.number] = record
    return wanted


def _refuse_version(text: str, ref: Ref) -> None:
    if ref.number is not None or ref.alias is not None or ref.digest_prefix is not None:
        raise InvalidInputError(
            f"{text} is one version, and all versions were asked for",
            code=ErrorCode.INVALID_OPTION,
            hint=f"name the artifact alone: {ref.artifact}",
        )


def _choose(
    source: StoreParts,
    target: StoreParts,
    artifact: ArtifactName,
    name: ArtifactName,
    records: dict[int, VersionRecord] | None,
    *,
    force: bool,
) -> list[ChosenVersion]:
    wanted = _history(source, artifact) if records is None else _summaries(records)
    if records is None and not wanted and not list_slots(source.backend, artifact).slots:
        raise unknown_artifact(source.backend, artifact)
    existing: dict[int, int] = {}
    if not force:
        existing = _find_existing(source, target, wanted, name, is_history=records is None)
    aliases = live_aliases(source, artifact)
    return [
        ChosenVersion(
            artifact=artifact,
            number=one.number,
            name=name,
            digest=one.digest,
            totals=one.totals,
            aliases=tuple(alias for alias, number in aliases.items() if number == one.number),
            existing=existing.get(one.number),
        )
        for one in wanted
    ]


def _find_existing(
    source: StoreParts,
    target: StoreParts,
    wanted: list[_Known],
    name: ArtifactName,
    *,
    is_history: bool,
) -> dict[int, int]:
    """Return the numbers that wanted versions have in the target already, by their own numbers.

    Histories are read only as far as they are needed: a version is mostly new, or the newest. Of
    the newest nothing is said here: a copy looks at it anyway, and compares descriptions.
    """
    listing = list_slots(target.backend, name)
    newest = next(iter_visible(target.backend, listing, damaged=[]), None)
    if newest is None or not wanted:
        return {}
    if len(wanted) == 1 and newest.digest == wanted[0].digest:
        return {}
    there = _history(target, name)
    if not {one.digest for one in there} & {one.digest for one in wanted}:
        return {}
    history = wanted if is_history else _history(source, wanted[0].artifact)
    numbers = align([one.digest for one in history], [(one.number, one.digest) for one in there])
    number_of = dict(zip((one.number for one in history), numbers, strict=True))
    existing: dict[int, int] = {}
    for one in wanted:
        number = number_of.get(one.number)
        if number is None:
            break  # it will come after all that is there, and so must what follows it here
        existing[one.number] = number
    return existing


@dataclass(frozen=True, slots=True)
class _Known:
    artifact: ArtifactName
    number: int
    digest: VersionDigest
    totals: Totals


def _summaries(records: dict[int, VersionRecord]) -> list[_Known]:
    return [
        _Known(record.artifact, number, record.digest, record.totals)
        for number, record in sorted(records.items())
    ]


def _history(parts: StoreParts, artifact: ArtifactName) -> list[_Known]:
    """The versions of an artifact that are visible, the oldest first; none if it is not there."""
    if not list_slots(parts.backend, artifact).slots:
        return []
    shown = show_versions(parts, artifact, include_hidden=False)
    return [
        _Known(artifact, one.number, one.digest, one.totals)
        for one in reversed(shown)
        if one.digest is not None and one.totals is not None
    ]
