"""Creating and opening a store."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

from cas.backend.base import Backend, create_confirmed
from cas.backend.probe import probe_create_if_absent, probe_listing
from cas.environment import Clock, random_bytes
from cas.errors import (
    AlreadyExistsError,
    BackendError,
    ErrorCode,
    NotFoundError,
    UnsupportedError,
)
from cas.format import keys
from cas.format.config import (
    StoreConfig,
    check_features,
    decode_config,
    encode_config,
)

STORE_ID_BYTES = 16


def init_store(backend: Backend, clock: Clock, *, chunk_average: int) -> StoreConfig:
    """Create a store where none is.

    Raises:
        AlreadyExistsError: there is one.
        InvalidInputError: the chunk size is not allowed.
        UnsupportedError: the storage does not list all that it holds (MISSING_GUARANTEE).
        BackendError: the storage failed.
    """
    if _read_config(backend, creating=True) is not None:
        raise _exists(backend)
    probe_key = f"{keys.sessions_prefix()}/probe-{random_bytes(8).hex()}"
    config = StoreConfig(
        store_id=random_bytes(STORE_ID_BYTES).hex(),
        created_ns=clock.now_ns(),
        chunk_average=chunk_average,
        create_if_absent=False,
    )
    if not probe_listing(backend, f"{probe_key}-listed"):
        raise _incomplete(backend)
    config = replace(config, create_if_absent=probe_create_if_absent(backend, probe_key))
    content = encode_config(config)
    if not config.create_if_absent:
        backend.put(keys.CONFIG, [content])
        return config
    if create_confirmed(backend, keys.CONFIG, content) != content:
        raise _exists(backend)
    return config


def open_store(backend: Backend) -> StoreConfig:
    """Read what a store says of itself.

    Raises:
        NotFoundError: there is no store;
            there is not even the bucket, if an error of the driver is its cause.
        UnsupportedError: it needs a newer cas.
        CorruptionError: its configuration cannot be read.
    """
    config = _read_config(backend, creating=False)
    if config is None:
        _refuse_missing_bucket(backend)
        raise NotFoundError(
            f"no store at {backend.url}",
            code=ErrorCode.STORE_NOT_FOUND,
            hint=f"cas init {backend.url} makes one",
        )
    check_features(config, "read")
    return config


def _read_config(backend: Backend, *, creating: bool) -> StoreConfig | None:
    try:
        return decode_config(backend.get(keys.CONFIG))
    except NotFoundError as error:
        # Some servers make the bucket when something is written; the others say so then.
        if error.code is ErrorCode.STORE_NOT_FOUND and not creating:
            raise
        return None


def _refuse_missing_bucket(backend: Backend) -> None:
    """GCS answers a read of a missing bucket as one of a missing object, but not a listing."""
    with suppress(BackendError):  # whoever may not list learns that there is no store
        backend.list_folders("")


def _exists(backend: Backend) -> AlreadyExistsError:
    return AlreadyExistsError(
        f"there is a store at {backend.url} already",
        code=ErrorCode.STORE_EXISTS,
        hint=f"use it with --store {backend.url}",
    )


def _incomplete(backend: Backend) -> UnsupportedError:
    return UnsupportedError(
        f"no store can be at {backend.url}: its listings leave out what was just stored there",
        code=ErrorCode.MISSING_GUARANTEE,
        hint="what is not listed would be taken for garbage: use another server",
    )
