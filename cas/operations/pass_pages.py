"""Pages on their way into a version: what its digest and totals need of each, and no more."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from cas.errors import CorruptionError, ErrorCode
from cas.format.manifest import DigestPart, GroupDigestBuilder
from cas.model.entry import EntryKind, Totals
from cas.operations.stored_tree import KeptPage, NewPage
from cas.operations.version_pages import PAGES_AHEAD

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True, eq=False)
class PassedPage:
    """A page of a version to be, and what its digest needs of it.

    Attributes:
        part: what it holds, as far as that was looked at.
        known: digests of the groups that end in it, uint8[n, 32], if they are those of the base; and
            whether its last entry ends one.
    """

    page: NewPage | KeptPage
    part: DigestPart | None
    known: tuple[NDArray[np.uint8], bool] | None = None

    def add_to(self, builder: GroupDigestBuilder) -> None:
        """Add it behind the pages before it.

        Raises:
            CorruptionError: it does not follow them.
        """
        if self.known is not None:
            digests, is_end = self.known
            builder.add_known(self.page.first_path, digests, is_end=is_end, part=self.part)
        elif self.part is not None:
            builder.add_part(self.part)


@dataclass(slots=True, eq=False)
class EntryCounts:
    """Entries by kind, int64[4], and bytes of files."""

    kinds: NDArray[np.int64] = field(default_factory=lambda: np.zeros(4, np.int64))
    size: int = 0

    def add(self, kinds: NDArray[np.uint8], sizes: NDArray[Any]) -> None:
        """Add entries by their kinds and sizes."""
        self.kinds += np.bincount(kinds, minlength=4)
        self.size += int(sizes[kinds == EntryKind.FILE].sum())

    def after(self, before: Totals, gone: EntryCounts) -> Totals:
        """Return what totals become when what is counted in `gone` goes and what is here comes.

        Raises:
            CorruptionError: what goes is more than there was.
        """
        was = [before.files, before.symlinks, before.directories, before.externals, before.size]
        numbers = [*(self.kinds - gone.kinds).tolist(), self.size - gone.size]
        now = [one + change for one, change in zip(was, numbers, strict=True)]
        if min(now) < 0:
            raise CorruptionError(
                "the base of this draft holds more than its totals say",
                code=ErrorCode.DIGEST_MISMATCH,
            )
        files, symlinks, directories, externals, size = now
        return Totals(
            files=files,
            symlinks=symlinks,
            directories=directories,
            externals=externals,
            size=size,
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
