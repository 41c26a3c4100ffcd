"""Local trees on the way out: files appear whole or not at all, and never outside the target.

Every folder below the target is opened relative to the one above it without following links; a
file is written under a temporary name beside its place and renamed. Where the system has no such
calls (Windows), the folders' full paths are checked instead.
"""

from __future__ import annotations

import errno
import os
import re
import stat
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from cas.environment import random_bytes
from cas.errors import AlreadyExistsError, ErrorCode, InvalidInputError
from cas.locks import lock_alone, lock_shared, unlock
from cas.model.entry import path_to_text
from cas.transfer.copying import copy_range, read_at, write_at

TEMPORARY_PREFIX = b".cas-get-"
TEMPORARY_NAME = re.compile(re.escape(TEMPORARY_PREFIX) + rb"[0-9a-f]{12}-([0-9]+|link)")
OPEN_FOLDERS = 128

_HAS_DIR_FD = os.open in os.supports_dir_fd and hasattr(os, "O_DIRECTORY")
_CLOEXEC = getattr(os, "O_CLOEXEC", 0)
_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)
_BINARY = getattr(os, "O_BINARY", 0)
_NONBLOCK = getattr(os, "O_NONBLOCK", 0)  # opening a pipe must not wait for its writer
# What systems say when a folder is opened without following links and there is none.
_NO_FOLDER = frozenset({errno.ENOTDIR, errno.ELOOP, errno.EMLINK, errno.EEXIST})


class _Folder:
    """An open folder, counted so that it is closed when the last user is gone."""

    __slots__ = ("descriptor", "is_shared", "path", "users")

    def __init__(self, descriptor: int, path: bytes) -> None:
        self.descriptor = descriptor
        self.path = path
        self.users = 1
        self.is_shared = False

    def share(self) -> None:
        """Let others know that somebody is at work here, for as long as the folder is open."""
        if not self.is_shared and self.descriptor >= 0:
            self.is_shared = lock_shared(self.descriptor)

    @contextmanager
    def alone(self) -> Iterator[bool]:
        """Tell whether nobody else is at work here; if so, nobody begins while the block lasts."""
        if self.descriptor < 0:
            yield False
            return
        was_shared, self.is_shared = self.is_shared, False
        try:
            yield lock_alone(self.descriptor)
        finally:
            if was_shared:
                self.share()
            else:
                unlock(self.descriptor)


class PendingFile:
    """A file under its temporary name. Thread-safe: many threads may write parts of it."""

    __slots__ = ("_target", "descriptor", "folder", "path", "temporary")

    def __init__(
        self, target: TargetTree, path: bytes, folder: _Folder, temporary: bytes, descriptor: int
    ) -> None:
        self._target = target
        self.path = path
        self.folder = folder
        self.temporary = temporary
        self.descriptor = descriptor

    def write_at(self, content: memoryview, offset: int) -> None:
        """Write bytes at an offset.

        Raises:
            OSError: it cannot be; names the file, of which the system knows a number only.
        """
        try:
            write_at(self.descriptor, content, offset)
        except OSError as error:
            if error.filename is None:
                error.filename = self._target.name_of(self.path)
            raise

    def copy_from(self, source: int, start: int, offset: int, length: int) -> bool:
        """Copy bytes out of another open file to an offset; False if it ends before them."""
        return copy_range(source, start, self.descriptor, offset, length) == length

    def read_at(self, length: int, offset: int) -> bytes:
        """Return what was written at an offset, up to `length` bytes."""
        return read_at(self.descriptor, length, offset)

    def resize(self, size: int) -> None:
        """Give the file its size; what is never written stays a hole."""
        os.ftruncate(self.descriptor, size)

    def commit(self) -> None:
        """Let the file appear under its name; if it cannot, `discard` is still to be called."""
        self._close()
        self._target.rename(self.folder, self.temporary, os.path.basename(self.path))
        self._target.leave(self.folder)

    def discard(self) -> None:
        """Remove what was written."""
        with suppress(OSError):
            self._close()
        with suppress(OSError):
            self._target.unlink(self.folder, self.temporary)
        self._target.leave(self.folder)

    def keep(self) -> None:
        """Leave what was written under its temporary name, for the next get to find."""
        with suppress(OSError):
            self._close()
        self._target.leave(self.folder)

    def _close(self) -> None:
        # Once only: the number may belong to another thread's file by the second time.
        descriptor, self.descriptor = self.descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


