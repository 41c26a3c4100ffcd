"""A small picture as what a terminal draws: pixels by three protocols, or coloured characters."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from itertools import groupby

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cas.cli.previews.preview import Picture
from cas.cli.previews.protocols import Protocol

# What a character measures, as far as anybody can know.
CELL_WIDTH, CELL_HEIGHT = 10, 20
_SIXEL_COLORS = 128
_KITTY_PIECE = 4096  # the protocol's limit
_UPPER_HALF = "▀"


def draw_picture(
    picture: Picture, protocol: Protocol, *, columns: int, rows: int, is_deep: bool
) -> str:
    """Return what draws a picture in so many columns and rows at most; never bigger than it is.

    Args:
        is_deep: whether the terminal has all colours, or 256.
    """
    image = Image.frombytes("RGB", (picture.width, picture.height), picture.pixels)
    if protocol is Protocol.BLOCKS:
        # A character is two pixels, one above the other.
        image.thumbnail((columns, 2 * rows))
        return "\n".join(_iter_blocks(np.asarray(image), is_deep=is_deep))
    image.thumbnail((columns * CELL_WIDTH, rows * CELL_HEIGHT))
    if protocol is Protocol.SIXEL:
        return _sixels(image)
    content = io.BytesIO()
    image.save(content, "PNG")
    encoded = base64.b64encode(content.getvalue()).decode()
    if protocol is Protocol.ITERM:
        size = len(content.getvalue())
        return f"\x1b]1337;File=inline=1;preserveAspectRatio=1;size={size}:{encoded}\x07"
    return "".join(_iter_kitty(encoded))


def _iter_kitty(encoded: str) -> Iterator[str]:
    pieces = [encoded[at : at + _KITTY_PIECE] for at in range(0, len(encoded), _KITTY_PIECE)]
    for number, piece in enumerate(pieces):
        # q=2: the terminal is not to answer, nobody would read it.
        head = "a=T,f=100,q=2," if number == 0 else ""
        yield f"\x1b_G{head}m={int(number < len(pieces) - 1)};{piece}\x1b\\"


def _iter_blocks(pixels: NDArray[np.uint8], *, is_deep: bool) -> Iterator[str]:
    """Yield lines of half blocks: the letter's colour is the upper pixel, its ground the lower."""
    for at in range(0, len(pixels), 2):
        upper = pixels[at].tolist()
        lower: list[list[int] | None] = [None] * len(upper)
        if at + 1 < len(pixels):
            lower = pixels[at + 1].tolist()
        line = []
        for (over, under), run in groupby(zip(upper, lower, strict=True)):
            ground = "49" if under is None else _color(48, under, is_deep=is_deep)
            line.append(f"\x1b[{_color(38, over, is_deep=is_deep)};{ground}m")
            line.append(_UPPER_HALF * len(list(run)))
        yield "".join([*line, "\x1b[0m"])


def _color(layer: int, pixel: list[int], *, is_deep: bool) -> str:
    red, green, blue = pixel
    if is_deep:
        return f"{layer};2;{red};{green};{blue}"
    # The cube of 6 x 6 x 6 colours that every terminal of 256 has.
    steps = [min(5, max(0, (value - 35) // 40)) for value in (red, green, blue)]
    return f"{layer};5;{16 + 36 * steps[0] + 6 * steps[1] + steps[2]}"


def _sixels(image: Image.Image) -> str:
    """Return an image as sixels: for each band of six rows, one line of characters a colour."""
    reduced = image.quantize(_SIXEL_COLORS)
    palette = np.asarray(reduced.getpalette() or [0, 0, 0], np.int64).reshape(-1, 3)
    pixels = np.asarray(reduced)
    parts = [f'\x1bPq"1;1;{image.width};{image.height}']
    for number, color in enumerate((palette * 100 // 255).tolist()):
        parts.append(f"#{number};2;{color[0]};{color[1]};{color[2]}")
    weights = 1 << np.arange(6, dtype=np.int64)[:, None]
    for at in range(0, image.height, 6):
        band = pixels[at : at + 6]
        lines = []
        for number in np.unique(band).tolist():
            bits = ((band == number) * weights[: len(band)]).sum(axis=0)
            lines.append(f"#{number}{_run_lengths(bits)}")
        parts.append("$".join(lines) + "-")
    return "".join([*parts, "\x1b\\"])


def _run_lengths(bits: NDArray[np.int64]) -> str:
    """Return sixel characters, runs of more than three of which are counted."""
    edges = np.flatnonzero(np.diff(bits)) + 1
    starts = [0, *edges.tolist()]
    stops = [*edges.tolist(), len(bits)]
    parts = []
    for start, stop in zip(starts, stops, strict=True):
        letter, count = chr(63 + int(bits[start])), stop - start
        parts.append(f"!{count}{letter}" if count > 3 else letter * count)
    return "".join(parts)
