"""Where what is written to a draft lies until it is committed: a private folder of this machine.

The folder is locked while its draft lives, and the system drops the lock with the process. So the
drafts that come later remove what those left behind that were killed, and touch no other.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import tempfile
import threading
from collections import Counter
from contextlib import suppress
from pathlib import Path

from cas.environment import ensure_private_dir, random_bytes
from cas.errors import ErrorCode, InvalidInputError, NotFoundError
from cas.locks import lock_alone, lock_shared
from cas.model.entry import EntryKind
from cas.operations.draft_edits import LocalEntry
from cas.transfer.stamp import FileStamp

FOLDER = "drafts-1"
_ATTEMPTS = 8
_FILES_IN_FOLDER = 4096
_NAME = re.compile("[0-9a-f]{16}")


class Staging:
    """The files of one draft. Thread-safe; each process that takes part has one of its own.

    Attributes:
        folder: where they lie.
    """

    def __init__(self, folder: Path, descriptor: int) -> None:
        """Use `make_staging` or `join_staging`."""
        self.folder = folder
        self._descriptor = descriptor
        self._lock = threading.Lock()
        self._prefix = random_bytes(4).hex()
        self._count = 0
        self._held: Counter[bytes] = Counter()
        self._own = os.fsencode(f"{folder}{os.sep}")

    @property
    def id(self) -> str:
        """The name of the folder."""
        return self.folder.name

    def new_file(self) -> Path:
        """Return the path of a file that is not there yet."""
        with self._lock:
            number = self._count
            self._count += 1
        folder = self.folder / f"{self._prefix}-{number // _FILES_IN_FOLDER:04}"
        folder.mkdir(mode=0o700, exist_ok=True)
        return folder / f"{number % _FILES_IN_FOLDER:04}"

    def begin_child(self) -> None:
        """Begin anew in a forked child, beside the parent."""
        self._lock = threading.Lock()
        self._prefix = random_bytes(4).hex()
        self._count = 0

    def hold(self, entry: LocalEntry) -> None:
        """Note that one more path has a file."""
        with self._lock:
            self._held[entry.local] += 1

    def drop(self, entry: LocalEntry, *, keep: bool) -> None:
        """Note that one path less has a file; one that was written here goes with the last, unless
        another process has it to `keep`.
        """
        with self._lock:
            self._held[entry.local] -= 1
            if self._held[entry.local] > 0:
                return
            del self._held[entry.local]
        if not keep and entry.local.startswith(self._own):
            with suppress(OSError):
                Path(os.fsdecode(entry.local)).unlink()

    def close(self) -> None:
        """Remove all of it. Twice is fine."""
        shutil.rmtree(self.folder, ignore_errors=True)
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


def make_staging(state_dir: Path | None) -> Staging:
    """Make a folder for a draft; where there is no local state, below that of temporary files.

    Raises:
        InvalidInputError: the folder is not this user's alone.
    """
    top = _top(state_dir)
    if top.is_symlink():
        # Others may write to the folder of temporary files, and what is found there is removed.
        raise InvalidInputError(
            f"{top} is a link", code=ErrorCode.INVALID_CONFIG, hint="remove it, or set CAS_HOME"
        )
    ensure_private_dir(top)
    _remove_leftovers(top)
    return Staging(*_make(top))


def join_staging(folder: Path) -> Staging:
    """Take part in the draft of another process.

    Raises:
        NotFoundError: it is committed or discarded.
    """
    descriptor = _open_folder(folder)
    if descriptor < 0:
        raise NotFoundError(
            "the draft is closed: the process that made it committed or discarded it",
            code=ErrorCode.PATH_NOT_FOUND,
        )
    lock_shared(descriptor)
    return Staging(folder, descriptor)


def local_entry(path: Path) -> LocalEntry:
    """Return the entry that a local file or link becomes; links are kept as links.

    Raises:
        InvalidInputError: it is neither.
        OSError: there is none.
    """
    status = path.lstat()
    kinds = {stat.S_IFREG: EntryKind.FILE, stat.S_IFLNK: EntryKind.SYMLINK}
    kind = kinds.get(stat.S_IFMT(status.st_mode))
    if kind is None:
        raise InvalidInputError(
            f"{path} is no regular file, folder or link", code=ErrorCode.INVALID_PATH
        )
    executable = kind is EntryKind.FILE and bool(status.st_mode & stat.S_IXUSR)
    return LocalEntry(os.fsencode(path), kind, FileStamp.of(status), executable)


def _top(state_dir: Path | None) -> Path:
    if state_dir is not None:
        return state_dir / FOLDER
    user = os.geteuid() if hasattr(os, "geteuid") else "user"
    return Path(tempfile.gettempdir()) / f"cas-{FOLDER}-{user}"


def _make(top: Path) -> tuple[Path, int]:
    """Make a folder and lock it; whoever cleans up may be faster than the lock."""
    for attempt in range(_ATTEMPTS):
        path = top / random_bytes(8).hex()
        path.mkdir(mode=0o700)
        descriptor = _open_folder(path)
        if descriptor < 0:
            return path, descriptor
        is_locked = lock_shared(descriptor)
        if path.is_dir() and (is_locked or attempt + 1 == _ATTEMPTS):
            return path, descriptor
        os.close(descriptor)
        shutil.rmtree(path, ignore_errors=True)
    raise InvalidInputError(
        f"no folder can be made in {top}", code=ErrorCode.INVALID_CONFIG, hint="set CAS_HOME"
    )


def _open_folder(path: Path) -> int:
    if not hasattr(os, "O_DIRECTORY"):
        return -1  # Windows
    try:
        return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return -1


def _remove_leftovers(top: Path) -> None:
    """Remove the folders of drafts whose processes are gone."""
    for path in top.iterdir():
        descriptor = _open_folder(path) if _NAME.fullmatch(path.name) else -1
        if descriptor < 0:
            continue
        try:
            if lock_alone(descriptor):
                shutil.rmtree(path, ignore_errors=True)
        finally:
            os.close(descriptor)
