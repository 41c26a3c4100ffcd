"""Previews of files of tensors: names, types and shapes, from their headers."""

from __future__ import annotations

from cas.cli.previews.preview import MOST_READ_BYTES, Preview, Source, Table, TooMuchToReadError
from cas.model.units import format_count, format_size

SUFFIXES = (".safetensors", ".gguf", ".npy", ".npz")
_COLUMNS = (("name", ""), ("type", ""), ("shape", ""), ("size", ""))


def preview_tensors(source: Source) -> Preview:
    """Return the first tensors of a file; none of their bytes is read.

    Raises:
        InvalidInputError: it is not as its format asks for.
        TooMuchToReadError: its header is bigger than a preview may be.
    """
    header_bytes = int.from_bytes(source.head(8), "little")
    if source.suffix == ".safetensors" and header_bytes > MOST_READ_BYTES:
        raise TooMuchToReadError
    tensors = source.open_tensors()
    every = [tensors.describe(name) for name in tensors]
    size = sum(one.nbytes for one in every)
    elements = sum(one.elements for one in every)
    rows = tuple(
        (one.name, one.dtype, " x ".join(map(str, one.shape)) or "scalar", format_size(one.nbytes))
        for one in every[: source.lines]
    )
    left = len(every) - len(rows)
    return Preview(
        kind="tensors",
        summary=f"{format_count(len(every), 'tensor')}, {elements:,} elements, {format_size(size)}",
        facts={"tensors": len(every), "elements": elements, "tensor_bytes": size},
        table=Table(_COLUMNS, rows),
        more=format_count(left, "more tensor") if left > 0 else "",
    )
