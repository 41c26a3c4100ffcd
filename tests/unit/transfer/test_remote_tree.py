"""Listings of objects as trees: which names become paths, and what a stamp tells."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from cas.backend.found import FoundObject
from cas.errors import ErrorCode, InvalidInputError
from cas.model.entry import path_to_text
from cas.transfer import journal
from cas.transfer.remote_tree import (
    CLOCK_MARGIN_NS,
    NEVER_NS,
    SECOND_NS,
    RemoteTree,
    is_same_object,
    scan_places,
    stamp_of_object,
)


def found(path: str, **known: object) -> FoundObject:
    fields = {"is_file": True, "size": 1, "mtime_ns": 5 * SECOND_NS, "mark": "m", **known}
    return FoundObject(path=path, **fields)


@dataclass
class FakePlace:
    """A place that lists what it is told."""

    name: str
    objects: dict[str, bytes] = field(default_factory=dict)
    listed: list[FoundObject] | None = None
    reads: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"fake://{self.name}"

    def find(self) -> list[FoundObject]:
        if self.listed is not None:
            return self.listed
        return [found(path, size=len(content)) for path, content in self.objects.items()]

    def read(self, path: str, start: int, stop: int) -> bytes:
        self.reads.append(path)
        return self.objects[path][start:stop]


def texts(tree: RemoteTree) -> list[str]:
    return [path_to_text(path) for path in tree.paths]


def test_a_prefix_gives_what_is_below_it_in_path_order():
    """The order is that of bytes, as for a folder."""
    place = FakePlace("raw", {"b/c": b"1", "a": b"22", "b-": b"333"})

    tree = scan_places([place])

    assert texts(tree) == ["a", "b-", "b/c"]
    assert tree.sizes.tolist() == [2, 3, 1]
    assert [tree.object_of(row) for row in range(3)] == [(place, p) for p in ("a", "b-", "b/c")]


def test_several_sources_stand_under_their_own_names():
    """An object and a prefix, as a file and a folder would."""
    one, other = FakePlace("one", listed=[found("")]), FakePlace("other", {"a": b"", "b/c": b""})

    tree = scan_places([one, other])

    assert texts(tree) == ["one", "other/a", "other/b/c"]
    assert tree.object_of(0) == (one, "")
    assert tree.object_of(2) == (other, "b/c")


def test_two_sources_of_one_name_are_refused():
    """Neither may hide the other."""
    with pytest.raises(InvalidInputError) as caught:
        scan_places([FakePlace("a", {"x": b""}), FakePlace("a", {"y": b""})])

    assert caught.value.code is ErrorCode.INVALID_PATH


@pytest.mark.parametrize(
    "name",
    ["/a", "a//b", "a/", "../a", "a/../b", "./a", "a/.", "a\0b", "a/" * 3000 + "a", "\ud800"],
)
def test_a_name_that_is_no_path_is_reported(name):
    """The others are put all the same."""
    tree = scan_places([FakePlace("raw", listed=[found(name), found("good")])])

    assert texts(tree) == ["good"]
    assert [skipped.path for skipped in tree.skipped] == [name]


def test_what_is_no_plain_file_is_reported():
    """Links of an SFTP server are not followed; an object cannot be a folder, too."""
    listed = [found("link", is_file=False), found("a"), found("a/b"), found("a-")]

    tree = scan_places([FakePlace("raw", listed=listed)])

    assert texts(tree) == ["a-", "a/b"]
    assert [skipped.path for skipped in tree.skipped] == ["link", "a"]


def test_an_object_of_unknown_size_is_a_problem():
    """How much to read must be known before it is read."""
    tree = scan_places([FakePlace("page.html", listed=[found("", size=None)])])

    assert (texts(tree), len(tree.problems)) == ([], 1)


def test_patterns_hold_as_they_do_in_a_folder():
    """Those given, those of `.casignore` objects for what is below them, and `!` to take back."""
    objects = {
        ".casignore": b"*.tmp\nlogs/\n",
        "a.tmp": b"",
        "b": b"",
        "logs/.casignore": b"!kept\n",
        "logs/kept": b"",
        "sub/.casignore": b"!*.tmp\n/only\n",
        "sub/c.tmp": b"",
        "sub/only": b"",
        "sub/x/only": b"",
        "x.bak": b"",
    }
    place = FakePlace("raw", objects)

    tree = scan_places([place], exclude=["*.bak"])

    assert texts(tree) == [".casignore", "b", "sub/.casignore", "sub/c.tmp", "sub/x/only"]
    assert place.reads == [".casignore", "sub/.casignore"]


def test_patterns_of_one_source_do_not_reach_another():
    """Each stands in a folder of its own."""
    one, other = FakePlace("one", {".casignore": b"x\n", "x": b""}), FakePlace("other", {"x": b""})

    assert texts(scan_places([one, other])) == ["one/.casignore", "other/x"]


def test_any_change_shows_in_the_stamp():
    """Size, time and mark each do; the same object gives the same stamp."""
    stamps = [
        stamp_of_object(one)
        for one in (found("a"), found("a", size=2), found("a", mtime_ns=1), found("a", mark="n"))
    ]

    assert len(set(stamps)) == 4
    assert stamp_of_object(found("a")) == stamps[0]


def test_without_a_mark_only_old_times_are_trusted():
    """Nothing else tells, and the time is another machine's."""
    assert stamp_of_object(found("a", mark="")).ctime == 5 * SECOND_NS + CLOCK_MARGIN_NS
    assert stamp_of_object(found("a", mark="", mtime_ns=None)).ctime == NEVER_NS
    assert NEVER_NS + journal.RACY_NS < 1 << 63


def test_a_look_is_compared_by_mark_and_second():
    """Servers tell times more coarsely in one answer than in another."""
    listed = found("a", mtime_ns=5 * SECOND_NS + 7)

    def same(**other: object) -> bool:
        return is_same_object(stamp_of_object(listed), stamp_of_object(found("a", **other)))

    assert same()
    assert same(mark="")
    assert same(mtime_ns=None)
    assert not same(mark="n")
    assert not same(size=2)
    assert not same(mtime_ns=9 * SECOND_NS)
