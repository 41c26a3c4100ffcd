"""Records that a command could not read and went on without."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cas.cli.render import Console
from cas.cli.text import escape
from cas.model.units import format_count

if TYPE_CHECKING:
    from cas import DamagedRecord

DAMAGED_EXIT = 8
SHOWN = 5


def warn_damaged(console: Console, damaged: Sequence[DamagedRecord], effect: str) -> int:
    """Tell which records are damaged, what follows, and what helps; return 8 if any is, else 0."""
    for one in damaged[:SHOWN]:
        helps = f" ({escape(one.hint)})" if one.hint else ""
        console.warning(f"{escape(one.ref)}: {escape(one.text)}; {effect}{helps}")
    if damaged[SHOWN:]:
        count = format_count(len(damaged) - SHOWN, "other damaged record")
        console.warning(f"and {count}: cas verify lists them")
    return DAMAGED_EXIT if damaged else 0
