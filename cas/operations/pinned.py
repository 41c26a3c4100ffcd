"""A version pinned: resolved once, its record and pages never change under a reader."""

from __future__ import annotations

from dataclasses import dataclass

from cas.format.version import VersionRecord
from cas.model.entry import PageLocation
from cas.model.names import Ref
from cas.objects.parts import StoreParts
from cas.objects.versions import read_expiry, read_root_location
from cas.operations.resolve import resolve_record
from cas.operations.version_pages import VersionPages


@dataclass(frozen=True, slots=True)
class PinnedVersion:
    """A record, where its root lies, and whether the user vouched for it by a full digest.

    `expires_ns` is when the version may go by itself, as was said last; None is never.
    """

    record: VersionRecord
    root: PageLocation
    pages: VersionPages
    is_digest_pinned: bool
    expires_ns: int | None = None


def pin_version(parts: StoreParts, ref: Ref) -> PinnedVersion:
    """Resolve a reference once.

    Raises:
        NotFoundError: no such version, or it was deleted.
        CorruptionError: a typed digest is not what the pages hold.
    """
    resolved = resolve_record(parts, ref)
    root = read_root_location(parts.backend, resolved.listing, resolved.record)
    pages = VersionPages(parts, resolved.record, root, is_vouched=resolved.is_digest_pinned)
    if resolved.is_digest_pinned:
        pages.verify_digest()
    expires_ns = read_expiry(parts.backend, resolved.listing, resolved.record)
    return PinnedVersion(resolved.record, root, pages, resolved.is_digest_pinned, expires_ns)
