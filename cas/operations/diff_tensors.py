"""Which tensors differ between two versions, or a version and a local folder.

Files with one hash are passed over, and of the others only what their chunks do not vouch for is
read.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from cas.backend.open import is_remote_url, local_path
from cas.errors import ErrorCode, InvalidInputError, UnsupportedError
from cas.model.entry import EntryKind
from cas.model.units import format_count
from cas.objects.parts import StoreParts
from cas.operations.compare_folder import diff_folder
from cas.operations.diff import Diff, diff_versions
from cas.operations.pinned import PinnedVersion
from cas.operations.read_tensors import VersionFiles
from cas.tensors.comparing import ComparedFiles, ReadMeter, compare_pairs
from cas.tensors.differences import Difference
from cas.tensors.local_files import LocalFiles
from cas.tensors.stored_tensor import StoredTensor
from cas.tensors.tensor_file import PICKLE_SUFFIXES, TENSOR_SUFFIXES, parse_file

_HEADERS_AT_ONCE = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorChange:
    """One tensor that differs. `kind` is `added`, `removed`, `reshaped`, `retyped` or `changed`.

    Types and shapes are None where the side has no such tensor; a reshaped one may have another
    type, too. `old_path` is set if it was in another file, as after sharding anew. Of a changed one
    `changed_elements` of `elements` have other bytes, and `largest_difference` is that between two
    finite numbers, None if they are none.
    """

    kind: str
    name: str
    old_path: str | None = None
    old_dtype: str | None = None
    new_dtype: str | None = None
    old_shape: tuple[int, ...] | None = None
    new_shape: tuple[int, ...] | None = None
    elements: int | None = None
    changed_elements: int | None = None
    largest_difference: float | None = None

    def describe(self) -> str:
        """Return what it was and what it is, for people; a path in it is not escaped."""
        old = f"{self.old_dtype} {list(self.old_shape or ())}"
        new = f"{self.new_dtype} {list(self.new_shape or ())}"
        if self.kind == "added":
            return new
        if self.kind == "removed":
            return old
        if self.kind == "changed":
            changed, elements = self.changed_elements or 0, self.elements or 1
            text = f"{new}  {format_count(changed, 'element')} ({_share(changed, elements)})"
            if self.largest_difference is not None:
                text += f", by {self.largest_difference:.3g} at most"
        else:
            text = f"{old} -> {new}"
        return text if self.old_path is None else f"{text}, from {self.old_path}"


def _share(part: int, whole: int) -> str:
    """Return a share in percent that says 0 or 100 only where it is just that."""
    in_thousandths = round(1000 * part / whole)
    if in_thousandths == 0 and part:
        return "under 0.1%"
    if in_thousandths == 1000 and part < whole:
        return "over 99.9%"
    return f"{in_thousandths / 10:.1f}%"


@dataclass(frozen=True, slots=True)
class TensorFileDiff:
    """The tensors of a file that differs, in the order of the new file, those removed last."""

    path: str
    changes: tuple[TensorChange, ...]
    unchanged: int


@dataclass(frozen=True, slots=True)
class TensorDiff:
    """Every file of which tensors may differ, in path order.

    Attributes:
        files: those that were compared, added or removed.
        skipped: differing files whose tensors cannot be told, and why.
        read_bytes: what was read of tensors to compare them, of both sides together.
    """

    files: tuple[TensorFileDiff, ...] = ()
    skipped: tuple[tuple[str, str], ...] = ()
    read_bytes: int = 0

    def of_kind(self, kind: str) -> list[tuple[str, TensorChange]]:
        """Return the changes of a kind, each with the path of its file."""
        return [
            (file.path, change)
            for file in self.files
            for change in file.changes
            if change.kind == kind
        ]

    @property
    def is_empty(self) -> bool:
        """Whether nothing differs, as far as can be told."""
        return not self.skipped and not any(file.changes for file in self.files)

    def _repr_html_(self) -> str | None:
        # Here: only a notebook needs these modules.
        from cas.model.html import show_or_nothing
        from cas.operations.notebook_tensors import tensor_diff_card

        return show_or_nothing(lambda: tensor_diff_card(self))


def diff_version_tensors(
    parts: StoreParts,
    old: PinnedVersion,
    new: PinnedVersion,
    path: str = "",
    *,
    renames: bool = True,
) -> TensorDiff:
    """Compare the tensors of two versions, or of what is at or below `path` in them.

    Without `renames` tensors that are in another file now are removed and added.

    Raises:
        CorruptionError: the store has other bytes than it must.
        BackendError: the storage failed.
    """
    found = diff_versions(old, new, renames=renames)
    sides = VersionFiles(parts, old), VersionFiles(parts, new)
    return _compare(*sides, found, path.strip("/"), moves=renames)


def diff_folder_tensors(
    parts: StoreParts, old: PinnedVersion, folder: str, path: str = ""
) -> TensorDiff:
    """Compare the tensors of a version with those of a local folder or file, which is hashed.

    Raises:
        NotFoundError: there is no such folder.
        UnsupportedError: it is a URL.
        IncompleteError: some files cannot be read.
    """
    if is_remote_url(folder):
        raise UnsupportedError(
            "tensors are compared between versions, or with a local folder",
            code=ErrorCode.UNSUPPORTED_FEATURE,
            hint="put what lies behind the URL first",
        )
    place = local_path(folder)
    found = diff_folder(parts, old, place)
    root = os.path.dirname(os.path.abspath(place)) if os.path.isfile(place) else place
    sides = VersionFiles(parts, old), LocalFiles(root)
    return _compare(*sides, found, path.strip("/"), moves=True)


@dataclass(frozen=True, slots=True)
class _Change:
    """A file that differs: where, and on which sides there is one."""

    path: str
    has_old: bool
    has_new: bool


@dataclass(slots=True)
class _Headers:
    """What the headers of both sides say, or why they say nothing."""

    old: dict[str, StoredTensor]
    new: dict[str, StoredTensor]
    reason: str = ""


def _compare(
    old: ComparedFiles, new: ComparedFiles, found: Diff, path: str, *, moves: bool
) -> TensorDiff:
    changes = sorted(_changes_of(found, path), key=lambda one: one.path)
    skipped = [
        (one.path, "pickled, and never unpickled here")
        for one in changes
        if one.path.endswith(PICKLE_SUFFIXES)
    ]
    readable = [one for one in changes if one.path.endswith(TENSOR_SUFFIXES)]
    read = _read_headers(old, new, readable)
    if moves:
        _join_moved(read)
    meter = ReadMeter()
    files: list[TensorFileDiff] = []
    for change, headers in zip(readable, read, strict=True):
        if headers.reason:
            skipped.append((change.path, headers.reason))
        elif headers.old or headers.new:
            files.append(_compare_file(old, new, change.path, headers, meter))
    return TensorDiff(tuple(files), tuple(sorted(skipped)), meter.read_bytes)


def _changes_of(found: Diff, path: str) -> Iterator[_Change]:
    """Yield the files whose bytes differ. One that was only renamed has the same tensors."""
    for changes, has_old, has_new in (
        (found.added, False, True),
        (found.removed, True, False),
        (found.modified, True, True),
    ):
        for one in changes:
            if one.entry_kind is EntryKind.FILE and (
                not path or one.path == path or one.path.startswith(path + "/")
            ):
                yield _Change(one.path, has_old, has_new)


def _read_headers(
    old: ComparedFiles, new: ComparedFiles, changes: Sequence[_Change]
) -> list[_Headers]:
    """Return what the headers say, read side by side."""

    def read(change: _Change) -> _Headers:
        try:
            return _Headers(
                _tensors_of(old, change.path) if change.has_old else {},
                _tensors_of(new, change.path) if change.has_new else {},
            )
        except (InvalidInputError, UnsupportedError) as error:
            return _Headers({}, {}, str(error).removeprefix(f"{change.path}: "))

    with ThreadPoolExecutor(_HEADERS_AT_ONCE, thread_name_prefix="cas-headers") as pool:
        return list(pool.map(read, changes))


def _join_moved(headers: Sequence[_Headers]) -> None:
    """Put each tensor that only one file lost and only one other got beside the new one."""
    lost: dict[str, list[_Headers]] = {}
    got: dict[str, list[_Headers]] = {}
    for one in headers:
        for name in one.old.keys() - one.new.keys():
            lost.setdefault(name, []).append(one)
        for name in one.new.keys() - one.old.keys():
            got.setdefault(name, []).append(one)
    for name, losers in lost.items():
        getters = got.get(name, [])
        if len(losers) == len(getters) == 1:
            getters[0].old[name] = losers[0].old.pop(name)


def _tensors_of(files: ComparedFiles, path: str) -> dict[str, StoredTensor]:
    return {tensor.name: tensor for tensor in parse_file(files.open(path)).tensors}


def _compare_file(
    old: ComparedFiles, new: ComparedFiles, path: str, headers: _Headers, meter: ReadMeter
) -> TensorFileDiff:
    kinds = {name: _kind(headers.old.get(name), tensor) for name, tensor in headers.new.items()}
    kinds |= {name: "removed" for name in headers.old if name not in headers.new}
    names = [name for name, kind in kinds.items() if kind == "same"]
    pairs = [(headers.old[name], headers.new[name]) for name in names]
    differences = dict(zip(names, compare_pairs(old, new, pairs, meter), strict=True))
    changes: list[TensorChange] = []
    for name, kind in kinds.items():
        difference = differences.get(name)
        if difference is None or difference.changed_elements:
            before, after = headers.old.get(name), headers.new.get(name)
            changes.append(_change("changed" if difference else kind, before, after, difference))
    return TensorFileDiff(path, tuple(changes), len(kinds) - len(changes))


def _kind(old: StoredTensor | None, new: StoredTensor) -> str:
    if old is None:
        return "added"
    if old.shape != new.shape:
        return "reshaped"
    return "same" if old.dtype == new.dtype else "retyped"


def _change(
    kind: str,
    old: StoredTensor | None,
    new: StoredTensor | None,
    difference: Difference | None,
) -> TensorChange:
    some = new or old
    assert some is not None
    return TensorChange(
        kind=kind,
        name=some.name,
        old_path=old.path if old and new and old.path != new.path else None,
        old_dtype=old.dtype if old else None,
        new_dtype=new.dtype if new else None,
        old_shape=old.shape if old else None,
        new_shape=new.shape if new else None,
        elements=some.elements if difference else None,
        changed_elements=difference.changed_elements if difference else None,
        largest_difference=difference.largest if difference else None,
    )
