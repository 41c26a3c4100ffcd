"""Pictures as terminals draw them."""

from __future__ import annotations

import base64
import io
import re

import numpy as np
import pytest

from cas.cli.previews import protocols
from cas.cli.previews.preview import Picture
from cas.cli.previews.protocols import Protocol, find_protocol, is_sixel_answer

image_module = pytest.importorskip("PIL.Image")

from cas.cli.previews.draw import draw_picture  # noqa: E402 it needs Pillow

# Four colours that a palette keeps exactly, in a picture that is no multiple of six high.
COLORS = np.array([[0, 0, 0], [255, 0, 0], [0, 255, 0], [0, 0, 255]], np.uint8)
PIXELS = COLORS[(np.arange(20)[:, None] // 5 + np.arange(30)[None, :] // 8) % 4]
PICTURE = Picture(30, 20, PIXELS.tobytes())


def draw(protocol: Protocol, columns: int = 80, rows: int = 40, *, is_deep: bool = True) -> str:
    return draw_picture(PICTURE, protocol, columns=columns, rows=rows, is_deep=is_deep)


def pixels_of(encoded: str) -> np.ndarray:
    return np.asarray(image_module.open(io.BytesIO(base64.b64decode(encoded))))


def test_kitty_gets_the_picture_in_pieces():
    """Each of at most 4,096 bytes; the last one says so; together they are the picture."""
    pieces = re.findall("\x1b_G([^;]*);([^\x1b]*)\x1b\\\\", draw(Protocol.KITTY))

    assert pieces[0][0].startswith("a=T,f=100")
    assert pieces[-1][0].endswith("m=0")
    assert max(len(encoded) for _, encoded in pieces) <= 4096
    assert np.array_equal(pixels_of("".join(encoded for _, encoded in pieces)), PIXELS)


def test_iterm_gets_the_picture_at_once():
    """As a file to be shown in line."""
    drawn = draw(Protocol.ITERM)

    assert drawn.startswith("\x1b]1337;File=inline=1")
    assert np.array_equal(pixels_of(drawn.rpartition(":")[2].rstrip("\x07")), PIXELS)


def decode_sixels(drawn: str) -> np.ndarray:
    """Return the picture that sixels draw."""
    head = re.match('\x1bPq"1;1;([0-9]+);([0-9]+)', drawn)
    width, height = int(head[1]), int(head[2])
    canvas = np.zeros((height + 6, width, 3), np.int64)
    palette, color, x, y = {}, (0, 0, 0), 0, 0
    for word in re.findall(r"#\d+;2;\d+;\d+;\d+|#\d+|!\d+.|\$|-|[?-~]", drawn[head.end() : -2]):
        if word == "$":
            x = 0
        elif word == "-":
            x, y = 0, y + 6
        elif ";" in word:
            number, _, *parts = map(int, word[1:].split(";"))
            palette[number] = [part * 255 // 100 for part in parts]
        elif word[0] == "#":
            color = palette[int(word[1:])]
        else:
            count = int(word[1:-1]) if word[0] == "!" else 1
            for bit in range(6):
                if ord(word[-1]) - 63 >> bit & 1:
                    canvas[y + bit, x : x + count] = color
            x += count
    return canvas[:height]


def test_sixels_are_the_picture():
    """In bands of six rows, the last one not full."""
    assert np.array_equal(decode_sixels(draw(Protocol.SIXEL)), PIXELS)


def test_blocks_are_two_pixels_each():
    """The upper one as the letter's colour, the lower one as its ground."""
    lines = draw(Protocol.BLOCKS).split("\n")

    assert len(lines) == 10
    assert [line.count("▀") for line in lines] == [30] * 10
    assert lines[0].startswith("\x1b[38;2;0;0;0;48;2;0;0;0m▀")
    assert lines[2].startswith("\x1b[38;2;0;0;0;48;2;255;0;0m▀")  # rows 4 and 5
    assert all(line.endswith("\x1b[0m") for line in lines)


def test_blocks_take_256_colours_where_there_are_no_more():
    """Out of the cube that all such terminals have."""
    assert "38;5;196" in draw(Protocol.BLOCKS, is_deep=False)


def test_a_picture_fits_and_is_never_blown_up():
    """In columns and rows."""
    assert len(draw(Protocol.BLOCKS, rows=4).split("\n")) == 4
    assert draw(Protocol.BLOCKS, columns=6).split("\n")[0].count("▀") == 6


@pytest.mark.parametrize(
    ("environ", "protocol"),
    [
        ({"TERM": "xterm-kitty"}, Protocol.KITTY),
        ({"TERM_PROGRAM": "ghostty"}, Protocol.KITTY),
        ({"TERM_PROGRAM": "iTerm.app"}, Protocol.ITERM),
        ({"TERM_PROGRAM": "vscode"}, Protocol.ITERM),
        ({"TERM": "xterm-256color"}, Protocol.BLOCKS),
        ({"TERM": "tmux-256color", "TMUX": "x", "KITTY_WINDOW_ID": "1"}, Protocol.BLOCKS),
        ({"TERM": "dumb"}, Protocol.NONE),
    ],
)
def test_a_terminal_is_known_by_its_variables(environ, protocol, monkeypatch):
    """Those of the terminal around tmux say nothing."""
    monkeypatch.setattr(protocols, "ask_terminal", lambda: b"\x1b[?62;22c")

    assert find_protocol(environ, colors=True) is protocol


def test_a_terminal_that_says_so_gets_sixels(monkeypatch):
    """4 is the number of the ability, wherever it stands."""
    monkeypatch.setattr(protocols, "ask_terminal", lambda: b"typed\x1b[?62;4;22c")

    assert find_protocol({"TERM": "xterm"}, colors=False) is Protocol.SIXEL
    assert not is_sixel_answer(b"\x1b[?4;22c")
    assert not is_sixel_answer(b"\x1b[?64;44c")
    assert not is_sixel_answer(b"")


def test_without_colours_nothing_is_drawn(monkeypatch):
    """Blocks without colours would be a grey square."""
    monkeypatch.setattr(protocols, "ask_terminal", lambda: b"")

    assert find_protocol({"TERM": "xterm"}, colors=False) is Protocol.NONE
