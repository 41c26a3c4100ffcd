"""A cache in a folder of the test's own."""

from __future__ import annotations

from pathlib import Path

import pytest
from cached_chunks import LIMIT

from cas.chunk_cache.cache import ChunkCache


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the cache will be."""
    return tmp_path / "data-1"


@pytest.fixture
def cache(folder: Path) -> ChunkCache:
    """An empty cache of the smallest size."""
    return ChunkCache(folder, LIMIT)
