"""The edits of a draft as they stand, changed by steps so small that they can be told to others."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, Protocol

from cas.operations.draft_edits import DraftEdits, DraftEntry, LocalEntry

StepKind = Literal["set", "unset", "hide", "hide below"]


@dataclass(frozen=True, slots=True)
class Step:
    """One change: an entry stands at a path or no longer does; the base's is hidden, or all below."""

    kind: StepKind
    path: bytes
    entry: DraftEntry | None = None


class Holding(Protocol):
    """What is told of local files as a draft takes them in and lets them go."""

    def hold(self, entry: LocalEntry) -> None:
        """One more path has this file."""

    def drop(self, entry: LocalEntry, *, keep: bool) -> None:
        """One path less has this file; whether it is removed then is for another to decide."""


class Edits:
    """Entries that are new, and what of the base is hidden. Not thread-safe.

    Attributes:
        entries: what stands at paths, in place of what the base has there.
        names: the names right below folders that lead to any of these entries.
        filled: folders below which something was set since anything was unset.
        tell: told each step that is made here, if anybody listens.
    """

    def __init__(self, holding: Holding) -> None:
        self._holding = holding
        self.entries: dict[bytes, DraftEntry] = {}
        self.names: dict[bytes, set[bytes]] = {}
        self._gone: set[bytes] = set()
        self._gone_below: set[bytes] = set()
        self.filled: set[bytes] = set()
        self.tell: Callable[[Step], None] | None = None
        # A view of these, for its questions.
        self.live = DraftEdits(self.entries, self._gone, self._gone_below)

    @property
    def hide_anything(self) -> bool:
        """Whether anything of the base is gone."""
        return bool(self._gone or self._gone_below)

    def is_all_gone(self, folder: bytes) -> bool:
        """Tell whether nothing of the base is left below a folder, since it was removed."""
        return folder in self._gone_below or self.live.is_gone_below(folder)

    def set(self, path: bytes, entry: DraftEntry) -> None:
        """Let an entry stand at a path."""
        self._make(Step("set", path, entry))

    def unset(self, path: bytes) -> None:
        """Let no entry stand at a path."""
        self._make(Step("unset", path))

    def hide(self, path: bytes) -> None:
        """Let what the base has at a path be gone."""
        self._make(Step("hide", path))

    def hide_below(self, folder: bytes) -> None:
        """Let all that the base has below a folder be gone."""
        self._make(Step("hide below", folder))

    def steps(self) -> Iterator[Step]:
        """Yield steps that lead from nothing to this."""
        for path, entry in self.entries.items():
            yield Step("set", path, entry)
        for path in self._gone:
            yield Step("hide", path)
        for folder in self._gone_below:
            yield Step("hide below", folder)

    def follow(self, step: Step) -> None:
        """Make a step that was made elsewhere."""
        self._apply(step, keep=True)

    def _make(self, step: Step) -> None:
        self._apply(step, keep=False)
        if self.tell is not None:
            self.tell(step)

    def _apply(self, step: Step, *, keep: bool) -> None:
        path = step.path
        if step.kind == "hide":
            self._gone.add(path)
        elif step.kind == "hide below":
            self._gone_below.add(path)
        elif step.kind == "set":
            assert step.entry is not None
            self._set(path, step.entry, keep=keep)
        else:
            self._unset(path, keep=keep)

    def _set(self, path: bytes, entry: DraftEntry, *, keep: bool) -> None:
        before = self.entries.get(path)
        if isinstance(entry, LocalEntry):
            self._holding.hold(entry)
        if isinstance(before, LocalEntry):
            self._holding.drop(before, keep=keep)
        self.entries[path] = entry
        while path:
            folder, _, name = path.rpartition(b"/")
            names = self.names.setdefault(folder, set())
            if name in names:
                return
            names.add(name)
            path = folder

    def _unset(self, path: bytes, *, keep: bool) -> None:
        self.filled.clear()
        before = self.entries.pop(path, None)
        if isinstance(before, LocalEntry):
            self._holding.drop(before, keep=keep)
        while path and path not in self.entries and path not in self.names:
            folder, _, name = path.rpartition(b"/")
            names = self.names.get(folder)
            if names is None:
                return
            names.discard(name)
            if not names:
                del self.names[folder]
            path = folder
