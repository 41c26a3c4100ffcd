from __future__ import annotations

import pytest

from cas.cli.text import display_width, escape, fit_widths, format_table, format_totals
from cas.model.entry import Totals


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("plain.txt", "plain.txt"),
        ("größe/日本語.txt", "größe/日本語.txt"),
        ("red\x1b[31m", "red\\x1b[31m"),
        ("two\nlines\r\t", "two\\nlines\\r\\t"),
        ("gpj.\u202eexe", "gpj.\\u202eexe"),
        ("isolate\u2066x\u2069", "isolate\\u2066x\\u2069"),
        ("c1\x9b", "c1\\x9b"),
        ("not utf-8 \udcff", "not utf-8 \\xff"),
        ("bom\ufeff", "bom\\ufeff"),
        ("tag\U000e0041", "tag\\U000e0041"),
        ("separator\u2028", "separator\\u2028"),
    ],
)
def test_a_name_cannot_move_the_cursor_or_turn_text_round(name, shown):
    """Controls, bidirectional marks and bytes that are not UTF-8 are shown, letters stay."""
    assert escape(name) == shown


def test_a_table_aligns_wide_and_escaped_cells():
    """Columns line up by the width on screen, and cells are escaped before they are measured."""
    lines = format_table(
        ("NAME", "SIZE"), [("日本", "1 B"), ("a\x1b", "10 B")], right=frozenset({1})
    )

    assert lines == ["NAME   SIZE", "日本    1 B", "a\\x1b  10 B"]


def test_width_counts_columns_not_characters():
    """Wide letters take two columns and combining marks none."""
    assert (display_width("ab"), display_width("日本"), display_width("e\u0301")) == (2, 4, 1)


def test_totals_name_only_what_there_is():
    """Kinds of which there are none are left out."""
    totals = Totals(files=1, symlinks=0, directories=2, externals=0, size=2048)

    assert format_totals(totals) == "1 file, 2 empty folders, 2.0 KiB"


def test_a_table_fits_a_width_by_its_widest_columns():
    """They give evenly, wide letters count twice, and what is short stays whole."""
    lines = format_table(["A", "B", "C"], [["x" * 40, "漢字" * 20, "short"]], width=40)

    assert lines[1] == "xxxxxxxxxxxxxx…  漢字漢字漢字漢…   short"
    assert fit_widths([10, 40, 30, 5], 60) == [10, 22, 23, 5]


def test_columns_that_are_narrow_are_never_cut():
    """A terminal too narrow for anything gets lines that are too long."""
    assert fit_widths([8, 5, 9], 3) == [8, 5, 8]
