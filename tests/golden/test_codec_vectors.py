"""The published vectors of codecs: what must be read for ever, and what must be refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cas.compression.codec import decode
from cas.errors import CorruptionError, UnsupportedError

VECTORS = Path(__file__).parents[2] / "specs" / "vectors" / "codecs"
PAYLOADS = json.loads((VECTORS / "payloads.json").read_text(encoding="utf-8"))
ERRORS = {"corrupt": CorruptionError, "unsupported": UnsupportedError}


@pytest.mark.parametrize("vector", PAYLOADS["decoded"], ids=lambda vector: vector["name"])
def test_payload_is_decoded_as_the_vector_says(vector):
    """Payloads written by any release stay readable."""
    raw = bytes.fromhex(vector["raw"])
    payload = bytes.fromhex(vector["payload"])

    assert bytes(decode(payload, vector["codec"], vector["param"], len(raw))) == raw


@pytest.mark.parametrize("vector", PAYLOADS["refused"], ids=lambda vector: vector["name"])
def test_payload_is_refused_as_the_vector_says(vector):
    """A payload that breaks a rule of the page is never decoded."""
    payload = bytes.fromhex(vector["payload"])

    with pytest.raises(ERRORS[vector["error"]]):
        decode(payload, vector["codec"], vector["param"], vector["raw_length"])
