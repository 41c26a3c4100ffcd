"""A store as large as they come, without its data: 1,000 versions of a million files, 100 TB.

Records, roots and pages are real objects in a folder. Of its 1.5 million blobs of data there is
nothing but what listings show, made anew for every listing, so that they take no memory.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock

import numpy as np

import cas
from cas.backend.base import Backend, Buffer, Capabilities, StoredObject
from cas.backend.forwarding import ForwardingBackend
from cas.format import keys
from cas.format.manifest import (
    DigestBuilder,
    DigestPart,
    Page,
    Root,
    digest_part,
    encode_page,
    encode_root,
)
from cas.format.version import VersionRecord, encode_slot
from cas.model.entry import EntryKind, PageLocation, Totals
from cas.model.ids import SessionId, VersionDigest
from cas.model.names import ArtifactName
from cas.objects.id_sets import Ids
from cas.objects.manifests import OWN_BLOB, assemble_manifest, located_columns

BLOB_BYTES = 64 << 20
FILES_A_BLOB = 2
LENGTH = BLOB_BYTES // FILES_A_BLOB
CHUNKS = 400
NAME = ArtifactName("vast")
_FOLDERS = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """How much of everything there is.

    Attributes:
        pages: pages of a version.
        files: files of a page.
        changed: pages that differ between a version and the next.
        fresh: blobs that each of these has and the one before it had not.
        dead: blobs that nothing needs.
    """

    versions: int
    pages: int
    files: int
    changed: int
    fresh: int
    dead: int

    @property
    def blobs(self) -> int:
        """Blobs of one page."""
        return self.files // FILES_A_BLOB

    @property
    def live(self) -> int:
        """Blobs of data that versions need."""
        return self.pages * self.blobs + (self.versions - 1) * self.changed * self.fresh

    @property
    def distinct_pages(self) -> int:
        """Pages of all versions, each once."""
        return self.pages + (self.versions - 1) * self.changed


def blob_ids(folder: int, count: int) -> Ids:
    """Return the ids of the blobs in one of the 256 folders, the dead ones last."""
    ids = np.random.default_rng([5, folder]).integers(0, 256, (count, 32), np.uint8)
    ids[:, 0] = folder
    return ids


def _count_in(folder: int, blobs: int) -> int:
    return (blobs - folder + _FOLDERS - 1) // _FOLDERS


class VastBackend(ForwardingBackend):
    """The store, as if it were far away. Counts requests by kind and folder."""

    capabilities = Capabilities(
        create_if_absent=True, atomic_listing=False, local=False, deletes_many=True
    )

    def __init__(self, backend: Backend, shape: Shape) -> None:
        super().__init__(backend)
        self._blobs = shape.live + shape.dead
        self._gone: list[set[str]] = [set() for _ in range(_FOLDERS)]
        self._lock = Lock()
        self.counts: Counter[str] = Counter()

    def get(self, key: str, start: int = 0, stop: int | None = None) -> bytes:
        self._count("get", key)
        return super().get(key, start, stop)

    def put(self, key: str, parts: Sequence[Buffer]) -> None:
        self._count("put", key)
        super().put(key, parts)

    def create(self, key: str, content: bytes) -> None:
        self._count("create", key)
        super().create(key, content)

    def delete(self, key: str) -> None:
        self._count("delete", key)
        self._delete(key)

    def delete_many(self, keys: Sequence[str]) -> None:
        self._count("delete many", keys[0])
        for key in keys:
            self._delete(key)

    def list_folders(self, prefix: str) -> list[str]:
        self._count("list", prefix)
        return super().list_folders(prefix)

    def list_objects(self, prefix: str) -> Iterator[StoredObject]:
        self._count("list", prefix)
        if not f"{prefix}/".startswith(f"{keys.BLOBS}/"):
            return super().list_objects(prefix)
        folder = prefix.partition("/")[2]
        folders = [int(folder, 16)] if folder else range(_FOLDERS)
        return (one for number in folders for one in self._list_folder(number))

    def _list_folder(self, folder: int) -> Iterator[StoredObject]:
        prefix = f"{keys.BLOBS}/{folder:02x}/"
        gone = self._gone[folder]
        for row in blob_ids(folder, _count_in(folder, self._blobs)):
            key = prefix + row.tobytes().hex()
            if key not in gone:
                yield StoredObject(key, BLOB_BYTES, 0)

    def _delete(self, key: str) -> None:
        if key.startswith(f"{keys.BLOBS}/"):
            self._gone[int(key.split("/")[1], 16)].add(key)
        else:
            super().delete(key)

    def _count(self, kind: str, key: str) -> None:
        with self._lock:
            self.counts[f"{kind} {_kind_of(key)}"] += 1


def _kind_of(key: str) -> str:
    return "versions" if "/versions" in key else key.partition("/")[0]


def make_vast_store(folder: Path, shape: Shape) -> None:
    """Write the records and manifests of a store into a folder."""
    cas.Store.create(folder).close()
    writer = _Writer(folder, shape)
    for number in range(shape.versions):
        writer.add_version(number)


class _Writer:
    """Writes versions, each with some pages that differ from those of the one before it."""

    def __init__(self, folder: Path, shape: Shape) -> None:
        self._folder = folder
        self._shape = shape
        self._random = np.random.default_rng(7)
        self._session = SessionId(bytes(16))
        total = shape.live + shape.dead
        ids = [blob_ids(one, _count_in(one, total)) for one in range(_FOLDERS)]
        self._ids = np.stack([np.resize(one, (len(ids[0]), 32)) for one in ids], axis=1)
        self._ids = self._ids.reshape(-1, 32)
        self._blobs = np.arange(shape.pages * shape.blobs).reshape(shape.pages, shape.blobs)
        self._next_blob = self._blobs.size
        self._locations: dict[int, PageLocation] = {}
        self._parts: dict[int, DigestPart] = {}

    def add_version(self, number: int) -> None:
        shape = self._shape
        changed = list(range(shape.pages))
        if number:
            changed = self._random.choice(shape.pages, shape.changed, replace=False).tolist()
            for page in changed:
                stop = self._next_blob + shape.fresh
                rows = self._random.choice(shape.blobs, shape.fresh, replace=False)
                self._blobs[page, rows] = np.arange(self._next_blob, stop)
                self._next_blob = stop
        contents = [self._page(page) for page in changed]
        digest = self._digest()

        def root(locations: Sequence[PageLocation]) -> bytes:
            self._locations.update(zip(changed, locations, strict=True))
            return self._root(digest)

        manifest = assemble_manifest(self._session, contents, root)
        self._place_in_own_blob(manifest.root)
        for blob in manifest.blobs:
            self._write(keys.meta_key(blob.blob_id), b"".join(blob.parts))
        record = self._record(number, digest, manifest.root)
        self._write(keys.version_key(NAME, number), encode_slot(record))

    def _digest(self) -> VersionDigest:
        builder = DigestBuilder()
        for page in range(self._shape.pages):
            builder.add_part(self._parts[page])
        return builder.digest()

    def _place_in_own_blob(self, root: PageLocation) -> None:
        """Say where those pages lie for which the root said only that they lie beside it."""
        for page, one in self._locations.items():
            if one.blob_id == OWN_BLOB:
                placed = replace(one, blob_id=root.blob_id, blob_size=root.blob_size)
                self._locations[page] = placed

    def _page(self, number: int) -> bytes:
        page = self._make_page(number)
        self._parts[number] = digest_part(page)
        return encode_page(page)

    def _make_page(self, page: int) -> Page:
        files, blobs = self._shape.files, self._shape.blobs
        rows = np.arange(files)
        hashes = np.resize(self._random.integers(0, 256, (64, 32), np.uint8), (files, 32))
        return Page(
            paths=[b"%04d/file-%06d.bin" % (page, row) for row in range(files)],
            kinds=np.full(files, EntryKind.FILE, np.uint8),
            modes=np.zeros(files, np.uint8),
            sizes=np.full(files, LENGTH, np.uint64),
            hashes=hashes,
            inline_lengths=np.zeros(files, np.uint32),
            inline=b"",
            extent_counts=np.ones(files, np.uint32),
            extent_blobs=(rows // FILES_A_BLOB).astype(np.uint32),
            extent_first=(rows % FILES_A_BLOB * CHUNKS).astype(np.uint32),
            extent_chunks=np.full(files, CHUNKS, np.uint32),
            extent_lengths=np.full(files, LENGTH, np.uint64),
            blob_ids=self._ids[self._blobs[page]],
            blob_sizes=np.full(blobs, BLOB_BYTES, np.uint32),
            table_offsets=np.full(blobs, BLOB_BYTES - 40_000, np.uint32),
        )

    def _root(self, digest: VersionDigest) -> bytes:
        pages = self._shape.pages
        locations = [self._locations[page] for page in range(pages)]
        return encode_root(
            Root(
                digest=digest,
                totals=self._totals(),
                page_entries=np.full(pages, self._shape.files, np.uint32),
                first_paths=[b"%04d/file-000000.bin" % page for page in range(pages)],
                **located_columns(locations),
            )
        )

    def _totals(self) -> Totals:
        files = self._shape.pages * self._shape.files
        return Totals(files=files, symlinks=0, directories=0, externals=0, size=files * LENGTH)

    def _record(self, number: int, digest: VersionDigest, root: PageLocation) -> VersionRecord:
        return VersionRecord(
            artifact=NAME,
            number=number,
            digest=digest,
            totals=self._totals(),
            root=root,
            parent=number - 1 if number else None,
            type="",
            description="",
            message="",
            metadata={},
            inputs=(),
            producer={},
            created_ns=0,
            session=self._session,
            stamp=0,
            new_bytes=0,
            stored_bytes=0,
        )

    def _write(self, key: str, content: bytes) -> None:
        path = self._folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
