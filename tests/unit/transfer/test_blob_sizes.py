"""Blobs begin small over a network, grow with the put, and stay small where the line is slow."""

from __future__ import annotations

import pytest

from cas.transfer.blob_sizes import BlobSizes

MIB = 1 << 20
ROOMY = 1 << 30


def packed(sizes: BlobSizes, total: int) -> list[int]:
    """Fill blobs one after the other until there are so many bytes; return their sizes."""
    made = []
    while sum(made) < total:
        made.append(sizes.target_bytes)
        sizes.note_packed(made[-1])
    return made


def test_on_this_machine_every_blob_has_the_target_size():
    """Nothing is gained by less where nothing is waited for, however long a disk takes."""
    sizes = BlobSizes(ROOMY, is_local=True)
    sizes.note_sent(64 * MIB, 1000)

    assert packed(sizes, 256 * MIB) == [64 * MIB] * 4


def test_the_first_blobs_of_a_put_over_a_network_are_small():
    """Sending begins after 8 MiB, and at most a fifth is left to send when all is read."""
    sizes = BlobSizes(ROOMY, is_local=False)
    sizes.note_sent(8 * MIB, 0.1)
    made = packed(sizes, 1024 * MIB)

    assert made[:4] == [8 * MIB] * 4
    assert made[-1] == 64 * MIB
    assert made == sorted(made)
    assert all(size <= max(8 * MIB, sum(made[:at]) // 4) for at, size in enumerate(made))
    # Sixteen is what 64 MiB each would take.
    assert len(made) <= 16 + 10


def test_blobs_do_not_grow_before_one_was_sent():
    """Much is read before a slow line has taken the first of them."""
    assert set(packed(BlobSizes(ROOMY, is_local=False), 256 * MIB)) == {8 * MIB}


@pytest.mark.parametrize(
    ("mib_per_second", "expected_mib"), [(0.1, 4), (0.5, 5), (1.5, 15), (6.0, 60), (50.0, 64)]
)
def test_one_upload_takes_about_ten_seconds_at_most(mib_per_second, expected_mib):
    """At the speed that one upload gets, within 4 and 64 MiB."""
    sizes = BlobSizes(ROOMY, is_local=False)
    sizes.note_packed(1024 * MIB)
    for _ in range(8):
        sizes.note_sent(8 * MIB, 8 / mib_per_second)

    assert sizes.target_bytes == pytest.approx(expected_mib * MIB, rel=1e-6)


def test_a_line_that_gets_slower_or_faster_is_followed():
    """One odd upload counts for half, later ones for the rest."""
    sizes = BlobSizes(ROOMY, is_local=False)
    sizes.note_packed(1024 * MIB)
    sizes.note_sent(40 * MIB, 10)
    sizes.note_sent(10 * MIB, 10)
    slower = sizes.target_bytes
    for _ in range(20):
        sizes.note_sent(50 * MIB, 10)

    assert slower == 25 * MIB
    assert sizes.target_bytes == pytest.approx(50 * MIB, rel=1e-3)


def test_how_long_a_tiny_blob_takes_says_nothing_of_the_line():
    """It takes a round trip, whatever the line bears."""
    sizes = BlobSizes(ROOMY, is_local=False)
    sizes.note_packed(1024 * MIB)
    sizes.note_sent(50 * MIB, 10)
    sizes.note_sent(1000, 0.3)

    assert sizes.target_bytes == 50 * MIB


@pytest.mark.parametrize("is_local", [False, True])
def test_a_small_budget_bounds_every_blob(is_local):
    """Three blobs have to fit into the memory of a put."""
    sizes = BlobSizes(3 * MIB, is_local=is_local)

    assert sizes.target_bytes == 3 * MIB
