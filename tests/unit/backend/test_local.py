"""The folder backend: what survives, what is left behind, and how the disk's errors read."""

from __future__ import annotations

import errno
import os
import pickle
import sys
from pathlib import Path

import pytest

from cas.backend.base import StoredObject
from cas.backend.local import LocalBackend
from cas.errors import AlreadyExistsError, BackendError, ErrorCode, InvalidInputError, NotFoundError

linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc to name descriptors")


@pytest.fixture
def backend(tmp_path: Path) -> LocalBackend:
    return LocalBackend(tmp_path / "store", create_root=True)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[tuple[str, str]]:
    """Every call that decides about durability, in order, with paths relative to the store."""
    made: list[tuple[str, str]] = []

    def shorten(path: object) -> str:
        if isinstance(path, int):
            path = Path(f"/proc/self/fd/{path}").readlink()
        short = os.path.relpath(str(path), tmp_path / "store")
        return "staged" if short.startswith(".tmp/") else short

    def record(name: str, *, last: bool = False) -> None:
        real = getattr(os, name)

        def call(*arguments: object, **options: object) -> object:
            made.append((name, shorten(arguments[1] if last else arguments[0])))
            return real(*arguments, **options)

        monkeypatch.setattr(os, name, call)

    for name in ("writev", "fsync", "mkdir"):
        record(name)
    for name in ("link", "replace"):
        record(name, last=True)
    return made


