"""After a repair: versions lead to where things lie now, and copies of lost pages come with them."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

from cas.errors import CasError, CorruptionError
from cas.format.manifest import Root, root_page_location
from cas.model.entry import PageLocation
from cas.model.progress import Cancel
from cas.objects.parts import StoreParts
from cas.operations.affected_versions import pages_of
from cas.operations.live_versions import LiveVersion
from cas.operations.rebuild_pages import PageRebuilder
from cas.operations.repaired_places import RepairedPlaces
from cas.operations.revise import Reviser, RevisionOutcome

REVISE_ATTEMPTS = 4


class RepairedVersions:
    """Publishes where versions lie after a repair. For one thread.

    Attributes:
        rebuilt: versions whose pages or root were lost, and are copied.
        without_pages: those of which no copy is to be had.
        revised: versions that lead elsewhere now.
        failed: those that could not be made to.
    """

    def __init__(
        self,
        parts: StoreParts,
        versions: Iterable[LiveVersion],
        places: RepairedPlaces,
        cancel: Cancel,
    ) -> None:
        self._parts = parts
        self._versions = list(versions)
        self._places = places
        self._cancel = cancel
        self.rebuilt: list[LiveVersion] = []
        self.without_pages: list[LiveVersion] = []
        self.revised: list[LiveVersion] = []
        self.failed: list[LiveVersion] = []

    def rebuild_pages(self, rebuilder: PageRebuilder) -> None:
        """Make copies of versions whose pages or root are lost."""
        copied: dict[bytes, tuple[bool, Root | None]] = {}
        for version in self._versions:
            if not _has_lost_pages(self._parts, version):
                continue
            self._cancel.check()
            digest = version.record.digest.raw
            if digest not in copied:
                copied[digest] = rebuilder.copy(version.record)
            is_found, root = copied[digest]
            if not is_found:
                self.without_pages.append(version)
                continue
            self.rebuilt.append(version)
            if root is None:
                continue
            self._places.copies[digest] = root
            with suppress(CasError):
                self._places.note_version(version.record, self._parts.pages.read_root(version.root))

    def revise(self, *, apply: bool) -> None:
        """Publish where versions lie now; unless `apply` only find which would lead elsewhere."""
        moved = {*self._places.relocation.moved, *self._places.emptied}
        if not moved and not self.rebuilt:
            return
        rebuilt = {one.ref for one in self.rebuilt}
        for version in self._versions:
            if version.ref not in rebuilt and not _names(self._parts, version, moved):
                continue
            if not apply or self._publish(version):
                self.revised.append(version)
            else:
                self.failed.append(version)

    def _publish(self, version: LiveVersion) -> bool:
        record = version.record
        for _ in range(REVISE_ATTEMPTS):
            self._cancel.check()
            try:
                reviser = Reviser(self._parts, self._places, past_damage=True)
                outcome = reviser.revise(record.artifact, record.number).outcome
            except CorruptionError:
                return False
            if not outcome.is_worth_another_try:
                return outcome in (RevisionOutcome.PUBLISHED, RevisionOutcome.UNCHANGED)
        return False


def _has_lost_pages(parts: StoreParts, version: LiveVersion) -> bool:
    """Tell whether the root of a version, or one of its pages, is damaged or missing.

    What could not be read for another reason is told apart, and nothing is concluded from it (V3).
    """
    try:
        root = parts.pages.read_root(version.root)
    except CorruptionError:
        return True
    except CasError:
        return False
    if root.digest != version.record.digest:
        return True
    return any(_is_lost(parts, root_page_location(root, row)) for row in range(len(root.page_ids)))


def _is_lost(parts: StoreParts, location: PageLocation) -> bool:
    try:
        parts.pages.read_page(location)
    except CorruptionError:
        return True
    except CasError:
        return False
    return False


def _names(parts: StoreParts, version: LiveVersion, blob_ids: set[bytes]) -> bool:
    """Tell whether a version needs any of these blobs."""
    if version.root.blob_id.raw in blob_ids:
        return True
    return any(
        location.blob_id.raw in blob_ids
        or (page is not None and any(row.tobytes() in blob_ids for row in page.blob_ids))
        for location, page in pages_of(parts, version)
    )
