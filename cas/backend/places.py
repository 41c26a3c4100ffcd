"""Files behind any URL that fsspec opens, as they are: sources of a put and targets of a get.

A place is no store: its objects have names and bytes of their own, may change at any time, and
are read without a local copy. Messages show URLs without user part and query.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, nullcontext
from functools import partial
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

from fsspec import AbstractFileSystem

from cas.backend.counting import RequestTally
from cas.backend.driver_options import SFTP_SCHEMES, as_driver_options, known_settings
from cas.backend.drivers import close_connections, is_past_the_end
from cas.backend.failures import as_cas_error
from cas.backend.found import FoundObject, found_object
from cas.backend.fsspec_backend import OBJECT_STORES
from cas.backend.object_writers import MovingWriter, MultipartWriter, ObjectWriter
from cas.backend.open import keep_secret, redact_url
from cas.backend.open_driver import open_filesystem
from cas.backend.pipelined import read_pipelined
from cas.backend.retrying import RequestRunner
from cas.backend.walking import find_files
from cas.environment import random_bytes
from cas.errors import CasError, ErrorCode, InvalidInputError, NotFoundError, UnsupportedError

_WEB_SCHEMES = frozenset({"http", "https"})
# S3 allows 10,000 parts, of 5 MiB at least.
_PART_BYTES = 16 << 20
_MAXIMUM_PARTS = 9_000

_Answer = TypeVar("_Answer")


def open_place(url: str, options: Mapping[str, Any], tally: RequestTally | None = None) -> Place:
    """Open what `url` names. Makes no request.

    Args:
        options: arguments of the driver, or the words that settings of stores have for them.
        tally: where to count what is asked of it.

    Raises:
        InvalidInputError: no filesystem has that scheme, it refuses the options, or the URL
            chains several (INVALID_URL).
        UnsupportedError: its driver is not installed (MISSING_EXTRA).
    """
    shown = redact_url(url)
    if "::" in url:
        raise InvalidInputError(
            f"{shown!r} must name one filesystem, not a chain",
            code=ErrorCode.INVALID_URL,
            hint="unpack archives first, or pipe: ... | cas put - NAME --path FILE",
        )
    keep_secret(url, options)
    known = known_settings(url)
    settings = {name: value for name, value in options.items() if name in known}
    others = {name: value for name, value in options.items() if name not in known}
    arguments = as_driver_options(url, settings, others)
    filesystem, root = open_filesystem(url, arguments, shown_url=shown, of_store=False)
    return Place(filesystem, root, url=url, shown_url=shown, tally=tally)


class Place:
    """An object, or all objects below a prefix or folder. Safe for many threads.

    Requests that fail for a while are made again, as those of stores are.
    """

    def __init__(
        self,
        filesystem: AbstractFileSystem,
        root: str,
        *,
        url: str,
        shown_url: str,
        tally: RequestTally | None = None,
    ) -> None:
        self._filesystem = filesystem
        self.tally = tally or RequestTally(shown_url)
        self._runner = RequestRunner()
        protocols = filesystem.protocol
        protocols = {protocols} if isinstance(protocols, str) else set(protocols)
        # Whoever uses the driver holds it, where only one thread at a time may.
        self._has_one_channel = bool(protocols & SFTP_SCHEMES)
        self.channel = threading.RLock() if self._has_one_channel else nullcontext()
        self._url = shown_url
        self._names_folder = url.endswith("/")
        self._is_web = bool(protocols & _WEB_SCHEMES)
        self._is_object_store = bool(protocols & OBJECT_STORES)
        # A query is part of what a web server is asked for, and perhaps a signature.
        self._root = root if self._is_web else root.rstrip("/")

    @property
    def url(self) -> str:
        """The URL, without user part and query: safe to show and to keep."""
        return self._url

    @property
    def name(self) -> str:
        """The last component of the URL; empty if it has none."""
        if self._is_web:
            return unquote(urlsplit(self._url).path.rpartition("/")[2])
        return self._root.rpartition("/")[2]

    def find(self) -> list[FoundObject]:
        """Return the single object that the URL names, or all below it; folders are left out.

        A URL that ends in `/` names a folder, whatever else has that name.

        Raises:
            NotFoundError: there is nothing of that name.
            BackendError: the listing failed, or broke off midway.
        """
        may_be_object = self._is_web or ("/" in self._root and not self._names_folder)
        if may_be_object:
            one = self._request("", lambda: self._filesystem.info(self._root))
            if one["type"] == "file":
                return [found_object("", one)]
        found = self._request("", self._list_below, kind="list")
        if not (found or may_be_object or self._request("", self._is_there)):
            raise self.as_error(FileNotFoundError(), "")
        return list(self._objects_below(found))

    def find_present(self) -> list[FoundObject]:
        """Return all objects below the URL; none if there is nothing of that name.

        Raises:
            BackendError: the listing failed, or broke off midway.
        """
        try:
            return list(self._objects_below(self._request("", self._list_below, kind="list")))
        except NotFoundError:
            return []

    def look(self, path: str) -> FoundObject:
        """Return what is known of one object now.

        Raises:
            NotFoundError: it is not there.
            BackendError: the request failed.
        """
        full = self._path(path)
        return found_object(path, self._request(path, lambda: self._filesystem.info(full)))

    def read(self, path: str, start: int, stop: int) -> bytes:
        """Return bytes `start` to `stop` of an object, fewer where it ends, in one request.

        Raises:
            NotFoundError: it is not there.
            UnsupportedError: its server ignores ranges.
            BackendError: the request failed.
        """
        full = self._path(path)

        def fetch() -> bytes:
            try:
                if self._has_one_channel:
                    return read_pipelined(self._filesystem, full, start, stop)
                return bytes(self._filesystem.cat_file(full, start=start, end=stop))
            except Exception as error:
                if is_past_the_end(error):
                    return b""
                raise

        content = self._request(path, fetch, len)
        self.tally.count("received_bytes", len(content))
        if len(content) > stop - start:
            raise UnsupportedError(
                f"{self._shown(path)}: {stop - start} bytes asked for, {len(content)} sent",
                code=ErrorCode.UNSUPPORTED_FEATURE,
                hint="this server ignores ranges; pipe it: ... | cas put - NAME --path FILE",
            )
        return content

    def check_writable(self) -> None:
        """Refuse a place that no driver can write to.

        Raises:
            UnsupportedError: it is a web server.
        """
        if self._is_web:
            raise UnsupportedError(
                f"{self._url}: files cannot be written to a web server",
                code=ErrorCode.UNSUPPORTED_FEATURE,
                hint="get to a bucket, an SFTP server or a folder",
            )

    @staticmethod
    def part_bytes(size: int) -> int:
        """Return how long the parts are in which an object of `size` bytes is written."""
        return max(_PART_BYTES, -(-size // _MAXIMUM_PARTS))

    def write(self, path: str, content: bytes) -> None:
        """Store an object in one piece; replace what stood there.

        Raises:
            NotFoundError: there is no such bucket.
            BackendError: the outcome is unknown.
        """
        full = self._path(path)
        if self._is_object_store:
            self.tally.count("sent_bytes", len(content))
            put = partial(self._filesystem.pipe_file, full, content)
        else:
            put = partial(self._write_by_moving, path, content)
        self._request(path, put, lambda _: len(content), kind="put")

    def _write_by_moving(self, path: str, content: bytes) -> None:
        writer = self.open_writer(path, len(content))
        try:
            writer.write(content)
            writer.commit()
        except BaseException:
            writer.discard()
            raise

    def open_writer(self, path: str, size: int) -> ObjectWriter:
        """Begin an object of `size` bytes that is written in parts.

        Raises:
            BackendError: the place cannot be written to.
        """
        target = self._path(path)
        try:
            return self._open_writer(path, target, size)
        except Exception as error:
            raise self.as_error(error, path, writing=True) from error

    def _open_writer(self, path: str, target: str, size: int) -> ObjectWriter:
        filesystem = self._filesystem
        if self._is_object_store and "memory" not in filesystem.protocol:
            part_bytes = self.part_bytes(size)
            file = filesystem.open(target, "wb", block_size=part_bytes, autocommit=False)
            return MultipartWriter(self, path, file)
        staged = f"{target}.{random_bytes(6).hex()}.part"
        with ExitStack() as stack:
            stack.enter_context(self.channel)
            filesystem.makedirs(target.rpartition("/")[0], exist_ok=True)
            file = filesystem.open(staged, "wb")
            names = (staged, target)
            return MovingWriter(self, path, file, filesystem, names, stack.pop_all())

    def close(self) -> None:
        """End all pauses, and let go of connections."""
        self._runner.close()
        with self.channel:
            close_connections(self._filesystem)

    def run(self, act: Callable[[], _Answer], moved: Callable[[_Answer], int]) -> _Answer:
        """Call what makes several requests of this place, again if they fail for a while.

        `moved` tells how many bytes they moved.

        Raises:
            BackendError: the last failure.
        """
        return self._runner.run(act, moved)

    def as_error(self, error: Exception, path: str, *, writing: bool = False) -> Exception:
        """Return what an exception of the driver means."""
        if isinstance(error, CasError | MemoryError):
            return error
        where = self._shown(path)
        meant = as_cas_error(error, where, writing=writing, of_store=False)
        if meant.code is ErrorCode.OBJECT_NOT_FOUND:
            return NotFoundError(f"{where} does not exist", code=ErrorCode.PATH_NOT_FOUND)
        return meant

    def _path(self, path: str) -> str:
        return f"{self._root}/{path}" if path else self._root

    def _shown(self, path: str) -> str:
        return f"{self._url}/{path}" if path else self._url

    def _list_below(self) -> Mapping[str, Any]:
        self._filesystem.invalidate_cache()
        return find_files(self._filesystem, self._root)

    def _is_there(self) -> bool:
        """Tell an empty folder from none."""
        return bool(self._filesystem.exists(self._root))

    def _objects_below(self, found: Mapping[str, Any]) -> Iterator[FoundObject]:
        # Drivers differ in whether names begin with a slash.
        start = f"{self._root}/".lstrip("/")
        for name, entry in found.items():
            relative = name.lstrip("/")
            if not relative.startswith(start) or not entry or entry["type"] == "directory":
                continue
            one = found_object(relative[len(start) :], entry)
            if not (one.path.endswith("/") and not one.size) and one.path:
                yield one  # an empty object that ends in a slash only marks a folder

    def _request(
        self,
        path: str,
        act: Callable[[], _Answer],
        moved: Callable[[_Answer], int] = lambda _: 0,
        *,
        kind: str = "get",
    ) -> _Answer:
        """Ask, again if that fails for a while; looking at an object counts as a `get`."""

        def attempt() -> _Answer:
            self.tally.count(kind)
            try:
                with self.channel:
                    return act()
            except Exception as error:
                raise self.as_error(error, path, writing=kind == "put") from error

        return self._runner.run(attempt, moved)
