"""Which versions, and which bytes of their files, damage touches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from cas.errors import CasError
from cas.format.manifest import Page, root_page_location
from cas.format.verification import DamageState
from cas.model.entry import PageLocation
from cas.objects.damage import BlobDamage
from cas.objects.parts import StoreParts
from cas.operations.damaged_extents import Damages, damaged_blob_ids, damaged_extents
from cas.operations.inspect_structure import SHOWN_VERSIONS, Inspection
from cas.operations.live_versions import LiveVersion


def name_affected(parts: StoreParts, found: Inspection) -> None:
    """Say in each problem with a blob which versions it touches."""
    bad = {i: one for i, one in found.damage.items() if one.state is not DamageState.HEADS}
    if not bad:
        return
    versions: dict[str, list[str]] = {}
    for version in found.versions:
        for blob_id in _touched_blobs(parts, version, bad):
            versions.setdefault(bad[blob_id].key, []).append(version.ref)
    # Of a version that could not be read nobody knows which chunks it needs.
    spare = set() if found.unread else {one.key for one in bad.values() if _may_be_spare(one)}
    for at, one in enumerate(found.problems):
        if one.kind == "blob":
            touched = tuple(versions.get(one.key, ())[:SHOWN_VERSIONS])
            # What a put stored again since is damaged, and nobody needs it any more.
            harmless = one.is_harmless or not touched
            settled = not touched and one.key in spare
            found.problems[at] = replace(
                one, versions=touched, is_harmless=harmless, is_settled=settled
            )


def _may_be_spare(damage: BlobDamage) -> bool:
    """Tell whether the blob serves whoever needs none of its damaged chunks."""
    return damage.state is DamageState.CHUNKS and not damage.is_meta


def _touched_blobs(parts: StoreParts, version: LiveVersion, bad: Damages) -> set[bytes]:
    touched = {version.root.blob_id.raw} & bad.keys()
    for location, page in pages_of(parts, version):
        if location.blob_id.raw in bad and page is None:
            touched.add(location.blob_id.raw)
        if page is not None:
            touched |= damaged_blob_ids(page, damaged_extents(page, bad))
    return touched


def pages_of(parts: StoreParts, version: LiveVersion) -> Iterator[tuple[PageLocation, Page | None]]:
    """Yield the pages of a version in order, None for those that cannot be read; nothing if it is
    the root that cannot.
    """
    try:
        root = parts.pages.read_root(version.root)
    except CasError:
        return
    for row in range(len(root.page_ids)):
        location = root_page_location(root, row)
        try:
            yield location, parts.pages.read_page(location)
        except CasError:
            yield location, None
