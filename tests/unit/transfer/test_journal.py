"""What the journal remembers, and that it neither fails nor lies when it is damaged or shared."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from blake3 import blake3

from cas.errors import InvalidInputError
from cas.format.manifest import encode_page
from cas.model.ids import PageId
from cas.objects.blob_list import BlobRef
from cas.transfer import journal as journal_module
from cas.transfer.journal import KEPT_NS, RACY_NS, Journal, JournalPage
from cas.transfer.rows import EntryColumns
from cas.transfer.tree import LocalTree

SOURCE = b"/some/folder"
NOTED_NS = 1_700_000_000_000_000_000
LONG_AGO_NS = NOTED_NS - 10 * RACY_NS


def tree_of(paths):
    """A tree of empty files that nobody touched for long."""
    count = len(paths)
    return LocalTree(
        key=SOURCE,
        bases={b"": SOURCE},
        paths=list(paths),
        kinds=np.zeros(count, np.uint8),
        modes=np.zeros(count, np.uint8),
        sizes=np.zeros(count, np.int64),
        mtimes=np.full(count, LONG_AGO_NS),
        ctimes=np.full(count, LONG_AGO_NS),
        inodes=np.arange(count, dtype=np.int64),
    )


def page_of(tree, *, stamp=3):
    """The journal's page of a whole tree."""
    columns = EntryColumns(len(tree))
    columns.hashes[:] = np.frombuffer(blake3(b"").digest(), np.uint8)
    page = columns.page(0, len(tree), tree.paths, tree.kinds, None)
    content = encode_page(page)
    return JournalPage(
        PageId(blake3(content).digest()),
        content,
        tree.mtimes,
        tree.ctimes,
        tree.inodes,
        stamp,
        NOTED_NS,
    )


def blob(letter, stamp=0):
    return BlobRef(blob_id=letter * 32, size=900, table_offset=700, stamp=stamp)


def first_paths(journal, source=SOURCE):
    return [page.page.paths[0] for page in journal.load(source)._pages]


def file_of(folder):
    (path,) = folder.glob("journal-*.sqlite")
    return path


def execute(folder, statement, values=()):
    """Change the file as somebody else would."""
    with sqlite3.connect(file_of(folder)) as other:
        other.execute(statement, values)
    other.close()


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "state"


@pytest.fixture
def open_journal(folder):
    made = []

    def open_journal(store="store"):
        made.append(Journal(folder, store))
        return made[-1]

    yield open_journal
    for one in made:
        one.close()


def test_a_page_comes_back_with_all_that_was_noted(open_journal):
    """For the store and the sources that it was noted for, and for no others."""
    tree = tree_of([b"a", b"b/c"])
    open_journal().save(SOURCE, [page_of(tree)])

    found = open_journal().load(SOURCE).page_of(b"b/c")

    assert found is not None
    assert (found.page.paths, found.stamp, found.noted_ns) == ([b"a", b"b/c"], 3, NOTED_NS)
    assert found.unchanged(tree, np.arange(2), np.arange(2)).all()
    assert first_paths(open_journal(), b"/other") == []
    assert first_paths(open_journal("other store")) == []


def test_a_page_is_found_by_its_id_whatever_it_was_made_of(open_journal, folder):
    """For the store that it is of; one that was damaged is not there."""
    page = page_of(tree_of([b"a", b"b/c"]))
    open_journal().save(SOURCE, [page])

    found = open_journal().find_page(page.page_id)

    assert found is not None
    assert found.paths == [b"a", b"b/c"]
    assert open_journal("other store").find_page(page.page_id) is None
    execute(folder, "UPDATE pages SET page=?", (b"damaged",))
    assert open_journal().find_page(page.page_id) is None


def test_a_path_is_looked_up_in_the_page_that_may_hold_it(open_journal):
    """The last page that does not begin after it; before the first there is none."""
    journal = open_journal()
    journal.save(SOURCE, [page_of(tree_of([first])) for first in (b"m", b"d", b"t")])

    view = journal.load(SOURCE)

    found = [view.page_of(path) for path in (b"a", b"d", b"k", b"m/x", b"z")]
    assert [one and one.page.paths[0] for one in found] == [None, b"d", b"d", b"m", b"t"]


@pytest.mark.parametrize("column", ["mtimes", "ctimes", "inodes", "sizes", "modes", "kinds"])
def test_any_difference_of_a_stat_is_a_change(column):
    """A file restored with its old time has a new ctime; a renamed one has another inode."""
    page = page_of(tree_of([b"a", b"b"]))
    tree = tree_of([b"a", b"b"])
    getattr(tree, column)[1] += 1

    assert page.unchanged(tree, np.arange(2), np.arange(2)).tolist() == [True, False]


