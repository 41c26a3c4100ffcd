"""How a cache of data, and what it was good for, is shown."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from cas.cli.render import Console
from cas.cli.text import escape
from cas.model.units import format_count, format_size

if TYPE_CHECKING:
    from cas.cache_settings import CacheChoice
    from cas.chunk_cache.cache import CacheCounts
    from cas.chunk_cache.upkeep import CacheCheck, CacheUse


def show_cache(console: Console, choice: CacheChoice, use: CacheUse) -> None:
    """Print where a cache is, how large it may be and is, and what it was good for."""
    if console.as_json:
        chosen = {
            "folder": str(choice.folder),
            "limit_bytes": choice.limit_bytes,
            "size": choice.size,
            "source": choice.source,
            "origin": choice.origin,
        }
        console.document(chosen | asdict(use))
        return
    limit = format_size(choice.limit_bytes) if choice.limit_bytes else "none: nothing is kept"
    console.answer(f"folder  {escape(str(choice.folder))}")
    console.answer(f"limit   {limit}  ({escape(choice.origin)})")
    console.answer(f"used    {format_size(use.used_bytes)}, {format_count(use.entries, 'chunk')}")
    console.answer(f"hits    {_hits(use.hits, use.misses, use.hit_bytes)}")


def show_check(console: Console, check: CacheCheck) -> None:
    """Print what is right in a cache, and what was not."""
    if console.as_json:
        console.document(asdict(check))
        return
    console.answer(
        f"{format_count(check.chunks, 'chunk')} verified, {format_size(check.size)}"
        + (f"; {check.removed:,} damaged, removed" if check.removed else "")
    )


def show_freed(console: Console, freed_bytes: int) -> None:
    """Print what clearing a cache brought."""
    if console.as_json:
        console.document({"freed_bytes": freed_bytes})
        return
    console.answer(f"freed {format_size(freed_bytes)}")


def counts_line(counts: CacheCounts) -> str:
    """Return what a cache did for one command."""
    return f"cache: {_hits(counts.hits, counts.misses, counts.hit_bytes)}"


def _hits(hits: int, misses: int, hit_bytes: int) -> str:
    every = hits + misses
    share = f" ({100 * hits / every:.0f} %)" if every else ""
    return (
        f"{hits:,} of {format_count(every, 'chunk')}{share}, {format_size(hit_bytes)} not fetched"
    )
