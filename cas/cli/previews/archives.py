"""Previews of archives: the names in a ZIP file or a tar, and how big their files are."""

from __future__ import annotations

import io
import tarfile
import zipfile
import zlib

from cas.cli.previews.preview import Preview, Source, Table, TooMuchToReadError
from cas.model.units import MIB, format_count, format_size

_PACKED_BYTES = MIB
_UNPACKED_BYTES = 8 * MIB
_COLUMNS = (("name", ""), ("size", ""))


def preview_zip(source: Source) -> Preview:
    """Return the first names in a ZIP file, from the list at its end.

    Raises:
        ValueError: it is none.
    """
    try:
        with source.open() as file, zipfile.ZipFile(file) as archive:
            members = archive.infolist()
    except zipfile.BadZipFile as error:
        raise ValueError(str(error)) from error
    rows = tuple((one.filename, format_size(one.file_size)) for one in members[: source.lines])
    size = sum(one.file_size for one in members)
    left = len(members) - len(rows)
    return Preview(
        kind="archive",
        summary=f"ZIP archive, {format_count(len(members), 'member')}, {format_size(size)} unpacked",
        facts={"format": "zip", "members": len(members), "unpacked_bytes": size},
        table=Table(_COLUMNS, rows),
        more=format_count(left, "more member") if left > 0 else "",
    )


def preview_tar(source: Source) -> Preview:
    """Return the first names in a tar, packed by gzip or not; a tar has no list of them.

    Raises:
        ValueError: it is none.
    """
    rows: list[tuple[str, str]] = []
    more = ""
    try:
        with _open_tar(source) as file, tarfile.open(fileobj=file, mode="r:") as archive:
            for member in iter(archive.next, None):
                if len(rows) == source.lines:
                    more = "more members"
                    break
                rows.append((member.name, format_size(member.size) if member.isfile() else "-"))
    except TooMuchToReadError:
        more = "more members, which would take too much reading"
    except (tarfile.TarError, EOFError, OSError) as error:
        if not rows:
            raise ValueError(str(error)) from error
        more = f"what follows cannot be read: {error}"
    return Preview(
        kind="archive",
        summary="tar archive" if more else f"tar archive, {format_count(len(rows), 'member')}",
        facts={"format": "tar", "members": None if more else len(rows)},
        table=Table(_COLUMNS, tuple(rows)),
        more=more,
    )


def _open_tar(source: Source) -> io.BufferedReader | io.BytesIO:
    """Open a tar; of one that is packed, its beginning: a few KiB may unpack to any size."""
    if not source.name.lower().endswith("gz"):
        return source.open()  # seeking past the members reads their heads alone
    try:
        return io.BytesIO(
            zlib.decompressobj(wbits=31).decompress(source.head(_PACKED_BYTES), _UNPACKED_BYTES)
        )
    except zlib.error as error:
        raise ValueError(str(error)) from error
