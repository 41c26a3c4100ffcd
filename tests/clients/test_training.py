"""Libraries that train models read `cas://`: data sets, tensors, loaders with workers, paths."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import metadata
from pathlib import PurePosixPath

import numpy as np
import pytest
from loaded_samples import Samples, load_all

import cas
from cas.testing.corpora import random_content

pytestmark = [pytest.mark.clients, pytest.mark.filterwarnings("default")]


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_loader_reads_with_workers(put, options, method):
    """Those that are forked after the parent has read, and those that begin anew."""
    pytest.importorskip("torch")
    contents = [random_content(n, 5000) for n in range(64)]

    def fill(folder):
        for number, content in enumerate(contents):
            (folder / f"{number:03}.bin").write_bytes(content)

    put(fill)
    samples = Samples(cas.CasFileSystem(**options), "data")
    assert samples[0][1] == sum(contents[0])

    found = load_all(samples, method)

    assert found == {number: sum(content) for number, content in enumerate(contents)}


def test_torch_loads_an_open_file(put, options):
    """A checkpoint of tensors, without a local copy."""
    torch = pytest.importorskip("torch")
    state = {"weight": torch.arange(100_000, dtype=torch.float32), "step": 7}
    put(lambda folder: torch.save(state, folder / "state.pt"))

    with cas.CasFileSystem(**options).open("data@v0/state.pt") as file:
        loaded = torch.load(file, weights_only=True)

    assert loaded["step"] == 7
    assert torch.equal(loaded["weight"], state["weight"])


def test_single_tensors_are_read_by_range(put, store):
    """Of a safetensors file its head, and then only what is wanted."""
    safetensors = pytest.importorskip("safetensors.numpy")
    rng = np.random.default_rng(1)
    tensors = {f"layer{n}": rng.random((500, 500), np.float32) for n in range(16)}
    put(lambda folder: safetensors.save_file(tensors, folder / "model.safetensors"))
    fs, path = cas.CasFileSystem.on(store), "data@v0/model.safetensors"
    before = store.requests.received_bytes

    length = int.from_bytes(fs.cat_file(path, 0, 8), "little")
    head = json.loads(fs.cat_file(path, 8, 8 + length))
    spans = [head[name]["data_offsets"] for name in ("layer3", "layer12")]
    starts, ends = zip(*[(8 + length + a, 8 + length + b) for a, b in spans], strict=True)
    found = fs.cat_ranges([path] * 2, list(starts), list(ends), on_error="raise")

    for name, content in zip(("layer3", "layer12"), found, strict=True):
        assert np.array_equal(np.frombuffer(content, np.float32).reshape(500, 500), tensors[name])
    assert store.requests.received_bytes - before < fs.size(path) / 3
    assert set(safetensors.load(fs.cat_file(path))) == set(tensors)


@pytest.mark.parametrize("streaming", [False, True])
def test_datasets_loads_files_by_url(put, options, streaming):
    """Whole, and streamed."""
    datasets = pytest.importorskip("datasets")
    lines = [json.dumps({"number": n, "text": f"line {n}"}) for n in range(1000)]

    def fill(folder):
        (folder / "train").mkdir()
        for part in range(2):
            text = "\n".join(lines[part * 500 :][:500]) + "\n"
            (folder / "train" / f"{part}.jsonl").write_text(text, encoding="utf-8")

    put(fill)

    loaded = datasets.load_dataset(
        "json",
        data_files={"train": "cas://data@v0/train/*.jsonl"},
        storage_options=options,
        streaming=streaming,
        split="train",
    )

    assert [row["number"] for row in loaded] == list(range(1000))


def test_datasets_loads_what_it_saved(put, options):
    """A folder of Arrow files."""
    datasets = pytest.importorskip("datasets")
    saved = datasets.Dataset.from_dict({"number": list(range(100))})
    put(lambda folder: saved.save_to_disk(folder / "saved"))

    loaded = datasets.load_from_disk("cas://data@v0/saved", storage_options=options)

    assert loaded["number"][:] == list(range(100))


def test_paths_of_universal_pathlib(put, options):
    """Files and folders of a version as `pathlib` has them, and nothing can be written."""
    upath = pytest.importorskip("upath")
    registry = pytest.importorskip("upath.registry")
    from cas.filesystem.paths import CasPath  # it needs upath

    registry.register_implementation("cas", CasPath, clobber=True)

    def fill(folder):
        (folder / "deep").mkdir()
        (folder / "a.txt").write_text("one\n", encoding="utf-8")
        (folder / "deep" / "b.txt").write_text("two\n", encoding="utf-8")

    put(fill)

    path = upath.UPath("cas://data@v0", **options)

    assert isinstance(path, CasPath)
    assert [child.name for child in path.iterdir()] == ["a.txt", "deep"]
    assert (path / "deep" / "b.txt").read_text() == "two\n"
    assert [one.path for one in path.rglob("*.txt")] == ["data@v0/a.txt", "data@v0/deep/b.txt"]
    assert (path / "a.txt").stat().st_size == 4
    assert (path / "a.txt").parent == path
    assert PurePosixPath((path / "deep").path).parts == ("data@v0", "deep")
    assert [one.name for one in upath.UPath("cas://", **options).iterdir()] == ["data"]
    assert (path / "deep").is_dir()
    for store in (options["store"], options["store"].removeprefix("file://")):
        assert (upath.UPath(f"cas://data@v0::{store}") / "deep" / "b.txt").read_text() == "two\n"
    assert not (path / "no").exists()
    with pytest.raises(PermissionError):
        (path / "new").write_text("x")


def test_an_installed_package_is_found_by_its_entry_points():
    """A new process that imports nothing of cas has the filesystem and its paths."""
    pytest.importorskip("upath")
    try:
        metadata.distribution("cas-store")
    except metadata.PackageNotFoundError:
        pytest.skip("cas is imported from a folder, not installed")
    program = (
        "import fsspec, upath.registry;"
        "print(fsspec.get_filesystem_class('cas').__name__,"
        " upath.registry.get_upath_class('cas').__name__)"
    )

    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)

    assert told.stdout == "CasFileSystem CasPath\n"


TORCH_TYPES = ["float32", "bfloat16", "float8_e4m3fn", "float8_e5m2", "int64", "bool", "complex64"]


def test_versions_give_tensors_of_torch(put, store):
    """What `safetensors.torch` wrote: every type, scalars, shards; writable, on their own memory."""
    torch = pytest.importorskip("torch")
    save_file = pytest.importorskip("safetensors.torch").save_file
    tensors = {
        name: torch.arange(600).reshape(20, 30).remainder(7).to(getattr(torch, name))
        for name in TORCH_TYPES
    }
    tensors |= {"scalar": torch.tensor(2.5), "empty": torch.zeros(0, 4)}

    def fill(folder):
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
        np.save(folder / "order.npy", np.asfortranarray(np.arange(6, dtype=">i4").reshape(2, 3)))
        torch.save(tensors, folder / "model.pt")

    put(fill)
    version = store.version("data")

    found = version.tensors("model.safetensors", framework="torch")
    order = version.tensors("order.npy", framework="torch")["order"]

    assert found.metadata == {"format": "pt"}
    assert set(found) == set(tensors)
    for name, tensor in found.load().items():
        assert tensor.dtype == tensors[name].dtype
        assert tensor.shape == tensors[name].shape
        assert torch.equal(
            tensor.view(-1).view(torch.uint8), tensors[name].view(-1).view(torch.uint8)
        )
    assert torch.equal(found.get_slice("bfloat16")[3:5, 1:], tensors["bfloat16"][3:5, 1:])
    assert order.tolist() == [[0, 1, 2], [3, 4, 5]]
    found["float32"].zero_()
    assert torch.equal(found["float32"], tensors["float32"])
    with pytest.raises(cas.UnsupportedError, match="pickled"):
        version.tensors("model.pt")
