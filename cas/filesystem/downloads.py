"""`get` of the filesystem: what fsspec would copy file by file is fetched by one plan."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from fsspec import AbstractFileSystem
from fsspec.callbacks import Callback
from fsspec.implementations.local import LocalFileSystem, make_path_posix, trailing_sep

from cas.as_files.failures import as_os_errors
from cas.errors import IncompleteError, InvalidInputError, NotFoundError
from cas.filesystem.places import VersionPlace
from cas.model.entry import path_to_bytes
from cas.model.progress import Progress, ProgressSink
from cas.model.units import format_some
from cas.objects.parts import StoreParts
from cas.operations.get import get, get_selection
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


def get_folder(parts: StoreParts, place: VersionPlace, dest: str, callback: Callback) -> None:
    """Write a folder of a version into a local folder; links stay links, as with `cas get`.

    Raises:
        ObstructedError: something of another kind is in the way.
        IncompleteError: some of it cannot be made here; the rest is done.
    """
    callback.set_size(place.version.record.totals.files if not place.inner else None)
    options = GetOptions(overwrite=True, progress=_tell(callback, 0))
    with as_os_errors():
        _check(get(parts, place.version, place.inner, dest, options))


def get_files(
    parts: StoreParts, places: Sequence[tuple[VersionPlace, str]], callback: Callback
) -> None:
    """Write chosen files to local paths, those of one version by one plan; links are followed.

    Raises as `get_folder` does.
    """
    callback.set_size(len(places))
    by_version: dict[int, tuple[PinnedVersion, list[tuple[str, str]]]] = {}
    for place, lpath in places:
        _, files = by_version.setdefault(id(place.version), (place.version, []))
        files.append((place.inner, os.path.abspath(lpath)))  # noqa: PTH100 - keeps what is a link
    done = 0
    for version, files in by_version.values():
        root = os.path.commonpath([os.path.dirname(lpath) for _, lpath in files])  # noqa: PTH120 - the same
        targets: dict[bytes, list[bytes]] = {}
        for inner, lpath in files:
            target = path_to_bytes(os.path.relpath(lpath, root).replace(os.sep, "/"))
            targets.setdefault(_stored_path(version, inner), []).append(target)
        options = GetOptions(overwrite=True, progress=_tell(callback, done))
        os.makedirs(root, exist_ok=True)  # noqa: PTH103 - the same
        with as_os_errors():
            selection = ChosenFiles(version, targets)
            _check(get_selection(parts, version, selection, root, options))
        done += len(files)


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


def _tell(callback: Callback, before: int) -> ProgressSink:
    def sink(progress: Progress) -> None:
        callback.absolute_update(before + progress.done_files)

    return sink


def _check(outcome: GetOutcome) -> None:
    if outcome.skipped:
        problems = tuple(f"{one.path}: {one.reason}" for one in outcome.skipped)
        raise IncompleteError(
            f"not everything could be made: {format_some(problems, separator='; ')}",
            problems=problems,
        )


def folder_for(rpath: str, lpath: str | os.PathLike[str]) -> str:
    """Return where the content of a folder goes, by the rules of fsspec: into a folder of its name
    if the target is there and the source does not end with a slash.
    """
    target = os.fspath(lpath)
    is_there = trailing_sep(target) or LocalFileSystem().isdir(target)
    target = make_path_posix(target)
    if is_there and not trailing_sep(rpath):
        return f"{target.rstrip('/')}/{rpath.rstrip('/').rpartition('/')[2]}"
    return str(target)
