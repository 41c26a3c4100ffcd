"""Previews of text: plain, JSON, notebooks; and of what is none."""

from __future__ import annotations

import codecs
import json
import zlib
from typing import Any

from cas.cli.previews.preview import HEAD_BYTES, Preview, Source
from cas.model.units import MIB, format_count, format_size

MOST_JSON_BYTES = MIB
MOST_NOTEBOOK_BYTES = 4 * MIB
_TAB = 4
_LONGEST_LINE = 1000
_DUMP_BYTES = 16
_BOMS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))  # fmt: skip
# Of a text that is not UTF-8, such as Latin-1, few bytes are not ASCII; of what is none, most.
_MOST_ODD = 0.4


def unpack_head(head: bytes) -> bytes:
    """Return the first bytes of what a gzip or zstd stream holds; never more than a head.

    Raises:
        ValueError: it is damaged.
    """
    try:
        if head.startswith(b"\x1f\x8b"):
            return zlib.decompressobj(wbits=31).decompress(head, HEAD_BYTES)
        import zstandard  # only such a file needs it

        with zstandard.ZstdDecompressor(max_window_size=8 * MIB).stream_reader(head) as reader:
            return reader.read(HEAD_BYTES)
    except Exception as error:
        raise ValueError(str(error)) from error


def decode_head(head: bytes) -> tuple[str, str] | None:
    """Return the text that a head holds, and the name of its encoding; None if it is no text."""
    for mark, encoding in _BOMS:
        if head.startswith(mark):
            return head[len(mark) :].decode(encoding, "replace"), encoding.upper()
    if b"\0" in head:
        return None
    text = codecs.getincrementaldecoder("utf-8")("surrogateescape").decode(head)
    odd = sum("\udc80" <= one <= "\udcff" for one in text)
    controls = sum(one < " " and one not in "\t\n\r\f\x1b" for one in text)
    if odd + controls > _MOST_ODD * len(text):
        return None
    return text, "UTF-8" if not odd else "not UTF-8"


def preview_text(source: Source, text: str, encoding: str, *, is_whole: bool) -> Preview:
    """Return the first lines of a text, of which `text` is the beginning."""
    lines = text.splitlines()
    if not is_whole and len(lines) > 1:
        lines.pop()  # it may go on
    shown = tuple(line[:_LONGEST_LINE].expandtabs(_TAB) for line in lines[: source.lines])
    left = len(lines) - len(shown)
    more = ""
    if not is_whole:
        more = f"more lines, of {format_size(source.size)} in all"
    elif left:
        more = format_count(left, "more line")
    count = format_count(len(lines), "line") if is_whole else "many lines"
    return Preview(
        kind="text",
        summary=f"text, {encoding}, {count}",
        facts={"encoding": encoding, "line_count": len(lines) if is_whole else None},
        lines=shown,
        is_numbered=True,
        more=more,
    )


def preview_json(source: Source) -> Preview:
    """Return a JSON document with its members in lines.

    Raises:
        ValueError: it is none, or too big to be read for that.
    """
    if source.size > MOST_JSON_BYTES:
        raise ValueError("too big")
    value = json.loads(source.head(MOST_JSON_BYTES))
    lines = json.dumps(value, indent=2, ensure_ascii=False).splitlines()
    what = _json_kind(value)
    left = len(lines) - source.lines
    return Preview(
        kind="json",
        summary=f"JSON, {what}",
        facts={"type": what},
        lines=tuple(line[:_LONGEST_LINE] for line in lines[: source.lines]),
        more=format_count(left, "more line") if left > 0 else "",
    )


def preview_notebook(source: Source) -> Preview:
    """Return the first lines of the cells of a Jupyter notebook; outputs are left out.

    Raises:
        ValueError: it is none, or too big to be read for that.
    """
    if source.size > MOST_NOTEBOOK_BYTES:
        raise ValueError("too big")
    book = json.loads(source.head(MOST_NOTEBOOK_BYTES))
    cells = book["cells"]
    kernel = book.get("metadata", {}).get("kernelspec", {}).get("display_name", "")
    lines: list[str] = []
    for number, cell in enumerate(cells, start=1):
        content = "".join(cell["source"]).splitlines() or [""]
        mark = {"code": ">>>", "markdown": "#"}.get(cell["cell_type"], cell["cell_type"])
        lines += [f"[{number}] {mark} {content[0]}"]
        lines += [f"    {line}" for line in content[1:]]
    count = format_count(len(cells), "cell")
    left = len(lines) - source.lines
    return Preview(
        kind="notebook",
        summary=", ".join(part for part in ("Jupyter notebook", count, str(kernel)) if part),
        facts={"cells": len(cells), "kernel": str(kernel)},
        lines=tuple(line[:_LONGEST_LINE].expandtabs(_TAB) for line in lines[: source.lines]),
        more=format_count(left, "more line") if left > 0 else "",
    )


def preview_binary(source: Source, head: bytes, *, remark: str = "") -> Preview:
    """Return the first bytes of a file, as hexadecimal digits and letters."""
    if not source.size:
        return Preview(kind="empty", summary="empty")
    lines = []
    for at in range(0, min(len(head), source.lines * _DUMP_BYTES, 256), _DUMP_BYTES):
        row = head[at : at + _DUMP_BYTES]
        letters = "".join(chr(one) if 32 <= one < 127 else "." for one in row)
        lines.append(f"{at:08x}  {row.hex(' '):<{3 * _DUMP_BYTES}} {letters}")
    return Preview(
        kind="binary",
        summary="binary",
        lines=tuple(lines),
        more="more bytes" if source.size > len(lines) * _DUMP_BYTES else "",
        remark=remark,
    )


def _json_kind(value: Any) -> str:
    if isinstance(value, dict):
        return f"object of {format_count(len(value), 'member')}"
    if isinstance(value, list):
        return f"list of {format_count(len(value), 'value')}"
    return type(value).__name__
