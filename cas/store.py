"""The store: opened by URL, one method for each act. It only delegates."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO, Self

from cas.backend.base import Backend
from cas.backend.counting import RequestCounts, RequestTally
from cas.comparisons import Comparisons
from cas.environment import SystemClock, current_environ
from cas.format.config import StoreConfig, check_features
from cas.model.names import ArtifactName, Ref
from cas.model.units import KIB
from cas.objects.parts import StoreParts
from cas.opening import BegunStore, OpenedStore, StoreOptions, begin_at, create_at, open_on
from cas.operations.outcomes import GetOptions, PutOptions
from cas.operations.pinned import pin_version
from cas.settings import cache_folder
from cas.upkeep import Upkeep

# Each of these takes some milliseconds to load that commands of another kind need not spend.
if TYPE_CHECKING:
    from cas.chunk_cache.cache import CacheCounts
    from cas.drafts import Draft
    from cas.operations.copy_outcomes import CopyOptions, CopyOutcome, CopyPlan
    from cas.operations.diagnosis import DiagnoseOptions, Diagnosis
    from cas.operations.outcomes import GetOutcome, PutOutcome, PutPlan
    from cas.operations.show_history import ArtifactSummary, VersionSummary
    from cas.version import Version

PathLike = str | os.PathLike[str]
AnySource = PathLike | Sequence[PathLike] | BinaryIO


class Store(Upkeep, Comparisons):
    """A store of artifacts. Thread-safe, picklable, and a context manager.

    Examples:
        >>> store = Store.create(folder + "/new-store")
        >>> outcome = store.put(folder + "/digits", "digits")
        >>> outcome.ref
        'digits:v0'
        >>> store.version("digits").totals.files
        2
        >>> got = store.get("digits:v0", folder + "/copy")
        >>> got.files
        2
        >>> store.diff("digits:v0", "digits:latest").is_empty
        True
        >>> store.close()
    """

    def __init__(
        self,
        place: str | Backend,
        storage_options: Mapping[str, Any] | None,
        options: StoreOptions,
        opened: OpenedStore,
    ) -> None:
        """Use `Store.open` or `Store.create`."""
        # A copy in another process reads what it needs when it needs it.
        options = replace(options, reads_first=None, writes_first=None)
        self._given = (place, storage_options, options)
        self._parts = opened.parts
        self._counter = opened.counter

    @classmethod
    def create(
        cls,
        url: PathLike,
        *,
        chunk_size: int = 64 * KIB,
        storage_options: Mapping[str, Any] | None = None,
    ) -> Self:
        """Create a store in a folder or behind any fsspec URL, and open it.

        Args:
            url: a path, or the URL of any fsspec filesystem.
            chunk_size: average bytes of a chunk, a power of two from 4 KiB to 1 MiB. Smaller ones
                find more duplicates and make a larger index; it cannot be changed later.
            storage_options: passed on to the filesystem; credentials belong here.

        Raises:
            AlreadyExistsError: there is a store.
            InvalidInputError: the URL or the chunk size is not allowed.
            UnsupportedError: the driver for the URL is not installed.
            BackendError: the storage failed.
        """
        text = os.fspath(url)
        before = create_at(text, storage_options, chunk_size)
        return cls.finish(begin_at(text, storage_options, StoreOptions(), before))

    @classmethod
    def open(
        cls,
        url: PathLike,
        *,
        storage_options: Mapping[str, Any] | None = None,
        options: StoreOptions | None = None,
    ) -> Self:
        """Open a store.

        Raises:
            NotFoundError: there is no store.
            UnsupportedError: it needs a newer cas, or a driver that is not installed.
            BackendError: the storage failed.
        """
        return cls.finish(begin_at(os.fspath(url), storage_options, options or StoreOptions()))

    @classmethod
    def finish(cls, begun: BegunStore) -> Self:
        """Open a store whose first requests are under way.

        Raises as `open` does.
        """
        return cls(begun.url, begun.storage_options, begun.options, begun.finish())

    @classmethod
    def on(cls, backend: Backend, *, options: StoreOptions | None = None) -> Self:
        """Open the store that lies on a backend of your own, such as `cas.testing` has.

        Raises:
            NotFoundError: there is no store on it.
        """
        options = options or StoreOptions()
        return cls(backend, None, options, open_on(backend, options))

    @classmethod
    def diagnose(
        cls,
        url: PathLike,
        *,
        storage_options: Mapping[str, Any] | None = None,
        options: DiagnoseOptions | None = None,
    ) -> Diagnosis:
        """Examine a store that may be missing, damaged, out of reach or forbidden; raise nothing.

        Unless `options.read_only`, a few objects are written below `sessions/` and deleted.
        """
        # 30 ms, for importlib.metadata and others, that other commands need not spend.
        from cas.operations.diagnose import diagnose
        from cas.operations.diagnosis import DiagnoseOptions

        options = options or DiagnoseOptions()
        cache_dir = Path(options.cache_dir or cache_folder(current_environ()))
        return diagnose(os.fspath(url), storage_options, SystemClock(), cache_dir, options)

    # -- the store itself

    @property
    def url(self) -> str:
        """Where the store is, without credentials."""
        return self._counter.url

    @property
    def config(self) -> StoreConfig:
        """What was fixed when the store was made."""
        return self._parts.config

    @property
    def store_id(self) -> str:
        """The store's own id, 32 hexadecimal digits."""
        return self.config.store_id

    @property
    def requests(self) -> RequestCounts:
        """The requests made through this object so far."""
        return self._counter.counts

    @property
    def place_requests(self) -> tuple[RequestTally, ...]:
        """The requests made to sources and targets that are URLs, a tally for each opened."""
        return tuple(self._parts.tallies)

    @property
    def cache_counts(self) -> CacheCounts | None:
        """What the cache of data was good for, through this object; None without one."""
        return None if self._parts.chunks is None else self._parts.chunks.counts

    @property
    def parts(self) -> StoreParts:
        """The opened pieces, for code that extends cas."""
        return self._parts

    def close(self) -> None:
        """Let go of connections. Twice is fine."""
        self._parts.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Store {self.url}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopen, (type(self), *self._given)

    # -- writing

    def put(self, source: AnySource, name: str, options: PutOptions | None = None) -> PutOutcome:
        """Store a folder, a file, several paths or a stream as the next version of an artifact.

        A source may also be the URL of an object or prefix behind any driver of fsspec, such as
        `s3://bucket/raw`, or several of them: it is read without a local copy.

        Sends only what the store does not have. Makes no version if nothing changed. When this
        returns, the version is durable; an interrupted put is resumed by the same call.

        Raises:
            NotFoundError: a source does not exist.
            InvalidInputError: a name or an option is not allowed, or there is nothing to put.
            IncompleteError: some files could not be read; nothing was published.
            ConflictError: `options.if_parent` is not the newest version.
            BackendError: the storage failed.
        """
        check_features(self.config, "write")
        options = options or PutOptions()
        from cas.operations.put import put
        from cas.operations.sources import as_source

        return put(self._parts, as_source(source, options), ArtifactName(name), options)

    def draft(
        self,
        name: str,
        base: str | None = None,
        options: PutOptions | None = None,
        **given: Any,
    ) -> Draft:
        """Begin a version of an artifact that is written file by file: a context manager, and a
        filesystem of fsspec for whatever writes to one.

        What is committed becomes the next version, as `put` makes it: also if another version was
        published since. With `if_parent="name:latest"` it fails then.

        Args:
            name: the artifact.
            base: the version to begin with, of this or another artifact, whose files need not be
                read; "latest" is the newest one of this artifact, if there is any; None begins with
                nothing.
            options: how it is committed and what is said of it.
            given: single fields of `PutOptions`, such as `description`.

        Raises:
            NotFoundError: the base does not exist.
            InvalidInputError: a name or an option is not allowed.
        """
        check_features(self.config, "write")
        # 0.1 s, for fsspec, that a put need not spend.
        from cas.drafts import Draft, DraftPlace

        options = replace(options or PutOptions(), **given)
        return Draft(self, DraftPlace.find(self._parts, name, base, options))

    def plan_put(self, source: AnySource, name: str, options: PutOptions | None = None) -> PutPlan:
        """Return what `put` would send, to the byte, without writing anything to the store."""
        options = options or PutOptions()
        from cas.operations.plan_put import plan_put
        from cas.operations.sources import as_source

        return plan_put(self._parts, as_source(source, options), ArtifactName(name), options)

    def copy(
        self, refs: str | Sequence[str] | None, target: Store, options: CopyOptions | None = None
    ) -> CopyOutcome:
        """Copy versions to another store, sending only the chunks that it does not have.

        Digest, description, metadata, type, lineage, producer and aliases are carried over; numbers
        are those of the target. What the target has already is not copied again. Everything that
        is copied is verified, and an interrupted copy is resumed by the same call.

        Args:
            refs: one or several references; None copies every version of every artifact.
            target: the other store.
            options: how it is done.

        Raises:
            NotFoundError: there is no such version here.
            InvalidInputError: a reference or an option is not allowed, or both stores are the same.
            CorruptionError: this store is damaged where it is read; that version is not published.
            BackendError: one of the storages failed.
        """
        check_features(target.config, "write")
        chosen = [refs] if isinstance(refs, str) else refs
        # Here and below: 10 to 20 ms that commands of another kind need not spend.
        from cas.operations.copy_outcomes import CopyOptions
        from cas.operations.copy_version import copy_versions

        return copy_versions(self._parts, target.parts, chosen, options or CopyOptions())

    def plan_copy(
        self, refs: str | Sequence[str] | None, target: Store, options: CopyOptions | None = None
    ) -> CopyPlan:
        """Return what `copy` would send, reading no data and writing nothing."""
        chosen = [refs] if isinstance(refs, str) else refs
        from cas.operations.copy_outcomes import CopyOptions
        from cas.operations.plan_copy import plan_copy

        return plan_copy(self._parts, target.parts, chosen, options or CopyOptions())

    # -- reading

    def version(self, ref: str) -> Version:
        """Resolve a reference once and return the pinned version.

        Raises:
            NotFoundError: there is no such version, or it was deleted.
            InvalidInputError: the reference is malformed or names a path.
        """
        from cas.version import Version

        return Version(self, pin_version(self._parts, Ref.parse(ref)))

    def pin(self, ref: str) -> AbstractContextManager[Version]:
        """Keep a version in the store for as long as the context lasts, whatever is deleted.

        The context gives the version to be read. Long readings that must not end halfway need it;
        a version that is only moved is followed without. It writes below `sessions/`.

        Raises:
            NotFoundError: there is no such version, or it was deleted.
            ConflictError: collections were faster every time.
            BackendError: the storage failed, or does not let this user write.
        """
        return self.version(ref).pinned()

    def get(self, ref: str, dest: PathLike, options: GetOptions | None = None) -> GetOutcome:
        """Write a version, or the part below the path in `ref`, into a folder.

        `dest` may also be a URL such as `s3://bucket/prefix`; files become plain objects there.
        Files that differ are not touched unless `options.overwrite`.

        Raises:
            NotFoundError: there is no such version or path.
            AlreadyExistsError: files there differ; nothing was written.
            InvalidInputError: paths cannot be made here; nothing was written.
            CorruptionError: the store has other bytes than it must.
            BackendError: the storage failed.
        """
        from cas.operations.get_to_url import get_anywhere  # before what waits for answers

        parsed = Ref.parse(ref)
        pinned = pin_version(self._parts, parsed)
        options = options or GetOptions()
        return get_anywhere(self._parts, pinned, parsed.path, os.fspath(dest), options)

    def artifacts(self) -> list[ArtifactSummary]:
        """Return the artifacts, by name."""
        from cas.operations.show_history import show_artifacts

        return show_artifacts(self._parts)

    def versions(self, name: str, *, include_hidden: bool = False) -> list[VersionSummary]:
        """Return the versions of an artifact, the newest first.

        Raises:
            NotFoundError: there is no such artifact.
        """
        from cas.operations.show_history import show_versions

        return show_versions(self._parts, ArtifactName(name), include_hidden=include_hidden)

    def aliases(self, name: str) -> dict[str, int]:
        """Return where the aliases of an artifact point."""
        from cas.operations.show_history import live_aliases

        return live_aliases(self._parts, ArtifactName(name))


def _reopen(
    kind: type[Store],
    place: str | Backend,
    storage_options: Mapping[str, Any] | None,
    options: StoreOptions,
) -> Store:
    if isinstance(place, str):
        return kind.open(place, storage_options=storage_options, options=options)
    return kind.on(place, options=options)
