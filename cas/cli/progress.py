"""Progress of a transfer: two lines that redraw on a terminal, else one line every 30 seconds."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Self

from cas.cli.interrupt import INTERRUPTION
from cas.environment import monotonic_seconds
from cas.model.progress import Progress, ProgressSink
from cas.model.units import format_duration, format_rate, format_size

if TYPE_CHECKING:
    from rich.console import RenderableType

    from cas.cli.render import Console

PLAIN_INTERVAL_SECONDS = 30.0  # short enough for a watcher of a CI log, long enough not to fill it
FRAMES_PER_SECOND = 8
SPEED_WINDOW_SECONDS = 8.0  # a speed over less jumps about; over more it lags behind
_SAMPLE_SECONDS = 0.25
_WORDS = {
    "scan": "scanning",
    "put": "put",
    "commit": "publishing",
    "plan": "planning",
    "get": "get",
    "copy": "copying",
    "repack": "repacking",
    "pages": "checking pages",
    "tables": "checking tables",
    "verify": "reading",
    "repair": "repairing",
}
# Phases of a collection, which moves no files.
_COLLECTING = {
    "expire": "moving versions that are due",
    "recover": "ending earlier collections",
    "list": "listing blobs",
    "mark": "finding what is needed",
    "condemn": "telling writers",
    "delete": "deleting",
    "index": "updating the index",
}
_WORDS |= _COLLECTING


# What `done_files` counts where it is not files.
_NOUNS = {
    "pages": "pages",
    "tables": "pages",
    "verify": "blobs",
    "repair": "blobs",
    "delete": "blobs",
}


class Speedometer:
    """Speed over the last seconds, and the time that is left at that speed."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int]] = deque()

    def add(self, seconds: float, done_bytes: int) -> None:
        """Take note of how far things were at a time; times must not go back."""
        samples = self._samples
        if samples and seconds - samples[-1][0] < _SAMPLE_SECONDS:
            return
        samples.append((seconds, done_bytes))
        while len(samples) > 2 and seconds - samples[1][0] >= SPEED_WINDOW_SECONDS:
            samples.popleft()

    @property
    def bytes_per_second(self) -> float:
        """The speed, 0 while unknown."""
        if len(self._samples) < 2:
            return 0.0
        (first, start), (last, stop) = self._samples[0], self._samples[-1]
        return max(0.0, (stop - start) / (last - first))

    def seconds_left(self, progress: Progress) -> float | None:
        """Return how long the rest takes at this speed, or None while unknown."""
        speed = self.bytes_per_second
        if speed <= 0 or not progress.total_bytes:
            return None
        return max(0, progress.total_bytes - progress.done_bytes) / speed


class ProgressDisplay:
    """Shows the latest progress until it is closed. `sink` may be called from any thread."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._latest = Progress(phase="scan")
        self._speed = Speedometer()
        self._close: Callable[[], None] | None = None

    def __enter__(self) -> Self:
        if self._console.quiet:
            return self
        self._close = self._start_live() if self._console.live else self._start_plain()
        INTERRUPTION.on_press(self._close)  # or the cursor would stay hidden
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._close:
            self._close()

    @property
    def sink(self) -> ProgressSink | None:
        """What the operation is given; None when nothing is shown."""
        return None if self._console.quiet else self._receive

    def _receive(self, progress: Progress) -> None:
        self._latest = progress

    def _observe(self) -> Progress:
        progress = self._latest
        self._speed.add(monotonic_seconds(), progress.done_bytes)
        return progress

    def _start_plain(self) -> Callable[[], None]:
        stopped = threading.Event()

        def report() -> None:
            self._observe()
            while not stopped.wait(PLAIN_INTERVAL_SECONDS):
                self._console.note(describe(self._observe(), self._speed))

        thread = threading.Thread(target=report, name="cas-progress", daemon=True)
        thread.start()

        def stop() -> None:
            stopped.set()
            thread.join()

        return stop

    def _start_live(self) -> Callable[[], None]:
        # rich takes 60 ms to import, which only a transfer on a terminal pays.
        import sys

        from rich.console import Console as RichConsole
        from rich.live import Live

        screen = RichConsole(file=sys.stderr, no_color=not self._console.colors(sys.stderr))
        live = Live(
            console=screen,
            get_renderable=self._draw,
            refresh_per_second=FRAMES_PER_SECOND,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        live.start()
        self._console.write_note = partial(
            screen.print, end="", markup=False, highlight=False, soft_wrap=True
        )

        def stop() -> None:
            self._console.write_note = None
            live.stop()

        return stop

    def _draw(self) -> RenderableType:
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        progress = self._observe()
        total = progress.total_bytes
        line = Table.grid(padding=(0, 2))
        bar = ProgressBar(
            total=total or None, completed=progress.done_bytes, width=24, pulse=not total
        )
        line.add_row(
            Text(_WORDS.get(progress.phase, progress.phase)),
            bar,
            Text(
                "  ".join(_logical_parts(progress, self._speed)), overflow="ellipsis", no_wrap=True
            ),
        )
        moved = Text("  ".join(_moved_parts(progress)), overflow="ellipsis", no_wrap=True)
        return Group(line, moved)


def describe(progress: Progress, speed: Speedometer) -> str:
    """Return the progress as one line: `put: 45 %, 1.2 GiB of 2.6 GiB, ...; new ..., sent ...`."""
    word = _WORDS.get(progress.phase, progress.phase)
    logical = ", ".join(_logical_parts(progress, speed))
    moved = ", ".join(_moved_parts(progress))
    told = "; ".join(part for part in (logical, moved) if part)
    return f"{word}: {told}" if told else word


def _logical_parts(progress: Progress, speed: Speedometer) -> list[str]:
    parts: list[str] = []
    if progress.phase in _COLLECTING and not progress.total_files:
        return parts
    if progress.total_bytes:
        parts.append(f"{100 * progress.done_bytes // progress.total_bytes} %")
        parts.append(f"{format_size(progress.done_bytes)} of {format_size(progress.total_bytes)}")
    elif progress.done_bytes:
        parts.append(format_size(progress.done_bytes))
    of_total = f" of {progress.total_files:,}" if progress.total_files else ""
    noun = _NOUNS.get(progress.phase, "files")
    parts.append(f"{progress.done_files:,}{of_total} {noun}")
    if rate := speed.bytes_per_second:
        parts.append(format_rate(int(rate), 1))
    if (left := speed.seconds_left(progress)) is not None:
        parts.append(f"{format_duration(left)} left")
    return parts


def _moved_parts(progress: Progress) -> list[str]:
    if progress.phase in ("plan", "get"):
        return [f"fetched {format_size(progress.sent_bytes)}"]
    if progress.phase in ("scan", "pages", "tables", "verify") or progress.phase in _COLLECTING:
        return []
    return [
        f"new {format_size(progress.new_bytes)}",
        f"stored {format_size(progress.stored_bytes)}",
        f"sent {format_size(progress.sent_bytes)}",
    ]
