"""What verification is asked for, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from cas.model.progress import Cancel, ProgressSink


class VerifyLevel(StrEnum):
    """How much is read: what versions say; every blob's table, too; every byte."""

    STRUCTURE = "structure"
    TABLES = "tables"
    DATA = "data"


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyOptions:
    """How a verification is done.

    Attributes:
        level: how much is read.
        budget_bytes: with DATA, read about so much and no more; the rest is for the next run.
        seconds: with DATA, begin to read nothing after so long.
        max_age_seconds: with DATA, pass over blobs that were found whole so recently.
        remember: keep results and damage in the store.
        jobs: threads that read; None takes what suits the storage.
        progress: told how far it is.
        cancel: stops it; what was read until then is remembered.
    """

    level: VerifyLevel = VerifyLevel.STRUCTURE
    budget_bytes: int | None = None
    seconds: float | None = None
    max_age_seconds: float | None = None
    remember: bool = True
    jobs: int | None = None
    progress: ProgressSink | None = None
    cancel: Cancel | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that is not as it must be.

    Attributes:
        kind: `record`, `alias`, `root`, `page`, `digest`, `blob`, `index`, `log`, `session`.
        key: the object.
        text: what is wrong with it.
        versions: references of versions that cannot be read as a whole because of it, some of them
            if there are many.
        is_harmless: every version can be read all the same.
        is_settled: nothing is left to do: something newer counts in its place, or no version that was
            looked at needs the damaged chunks of a blob, which a put stored again, say.
    """

    kind: str
    key: str
    text: str
    versions: tuple[str, ...] = ()
    is_harmless: bool = False
    is_settled: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyOutcome:
    """What a verification found. Sizes in bytes.

    Attributes:
        versions: how many were looked at.
        pages: distinct pages that were read.
        blobs: blobs that these versions need.
        blob_bytes: their size.
        read_tables: blobs whose tables were read and fit.
        read_blobs: blobs of which every byte was read.
        read_bytes: the size of those.
        left_blobs: blobs that this run did not read for want of budget or time.
        recent_blobs: blobs that were passed over because they were read recently.
        problems: what is damaged.
        unread: what the storage or this version of cas did not let read; nothing is known of it.
        not_kept: why the store could not keep what was found, so that puts, repairs and later runs do
            not know of it; or None.
    """

    level: VerifyLevel
    versions: int
    pages: int
    blobs: int
    blob_bytes: int
    read_tables: int = 0
    read_blobs: int = 0
    read_bytes: int = 0
    left_blobs: int = 0
    recent_blobs: int = 0
    problems: tuple[Problem, ...] = ()
    unread: tuple[str, ...] = ()
    not_kept: str | None = None
    seconds: float = 0.0

    @property
    def is_sound(self) -> bool:
        """Whether nothing that was looked at and still counts is damaged."""
        return all(problem.is_settled for problem in self.problems)
