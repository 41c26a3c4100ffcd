"""What may be said of a version: checked before anything is stored, and always storable."""

from __future__ import annotations

import datetime
from enum import Enum, IntEnum, StrEnum
from types import MappingProxyType, NoneType

import numpy as np
import pytest
from memory_stores import open_on, with_store

import cas
from cas.backend.memory import MemoryBackend
from cas.errors import InvalidInputError, NotFoundError
from cas.operations.describe import (
    LINEAGE_BYTES,
    MAXIMUM_INPUT_BYTES,
    MAXIMUM_METADATA_BYTES,
    MAXIMUM_TEXT_BYTES,
    MAXIMUM_TYPE_BYTES,
    check_options,
    describe_version,
)


class Split(StrEnum):
    TRAIN = "train"


class Old(str, Enum):  # noqa: UP042 - prints as its own name, not as what it holds
    STYLE = "old"


class Level(IntEnum):
    HIGH = 3


@pytest.fixture
def backend():
    return with_store(MemoryBackend())


@pytest.fixture
def store(backend):
    return open_on(backend, jobs=1)


@pytest.fixture
def source(tmp_path):
    (tmp_path / "file").write_bytes(b"x")
    return tmp_path


def options(**given):
    return cas.PutOptions(**{"provenance": False, **given})


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"a": None, "b": True, "c": 1.5, "d": "text", "e": [1, [2, {"f": []}]]},
        {"most": (1 << 64) - 1, "least": -(1 << 63)},
        {"tuple": (1, 2), "mapping": MappingProxyType({"a": MappingProxyType({"b": 1})})},
        {"float": np.float64(0.5), "enum": Split.TRAIN, "level": Level.HIGH, "old": Old.STYLE},
    ],
)
def test_what_json_can_hold_can_be_said(store, source, metadata):
    """And is what the version says later: tuples as lists, as JSON has them."""
    store.put(source, "data", options(metadata=metadata))

    said = store.version("data").metadata

    assert said == as_json(metadata)
    assert {type(value) for value in said.values()} <= {NoneType, bool, int, float, str, list, dict}


def as_json(value):
    if hasattr(value, "items"):
        return {key: as_json(item) for key, item in value.items()}
    return [as_json(item) for item in value] if isinstance(value, list | tuple) else value


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"a": {"b": [datetime.date(2024, 1, 1)]}}, r"metadata\.a\.b\[0\] is a date"),
        ({"a": b"bytes"}, "metadata.a is a bytes"),
        ({"a": {1, 2}}, "metadata.a is a set"),
        ({"a": np.int64(3)}, "metadata.a is a int64"),
        ({"a": {1: 2}}, "metadata.a has a key that is no text: 1"),
        ({"a": 1 << 64}, "metadata.a is a number beyond 64 bits"),
        ({"a": [-(1 << 63) - 1]}, "beyond 64 bits"),
        ({"a": float("nan")}, "metadata.a is nan"),
        ({"a": [float("-inf")]}, "is -inf"),
        ({"a": "\ud800"}, "metadata.a is not Unicode"),
        ({"\udcff": 1}, "a key of metadata is not Unicode"),
        ({"a": [[[[[[[[1]]]]]]]]}, "nested too deep"),
        ({"a": "x" * MAXIMUM_METADATA_BYTES}, "takes more than 32768 bytes"),
        ({str(number): None for number in range(4000)}, "takes more than 32768 bytes"),
    ],
)
def test_what_json_cannot_hold_is_refused_with_its_place(metadata, message):
    """Before anything is read or stored."""
    with pytest.raises(InvalidInputError, match=message):
        check_options(options(metadata=metadata))


def test_metadata_that_holds_itself_is_refused():
    """It does not go on for ever."""
    endless = {}
    endless["again"] = endless

    with pytest.raises(InvalidInputError, match="nested too deep"):
        check_options(options(metadata=endless))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"description": "x" * (MAXIMUM_TEXT_BYTES + 1)}, "the description is longer than 8192"),
        ({"message": "ä" * (MAXIMUM_TEXT_BYTES // 2 + 1)}, "the message is longer than 8192"),
        ({"type": "t" * (MAXIMUM_TYPE_BYTES + 1)}, "the type is longer than 100"),
        ({"message": "\udc80"}, "the message is not Unicode"),
        ({"inputs": ("x" * 100,) * 100}, "100 inputs are more than a record can hold"),
    ],
)
def test_texts_that_are_too_long_or_no_text_are_refused(given, message):
    """Limits are in bytes, as the record has them."""
    with pytest.raises(InvalidInputError, match=message):
        check_options(options(**given))


def test_a_refused_description_stores_nothing(backend, store, source):
    """The check comes before the first byte is sent."""
    before = sorted(backend.list_objects(""))

    with pytest.raises(InvalidInputError):
        store.put(source, "data", options(metadata={"a": float("nan")}))

    assert sorted(backend.list_objects("")) == before


def test_all_at_its_limit_fits_into_a_record(store, source):
    """What was accepted cannot fail at the very end of a put of hours."""
    name = "n" * 100
    store.put(source, name, options())
    ref = f"{name}:v0"
    inputs = (ref,) * (MAXIMUM_INPUT_BYTES // (len(ref) + LINEAGE_BYTES))
    text = "x" * (MAXIMUM_METADATA_BYTES - 20)

    outcome = store.put(
        source,
        "data",
        cas.PutOptions(
            description="ä" * (MAXIMUM_TEXT_BYTES // 2),
            message="m" * MAXIMUM_TEXT_BYTES,
            type="t" * MAXIMUM_TYPE_BYTES,
            metadata={"a": text},
            inputs=inputs,
            command=("word",) * 5000,
        ),
    )

    version = store.version(f"data:v{outcome.number}")
    assert version.metadata == {"a": text}
    assert len(version.inputs) == len(inputs)


def test_the_type_is_the_last_versions_unless_given(store, source):
    """A model stays a model."""
    types = []
    for given in (None, "model", None, "dataset"):
        store.put(source, "data", options(type=given, force=True))
        types.append(store.version("data").type)

    assert types == ["dataset", "model", "model", "dataset"]


def test_inputs_are_recorded_by_digest(store, source):
    """An alias may move and a version may be gone; what was used stays known."""
    first = store.put(source, "raw", options(aliases=("good",)))

    described = describe_version(store.parts, None, options(inputs=("raw:good", "raw:v0")))

    expected = ("raw", 0, first.digest, store.store_id)
    assert [(i.artifact, i.number, i.digest, i.store_id) for i in described.inputs] == [
        expected
    ] * 2


def test_an_input_that_does_not_exist_is_an_error(store):
    """A lineage that leads nowhere is worth nothing."""
    with pytest.raises(NotFoundError, match="nothing"):
        describe_version(store.parts, None, options(inputs=("nothing:v0",)))


def test_nothing_is_said_of_the_producer_unless_wanted(store):
    """No host, no user, no command."""
    command = ("train.py",)

    silent = describe_version(store.parts, None, options(command=command))
    told = describe_version(store.parts, None, options(command=command, provenance=True))

    assert silent.producer == {}
    assert told.producer["command"] == ["train.py"]
