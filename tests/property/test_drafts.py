"""Random edits of a draft do what they do to a folder on disk, and make the version of that folder."""

from __future__ import annotations

import shutil

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import cas
from cas.testing.trees import read_tree, write_tree

PLAIN = cas.PutOptions(provenance=False)
BASE = {
    b"a/b/c": b"abc",
    b"a/d": b"ad",
    b"a-file": b"between a and a/",
    b"e/f": b"ef" * 300,
    b"top": b"top",
}
# Few names, so that files and folders meet.
NAMES = st.lists(
    st.sampled_from(["a", "b", "c", "d", "e", "a-file", "top"]), min_size=1, max_size=3
)
PATHS = NAMES.map("/".join)
ACTS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), PATHS, st.binary(max_size=5)),
        st.tuples(st.just("append"), PATHS, st.binary(max_size=3)),
        st.tuples(st.just("rm"), PATHS),
        st.tuples(st.just("rm -r"), PATHS),
        st.tuples(st.just("rmdir"), PATHS),
        st.tuples(st.just("mkdir"), PATHS),
        st.tuples(st.just("cp"), PATHS, PATHS),
        st.tuples(st.just("mv"), PATHS, PATHS),
    ),
    max_size=12,
)


class Folder:
    """What a draft should do, done to a folder."""

    def __init__(self, top):
        self.top = top

    def act(self, kind, path, *rest):
        """Do it, or raise an `OSError`."""
        place = self.top / path
        if kind == "write":
            self._write(place, rest[0])
        elif kind == "append":
            self._write(place, (place.read_bytes() if place.exists() else b"") + rest[0])
        elif kind == "rm":
            place.unlink()
        elif kind == "rm -r":
            shutil.rmtree(place) if place.is_dir() else place.unlink()
        elif kind == "rmdir":
            place.rmdir()
        elif kind == "mkdir":
            place.mkdir(parents=True)
        elif kind == "cp":
            self._write(self.top / rest[0], place.read_bytes())
        else:
            self._move(place, self.top / rest[0])

    def _write(self, place, content):
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)

    def _move(self, place, target):
        if not place.exists():
            raise FileNotFoundError
        if target.is_dir() and target != place:
            target = target / place.name
        if target == place:
            return
        if place in target.parents or target.is_dir() or (place.is_dir() and target.exists()):
            raise OSError("cannot be moved there")
        target.parent.mkdir(parents=True, exist_ok=True)
        place.rename(target)


def act_on_draft(draft, kind, path, *rest):
    if kind == "write":
        draft.pipe_file(path, rest[0])
    elif kind == "append":
        with draft.open(path, "ab") as file:
            file.write(rest[0])
    elif kind == "rm":
        draft.rm(path)
    elif kind == "rm -r":
        draft.rm(path, recursive=True)
    elif kind == "rmdir":
        draft.rmdir(path)
    elif kind == "mkdir":
        draft.mkdir(path)
    elif kind == "cp":
        if draft.isdir(path):
            raise IsADirectoryError
        draft.cp_file(path, rest[0])
    else:
        draft.mv(path, rest[0])


def shown(draft):
    return {path: draft.cat_file(path) for path in draft.find("")}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A store with the base and an empty folder in it."""
    top = tmp_path_factory.mktemp("drafts")
    write_tree(top / "base", BASE)
    (top / "base" / "empty").mkdir()
    (top / "base" / "c" / "e").mkdir(parents=True)
    options = cas.StoreOptions(cache_dir=str(top / "cache"), jobs=1)
    cas.Store.create(top / "store").close()
    with cas.Store.open(top / "store", options=options) as store:
        store.put(top / "base", "data", PLAIN)
        yield store, top


@given(acts=ACTS)
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_draft_does_what_a_folder_does(store, acts):
    """What a folder refuses it refuses, and what comes out is the same."""
    store, top = store
    shutil.rmtree(top / "model", ignore_errors=True)
    shutil.copytree(top / "base", top / "model")
    folder = Folder(top / "model")
    draft = store.draft("made", base="data:v0", options=PLAIN)
    for act in acts:
        before = read_tree(folder.top)
        try:
            folder.act(*act)
            failed = False
        except OSError:
            failed = True
        try:
            act_on_draft(draft, *act)
        except (OSError, cas.InvalidInputError):
            assert failed, act
        else:
            assert not failed or read_tree(folder.top) == before, act
        kept_folders(draft, folder.top)
        assert shown(draft) == {path.decode(): one for path, one in read_tree(folder.top).items()}

    if any(folder.top.iterdir()):
        version = draft.commit()
        outcome = store.put(folder.top, "made", PLAIN)
        assert (outcome.created, outcome.digest) == (False, version.digest)
    draft.discard()


def kept_folders(draft, top):
    """A folder that became empty stays on a disk; in a draft it does only if it was made."""
    for folder in sorted((path for path in top.rglob("*") if path.is_dir()), reverse=True):
        if not any(folder.iterdir()) and not draft.exists(str(folder.relative_to(top))):
            folder.rmdir()
