"""`get` of the filesystem: what fsspec would copy file by file is fetched by one plan."""

from __future__ import annotations

import os
from collections.abc import Sequence

from fsspec.callbacks import Callback
from fsspec.implementations.local import LocalFileSystem, make_path_posix, trailing_sep

from cas.as_files.downloads import check_complete, find_pairs, get_chosen, tell_files
from cas.as_files.failures import as_os_errors
from cas.filesystem.places import VersionPlace
from cas.objects.parts import StoreParts
from cas.operations.get import get
from cas.operations.outcomes import GetOptions
from cas.operations.pinned import PinnedVersion

__all__ = ["find_pairs", "folder_for", "get_files", "get_folder"]


def get_folder(parts: StoreParts, place: VersionPlace, dest: str, callback: Callback) -> None:
    """Write a folder of a version into a local folder; links stay links, as with `cas get`.

    Raises:
        ObstructedError: something of another kind is in the way.
        IncompleteError: some of it cannot be made here; the rest is done.
    """
    callback.set_size(place.version.record.totals.files if not place.inner else None)
    options = GetOptions(overwrite=True, progress=tell_files(callback, 0))
    with as_os_errors():
        check_complete(get(parts, place.version, place.inner, dest, options))


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
        get_chosen(parts, version, files, tell_files(callback, done))
        done += len(files)


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
