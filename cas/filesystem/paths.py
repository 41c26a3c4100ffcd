"""`cas://` paths for universal-pathlib, which finds this class by its entry point."""

from __future__ import annotations

from collections.abc import Sequence

from upath import UPath


class CasPath(UPath):  # type: ignore[misc,unused-ignore] # it may not be installed
    """A path behind `cas://`: `CasPath("cas://name@v3") / "train" / "a.parquet"`."""

    __slots__ = ()

    @property
    def path(self) -> str:
        """The path on the filesystem; empty for the store itself."""
        path = str(super().path)
        return "" if path == "." else path

    @property
    def parts(self) -> Sequence[str]:
        """Artifact and version, folders, and the name."""
        parts: Sequence[str] = super().parts
        return parts[1:] if parts and parts[0] == "/" else parts
