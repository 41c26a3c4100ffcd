"""Long runs of everything that can be done to a store leave what a plain dict says."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from stateful.machine import StoreMachine

QUICK = settings(
    max_examples=12,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


def test_some_runs_of_everything_leave_what_a_dict_says():
    """Puts, moves, collections, repacks, copies and crashes between them, on two stores."""
    run_state_machine_as_test(StoreMachine, settings=QUICK)


@pytest.mark.slow
@pytest.mark.timeout(0)
def test_many_long_runs_of_everything_leave_what_a_dict_says():
    """The same for a quarter of an hour, or for as many examples as are asked for."""
    count = int(os.environ.get("CAS_STATEFUL_EXAMPLES", "300"))
    run_state_machine_as_test(
        StoreMachine, settings=settings(QUICK, max_examples=count, stateful_step_count=50)
    )
