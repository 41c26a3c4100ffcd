"""What a run draws. Nothing here depends on the state of a store, so a run that fails can be shrunk."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from hypothesis import strategies as st

from cas.backend.base import Backend
from cas.testing.corpora import random_content, text_content
from cas.testing.fault_plan import CRASHES, Fault
from cas.testing.faulty import FaultyBackend
from cas.testing.trees import Tree

PATHS = (b"one", b"two", b"d/three", b"d/e/four", b"f/five", b"tiny")
ARTIFACTS = ("data", "team/model")
ALIASES = ("best", "production")
SIZES = (0, 7, 300, 3_000, 20_000, 20_000, 60_000, 60_000)


@lru_cache(256)
def content(is_text: bool, seed: int, size: int) -> bytes:
    """Make the same bytes again and again, so that versions share chunks."""
    return text_content(seed, size) if is_text else random_content(seed, size)


CONTENTS = st.builds(content, st.booleans(), st.integers(0, 3), st.sampled_from(SIZES))
TREES = st.dictionaries(st.sampled_from(PATHS), CONTENTS, min_size=1)
FULL_TREES = st.fixed_dictionaries(dict.fromkeys(PATHS, CONTENTS))
# An index into whatever there is by then, which wraps around.
PICKS = st.integers(0, 999)


@dataclass(frozen=True)
class Death:
    """Where a process dies: at the nth of all its operations, or of those of a kind on some keys."""

    fault: Fault
    nth: int
    kind: str = ""
    key: str = ""

    def of(self, backend: Backend) -> FaultyBackend:
        """Return a backend for a process that dies there, if it gets so far."""
        dying = FaultyBackend(backend)
        if self.kind:
            return dying.fail_nth(self.kind, self.nth, self.fault, key=self.key)
        return dying.fail_at(self.nth, self.fault)


def deaths(most: int, *moments: str) -> st.SearchStrategy[Death]:
    """Deaths at any of `most` operations, or at a moment written as `kind key`."""
    faults = st.sampled_from(CRASHES)
    at_a_number = st.builds(Death, faults, st.integers(1, most))
    named = st.sampled_from([tuple(moment.split()) for moment in moments])
    at_a_moment = st.builds(
        lambda fault, nth, moment: Death(fault, nth, *moment),
        faults,
        st.sampled_from([1, 1, 1, 2, 3]),
        named,
    )
    return st.one_of(at_a_moment, at_a_number)


PUT_DEATHS = deaths(
    40,
    "create versions/",
    "delete sessions/",
    "put blobs/",
    "put index/",
    "put meta/",
    "put sessions/",
)
REPACK_DEATHS = deaths(
    60, "create .r", "put blobs/", "put index/", "put meta/", "put sessions/", "delete sessions/"
)
COLLECT_DEATHS = deaths(
    120,
    "create .condemn",
    "create .verdict",
    "create .m",
    "create versions/",
    "delete blobs/",
    "delete gc/",
    "delete index/",
    "delete meta/",
    "delete sessions/",
    "list_objects sessions",
    "put .done",
    "put .floor",
    "put index/",
)


@dataclass(frozen=True)
class Edit:
    """A change of one file: replaced, removed, or with some bytes put in its middle."""

    kind: str
    path: bytes
    content: bytes

    def apply(self, tree: Tree) -> Tree:
        edited = dict(tree)
        if self.kind == "remove":
            edited.pop(self.path, None)
        elif self.kind == "splice" and edited.get(self.path):
            old = edited[self.path]
            edited[self.path] = old[: len(old) // 2] + self.content[:50] + old[len(old) // 2 :]
        else:
            edited[self.path] = self.content
        return edited or {b"left": b"over"}


EDITS = st.lists(
    st.builds(Edit, st.sampled_from(["set", "remove", "splice"]), st.sampled_from(PATHS), CONTENTS),
    min_size=1,
    max_size=3,
)


def edited(tree: Tree, edits: list[Edit]) -> Tree:
    """Apply some edits to a tree."""
    for edit in edits:
        tree = edit.apply(tree)
    return tree