def files_below(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@linux
def test_content_is_synced_then_named_then_the_folder_synced(backend, calls):
    """In this order a power cut leaves the whole object or none, and none after `put` returned."""
    backend.put("a/first", [b"x"])
    calls.clear()

    backend.put("a/second", [b"x", b"y"])

    assert calls == [
        ("writev", "staged"),
        ("fsync", "staged"),
        ("replace", "a/second"),
        ("fsync", "a"),
    ]


@linux
def test_a_created_object_is_linked_after_its_content_is_synced(backend, calls):
    """`link` is what refuses an existing name; the order is that of `put`."""
    backend.put("a/first", [b"x"])
    calls.clear()

    backend.create("a/second", b"x")

    assert calls == [
        ("writev", "staged"),
        ("fsync", "staged"),
        ("link", "a/second"),
        ("fsync", "a"),
    ]


@linux
def test_new_folders_are_durable_before_anything_is_put_into_them(backend, calls):
    """Each new folder's name is synced in its parent, from the top down, and only once."""
    backend.put("top", [b"x"])
    calls.clear()

    backend.put("a/b/key", [b"x"])

    assert calls[2:] == [
        ("mkdir", "a"),
        ("fsync", "."),
        ("mkdir", "a/b"),
        ("fsync", "a"),
        ("replace", "a/b/key"),
        ("fsync", "a/b"),
    ]


@linux
def test_a_folder_that_somebody_else_made_is_synced_once_too(backend, calls, tmp_path):
    """The other process may not have come so far, and our object would be lost with the folder."""
    backend.put("top", [b"x"])
    (tmp_path / "store" / "a").mkdir()
    calls.clear()

    backend.put("a/one", [b"x"])
    backend.put("a/two", [b"x"])

    assert [call for call in calls if call in (("mkdir", "a"), ("fsync", "."))] == [
        ("mkdir", "a"),
        ("fsync", "."),
    ]


@linux
def test_the_store_folder_itself_is_made_durable(backend, calls):
    """The first put of a new store syncs the store's own name in its parent."""
    backend.put("key", [b"x"])

    assert calls[:2] == [("mkdir", "."), ("fsync", "..")]


@linux
def test_an_object_that_is_reported_to_exist_is_durable(backend, calls):
    """The refused caller may build on what it found, so its folder is synced first."""
    backend.create("a/key", b"theirs")
    calls.clear()

    with pytest.raises(AlreadyExistsError):
        backend.create("a/key", b"ours")

    assert calls[-2:] == [("link", "a/key"), ("fsync", "a")]


def test_nothing_but_the_objects_is_left(backend, tmp_path):
    """Successes and refusals leave no staged file behind."""
    backend.put("a/key", [b"1"])
    backend.put("a/key", [b"2"])
    backend.create("a/new", b"3")
    with pytest.raises(AlreadyExistsError):
        backend.create("a/new", b"4")

    assert files_below(tmp_path / "store") == ["a/key", "a/new"]


def test_a_write_that_fails_leaves_nothing(backend, tmp_path, monkeypatch):
    """A full disk is reported as such; neither the object nor a part of it is there."""

    def refuse(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    backend.put("key", [b"old"])
    monkeypatch.setattr(os, "writev", refuse)

    with pytest.raises(BackendError) as caught:
        backend.put("key", [b"new"])

    assert caught.value.code is ErrorCode.DISK_FULL
    assert caught.value.hint is not None
    assert backend.get("key") == b"old"
    assert files_below(tmp_path / "store") == ["key"]


def test_an_interrupted_write_leaves_nothing(backend, tmp_path, monkeypatch):
    """Ctrl-C between write and sync takes the staged file along."""

    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)

    with pytest.raises(KeyboardInterrupt):
        backend.put("key", [b"new"])

    assert files_below(tmp_path / "store") == []


def test_a_staged_file_is_never_listed(backend, tmp_path):
    """What another process is writing, or left when it was killed, is no object."""
    backend.put("a/key", [b"x"])
    (tmp_path / "store" / ".tmp" / "left").write_bytes(b"part of something")

    assert list(backend.list_objects("")) == [StoredObject("a/key", 1)]
    assert backend.list_folders("") == ["a"]


def test_opening_makes_nothing(tmp_path):
    """Reading and listing a store that is not there make no folder."""
    backend = LocalBackend(tmp_path / "store", create_root=True)

    assert list(backend.list_objects("")) == []
    with pytest.raises(NotFoundError):
        backend.get("key")
    backend.delete("key")
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize("write", ["put", "create"])
def test_a_missing_store_is_not_made_unless_asked(tmp_path, write):
    """A disk that is not mounted must not become a new store on the disk below."""
    backend = LocalBackend(tmp_path / "store")

    with pytest.raises(NotFoundError) as caught:
        getattr(backend, write)("a/key", b"x" if write == "create" else [b"x"])

    assert caught.value.code is ErrorCode.STORE_NOT_FOUND
    assert not (tmp_path / "store").exists()


def test_folders_go_with_their_last_object(backend, tmp_path):
    """Sessions come and go for years; their folders do not pile up."""
    backend.put("sessions/one/1", [b"x"])
    backend.put("sessions/one/2", [b"x"])
    backend.delete("sessions/one/1")
    assert (tmp_path / "store" / "sessions" / "one").is_dir()
    backend.delete("sessions/one/2")

    assert sorted(path.name for path in (tmp_path / "store").iterdir()) == [".tmp"]


def test_a_folder_removed_by_another_process_is_made_again(backend, tmp_path):
    """What an instance remembers about folders is checked by the write itself."""
    backend.put("a/b/key", [b"x"])
    other = LocalBackend(tmp_path / "store")
    other.delete("a/b/key")

    backend.put("a/b/key", [b"again"])

    assert other.get("a/b/key") == b"again"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may do all")
def test_a_folder_that_may_not_be_written_is_access_denied(backend, tmp_path):
    """The error says what to look at."""
    backend.put("a/key", [b"x"])
    (tmp_path / "store" / "a").chmod(0o500)

    with pytest.raises(BackendError) as caught:
        backend.put("a/other", [b"x"])

    assert caught.value.code is ErrorCode.ACCESS_DENIED


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS])
def test_a_refused_write_is_access_denied(backend, monkeypatch, number):
    """Read-only file systems and missing rights have one code."""

    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "replace", refuse)

    with pytest.raises(BackendError) as caught:
        backend.put("key", [b"x"])

    assert caught.value.code is ErrorCode.ACCESS_DENIED


