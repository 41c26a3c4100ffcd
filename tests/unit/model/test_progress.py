"""Asking a running operation to stop."""

from __future__ import annotations

import pytest

from cas.model.progress import Cancel, Cancelled


def test_a_switch_that_was_not_set_lets_work_go_on():
    """Checking costs nothing and raises nothing."""
    cancel = Cancel()

    cancel.check()

    assert not cancel.is_set()


def test_a_switch_that_was_set_stops_work():
    """Every later check raises, and no `except Exception` swallows it."""
    cancel = Cancel()
    cancel.set()

    assert cancel.is_set()
    with pytest.raises(Cancelled):
        cancel.check()
    assert not issubclass(Cancelled, Exception)
