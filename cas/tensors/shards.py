"""Which files make up a mapping of tensors: one, all of a folder, or those that an index names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from cas.errors import ErrorCode, InvalidInputError, NotFoundError
from cas.tensors.arrays import framework_of
from cas.tensors.mapping import Tensors
from cas.tensors.range_reader import TensorFiles, malformed, read_header
from cas.tensors.safetensors_header import parse_json
from cas.tensors.stored_tensor import StoredTensor
from cas.tensors.tensor_file import TENSOR_SUFFIXES, TensorFile, parse_file

INDEX_SUFFIX = ".safetensors.index.json"
_MAXIMUM_SHARDS = 10_000
_HEADERS_AT_ONCE = 16


def open_tensors(files: TensorFiles, path: str, framework: str) -> Tensors:
    """Return the tensors of a file, of all such files of a folder, or of the shards of an index.

    Raises:
        NotFoundError: there is no such file, or none of tensors in the folder.
        InvalidInputError: it is not as its format asks for, or two files have a tensor each of
            the same name.
        UnsupportedError: the file or framework cannot be used here.
        CasError: it cannot be read.
    """
    chosen = framework_of(framework)  # before anything is read
    if files.is_folder(path):
        names = files.list(path)
        indexes = [name for name in names if name.endswith(INDEX_SUFFIX)]
        if len(indexes) != 1:
            shards = [name for name in names if name.endswith(TENSOR_SUFFIXES)]
            if not shards:
                raise _no_tensors(path)
            return Tensors(files, _merge(path, parse_each(files, shards)), {}, chosen)
        path = indexes[0]
    if not path.endswith(INDEX_SUFFIX):
        parsed = parse_file(files.open(path))
        return Tensors(files, _merge(path, [parsed]), parsed.metadata, chosen)
    homes, metadata = _parse_index(files, path)
    shards = sorted(set(homes.values()))
    stored = _merge(path, parse_each(files, shards), homes)
    missing = [name for name in homes if name not in stored]
    if missing:
        raise malformed(path, f"{homes[missing[0]]} has no tensor {missing[0]!r}")
    return Tensors(files, {name: stored[name] for name in homes}, metadata, chosen)


def _no_tensors(folder: str) -> NotFoundError:
    where = f"directly in {folder!r}" if folder else "at the top of it"
    return NotFoundError(
        f"there is no file of tensors {where}",
        code=ErrorCode.PATH_NOT_FOUND,
        hint=f"name a folder that has some, or a file: {', '.join(TENSOR_SUFFIXES)}",
    )


def parse_each(files: TensorFiles, paths: Sequence[str]) -> list[TensorFile]:
    """Return what the headers of files say, read side by side; raises as `open_tensors` does."""
    if len(paths) < 2:
        return [parse_file(files.open(path)) for path in paths]
    with ThreadPoolExecutor(_HEADERS_AT_ONCE, thread_name_prefix="cas-headers") as pool:
        return list(pool.map(lambda path: parse_file(files.open(path)), paths))


def _merge(
    path: str, parsed: Iterable[TensorFile], homes: Mapping[str, str] | None = None
) -> dict[str, StoredTensor]:
    """Return all tensors by name; with `homes` only those that lie where it says."""
    stored: dict[str, StoredTensor] = {}
    for tensor in (tensor for file in parsed for tensor in file.tensors):
        if homes is not None and homes.get(tensor.name) != tensor.path:
            continue
        if tensor.name in stored:
            other = stored[tensor.name].path
            raise InvalidInputError(
                f"{path}: {other} and {tensor.path} both have a tensor {tensor.name!r}",
                code=ErrorCode.INVALID_PATH,
                hint="name the file, or an index of shards",
            )
        stored[tensor.name] = tensor
    return stored


def _parse_index(files: TensorFiles, path: str) -> tuple[dict[str, str], dict[str, Any]]:
    """Return the path of each tensor's file, and what the index says besides."""
    reader = files.open(path)
    fields = parse_json(path, read_header(reader, 0, reader.size, "the index"))
    weights, metadata = fields.get("weight_map"), fields.get("metadata", {})
    if not isinstance(weights, dict) or not isinstance(metadata, dict):
        raise malformed(path, "it has no weight_map")
    place = partial(_shard_path, path)
    homes = {name: place(shard) for name, shard in weights.items()}
    if len(set(homes.values())) > _MAXIMUM_SHARDS:
        raise malformed(path, "it names too many files")
    return homes, metadata


def _shard_path(index: str, shard: Any) -> str:
    """Return the path of a shard, which lies beside the index or below."""
    if not isinstance(shard, str) or not all(
        part not in ("", ".", "..") and "\\" not in part and "\0" not in part
        for part in shard.split("/")
    ):
        raise malformed(index, f"{shard!r:.80} is no file beside it")
    folder = index.rpartition("/")[0]
    return f"{folder}/{shard}" if folder else shard
