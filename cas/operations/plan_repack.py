"""Which blobs are worth emptying: those that are mostly dead, the worst first, some at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

# Below this a share of the store may be less than one blob, and nothing would ever be done.
LEAST_BYTES = 256 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class RepackLimits:
    """What is emptied, and how much of it at once.

    Attributes:
        live_share: blobs of which less than this is live are emptied; 0 to 1.
        store_share: blobs of at most this share of the store's bytes in one run; 0 to 1.
        least_bytes: however small the store is, blobs of this many bytes in one run.
    """

    live_share: float = 0.5
    store_share: float = 0.1
    least_bytes: int = LEAST_BYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class BlobShare:
    """How much of a blob is live, in bytes as they are stored."""

    blob_id: bytes
    size: int
    live_bytes: int

    @property
    def dead_bytes(self) -> int:
        """What emptying it frees."""
        return self.size - self.live_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class MetaShare:
    """How much of a blob of pages is live, and which versions have a page or root in it."""

    share: BlobShare
    versions: frozenset[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class RepackPlan:
    """What a repack empties. The worst blobs come first.

    Attributes:
        store_bytes: blobs that versions need.
        data: data blobs to empty.
        meta: blobs of pages to empty.
        versions: how many versions get new places.
        postponed: data blobs that are mostly dead too, and are left to later runs.
        superseded: ids of all blobs that no version needs afterwards: those that are emptied, and
            those of pages and roots in the place of which there are new ones.
    """

    store_bytes: int
    data: tuple[BlobShare, ...] = ()
    meta: tuple[BlobShare, ...] = ()
    versions: int = 0
    postponed: tuple[BlobShare, ...] = ()
    superseded: frozenset[bytes] = frozenset()

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to do."""
        return not self.data and not self.meta

    @property
    def copied_bytes(self) -> int:
        """Live bytes that are stored anew."""
        return sum(one.live_bytes for one in (*self.data, *self.meta))

    @property
    def freed_bytes(self) -> int:
        """Bytes that the next collections free, less what is stored anew."""
        return sum(one.dead_bytes for one in (*self.data, *self.meta))


def choose_data(
    blobs: Sequence[BlobShare], store_bytes: int, limits: RepackLimits
) -> tuple[list[BlobShare], list[BlobShare]]:
    """Return the blobs to empty now and those to empty later, the worst first in both."""
    worst = sorted(_mostly_dead(blobs, limits), key=_badness)
    room = max(int(store_bytes * limits.store_share), limits.least_bytes)
    chosen = 0
    for one in worst:
        if one.size > room:
            break
        room -= one.size
        chosen += 1
    return worst[:chosen], worst[chosen:]


def choose_meta(
    blobs: Sequence[MetaShare],
    revised: frozenset[int],
    root_bytes: Mapping[int, int],
    limits: RepackLimits,
) -> tuple[list[BlobShare], frozenset[int]]:
    """Return the blobs of pages to empty, and all versions that then get new places.

    Whatever moves out of such a blob, every version that has a page there needs a new root. That is
    worth it where it costs less than half of what it frees; versions of which data moves get one
    anyway.

    Args:
        blobs: those that there are.
        revised: the versions of which data moves.
        root_bytes: what the root of each version takes.
        limits: the user's.
    """
    chosen = []
    for one in sorted(blobs, key=lambda one: _badness(one.share)):
        if not _mostly_dead([one.share], limits):
            continue
        cost = sum(root_bytes[version] for version in one.versions - revised)
        if 2 * cost <= one.share.dead_bytes:
            chosen.append(one.share)
            revised |= one.versions
    return chosen, revised


def _mostly_dead(blobs: Sequence[BlobShare], limits: RepackLimits) -> list[BlobShare]:
    return [one for one in blobs if one.live_bytes < one.size * limits.live_share]


def _badness(one: BlobShare) -> tuple[Fraction, bytes]:
    return Fraction(one.live_bytes, max(one.size, 1)), one.blob_id
