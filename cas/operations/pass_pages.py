"""Pages on their way into a version: what its digest, totals and root need of each, and no more."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from cas.format.manifest import DigestBuilder, DigestPart, Page, digest_part
from cas.model.entry import EntryKind, Totals
from cas.model.ids import VersionDigest
from cas.operations.stored_tree import KeptPage, NewPage
from cas.operations.version_pages import PAGES_AHEAD

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True, eq=False)
class PassedPage:
    """A page of a version to be, and what is to be added up of it.

    Attributes:
        counts: int64[4], its entries by kind.
        size: bytes of its files.
    """

    page: NewPage | KeptPage
    part: DigestPart
    counts: NDArray[np.int64]
    size: int

    @classmethod
    def of(cls, page: NewPage | KeptPage, content: Page) -> PassedPage:
        """Take what is needed of the content of a page."""
        counts = np.bincount(content.kinds, minlength=4)
        size = int(content.sizes[content.kinds == EntryKind.FILE].sum())
        return cls(page, digest_part(content), counts, size)


@dataclass(slots=True, eq=False)
class PageSum:
    """The digest and totals of pages that are added in path order."""

    _builder: DigestBuilder = field(default_factory=DigestBuilder)
    _counts: NDArray[np.int64] = field(default_factory=lambda: np.zeros(4, np.int64))
    _size: int = 0

    def add(self, page: PassedPage) -> None:
        """Add the next page.

        Raises:
            CorruptionError: it does not follow the one before.
        """
        self._builder.add_part(page.part)
        self._counts += page.counts
        self._size += page.size

    @property
    def digest(self) -> VersionDigest:
        """The digest of what was added."""
        return self._builder.digest()

    @property
    def totals(self) -> Totals:
        """The totals of what was added."""
        files, symlinks, directories, externals = map(int, self._counts)
        return Totals(
            files=files,
            symlinks=symlinks,
            directories=directories,
            externals=externals,
            size=self._size,
        )


def map_ahead(
    convert: Callable[[Item], Result], items: Sequence[Item], *, is_local: bool
) -> Iterator[Result]:
    """Yield what becomes of each item, in order; where requests take time, several are under way."""
    if is_local or len(items) < 2:
        yield from map(convert, items)
        return
    pool = ThreadPoolExecutor(PAGES_AHEAD, thread_name_prefix="cas-pages")
    ahead: deque[Future[Result]] = deque()
    try:
        for item in items:
            ahead.append(pool.submit(convert, item))
            if len(ahead) > PAGES_AHEAD:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
