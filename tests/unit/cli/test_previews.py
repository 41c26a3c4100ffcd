"""What files look like: from how few bytes, whatever they hold."""

from __future__ import annotations

import builtins
import gzip
import io
import json
import struct
import tarfile
import zipfile
import zlib

import pytest

from cas.cli.previews import preview as bounds
from cas.cli.previews.choose import make_preview
from cas.cli.previews.preview import BoundedFile, Source, Table, TooMuchToReadError
from cas.cli.previews.tensors import SUFFIXES
from cas.tensors.tensor_file import TENSOR_SUFFIXES


class Counted(io.BytesIO):
    """A file that knows how much of it was read."""

    given = 0

    def read(self, size: int | None = -1) -> bytes:
        content = super().read(size)
        self.given += len(content)
        return content


def see(name: str, content: bytes, lines: int = 3):
    """Return the preview of a file."""
    return make_preview(source_of(name, len(content), lambda: io.BytesIO(content), lines))


def source_of(name: str, size: int, open_file, lines: int) -> Source:
    """Return a file that holds no tensors."""
    return Source(name=name, size=size, open_file=open_file, lines=lines, open_tensors=dict)


def test_of_a_text_the_first_lines_are_shown():
    """With tabs as spaces; how many others there are is known of a small file."""
    seen = see("a.py", b"def f():\n\treturn 1\n\n\n")

    assert (seen.kind, seen.lines) == ("text", ("def f():", "    return 1", ""))
    assert (seen.more, seen.is_numbered) == ("1 more line", True)
    assert seen.summary == "text, UTF-8, 4 lines"


def test_of_a_long_text_only_the_head_is_read():
    """However long it is."""
    file = Counted(b"line\n" * 1_000_000)
    seen = make_preview(source_of("a.log", 5_000_000, lambda: file, 3))

    assert seen.lines == ("line",) * 3
    assert seen.more == "more lines, of 4.8 MiB in all"
    assert file.given <= 2 * bounds.HEAD_BYTES


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("größe".encode("utf-16"), "größe"),
        (b"\xef\xbb\xbfwith a mark", "with a mark"),
        (b"gr\xf6\xdfe in Latin", "gr\udcf6\udcdfe in Latin"),
    ],
)
def test_a_text_in_any_encoding_is_a_text(content, line):
    """Bytes that are not UTF-8 stay what they are, to be escaped."""
    assert see("a.txt", content).lines == (line,)


def test_bytes_are_shown_as_bytes():
    """As digits and letters."""
    seen = see("a.bin", bytes(range(64)) + b"text")

    assert seen.kind == "binary"
    assert (
        seen.lines[2]
        == "00000020  20 21 22 23 24 25 26 27 28 29 2a 2b 2c 2d 2e 2f   !\"#$%&'()*+,-./"
    )
    assert see("empty", b"").kind == "empty"


def test_json_is_shown_by_members():
    """A document of one line, too."""
    seen = see("a.json", b'{"a": [1, "\xc3\xbc"], "b": 2}', lines=4)

    assert (seen.kind, seen.summary) == ("json", "JSON, object of 2 members")
    assert seen.lines == ("{", '  "a": [', "    1,", '    "ü"')


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.json", b"[" * 200_000),
        ("a.json", b"1" * 10_000),
        ("a.json", b"{"),
        ("a.ipynb", b"[]"),
        ("a.ipynb", b'{"cells": [{"source": 3}]}'),
        ("a.zip", b"PK\3\4" + b"x" * 100),
        ("a.tar", b"nothing of the kind"),
        ("a.tgz", b"\x1f\x8b nothing"),
        ("a.txt.gz", b"\x1f\x8b nothing"),
        ("a.txt.zst", b"\x28\xb5\x2f\xfd nothing"),
    ],
)
def test_what_is_not_what_its_name_says_is_shown_as_it_is(name, content):
    """With a remark; nothing fails."""
    seen = see(name, content)

    assert seen.kind in ("text", "binary")
    assert "not what its name says" in seen.remark


def test_a_notebook_is_shown_by_cells():
    """Outputs are left out."""
    cells = [
        {"cell_type": "markdown", "source": ["# Title\n", "more"]},
        {"cell_type": "code", "source": "import os", "outputs": ["x" * 1000]},
    ]
    book = {"cells": cells, "metadata": {"kernelspec": {"display_name": "Python 3"}}}

    seen = see("a.ipynb", json.dumps(book).encode())

    assert seen.summary == "Jupyter notebook, 2 cells, Python 3"
    assert seen.lines == ("[1] # # Title", "    more", "[2] >>> import os")


