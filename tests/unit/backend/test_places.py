"""Places behind URLs: what they list, read and write, and what they show of themselves."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import fsspec
import pytest
from fsspec import AbstractFileSystem
from fsspec.implementations.memory import MemoryFile, MemoryFileSystem

from cas.backend.places import Place, open_place
from cas.errors import CasError, ErrorCode, InvalidInputError, NotFoundError, UnsupportedError


@pytest.fixture
def memory() -> MemoryFileSystem:
    return fsspec.filesystem("memory")


@pytest.fixture
def folder(memory: MemoryFileSystem) -> Iterator[str]:
    """The URL of a prefix of the test's own."""
    name = f"places-{uuid.uuid4().hex}"
    yield f"memory://{name}"
    for path in [path for path in memory.store if path.startswith(f"/{name}")]:
        del memory.store[path]


def put_object(memory: MemoryFileSystem, url: str, content: bytes) -> None:
    """Store an object under exactly that name, which fsspec itself would tidy."""
    path = url.removeprefix("memory:/")
    memory.store[path] = MemoryFile(memory, path, content)


def paths_of(place: Place) -> list[str]:
    return sorted(one.path for one in place.find())


def test_a_prefix_lists_what_is_below_it(memory, folder):
    """Markers of folders are left out, and so is what only begins with the same letters."""
    put_object(memory, f"{folder}/raw/a", b"a")
    put_object(memory, f"{folder}/raw/b/c", b"c")
    put_object(memory, f"{folder}/raw/empty/", b"")
    put_object(memory, f"{folder}/raw2/d", b"d")

    assert paths_of(open_place(f"{folder}/raw", {})) == ["a", "b/c"]


def test_an_object_is_a_place_of_one(memory, folder):
    """Its path is empty, and its name that of the URL."""
    put_object(memory, f"{folder}/raw/a", b"abc")
    place = open_place(f"{folder}/raw/a", {})

    (found,) = place.find()

    assert (found.path, found.size, place.name) == ("", 3, "a")
    assert place.read("", 1, 3) == b"bc"


def test_a_name_that_is_not_there_is_not_found(folder):
    """A prefix without objects does not exist, with and without a slash."""
    for url in (f"{folder}/nothing", f"{folder}/nothing/"):
        with pytest.raises(NotFoundError) as caught:
            open_place(url, {}).find()
        assert caught.value.code is ErrorCode.PATH_NOT_FOUND


def test_a_target_that_is_not_there_has_no_objects(folder):
    """A get to a new prefix finds nothing in its way."""
    assert open_place(f"{folder}/nothing", {}).find_present() == []


class _Walked(MemoryFileSystem):
    """A filesystem that is listed folder by folder, one of which is closed."""

    find = AbstractFileSystem.find
    closed = "/closed"

    def ls(self, path, *args, **options):
        if path.endswith(self.closed):
            raise PermissionError("not for you")
        return super().ls(path, *args, **options)


def test_a_folder_that_cannot_be_listed_is_an_error(memory, folder):
    """What fsspec would leave out in silence, three levels down, fails the listing."""
    put_object(memory, f"{folder}/raw/a", b"a")
    put_object(memory, f"{folder}/raw/b/c", b"c")
    filesystem = _Walked(skip_instance_cache=True)
    root = folder.removeprefix("memory:/") + "/raw"
    place = Place(filesystem, root, url=f"{folder}/raw", shown_url=f"{folder}/raw")
    listed = paths_of(place)
    put_object(memory, f"{folder}/raw/b/closed/c", b"c")

    with pytest.raises(CasError) as caught:
        place.find()

    assert listed == ["a", "b/c"]
    assert caught.value.code is ErrorCode.ACCESS_DENIED


