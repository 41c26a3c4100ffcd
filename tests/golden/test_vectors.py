"""The published vectors of stored objects: what must be read, and written, for ever."""

from __future__ import annotations

import json
import os
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cas.errors import CorruptionError, UnsupportedError
from cas.format import keys, manifest
from cas.model.names import ArtifactName

ROOT = Path(__file__).parents[2]
VECTORS = ROOT / "specs" / "vectors"
TOOL = runpy.run_path(str(ROOT / "tools" / "vectors" / "formats.py"))
FORMATS, describe = TOOL["FORMATS"], TOOL["describe"]
FILES = sorted(VECTORS.rglob("*.bin"))
REFUSED = [
    vector
    for name in ("refused.json", "refused-groups.json")
    for vector in json.loads((VECTORS / name).read_text(encoding="utf-8"))
]
ERRORS = {"corrupt": CorruptionError, "unsupported": UnsupportedError}


def named(path: Path) -> str:
    return path.relative_to(VECTORS).as_posix()


@pytest.mark.parametrize("path", FILES, ids=named)
def test_object_is_read_as_the_vector_says(path):
    """Objects written by any release are read with the same meaning."""
    expected = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    decoded = FORMATS[expected["format"]].decode(path.read_bytes())

    assert describe(decoded) == expected["value"]


@pytest.mark.parametrize("path", FILES, ids=named)
def test_object_is_written_byte_for_byte(path):
    """Writing what was read gives the same bytes, fields of later releases included."""
    expected = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    chosen = FORMATS[expected["format"]]

    assert chosen.encode(chosen.decode(path.read_bytes())) == path.read_bytes()


@pytest.mark.parametrize("vector", REFUSED, ids=lambda vector: vector["name"])
def test_object_is_refused_as_the_vector_says(vector):
    """An object that breaks a rule of its page is never taken."""
    with pytest.raises((CorruptionError, UnsupportedError)) as caught:
        FORMATS[vector["format"]].decode(bytes.fromhex(vector["hex"]))

    assert type(caught.value) is ERRORS[vector["error"]]


def test_every_kind_of_object_has_a_vector():
    """No format can be changed without a vector noticing."""
    described = [json.loads(path.with_suffix(".json").read_text("utf-8")) for path in FILES]

    assert {one["format"] for one in described} == set(FORMATS)


def test_keys_are_those_of_the_vector():
    """Objects stay where earlier releases look for them."""
    expected = json.loads((VECTORS / "layout" / "keys.json").read_text(encoding="utf-8"))
    slots = {
        "slot 3 of team/bert": (ArtifactName("team/bert"), 3),
        "slot 0 of a.b/c+d.": (ArtifactName("a.b/c+d."), 0),
        "slot 0 of con.v2": (ArtifactName("con.v2"), 0),
    }

    assert {name: keys.version_key(*slot) for name, slot in slots.items()} == {
        name: expected[name] for name in slots
    }


def test_pages_are_cut_where_the_vector_says():
    """Versions put by different releases share their unchanged pages."""
    expected = json.loads((VECTORS / "manifest" / "paging.json").read_text(encoding="utf-8"))
    count = expected["count"]
    paths = [expected["paths"].encode() % number for number in range(count)]

    assert manifest.split_paths(paths) == expected["ends"]
    assert manifest.split_paths(paths, np.full(count, 1000)) == expected["ends_if_each_weighs_1000"]


def test_groups_end_where_the_vector_says():
    """Digests of versions that different releases put are the same."""
    expected = json.loads((VECTORS / "manifest" / "groups.json").read_text(encoding="utf-8"))
    paths = sorted(expected["paths"].encode() % (n % 7, n) for n in range(expected["count"]))

    assert manifest.group_ends(paths).tolist() == expected["group_ends"]


def test_vectors_are_what_the_tool_makes():
    """The tool that makes the vectors finds nothing to add and nothing changed."""
    ran = subprocess.run(
        [sys.executable, ROOT / "tools" / "vectors" / "make.py", "--check"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (ran.returncode, ran.stdout) == (0, "")
