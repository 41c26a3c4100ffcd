"""Versions of very many tiny files, written without any file: pages, root and record as a put makes
them, cut where the caller says.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np
from blake3 import blake3

from cas.backend.base import Backend
from cas.format.manifest import (
    DigestBuilder,
    GroupDigestBuilder,
    Page,
    Root,
    encode_page,
    encode_root,
)
from cas.format.version import VersionRecord
from cas.model.entry import PageLocation, Totals
from cas.model.ids import SessionId
from cas.model.names import ArtifactName
from cas.objects.manifests import assemble_manifest, located_columns, write_meta_blob
from cas.objects.versions import publish


def tiny_page(paths: list[bytes]) -> Page:
    """Return a page of files, each of which holds its own path."""
    count = len(paths)
    lengths = np.array([len(path) for path in paths], np.uint32)
    hashes = b"".join(blake3(path).digest() for path in paths)
    nothing = np.zeros(0, np.uint32)
    return Page(
        paths=paths,
        kinds=np.zeros(count, np.uint8),
        modes=np.zeros(count, np.uint8),
        sizes=lengths.astype(np.uint64),
        hashes=np.frombuffer(hashes, np.uint8).reshape(-1, 32),
        inline_lengths=lengths,
        inline=b"".join(paths),
        extent_counts=np.zeros(count, np.uint32),
        extent_blobs=nothing,
        extent_first=nothing,
        extent_chunks=nothing,
        extent_lengths=nothing.astype(np.uint64),
        blob_ids=np.zeros((0, 32), np.uint8),
        blob_sizes=nothing,
        table_offsets=nothing,
    )


def cut(paths: Sequence[bytes], ends: Iterable[int]) -> list[list[bytes]]:
    """Return the paths of each page."""
    return [list(paths[start:stop]) for start, stop in pairwise([0, *ends])]


def write_version(
    backend: Backend, name: str, pages: list[list[bytes]], *, kind: int = 2
) -> VersionRecord:
    """Publish the first version of an artifact, with these pages and a digest of this kind."""
    session = SessionId(blake3(name.encode()).digest(length=16))
    builder = GroupDigestBuilder() if kind == 2 else DigestBuilder()
    made = [tiny_page(paths) for paths in pages]
    for page in made:
        builder.add(page)
    stated = builder.stated()
    count, size = sum(map(len, pages)), sum(len(path) for paths in pages for path in paths)
    totals = Totals(files=count, symlinks=0, directories=0, externals=0, size=size)

    def root(locations: Sequence[PageLocation]) -> bytes:
        return encode_root(
            Root(
                digest=stated.digest,
                groups=stated.groups,
                totals=totals,
                page_entries=np.array([len(paths) for paths in pages], np.uint32),
                first_paths=[paths[0] for paths in pages],
                **located_columns(locations),
            )
        )

    manifest = assemble_manifest(session, [encode_page(page) for page in made], root)
    for blob in manifest.blobs:
        write_meta_blob(backend, blob)
    record = VersionRecord(
        artifact=ArtifactName(name),
        number=0,
        digest=stated.digest,
        totals=totals,
        root=manifest.root,
        parent=None,
        type="",
        description="",
        message="",
        metadata={},
        inputs=(),
        producer={},
        created_ns=0,
        session=session,
        stamp=0,
        new_bytes=0,
        stored_bytes=0,
    )
    publish(backend, record, record.artifact, 0)
    return record
