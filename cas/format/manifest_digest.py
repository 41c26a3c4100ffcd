"""The digest of a version, computed from its pages, one after another.

Digest 2 is a hash over the digests of groups of entries, and where a group ends is a matter of paths
alone: whoever knows the groups of a version computes the digest of an edited one from what differs.
Digest 1 covers all entries at once; versions that have it keep it.
Spec: specs/format/06-manifest.md
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

from cas.errors import CorruptionError
from cas.format.encoding import ID_BYTES, malformed
from cas.format.manifest_columns import join_paths
from cas.format.manifest_paging import group_ends
from cas.model.entry import path_to_text
from cas.model.ids import VersionDigest

if TYPE_CHECKING:
    from cas.format.manifest import Page

_DOMAIN_1 = b"cas version digest 1\n"
_DOMAIN_2 = b"cas version digest 2\n"
_GROUP_DOMAIN = b"cas digest group 2\n"
_COUNT = struct.Struct("<Q")
_FIXED = np.dtype(
    [("kind", "u1"), ("mode", "u1"), ("size", "<u8"), ("hash", np.uint8, (ID_BYTES,))]
)
# In the counts of groups that end in each page: the last entry of the page ends one.
ENDS_WITH_GROUP = np.uint32(1 << 31)


@dataclass(frozen=True, slots=True, eq=False)
class PageGroups:
    """The groups of a version and the pages in which each ends.

    Attributes:
        digests: uint8[g, 32], of each group, in path order.
        pages: uint32[p], how many groups end in each page, with `ENDS_WITH_GROUP` if its last entry
            ends one.
    """

    digests: NDArray[np.uint8]
    pages: NDArray[np.uint32]

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, PageGroups)
            and np.array_equal(self.digests, other.digests)
            and np.array_equal(self.pages, other.pages)
        )

    __hash__ = None  # type: ignore[assignment]

    @property
    def counts(self) -> NDArray[np.int64]:
        """How many groups end in each page, int64[p]."""
        return (self.pages & ~ENDS_WITH_GROUP).astype(np.int64)

    @property
    def starts(self) -> NDArray[np.int64]:
        """The first group that ends in each page, and at the end the number of groups, int64[p + 1]."""
        return np.concatenate([np.zeros(1, np.int64), np.cumsum(self.counts)])

    def is_end(self, page: int) -> bool:
        """Tell whether the last entry of a page ends a group."""
        return bool(self.pages[page] & ENDS_WITH_GROUP)

    @property
    def ends(self) -> NDArray[np.bool_]:
        """Whether the last entry of each page ends a group, bool[p]."""
        ends: NDArray[np.bool_] = (self.pages & ENDS_WITH_GROUP) != 0
        return ends

    def digest(self) -> VersionDigest:
        """Return the digest of the version, which is of kind 2."""
        count = _COUNT.pack(len(self.digests))
        return VersionDigest(blake3(_DOMAIN_2 + count + self.digests.tobytes()).digest())

    def check(self, page_entries: NDArray[np.uint32], what: str) -> None:
        """Refuse groups that pages of so many entries cannot have.

        Raises:
            CorruptionError: they do not hold together.
        """
        counts, ends = self.counts, self.ends
        if (counts > page_entries).any() or (ends & (counts == 0)).any():
            raise malformed(what, "more groups end in a page than it can have")
        if int(counts.sum()) != len(self.digests):
            raise malformed(what, "its groups are not those that end in its pages")
        if len(ends) and not ends[-1]:
            raise malformed(what, "its last page does not end a group")


@dataclass(frozen=True, slots=True)
class StatedDigest:
    """A digest as a root states it; of kind 2 if there are groups, otherwise of kind 1."""

    digest: VersionDigest
    groups: PageGroups | None = None


def page_digest_columns(page: Page) -> tuple[bytes, bytes]:
    """Return what a digest covers: each path and a NUL; 42 bytes for each entry.

    The 42 bytes are kind u8, mode u8, size u64 little-endian, hash.
    """
    fixed = np.empty(len(page.paths), _FIXED)
    fixed["kind"] = page.kinds
    fixed["mode"] = page.modes
    fixed["size"] = page.sizes
    fixed["hash"] = page.hashes
    paths = join_paths(page.paths)
    return (paths + b"\0" if page.paths else paths), fixed.tobytes()


Columns = tuple[bytes, bytes]


@dataclass(frozen=True, slots=True)
class _Pieces:
    """The columns of a page, cut where its paths end groups.

    Attributes:
        count: how many of its entries end a group.
        head: entries up to the first that does, or all of them.
        inner: digests of the groups that begin and end in the page, behind the first end.
        tail: entries behind the last end; empty if none is left, or there was none.
    """

    count: int
    head: Columns
    inner: list[bytes]
    tail: Columns


@dataclass(frozen=True)
class DigestPart:
    """What the digest of a version needs of one page; for as many versions as have the page."""

    first: bytes
    last: bytes
    paths: bytes
    fixed: bytes
    ends: NDArray[np.int64]

    @cached_property
    def pieces(self) -> _Pieces:
        """The page cut into groups."""
        if len(self.ends) == 0:
            return _Pieces(0, (self.paths, self.fixed), [], (b"", b""))
        nuls = np.flatnonzero(np.frombuffer(self.paths, np.uint8) == 0)
        in_paths = (nuls[self.ends - 1] + 1).tolist()
        in_fixed = (self.ends * _FIXED.itemsize).tolist()
        cuts = list(zip(in_paths, in_fixed, strict=True))
        inner = [
            _group_digest(blake3(self.paths[a:c]), blake3(self.fixed[b:d]))
            for (a, b), (c, d) in pairwise(cuts)
        ]
        (a, b), (c, d) = cuts[0], cuts[-1]
        return _Pieces(
            len(cuts),
            (self.paths[:a], self.fixed[:b]),
            inner,
            (self.paths[c:], self.fixed[d:]),
        )

    @cached_property
    def head_digest(self) -> bytes:
        """The digest of the first group that ends here, if the page begins it."""
        paths, fixed = self.pieces.head
        return _group_digest(blake3(paths), blake3(fixed))


def digest_part(page: Page) -> DigestPart:
    """Return what the digest of a version needs of a page."""
    first, last = (page.paths[0], page.paths[-1]) if page.paths else (b"", b"")
    return DigestPart(first, last, *page_digest_columns(page), group_ends(page.paths))


def _group_digest(paths: Any, fixed: Any) -> bytes:
    digest: bytes = blake3(_GROUP_DOMAIN + paths.digest() + fixed.digest()).digest()
    return digest


class DigestBuilder:
    """Computes digest 1 of a version from its pages. Not thread-safe."""

    def __init__(self) -> None:
        self._paths: Any = blake3()
        self._fixed: Any = blake3()
        self._last: bytes | None = None

    def add(self, page: Page) -> None:
        """Add the next page in path order.

        Raises:
            CorruptionError: it does not follow the one before.
        """
        self.add_part(digest_part(page))

    def add_part(self, part: DigestPart) -> None:
        """Add the next page by what is needed of it; raises as `add` does."""
        if not part.paths:
            return
        if self._last is not None and part.first <= self._last:
            raise _out_of_order(part.first)
        self._last = part.last
        self._paths.update(part.paths)
        self._fixed.update(part.fixed)

    def digest(self) -> VersionDigest:
        """Return the digest of what was added so far."""
        joined = _DOMAIN_1 + self._paths.digest() + self._fixed.digest()
        return VersionDigest(blake3(joined).digest())

    def stated(self) -> StatedDigest:
        """Return what the root of the pages that were added has to state."""
        return StatedDigest(self.digest())


class GroupDigestBuilder:
    """Computes digest 2 of a version from its pages, or from what is known of them. Not
    thread-safe.
    """

    def __init__(self) -> None:
        self._digests: list[bytes] = []
        self._pages: list[int] = []
        # The group that has begun and not ended, as far as it was added; None if there is none.
        self._open: tuple[Any, Any] | None = None
        # A group has begun that nobody looked into; what is known of the next pages has its digest.
        self._is_unseen = False
        self._last: bytes | None = None

    def add(self, page: Page) -> None:
        """Add the next page in path order.

        Raises:
            CorruptionError: it does not follow the one before.
        """
        self.add_part(digest_part(page))

    def add_part(self, part: DigestPart) -> None:
        """Add the next page by what is needed of it; raises as `add` does."""
        if not part.paths:
            return
        if self._is_unseen:
            raise ValueError("the group that this page goes on with was not looked into")
        self._follow(part.first, part.last)
        pieces = part.pieces
        if pieces.count:
            self._digests.append(self._close(part))
            self._digests += pieces.inner
            self._open = None
        rest = pieces.tail if pieces.count else pieces.head
        self._extend(rest)
        self._note(pieces.count, is_end=self._open is None)

    def add_known(
        self,
        first: bytes,
        digests: NDArray[np.uint8],
        *,
        is_end: bool,
        part: DigestPart | None = None,
    ) -> None:
        """Add the next page by the digests of the groups that end in it.

        They are right if its entries, and those of the pages before it back to where its first group
        begins, are what they were when the digests were computed.

        Args:
            first: the first path of the page.
            digests: uint8[n, 32].
            is_end: its last entry ends a group.
            part: what is needed of the page, if the group that goes on behind it may be another than
                it was; a group ends in the page then.

        Raises:
            CorruptionError: the page does not follow the one before.
        """
        self._follow(first, first if part is None else part.last)
        self._digests += [row.tobytes() for row in digests]
        self._open, self._is_unseen = None, not is_end and part is None
        if part is not None:
            self._extend(part.pieces.tail)
        self._note(len(digests), is_end=is_end)

    def settled(self) -> tuple[list[bytes], list[int]]:
        """Return, and forget, what nothing that follows can change: digests of groups, and what is
        said of all pages but the last.
        """
        digests, self._digests = self._digests, []
        pages, self._pages = self._pages[:-1], self._pages[-1:]
        return digests, pages

    def groups(self) -> PageGroups:
        """Return the groups of what was added so far, the last of which ends with it; but for what
        is forgotten.
        """
        if self._is_unseen:
            raise ValueError("the last group was not looked into")
        digests, pages = self._digests.copy(), np.array(self._pages, np.uint32)
        if self._open is not None:
            digests.append(_group_digest(*self._open))
            pages[-1] = pages[-1] + 1 | ENDS_WITH_GROUP
        joined = np.frombuffer(b"".join(digests), np.uint8).reshape(-1, ID_BYTES)
        return PageGroups(joined, pages)

    def digest(self) -> VersionDigest:
        """Return the digest of what was added so far."""
        return self.groups().digest()

    def stated(self) -> StatedDigest:
        """Return what the root of the pages that were added has to state."""
        groups = self.groups()
        return StatedDigest(groups.digest(), groups)

    def _follow(self, first: bytes, last: bytes) -> None:
        if self._last is not None and first <= self._last:
            raise _out_of_order(first)
        self._last = last

    def _close(self, part: DigestPart) -> bytes:
        """Return the digest of the group that ends first in a page."""
        if self._open is None:
            return part.head_digest
        self._extend(part.pieces.head)
        return _group_digest(*self._open)

    def _extend(self, columns: Columns) -> None:
        """Add entries to the open group; there is one afterwards, if these are any."""
        if not columns[0]:
            return
        if self._open is None:
            self._open = blake3(), blake3()
        for hasher, column in zip(self._open, columns, strict=True):
            hasher.update(column)

    def _note(self, count: int, *, is_end: bool) -> None:
        self._pages.append(count | (int(ENDS_WITH_GROUP) if is_end else 0))


class DigestCheck:
    """Tells whether pages hold what a root states, in memory that does not grow with them. Not
    thread-safe.
    """

    def __init__(self, stated: StatedDigest) -> None:
        self._digest = stated.digest.raw
        groups = stated.groups
        self._whole = DigestBuilder() if groups is None else None
        self._builder = GroupDigestBuilder()
        count = 0 if groups is None else len(groups.digests)
        self._left = count
        self._digests: Any = blake3(_DOMAIN_2 + _COUNT.pack(count))
        self._pages: Any = blake3()
        self._stated_pages = b"" if groups is None else blake3(_octets(groups.pages)).digest()

    def add(self, page: Page) -> None:
        """Add the next page in path order; raises as `DigestBuilder.add` does."""
        self.add_part(digest_part(page))

    def add_part(self, part: DigestPart) -> None:
        """Add the next page by what is needed of it; raises as `add` does."""
        if self._whole is not None:
            self._whole.add_part(part)
            return
        self._builder.add_part(part)
        self._take(*self._builder.settled())

    def fits(self) -> bool:
        """Tell whether what was added is all that was stated. Call it once, at the end."""
        if self._whole is not None:
            return self._whole.digest().raw == self._digest
        rest = self._builder.groups()
        self._take([row.tobytes() for row in rest.digests], rest.pages.tolist())
        return (
            self._left == 0
            and bool(self._digests.digest() == self._digest)
            and bool(self._pages.digest() == self._stated_pages)
        )

    def _take(self, digests: list[bytes], pages: list[int]) -> None:
        self._left -= len(digests)
        self._digests.update(b"".join(digests))
        self._pages.update(_octets(np.array(pages, np.uint32)))


def _octets(pages: NDArray[np.uint32]) -> bytes:
    return pages.astype("<u4").tobytes()


def _out_of_order(path: bytes) -> CorruptionError:
    return malformed("manifest", f"its pages are not in order at {path_to_text(path)[:80]!r}")
