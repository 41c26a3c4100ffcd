"""The manifest of a version at new places: new pages where something moved, and a new root.

Entries stay what they are, and so does the digest. A page that versions share is made once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from cas.errors import CorruptionError, ErrorCode
from cas.format.manifest import (
    Page,
    Root,
    encode_page,
    encode_root,
    has_same_entries,
    root_page_location,
)
from cas.format.version import VersionRecord
from cas.model.entry import PageLocation
from cas.model.ids import SessionId
from cas.objects.blobs import AssembledBlob
from cas.objects.id_sets import Ids, ids_of, no_ids, sort_ids
from cas.objects.manifests import ManifestLayout, located_columns, write_meta_blob
from cas.objects.parts import StoreParts
from cas.operations.new_places import NewPlaces
from cas.operations.version_pages import VersionPages


@dataclass(frozen=True, slots=True, eq=False)
class RewrittenManifest:
    """A root that is stored, and what it needs.

    Attributes:
        data_ids: data blobs of its new pages, uint8[n, 32], sorted, each once.
        meta_ids: meta blobs of its new pages and its own, likewise.
        kept: pages that stayed.
    """

    root: PageLocation
    data_ids: Ids
    meta_ids: Ids
    kept: tuple[PageLocation, ...]


@dataclass(frozen=True, slots=True, eq=False)
class _NewPage:
    location: PageLocation
    data_ids: Ids


@dataclass(slots=True, eq=False)
class _Draft:
    """A manifest while its pages are gone through.

    Attributes:
        made: the data blobs of each page made for it, by the place of the page that it replaces.
        rows: the places of the pages that are replaced, by row.
        shared: pages made for a version before it, by row.
        is_vouched: every page that is replaced could be read and compared with the new one.
    """

    layout: ManifestLayout
    is_vouched: bool
    made: dict[PageLocation, Ids] = field(default_factory=dict)
    rows: dict[int, PageLocation] = field(default_factory=dict)
    shared: dict[int, _NewPage] = field(default_factory=dict)


class ManifestRewriter:
    """Rewrites the manifests of versions. Not thread-safe."""

    def __init__(self, parts: StoreParts, places: NewPlaces) -> None:
        self._parts = parts
        self._places = places
        # What became of pages, by their places; None if they stay.
        self._known: dict[PageLocation, _NewPage | None] = {}
        self.written_bytes = 0

    def rewrite(
        self, session: SessionId, record: VersionRecord, location: PageLocation
    ) -> RewrittenManifest | None:
        """Store the new pages of a version and a root; None if all of it stays where it is.

        Args:
            session: the writer's.
            record: the version's.
            location: where its root lies until now.

        Raises:
            CorruptionError: a page or the root cannot be read, or what is to replace them does
                not hold what the version's digest says.
        """
        root, is_own = self._read_root(record, location)
        pages = [root_page_location(root, row) for row in range(len(root.page_ids))]
        draft = _Draft(ManifestLayout(session), is_own)
        for row, page in enumerate(pages):
            self._rewrite_page(draft, row, page)
        stays = is_own and not self._places.empties(location.blob_id.raw)
        if stays and not draft.rows and not draft.shared:
            return None
        rewritten = self._finish(draft, root, pages)
        if not draft.is_vouched:
            VersionPages(self._parts, record, rewritten.root).verify_digest()
        return rewritten

    def _read_root(self, record: VersionRecord, location: PageLocation) -> tuple[Root, bool]:
        """Return the root of a version, and whether it is its own."""
        try:
            return VersionPages(self._parts, record, location).root, True
        except CorruptionError as error:
            return self._places.root(record, error), False

    def _rewrite_page(self, draft: _Draft, row: int, location: PageLocation) -> None:
        if location in self._known:
            known = self._known[location]
            if known is not None:
                draft.shared[row] = known
            return
        if location not in draft.made:
            page = self._new_page(draft, location)
            if page is None:
                self._known[location] = None
                return
            draft.made[location] = np.ascontiguousarray(page.blob_ids)
            full = draft.layout.add(encode_page(page))
            if full is not None:
                self._write(full)
        draft.rows[row] = location

    def _new_page(self, draft: _Draft, location: PageLocation) -> Page | None:
        """Return what is to replace a page, compared with it; None if it stays."""
        page = self._places.page(location)
        if page is None:
            if self._places.empties(location.blob_id.raw):
                return self._parts.pages.read_page(location)
            return None
        try:
            old = self._parts.pages.read_page(location)
        except CorruptionError:
            draft.is_vouched = False
            return page
        if not has_same_entries(old, page):
            raise CorruptionError(
                f"page {location.page_id.short} would be replaced by one with other entries",
                code=ErrorCode.DIGEST_MISMATCH,
            )
        return page

    def _finish(self, draft: _Draft, root: Root, pages: list[PageLocation]) -> RewrittenManifest:
        now = pages.copy()
        for row, shared in draft.shared.items():
            now[row] = shared.location

        def encode(new: Sequence[PageLocation]) -> bytes:
            at = dict(zip(draft.made, new, strict=True))
            for row, old in draft.rows.items():
                now[row] = at[old]
            return encode_root(replace(root, **located_columns(now)))

        location, blob = draft.layout.finish(encode)
        self._write(blob)
        needed = list(draft.shared.values())
        made = zip(draft.made.items(), draft.layout.locations, strict=True)
        for (old, ids), at in made:
            new = self._known[old] = _NewPage(at, ids)
            needed.append(new)
        metas = {location.blob_id.raw, *(one.location.blob_id.raw for one in needed)}
        changed = draft.rows.keys() | draft.shared.keys()
        return RewrittenManifest(
            root=location,
            data_ids=sort_ids(np.concatenate([no_ids(), *(one.data_ids for one in needed)])),
            meta_ids=ids_of(metas),
            kept=tuple(dict.fromkeys(at for row, at in enumerate(pages) if row not in changed)),
        )

    def _write(self, blob: AssembledBlob) -> None:
        write_meta_blob(self._parts.backend, blob)
        self.written_bytes += blob.size
