"""`cas put --from-version`: what a version has, with some of it left out and other files put to it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, BinaryIO

from cas.backend.open import is_remote_url
from cas.cli.values import STANDARD_INPUT, split_words
from cas.errors import ErrorCode, InvalidInputError, NotFoundError

if TYPE_CHECKING:
    from cas import Draft, PutOptions, Store


@dataclass(frozen=True, slots=True)
class VersionChanges:
    """What the options say.

    Attributes:
        base: the version, as a reference.
        removed: patterns of what is left out.
        to: the folder that the new files are put into.
        may_fit_nothing: a pattern that fits nothing is no error.
    """

    base: str
    removed: tuple[str, ...]
    to: str
    may_fit_nothing: bool


def read_changes(given: dict[str, Any]) -> VersionChanges | None:
    """Return what the options say; None where there is no `--from-version`.

    Raises:
        InvalidInputError: the others are given without it.
    """
    base, removed, to = given["from_version"], tuple(given["rm"]), given["to"] or ""
    if base is not None:
        return VersionChanges(base, removed, to, given["force"])
    for option, value in (("--rm", removed), ("--to", to)):
        if value:
            raise InvalidInputError(
                f"{option} says what changes in a version, and none is named",
                code=ErrorCode.INVALID_OPTION,
                hint="--from-version NAME:v3, or NAME:latest",
            )
    return None


def split_changing_words(
    words: Sequence[str], name: str | None, changes: VersionChanges | None
) -> tuple[list[str], str]:
    """Return the paths of a put and the artifact's name; where files are only left out of a version
    there need not be a path.

    Raises:
        InvalidInputError: the name or the paths are missing.
    """
    is_only_name = name is None and len(words) == 1 and not _looks_like_path(words[0])
    if changes is not None and changes.removed and is_only_name:
        return [], words[0]
    return split_words(words, name)


def _looks_like_path(word: str) -> bool:
    """Tell whether a word cannot be meant as the name of an artifact."""
    return word == STANDARD_INPUT or word.startswith((".", "/", "~")) or is_remote_url(word)


@contextmanager
def changed_version(
    store: Store,
    artifact: str,
    changes: VersionChanges,
    source: str | list[str] | BinaryIO,
    options: PutOptions,
) -> Iterator[Draft]:
    """Give the draft of a changed version, which is committed when the context is left."""
    path = options.path
    with store.draft(artifact, changes.base, replace(options, path=None)) as draft:
        for pattern in changes.removed:
            if not draft.remove(pattern, missing_ok=True) and not changes.may_fit_nothing:
                raise _fits_nothing(pattern, draft.base, is_first=pattern is changes.removed[0])
        if isinstance(source, str | list):
            if source:
                draft.add(source, f"{changes.to}/")
        else:
            with draft.open(f"{changes.to}/{path}", "wb") as file:
                shutil.copyfileobj(source, file)
        yield draft


def _fits_nothing(pattern: str, base: str | None, *, is_first: bool) -> NotFoundError:
    rest = "" if is_first else " left"
    return NotFoundError(
        f"{base} has nothing{rest} that fits --rm {pattern!r}",
        code=ErrorCode.PATH_NOT_FOUND,
        hint="* stays in a folder, ** crosses folders; --force lets it pass",
    )
