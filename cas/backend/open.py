"""From a URL to a backend."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from cas.backend.base import Backend
from cas.backend.driver_options import GCS_SCHEMES, S3_SCHEMES, SFTP_SCHEMES, scheme_of
from cas.backend.local import LocalBackend
from cas.backend.obstore_options import as_obstore_arguments
from cas.backend.one_at_a_time import OneAtATimeBackend
from cas.environment import current_environ
from cas.errors import ErrorCode, InvalidInputError
from cas.model.redaction import redact_text, remember_secrets, remember_url

# Two letters at least: `C:\data` is a path.
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")
_ONE_SLASH = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/(?!/)")
# Filesystems that lie in a store themselves.
_STORED_SCHEMES = frozenset({"cas", "casdraft"})
# There the part before the @ is the container, or the artifact, not a user.
_CONTAINER_SCHEMES = frozenset({"abfs", "abfss", "wasb", "wasbs"}) | _STORED_SCHEMES
_LOCAL_SCHEMES = frozenset({"file", "local"})


def open_backend(
    url: str | os.PathLike[str],
    storage_options: Mapping[str, Any] | None = None,
    *,
    create: bool = False,
) -> Backend:
    """Open what a URL or a local path names. Makes no request and no folder.

    Args:
        url: a path, `file://...`, or the URL of any fsspec filesystem.
        storage_options: passed on to the filesystem; credentials belong here, not in the URL.
        create: whether the first `put` or `create` may make the local folder.

    Raises:
        InvalidInputError: the URL names no filesystem, or chains several (INVALID_URL).
        UnsupportedError: the driver for it is not installed (MISSING_EXTRA).
    """
    text = os.fspath(url)
    if not text:
        raise InvalidInputError("the URL of the store is empty", code=ErrorCode.INVALID_URL)
    match = _SCHEME.match(text)
    if match is None and "://" not in text:
        refuse_misspelt(text)
        return LocalBackend(_expand(text), create_root=create)
    if match is None or "::" in text:
        raise InvalidInputError(
            f"{redact_url(text)!r} cannot be a store: it must name one filesystem, not a chain",
            code=ErrorCode.INVALID_URL,
        )
    if match.group(1).lower() in _STORED_SCHEMES:
        # It would be opened to open itself, where it is the store in force.
        raise InvalidInputError(
            f"{redact_url(text)!r} cannot be a store: it lies in one",
            code=ErrorCode.INVALID_URL,
            hint="name that one: a folder, s3://bucket/prefix, or a name of the settings",
        )
    if match.group(1).lower() in _LOCAL_SCHEMES:
        return LocalBackend(_expand(local_path(text)), create_root=create)
    options = storage_options or {}
    keep_secret(text, options)
    open_driver = partial(_open_driver, text, options, redact_url(text))
    return _open_natively(text, options, open_driver) or open_driver()


def refuse_misspelt(text: str) -> None:
    """Refuse `s3:/bucket`, which would be a folder called `s3:` here.

    Raises:
        InvalidInputError: it is a URL but for a slash (INVALID_URL).
    """
    match = _ONE_SLASH.match(text)
    if match is not None:
        meant = f"{match[1]}://{text[match.end() :]}"
        raise InvalidInputError(
            f"{redact_text(text)!r} is no URL, and hardly a folder",
            code=ErrorCode.INVALID_URL,
            hint=f"a URL has two slashes: {redact_url(meant)}; a folder is written ./{text}",
        )


def keep_secret(url: str, options: Mapping[str, Any]) -> None:
    """Keep what a URL and options hold of credentials out of all messages from now on.

    Raises:
        InvalidInputError: the URL has credentials where the driver takes none (INVALID_URL).
    """
    remember_url(url)
    remember_secrets(options)
    place = url.partition("://")[2].partition("/")[0]
    if scheme_of(url) in S3_SCHEMES | GCS_SCHEMES and "@" in place:
        raise InvalidInputError(
            f"{redact_url(url)}: credentials cannot be part of the URL",
            code=ErrorCode.INVALID_URL,
            hint="leave them to the driver: a profile, variables, or options of the store",
        )


def _open_driver(url: str, options: Mapping[str, Any], shown_url: str) -> Backend:
    # fsspec takes 0.1 s to import, which every command on a local store would pay.
    from cas.backend.fsspec_backend import open_fsspec_backend

    backend = open_fsspec_backend(url, options, shown_url=shown_url)
    return OneAtATimeBackend(backend) if scheme_of(url) in SFTP_SCHEMES else backend


def _open_natively(
    url: str, options: Mapping[str, Any], open_instead: Callable[[], Backend]
) -> Backend | None:
    """Open an S3 store by obstore, where that is installed and can do what is asked for."""
    if scheme_of(url) not in S3_SCHEMES or "?" in url:
        return None
    bucket, _, root = url.partition("://")[2].partition("/")
    arguments = as_obstore_arguments(bucket, options, current_environ())
    if arguments is None or not bucket:
        return None
    try:
        from cas.backend.obstore_backend import ObstoreBackend  # an extra: cas-store[fast]
    except ImportError:
        return None
    return ObstoreBackend(arguments, root, url=redact_url(url), open_instead=open_instead)


def is_remote_url(text: str) -> bool:
    """Tell whether a text names a place behind a driver of fsspec, not a path of this machine."""
    match = _SCHEME.match(text)
    if match is None:
        return "::" in text and "://" in text  # a chain, which is refused where it is opened
    return match.group(1).lower() not in _LOCAL_SCHEMES


def local_path(text: str) -> str:
    """Return the path that a `file://` URL names; any other text as it is."""
    match = _SCHEME.match(text)
    if match is None or match.group(1).lower() not in _LOCAL_SCHEMES:
        return text
    path = text[match.end() :]
    is_drive = os.name == "nt" and re.match(r"/[A-Za-z]:", path) is not None
    return path[1:] if is_drive else path


def redact_url(url: str) -> str:
    """Return `url` without user part and query, which may be secrets, and without a final `/`."""
    match = _SCHEME.match(url)
    if match is None or "::" in url:
        return redact_text(url) if "://" in url else url
    scheme = match.group(1).lower()
    location, slash, path = url[match.end() :].partition("?")[0].partition("/")
    user, at, host = location.rpartition("@")
    if scheme in _CONTAINER_SCHEMES and ":" not in user:
        host = f"{user}{at}{host}"
    return f"{scheme}://{host}{slash}{path}".rstrip("/") if host or path else f"{scheme}://"


def _expand(path: str) -> str:
    return os.path.expanduser(path)  # noqa: PTH111 - a `~` that is nobody's home stays a name
