"""Objects as files in a folder of this machine, durable before a call returns.

An object is written to a file of its own in `<root>/.tmp`, synced, and put in place by one atomic
system call: `link` to create (it refuses an existing name), `rename` to replace. Then the folder
is synced, so that the name survives too. Spec: specs/protocol/backend.md.
"""

from __future__ import annotations

import errno
import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Self

from cas.backend.base import (
    STAGING_FOLDER,
    Buffer,
    Capabilities,
    StoredObject,
    check_key,
    check_prefix,
)
from cas.backend.durable import read_range, sync_folder, write_parts
from cas.backend.failures import as_cas_error
from cas.backend.staging import StagedFile, sweep_staged
from cas.errors import AlreadyExistsError, BackendError, ErrorCode, NotFoundError

# A link in the place of an object was not put there by us; whatever it leads to is not ours.
_READ = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
_NO_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS})
# Placing is tried again when a concurrent `delete` took the emptied folder away.
_PLACE_ATTEMPTS = 16


class LocalBackend:
    """A store in a folder. Safe for many threads and many processes at once.

    Nothing is made by opening it. The folder itself is made by the first `put` or `create` if
    `create_root`, else it must be there: a disk that is not mounted is not a new store.
    """

    def __init__(self, root: str | os.PathLike[str], *, create_root: bool = False) -> None:
        self._root = os.path.abspath(os.fspath(root))
        self._create_root = create_root
        self._links = hasattr(os, "link")
        self._swept = False
        self._lock = threading.Lock()
        self._durable_folders: set[str] = set()

    @property
    def url(self) -> str:
        """`file://` and the absolute path, not percent-encoded."""
        return f"file://{self._root}"

    @property
    def capabilities(self) -> Capabilities:
        """Everything, unless the file system turned out to have no hard links."""
        atomic = self._links or sys.platform == "win32"
        return Capabilities(create_if_absent=atomic, atomic_listing=False, local=True)

    def get(self, key: str, start: int = 0, stop: int | None = None) -> bytes:
        """Return bytes `start` to `stop` of an object: one open, one read."""
        if stop is not None and stop <= start:
            return b""
        path = self._path(check_key(key))
        try:
            descriptor = os.open(path, _READ)
        except OSError as error:
            raise as_cas_error(error, f"{self.url}/{key}") from error
        try:
            return read_range(descriptor, start, stop)
        except OSError as error:
            raise as_cas_error(error, f"{self.url}/{key}") from error
        finally:
            os.close(descriptor)

    def put(self, key: str, parts: Sequence[Buffer]) -> None:
        """Store the parts as one object, in the place of what was there."""
        self._store(check_key(key), parts, os.replace)

    def create(self, key: str, content: bytes) -> None:
        """Store `content` unless the key exists."""
        self._store(check_key(key), [content], self._place_new)

    def delete(self, key: str) -> None:
        """Remove an object, and the folders that it leaves empty."""
        path = self._path(check_key(key))
        try:
            os.unlink(path)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return
        except OSError as error:
            if os.path.isdir(path):  # macOS and Windows say of a folder that it is not permitted
                return
            raise as_cas_error(error, f"{self.url}/{key}") from error
        folder = key.rpartition("/")[0]
        # Any failure means that the folder is in use, which is as well: it is only kept.
        with suppress(OSError):
            while folder:
                os.rmdir(self._path(folder))
                with self._lock:
                    self._durable_folders.discard(folder)
                folder = folder.rpartition("/")[0]

    def list_objects(self, prefix: str) -> Iterator[StoredObject]:
        """Return what is under a folder, read as it goes: not one moment."""
        folders = [check_prefix(prefix)]
        while folders:
            yield from self._scan(folders.pop(), folders)

    def list_folders(self, prefix: str) -> list[str]:
        """Return the names of the sub-folders."""
        folders: list[str] = []
        start = f"{prefix}/" if check_prefix(prefix) else ""
        self._scan(prefix, folders, sizes=False)
        return sorted(folder[len(start) :] for folder in folders)

    def close(self) -> None:
        """Nothing to let go of."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __reduce__(self) -> tuple[object, ...]:
        return _reopen, (self._root, self._create_root)

    def _path(self, key: str) -> str:
        return f"{self._root}/{key}" if key else self._root

    def _scan(self, folder: str, folders: list[str], *, sizes: bool = True) -> list[StoredObject]:
        """Return the objects right in a folder; append its sub-folders to `folders`."""
        start = f"{folder}/" if folder else ""
        found = []
        try:
            with os.scandir(self._path(folder)) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        if folder or entry.name != STAGING_FOLDER:
                            folders.append(start + entry.name)
                    elif sizes and entry.is_file(follow_symlinks=False):
                        with suppress(FileNotFoundError):  # deleted since: then it is not there
                            status = entry.stat(follow_symlinks=False)
                            found.append(
                                StoredObject(start + entry.name, status.st_size, status.st_mtime_ns)
                            )
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise as_cas_error(error, f"{self.url}/{folder}") from error
        return found

    def _store(self, key: str, parts: Sequence[Buffer], place: Callable[[str, str], None]) -> None:
        try:
            with self._stage() as staged:
                write_parts(staged.descriptor, parts)
                staged.seal()
                self._place(staged.path, key, place)
        except OSError as error:
            raise self._as_write_error(error, f"{self.url}/{key}") from error

    def _stage(self) -> StagedFile:
        folder = self._path(STAGING_FOLDER)
        if not self._swept:
            # Once per instance: whoever was killed here left up to one object per thread.
            self._swept = True
            sweep_staged(folder)
        try:
            return StagedFile(folder)
        except FileNotFoundError:
            self._make_root()
            with suppress(FileExistsError):
                os.mkdir(folder)
            return StagedFile(folder)

    def _place(self, staged: str, key: str, place: Callable[[str, str], None]) -> None:
        folder = key.rpartition("/")[0]
        target = self._path(key)
        for attempt in range(_PLACE_ATTEMPTS):
            try:
                self._make_folder(folder)
                place(staged, target)
            except FileNotFoundError:
                with self._lock:  # it does not say which folder was missing
                    self._durable_folders.clear()
                if attempt == _PLACE_ATTEMPTS - 1:
                    raise
            except FileExistsError:
                # Whoever made it may not have synced it yet; what we report must be durable.
                self._sync_if_there(folder)
                raise
            else:
                break
        self._sync_if_there(folder)

    def _place_new(self, staged: str, target: str) -> None:
        """Move a staged file to a name that must not exist, atomically where that is possible."""
        if self._links:
            try:
                os.link(staged, target)
            except OSError as error:
                if error.errno not in _NO_LINKS:
                    raise
                self._links = False
            else:
                return
        # Windows' rename refuses an existing name. Elsewhere this is a check and no guarantee,
        # which `capabilities` says from now on.
        if sys.platform != "win32" and os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), target)
        os.rename(staged, target)

    def _make_folder(self, folder: str) -> None:
        """Make sure that a folder is there and durable, and so every one above it.

        Its parent is synced even if another process made it: that one may not have come so far,
        and our object would be lost with the folder. Once per folder and instance, 0.1 ms.
        """
        if not folder or folder in self._durable_folders:
            return
        parent = folder.rpartition("/")[0]
        self._make_folder(parent)
        with suppress(FileExistsError):
            os.mkdir(self._path(folder))
        sync_folder(self._path(parent))
        with self._lock:
            self._durable_folders.add(folder)

    def _make_root(self) -> None:
        if not self._create_root or os.path.isdir(self._root):
            return
        missing = []
        path = self._root
        while not os.path.isdir(path):
            missing.append(path)
            path = os.path.dirname(path)
        for path in reversed(missing):
            with suppress(FileExistsError):
                os.mkdir(path)
            sync_folder(os.path.dirname(path))

    def _sync_if_there(self, folder: str) -> None:
        """Make the names in a folder durable; one that is gone went with its last object."""
        with suppress(FileNotFoundError):
            sync_folder(self._path(folder))

    def _as_write_error(self, error: OSError, where: str) -> Exception:
        if isinstance(error, FileExistsError):
            return AlreadyExistsError(f"{where}: exists already", code=ErrorCode.OBJECT_EXISTS)
        if isinstance(error, (FileNotFoundError, NotADirectoryError, IsADirectoryError)):
            if not os.path.isdir(self._root):
                return NotFoundError(
                    f"{self.url}: there is no such folder", code=ErrorCode.STORE_NOT_FOUND
                )
            return BackendError(
                f"{where}: a folder stands where a file belongs, or the other way round",
                code=ErrorCode.BACKEND_FAILED,
            )
        return as_cas_error(error, where)


def _reopen(root: str, create_root: bool) -> LocalBackend:  # noqa: FBT001 - pickle's way
    return LocalBackend(root, create_root=create_root)
