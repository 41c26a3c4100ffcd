"""Manifests whose paths, links and names try to get out of the target."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from blake3 import blake3

import cas
from cas.backend.memory import MemoryBackend
from cas.environment import SystemClock
from cas.format.manifest import Page
from cas.model.entry import EntryKind
from cas.operations.init import init_store
from cas.transfer.target import TargetTree

OPTIONS = cas.StoreOptions(jobs=1, journal=False)
PLAIN = cas.PutOptions(provenance=False)


def page_of(entries: list[tuple[bytes, EntryKind, bytes]]) -> Page:
    """Make a page of inlined entries, without asking whether they are allowed."""
    count = len(entries)
    kinds = np.array([kind for _, kind, _ in entries], np.uint8)
    sizes = np.array([len(content) for _, _, content in entries], np.uint64)
    none32, none64 = np.zeros(0, np.uint32), np.zeros(0, np.uint64)
    hashes = [
        bytes(32) if kind is EntryKind.DIRECTORY else blake3(content).digest()
        for _, kind, content in entries
    ]
    return Page(
        paths=[path for path, _, _ in entries],
        kinds=kinds,
        modes=np.zeros(count, np.uint8),
        sizes=sizes,
        hashes=np.frombuffer(b"".join(hashes), np.uint8).reshape(-1, 32),
        inline_lengths=sizes.astype(np.uint32),
        inline=b"".join(content for _, _, content in entries),
        extent_counts=np.zeros(count, np.uint32),
        extent_blobs=none32,
        extent_first=none32,
        extent_chunks=none32,
        extent_lengths=none64,
        blob_ids=np.zeros((0, 32), np.uint8),
        blob_sizes=none32,
        table_offsets=none32,
    )


@pytest.fixture
def publish(tmp_path, monkeypatch):
    """Publish a version with these entries, past every check of the writer."""

    def make(entries: list[tuple[bytes, EntryKind, bytes]]) -> cas.Store:
        backend = MemoryBackend()
        init_store(backend, SystemClock(), chunk_average=64 << 10)
        store = cas.Store.on(backend, options=OPTIONS)
        source = tmp_path / "source"
        source.mkdir()
        (source / "x").write_bytes(b"x")
        page = page_of(sorted(entries))
        import cas.format.manifest as manifest_module
        import cas.operations.store_tree as writer

        def encode_unchecked(_: Page) -> bytes:
            with monkeypatch.context() as patch:
                patch.setattr(manifest_module, "check_readable", lambda _kind, raw, _decode: raw)
                return manifest_module.encode_page(page)

        with monkeypatch.context() as patch:
            patch.setattr(writer, "encode_page", encode_unchecked)
            store.put(source, "data", PLAIN)
        return cas.Store.on(backend, options=OPTIONS)

    return make


@pytest.mark.parametrize(
    "path",
    [b"../out", b"/etc/out", b"a/../../out", b"a//b", b"./a", b"a/.", b"..", b"", b"a/", b"a\0b"],
)
def test_a_path_that_leads_elsewhere_is_refused(publish, tmp_path, path):
    """The page is refused as a whole, and nothing is written."""
    store = publish([(path, EntryKind.FILE, b"evil")])
    target = tmp_path / "target"

    with pytest.raises(cas.CorruptionError):
        store.get("data", target)

    assert not (tmp_path / "out").exists()
    assert not target.exists() or list(target.iterdir()) == []


@pytest.mark.parametrize("link", [b"/etc/passwd", b"../../secret", b"a/../../../secret"])
def test_a_link_that_leads_out_is_left_out_and_reported(publish, tmp_path, link):
    """Unless it is asked for."""
    store = publish([(b"sub/link", EntryKind.SYMLINK, link), (b"ok", EntryKind.FILE, b"ok")])

    outcome = store.get("data", tmp_path / "target")

    assert [one.path for one in outcome.skipped] == ["sub/link"]
    assert not os.path.lexists(tmp_path / "target" / "sub" / "link")
    store.get("data", tmp_path / "asked", cas.GetOptions(outside_links=True))
    assert (tmp_path / "asked" / "sub" / "link").is_symlink()


def test_a_file_below_a_link_is_found_before_anything_is_written(publish, tmp_path):
    """A name is a link and a folder at once: nothing is written through it."""
    outside = tmp_path / "outside"
    outside.mkdir()
    store = publish(
        [
            (b"dir", EntryKind.SYMLINK, os.fsencode(outside)),
            (b"dir/evil", EntryKind.FILE, b"evil"),
        ]
    )

    with pytest.raises(cas.InvalidInputError, match="both a file and a folder"):
        store.get("data", tmp_path / "target", cas.GetOptions(outside_links=True))

    assert list(outside.iterdir()) == []


def test_a_link_that_stands_in_the_target_is_never_followed(publish, tmp_path):
    """A folder of the target that is a link to elsewhere is in the way."""
    outside = tmp_path / "outside"
    outside.mkdir()
    target = tmp_path / "target"
    target.mkdir()
    (target / "dir").symlink_to(outside)
    store = publish([(b"dir/evil", EntryKind.FILE, b"evil")])

    with pytest.raises(cas.AlreadyExistsError):
        store.get("data", target)

    assert list(outside.iterdir()) == []


def test_a_link_in_place_of_a_file_is_replaced_and_not_written_through(publish, tmp_path):
    """With --overwrite the link goes and what it pointed to stays."""
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    target = tmp_path / "target"
    target.mkdir()
    (target / "file").symlink_to(victim)
    store = publish([(b"file", EntryKind.FILE, b"new")])

    with pytest.raises(cas.AlreadyExistsError):
        store.get("data", target)
    store.get("data", target, cas.GetOptions(overwrite=True))

    assert victim.read_bytes() == b"precious"
    assert not (target / "file").is_symlink()
    assert (target / "file").read_bytes() == b"new"


def test_nothing_is_made_setuid_or_more_open_than_the_umask(tmp_path):
    """A file of the target has mode 0666 or 0777 less the umask, whatever a page says."""
    old = os.umask(0o027)
    try:
        target = TargetTree(os.fsencode(tmp_path / "target"))
        pending = target.create(b"run", executable=True)
        pending.write_at(memoryview(b"x"), 0)
        pending.commit()
        target.close()
    finally:
        os.umask(old)

    assert (tmp_path / "target" / "run").stat().st_mode & 0o7777 == 0o750


def test_names_that_lie_about_size_are_refused(publish):
    """A size that is not what the page holds is damage."""
    store = publish([(b"a", EntryKind.DIRECTORY, b"not empty")])

    with pytest.raises(cas.CorruptionError):
        list(store.version("data"))


def test_control_characters_never_reach_a_terminal(publish, tmp_path):
    """The tool shows them escaped; the library gives names exactly."""
    import subprocess
    import sys

    store = publish([(b"a\x1b[31mb", EntryKind.FILE, b"x")])
    assert list(store.version("data")) == ["a\x1b[31mb"]
    source = tmp_path / "evil"
    source.mkdir()
    (source / "a\x1b[31mb").write_bytes(b"x")
    environ = {
        "CAS_STORE": str(tmp_path / "s"),
        "CAS_HOME": str(tmp_path / "h"),
        "PATH": os.environ["PATH"],
    }
    call = [sys.executable, "-m", "cas"]
    for words in (["init"], ["put", str(source), "x"]):
        subprocess.run([*call, *words], env=environ, check=True, capture_output=True)
    shown = subprocess.run([*call, "ls", "x:v0"], env=environ, check=True, capture_output=True)
    assert b"\x1b" not in shown.stdout
    assert Path(source).is_dir()
