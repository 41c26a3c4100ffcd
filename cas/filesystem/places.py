"""What a path of the filesystem names: a folder of artifacts, the versions of one, or a place in a
version.

    name@v3/path      a place in a version; also name:v3, name@production, name@<digest>
    name/path         the same in the latest version, as it was when it was first asked for
    name@             a folder of the versions of an artifact
    team              a folder of artifacts, if some are called team/...

Names may have slashes: without a version the longest beginning of a path that is the name of an
artifact counts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from cas.as_files.failures import MissingPathError, as_os_errors, no_such_path
from cas.filesystem.pinned_store import PinnedStore
from cas.model.names import ArtifactName, Ref
from cas.operations.pinned import PinnedVersion


@dataclass(frozen=True, slots=True)
class VersionPlace:
    """A path in a version: `prefix` as the user wrote artifact and version, `inner` below them."""

    prefix: str
    version: PinnedVersion
    inner: str

    def path(self, inner: str) -> str:
        """Return the path of the filesystem for a path in the version."""
        return f"{self.prefix}/{inner}" if inner else self.prefix


@dataclass(frozen=True, slots=True)
class ArtifactFolder:
    """A folder that holds artifacts, and folders of them, by their names."""

    path: str
    names: frozenset[str]

    def children(self) -> list[str]:
        """Return the paths right below it."""
        prefix = f"{self.path}/" if self.path else ""
        below = [name for name in self.names if name.startswith(prefix)]
        return sorted({prefix + name[len(prefix) :].partition("/")[0] for name in below})


@dataclass(frozen=True, slots=True)
class VersionFolder:
    """A folder that holds the versions of an artifact: `path` is `name@`."""

    path: str
    artifact: str


Place = VersionPlace | ArtifactFolder | VersionFolder


def find_place(store: PinnedStore, path: str) -> Place:
    """Return what a path names; what lies in a version is not looked for.

    Raises:
        MissingPathError: there is no such artifact or version.
    """
    if not path:
        return ArtifactFolder("", store.artifacts())
    refusal: MissingPathError | None = None
    if match := re.search("[@:]", path):
        try:
            return _in_named_version(store, path, match.start())
        except MissingPathError as error:
            refusal = error  # it may be the name of a file of the latest version
    place = _in_latest(store, path)
    if place is None:
        raise refusal or no_such_path(path, "cas ls lists the artifacts")
    return place


def _in_named_version(store: PinnedStore, path: str, at: int) -> Place:
    name, (version, _, inner) = path[:at], path[at + 1 :].partition("/")
    if not version:
        if inner or name not in store.artifacts():
            raise no_such_path(path)
        return VersionFolder(path, name)
    with as_os_errors(resolving=True):
        ref = Ref.parse(path[: at + 1] + version)
    return VersionPlace(path[: at + 1] + version, store.version(ref), inner)


def _in_latest(store: PinnedStore, path: str) -> Place | None:
    for afresh in (False, True):
        names = store.artifacts(afresh=afresh)
        for name, inner in _beginnings(path):
            if name in names:
                return VersionPlace(name, store.version(Ref(ArtifactName(name))), inner)
    if any(name.startswith(path + "/") for name in names):
        return ArtifactFolder(path, names)
    return None


def _beginnings(path: str) -> Iterator[tuple[str, str]]:
    """Yield the ways to cut a path in two, the longest beginning first."""
    parts = path.split("/")
    for count in range(len(parts), 0, -1):
        yield "/".join(parts[:count]), "/".join(parts[count:])