def test_an_object_under_an_object_is_refused_as_a_failure(backend):
    """A key cannot be both object and folder on a disk; nothing is lost over it."""
    backend.put("a", [b"x"])

    with pytest.raises(BackendError):
        backend.put("a/b", [b"y"])

    assert backend.get("a") == b"x"


def test_a_folder_in_the_place_of_an_object_is_a_failure(backend):
    """`put` never removes a folder to make place."""
    backend.put("a/b", [b"x"])

    with pytest.raises(BackendError):
        backend.put("a", [b"y"])

    assert backend.get("a/b") == b"x"


def test_a_link_in_the_place_of_an_object_is_not_followed(backend, tmp_path):
    """Whoever can write the folder cannot make a reader open another file."""
    (tmp_path / "secret").write_bytes(b"secret")
    backend.put("a/key", [b"x"])
    (tmp_path / "store" / "a" / "link").symlink_to(tmp_path / "secret")

    with pytest.raises(BackendError):
        backend.get("a/link")
    assert [found.key for found in backend.list_objects("a")] == ["a/key"]


def test_without_hard_links_creating_still_refuses_but_claims_nothing(backend, monkeypatch):
    """On such a file system the check can be overtaken, and the capabilities say so."""

    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    backend.create("key", b"first")

    with pytest.raises(AlreadyExistsError):
        backend.create("key", b"second")
    assert backend.get("key") == b"first"
    assert not backend.capabilities.create_if_absent


def test_a_range_far_beyond_the_file_costs_no_memory(backend):
    """A hostile length is not allocated before it is known to be there."""
    backend.put("key", [b"0123456789"])

    assert backend.get("key", 5, 1 << 50) == b"56789"


def test_a_listing_that_cannot_be_read_raises(backend, monkeypatch):
    """A listing that ended early instead would make live objects look gone."""

    def refuse(_: str) -> None:
        raise OSError(errno.EIO, "Input/output error")

    backend.put("a/key", [b"x"])
    monkeypatch.setattr(os, "scandir", refuse)

    with pytest.raises(BackendError, match="Input/output error"):
        list(backend.list_objects(""))


def test_keys_that_leave_the_folder_are_refused_before_any_call(backend):
    """Keys may come out of listings of others."""
    with pytest.raises(InvalidInputError):
        backend.get("../../etc/passwd")


def test_a_pickled_copy_keeps_whether_it_may_make_the_folder(tmp_path):
    """The copy behaves like the original."""
    maker = pickle.loads(pickle.dumps(LocalBackend(tmp_path / "one", create_root=True)))
    user = pickle.loads(pickle.dumps(LocalBackend(tmp_path / "two")))

    maker.put("key", [b"x"])
    with pytest.raises(NotFoundError):
        user.put("key", [b"x"])


def test_the_url_is_the_absolute_path(tmp_path, monkeypatch):
    """A relative path is resolved once, when it is given."""
    monkeypatch.chdir(tmp_path)

    assert LocalBackend("store").url == f"file://{tmp_path}/store"


def test_a_folder_is_no_object_to_delete_whatever_the_system_says(tmp_path, monkeypatch):
    """Linux says that it is a folder, macOS and Windows that it is not permitted."""
    backend = LocalBackend(tmp_path)
    backend.put("a/b", [b"x"])
    unlink = os.unlink

    def refuse(path, *args, **options):
        if os.path.isdir(path):  # noqa: PTH112 - as the system gets it
            raise PermissionError(errno.EPERM, "Operation not permitted", path)
        unlink(path, *args, **options)

    monkeypatch.setattr(os, "unlink", refuse)
    backend.delete("a")

    assert backend.get("a/b") == b"x"


def test_a_listing_tells_when_an_object_was_stored(tmp_path):
    """Collectors guess by it who is still at work."""
    backend = LocalBackend(tmp_path)
    backend.put("a/key", [b"x"])

    (stored,) = backend.list_objects("a")

    assert stored.modified_ns == (tmp_path / "a" / "key").stat().st_mtime_ns
