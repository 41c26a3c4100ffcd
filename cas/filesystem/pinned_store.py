"""A store whose references are resolved once, whatever becomes of them meanwhile.

It survives a fork and travels to other processes with what it knows: there nothing is resolved
or read again that was already.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace

from cas.as_files.failures import as_os_errors
from cas.format.manifest import Page, Root
from cas.format.version import VersionRecord
from cas.model.entry import PageLocation
from cas.model.names import Ref
from cas.model.units import MIB
from cas.objects.versions import list_artifacts
from cas.operations.pinned import PinnedVersion, pin_version
from cas.operations.read_file import open_content
from cas.operations.version_pages import VersionPages
from cas.store import Store
from cas.transfer.reading import ContentReader

# What a pickle takes along at most: Dask sends one with every task.
CARRIED_BYTES = 1 * MIB
_ENTRY_BYTES = 160
# Each keeps up to 8 MiB that it decoded.
_CACHED_READERS = 8

Kept = list[tuple[bytes, Page | Root]]


@dataclass(frozen=True, slots=True)
class KnownVersion:
    """What is known of a version that a reference was resolved to; see `PinnedVersion`."""

    record: VersionRecord
    root: PageLocation
    is_digest_pinned: bool
    expires_ns: int | None

    def is_same(self, other: KnownVersion) -> bool:
        """Tell whether it is the same version, wherever its pages lie now."""
        mine, theirs = self.record, other.record
        return (mine.artifact, mine.number, mine.digest) == (
            theirs.artifact,
            theirs.number,
            theirs.digest,
        )

    def on(self, store: Store) -> PinnedVersion:
        """Return the version as it is read from a store that is open."""
        vouched = self.is_digest_pinned
        pages = VersionPages(store.parts, self.record, self.root, is_vouched=vouched)
        return PinnedVersion(self.record, self.root, pages, vouched, self.expires_ns)


@dataclass(frozen=True, slots=True)
class Knowledge:
    """What one process tells another: versions by reference, pages that it has read, and the names
    of artifacts if it has listed them.
    """

    versions: dict[str, KnownVersion]
    pages: Kept
    names: frozenset[str] | None


class PinnedStore:
    """Opens a store when it is first needed, and remembers what references mean. Thread-safe."""

    def __init__(self, open_store: Callable[[], Store]) -> None:
        self._open_store = open_store
        self._lock = threading.RLock()
        self._store: Store | None = None
        self._left: list[object] = []
        self._known: dict[str, KnownVersion] = {}
        self._pages: Kept = []
        self._pinned: dict[str, PinnedVersion] = {}
        self._names: frozenset[str] | None = None
        self._verified: set[tuple[bytes, str]] = set()
        self._readers: OrderedDict[tuple[bytes, str], ContentReader] = OrderedDict()
        _EVERY.add(self)

    @property
    def store(self) -> Store:
        """The store, open.

        Raises:
            NotFoundError: there is no store.
            BackendError: the storage failed.
        """
        with self._lock:
            if self._store is None:
                with as_os_errors():
                    self._store = self._open_store()
                self._store.parts.pages.keep(self._pages)
                self._pages = []
            return self._store

    def version(self, ref: Ref) -> PinnedVersion:
        """Return the version that a reference named when it was first asked for.

        Raises:
            MissingPathError: it names none.
        """
        key = str(replace(ref, path=""))
        with self._lock:
            pinned = self._pinned.get(key)
            if pinned is None:
                known = self._known.get(key)
                with as_os_errors(resolving=True):
                    parts = self.store.parts
                    pinned = pin_version(parts, ref) if known is None else known.on(self.store)
                self._pinned[key] = pinned
            return pinned

    def artifacts(self, *, afresh: bool = True) -> frozenset[str]:
        """Return the names of the artifacts as they are now, or as they were when last asked for."""
        with self._lock:
            if self._names is None or afresh:
                with as_os_errors():
                    self._names = frozenset(map(str, list_artifacts(self.store.parts.backend)))
            return self._names

    def open(self, version: PinnedVersion, path: str) -> ContentReader:
        """Return a reader of a file. Under a digest that the user typed the whole file is read and
        hashed when it is first opened.

        Raises as `open_content` does.
        """
        name = version.record.digest.raw, path
        is_trusted = not version.is_digest_pinned or name in self._verified
        trusted = replace(version, is_digest_pinned=False) if is_trusted else version
        with as_os_errors():
            reader = open_content(self.store.parts, trusted, path)
        if version.is_digest_pinned:
            self._verified.add(name)
        return reader

    def reader(self, version: PinnedVersion, path: str) -> ContentReader:
        """Return the same, shared by all who ask for the file in turn; raises the same."""
        name = version.record.digest.raw + bytes([version.is_digest_pinned]), path
        with self._lock:
            reader = self._readers.get(name)
            if reader is not None:
                self._readers.move_to_end(name)
                return reader
        reader = self.open(version, path)
        with self._lock:
            self._readers[name] = reader
            while len(self._readers) > _CACHED_READERS:
                self._readers.popitem(last=False)
        return reader

    def forget(self) -> None:
        """Resolve references anew from now on."""
        with self._lock:
            self._known.clear()
            self._pinned.clear()
            self._names = None

    # -- other processes

    def tell(self) -> Knowledge:
        """Return what another process need not find out again."""
        with self._lock:
            known = self._known | {ref: _known(one) for ref, one in self._pinned.items()}
            kept = self._pages if self._store is None else self._store.parts.pages.kept()
        carried: Kept = []
        size = 0
        for key, page in reversed(kept):
            size += _ENTRY_BYTES * len(page.paths if isinstance(page, Page) else page.first_paths)
            if size > CARRIED_BYTES:
                break
            carried.append((key, page))
        return Knowledge(known, carried[::-1], self._names)

    def learn(self, knowledge: Knowledge) -> bool:
        """Take what another process has found out; refuse all of it if a reference means something
        else here already.
        """
        with self._lock:
            mine = self._known | {ref: _known(one) for ref, one in self._pinned.items()}
            for ref, known in knowledge.versions.items():
                if ref in mine and not mine[ref].is_same(known):
                    return False
            self._known = knowledge.versions | self._known
            self._names = self._names or knowledge.names
            if self._store is None:
                self._pages += knowledge.pages
            else:
                self._store.parts.pages.keep(knowledge.pages)
            return True

    def begin_child(self) -> None:
        """Begin anew in a forked child with what is known.

        Connections are the parent's, and any lock may have been held by a thread that is not here.
        """
        self._lock = threading.RLock()
        self._known |= {ref: _known(one) for ref, one in self._pinned.items()}
        # Not given back to the collector of garbage, which could close what the parent uses.
        self._left += [self._store, self._pinned, self._readers]
        self._pinned, self._readers = {}, OrderedDict()
        if self._store is not None:
            self._pages = self._store.parts.pages.kept()
            self._store = None


def _known(version: PinnedVersion) -> KnownVersion:
    location = version.pages.location
    return KnownVersion(version.record, location, version.is_digest_pinned, version.expires_ns)


_EVERY: weakref.WeakSet[PinnedStore] = weakref.WeakSet()


def _begin_children() -> None:
    for store in list(_EVERY):
        store.begin_child()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_children)
