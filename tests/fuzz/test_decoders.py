"""Hostile bytes for every decoder, for minutes: `pytest -m fuzz tests/fuzz`."""

from __future__ import annotations

import runpy
from pathlib import Path

import msgpack
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mutated_bytes import mutated

TARGETS = runpy.run_path(str(Path(__file__).with_name("decoders.py")))
DECODERS, SEEDS, survive = TARGETS["DECODERS"], TARGETS["SEEDS"], TARGETS["survive"]
MAPS = sorted({"page", "root", "map"} | {f"{name}-sealed" for name in TARGETS["SEALED_MAGICS"]})
EXTREMES = [b"\0\0\0\0", b"\xff\xff\xff\xff", b"\0\0\0\x80", b"\x01\0\0\0", b"\xff\xff\xff\x7f"]

pytestmark = [pytest.mark.slow, pytest.mark.fuzz]
long_run = settings(
    max_examples=3000, deadline=None, suppress_health_check=list(HealthCheck), database=None
)


@st.composite
def refielded(draw, seeds):
    """A map with some of its fields replaced, dropped or added."""
    fields = msgpack.unpackb(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(1, 3))):
        name = draw(st.sampled_from([*fields, "critical", "later"]))
        old = fields.get(name)
        if isinstance(old, bytes) and draw(st.booleans()):
            fields[name] = draw(mutated([old], EXTREMES))
        else:
            fields[name] = draw(
                st.one_of(
                    st.none(),
                    st.booleans(),
                    st.integers(-(2**63), 2**64 - 1),
                    st.floats(),
                    st.text(max_size=8),
                    st.binary(max_size=64),
                    st.lists(st.text(max_size=4), max_size=3),
                    st.dictionaries(st.text(max_size=4), st.integers(0, 9), max_size=3),
                )
            )
    return msgpack.packb(fields)


@pytest.mark.parametrize("name", sorted(DECODERS))
def test_decoder_survives_mutations(name):
    """A damaged object is refused in the two ways that readers expect, or read."""

    @long_run
    @given(mutated(SEEDS[name], EXTREMES))
    def run(content):
        survive(name, content)

    run()


@pytest.mark.parametrize("name", MAPS)
def test_decoder_survives_wrong_fields(name):
    """A well-formed object that says nonsense is refused in the two ways that readers expect."""

    @long_run
    @given(refielded(SEEDS[name]))
    def run(content):
        survive(name, content)

    run()
