"""Local trees on the way in: which files there are, with what the journal needs to know of them.

Paths are bytes throughout: a file name is any bytes that the file system allows.
"""

from __future__ import annotations

import os
import stat
from array import array
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cas.errors import ErrorCode, InvalidInputError, NotFoundError
from cas.model.entry import EntryKind, path_to_text
from cas.transfer.ignore import Ignore
from cas.transfer.stamp import INODE_MASK, FileStamp
from cas.transfer.target import TEMPORARY_NAME, TEMPORARY_PREFIX

MAXIMUM_PATH_BYTES = 4096
MAXIMUM_LEVELS = 1000
IGNORE_FILE = b".casignore"
SEPARATOR = os.fsencode(os.sep)


@dataclass(frozen=True, slots=True)
class SkippedFile:
    """A path that was left out, and why."""

    path: str
    reason: str


@dataclass(slots=True, eq=False)
class LocalTree:
    """Everything below one or several local paths, sorted by stored path.

    Columns have one row for each entry: `kinds` and `modes` uint8, the others int64.

    Attributes:
        key: names the set of sources, for the journal.
        bases: the local folder that holds an entry, by the first component of its path; the empty
            component stands for all.
        linked: where a source that is a link to a file really lies, by stored path.
    """

    key: bytes
    bases: dict[bytes, bytes]
    paths: list[bytes]
    kinds: NDArray[np.uint8]
    modes: NDArray[np.uint8]
    sizes: NDArray[np.int64]
    mtimes: NDArray[np.int64]
    ctimes: NDArray[np.int64]
    inodes: NDArray[np.int64]
    skipped: list[SkippedFile] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    linked: dict[bytes, bytes] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.paths)

    def local_path(self, row: int) -> bytes:
        """Return where the entry of a row lies on this machine."""
        path = self.paths[row]
        if self.linked and path in self.linked:
            return self.linked[path]
        base = self.bases.get(b"")
        if base is None:
            base = self.bases[path.partition(b"/")[0]]
        return os.path.join(base, path) if base.endswith(SEPARATOR) else base + SEPARATOR + path

    def stamp(self, row: int) -> FileStamp:
        """Return what the scan saw of an entry."""
        return FileStamp(
            self.sizes.item(row),
            self.mtimes.item(row),
            self.ctimes.item(row),
            self.inodes.item(row),
        )

    @property
    def total_bytes(self) -> int:
        """Bytes of all regular files."""
        return int(self.sizes[self.kinds == EntryKind.FILE].sum())


def scan_tree(
    sources: Sequence[str | os.PathLike[str]],
    *,
    exclude: Sequence[str] = (),
    check: Callable[[], None] = lambda: None,
) -> LocalTree:
    """List what lies below the sources.

    One folder gives its content; one file gives itself; several paths give each under its own
    name. Symbolic links are kept as links, except where a source itself is one.

    Args:
        sources: paths of files or folders.
        exclude: patterns in the manner of gitignore, besides those of `.casignore` files.
        check: called now and then; raises to stop the scan.

    Raises:
        NotFoundError: a source does not exist.
        InvalidInputError: two sources have one name, or the tree is too deep.
    """
    scan = _Scan(Ignore(exclude), check)
    bases: dict[bytes, bytes] = {}
    absolute = [os.fsencode(os.path.abspath(source)) for source in sources]
    if len(absolute) == 1 and os.path.isdir(absolute[0]):
        bases[b""] = absolute[0]
        scan.add_folder(absolute[0], b"")
    else:
        for path in absolute:
            name = os.path.basename(path)
            if name in bases or not name:
                raise InvalidInputError(
                    f"several sources are called {path_to_text(name)!r}",
                    code=ErrorCode.INVALID_PATH,
                    hint="put the folder that holds them, or put them one by one",
                )
            bases[name] = os.path.dirname(path)
            scan.add_source(path, name)
    return scan.tree(b"\0".join(absolute), bases)


