"""Opens a driver of fsspec with the options that cas needs of it.

Each request is tried once by the driver. Drivers' own repetitions multiply each other (botocore's
five by s3fs's five, with sleeps: a port where nobody listens took 12 s, gcsfs 34 s, adlfs 90 s; a
server that never answers over a minute at time-outs of one second), hide throttling from whoever could slow down, and wait in
silence. Trying again is left to one place above.
"""

from __future__ import annotations

import difflib
import logging
import re
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from typing import Any

from fsspec import AbstractFileSystem
from fsspec.core import url_to_fs
from fsspec.registry import known_implementations

from cas.backend.driver_options import (
    AZURE_SCHEMES,
    GCS_SCHEMES,
    S3_SCHEMES,
    SFTP_SCHEMES,
    merge_options,
    scheme_of,
)
from cas.backend.failures import as_cas_error, describe, missing_credentials
from cas.environment import current_environ
from cas.errors import ErrorCode, InvalidInputError, UnsupportedError

_EXTRAS = (
    dict.fromkeys(S3_SCHEMES, "s3")
    | dict.fromkeys(GCS_SCHEMES, "gcs")
    | dict.fromkeys(AZURE_SCHEMES, "azure")
    | dict.fromkeys(SFTP_SCHEMES, "sftp")
)
_USUAL_SCHEMES = ("s3", "gs", "az", "sftp", "file")
# botocore's 10 would queue the transfers that callers believe to be in flight.
_S3_CONNECTIONS = 64
_CONNECT_SECONDS = 5
# Between two pieces of an answer, not for the whole of it.
_READ_SECONDS = 20
_ONCE = 1
# What these say is in the exception too; without a handler logging prints tracebacks to stderr.
_CHATTY = ("s3fs", "aiobotocore", "botocore", "gcsfs", "google", "adlfs", "azure", "paramiko")


def open_filesystem(
    url: str, storage_options: Mapping[str, Any], *, shown_url: str, of_store: bool = True
) -> tuple[AbstractFileSystem, str]:
    """Open the filesystem that `url` names, and return it with the path of the root on it.

    `shown_url` is what may be shown of the URL; `of_store`, that it is not a source or target.

    Raises:
        InvalidInputError: no filesystem has that scheme (INVALID_URL), or the driver refuses an
            option (INVALID_OPTION).
        UnsupportedError: its driver is not installed (MISSING_EXTRA).
        BackendError: the driver needs credentials to open, and there are none.
    """
    scheme = scheme_of(url)
    for name in _CHATTY:
        logging.getLogger(name).addHandler(_NOWHERE)
    try:
        filesystem, root = _open(url, scheme, merge_options(_defaults(scheme), storage_options))
    except ImportError as error:
        extra = _EXTRAS.get(scheme)
        raise UnsupportedError(
            f"the driver for {scheme}:// is not installed: {describe(error)}",
            code=ErrorCode.MISSING_EXTRA,
            hint=f"pip install 'cas-store[{extra}]'" if extra else "install the fsspec driver",
        ) from error
    except TypeError as error:
        raise _refused_option(error, shown_url) from error
    except (ValueError, KeyError) as error:
        if scheme in AZURE_SCHEMES and "with credentials" in str(error):
            raise missing_credentials(shown_url) from error
        raise InvalidInputError(
            f"{shown_url} cannot be opened: {describe(error)}",
            code=ErrorCode.INVALID_URL,
            hint=_near(scheme, shown_url),
        ) from error
    except Exception as error:
        raise as_cas_error(error, shown_url, of_store=of_store) from error
    return filesystem, root.rstrip("/")


_NOWHERE = logging.NullHandler()


