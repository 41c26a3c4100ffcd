"""Small pieces of HTML that notebooks show: cards, tables, names. Pure.

Everything is escaped, first what could deceive a reader, then what HTML takes for markup. There are no
scripts, no styles but inline ones, and nothing that a browser would fetch. Colours are such that they
can be read on white and on black; all else takes the page's own.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from cas.model.escaping import escape

LONGEST_TEXT = 300
_LINE = "1px solid rgba(128,128,128,0.35)"
_CELL = "padding:2px 10px 2px 0;text-align:{align};vertical-align:top;border:none;overflow-wrap:anywhere"
# About 4.5:1 against white and against #111 alike.
GREEN, RED, YELLOW, BLUE, PURPLE, GREY = (
    "#2b8a4e", "#d64545", "#947600", "#2f7fc4", "#a05bc8", "#7d7d7d",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Markup:
    """Text that is HTML already, so that nothing else is taken for it by mistake."""

    text: str


Cell = str | Markup


def show_or_nothing(build: Callable[[], Markup]) -> str | None:
    """Return what `build` makes, or None, for which a notebook takes the plain `repr`.

    Showing a value never fails, whatever it holds.
    """
    try:
        return build().text
    except Exception:  # noqa: BLE001 as the docstring says
        return None


def plain(text: str, *, longest: int = LONGEST_TEXT) -> Markup:
    """Return text that is shown as it is, its middle left out where it is too long."""
    if len(text) > longest:
        text = f"{text[: longest * 2 // 3]} … {text[-longest // 3 :]}"
    return Markup(html.escape(escape(text)))


def code(text: str) -> Markup:
    """Return a name or digest in letters of one width."""
    return Markup(f'<code style="background:none;color:inherit">{plain(text).text}</code>')


def colored(text: str, color: str) -> Markup:
    """Return text in one of the colours of this module."""
    return Markup(f'<span style="color:{color}">{plain(text).text}</span>')


def when(time_ns: int) -> str:
    """Return a time in UTC, since who reads a notebook may be anywhere."""
    return f"{datetime.fromtimestamp(time_ns // 10**9, UTC):%Y-%m-%d %H:%M} UTC"


def table(
    headings: Sequence[str], rows: Iterable[Sequence[Cell]], *, right: frozenset[int] = frozenset()
) -> Markup:
    """Return a table; `right` are the numbers of the columns that are aligned to the right."""
    lines = ['<table style="border-collapse:collapse;margin:4px 0;font-size:90%">']
    if any(headings):
        cells = "".join(_cell("th", one, number in right) for number, one in enumerate(headings))
        lines.append(f'<tr style="border-bottom:{_LINE}">{cells}</tr>')
    for row in rows:
        cells = "".join(_cell("td", one, number in right) for number, one in enumerate(row))
        lines.append(f'<tr style="background:none">{cells}</tr>')
    return Markup("\n".join([*lines, "</table>"]))


def card(title: str, subtitle: str, *parts: Markup | None) -> Markup:
    """Return a framed block with a title, a line below it, and whatever follows."""
    head = f'<b>{plain(title).text}</b> <span style="color:{GREY}">{plain(subtitle).text}</span>'
    style = f"border:{_LINE};border-radius:6px;padding:8px 12px;margin:4px 0;display:inline-block"
    inner = "\n".join(["", *(part.text for part in parts if part is not None), ""])
    return Markup(f'<div style="{style};max-width:100%;overflow-x:auto">{head}{inner}</div>')


def remark(text: str) -> Markup:
    """Return a line beside the point, such as how much is not shown."""
    return Markup(f'<div style="color:{GREY};font-size:90%">{plain(text).text}</div>')


def _cell(tag: str, cell: Cell, is_right: bool) -> str:  # noqa: FBT001 private
    text = cell if isinstance(cell, Markup) else plain(cell)
    style = _CELL.format(align="right" if is_right else "left")
    weight = ";white-space:nowrap" if is_right or tag == "th" else ""
    return f'<{tag} style="{style}{weight}">{text.text}</{tag}>'
