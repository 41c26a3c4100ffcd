"""Examining this machine: versions of software, and the folder of caches."""

from __future__ import annotations

import os
import platform
import shutil
import stat
from pathlib import Path

from cas.backend.base import Backend
from cas.backend.driver_options import scheme_of
from cas.backend.examination import driver_versions, package_version
from cas.model.units import MIB, format_size
from cas.operations.diagnosis import Check, failed, passed

_PACKAGES = ("zstandard", "blake3", "numpy", "pyfastcdc", "msgpack")
# A journal of a million files takes about as much.
_LITTLE_SPACE_BYTES = 256 * MIB


def check_software() -> Check:
    """Tell the versions that a report of a bug needs."""
    versions = {"python": platform.python_version(), "cas": package_version("cas-store")}
    versions |= {name: package_version(name) for name in _PACKAGES}
    return passed("software", f"{_listed(versions)} on {platform.system()} {platform.machine()}")


def check_driver(url: str, backend: Backend) -> Check:
    """Tell the versions of what opens the URL."""
    if scheme_of(url) in ("file", "local"):
        return passed("driver", "none needed: a folder of this machine")
    return passed("driver", _listed(driver_versions(url, backend)))


def check_cache(folder: Path) -> Check:
    """See that journals and caches can be kept, and that nobody else can change them."""
    nearest = next(path for path in (folder, *folder.parents) if path.exists())
    if not os.access(nearest, os.W_OK | os.X_OK):
        return failed(
            "cache", f"{nearest} cannot be written", "change its permissions, or set CAS_HOME"
        )
    if nearest == folder and os.name == "posix":
        status = folder.stat()
        if status.st_uid != os.geteuid():
            return failed("cache", f"{folder} belongs to somebody else", "set CAS_HOME to your own")
        if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            return failed("cache", f"{folder} can be written by others", f"chmod 700 {folder}")
    free = shutil.disk_usage(nearest).free
    if free < _LITTLE_SPACE_BYTES:
        return failed(
            "cache", f"{folder}: {format_size(free)} free", "make room, or set CAS_HOME elsewhere"
        )
    there = "" if nearest == folder else " (not made yet)"
    return passed("cache", f"{folder}{there}: {format_size(free)} free")


def _listed(versions: dict[str, str | None]) -> str:
    return ", ".join(f"{name} {version or 'missing'}" for name, version in versions.items())
