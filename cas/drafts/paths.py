"""Paths of a draft: which ones a version can hold, and how they are spoken of."""

from __future__ import annotations

from cas.as_files.failures import MissingPathError, no_such_path
from cas.errors import ErrorCode, InvalidInputError
from cas.model.entry import path_to_text
from cas.transfer.tree import MAXIMUM_PATH_BYTES


def check_path(path: bytes) -> None:
    """Refuse a path that no version can hold.

    Raises:
        InvalidInputError: it is empty, too long, or a component is empty, `.` or `..`.
    """
    parts = path.split(b"/")
    if any(part in (b"", b".", b"..") for part in parts) or b"\0" in path:
        raise InvalidInputError(
            f"{path_to_text(path)!r} cannot be a path inside a version",
            code=ErrorCode.INVALID_PATH,
            hint="paths are relative, such as train/a.parquet",
        )
    if len(path) > MAXIMUM_PATH_BYTES:
        raise InvalidInputError(
            f"{path_to_text(path)[:60]}...: path longer than {MAXIMUM_PATH_BYTES} bytes",
            code=ErrorCode.INVALID_PATH,
        )


def not_in_draft(path: bytes) -> MissingPathError:
    """Return the error for a path at which there is nothing."""
    return no_such_path(path_to_text(path), "ls tells what there is", place="this draft")
