"""Get to a URL: a version, or a part of it, becomes plain objects behind any driver of fsspec.

What is there already and matches is not sent; what differs is not touched unless asked. Every chunk
is verified before it is sent, every file before its object appears.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from blake3 import blake3

from cas.backend.counting import RequestCounter
from cas.backend.open import is_remote_url, local_path
from cas.environment import monotonic_seconds
from cas.errors import AlreadyExistsError, ErrorCode, InvalidInputError, NotFoundError
from cas.model.entry import EntryKind, path_to_bytes, path_to_text
from cas.model.names import Ref
from cas.model.progress import Cancel, Progress
from cas.model.units import format_some
from cas.objects.blobs import TableReader
from cas.objects.parts import StoreParts
from cas.operations.fetch_meter import FetchMeter
from cas.operations.get import get
from cas.operations.outcomes import GetOptions, GetOutcome
from cas.operations.pinned import PinnedVersion
from cas.operations.select import Selection, select_pages
from cas.operations.version_pages import PageContents
from cas.transfer.budget import MemoryBudget
from cas.transfer.gathering import StoredFile
from cas.transfer.plan import limits_of
from cas.transfer.sending import WRITES_IN_FLIGHT, Sender
from cas.transfer.tree import SkippedFile

if TYPE_CHECKING:
    from cas.backend.places import Place

READ_BYTES = 4 << 20

_SKIPPED = {
    EntryKind.SYMLINK: "is a link; an object cannot be one",
    EntryKind.DIRECTORY: "is an empty folder; there are none among objects",
    EntryKind.EXTERNAL: "is an external reference; cas does not fetch those",
}


@dataclass(slots=True)
class _Tally:
    """What there is to do, and what is left out."""

    files: int = 0
    size: int = 0
    unchanged: set[bytes] = field(default_factory=set)
    unchanged_bytes: int = 0
    skipped: list[SkippedFile] = field(default_factory=list)


def get_anywhere(
    parts: StoreParts, version: PinnedVersion, path: str, dest: str, options: GetOptions
) -> GetOutcome:
    """Write what a version holds at or below `path` to a local folder or a URL, as `dest` says.

    Raises:
        CasError: as `get_to_url`, or as `get`.
        OSError: a local file cannot be written.
    """
    if options.pin:
        # A thread and what it needs, which other gets need not load.
        from cas.operations.hold_version import hold_version

        with hold_version(parts, version) as held:
            return get_anywhere(parts, held, path, dest, replace(options, pin=False))
    if is_remote_url(dest):
        if options.allow_holes:
            raise InvalidInputError(
                "holes can be left in local files only: an object is whole or not there",
                code=ErrorCode.INVALID_OPTION,
                hint="get into a folder",
            )
        return get_to_url(parts, version, path, dest, options)
    if options.dest_options:
        raise InvalidInputError(
            "options of the target are for targets that are URLs", code=ErrorCode.INVALID_OPTION
        )
    return get(parts, version, path, local_path(dest), options)


def get_to_url(
    parts: StoreParts, version: PinnedVersion, path: str, url: str, options: GetOptions
) -> GetOutcome:
    """Write what a version holds at or below `path` as objects below `url`.

    Raises:
        NotFoundError: the version has no such path, or no pattern fits any; or no such bucket.
        AlreadyExistsError: objects differ, and `overwrite` is not set; nothing was written.
        InvalidInputError, UnsupportedError: the URL cannot be opened, or not written to.
        CorruptionError: the store has other bytes than it must.
        BackendError: either storage failed.
    """
    from cas.backend.places import open_place  # fsspec takes 0.1 s to import

    tally = parts.tally(url, "target")
    with closing(open_place(url, options.dest_options, tally)) as place:
        place.check_writable()
        return version.pages.following_moves(
            lambda: _get_to_place(parts, version, path, place, options)
        )


def _get_to_place(
    parts: StoreParts, version: PinnedVersion, path: str, place: Place, options: GetOptions
) -> GetOutcome:
    started = monotonic_seconds()
    selection = select_pages(version, path_to_bytes(path), options.include, options.exclude)
    tally = _Tally()
    _compare(selection, _Present(place), options, tally)
    if not (tally.files or tally.skipped) and (path or options.include or options.exclude):
        ref = Ref(version.record.artifact, number=version.record.number)
        raise NotFoundError(
            f"{ref} has nothing at {path!r} that fits the patterns",
            code=ErrorCode.PATH_NOT_FOUND,
            hint=f"cas ls {ref} lists what it has",
        )
    backend = RequestCounter(parts.backend)
    meter = FetchMeter(parts.counter)

    def report() -> None:
        _report(options, tally, sender, meter.fetched(backend.counts.received_bytes))

    with Sender(
        TableReader(backend, chunks=parts.chunks),
        limits_of(parts.backend.capabilities),
        place,
        MemoryBudget(parts.memory_bytes),
        cancel=options.cancel or Cancel(),
        report=report,
    ) as sender:
        sender.run(_to_send(selection, tally))
    return GetOutcome(
        artifact=str(version.record.artifact),
        number=version.record.number,
        digest=version.record.digest,
        dest=place.url,
        files=tally.files,
        size=tally.size,
        fetched_bytes=meter.fetched(backend.counts.received_bytes),
        written_bytes=sender.counts.written_bytes,
        copied_bytes=0,
        resumed_bytes=0,
        unchanged_files=len(tally.unchanged),
        skipped=tuple(tally.skipped),
        seconds=monotonic_seconds() - started,
    )


class _Present:
    """What is at the place already."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._sizes = {path_to_bytes(one.path): one.size for one in place.find_present()}
        self._folders: set[bytes] = set()
        for path in self._sizes:
            self._folders.update(_folders_above(path))

    def size(self, path: bytes) -> int | None:
        """Return the bytes of an object, or None if there is none."""
        return self._sizes.get(path)

    def blocks(self, path: bytes) -> bool:
        """Tell whether what is there makes a folder of this file, or a file of its folder."""
        return path in self._folders or any(one in self._sizes for one in _folders_above(path))

    def has(self, path: bytes, size: int, digest: bytes) -> bool:
        """Read an object, and tell whether it is that file.

        Its etag says nothing about that: it is a checksum only sometimes, and never BLAKE3.
        """
        hasher = blake3(max_threads=blake3.AUTO)
        name = path_to_text(path)
        for start in range(0, size, READ_BYTES):
            hasher.update(self._place.read(name, start, min(start + READ_BYTES, size)))
        return bool(hasher.digest() == digest)


