"""What a get did so far, and what it left out."""

from __future__ import annotations

from dataclasses import dataclass, field

from cas.operations.fetch_meter import FetchMeter
from cas.operations.holes import HoleList
from cas.transfer.arriving import DownloadCounts
from cas.transfer.tree import SkippedFile


@dataclass(slots=True)
class GetTally:
    """Counts of one get.

    Attributes:
        meter: tells what of the `read_bytes` of content came from the storage.
        total_files: what there is to do, with what is there already; `total_bytes` is their size.
        files: how many files the version holds below the path; `size` is their size.
        links: links to make last, as (path, where to).
    """

    meter: FetchMeter
    total_files: int = 0
    total_bytes: int = 0
    files: int = 0
    size: int = 0
    unchanged_files: int = 0
    read_bytes: int = 0
    written_files: int = 0
    written_bytes: int = 0
    copied_bytes: int = 0
    resumed_bytes: int = 0
    wanted_files: int = 0
    attempts: int = 0
    skipped: list[SkippedFile] = field(default_factory=list)
    links: list[tuple[bytes, bytes]] = field(default_factory=list)
    holes: HoleList | None = None

    def begin(self) -> None:
        """Begin a pass over the version; what earlier ones moved stays counted."""
        self.attempts += 1
        self.total_files = self.total_bytes = self.files = self.size = self.wanted_files = 0
        self.skipped.clear()
        self.links.clear()

    def add(self, counts: DownloadCounts) -> None:
        """Add what a download did."""
        self.written_files += counts.done_files
        self.written_bytes += counts.done_bytes
        self.read_bytes += counts.fetched_bytes
        self.copied_bytes += counts.copied_bytes
        self.resumed_bytes += counts.resumed_bytes
