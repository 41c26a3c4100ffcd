"""How much space versions take, by whole blobs: what can be told without reading any of them.

A collection deletes whole blobs, so what it would free is exact; what versions share is told by blobs
that both need, whichever of their chunks these are. Each distinct page is read once on a machine.
"""

from __future__ import annotations

from collections import Counter, OrderedDict, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cas.errors import CorruptionError, NotFoundError
from cas.format.manifest import Root
from cas.model.entry import PageLocation
from cas.model.names import Ref
from cas.objects.closure import ClosureReader
from cas.objects.id_sets import view_sorted
from cas.objects.parts import StoreParts
from cas.objects.versions import read_root_location
from cas.operations.census import Census, CountedVersion, Name, take_census
from cas.operations.choose_measured import choose_measured, order_measured
from cas.operations.damaged_records import as_error, damage_of_version
from cas.operations.measure import Measure, OfArtifact, OfStore, OfVersion, Records
from cas.operations.side_by_side import map_side_by_side
from cas.operations.space import ListedBlobs, Owners, Rows
from cas.operations.version_pages import VersionPages

# Rows of pages that were read, so that versions that share one look its blobs up once: 64 MiB.
_KEPT_ROWS = 16 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class BlobBytes:
    """Space of one or several versions together, in bytes.

    Attributes:
        logical_bytes: sizes of their files.
        blob_bytes: whole blobs, of data and of pages, that they need.
        shared_bytes: of these, what other versions need as well.
        freed_bytes: the others: what a collection frees when these versions are deleted for good.
    """

    logical_bytes: int
    blob_bytes: int
    shared_bytes: int
    freed_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionBlobs(OfVersion, BlobBytes):
    """Space of one version, which may lie in the trash."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtifactBlobs(OfArtifact, BlobBytes):
    """Space of all versions of an artifact together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BlobUsage(OfStore[VersionBlobs, ArtifactBlobs], BlobBytes):
    """Space of the versions asked for together, and of the whole store."""


def measure_blobs(parts: StoreParts, ref: Ref | None) -> BlobUsage:
    """Measure a version, with a bare name an artifact, or the whole store, by whole blobs.

    Versions in the trash count as they do for `measure_usage`.

    Raises:
        NotFoundError: there is no such version.
        CorruptionError: the version that is asked for is damaged.
    """
    census = take_census(parts)
    wanted = choose_measured(parts, census, ref)
    listed = ListedBlobs(parts)
    measure = Measure(listed, lambda: _Level(listed.sizes))
    damaged = list(census.damaged_versions)
    for one, rows in NeededBlobs(parts, census, listed).iter_rows(
        order_measured(census, ref, wanted)
    ):
        if not isinstance(rows, CorruptionError):
            measure.add(one, rows, is_wanted=one.name in wanted)
        elif wanted == {one.name} and ref is not None:
            raise rows
        elif one.damage is None:
            damaged.append(damage_of_version(*one.name, rows))
    return measure.tell(Records(VersionBlobs, ArtifactBlobs, BlobUsage), tuple(damaged))


def freed_without(parts: StoreParts, census: Census, going: Iterable[Name]) -> int:
    """Return the bytes of the blobs that some versions need and no other that is not purged does.

    Raises:
        CorruptionError: what some version needs cannot be read.
    """
    for damaged in census.damaged_versions:
        raise as_error(damaged)
    listed = ListedBlobs(parts)
    names = set(going)
    needed = np.zeros((2, len(listed)), np.bool_)
    counted = order_measured(census, None, names)
    for one, rows in NeededBlobs(parts, census, listed).iter_rows(counted):
        if isinstance(rows, CorruptionError):
            raise rows
        needed[int(one.name in names), rows] = True
    return int(listed.sizes[needed[1] & ~needed[0]].sum())


