"""Two stores, two machines at each, and what must be true of both after every step."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant

import cas
from cas.format.version import VersionRecord
from cas.model.names import ArtifactName
from cas.objects.versions import list_slots, read_slot
from cas.testing.trees import Tree, write_tree
from cas.version import Version
from stateful.drawn import ARTIFACTS, EDITS, FULL_TREES, edited
from stateful.sites import Client, MovedClock, Site
from stateful.store_model import LIVE, PURGED, TRASHED, ModelVersion

NS = 10**9


class CheckedStores(RuleBasedStateMachine):
    """Begins with some versions, and compares with the model all that can be seen."""

    @initialize(are_local=st.booleans(), tree=FULL_TREES, edits=st.tuples(EDITS, EDITS, EDITS))
    def begin(self, are_local: bool, tree: Tree, edits: tuple) -> None:
        self.clock = MovedClock()
        self.folder = Path(tempfile.mkdtemp(prefix="cas-stateful-"))
        self.sites = [
            Site(name, self.clock, self.folder / name, local=are_local) for name in ("home", "away")
        ]
        self.opened: list[tuple[ModelVersion, Version]] = []
        self.steps = 0
        for step in edits:
            self.put(0, 0, ARTIFACTS[0], tree)
            tree = edited(tree, step)
        # So that there are blobs of which part is dead.
        for one in self.sites[0].model.versions(LIVE)[:-1]:
            self.sites[0].clients[1].store.delete(one.ref, now=True)
            self.sites[0].model.move([one], PURGED, self.clock.now_ns())

    def teardown(self) -> None:
        if hasattr(self, "folder"):
            shutil.rmtree(self.folder)

    # -- what rules share

    def at(self, site: int, client: int) -> tuple[Site, Client]:
        return self.sites[site], self.sites[site].clients[client]

    def pick(self, site: Site, pick: int, *states: str) -> ModelVersion | None:
        """Return some version in one of some states, if there is one."""
        versions = site.model.versions(*(states or (LIVE,)))
        return versions[pick % len(versions)] if versions else None

    def source(self, site: Site, client: int, name: str, tree: Tree) -> Path:
        """Write a tree where this client puts this artifact from, touching only what differs."""
        return write_tree(site.folder / f"source-{client}-{name.replace('/', '-')}", tree)

    def published(self, site: Site, name: str, number: int, tree: Tree, **also) -> ModelVersion:
        version = ModelVersion(name, number, tree, self.clock.now_ns(), **also)
        site.model.add(version)
        return version

    def adopt(self, site: Site, name: str, tree: Tree, **also) -> None:
        """Take over what an act that died had published, if it had."""
        known = max(site.model.artifact(name).versions, default=-1)
        artifact = ArtifactName(name)
        for number in sorted(list_slots(site.backend, artifact).slots):
            record = read_slot(site.backend, artifact, number)
            if number > known and isinstance(record, VersionRecord):
                self.published(site, name, number, tree, **also)

    def noted(self, site: Site, outcome: cas.PutOutcome, tree: Tree, *, force=False, **also):
        """Note what a put answered, and check it."""
        newest = site.model.artifact(outcome.artifact).newest
        is_same = newest is not None and newest.tree == tree and not force
        assert outcome.created != is_same
        if is_same:
            assert outcome.number == newest.number
            return newest
        return self.published(site, outcome.artifact, outcome.number, tree, **also)

    def put(self, site, client, name, tree, *, force=False, ttl=None, inputs=(), made=()):
        place, who = self.at(site, client)
        options = cas.PutOptions(provenance=False, force=force, ttl=ttl, inputs=inputs)
        outcome = who.store.put(self.source(place, client, name, tree), name, options)
        expires_ns = None if ttl is None else self.clock.now_ns() + ttl * NS
        self.noted(place, outcome, tree, force=force, expires_ns=expires_ns, inputs=made)

    # -- what is true after each step

    @invariant()
    def the_listing_equals_the_model(self):
        for place in getattr(self, "sites", []):
            self.steps += 1
            store = place.clients[self.steps // 2 % 2].store
            model = place.model
            assert states_of(place, store) == {
                one.ref: one.state for one in model.versions(LIVE, TRASHED, PURGED)
            }
            for name, artifact in model.artifacts.items():
                aliases = {alias: at.number for alias, at in artifact.aliases.items()}
                assert store.aliases(name) == aliases
                protected = [alias for alias, at in artifact.aliases.items() if at.protected]
                assert sorted(store.protected_aliases(name)) == sorted(protected)
                if artifact.newest is not None:
                    assert store.version(name).number == artifact.newest.number

    @invariant()
    def the_structure_is_whole(self):
        for place in getattr(self, "sites", []):
            outcome = place.clients[self.steps // 5 % 2].store.verify()
            assert outcome.is_sound, outcome.problems

    @invariant()
    def every_version_reads_back(self):
        for place in getattr(self, "sites", []):
            client = place.clients[self.steps // 3 % 2]
            for one in place.model.versions(LIVE, TRASHED):
                hidden = one.state == TRASHED
                assert place.read(client, one.artifact, one.number, hidden=hidden) == one.tree
            for one in place.model.versions(PURGED):
                with pytest.raises(cas.NotFoundError, match="deleted for good"):
                    client.store.version(one.ref)


def states_of(place: Site, store: cas.Store) -> dict[str, str]:
    """What the store says of every version that was ever published."""
    return {
        f"{name}:v{one.number}": one.state
        for name in place.model.artifacts
        if list_slots(place.backend, ArtifactName(name)).slots
        for one in store.versions(name, include_hidden=True)
        if one.state != "void"
    }
