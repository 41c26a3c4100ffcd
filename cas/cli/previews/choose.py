"""Which preview a file gets: by its name, and where that says nothing by its first bytes."""

from __future__ import annotations

from collections.abc import Callable

from cas.cli.previews.preview import HEAD_BYTES, Preview, Source, TooMuchToReadError
from cas.errors import CasError, InvalidInputError, UnsupportedError

_PACKED = {".gz": b"\x1f\x8b", ".zst": b"\x28\xb5\x2f\xfd"}
_TARS = (".tar", ".tar.gz", ".tgz")
_ZIPS = (".zip", ".whl", ".jar", ".pt", ".pth", ".docx", ".xlsx")
_TABLES = (".parquet", ".pq", ".arrow", ".feather", ".ipc")
_DELIMITED = (".csv", ".tsv", ".tab")
_JSON_LINES = (".jsonl", ".ndjson")


def make_preview(source: Source) -> Preview:
    """Return a preview of a file, whatever it holds.

    What it claims to be and is not is shown as text or bytes, with a remark.

    Raises:
        CasError: the file cannot be read.
    """
    reader = _reader_for(source)
    if reader is None:
        return _preview_plainly(source, "")
    try:
        return reader(source)
    except (InvalidInputError, UnsupportedError) as error:  # of what the file holds
        return _preview_plainly(source, f"not what its name says: {error}")
    except CasError:
        raise
    except TooMuchToReadError:
        return _preview_plainly(source, "more than this would take too much reading")
    # Hostile content may make a decoder fail in any way; none of them is a failure of the command.
    except Exception as error:  # noqa: BLE001
        reason = (str(error) or type(error).__name__).splitlines()[0]
        return _preview_plainly(source, f"not what its name says: {reason}")


def _reader_for(source: Source) -> Callable[[Source], Preview] | None:
    """Return what reads this kind of file; None for text and bytes."""
    from cas.cli.previews.images import SUFFIXES  # here, as no other command needs these
    from cas.cli.previews.tensors import SUFFIXES as TENSORS

    name = source.name.lower()
    if source.suffix in TENSORS:
        from cas.cli.previews.tensors import preview_tensors

        return preview_tensors
    if source.suffix in SUFFIXES:
        from cas.cli.previews.images import preview_image

        return preview_image
    if name.endswith(_TARS) or source.suffix in _ZIPS:
        from cas.cli.previews.archives import preview_tar, preview_zip

        return preview_tar if name.endswith(_TARS) else preview_zip
    if source.suffix in _TABLES:
        from cas.cli.previews.tables import preview_columns

        return preview_columns
    if source.suffix in (".json", ".ipynb"):
        from cas.cli.previews.texts import preview_json, preview_notebook

        return preview_notebook if source.suffix == ".ipynb" else preview_json
    return None


def _preview_plainly(source: Source, remark: str) -> Preview:
    """Return a preview as rows, text or bytes, by what the head holds."""
    from dataclasses import replace

    from cas.cli.previews.texts import decode_head, preview_binary, preview_text, unpack_head

    head, is_whole = source.head(), source.size <= HEAD_BYTES
    name, content = source.name.lower(), head
    if head.startswith(_PACKED.get(source.suffix, b"\0\0")):
        name = name.removesuffix(source.suffix)
        try:
            content, is_whole = unpack_head(head), False
        except ValueError as error:
            remark = remark or f"not what its name says: {error}"
    decoded = decode_head(content) if content else None
    if decoded is None:
        return preview_binary(source, head, remark=remark)
    rows = _preview_rows(source, name, decoded[0], is_whole=is_whole)
    if rows is not None:
        return rows
    made = preview_text(source, *decoded, is_whole=is_whole)
    return replace(made, remark=remark)


def _preview_rows(source: Source, name: str, text: str, *, is_whole: bool) -> Preview | None:
    """Return the rows of a text that its name calls a table; None if it is none."""
    from cas.cli.previews.tables import preview_delimited, preview_json_lines

    try:
        if name.endswith(_DELIMITED):
            return preview_delimited(source, text, is_whole=is_whole)
        if name.endswith(_JSON_LINES):
            return preview_json_lines(source, text, is_whole=is_whole)
    except (ValueError, RecursionError):
        return None
    return None
