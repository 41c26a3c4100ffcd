"""The reading side of a draft as a filesystem: its base with the edits over it."""

from __future__ import annotations

import io
import os
import shutil
from collections import OrderedDict
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from blake3 import blake3
from fsspec import AbstractFileSystem
from fsspec.callbacks import DEFAULT_CALLBACK, Callback
from fsspec.implementations.local import LocalFileSystem
from fsspec.utils import stringify_path

from cas.as_files.downloads import find_pairs, get_chosen, tell_files
from cas.as_files.failures import as_os_errors, is_a_folder
from cas.as_files.many_ranges import Answer, AskedRange, Bounds, pair_ranges, raise_first, read_many
from cas.drafts.base_tree import BaseFile
from cas.drafts.details import Details, describe, link_target
from cas.drafts.draft_tree import DraftTree, Folder, Held
from cas.drafts.paths import not_in_draft
from cas.errors import CasError, ErrorCode, InvalidInputError, NotFoundError
from cas.model.entry import EntryKind, path_to_bytes, path_to_text
from cas.model.patterns import has_wildcards
from cas.objects.parts import StoreParts
from cas.operations.draft_edits import LocalEntry
from cas.operations.read_file import MAXIMUM_LINKS, open_content, resolve_link
from cas.transfer.reading import ContentReader
from cas.transfer.seekable_file import open_buffered

# Of letters alone: universal-pathlib takes a scheme with a dash for a path of this machine.
PROTOCOL = "casdraft"
# Each keeps up to 8 MiB that it decoded.
_CACHED_READERS = 8


def strip_protocol(path: Any) -> Any:
    """Return a path in a draft without protocol and id, or a list of them."""
    if isinstance(path, list):
        return [strip_protocol(one) for one in path]
    text = str(stringify_path(path))
    if text.startswith(f"{PROTOCOL}://"):
        text = text.removeprefix(f"{PROTOCOL}://").partition("/")[2]
    return text.strip("/")