@pytest.mark.parametrize("name", ["plain", "a[1].txt", "what?.txt", "star*"])
def test_an_object_is_written_whole(memory, folder, name):
    """In one piece and in parts, whatever patterns its name looks like; nothing else is left."""
    place = open_place(folder, {})

    place.write(f"whole/{name}", b"abc")
    writer = place.open_writer(f"parts/{name}", 6)
    writer.write(b"abc")
    writer.write(b"def")
    before = place.find_present()
    writer.commit()

    assert f"parts/{name}" not in [one.path for one in before]
    assert paths_of(open_place(f"{folder}/", {})) == [f"parts/{name}", f"whole/{name}"]
    assert place.read(f"parts/{name}", 0, 9) == b"abcdef"


def test_a_discarded_object_leaves_nothing(folder):
    """What was written of it is gone."""
    place = open_place(folder, {})
    writer = place.open_writer("parts", 6)
    writer.write(b"abc")

    writer.discard()

    assert place.find_present() == []


def test_options_may_be_in_the_words_of_settings():
    """Beside arguments of the driver."""
    pytest.importorskip("s3fs")

    place = open_place(
        "s3://bucket/x",
        {"endpoint": "http://127.0.0.1:1", "anonymous": True, "cache_regions": False},
    )

    options = place._filesystem.storage_options
    assert (options["endpoint_url"], options["anon"]) == ("http://127.0.0.1:1", True)


def test_a_chain_of_filesystems_is_refused():
    """Some of them would make local copies, and none has names to trust."""
    with pytest.raises(InvalidInputError) as caught:
        open_place("zip://x::s3://key:secret@bucket/a.zip", {})

    assert caught.value.code is ErrorCode.INVALID_URL
    assert "secret" not in str(caught.value)


class _Files(BaseHTTPRequestHandler):
    """Serves one file at any path that does not end in `missing`."""

    content = bytes(range(256)) * 64
    knows_ranges = True

    def do_HEAD(self) -> None:
        self._head()

    def do_GET(self) -> None:
        self.wfile.write(self._head())

    def _head(self) -> bytes:
        if self.path.partition("?")[0].endswith("missing"):
            self.send_error(404)
            return b""
        body = self.content
        span = self.headers.get("Range") if self.knows_ranges else None
        if span:
            start, _, stop = span.removeprefix("bytes=").partition("-")
            body = body[int(start) : int(stop) + 1]
        self.send_response(206 if span else 200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Accept-Ranges", "bytes" if self.knows_ranges else "none")
        self.send_header("ETag", '"mark"')
        self.end_headers()
        return body

    def log_message(self, *words: object) -> None:
        """Say nothing."""


@pytest.fixture
def web(monkeypatch) -> Iterator[str]:
    """The URL of a web server."""
    pytest.importorskip("aiohttp")
    monkeypatch.setattr(_Files, "knows_ranges", True)
    with ThreadingHTTPServer(("127.0.0.1", 0), _Files) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore:code property is deprecated")
class TestWeb:
    def test_a_web_address_is_one_object(self, web):
        """Its query is asked for and never shown; its name is what the path says."""
        place = open_place(f"{web}/some%20dir/a%20b.bin?signature=secret", {})

        (found,) = place.find()

        assert (found.path, found.size, found.mark) == ("", len(_Files.content), "mark")
        assert (place.name, "secret" in place.url) == ("a b.bin", False)
        assert place.read("", 3, 7) == _Files.content[3:7]

    def test_a_server_without_ranges_is_told_from_one_with(self, web, monkeypatch):
        """More than was asked for would not fit in memory one day."""
        monkeypatch.setattr(_Files, "knows_ranges", False)
        place = open_place(f"{web}/a", {})

        with pytest.raises(UnsupportedError):
            place.read("", 3, 7)

    def test_nothing_is_written_to_the_web(self, web):
        """No driver could."""
        with pytest.raises(UnsupportedError):
            open_place(web, {}).check_writable()

    def test_an_error_shows_no_secret(self, web):
        """What is missing is named without user and query."""
        url = web.replace("://", "://me:secret@") + "/missing?signature=secret"

        with pytest.raises(NotFoundError) as caught:
            open_place(url, {}).find()
        assert "missing" in str(caught.value)
        assert "secret" not in str(caught.value)
