"""Trees of objects behind URLs on the way in: what a listing says of them, as a tree's columns.

A listing stands for the scan of a folder. What marks an object's content there (etag, generation)
takes the inode's place in the stamp, so the journal needs no columns of its own.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from blake3 import blake3

from cas.errors import CasError, ErrorCode, InvalidInputError
from cas.model.entry import EntryKind, path_to_bytes, path_to_text
from cas.transfer.ignore import Ignore
from cas.transfer.stamp import INODE_MASK, FileStamp
from cas.transfer.tree import IGNORE_FILE, MAXIMUM_PATH_BYTES, LocalTree, SkippedFile

if TYPE_CHECKING:
    from cas.backend.found import FoundObject
    from cas.backend.places import Place

CHECK_EVERY = 4096
MAXIMUM_IGNORE_BYTES = 1 << 20
SECOND_NS = 1_000_000_000
# Where only the time tells of a change, another machine's clock must be this far past it.
CLOCK_MARGIN_NS = 60 * SECOND_NS
# Later than any moment at which a file is read: the journal never takes such a file as unchanged.
NEVER_NS = 1 << 62


@dataclass(slots=True, eq=False)
class RemoteTree(LocalTree):
    """Objects at or below one or several URLs. There are only files, none of them executable.

    Attributes:
        places: the place that holds an entry, by the first component of its path; the empty
            component stands for all.
    """

    places: dict[bytes, Place] = field(default_factory=dict)

    def object_of(self, row: int) -> tuple[Place, str]:
        """Return where the content of a row is: a place, and the path in it."""
        path = self.paths[row]
        place = self.places.get(b"")
        if place is not None:
            return place, path_to_text(path)
        name, _, inside = path.partition(b"/")
        return self.places[name], path_to_text(inside)


def stamp_of_object(found: FoundObject) -> FileStamp:
    """Return what tells that an object changed, in the form of a file's stamp."""
    mtime = found.mtime_ns
    if found.mark:
        digest = blake3(found.mark.encode("utf-8", "surrogatepass")).digest(length=8)
        # Zero says that there is no mark.
        mark = max(1, int.from_bytes(digest, "little") & INODE_MASK)
        return FileStamp(found.size or 0, mtime or 0, mtime or 0, mark)
    if mtime is None:
        return FileStamp(found.size or 0, 0, NEVER_NS, 0)
    return FileStamp(found.size or 0, mtime, mtime + CLOCK_MARGIN_NS, 0)


def is_same_object(one: FileStamp, other: FileStamp) -> bool:
    """Tell whether two stamps show one writing of an object, as far as both tell.

    A listing may be finer in time than a look. A mark alone does not do: a checksum comes back when
    the content does, after ranges of another were read.
    """
    if one.size != other.size or (one.inode and other.inode and one.inode != other.inode):
        return False
    if not (one.mtime and other.mtime):
        return True
    return one.mtime // SECOND_NS == other.mtime // SECOND_NS


def scan_places(
    places: Sequence[Place],
    *,
    exclude: Sequence[str] = (),
    check: Callable[[], None] = lambda: None,
) -> RemoteTree:
    """List the objects of the places.

    One prefix gives what is below it; one object gives itself; several URLs give each under its
    own name. Names that no version can hold are noted as skipped.

    Args:
        exclude: patterns in the manner of gitignore, besides those of `.casignore` objects.
        check: called now and then; raises to stop the scan.

    Raises:
        NotFoundError: there is nothing of that name.
        InvalidInputError: two URLs have one name.
        BackendError: a listing failed.
    """
    scan = _Scan(Ignore(exclude), check)
    by_name: dict[bytes, Place] = {}
    for place in places:
        found = place.find()
        is_object = len(found) == 1 and not found[0].path
        if len(places) == 1 and not is_object:
            by_name[b""] = place
            scan.add_folder(place, found, b"")
            break
        name = _check_name(place, by_name)
        by_name[name] = place
        if is_object:
            scan.add(name, found[0])
        else:
            scan.add_folder(place, found, name)
    return scan.tree(b"\0\0".join(place.url.encode() for place in places), by_name)


def _check_name(place: Place, known: dict[bytes, Place]) -> bytes:
    name = path_to_bytes(place.name)
    if _unfit(name) is not None:
        raise InvalidInputError(
            f"{place.url} has no name that a file could have", code=ErrorCode.INVALID_PATH
        )
    if name in known:
        raise InvalidInputError(
            f"several sources are called {place.name!r}",
            code=ErrorCode.INVALID_PATH,
            hint="put the prefix that holds them, or put them one by one",
        )
    return name


def _unfit(path: bytes) -> str | None:
    """Say why a version cannot hold a path, or None."""
    if len(path) > MAXIMUM_PATH_BYTES:
        return f"its name is longer than {MAXIMUM_PATH_BYTES} bytes"
    if b"\0" in path or any(part in (b"", b".", b"..") for part in path.split(b"/")):
        return "its name cannot be a path: it has an empty, '.' or '..' component or a NUL"
    return None


