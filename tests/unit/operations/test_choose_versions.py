"""Which versions of a history another history has already."""

from __future__ import annotations

import pytest

from cas.model.ids import VersionDigest
from cas.operations.choose_versions import align


def digests(letters: str) -> list[VersionDigest]:
    """One digest for each letter, the same for the same."""
    return [VersionDigest(letter.encode() * 32) for letter in letters]


@pytest.mark.parametrize(
    ("source", "target", "expected"),
    [
        ("", "AB", []),
        ("AB", "", [None, None]),
        ("AB", "AB", [0, 1]),
        ("ABC", "AB", [0, 1, None]),
        ("AB", "XAYB", [1, 3]),
        ("ABC", "AC", [0, None, 1]),
        # Going back to A is a version of its own.
        ("ABA", "AB", [0, 1, None]),
        ("ABA", "ABA", [0, 1, 2]),
        # A version that says something else of the same data is not copied.
        ("AAB", "AB", [0, 0, 1]),
        ("AAB", "AAB", [0, 1, 2]),
        ("AABA", "ABA", [0, 0, 1, 2]),
        # The order counts: B comes after A here, and not there.
        ("AB", "BA", [1, None]),
    ],
)
def test_versions_are_found_in_the_order_of_both_histories(source, target, expected):
    """Each version of one history at most once in the other, and none before its predecessor."""
    assert align(digests(source), list(enumerate(digests(target)))) == expected


def test_the_numbers_are_those_of_the_target():
    """Versions that are hidden there leave gaps in its numbers."""
    target = list(zip((3, 7), digests("AB"), strict=True))

    assert align(digests("AB"), target) == [3, 7]
