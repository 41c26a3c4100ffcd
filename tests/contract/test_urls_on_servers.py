"""Putting from and getting to each kind of server that the tests of stores have."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from servers.place import StoreServer
from servers.relay import relay_to
from text_trees import write_folder

import cas
from cas.backend.counting import RequestTally
from cas.backend.places import open_place
from cas.transfer import journal, remote_tree

FILES = {
    "a.txt": b"alpha",
    "empty": b"",
    "d/big": os.urandom(20 << 20),
    "d/mid": os.urandom(2 << 20),
    "d/name with spaces + ümlaut[1].txt": b"some text\n" * 5000,
    **{f"many/{number:03}": os.urandom(700) for number in range(40)},
}

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[cas.Store]:
    cas.Store.create(tmp_path / "store").close()
    options = cas.StoreOptions(cache_dir=str(tmp_path / "cache"))
    with cas.Store.open(tmp_path / "store", options=options) as opened:
        yield opened


@pytest.mark.parametrize("kind", ["weed", "fake_gcs", "azurite", "sftp"])
def test_each_kind_of_server_gives_back_what_it_got(request, store, tmp_path, monkeypatch, kind):
    """There and back, found unchanged, replaced, and missed."""
    monkeypatch.setattr(journal, "RACY_NS", -(1 << 62))
    monkeypatch.setattr(remote_tree, "CLOCK_MARGIN_NS", 0)
    server: StoreServer = request.getfixturevalue(kind)
    place = server.new_place()
    put = cas.PutOptions(source_options=place.options)
    get = cas.GetOptions(dest_options=place.options)
    before = store.put(write_folder(tmp_path / "raw", FILES), "folder")
    url = f"{place.url}/copy"

    store.get("folder", url, get)
    there = store.put(url, "objects", put)
    again = store.put(url, "objects", put)
    same = store.get("folder", url, get)

    assert there.digest == before.digest
    assert (there.new_bytes, again.read_files, same.written_bytes) == (0, 0, 0)
    for missing in (f"{place.url}/nothing", f"{place.url}/nothing/"):
        with pytest.raises(cas.NotFoundError):
            store.put(missing, "x", put)


@pytest.mark.parametrize("kind", ["weed", "fake_gcs", "azurite", "sftp"])
def test_each_kind_of_server_forgets_a_file_that_is_given_up(request, kind):
    """Neither an object nor a part of one is listed."""
    server: StoreServer = request.getfixturevalue(kind)
    place = server.new_place()
    target = open_place(f"{place.url}/copy", place.options)
    writer = target.open_writer("big", 40 << 20)
    writer.write(FILES["d/big"])

    writer.discard()

    assert target.find_present() == []
    target.close()


def test_writes_are_counted_as_the_server_sees_them(ministack):
    """A small object is one request; of a big one each part is, and its beginning and end."""
    place = ministack.new_place()
    tally = RequestTally(place.url)
    with relay_to(ministack.endpoint) as relay:
        options = ministack.options(endpoint_url=relay.endpoint)
        target = open_place(place.url, options, tally)

        target.write("small", b"content")
        writer = target.open_writer("big", 40 << 20)
        for _ in range(10):
            writer.write(bytes(4 << 20))
        writer.commit()
        target.close()

    seen = [method for method, _ in relay.requests if method in ("PUT", "POST")]
    assert (tally.requests.put, tally.requests.sent_bytes) == (len(seen), 7 + (40 << 20))
