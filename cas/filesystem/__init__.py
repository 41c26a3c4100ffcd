"""The read-only filesystem of fsspec behind `cas://` URLs. Spec: specs/filesystem.md."""

from __future__ import annotations

from cas.filesystem.read_only import ReadOnlyError
from cas.filesystem.versions import CasFileSystem

__all__ = ["CasFileSystem", "ReadOnlyError"]