class NeededBlobs:
    """Finds which of the listed blobs versions need."""

    def __init__(self, parts: StoreParts, census: Census, listed: ListedBlobs) -> None:
        self._parts = parts
        self._census = census
        self._listed = listed
        self._pages: OrderedDict[bytes, NDArray[np.int32]] = OrderedDict()
        self._kept_rows = 0

    def iter_rows(
        self, versions: Iterable[CountedVersion]
    ) -> Iterable[tuple[CountedVersion, Rows | CorruptionError]]:
        """Yield versions with the rows of what each needs, pages included, each row once; or why that
        cannot be read.

        One that was deleted for good meanwhile is left out.

        Raises:
            BackendError: the storage failed.
        """
        asked = list(versions)
        located = map_side_by_side(self._parts, self._root_of, asked)
        found, roots = [], []
        for one, location in zip(asked, located, strict=True):
            if isinstance(location, CorruptionError):
                yield one, location
            else:
                found.append(one)
                roots.append(location)
        with ClosureReader(self._parts) as closures:
            read = closures.iter_roots(roots)
            for one, location, root in zip(found, roots, read, strict=True):
                try:
                    yield one, self._follow(closures, one, location, root)
                except NotFoundError:
                    continue
                except CorruptionError as error:
                    yield one, error

    def _follow(
        self,
        closures: ClosureReader,
        one: CountedVersion,
        location: PageLocation,
        root: Root | CorruptionError,
    ) -> Rows:
        """Return the rows of what a version needs, where it was moved meanwhile, too."""
        pages = VersionPages(self._parts, one.record, location)

        def read() -> Rows:
            if pages.location == location and isinstance(root, Root):
                return self._rows(closures, location, root)
            return self._rows(closures, pages.location, closures.read_root(pages.location))

        return pages.following_moves(read)

    def _root_of(self, one: CountedVersion) -> PageLocation | CorruptionError:
        listing = self._census.listings[one.record.artifact]
        try:
            return read_root_location(self._parts.backend, listing, one.record)
        except CorruptionError as error:
            return error

    def _rows(self, closures: ClosureReader, location: PageLocation, root: Root) -> Rows:
        fresh: dict[bytes, NDArray[np.int32]] = {}
        for raw, ids in closures.iter_pages(root, self._pages):
            fresh[raw] = self._listed.rows_of(ids).astype(np.int32)
        is_needed = np.zeros(len(self._listed) + 1, np.bool_)
        own = view_sorted(location.blob_id.raw)
        for ids in (own, root.blob_ids):
            is_needed[self._listed.rows_of(ids)] = True
        for page_id in root.page_ids:
            raw = page_id.tobytes()
            if raw not in fresh:
                self._pages.move_to_end(raw)
            is_needed[fresh[raw] if raw in fresh else self._pages[raw]] = True
        self._keep(fresh)
        # The last stands for blobs that do not lie in the store, whose row is -1.
        return np.flatnonzero(is_needed[:-1])

    def _keep(self, fresh: dict[bytes, NDArray[np.int32]]) -> None:
        self._pages.update(fresh)
        self._kept_rows += sum(map(len, fresh.values()))
        while self._kept_rows > _KEPT_ROWS:
            _, oldest = self._pages.popitem(last=False)
            self._kept_rows -= len(oldest)


class _Level:
    """What each group takes, by blobs."""

    def __init__(self, sizes: NDArray[np.float64]) -> None:
        self._sizes = sizes
        self.blobs = Owners()
        self._logical: Counter[int] = Counter()
        self._needed: defaultdict[int, float] = defaultdict(float)

    def add(self, group: int, size: int, needs: Rows) -> None:
        fresh = self.blobs.add(group, needs)
        self._logical[group] += size
        self._needed[group] += self._sizes[fresh].sum()

    def measure(self, groups: int) -> list[dict[str, int]]:
        return [
            {
                "logical_bytes": self._logical[group],
                "blob_bytes": round(self._needed[group]),
                "shared_bytes": round(self._needed[group]) - alone,
                "freed_bytes": alone,
            }
            for group, alone in enumerate(self.blobs.sums(self._sizes, groups))
        ]
