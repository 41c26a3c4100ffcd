"""What a repair lists as lost is exact, and with the files a version is whole again."""

from __future__ import annotations

import itertools
import random
from pathlib import Path

import pytest
from blake3 import blake3
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import cas
from cas.backend.memory import MemoryBackend
from cas.environment import SystemClock
from cas.format.blob import CHUNK_BYTES, FRAME_HEAD_BYTES, decode_tail, decode_trailer
from cas.format.keys import parse_blob_key
from cas.operations.init import init_store
from cas.testing.corpora import random_content
from cas.testing.trees import Tree, read_tree, write_tree

OPTIONS = cas.StoreOptions(jobs=1, journal=False)
PLAIN = cas.PutOptions(provenance=False)
DATA = cas.VerifyOptions(level=cas.VerifyLevel.DATA)
PIECES = [random_content(number, 9_000 + 7_000 * number) for number in range(8)]
QUIET = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))

# Files of the same pieces share chunks; a hole lies between some.
contents = st.lists(st.sampled_from([*PIECES, bytes(150_000)]), min_size=1, max_size=5).map(
    b"".join
)
trees = st.dictionaries(st.sampled_from([b"a", b"b/c", b"b/d", b"e"]), contents, min_size=1)
seeds = st.integers(0, 1 << 30)
fresh = itertools.count()


def make_store(folder: Path, versions: list[Tree]) -> MemoryBackend:
    backend = MemoryBackend()
    init_store(backend, SystemClock(), chunk_average=16 << 10)
    store = cas.Store.on(backend, options=OPTIONS)
    for number, tree in enumerate(versions):
        store.put(write_tree(folder / f"v{number}", tree), "data", PLAIN)
    return backend


def chunks_of(backend: MemoryBackend) -> list[tuple[str, int, int, bytes]]:
    """Return every stored chunk: key, where its bytes begin, how many, and its id."""
    found = []
    for stored in backend.list_objects("blobs"):
        content = backend.get(stored.key)
        offset, _, _ = decode_trailer(content, what=stored.key)
        blob_id = parse_blob_key(stored.key)
        assert blob_id is not None
        table = decode_tail(content[offset:], blob_id, blob_size=len(content), table_offset=offset)
        for row, chunk_id in enumerate(table.chunk_ids):
            frame = int(table.chunk_frames[row])
            if table.frame_codecs[frame]:
                continue
            heads = FRAME_HEAD_BYTES + CHUNK_BYTES * int(table.frame_chunks[frame])
            start = int(table.frame_offsets[frame]) + heads + int(table.chunk_starts[row])
            found.append((stored.key, start, int(table.chunk_lengths[row]), chunk_id.tobytes()))
    return found


def expected(backend: MemoryBackend, versions: list[Tree], lost: set[bytes]) -> set[tuple]:
    """Cut every file anew, and join the ranges of lost chunks."""
    cutter = cas.Store.on(backend, options=OPTIONS).parts.cutter
    found = set()
    for number, tree in enumerate(versions):
        for path, content in tree.items():
            ranges: list[list[int]] = []
            start = 0
            for stop in cutter.cut(content).tolist():
                if blake3(content[start:stop]).digest() in lost:
                    if ranges and ranges[-1][1] == start:
                        ranges[-1][1] = stop
                    else:
                        ranges.append([start, stop])
                start = stop
            found |= {(f"data:v{number}", path.decode(), a, b) for a, b in ranges}
    return found


@QUIET
@given(seed=seeds, first=trees, second=trees)
def test_what_is_lost_is_told_to_the_byte_and_nothing_else_is(tmp_path, seed, first, second):
    """By the repair, and by a get with holes, which writes zeros there and all the rest."""
    chance = random.Random(seed)
    folder = tmp_path / f"{next(fresh)}"
    versions = [first, second] if first != second else [first]
    backend = make_store(folder, versions)
    chunks = chunks_of(backend)
    hit = chance.sample(chunks, min(len(chunks), chance.randint(0, 3)))
    for key, start, length, _ in hit:
        content = bytearray(backend.get(key))
        content[start + chance.randrange(length)] ^= chance.randint(1, 255)
        backend.put(key, [bytes(content)])
    store = cas.Store.on(backend, options=OPTIONS)
    store.verify(None, DATA)

    outcome = store.repair(None, cas.RepairOptions(apply=True))

    lost = {(one.version, one.path, one.start, one.stop) for one in outcome.lost}
    assert lost == expected(backend, versions, {chunk_id for _, _, _, chunk_id in hit})
    for number, tree in enumerate(versions):
        target = folder / f"got{number}"
        got = cas.Store.on(backend, options=OPTIONS).get(
            f"data:v{number}", target, cas.GetOptions(allow_holes=True)
        )
        mine = {one for one in lost if one[0] == f"data:v{number}"}
        assert {(one.version, one.path, one.start, one.stop) for one in got.holes} == mine
        zeroed = {path: bytearray(content) for path, content in tree.items()}
        for _, path, start, stop in mine:
            zeroed[path.encode()][start:stop] = bytes(stop - start)
        assert read_tree(target) == {path: bytes(content) for path, content in zeroed.items()}


@pytest.mark.parametrize("everything", [False, True], ids=["pages", "pages and data"])
@QUIET
@given(seed=seeds, first=trees, second=trees)
def test_a_folder_with_the_files_brings_back_pages_roots_and_data(
    tmp_path, everything, seed, first, second
):
    """Whatever happened to any of the objects that hold them."""
    chance = random.Random(seed)
    folder = tmp_path / f"{next(fresh)}"
    versions = [first, second] if first != second else [first]
    backend = make_store(folder, versions)
    prefixes = ("meta", "blobs") if everything else ("meta",)
    stored = sorted(one.key for prefix in prefixes for one in backend.list_objects(prefix))
    for key in chance.sample(stored, chance.randint(1, len(stored))):
        content = bytearray(backend.get(key))
        how = chance.choice(["flip", "cut", "delete"])
        at = chance.randrange(len(content))
        if how == "flip":
            content[at] ^= 1
        backend.delete(key)
        if how != "delete":
            backend.put(key, [bytes(content[:at] if how == "cut" else content)])
    store = cas.Store.on(backend, options=OPTIONS)
    store.verify(None, DATA)
    paths = tuple(str(folder / f"v{number}") for number in range(len(versions)))

    outcome = store.repair(None, cas.RepairOptions(apply=True, paths=paths))

    assert outcome.is_whole, outcome
    for number, tree in enumerate(versions):
        version = cas.Store.on(backend, options=OPTIONS).version(f"data:v{number}")
        assert {path.encode(): version.read(path) for path in version} == tree
