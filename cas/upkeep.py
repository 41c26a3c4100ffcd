"""What becomes of versions once they are published: names, the trash, rules, time, space."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cas.format.config import check_features
from cas.model.durations import Span
from cas.model.names import ArtifactName, Ref
from cas.objects.parts import StoreParts

# Each of these takes some milliseconds to load that commands of another kind need not spend.
if TYPE_CHECKING:
    from cas.operations.collection_outcomes import (
        CollectionOutcome,
        CollectionPlan,
        CollectOptions,
    )
    from cas.operations.delete import Deletion
    from cas.operations.expire import Expiry
    from cas.operations.explain import Explanation
    from cas.operations.keep_rules import KeepRules
    from cas.operations.measure_blobs import BlobUsage
    from cas.operations.measure_usage import Usage
    from cas.operations.move_alias import AliasMove
    from cas.operations.plan_delete import DeletionPlan
    from cas.operations.plan_repack import RepackPlan
    from cas.operations.prune import PruneOutcome, PrunePlan
    from cas.operations.repack_outcomes import RepackOptions, RepackOutcome
    from cas.operations.repair_outcomes import RepairOptions, RepairOutcome
    from cas.operations.verify_outcomes import VerifyOptions, VerifyOutcome


class Upkeep:
    """The part of `Store` that decides what stays; it only delegates."""

    _parts: StoreParts

    # -- aliases

    def tag(
        self, ref: str, aliases: Sequence[str], *, protect: bool = False, force: bool = False
    ) -> list[AliasMove]:
        """Point aliases to a version, and with `protect` protect them.

        Raises:
            NotFoundError: there is no such version.
            InvalidInputError: an alias is not allowed.
            RefusedError: one is protected, points elsewhere, and `force` is not set.
        """
        from cas.operations.move_alias import tag

        return tag(self._parts, Ref.parse(ref), aliases, protect=protect, force=force)

    def untag(self, name: str, aliases: Sequence[str], *, force: bool = False) -> list[AliasMove]:
        """Remove aliases of an artifact.

        Raises:
            NotFoundError: one of them is not set; then none is removed.
            RefusedError: one is protected and `force` is not set; likewise.
        """
        from cas.operations.move_alias import untag

        return untag(self._parts, ArtifactName(name), aliases, force=force)

    def protect(
        self, name: str, aliases: Sequence[str], *, protected: bool = True
    ) -> list[AliasMove]:
        """Protect aliases of an artifact, or end that; where they point does not change.

        A protected alias is not moved or removed, nor its version deleted, unless that is forced.

        Raises:
            NotFoundError: one of them is not set; then nothing is changed.
        """
        from cas.operations.move_alias import set_protection

        return set_protection(self._parts, ArtifactName(name), aliases, protected=protected)

    def protected_aliases(self, name: str) -> list[str]:
        """Return which aliases of an artifact are protected."""
        from cas.operations.show_history import protected_aliases

        return protected_aliases(self._parts, ArtifactName(name))

    # -- what goes

    def delete(self, ref: str, *, force: bool = False, now: bool = False) -> list[Deletion]:
        """Move a version, or with a bare name all versions, to the trash.

        With `now` they are deleted for good, those in the trash as well: nothing brings them back,
        and the next collection takes what they alone needed.

        Raises:
            NotFoundError: there is no such version.
            RefusedError: an alias points to it or a version was made from it, and `force` is not
                set. With a bare name only protected aliases and other artifacts' versions count.
            ConflictError: somebody else moved it at the same moment.
        """
        from cas.operations.delete import delete

        return delete(self._parts, Ref.parse(ref), force=force, now=now)

    def plan_delete(self, ref: str, *, now: bool = False) -> DeletionPlan:
        """Return what `delete` would take and what speaks against it, changing nothing.

        Raises:
            NotFoundError: there is no such version.
        """
        from cas.operations.plan_delete import plan_delete

        return plan_delete(self._parts, Ref.parse(ref), now=now)[0]

    def restore(self, ref: str) -> list[Deletion]:
        """Bring a version, or with a bare name all, back from the trash.

        Raises:
            NotFoundError: nothing of that name is in the trash, or it was deleted for good.
        """
        from cas.operations.delete import restore

        return restore(self._parts, Ref.parse(ref))

    def prune(self, names: str | Sequence[str], rules: KeepRules) -> PruneOutcome:
        """Move to the trash what rules do not keep of artifacts, or of patterns such as `team/*`.

        What aliases point at and what a kept version was made from is kept, too.

        Raises:
            NotFoundError: a name or pattern fits no artifact.
            InvalidInputError: the rules say nothing, or one makes no sense.
            RefusedError: an artifact would lose every version, and `rules.last` is not 0.
        """
        from cas.operations.prune import prune

        return prune(self._parts, [names] if isinstance(names, str) else names, rules)

    def plan_prune(self, names: str | Sequence[str], rules: KeepRules) -> PrunePlan:
        """Return what `prune` would keep and why, what would go, and what that would free.

        Changes nothing. What would be freed is told by the pages of all versions, of which each is
        read once on a machine.
        """
        from cas.operations.prune import plan_prune

        return plan_prune(self._parts, [names] if isinstance(names, str) else names, rules)

    def set_ttl(self, ref: str, ttl: Span | None) -> Expiry:
        """Let a collection move a version to the trash a span from now; None or "never": never.

        A span is a `timedelta`, seconds, or a text like "30d". Aliases and lineage keep a version
        beyond its time.

        Raises:
            NotFoundError: there is no such version.
            InvalidInputError: it is no span of time.
        """
        from cas.operations.expire import set_ttl

        return set_ttl(self._parts, Ref.parse(ref), ttl)

    # -- space

    def usage(self, ref: str | None = None) -> Usage:
        """Measure the space of a version, an artifact, or the whole store.

        Raises:
            NotFoundError: there is no such version.
        """
        from cas.operations.measure_usage import measure_usage

        return measure_usage(self._parts, None if ref is None else Ref.parse(ref))

    def usage_by_blobs(self, ref: str | None = None) -> BlobUsage:
        """Measure the same by whole blobs, of which none is read: for stores of many terabytes.

        Raises:
            NotFoundError: there is no such version.
        """
        from cas.operations.measure_blobs import measure_blobs

        return measure_blobs(self._parts, None if ref is None else Ref.parse(ref))

    def explain(self, what: str) -> Explanation:
        """Say what keeps a version, a file of one (`name:v3/path`), or a blob (its id or key).

        Raises:
            NotFoundError: there is no such version, path or blob.
            InvalidInputError: it is neither a reference nor the beginning of one blob's id.
        """
        from cas.operations.explain import explain

        return explain(self._parts, what)

    # -- garbage

    def plan_collection(self, options: CollectOptions | None = None) -> CollectionPlan:
        """Return which blobs a collection would delete, and why it would not, changing nothing.

        Raises:
            UnsupportedError: the store needs a newer cas.
            BackendError: the storage failed.
        """
        check_features(self._parts.config, "gc")
        from cas.operations.collection_outcomes import CollectOptions
        from cas.operations.plan_collection import plan_collection

        return plan_collection(self._parts, options or CollectOptions())

    def collect_garbage(self, options: CollectOptions | None = None) -> CollectionOutcome:
        """Delete the blobs that nothing needs; safe beside writers, readers and other collectors.

        What versions need stays, those in the trash too; so does what was stored within the grace.
        Killed at any point, it is finished by the next call, whoever makes it.

        Raises:
            RefusedError: a brake holds (BRAKE); nothing was deleted. The hint names its override.
            CorruptionError: a repack is part of it, and a page or root is missing or damaged.
            UnsupportedError: the storage does not keep two writers apart, or the store needs a
                newer cas.
            BackendError: the storage failed; the next call goes on from there.
        """
        from cas.operations.collect_garbage import collect_garbage
        from cas.operations.collection_outcomes import CollectOptions

        return collect_garbage(self._parts, options or CollectOptions())

    # -- repack

    def plan_repack(self, options: RepackOptions | None = None) -> RepackPlan:
        """Return which blobs a repack would empty, and what that frees, changing nothing.

        Raises:
            CorruptionError: a page or root is missing or damaged.
            BackendError: the storage failed.
        """
        from cas.operations.repack import plan_repack
        from cas.operations.repack_outcomes import RepackOptions

        return plan_repack(self._parts, options or RepackOptions())

    def repack(self, options: RepackOptions | None = None) -> RepackOutcome:
        """Store anew what lives in blobs that are mostly dead, and lead versions there.

        Versions keep their digests, and readers find the new places by themselves. The old blobs
        are deleted by the next collections. Safe beside writers, readers, collectors and other
        repacks.

        Raises:
            CorruptionError: a page or root is missing or damaged.
            UnsupportedError: the storage does not keep two writers apart.
            BackendError: the storage failed; the next repack goes on from there.
        """
        from cas.operations.repack import repack
        from cas.operations.repack_outcomes import RepackOptions

        return repack(self._parts, options or RepackOptions())

    # -- health

    def verify(self, ref: str | None = None, options: VerifyOptions | None = None) -> VerifyOutcome:
        """Check that what versions need is there and is what it must be.

        What is found damaged is an outcome, not an error. Reads past every cache of this machine.

        Args:
            ref: one version, all of an artifact (a bare name), or None for the whole store.
            options: how much is read.

        Raises:
            NotFoundError: there is no such artifact or version.
            BackendError: the storage failed.
        """
        from cas.operations.verify import verify
        from cas.operations.verify_outcomes import VerifyOptions

        parsed = None if ref is None else Ref.parse(ref)
        return verify(self._parts, parsed, options or VerifyOptions())

    def repair(
        self,
        ref: str | None = None,
        options: RepairOptions | None = None,
        *,
        stores: Sequence[Upkeep] = (),
    ) -> RepairOutcome:
        """Bring back what is damaged, from other blobs, `stores`, or local files; say what cannot be.

        Without `options.apply` nothing is written. Nothing stored is ever replaced or removed.

        Raises:
            NotFoundError: there is no such artifact, version or path.
            UnsupportedError: the storage does not keep two writers apart.
            BackendError: a storage failed; what was repaired until then stays so.
        """
        from cas.operations.repair import repair
        from cas.operations.repair_outcomes import RepairOptions

        options = options or RepairOptions()
        if options.apply:
            check_features(self._parts.config, "write")
        parsed = None if ref is None else Ref.parse(ref)
        others = [store._parts for store in stores]  # noqa: SLF001 - of the same class
        return repair(self._parts, parsed, others, options)
