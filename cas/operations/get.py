"""Get: a version, or a part of it, becomes local files.

What is on disk already and matches is not fetched; what differs is not touched unless asked.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from blake3 import blake3

from cas.environment import monotonic_seconds, random_bytes
from cas.errors import (
    CasError,
    CorruptionError,
    ErrorCode,
    InvalidInputError,
    NotFoundError,
)
from cas.format.manifest import MODE_EXECUTABLE
from cas.model.entry import EntryKind, path_to_bytes, path_to_text
from cas.model.names import Ref
from cas.model.progress import Cancel, Progress
from cas.model.units import format_some
from cas.objects.parts import StoreParts
from cas.operations.fetch_meter import FetchMeter
from cas.operations.gather_seeds import cut_seeds, existing_seeds, scan_seeds
from cas.operations.get_tally import GetTally
from cas.operations.holes import HoleList
from cas.operations.outcomes import GetOptions, GetOutcome
from cas.operations.pinned import PinnedVersion
from cas.operations.present_files import PresentFiles, tally_and_refuse_changes
from cas.operations.select import SelectedPage, Selection, select_pages
from cas.operations.version_pages import PageContents
from cas.transfer.arriving import WantedFile
from cas.transfer.budget import MemoryBudget
from cas.transfer.download import Download, DownloadTools
from cas.transfer.leftovers import Leftovers
from cas.transfer.safe_paths import find_conflicts, leads_outside
from cas.transfer.seeds import Seed, SeedIndex
from cas.transfer.target import PendingFile, TargetTree, require_folder
from cas.transfer.tree import SkippedFile

BATCH_ENTRIES = 1 << 16


def get(
    parts: StoreParts, version: PinnedVersion, path: str, dest: str, options: GetOptions
) -> GetOutcome:
    """Write what a version holds at or below `path` into the folder `dest`.

    Raises:
        NotFoundError: the version has no such path, or no pattern fits any.
        AlreadyExistsError: local files differ, and `overwrite` is not set; nothing was written.
        InvalidInputError: names fall together or cannot be made here; nothing was written.
        CorruptionError: the store has other bytes than it must.
        OSError: a local file cannot be written.
    """
    selection = select_pages(version, path_to_bytes(path), options.include, options.exclude)
    is_whole = not (path or options.include or options.exclude)
    return get_selection(parts, version, selection, dest, options, is_whole=is_whole)


def get_selection(
    parts: StoreParts,
    version: PinnedVersion,
    selection: Selection,
    dest: str,
    options: GetOptions,
    *,
    is_whole: bool = False,
) -> GetOutcome:
    """Write what is selected of a version into the folder `dest`; raises as `get` does.

    Args:
        is_whole: all of the version is selected, which may be nothing.
    """
    started = monotonic_seconds()
    root = os.fsencode(os.path.abspath(dest))
    require_folder(root)
    wanted = _Wanted(
        selection=selection,
        is_whole=is_whole,
        seeds=scan_seeds(options.seeds, options.cancel or Cancel()),
        is_verified=(
            version.is_digest_pinned if options.verify_files is None else options.verify_files
        ),
    )
    tally = GetTally(FetchMeter(parts.counter))
    holes: HoleList | None = None
    try:
        version.pages.following_moves(lambda: _fill(parts, version, wanted, root, options, tally))
    except CorruptionError:
        if not options.allow_holes:
            raise
        holes = HoleList(version.record.ref)
        wanted.selection.on_unreadable = holes.add_page
        tally.holes = holes
        _fill(parts, version, wanted, root, options, tally)
    return GetOutcome(
        artifact=str(version.record.artifact),
        number=version.record.number,
        digest=version.record.digest,
        dest=dest,
        files=tally.files,
        size=tally.size,
        fetched_bytes=tally.meter.fetched(tally.read_bytes),
        written_bytes=tally.written_bytes,
        copied_bytes=tally.copied_bytes,
        resumed_bytes=tally.resumed_bytes,
        unchanged_files=tally.unchanged_files,
        skipped=tuple(tally.skipped),
        seconds=monotonic_seconds() - started,
        holes=() if holes is None else holes.joined(),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    """What is to be written, and how: `is_whole` for all of the version, `seeds` as named by the
    user, `is_verified` to hash whole files.
    """

    selection: Selection
    is_whole: bool
    seeds: Sequence[Seed]
    is_verified: bool


def _fill(
    parts: StoreParts,
    version: PinnedVersion,
    wanted: _Wanted,
    root: bytes,
    options: GetOptions,
    tally: GetTally,
) -> None:
    """Bring the target to what the version holds, from wherever it stands."""
    tally.begin()
    selection = wanted.selection
    paths = [one for page in selection.pages() for one in page.targets]
    if not paths and not wanted.is_whole:
        raise _nothing(version, path_to_text(selection.prefix))
    is_new = not os.path.isdir(root) or not os.listdir(root)
    target = TargetTree(root)
    leftovers = Leftovers(target)
    try:
        _refuse_conflicts(paths, root)
        present = PresentFiles(target, is_new=is_new)
        changed = tally_and_refuse_changes(selection, present, options, tally)
        if not is_new:
            leftovers.collect({os.path.dirname(path) for path in paths}, paths)
        del paths
        index = None
        if tally.wanted_files:
            seeds = [*leftovers.seeds, *existing_seeds(parts, target, changed), *wanted.seeds]
            index = cut_seeds(parts, options, seeds)
        finish = _finish_verified if wanted.is_verified else _finish
        for batch in _batches(selection, present, target, tally):
            _fetch(parts, batch, target, options, tally, _Sources(index, finish))
        _make_links(target, options, tally)
        leftovers.remove()
    finally:
        leftovers.close()
        target.close()


def _nothing(version: PinnedVersion, path: str) -> CasError:
    ref = Ref(version.record.artifact, number=version.record.number)
    what = f"has no {path!r}" if path else "has nothing that fits the patterns"
    return NotFoundError(
        f"{ref} {what}", code=ErrorCode.PATH_NOT_FOUND, hint=f"cas ls {ref} lists what it has"
    )


def _refuse_conflicts(paths: list[bytes], root: bytes) -> None:
    problems = find_conflicts(
        paths, folds_case=_folds_case(root), is_windows=sys.platform == "win32"
    )
    if problems:
        shown = format_some(problems, separator="; ")
        raise InvalidInputError(
            f"these paths cannot be made here: {shown}",
            code=ErrorCode.INVALID_PATH,
            hint="get into another file system, or leave them out with --exclude",
        )


def _folds_case(root: bytes) -> bool:
    """Try it: whether two names that differ in case are one file here."""
    name = b".cas-case-" + random_bytes(6).hex().encode()
    path = os.path.join(root, name)
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    try:
        return os.path.lexists(os.path.join(root, name.upper()))
    finally:
        os.unlink(path)


@dataclass(frozen=True, slots=True)
class _Sources:
    """Local chunks to use, and how a file is finished."""

    index: SeedIndex | None
    finish: Callable[[WantedFile, PendingFile], None]


def _fetch(
    parts: StoreParts,
    batch: list[WantedFile],
    target: TargetTree,
    options: GetOptions,
    tally: GetTally,
    sources: _Sources,
) -> None:
    def report() -> None:
        _report(options, tally, download)

    download = Download(
        parts.backend,
        parts.tables,
        target,
        DownloadTools(
            budget=MemoryBudget(parts.memory_bytes),
            jobs=options.jobs or parts.jobs,
            cancel=options.cancel or Cancel(),
            report=report,
            finished=sources.finish,
            seeds=sources.index,
            holes=None if tally.holes is None else tally.holes.add,
        ),
    )
    try:
        download.run(batch)
    finally:
        tally.add(download.counts)


def _batches(
    selection: Selection, present: PresentFiles, target: TargetTree, tally: GetTally
) -> Iterator[list[WantedFile]]:
    """Make folders, note links, and yield the files to fetch, a bounded number at a time."""
    batch: list[WantedFile] = []
    for page in selection.pages():
        _add_wanted(page, present, target, tally, batch)
        if len(batch) >= BATCH_ENTRIES:
            yield batch
            batch = []
    if batch:
        yield batch


def _add_wanted(
    selected: SelectedPage,
    present: PresentFiles,
    target: TargetTree,
    tally: GetTally,
    batch: list[WantedFile],
) -> None:
    page = selected.page
    contents = PageContents(page)
    sizes, modes, kinds = page.sizes.tolist(), page.modes.tolist(), page.kinds.tolist()
    for row, path in zip(selected.rows, selected.targets, strict=True):
        kind = kinds[row]
        if kind == EntryKind.FILE:
            tally.files += 1
            tally.size += sizes[row]
        if path in present.unchanged:
            continue
        if kind == EntryKind.FILE:
            extents = contents.extents(row)
            batch.append(
                WantedFile(
                    path,
                    sizes[row],
                    bool(modes[row] & MODE_EXECUTABLE),
                    page.hashes[row].tobytes(),
                    None if extents else contents.inline(row),
                    extents,
                )
            )
        elif kind == EntryKind.DIRECTORY:
            target.make_folder(path)
        elif kind == EntryKind.SYMLINK:
            tally.links.append((path, contents.inline(row)))
        else:
            reason = "is an external reference; cas does not fetch those"
            tally.skipped.append(SkippedFile(path_to_text(path), reason))


def _finish(_: WantedFile, pending: PendingFile) -> None:
    pending.commit()


def _finish_verified(wanted: WantedFile, pending: PendingFile) -> None:
    """Hash the whole file before it appears: its hash is what the digest vouches for."""
    hasher = blake3(max_threads=blake3.AUTO)
    with os.fdopen(os.dup(pending.descriptor), "rb", buffering=0) as file:
        file.seek(0)
        while block := file.read(8 << 20):
            hasher.update(block)
    if hasher.digest() != wanted.hash:
        raise CorruptionError(
            f"{path_to_text(wanted.path)}: the store has other bytes than its hash says",
            code=ErrorCode.DIGEST_MISMATCH,
        )
    pending.commit()


def _make_links(target: TargetTree, options: GetOptions, tally: GetTally) -> None:
    """Make links last, so that nothing is ever written through one."""
    for path, link in tally.links:
        if leads_outside(path, link) and not options.outside_links:
            reason = f"link to {path_to_text(link)} leads out of the target (--outside-links)"
            tally.skipped.append(SkippedFile(path_to_text(path), reason))
            continue
        try:
            target.make_link(path, link)
        except (OSError, NotImplementedError) as error:
            tally.skipped.append(SkippedFile(path_to_text(path), f"link not made: {error}"))


def _report(options: GetOptions, tally: GetTally, download: Download) -> None:
    if options.progress is None:
        return
    counts = download.counts
    options.progress(
        Progress(
            phase="get",
            total_files=tally.total_files,
            done_files=tally.unchanged_files + tally.written_files + counts.done_files,
            total_bytes=tally.total_bytes,
            done_bytes=tally.written_bytes + counts.written_bytes,
            sent_bytes=tally.meter.fetched(tally.read_bytes + counts.fetched_bytes),
        )
    )