class _Scan:
    """Collects objects; numbers go into arrays, so that a million of them stay small."""

    def __init__(self, ignore: Ignore, check: Callable[[], None]) -> None:
        self._ignore = ignore
        self._check = check
        self._paths: list[bytes] = []
        self._numbers = array("q")
        self._skipped: list[SkippedFile] = []
        self._problems: list[str] = []

    def add_folder(self, place: Place, found: Sequence[FoundObject], name: bytes) -> None:
        """Add what is below a prefix, under `name`."""
        prefix = name + b"/" if name else b""
        fitting: list[tuple[bytes, FoundObject]] = []
        for number, one in enumerate(found):
            if number % CHECK_EVERY == 0:
                self._check()
            try:
                path = prefix + path_to_bytes(one.path)
            except UnicodeEncodeError:
                path = b""
            reason = _unfit(path) or (None if one.is_file else "it is not a plain file")
            if reason is not None:
                self._skipped.append(SkippedFile(one.path, reason))
            else:
                fitting.append((path, one))
        folders = _Folders(place, self._ignore, prefix, [path for path, _ in fitting])
        for path, one in fitting:
            if path in folders.above:
                reason = "other objects lie below it, as if it were a folder"
                self._skipped.append(SkippedFile(one.path, reason))
            elif not folders.leaves_out(path):
                self.add(path, one)
        self._problems += folders.problems

    def add(self, path: bytes, found: FoundObject) -> None:
        """Add one object."""
        if found.size is None:
            self._problems.append(
                f"{path_to_text(path)}: its server does not tell its size; "
                f"pipe it: ... | cas put - NAME --path FILE"
            )
            return
        self._paths.append(path)
        self._numbers.extend(stamp_of_object(found))

    def tree(self, key: bytes, places: dict[bytes, Place]) -> RemoteTree:
        """Return all of it, sorted."""
        order = sorted(range(len(self._paths)), key=self._paths.__getitem__)
        numbers = np.array(self._numbers, np.int64).reshape(-1, 4)[np.array(order, np.int64)]
        return RemoteTree(
            key=key,
            bases={},
            paths=[self._paths[row] for row in order],
            kinds=np.full(len(order), EntryKind.FILE, np.uint8),
            modes=np.zeros(len(order), np.uint8),
            sizes=np.ascontiguousarray(numbers[:, 0]),
            mtimes=np.ascontiguousarray(numbers[:, 1]),
            ctimes=np.ascontiguousarray(numbers[:, 2]),
            inodes=np.ascontiguousarray(numbers[:, 3]),
            skipped=self._skipped,
            problems=self._problems,
            places=places,
        )


class _Folders:
    """The folders that the names of objects imply, and what each leaves out."""

    def __init__(self, place: Place, ignore: Ignore, prefix: bytes, paths: list[bytes]) -> None:
        self._place = place
        self._prefix = prefix
        self._known: dict[bytes, Ignore | None] = {}
        self._top = prefix.rstrip(b"/")
        self._ignore = ignore
        self._with_file = {
            path.rpartition(b"/")[0] for path in paths if path.rpartition(b"/")[2] == IGNORE_FILE
        }
        self.problems: list[str] = []
        self.above: set[bytes] = set()
        for path in paths:
            parent = path.rpartition(b"/")[0]
            while parent and parent not in self.above:
                self.above.add(parent)
                parent = parent.rpartition(b"/")[0]

    def leaves_out(self, path: bytes) -> bool:
        """Tell whether patterns leave an object out."""
        ignore = self._patterns(path.rpartition(b"/")[0])
        return ignore is None or ignore.matches(path, is_folder=False)

    def _patterns(self, folder: bytes) -> Ignore | None:
        """Return what holds in a folder; None if the folder itself is left out."""
        if folder in self._known:
            return self._known[folder]
        ignore: Ignore | None = self._ignore
        if folder != self._top:
            ignore = self._patterns(folder.rpartition(b"/")[0])
            if ignore is not None and ignore.matches(folder, is_folder=True):
                ignore = None
        if ignore is not None and folder in self._with_file:
            ignore = self._with_patterns(ignore, folder)
        self._known[folder] = ignore
        return ignore

    def _with_patterns(self, ignore: Ignore, folder: bytes) -> Ignore:
        path = (folder + b"/" if folder else b"") + IGNORE_FILE
        inside = path_to_text(path[len(self._prefix) :])
        try:
            content = self._place.read(inside, 0, MAXIMUM_IGNORE_BYTES)
        except CasError as error:
            self.problems.append(f"{path_to_text(path)}: {error}")
            return ignore
        lines = path_to_text(content).splitlines()
        below = folder + b"/" if folder else b""
        return ignore.with_lines(lines, below, f"{self._place.url}/{inside}")
