"""What a copy is told, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from cas.model.entry import Totals
from cas.model.ids import VersionDigest
from cas.model.progress import Cancel, ProgressSink


class AliasMode(StrEnum):
    """What becomes of the aliases of a version that is copied."""

    NEW = "new"  # set, unless they point to another version in the target
    MOVE = "move"  # set, wherever they point
    NONE = "none"  # left alone


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyOptions:
    """What is copied, and how.

    Attributes:
        all_versions: of a bare name copy every version, not only the newest.
        name: the artifact's name in the target; None keeps it.
        aliases: what becomes of the aliases of the versions that are copied.
        force: copy a version that the target has already, as a new one.
        jobs: threads; None takes the target's.
        progress: told how far it is.
        cancel: stops it.
    """

    all_versions: bool = False
    name: str | None = None
    aliases: AliasMode = AliasMode.NEW
    force: bool = False
    jobs: int | None = None
    progress: ProgressSink | None = None
    cancel: Cancel | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CopiedVersion:
    """What became of one version. Sizes in bytes; all counts are of the target.

    Attributes:
        source: the version as a reference in the source.
        created: False if the target had it already.
        new_bytes: bytes of chunks that the target did not have, before compression.
        stored_bytes: what they take there as data blobs.
        sent_bytes: everything written to the target.
        fetched_bytes: data read from the source.
        resumed_bytes: bytes found in what an interrupted copy had stored already.
        refused_bytes: stored again though the target had them, to keep the version in few places.
        aliases: aliases that point to it in the target now and did not before.
        kept_aliases: aliases of the source's version that point to another version in the target.
        healed: it was there and known to be damaged, and is whole again.
    """

    source: str
    artifact: str
    number: int
    digest: VersionDigest
    created: bool
    totals: Totals
    new_bytes: int = 0
    stored_bytes: int = 0
    sent_bytes: int = 0
    fetched_bytes: int = 0
    resumed_bytes: int = 0
    refused_bytes: int = 0
    aliases: tuple[str, ...] = ()
    kept_aliases: tuple[str, ...] = ()
    healed: bool = False

    @property
    def ref(self) -> str:
        """The version as a reference in the target: `name:v4`."""
        return f"{self.artifact}:v{self.number}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyOutcome:
    """What a copy did: its versions in the order in which they were copied, and sums over them."""

    source: str
    target: str
    versions: tuple[CopiedVersion, ...]
    new_bytes: int
    stored_bytes: int
    sent_bytes: int
    fetched_bytes: int
    warnings: tuple[str, ...]
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedCopy:
    """What a copy would do with one version; `number` is the one it would have in the target.

    Attributes:
        created: False if the target has it already.
        new_bytes: bytes of chunks that the target would lack by then, before compression; exact.
        stored_bytes: about what they take there, going by what they take in the source.
    """

    source: str
    artifact: str
    number: int
    digest: VersionDigest
    created: bool
    totals: Totals
    new_bytes: int = 0
    stored_bytes: int = 0

    @property
    def ref(self) -> str:
        """The version as a reference in the target: `name:v4`."""
        return f"{self.artifact}:v{self.number}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyPlan:
    """What a copy would do, in its order, and sums over it."""

    source: str
    target: str
    versions: tuple[PlannedCopy, ...]
    new_bytes: int
    stored_bytes: int
