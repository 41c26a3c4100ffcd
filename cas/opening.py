"""Opening a store: the options of its use, and what is laid over its backend.

From below: the storage, a counter of requests, retries, foresight, and a cache of what never
changes. A local folder needs none of the last three.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cas.backend.base import Backend
from cas.backend.caching import CachingBackend
from cas.backend.concurrency import ConcurrencyLimit
from cas.backend.counting import RequestCounter
from cas.backend.foreseeing import ForeseeingBackend
from cas.backend.open import open_backend
from cas.backend.retrying import RetryingBackend, RetryPolicy
from cas.chunking.cutter import Cutter
from cas.chunking.profile import ChunkProfile
from cas.environment import (
    SystemClock,
    available_cpus,
    current_environ,
    default_memory_bytes,
)
from cas.format import keys
from cas.format.config import StoreConfig
from cas.model.names import ArtifactName
from cas.objects.blobs import TableReader
from cas.objects.manifests import PageReader
from cas.objects.parts import StoreParts
from cas.operations.init import init_store, open_store
from cas.settings import cache_folder

# The number is that of the format of the entries.
METADATA_FOLDER = "metadata-1"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreOptions:
    """How a store is used.

    Attributes:
        jobs: threads that read, cut and compress, and requests in flight; None takes as many
            threads as there are CPUs, and lets the number of requests find its level by itself.
        memory_bytes: budget for data in flight; None takes a quarter of the memory, at most
            192 MiB.
        cache_dir: folder of the journal; None takes the user's cache folder.
        journal: remember what was read, so that unchanged files are not read again.
        retries: how long a store that is not local is asked again when requests fail.
        reads_first: the artifact that will be read first, if that is known: on a store that is not
            local its versions are listed while the store is opened.
        writes_first: the store is opened for a put; likewise for what a put asks for first.
    """

    jobs: int | None = None
    memory_bytes: int | None = None
    cache_dir: str | None = None
    journal: bool = True
    retries: RetryPolicy = field(default_factory=RetryPolicy)
    reads_first: str | None = None
    writes_first: bool = False


@dataclass(frozen=True, slots=True)
class OpenedStore:
    """The pieces of an open store, and the counter below them."""

    parts: StoreParts
    counter: RequestCounter


def create_at(url: str, storage_options: Mapping[str, Any] | None, chunk_average: int) -> None:
    """Create a store at a URL."""
    opened = open_backend(url, storage_options, create=True)
    with _with_retries(opened, StoreOptions()) as backend:
        init_store(backend, SystemClock(), chunk_average=chunk_average)


def open_at(
    url: str, storage_options: Mapping[str, Any] | None, options: StoreOptions
) -> OpenedStore:
    """Open the store at a URL."""
    counter = RequestCounter(open_backend(url, storage_options))
    backend = _with_foresight(_with_retries(counter, options), options)
    try:
        parts = _open_parts(backend, open_store(backend), options)
    except BaseException:
        backend.close()
        raise
    return OpenedStore(parts, counter)


def open_on(backend: Backend, options: StoreOptions) -> OpenedStore:
    """Open the store on a backend as it is, which is left to whoever made it."""
    counter = RequestCounter(backend)
    return OpenedStore(_open_parts(counter, open_store(counter), options), counter)


def _with_retries(backend: Backend, options: StoreOptions) -> Backend:
    """A disk that fails is not asked again: it fails for good."""
    if backend.capabilities.local:
        return backend
    return RetryingBackend(backend, options.retries, ConcurrencyLimit(options.jobs))


def _with_foresight(backend: Backend, options: StoreOptions) -> Backend:
    if backend.capabilities.local:
        return backend
    if options.writes_first:
        return ForeseeingBackend(backend, keys.collections_prefix())
    if options.reads_first is not None:
        name = ArtifactName(options.reads_first)
        return ForeseeingBackend(backend, keys.versions_prefix(name))
    return backend


def _open_parts(backend: Backend, config: StoreConfig, options: StoreOptions) -> StoreParts:
    state_dir = None
    if options.journal:
        state_dir = Path(options.cache_dir or cache_folder(current_environ()))
    if state_dir is not None and not backend.capabilities.local:
        folder = state_dir / METADATA_FOLDER / config.store_id
        backend = CachingBackend(backend, folder, keys.immutable_prefixes())
    return StoreParts(
        backend=backend,
        config=config,
        cutter=Cutter(ChunkProfile(config.chunk_average)),
        tables=TableReader(backend),
        pages=PageReader(backend),
        jobs=options.jobs or available_cpus(),
        memory_bytes=options.memory_bytes or default_memory_bytes(),
        state_dir=state_dir,
    )