def test_delimited_rows_are_a_table():
    """With the types that their texts can be read as."""
    seen = see("a.csv", b"id;name;score\n1;a;0.5\n2;b;\n3;;7\n4;d;1\n")

    assert seen.table == Table(
        (("id", "int"), ("name", "text"), ("score", "float")),
        (("1", "a", "0.5"), ("2", "b", ""), ("3", "", "7")),
    )
    assert (seen.summary, seen.more) == ("CSV table, 3 columns, 4 rows", "1 more row")


def test_json_lines_are_a_table():
    """Whose columns are the members of all objects."""
    seen = see("a.jsonl", b'{"a": 1}\n{"a": 2.5, "b": {"c": null}}\n')

    assert seen.table == Table(
        (("a", "float"), ("b", "object")), (("1", ""), ("2.5", '{"c": null}'))
    )


def test_packed_rows_are_a_table_and_a_bomb_is_harmless():
    """Of what is packed only a head is unpacked."""
    assert see("a.csv.gz", gzip.compress(b"a,b\n1,2\n")).table is not None
    bomb = see("zeros.txt.gz", gzip.compress(b"0" * 200_000_000, 1))
    assert len(bomb.lines[0]) <= 1000


def test_a_table_of_many_columns_names_the_others():
    """It shows the first ones."""
    names = ",".join(f"c{at}" for at in range(14))

    seen = see("a.csv", f"{names}\n{names}\n".encode())

    assert len(seen.table.columns) == 10
    assert seen.more == "4 more columns: c10, c11, c12, c13"


def test_an_archive_is_shown_by_names():
    """A ZIP file from the list at its end, a tar from the beginning; nothing is unpacked."""
    zipped, tarred = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(zipped, "w") as archive:
        for number in range(5):
            archive.writestr(f"{number}.txt", "x" * number)
    with tarfile.open(fileobj=tarred, mode="w") as archive:
        for number in range(5):
            member = tarfile.TarInfo(f"{number}.txt")
            member.size = number
            archive.addfile(member, io.BytesIO(b"x" * number))

    first = see("a.zip", zipped.getvalue())
    second = see("a.tar", tarred.getvalue())
    third = see("a.tar.gz", gzip.compress(tarred.getvalue()), lines=9)

    assert first.summary == "ZIP archive, 5 members, 10 B unpacked"
    assert first.table.rows == (("0.txt", "0 B"), ("1.txt", "1 B"), ("2.txt", "2 B"))
    assert (second.table.rows, second.more) == (first.table.rows, "more members")
    assert third.summary == "tar archive, 5 members"


def test_whatever_is_read_as_tensors_is_shown_as_tensors():
    """The list stands twice, since a preview of a text need not load what reads tensors."""
    assert sorted(SUFFIXES) == sorted(TENSOR_SUFFIXES)


def test_a_file_gives_only_so_much():
    """What would take more is an error before it is read."""
    below = Counted(b"x" * 100)
    file = BoundedFile(below, 100, 50)

    assert file.read(40) == b"x" * 40
    with pytest.raises(TooMuchToReadError):
        file.read(20)
    assert below.given == 40
    file.seek(95)
    assert file.read(1000) == b"x" * 5


