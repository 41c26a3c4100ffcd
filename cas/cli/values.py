"""Values that options take: sizes, lists, metadata, the words of a put, and what a REF names."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from cas.backend.open import is_remote_url
from cas.errors import CasError, ErrorCode, InvalidInputError
from cas.model.durations import SECOND_NS, parse_span
from cas.model.names import Ref
from cas.model.units import parse_size

STANDARD_INPUT = "-"


class SizeType(click.ParamType[int]):
    """A size such as 64KiB."""

    name = "size"

    def convert(
        self, value: str | int, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """Return bytes."""
        return value if isinstance(value, int) else parse_size(value)


class DurationType(click.ParamType[float]):
    """A duration such as 90d."""

    name = "duration"

    def convert(
        self, value: str | float, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return seconds."""
        return parse_span(value) / SECOND_NS if isinstance(value, str) else value


SIZE = SizeType()
DURATION = DurationType()
JOBS = click.IntRange(min=1, max=256)


def split_list(texts: Sequence[str]) -> tuple[str, ...]:
    """Return the members of repeated options, each of which may be a list with commas."""
    return tuple(part.strip() for text in texts for part in text.split(",") if part.strip())


def merge_metadata(texts: Sequence[str], option: str = "--metadata") -> dict[str, Any]:
    """Return what `K=V`, a JSON object or `@FILE` say together; later ones win. `option` is what
    gave them.

    A value that reads as JSON is taken as such: `epochs=3` is a number, `note=hello` a text.

    Raises:
        InvalidInputError: one of them is none of these.
        OSError: a file cannot be read.
    """
    merged: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if text.startswith("@"):
            content = Path(text[1:]).read_text(encoding="utf-8", errors="surrogateescape")
            merged.update(_json_object(content, text[1:]))
        elif text.lstrip().startswith("{"):
            merged.update(_json_object(text, option))
        elif equals and name:
            merged[name] = _json_or_text(value)
        else:
            raise InvalidInputError(
                f"{option} {text!r} has no value",
                code=ErrorCode.INVALID_OPTION,
                hint="write key=value, a JSON object, or @file.json",
            )
    return merged


def split_words(words: Sequence[str], name: str | None) -> tuple[list[str], str]:
    """Return the paths of a put and the artifact's name: the last word unless `name` is given.

    Raises:
        InvalidInputError: the name or the paths are missing, or stand the other way round.
    """
    paths, artifact = (list(words), name) if name else (list(words[:-1]), words[-1])
    if not paths:
        raise InvalidInputError(
            f"no artifact is named to put {words[0]!r} into",
            code=ErrorCode.INVALID_OPTION,
            hint=f"cas put {words[0]} NAME",
        )
    # Where both exist as files nothing can be told; where only the last does, the order is wrong.
    turned = name is None and os.path.lexists(artifact) and not os.path.lexists(paths[0])
    if turned and paths[0] != STANDARD_INPUT and not is_remote_url(paths[0]):
        raise InvalidInputError(
            f"{paths[0]!r} is no file or folder; the artifact's name comes last",
            code=ErrorCode.INVALID_OPTION,
            hint=f"cas put {' '.join([*paths[1:], artifact])} {paths[0]}",
        )
    return paths, artifact


def parse_ref(text: str) -> Ref:
    """Read a REF.

    Raises:
        InvalidInputError: it is none.
    """
    return Ref.parse(text)


def names_version(text: str) -> bool:
    """Tell whether a REF says which version, be it `latest`; else it may mean all of them."""
    return ":" in text or "@" in text


def is_folder_argument(text: str) -> bool:
    """Tell whether the second word of a diff is a local folder or a URL rather than a REF.

    `./x`, `/x`, `~/x`, `s3://x` always are; a bare word is if there is such a folder, and `word:latest`
    names the artifact then.
    """
    if text.startswith((".", "/", "~")) or "://" in text or Path(text).is_absolute():
        return True
    if names_version(text):
        try:
            parse_ref(text)
        except CasError:
            return Path(text).is_dir()
        return False
    return Path(text).is_dir()


def _json_object(text: str, where: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise InvalidInputError(
            f"{where}: {error}", code=ErrorCode.INVALID_OPTION, hint='write it like {"epochs": 3}'
        ) from error
    if not isinstance(value, dict):
        raise InvalidInputError(f"{where}: not a JSON object", code=ErrorCode.INVALID_OPTION)
    return value


def _json_or_text(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
