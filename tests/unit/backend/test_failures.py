"""What a storage exception becomes."""

from __future__ import annotations

import errno
import os

import pytest

from cas.backend.failures import as_cas_error, describe
from cas.errors import AlreadyExistsError, BackendError, ErrorCode, NotFoundError


@pytest.mark.parametrize(
    ("error", "kind", "code"),
    [
        (FileNotFoundError("x"), NotFoundError, ErrorCode.OBJECT_NOT_FOUND),
        (NotADirectoryError("x"), NotFoundError, ErrorCode.OBJECT_NOT_FOUND),
        (IsADirectoryError("x"), NotFoundError, ErrorCode.OBJECT_NOT_FOUND),
        (FileExistsError("x"), AlreadyExistsError, ErrorCode.OBJECT_EXISTS),
        (PermissionError("Forbidden"), BackendError, ErrorCode.ACCESS_DENIED),
        (OSError(errno.EROFS, "read-only"), BackendError, ErrorCode.ACCESS_DENIED),
        (OSError(errno.ENOSPC, "full"), BackendError, ErrorCode.DISK_FULL),
        (OSError(errno.EDQUOT, "quota"), BackendError, ErrorCode.DISK_FULL),
        (OSError(errno.EBUSY, "conflict"), BackendError, ErrorCode.BACKEND_FAILED),
        (TimeoutError(), BackendError, ErrorCode.BACKEND_FAILED),
        (RuntimeError("odd"), BackendError, ErrorCode.BACKEND_FAILED),
    ],
)
def test_every_exception_has_a_meaning(error, kind, code):
    """Nothing but these three classes comes out, and the place is named."""
    found = as_cas_error(error, "s3://bucket/key")

    assert (type(found), found.code) == (kind, code)
    assert str(found).startswith("s3://bucket/key: ")


def test_the_systems_words_are_kept():
    """What went wrong is said once, in one line."""
    assert describe(OSError(errno.EIO, os.strerror(errno.EIO), "/a")) == os.strerror(errno.EIO)
    assert describe(ValueError("two\nlines ")) == "two lines"
    assert describe(TimeoutError()) == "TimeoutError"


def test_signatures_in_urls_are_not_repeated():
    """Drivers quote the URL of a failed request, whose query may open the store."""
    error = OSError("GET 'https://me:pw@h.example/b/k?X-Signature=hunter2&e=1' failed")

    assert describe(error) == "GET 'https://h.example/b/k' failed"
