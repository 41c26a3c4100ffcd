"""Clients in one thread each, and what they choose at random the same in every run."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import pytest
from interleavings.scheduler import random_by_actor, submit_at_once


@pytest.fixture(autouse=True)
def _one_thread_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ThreadPoolExecutor, "submit", submit_at_once)
    monkeypatch.setattr(os, "urandom", random_by_actor)
