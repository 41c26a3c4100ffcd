"""Reading one file of a version in place."""

from __future__ import annotations

from blake3 import blake3

from cas.errors import CorruptionError, ErrorCode, InvalidInputError, NotFoundError
from cas.format.manifest import Page
from cas.model.entry import EntryKind, path_to_bytes, path_to_text
from cas.objects.parts import StoreParts
from cas.operations.pinned import PinnedVersion
from cas.operations.version_pages import file_content
from cas.transfer.pieces import pieces_in_flight
from cas.transfer.plan import limits_of
from cas.transfer.ranges import RangeTools
from cas.transfer.reading import ContentReader, FileContent

MAXIMUM_LINKS = 40


def range_tools(parts: StoreParts) -> RangeTools:
    """Return what reads ranges of a store: as many threads as its storage takes reads at once."""
    limits = limits_of(parts.backend.capabilities)
    threads = max(parts.jobs, limits.in_flight)
    return RangeTools(parts.tables, limits, threads, parts.memory_bytes)


def open_content(parts: StoreParts, version: PinnedVersion, path: str) -> ContentReader:
    """Return a reader of a file; links inside the version are followed.

    Under a digest that the user typed, the whole file is read and hashed first, since only its
    hash is vouched for by the digest.

    Raises:
        NotFoundError: there is no such file.
        InvalidInputError: it is a folder, or no regular file.
        CorruptionError: the file is not what its hash says.
    """
    location = version.pages.location
    page, row = version.pages.following_moves(lambda: find_file(version, path))

    def moved(error: CorruptionError) -> FileContent:
        nonlocal location
        version.pages.look_again(location, error)
        location = version.pages.location
        new_page, new_row = version.pages.following_moves(lambda: find_file(version, path))
        if new_page.hashes[new_row].tobytes() != page.hashes[row].tobytes():
            raise error  # what it was moved to is another file
        return file_content(new_page, new_row)

    in_flight = pieces_in_flight(parts.memory_bytes)
    content = file_content(page, row)
    reader = ContentReader(parts.tables, content, moved, in_flight=in_flight, keeps=True)
    if version.is_digest_pinned:
        _verify(reader, page, row)
    return reader


def find_file(version: PinnedVersion, path: str) -> tuple[Page, int]:
    """Return the page and row of a file; links inside the version are followed.

    Raises:
        NotFoundError: there is no such file.
        InvalidInputError: it is a folder, or no regular file.
    """
    at = path_to_bytes(path.strip("/"))
    for _ in range(MAXIMUM_LINKS):
        found = version.pages.find(at)
        if found is None:
            raise _missing(version, path, at)
        page, row = found
        kind = page.kinds[row]
        if kind == EntryKind.FILE:
            return page, row
        if kind != EntryKind.SYMLINK:
            raise InvalidInputError(
                f"{path!r} is no file but a {EntryKind(int(kind)).name.lower()}",
                code=ErrorCode.INVALID_PATH,
            )
        start, stop = page.inline_starts[row : row + 2].tolist()
        at = resolve_link(at, page.inline[start:stop], path)
    raise InvalidInputError(f"{path!r}: links lead in a circle", code=ErrorCode.INVALID_PATH)


def resolve_link(at: bytes, target: bytes, path: str) -> bytes:
    """Return where a link at `at` leads that `path` asks for.

    Raises:
        InvalidInputError: it leads out of the version.
    """
    parts = at.split(b"/")[:-1]
    for part in target.split(b"/"):
        if part == b"..":
            if not parts:
                break
            parts.pop()
        elif part not in (b"", b"."):
            parts.append(part)
    else:
        if not target.startswith(b"/"):
            return b"/".join(parts)
    raise InvalidInputError(
        f"{path!r} is a link that leads out of the version, to {path_to_text(target)}",
        code=ErrorCode.INVALID_PATH,
    )


def _missing(version: PinnedVersion, path: str, at: bytes) -> NotFoundError | InvalidInputError:
    record = version.record
    ref = record.ref
    for entry in version.pages.iter_entries(at):
        if entry.path != path_to_text(at):
            return InvalidInputError(
                f"{path!r} is a folder of {ref}",
                code=ErrorCode.INVALID_PATH,
                hint=f"cas ls {ref}/{path} lists it",
            )
    return NotFoundError(
        f"{ref} has no {path!r}",
        code=ErrorCode.PATH_NOT_FOUND,
        hint=f"cas ls {ref} lists what it has",
    )


def _verify(reader: ContentReader, page: Page, row: int) -> None:
    hasher = blake3(max_threads=blake3.AUTO)
    for piece in reader.pieces(0, reader.size):
        hasher.update(piece)
    if hasher.digest() != page.hashes[row].tobytes():
        raise CorruptionError(
            f"{path_to_text(page.paths[row])}: the store has other bytes than its hash says",
            code=ErrorCode.DIGEST_MISMATCH,
        )
