"""What the target of a get has already, and what of that stands in the way."""

from __future__ import annotations

from cas.errors import AlreadyExistsError, ErrorCode
from cas.format.manifest import MODE_EXECUTABLE, Page
from cas.model.entry import EntryKind, path_to_text
from cas.model.progress import Cancel
from cas.model.units import format_some
from cas.operations.get_tally import GetTally
from cas.operations.outcomes import GetOptions
from cas.operations.select import Selection
from cas.operations.version_pages import PageContents
from cas.transfer.existing import Expected, matches_entry
from cas.transfer.target import TargetTree


class PresentFiles:
    """What the target has already."""

    def __init__(self, target: TargetTree, *, is_new: bool) -> None:
        self._target = target
        self._is_new = is_new
        self.unchanged: set[bytes] = set()

    def differs(self, page: Page, row: int, path: bytes, link: bytes | None) -> str | None:
        """Return why the entry cannot simply be written, or None; note it if it is there."""
        if self._is_new:
            return None
        status = self._target.status(path)
        if status is None:
            return None
        kind = EntryKind(int(page.kinds[row]))
        expected = Expected(kind, int(page.sizes[row]), page.hashes[row].tobytes(), link)
        same = matches_entry(self._target, path, status, expected)
        if same is None:
            return "is something else"
        if not same:
            return "differs"
        self.unchanged.add(path)
        executable = bool(page.modes[row] & MODE_EXECUTABLE)
        if kind is EntryKind.FILE and bool(status.st_mode & 0o100) != executable:
            self._target.set_executable(path, executable=executable)
        return None


def tally_and_refuse_changes(
    selection: Selection, present: PresentFiles, options: GetOptions, tally: GetTally
) -> list[bytes]:
    """Count what there is to do; return the paths of local files that are to be replaced.

    Raises:
        AlreadyExistsError: local files stand in the way.
    """
    cancel = options.cancel or Cancel()
    changed: list[bytes] = []
    blocked: list[bytes] = []
    for page in selection.pages():
        cancel.check()
        contents = PageContents(page.page)
        for row, path in zip(page.rows, page.targets, strict=True):
            kind = page.page.kinds[row]
            if kind == EntryKind.FILE:
                tally.total_files += 1
                tally.total_bytes += int(page.page.sizes[row])
            link = contents.inline(row) if kind == EntryKind.SYMLINK else None
            reason = present.differs(page.page, row, path, link)
            if kind == EntryKind.FILE:
                is_there = path in present.unchanged
                tally.wanted_files += not is_there
                # A later pass finds there what the first one wrote.
                tally.unchanged_files += is_there and tally.attempts == 1
            if reason is not None:
                (changed if reason == "differs" else blocked).append(path)
    if blocked or (changed and not options.overwrite):
        found = blocked or changed
        shown = format_some([path_to_text(path) for path in found])
        raise AlreadyExistsError(
            f"the target has other things under these names: {shown}"
            if blocked
            else f"local files differ from the version: {shown}",
            code=ErrorCode.TARGET_EXISTS,
            hint="move them away" if blocked else "--overwrite replaces them",
        )
    return changed
