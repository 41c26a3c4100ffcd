"""The rules: whatever a user, an operator or a crash may do to two stores, one thing at a time.

No rule has a precondition and no drawn value depends on the state: what does not apply does nothing.
A put that is killed may have published or not, so the state of a run is not a function of what was
drawn, and Hypothesis must not notice.
"""

from __future__ import annotations

import shutil

import pytest
from collected import assert_clean, live_ids
from hypothesis import strategies as st
from hypothesis.stateful import rule

import cas
from cas.format import keys
from cas.operations.brakes import BrakeKind
from cas.operations.plan_repack import RepackLimits
from cas.operations.retention import RetentionPolicy
from cas.testing.trees import read_tree
from stateful.checked_stores import NS, CheckedStores, states_of
from stateful.drawn import (
    ALIASES,
    ARTIFACTS,
    COLLECT_DEATHS,
    EDITS,
    PICKS,
    PUT_DEATHS,
    REPACK_DEATHS,
    TREES,
    edited,
)
from stateful.sites import Site
from stateful.store_model import LIVE, PURGED, TRASHED, Alias, Made, ModelVersion

HOUR = 3600
DAY = 24 * HOUR
TRASH_KEEP_NS = 30 * DAY * NS
CLEAN = RetentionPolicy(trash_keep_ns=None, expire=False)

# The first of the two stores is used most.
SITES = st.sampled_from([0, 0, 0, 1])
CLIENTS = st.integers(0, 1)
NAMES = st.sampled_from(ARTIFACTS)
GRACES = st.sampled_from([0, 0, HOUR, 7 * DAY])