@pytest.mark.parametrize("column", ["mtimes", "ctimes"])
def test_a_file_changed_just_before_it_was_read_is_not_trusted(column):
    """It may have changed again within one tick of the clock, and look the same."""
    tree = tree_of([b"a", b"b"])
    getattr(tree, column)[:] = [NOTED_NS - RACY_NS, NOTED_NS - RACY_NS - 1]

    page = page_of(tree)

    assert page.unchanged(tree, np.arange(2), np.arange(2)).tolist() == [False, True]


def test_replace_keeps_just_the_new_pages(open_journal):
    """Those of other sources stay."""
    journal = open_journal()
    journal.save(SOURCE, [page_of(tree_of([b"a"])), page_of(tree_of([b"b"]))])
    journal.save(b"/other", [page_of(tree_of([b"o"]))])

    journal.replace(SOURCE, [page_of(tree_of([b"c"]))])

    assert (first_paths(journal), first_paths(journal, b"/other")) == ([b"c"], [b"o"])


def test_blobs_of_an_interrupted_put_are_kept_until_published(open_journal):
    """Of this store; those of last month were collected long ago and go."""
    journal = open_journal()
    open_journal("other").note_blobs([blob(b"o")], NOTED_NS)
    journal.note_blobs([blob(b"a", 4), blob(b"b")], NOTED_NS)
    journal.note_blobs([blob(b"z")], NOTED_NS - KEPT_NS - 1)

    journal.forget_blobs([b"b" * 32, b"unknown"])

    assert journal.unpublished_blobs(NOTED_NS) == [blob(b"a", 4)]


