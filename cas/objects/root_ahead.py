"""The bytes that lead to the files of a version, fetched before they are asked for.

Nothing here decodes pages: that needs NumPy, whose import takes as long as the requests do.
"""

from __future__ import annotations

from cas.backend.base import Backend
from cas.format import keys
from cas.format.version import VersionRecord, VoidRecord
from cas.model.entry import PageLocation
from cas.model.names import Ref
from cas.objects.aliases import read_alias
from cas.objects.versions import iter_visible, list_slots, read_root_location, read_slot

# Some pages, at a fraction of what another round trip takes.
BEFORE_ROOT_BYTES = 128 << 10


def root_span(location: PageLocation) -> tuple[int, int]:
    """Return the range of a meta blob to read for a root and pages that stand right before it."""
    stop = location.offset + location.length
    return max(0, location.offset - BEFORE_ROOT_BYTES), stop


def fetch_root(backend: Backend, ref: Ref) -> None:
    """Make the requests that whoever reads the version will make, up to its root's.

    Does nothing about a reference that names no version that can be read: whoever must tell the
    user why resolves it.
    """
    root = _find_root(backend, ref)
    if root is not None:
        backend.get(keys.meta_key(root.blob_id), *root_span(root))


def _find_root(backend: Backend, ref: Ref) -> PageLocation | None:
    listing = list_slots(backend, ref.artifact)
    record: VersionRecord | VoidRecord | None
    if ref.digest_prefix is not None:
        return None
    if ref.alias is not None:
        state = read_alias(backend, ref.artifact, ref.alias)
        number = None if state is None else state.record.number
        record = None if number is None else read_slot(backend, ref.artifact, number)
    elif ref.number is not None:
        record = read_slot(backend, ref.artifact, ref.number)
    else:
        record = next(iter_visible(backend, listing), None)
    if not isinstance(record, VersionRecord):
        return None
    return read_root_location(backend, listing, record)
