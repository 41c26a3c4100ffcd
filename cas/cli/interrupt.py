"""Ctrl-C: the first ends a command within about a second, the second kills at once.

A transfer is asked to stop, and what waits to try a request again is told not to. But a request
that a server does not answer cannot be taken back, nor does Python hear of a signal while native
code waits for it. So a thread listens, and ends the process when that did not end by itself: with
what is stored, a journal and intents left as after any crash, the same command goes on from there.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from cas.model.progress import Cancel, Cancelled

# Enough to void a slot and to delete intents, where the storage answers.
GRACE_SECONDS = 1.0
_SIGINT = bytes([signal.SIGINT])


class InterruptedByUserError(Exception):
    """The user stopped the command; the message says what is kept and how to go on."""


class Interruption:
    """Whether Ctrl-C was pressed in this process, and what is done then."""

    def __init__(self) -> None:
        self._ends: list[Callable[[], None]] = []
        # Who has it tells how the command ended. The main thread may take it twice.
        self._turn = threading.RLock()
        self.is_pressed = False
        self.kept = "interrupted"

    def watch(self, report: Callable[[BaseException], int]) -> None:
        """Listen for Ctrl-C in a thread until the process ends, which it may bring about.

        Args:
            report: tells the user, and returns the exit code.
        """
        # Elsewhere Python takes no pipe for this.
        if sys.platform == "win32" or threading.current_thread() is not threading.main_thread():
            return
        heard, told = os.pipe()
        os.set_blocking(told, False)
        signal.set_wakeup_fd(told, warn_on_full_buffer=False)
        listener = threading.Thread(
            target=self._listen, args=(heard, report), name="cas-ctrl-c", daemon=True
        )
        listener.start()

    def on_press(self, end: Callable[[], None]) -> None:
        """Call `end`, from another thread, when Ctrl-C is pressed: it makes waiting shorter."""
        self._ends.append(end)

    def as_told(self, error: BaseException) -> BaseException:
        """Return what to tell of an error: whatever fails after Ctrl-C failed because of it.

        The caller tells it, and the listener nothing from then on.
        """
        if isinstance(error, KeyboardInterrupt):
            self.is_pressed = True  # the listener may not have come to it yet
        if not self.is_pressed:
            return error
        self._turn.acquire()  # for good
        return InterruptedByUserError(self.kept) if isinstance(error, Exception) else error

    def finish(self, code: int) -> None:
        """End the process if Ctrl-C was pressed: threads that wait for a server would keep it."""
        if not self.is_pressed:
            return
        self._turn.acquire()  # for good, as above
        _leave(code)

    def _listen(self, heard: int, report: Callable[[BaseException], int]) -> None:
        while os.read(heard, 1) != _SIGINT:
            pass
        self.is_pressed = True
        for end in self._ends:
            with suppress(Exception):  # what is not made shorter ends with the process
                end()
        threading.Event().wait(GRACE_SECONDS)
        if self._turn.acquire(blocking=False):
            _leave(report(InterruptedByUserError(self.kept)))


def _leave(code: int) -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


# Signals are the process's, so this is, too.
INTERRUPTION = Interruption()


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

    if catches:
        signal.signal(signal.SIGINT, stop)
        INTERRUPTION.kept = kept
    try:
        yield cancel
    except Cancelled as error:
        raise InterruptedByUserError(kept) from error
    finally:
        if catches:
            signal.signal(signal.SIGINT, previous)
