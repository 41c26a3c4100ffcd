"""Which bytes of tensors their chunks vouch for, and what is left to be read."""

from __future__ import annotations

import numpy as np
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st
from written_tensors import MemoryFiles

from cas.tensors.chunk_spans import hashed_spans, other_spans, shared_spans
from cas.tensors.element_types import ELEMENT_TYPES
from cas.tensors.stored_tensor import StoredTensor
from cas.transfer.file_chunks import FileChunks

# A file is pieces of these; one is a hole.
PIECES = {"a": b"aa", "b": b"bbb", "c": b"c", "d": b"dddd", "0": bytes(3)}


def content_of(letters):
    return b"".join(PIECES[letter] for letter in letters)


def chunks_of(letters):
    lengths = [len(PIECES[letter]) for letter in letters]
    stops = np.cumsum([0, *lengths]).astype(np.int64)
    ids = [bytes(32) if one == "0" else blake3(PIECES[one]).digest() for one in letters]
    rows = np.frombuffer(b"".join(ids), np.uint8).reshape(-1, 32)
    return FileChunks(stops[:-1], stops[1:], rows)


def tensor(start, stop):
    element = ELEMENT_TYPES["U8"]
    return StoredTensor(
        path="file", name="t", element=element, shape=(stop - start,), start=start, stop=stop
    )


@st.composite
def two_tensors(draw):
    """Two files of the same pieces, and a tensor of one size in each."""
    files = [draw(st.text("abcd0", min_size=1, max_size=12)) for _ in range(2)]
    if draw(st.booleans()):
        files[1] = draw(st.text("abcd0", max_size=2)) + files[0]
    sizes = [len(content_of(letters)) for letters in files]
    length = draw(st.integers(0, min(sizes)))
    starts = [draw(st.integers(0, size - length)) for size in sizes]
    return files, [tensor(start, start + length) for start in starts]


@given(two_tensors())
def test_what_chunks_vouch_for_is_equal(drawn):
    """Whatever the files, the tensors' places in them, and where holes are."""
    files, tensors = drawn
    contents = [
        content_of(letters)[one.start : one.stop] for letters, one in zip(*drawn, strict=True)
    ]
    near = MemoryFiles(file=content_of(files[1]))

    shared = shared_spans(*tensors, *map(chunks_of, files))
    hashed = hashed_spans(*tensors, chunks_of(files[0]), near)

    for start, stop in [*shared, *hashed]:
        assert contents[0][start:stop] == contents[1][start:stop]


@given(st.text("abcd0", min_size=1, max_size=12), st.text("abcd0", max_size=3), st.data())
def test_a_tensor_that_moved_is_not_read_but_for_its_ends(letters, before, data):
    """Its chunks are the same ones; those at the ends hold bytes of neighbours, too."""
    size, shift = len(content_of(letters)), len(content_of(before))
    start = data.draw(st.integers(0, size))
    stop = data.draw(st.integers(start, size))

    spans = shared_spans(
        tensor(start, stop),
        tensor(shift + start, shift + stop),
        chunks_of(letters),
        chunks_of(before + letters),
    )

    assert other_spans(spans, stop - start, 1) == []


@given(
    st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=5),
    st.integers(1, 6),
    st.integers(0, 6),
)
def test_what_is_left_is_whole_elements(drawn, unit, count):
    """All bytes that no span has, each once, in order, widened to elements."""
    length = unit * count
    at, spans = 0, []
    for skip, size in drawn:
        start = min(length, at + skip)
        at = min(length, start + size)
        spans.append((start, at))
    vouched = {byte for start, stop in spans for byte in range(start, stop)}

    left = other_spans(spans, length, unit)

    bytes_left = [byte for start, stop in left for byte in range(start, stop)]
    assert bytes_left == sorted(set(bytes_left))
    assert set(range(length)) - vouched <= set(bytes_left)
    for start, stop in left:
        assert start % unit == 0
        assert stop % unit == 0
    for byte in set(bytes_left) & vouched:
        element = range(byte - byte % unit, byte - byte % unit + unit)
        assert not vouched.issuperset(element)
