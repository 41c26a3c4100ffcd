"""What a draft changes: entries that are new or come from elsewhere, and those that are gone."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from cas.format.version import VersionRecord
from cas.model.entry import EntryKind
from cas.transfer.stamp import FileStamp


@dataclass(frozen=True, slots=True)
class LocalEntry:
    """A file or link of this machine, which is read when the draft is committed.

    Attributes:
        local: its path here.
        kind: `FILE` or `SYMLINK`.
        stamp: what a stat said of it when it was added.
    """

    local: bytes
    kind: EntryKind
    stamp: FileStamp
    executable: bool = False


@dataclass(frozen=True, slots=True)
class BaseEntry:
    """Whatever the base has at `path`, at another path."""

    path: bytes


@dataclass(frozen=True, slots=True)
class EmptyFolder:
    """A folder with nothing in it."""


DraftEntry = LocalEntry | BaseEntry | EmptyFolder


@dataclass(frozen=True, slots=True)
class DraftEdits:
    """How a version differs from its base.

    Attributes:
        entries: what is new, or at another path than in the base.
        gone: paths of the base that are not in the version.
        gone_below: folders of which nothing is left, but for `entries`.
    """

    entries: Mapping[bytes, DraftEntry] = field(default_factory=dict)
    gone: AbstractSet[bytes] = frozenset()
    gone_below: AbstractSet[bytes] = frozenset()

    def hides(self, path: bytes) -> bool:
        """Tell whether a path of the base is gone, or replaced."""
        return path in self.gone or path in self.entries or self.is_gone_below(path)

    def is_gone_below(self, path: bytes) -> bool:
        """Tell whether one of the folders above a path is gone."""
        if not self.gone_below:
            return False
        end = path.rfind(b"/")
        while end > 0:
            if path[:end] in self.gone_below:
                return True
            end = path.rfind(b"/", 0, end)
        return b"" in self.gone_below


@dataclass(frozen=True, slots=True)
class DraftSource:
    """A version and how the one to be differs from it; without a base it has `edits.entries`."""

    base: VersionRecord | None
    edits: DraftEdits
