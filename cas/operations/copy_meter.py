"""How far a copy of several versions is, as one progress."""

from __future__ import annotations

from cas.model.entry import Totals
from cas.model.progress import Progress, ProgressSink
from cas.transfer.placing import UploadCounts


class CopyMeter:
    """Adds up the progress of versions that are copied one after another. Not thread-safe."""

    def __init__(self, sink: ProgressSink | None, totals: list[Totals]) -> None:
        self._sink = sink
        self._files = sum(one.entries for one in totals)
        self._bytes = sum(one.size for one in totals)
        self._before = Progress(phase="copy")
        self._latest = self._before

    def report(
        self,
        counts: UploadCounts,
        *,
        done_files: int,
        done_bytes: int,
        stored_bytes: int,
        sent_bytes: int,
    ) -> None:
        """Tell how far the version in hand is."""
        before = self._before
        self._latest = Progress(
            phase="copy",
            total_files=self._files,
            done_files=before.done_files + done_files,
            total_bytes=self._bytes,
            done_bytes=before.done_bytes + done_bytes,
            new_bytes=before.new_bytes + counts.new_bytes,
            stored_bytes=before.stored_bytes + stored_bytes,
            sent_bytes=before.sent_bytes + sent_bytes,
        )
        self._tell()

    def finish(self, totals: Totals) -> None:
        """Tell that the version in hand is done, whether or not anything was to be done."""
        before, latest = self._before, self._latest
        self._before = self._latest = Progress(
            phase="copy",
            total_files=self._files,
            done_files=before.done_files + totals.entries,
            total_bytes=self._bytes,
            done_bytes=before.done_bytes + totals.size,
            new_bytes=latest.new_bytes,
            stored_bytes=latest.stored_bytes,
            sent_bytes=latest.sent_bytes,
        )
        self._tell()

    def _tell(self) -> None:
        if self._sink is not None:
            self._sink(self._latest)
