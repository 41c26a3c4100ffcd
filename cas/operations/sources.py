"""What a put takes: paths or a stream, brought to one form."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import BinaryIO

from cas.errors import ErrorCode, InvalidInputError
from cas.operations.outcomes import PutOptions
from cas.operations.store_tree import Source, StreamSource

PathLike = str | os.PathLike[str]


def as_source(source: PathLike | Sequence[PathLike] | BinaryIO, options: PutOptions) -> Source:
    """Tell paths from streams.

    Raises:
        InvalidInputError: a stream without `options.path`, or no path at all.
    """
    if isinstance(source, str | os.PathLike):
        return [os.fspath(source)]
    if isinstance(source, Sequence):
        if not source:
            raise InvalidInputError("there is no path to put", code=ErrorCode.INVALID_OPTION)
        return [os.fspath(one) for one in source]
    if options.path is None:
        raise InvalidInputError(
            "a stream needs the path of the file that it becomes",
            code=ErrorCode.INVALID_OPTION,
            hint="give --path, or PutOptions(path=...)",
        )
    return StreamSource(source, options.path)
