"""Errors that are cas's own and at the same time the `OSError` that clients of fsspec wait for.

A client takes a `FileNotFoundError` for an answer: Zarr fills a chunk that is not there with
zeros. So only what is known not to be there becomes one. A store that cannot be found, a version
that is deleted while it is read, damage and failures of the storage stay what they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from errno import EACCES, EEXIST, EISDIR, ENOENT, ENOTDIR, ENOTEMPTY

from cas.errors import (
    AlreadyExistsError,
    BackendError,
    CasError,
    ErrorCode,
    InvalidInputError,
    NotFoundError,
    UnsupportedError,
)


class MissingPathError(NotFoundError, FileNotFoundError):
    """There is no such artifact, version, folder or file."""

    errno = ENOENT


class FolderPathError(InvalidInputError, IsADirectoryError):
    """It is a folder, where a file is wanted."""

    errno = EISDIR


class FilePathError(InvalidInputError, NotADirectoryError):
    """It is a file, where a folder is wanted."""

    errno = ENOTDIR


class ExistingPathError(AlreadyExistsError, FileExistsError):
    """There is something of that name already."""

    errno = EEXIST


class FullFolderError(InvalidInputError, OSError):
    """It is a folder with something in it, where an empty one is wanted."""

    errno = ENOTEMPTY


class ForbiddenError(BackendError, PermissionError):
    """The storage does not let this user read."""

    errno = EACCES


class ObstructedError(AlreadyExistsError, FileExistsError):
    """Something of another kind stands in the way on the local disk."""

    errno = EEXIST


class NoUrlError(UnsupportedError, NotImplementedError):
    """There is no URL by which the storage would serve the file."""


_NO_SUCH_NAME = frozenset(
    {
        ErrorCode.ARTIFACT_NOT_FOUND,
        ErrorCode.VERSION_NOT_FOUND,
        ErrorCode.ALIAS_NOT_FOUND,
        ErrorCode.PATH_NOT_FOUND,
        ErrorCode.INVALID_NAME,
        ErrorCode.INVALID_REF,
    }
)


@contextmanager
def as_os_errors(*, resolving: bool = False) -> Iterator[None]:
    """Raise errors of cas as what clients of fsspec wait for, where there is such a thing.

    Args:
        resolving: a name is looked up, so a deleted version is one that is not there.
    """
    try:
        yield
    except CasError as error:
        kind = _kind_of(error, resolving=resolving)
        if kind is None:
            raise
        raise kind(str(error), code=error.code, hint=error.hint) from error


def _kind_of(error: CasError, *, resolving: bool) -> type[CasError] | None:
    if isinstance(error, OSError):
        return None
    if error.code in _NO_SUCH_NAME or (resolving and error.code is ErrorCode.VERSION_DELETED):
        return MissingPathError
    if error.code is ErrorCode.ACCESS_DENIED:
        return ForbiddenError
    if error.code is ErrorCode.TARGET_EXISTS:
        return ObstructedError
    return None


def no_such_path(
    path: str, hint: str | None = None, *, place: str = "this store"
) -> MissingPathError:
    """Return the error for a path that leads nowhere."""
    return MissingPathError(
        f"there is no {path!r} in {place}", code=ErrorCode.PATH_NOT_FOUND, hint=hint
    )


def is_a_folder(path: str) -> FolderPathError:
    """Return the error for a folder where a file is wanted."""
    return FolderPathError(
        f"{path!r} is a folder", code=ErrorCode.INVALID_PATH, hint="ls tells what it holds"
    )
