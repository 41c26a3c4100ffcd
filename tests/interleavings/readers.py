"""Clients that read a version in each way there is, and must read it whole or be told it is gone."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from itertools import count

from collected import OPTIONS, copied, held
from interleavings.scheduler import Actor
from interleavings.stage import Stage

import cas
from cas.backend.base import Backend
from cas.backend.memory import MemoryBackend
from cas.environment import SystemClock
from cas.errors import NotFoundError
from cas.operations.init import init_store
from cas.testing.trees import Tree, read_tree

DATA = cas.VerifyOptions(level=cas.VerifyLevel.DATA)
_folders = count()


@cache
def empty_store() -> MemoryBackend:
    """Return another store, of which to take copies; not to be made by an actor."""
    backend = MemoryBackend()
    init_store(backend, SystemClock(), chunk_average=4 << 10)
    return backend


def _opened(backend: Backend) -> cas.Store:
    return cas.Store.on(backend, options=OPTIONS)


def _get(stage: Stage, backend: Backend) -> Tree:
    target = stage.folder / f"got-{next(_folders)}"
    try:
        _opened(backend).get(stage.ref, target)
        return read_tree(target)
    finally:
        shutil.rmtree(target, ignore_errors=True)


def _open(stage: Stage, backend: Backend) -> Tree:
    version = _opened(backend).version(stage.ref)
    tree = {}
    for path in stage.tree:
        with version.open(path.decode()) as file:
            tree[path] = file.read(100) + file.read()
    return tree


def _copy(stage: Stage, backend: Backend) -> Tree:
    target = copied(empty_store())
    _opened(backend).copy(stage.ref, _opened(target))
    return held(target, "data:v0")


def _pin(stage: Stage, backend: Backend) -> Tree:
    with _opened(backend).pin(stage.ref) as version:
        return {path.encode(): version.read(path) for path in version}


def _compare(stage: Stage, backend: Backend) -> Tree:
    found = _opened(backend).diff(stage.ref, stage.ref)
    assert found.is_empty
    return stage.tree


def _verify(stage: Stage, backend: Backend) -> Tree:
    found = _opened(backend).verify(stage.ref, DATA)
    assert found.is_sound, f"called damaged: {found.problems}"
    return stage.tree


def _verify_all(stage: Stage, backend: Backend) -> Tree:
    found = _opened(backend).verify(None, DATA)
    assert found.is_sound, f"called damaged: {found.problems}"
    return stage.tree


def _measure(stage: Stage, backend: Backend) -> Tree:
    _opened(backend).usage(stage.ref)
    return stage.tree


def _explain(stage: Stage, backend: Backend) -> Tree:
    _opened(backend).explain(f"{stage.ref}/a")
    return stage.tree


def _plan_copy(stage: Stage, backend: Backend) -> Tree:
    target = copied(empty_store())
    _opened(backend).plan_copy(stage.ref, _opened(target))
    return stage.tree


READINGS: dict[str, Callable[[Stage, Backend], Tree]] = {
    "read": lambda stage, backend: held(backend, stage.ref),
    "get": _get,
    "open": _open,
    "copy": _copy,
    "plan a copy": _plan_copy,
    "pin": _pin,
    "compare": _compare,
    "verify": _verify,
    "verify all": _verify_all,
    "measure": _measure,
    "explain": _explain,
}


def reader(stage: Stage, how: str = "read", name: str = "") -> Actor:
    """Return a client that reads the newest version, and finds it whole unless it is deleted."""
    reading, tree = READINGS[how], stage.tree
    empty_store()

    def act(backend: Backend) -> None:
        with suppress(NotFoundError):
            assert reading(stage, backend) == tree

    return Actor(name or f"reader ({how})", act)
