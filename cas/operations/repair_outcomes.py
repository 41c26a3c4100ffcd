"""What a repair is asked for, and what it answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cas.model.progress import Cancel, ProgressSink
from cas.operations.holes import Hole
from cas.operations.verify_outcomes import Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class RepairOptions:
    """How a repair is done.

    Attributes:
        paths: local files and folders that may hold what is damaged, whatever their names.
        apply: do it; else only find out what could be done.
        jobs: threads; None takes the store's.
    """

    paths: Sequence[str] = ()
    apply: bool = False
    jobs: int | None = None
    progress: ProgressSink | None = None
    cancel: Cancel | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RepairOutcome:
    """What a repair did, or would do. Sizes in bytes.

    Attributes:
        applied: whether it was done.
        problems: what was found damaged.
        damaged_blobs: blobs that were damaged; what of them is needed is moved elsewhere.
        found_chunks: damaged or missing chunks that were found, and verified.
        found_bytes: their size, before compression.
        moved_bytes: all that is stored anew: those chunks, and whole ones beside them.
        lost_chunks: damaged or missing chunks that were found nowhere.
        revised: versions that lie whole somewhere else now, or would.
        rebuilt_pages: versions whose pages or root were made anew from a copy.
        rebuilt_blobs: data blobs that the index had lost and leads to again.
        lost: what cannot be brought back.
        unrepaired: problems besides that which a repair leaves alone, and why.
        unread: what the storage did not let read.
    """

    applied: bool
    problems: tuple[Problem, ...] = ()
    damaged_blobs: int = 0
    found_chunks: int = 0
    found_bytes: int = 0
    moved_bytes: int = 0
    lost_chunks: int = 0
    revised: tuple[str, ...] = ()
    rebuilt_pages: tuple[str, ...] = ()
    rebuilt_blobs: int = 0
    lost: tuple[Hole, ...] = ()
    unrepaired: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
    seconds: float = 0.0

    @property
    def is_whole(self) -> bool:
        """Whether everything could be brought back."""
        return not self.lost and not self.unrepaired