def png(width: int, height: int) -> bytes:
    """Return a PNG file that claims a size."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        checked = kind + content
        return struct.pack(">I", len(content)) + checked + struct.pack(">I", zlib.crc32(checked))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = zlib.compress(b"\0" * (3 * width + 1) * min(height, 64))
    signature = b"\x89PNG\r\n\x1a\n"
    return signature + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


class TestImages:
    @pytest.fixture(autouse=True)
    def pillow(self):
        pytest.importorskip("PIL")

    def test_an_image_is_a_small_picture(self):
        """No bigger than a screen, with its own size told."""
        seen = see("a.png", png(1600, 64))

        assert seen.summary == "PNG image, 1,600 x 64, RGB"
        assert (seen.picture.width, seen.picture.height) == (800, 32)
        assert len(seen.picture.pixels) == 800 * 32 * 3

    @pytest.mark.parametrize("size", [(50_000, 50_000), (10_000, 10_000)])
    def test_an_image_of_too_many_pixels_is_not_decoded(self, size):
        """One line says why."""
        seen = see("bomb.png", png(*size))

        assert (seen.kind, seen.picture, seen.lines) == ("image", None, ())
        assert seen.remark.startswith("not drawn: ")

    def test_a_damaged_image_is_not_drawn(self):
        """Its size is known all the same."""
        seen = see("a.png", png(64, 64).replace(b"IDATx", b"IDAT\0"))

        assert seen.summary.startswith("PNG image, 64 x 64")
        assert seen.remark.startswith("not drawn: ")

    def test_what_would_run_a_program_is_no_image(self):
        """Formats that Pillow leaves to others are not even tried."""
        seen = see("a.png", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")

        assert (seen.kind, seen.picture) == ("text", None)


class TestColumns:
    @pytest.fixture(autouse=True)
    def arrow(self):
        self.pa = pytest.importorskip("pyarrow")

    def test_a_parquet_file_shows_its_schema_and_first_rows(self):
        """And how many there are."""
        import pyarrow.parquet as pq

        table = self.pa.table({"id": [1, 2, 3, 4], "text": ["a", None, "c", "d"]})
        content = io.BytesIO()
        pq.write_table(table, content)

        seen = see("a.parquet", content.getvalue())

        assert seen.summary == "Parquet table, 2 columns, 4 rows"
        assert seen.table == Table(
            (("id", "int64"), ("text", "string")), (("1", "a"), ("2", ""), ("3", "c"))
        )
        assert seen.facts["row_groups"] == 1

    def test_of_a_big_parquet_file_few_pages_are_read(self):
        """Not a whole group of rows."""
        import pyarrow.parquet as pq

        table = self.pa.table({"id": range(1_000_000)})
        content = io.BytesIO()
        pq.write_table(table, content, compression=None, use_dictionary=False)
        file = Counted(content.getvalue())
        size = len(content.getvalue())

        seen = make_preview(source_of("a.parquet", size, lambda: file, 2))

        assert seen.table.rows == (("0",), ("1",))
        assert file.given < size / 4

    def test_rows_that_would_take_too_much_are_left_out(self, monkeypatch):
        """The schema is shown."""
        import pyarrow.parquet as pq

        content = io.BytesIO()
        pq.write_table(self.pa.table({"id": range(100_000)}), content, compression=None)
        monkeypatch.setattr(bounds, "MOST_READ_BYTES", 100_000)

        seen = see("a.parquet", content.getvalue())

        assert seen.table.columns == (("id", "int64"),)
        assert "too much reading" in seen.remark

    @pytest.mark.parametrize("make", ["new_file", "new_stream"])
    def test_arrow_files_and_streams_are_tables(self, make):
        """The rows of their first batch."""
        table = self.pa.table({"id": [1, 2]})
        content = io.BytesIO()
        with getattr(self.pa.ipc, make)(content, table.schema) as writer:
            writer.write_table(table)

        assert see("a.arrow", content.getvalue()).table.rows == (("1",), ("2",))

    def test_offsets_that_lead_out_of_memory_are_not_followed(self):
        """Arrow itself would take a damaged batch for what it says, and crash."""
        content = io.BytesIO()
        table = self.pa.table({"text": ["a", "b"]})
        with self.pa.ipc.new_file(content, table.schema) as writer:
            writer.write_table(table)
        offsets, wrong = struct.pack("<3i", 0, 1, 2), struct.pack("<3i", 0, 1 << 30, 2)
        damaged = content.getvalue().replace(offsets, wrong)

        seen = see("a.arrow", damaged)

        assert damaged != content.getvalue()
        assert (seen.kind, seen.remark[:21]) == ("binary", "not what its name say")

    def test_damage_is_no_failure(self):
        """It is shown as the bytes that it is."""
        assert see("a.parquet", b"PAR1" + b"\0" * 100 + b"PAR1").kind == "binary"


@pytest.mark.parametrize(("name", "package"), [("a.png", "PIL"), ("a.parquet", "pyarrow")])
def test_what_is_missing_is_named(monkeypatch, name, package):
    """Without an extra a preview says how to get it."""
    imported = builtins.__import__

    def refuse(wanted, *args, **kwargs):
        if wanted.partition(".")[0] == package:
            raise ImportError(wanted)
        return imported(wanted, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)

    assert "cas-store[preview]" in see(name, b"whatever").remark
