"""What must be true of a store, in plain dicts: no blobs, no chunks, no log, nothing that can fail."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass, field

from cas.testing.trees import Tree

LIVE, TRASHED, PURGED = "live", "trashed", "purged"


@dataclass(frozen=True)
class Made:
    """What a version says it was made from: number and name count in the store that it was said in."""

    site: str
    artifact: str
    number: int
    content: frozenset


@dataclass
class ModelVersion:
    """A version as its user sees it."""

    artifact: str
    number: int
    tree: Tree
    created_ns: int
    expires_ns: int | None = None
    inputs: tuple[Made, ...] = ()
    state: str = LIVE
    moved_ns: int = 0

    @property
    def ref(self) -> str:
        return f"{self.artifact}:v{self.number}"

    @property
    def content(self) -> frozenset:
        """Stands for the digest: equal if and only if that must be."""
        return frozenset(self.tree.items())


@dataclass
class Alias:
    """Where an alias points."""

    number: int
    protected: bool = False


@dataclass
class ModelArtifact:
    """An artifact: its versions by number, and its aliases by name."""

    versions: dict[int, ModelVersion] = field(default_factory=dict)
    aliases: dict[str, Alias] = field(default_factory=dict)

    def pointing_at(self, number: int) -> list[str]:
        return sorted(name for name, alias in self.aliases.items() if alias.number == number)

    def protecting(self, number: int) -> list[str]:
        return [name for name in self.pointing_at(number) if self.aliases[name].protected]

    @property
    def newest(self) -> ModelVersion | None:
        """What `latest` names."""
        live = [one for one in self.versions.values() if one.state == LIVE]
        return max(live, key=lambda one: one.number, default=None)


class StoreModel:
    """All artifacts of one store."""

    def __init__(self, site: str) -> None:
        self.site = site
        self.artifacts: dict[str, ModelArtifact] = {}

    def artifact(self, name: str) -> ModelArtifact:
        return self.artifacts.setdefault(name, ModelArtifact())

    def versions(self, *states: str) -> list[ModelVersion]:
        """Return the versions in some states, by name and number."""
        return [
            self.artifacts[name].versions[number]
            for name in sorted(self.artifacts)
            for number in sorted(self.artifacts[name].versions)
            if self.artifacts[name].versions[number].state in states
        ]

    def add(self, version: ModelVersion) -> None:
        """Note a version that was published: its number was never given before."""
        versions = self.artifact(version.artifact).versions
        assert version.number > max(versions, default=-1)
        versions[version.number] = version

    def move(self, versions: Iterable[ModelVersion], state: str, now_ns: int) -> None:
        for one in versions:
            if (one.state, state) == (LIVE, PURGED) or one.state != state:
                one.state, one.moved_ns = state, now_ns

    # -- lineage

    def inputs_of(self, user: ModelVersion) -> list[ModelVersion]:
        """Return the visible versions that one was made from."""
        return [
            one
            for one in self.versions(LIVE)
            if one is not user and any(self._is_named(made, one) for made in user.inputs)
        ]

    def users_of(self, version: ModelVersion) -> list[ModelVersion]:
        """Return the visible versions that were made from one, which may lie in the trash."""
        return [
            one
            for one in self.versions(LIVE)
            if one is not version and any(self._is_named(made, version) for made in one.inputs)
        ]

    def _is_named(self, made: Made, one: ModelVersion) -> bool:
        is_here = (made.artifact, made.number) == (one.artifact, one.number)
        return made.content == one.content and (made.site != self.site or is_here)

    def kept_by_lineage(self, kept: list[ModelVersion]) -> list[ModelVersion]:
        """Return these and all that they were made from, at any depth."""
        found = list(kept)
        for one in found:  # it grows
            found += [other for other in self.inputs_of(one) if other not in found]
        return found

    # -- what goes

    def objections(self, version: ModelVersion) -> bool:
        """Tell whether something speaks against deleting a version."""
        artifact = self.artifacts[version.artifact]
        return bool(artifact.pointing_at(version.number) or self.users_of(version))

    def objections_to_all(self, name: str, numbers: list[int]) -> bool:
        """Tell whether something speaks against deleting versions of an artifact together."""
        artifact = self.artifacts[name]
        going = [artifact.versions[number] for number in numbers]
        users = itertools.chain.from_iterable(self.users_of(one) for one in going)
        return any(artifact.protecting(number) for number in numbers) or any(
            one not in going for one in users
        )

    def overdue(self, now_ns: int) -> list[ModelVersion]:
        """Return what a policy moves to the trash: over, without alias, and not needed by lineage."""
        over = [
            one
            for one in self.versions(LIVE)
            if one.expires_ns is not None and one.expires_ns <= now_ns
        ]
        stays = [
            one
            for one in self.versions(LIVE)
            if one not in over or self.artifacts[one.artifact].pointing_at(one.number)
        ]
        kept = self.kept_by_lineage(stays)
        return [one for one in over if one not in kept]

    def long_in_trash(self, now_ns: int, keep_ns: int) -> list[ModelVersion]:
        """Return what a policy purges."""
        return [one for one in self.versions(TRASHED) if now_ns - one.moved_ns >= keep_ns]

    def pruned(
        self, name: str, last: int, within_ns: int | None, now_ns: int
    ) -> list[ModelVersion]:
        """Return what `prune` moves to the trash."""
        artifact = self.artifacts[name]
        newest = [one for one in self.versions(LIVE) if one.artifact == name][::-1]
        kept = [one for one in self.versions(LIVE) if one.artifact != name]
        kept += newest[:last]
        kept += [one for one in newest if artifact.pointing_at(one.number)]
        if within_ns is not None:
            kept += [one for one in newest if now_ns - one.created_ns <= within_ns]
        stays = self.kept_by_lineage(kept)
        return [one for one in newest if one not in stays]
