"""Clients that change where versions lie, what leads to them, and whether they are there."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

from collected import AT_ONCE, OPTIONS, copied
from interleavings.ended import Mended, Tagged, Told
from interleavings.readers import empty_store
from interleavings.scheduler import Actor
from interleavings.stage import Stage

import cas
from cas.backend.base import Backend
from cas.errors import ConflictError, NotFoundError
from cas.operations.delete import Deletion
from cas.testing.trees import Tree, write_tree

ALIAS = "best"


def _opened(backend: Backend) -> cas.Store:
    return cas.Store.on(backend, options=OPTIONS)


def repacker(_stage: Stage, name: str = "repacker") -> Actor:
    """Return a client that empties blobs that are mostly dead."""

    def act(backend: Backend) -> None:
        _opened(backend).repack()

    return Actor(name, act)


def upkeeper(_stage: Stage, name: str = "upkeeper") -> Actor:
    """Return a client that repacks and collects in one, taking every writer for dead."""

    def act(backend: Backend) -> None:
        _opened(backend).collect_garbage(replace(AT_ONCE, repack=cas.RepackOptions()))

    return Actor(name, act)


def restorer(stage: Stage, name: str = "restorer") -> Actor:
    """Return a client that brings the newest version back from the trash, if it can."""

    def act(backend: Backend) -> None:
        with suppress(NotFoundError, ConflictError):
            _opened(backend).restore(stage.ref)

    return Actor(name, act)


def trasher(stage: Stage, name: str = "trasher") -> Actor:
    """Return a client that moves the newest version to the trash, if it can."""

    def act(backend: Backend) -> list[Deletion]:
        with suppress(NotFoundError, ConflictError):
            return _opened(backend).delete(stage.ref, force=True)
        return []

    return Actor(name, act)


def tagger(stage: Stage, name: str = "tagger") -> Actor:
    """Return a client that points an alias to the newest version."""

    def act(backend: Backend) -> Tagged | None:
        with suppress(NotFoundError, ConflictError):
            _opened(backend).tag(stage.ref, [ALIAS])
            return Tagged(ALIAS)
        return None

    return Actor(name, act)


def carrier(stage: Stage, tree: Tree, name: str = "carrier") -> Actor:
    """Return a client that copies a version of another store into this one, as a new version."""
    source = copied(empty_store())
    folder = stage.folder / f"{name}-source"
    if not folder.exists():
        write_tree(folder, tree)
        stage.trees.append(tree)
    _opened(source).put(folder, "data", cas.PutOptions(provenance=False))

    def act(backend: Backend) -> Told:
        forced = cas.CopyOptions(force=True)
        outcome = _opened(source).copy("data:v0", _opened(backend), forced)
        return Told(outcome.versions[0].number, tree)

    return Actor(name, act)


def healer(stage: Stage, name: str = "healer") -> Actor:
    """Return a client that puts what the damaged version holds."""

    def act(backend: Backend) -> Mended | None:
        outcome = _opened(backend).put(stage.source, "data", cas.PutOptions(provenance=False))
        return Mended(outcome.number) if outcome.healed else None

    return Actor(name, act)


def repairer(stage: Stage, name: str = "repairer") -> Actor:
    """Return a client that repairs what is damaged from a whole copy."""

    def act(backend: Backend) -> Mended | None:
        outcome = stage.repair(backend)
        return Mended(stage.number) if outcome.is_whole and not outcome.unread else None

    return Actor(name, act)
