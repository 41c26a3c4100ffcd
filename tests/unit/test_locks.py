"""Locks tell the living from what was left behind."""

from __future__ import annotations

import os
import sys

import pytest

from cas.locks import lock_alone, lock_shared, unlock

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there are none")


def test_a_lock_is_shared_or_ones_own(tmp_path):
    """Who opened a folder twice is as two."""
    one, other = (os.open(tmp_path, os.O_RDONLY) for _ in range(2))

    together = lock_shared(one), lock_shared(other)
    refused = lock_alone(one)
    os.close(other)
    alone = lock_alone(one, wait=True)

    assert (together, refused, alone) == ((True, True), False, True)
    os.close(one)


def test_what_is_given_up_can_be_had(tmp_path):
    """Also while the descriptor stays open."""
    one, other = (os.open(tmp_path, os.O_RDONLY) for _ in range(2))
    lock_alone(one)

    before = lock_alone(other)
    unlock(one)

    assert (before, lock_alone(other)) == (False, True)
    os.close(one)
    os.close(other)
