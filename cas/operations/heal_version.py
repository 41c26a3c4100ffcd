"""Healing: a put of what a damaged version holds makes that version whole again.

The version keeps its number and digest; where it lies is published anew, as a revision.
Spec: specs/protocol/verify-repair.md
"""

from __future__ import annotations

from dataclasses import replace

from cas.errors import CorruptionError
from cas.format.manifest import Page, Root, root_page_location
from cas.format.version import VersionRecord
from cas.model.entry import PageLocation
from cas.objects.base_version import Surroundings
from cas.objects.manifests import write_meta_blob
from cas.objects.parts import StoreParts
from cas.objects.sessions import WriterSession
from cas.operations.commit import NotCommitted
from cas.operations.damaged_extents import damaged_extents
from cas.operations.lay_out import lay_out_manifest
from cas.operations.revise import Reviser, RevisionOutcome
from cas.operations.stored_tree import NewPage, StoredTree


def heal_version(
    parts: StoreParts, session: WriterSession, found: Surroundings, stored: StoredTree
) -> bool:
    """Publish where the newest version lies now, if damage touches it; tell whether that was done.

    Args:
        session: the put's; what it stored is protected by an intent until the revision stands.
        found: the store as the put found it; its newest version holds what `stored` holds.
        stored: the same tree, without what is known to be damaged.

    Raises:
        NotCommitted: a collector was faster; try again from a fresh look on.
    """
    newest = found.newest
    if newest is None or not parts.config.create_if_absent or not is_touched(parts, found):
        return False
    stored.announce(found.stamp)
    stored.write_segment(found.stamp)
    places = StoredPlaces(parts, session, found, stored)
    try:
        revision = Reviser(parts, places).revise(newest.artifact, newest.number)
    except CorruptionError:
        return False  # it is no worse than before; cas repair says what is wrong
    if revision.outcome.is_worth_another_try:
        raise NotCommitted(revision.condemned)
    return revision.outcome is RevisionOutcome.PUBLISHED


def is_touched(parts: StoreParts, found: Surroundings) -> bool:
    """Tell whether the version that was found needs anything that is known to be damaged."""
    base = found.base
    if base is None:
        return found.unreadable is not None
    if not found.damage.blobs:
        return False
    if found.usable_root is None or len(found.usable_pages) < len(base.page_locations):
        return True
    for location in base.page_locations.values():
        try:
            page = parts.pages.read_page(location)
        except CorruptionError:
            return True
        if len(damaged_extents(page, found.damage.blobs)):
            return True
    return False


class StoredPlaces:
    """The pages of a stored tree in place of those that damage touches. See `NewPlaces`."""

    def __init__(
        self, parts: StoreParts, session: WriterSession, found: Surroundings, stored: StoredTree
    ) -> None:
        self._parts = parts
        self._session = session
        self._found = found
        self._stored = stored
        self._by_first = {one.first_path: one for one in stored.pages if isinstance(one, NewPage)}
        self._firsts: dict[PageLocation, bytes] = {}
        if found.base is not None:
            root = found.base.root
            for row, first in enumerate(root.first_paths):
                self._firsts[root_page_location(root, row)] = first

    @property
    def stamp(self) -> int:
        """The lowest stamp of what the stored tree rests on."""
        return min([self._found.stamp, *(page.stamp for page in self._stored.pages)])

    def page(self, location: PageLocation) -> Page | None:
        """Return the stored page of the same entries, if damage touches the one there is."""
        try:
            page = self._parts.pages.read_page(location)
        except CorruptionError:
            new = self._by_first.get(self._firsts.get(location, b""))
            if new is None:
                raise
            return new.page
        if len(damaged_extents(page, self._found.damage.blobs)) == 0:
            return None
        same = self._by_first.get(page.paths[0])
        return None if same is None else same.page

    def root(self, record: VersionRecord, error: CorruptionError) -> Root:
        """Store all pages anew, and return the root that names them."""
        stated = self._stored.stated_for(record)
        if stated is None:
            raise error
        without_base = replace(self._found, base=None)
        manifest = lay_out_manifest(self._session.id, without_base, self._stored, stated)
        for blob in manifest.new_blobs:
            write_meta_blob(self._parts.backend, blob)
        return self._parts.pages.read_root(manifest.root)

    def empties(self, blob_id: bytes) -> bool:
        """Tell whether a meta blob is damaged: its pages are stored elsewhere."""
        return blob_id in self._found.bad_blobs