@pytest.mark.parametrize("content", [b"no database" * 500, b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_damaged_file_is_made_anew(folder, open_journal, content):
    """What it knew is lost, which costs time; from then on it serves."""
    open_journal().close()
    file_of(folder).write_bytes(content)

    journal = open_journal()
    journal.note_blobs([blob(b"a")], NOTED_NS)

    assert open_journal().unpublished_blobs(NOTED_NS) == [blob(b"a")]


def test_damage_while_it_is_open_stops_nothing(folder, open_journal):
    """It knows nothing, notes nothing, and raises nothing."""
    journal = open_journal()
    journal.save(SOURCE, [page_of(tree_of([b"a"]))])
    execute(folder, "DROP TABLE pages")
    execute(folder, "DROP TABLE blobs")

    journal.save(SOURCE, [page_of(tree_of([b"b"]))])
    journal.replace(SOURCE, [page_of(tree_of([b"b"]))])
    journal.note_blobs([blob(b"a")], NOTED_NS)
    journal.forget_blobs([b"a" * 32])

    assert first_paths(journal) == []
    assert journal.unpublished_blobs(NOTED_NS) == []


def test_a_locked_file_is_read_but_not_written(folder, open_journal, monkeypatch):
    """Another process that never lets go costs notes, not the put; the file is not replaced."""
    monkeypatch.setattr(journal_module, "BUSY_SECONDS", 0)
    journal = open_journal()
    journal.save(SOURCE, [page_of(tree_of([b"a"]))])
    other = sqlite3.connect(file_of(folder), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    journal.replace(SOURCE, [page_of(tree_of([b"b"]))])
    journal.note_blobs([blob(b"a")], NOTED_NS)

    assert first_paths(journal) == [b"a"]
    assert journal.unpublished_blobs(NOTED_NS) == []
    other.execute("ROLLBACK")
    other.close()
    journal.note_blobs([blob(b"a")], NOTED_NS)
    assert journal.unpublished_blobs(NOTED_NS) == [blob(b"a")]


def test_a_file_locked_whole_is_no_damaged_file(folder, open_journal, monkeypatch):
    """Opening fails, and what the other process has stays."""
    monkeypatch.setattr(journal_module, "BUSY_SECONDS", 0)
    journal = open_journal()
    journal.note_blobs([blob(b"a")], NOTED_NS)
    journal.close()
    other = sqlite3.connect(file_of(folder), isolation_level=None)
    other.execute("PRAGMA locking_mode=EXCLUSIVE")
    other.execute("BEGIN EXCLUSIVE")

    with pytest.raises(sqlite3.OperationalError, match="locked"):
        open_journal()

    other.close()
    assert open_journal().unpublished_blobs(NOTED_NS) == [blob(b"a")]


NO_VALUES = [None, -1, 1 << 62, 1.5, float("inf"), "text", b"", b"x" * 32]


@pytest.mark.parametrize("value", NO_VALUES, ids=repr)
@pytest.mark.parametrize("column", ["page_id", "page_size", "page", "stats"])
def test_rows_that_make_no_sense_are_left_out(folder, open_journal, column, value):
    """A newer release or a broken disk may have written them: no page is taken for another."""
    journal = open_journal()
    journal.save(SOURCE, [page_of(tree_of([b"a"])), page_of(tree_of([b"b"]))])
    execute(folder, f"UPDATE pages SET {column}=? WHERE first=?", (value, b"a"))

    assert first_paths(journal) == [b"b"]


@pytest.mark.parametrize("value", [None, float("inf"), "text", b"x"], ids=repr)
@pytest.mark.parametrize("column", ["stamp", "noted_ns"])
def test_rows_without_numbers_are_left_out(folder, open_journal, column, value):
    """When a page was noted, and what for, must be known."""
    journal = open_journal()
    journal.save(SOURCE, [page_of(tree_of([b"a"])), page_of(tree_of([b"b"]))])
    execute(folder, f"UPDATE pages SET {column}=? WHERE first=?", (value, b"a"))

    assert first_paths(journal) == [b"b"]


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("blob_id", b"short"),
        ("blob_id", 7),
        ("blob_id", "t" * 32),
        ("size", 1 << 40),
        ("size", "big"),
        ("size", 900.5),
        ("table_offset", -1),
        ("table_offset", 900),
        ("table_offset", None),
        ("stamp", float("inf")),
        ("stamp", None),
    ],
)
def test_blobs_that_cannot_be_are_left_out(folder, open_journal, column, value):
    """A wrong place must not become part of a version."""
    journal = open_journal()
    journal.note_blobs([blob(b"a"), blob(b"b")], NOTED_NS)
    execute(folder, f"UPDATE blobs SET {column}=? WHERE blob_id=?", (value, b"a" * 32))

    assert journal.unpublished_blobs(NOTED_NS) == [blob(b"b")]


def test_a_page_with_stats_of_other_files_is_left_out(open_journal):
    """One stat for each entry, or none can be trusted."""
    journal = open_journal()
    page = page_of(tree_of([b"a", b"b"]))
    longer = np.zeros(3, np.int64)
    journal.save(SOURCE, [replace(page, mtimes=longer, ctimes=longer, inodes=longer)])

    assert first_paths(journal) == []


def test_a_file_of_another_make_knows_nothing(folder, open_journal):
    """Tables with other columns are left as they are."""
    open_journal().close()
    execute(folder, "DROP TABLE pages")
    execute(folder, "CREATE TABLE pages (something TEXT)")

    journal = open_journal()
    journal.save(SOURCE, [page_of(tree_of([b"a"]))])

    assert first_paths(journal) == []


WRITER = """
import sys
from pathlib import Path
from cas.objects.blob_list import BlobRef
from cas.transfer.journal import Journal

letter = sys.argv[2].encode()
sys.stdin.read(1)
for number in range(100):
    journal = Journal(Path(sys.argv[1]), "store")
    ids = letter + number.to_bytes(31, "big")
    journal.note_blobs([BlobRef(blob_id=ids, size=900, table_offset=700, stamp=0)], 10)
    journal.close()
"""


def test_two_processes_may_write_at_once(folder, open_journal):
    """Each waits for the other, and nothing that either noted is lost."""
    journal = open_journal()
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, folder, letter], stdin=subprocess.PIPE, text=True
        )
        for letter in "ab"
    ]
    for writer in writers:
        writer.stdin.write("x")
        writer.stdin.flush()

    for number in range(50):
        journal.note_blobs([blob(b"%c" % (number + 100))], 10)

    for writer in writers:
        writer.communicate(timeout=60)
    assert [writer.returncode for writer in writers] == [0, 0]
    assert len(journal.unpublished_blobs(10)) == 250


def test_the_folder_is_for_this_user_alone(folder, open_journal):
    """Made so, and tightened where others could only read."""
    folder.mkdir(mode=0o755)

    open_journal()

    assert folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("mode", [0o720, 0o702, 0o777])
def test_a_folder_that_others_may_write_is_refused(folder, open_journal, mode):
    """They could say that files are unchanged which are not."""
    folder.mkdir()
    folder.chmod(mode)

    with pytest.raises(InvalidInputError, match="others may write") as failure:
        open_journal()

    assert failure.value.hint is not None
    assert list(folder.iterdir()) == []


def test_a_folder_of_another_user_is_refused(folder, open_journal, monkeypatch):
    """Whoever owns it may replace the file at any time."""
    folder.mkdir(mode=0o700)
    owner = folder.stat().st_uid
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)

    with pytest.raises(InvalidInputError, match="belongs to another user"):
        open_journal()

    assert list(folder.iterdir()) == []


def test_a_system_without_users_asks_for_none(folder, open_journal, monkeypatch):
    """Where there is no such call the profile folder is private by itself."""
    monkeypatch.delattr(os, "geteuid")

    journal = open_journal()

    assert journal.unpublished_blobs(NOTED_NS) == []
