from __future__ import annotations

import pytest

from cas.chunking.profile import ChunkProfile
from cas.errors import InvalidInputError


def test_bounds_follow_from_the_average():
    """A chunk has a quarter of the average to four times as many bytes."""
    profile = ChunkProfile(64 << 10)

    assert (profile.minimum, profile.average, profile.maximum) == (16 << 10, 64 << 10, 256 << 10)


@pytest.mark.parametrize("average", [4 << 10, 16 << 10, 1 << 20])
def test_powers_of_two_within_the_limits_are_allowed(average):
    """Both limits are averages that a store may have."""
    assert ChunkProfile(average).average == average


@pytest.mark.parametrize("average", [-4096, 0, 1, 2048, 4097, 65535, 3 << 15, 2 << 20])
def test_other_averages_are_refused(average):
    """An average that the published masks do not serve is an input error."""
    with pytest.raises(InvalidInputError, match=str(average)):
        ChunkProfile(average)
