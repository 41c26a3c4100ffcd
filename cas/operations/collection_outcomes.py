"""What a collection is told, what it plans, and what it did."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cas.format.collection import MAX_SET_IDS
from cas.model.ids import SessionId
from cas.model.progress import Cancel, ProgressSink
from cas.objects.id_sets import Ids
from cas.operations.brakes import Brake, BrakeKind
from cas.operations.retention import RetentionOutcome, RetentionPlan, RetentionPolicy

# It takes some milliseconds to load, which only a repack need spend.
if TYPE_CHECKING:
    from cas.operations.plan_repack import RepackPlan
    from cas.operations.repack_outcomes import RepackOptions, RepackOutcome

DAY_SECONDS = 86_400
DEFAULT_GRACE_SECONDS = 7 * DAY_SECONDS
# Old clients' facts are good for as many runs; each takes a few keys of a listing.
KEPT_RUNS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectOptions:
    """How garbage is collected.

    Attributes:
        grace_seconds: a writer that stored something more recently is taken to be alive, and what
            was stored more recently is left, unless a purged version names it. Any value is safe.
        policy: what is moved to the trash, and out of it for good, beforehand; None moves nothing.
        repack: empty blobs that are mostly dead, between what the policy does and the collection,
            which then takes them; None empties none.
        explain: say of every version why it is kept.
        overrides: brakes that do not hold.
        exclusive: nobody else works on the store; for storages that do not keep two writers apart.
        threads: requests at once; None takes what suits the storage, 1 makes one after the other.
        kept_runs: records of so many runs stay in the log.
        run_ids: blobs that one run takes at most.
        progress: told how far it is.
        cancel: stops it, before the next request.
    """

    grace_seconds: float = DEFAULT_GRACE_SECONDS
    policy: RetentionPolicy | None = field(default_factory=RetentionPolicy)
    repack: RepackOptions | None = None
    explain: bool = False
    overrides: frozenset[BrakeKind] = frozenset()
    exclusive: bool = False
    threads: int | None = None
    kept_runs: int = KEPT_RUNS
    run_ids: int = MAX_SET_IDS
    progress: ProgressSink | None = None
    cancel: Cancel | None = None


@dataclass(frozen=True, slots=True)
class Space:
    """Some blobs, and the bytes that they take."""

    blobs: int = 0
    bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """A part of what would go.

    Attributes:
        why: `due` (a version of the artifact is, and purged first), `purged` (one was),
            `interrupted` (its writer is gone), `repacked` (what lived in it is, or will be,
            somewhere else), or `unreferenced` (nothing tells any more whose it was).
        artifact: whose it was, if that is known.
    """

    why: str
    artifact: str | None
    space: Space


@dataclass(frozen=True, slots=True)
class KeptVersion:
    """A version, and why it keeps its blobs."""

    ref: str
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CollectionPlan:
    """What a collection would do.

    Attributes:
        store: everything there is.
        garbage: what would be deleted.
        shares: the same, by where it came from.
        young: what nothing needs, but is younger than the grace.
        announced: what only writers and readers at work need.
        dead_sessions: sessions whose writers seem to be gone.
        live_sessions: how many others there are.
        open_runs: runs that nobody has ended.
        kept: why each version is kept, if that was asked for.
        brakes: what would keep it from deleting anything.
        due: versions that the policy would move first; what only those need that it would purge is
            counted above.
        repack: what would be emptied first, if that was asked for and no brake holds that keeps
            it from being known; what can be deleted after it is counted above.
        candidates: ids of the garbage, uint8[n, 32], increasing.
    """

    store: Space
    garbage: Space
    shares: tuple[Share, ...]
    young: Space
    announced: Space
    dead_sessions: tuple[SessionId, ...]
    live_sessions: int
    open_runs: tuple[int, ...]
    kept: tuple[KeptVersion, ...]
    brakes: tuple[Brake, ...]
    due: RetentionPlan
    repack: RepackPlan | None = None
    candidates: Ids = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CollectionOutcome:
    """What a collection did.

    Attributes:
        plan: what it set out to do; after a repack, as the store was then.
        moved: versions that the policy moved to the trash, or out of it for good.
        repacked: what a repack did, if that was asked for.
        deleted: what it deleted, what earlier runs had left over included.
        cleared: blobs that turned out to be needed after all.
        runs: numbers of the runs that it opened.
        ended_runs: earlier runs that it abandoned or finished.
        settled: sessions whose writers were gone, whose leavings it took away.
        voided: slots that those will never fill, as `name:v3`.
        floor: records of runs up to it have expired.
        seconds: how long it took.
    """

    plan: CollectionPlan
    moved: RetentionOutcome
    repacked: RepackOutcome | None
    deleted: Space
    cleared: int
    runs: tuple[int, ...]
    ended_runs: tuple[int, ...]
    settled: tuple[SessionId, ...]
    voided: tuple[str, ...]
    floor: int
    seconds: float
