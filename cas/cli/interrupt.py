"""Ctrl-C during a transfer: the first stops it cleanly, the second kills at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from cas.cli.render import write_from_signal
from cas.model.progress import Cancel, Cancelled


class InterruptedByUserError(Exception):
    """The user stopped the command; the message says what is kept and how to go on."""


@contextmanager
def stopped_by_ctrl_c(kept: str) -> Iterator[Cancel]:
    """Hand out a switch that Ctrl-C sets, for an operation that stops when it is set.

    Args:
        kept: what to tell the user once the operation has stopped.

    Raises:
        InterruptedByUserError: the operation stopped because of Ctrl-C.
    """
    cancel = Cancel()
    # Ignored means: started in the background by a shell without job control.
    catches = (
        threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGINT) is not signal.SIG_IGN
    )
    previous = signal.getsignal(signal.SIGINT)

    def stop(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # the next one kills
        cancel.set()
        write_from_signal("\nstopping; press Ctrl-C again to kill")

    if catches:
        signal.signal(signal.SIGINT, stop)
    try:
        yield cancel
    except Cancelled as error:
        raise InterruptedByUserError(kept) from error
    finally:
        if catches:
            signal.signal(signal.SIGINT, previous)
