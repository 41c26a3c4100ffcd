"""A bucket in memory, a store in a folder, and reads of the bucket noted or interfered with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from memory_bucket import MemoryBucket

import cas
from cas.backend.places import Place


@pytest.fixture
def bucket() -> Iterator[MemoryBucket]:
    made = MemoryBucket()
    yield made
    for path in [path for path in made.filesystem.store if path.startswith(made.path(""))]:
        del made.filesystem.store[path]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[cas.Store]:
    cas.Store.create(tmp_path / "store").close()
    options = cas.StoreOptions(cache_dir=str(tmp_path / "cache"))
    with cas.Store.open(tmp_path / "store", options=options) as opened:
        yield opened


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths of all reads of places, as they come."""
    seen: list[str] = []
    read = Place.read

    def noted(place: Place, path: str, start: int, stop: int) -> bytes:
        seen.append(path)
        return read(place, path, start, stop)

    monkeypatch.setattr(Place, "read", noted)
    return seen


@pytest.fixture
def act_before_read(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """A function that lets something be done each time before an object is read, the first times."""

    def arrange(path: str, act: Callable[[], None], times: int = 1) -> None:
        read, left = Place.read, [times]

        def acting(place: Place, asked: str, start: int, stop: int) -> bytes:
            if asked == path and left[0]:
                left[0] -= 1
                act()
            return read(place, asked, start, stop)

        monkeypatch.setattr(Place, "read", acting)

    return arrange
