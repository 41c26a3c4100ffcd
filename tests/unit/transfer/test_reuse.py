"""Which entries of a tree are not read again because the journal knows them."""

from __future__ import annotations

import os

import numpy as np
import pytest
from blake3 import blake3

from cas.format.manifest import encode_page
from cas.model.ids import PageId
from cas.objects.blob_list import BlobList, BlobRef
from cas.testing.trees import write_tree
from cas.transfer.journal import RACY_NS, JournalPage, JournalView
from cas.transfer.reuse import group_pages, match_groups
from cas.transfer.rows import EntryColumns, Extents
from cas.transfer.tree import scan_tree

TREE = {b"folder/%03d" % number: b"%d" % number * 300 for number in range(20)}
BLOB = BlobRef(blob_id=b"b" * 32, size=900, table_offset=700, stamp=0)
NOW_NS = 1_700_000_000_000_000_000


@pytest.fixture
def folder(tmp_path):
    write_tree(tmp_path / "tree", TREE)
    for path in (tmp_path / "tree" / "folder").iterdir():
        os.utime(path, ns=(NOW_NS, NOW_NS))
    return tmp_path / "tree"


def noted(tree, start, stop):
    """The journal's page of some entries: each one chunk of one blob."""
    count = stop - start
    columns, blobs = EntryColumns(count), BlobList()
    columns.sizes[:] = tree.sizes[start:stop]
    columns.hashes[:, 0] = np.arange(start, stop)
    numbers = np.arange(start, stop)
    ones = np.ones(count, np.int64)
    extents = Extents(np.full(count, blobs.row_of(BLOB)), numbers, ones, tree.sizes[start:stop])
    columns.add_extents(np.arange(count), ones, extents)
    page = columns.page(0, count, tree.paths[start:stop], tree.kinds[start:stop], blobs)
    content = encode_page(page)
    part = slice(start, stop)
    return JournalPage(
        PageId(blake3(content).digest()),
        content,
        tree.mtimes[part],
        tree.ctimes[part],
        tree.inodes[part],
        0,
        int(tree.ctimes.max()) + 2 * RACY_NS,
    )


def view_of(*pages):
    return JournalView([(page.page.paths[0], page) for page in pages])


def match(tree, view, *, may_use=lambda page: True):
    """Return the groups, and the columns as far as they are known."""
    columns = EntryColumns(len(tree))
    columns.sizes[:] = tree.sizes
    groups = group_pages(tree)
    match_groups(tree, groups, view, columns, BlobList(), may_use)
    return groups, columns


def test_a_page_of_unchanged_files_is_used_as_it_is(folder):
    """Not one entry is looked at again."""
    tree = scan_tree([folder])
    page = noted(tree, 0, 20)

    (group,), columns = match(scan_tree([folder]), view_of(page))

    assert (group.reused, group.to_read) == (page, [])
    assert not columns.is_known.any()


def test_only_changed_and_new_files_are_read(folder):
    """The others keep hash and place; removed ones are no matter."""
    tree = scan_tree([folder])
    page = noted(tree, 0, 20)
    (folder / "folder" / "005").write_bytes(b"changed")
    (folder / "folder" / "007").unlink()
    (folder / "folder" / "0071").write_bytes(b"new")

    (group,), columns = match(now := scan_tree([folder]), view_of(page))

    assert group.reused is None
    assert [now.paths[row] for row in group.to_read] == [b"folder/005", b"folder/0071"]
    assert columns.hashes[19, 0] == 19
    assert columns.extents_of(19).first.tolist() == [19]
    assert columns.is_known.sum() == 18


def test_files_are_found_in_whatever_pages_they_were(folder):
    """Pages of another cut serve file by file."""
    tree = scan_tree([folder])

    (group,), columns = match(tree, view_of(noted(tree, 0, 8), noted(tree, 8, 20)))

    assert (group.reused, group.to_read) == (None, [])
    assert columns.hashes[:, 0].tolist() == list(range(20))


def test_a_page_whose_blobs_are_not_vouched_for_is_not_used(folder):
    """Neither as a whole nor file by file."""
    tree = scan_tree([folder])
    first, second = noted(tree, 0, 8), noted(tree, 8, 20)
    view = view_of(first, second)

    (group,), _ = match(tree, view, may_use=lambda page: page is second)
    (whole,), _ = match(tree, view_of(noted(tree, 0, 20)), may_use=lambda page: False)

    assert group.to_read == list(range(8))
    assert (whole.reused, whole.to_read) == (None, list(range(20)))


def test_a_renamed_file_is_read(folder):
    """The journal knows paths; the chunks are found in the store all the same."""
    page = noted(scan_tree([folder]), 0, 20)
    (folder / "folder" / "003").rename(folder / "folder" / "zzz")

    (group,), _ = match(scan_tree([folder]), view_of(page))

    assert group.to_read == [19]


def test_an_empty_folder_is_never_read(folder):
    """It has no stat that matters and no content."""
    (folder / "folder" / "empty").mkdir()
    tree = scan_tree([folder])
    page = noted(tree, 0, 20)

    (group,), _ = match(tree, view_of(page))

    assert tree.paths[group.to_read[0] :] == [b"folder/empty"]


def test_a_folder_where_a_file_was_has_nothing_of_it(folder):
    """Though an empty folder has no stat that would tell."""
    page = noted(scan_tree([folder]), 0, 20)
    (folder / "folder" / "007").unlink()
    (folder / "folder" / "007").mkdir()
    tree = scan_tree([folder])

    (group,), columns = match(tree, view_of(page))

    assert group.to_read == [7]
    assert not columns.is_known[7]


def test_groups_cover_the_tree_and_are_cut_alike(folder):
    """The same paths are cut the same, and nothing has no groups."""
    tree = scan_tree([folder])
    tree.paths = [b"f/%07d" % number for number in range(30_000)]
    tree.sizes = np.zeros(30_000, np.int64)

    groups = group_pages(tree)

    assert [group.start for group in groups] == [0, *(group.stop for group in groups[:-1])]
    assert groups[-1].stop == 30_000
    assert len(groups) > 1
    tree.paths, tree.sizes = [], np.zeros(0, np.int64)
    assert group_pages(tree) == []
