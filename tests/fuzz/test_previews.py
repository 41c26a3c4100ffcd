"""Damaged files of every kind that is previewed, for minutes: `pytest -m fuzz tests/fuzz`."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
import zipfile

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cas.cli.previews.choose import make_preview
from cas.cli.previews.preview import Source

pytestmark = [pytest.mark.slow, pytest.mark.fuzz]
EXTREMES = [b"\0\0\0\0", b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", b"\x7f\xff\xff\xff"]


def packed_files() -> dict[str, bytes]:
    """Return an archive of each kind."""
    zipped, tarred = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(zipped, "w") as archive:
        archive.writestr("a.txt", "text")
    with tarfile.open(fileobj=tarred, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("a.txt"))
    return {
        "a.zip": zipped.getvalue(),
        "a.tar": tarred.getvalue(),
        "a.tar.gz": gzip.compress(tarred.getvalue()),
    }


def images() -> dict[str, bytes]:
    """Return an image of each format, if Pillow is there."""
    image = pytest.importorskip("PIL.Image")
    made = {}
    for name in ("PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF", "PPM", "ICO"):
        content = io.BytesIO()
        image.new("RGB", (40, 30), (9, 200, 3)).save(content, name)
        made[f"a.{name.lower()}"] = content.getvalue()
    return made


def column_files() -> dict[str, bytes]:
    """Return a file of each format that pyarrow reads, if it is there."""
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    table = arrow.table(
        {"id": range(50), "text": [str(at) for at in range(50)], "list": [[1]] * 50}
    )
    rows, batches = io.BytesIO(), io.BytesIO()
    parquet.write_table(table, rows)
    with arrow.ipc.new_file(batches, table.schema) as writer:
        writer.write_table(table)
    return {"a.parquet": rows.getvalue(), "a.arrow": batches.getvalue()}


def texts() -> dict[str, bytes]:
    """Return texts of each kind."""
    cells = [{"cell_type": "code", "source": ["a\n", "b"]}]
    return {
        "a.csv": b"a,b\n1,2\n" * 9,
        "a.jsonl": b'{"a": [1, {"b": null}]}\n' * 9,
        "a.json": b'{"a": [1, {"b": null}]}',
        "a.ipynb": json.dumps({"cells": cells, "metadata": {}}).encode(),
        "a.txt.gz": gzip.compress(b"text\n" * 9),
        "a.txt": "größe\n".encode() * 9,
    }


@pytest.mark.parametrize("make", [packed_files, images, column_files, texts])
def test_no_damage_makes_a_preview_fail(make):
    """What is left of a file is shown; no decoder raises, crashes or goes on for ever."""
    seeds = make()

    @settings(
        max_examples=3000, deadline=None, suppress_health_check=list(HealthCheck), database=None
    )
    @given(st.data())
    def search(drawn):
        name = drawn.draw(st.sampled_from(sorted(seeds)))
        content = bytearray(seeds[name])
        for _ in range(drawn.draw(st.integers(1, 4))):
            at = drawn.draw(st.integers(0, max(len(content) - 1, 0)))
            length = drawn.draw(st.integers(0, 8))
            content[at : at + length] = drawn.draw(
                st.binary(max_size=8) | st.sampled_from(EXTREMES)
            )
        fixed = bytes(content)

        seen = make_preview(
            Source(
                name=name,
                size=len(fixed),
                lines=20,
                open_file=lambda: io.BytesIO(fixed),
                open_tensors=dict,
            )
        )

        assert seen.summary

    search()
