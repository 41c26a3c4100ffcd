"""Deleting versions for good. Step D3 of specs/protocol/put.md.

A purge hides a version as the trash does and ends it: the next collection may take what it alone
needed, so it can never be undone.
"""

from __future__ import annotations

from cas.errors import CorruptionError
from cas.format.version import MoveKind
from cas.objects.parts import StoreParts
from cas.objects.versions import SlotListing, create_move, list_slots, new_move, read_last_move


def purge(
    parts: StoreParts, listing: SlotListing, number: int, reason: str, *, once: bool = False
) -> bool:
    """Purge a version that lies in the trash; return whether it is purged now.

    D3: by CIA on the last move + 1, and only while that last move is a trash, so that a purge and
    a restoration at the same time have one winner. Who loses reads again: the version may be back
    in the trash, and is purged then, or it was restored, and False is returned.

    Args:
        once: purge only if nothing was done to it since it was listed. A policy means the trash
            that it saw, not one of a moment ago.

    Raises:
        BackendError: the outcome is unknown.
    """
    while True:
        try:
            last = read_last_move(parts.backend, listing, number)
        except CorruptionError:
            if once:
                raise
            # It followed a trash. If it was a purge, another one changes nothing.
            last = MoveKind.TRASH
        if last is MoveKind.PURGE:
            return True
        if last is not MoveKind.TRASH:
            return False
        k = listing.moves[number] + 1
        move = new_move(MoveKind.PURGE, parts.clock.now_ns(), reason)
        stands = create_move(parts.backend, listing.artifact, number, k, move)
        if stands.kind is MoveKind.PURGE:
            return True
        if once:
            return False
        listing = list_slots(parts.backend, listing.artifact)
