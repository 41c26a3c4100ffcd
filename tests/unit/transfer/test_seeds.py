from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from blake3 import blake3
from hypothesis import given, settings
from hypothesis import strategies as st

from cas.chunking.cutter import Cutter
from cas.chunking.profile import ChunkProfile
from cas.format.blob import BlobTable
from cas.model.ids import SessionId
from cas.testing.corpora import random_content
from cas.transfer.cutting import Items, cut_content
from cas.transfer.plan import Placement
from cas.transfer.seeds import Seed, index_seeds
from cas.transfer.stamp import FileStamp

CUTTER = Cutter(ChunkProfile(16 << 10))


def seed_of(path):
    stamp = FileStamp.of(path.lstat())
    return Seed(lambda: os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), stamp)


def index(*paths, **changes):
    given = {"jobs": 2, "memory_bytes": 64 << 20, "advance": lambda _: None} | changes
    return index_seeds(CUTTER, [seed_of(path) for path in paths], **given)


def items_of(content):
    items = Items()
    cut_content(CUTTER, content, items)
    return items


def table_of(chunks):
    """A table of raw chunks, one a frame; only what `split` looks at is right."""
    count = len(chunks)
    lengths = np.array([len(chunk) for chunk in chunks], np.uint32)
    ids = b"".join(blake3(chunk).digest() for chunk in chunks)
    zeros = np.zeros(count, np.uint32)
    return BlobTable(
        nonce=bytes(16),
        session=SessionId(bytes(16)),
        frame_offsets=zeros,
        frame_stored=lengths,
        frame_raw=lengths,
        frame_codecs=zeros.astype(np.uint8),
        frame_params=zeros.astype(np.uint16),
        frame_chunks=np.ones(count, np.uint16),
        chunk_ids=np.frombuffer(ids, np.uint8).reshape(-1, 32),
        chunk_lengths=lengths,
    )


@pytest.mark.parametrize("size", [1000, 300_000, 9_000_000, 17_000_000])
def test_a_seed_is_cut_as_a_put_cuts_it(tmp_path, size):
    """Every chunk of a small or big file is found, where it lies."""
    content = random_content(size, size)
    (tmp_path / "file").write_bytes(content)
    items = items_of(content)

    found = index(tmp_path / "file")

    assert len(found) == len(set(items.ids))
    for number, chunk_id in enumerate(items.ids):
        (row,) = found.find(np.frombuffer(chunk_id, np.uint8).reshape(1, 32))
        offset = sum(items.lengths[:number])
        assert (found._files[row], found._offsets[row]) == (0, offset)


def test_holes_are_neither_read_nor_indexed(tmp_path):
    """What was never written has no chunks, and those after it are found all the same."""
    content = random_content(1, 3 << 20)
    with (tmp_path / "file").open("wb") as file:
        file.seek(20 << 20)
        file.write(content)
    items = items_of(content)

    found = index(tmp_path / "file")

    ids = np.frombuffer(b"".join(items.ids), np.uint8).reshape(-1, 32)
    assert (found.find(ids) >= 0).all()
    assert len(found) == len(set(items.ids))


def test_chunks_that_no_seed_has_are_not_found(tmp_path):
    """Near ids are not equal ids."""
    (tmp_path / "file").write_bytes(random_content(1, 100_000))
    found = index(tmp_path / "file")
    near = found._ids.copy()
    near[:, 31] ^= 1

    assert (found.find(found._ids) == np.arange(len(found))).all()
    assert (found.find(near) == -1).all()
    assert (index().find(near) == -1).all()


