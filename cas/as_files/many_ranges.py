"""Ranges of many files at once: one plan for all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from cas.errors import CasError
from cas.objects.parts import StoreParts
from cas.operations.read_file import range_tools
from cas.transfer.ranges import WantedRange, read_ranges
from cas.transfer.reading import ContentReader

# Where ranges of several paths begin or end: one for each, or one for all.
Bounds = Sequence[int | None] | int | None
Answer = bytes | Exception


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


def pair_ranges(paths: object, starts: Bounds, stops: Bounds) -> list[AskedRange]:
    """Return the ranges that `cat_ranges` of fsspec is asked for: a bound may be one for all paths.

    Raises:
        TypeError: `paths` is no list.
        ValueError: there are not as many bounds as paths.
    """
    if not isinstance(paths, list):
        raise TypeError("paths must be a list")
    bounds = (one if isinstance(one, Sequence) else [one] * len(paths) for one in (starts, stops))
    return [AskedRange(*one) for one in zip(paths, *bounds, strict=True)]


def raise_first(answers: Iterable[Answer]) -> None:
    """Raise the first of the answers that is an error, as fsspec does with `on_error="raise"`."""
    for answer in answers:
        if isinstance(answer, Exception):
            raise answer


def read_many(
    parts: StoreParts, asked: Sequence[AskedRange], open_reader: Callable[[str], ContentReader]
) -> list[Answer]:
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
    answers: list[Answer] = []
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


def _again(reader: ContentReader, wanted: WantedRange) -> Answer:
    try:
        return reader.read(wanted.start, wanted.stop)
    except CasError as error:
        return error
