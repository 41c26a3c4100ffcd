"""Ranges of many files at once: one plan for all of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cas.errors import CasError
from cas.objects.parts import StoreParts
from cas.operations.read_file import range_tools
from cas.transfer.ranges import WantedRange, read_ranges
from cas.transfer.reading import ContentReader


@dataclass(frozen=True, slots=True)
class AskedRange:
    """Bytes of a path as a slice names them: None for an end, negative from the end."""

    path: str
    start: int | None
    stop: int | None

    def within(self, size: int) -> tuple[int, int]:
        """Return the range in a file of `size` bytes."""
        start, stop, _ = slice(self.start, self.stop).indices(size)
        return start, max(start, stop)


def read_many(
    parts: StoreParts, asked: Sequence[AskedRange], open_reader: Callable[[str], ContentReader]
) -> list[bytes | Exception]:
    """Return the bytes of each range, or why it cannot be read.

    What fails is tried once more by itself: the file may have been moved, or only a neighbour be
    damaged.
    """
    readers: dict[str, ContentReader | Exception] = {}
    for path in dict.fromkeys(one.path for one in asked):
        try:
            readers[path] = open_reader(path)
        except (CasError, OSError) as error:
            readers[path] = error
    answers: list[bytes | Exception] = []
    wanted: list[WantedRange] = []
    planned: list[tuple[int, ContentReader]] = []
    for one in asked:
        reader = readers[one.path]
        if isinstance(reader, Exception):
            answers.append(reader)
            continue
        planned.append((len(answers), reader))
        answers.append(b"")
        wanted.append(WantedRange(reader.content, *one.within(reader.size)))
    found = read_ranges(wanted, range_tools(parts))
    for (at, reader), part, content in zip(planned, wanted, found, strict=True):
        answers[at] = _again(reader, part) if isinstance(content, CasError) else content
    return answers


def _again(reader: ContentReader, wanted: WantedRange) -> bytes | Exception:
    try:
        return reader.read(wanted.start, wanted.stop)
    except CasError as error:
        return error
