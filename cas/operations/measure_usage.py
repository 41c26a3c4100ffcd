"""How much space versions take, what they share, and what would become free without them.

Two measures of what a version alone needs: chunks, which is the truth about the data, and whole
blobs, which is what a collection frees. A chunk that only one version needs, in a blob that others
need, is freed by a repack.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, fields

import numpy as np

from cas.errors import NotFoundError
from cas.model.names import Ref
from cas.objects.parts import StoreParts
from cas.objects.versions import read_root_location
from cas.operations.census import CountedVersion, VersionState, take_census
from cas.operations.choose_measured import choose_measured, order_measured
from cas.operations.space import ListedBlobs, Needs, Owners, Space
from cas.operations.version_pages import VersionPages


@dataclass(frozen=True, slots=True, kw_only=True)
class Bytes:
    """Space of one or several versions together, in bytes.

    Attributes:
        logical_bytes: sizes of their files.
        unique_bytes: their distinct chunks, before compression.
        stored_bytes: what those take in the store, frames counted by their share.
        shared_bytes: of these, what other versions need as well.
        exclusive_bytes: stored bytes that no other version in the store needs.
        freed_bytes: whole blobs, of data and of pages, that no other version needs: what a
            collection frees when these versions are deleted for good.
        repack_bytes: exclusive bytes in blobs that others need: what a repack frees after that.
    """

    logical_bytes: int
    unique_bytes: int
    stored_bytes: int
    shared_bytes: int
    exclusive_bytes: int
    freed_bytes: int
    repack_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionUsage(Bytes):
    """Space of one version, which may lie in the trash."""

    artifact: str
    number: int
    state: VersionState


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtifactUsage(Bytes):
    """Space of all versions of an artifact together; `versions` is how many there are."""

    artifact: str
    versions: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage(Bytes):
    """Space of the versions asked for together, and of the whole store, in bytes.

    Attributes:
        versions: each version asked for.
        artifacts: each artifact that has one, with all of its versions.
        store_bytes: all blobs that lie in the store.
        blobs: how many there are.
        unneeded_bytes: blobs that no version needs: what running puts have sent so far, and what a
            collection frees.
    """

    versions: tuple[VersionUsage, ...]
    artifacts: tuple[ArtifactUsage, ...]
    store_bytes: int
    blobs: int
    unneeded_bytes: int


def measure_usage(parts: StoreParts, ref: Ref | None) -> Usage:
    """Measure a version, with a bare name an artifact, or the whole store.

    Versions in the trash, which can be asked for by their numbers, still take space and count for
    what is exclusive. Reads every record and every distinct page of the store, and the table of
    every blob; `measure_blobs` does not.

    Raises:
        NotFoundError: there is no such version.
        CorruptionError: a page or table of the store is missing or damaged.
    """
    census = take_census(parts)
    wanted = choose_measured(parts, census, ref)
    listed = ListedBlobs(parts)
    space = Space(parts, listed)
    measure = _Measure(space, listed)
    for one in order_measured(census, ref, wanted):
        root = read_root_location(parts.backend, census.listings[one.record.artifact], one.record)
        pages = VersionPages(parts, one.record, root)
        try:
            needs = pages.following_moves(
                lambda pages=pages: space.needs_of(pages, pages.location.blob_id.raw)  # type: ignore[misc]
            )
        except NotFoundError:
            continue  # it was deleted for good and collected since the records were read
        measure.add(one, needs, is_wanted=one.name in wanted)
    return measure.usage()


class _Measure:
    """Counts versions in, then tells what each of them, their artifacts and all asked for take."""

    def __init__(self, space: Space, listed: ListedBlobs) -> None:
        self._space = space
        self._listed = listed
        self._versions: list[tuple[CountedVersion, bool]] = []
        self._artifacts: dict[str, int] = {}
        self._asked_artifacts: set[str] = set()
        self._by_version = _Level()
        self._by_artifact = _Level()
        # Group 0 is all that was asked for, group 1 all else.
        self._by_wish = _Level()

    def add(self, one: CountedVersion, needs: Needs, *, is_wanted: bool) -> None:
        name = one.name[0]
        artifact = self._artifacts.setdefault(name, len(self._artifacts))
        groups = (len(self._versions), artifact, int(not is_wanted))
        levels = (self._by_version, self._by_artifact, self._by_wish)
        for level, group in zip(levels, groups, strict=True):
            level.add(group, one.record.totals.size, needs, self._space)
        self._versions.append((one, is_wanted))
        if is_wanted:
            self._asked_artifacts.add(name)

    def usage(self) -> Usage:
        versions = self._by_version.measure(self._space, self._listed)
        artifacts = self._by_artifact.measure(self._space, self._listed)
        asked = self._by_wish.measure(self._space, self._listed)
        counts = Counter(one.name[0] for one, _ in self._versions)
        sizes = self._listed.sizes
        unneeded = self._by_wish.blobs.users(len(sizes)) == 0
        return Usage(
            **(asked[0] if self._asked_artifacts else _NOTHING),
            versions=tuple(
                VersionUsage(artifact=one.name[0], number=one.name[1], state=one.state, **found)
                for (one, is_wanted), found in zip(self._versions, versions, strict=True)
                if is_wanted
            ),
            artifacts=tuple(
                ArtifactUsage(artifact=name, versions=counts[name], **artifacts[number])
                for name, number in self._artifacts.items()
                if name in self._asked_artifacts
            ),
            store_bytes=round(sizes.sum()),
            blobs=len(sizes),
            unneeded_bytes=round(sizes[unneeded].sum()),
        )


class _Level:
    """Versions in groups that do not overlap, and what each group takes."""

    def __init__(self) -> None:
        self._chunks = Owners()
        self.blobs = Owners()
        self._logical: list[int] = []
        self._unique: list[float] = []
        self._stored: list[float] = []

    def add(self, group: int, size: int, needs: Needs, space: Space) -> None:
        while len(self._logical) <= group:
            self._logical.append(0)
            self._unique.append(0)
            self._stored.append(0)
        fresh = self._chunks.add(group, needs.chunks)
        self.blobs.add(group, needs.blobs)
        self._logical[group] += size
        self._unique[group] += space.raw[fresh].sum()
        self._stored[group] += space.stored[fresh].sum()

    def measure(self, space: Space, listed: ListedBlobs) -> list[dict[str, int]]:
        groups = len(self._logical)
        blob_rows = space.blob_rows()
        # Row -1, of a blob that is missing, is the one that is appended.
        others_need_blob = np.append(self.blobs.users(len(listed)), 0)[blob_rows] > 1
        exclusive = self._chunks.sums(space.stored, groups)
        freed = self.blobs.sums(listed.sizes, groups)
        repack = self._chunks.sums(space.stored, groups, others_need_blob)
        return [
            {
                "logical_bytes": self._logical[group],
                "unique_bytes": round(self._unique[group]),
                "stored_bytes": round(self._stored[group]),
                "shared_bytes": max(0, round(self._stored[group]) - exclusive[group]),
                "exclusive_bytes": exclusive[group],
                "freed_bytes": freed[group],
                "repack_bytes": repack[group],
            }
            for group in range(groups)
        ]


_NOTHING = dict.fromkeys((one.name for one in fields(Bytes)), 0)
