"""Drafts committed and discarded: what becomes of them, and what it costs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import cas
from cas.testing.corpora import random_content
from cas.testing.trees import read_tree, write_tree

PLAIN = cas.PutOptions(provenance=False)


def test_leaving_the_context_commits_the_next_version(store):
    """With what was said of it; links, empty folders and executable bits of the base stay."""
    with store.draft("data", base="data:v0", description="more", aliases=("best",)) as draft:
        draft.pipe("new", b"new")
        draft.rm("train/a.txt")
        draft.makedirs("made")

    version = draft.version
    assert (version.ref, version.description, version.aliases) == ("data:v1", "more", ("best",))
    assert draft.outcome.created
    assert list(version) == [
        *["empty", "link", "made", "new", "run.sh", "train-2.txt", "train/deep/b.bin"],
    ]
    assert version["link"].kind is cas.EntryKind.SYMLINK
    assert version["run.sh"].executable
    assert version["made"].kind is cas.EntryKind.DIRECTORY
    assert store.verify(options=cas.VerifyOptions(level=cas.VerifyLevel.DATA)).problems == ()


def test_a_put_of_the_same_files_makes_the_same_version(store, tmp_path):
    """Page by page: digest, pages, and nothing new to store."""
    with store.draft("data", base="data:v0") as draft:
        draft.pipe("train/c", random_content(3, 300_000))
        draft.mv("train-2.txt", "other")

    got = store.get("data:v1", tmp_path / "got")
    outcome = store.put(tmp_path / "got", "data", PLAIN)

    assert got.files == 5
    assert (outcome.created, outcome.number) == (False, 1)
    assert outcome.new_bytes == 0


def test_a_draft_of_nothing_becomes_a_version(store):
    """The first one of an artifact; without any file there is nothing to put."""
    with store.draft("fresh") as draft:
        draft.pipe("a", b"a")
    with pytest.raises(cas.InvalidInputError, match="nothing to put"), store.draft("none"):
        pass

    assert draft.version.ref == "fresh:v0"


def test_an_error_discards_it(store, tmp_path):
    """Nothing is published, and nothing is left on this machine."""
    draft = store.draft("data", base="data:v0")
    with pytest.raises(FileNotFoundError), draft:  # noqa: PT012 - what is written before counts
        draft.pipe("new", b"new")
        draft.rm("no")

    assert len(store.versions("data")) == 1
    assert list((tmp_path / "home" / "cache" / "drafts-1").iterdir()) == []
    with pytest.raises(cas.InvalidInputError, match="discarded"):
        draft.ls("")
    with pytest.raises(cas.InvalidInputError, match="not committed"):
        _ = draft.version


def test_what_changes_nothing_makes_no_version(store):
    """Also if it was written again."""
    with store.draft("data", base="data:v0") as draft:
        draft.pipe("train/a.txt", draft.cat("train/a.txt"))

    assert not draft.outcome.created
    assert draft.version.ref == "data:v0"


def test_a_draft_is_closed_once_it_is_committed(store):
    """Explicitly, or by leaving the context; an open file stands against it."""
    draft = store.draft("data", base="latest")
    draft.pipe("new", b"new")
    with draft.open("open", "wb"), pytest.raises(cas.InvalidInputError, match="still open"):
        draft.commit()
    assert draft.commit().ref == "data:v1"
    with pytest.raises(cas.InvalidInputError, match="became data:v1"):
        draft.pipe("more", b"more")
    draft.discard()


def test_the_base_may_be_any_version(store):
    """An older one, or one of another artifact, which counts as an input; `latest` may be none."""
    with store.draft("data", base="data:v0") as draft:
        draft.pipe("one", b"1")
    with store.draft("data", base="data:v0") as draft:
        draft.pipe("two", b"2")
    with store.draft("other", base="data:v0", type="model") as other:
        other.rm("train", recursive=True)
    with store.draft("third", base="latest") as third:
        third.pipe("three", b"3")

    assert "one" not in draft.version
    assert "two" in draft.version
    assert [one.artifact for one in other.version.inputs] == ["data"]
    assert list(other.version) == ["empty", "link", "run.sh", "train-2.txt"]
    assert list(third.version) == ["three"]
    with pytest.raises(cas.NotFoundError):
        store.draft("data", base="no:v0")
    with pytest.raises(cas.InvalidInputError, match="whole version"):
        store.draft("data", base="data:v0/train")


def test_another_version_meanwhile_is_no_obstacle_unless_it_is_said(store):
    """As with a put."""
    with store.draft("data", base="data:v0") as draft:
        draft.pipe("mine", b"mine")
        store.draft("data", base="data:v0").discard()
        with store.draft("data", base="data:v0") as theirs:
            theirs.pipe("theirs", b"theirs")
    late = store.draft("data", base="data:v0", if_parent="data:v0")
    late.pipe("late", b"late")
    with pytest.raises(cas.ConflictError):
        late.commit()
    late.discard()
    draft_of_latest = store.draft("data", base="latest", if_parent="data:latest")
    draft_of_latest.pipe("late", b"late")
    with store.draft("data", base="latest") as faster:
        faster.pipe("faster", b"faster")
    with pytest.raises(cas.ConflictError):
        draft_of_latest.commit()
    draft_of_latest.discard()

    assert (theirs.version.number, draft.version.number) == (1, 2)
    assert "theirs" not in draft.version


def test_a_base_that_was_deleted_meanwhile_is_told(store):
    """It is in the trash, or gone; the draft stays, and can be committed once it is back."""
    draft = store.draft("data", base="data:v0")
    draft.pipe("new", b"new")
    store.delete("data:v0", force=True)
    with pytest.raises(cas.NotFoundError, match="deleted meanwhile"):
        draft.commit()
    store.restore("data:v0")

    assert draft.commit().ref == "data:v1"


def test_local_files_and_folders_are_added(store, tmp_path):
    """Where they lie, under the names that are wanted, with links, but not what is left out."""
    folder = write_tree(tmp_path / "add", {b"x.bin": b"x", b"sub/y.txt": b"y", b"sub/z.log": b"z"})
    (folder / "l").symlink_to("x.bin")
    with store.draft("data", base="data:v0", exclude=("*.log",)) as draft:
        assert draft.add(folder, "more") == 3
        assert draft.add(folder / "x.bin", "one/name.bin") == 1
        assert draft.add(folder / "x.bin", "one/") == 1
        assert draft.add(folder, include=["*.txt"]) == 1
        assert draft.cat("more/l") == b"x"
        with pytest.raises(cas.NotFoundError):
            draft.add(tmp_path / "no")

    version = draft.version
    assert {path for path in version if "train" not in path} == {
        *["empty", "link", "more/l", "more/sub/y.txt", "more/x.bin"],
        *["one/name.bin", "one/x.bin", "run.sh", "sub/y.txt"],
    }
    assert read_tree(folder)[b"x.bin"] == b"x"


def test_objects_behind_a_url_are_fetched_when_they_are_added(store):
    """From any driver of fsspec."""
    import fsspec

    memory = fsspec.filesystem("memory")
    memory.pipe({"/add-here/a": b"a", "/add-here/b/c": random_content(4, 100_000)})
    with store.draft("data") as draft:
        assert draft.add("memory://add-here", "raw") == 2
        assert draft.add("memory://add-here/a", "single") == 1
    memory.rm("/add-here", recursive=True)

    assert list(draft.version) == ["raw/a", "raw/b/c", "single"]
    assert draft.version.read("raw/b/c") == random_content(4, 100_000)


def test_patterns_remove_files_and_folders(store):
    """A folder that fits goes with all that is in it; nothing that fits is an error."""
    with store.draft("data", base="data:v0") as draft:
        draft.pipe({"old/a": b"a", "old/sub/b": b"b", "keep/old": b"k"})
        assert draft.remove("old/*") == ["old/a", "old/sub/b"]
        assert draft.remove("train") == ["train/a.txt", "train/deep/b.bin"]
        assert draft.remove("**/*.sh") == ["run.sh"]
        assert draft.remove("no*", missing_ok=True) == []
        with pytest.raises(cas.NotFoundError, match="fits 'no"):
            draft.remove("no*")

    assert list(draft.version) == ["empty", "keep/old", "link", "train-2.txt"]


def test_a_plan_tells_what_committing_would_send(store):
    """And sends nothing."""
    draft = store.draft("data", base="data:v0")
    draft.pipe("new", random_content(9, 500_000))
    puts = store.requests.put
    plan = draft.plan()

    assert store.requests.put == puts
    assert plan.new_bytes == 500_000
    assert [file.path for file in plan.files] == ["new"]
    draft.commit()
    assert draft.outcome.new_bytes == 500_000
    assert draft.outcome.sent_bytes == pytest.approx(plan.sent_bytes, abs=64)  # ids are random


def test_what_killed_drafts_left_is_removed_by_the_next(store, tmp_path):
    """The system drops the lock of a process that ends; what lives is not touched."""
    living = store.draft("data")
    living.pipe("living", b"1")
    child = os.fork()
    if child == 0:
        dying = store.draft("data")
        dying.pipe("dead", b"2")
        os._exit(0)
    os.waitpid(child, 0)
    top = tmp_path / "home" / "cache" / "drafts-1"
    assert len(list(top.iterdir())) == 2

    other = store.draft("data")

    assert {path.name for path in top.iterdir()} == {living.id, other.id}
    assert living.cat("living") == b"1"
    assert (top / living.id).stat().st_mode & 0o777 == 0o700
    assert Path(os.fsdecode(next(iter(top.glob("*/*/*"))))).read_bytes() == b"1"
    living.discard()
    other.discard()


def test_a_link_in_the_place_of_the_folder_is_refused(tmp_path, monkeypatch):
    """Whoever made it could have what it leads to removed; nothing else that lies there is."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    options = cas.StoreOptions(journal=False)
    cas.Store.create(tmp_path / "store").close()
    with cas.Store.open(tmp_path / "store", options=options) as store:
        store.draft("first").discard()
        (made,) = (tmp_path / "tmp").iterdir()
        (made / "other").mkdir()
        store.draft("second").discard()
        assert [path.name for path in made.iterdir()] == ["other"]

        made.rename(tmp_path / "elsewhere")
        made.symlink_to(tmp_path / "elsewhere")
        with pytest.raises(cas.InvalidInputError, match="is a link"):
            store.draft("third")


def test_damage_of_the_base_is_told_unless_it_is_replaced(store):
    """What the draft keeps must be whole; nobody here could store it again."""
    with store.draft("hurt") as draft:
        draft.pipe("kept", random_content(5, 50_000))
    with store.draft("hurt", base="latest") as draft:
        draft.pipe("damaged", random_content(6, 50_000))
    newest = max(Path(store.url.removeprefix("file://")).glob("blobs/*/*"), key=os.path.getmtime)
    content = bytearray(newest.read_bytes())
    content[20_000] ^= 1
    newest.write_bytes(content)
    assert store.verify(options=cas.VerifyOptions(level=cas.VerifyLevel.DATA)).problems

    draft = store.draft("hurt", base="hurt:v1")
    draft.pipe("new", b"new")
    with pytest.raises(cas.CorruptionError, match="damaged at damaged"):
        draft.commit()
    draft.pipe("damaged", random_content(6, 50_000))
    version = draft.commit()

    assert version.read("damaged") == random_content(6, 50_000)
    assert version.read("kept") == random_content(5, 50_000)
