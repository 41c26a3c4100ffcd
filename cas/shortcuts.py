"""One-liners on the store in force: the argument, `CAS_STORE`, `cas.toml`, the user's file, or
the default store.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cas.environment import current_environ
from cas.errors import ErrorCode, InvalidInputError, NotFoundError
from cas.model.names import Ref
from cas.opening import StoreOptions
from cas.operations.outcomes import GetOptions, GetOutcome, PutOptions, PutOutcome
from cas.settings import find_store
from cas.store import AnySource, Store

if TYPE_CHECKING:
    from cas.drafts import Draft  # 0.1 s, for fsspec


def put(
    source: AnySource,
    name: str,
    options: PutOptions | None = None,
    *,
    store: Store | str | None = None,
) -> PutOutcome:
    """Store a folder, file, paths or stream as the next version; see `Store.put`.

    The default store is created by the first put.

    Examples:
        >>> cas.put(folder + "/digits", "digits", store=url).ref
        'digits:v0'
    """
    with _opened(store, create=True) as opened:
        return opened.put(source, name, options)


def draft(
    name: str,
    base: str | None = None,
    options: PutOptions | None = None,
    *,
    store: Store | str | None = None,
    **given: Any,
) -> Draft:
    r"""Begin a version that is written file by file; see `Store.draft`.

    Examples:
        >>> with cas.draft("digits", base="latest", store=url) as new:
        ...     new.pipe("more.txt", b"three\n")
        >>> new.outcome.ref
        'digits:v1'
    """
    # The draft outlives this call, so its store is left to it and closed with the process.
    opened = store if isinstance(store, Store) else _open(store, create=True)
    return opened.draft(name, base, options, **given)


def get(
    ref: str,
    dest: str | os.PathLike[str],
    options: GetOptions | None = None,
    *,
    store: Store | str | None = None,
) -> GetOutcome:
    """Write a version into a local folder; see `Store.get`.

    Examples:
        >>> cas.get("digits:v0", folder + "/copy", store=url).files
        2
    """
    with _opened(store) as opened:
        return opened.get(ref, dest, options)


def open(ref: str, *, store: Store | str | None = None) -> io.BufferedReader:
    r"""Open a file of a version for reading, `name:v3/path`; see `Version.open`.

    Examples:
        >>> cas.open("digits:v0/train/a.txt", store=url).read()
        b'one 1\n'
    """
    parsed = Ref.parse(ref)
    if not parsed.path:
        raise InvalidInputError(
            f"{ref!r} names no file",
            code=ErrorCode.INVALID_REF,
            hint=f"write the path after the version: {parsed}/path",
        )
    # The file outlives this call, so its store is left to it and closed with the process.
    opened = store if isinstance(store, Store) else _open(store)
    return opened.version(ref).open(parsed.path)


@contextmanager
def _opened(store: Store | str | None, *, create: bool = False) -> Iterator[Store]:
    if isinstance(store, Store):
        yield store
        return
    with _open(store, create=create) as opened:
        yield opened


def _open(store: str | None, *, create: bool = False) -> Store:
    choice = find_store(store, environ=current_environ(), cwd=Path.cwd())
    try:
        options = StoreOptions(use_cache=choice.use_cache)
        return Store.open(choice.url, storage_options=choice.storage_options, options=options)
    except NotFoundError:
        if not create or choice.source != "default":
            raise
    Path(choice.url).parent.mkdir(parents=True, exist_ok=True)
    return Store.create(choice.url)
