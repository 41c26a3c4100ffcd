"""A store as the objects that it consists of, so that a test can spoil any of them."""

from __future__ import annotations

from pathlib import Path

from memory_stores import PLAIN, memory_store, open_on

import cas
from cas.backend.base import Backend
from cas.backend.memory import MemoryBackend
from cas.testing.corpora import random_content, text_content
from cas.testing.trees import Tree, write_tree

TREE: Tree = {
    b"big.bin": random_content(1, 150_000),
    b"text.txt": text_content(2, 40_000),
    b"tiny": b"tiny",
    b"zeros": bytes(600_000),
}
NEXT: Tree = TREE | {b"text.txt": text_content(3, 40_000)}

Objects = dict[str, bytes]


def three_versions(folder: Path) -> cas.Store:
    """Make a store of `TREE`, `NEXT`, and `TREE` again, which is deleted; `best` is the first."""
    store = memory_store(chunk_size=16 << 10, jobs=1)
    for tree in (TREE, NEXT, TREE):
        store.put(write_tree(folder / "source", tree), "data", PLAIN)
    store.tag("data:v0", ["best"])
    store.delete("data:v2")
    return store


def objects_of(backend: Backend) -> Objects:
    """Return every object by its key."""
    return {one.key: backend.get(one.key) for one in backend.list_objects("")}


def backend_of(objects: Objects, backend: MemoryBackend | None = None) -> MemoryBackend:
    """Return a backend, a new one unless it is given, that holds these objects."""
    backend = backend or MemoryBackend()
    for key, content in objects.items():
        backend.put(key, [content])
    return backend


def store_of(objects: Objects) -> cas.Store:
    """Open a store of these objects."""
    return open_on(backend_of(objects), jobs=1)


def flipped(content: bytes, at: int, bit: int = 0) -> bytes:
    """Return bytes with one bit flipped."""
    return content[:at] + bytes([content[at] ^ 1 << bit]) + content[at + 1 :]


def shortened(content: bytes, keep: float) -> bytes:
    """Return the first bytes, so many of them, or such a part, or all but the last if it is -1."""
    return content[: int(len(content) * keep) if isinstance(keep, float) else keep]


def places(content: bytes, count: int, tail: int) -> list[int]:
    """Return where to flip: some `count` places, and every byte of the last `tail`."""
    step = max(1, len(content) // count)
    size = len(content)
    return sorted({*range(0, size, step), *range(max(0, size - tail), size)})
