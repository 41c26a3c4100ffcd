"""Hostile files of tensors, for minutes: `pytest -m fuzz tests/fuzz`."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

PROPERTY = Path(__file__).parents[1] / "property" / "test_tensor_headers.py"
TARGETS = runpy.run_path(str(PROPERTY))
SEEDS, survive = TARGETS["SEEDS"], TARGETS["survive"]
mutated_or_cut = TARGETS["mutated_or_cut"]

pytestmark = [pytest.mark.slow, pytest.mark.fuzz]
long_run = settings(
    max_examples=5000, deadline=None, suppress_health_check=list(HealthCheck), database=None
)


@pytest.mark.parametrize("name", sorted(SEEDS))
def test_damaged_files_are_read_or_refused(name):
    """By an error that names the file, and with no more memory than the file may ask for."""

    @long_run
    @given(mutated_or_cut(SEEDS[name]))
    def run(content):
        assert survive(content)

    run()
