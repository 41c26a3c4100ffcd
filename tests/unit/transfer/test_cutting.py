"""Reading and cutting: the same chunks however a file is fed, and the bytes that are there."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO

import pytest
from blake3 import blake3
from hypothesis import given, settings
from hypothesis import strategies as st

from cas.chunking.cutter import Cutter
from cas.chunking.profile import ChunkProfile
from cas.chunking.zeros import ZERO_BLOCK_BYTES
from cas.format.manifest import INLINE_LIMIT
from cas.testing.corpora import periodic_content, random_content
from cas.testing.strategies import contents
from cas.transfer.cutting import (
    Items,
    SegmentJoiner,
    SmallFile,
    cut_content,
    cut_segment,
    cut_segment_content,
    cut_small_files,
    hole_segments,
    open_source,
    read_fully,
    read_stream,
)
from cas.transfer.stamp import FileStamp

CUTTER = Cutter(ChunkProfile(4096))


def described(items):
    """Return (id, length) of each item; runs of zeros that touch as one."""
    found = []
    for chunk_id, length, span in zip(items.ids, items.lengths, items.spans, strict=True):
        if span is None and found and found[-1][0] == "zeros":
            found[-1] = ("zeros", found[-1][1] + length)
        else:
            found.append(("zeros" if span is None else chunk_id, length))
    return found


def bytes_of(items):
    return b"".join(
        bytes(length) if span is None else span[0][span[1] : span[2]]
        for length, span in zip(items.lengths, items.spans, strict=True)
    )


def cut_whole(content):
    items = Items()
    cut_content(CUTTER, content, items)
    return items


def cut_in_segments(content, lengths):
    """Cut a file in segments of these lengths, the last as long as it takes."""
    joiner, items, start = SegmentJoiner(CUTTER), Items(), 0
    for length in [*lengths, len(content)]:
        piece = content[start : start + length]
        start += len(piece)
        if piece:
            items.extend(joiner.add(cut_segment_content(CUTTER, piece)))
    items.extend(joiner.finish())
    return items


SEEDS, LONG = st.integers(0, 5), st.integers(200_000, 600_000)
PIECES = st.one_of(
    contents(),
    st.builds(random_content, SEEDS, LONG),
    st.builds(periodic_content, st.integers(1, 5000), LONG),
    st.integers(1, 3).map(lambda blocks: bytes(blocks * ZERO_BLOCK_BYTES)),
)


@settings(deadline=None, max_examples=50)
@given(
    pieces=st.lists(PIECES, min_size=1, max_size=4),
    blocks=st.lists(st.integers(1, 3), max_size=6),
)
def test_segments_give_the_chunks_of_the_whole(pieces, blocks):
    """Wherever segments end, zeros and repeated blocks included: same chunks, same bytes."""
    content = b"".join(pieces)
    whole = cut_whole(content)

    joined = cut_in_segments(content, [number * ZERO_BLOCK_BYTES for number in blocks])

    assert described(joined) == described(whole)
    assert bytes_of(joined) == content


def small_file(path, *, row=0, content=b""):
    path.write_bytes(content)
    return SmallFile(row, os.fsencode(path), FileStamp.of(path.stat()))


@pytest.mark.parametrize("size", [0, 1, INLINE_LIMIT, INLINE_LIMIT + 1, 4095, 4096, 300_000])
def test_a_small_file_has_the_hash_and_chunks_of_its_content(tmp_path, size):
    """Inlined up to the limit, else in chunks; the hash is what b3sum prints."""
    content = random_content(size, size)
    file = small_file(tmp_path / "file", content=content)

    batch = cut_small_files(CUTTER, [file])

    is_inline = 0 < size <= INLINE_LIMIT
    assert (batch.rows, batch.sizes, batch.problems, batch.changed) == ([0], [size], [], [])
    assert batch.hashes == [blake3(content).digest()]
    assert batch.inlined == ([(0, content)] if is_inline else [])
    assert bytes_of(batch.items) == (b"" if size <= INLINE_LIMIT else content)
    assert described(batch.items) == ([] if size <= INLINE_LIMIT else described(cut_whole(content)))


def test_files_of_a_batch_follow_each_other(tmp_path):
    """Items in file order, with the number of each; what cannot be read leaves no gap."""
    sizes = {3: 5000, 4: 0, 7: 20_000, 9: 100}
    files = [
        small_file(tmp_path / str(row), row=row, content=random_content(row, size))
        for row, size in sizes.items()
    ]
    gone = small_file(tmp_path / "gone", row=8)
    (tmp_path / "gone").unlink()

    batch = cut_small_files(CUTTER, [*files[:3], gone, files[3]])

    assert batch.rows == [3, 4, 7, 9]
    assert batch.sizes == [5000, 0, 20_000, 100]
    assert sum(batch.item_counts) == len(batch.items.ids)
    assert bytes_of(batch.items) == random_content(3, 5000) + random_content(7, 20_000)
    assert batch.problems == [(8, "No such file or directory")]


@pytest.mark.parametrize("size", [0, 100, 900, 50_000])
def test_a_file_that_changed_since_the_scan_is_read_as_it_is_now(tmp_path, size):
    """Grown or shrunk: all of its bytes, and the stat that belongs to them."""
    path = tmp_path / "file"
    file = small_file(path, content=random_content(1, 500))
    path.write_bytes(random_content(2, size))

    batch = cut_small_files(CUTTER, [file])

    assert batch.hashes == [blake3(random_content(2, size)).digest()]
    assert batch.sizes == [size]
    assert batch.changed == [(0, FileStamp.of(path.stat()), False)]


def test_a_file_that_became_big_is_left_to_be_read_in_segments(tmp_path):
    """It may not even fit into memory."""
    path = tmp_path / "file"
    file = small_file(path, row=5, content=b"x" * 500)
    with path.open("wb") as stream:
        stream.truncate(1 << 40)

    batch = cut_small_files(CUTTER, [file])

    assert (batch.grown, batch.rows, batch.problems) == ([5], [], [])


class Meddler:
    """Does something to a file each time some of it was read, for the first few times."""

    def __init__(self, monkeypatch, act, times):
        self._read, self._act, self._left = os.pread, act, times
        monkeypatch.setattr(os, "pread", self)

    def __call__(self, descriptor, length, offset):
        content = self._read(descriptor, length, offset)
        if self._left:
            self._left -= 1
            self._act()
        return content


@pytest.mark.parametrize("change", [b"more", None])
def test_a_file_that_changes_while_it_is_read_is_read_again(tmp_path, monkeypatch, change):
    """What is stored is one state of the file: the later one."""
    path = tmp_path / "file"
    file = small_file(path, content=random_content(1, 9000))

    def act():
        with path.open("r+b") as stream:
            if change is None:
                stream.truncate(700)
            else:
                stream.seek(0, os.SEEK_END)
                stream.write(change)

    Meddler(monkeypatch, act, 1)
    batch = cut_small_files(CUTTER, [file])

    assert batch.hashes == [blake3(path.read_bytes()).digest()]
    assert batch.sizes == [path.stat().st_size]
    assert len(batch.changed) == 1


def test_a_file_that_never_rests_is_a_problem(tmp_path, monkeypatch):
    """After some attempts it is told, and no half of it is stored."""
    path = tmp_path / "file"
    file = small_file(path, content=b"x" * 500)

    def grow():
        with path.open("ab") as stream:
            stream.write(b"x")

    Meddler(monkeypatch, grow, 99)
    batch = cut_small_files(CUTTER, [file])

    assert (batch.rows, batch.items.ids) == ([], [])
    assert batch.problems == [(0, "kept changing while it was read")]


def test_a_short_read_is_no_short_file(tmp_path, monkeypatch):
    """A system that gives less than there is does not make a file smaller."""
    content = random_content(1, 9000)
    file = small_file(tmp_path / "file", content=content)
    read, calls = os.pread, []

    def pread(descriptor, length, offset):
        calls.append(length)
        return read(descriptor, 10 if len(calls) == 1 else length, offset)

    monkeypatch.setattr(os, "pread", pread)
    batch = cut_small_files(CUTTER, [file])

    assert batch.hashes == [blake3(content).digest()]


@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
def test_what_took_the_place_of_a_file_is_not_read(tmp_path, kind):
    """A link is not followed, a pipe is not waited for: both are problems."""
    path = tmp_path / "file"
    file = small_file(path, content=b"x" * 500)
    (tmp_path / "secret").write_bytes(b"secret" * 100)
    path.unlink()
    if kind == "link":
        path.symlink_to("secret")
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.mkdir()

    batch = cut_small_files(CUTTER, [file])

    assert (batch.rows, batch.items.ids) == ([], [])
    assert len(batch.problems) == 1


def test_a_segment_is_read_from_its_place(tmp_path):
    """Up to the end of the file and no further."""
    content = random_content(1, 2 * ZERO_BLOCK_BYTES + 1000)
    (tmp_path / "file").write_bytes(content)
    descriptor = open_source(os.fsencode(tmp_path / "file"))

    segments = [
        cut_segment(CUTTER, descriptor, number * ZERO_BLOCK_BYTES, ZERO_BLOCK_BYTES)
        for number in range(4)
    ]

    os.close(descriptor)
    assert [one.content or b"" for one in segments] == [
        content[n * ZERO_BLOCK_BYTES : (n + 1) * ZERO_BLOCK_BYTES] for n in range(4)
    ]


def test_threads_that_share_a_file_read_right_without_pread(tmp_path, monkeypatch):
    """Where the system has no positioned read, seek and read are one step."""
    content = random_content(1, 400_000)
    (tmp_path / "file").write_bytes(content)
    monkeypatch.delattr(os, "pread")
    descriptor = open_source(os.fsencode(tmp_path / "file"))
    starts = list(range(0, 400_000, 1000)) * 3

    with ThreadPoolExecutor(8) as pool:
        pieces = list(pool.map(lambda start: read_fully(descriptor, start, 1000), starts))

    os.close(descriptor)
    assert pieces == [content[start : start + 1000] for start in starts]


def test_a_stream_is_read_in_full_pieces(monkeypatch):
    """A pipe gives what it has; a piece is short only at the end."""

    class Drops(BytesIO):
        def read(self, size=-1):
            return super().read(min(size, 7))

    stream = Drops(b"0123456789" * 3)

    assert [read_stream(stream, 20), read_stream(stream, 20), read_stream(stream, 20)] == [
        b"01234567890123456789",
        b"0123456789",
        b"",
    ]


def make_sparse(path, size, islands):
    with path.open("wb") as file:
        file.truncate(size)
        for offset, content in islands:
            file.seek(offset)
            file.write(content)
    return open_source(os.fsencode(path))


def test_holes_and_data_cover_a_file(tmp_path):
    """Without gaps, in order; holes begin and end at whole blocks, so cuts do not depend on them."""
    size = 40 * ZERO_BLOCK_BYTES + 100
    islands = [(5 * ZERO_BLOCK_BYTES + 10_000, b"x" * 50_000), (size - 50, b"end")]
    descriptor = make_sparse(tmp_path / "file", size, islands)

    segments = hole_segments(descriptor, size)

    os.close(descriptor)
    stops = [offset + length for offset, length, _ in segments]
    assert [offset for offset, _, _ in segments] == [0, *stops[:-1]]
    assert stops[-1] == size
    assert all(
        offset % ZERO_BLOCK_BYTES == 0 and (stop % ZERO_BLOCK_BYTES == 0 or stop == size)
        for (offset, _, is_hole), stop in zip(segments, stops, strict=True)
        if is_hole
    )
    for start, content in islands:
        assert not any(
            is_hole and offset < start + len(content) and start < offset + length
            for offset, length, is_hole in segments
        )


def test_a_system_that_knows_no_holes_reads_zeros(tmp_path, monkeypatch):
    """The chunks are the same; only time is lost."""
    size = 3 * ZERO_BLOCK_BYTES
    descriptor = make_sparse(tmp_path / "file", size, [])
    monkeypatch.delattr(os, "SEEK_DATA", raising=False)

    segments = hole_segments(descriptor, size)

    content = cut_segment(CUTTER, descriptor, 0, size)
    os.close(descriptor)
    assert segments == [(0, size, False)]
    assert content.content is None
