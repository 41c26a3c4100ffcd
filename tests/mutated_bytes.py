"""Whole objects and files with a few bytes changed, for whatever must read or refuse any bytes."""

from __future__ import annotations

from hypothesis import strategies as st


@st.composite
def mutated(draw, seeds, extremes):
    """A seed with a few bytes changed, dropped, repeated or put in."""
    content = bytearray(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(len(content) - 1, 0)))
        length = draw(st.integers(0, 8))
        patch = draw(
            st.one_of(
                st.binary(max_size=8),
                st.sampled_from(extremes),
                st.just(bytes(content[at : at + 40]) * 2),
            )
        )
        content[at : at + length] = patch
    return bytes(content)
