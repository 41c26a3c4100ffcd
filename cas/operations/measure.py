"""What a measure of space tells, whichever bytes it counts: of each version that was asked for, of
their artifacts, of all of them together, and of the store.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from cas.operations.census import CountedVersion, VersionState
from cas.operations.damaged_records import DamagedRecord
from cas.operations.space import ListedBlobs, Owners

V = TypeVar("V")
A = TypeVar("A")
S = TypeVar("S")
N = TypeVar("N")
N_contra = TypeVar("N_contra", contravariant=True)

# These three stand before the bytes that are counted among the bases of a record; so they have no
# slots of their own, of which only one base may have any.


@dataclass(frozen=True, kw_only=True)
class OfVersion:
    """Space of one version, which may lie in the trash."""

    __slots__ = ()

    artifact: str
    number: int
    state: VersionState


@dataclass(frozen=True, kw_only=True)
class OfArtifact:
    """Space of all versions of an artifact together; `versions` is how many there are."""

    __slots__ = ()

    artifact: str
    versions: int


@dataclass(frozen=True, kw_only=True)
class OfStore(Generic[V, A]):
    """Space of the versions asked for together, and of the whole store, in bytes.

    Attributes:
        versions: each version asked for.
        artifacts: each artifact that has one, with all of its versions.
        store_bytes: all blobs that lie in the store.
        blobs: how many there are.
        unneeded_bytes: blobs that no version needs: what running puts have sent so far, and what a
            collection frees.
        damaged: what could not be read of versions anywhere in the store, which are not counted
            then; so others may share more, and free less.
    """

    __slots__ = ()

    versions: tuple[V, ...]
    artifacts: tuple[A, ...]
    store_bytes: int
    blobs: int
    unneeded_bytes: int
    damaged: tuple[DamagedRecord, ...]


class Level(Protocol[N_contra]):
    """Versions in groups that do not overlap, one group after another, and what each group takes."""

    @property
    def blobs(self) -> Owners:
        """Which blobs each group needs."""
        ...

    def add(self, group: int, size: int, needs: N_contra) -> None:
        """Count a version of so many logical bytes into a group, which was the last one or is new."""
        ...

    def measure(self, groups: int) -> list[dict[str, int]]:
        """Return for each group the bytes by the names of the record's fields."""
        ...


@dataclass(frozen=True, slots=True)
class Records(Generic[V, A, S]):
    """What to make of the bytes of a version, of an artifact, and of all that was asked for."""

    version: Callable[..., V]
    artifact: Callable[..., A]
    store: Callable[..., S]


class Measure(Generic[N]):
    """Counts versions in, then tells what each of them, their artifacts and all asked for take."""

    def __init__(self, listed: ListedBlobs, make_level: Callable[[], Level[N]]) -> None:
        self._listed = listed
        self._versions: list[tuple[CountedVersion, bool]] = []
        self._artifacts: dict[str, int] = {}
        self._asked_artifacts: set[str] = set()
        self._by_version = make_level()
        self._by_artifact = make_level()
        # Group 0 is all that was asked for, group 1 all else.
        self._by_wish = make_level()

    def add(self, one: CountedVersion, needs: N, *, is_wanted: bool) -> None:
        """Count a version in; those of any group come one after another."""
        name = one.name[0]
        artifact = self._artifacts.setdefault(name, len(self._artifacts))
        groups = (len(self._versions), artifact, int(not is_wanted))
        levels = (self._by_version, self._by_artifact, self._by_wish)
        for level, group in zip(levels, groups, strict=True):
            level.add(group, one.record.totals.size, needs)
        self._versions.append((one, is_wanted))
        if is_wanted:
            self._asked_artifacts.add(name)

    def tell(self, records: Records[V, A, S], damaged: tuple[DamagedRecord, ...]) -> S:
        """Return what was counted, and what could not be."""
        versions = self._by_version.measure(len(self._versions))
        artifacts = self._by_artifact.measure(len(self._artifacts))
        asked, _ = self._by_wish.measure(2)
        counts = Counter(one.name[0] for one, _ in self._versions)
        sizes = self._listed.sizes
        unneeded = self._by_wish.blobs.users(len(sizes)) == 0
        return records.store(
            **asked,
            versions=tuple(
                records.version(artifact=one.name[0], number=one.name[1], state=one.state, **found)
                for (one, is_wanted), found in zip(self._versions, versions, strict=True)
                if is_wanted
            ),
            artifacts=tuple(
                records.artifact(artifact=name, versions=counts[name], **artifacts[number])
                for name, number in self._artifacts.items()
                if name in self._asked_artifacts
            ),
            store_bytes=round(sizes.sum()),
            blobs=len(sizes),
            unneeded_bytes=round(sizes[unneeded].sum()),
            damaged=damaged,
        )
