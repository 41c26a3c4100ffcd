"""What a repack is told, and what it did."""

from __future__ import annotations

from dataclasses import dataclass, field

from cas.model.progress import Cancel, ProgressSink
from cas.operations.plan_repack import RepackLimits, RepackPlan
from cas.operations.revise import Revision, RevisionOutcome


@dataclass(frozen=True, slots=True, kw_only=True)
class RepackOptions:
    """How a repack is done."""

    limits: RepackLimits = field(default_factory=RepackLimits)
    cancel: Cancel | None = None
    progress: ProgressSink | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RepackOutcome:
    """What a repack did.

    Attributes:
        plan: what it meant to do, without the blobs that turned out to be damaged.
        new_bytes: raw bytes of chunks that were stored anew.
        sent_bytes: bytes sent: blobs, pages, roots, index segments.
        revisions: what became of each version that was to get new places.
        problems: damage that was met; what it touches was left as it is.
    """

    plan: RepackPlan
    new_bytes: int
    sent_bytes: int
    revisions: tuple[Revision, ...]
    problems: tuple[str, ...]
    seconds: float

    @property
    def revised(self) -> int:
        """How many versions got new places."""
        return sum(one.outcome is RevisionOutcome.PUBLISHED for one in self.revisions)

    @property
    def is_complete(self) -> bool:
        """Whether all that was planned was done; else the next repack goes on."""
        return not self.problems and not any(
            one.outcome.is_worth_another_try for one in self.revisions
        )
