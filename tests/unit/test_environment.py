from __future__ import annotations

import pytest

from cas import environment
from cas.model.units import MIB


@pytest.mark.parametrize(
    ("memory", "here", "over_a_network"),
    [(None, 192, 144), (16384, 192, 144), (640, 160, 144), (400, 100, 100), (64, 64, 64)],
)
def test_the_memory_budget_follows_the_machine_and_where_the_store_is(
    monkeypatch, memory, here, over_a_network
):
    """A quarter of what there is, in bounds; clients of a network hold more beside it."""
    limit = None if memory is None else memory * MIB
    monkeypatch.setattr(environment, "_memory_limit_bytes", lambda: limit)

    assert environment.default_memory_bytes() == here * MIB
    assert environment.default_memory_bytes(is_local=False) == over_a_network * MIB