class _Scan:
    """Collects entries; columns are arrays of 64-bit numbers, so a million files stay small."""

    def __init__(self, ignore: Ignore, check: Callable[[], None]) -> None:
        self._ignore = ignore
        self._check = check
        self._paths: list[bytes] = []
        self._kinds = bytearray()
        self._modes = bytearray()
        self._numbers = array("q")
        self._skipped: list[SkippedFile] = []
        self._problems: list[str] = []
        self._linked: dict[bytes, bytes] = {}

    def add_source(self, path: bytes, name: bytes) -> None:
        try:
            status = os.stat(path)
        except FileNotFoundError as error:
            raise NotFoundError(
                f"{path_to_text(path)} does not exist", code=ErrorCode.PATH_NOT_FOUND
            ) from error
        if stat.S_ISDIR(status.st_mode):
            self.add_folder(path, name)
        else:
            if os.path.islink(path):
                self._linked[name] = os.path.realpath(path)
            self._add(name, status)

    def add_folder(self, top: bytes, name: bytes) -> None:
        stack: list[tuple[bytes, bytes, int, Ignore]] = [(top, name, 1, self._ignore)]
        while stack:
            folder, path, level, ignore = stack.pop()
            self._check()
            if level > MAXIMUM_LEVELS or len(path) > MAXIMUM_PATH_BYTES:
                raise InvalidInputError(
                    f"{path_to_text(path)[:60]}... is nested more than {MAXIMUM_LEVELS} levels "
                    f"or {MAXIMUM_PATH_BYTES} bytes deep",
                    code=ErrorCode.INVALID_PATH,
                    hint="exclude it, or pack it into one file",
                )
            before = len(self._paths)
            folders = self._list(folder, path, ignore)
            stack += [(f, p, level + 1, i) for f, p, i in folders]
            if not folders and len(self._paths) == before and path:
                self._append(path, EntryKind.DIRECTORY, 0, (0, 0, 0, 0))

    def _list(
        self, folder: bytes, path: bytes, ignore: Ignore
    ) -> list[tuple[bytes, bytes, Ignore]]:
        prefix = path + b"/" if path else b""
        folders: list[tuple[bytes, bytes, Ignore]] = []
        try:
            with os.scandir(folder) as listing:
                found = list(listing)
        except OSError as error:
            self._problems.append(f"{path_to_text(path) or '.'}: {error.strerror}")
            return folders
        if any(one.name == IGNORE_FILE and one.is_file() for one in found):
            file = Path(os.fsdecode(folder)) / os.fsdecode(IGNORE_FILE)
            try:
                ignore = ignore.with_file(file, prefix)
            except OSError as error:
                self._problems.append(f"{path_to_text(prefix + IGNORE_FILE)}: {error.strerror}")
        for one in found:
            child = prefix + one.name
            try:
                is_folder = one.is_dir(follow_symlinks=False)
                if ignore.matches(child, is_folder=is_folder):
                    continue
                if one.name.startswith(TEMPORARY_PREFIX) and TEMPORARY_NAME.fullmatch(one.name):
                    reason = "left behind by an interrupted get, which goes on from it"
                    self._skipped.append(SkippedFile(path_to_text(child), reason))
                elif is_folder:
                    folders.append((one.path, child, ignore))
                else:
                    self._add(child, one.stat(follow_symlinks=False))
            except OSError as error:
                self._problems.append(f"{path_to_text(child)}: {error.strerror}")
        return folders

    def _add(self, path: bytes, status: os.stat_result) -> None:
        mode = status.st_mode
        if stat.S_ISREG(mode):
            kind = EntryKind.FILE
        elif stat.S_ISLNK(mode):
            kind = EntryKind.SYMLINK
        else:
            reason = "not a regular file, folder or link"
            self._skipped.append(SkippedFile(path_to_text(path), reason))
            return
        executable = 1 if kind is EntryKind.FILE and mode & stat.S_IXUSR else 0
        times = (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
        self._append(path, kind, executable, times)

    def _append(self, path: bytes, kind: EntryKind, mode: int, numbers: Iterable[int]) -> None:
        if len(path) > MAXIMUM_PATH_BYTES:
            self._problems.append(
                f"{path_to_text(path)[:60]}...: path longer than {MAXIMUM_PATH_BYTES} bytes"
            )
            return
        self._paths.append(path)
        self._kinds.append(kind)
        self._modes.append(mode)
        size, mtime, ctime, inode = numbers
        self._numbers.extend((size, mtime, ctime, inode & INODE_MASK))

    def tree(self, key: bytes, bases: dict[bytes, bytes]) -> LocalTree:
        order = sorted(range(len(self._paths)), key=self._paths.__getitem__)
        rows = np.array(order, np.int64)
        numbers = np.array(self._numbers, np.int64).reshape(-1, 4)[rows]
        return LocalTree(
            key=key,
            bases=bases,
            paths=[self._paths[row] for row in order],
            kinds=np.frombuffer(bytes(self._kinds), np.uint8)[rows],
            modes=np.frombuffer(bytes(self._modes), np.uint8)[rows],
            sizes=np.ascontiguousarray(numbers[:, 0]),
            mtimes=np.ascontiguousarray(numbers[:, 1]),
            ctimes=np.ascontiguousarray(numbers[:, 2]),
            inodes=np.ascontiguousarray(numbers[:, 3]),
            skipped=self._skipped,
            problems=self._problems,
            linked=self._linked,
        )
