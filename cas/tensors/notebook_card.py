"""What a notebook shows of tensors: names, types and shapes."""

from __future__ import annotations

from collections.abc import Sequence

from cas.model.html import Markup, card, code, remark, table
from cas.model.units import format_count, format_size
from cas.tensors.stored_tensor import StoredTensor

_MOST_TENSORS = 20


def tensors_card(stored: Sequence[StoredTensor]) -> Markup:
    """Return how many tensors there are, and the first of them."""
    first = stored[:_MOST_TENSORS]
    rows = [
        (code(one.name), one.dtype, str(list(one.shape)), format_size(one.nbytes)) for one in first
    ]
    rest = len(stored) - len(first)
    size = sum(one.nbytes for one in stored)
    return card(
        "Tensors",
        f"{format_count(len(stored), 'tensor')}, {format_size(size)}",
        table(("name", "type", "shape", "size"), rows, right=frozenset({3})),
        remark(f"… and {rest:,} more") if rest else None,
    )