def test_what_cannot_be_read_is_left_out(tmp_path):
    """A link, a pipe, a file that is gone and one that changed are no seeds, and no failure."""
    content = random_content(1, 100_000)
    names = ["link", "pipe", "gone", "changed"]
    for name in names:
        (tmp_path / name).write_bytes(content)
    seeds = [seed_of(tmp_path / name) for name in names]
    (tmp_path / "good").write_bytes(random_content(2, 100_000))
    for name in names[:3]:
        (tmp_path / name).unlink()
    (tmp_path / "link").symlink_to("good")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "changed").write_bytes(b"other")

    found = index_seeds(
        CUTTER,
        [*seeds, seed_of(tmp_path / "good")],
        jobs=2,
        memory_bytes=1 << 20,
        advance=lambda _: None,
    )

    assert set(found._files.tolist()) == {4}


def test_an_index_stops_growing(tmp_path, monkeypatch):
    """Beyond the limit of chunks seeds are left out, the last ones first."""
    monkeypatch.setattr("cas.transfer.seeds.MAXIMUM_CHUNKS", 50)
    paths = [tmp_path / f"{n:02d}" for n in range(30)]
    for number, path in enumerate(paths):
        path.write_bytes(random_content(number, 9 << 20 if number < 2 else 40_000))

    found = index(*paths, jobs=1)

    assert 50 <= len(found) < 2000
    assert 0 in found._files


def test_cutting_seeds_can_be_stopped(tmp_path):
    """Whoever is told how far it is may raise, and every file is closed then."""
    (tmp_path / "file").write_bytes(random_content(1, 20 << 20))
    open_before = len(list(Path("/dev/fd").iterdir()))

    def advance(_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        index(tmp_path / "file", advance=advance)

    assert len(list(Path("/dev/fd").iterdir())) == open_before


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(0, 11), min_size=1, max_size=20), st.integers(0, 2**12 - 1), st.data())
def test_what_is_wanted_is_copied_or_fetched_and_nothing_twice(tmp_path_factory, order, have, data):
    """For any blob and any seed: the parts are the whole, and copies come from the right place."""
    folder = tmp_path_factory.mktemp("seed")
    chunks = [random_content(number, 30_000 + number) for number in range(12)]
    # Each chunk a file, so that it is cut nowhere or as one whole: what is cut otherwise is no hit.
    held = [number for number in range(12) if have >> number & 1]
    for number in held:
        (folder / str(number)).write_bytes(chunks[number])
    found = index(*(folder / str(number) for number in held))
    table = table_of([chunks[number] for number in order])
    first = data.draw(st.integers(0, len(order) - 1))
    stop = data.draw(st.integers(first + 1, len(order)))
    length = sum(len(chunks[number]) for number in order[first:stop])

    copies, rest = found.split(table, [Placement(3, 1000, first, stop, length)])

    parts = sorted([*rest, *(copy.placement for copy in copies)], key=lambda part: part.first)
    assert [row for part in parts for row in range(part.first, part.stop)] == list(
        range(first, stop)
    )
    assert sum(part.length for part in parts) == length
    for part in parts:
        assert part.offset == 1000 + sum(len(chunks[n]) for n in order[first : part.first])
    for copy in copies:
        content = (folder / str(held[copy.seed])).read_bytes()[copy.start :]
        wanted = b"".join(chunks[n] for n in order[copy.placement.first : copy.placement.stop])
        assert content[: copy.placement.length] == wanted


def test_chunks_that_lie_together_are_copied_together(tmp_path):
    """One copy for a run in one seed, so that the kernel moves it at once."""
    content = random_content(1, 2 << 20)
    (tmp_path / "file").write_bytes(b"x" * 50_000 + content)
    items = items_of(b"x" * 50_000 + content)
    starts = np.cumsum([0, *items.lengths])
    whole = b"x" * 50_000 + content
    chunks = [whole[starts[n] : starts[n + 1]] for n in range(2, len(items.ids))]

    found = index(tmp_path / "file")
    copies, rest = found.split(
        table_of(chunks), [Placement(0, 0, 0, len(chunks), sum(map(len, chunks)))]
    )

    assert rest == []
    assert [(copy.start, copy.placement.length) for copy in copies] == [
        (starts[2], len(whole) - starts[2])
    ]
