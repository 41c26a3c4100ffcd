"""What there is behind `cas://`: listings, details and times, all of which come from pages."""

from __future__ import annotations

from datetime import UTC, datetime
from fnmatch import fnmatchcase
from glob import has_magic
from typing import Any, NoReturn

from cas.as_files.failures import MissingPathError, NoUrlError, as_os_errors, is_a_folder
from cas.errors import ErrorCode
from cas.filesystem.descriptions import (
    Details,
    describe,
    describe_folder,
    describe_version,
    iter_below,
)
from cas.filesystem.pinned_store import PinnedStore
from cas.filesystem.places import ArtifactFolder, VersionFolder, VersionPlace, find_place
from cas.filesystem.read_only import ReadOnlyFileSystem
from cas.store import Store


class ListingFileSystem(ReadOnlyFileSystem):
    """Artifacts, versions and what is in them. Nothing is cached but pages, which never change, so
    nothing expires: the names of artifacts and versions are asked for each time.
    """

    def __init__(self, pinned: PinnedStore, **options: Any) -> None:
        super().__init__(**options)
        self._pinned = pinned

    @property
    def store(self) -> Store:
        """The store that is read, open."""
        return self._pinned.store

    @property
    def fsid(self) -> str:
        """The id of the store, the same wherever it is opened from."""
        return f"cas-{self.store.store_id}"

    def invalidate_cache(self, path: str | None = None) -> None:
        """Find out anew what references without a number mean, when they are next used."""
        self._pinned.forget()

    def details(self, path: str, **kwargs: Any) -> Details:
        """Return name, size, type, times and, of a file, its BLAKE3.

        Raises:
            MissingPathError: there is no such path; a `FileNotFoundError`.
        """
        place = find_place(self._pinned, self._strip_protocol(path))
        if not isinstance(place, VersionPlace):
            return describe_folder(place.path)
        with as_os_errors():
            return describe(place)

    info = details  # as fsspec calls it

    def ls(self, path: str, detail: bool = True, **kwargs: Any) -> list[Any]:
        """Return what lies right below a folder, or the file itself; raises as `details` does."""
        path = self._strip_protocol(path)
        place = find_place(self._pinned, path)
        if isinstance(place, VersionPlace):
            with as_os_errors():
                found = list(iter_below(place, 1))
            if not found and (itself := self.details(path))["type"] != "directory":
                found = [itself]
            found.sort(key=_name_of)
        else:
            found = self._shelf(place)
        return found if detail else [details["name"] for details in found]

    def _shelf(self, place: ArtifactFolder | VersionFolder) -> list[Details]:
        if isinstance(place, ArtifactFolder):
            return [describe_folder(path) for path in place.children()]
        with as_os_errors():
            numbers = sorted(one.number for one in self.store.versions(place.artifact))
        paths = [f"{place.path}v{number}" for number in numbers]
        shown = []
        for path in paths:
            version = find_place(self._pinned, path)
            assert isinstance(version, VersionPlace)
            shown.append(describe_version(version))
        return shown

    def find(
        self,
        path: str,
        maxdepth: int | None = None,
        withdirs: bool = False,
        detail: bool = False,
        **kwargs: Any,
    ) -> Any:
        """Return what lies below a folder, sorted; of a version in one pass over its pages."""
        path = self._strip_protocol(path)
        if maxdepth is not None and maxdepth < 1:
            raise ValueError("maxdepth must be at least 1")
        try:
            place = find_place(self._pinned, path)
        except MissingPathError:
            return {} if detail else []
        if not isinstance(place, VersionPlace):
            return super().find(path, maxdepth, withdirs, detail, **kwargs)
        with as_os_errors():
            below = list(iter_below(place, maxdepth))
        found = {one["name"]: one for one in below if withdirs or one["type"] != "directory"}
        if (withdirs or not below) and (itself := self._itself(place)) is not None:
            is_wanted = withdirs or itself["type"] != "directory"
            found |= {itself["name"]: itself} if is_wanted else {}
        names = sorted(found)
        return {name: found[name] for name in names} if detail else names

    def _itself(self, place: VersionPlace) -> Details | None:
        try:
            with as_os_errors():
                return describe(place)
        except MissingPathError:
            return None

    def glob(self, path: str, maxdepth: int | None = None, **kwargs: Any) -> Any:
        """Return the paths that fit a pattern; one in the version, `name@v*/f`, fits versions."""
        name, mark, rest = _cut_version(self._strip_protocol(path))
        version, slash, inner = rest.partition("/")
        if not has_magic(version) or name not in self._pinned.artifacts():
            return super().glob(path, maxdepth=maxdepth, **kwargs)
        ends = "/" if path.endswith("/") else ""
        found: Any = {} if kwargs.get("detail") else []
        for one in self.ls(name + "@", detail=False):
            number = one.removeprefix(name + "@")
            if fnmatchcase(number, version):
                concrete = f"{name}{mark}{number}{slash}{inner}{ends}"
                more = super().glob(concrete, maxdepth=maxdepth, **kwargs)
                found = found | more if isinstance(found, dict) else found + more
        return found

    def du(
        self,
        path: str,
        total: bool = True,
        maxdepth: int | None = None,
        withdirs: bool = False,
        **kwargs: Any,
    ) -> Any:
        """Return the bytes of the files below a path, in all or for each."""
        found = self.find(path, maxdepth=maxdepth, withdirs=withdirs, detail=True, **kwargs)
        sizes = {name: details["size"] for name, details in found.items()}
        return sum(sizes.values()) if total else sizes

    # A storage that fails is no answer to these, so nothing else is caught.

    def exists(self, path: str, **kwargs: Any) -> bool:
        """Tell whether there is such a path."""
        try:
            self.details(path)
        except FileNotFoundError:
            return False
        return True

    def isdir(self, path: str) -> bool:
        """Tell whether it is a folder."""
        return self._type(path) == "directory"

    def isfile(self, path: str) -> bool:
        """Tell whether it is a file, or a link to one."""
        return self._type(path) == "file"

    def _type(self, path: str) -> str | None:
        try:
            return str(self.details(path)["type"])
        except FileNotFoundError:
            return None

    def created(self, path: str) -> datetime:
        """Return when the version was made: files have no times of their own.

        Raises:
            FolderPathError: it lies in no version.
        """
        details = self.details(path)
        if "created" not in details:
            raise is_a_folder(path)
        return datetime.fromtimestamp(details["created"], UTC)

    def modified(self, path: str) -> datetime:
        """Return the same as `created`: versions never change."""
        return self.created(path)

    def ukey(self, path: str) -> str:
        """Return the BLAKE3 of a file, or the digest of a version and a path in it: equal ones
        have equal content.
        """
        details = self.details(path)
        if "blake3" in details:
            return str(details["blake3"])
        place = find_place(self._pinned, self._strip_protocol(path))
        if not isinstance(place, VersionPlace):
            raise is_a_folder(path)
        return "/".join(filter(None, (place.version.record.digest.hex, place.inner)))

    def checksum(self, path: str) -> int:
        """Return `ukey` as a number."""
        return int.from_bytes(self.ukey(path).encode(), "big")

    def sign(self, path: str, expiration: int = 100, **kwargs: Any) -> NoReturn:
        """Refuse: no URL of the storage gives a file, which lies in pieces of shared blobs.

        Raises:
            NoUrlError: always; a `NotImplementedError`.
        """
        raise NoUrlError(
            f"{path} has no URL of its own in the storage: its bytes lie in blobs that it shares",
            code=ErrorCode.UNSUPPORTED_FEATURE,
            hint="cas get writes plain objects to a bucket, which have one",
        )


def _name_of(details: Details) -> str:
    return str(details["name"])


def _cut_version(path: str) -> tuple[str, str, str]:
    at = min((i for i in (path.find("@"), path.find(":")) if i >= 0), default=len(path))
    return path[:at], path[at : at + 1], path[at + 1 :]
