"""`cas://` for fsspec: the versions of a store as folders of files that can be read.

It is no asynchronous filesystem of fsspec: reading is decoding as much as waiting, and many reads
are under way in threads of its own, planned together, where `cat_ranges`, `cat` and `get` are
asked for several. An event loop between would add a hop to each call, and does not survive a fork.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from glob import has_magic
from pathlib import Path
from typing import Any, Self

from fsspec.callbacks import DEFAULT_CALLBACK, Callback

from cas.as_files.failures import as_os_errors, is_a_folder
from cas.as_files.many_ranges import AskedRange, Bounds, pair_ranges, raise_first, read_many
from cas.errors import ErrorCode, InvalidInputError
from cas.filesystem.chosen_store import AmbientStore, choose_store
from cas.filesystem.downloads import find_pairs, folder_for, get_files, get_folder
from cas.filesystem.listing import ListingFileSystem
from cas.filesystem.opened_file import CasFile
from cas.filesystem.pinned_store import Knowledge, PinnedStore
from cas.filesystem.places import VersionPlace, find_place
from cas.filesystem.read_only import refuse
from cas.store import Store
from cas.transfer.reading import ContentReader

# What fsspec itself passes on, or its users to any filesystem; nothing depends on them here.
_OF_ANY_FILESYSTEM = frozenset(
    {"asynchronous", "batch_size", "default_block_size", "listings_expiry_time", "loop"}
    | {"max_paths", "use_listings_cache"}
)


class CasFileSystem(ListingFileSystem):
    r"""The versions of a store, read in place. Thread-safe; survives forks; pickles with what it
    has resolved and read.

    `name@v3/path` is a file or folder of a version (`:` is as good as `@`, and an alias or a digest
    as a number), `name/path` one of the latest version, `name@` a folder of all versions. What a
    reference means is found out once: `invalidate_cache` forgets it.

    Examples:
        >>> fs = CasFileSystem(store=url)
        >>> fs.ls("digits@v0", detail=False)
        ['digits@v0/test', 'digits@v0/train']
        >>> fs.cat("digits@v0/train/a.txt")
        b'one 1\n'
        >>> fs.glob("digits@v0/**/*.txt")
        ['digits@v0/test/b.txt', 'digits@v0/train/a.txt']
    """

    protocol = "cas"
    root_marker = ""
    _extra_tokenize_attributes = ("_ambient",)
    _ambient = AmbientStore()

    def __init__(
        self,
        fo: str | None = None,
        *,
        store: str | os.PathLike[str] | Store | None = None,
        target_protocol: str | None = None,
        target_options: Mapping[str, Any] | None = None,
        anon: bool | None = None,
        **options: Any,
    ) -> None:
        """Make no request yet: the store is opened when it is first needed.

        Args:
            fo: the store of a chained URL, `cas://name@v3/path::s3://bucket/prefix`, which fsspec
                takes apart into this and `target_protocol`.
            store: a URL, a folder, or a name of the settings; None is the store in force. For a
                store that is open already see `on`.
            target_protocol: see `fo`.
            target_options: credentials, endpoints and the like for the driver of the store.
            anon: read the store without credentials, where its driver has such an option.
            options: those of fsspec for any filesystem.

        Raises:
            InvalidInputError: an option is unknown, or settings are malformed.
        """
        unknown = sorted(set(options) - _OF_ANY_FILESYSTEM)
        if unknown:
            raise InvalidInputError(
                f"cas:// has no option {', '.join(unknown)}",
                code=ErrorCode.INVALID_OPTION,
                hint="what is for the driver of the store goes into target_options; behind ::s3:// into s3",
            )
        self._chosen = choose_store(store, fo, target_protocol, target_options, anon)
        super().__init__(PinnedStore(self._chosen.open), **options)

    @classmethod
    def on(cls, store: Store) -> Self:
        """Return a filesystem on a store that is open, for as long as it is."""
        return cls(store=store, skip_instance_cache=True)

    # -- reading

    def _open(
        self,
        path: str,
        mode: str = "rb",
        block_size: int | None = None,
        autocommit: bool = True,
        cache_options: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> CasFile:
        if mode != "rb":
            refuse(f"open with mode {mode!r}", path)
        place = self._file_place(path)
        with self._expecting_file(path):
            return CasFile(self, path, lambda: self._pinned.open(place.version, place.inner))

    def cat_file(
        self, path: str, start: int | None = None, end: int | None = None, **kwargs: Any
    ) -> bytes:
        """Return the bytes of a file, or a range of them as a slice names it.

        Raises:
            MissingPathError: there is no such file.
            FolderPathError: it is a folder.
            CorruptionError: the store has other bytes than it must.
        """
        path = self._strip_protocol(path)
        reader = self._reader(path)
        with as_os_errors():
            return reader.read(*AskedRange(path, start, end).within(reader.size))

    def cat_ranges(
        self,
        paths: Sequence[str],
        starts: Bounds,
        ends: Bounds,
        max_gap: int | None = None,
        on_error: str = "return",
        **kwargs: Any,
    ) -> list[Any]:
        """Return ranges of files, all read by one plan, with many reads under way.

        What lies near together comes together, whatever `max_gap` says. With `on_error="return"` an
        error stands in the place of the bytes.
        """
        asked = [
            replace(one, path=self._strip_protocol(one.path))
            for one in pair_ranges(paths, starts, ends)
        ]
        answers = read_many(self.store.parts, asked, self._reader)
        if on_error == "raise":
            raise_first(answers)
        return answers

    def cat(
        self, path: Any, recursive: bool = False, on_error: str = "raise", **kwargs: Any
    ) -> Any:
        """Return the bytes of a file, or a map of those of several, read by one plan."""
        paths = self.expand_path(path, recursive=recursive)
        if recursive:
            paths = [one for one in paths if not self.isdir(one)]
        elif not isinstance(path, list) and paths == [self._strip_protocol(path)]:
            return self.cat_file(paths[0], **kwargs)
        ranges = kwargs.get("start"), kwargs.get("end")
        answers = self.cat_ranges(
            paths, *ranges, on_error="return" if on_error == "omit" else on_error
        )
        pairs = zip(paths, answers, strict=True)
        return {
            one: answer
            for one, answer in pairs
            if on_error != "omit" or not isinstance(answer, Exception)
        }

    def get(
        self,
        rpath: Any,
        lpath: Any,
        recursive: bool = False,
        callback: Callback = DEFAULT_CALLBACK,
        maxdepth: int | None = None,
        **kwargs: Any,
    ) -> None:
        """Copy files to local paths, those of a version by one plan, as `cas get` does.

        Local files are replaced; what is there already is not fetched.

        Raises:
            MissingPathError: there is nothing of that name.
            ObstructedError: a folder is where a file should go, or the other way round.
        """
        if recursive and maxdepth is None and isinstance(rpath, str) and not has_magic(rpath):
            place = find_place(self._pinned, self._strip_protocol(rpath))
            if isinstance(place, VersionPlace) and self.isdir(rpath):
                get_folder(self.store.parts, place, folder_for(rpath, lpath), callback)
                return
        pairs = find_pairs(self, rpath, lpath, recursive=recursive, maxdepth=maxdepth)
        files = []
        for source, target in pairs:
            if self.isdir(source):
                Path(target).mkdir(parents=True, exist_ok=True)
            else:
                files.append((self._file_place(source), target))
        if len(pairs) == 1 and self.isfile(pairs[0][0]):
            callback.set_size(1)
            with callback.branched(*pairs[0]) as child:
                self.get_file(*pairs[0], callback=child)
            callback.relative_update(1)
        elif files:
            get_files(self.store.parts, files, callback)

    def _file_place(self, path: str) -> VersionPlace:
        place = find_place(self._pinned, path)
        if not isinstance(place, VersionPlace):
            raise is_a_folder(path)
        return place

    def _reader(self, path: str) -> ContentReader:
        place = self._file_place(path)
        with self._expecting_file(path):
            return self._pinned.reader(place.version, place.inner)

    @contextmanager
    def _expecting_file(self, path: str) -> Iterator[None]:
        try:
            yield
        except InvalidInputError as error:
            if self.isdir(path):
                raise is_a_folder(path) from error
            raise

    # -- Python

    def __reduce__(self) -> tuple[Any, ...]:
        chosen = None if self._chosen.opened else (self._chosen.url, dict(self._chosen.options))
        given = self.storage_args, self.storage_options
        return _restore, (type(self), *given, chosen, self._pinned.tell())

    def learn(self, knowledge: Knowledge) -> bool:
        """Take what a copy in another process has resolved and read; refuse what contradicts."""
        return self._pinned.learn(knowledge)

    def reads(self, chosen: tuple[str, dict[str, Any]] | None) -> bool:
        """Tell whether this is the store: URL and options, or None for one that was handed over."""
        return chosen is None or chosen == (self._chosen.url, dict(self._chosen.options))


def _restore(
    kind: type[CasFileSystem],
    args: tuple[Any, ...],
    options: dict[str, Any],
    chosen: tuple[str, dict[str, Any]] | None,
    knowledge: Knowledge,
) -> CasFileSystem:
    """Return a copy of a filesystem of another process: the one that is here already, if it means
    the same by every reference.
    """
    fs = kind(*args, **options)
    if chosen is not None and not fs.reads(chosen):
        # Another environment or other settings: the same store all the same.
        fs = kind(store=chosen[0], target_options=chosen[1])
    if not fs.learn(knowledge):
        fs = kind(*fs.storage_args, **fs.storage_options, skip_instance_cache=True)
        fs.learn(knowledge)
    return fs
