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
    """Settle what was asked for, so that the intents may go.

    If not even that can be done, or is interrupted, the intents stay, since the session was held
    before it asked; and a collector settles it.

    Args:
        void: creates a void of the session there, unless it is taken.
        stands: reads it, and tells whether anything stands there.
    """
    if not parts.config.create_if_absent:
        return  # the void would replace what stands there, another's version included
    with suppress(CasError):
        void()
        if stands():
            session.release()
