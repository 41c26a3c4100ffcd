"""Typed reading of decoded maps."""

from __future__ import annotations

import pytest

from cas.errors import CorruptionError, InvalidInputError, UnsupportedError
from cas.format.fields import MAX_INTEGER, FieldReader, check_json_map

READS = {
    "integer": (lambda f: f.integer("a"), [None, True, 1.0, "1", -1, MAX_INTEGER + 1]),
    "optional integer": (lambda f: f.optional_integer("a"), [True, "1", -1]),
    "boolean": (lambda f: f.boolean("a"), [None, 0, 1]),
    "text": (lambda f: f.text("a"), [None, b"x", 1]),
    "optional text": (lambda f: f.optional_text("a"), [b"x", 1]),
    "texts": (lambda f: f.texts("a"), [None, "x", [b"x"], ["x", 1]]),
    "octets": (lambda f: f.octets("a"), [None, "x"]),
    "id": (lambda f: f.id("a"), [None, bytes(31), bytes(33)]),
    "session": (lambda f: f.session("a"), [None, bytes(15)]),
    "plain map": (lambda f: f.json_map("a"), [None, [], {"x": b"y"}]),
    "map": (lambda f: f.reader("a"), [None, []]),
    "maps": (lambda f: f.readers("a"), [None, {}, [1]]),
    "location": (lambda f: f.location("a"), [None, {}, {"page_id": bytes(32)}]),
}
CASES = [(name, read, value) for name, (read, values) in READS.items() for value in values]


@pytest.mark.parametrize(("name", "read", "value"), CASES)
def test_field_of_another_type_is_refused(name, read, value):
    """Every reading says what it wants, and takes nothing else."""
    with pytest.raises(CorruptionError, match=r"^it"):
        read(FieldReader({"a": value}, "it"))


def test_optional_fields_may_be_missing():
    """None and absent are the same."""
    fields = FieldReader({"b": None}, "it")

    assert [fields.optional_integer("a"), fields.optional_text("b")] == [None, None]


def test_fields_that_nobody_asked_for_are_kept():
    """What a later release added is there to be written again."""
    fields = FieldReader({"a": 1, "b": [2], "c": b"3"}, "it")
    fields.integer("a")

    assert fields.rest() == {"b": [2], "c": b"3"}


def test_critical_field_that_is_known_is_no_obstacle():
    """Only fields that this release does not know stop it."""
    fields = FieldReader({"a": 1, "critical": ["a"]}, "it")
    fields.integer("a")

    assert fields.rest() == {"critical": ["a"]}


def test_critical_field_that_is_unknown_is_refused_by_name():
    """Skipping it would be reading the record wrongly."""
    fields = FieldReader({"a": 1, "sealed": 2, "critical": ["sealed"]}, "it")
    fields.integer("a")

    with pytest.raises(UnsupportedError, match="it: this cas does not know its field 'sealed'"):
        fields.rest()


def test_critical_field_of_a_location_is_refused_too():
    """Inner maps follow the same rule."""
    location = {
        "page_id": bytes(32),
        "blob_id": bytes(32),
        "blob_size": 1,
        "offset": 0,
        "length": 1,
        "critical": ["key"],
    }

    with pytest.raises(UnsupportedError, match="it a: this cas does not know its field 'key'"):
        FieldReader({"a": location}, "it").location("a")


@pytest.mark.parametrize("critical", [None, "a", [1], {}])
def test_critical_that_is_no_list_of_names_is_refused(critical):
    """A damaged list of critical fields is never taken for an empty one."""
    with pytest.raises(CorruptionError, match="critical"):
        FieldReader({"critical": critical}, "it").rest()


@pytest.mark.parametrize(
    "value", [{"a": b"x"}, {"a": {1}}, {1: "a"}, {"a": [[[[[[[1]]]]]]]}], ids=str
)
def test_metadata_that_no_reader_takes_is_refused(value):
    """What a writer lets through, every reader can read."""
    with pytest.raises(InvalidInputError, match=r"metadata: .* cannot be stored"):
        check_json_map(value, "metadata")


def test_metadata_may_hold_tuples():
    """They are stored as lists."""
    check_json_map({"a": (1, 2)}, "metadata")
