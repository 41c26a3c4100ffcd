"""Where a draft begins: its artifact and base, on an open store; and how other processes come to it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, cast

from cas.errors import ErrorCode, InvalidInputError, NotFoundError
from cas.format.version import VersionRecord
from cas.model.entry import PageLocation
from cas.model.names import LATEST, ArtifactName, Ref
from cas.objects.parts import StoreParts
from cas.operations.outcomes import PutOptions
from cas.operations.pinned import PinnedVersion, pin_version
from cas.operations.resolve import resolve_record
from cas.operations.version_pages import VersionPages
from cas.version import Version


class OpenedStore(Protocol):
    """What a draft needs of its store, which pickles besides."""

    @property
    def parts(self) -> StoreParts:
        """The opened pieces."""
        ...

    def version(self, ref: str) -> Version:
        """Return a version."""
        ...


@dataclass(frozen=True, slots=True)
class DraftPlace:
    """Where a draft begins and what it becomes: see `Store.draft`."""

    artifact: ArtifactName
    base: PinnedVersion | None
    options: PutOptions

    @classmethod
    def find(
        cls, parts: StoreParts, name: str, base: str | None, options: PutOptions
    ) -> DraftPlace:
        """Resolve the base and `if_parent`, once.

        Raises:
            NotFoundError: there is no such version.
            InvalidInputError: a name, a reference or an option is not allowed.
        """
        artifact = ArtifactName(name)
        if options.path is not None:
            raise InvalidInputError(
                "path is for streams; a draft has files of its own paths",
                code=ErrorCode.INVALID_OPTION,
            )
        pinned = _pin_base(parts, artifact, base)
        if options.if_parent is not None:
            parent = resolve_record(parts, Ref.parse(options.if_parent)).record
            options = replace(options, if_parent=parent.ref)
        if pinned is not None and pinned.record.artifact != artifact:
            record = pinned.record
            ref = record.ref
            inputs = options.inputs if ref in options.inputs else (*options.inputs, ref)
            options = replace(options, inputs=inputs, type=options.type or record.type)
        return cls(artifact, pinned, options)


def _pin_base(parts: StoreParts, artifact: ArtifactName, base: str | None) -> PinnedVersion | None:
    if base is None:
        return None
    if base == LATEST:
        try:
            return pin_version(parts, Ref(artifact))
        except NotFoundError:
            return None
    ref = Ref.parse(base)
    if ref.path:
        raise InvalidInputError(
            f"{base!r} names a path; a draft is based on a whole version",
            code=ErrorCode.INVALID_REF,
            hint="remove the rest in the draft",
        )
    return pin_version(parts, ref)


@dataclass(frozen=True, slots=True)
class Guest:
    """The draft of another process of this machine: its folder, and the process."""

    folder: Path
    made_in: int


def pin_known(
    parts: StoreParts, record: VersionRecord, location: PageLocation, is_vouched: bool
) -> PinnedVersion:
    """Return a version as it is read from a store, of what is known of it."""
    pages = VersionPages(parts, record, location, is_vouched=is_vouched)
    return PinnedVersion(record, location, pages, is_vouched)


def reopened(store: OpenedStore) -> OpenedStore:
    """Return the store opened anew, as another process would from its pickle."""
    open_again, given = cast("tuple[Any, tuple[Any, ...]]", store.__reduce__())
    again: OpenedStore = open_again(*given)
    return again
