from __future__ import annotations

import io
import json
from dataclasses import dataclass

import pytest

from cas.cli.render import Console, color_asked_for, to_json
from cas.errors import RefusedError
from cas.model.entry import Entry, EntryKind
from cas.model.ids import FileHash


@dataclass(frozen=True)
class Made:
    created_ns: int | None
    metadata: dict[str, object]


def test_an_entry_becomes_a_plain_object():
    """Ids are hexadecimal digits and kinds are their names."""
    entry = Entry(path="a\udcff", kind=EntryKind.FILE, size=3, hash=FileHash(b"\1" * 32))

    assert to_json([entry]) == [
        {
            "path": "a\udcff",
            "kind": "file",
            "size": 3,
            "executable": False,
            "hash": "01" * 32,
            "target": None,
        }
    ]


def test_a_time_is_iso_8601_and_metadata_is_left_alone():
    """Only fields of our own values are renamed: what the user stored under any key stays."""
    made = Made(created_ns=1_700_000_000_123_456_789, metadata={"seen_ns": 5, "deep": [1, None]})

    assert to_json(made) == {
        "created": "2023-11-14T22:13:20.123456Z",
        "metadata": {"seen_ns": 5, "deep": [1, None]},
    }


def test_a_time_that_is_not_known_is_null():
    """A field keeps its name in the document when it has no value."""
    assert to_json(Made(created_ns=None, metadata={})) == {"created": None, "metadata": {}}


def test_names_survive_a_json_document(capsys):
    """A name that is not UTF-8 comes back exactly as a surrogate escape."""
    Console(as_json=True).document({"path": "caf\udce9"})

    assert json.loads(capsys.readouterr().out) == {"path": "caf\udce9"}


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("color", "environ", "expected"),
    [
        (None, {}, True),
        (None, {"NO_COLOR": "1"}, False),
        (None, {"NO_COLOR": ""}, True),
        (None, {"TERM": "dumb"}, False),
        (None, {"CLICOLOR": "0"}, False),
        (False, {"FORCE_COLOR": "1"}, False),
        (True, {"NO_COLOR": "1"}, True),
    ],
)
def test_colours_follow_the_terminal_and_no_color(color, environ, expected):
    """A terminal gets colours unless NO_COLOR, --no-color or TERM=dumb forbids them."""
    assert Console(color=color, environ=environ).colors(Terminal()) is expected


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, False),
        ({"FORCE_COLOR": "1"}, True),
        ({"FORCE_COLOR": "0"}, False),
        ({"CLICOLOR_FORCE": "1"}, True),
        ({"CLICOLOR_FORCE": "1", "NO_COLOR": "1"}, False),
    ],
)
def test_a_pipe_gets_no_colours_unless_they_are_forced(environ, expected):
    """What is not a terminal gets plain text."""
    assert Console(environ=environ).colors(io.StringIO()) is expected


@pytest.mark.parametrize(
    ("words", "asked"),
    [
        (["log", "--color", "always"], True),
        (["log", "--color=never"], False),
        (["log", "--color"], None),
        (["--no-color", "log", "--color=always"], False),
        (["log"], None),
    ],
)
def test_an_error_knows_its_colours_before_the_words_are_parsed(words, asked):
    """Also if it is about these very words."""
    assert color_asked_for(words) is asked


def test_nothing_is_changed_where_nobody_can_be_asked():
    """Without a terminal a question is a refusal that names -y."""
    with pytest.raises(RefusedError) as caught:
        Console().require_yes("delete it?", assume_yes=False)

    assert "-y" in (caught.value.hint or "")


def test_yes_is_taken_for_an_answer():
    """With -y nothing is asked."""
    assert not Console().require_yes("delete it?", assume_yes=True)
