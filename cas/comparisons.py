"""What differs between versions, or a version and a folder: files, tensors, rows of tables."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from cas.errors import ErrorCode, InvalidInputError
from cas.model.names import Ref
from cas.objects.parts import StoreParts
from cas.operations.pinned import pin_version

# Each of these takes some milliseconds to load that commands of another kind need not spend.
if TYPE_CHECKING:
    from cas.operations.diff import Diff
    from cas.operations.diff_tensors import TensorDiff
    from cas.tables.outcomes import RowsDiff, RowsOptions

PathLike = str | os.PathLike[str]


class Comparisons:
    """The part of `Store` that compares; it only delegates."""

    _parts: StoreParts

    def diff(self, old: str, new: str, *, path: str = "", renames: bool = True) -> Diff:
        """Compare two versions, or what is at or below a path in them, reading only the pages that
        differ.

        Raises:
            NotFoundError: there is no such version, or neither has such a path.
            InvalidInputError: the references name different paths.
        """
        from cas.operations.diff import diff_versions
        from cas.operations.pin_sides import pin_sides

        sides = pin_sides(self._parts, old, new, path)
        return diff_versions(sides.old, sides.new, sides.path, renames=renames)

    def diff_tensors(
        self, old: str, new: str, *, path: str = "", renames: bool = True
    ) -> TensorDiff:
        """Compare the tensors of two versions, or of what is at or below a path in them, reading
        only what differs.

        Raises:
            NotFoundError: there is no such version, or neither has such a path.
            InvalidInputError: the references name different paths.
            CorruptionError: the store has other bytes than it must.
        """
        from cas.operations.diff_tensors import diff_version_tensors
        from cas.operations.pin_sides import pin_sides

        sides = pin_sides(self._parts, old, new, path)
        return diff_version_tensors(self._parts, sides.old, sides.new, sides.path, renames=renames)

    def diff_folder_tensors(self, old: str, folder: PathLike, *, path: str = "") -> TensorDiff:
        """Compare the tensors of a version with those of a local folder, which is the new side.

        Raises:
            NotFoundError: there is no such version or folder.
            InvalidInputError: the reference names a path.
            UnsupportedError: the folder is a URL.
        """
        from cas.operations.diff_tensors import diff_folder_tensors

        ref = Ref.parse(old)
        if ref.path:
            raise InvalidInputError(
                f"{old} names a path of one side only",
                code=ErrorCode.INVALID_OPTION,
                hint=f"cas diff --tensors {replace(ref, path='')} FOLDER {ref.path}",
            )
        pinned = pin_version(self._parts, ref)
        return diff_folder_tensors(self._parts, pinned, os.fspath(folder), path)

    def diff_rows(self, old: str, new: str, options: RowsOptions | None = None) -> RowsDiff:
        """Compare the tables of two versions row by row: Parquet, CSV and lines of JSON.

        A path in both references limits it to what is there.

        Only files that differ are read. A table that cannot be compared, because its key is not
        unique or it is no table after all, is among the `failures`. Needs the extra `rows`.

        Raises:
            NotFoundError: there is no such version, or neither has such a path.
            InvalidInputError: an option is not allowed, or the references name different paths.
            UnsupportedError: DuckDB is not installed.
            CorruptionError: the store has other bytes than it must.
            BackendError: the storage failed.
        """
        from cas.operations.pin_sides import pin_sides
        from cas.tables.diff_rows import diff_rows
        from cas.tables.outcomes import RowsOptions

        options = options or RowsOptions()
        sides = pin_sides(self._parts, old, new, options.path)
        return diff_rows(self._parts, sides.old, sides.new, replace(options, path=sides.path))

    def diff_folder(
        self,
        old: str,
        folder: PathLike,
        *,
        exclude: Sequence[str] = (),
        source_options: Mapping[str, Any] | None = None,
    ) -> Diff:
        """Compare a version, or what is below a path of it, with a local folder, which counts as the
        new side.

        Or with what lies behind a URL such as `s3://bucket/raw`; `source_options` are for its
        driver.

        Raises:
            NotFoundError: there is no such version, path or folder.
            IncompleteError: some files cannot be read.
        """
        from cas.operations.compare_folder import FolderOptions, diff_folder

        ref = Ref.parse(old)
        options = FolderOptions(path=ref.path, exclude=exclude, source_options=source_options or {})
        return diff_folder(self._parts, pin_version(self._parts, ref), os.fspath(folder), options)
