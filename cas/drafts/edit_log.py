"""Edits of a draft told to other processes of the machine, by a file that each appends its steps to.

Whoever acts on the draft holds a lock on the file, first makes the steps that others made since it
looked last, then appends its own. So all have the same edits, in the same order. A draft that only
its own process knows has no such file.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from cas.drafts.edits import Edits, Step
from cas.errors import ErrorCode, InvalidInputError, UnsupportedError
from cas.locks import lock_alone, unlock
from cas.model.entry import EntryKind, path_to_bytes, path_to_text
from cas.operations.draft_edits import BaseEntry, DraftEntry, EmptyFolder, LocalEntry
from cas.transfer.stamp import FileStamp

FILE_NAME = "edits.jsonl"


class EditLog:
    """The file. Not thread-safe."""

    def __init__(self, path: Path, *, is_new: bool = False) -> None:
        self._path = path
        self._descriptor = self._open(os.O_CREAT if is_new else 0)
        self._position = 0
        self._pending: list[bytes] = []

    def begin(self, edits: Edits) -> None:
        """Lock the file, waiting for others, and make the steps that they made.

        Raises:
            InvalidInputError: the draft is committed or discarded.
            UnsupportedError: the file system has no locks.
        """
        if self._descriptor < 0:
            raise _closed()
        if not lock_alone(self._descriptor, wait=True):
            raise _no_locks()
        try:
            status = os.fstat(self._descriptor)
            if status.st_nlink == 0:
                raise _closed()
            content = os.pread(self._descriptor, status.st_size - self._position, self._position)
            whole = content.rfind(b"\n") + 1
            if whole < len(content):  # whoever wrote it was killed
                os.ftruncate(self._descriptor, self._position + whole)
            for line in content[:whole].splitlines():
                edits.follow(_decode(json.loads(line)))
            self._position += whole
        except BaseException:
            unlock(self._descriptor)
            raise

    def note(self, step: Step) -> None:
        """Take a step that was made here."""
        self._pending.append(json.dumps(_encode(step)).encode() + b"\n")

    def end(self) -> None:
        """Append the steps that were noted, and let others go on."""
        try:
            content = memoryview(b"".join(self._pending))
            self._pending.clear()
            while content:
                written = os.write(self._descriptor, content)
                self._position += written
                content = content[written:]
        finally:
            unlock(self._descriptor)

    def reopen(self) -> None:
        """Begin anew in a forked child: a lock on what the parent opened would be the parent's."""
        os.close(self._descriptor)
        self._pending.clear()
        try:
            self._descriptor = self._open()
        except OSError:
            self._descriptor = -1  # it is gone already: the parent is done with the draft

    def close(self) -> None:
        """Close the file."""
        if self._descriptor >= 0:
            os.close(self._descriptor)

    def _open(self, how: int = 0) -> int:
        return os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC | how, 0o600)


class EditLock:
    """Lets one at a time act on a draft: threads, and processes once it is shared. May be taken again
    by who has it.
    """

    def __init__(self, edits: Edits) -> None:
        self._edits = edits
        self._lock = threading.RLock()
        self._depth = 0
        self._log: EditLog | None = None

    def share(self, folder: Path) -> None:
        """Let other processes take part, by a file in a folder that they know.

        Raises:
            UnsupportedError: this system has no locks for it.
        """
        if sys.platform == "win32":
            raise _no_locks()
        with self:
            if self._log is not None:
                return
            log = EditLog(folder / FILE_NAME, is_new=True)
            try:
                log.begin(self._edits)
            except BaseException:
                log.close()
                raise
            for step in self._edits.steps():
                log.note(step)
            self._listen(log)  # what it has noted is written when this lock is given back

    def join(self, folder: Path) -> None:
        """Take part in what another process has shared."""
        self._listen(EditLog(folder / FILE_NAME))

    def close(self) -> None:
        """Let go of the file."""
        if self._log is not None:
            self._log.close()
            self._log, self._edits.tell = None, None

    def begin_child(self) -> None:
        """Begin anew in a forked child: who held the lock is not here."""
        self._lock = threading.RLock()
        self._depth = 0
        if self._log is not None:
            self._log.reopen()

    def __enter__(self) -> Self:
        self._lock.acquire()
        try:
            if self._depth == 0 and self._log is not None:
                self._log.begin(self._edits)
        except BaseException:
            self._lock.release()
            raise
        self._depth += 1
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._depth -= 1
        try:
            if self._depth == 0 and self._log is not None:
                self._log.end()
        finally:
            self._lock.release()

    def _listen(self, log: EditLog) -> None:
        self._log = log
        self._edits.tell = log.note


def _no_locks() -> UnsupportedError:
    return UnsupportedError(
        "drafts are not shared by processes on this system, which has no locks for it",
        code=ErrorCode.UNSUPPORTED_FEATURE,
        hint="let other processes write local files, and add them to the draft",
    )


def _closed() -> InvalidInputError:
    return InvalidInputError(
        "this draft is closed: the process that made it committed or discarded it",
        code=ErrorCode.INVALID_OPTION,
    )


def _encode(step: Step) -> list[Any]:
    made: list[Any] = [step.kind, path_to_text(step.path)]
    entry = step.entry
    if isinstance(entry, LocalEntry):
        made += ["local", path_to_text(entry.local), entry.kind, entry.stamp, entry.executable]
    elif isinstance(entry, BaseEntry):
        made += ["base", path_to_text(entry.path)]
    elif entry is not None:
        made += ["folder"]
    return made


def _decode(made: Sequence[Any]) -> Step:
    kind, path, *rest = made
    return Step(kind, path_to_bytes(path), _decode_entry(rest) if rest else None)


def _decode_entry(made: Sequence[Any]) -> DraftEntry:
    if made[0] == "local":
        _, local, kind, stamp, executable = made
        return LocalEntry(path_to_bytes(local), EntryKind(kind), FileStamp(*stamp), executable)
    return BaseEntry(path_to_bytes(made[1])) if made[0] == "base" else EmptyFolder()
