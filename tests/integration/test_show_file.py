"""`cas show REF/PATH`: what a file looks like, on a terminal and elsewhere."""

from __future__ import annotations

import base64
import io
import re

import pytest
from cas_tool import QuickTool
from terminals import run_on_terminal

EVIL = "evil\x1b]0;title\x07\u202e"


@pytest.fixture
def cas(bare):
    """The tool in the process of the tests, and an empty store."""
    tool = QuickTool(bare.cwd, bare.environ)
    tool("init")
    return tool


@pytest.fixture
def stored(cas, data):
    """A version with a text, a table, links, and a file whose name and content are hostile."""
    (data / "rows.csv").write_text("id,name\n1,a\n2,b\n")
    (data / EVIL).write_text(f"{EVIL}\n")
    (data / "evil.csv").write_text(f"id,{EVIL}\n1,{EVIL}\n")
    (data / "out").symlink_to("/etc/passwd")
    (data / "raw.bin").write_bytes(b"\0\x1b[31m" * 20)
    cas("put", "data", "imagenet")
    return cas


def test_a_file_is_shown_with_its_first_lines(stored):
    """By its path after the version, or as a second word."""
    shown = stored("show", "imagenet:v0/train/a.txt", "-n", "2").out.splitlines()

    assert shown[0] == "imagenet:v0/train/a.txt"
    assert shown[1].split() == ["kind", "text,", "UTF-8,", "1,000", "lines"]
    assert shown[-3:] == ["1  alpha", "2  alpha", "... 998 more lines"]
    assert stored("show", "imagenet", "train/a.txt", "-n", "2").out.splitlines() == shown
    assert stored("show", "imagenet:v0/train", "a.txt", "-n", "2").out.splitlines() == shown


def test_a_script_gets_facts_and_the_first_lines(stored):
    """As one document."""
    document = stored.json("show", "imagenet:v0/rows.csv")

    assert document["entry"]["size"] == 16
    assert document["preview"]["kind"] == "table"
    assert document["preview"]["columns"][0] == {"name": "id", "type": "int"}
    assert document["preview"]["first_rows"] == [["1", "a"], ["2", "b"]]
    assert stored.json("show", "imagenet:v0/run.sh")["preview"]["lines"] == ["#!/bin/sh"]


def test_quiet_prints_the_lines_alone(stored):
    """As a script wants them."""
    assert stored("show", "imagenet:v0/readme.md", "-q").out == "1  about\n"


def test_links_and_folders_are_shown(stored):
    """A link with what it leads to, as far as that is in the version; a folder with what it holds."""
    link = stored("show", "imagenet:v0/link").out
    out = stored("show", "imagenet:v0/out").out
    folder = stored("show", "imagenet:v0/train").out

    assert "link to text" in link
    assert "about" in link
    assert "/etc/passwd" in out
    assert "root:" not in out
    assert folder.splitlines()[0] == "imagenet:v0/train  2 files, 10.7 KiB"
    assert "cas ls imagenet:v0" in stored("show", "imagenet:v0/nothing", code=3).err


@pytest.mark.parametrize("path", [EVIL, "evil.csv", "raw.bin"])
def test_nothing_that_a_file_holds_reaches_the_terminal(stored, path):
    """Controls and direction marks are shown, in names, lines, cells and headings."""
    shown = stored("show", "imagenet", path).out

    assert not {"\x1b", "\x07", "\u202e", "\0"} & set(shown)
    assert path == "raw.bin" or "evil\\x1b]0;title\\x07\\u202e" in shown


def test_lines_and_columns_fit_the_terminal(cas, data):
    """Long lines are cut, and columns that do not fit are named."""
    (data / "long.txt").write_text("word " * 100)
    names = [f"column_{at}" for at in range(10)]
    (data / "wide.csv").write_text(",".join(names) + "\n" + ",".join(["a long value"] * 10))
    cas("put", "data", "imagenet")

    text = run_on_terminal(cas, "show", "imagenet:v0/long.txt", COLUMNS="60", NO_COLOR="1")[1]
    table = run_on_terminal(cas, "show", "imagenet:v0/wide.csv", COLUMNS="60", NO_COLOR="1")[1]

    assert text.splitlines()[-1].endswith("…")
    assert len(text.splitlines()[-1]) == 60
    assert "not shown: column_6, column_7, column_8, column_9" in table
    assert "a long …" in table


