"""Any filesystem that fsspec opens: S3, GCS, Azure, `memory://` and others.

With fsspec's habits kept inside: caches of listings are off (`open_driver`), a refused `create` is
recognised in each of the shapes that drivers give it, and a range past the end, an
error on object stores, is an empty answer. Spec: specs/protocol/backend.md.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

from fsspec import AbstractFileSystem
from fsspec.implementations.memory import MemoryFile, MemoryFileSystem

from cas.backend.base import (
    STAGING_FOLDER,
    Buffer,
    Capabilities,
    StoredObject,
    check_key,
    check_prefix,
)
from cas.backend.driver_options import SFTP_SCHEMES
from cas.backend.drivers import (
    close_connections,
    conditional,
    is_absent,
    is_past_the_end,
    is_refused,
    sends_conditions,
    takes_chunk_size,
)
from cas.backend.evidence import is_missing_bucket
from cas.backend.failures import as_cas_error
from cas.backend.found import found_time
from cas.backend.open_driver import open_filesystem, try_once
from cas.backend.pipelined import read_pipelined, write_pipelined
from cas.backend.walking import find_files
from cas.environment import random_bytes
from cas.errors import AlreadyExistsError, BackendError, ErrorCode

# There an object is seen whole or not at all, and `create` is one conditional request.
OBJECT_STORES = frozenset(
    {"memory", "s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "oci", "oss", "tos", "hf"}
)
# Above, the client of Azure sends blocks, and what makes them one object is another request.
_MAX_CREATE_BYTES = 64 << 20


def open_fsspec_backend(
    url: str, storage_options: Mapping[str, Any], *, shown_url: str
) -> FsspecBackend:
    """Open the filesystem that `url` names; see `open_filesystem`."""
    filesystem, root = open_filesystem(url, storage_options, shown_url=shown_url)
    return FsspecBackend(filesystem, root, url=shown_url)


_DELETES_MANY = frozenset({"s3", "s3a"})


class FsspecBackend:
    """Objects below `root` of an fsspec filesystem. Safe for many threads, forks and pickling.

    On filesystems that are not object stores an object is written under another name and moved;
    how far that, and its durability, can be relied on is up to them, so `create_if_absent` is
    not claimed there.
    """

    def __init__(self, filesystem: AbstractFileSystem, root: str, *, url: str) -> None:
        self._opened = filesystem
        self._opened_in = os.getpid()
        self._root = root.rstrip("/")
        self._url = url
        protocols = filesystem.protocol
        self._protocols = frozenset([protocols] if isinstance(protocols, str) else protocols)
        self._whole = bool(self._protocols & OBJECT_STORES)
        self._takes_chunk_size = self._whole and takes_chunk_size(filesystem)
        self._capabilities = Capabilities(
            create_if_absent=self._whole and sends_conditions(filesystem, self._protocols),
            atomic_listing=self._whole,
            local=False,
            # Of the others some send one request for each object, some fail as a whole.
            deletes_many=bool(self._protocols & _DELETES_MANY),
        )

    @property
    def url(self) -> str:
        """Where the objects are, without credentials."""
        return self._url

    @property
    def capabilities(self) -> Capabilities:
        """What the driver can do; the server is another question."""
        return self._capabilities

    def get(self, key: str, start: int = 0, stop: int | None = None) -> bytes:
        """Return bytes `start` to `stop` of an object in one request."""
        if stop is not None and stop <= start:
            return b""
        limits = {"start": start, "end": stop} if start or stop is not None else {}
        path = self._path(check_key(key))
        try:
            if self._protocols & SFTP_SCHEMES:
                content = read_pipelined(self._filesystem, path, start, stop)
            else:
                content = self._filesystem.cat_file(path, **limits)
        except Exception as error:
            if limits and is_past_the_end(error):
                return b""
            raise self._read_error(error, key) from error
        if stop is not None and len(content) > stop - start:
            raise BackendError(
                f"{self._url}/{key}: {stop - start} bytes asked for, {len(content)} sent",
                code=ErrorCode.BACKEND_FAILED,
                hint="this server ignores ranges; cas cannot use it",
            )
        return bytes(content)

    def put(self, key: str, parts: Sequence[Buffer]) -> None:
        """Store the parts as one object, sent in one piece."""
        content = bytes(parts[0]) if len(parts) == 1 else b"".join(parts)
        path = self._path(check_key(key))
        try:
            if self._whole:
                self._filesystem.pipe_file(path, content, **self._in_one_request(content))
            else:
                self._put_by_moving(path, content)
        except Exception as error:
            raise self._as_error(error, key, writing=True) from error

    def create(self, key: str, content: bytes) -> None:
        """Store `content`, at most 64 MiB, unless the key exists, in one conditional request."""
        if len(content) > _MAX_CREATE_BYTES:
            raise ValueError(f"{len(content)} bytes are too many for one conditional request")
        path = self._path(check_key(key))
        try:
            self._create(path, bytes(content))
        except Exception as error:
            if is_refused(error):
                raise AlreadyExistsError(
                    f"{self._url}/{key}: exists already", code=ErrorCode.OBJECT_EXISTS
                ) from error
            raise self._as_error(error, key, writing=True) from error

    def delete(self, key: str) -> None:
        """Remove an object; fine if there is none."""
        path = self._path(check_key(key))
        try:
            if self._whole or not self._filesystem.isdir(path):
                self._filesystem.rm_file(path)
        except Exception as error:
            if is_missing_bucket(error) or not is_absent(error):
                raise self._read_error(error, key) from error

    def delete_many(self, keys: Sequence[str]) -> None:
        """Remove objects in one request; what the server leaves is not reported."""
        paths = [self._path(check_key(key)) for key in keys]
        if any(letter in path for path in paths for letter in "*?["):
            raise BackendError(
                f"{self._url}: the driver would take these keys for patterns",
                code=ErrorCode.BACKEND_FAILED,
            )
        try:
            self._filesystem.rm(paths)
        except Exception as error:
            if not is_absent(error):
                raise self._as_error(error, keys[0]) from error

    def list_objects(self, prefix: str) -> Iterator[StoredObject]:
        """Return what is under a folder; all pages are fetched before the first is returned."""
        folder = self._path(check_prefix(prefix))
        self._filesystem.invalidate_cache()
        try:
            found = find_files(self._filesystem, folder)
        except Exception as error:
            if self._holds_nothing(folder, error):
                return iter(())
            raise self._as_error(error, prefix) from error
        return self._objects_below(f"{folder}/", found)

    def list_folders(self, prefix: str) -> list[str]:
        """Return the names of the sub-folders."""
        folder = self._path(check_prefix(prefix))
        self._filesystem.invalidate_cache()
        try:
            found = self._filesystem.ls(folder, detail=True)
        except Exception as error:
            if self._holds_nothing(folder, error):
                return []
            raise self._as_error(error, prefix) from error
        start = f"{folder}/".lstrip("/")
        names = {
            entry["name"].strip("/").removeprefix(start)
            for entry in found
            if entry["type"] == "directory" and entry["name"].lstrip("/").startswith(start)
        }
        return sorted(name for name in names if name and (prefix or name != STAGING_FOLDER))

    def close(self) -> None:
        """Close the connections of this instance, in the process that opened them."""
        # A forked copy of them is still used by the parent.
        if self._opened_in == os.getpid():
            close_connections(self._opened)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __reduce__(self) -> tuple[object, ...]:
        opened = self._opened
        arguments = (opened.storage_args, opened.storage_options)
        return _reopen, (type(opened), *arguments, self._root, self._url)

    @property
    def _filesystem(self) -> AbstractFileSystem:
        # The connections and the event loop of an asynchronous driver do not survive a fork.
        if self._opened_in != os.getpid():
            opened = self._opened
            self._opened = _open_anew(type(opened), opened.storage_args, opened.storage_options)
            self._opened_in = os.getpid()
        return self._opened

    def _path(self, key: str) -> str:
        return f"{self._root}/{key}" if key else self._root

    def _in_one_request(self, content: bytes) -> dict[str, int]:
        """Return what keeps a driver from cutting an object into parts that it sends in turn."""
        return {"chunksize": len(content) + 1} if self._takes_chunk_size else {}

    def _create(self, path: str, content: bytes) -> None:
        filesystem = self._filesystem
        if isinstance(filesystem, MemoryFileSystem):
            # Its own check and write are two steps; setdefault is one.
            ours = MemoryFile(filesystem, path, content)
            if filesystem.store.setdefault(path, ours) is not ours:
                raise FileExistsError(path)
        elif self._whole:
            words = conditional(filesystem) or {"mode": "create"}
            filesystem.pipe_file(path, content, **words, **self._in_one_request(content))
        else:
            # Two steps, so `create_if_absent` is not claimed. `exists` would take any failure
            # for "no".
            with suppress(FileNotFoundError):
                filesystem.info(path)
                raise FileExistsError(path)
            self._put_by_moving(path, content)

    def _put_by_moving(self, path: str, content: bytes) -> None:
        filesystem = self._filesystem
        staging = self._path(STAGING_FOLDER)
        staged = f"{staging}/{random_bytes(12).hex()}"
        filesystem.makedirs(staging, exist_ok=True)
        filesystem.makedirs(path.rpartition("/")[0], exist_ok=True)
        try:
            if self._protocols & SFTP_SCHEMES:
                with filesystem.open(staged, "wb") as file:
                    write_pipelined(file, content)
            else:
                filesystem.pipe_file(staged, content)
            filesystem.mv(staged, path)
        except BaseException:
            with suppress(Exception):  # a staged file that stays is never listed
                filesystem.rm_file(staged)
            raise

    def _holds_nothing(self, folder: str, error: Exception) -> bool:
        """Tell whether a folder could not be listed because there is none, or only a file."""
        if self._whole:
            return is_absent(error) and not is_missing_bucket(error)
        return is_absent(error) or bool(self._filesystem.isfile(folder))

    def _objects_below(self, start: str, found: Mapping[str, Any]) -> Iterator[StoredObject]:
        # Drivers differ in whether names begin with a slash.
        start = start.lstrip("/")
        staging = f"{self._root}/{STAGING_FOLDER}/".lstrip("/")
        for path, entry in found.items():
            name = path.lstrip("/")
            if name.startswith(start) and not name.startswith(staging) and entry["type"] == "file":
                key = name[len(self._root.lstrip("/")) :].lstrip("/")
                yield StoredObject(key, int(entry["size"] or 0), found_time(entry))

    def _read_error(self, error: Exception, key: str) -> Exception:
        """Return what a failed read means; servers of files have many words for "a folder"."""
        if not self._whole and not is_absent(error):
            with suppress(Exception):
                if self._filesystem.info(self._path(key))["type"] == "directory":
                    error = IsADirectoryError(key)
        return self._as_error(error, key)

    def _as_error(self, error: Exception, key: str, *, writing: bool = False) -> Exception:
        if isinstance(error, MemoryError):
            return error
        # Which object was asked for is of no interest where there is no bucket.
        is_place = not key or is_missing_bucket(error) or (writing and is_absent(error))
        return as_cas_error(error, self._url if is_place else f"{self._url}/{key}", writing=writing)


def _open_anew(
    driver: type[AbstractFileSystem], arguments: tuple[Any, ...], options: Mapping[str, Any]
) -> AbstractFileSystem:
    opened = driver(*arguments, **{**options, "skip_instance_cache": True})
    try_once(opened)
    return opened


def _reopen(
    driver: type[AbstractFileSystem],
    arguments: tuple[Any, ...],
    options: Mapping[str, Any],
    root: str,
    url: str,
) -> FsspecBackend:
    return FsspecBackend(_open_anew(driver, arguments, options), root, url=url)
