"""Decoders raise what readers expect and nothing else, whatever the bytes.

The same targets run for minutes under `pytest -m fuzz`, and under atheris.
"""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

FUZZ = Path(__file__).parents[1] / "fuzz"
TARGETS = runpy.run_path(str(FUZZ / "decoders.py"))
DECODERS, SEEDS, survive = TARGETS["DECODERS"], TARGETS["SEEDS"], TARGETS["survive"]
short_run = settings(max_examples=25, deadline=None)


@st.composite
def damaged(draw, seeds):
    """A seed that was cut, or had a byte changed, or eight bytes replaced."""
    content = draw(st.sampled_from(seeds))
    at = draw(st.integers(0, max(len(content) - 1, 0)))
    patch = draw(st.binary(max_size=8))
    kept = draw(st.sampled_from([b"", content[at + len(patch) :], content[at:]]))
    return content[:at] + patch + kept


@pytest.mark.parametrize("name", sorted(DECODERS))
def test_decoder_refuses_damage_as_readers_expect(name):
    """Damaged objects raise CorruptionError or UnsupportedError, or are read."""

    @short_run
    @given(damaged(SEEDS[name]))
    def run(content):
        survive(name, content)

    run()


@pytest.mark.parametrize("name", sorted(DECODERS))
def test_decoder_refuses_noise_as_readers_expect(name):
    """Random bytes raise CorruptionError or UnsupportedError, or are read."""

    @short_run
    @given(st.binary(max_size=200))
    def run(content):
        survive(name, content)

    run()


@pytest.mark.parametrize("name", sorted(DECODERS))
def test_seeds_of_fuzzing_are_whole_objects(name):
    """Fuzzing begins behind the checks, not in front of them."""
    assert all(survive(name, seed) for seed in SEEDS[name])