def _folders_above(path: bytes) -> Iterator[bytes]:
    while b"/" in path:
        path = path.rpartition(b"/")[0]
        yield path


def _compare(selection: Selection, present: _Present, options: GetOptions, tally: _Tally) -> None:
    """Count what there is to do, and find every object that stands in the way."""
    cancel = options.cancel or Cancel()
    same_size: list[tuple[bytes, int, bytes]] = []
    changed: list[bytes] = []
    blocked: list[bytes] = []
    for selected in selection.pages():
        cancel.check()
        page = selected.page
        for row, path in zip(selected.rows, selected.targets, strict=True):
            reason = _reason_to_skip(EntryKind(int(page.kinds[row])), path)
            if reason is not None:
                tally.skipped.append(SkippedFile(path_to_text(path), reason))
                continue
            size = int(page.sizes[row])
            tally.files += 1
            tally.size += size
            there = present.size(path)
            if present.blocks(path):
                blocked.append(path)
            elif there == size:
                same_size.append((path, size, page.hashes[row].tobytes()))
            elif there is not None:
                changed.append(path)
    with ThreadPoolExecutor(WRITES_IN_FLIGHT, thread_name_prefix="cas-hash") as pool:
        try:
            hashed = pool.map(lambda file: present.has(*file), same_size)
            for one, same in zip(same_size, hashed, strict=True):
                cancel.check()
                if same:
                    tally.unchanged.add(one[0])
                    tally.unchanged_bytes += one[1]
                else:
                    changed.append(one[0])
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    _refuse(changed, blocked, options)


def _reason_to_skip(kind: EntryKind, path: bytes) -> str | None:
    if kind is not EntryKind.FILE:
        return _SKIPPED[kind]
    try:
        path.decode()
    except UnicodeDecodeError:
        return "its name is not UTF-8, as names of objects are"
    return None


def _refuse(changed: list[bytes], blocked: list[bytes], options: GetOptions) -> None:
    found = blocked or ([] if options.overwrite else sorted(changed))
    if not found:
        return
    shown = format_some([path_to_text(path) for path in found])
    raise AlreadyExistsError(
        f"files there would be folders here, or the other way round: {shown}"
        if blocked
        else f"objects differ from the version: {shown}",
        code=ErrorCode.TARGET_EXISTS,
        hint="get to another prefix" if blocked else "--overwrite replaces them",
    )


def _to_send(selection: Selection, tally: _Tally) -> Iterator[StoredFile]:
    for selected in selection.pages():
        page = selected.page
        contents = PageContents(page)
        for row, path in zip(selected.rows, selected.targets, strict=True):
            if path in tally.unchanged:
                continue
            if _reason_to_skip(EntryKind(int(page.kinds[row])), path) is None:
                yield StoredFile(path, page.hashes[row].tobytes(), contents.content(row))


def _report(options: GetOptions, tally: _Tally, sender: Sender, fetched_bytes: int) -> None:
    if options.progress is None:
        return
    options.progress(
        Progress(
            phase="get",
            total_files=tally.files,
            done_files=len(tally.unchanged) + sender.counts.files,
            total_bytes=tally.size,
            done_bytes=tally.unchanged_bytes + sender.counts.written_bytes,
            sent_bytes=fetched_bytes,
        )
    )
