"""The manifest of a version to be: which pages are new, and where every page and the root will lie.

Nothing is written here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cas.format.manifest import Root, StatedDigest, encode_root
from cas.model.entry import PageLocation
from cas.model.ids import SessionId
from cas.objects.base_version import Surroundings
from cas.objects.blobs import AssembledBlob
from cas.objects.manifests import assemble_manifest, located_columns
from cas.operations.stored_tree import NewPage, StoredTree

Ids = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Manifest:
    """Where the root will lie, and what has to be written before it can be pointed at.

    Attributes:
        new_blobs: meta blobs of new pages and of the root.
        data_ids: ids of the data blobs that new pages speak of, sorted and joined.
        reused: where the pages are that the base version has already, each once.
    """

    root: PageLocation
    new_blobs: list[AssembledBlob]
    data_ids: bytes
    reused: tuple[PageLocation, ...]


def lay_out_manifest(
    session: SessionId,
    found: Surroundings,
    stored: StoredTree,
    stated: StatedDigest | None = None,
) -> Manifest:
    """Lay out the pages that the base version does not have, and a root that names all.

    Args:
        stated: the digest, if it is not to be that of a new version.
    """
    stated = stated or stored.stated
    known = found.usable_pages
    fresh = {
        page.page_id.raw: page
        for page in stored.pages
        if isinstance(page, NewPage) and page.page_id.raw not in known
    }
    shared = found.usable_root
    if shared is not None and not fresh and _is_root_of(found, stored, stated):
        return Manifest(shared, [], b"", tuple(known[p.page_id.raw] for p in stored.pages))

    def encode(new: Sequence[PageLocation]) -> bytes:
        located = known | dict(zip(fresh, new, strict=True))
        return _encode_root(stored, stated, [located[page.page_id.raw] for page in stored.pages])

    written = assemble_manifest(session, [page.content for page in fresh.values()], encode)
    reused = dict.fromkeys(p.page_id.raw for p in stored.pages if p.page_id.raw in known)
    return Manifest(
        written.root,
        written.blobs,
        _data_ids(list(fresh.values())),
        tuple(known[page_id] for page_id in reused),
    )


def _is_root_of(found: Surroundings, stored: StoredTree, stated: StatedDigest) -> bool:
    """Whether the base version's root names exactly these pages, and has the same digest."""
    base = found.base
    return (
        base is not None
        and base.root.digest == stated.digest
        and base.root.page_ids.tobytes() == b"".join(page.page_id.raw for page in stored.pages)
    )


def rows_of_ids(ids: Sequence[bytes]) -> Ids:
    """Return 32-byte ids as an array of shape (n, 32)."""
    return np.frombuffer(b"".join(ids), np.uint8).reshape(-1, 32)


def _encode_root(stored: StoredTree, stated: StatedDigest, locations: list[PageLocation]) -> bytes:
    pages = stored.pages
    return encode_root(
        Root(
            digest=stated.digest,
            groups=stated.groups,
            totals=stored.totals,
            page_entries=np.array([page.entries for page in pages], np.uint32),
            first_paths=[page.first_path for page in pages],
            **located_columns(locations),
        )
    )


def _data_ids(pages: list[NewPage]) -> bytes:
    """The ids of all data blobs that pages speak of, sorted, each once."""
    found = {row.tobytes() for page in pages for row in page.blob_ids}
    return b"".join(sorted(found))
