"""The writing side of a draft as a filesystem."""

from __future__ import annotations

import os
import shutil
import weakref
from functools import partial
from pathlib import Path
from typing import Any

from fsspec.callbacks import DEFAULT_CALLBACK, Callback

from cas.as_files.failures import ExistingPathError, FullFolderError, as_os_errors
from cas.drafts.draft_tree import DraftTree, Folder
from cas.drafts.paths import check_path, not_in_draft
from cas.drafts.reading import ReadingDraft, is_top_folder
from cas.drafts.staging import Staging, local_entry
from cas.drafts.written_file import WrittenFile
from cas.errors import ErrorCode, InvalidInputError
from cas.model.entry import path_to_text
from cas.objects.parts import StoreParts

_PIECE_BYTES = 1 << 20


class WritingDraft(ReadingDraft):
    """See `fsspec.AbstractFileSystem`; what writes. Nothing of it reaches the store."""

    def __init__(self, parts: StoreParts, tree: DraftTree, staging: Staging) -> None:
        super().__init__(parts, tree)
        self._staging = staging
        self._opened: weakref.WeakSet[WrittenFile] = weakref.WeakSet()

    # -- files

    def _open(
        self,
        path: str,
        mode: str = "rb",
        block_size: int | None = None,
        autocommit: bool = True,
        cache_options: Any = None,
        **kwargs: Any,
    ) -> Any:
        kind = mode.replace("b", "")
        if kind == "r":
            return self._open_to_read(path)
        if kind not in {"w", "x", "a", "r+", "w+", "x+", "a+"}:
            raise ValueError(f"invalid mode: {mode!r}")
        at = self._at(path)
        with as_os_errors():
            check_path(at)
            self.tree.check_place(at)
            held = self.tree.look(at)
            if held is not None and kind[0] == "x":
                raise _exists(at)
            if held is None and kind[0] == "r":
                raise not_in_draft(at)
        local = self._staging.new_file()
        if held is not None and kind[0] in "ar":
            self._copy_content(path, local)
        how = {"r": "r+", "a": "a+"}.get(kind[0], "x+") if local.exists() else "x+"
        executable = held is not None and bool(self.details(path).get("executable"))
        land = partial(self._land, at, local, executable=executable)
        file = WrittenFile(local, how, path_to_text(at), land, autocommit=autocommit)
        self._opened.add(file)
        return file

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **kwargs: Any) -> None:
        """Write the bytes of a file."""
        with self.open(path, "xb" if mode == "create" else "wb") as file:
            file.write(value)

    def put_file(
        self,
        lpath: str | os.PathLike[str],
        rpath: str,
        callback: Callback = DEFAULT_CALLBACK,
        mode: str = "overwrite",
        **kwargs: Any,
    ) -> None:
        """Copy a local file into the draft; whether it may be executed comes along."""
        source = Path(lpath)
        if source.is_dir():
            self.makedirs(rpath, exist_ok=True)
            return
        callback.set_size(source.stat().st_size)
        with source.open("rb") as read, self.open(rpath, "xb" if mode == "create" else "wb") as to:
            while piece := read.read(_PIECE_BYTES):
                to.write(piece)
                callback.relative_update(len(piece))
            if hasattr(os, "fchmod"):
                os.fchmod(to.fileno(), source.stat().st_mode & 0o100 | 0o600)

    def touch(self, path: str, truncate: bool = True, **kwargs: Any) -> None:
        """Make an empty file; one that is there is emptied, or stays if not `truncate`."""
        if truncate or not self.exists(path):
            with self.open(path, "wb"):
                pass

    def cp_file(self, path1: str, path2: str, **kwargs: Any) -> None:
        """Let a file of the draft stand at another path, too; no content moves."""
        source, target = self._at(path1), self._at(path2)
        with as_os_errors(), self.tree.held():
            check_path(target)
            if isinstance(self.tree.look(source), Folder):
                self.tree.make_folder(target)
            else:
                self.tree.copy(source, target)

    def copy(self, path1: Any, path2: Any, recursive: bool = False, **kwargs: Any) -> None:
        """Let files stand at other paths, too; a folder goes into one that is there, under its
        name.
        """
        if recursive and is_top_folder(path1) and isinstance(path2, str) and self.isdir(path2):
            path1, path2 = path1 + "/", f"{path2.rstrip('/')}/{path1}"
        super().copy(path1, path2, recursive=recursive, **kwargs)

    def mv(
        self,
        path1: Any,
        path2: Any,
        recursive: bool = False,
        maxdepth: int | None = None,
        **kwargs: Any,
    ) -> None:
        """Move a file, or a folder with all that is in it; no content moves.

        Into a folder that is there it moves under its own name.
        """
        if not (isinstance(path1, str) and self.exists(path1)) or maxdepth is not None:
            super().mv(path1, path2, recursive=recursive, maxdepth=maxdepth, **kwargs)
            return
        source, target = self._at(path1), self._at(path2)
        if self.isdir(path2) and source != target:
            name = source.rpartition(b"/")[2]
            target = target + b"/" + name if target else name
        elif str(path2).endswith("/") and not self.isdir(path1):
            target = target + b"/" + source.rpartition(b"/")[2]
        with as_os_errors():
            check_path(target)
            self.tree.move(source, target)

    def rm_file(self, path: str) -> None:
        """Remove a file; raises as `DraftTree.remove` does."""
        with as_os_errors():
            self.tree.remove(self._at(path))

    _rm = rm_file

    def rm(self, path: Any, recursive: bool = False, maxdepth: int | None = None) -> None:
        """Remove files, and with `recursive` folders with all that is in them."""
        if maxdepth is not None:
            super().rm(path, recursive=recursive, maxdepth=maxdepth)
            return
        for one in self.expand_path(path):
            if recursive and self.isdir(one):
                with as_os_errors():
                    self.tree.remove_folder(self._at(one))
            else:
                self.rm_file(one)

    # -- folders

    def mkdir(self, path: str, create_parents: bool = True, **kwargs: Any) -> None:
        """Make a folder.

        Raises:
            ExistingPathError: there is something of that name.
            MissingPathError: the folder above is missing, and not to be made.
        """
        at = self._at(path)
        with as_os_errors(), self.tree.held():
            check_path(at)
            if self.tree.look(at) is not None:
                raise _exists(at)
            parent = at.rpartition(b"/")[0]
            if not create_parents and self.tree.look(parent) is None:
                raise not_in_draft(parent)
            self.tree.make_folder(at)

    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        """Make a folder and those above it; raises as `mkdir` does."""
        at = self._at(path)
        # Held, since whoever writes beside may make the same folder: fsspec does for each file.
        with self.tree.held():
            if exist_ok and self.isdir(path):
                return
            if not at:
                raise _exists(at)
            self.mkdir(path)

    def rmdir(self, path: str) -> None:
        """Remove a folder that is empty.

        Raises:
            FullFolderError: something is in it.
            MissingPathError: there is none.
        """
        at = self._at(path)
        with as_os_errors(), self.tree.held():
            if self.tree.children(at):
                raise FullFolderError(
                    f"{path_to_text(at)!r} is not empty",
                    code=ErrorCode.INVALID_PATH,
                    hint="rm with recursive=True removes it with all that is in it",
                )
            self.tree.remove_folder(at)

    # -- parts of these

    def _copy_content(self, path: str, local: Path) -> None:
        with self._open_to_read(path) as read, local.open("xb") as write:
            shutil.copyfileobj(read, write, _PIECE_BYTES)

    def _land(self, at: bytes, local: Path, *, executable: bool) -> None:
        if executable:
            local.chmod(0o700)
        with as_os_errors():
            self.tree.put(at, local_entry(local))

    def check_settled(self) -> None:
        """Refuse to go on while files are open for writing.

        Raises:
            InvalidInputError: some are.
        """
        paths = sorted(file.path for file in self._opened if not file.is_settled)
        if paths:
            raise InvalidInputError(
                f"{paths[0]!r} is still open for writing",
                code=ErrorCode.INVALID_OPTION,
                hint="close it, or end the transaction, before the draft is committed",
            )


def _exists(path: bytes) -> ExistingPathError:
    return ExistingPathError(
        f"{path_to_text(path)!r} is there already", code=ErrorCode.TARGET_EXISTS
    )
