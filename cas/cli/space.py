"""What versions take in a store."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from cas.cli.damage import warn_damaged
from cas.cli.render import Console, to_json
from cas.model.units import format_count, format_size

if TYPE_CHECKING:
    from cas import BlobUsage, Usage
    from cas.operations.measure_blobs import BlobBytes
    from cas.operations.measure_usage import Bytes

HEADINGS = ("LOGICAL", "UNIQUE", "STORED", "SHARED", "ALONE", "FREED")
BLOB_HEADINGS = ("LOGICAL", "BLOBS", "SHARED", "FREED")
_UNCOUNTED = "so not all of it is counted: more is SHARED, and less FREED, than it seems"


def list_usage(console: Console, usage: Usage, *, by_artifact: bool) -> int:
    """Print what artifacts, or versions, take in a store, and return the exit code: 8 for damage."""
    if console.as_json:
        console.document(to_json(usage))
        return warn_damaged(console, usage.damaged, _UNCOUNTED)
    _list_rows(console, usage, HEADINGS, _cells, by_artifact=by_artifact)
    if usage.repack_bytes:
        console.detail(
            f"{format_size(usage.repack_bytes)} of what they alone need lies in blobs that others "
            "need, too: a repack frees it"
        )
    _tell_store(console, usage)
    return warn_damaged(console, usage.damaged, _UNCOUNTED)


def list_blob_usage(console: Console, usage: BlobUsage, *, by_artifact: bool) -> int:
    """Print what artifacts, or versions, take in a store by whole blobs; return as `list_usage`."""
    if console.as_json:
        console.document(to_json(usage))
        return warn_damaged(console, usage.damaged, _UNCOUNTED)
    _list_rows(console, usage, BLOB_HEADINGS, _blob_cells, by_artifact=by_artifact)
    _tell_store(console, usage)
    return warn_damaged(console, usage.damaged, _UNCOUNTED)


def _list_rows(
    console: Console,
    usage: Any,
    headings: tuple[str, ...],
    cells: Callable[[Any], tuple[str, ...]],
    *,
    by_artifact: bool,
) -> None:
    """Print a row for each artifact or version of a usage, and one for all together."""
    if by_artifact:
        rows = [(one.artifact, *cells(one)) for one in usage.artifacts]
    else:
        rows = [
            (
                f"{one.artifact}:v{one.number}"
                + ("" if one.state == "live" else f" ({one.state.value})"),
                *cells(one),
            )
            for one in usage.versions
        ]
    if len(rows) != 1:
        rows.append(("together", *cells(usage)))
    headings = ("ARTIFACT" if by_artifact else "VERSION", *headings)
    right = frozenset(range(1, len(headings)))
    console.table(headings, rows, right=right)


def _tell_store(console: Console, usage: Usage | BlobUsage) -> None:
    count = format_count(usage.blobs, "blob")
    unneeded = f", {format_size(usage.unneeded_bytes)} of it needed by no version"
    console.detail(
        f"the whole store: {format_size(usage.store_bytes)} in {count}"
        + (unneeded if usage.unneeded_bytes else "")
    )


def _blob_cells(one: BlobBytes) -> tuple[str, ...]:
    sizes = (one.logical_bytes, one.blob_bytes, one.shared_bytes, one.freed_bytes)
    return tuple(map(format_size, sizes))


def _cells(one: Bytes) -> tuple[str, ...]:
    sizes = (
        one.logical_bytes,
        one.unique_bytes,
        one.stored_bytes,
        one.shared_bytes,
        one.exclusive_bytes,
        one.freed_bytes,
    )
    return tuple(map(format_size, sizes))