class ReadingDraft(AbstractFileSystem):  # type: ignore[misc] # fsspec has no types
    """See `fsspec.AbstractFileSystem`; what only reads."""

    protocol = PROTOCOL
    root_marker = ""
    cachable = False  # each draft is one of its own

    def __init__(self, parts: StoreParts, tree: DraftTree) -> None:
        super().__init__()
        self._parts = parts
        self._held_tree = tree
        self._readers: OrderedDict[bytes, ContentReader] = OrderedDict()

    @property
    def tree(self) -> DraftTree:
        """What the draft holds."""
        return self._held_tree

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        return strip_protocol(path)

    # -- what there is

    def details(self, path: str, **kwargs: Any) -> Details:
        """Return name, size, type, times and, of a file of the base, its BLAKE3.

        Raises:
            MissingPathError: there is no such path; a `FileNotFoundError`.
        """
        at = self._at(path)
        with as_os_errors():
            held = self.tree.look(at)
            if held is None:
                raise not_in_draft(at)
            return self._described(at, held)

    info = details  # as fsspec calls it

    def ls(self, path: str, detail: bool = True, **kwargs: Any) -> list[Any]:
        """Return what lies right below a folder, or the file itself; raises as `details` does."""
        at = self._at(path)
        itself = self.details(path)
        if itself["type"] != "directory":
            return [itself] if detail else [itself["name"]]
        with as_os_errors():
            children = self.tree.children(at)
            if not detail:
                return [path_to_text(child) for child, _ in children]
            return [self._described(child, held) for child, held in children]

    def find(
        self,
        path: str,
        maxdepth: int | None = None,
        withdirs: bool = False,
        detail: bool = False,
        **kwargs: Any,
    ) -> Any:
        """Return what lies below a folder, sorted; all of it in one pass over the pages."""
        if maxdepth is not None:
            return super().find(path, maxdepth, withdirs, detail, **kwargs)
        at = self._at(path)
        with as_os_errors():
            itself = self.tree.look(at)
            if itself is None:
                return {} if detail else []
            is_folder = isinstance(itself, Folder)
            found: dict[bytes, Held] = dict(self.tree.below(at) if is_folder else [(at, itself)])
            if withdirs and is_folder:
                found |= _folders_above(at, found)
            elif is_folder:
                found = {one: held for one, held in found.items() if not isinstance(held, Folder)}
            paths = sorted(found)
            if not detail:
                return [path_to_text(one) for one in paths]
            return {path_to_text(one): self._described(one, found[one]) for one in paths}

    # A storage that fails is no answer to these, so nothing else is caught.

    def exists(self, path: str, **kwargs: Any) -> bool:
        """Tell whether there is such a path."""
        with as_os_errors():
            return self.tree.look(self._at(path)) is not None

    def isdir(self, path: str) -> bool:
        """Tell whether it is a folder."""
        with as_os_errors():
            return isinstance(self.tree.look(self._at(path)), Folder)

    def isfile(self, path: str) -> bool:
        """Tell whether it is a file, or a link to one."""
        return self.exists(path) and self.details(path)["type"] == "file"

    def created(self, path: str) -> datetime:
        """Return when a file was written, or the base version was made.

        Raises:
            FolderPathError: it is a folder.
        """
        seconds = self.details(path).get("created")
        if seconds is None:
            raise is_a_folder(self._strip_protocol(path))
        return datetime.fromtimestamp(seconds, UTC)

    def modified(self, path: str) -> datetime:
        """Return the same as `created`."""
        return self.created(path)

    def ukey(self, path: str) -> str:
        """Return the BLAKE3 of a file, which is read for it if it is new."""
        details = self.details(path)
        if "blake3" in details:
            return str(details["blake3"])
        hasher = blake3()
        with self.open(path, "rb") as file:
            while piece := file.read(1 << 20):
                hasher.update(piece)
        return str(hasher.hexdigest())

    def checksum(self, path: str) -> int:
        """Return `ukey` as a number."""
        return int(self.ukey(path), 16)

    def invalidate_cache(self, path: str | None = None) -> None:
        """Do nothing: no listing is kept."""

    # -- reading

    def cat_file(
        self, path: str, start: int | None = None, end: int | None = None, **kwargs: Any
    ) -> bytes:
        """Return the bytes of a file, or a range of them as a slice names it.

        Raises:
            MissingPathError: there is no such file.
            FolderPathError: it is a folder.
            CorruptionError: the store has other bytes than it must.
        """
        with as_os_errors():
            held = self._file(self._at(path))
            asked = AskedRange(path, start, end)
            if isinstance(held, LocalEntry):
                return _read_local(held, asked)
            reader = self._reader(held)
            return reader.read(*asked.within(reader.size))

    def cat_ranges(
        self,
        paths: Sequence[str],
        starts: Bounds,
        ends: Bounds,
        max_gap: int | None = None,
        on_error: str = "return",
        **kwargs: Any,
    ) -> list[Any]:
        """Return ranges of files; those of the base by one plan, with many reads under way."""
        answers: list[Answer] = [b""] * len(paths)
        later: list[tuple[int, AskedRange]] = []
        base: dict[str, BaseFile] = {}
        for number, asked in enumerate(pair_ranges(paths, starts, ends)):
            try:
                with as_os_errors():
                    held = self._file(self._at(asked.path))
                    if isinstance(held, BaseFile):
                        base[asked.path] = held
                        later.append((number, asked))
                    else:
                        answers[number] = _read_local(held, asked)
            except (CasError, OSError) as error:
                answers[number] = error
        found = read_many(
            self._parts, [one for _, one in later], lambda path: self._reader(base[path])
        )
        for (number, _), answer in zip(later, found, strict=True):
            answers[number] = answer
        if on_error == "raise":
            raise_first(answers)
        return answers

    def get(
        self,
        rpath: Any,
        lpath: Any,
        recursive: bool = False,
        callback: Callback = DEFAULT_CALLBACK,
        maxdepth: int | None = None,
        **kwargs: Any,
    ) -> None:
        """Copy files to local paths, those of the base by one plan, as `cas get` does; a folder goes
        into a folder that is there, under its name.

        Raises:
            MissingPathError: there is nothing of that name.
            ObstructedError: a folder is where a file should go, or the other way round.
        """
        if recursive and is_top_folder(rpath) and LocalFileSystem().isdir(lpath):
            rpath, lpath = rpath + "/", f"{os.fspath(lpath).rstrip('/')}/{rpath}"
        pairs = find_pairs(self, rpath, lpath, recursive=recursive, maxdepth=maxdepth)
        callback.set_size(len(pairs))
        planned = []
        for source, target in pairs:
            held = self._get_one(self._at(source), Path(target).absolute())
            if held is not None:
                planned.append((path_to_text(held.path), str(Path(target).absolute())))
        callback.absolute_update(len(pairs) - len(planned))
        version = self.tree.base.version
        if planned and version is not None:
            sink = tell_files(callback, len(pairs) - len(planned))
            get_chosen(self._parts, version, planned, sink)

    def _get_one(self, at: bytes, target: Path) -> BaseFile | None:
        """Write what is no file of the base to a local path; return what is one."""
        with as_os_errors():
            held = self.tree.look(at)
            if isinstance(held, Folder):
                target.mkdir(parents=True, exist_ok=True)
                return None
            try:
                file = self._file(at)
            except (NotFoundError, InvalidInputError):
                link = None if held is None else link_target(held)
                if link is None:
                    raise
                _link(target, link)  # it leads to no file of this draft
                return None
            if isinstance(file, BaseFile):
                return file
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(os.fsdecode(file.local), target)
            if file.executable:
                target.chmod(target.stat().st_mode | 0o111)
            return None

    def _open_to_read(self, path: str) -> io.BufferedReader:
        with as_os_errors():
            held = self._file(self._at(path))
            if isinstance(held, LocalEntry):
                return Path(os.fsdecode(held.local)).open("rb")
            return open_buffered(self._open_base(held), path)

    # -- parts of these

    def _at(self, path: str) -> bytes:
        return path_to_bytes(self._strip_protocol(path))

    def _described(self, path: bytes, held: Held) -> Details:
        version = self.tree.base.version
        seconds = None if version is None else version.record.created_ns / 1e9
        details = describe(path, held, seconds)
        if details.get("islink"):
            try:
                file = self._file(path)
            except (CasError, OSError):
                return details  # it leads to no file of this draft
            details |= describe(path, file, seconds)
        return details

    def _file(self, path: bytes) -> LocalEntry | BaseFile:
        """Return the file at a path; links inside the draft are followed."""
        asked, at = path_to_text(path), path
        for _ in range(MAXIMUM_LINKS):
            held = self.tree.look(at)
            if held is None:
                raise not_in_draft(at)
            if isinstance(held, Folder):
                raise is_a_folder(asked)
            if held.kind is EntryKind.FILE:
                return held
            target = link_target(held)
            if target is None:
                raise InvalidInputError(
                    f"{asked!r} is no file but a reference to another place",
                    code=ErrorCode.INVALID_PATH,
                )
            at = resolve_link(at, target, asked)
        raise InvalidInputError(f"{asked!r}: links lead in a circle", code=ErrorCode.INVALID_PATH)

    def _open_base(self, held: BaseFile) -> ContentReader:
        version = self.tree.base.version
        assert version is not None
        return open_content(self._parts, version, path_to_text(held.path))

    def _reader(self, held: BaseFile) -> ContentReader:
        """Return a reader that is shared by all who ask for the file in turn."""
        reader = self._readers.get(held.path)
        if reader is None:
            reader = self._readers[held.path] = self._open_base(held)
            while len(self._readers) > _CACHED_READERS:
                self._readers.popitem(last=False)
        return reader


def _link(target: Path, link: bytes) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.is_symlink():
        target.unlink()
    target.symlink_to(os.fsdecode(link))


def is_top_folder(path: object) -> bool:
    """Tell whether a path is one name, which fsspec cannot part from a folder above it."""
    return isinstance(path, str) and bool(path) and "/" not in path and not has_wildcards(path)


def _read_local(held: LocalEntry, asked: AskedRange) -> bytes:
    with Path(os.fsdecode(held.local)).open("rb") as file:
        start, stop = asked.within(os.fstat(file.fileno()).st_size)
        file.seek(start)
        return file.read(stop - start)


def _folders_above(top: bytes, found: dict[bytes, Held]) -> dict[bytes, Held]:
    """Return the folders between a folder and what was found in it, and itself."""
    folders: dict[bytes, Held] = {top: Folder()}
    for path in found:
        folder = path.rpartition(b"/")[0]
        while folder and folder != top and folder not in folders:
            folders[folder] = Folder()
            folder = folder.rpartition(b"/")[0]
    return folders
