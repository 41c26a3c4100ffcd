"""Bit flips and truncations of every kind of object, at every field: found, named, never believed,
and made good where there is a copy.
"""

from __future__ import annotations

import itertools
import re
from typing import NamedTuple

import pytest
from memory_stores import PLAIN, memory_store, open_on
from stored_objects import NEXT, TREE, Objects, backend_of, flipped, objects_of, store_of

import cas
from cas.errors import CasError
from cas.format import keys
from cas.format.blob import (
    CHUNK_BYTES,
    FRAME_HEAD_BYTES,
    HEADER_BYTES,
    TRAILER_BYTES,
    decode_frame_head,
    decode_trailer,
)
from cas.format.version import VoidRecord, encode_slot
from cas.model.ids import SessionId
from cas.model.names import ArtifactName
from cas.testing.corpora import random_content
from cas.testing.trees import write_tree

FIRST = {path: content for path, content in TREE.items() if path != b"zeros"}
SECOND = FIRST | {b"text.txt": NEXT[b"text.txt"]}
TREES = {"data:v0": FIRST, "data:v1": SECOND}
DATA = cas.VerifyOptions(level=cas.VerifyLevel.DATA, remember=False)
KINDS = {
    "config": r"cas\.json",
    "slot": r".*/versions/\d{10}",
    "revision": r".*\.r\d{4}",
    "move": r".*\.m\d{4}",
    "expiry": r".*\.e\d{4}",
    "alias": r".*/aliases/.*",
    "blob": r"blobs/.*",
    "meta": r"meta/.*",
    "segment": r"index/.*",
    "intent": r"sessions/.*",
    "condemn": r"gc/.*\.condemn",
    "verdict": r"gc/.*\.verdict",
    "done": r"gc/.*\.done",
    "floor": r"gc/.*\.floor",
    "damage": r"gc/damage-.*",
    "results": r"verify/.*",
}
# A flip there may change nothing of what is stored: bits that zstd does not look at, hints without a
# checksum, and what `cas.json` says for people and of new blobs.
UNTOLD = ("config", "blob", "meta", "segment")


# Sixteen thousand stores are verified, some minutes of CPU; each turn takes some of all places, so
# that one of them can be run by itself: `-k turn-3`.
TURNS = 8


def turn_name(turn: int) -> str:
    return f"turn-{turn + 1}"


class Sound(NamedTuple):
    """All objects of a store and of a copy of it. Too many bytes to be shown."""

    objects: Objects
    copy: Objects

    def __repr__(self) -> str:
        return "<sound>"


def kind_of(key: str) -> str:
    return next(kind for kind, pattern in KINDS.items() if re.fullmatch(pattern, key))


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Sound:
    """A store that has an object of every kind, with two versions that can be read."""
    folder = tmp_path_factory.mktemp("sound")
    store, copy = (memory_store(chunk_size=16 << 10, jobs=1) for _ in range(2))
    backend = store.parts.backend
    for tree in (FIRST, SECOND):
        store.put(write_tree(folder / "source", tree), "data", PLAIN)
    store.copy(list(TREES), copy)
    store.put(write_tree(folder / "gone", {b"x": random_content(9, 9000)}), "data", PLAIN)
    void = encode_slot(VoidRecord(SessionId(bytes(16))))
    backend.create(keys.version_key(ArtifactName("data"), 3), void)
    for number in (0, 1):
        store.tag(f"data:v{number}", ["best"])
    store.delete("data:v0")
    store.restore("data:v0")
    store.set_ttl("data:v1", "90d")
    stored = list(backend.list_objects("blobs"))
    largest = max(stored, key=lambda one: one.size).key
    whole = backend.get(largest)
    backend.put(largest, [flipped(whole, 2000)])
    store.verify(None, cas.VerifyOptions(level=cas.VerifyLevel.DATA))
    copy.copy(list(TREES), store)  # heals, by revisions
    backend.put(largest, [whole])
    store.delete("data:v2", now=True)
    overrides = frozenset(cas.BrakeKind)
    for _ in range(2):
        store.collect_garbage(
            cas.CollectOptions(grace_seconds=0, overrides=overrides, kept_runs=0, threads=1)
        )
        store.put(write_tree(folder / "gone", {b"x": random_content(8, 9000)}), "more", PLAIN)
        store.delete("more:latest", now=True)
    store.collect_garbage(cas.CollectOptions(grace_seconds=0, overrides=overrides, threads=1))
    with store.pin("data:v1"):
        backend.put(largest, [flipped(whole, 2000)])
        store.verify(None, cas.VerifyOptions(level=cas.VerifyLevel.DATA))
        backend.put(largest, [whole])
        objects = objects_of(backend)
    return Sound(objects, objects_of(copy.parts.backend))