class TargetTree:
    """A folder that receives files, links and folders by relative path. Thread-safe."""

    def __init__(self, root: bytes) -> None:
        self._root = root
        self._lock = threading.Lock()
        self._folders: OrderedDict[bytes, _Folder] = OrderedDict()
        self._suffix = random_bytes(6).hex().encode()
        self._counter = 0
        os.makedirs(root, exist_ok=True)
        flags = os.O_RDONLY | _CLOEXEC | getattr(os, "O_DIRECTORY", 0)
        self._root_folder = _Folder(os.open(root, flags) if _HAS_DIR_FD else -1, b"")

    def name_of(self, path: bytes) -> str:
        """Return the whole name of a file, for people."""
        return os.fsdecode(os.path.join(self._root, path))

    def close(self) -> None:
        """Close every open folder."""
        with self._lock:
            folders = [*self._folders.values(), self._root_folder]
            self._folders.clear()
        for folder in folders:
            self.leave(folder)

    def create(self, path: bytes, *, executable: bool) -> PendingFile:
        """Begin a file. Its mode is 0666 or 0777 less the umask, never more.

        Raises:
            AlreadyExistsError: something that is no folder stands where a folder must be.
        """
        folder = self.enter(os.path.dirname(path))
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | _CLOEXEC | _NOFOLLOW | _BINARY
        try:
            folder.share()
            with self._lock:
                self._counter += 1
                number = self._counter
            temporary = TEMPORARY_PREFIX + self._suffix + b"-%d" % number
            descriptor = self._open(folder, temporary, flags, 0o777 if executable else 0o666)
        except BaseException:
            self.leave(folder)
            raise
        return PendingFile(self, path, folder, temporary, descriptor)

    def make_folder(self, path: bytes) -> None:
        """Make a folder and those above it; fine if it is there."""
        self.leave(self.enter(path))

    def make_link(self, path: bytes, target: bytes) -> None:
        """Make a symbolic link, replacing a link that stands there."""
        folder = self.enter(os.path.dirname(path))
        name = os.path.basename(path)
        temporary = TEMPORARY_PREFIX + self._suffix + b"-link"
        try:
            if folder.descriptor >= 0:
                os.symlink(target, temporary, dir_fd=folder.descriptor)
            else:
                os.symlink(target, os.path.join(self._root, os.path.dirname(path), temporary))
            try:
                self.rename(folder, temporary, name)
            except BaseException:
                self.unlink(folder, temporary)
                raise
        finally:
            self.leave(folder)

    def status(self, path: bytes) -> os.stat_result | None:
        """Return the stat of what stands at a path, a link itself, or None.

        Raises:
            AlreadyExistsError: something that is no folder stands where a folder must be.
        """
        try:
            folder = self.enter(os.path.dirname(path), make=False)
        except FileNotFoundError:
            return None
        try:
            if folder.descriptor >= 0:
                return os.stat(
                    os.path.basename(path), dir_fd=folder.descriptor, follow_symlinks=False
                )
            return os.lstat(os.path.join(self._root, path))
        except FileNotFoundError:
            return None
        finally:
            self.leave(folder)

    def read_link(self, path: bytes) -> bytes:
        """Return where the link at a path points."""
        folder = self.enter(os.path.dirname(path), make=False)
        try:
            if folder.descriptor >= 0:
                return os.readlink(os.path.basename(path), dir_fd=folder.descriptor)
            return os.readlink(os.path.join(self._root, path))
        finally:
            self.leave(folder)

    def open_existing(self, path: bytes) -> int:
        """Open a regular file for reading without following a link; return its descriptor."""
        folder = self.enter(os.path.dirname(path), make=False)
        try:
            return self._open(
                folder,
                os.path.basename(path),
                os.O_RDONLY | _CLOEXEC | _NOFOLLOW | _BINARY | _NONBLOCK,
                0,
                parent=os.path.dirname(path),
            )
        finally:
            self.leave(folder)

    @contextmanager
    def left_behind(self, path: bytes) -> Iterator[list[bytes]]:
        """Give the names of temporary files in a folder, if nobody else is at work in it.

        Nobody begins to be while the block lasts. A folder that is not there has none.
        """
        try:
            folder = self.enter(path, make=False)
        except (OSError, AlreadyExistsError):
            yield []
            return
        try:
            with folder.alone() as is_alone:
                yield _temporaries(folder.descriptor) if is_alone else []
        finally:
            self.leave(folder)

    def remove(self, path: bytes) -> None:
        """Remove a file below the target; fine if it is gone."""
        with suppress(FileNotFoundError):
            folder = self.enter(os.path.dirname(path), make=False)
            try:
                self.unlink(folder, os.path.basename(path))
            finally:
                self.leave(folder)

    def set_executable(self, path: bytes, *, executable: bool) -> None:
        """Set or clear the executable bits of a regular file that stands at a path."""
        descriptor = self.open_existing(path)
        try:
            mode = stat.S_IMODE(os.fstat(descriptor).st_mode) & 0o777
            mode = mode | (mode & 0o444) >> 2 if executable else mode & ~0o111
            if hasattr(os, "fchmod"):
                os.fchmod(descriptor, mode)
        finally:
            os.close(descriptor)

    # -- folders

    def enter(self, path: bytes, *, make: bool = True) -> _Folder:
        """Open a folder below the target, making it and those above it if `make`."""
        known = path
        missing: list[bytes] = []
        with self._lock:
            while known and known not in self._folders:
                missing.append(known)
                known = known.rpartition(b"/")[0]
            folder = self._folders[known] if known else self._root_folder
            folder.users += 1
            if known:
                self._folders.move_to_end(known)
        for child in reversed(missing):
            folder = self._enter_child(folder, child, make=make)
        return folder

    def _enter_child(self, parent: _Folder, path: bytes, *, make: bool) -> _Folder:
        """Open a folder below one that was entered, which is left."""
        try:
            folder = _Folder(self._open_folder(parent, path, make=make), path)
        finally:
            self.leave(parent)
        dropped = None
        with self._lock:
            if path not in self._folders:
                folder.users += 1
                self._folders[path] = folder
                if len(self._folders) > OPEN_FOLDERS:
                    _, dropped = self._folders.popitem(last=False)
        if dropped is not None:
            self.leave(dropped)
        return folder

    def leave(self, folder: _Folder) -> None:
        """Say that a folder got from `enter` is no longer used."""
        with self._lock:
            folder.users -= 1
            last = folder.users == 0
        if last and folder.descriptor >= 0:
            os.close(folder.descriptor)

    def rename(self, folder: _Folder, old: bytes, new: bytes) -> None:
        """Rename within a folder, replacing a file or link."""
        if folder.descriptor >= 0:
            os.rename(old, new, src_dir_fd=folder.descriptor, dst_dir_fd=folder.descriptor)
        else:
            base = self._path_of(folder)
            os.replace(os.path.join(base, old), os.path.join(base, new))

    def unlink(self, folder: _Folder, name: bytes) -> None:
        """Remove a file of a folder."""
        if folder.descriptor >= 0:
            os.unlink(name, dir_fd=folder.descriptor)
        else:
            os.unlink(os.path.join(self._path_of(folder), name))

    def _open_folder(self, parent: _Folder, path: bytes, *, make: bool) -> int:
        name = os.path.basename(path)
        if parent.descriptor < 0:
            return self._open_folder_by_path(path, make=make)
        flags = os.O_RDONLY | os.O_DIRECTORY | _NOFOLLOW | _CLOEXEC
        for _ in range(2):
            try:
                return os.open(name, flags, dir_fd=parent.descriptor)
            except FileNotFoundError:
                if not make:
                    raise
                with suppress(FileExistsError):
                    os.mkdir(name, dir_fd=parent.descriptor)
            except OSError as error:
                if error.errno not in _NO_FOLDER:
                    raise
                raise _in_the_way(path) from error
        raise _in_the_way(path)

    def _open_folder_by_path(self, path: bytes, *, make: bool) -> int:
        full = os.path.join(self._root, path)
        if os.path.realpath(full) != os.path.join(
            os.path.realpath(self._root), os.path.normpath(path)
        ) or (os.path.lexists(full) and not os.path.isdir(full)):
            raise _in_the_way(path)
        if make:
            os.makedirs(full, exist_ok=True)
        elif not os.path.isdir(full):
            raise FileNotFoundError(full)
        return -1

    def _open(
        self, folder: _Folder, name: bytes, flags: int, mode: int, parent: bytes | None = None
    ) -> int:
        if folder.descriptor >= 0:
            return os.open(name, flags, mode, dir_fd=folder.descriptor)
        base = self._path_of(folder) if parent is None else os.path.join(self._root, parent)
        return os.open(os.path.join(base, name), flags, mode)

    def _path_of(self, folder: _Folder) -> bytes:
        """Where a folder without descriptor lies (systems without directory descriptors)."""
        return os.path.join(self._root, folder.path)


def _in_the_way(path: bytes) -> AlreadyExistsError:
    return AlreadyExistsError(
        f"{path_to_text(path)} in the target is a file or a link, and a folder must be there",
        code=ErrorCode.TARGET_EXISTS,
        hint="move it away, or get into another folder",
    )


def _temporaries(descriptor: int) -> list[bytes]:
    with os.scandir(descriptor) as found:
        names = [os.fsencode(one.name) for one in found]
    return [name for name in names if name.startswith(TEMPORARY_PREFIX)]


def require_folder(path: bytes) -> None:
    """Refuse a target that exists and is no folder.

    Raises:
        InvalidInputError: it is a file.
    """
    if os.path.lexists(path) and not os.path.isdir(path):
        raise InvalidInputError(
            f"{path_to_text(path)} is not a folder",
            code=ErrorCode.TARGET_EXISTS,
            hint="name a folder, or one that does not exist yet",
        )
