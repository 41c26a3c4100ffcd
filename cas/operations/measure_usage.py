"""How much space versions take, what they share, and what would become free without them.

Two measures of what a version alone needs: chunks, which is the truth about the data, and whole
blobs, which is what a collection frees. A chunk that only one version needs, in a blob that others
need, is freed by a repack.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass

import numpy as np

from cas.errors import CorruptionError, NotFoundError
from cas.model.names import Ref
from cas.objects.parts import StoreParts
from cas.objects.versions import read_root_location
from cas.operations.census import Census, CountedVersion, take_census
from cas.operations.choose_measured import choose_measured, order_measured
from cas.operations.damaged_records import damage_of_version
from cas.operations.measure import Measure, OfArtifact, OfStore, OfVersion, Records
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
class VersionUsage(OfVersion, Bytes):
    """Space of one version, which may lie in the trash."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtifactUsage(OfArtifact, Bytes):
    """Space of all versions of an artifact together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage(OfStore[VersionUsage, ArtifactUsage], Bytes):
    """Space of the versions asked for together, and of the whole store."""


def measure_usage(parts: StoreParts, ref: Ref | None) -> Usage:
    """Measure a version, with a bare name an artifact, or the whole store.

    Versions in the trash, which can be asked for by their numbers, still take space and count for
    what is exclusive. Reads every record and every distinct page of the store, and the table of
    every blob; `measure_blobs` does not.

    Raises:
        NotFoundError: there is no such version.
        CorruptionError: the version that is asked for is damaged.
    """
    census = take_census(parts)
    wanted = choose_measured(parts, census, ref)
    listed = ListedBlobs(parts)
    space = Space(parts, listed)
    measure = Measure(listed, lambda: _Level(space, listed))
    damaged = list(census.damaged_versions)
    for one in order_measured(census, ref, wanted):
        try:
            needs = _needs(parts, census, one, space)
        except NotFoundError:
            continue  # it was deleted for good and collected since the records were read
        except CorruptionError as error:
            if wanted == {one.name} and ref is not None:
                raise
            if one.damage is None:
                damaged.append(damage_of_version(*one.name, error))
            continue
        measure.add(one, needs, is_wanted=one.name in wanted)
    return measure.tell(Records(VersionUsage, ArtifactUsage, Usage), tuple(damaged))


def _needs(parts: StoreParts, census: Census, one: CountedVersion, space: Space) -> Needs:
    """Return what a version needs, where it was moved meanwhile, too.

    Raises:
        NotFoundError: it was deleted for good meanwhile.
        CorruptionError: a revision, a page, or the table of a blob is missing or damaged.
    """
    root = read_root_location(parts.backend, census.listings[one.record.artifact], one.record)
    pages = VersionPages(parts, one.record, root)
    return pages.following_moves(lambda: space.needs_of(pages, pages.location.blob_id.raw))


class _Level:
    """What each group takes, by chunks and by blobs."""

    def __init__(self, space: Space, listed: ListedBlobs) -> None:
        self._space = space
        self._listed = listed
        self._chunks = Owners()
        self.blobs = Owners()
        self._logical: Counter[int] = Counter()
        self._unique: defaultdict[int, float] = defaultdict(float)
        self._stored: defaultdict[int, float] = defaultdict(float)

    def add(self, group: int, size: int, needs: Needs) -> None:
        fresh = self._chunks.add(group, needs.chunks)
        self.blobs.add(group, needs.blobs)
        self._logical[group] += size
        self._unique[group] += self._space.raw[fresh].sum()
        self._stored[group] += self._space.stored[fresh].sum()

    def measure(self, groups: int) -> list[dict[str, int]]:
        space, listed = self._space, self._listed
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
