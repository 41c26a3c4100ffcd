"""The two sides of a comparison, and the path of both that it is about."""

from __future__ import annotations

from dataclasses import dataclass

from cas.errors import ErrorCode, InvalidInputError, NotFoundError
from cas.model.entry import path_to_bytes
from cas.model.names import Ref
from cas.objects.parts import StoreParts
from cas.operations.list_folder import is_folder
from cas.operations.pinned import PinnedVersion, pin_version


@dataclass(frozen=True, slots=True)
class Sides:
    """Two versions, and the path at or below which they are compared; empty for all of them."""

    old: PinnedVersion
    new: PinnedVersion
    path: str


def pin_sides(parts: StoreParts, old: str, new: str, path: str) -> Sides:
    """Resolve both sides. A path may stand in both references as well.

    Raises:
        NotFoundError: there is no such version, or neither has anything at the path.
        InvalidInputError: a reference is malformed, or they name different paths.
    """
    before, after = Ref.parse(old), Ref.parse(new)
    named = {one for one in (before.path, after.path, path.strip("/")) if one}
    if len(named) > 1 or bool(before.path) != bool(after.path):
        raise InvalidInputError(
            f"{old} and {new} name different paths",
            code=ErrorCode.INVALID_OPTION,
            hint=f"one path of both is compared: cas diff {before.artifact} ... PATH",
        )
    sides = Sides(pin_version(parts, before), pin_version(parts, after), "".join(named))
    if sides.path and not any(_has(one, sides.path) for one in (sides.old, sides.new)):
        raise NotFoundError(
            f"neither {old} nor {new} has {sides.path!r}", code=ErrorCode.PATH_NOT_FOUND
        )
    return sides


def _has(version: PinnedVersion, path: str) -> bool:
    at = path_to_bytes(path)
    return version.pages.find(at) is not None or is_folder(version.pages, at)
