"""What fsspec calls the details of a path: maps of name, size, type, time and hash."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cas.as_files.failures import no_such_path
from cas.errors import InvalidInputError, NotFoundError
from cas.filesystem.places import VersionPlace
from cas.format.manifest import MODE_EXECUTABLE, Page
from cas.model.entry import EntryKind, path_to_bytes, path_to_text
from cas.operations.list_folder import is_folder, iter_children
from cas.operations.read_file import find_file

Details = dict[str, Any]


def describe(place: VersionPlace) -> Details:
    """Return the details of a file or folder of a version.

    Raises:
        MissingPathError: there is none.
    """
    path = path_to_bytes(place.inner)
    pages = place.version.pages
    if not path:
        return describe_version(place)
    found = pages.find(path)
    if found is not None:
        return _entry(place, *found)
    if is_folder(pages, path):
        return _folder(place, place.inner)
    record = place.version.record
    raise no_such_path(place.path(place.inner), f"cas ls {record.ref} lists what it has")


def describe_version(place: VersionPlace) -> Details:
    """Return the details of a version as a folder."""
    record = place.version.record
    return _folder(place, "") | {"version": record.number, "digest": record.digest.hex}


def describe_folder(path: str) -> Details:
    """Return the details of a folder that lies in no version."""
    return {"name": path, "size": 0, "type": "directory"}


def iter_below(place: VersionPlace, depth: int | None) -> Iterator[Details]:
    """Yield the details of what lies below a folder, up to `depth` levels; of folders too."""
    if depth is None:
        yield from _iter_all(place)
    else:
        for child in iter_children(place.version.pages, path_to_bytes(place.inner), depth):
            if child.entry is None:
                yield _folder(place, path_to_text(child.path))
            else:
                yield _entry(place, *child.entry)


def _iter_all(place: VersionPlace) -> Iterator[Details]:
    folder = path_to_bytes(place.inner)
    prefix = folder + b"/" if folder else b""
    seen = {folder}
    for page in place.version.pages.iter_pages(folder):
        for row, path in enumerate(page.paths):
            if not path.startswith(prefix):
                continue
            above = path.rpartition(b"/")[0]
            while above not in seen and above:
                seen.add(above)
                yield _folder(place, path_to_text(above))
                above = above.rpartition(b"/")[0]
            yield _entry(place, page, row)


def _folder(place: VersionPlace, inner: str) -> Details:
    return describe_folder(place.path(inner)) | _times(place)


def _times(place: VersionPlace) -> Details:
    seconds = place.version.record.created_ns / 1e9
    return {"created": seconds, "mtime": seconds}


def _entry(place: VersionPlace, page: Page, row: int) -> Details:
    inner = path_to_text(page.paths[row])
    kind = page.kinds[row]
    if kind == EntryKind.DIRECTORY:
        return _folder(place, inner)
    details: Details = {"name": place.path(inner), "size": int(page.sizes[row]), "type": "other"}
    details |= _times(place)
    if kind == EntryKind.FILE:
        details |= _of_file(page, row)
        return details
    start, stop = page.inline_starts[row : row + 2].tolist()
    details["destination"] = path_to_text(page.inline[start:stop])
    if kind == EntryKind.SYMLINK:
        details["islink"] = True
        try:
            page, row = place.version.pages.following_moves(lambda: find_file(place.version, inner))
        except (NotFoundError, InvalidInputError):
            return details  # it leads to no file of this version
        details |= _of_file(page, row)
    return details


def _of_file(page: Page, row: int) -> Details:
    return {
        "type": "file",
        "size": int(page.sizes[row]),
        "blake3": page.hashes[row].tobytes().hex(),
        "executable": bool(page.modes[row] & MODE_EXECUTABLE),
    }