class StoreMachine(CheckedStores):
    """Acts, and knows what must have come of it."""

    # -- writing

    @rule(site=SITES, client=CLIENTS, name=NAMES, tree=TREES, force=st.booleans())
    def put_another_tree(self, site, client, name, tree, force):
        self.put(site, client, name, tree, force=force)

    @rule(site=SITES, client=CLIENTS, name=NAMES, edits=EDITS, ttl=st.sampled_from([None, DAY]))
    def put_an_edited_tree(self, site, client, name, edits, ttl):
        newest = self.sites[site].model.artifact(name).newest
        self.put(site, client, name, edited(newest.tree if newest else {}, edits), ttl=ttl)

    @rule(site=SITES, client=CLIENTS, name=NAMES, pick=PICKS, hurry=st.booleans())
    def put_what_was_got(self, site, client, name, pick, hurry):
        one = self.pick(self.sites[site], pick)
        if one is None:
            return
        place, who = self.at(site, client)
        target = place.folder / f"source-{client}-{name.replace('/', '-')}"
        shutil.rmtree(target, ignore_errors=True)
        who.store.get(one.ref, target)
        assert read_tree(target) == one.tree
        made = Made(place.name, one.artifact, one.number, one.content)
        self.put(site, client, name, one.tree, inputs=(one.ref,), made=(made,))
        if hurry:
            who.store.set_ttl(one.ref, 0)
            one.expires_ns = self.clock.now_ns()

    @rule(site=SITES, client=CLIENTS, trees=st.lists(TREES, min_size=2, max_size=3))
    def put_several(self, site, client, trees):
        for tree in trees:
            self.put(site, client, ARTIFACTS[0], tree)

    @rule(site=SITES, client=CLIENTS, name=NAMES, edits=EDITS, death=PUT_DEATHS)
    def put_and_die(self, site, client, name, edits, death):
        place, who = self.at(site, client)
        newest = place.model.artifact(name).newest
        tree = edited(newest.tree if newest else {}, edits)
        source = self.source(place, client, name, tree)
        options = cas.PutOptions(provenance=False)
        outcome = who.dying(death, lambda store: store.put(source, name, options))
        if outcome is None:
            self.adopt(place, name, tree)
        else:
            self.noted(place, outcome, tree)

    @rule(site=SITES, client=CLIENTS, pick=PICKS)
    def copy_to_the_other_store(self, site, client, pick):
        place, who = self.at(site, client)
        other, theirs = self.at(1 - site, client)
        one = self.pick(place, pick)
        if one is None:
            return
        (done,) = who.store.copy(one.ref, theirs.store).versions
        if done.created:
            self.published(other, one.artifact, done.number, one.tree, inputs=one.inputs)
        there = other.model.artifact(one.artifact)
        assert there.versions[done.number].state == LIVE
        assert there.versions[done.number].tree == one.tree
        for alias in place.model.artifact(one.artifact).pointing_at(one.number):
            there.aliases.setdefault(alias, Alias(done.number))

    @rule(site=SITES, client=CLIENTS, pick=PICKS, death=PUT_DEATHS)
    def copy_and_die(self, site, client, pick, death):
        place, who = self.at(site, client)
        other, theirs = self.at(1 - site, client)
        one = self.pick(place, pick)
        if one is None:
            return
        options = cas.CopyOptions(aliases=cas.AliasMode.NONE)
        outcome = theirs.dying(death, lambda store: who.store.copy(one.ref, store, options))
        if outcome is None or outcome.versions[0].created:
            self.adopt(other, one.artifact, one.tree, inputs=one.inputs)

    # -- aliases

    @rule(site=SITES, client=CLIENTS, pick=PICKS, alias=st.sampled_from(ALIASES), hard=PICKS)
    def tag(self, site, client, pick, alias, hard):
        place, who = self.at(site, client)
        one = self.pick(place, pick)
        if one is None:
            return
        protect, force = hard % 7 == 0, hard % 5 == 0
        aliases = place.model.artifact(one.artifact).aliases
        before = aliases.get(alias)
        if before and before.protected and before.number != one.number and not force:
            with pytest.raises(cas.RefusedError):
                who.store.tag(one.ref, [alias], protect=protect)
            return
        who.store.tag(one.ref, [alias], protect=protect, force=force)
        stays = before is not None and before.protected
        aliases[alias] = Alias(one.number, protected=protect or stays)

    @rule(site=SITES, client=CLIENTS, name=NAMES, alias=st.sampled_from(ALIASES), hard=PICKS)
    def untag(self, site, client, name, alias, hard):
        place, who = self.at(site, client)
        aliases = place.model.artifact(name).aliases
        if alias not in aliases:
            return
        force = hard % 2 == 0
        if aliases[alias].protected and not force:
            with pytest.raises(cas.RefusedError):
                who.store.untag(name, [alias])
            who.store.protect(name, [alias], protected=False)
            aliases[alias].protected = False
            return
        who.store.untag(name, [alias], force=force)
        del aliases[alias]

    # -- what goes, and what comes back

    @rule(site=SITES, client=CLIENTS, pick=PICKS, force=st.booleans(), now=st.booleans())
    def remove(self, site, client, pick, force, now):
        place, who = self.at(site, client)
        one = self.pick(place, pick, *((LIVE, TRASHED) if now else (LIVE,)))
        if one is None:
            return
        if place.model.objections(one) and not force:
            with pytest.raises(cas.RefusedError):
                who.store.delete(one.ref, now=now)
            return
        who.store.delete(one.ref, force=force, now=now)
        place.model.move([one], PURGED if now else TRASHED, self.clock.now_ns())

    @rule(site=SITES, client=CLIENTS, name=NAMES)
    def remove_an_artifact(self, site, client, name):
        place, who = self.at(site, client)
        going = [one for one in place.model.versions(LIVE) if one.artifact == name]
        if not going:
            return
        if place.model.objections_to_all(name, [one.number for one in going]):
            with pytest.raises(cas.RefusedError):
                who.store.delete(name)
            return
        who.store.delete(name)
        place.model.move(going, TRASHED, self.clock.now_ns())

    @rule(site=SITES, client=CLIENTS, name=NAMES)
    def remove_the_oldest_for_good(self, site, client, name):
        place, who = self.at(site, client)
        versions = [one for one in place.model.versions(LIVE) if one.artifact == name]
        for one in versions[: len(versions) // 2]:
            who.store.delete(one.ref, force=True, now=True)
            place.model.move([one], PURGED, self.clock.now_ns())

    @rule(site=SITES, client=CLIENTS, pick=PICKS)
    def restore(self, site, client, pick):
        place, who = self.at(site, client)
        one = self.pick(place, pick, TRASHED)
        if one is not None:
            who.store.restore(one.ref)
            place.model.move([one], LIVE, self.clock.now_ns())

    @rule(
        site=SITES,
        client=CLIENTS,
        name=NAMES,
        last=st.integers(0, 3),
        within=st.sampled_from([None, HOUR, 10 * DAY]),
    )
    def prune(self, site, client, name, last, within):
        place, who = self.at(site, client)
        live = [one for one in place.model.versions(LIVE) if one.artifact == name]
        if not live:
            return
        within_ns = None if within is None else within * NS
        going = place.model.pruned(name, last, within_ns, self.clock.now_ns())
        outcome = who.store.prune(name, cas.KeepRules(last=last, within=within))
        assert {one.number for one in outcome.trashed} == {one.number for one in going}
        place.model.move(going, TRASHED, self.clock.now_ns())

    @rule(site=SITES, client=CLIENTS, pick=PICKS, ttl=st.sampled_from([None, 0, HOUR, 9 * DAY]))
    def set_ttl(self, site, client, pick, ttl):
        place, who = self.at(site, client)
        one = self.pick(place, pick)
        if one is not None:
            who.store.set_ttl(one.ref, ttl)
            one.expires_ns = None if ttl is None else self.clock.now_ns() + ttl * NS

    @rule(seconds=st.sampled_from([1, HOUR, DAY, 8 * DAY, 31 * DAY]))
    def let_time_pass(self, seconds):
        self.clock.time_ns += seconds * NS

    # -- space

    @rule(
        site=SITES,
        client=CLIENTS,
        grace=GRACES,
        kept_runs=st.sampled_from([0, 2, 64]),
        repack_below=st.sampled_from([None, 0.5, 0.9]),
    )
    def collect(self, site, client, grace, kept_runs, repack_below):
        """A dry run says what goes, and the collection takes exactly that."""
        place, who = self.at(site, client)
        options = collecting(grace=grace, kept_runs=kept_runs, repack_below=repack_below)
        trash, purge = self.due(place)
        plan = who.store.plan_collection(options)
        assert refs_of(plan.due.trash) == {one.ref for one in trash}
        assert refs_of(plan.due.purge) == {one.ref for one in purge}
        outcome = who.store.collect_garbage(options)
        self.go_by_policy(place, trash, purge)
        # What only a version needed that was purged just now, and runs that others left open,
        # no dry run counts.
        if not purge and (grace == 0 or not outcome.ended_runs):
            assert outcome.deleted == plan.garbage
        if grace == 0:
            assert_clean(place.backend)

    @rule(site=SITES, client=CLIENTS, grace=GRACES, death=COLLECT_DEATHS)
    def collect_and_die(self, site, client, grace, death):
        place, who = self.at(site, client)
        options = collecting(grace=grace, kept_runs=2)
        trash, purge = self.due(place)
        if who.dying(death, lambda store: store.collect_garbage(options)) is not None:
            self.go_by_policy(place, trash, purge)
            return
        states = states_of(place, who.store)
        for going, state in ((trash, TRASHED), (purge, PURGED)):
            place.model.move(
                [one for one in going if states[one.ref] == state], state, self.clock.now_ns()
            )

    def due(self, place: Site) -> tuple[list[ModelVersion], list[ModelVersion]]:
        now_ns = self.clock.now_ns()
        return place.model.overdue(now_ns), place.model.long_in_trash(now_ns, TRASH_KEEP_NS)

    def go_by_policy(self, place: Site, trash: list[ModelVersion], purge: list[ModelVersion]):
        place.model.move(trash, TRASHED, self.clock.now_ns())
        place.model.move(purge, PURGED, self.clock.now_ns())

    @rule(site=SITES, client=CLIENTS, live_share=st.sampled_from([0.5, 0.9, 1.0]))
    def repack(self, site, client, live_share):
        """It changes no version, and done again it finds nothing to do."""
        _, who = self.at(site, client)
        limits = RepackLimits(live_share=live_share)
        outcome = who.store.repack(cas.RepackOptions(limits=limits))
        assert outcome.is_complete

    @rule(site=SITES, client=CLIENTS, death=REPACK_DEATHS)
    def repack_and_die(self, site, client, death):
        _, who = self.at(site, client)
        options = cas.RepackOptions(limits=RepackLimits(live_share=0.9))
        who.dying(death, lambda store: store.repack(options))

    @rule(site=SITES, client=CLIENTS, pick=PICKS, is_whole=st.booleans())
    def measure_and_free(self, site, client, pick, is_whole):
        """What `du` says that a deletion frees is what a collection then deletes, to the byte."""
        place, who = self.at(site, client)
        one = self.pick(place, pick, LIVE, TRASHED)
        if one is None:
            return
        options = collecting(policy=CLEAN)
        who.store.collect_garbage(options)
        ref = one.artifact if is_whole else one.ref
        usage = who.store.usage(ref)
        going = [
            other
            for other in place.model.versions(LIVE, TRASHED)
            if other is one or (is_whole and other.artifact == one.artifact)
        ]

        who.store.delete(ref, force=True, now=True)
        place.model.move(going, PURGED, self.clock.now_ns())
        outcome = who.store.collect_garbage(options)

        assert {(one.artifact, one.number) for one in usage.versions} == {
            (one.artifact, one.number) for one in going
        }
        assert usage.logical_bytes == sum(len(c) for one in going for c in one.tree.values())
        assert usage.unneeded_bytes == 0
        assert outcome.deleted.bytes == usage.freed_bytes
        assert_clean(place.backend)

    # -- reading

    @rule(site=SITES, client=CLIENTS, pick=PICKS)
    def open_a_version(self, site, client, pick):
        place, who = self.at(site, client)
        one = self.pick(place, pick)
        if one is not None:
            self.opened.append((one, who.store.version(one.ref)))

    @rule(pick=PICKS)
    def read_what_was_opened(self, pick):
        """However often it was moved since; only one that was purged may be gone."""
        if not self.opened:
            return
        one, version = self.opened.pop(pick % len(self.opened))
        try:
            assert {path.encode(): version.read(path) for path in version} == one.tree
        except cas.NotFoundError:
            assert one.state == PURGED

    @rule(site=SITES, client=CLIENTS, pick=PICKS)
    def read_while_it_is_moved(self, site, client, pick):
        """What was opened before a repack reads on when its old places are gone."""
        place, who = self.at(site, client)
        one = self.pick(place, pick)
        if one is None:
            return
        other = place.clients[1 - client].store
        who.reopen()  # what it had read before would spare it the way
        version = who.store.version(one.ref)
        other.repack(cas.RepackOptions(limits=RepackLimits(live_share=1.0)))
        other.collect_garbage(collecting(policy=CLEAN))
        assert {path.encode(): version.read(path) for path in version} == one.tree

    @rule(site=SITES, client=CLIENTS, pick=PICKS)
    def read_what_is_pinned_while_it_goes(self, site, client, pick):
        place, who = self.at(site, client)
        one = self.pick(place, pick)
        if one is None:
            return
        other = place.clients[1 - client].store
        with who.store.pin(one.ref) as version:
            other.delete(one.ref, force=True, now=True)
            place.model.move([one], PURGED, self.clock.now_ns())
            other.collect_garbage(collecting(grace=HOUR, policy=CLEAN))
            assert {path.encode(): version.read(path) for path in version} == one.tree

    @rule(site=SITES, client=CLIENTS, old=PICKS, new=PICKS)
    def diff(self, site, client, old, new):
        place, who = self.at(site, client)
        one, two = self.pick(place, old), self.pick(place, new)
        if one is None or two is None:
            return
        found = who.store.diff(one.ref, two.ref, renames=False)
        before, after = one.tree, two.tree
        assert {change.path.encode() for change in found.added} == after.keys() - before.keys()
        assert {change.path.encode() for change in found.removed} == before.keys() - after.keys()
        assert {change.path.encode() for change in found.modified} == {
            path for path in before.keys() & after.keys() if before[path] != after[path]
        }

    @rule(site=SITES, client=CLIENTS, pick=PICKS)
    def ask_why(self, site, client, pick):
        """Every blob that versions need says so, and none says more."""
        place, who = self.at(site, client)
        one = self.pick(place, pick, LIVE, TRASHED)
        if one is None:
            return
        said = who.store.explain(one.ref).version
        assert said is not None
        assert said.state == one.state
        assert sorted(said.aliases) == place.model.artifacts[one.artifact].pointing_at(one.number)
        assert set(said.users) == {user.ref for user in place.model.users_of(one)}
        stored = sorted(place.backend.list_objects(keys.BLOBS))
        if stored:
            key = stored[pick % len(stored)].key
            (blob,) = who.store.explain(key).blobs
            assert bool(blob.versions) == (keys.parse_blob_key(key).raw in live_ids(place.backend))

    @rule(site=SITES, client=CLIENTS)
    def begin_again(self, site, client):
        self.sites[site].clients[client].reopen()


def collecting(*, grace=0, kept_runs=64, policy=None, repack_below=None) -> cas.CollectOptions:
    limits = None if repack_below is None else RepackLimits(live_share=repack_below)
    return cas.CollectOptions(
        grace_seconds=grace,
        repack=limits and cas.RepackOptions(limits=limits),
        kept_runs=kept_runs,
        threads=1,
        policy=policy or RetentionPolicy(trash_keep_ns=TRASH_KEEP_NS),
        overrides=frozenset({BrakeKind.TOO_MUCH}),
    )


def refs_of(due) -> set[str]:
    return {f"{one.artifact}:v{one.number}" for one in due}
