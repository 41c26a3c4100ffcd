"""The structure of versions: records, roots and pages fit, and every blob is there in its size."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

import numpy as np

from cas.backend.caching import past_cache
from cas.errors import CasError, CorruptionError, NotFoundError, UnsupportedError
from cas.format.verification import DamageState
from cas.model.entry import PageLocation
from cas.model.names import Ref
from cas.model.progress import Cancel, ProgressSink
from cas.objects.blobs import TableReader
from cas.objects.checked_pages import CheckedPageReader
from cas.objects.damage import BlobDamage, KnownDamage
from cas.objects.examine_blob import BlobTarget, examine_blob
from cas.objects.parts import StoreParts
from cas.operations.check_pages import READERS, PageCheck
from cas.operations.check_records import check_records
from cas.operations.live_versions import LiveVersion, LiveVersions
from cas.operations.needed_blobs import PROBED_BLOBS, ListedBlobs, NeededBlobs, probe_sizes
from cas.operations.verify_outcomes import Problem

SHOWN_VERSIONS = 20


def parts_past_cache(parts: StoreParts) -> StoreParts:
    """Return the parts of the same store that read nothing from a cache of this machine."""
    backend = past_cache(parts.backend)
    return replace(
        parts, backend=backend, tables=TableReader(backend), pages=CheckedPageReader(backend)
    )


@dataclass(slots=True, eq=False)
class Inspection:
    """What versions are there, what they need, and what of it is damaged.

    Attributes:
        damage: damaged blobs, by id.
        locations: where the distinct pages are that could be read.
        is_all: every version of the store was inspected.
    """

    versions: list[LiveVersion]
    needed: NeededBlobs
    is_all: bool = False
    problems: list[Problem] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)
    damage: dict[bytes, BlobDamage] = field(default_factory=dict)
    locations: list[PageLocation] = field(default_factory=list)

    def add_damage(self, found: Iterable[BlobDamage]) -> None:
        """Note damaged blobs, each once."""
        for one in found:
            if one.blob_id in self.damage:
                continue
            self.damage[one.blob_id] = one
            self.problems.append(
                Problem(
                    kind="blob",
                    key=one.key,
                    text=f"{one.key} {one.describe()}",
                    is_harmless=one.state is DamageState.HEADS,
                )
            )


def inspect_structure(
    parts: StoreParts, ref: Ref | None, cancel: Cancel, progress: ProgressSink | None = None
) -> Inspection:
    """Inspect one version, an artifact (a bare name), or the whole store.

    Args:
        parts: those of a store past its cache.

    Raises:
        NotFoundError: there is no such artifact or version.
        BackendError: the storage failed.
    """
    found = _inspect(parts, ref, cancel, progress)
    if found.problems:
        # Versions may have been moved or erased meanwhile; and a listing may have been short.
        fresh = replace(parts, pages=CheckedPageReader(parts.backend))
        found = _inspect(fresh, ref, cancel, progress)
    if ref is None:
        check_records(parts.backend, found.problems, found.unread)
    return found


def confirm_damage(
    parts: StoreParts, found: Inspection, known: KnownDamage, cancel: Cancel
) -> list[bytes]:
    """Look again at needed blobs that were recorded as damaged; note those that still are.

    Returns:
        The ids of those that are whole.
    """
    found.unread += [f"{key} could not be read, which names damaged blobs" for key in known.failed]
    sound: list[bytes] = []
    rows = range(len(found.needed)) if known.blobs else ()
    for target in found.needed.targets(rows):
        if target.blob_id not in known.blobs or target.blob_id in found.damage:
            continue
        cancel.check()
        try:
            damage = examine_blob(parts.backend, target)
        except CasError as error:
            found.unread.append(f"{target.key}: {error}")
            continue
        if damage is None:
            sound.append(target.blob_id)
        else:
            found.add_damage([damage])
    return sound


def forget_what_went(parts: StoreParts, found: Inspection, ref: Ref | None, cancel: Cancel) -> None:
    """Look again whether what was found damaged is needed at all: versions may have been purged or
    moved since they were inspected, and a collection takes what they alone needed (V2).

    Raises:
        NotFoundError: the one version that was to be verified is gone.
        BackendError: the storage failed.
    """
    if not found.problems:
        return
    try:
        live = LiveVersions(parts)
        live.read(ref)
        there = {(one.ref, one.root) for one in live.versions}
        gone = {one.ref for one in found.versions if (one.ref, one.root) not in there}
        if not gone:
            return
        now = _inspect(replace(parts, pages=CheckedPageReader(parts.backend)), ref, cancel, None)
    except NotFoundError:
        found.problems.clear()
        found.damage.clear()
        raise
    needed = {row.tobytes() for row in now.needed.ids} if found.damage else set()
    lost = [blob_id for blob_id in found.damage if blob_id not in needed]
    lost_keys = {found.damage.pop(blob_id).key for blob_id in lost}
    found.problems = [
        one
        for one in found.problems
        if not (one.kind == "blob" and one.key in lost_keys)
        and not (one.versions and gone.issuperset(one.versions))
    ]
    found.versions = now.versions


def _inspect(
    parts: StoreParts, ref: Ref | None, cancel: Cancel, progress: ProgressSink | None
) -> Inspection:
    live = LiveVersions(parts)
    live.read(ref)
    with ThreadPoolExecutor(READERS, thread_name_prefix="cas-verify") as pool:
        pages = PageCheck(parts, pool, cancel)
        pages.check(live.versions, progress)
    found = Inspection(
        live.versions,
        pages.needed,
        ref is None,
        live.problems + pages.problems,
        live.unread + pages.unread,
        locations=pages.locations,
    )
    found.add_damage(_absent(parts, found.needed, is_one=len(live.versions) == 1))
    _examine_damaged_pages(parts, found, pages.problems)
    return found


def _absent(parts: StoreParts, needed: NeededBlobs, *, is_one: bool) -> list[BlobDamage]:
    """Return the blobs that are not there, or not in their size."""
    if is_one and len(needed) <= PROBED_BLOBS:
        sizes = probe_sizes(parts.backend, needed)
    else:
        sizes = ListedBlobs(parts.backend).sizes_of(needed)
    absent = []
    for row in np.flatnonzero(sizes != needed.sizes).tolist():
        target = needed.target(row)
        state = DamageState.TABLE
        if sizes[row] < 0 and not _exists(parts, target):
            state = DamageState.MISSING
        absent.append(BlobDamage(target.blob_id, target.is_meta, state))
    return absent


def _exists(parts: StoreParts, target: BlobTarget) -> bool:
    try:
        return len(parts.backend.get(target.key, 0, 1)) >= 0
    except LookupError:
        return False


def _examine_damaged_pages(
    parts: StoreParts, found: Inspection, problems: Iterable[Problem]
) -> None:
    """Find out which chunks of a meta blob are damaged, once one of its pages is."""
    keys_of = {one.key for one in problems if one.kind in ("root", "page")}
    if not keys_of:
        return
    for target in found.needed.targets(range(len(found.needed))):
        if target.is_meta and target.key in keys_of and target.blob_id not in found.damage:
            try:
                damage = examine_blob(parts.backend, target)
            except (CorruptionError, UnsupportedError):
                continue
            if damage is not None:
                found.add_damage([damage])