def _defaults(scheme: str) -> dict[str, Any]:
    """Return what a driver is told unless the user says otherwise."""
    # A cached listing hides what another process just stored; a shared instance could have one.
    options: dict[str, Any] = {"use_listings_cache": False, "skip_instance_cache": True}
    if scheme in SFTP_SCHEMES:
        # It has no cache, and passes every option on to paramiko, which refuses this one.
        return {"skip_instance_cache": True, "timeout": _CONNECT_SECONDS}
    if scheme in S3_SCHEMES:
        options["config_kwargs"] = {
            "max_pool_connections": _S3_CONNECTIONS,
            "connect_timeout": _CONNECT_SECONDS,
            "read_timeout": _READ_SECONDS,
            "retries": {"total_max_attempts": _ONCE, "mode": "standard"},
        }
        # With more, s3fs asks for the size of an object before it reads it whole.
        options["max_concurrency"] = 1
        environ = current_environ()
        # Every other client of AWS reads this variable; botocore reads only AWS_DEFAULT_REGION.
        region = environ.get("AWS_REGION")
        if region and not environ.get("AWS_DEFAULT_REGION"):
            options["client_kwargs"] = {"region_name": region}
    elif scheme in AZURE_SCHEMES:
        options |= {"connection_timeout": _CONNECT_SECONDS, "read_timeout": _READ_SECONDS}
    elif scheme in GCS_SCHEMES:
        # Without any, gcsfs waits for an answer for ever.
        from aiohttp import ClientTimeout  # comes with gcsfs; a missing driver is told above

        options["requests_timeout"] = ClientTimeout(
            total=None, sock_connect=_CONNECT_SECONDS, sock_read=_READ_SECONDS
        )
    return options


def _open(url: str, scheme: str, options: dict[str, Any]) -> tuple[AbstractFileSystem, str]:
    if scheme in GCS_SCHEMES and not current_environ().get("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT"):
        # The class that gcsfs registers asks for the kind of each bucket over gRPC, which
        # emulators do not answer; cas needs nothing of it.
        from gcsfs.core import GCSFileSystem

        filesystem, root = GCSFileSystem(**options), GCSFileSystem._strip_protocol(url)  # noqa: SLF001 - what url_to_fs calls
    else:
        filesystem, root = url_to_fs(url, **options)
    try_once(filesystem)
    if scheme in S3_SCHEMES:
        # Makes no request, but says which options are wrong, and that a profile does not exist.
        filesystem.connect()
    return filesystem, root


def try_once(filesystem: Any) -> None:
    """Turn off the repetitions for which a driver has no option; for each instance anew."""
    protocols = filesystem.protocol
    schemes = {protocols} if isinstance(protocols, str) else set(protocols)
    if schemes & S3_SCHEMES:
        filesystem.retries = _ONCE
    with suppress(AttributeError):  # a later release may keep them elsewhere; then it only waits
        if schemes & GCS_SCHEMES:
            # Six tries, with 31 s of sleep between them.
            once = type(filesystem)._request.__wrapped__  # noqa: SLF001 - there is no public way
            filesystem._request = partial(once, filesystem)  # noqa: SLF001 - the same
        elif schemes & AZURE_SCHEMES:
            # Four tries, with 90 s of sleep between them.
            filesystem.service_client._config.retry_policy.total_retries = 0  # noqa: SLF001 - the same


def _near(scheme: str, shown_url: str) -> str | None:
    """Return what may be meant, if nothing is of this scheme."""
    if scheme in known_implementations:
        return None
    near = difflib.get_close_matches(scheme, _USUAL_SCHEMES, n=1, cutoff=0.5)
    # No question mark right after a URL: what follows one is hidden as its query.
    meant = f"perhaps {near[0]}{shown_url[len(scheme) :]} is meant; " if near else ""
    return f"{meant}usual ones are {', '.join(f'{one}://' for one in _USUAL_SCHEMES)}"


def _refused_option(error: TypeError, shown_url: str) -> InvalidInputError:
    named = re.search(r"unexpected keyword argument '(\w+)'", str(error))
    what = f"unknown option {named.group(1)}" if named else describe(error)
    return InvalidInputError(
        f"{shown_url} cannot be opened: {what}",
        code=ErrorCode.INVALID_OPTION,
        hint="the options are those of the fsspec driver",
    )
