"""Which store the filesystem reads: from options, a chained URL, `CAS_STORE` or settings."""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cas.backend.driver_options import AZURE_SCHEMES, S3_SCHEMES, scheme_of
from cas.environment import current_environ
from cas.errors import ErrorCode, InvalidInputError, NotFoundError
from cas.opening import StoreOptions
from cas.settings import STORE_VARIABLE, find_store
from cas.store import Store

# universal-pathlib calls a folder without a scheme "".
_LOCAL = frozenset({"", "file", "local"})
_WITH_ANON = S3_SCHEMES | AZURE_SCHEMES


@dataclass(frozen=True, slots=True)
class ChosenStore:
    """Where a store is, and the options for its driver; or a store that is open already.

    Attributes:
        is_named: somebody said which store, so it is not the one that there is by default.
    """

    url: str
    options: Mapping[str, Any] = field(repr=False)
    opened: Store | None = None
    process: int = 0
    use_cache: bool | None = None
    is_named: bool = True

    def open(self) -> Store:
        """Open it.

        Raises as `Store.open` does.
        """
        if self.opened is None:
            options = StoreOptions(use_cache=self.use_cache)
            try:
                return Store.open(self.url, storage_options=self.options, options=options)
            except NotFoundError as error:
                if self.is_named:
                    raise
                hint = "name one: store= in storage_options, ::URL behind the path, or CAS_STORE"
                raise NotFoundError(str(error), code=error.code, hint=hint) from error
        # In a forked child it opens anew, as its pickle does.
        return self.opened if self.process == os.getpid() else copy.copy(self.opened)


def choose_store(
    store: str | os.PathLike[str] | Store | None,
    chained: str | None,
    protocol: str | None,
    options: Mapping[str, Any] | None,
    anon: bool | None = None,
) -> ChosenStore:
    """Return the store that arguments, the environment and settings name.

    Args:
        store: a URL, a folder, a name of the settings, or an open store.
        chained: what follows `::` in a URL, without its protocol.
        protocol: that protocol.
        options: for the driver of the store; they go over those of the settings.
        anon: without credentials. Nothing to drivers that have no such option: pandas tries it
            with every URL that was refused, and the reason for that is what its users must see.

    Raises:
        InvalidInputError: two stores are named, or settings are malformed.
    """
    if isinstance(store, Store):
        return ChosenStore(store.url, {}, store, os.getpid())
    if chained is not None:
        if store is not None:
            raise InvalidInputError(
                f"the URL names one store, {chained}, and the options another, {store}",
                code=ErrorCode.INVALID_OPTION,
                hint="leave one of them out",
            )
        store = chained if protocol in (None, *_LOCAL) else f"{protocol}://{chained}"
    named = None if store is None else os.fspath(store)
    choice = find_store(named, environ=current_environ(), cwd=Path.cwd())
    merged = dict(choice.storage_options) | dict(options or {})
    if anon and scheme_of(choice.url) in _WITH_ANON:
        merged.setdefault("anon", True)
    return ChosenStore(
        choice.url, merged, use_cache=choice.use_cache, is_named=choice.source != "default"
    )


class AmbientStore:
    """Its representation tells which store is in force where none is named.

    Part of the key by which fsspec caches instances, so that one made before `CAS_STORE` was
    changed is not taken for one of after.
    """

    def __repr__(self) -> str:
        return f"{current_environ().get(STORE_VARIABLE)} {Path.cwd()}"
