"""Libraries of arrays and images read `cas://`: Zarr, h5py, Pillow, NumPy."""

from __future__ import annotations

import numpy as np
import pytest

import cas

pytestmark = [pytest.mark.clients, pytest.mark.filterwarnings("default")]

ARRAY = np.random.default_rng(1).integers(0, 1 << 30, (400, 500), dtype=np.int32)


def test_zarr_reads_a_group_by_url(put, options):
    """Version 3, chunk by chunk; a chunk that was never written is zeros."""
    zarr = pytest.importorskip("zarr")

    def fill(folder):
        group = zarr.open_group(folder / "group", mode="w")
        group.create_array("full", data=ARRAY, chunks=(100, 100))
        empty = group.create_array("empty", shape=(200, 200), chunks=(100, 100), dtype="i4")
        empty[:100, :100] = ARRAY[:100, :100]

    put(fill)

    group = zarr.open_group("cas://data@v0/group", mode="r", storage_options=options)

    assert np.array_equal(group["full"][:], ARRAY)
    assert np.array_equal(group["full"][150:160, 5:300], ARRAY[150:160, 5:300])
    assert np.array_equal(
        group["empty"][50:150, :100], np.pad(ARRAY[50:100, :100], ((0, 50), (0, 0)))
    )
    assert sorted(name for name, _ in group.arrays()) == ["empty", "full"]
    # The map of fsspec, as older releases and kerchunk use it.
    mapper = cas.CasFileSystem(**options).get_mapper("data@v0/group")
    assert {"zarr.json", "full/zarr.json"} <= set(mapper)
    assert len(mapper.getitems(["full/c/0/0", "full/c/1/1"])) == 2


def test_zarr_does_not_take_a_damaged_store_for_zeros(put, store, options, tmp_path):
    """A chunk whose blob is gone is an error, since it was written."""
    zarr = pytest.importorskip("zarr")
    put(lambda folder: zarr.create_array(folder / "array", data=ARRAY, chunks=(100, 100)))
    array = zarr.open_array("cas://data@v0/array", mode="r", storage_options=options)
    for blob in (tmp_path / "store" / "blobs").glob("*/*"):
        blob.unlink()

    with pytest.raises(cas.CorruptionError):
        array[:]


def test_h5py_reads_part_of_an_open_file(put, store):
    """A slice costs a part of the file."""
    h5py = pytest.importorskip("h5py")

    def fill(folder):
        with h5py.File(folder / "file.h5", "w") as file:
            file.create_dataset("array", data=np.tile(ARRAY, (8, 1)), chunks=(100, 500))

    put(fill)
    fs = cas.CasFileSystem.on(store)
    before = store.requests.received_bytes

    with fs.open("data@v0/file.h5") as opened, h5py.File(opened, "r") as file:
        part = file["array"][1000:1010]

    assert np.array_equal(part, np.tile(ARRAY, (8, 1))[1000:1010])
    assert store.requests.received_bytes - before < fs.size("data@v0/file.h5") / 2


def test_pillow_opens_an_open_file(put, options):
    """Pixels are those that were put."""
    image = pytest.importorskip("PIL.Image")
    pixels = ARRAY.astype(np.uint8)
    put(lambda folder: image.fromarray(pixels).save(folder / "x.png"))

    with cas.CasFileSystem(**options).open("data@v0/x.png") as file, image.open(file) as opened:
        assert np.array_equal(np.asarray(opened), pixels)


def test_numpy_maps_a_local_copy(put, options, tmp_path):
    """What wants a path gets one: by a cache of fsspec, which tells files apart by their hash."""
    fsspec = pytest.importorskip("fsspec")
    put(lambda folder: np.save(folder / "array.npy", ARRAY))

    local = fsspec.open_local(
        "filecache::cas://data@v0/array.npy",
        cas=options,
        filecache={"cache_storage": str(tmp_path / "cache"), "check_files": True},
    )
    mapped = np.load(local, mmap_mode="r")

    assert isinstance(mapped, np.memmap)
    assert np.array_equal(mapped, ARRAY)
    with cas.CasFileSystem(**options).open("data@v0/array.npy") as file:
        assert np.array_equal(np.load(file), ARRAY)
