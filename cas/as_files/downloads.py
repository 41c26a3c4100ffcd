"""Copying chosen files of a version to local paths by one plan, where fsspec would go file by file."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from fsspec import AbstractFileSystem
from fsspec.callbacks import Callback

from cas.as_files.failures import as_os_errors
from cas.errors import IncompleteError, InvalidInputError, NotFoundError
from cas.model.entry import path_to_bytes
from cas.model.progress import Progress, ProgressSink
from cas.model.units import format_some
from cas.objects.parts import StoreParts
from cas.operations.get import get_selection
from cas.operations.outcomes import GetOptions, GetOutcome
from cas.operations.pinned import PinnedVersion
from cas.operations.read_file import find_file
from cas.operations.select import ChosenFiles

Pair = tuple[str, str]


class PairRecorder:
    """Stands in for a filesystem in fsspec's own `get`, and notes what it would copy where."""

    def __init__(self, fs: AbstractFileSystem) -> None:
        self._fs = fs
        self.pairs: list[Pair] = []

    def expand_path(self, *args: Any, **kwargs: Any) -> list[str]:
        """Return what the filesystem does."""
        paths: list[str] = self._fs.expand_path(*args, **kwargs)
        return paths

    def isdir(self, path: str) -> bool:
        """Return what the filesystem does."""
        return bool(self._fs.isdir(path))

    def get_file(self, rpath: str, lpath: str, **_: Any) -> None:
        """Note a pair."""
        self.pairs.append((self._fs._strip_protocol(rpath), os.fspath(lpath)))  # noqa: SLF001 - fsspec's own way


def find_pairs(
    fs: AbstractFileSystem, rpath: object, lpath: object, *, recursive: bool, maxdepth: int | None
) -> list[Pair]:
    """Return which path goes where, by the rules of fsspec."""
    recorder = PairRecorder(fs)
    AbstractFileSystem.get(recorder, rpath, lpath, recursive=recursive, maxdepth=maxdepth)
    return recorder.pairs


def get_chosen(
    parts: StoreParts, version: PinnedVersion, files: Sequence[Pair], sink: ProgressSink
) -> None:
    """Write files of a version, by their paths in it, to absolute local paths; links are followed.

    Raises:
        ObstructedError: something of another kind is in the way.
        IncompleteError: some of it cannot be made here; the rest is done.
    """
    root = os.path.commonpath([os.path.dirname(lpath) for _, lpath in files])  # noqa: PTH120 - keeps what is a link
    targets: dict[bytes, list[bytes]] = {}
    for inner, lpath in files:
        target = path_to_bytes(os.path.relpath(lpath, root).replace(os.sep, "/"))
        targets.setdefault(_stored_path(version, inner), []).append(target)
    options = GetOptions(overwrite=True, progress=sink)
    os.makedirs(root, exist_ok=True)  # noqa: PTH103 - the same
    with as_os_errors():
        check_complete(get_selection(parts, version, ChosenFiles(version, targets), root, options))


def _stored_path(version: PinnedVersion, inner: str) -> bytes:
    """Return the path of the file that a path leads to; its own if it is a link that leads nowhere,
    which is made as it is.
    """
    with as_os_errors():
        try:
            page, row = version.pages.following_moves(lambda: find_file(version, inner))
        except (NotFoundError, InvalidInputError):
            if version.pages.find(path_to_bytes(inner)) is None:
                raise
            return path_to_bytes(inner)
    return page.paths[row]


def tell_files(callback: Callback, before: int) -> ProgressSink:
    """Return what tells a callback of fsspec how many files are done, besides those before."""

    def sink(progress: Progress) -> None:
        callback.absolute_update(before + progress.done_files)

    return sink


def check_complete(outcome: GetOutcome) -> None:
    """Refuse an outcome that left files out."""
    if outcome.skipped:
        problems = tuple(f"{one.path}: {one.reason}" for one in outcome.skipped)
        raise IncompleteError(
            f"not everything could be made: {format_some(problems, separator='; ')}",
            problems=problems,
        )
