"""What a put takes: paths, URLs or a stream, brought to one form."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import BinaryIO

from cas.backend.open import is_remote_url, local_path
from cas.errors import ErrorCode, InvalidInputError
from cas.operations.outcomes import PutOptions
from cas.operations.store_tree import Source, StreamSource, UrlSource

PathLike = str | os.PathLike[str]


def as_source(source: PathLike | Sequence[PathLike] | BinaryIO, options: PutOptions) -> Source:
    """Tell paths, URLs and streams from each other; a `file://` URL is a path.

    Raises:
        InvalidInputError: a stream without `options.path`, no path at all, paths beside URLs, or
            options of a source that has none.
    """
    if isinstance(source, str | os.PathLike):
        return _paths_or_urls([os.fspath(source)], options)
    if isinstance(source, Sequence):
        if not source:
            raise InvalidInputError("there is no path to put", code=ErrorCode.INVALID_OPTION)
        return _paths_or_urls([os.fspath(one) for one in source], options)
    if options.path is None:
        raise InvalidInputError(
            "a stream needs the path of the file that it becomes",
            code=ErrorCode.INVALID_OPTION,
            hint="give --path, or PutOptions(path=...)",
        )
    return StreamSource(source, options.path)


def _paths_or_urls(words: list[str], options: PutOptions) -> Source:
    urls = [word for word in words if is_remote_url(word)]
    if urls and len(urls) < len(words):
        raise InvalidInputError(
            "local paths and URLs cannot be put together",
            code=ErrorCode.INVALID_OPTION,
            hint="put them one after the other, as two artifacts",
        )
    if urls:
        return UrlSource(tuple(urls))
    if options.source_options:
        raise InvalidInputError(
            "source options are for sources that are URLs", code=ErrorCode.INVALID_OPTION
        )
    return [local_path(word) for word in words]
