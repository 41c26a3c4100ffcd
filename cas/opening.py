"""Opening a store: the options of its use, and what is laid over its backend.

From below: the storage, a counter of requests, retries, foresight, and a cache of what never
changes. A local folder needs none of the last three.

What is imported here is what the first request needs. NumPy and all that rests on it take as long
as several round trips, so they are imported while those are under way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cas.backend.base import Backend
from cas.backend.caching import CachingBackend
from cas.backend.concurrency import ConcurrencyLimit
from cas.backend.counting import RequestCounter, RequestCounts
from cas.backend.foreseeing import ForeseeingBackend
from cas.backend.open import open_backend
from cas.backend.retrying import RetryingBackend, RetryPolicy
from cas.environment import (
    SystemClock,
    available_cpus,
    current_environ,
    default_memory_bytes,
)
from cas.format import keys
from cas.model.names import ArtifactName, Ref

if TYPE_CHECKING:
    from cas.chunk_cache.cache import ChunkCache
    from cas.format.config import StoreConfig
    from cas.objects.parts import StoreParts

# The number is that of the format of the entries.
METADATA_FOLDER = "metadata-1"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreOptions:
    """How a store is used.

    Attributes:
        jobs: threads that read, cut and compress, and requests in flight; None takes as many
            threads as there are CPUs, and lets the number of requests find its level by itself.
        memory_bytes: budget for data in flight; None takes a quarter of the memory, at most
            192 MiB, or 144 MiB over a network.
        cache_dir: folder of the journal; None takes the user's cache folder.
        cache_size: how much of the data that is read is kept below `cache_dir` for the next time,
            by whatever process: bytes, `"20GB"`, `"10%"` of the disk, or 0 for none. None takes
            CAS_CACHE_SIZE, then `cache_size` in the user's settings file, then none.
        use_cache: whether this store's data is kept so; None is yes, unless the store is a folder.
            For one that lies on a slow network it may help.
        journal: remember what was read, so that unchanged files are not read again.
        retries: how long a store that is not local is asked again when requests fail.
        reads_first: the reference that will be read first, if that is known: on a store that is
            not local the requests for it begin while the store is opened.
        writes_first: the artifact that will be put first; likewise for what a put asks for.
    """

    jobs: int | None = None
    memory_bytes: int | None = None
    cache_dir: str | None = None
    cache_size: int | str | None = None
    use_cache: bool | None = None
    journal: bool = True
    retries: RetryPolicy = field(default_factory=RetryPolicy)
    reads_first: str | None = None
    writes_first: str | None = None


@dataclass(frozen=True, slots=True)
class OpenedStore:
    """The pieces of an open store, and the counter below them."""

    parts: StoreParts
    counter: RequestCounter


def create_at(
    url: str, storage_options: Mapping[str, Any] | None, chunk_average: int
) -> RequestCounts:
    """Create a store at a URL; return what that took."""
    from cas.operations.init import init_store  # see above

    counter = RequestCounter(open_backend(url, storage_options, create=True))
    with _with_retries(counter, StoreOptions()) or counter as backend:
        init_store(backend, SystemClock(), chunk_average=chunk_average)
    return counter.counts


@dataclass(frozen=True, slots=True)
class BegunStore:
    """A store of which the first requests are under way."""

    url: str
    storage_options: Mapping[str, Any] | None
    options: StoreOptions
    _backend: Backend
    _counter: RequestCounter
    _retrying: RetryingBackend | None

    def stop_retrying(self) -> None:
        """Ask for nothing a second time from now on: somebody waits for an end, whatever it is."""
        if self._retrying is not None:
            self._retrying.stop_retrying()

    def finish(self) -> OpenedStore:
        """Open it.

        Raises:
            NotFoundError: there is no store.
        """
        from cas.operations.init import open_store  # see above

        try:
            parts = _open_parts(
                self._backend, self._counter, open_store(self._backend), self.options
            )
        except BaseException:
            self._backend.close()
            raise
        return OpenedStore(parts, self._counter)


def begin_at(
    url: str,
    storage_options: Mapping[str, Any] | None,
    options: StoreOptions,
    before: RequestCounts | None = None,
) -> BegunStore:
    """Begin to open the store at a URL: ask for what is needed first, wait for nothing.

    Requests are counted from `before`.
    """
    counter = RequestCounter(open_backend(url, storage_options), before)
    retrying = _with_retries(counter, options)
    backend = _with_foresight(retrying or counter, options)
    return BegunStore(url, storage_options, options, backend, counter, retrying)


def open_on(backend: Backend, options: StoreOptions) -> OpenedStore:
    """Open the store on a backend as it is, which is left to whoever made it."""
    from cas.operations.init import open_store  # see above

    counter = RequestCounter(backend)
    return OpenedStore(_open_parts(counter, counter, open_store(counter), options), counter)


def _with_retries(backend: Backend, options: StoreOptions) -> RetryingBackend | None:
    """A disk that fails is not asked again: it fails for good."""
    if backend.capabilities.local:
        return None
    return RetryingBackend(backend, options.retries, ConcurrencyLimit(options.jobs))


def _with_foresight(backend: Backend, options: StoreOptions) -> Backend:
    """Ask for what the store says of itself, and beside it for what is read next."""
    if backend.capabilities.local:
        return backend
    acts: list[Callable[[Backend], object]] = [lambda ahead: ahead.get(keys.CONFIG)]
    if options.writes_first is not None:
        written = Ref(ArtifactName(options.writes_first))
        acts.append(lambda ahead: ahead.list_objects(keys.collections_prefix()))
        acts.append(lambda ahead: _read_ahead(ahead, written, options))
    elif options.reads_first is not None:
        ref = Ref.parse(options.reads_first)
        acts.append(lambda ahead: _read_ahead(ahead, ref, options))
    foreseeing = ForeseeingBackend(backend, acts)
    # What the acts need when the first answers come. Imported only then, it would take turns with
    # NumPy: where CPUs are busy that doubled the time of the next request.
    import cas.format.config
    import cas.objects.root_ahead  # noqa: F401

    return foreseeing


def _read_ahead(backend: Backend, ref: Ref, options: StoreOptions) -> None:
    """Read what leads to the files of a version, as whoever asks for it will do."""
    backend.list_objects(keys.versions_prefix(ref.artifact))
    from cas.format.config import decode_config  # see above
    from cas.objects.root_ahead import fetch_root

    config = decode_config(backend.get(keys.CONFIG))
    fetch_root(_with_cache(backend, config, _state_folder(options)), ref)


def _state_folder(options: StoreOptions) -> Path | None:
    if not options.journal:
        return None
    from cas.settings import cache_folder  # see above

    return Path(options.cache_dir or cache_folder(current_environ()))


def _with_cache(backend: Backend, config: StoreConfig, state_dir: Path | None) -> Backend:
    if state_dir is None or backend.capabilities.local:
        return backend
    folder = state_dir / METADATA_FOLDER / config.store_id
    return CachingBackend(backend, folder, keys.immutable_prefixes())


def _chunk_cache(backend: Backend, options: StoreOptions) -> ChunkCache | None:
    is_wanted = options.use_cache
    if is_wanted is False or (is_wanted is None and backend.capabilities.local):
        return None
    if options.cache_size is None and not options.journal:
        return None  # nothing was to be written on this machine
    from cas.cache_settings import choose_cache  # see above
    from cas.chunk_cache.cache import ChunkCache

    cache = choose_cache(current_environ(), size=options.cache_size, folder=options.cache_dir)
    return ChunkCache(cache.folder, cache.limit_bytes) if cache.limit_bytes else None


def _open_parts(
    backend: Backend, counter: RequestCounter, config: StoreConfig, options: StoreOptions
) -> StoreParts:
    from cas.chunking.cutter import Cutter  # see above
    from cas.chunking.profile import ChunkProfile
    from cas.objects.blobs import TableReader
    from cas.objects.manifests import PageReader
    from cas.objects.parts import StoreParts

    state_dir = _state_folder(options)
    chunks = _chunk_cache(backend, options)
    backend = _with_cache(backend, config, state_dir)
    is_local = backend.capabilities.local
    return StoreParts(
        backend=backend,
        counter=counter,
        config=config,
        cutter=Cutter(ChunkProfile(config.chunk_average)),
        tables=TableReader(backend, chunks=chunks),
        pages=PageReader(backend),
        jobs=options.jobs or available_cpus(),
        memory_bytes=options.memory_bytes or default_memory_bytes(is_local=is_local),
        state_dir=state_dir,
        chunks=chunks,
    )
