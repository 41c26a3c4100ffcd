"""A store with a blob that is mostly dead, repacked, and what must be true of it then."""

from __future__ import annotations

import cas
from cas.format.version import MoveKind
from cas.model.names import ArtifactName
from cas.objects.versions import add_move
from cas.operations.plan_repack import RepackLimits, RepackPlan
from cas.operations.repack import RepackOptions, RepackOutcome, plan_repack, repack
from cas.testing.corpora import random_content, text_content
from cas.testing.trees import Tree

NAME = ArtifactName("data")

FULL: Tree = {b"%02d.bin" % number: random_content(number, 90_000) for number in range(12)}
FULL[b"99.txt"] = text_content(1, 60_000)
FULL[b"tiny"] = b"t"
# What stays of it: pieces from all over one blob.
FEWER: Tree = {path: FULL[path] for path in (b"03.bin", b"07.bin", b"99.txt", b"tiny")}
FEWEST: Tree = FEWER | {b"07.bin": random_content(40, 1000)}

# The objects of such a store.
FILLED: dict[str, bytes] = {}


def fill(scene):
    """Give an empty store two versions, the newer one in the trash, of a blob that is mostly dead."""
    if not FILLED:
        for tree in (FULL, FEWER, FEWEST):
            scene.put(tree)
        scene.store().delete("data:v2")
        purge(scene, 0)
        FILLED.update({key: scene.truth.get(key) for key in scene.listed("")})
    for key, content in FILLED.items():
        scene.truth.put(key, [content])
    return scene


def purge(scene, number: int) -> None:
    """Delete a version for good."""
    add_move(scene.truth, NAME, number, 1, MoveKind.TRASH, 0)
    add_move(scene.truth, NAME, number, 2, MoveKind.PURGE, 0)


def run(scene, backend=None, **limits: float) -> RepackOutcome:
    """Repack, through another backend if one is given."""
    return repack(scene.store(backend).parts, RepackOptions(limits=RepackLimits(**limits)))


def plan(scene, **limits: float) -> RepackPlan:
    """Say what a repack would do."""
    return plan_repack(scene.store().parts, RepackOptions(limits=RepackLimits(**limits)))


def collect_for_real(scene) -> cas.CollectionOutcome:
    """Collect, taking every session for dead and no blob for young."""
    options = cas.CollectOptions(
        grace_seconds=0, overrides=frozenset(cas.BrakeKind), policy=None, threads=1
    )
    return scene.store().collect_garbage(options)


def used(scene) -> int:
    """Return the bytes of all data blobs."""
    return sum(scene.listed("blobs").values())


def assert_whole(scene) -> None:
    """Both versions read back, the one in the trash after it was restored."""
    assert scene.held("data:v1") == FEWER
    if 2 not in scene.live():
        scene.store().restore("data:v2")
    assert scene.held("data:v2") == FEWEST
