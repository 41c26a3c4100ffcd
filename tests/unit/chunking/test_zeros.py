from __future__ import annotations

import pytest

from cas.chunking.zeros import SHORTEST_ZERO_BYTES, ZERO_BLOCK_BYTES, Run, split_zeros

BLOCK = 8192


def test_no_bytes_have_no_runs():
    """An empty buffer has nothing to cover."""
    assert split_zeros(b"") == []


def test_bytes_without_zero_blocks_are_one_run():
    """The usual case is one run of data."""
    assert split_zeros(b"x" * 20_000, BLOCK) == [Run(0, 20_000, zero=False)]


def test_zero_blocks_between_data_are_one_run():
    """Neighbouring zero blocks join."""
    content = b"x" * BLOCK + bytes(2 * BLOCK) + b"y" * 100

    assert split_zeros(content, BLOCK) == [
        Run(0, BLOCK, zero=False),
        Run(BLOCK, 3 * BLOCK, zero=True),
        Run(3 * BLOCK, 3 * BLOCK + 100, zero=False),
    ]


def test_zeros_across_no_whole_block_are_data():
    """Only aligned blocks count, so that segments of a file agree without knowing each other."""
    content = b"x" + bytes(2 * BLOCK - 2) + b"y"

    assert split_zeros(content, BLOCK) == [Run(0, 2 * BLOCK, zero=False)]


@pytest.mark.parametrize("where", [0, 1, 4095, 4096, 5000, BLOCK // 3, BLOCK - 1])
def test_one_byte_anywhere_makes_a_block_data(where):
    """No byte is overlooked by the quick looks at a block."""
    block = bytearray(BLOCK)
    block[where] = 1

    assert split_zeros(bytes(BLOCK) + block, BLOCK) == [
        Run(0, BLOCK, zero=True),
        Run(BLOCK, 2 * BLOCK, zero=False),
    ]


@pytest.mark.parametrize("rest", [1, SHORTEST_ZERO_BYTES - 1])
def test_short_rest_of_zeros_is_data(rest):
    """Under 4 KiB a chunk is cheaper than a run of its own."""
    assert split_zeros(bytes(BLOCK + rest), BLOCK) == [
        Run(0, BLOCK, zero=True),
        Run(BLOCK, BLOCK + rest, zero=False),
    ]


def test_long_rest_of_zeros_joins_the_run():
    """A last block that is cut short counts as a zero block from 4 KiB on."""
    length = BLOCK + SHORTEST_ZERO_BYTES

    assert split_zeros(bytes(length), BLOCK) == [Run(0, length, zero=True)]


def test_rest_of_zeros_after_data_is_a_run():
    """The last short block stands for itself."""
    length = BLOCK + SHORTEST_ZERO_BYTES

    assert split_zeros(b"x" * BLOCK + bytes(SHORTEST_ZERO_BYTES), BLOCK) == [
        Run(0, BLOCK, zero=False),
        Run(BLOCK, length, zero=True),
    ]


def test_buffers_that_begin_at_odd_addresses_are_split_alike():
    """A view into the middle of a buffer is no slower path and no other result."""
    content = b"x" + bytes(ZERO_BLOCK_BYTES) + b"y"

    assert split_zeros(memoryview(content)[1:]) == [
        Run(0, ZERO_BLOCK_BYTES, zero=True),
        Run(ZERO_BLOCK_BYTES, ZERO_BLOCK_BYTES + 1, zero=False),
    ]
