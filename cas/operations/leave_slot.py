"""Leaving a slot or revision that was asked for and may or may not be ours, now or later."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from cas.errors import CasError
from cas.objects.parts import StoreParts
from cas.objects.sessions import WriterSession


def leave_slot(
    parts: StoreParts,
    session: WriterSession,
    void: Callable[[], object],
    stands: Callable[[], bool],
) -> None:
    """Settle what was asked for before the intents may go.

    If not even that can be done the intents stay, and a collector settles the session.

    Args:
        void: creates a void of the session there, unless it is taken.
        stands: reads it, and tells whether anything stands there.
    """
    settled = False
    try:
        if not parts.config.create_if_absent:
            return  # the void would replace what stands there, another's version included
        with suppress(CasError):
            void()
            settled = stands()
    finally:
        # Also when a second interruption ends this.
        if not settled:
            session.abandon()
