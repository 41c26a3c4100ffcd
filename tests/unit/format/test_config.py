"""`cas.json`."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from cas.errors import CorruptionError, InvalidInputError, UnsupportedError
from cas.format.config import StoreConfig, check_features, decode_config, encode_config

CONFIG = StoreConfig(store_id="0f" * 16, created_ns=1, chunk_average=65536, create_if_absent=True)


def changed(**fields):
    return json.dumps({**json.loads(encode_config(CONFIG)), **fields}).encode()


def test_config_is_for_people_to_read():
    """Indented, sorted, one newline at the end."""
    lines = encode_config(CONFIG).decode("ascii").splitlines()

    assert lines[:3] == ["{", '  "chunk_average": 65536,', '  "create_if_absent": true,']
    assert encode_config(CONFIG).endswith(b"}\n")


def test_fields_of_a_later_release_are_kept():
    """They are written again as they were."""
    config = decode_config(changed(later={"a": [1]}))

    assert config == replace(CONFIG, extra={"later": {"a": [1]}})
    assert json.loads(encode_config(config))["later"] == {"a": [1]}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"{",
        b"\xff{}",
        b"[" * 60000,
        b" " * 70000,
        changed(format="zarr"),
        changed(format=None),
        changed(store_id="0F" * 16),
        changed(store_id=7),
        changed(chunk_average=65537),
        changed(chunk_average=2048),
        changed(chunk_average=2 << 20),
        changed(chunk_average=65536.0),
        changed(frame_bytes=0),
        changed(frame_bytes=2 << 20),
        changed(create_if_absent=1),
        changed(must_read="x"),
        changed(created_ns="now"),
    ],
)
def test_config_that_breaks_a_rule_is_refused(content):
    """Nobody works on a store whose description is damaged."""
    with pytest.raises(CorruptionError, match=r"^cas\.json: "):
        decode_config(content)


def test_store_of_a_later_format_is_refused():
    """The number says so."""
    with pytest.raises(UnsupportedError, match="store format 2"):
        decode_config(changed(version=2))


def test_critical_field_of_a_later_release_is_refused():
    """The same rule as in records."""
    with pytest.raises(UnsupportedError, match="'later'"):
        decode_config(changed(later=1, critical=["later"]))


@pytest.mark.parametrize(
    ("feature", "refused"),
    [
        ("must_read", {"read", "write", "gc"}),
        ("must_write", {"write", "gc"}),
        ("must_gc", {"gc"}),
    ],
)
def test_unknown_feature_stops_whom_it_concerns(feature, refused):
    """An old release may do what a new feature does not touch."""
    config = decode_config(changed(**{feature: ["delta-frames"]}))

    for purpose in sorted(refused):
        with pytest.raises(UnsupportedError, match="delta-frames"):
            check_features(config, purpose)
    for purpose in {"read", "write", "gc"} - refused:
        check_features(config, purpose)


@pytest.mark.parametrize(
    "wrong", [{"chunk_average": 5000}, {"frame_bytes": 5000}, {"store_id": "x"}]
)
def test_store_cannot_be_described_wrongly(wrong):
    """Sizes that readers refuse are the caller's mistake."""
    with pytest.raises(InvalidInputError):
        replace(CONFIG, **wrong)
