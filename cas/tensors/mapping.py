"""The tensors of a file or of many shards as one mapping, each read when it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

import numpy as np

from cas.tensors.arrays import Bytes, Framework
from cas.tensors.npz_directory import inflate
from cas.tensors.range_reader import FilePart, TensorFiles
from cas.tensors.stored_tensor import StoredTensor


class Tensors(Mapping[str, Any]):
    """Tensors by name; only those that are asked for are read, straight into new arrays.

    Names, types and shapes come from headers that were read already. Arrays are writable, and
    nobody else's. Thread-safe; pickles as the version and path, and reads headers anew in the other
    process.

    Examples:
        >>> tensors = store.version("model").tensors("model.safetensors")
        >>> sorted(tensors)
        ['bias', 'weight']
        >>> tensors.describe("weight").shape
        (3, 4)
        >>> float(tensors["weight"].sum())
        12.0
        >>> tensors.get_slice("weight")[1:, :2].shape
        (2, 2)
        >>> sorted(tensors.load("b*"))
        ['bias']
    """

    def __init__(
        self,
        files: TensorFiles,
        stored: Mapping[str, StoredTensor],
        metadata: Mapping[str, Any],
        framework: Framework,
    ) -> None:
        """Use `Version.tensors`."""
        self._files = files
        self._stored = stored
        self._metadata = metadata
        self._framework = framework
        self._reopen: Callable[[], Tensors] | None = None

    def reopened_by(self, reopen: Callable[[], Tensors]) -> Tensors:
        """Return these tensors, told how another process opens them."""
        self._reopen = reopen
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        if self._reopen is None:
            raise TypeError("these tensors belong to this process")
        return self._reopen, ()

    @property
    def metadata(self) -> dict[str, Any]:
        """What the file says of itself, a copy: `__metadata__` of safetensors, the key-values of
        GGUF; of shards, what their index says.
        """
        return dict(self._metadata)

    def describe(self, name: str) -> StoredTensor:
        """Return type, shape and place of a tensor; reads nothing.

        Raises:
            KeyError: there is none of that name.
        """
        return self._stored[name]

    def __getitem__(self, name: str) -> Any:
        return self.load([name])[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._stored)

    def __len__(self) -> int:
        return len(self._stored)

    def __contains__(self, name: object) -> bool:
        return name in self._stored

    def __repr__(self) -> str:
        size = sum(tensor.nbytes for tensor in self._stored.values())
        return f"<Tensors: {len(self):,} of {size:,} bytes>"

    def _repr_html_(self) -> str | None:
        # Here: only a notebook needs these modules.
        from cas.model.html import show_or_nothing
        from cas.tensors.notebook_card import tensors_card

        return show_or_nothing(lambda: tensors_card(list(self._stored.values())))

    def load(self, names: str | Iterable[str] | None = None) -> dict[str, Any]:
        """Return several tensors, read together: many reads in flight, neighbours by one read.

        Beside the arrays this holds what the store's budget of memory allows; compressed members
        of a `.npz` take their compressed bytes on top.

        Args:
            names: which ones, or a pattern such as `layers.1.*`; None is all.

        Raises:
            KeyError: there is none of a name.
            UnsupportedError: one cannot be an array (quantised blocks: see `raw`).
            CasError: one cannot be read.
        """
        chosen = self._choose(names)
        for tensor in chosen:
            self._framework.check(tensor)
        contents = read_raw(self._files, chosen)
        return {
            tensor.name: self._framework.make(tensor, raw, tensor.shape)
            for tensor, raw in zip(chosen, contents, strict=True)
        }

    def raw(self, name: str) -> Bytes:
        """Return the bytes of a tensor as they stand in the file: quantised blocks, say.

        Raises:
            KeyError: there is none of that name.
            CasError: it cannot be read.
        """
        return read_raw(self._files, [self._stored[name]])[0]

    def get_slice(self, name: str) -> TensorSlice:
        """Return a tensor to be indexed; only the rows that the first index names are read.

        Raises:
            KeyError: there is none of that name.
            UnsupportedError: it cannot be an array.
        """
        tensor = self._stored[name]
        self._framework.check(tensor)
        return TensorSlice(self._files, tensor, self._framework)

    def _choose(self, names: str | Iterable[str] | None) -> list[StoredTensor]:
        if names is None:
            return list(self._stored.values())
        if not isinstance(names, str):
            return [self._stored[name] for name in dict.fromkeys(names)]
        if names in self._stored:
            return [self._stored[names]]
        return [one for name, one in self._stored.items() if fnmatchcase(name, names)]


class TensorSlice:
    """A tensor of which rows are read when it is indexed."""

    def __init__(self, files: TensorFiles, tensor: StoredTensor, framework: Framework) -> None:
        """Use `Tensors.get_slice`."""
        self._files = files
        self._tensor = tensor
        self._framework = framework

    @property
    def shape(self) -> tuple[int, ...]:
        """Its lengths."""
        return self._tensor.shape

    @property
    def dtype(self) -> str:
        """The type of its elements."""
        return self._tensor.dtype

    def __getitem__(self, index: Any) -> Any:
        """Return what indexing the array would."""
        tensor, indices = self._tensor, index if isinstance(index, tuple) else (index,)
        span = _rows_of(tensor, indices[0]) if indices else None
        if span is None:
            whole = read_raw(self._files, [tensor])[0]
            return self._framework.make(tensor, whole, tensor.shape)[index]
        first, stop, inner = span
        row = tensor.nbytes // tensor.shape[0]
        raw = np.zeros(row * (stop - first), np.uint8)
        start = tensor.start + row * first
        self._files.fill([FilePart(tensor.path, start, start + len(raw), raw.data)])
        rows = self._framework.make(tensor, raw, (stop - first, *tensor.shape[1:]))
        return rows[(inner, *indices[1:])]


def read_raw(files: TensorFiles, tensors: Sequence[StoredTensor]) -> list[Bytes]:
    """Return the bytes of tensors, read together and inflated.

    Raises:
        CasError: they cannot be read, or compressed ones are not what they should be.
    """
    parts: list[FilePart] = []
    for tensor in tensors:
        # Zeroed by the operating system, hence not yet memory: where a file has holes it stays so.
        buffer = np.zeros(tensor.stop - tensor.start, np.uint8)
        parts.append(FilePart(tensor.path, tensor.start, tensor.stop, buffer.data))
    files.fill(parts)
    contents: list[Bytes] = []
    for tensor in tensors:
        part = parts.pop(0)
        if tensor.deflated is None:
            contents.append(np.frombuffer(part.buffer, np.uint8))
            continue
        inflated = np.zeros(tensor.nbytes, np.uint8)
        inflate(tensor.path, part.buffer, tensor.deflated, inflated.data)
        contents.append(inflated)
    return contents


def _rows_of(tensor: StoredTensor, index: Any) -> tuple[int, int, Any] | None:
    """Return first row, end, and how those rows are indexed then; None if rows do not lie together
    or the index names no run of them.
    """
    if tensor.fortran or tensor.deflated is not None or not tensor.shape:
        return None
    length = tensor.shape[0]
    if isinstance(index, slice):
        rows = range(length)[index]
        if not tensor.nbytes:
            return None
        if not rows:
            return 0, 0, slice(0)
        ends = sorted((rows[0], rows[-1]))
        return ends[0], ends[1] + 1, slice(None, None, rows.step)
    if isinstance(index, int | np.integer) and not isinstance(index, bool) and tensor.nbytes:
        at = range(length)[index]
        return at, at + 1, 0
    return None
