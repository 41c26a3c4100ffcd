"""A pinned version: a mapping of paths to entries, whose files can be read in place."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, Protocol

from cas.errors import ErrorCode, NotFoundError
from cas.format.manifest import page_entry
from cas.format.version import Lineage, VersionRecord
from cas.model.entry import Entry, EntryKind, EntryList, Totals, path_to_bytes, path_to_text
from cas.model.ids import VersionDigest
from cas.model.patterns import fixed_folder, path_expression
from cas.objects.parts import StoreParts
from cas.operations.outcomes import GetOptions, GetOutcome
from cas.operations.pinned import PinnedVersion
from cas.operations.read_file import open_content
from cas.transfer.seekable_file import open_buffered

if TYPE_CHECKING:
    from cas.operations.list_tree import Folder, TreeOptions
    from cas.tensors.mapping import Tensors


class _Opened(Protocol):
    """What a version needs of its store: it pickles, and gives the parts."""

    @property
    def parts(self) -> StoreParts: ...

    def aliases(self, name: str) -> dict[str, int]: ...

    def version(self, ref: str) -> Version: ...


class Version(Mapping[str, Entry]):
    r"""One version of an artifact, pinned: what it holds never changes.

    Paths are relative and `/`-separated; bytes that are not UTF-8 stand as surrogate escapes.
    Thread-safe. Pickles as its number and digest, and resolves those again in the other process.

    Examples:
        >>> version = store.version("digits:v0")
        >>> version.ref
        'digits:v0'
        >>> sorted(version)
        ['test/b.txt', 'train/a.txt']
        >>> version["train/a.txt"].size
        6
        >>> version.read("train/a.txt")
        b'one 1\n'
        >>> with version.open("train/a.txt") as file:
        ...     file.seek(4)
        ...     file.read(1)
        4
        b'1'
    """

    def __init__(self, store: _Opened, pinned: PinnedVersion) -> None:
        self._store = store
        self._pinned = pinned
        self._pages = pinned.pages

    # -- what it is

    @property
    def record(self) -> VersionRecord:
        """Everything the store has on record."""
        return self._pinned.record

    @property
    def artifact(self) -> str:
        """The artifact's name."""
        return str(self.record.artifact)

    @property
    def number(self) -> int:
        """The number: 3 for `v3`."""
        return self.record.number

    @property
    def ref(self) -> str:
        """The reference to paste: `name:v3`."""
        return f"{self.artifact}:v{self.number}"

    @property
    def digest(self) -> VersionDigest:
        """The digest of all it holds; the same data has the same digest in any store."""
        return self.record.digest

    @property
    def aliases(self) -> tuple[str, ...]:
        """The aliases that point here now."""
        found = self._store.aliases(self.artifact).items()
        return tuple(alias for alias, number in found if number == self.number)

    @property
    def type(self) -> str:
        """What kind of artifact it is."""
        return self.record.type

    @property
    def description(self) -> str:
        """What the version is, as its maker wrote."""
        return self.record.description

    @property
    def message(self) -> str:
        """Why it was made, as its maker wrote."""
        return self.record.message

    @property
    def metadata(self) -> dict[str, Any]:
        """The maker's values, a copy."""
        return dict(self.record.metadata)

    @property
    def inputs(self) -> tuple[Lineage, ...]:
        """The versions it was made from."""
        return self.record.inputs

    @property
    def producer(self) -> dict[str, Any]:
        """Command, git commit, host, user and Python version, as far as recorded."""
        return dict(self.record.producer)

    @property
    def totals(self) -> Totals:
        """How many files and bytes it holds."""
        return self.record.totals

    @property
    def created_ns(self) -> int:
        """When it was made, nanoseconds since the epoch, by its maker's clock."""
        return self.record.created_ns

    @property
    def expires_ns(self) -> int | None:
        """When a collection may move it to the trash, as was said last; None is never."""
        return self._pinned.expires_ns

    # -- the mapping

    def __getitem__(self, path: str) -> Entry:
        found = self._pages.entry(path_to_bytes(path.strip("/")))
        if found is None:
            raise KeyError(path)
        return found

    def __iter__(self) -> Iterator[str]:
        for page in self._pages.iter_pages():
            yield from map(path_to_text, page.paths)

    def __len__(self) -> int:
        return self.totals.entries

    def __bool__(self) -> bool:
        return True

    def __contains__(self, path: object) -> bool:
        return (
            isinstance(path, str) and self._pages.find(path_to_bytes(path.strip("/"))) is not None
        )

    def entries(self, prefix: str = "") -> Iterator[Entry]:
        """Yield the entries at or below a folder, in path order."""
        return self._pages.iter_entries(path_to_bytes(prefix.strip("/")))

    def is_dir(self, path: str) -> bool:
        """Tell whether a path is a folder of this version."""
        path = path.strip("/")
        if not path:
            return True
        for entry in self.entries(path):
            return entry.path != path or entry.kind is EntryKind.DIRECTORY
        return False

    def walk(self, prefix: str = "") -> Iterator[tuple[str, list[str], list[Entry]]]:
        """Yield (folder, names of its sub-folders, its entries) from the top, as `os.walk` does.

        Empty folders show among the sub-folders.
        """
        tree: dict[str, tuple[dict[str, None], list[Entry]]] = {}
        top = prefix.strip("/")
        tree[top] = ({}, [])
        for entry in self.entries(top):
            folder, _, name = entry.path.rpartition("/")
            if entry.path == top:
                continue
            self._add_folders(tree, top, folder)
            if entry.kind is EntryKind.DIRECTORY:
                tree[folder][0][name] = None
                tree.setdefault(entry.path, ({}, []))
            else:
                tree[folder][1].append(entry)
        for folder in sorted(tree):
            folders, files = tree[folder]
            yield folder, list(folders), files

    @staticmethod
    def _add_folders(
        tree: dict[str, tuple[dict[str, None], list[Entry]]], top: str, folder: str
    ) -> None:
        """Note a folder and those above it, up to the top."""
        while folder != top:
            tree.setdefault(folder, ({}, []))
            parent, _, name = folder.rpartition("/")
            tree.setdefault(parent, ({}, []))[0][name] = None
            folder = parent

    def glob(self, pattern: str) -> EntryList:
        """Return the files and links that fit a pattern.

        `*`, `?` and `[...]` stay in a folder; `**` stands for any number of folders.

        Raises:
            InvalidInputError: the pattern is empty.
        """
        fits = re.compile(path_expression(pattern), re.DOTALL)
        return EntryList(
            entry
            for entry in self.entries(fixed_folder(pattern))
            if entry.kind is not EntryKind.DIRECTORY and fits.fullmatch(entry.path)
        )

    def children(self, path: str = "") -> tuple[list[str], EntryList]:
        """Return the names of a folder's sub-folders, empty ones too, and its files and links.

        What lies deeper is passed over, so that few pages are read. Nothing if there is no such
        folder.
        """
        from cas.operations.list_folder import iter_children  # as for pins

        folders, entries = [], EntryList()
        for child in iter_children(self._pages, path_to_bytes(path.strip("/"))):
            entry = None if child.entry is None else page_entry(*child.entry)
            if entry is None or entry.kind is EntryKind.DIRECTORY:
                folders.append(path_to_text(child.path.rpartition(b"/")[2]))
            else:
                entries.append(entry)
        return folders, entries

    def tree(self, path: str = "", options: TreeOptions | None = None) -> Folder:
        """Return a folder with its sub-folders and entries, and how much lies below each.

        Reads every page that holds something below it, and what lies deeper than
        `options.depth` is counted without being looked at one by one.

        Raises:
            NotFoundError: there is no such folder.
        """
        from cas.operations.list_tree import TreeOptions, list_tree  # as for pins

        at = path_to_bytes(path.strip("/"))
        found = list_tree(self._pages, at, options or TreeOptions())
        if at and not (found.files or found.others or self.is_dir(path)):
            raise NotFoundError(
                f"{self.ref} has no folder {path!r}",
                code=ErrorCode.PATH_NOT_FOUND,
                hint=f"cas ls {self.ref} lists what it has",
            )
        return found

    # -- reading

    def read(self, path: str) -> bytes:
        """Return the bytes of a file, every one verified.

        Raises:
            NotFoundError: there is no such file.
            CorruptionError: the store has other bytes than it must.
        """
        reader = open_content(self._store.parts, self._pinned, path)
        return reader.read(0, reader.size)

    def open(self, path: str) -> io.BufferedReader:
        """Open a file for reading: seekable, buffered, binary; fetches only what is read.

        Raises:
            NotFoundError: there is no such file.
        """
        return open_buffered(open_content(self._store.parts, self._pinned, path), path)

    def tensors(self, path: str = "", *, framework: Literal["numpy", "torch"] = "numpy") -> Tensors:
        """Return the tensors of a file by name; only headers are read, until one is asked for.

        Args:
            path: a safetensors, `.npy`, `.npz` or GGUF file; a folder of them, or a
                `*.safetensors.index.json`, is all its shards as one mapping.
            framework: what arrays are made with; `torch` needs PyTorch.

        Raises:
            NotFoundError: there is no such file.
            InvalidInputError: it is not as its format asks for.
            UnsupportedError: it is pickled, or has what is not read here.
            CorruptionError: the store has other bytes than it must.
        """
        # Most who read versions read no tensors.
        from cas.operations.read_tensors import read_tensors

        found = read_tensors(self._store.parts, self._pinned, path, framework)
        return found.reopened_by(partial(self.tensors, path, framework=framework))

    @contextmanager
    def pinned(self) -> Iterator[Version]:
        """Keep what this version needs while it is read, though it is deleted for good meanwhile.

        Gives the version to be read. Without a pin such a reading ends with an error that says so;
        one that is only moved needs none. It writes below `sessions/`.

        Raises:
            NotFoundError: it was deleted for good already.
            ConflictError: collections were faster every time.
            BackendError: the storage failed, or does not let this user write.
        """
        # 10 ms that reading without a pin need not spend.
        from cas.operations.hold_version import hold_version

        with hold_version(self._store.parts, self._pinned) as held:
            yield Version(self._store, held)

    # W&B and users' habit give `get` this meaning; a mapping's default lookup is `entry or other`.
    def get(  # type: ignore[override]
        self,
        dest: str,
        options: GetOptions | None = None,
        *,
        path: str = "",
        include: tuple[str, ...] = (),
    ) -> GetOutcome:
        """Write the version, or what is at or below `path`, into a local folder.

        Raises as `Store.get` does.
        """
        options = options or GetOptions()
        if include:
            options = replace(options, include=include)
        if options.pin:
            with self.pinned() as held:
                return held.get(dest, replace(options, pin=False), path=path)
        from cas.operations.get import get  # 5 ms, which `cas ls` and `cas cat` need not spend

        return get(self._store.parts, self._pinned, path.strip("/"), dest, options)

    # -- Python

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Version):
            return NotImplemented
        return (self.artifact, self.number, self.digest) == (
            other.artifact,
            other.number,
            other.digest,
        )

    def __hash__(self) -> int:
        return hash((self.artifact, self.number, self.digest))

    def __repr__(self) -> str:
        return f"<Version {self.ref} {self.digest.short}>"

    def _repr_html_(self) -> str | None:
        # Here, as in all methods of this name: only a notebook needs these modules.
        from cas.model.html import show_or_nothing
        from cas.operations.notebook import version_card

        return show_or_nothing(lambda: version_card(self._pinned))

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopen, (self._store, self.ref, self.digest)


def _reopen(store: _Opened, ref: str, digest: VersionDigest) -> Version:
    version = store.version(ref)
    if version.digest != digest:
        raise NotFoundError(
            f"{ref} is not what it was: its digest is {version.digest.short}, not {digest.short}",
            code=ErrorCode.VERSION_NOT_FOUND,
        )
    return version
