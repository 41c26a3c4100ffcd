"""The database reads what it is served, and can do nothing else."""

from __future__ import annotations

import builtins
import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from written_tables import Content, csv_bytes

import cas
from cas.tables.database import Database, open_database, quote_name, quote_text
from cas.tables.served_files import ServedFiles


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM read_csv('{file}')",
        "SELECT * FROM read_text('{file}')",
        "SELECT * FROM glob('/*')",
        "COPY (SELECT 1) TO '{file}'",
        "ATTACH '{file}' AS other",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SELECT * FROM read_parquet('https://127.0.0.1:9/x.parquet')",
        "SET enable_external_access = true",
        "SET allowed_directories = ['/']",
        "SELECT getenv('HOME')",
    ],
)
def test_nothing_else_can_be_reached(database, tmp_path, query):
    """No file, network, extension or variable, and no setting brings them back."""
    secret = tmp_path / "secret.csv"
    secret.write_text("a\n1\n", encoding="utf-8")

    with pytest.raises(cas.InvalidInputError):
        database.ask(query.format(file=secret))

    assert secret.read_text(encoding="utf-8") == "a\n1\n"


def test_what_does_not_fit_into_memory_goes_to_a_folder_that_is_removed(tmp_path, monkeypatch):
    """A million groups in 64 MiB."""
    pytest.importorskip("duckdb")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    with open_database(64 << 20) as database:
        groups = "SELECT hash(range) AS h, count(*) FROM range(2000000) GROUP BY h"
        assert database.ask(f"SELECT count(*) FROM ({groups})") == [(2_000_000,)]
        (folder,) = tmp_path.iterdir()
        assert folder.name.startswith("cas-rows-")

    assert not list(tmp_path.iterdir())


def test_without_the_extra_it_is_told_how_to_get_it(monkeypatch):
    """By the name of the extra."""
    real = builtins.__import__

    def refuse(name, *args, **kwargs):
        if name == "duckdb":
            raise ModuleNotFoundError("No module named 'duckdb'")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)

    with pytest.raises(cas.UnsupportedError) as caught, open_database(1 << 30):
        pass

    assert caught.value.code == "missing-extra"
    assert "cas-store[rows]" in caught.value.hint


def test_a_failure_of_the_storage_stays_what_it_is(database):
    """It is no fault of the file."""

    class Failing(Content):
        def read(self, start, stop):
            raise cas.BackendError("the storage is away")

    url = database.serve(Failing(b"a,b\n1,2\n"))

    with pytest.raises(cas.BackendError, match="the storage is away"):
        database.ask(f"SELECT * FROM read_csv({url})")


class Refusing:
    """A connection whose every query fails."""

    def __init__(self, error):
        self._error = error

    def execute(self, query):
        raise self._error


def test_ctrl_c_ends_a_query(database):
    """Native code that computes for hours is told to stop, and the next query runs."""
    pressed = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT))
    pressed.start()

    with pytest.raises(KeyboardInterrupt):
        database.ask(
            "SELECT count(*) FROM range(100000) a, range(1000000) b"
            " WHERE hash(a.range, b.range) % 7 = 3"
        )

    pressed.join()
    assert database.ask("SELECT 1") == [(1,)]


def test_too_little_memory_is_told_with_what_helps():
    """It is no fault of the file."""
    duckdb = pytest.importorskip("duckdb")
    error = duckdb.OutOfMemoryException("Out of Memory Error: failed to allocate 1 MiB")

    with pytest.raises(cas.InvalidInputError, match="more memory") as caught:
        Database(Refusing(error), ServedFiles()).ask("SELECT 1")

    assert "memory_bytes" in caught.value.hint


def test_what_was_compared_is_let_go(database):
    """Files, and the tables that queries kept of them; later files have other names."""
    first = database.serve(Content(b"a\n1\n"))
    database.ask(f"CREATE TEMP TABLE kept AS SELECT * FROM read_csv({first})")

    database.release()

    with pytest.raises(cas.InvalidInputError):
        database.ask("SELECT * FROM kept")
    with pytest.raises(cas.InvalidInputError):
        database.ask(f"SELECT * FROM read_csv({first})")
    assert database.serve(Content(b"a\n2\n")) != first


def test_names_and_text_are_quoted():
    """Marks are doubled; a NUL, which ends a query, is refused."""
    assert quote_name('a"b') == '"a""b"'
    assert quote_text("it's") == "'it''s'"
    with pytest.raises(cas.InvalidInputError, match="NUL"):
        quote_name("a\0b")


def test_threads_read_where_they_sought():
    """Side by side on one open file; one that did not seek goes on after the last."""
    content = os.urandom(100_000)
    files = ServedFiles()
    file = files.open(files.serve(Content(content)))

    def read(at):
        file.seek(at)
        return file.read(10)

    with ThreadPoolExecutor(8) as pool:
        places = list(range(0, 90_000, 100))
        assert list(pool.map(read, places)) == [content[at : at + 10] for at in places]
    file.seek(-5, 2)
    assert (file.tell(), file.read(), file.read(1)) == (99_995, content[-5:], b"")


def test_a_file_is_seen_by_its_own_name_only():
    """Of the filesystem: size, existence, and one time for all."""
    files = ServedFiles()
    url = files.serve(Content(csv_bytes(["a"], [[1]])))

    assert files.size(url) == 4
    assert files.glob(url) == [url]
    assert files.exists(url)
    assert files.glob(url + "*") == []
    assert files.modified(url).year == 1970
    with pytest.raises(FileNotFoundError):
        files.open("cas-table://no")
