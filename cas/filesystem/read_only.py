"""A filesystem of fsspec that refuses whatever writes, each way of it by the same clear error."""

from __future__ import annotations

from errno import EROFS
from typing import Any, NoReturn

from fsspec import AbstractFileSystem

from cas.errors import ErrorCode, UnsupportedError


class ReadOnlyError(UnsupportedError, PermissionError):
    """Versions never change: put a new one instead."""

    errno = EROFS


def refuse(act: str, *paths: object) -> NoReturn:
    """Raise the error for an act that would write.

    Raises:
        ReadOnlyError: always.
    """
    what = " ".join(repr(path) for path in paths)
    raise ReadOnlyError(
        f"cas:// can only be read: {act} {what}".rstrip(),
        code=ErrorCode.UNSUPPORTED_FEATURE,
        hint="write to a draft, store.draft(NAME), or cas put FOLDER NAME makes a version of files",
    )


class ReadOnlyFileSystem(AbstractFileSystem):  # type: ignore[misc] # fsspec has no types
    """See `fsspec.AbstractFileSystem`; every method here refuses."""

    def mkdir(self, path: str, create_parents: bool = True, **kwargs: Any) -> NoReturn:
        refuse("mkdir", path)

    def makedirs(self, path: str, exist_ok: bool = False) -> NoReturn:
        refuse("makedirs", path)

    def rmdir(self, path: str) -> NoReturn:
        refuse("rmdir", path)

    def pipe_file(
        self, path: str, value: bytes, mode: str = "overwrite", **kwargs: Any
    ) -> NoReturn:
        refuse("pipe_file", path)

    def pipe(self, path: object, value: bytes | None = None, **kwargs: Any) -> NoReturn:
        refuse("pipe", *([path] if isinstance(path, str) else []))

    def put_file(self, lpath: object, rpath: object, *args: Any, **kwargs: Any) -> NoReturn:
        refuse("put_file", rpath)

    def put(self, lpath: object, rpath: object, *args: Any, **kwargs: Any) -> NoReturn:
        refuse("put", rpath)

    def cp_file(self, path1: str, path2: str, **kwargs: Any) -> NoReturn:
        refuse("cp_file", path1, path2)

    def copy(self, path1: object, path2: object, *args: Any, **kwargs: Any) -> NoReturn:
        refuse("copy", path1, path2)

    def mv(self, path1: object, path2: object, *args: Any, **kwargs: Any) -> NoReturn:
        refuse("mv", path1, path2)

    def rm_file(self, path: str) -> NoReturn:
        refuse("rm_file", path)

    def rm(self, path: object, *args: Any, **kwargs: Any) -> NoReturn:
        refuse("rm", path)

    def touch(self, path: str, truncate: bool = True, **kwargs: Any) -> NoReturn:
        refuse("touch", path)

    def write_text(self, path: str, value: str, *args: Any, **kwargs: Any) -> NoReturn:
        refuse("write_text", path)

    @property
    def transaction(self) -> NoReturn:
        refuse("a transaction")

    def start_transaction(self) -> NoReturn:
        refuse("a transaction")

    def end_transaction(self) -> NoReturn:
        refuse("a transaction")