def held(store: cas.Store, ref: str) -> dict[str, bytes | None]:
    """Return what a version gives, None for a file that cannot be read, nothing if none can."""
    try:
        version = store.version(ref)
        paths = list(version)
    except CasError:
        return {}
    found: dict[str, bytes | None] = {}
    for path in paths:
        try:
            found[path] = version.read(path)
        except CasError:
            found[path] = None
    return found


def check_never_wrong(store: cas.Store) -> bool:
    """Check that no byte is wrong; return whether all of them can be had."""
    whole = True
    for ref, tree in TREES.items():
        found = held(store, ref)
        for path, content in found.items():
            assert content in (None, tree[path.encode()])
        whole = whole and len(found) == len(tree) and None not in found.values()
    return whole


def check(sound: Sound, key: str, content: bytes) -> bool:
    """Damage one object: it is named, or nothing came of it. Return whether it was named."""
    objects = sound.objects | {key: content}
    try:
        outcome = store_of(objects).verify(None, DATA)
    except (cas.CorruptionError, cas.UnsupportedError) as refused:
        return _names(refused, key)
    is_whole = check_never_wrong(store_of(objects))
    if any(problem.key == key for problem in outcome.problems):
        return True
    if any(key in line for line in outcome.unread):
        return True  # a flip that looks like what a later release might write
    assert kind_of(key) in UNTOLD
    assert is_whole
    assert outcome.problems == ()
    return False


def _names(refused: CasError, key: str) -> bool:
    assert key in str(refused)
    return True


