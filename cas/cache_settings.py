"""How much of the data that is read is kept on this machine, who said so, and saying so.

A matter of the user and the machine, so a project's `cas.toml` has no say in it.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cas.chunk_cache.files import CACHE_FOLDER
from cas.chunk_cache.limits import parse_limit
from cas.environment import random_bytes
from cas.errors import ErrorCode, InvalidInputError
from cas.settings import cache_folder, config_file, user_cache_size

CACHE_SIZE_VARIABLE = "CAS_CACHE_SIZE"
_SETTING = re.compile(r"^[ \t]*cache_size[ \t]*=.*$", re.MULTILINE)
_TABLE = re.compile(r"^[ \t]*\[", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheChoice:
    """The cache of data in force and why.

    Attributes:
        folder: where it is, whether or not there is anything yet.
        limit_bytes: how much it may take; 0 is none.
        size: how that was said; None if nobody did.
        source: `argument`, `CAS_CACHE_SIZE`, `user config` or `default`.
        origin: the variable, option or file that decided.
    """

    folder: Path
    limit_bytes: int
    size: str | None
    source: str
    origin: str


def choose_cache(
    environ: Mapping[str, str], *, size: int | str | None = None, folder: str | None = None
) -> CacheChoice:
    """Return the cache in force: `size`, else CAS_CACHE_SIZE, else the user's file, else none.

    Args:
        environ: the environment.
        size: bytes, or text such as `20GB`, `10%`, `0`.
        folder: that of journal and caches, if not the one that the environment names.

    Raises:
        InvalidInputError: a size is none, or the user's file is malformed.
    """
    place = Path(folder or cache_folder(environ)) / CACHE_FOLDER
    if size is not None:
        return _choice(place, str(size), "argument", "the cache size")
    if variable := environ.get(CACHE_SIZE_VARIABLE):
        return _choice(place, variable, "CAS_CACHE_SIZE", CACHE_SIZE_VARIABLE)
    saved = user_cache_size(environ)
    if saved is not None:
        return _choice(place, saved, "user config", str(config_file(environ)))
    return CacheChoice(
        folder=place, limit_bytes=0, size=None, source="default", origin="nobody asked for one"
    )


def save_cache_size(environ: Mapping[str, str], size: str) -> Path:
    """Write `cache_size` into the user's file, and leave all else there as it is; return the file.

    Raises:
        InvalidInputError: the size is none, or the file is malformed.
        OSError: the file cannot be written.
    """
    parse_limit(size, cache_folder(environ))
    user_cache_size(environ)
    path = config_file(environ)
    before = path.read_text(encoding="utf-8") if path.exists() else ""
    first_table = match.start() if (match := _TABLE.search(before)) else len(before)
    top, tables = before[:first_table], before[first_table:]
    line = f'cache_size = "{size.strip()}"'
    # If it is new, then in front, so that no value of several lines is cut in two.
    has_one = _SETTING.search(top) is not None
    top = _SETTING.sub(line, top, count=1) if has_one else f"{line}\n{top}"
    after = top + tables
    if tomllib.loads(after) != {**tomllib.loads(before), "cache_size": size.strip()}:
        raise InvalidInputError(
            f"{path} is written in a way that does not let cas change it",
            code=ErrorCode.INVALID_CONFIG,
            hint=f"write {line} into it",
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    _replace(path, after.encode())
    return path


def _replace(path: Path, content: bytes) -> None:
    """Put new content in place of a file's, whole or not at all; others see no more than before."""
    path = path.resolve()  # a link to a file that is kept elsewhere stays one
    mode = path.stat().st_mode & 0o777 if path.exists() else 0o600
    new = path.with_name(f".{path.name}.{random_bytes(8).hex()}")
    try:
        new.touch(mode, exist_ok=False)
        new.write_bytes(content)
        new.replace(path)
    except BaseException:
        new.unlink(missing_ok=True)
        raise


def _choice(place: Path, size: str, source: str, origin: str) -> CacheChoice:
    try:
        limit = parse_limit(size, place)
    except InvalidInputError as error:
        raise InvalidInputError(f"{origin}: {error}", code=error.code, hint=error.hint) from error
    return CacheChoice(folder=place, limit_bytes=limit, size=size, source=source, origin=origin)
