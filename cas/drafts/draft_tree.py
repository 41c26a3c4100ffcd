"""What a draft holds: a base version, and the edits made to it so far."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from cas.as_files.failures import (
    FilePathError,
    is_a_folder,
)
from cas.drafts.base_tree import BaseFile, BaseTree
from cas.drafts.edit_log import EditLock
from cas.drafts.edits import Edits, Holding
from cas.drafts.paths import not_in_draft
from cas.errors import ErrorCode, InvalidInputError
from cas.model.entry import EntryKind, path_to_text
from cas.operations.draft_edits import (
    BaseEntry,
    DraftEdits,
    DraftEntry,
    EmptyFolder,
    LocalEntry,
)


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder of a draft."""


FOLDER = Folder()
Held = LocalEntry | BaseFile | Folder


class DraftTree:
    """A tree that can be changed. Thread-safe. Paths are bytes, without a slash at either end.

    A folder is there while something is in it, or if it was made and not removed.
    """

    def __init__(self, base: BaseTree, holding: Holding) -> None:
        self.base = base
        self._holding = holding
        self._edits = Edits(holding)
        self.lock = EditLock(self._edits)

    # -- looking

    def look(self, path: bytes) -> Held | None:
        """Return what stands at a path."""
        with self.lock:
            if not path or path in self._edits.names:
                return FOLDER
            entry = self._edits.entries.get(path)
            if entry is not None:
                return self._held(entry)
            found = None if self._hides(path) else self.base.entry(path)
            if found is not None:
                return FOLDER if found.kind is EntryKind.DIRECTORY else found
            return FOLDER if self._has_base_below(path) else None

    def children(self, folder: bytes) -> list[tuple[bytes, Held]]:
        """Return the paths right below a folder and what stands there, sorted."""
        with self.lock:
            prefix = folder + b"/" if folder else b""
            found: dict[bytes, Held] = {}
            for child in () if self._is_all_gone(folder) else self.base.children(folder):
                if child.entry is None:
                    if self._has_base_below(child.path):
                        found[child.path] = FOLDER
                elif not self._hides(child.path):
                    base = BaseFile(child.path, *child.entry)
                    found[child.path] = FOLDER if base.kind is EntryKind.DIRECTORY else base
            for name in self._edits.names.get(folder, ()):
                held = self.look(prefix + name)
                assert held is not None
                found[prefix + name] = held
            return sorted(found.items(), key=lambda one: one[0])

    def below(self, folder: bytes) -> list[tuple[bytes, Held]]:
        """Return all that lies below a folder but folders that have something in them, sorted."""
        with self.lock:
            found: dict[bytes, Held] = {}
            for base in () if self._is_all_gone(folder) else self.base.iter_below(folder):
                if not self._hides(base.path) and base.path not in self._edits.names:
                    is_folder = base.kind is EntryKind.DIRECTORY
                    found[base.path] = FOLDER if is_folder else base
            for path in self._new_below(folder):
                entry = self._edits.entries[path]
                if not isinstance(entry, EmptyFolder) or self._is_empty(path):
                    found[path] = self._held(entry)
            return sorted(found.items(), key=lambda one: one[0])

    def edits(self) -> DraftEdits:
        """Return how it differs from its base now."""
        with self.lock:
            entries = {
                path: entry
                for path, entry in self._edits.entries.items()
                if not isinstance(entry, EmptyFolder) or self._is_empty(path)
            }
            return DraftEdits(
                entries, frozenset(self._edits.live.gone), frozenset(self._edits.live.gone_below)
            )

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep others from it, so that several steps are one."""
        with self.lock:
            yield

    # -- changing

    def put(self, path: bytes, entry: LocalEntry | BaseEntry) -> None:
        """Let something stand at a path, in place of a file that may be there.

        Raises:
            FolderPathError: a folder is there.
            FilePathError: a file is where a folder above it would be.
        """
        with self.lock:
            self.check_place(path)
            self._clear_above(path)
            self._edits.set(path, entry)
            self._edits.filled.add(path.rpartition(b"/")[0])

    def copy(self, source: bytes, target: bytes) -> None:
        """Let a file stand at another path, too; raises as `move` does."""
        with self.lock:
            held = self.look(source)
            if held is None:
                raise not_in_draft(source)
            if isinstance(held, Folder):
                raise is_a_folder(path_to_text(source))
            entry = _entry(held)
            assert not isinstance(entry, EmptyFolder)
            if source != target:
                self.put(target, entry)

    def check_place(self, path: bytes) -> None:
        """Refuse a path that no file can have now; raises as `put` does."""
        with self.lock:
            if isinstance(self.look(path), Folder):
                raise is_a_folder(path_to_text(path))
            self._check_above(path)

    def make_folder(self, path: bytes) -> None:
        """Make a folder, and those above it; one that is there stays.

        Raises:
            FilePathError: a file is there, or above it.
        """
        with self.lock:
            held = self.look(path)
            if isinstance(held, Folder):
                return
            if held is not None:
                raise is_a_file(path)
            self._check_above(path)
            self._clear_above(path)
            self._edits.set(path, EmptyFolder())

    def remove(self, path: bytes) -> None:
        """Remove a file.

        Raises:
            MissingPathError: there is none.
            FolderPathError: it is a folder.
        """
        with self.lock:
            held = self.look(path)
            if held is None:
                raise not_in_draft(path)
            if isinstance(held, Folder):
                raise is_a_folder(path_to_text(path))
            self._edits.unset(path)
            self._hide(path)

    def discard(self, path: bytes) -> None:
        """Remove what stands at a path: a file, or a folder with all that is in it."""
        with self.lock:
            if isinstance(self.look(path), Folder):
                self.remove_folder(path)
            else:
                self.remove(path)

    def remove_folder(self, folder: bytes) -> None:
        """Remove a folder with all that is in it; the top is emptied.

        Raises:
            MissingPathError: there is none.
            FilePathError: it is a file.
        """
        with self.lock:
            held = self.look(folder)
            if held is None:
                raise not_in_draft(folder)
            if not isinstance(held, Folder):
                raise is_a_file(folder)
            for path in list(self._new_below(folder)):
                self._edits.unset(path)
            self._edits.unset(folder)
            self._edits.hide_below(folder)
            self._hide(folder)

    def move(self, source: bytes, target: bytes) -> None:
        """Move a file, or a folder with all that is in it, to a path where nothing but a file may
        be; no content moves.

        Raises:
            MissingPathError: there is nothing at `source`.
            FolderPathError: a folder is at `target`.
            FilePathError: a file is where a folder above it would be.
        """
        with self.lock:
            held = self.look(source)
            if held is None:
                raise not_in_draft(source)
            if target == source:
                return
            if (target + b"/").startswith(source + b"/"):
                raise InvalidInputError(
                    f"{path_to_text(source)!r} cannot be moved into itself",
                    code=ErrorCode.INVALID_PATH,
                )
            self.check_place(target)
            if isinstance(held, Folder) and self.look(target) is not None:
                raise is_a_file(target)
            moving = self.below(source) if isinstance(held, Folder) else [(source, held)]
            entries = [(target + path[len(source) :], _entry(one)) for path, one in moving]
            self._hold_all(entries)
            if isinstance(held, Folder):
                self.remove_folder(source)
                self.make_folder(target)
            else:
                self.remove(source)
            for path, entry in entries:
                if isinstance(entry, EmptyFolder):
                    self.make_folder(path)
                else:
                    self.put(path, entry)
                if isinstance(entry, LocalEntry):
                    self._holding.drop(entry, keep=False)

    # -- parts of these; the lock is held

    def _hold_all(self, entries: list[tuple[bytes, DraftEntry]]) -> None:
        """Keep what is moved while it stands nowhere."""
        for _, entry in entries:
            if isinstance(entry, LocalEntry):
                self._holding.hold(entry)

    def _held(self, entry: DraftEntry) -> Held:
        if isinstance(entry, LocalEntry):
            return entry
        if isinstance(entry, EmptyFolder):
            return FOLDER
        found = self.base.entry(entry.path)
        if found is None:
            raise not_in_draft(entry.path)
        return found

    def _hides(self, path: bytes) -> bool:
        return self._edits.live.hides(path)

    def _is_all_gone(self, folder: bytes) -> bool:
        """Tell whether nothing of the base is left below a folder, since it was removed."""
        return self._edits.is_all_gone(folder)

    def _has_base_below(self, folder: bytes) -> bool:
        if self._is_all_gone(folder) or not self.base.has_below(folder):
            return False
        if not self._edits.hide_anything:
            return True
        return any(not self._hides(one.path) for one in self.base.iter_below(folder))

    def _is_empty(self, folder: bytes) -> bool:
        return folder not in self._edits.names and not self._has_base_below(folder)

    def _new_below(self, folder: bytes) -> Iterator[bytes]:
        """Yield the paths of new entries below a folder."""
        prefix = folder + b"/" if folder else b""
        for name in list(self._edits.names.get(folder, ())):
            path = prefix + name
            if path in self._edits.entries:
                yield path
            yield from self._new_below(path)

    def _check_above(self, path: bytes) -> None:
        """Refuse a path below a file. Of the base no more pages are read than needed: what lies
        beside the path mostly tells.
        """
        is_known = False  # all above is known to be folders in the base
        folder = path.rpartition(b"/")[0]
        if folder in self._edits.filled:
            return
        while folder:
            entry = self._edits.entries.get(folder)
            if entry is not None and not isinstance(entry, EmptyFolder):
                raise is_a_file(folder)
            if not is_known and not self._hides(folder):
                found = None
                is_known = self.base.is_beside(path, folder)
                if not is_known:
                    found = self.base.entry(folder)
                if found is not None and found.kind is not EntryKind.DIRECTORY:
                    raise is_a_file(folder)
            folder = folder.rpartition(b"/")[0]

    def _clear_above(self, path: bytes) -> None:
        """Let folders that were empty in the base be folders that were made, if any is above."""
        folder = path.rpartition(b"/")[0]
        if folder in self._edits.filled:
            return
        while folder and folder not in self._edits.names and folder not in self._edits.entries:
            if self.base.is_beside(path, folder):
                return
            if not self._hides(folder) and self.base.entry(folder) is not None:
                self._edits.hide(folder)
                self._edits.set(folder, EmptyFolder())
            folder = folder.rpartition(b"/")[0]

    def _hide(self, path: bytes) -> None:
        """Let what the base has at a path be gone."""
        if not self._edits.live.is_gone_below(path) and self.base.entry(path) is not None:
            self._edits.hide(path)


def is_a_file(path: bytes) -> FilePathError:
    """Return the error for a file where a folder is wanted."""
    return FilePathError(
        f"{path_to_text(path)!r} is a file, and no folder",
        code=ErrorCode.INVALID_PATH,
        hint="remove it first, or choose another path",
    )


def _entry(held: Held) -> DraftEntry:
    if isinstance(held, BaseFile):
        return BaseEntry(held.path)
    return EmptyFolder() if isinstance(held, Folder) else held