@pytest.fixture
def pictured(cas, data):
    """A version with an image of two colours."""
    image = pytest.importorskip("PIL.Image")
    image.new("RGB", (20, 10), (255, 0, 0)).save(data / "red.png")
    cas("put", "data", "imagenet")
    return cas


def test_an_image_is_drawn_by_what_the_terminal_knows(pictured):
    """Kitty by its own protocol, one that answers so by sixels, any other in coloured characters."""
    kitty = run_on_terminal(pictured, "show", "imagenet:v0/red.png", TERM="xterm-kitty")[1]
    sixel = run_on_terminal(pictured, "show", "imagenet:v0/red.png", replies=b"\x1b[?62;4;22c")[1]
    blocks = run_on_terminal(
        pictured, "show", "imagenet:v0/red.png", replies=b"\x1b[?62;22c", COLORTERM="truecolor"
    )[1]

    encoded = re.search("\x1b_Ga=T,f=100,q=2,m=0;([^\x1b]*)\x1b", kitty)
    image = pytest.importorskip("PIL.Image").open(io.BytesIO(base64.b64decode(encoded[1])))
    assert (image.size, image.getpixel((0, 0))) == ((20, 10), (255, 0, 0))
    assert '\x1bPq"1;1;20;10' in sixel
    assert "\x1b[38;2;255;0;0;48;2;255;0;0m" + "▀" * 20 in blocks
    assert "PNG image, 20 x 10, RGB" in blocks


def test_an_image_is_not_drawn_into_a_pipe(pictured):
    """Unless somebody asks for it; without colours no terminal gets it either."""
    plain = run_on_terminal(
        pictured, "show", "imagenet:v0/red.png", replies=b"\x1b[?62;22c", NO_COLOR="1"
    )[1]

    assert "\x1b" not in pictured("show", "imagenet:v0/red.png").out
    assert "▀" not in plain
    assert "▀" in pictured("show", "imagenet:v0/red.png", "--images", "blocks").out
    assert (
        "▀"
        not in run_on_terminal(
            pictured, "show", "imagenet:v0/red.png", "--images", "none", TERM="xterm-kitty"
        )[1]
    )


def test_a_terminal_that_does_not_answer_gets_characters(pictured):
    """After a moment."""
    assert "▀" in run_on_terminal(pictured, "show", "imagenet:v0/red.png")[1]


def test_under_a_digest_a_big_file_is_not_read_for_its_head(cas, data):
    """All of it would have to be, to be verified."""
    with (data / "big.bin").open("wb") as file:
        file.truncate(17 << 20)
    cas("put", "data", "imagenet")
    digest = cas.json("show", "imagenet")["digest"]

    shown = cas("show", f"imagenet:{digest}/big.bin", "--stats")

    assert "all of it would be read" in shown.out
    assert "alpha" in cas("show", f"imagenet:{digest}/train/a.txt").out


def test_a_file_of_tensors_shows_their_shapes(cas, data):
    """From its header; one that is damaged is shown as the bytes that it is."""
    header = b'{"w":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]}}'
    content = len(header).to_bytes(8, "little") + header + bytes(24)
    (data / "model.safetensors").write_bytes(content)
    (data / "damaged.safetensors").write_bytes(content[:-5])
    (data / "huge.safetensors").write_bytes((99 << 20).to_bytes(8, "little") + bytes(100))
    cas("put", "data", "models")

    shown = cas("show", "models:v0/model.safetensors").out.splitlines()
    damaged = cas.json("show", "models:v0/damaged.safetensors")["preview"]
    huge = cas.json("show", "models:v0/huge.safetensors")["preview"]

    assert shown[1].split() == ["kind", "1", "tensor,", "6", "elements,", "24", "B"]
    assert shown[-1].split() == ["w", "F32", "2", "x", "3", "24", "B"]
    assert "not what its name says" in damaged["remark"]
    assert "too much reading" in huge["remark"]
