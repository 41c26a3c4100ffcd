"""Which error of cas a storage exception becomes. The only translator of them."""

from __future__ import annotations

import errno
import re

from cas.errors import AlreadyExistsError, BackendError, CasError, ErrorCode, NotFoundError

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_DENIED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
# The query of a URL may be a signature that opens the store.
_URL_QUERY = re.compile(r"(\w+://[^\s?'\"<>]*)\?[^\s'\"<>]*")
_URL_USER = re.compile(r"(\w+://)[^\s/@'\"<>]*@")


def as_cas_error(error: Exception, where: str) -> CasError:
    """Return what `error`, raised by a request for `where`, means to a caller of a backend.

    Chain it: `raise as_cas_error(error, where) from error`.
    """
    number = error.errno if isinstance(error, OSError) else None
    if isinstance(error, (FileNotFoundError, NotADirectoryError, IsADirectoryError)):
        return NotFoundError(f"{where}: no such object", code=ErrorCode.OBJECT_NOT_FOUND)
    if isinstance(error, FileExistsError):
        return AlreadyExistsError(f"{where}: exists already", code=ErrorCode.OBJECT_EXISTS)
    message = f"{where}: {describe(error)}"
    if number in _FULL:
        return BackendError(
            message, code=ErrorCode.DISK_FULL, hint="free some space there, then run it again"
        )
    if isinstance(error, PermissionError) or number in _DENIED:
        return BackendError(
            message, code=ErrorCode.ACCESS_DENIED, hint="check the credentials and permissions"
        )
    return BackendError(message, code=ErrorCode.BACKEND_FAILED)


def describe(error: BaseException) -> str:
    """Return what an exception says, in one line and without the secrets of URLs in it."""
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    text = " ".join(str(text).split()) or type(error).__name__
    return redact_text(text)


def redact_text(text: str) -> str:
    """Return `text` with the user part and the query of every URL in it removed."""
    return _URL_USER.sub(r"\1", _URL_QUERY.sub(r"\1", text))
