"""What is refused where nothing keeps two writers apart. Spec: specs/protocol/backend.md."""

from __future__ import annotations

from cas.errors import ErrorCode, UnsupportedError
from cas.format.config import check_features
from cas.objects.parts import StoreParts


def require_create_if_absent(parts: StoreParts, act: str) -> None:
    """Raise unless the storage was seen to create an object only where none is.

    Raises:
        UnsupportedError: it was not, or the installed driver cannot ask for it
            (MISSING_GUARANTEE).
    """
    require_able_client(parts)
    if not parts.config.create_if_absent:
        raise UnsupportedError(
            f"{act} is refused in {parts.backend.url}: its storage does not keep two writers apart",
            code=ErrorCode.MISSING_GUARANTEE,
            hint="put and get work there, with one writer at a time; rm needs a storage that never "
            "overwrites when asked not to",
        )


def require_collection(parts: StoreParts, *, exclusive: bool) -> None:
    """Raise unless garbage can be collected here without harm to others.

    Args:
        exclusive: the caller vouches that nobody else works on the store.

    Raises:
        UnsupportedError: the store needs features that this release does not know, or its storage
            does not keep two writers apart (MISSING_GUARANTEE).
    """
    check_features(parts.config, "gc")
    if exclusive:
        return
    require_able_client(parts)
    if not parts.config.create_if_absent:
        raise UnsupportedError(
            f"{parts.backend.url} cannot be collected while others may use it: its storage does "
            "not keep two writers apart",
            code=ErrorCode.MISSING_GUARANTEE,
            hint="make sure that nobody else uses the store, then: cas gc --exclusive",
        )


def require_able_client(parts: StoreParts) -> None:
    """Raise if the store counts on a condition that the installed driver would not send.

    Raises:
        UnsupportedError: this client would overwrite what others wrote (MISSING_GUARANTEE).
    """
    able = parts.backend.capabilities
    if parts.config.create_if_absent and not (able.create_if_absent or able.local):
        raise UnsupportedError(
            f"the installed driver for {parts.backend.url} is too old to write there: it would "
            "overwrite what others write at the same time",
            code=ErrorCode.MISSING_GUARANTEE,
            hint="install newer versions of the driver and its client library",
        )
