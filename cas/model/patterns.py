"""Patterns of paths, in which `*` stays in a folder and `**` stands for any number of them."""

from __future__ import annotations

import fnmatch
import re

from cas.errors import ErrorCode, InvalidInputError

_MAGIC = re.compile(r"[*?\[]")


def path_expression(pattern: str) -> str:
    """Return a regular expression for a pattern of whole paths.

    Raises:
        InvalidInputError: the pattern is empty.
    """
    pattern = pattern.strip("/")
    if not pattern:
        raise InvalidInputError("the pattern is empty", code=ErrorCode.INVALID_OPTION)
    parts = [
        "(?:[^/]+/)*" if part == "**" else _component_expression(part) + "/"
        for part in pattern.split("/")
    ]
    if pattern.rsplit("/", maxsplit=1)[-1] == "**":
        parts[-1] = ".+/"
    return "".join(parts).removesuffix("/")


def fixed_folder(pattern: str) -> str:
    """Return the folder below which everything lies that a pattern fits."""
    return _MAGIC.split(pattern.strip("/"))[0].rpartition("/")[0]


def has_wildcards(pattern: str) -> bool:
    """Tell whether a pattern may fit more than one path."""
    return _MAGIC.search(pattern) is not None


def _component_expression(pattern: str) -> str:
    """Return a regular expression for a pattern of one name."""
    parts: list[str] = []
    for piece in re.findall(r"\*+|\?|\[!?\]?[^\]]*\]|.", pattern, re.DOTALL):
        if piece[0] == "*":
            parts.append("[^/]*")
        elif piece == "?":
            parts.append("[^/]")
        elif len(piece) > 1:
            of_class = re.sub(r"\)\\[zZ]$", "", fnmatch.translate(piece).removeprefix("(?s:"))
            parts.append(f"(?!/){of_class}")
        else:
            parts.append(re.escape(piece))
    return "".join(parts)
