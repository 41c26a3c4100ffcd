"""Who goes next: by a list that is replayed, or by a script."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from interleavings.scheduler import Chooser, Request


def replay(schedule: Sequence[str]) -> Chooser:
    """Return a choice that follows a list, and then anybody."""
    left = iter(schedule)

    def choose(waiting: Mapping[str, Request]) -> str:
        name = next(left, None)
        return name if name in waiting else min(waiting)

    return choose


def by_script(*parts: tuple[str, *tuple[str | int, ...]]) -> Chooser:
    """Return a choice that lets one actor after the other run.

    Each part names an actor, and how far it goes: to its end, by a number of operations, or up to
    an operation given by its kind (or none) and a part of its key. After the last part anybody runs.
    """
    left = [[*part] for part in parts]

    def choose(waiting: Mapping[str, Request]) -> str:
        while left:
            name, *how_far = left[0]
            request = waiting.get(name)
            if request is None or _is_there(how_far, request):
                left.pop(0)
                continue
            if len(how_far) == 1:
                left[0][1] -= 1
            return name
        return min(waiting)

    return choose


def _is_there(how_far: Sequence[str | int], request: Request) -> bool:
    if len(how_far) == 1:
        return how_far[0] == 0
    return len(how_far) == 2 and how_far[0] in ("", request.kind) and how_far[1] in request.key
