"""Which store is read: an option, a chained URL, `CAS_STORE`, settings; and how it is registered."""

from __future__ import annotations

import tomllib
from importlib import import_module
from pathlib import Path

import fsspec
import pytest

import cas
from cas.filesystem.chosen_store import choose_store

ROOT = Path(__file__).parents[3]
FILE = "data@v0/train/a.txt"


def read(url, **options):
    with fsspec.open(url, **options) as file:
        return file.read()


def test_the_store_is_named_by_option_chain_variable_or_settings(store, tmp_path, monkeypatch):
    """The same file each time, and a variable that changes is seen by the next call."""
    folder = str(tmp_path / "store")
    for url, options in [
        (f"cas://{FILE}", {"store": folder}),
        (f"cas://{FILE}", {"store": f"file://{folder}"}),
        (f"cas://{FILE}", {"store": "store"}),  # relative to the current folder
        (f"cas://{FILE}::{folder}", {}),
        (f"cas://{FILE}::file://{folder}", {}),
        (f"cas://{FILE}", {"fo": folder, "target_protocol": ""}),  # as universal-pathlib says it
        (f"cas://data:v0/train/a.txt::file://{folder}", {}),
        (f"simplecache::cas://{FILE}", {"cas": {"store": folder}}),
    ]:
        assert read(url, **options) == b"one 1\n"
    with pytest.raises(cas.NotFoundError, match="store") as caught:
        read(f"cas://{FILE}")
    assert "name one" in caught.value.hint
    with pytest.raises(cas.NotFoundError) as caught:
        read(f"cas://{FILE}::{folder}/none")
    assert "cas init" in caught.value.hint
    monkeypatch.setenv("CAS_STORE", folder)
    assert read(f"cas://{FILE}") == b"one 1\n"
    monkeypatch.delenv("CAS_STORE")
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "cas.toml").write_text(
        f'store = "main"\n[stores.main]\nurl = "{folder}"\n', encoding="utf-8"
    )
    monkeypatch.chdir(tmp_path / "project")
    assert read(f"cas://{FILE}") == read(f"cas://{FILE}", store="main") == b"one 1\n"


def test_a_store_behind_a_driver_is_chained_with_its_options(tmp_path, source):
    """What follows `::` goes to the driver as it would by itself."""
    url = f"memory://{tmp_path.name}"
    with cas.Store.create(url) as store:
        store.put(source, "data")

    assert read(f"cas://{FILE}::{url}") == b"one 1\n"
    chosen = choose_store(None, "bucket/prefix", "s3", {"endpoint_url": "http://x"})
    assert (chosen.url, chosen.options) == ("s3://bucket/prefix", {"endpoint_url": "http://x"})


def test_mistakes_in_options_are_told(tmp_path):
    """An option that nobody knows is no store left out in silence."""
    with pytest.raises(cas.InvalidInputError, match="no option stroe") as caught:
        fsspec.filesystem("cas", stroe="x")
    assert "target_options" in caught.value.hint
    with pytest.raises(cas.InvalidInputError, match="one store"):
        fsspec.filesystem("cas", store="x", fo="y", target_protocol="s3")


def test_without_credentials_means_something_to_some_drivers(store):
    """Pandas tries it where a URL was refused: what was wrong then is what its users see."""
    url = "s3://bucket/prefix"

    assert choose_store(url, None, None, None, anon=True).options == {"anon": True}
    assert choose_store(url, None, None, {"anon": False}, anon=True).options == {"anon": False}
    assert choose_store(store.url, None, None, None, anon=True).options == {}
    assert read(f"cas://{FILE}", store=store.url, anon=True) == b"one 1\n"
    with pytest.raises(cas.UnsupportedError, match="can only be read"):
        fsspec.open("cas://data/x", "wb", store=store.url, anon=True).open()


def test_the_package_registers_what_it_has():
    """The names of the entry points lead to the classes."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    groups = project["entry-points"]

    assert groups["fsspec.specs"] == {"cas": "cas.filesystem:CasFileSystem"}
    module, _, name = groups["fsspec.specs"]["cas"].partition(":")
    assert getattr(import_module(module), name) is cas.CasFileSystem
    assert groups["universal_pathlib.implementations"] == {"cas": "cas.filesystem.paths:CasPath"}


def test_instances_are_shared_by_equal_options_and_tell_their_store(store, fs):
    """As fsspec does; one on an open store is its own."""
    assert fsspec.filesystem("cas", store=store.url) is fs
    assert cas.CasFileSystem.on(store) is not cas.CasFileSystem.on(store)
    assert cas.CasFileSystem.on(store).store is store
    assert fs.fsid == f"cas-{store.store_id}"
    assert fs.unstrip_protocol("data@v0") == "cas://data@v0"
    assert fsspec.AbstractFileSystem.from_json(fs.to_json()) is fs
