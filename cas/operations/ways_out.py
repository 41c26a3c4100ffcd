"""What no repair makes good, and what people can do about it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from cas.format import keys
from cas.operations.inspect_structure import Inspection
from cas.operations.live_versions import LiveVersion
from cas.operations.verify_outcomes import Problem


def tell_unrepaired(found: Inspection, failed: Iterable[LiveVersion]) -> Iterator[str]:
    """Say what stays wrong, a sentence each.

    Args:
        failed: versions that could not be made to lead elsewhere.
    """
    gone_around = {one.ref for one in found.versions if one.needs_revision}
    for problem in found.problems:
        if problem.kind not in ("record", "alias", "digest") or problem.is_settled:
            continue
        if not gone_around.intersection(problem.versions) or ".r" not in problem.key:
            yield f"{problem.text}; {_way_out(problem)}"
    for version in failed:
        yield f"{version.ref}: no revision could be published; run the repair again"


def _way_out(problem: Problem) -> str:
    """Say what can be done about a record, which nobody ever replaces."""
    versions = ", ".join(problem.versions)
    if problem.kind == "alias":
        return f"cas tag sets {versions or 'the alias'} anew"
    kind = keys.parse_version_key(problem.key)
    if kind is not None and kind.kind == "expiry":
        return "cas ttl says anew when the version may go"
    if kind is not None and kind.kind == "move":
        return f"cas restore brings {versions} back, or cas rm --now --force gives it up"
    return (
        "records are never replaced: put or copy the version again from elsewhere, then give this "
        f"one up with cas rm --now --force {versions}"
    ).rstrip()