def fields_of(key: str, content: bytes) -> list[int]:
    """Return where the fields of an object begin, and some places within."""
    if kind_of(key) not in ("blob", "meta"):
        step = max(1, len(content) // 12)
        return sorted({*range(0, len(content), step), len(content) - 1})
    places = [0, 4, 5, 6, 8, 24]
    table, _, _ = decode_trailer(content, what=key)
    at = HEADER_BYTES
    while at < table:
        head = decode_frame_head(content[at:], what=key)
        first = at + FRAME_HEAD_BYTES
        last = first + CHUNK_BYTES * (len(head.chunk_ids) - 1)
        places += [at, at + 1, at + 2, at + 4, at + 8, at + 12, first, first + 32, last, last + 32]
        at += head.length
        places += [at - head.stored, at - head.stored // 2, at - 1]
    size = len(content)
    places += [table, table + 4, (table + size) // 2, *range(size - TRAILER_BYTES, size, 4)]
    return sorted(set(places))


def of_kind(sound: Sound, kind: str) -> list[tuple[str, bytes]]:
    return [(key, content) for key, content in sound.objects.items() if kind_of(key) == kind]


def one_of_each(objects: Objects) -> list[str]:
    """Return a key of every kind; of blobs two."""
    found: dict[str, list[str]] = {}
    for key in sorted(objects):
        found.setdefault(kind_of(key), []).append(key)
    assert found.keys() == KINDS.keys()
    return [key for kind, some in found.items() for key in some[: 2 if kind == "blob" else 1]]


def test_the_store_has_every_kind_of_object_and_is_sound(sound):
    """What the tests of this module rest on."""
    outcome = store_of(sound.objects).verify(None, DATA)

    assert set(map(kind_of, sound.objects)) == set(KINDS)
    assert (outcome.problems, outcome.unread) == ((), ())
    assert check_never_wrong(store_of(sound.objects))


def test_a_flip_in_any_field_is_found_and_named(sound):
    """Of an object of every kind."""
    told = {True: 0, False: 0}
    for key in one_of_each(sound.objects):
        content = sound.objects[key]
        for number, at in enumerate(fields_of(key, content)[:: 1 if len(content) < 2000 else 2]):
            told[check(sound, key, flipped(content, at, number % 8))] += 1

    assert told[True] > 4 * told[False] > 0


@pytest.mark.slow
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("turn", range(TURNS), ids=turn_name)
def test_a_flip_of_any_byte_is_found_and_named(sound, turn, kind):
    """Of every object; of blobs every field, and every 200th byte."""
    for key, content in of_kind(sound, kind):
        places = set(fields_of(key, content))
        places |= set(range(0, len(content), 200 if len(content) > 4000 else 1))
        for at in sorted(places)[turn::TURNS]:
            check(sound, key, flipped(content, at, at % 8))


def test_a_truncation_anywhere_is_found_and_named(sound):
    """At the edges of fields: none of it passes for whole."""
    for key in one_of_each(sound.objects):
        content = sound.objects[key]
        fields = fields_of(key, content)
        for length in {0, 1, *fields[1 :: len(fields) // 6 or 1], len(content) - 1}:
            if key != keys.CONFIG or length < len(content) - 1:  # its last byte is a line's end
                assert check(sound, key, content[:length])


@pytest.mark.slow
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("turn", range(TURNS), ids=turn_name)
def test_a_truncation_at_every_edge_is_found_and_named(sound, turn, kind):
    """Of every object, at every field; every length of small ones."""
    for key, content in of_kind(sound, kind):
        edges = range(len(content) - 1) if len(content) < 2000 else fields_of(key, content)
        for length in edges[turn::TURNS]:
            assert check(sound, key, content[:length])


def check_repair(sound: Sound, key: str, content: bytes) -> None:
    """Damage an object; with a copy of the versions everything that they need is made good."""
    backend = backend_of(sound.objects | {key: content})
    open_on(backend, jobs=1).verify(None, cas.VerifyOptions(level=cas.VerifyLevel.DATA))
    before = objects_of(backend)

    outcome = open_on(backend, jobs=1).repair(
        None, cas.RepairOptions(apply=True), stores=[store_of(sound.copy)]
    )

    assert outcome.is_whole, outcome
    assert check_never_wrong(open_on(backend, jobs=1))
    left = open_on(backend, jobs=1).verify(None, DATA).problems
    assert [one for one in left if not one.is_harmless] == []
    after = objects_of(backend)
    hints = ("gc/damage-", "verify/")
    assert all(after[key] == before[key] for key in before if not key.startswith(hints))


REPAIRED = ("blob", "meta", "segment", "revision", "condemn", "verdict", "damage", "results")


def test_with_a_copy_all_that_versions_need_is_made_good(sound):
    """Blobs, pages, roots, revisions; damaged hints stand in nobody's way."""
    for key in one_of_each(sound.objects):
        if kind_of(key) in REPAIRED:
            content = sound.objects[key]
            fields = fields_of(key, content)
            for at in fields[:: len(fields) // 4 or 1]:
                check_repair(sound, key, flipped(content, at))
            check_repair(sound, key, content[: len(content) // 2])


@pytest.mark.slow
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("kind", REPAIRED)
def test_with_a_copy_every_field_is_made_good(sound, kind):
    """Whatever the place, and however short it is cut."""
    for key, content in of_kind(sound, kind):
        for at in fields_of(key, content):
            check_repair(sound, key, flipped(content, at))
            check_repair(sound, key, content[:at])


def test_two_damaged_objects_are_both_named(sound):
    """Of any two kinds, as far as both are looked at: one does not hide the other."""
    some = [key for key in one_of_each(sound.objects) if kind_of(key) not in UNTOLD]
    for one, other in itertools.pairwise(some):
        broken = {key: flipped(sound.objects[key], 6) for key in (one, other)}
        outcome = store_of(sound.objects | broken).verify(None, DATA)
        named = {problem.key for problem in outcome.problems}
        assert {one, other} <= named or kind_of(one) in ("slot", "revision", "move")
