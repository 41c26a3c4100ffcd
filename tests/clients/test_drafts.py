"""Libraries write to drafts by themselves: tables, arrays and checkpoints, by URL or filesystem."""

from __future__ import annotations

import numpy as np
import pytest

import cas

pytestmark = [pytest.mark.clients, pytest.mark.filterwarnings("default")]


def test_pandas_writes_parquet(store, options):
    """By URL, by filesystem, and into an open file; and reads what is not committed yet."""
    pd = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    frame = pd.DataFrame({"number": range(1000), "text": [f"line {n}" for n in range(1000)]})

    with store.draft("tables") as draft:
        frame.to_parquet(f"{draft.url}/by-url.parquet")
        frame.to_parquet("by/filesystem.parquet", filesystem=draft)
        with draft.open("open.parquet", "wb") as file:
            frame.to_parquet(file)
        frame.to_csv(f"{draft.url}/table.csv", index=False)
        assert pd.read_parquet(f"{draft.url}/by-url.parquet").equals(frame)

    for path in ("by-url.parquet", "by/filesystem.parquet", "open.parquet"):
        assert pd.read_parquet(f"cas://tables@v0/{path}", storage_options=options).equals(frame)
    assert pd.read_csv("cas://tables@v0/table.csv", storage_options=options).equals(frame)


def test_arrow_writes_a_data_set_into_what_is_there(store):
    """Partitions of a base get more files, and others are deleted, as Arrow likes it."""
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    dataset = pytest.importorskip("pyarrow.dataset")

    def table(start):
        return pa.table({"number": range(start, start + 100), "part": [0, 1] * 50})

    with store.draft("set") as draft:
        parquet.write_to_dataset(table(0), "data", partition_cols=["part"], filesystem=draft)
    with store.draft("set", base="latest") as draft:
        parquet.write_to_dataset(table(100), "data", partition_cols=["part"], filesystem=draft)
    with store.draft("set", base="latest") as draft:
        dataset.write_dataset(
            table(500),
            "data",
            format="parquet",
            partitioning=["part"],
            partitioning_flavor="hive",
            filesystem=draft,
            existing_data_behavior="delete_matching",
        )

    fs = cas.CasFileSystem.on(store)
    read = [
        sorted(parquet.read_table(f"set@v{n}/data", filesystem=fs)["number"].to_pylist())
        for n in range(3)
    ]
    assert read == [list(range(100)), list(range(200)), list(range(500, 600))]


def test_zarr_writes_arrays(store, options):
    """A group of arrays, changed in a second draft: untouched chunks are not sent again."""
    zarr = pytest.importorskip("zarr")
    content = np.random.default_rng(1).integers(0, 1 << 30, (400, 400))

    with store.draft("arrays") as draft:
        group = zarr.open_group(f"{draft.url}/group", mode="w")
        array = group.create_array("a", shape=content.shape, chunks=(100, 100), dtype="i8")
        array[:] = content
        group.attrs["made"] = "here"
    with store.draft("arrays", base="latest") as draft:
        array = zarr.open_group(f"{draft.url}/group", mode="r+")["a"]
        array[:50, :50] = 7
    content[:50, :50] = 7

    found = zarr.open_group("cas://arrays@v1/group", mode="r", storage_options=options)
    assert np.array_equal(found["a"][:], content)
    assert found.attrs["made"] == "here"
    assert draft.outcome.new_bytes < content.nbytes / 4


def test_torch_saves_and_loads_checkpoints(store, options, monkeypatch):
    """Distributed ones by `FsspecWriter` and `FsspecReader`, and single files, unchanged."""
    torch = pytest.importorskip("torch")
    dcp = pytest.importorskip("torch.distributed.checkpoint")
    fsspec_dcp = pytest.importorskip("torch.distributed.checkpoint._fsspec_filesystem")
    torch.manual_seed(1)
    state = {"weight": torch.randn(300, 300), "bias": torch.randn(300), "step": 7}

    with store.draft("run") as draft:
        writer = fsspec_dcp.FsspecWriter(f"{draft.url}/step-7", thread_count=2)
        dcp.save(state, storage_writer=writer, no_dist=True)
        with draft.open("last.pt", "wb") as file:
            torch.save(state, file)
        before = {"weight": torch.zeros(300, 300), "bias": torch.zeros(300), "step": 0}
        reader = fsspec_dcp.FsspecReader(f"{draft.url}/step-7")
        dcp.load(before, storage_reader=reader, no_dist=True)

    after = {"weight": torch.zeros(300, 300), "bias": torch.zeros(300), "step": 0}
    reader = fsspec_dcp.FsspecReader("cas://run@v0/step-7", **options)
    dcp.load(after, storage_reader=reader, no_dist=True)
    with cas.CasFileSystem(**options).open("run@v0/last.pt") as file:
        last = torch.load(file, weights_only=True)

    for loaded in (before, after, last):
        assert loaded["step"] == 7
        assert torch.equal(loaded["weight"], state["weight"])
        assert torch.equal(loaded["bias"], state["bias"])


def _save_part(rank, draft, address):
    """Save a checkpoint as one of two ranks do."""
    import torch
    import torch.distributed as dist
    import torch.distributed.checkpoint as dcp
    from torch.distributed.checkpoint._fsspec_filesystem import FsspecWriter

    dist.init_process_group("gloo", init_method=address, rank=rank, world_size=2)
    state = {f"rank-{rank}": torch.full((1000,), float(rank)), "both": torch.arange(1000.0)}
    dcp.save(state, storage_writer=FsspecWriter(f"{draft.url}/step"))
    dist.destroy_process_group()


def test_ranks_save_a_distributed_checkpoint_into_one_draft(store, options, tmp_path):
    """Each is a process of its own, which was handed the draft."""
    torch = pytest.importorskip("torch")
    dcp = pytest.importorskip("torch.distributed.checkpoint")
    fsspec_dcp = pytest.importorskip("torch.distributed.checkpoint._fsspec_filesystem")

    with store.draft("ranks") as draft:
        torch.multiprocessing.spawn(_save_part, (draft, f"file://{tmp_path}/meeting"), nprocs=2)

    loaded = {f"rank-{rank}": torch.zeros(1000) for rank in range(2)} | {"both": torch.zeros(1000)}
    reader = fsspec_dcp.FsspecReader("cas://ranks@v0/step", **options)
    dcp.load(loaded, storage_reader=reader, no_dist=True)
    assert loaded["rank-1"].tolist() == [1.0] * 1000
    assert torch.equal(loaded["both"], torch.arange(1000.0))


def test_dask_writes_partitions_from_its_workers(store, options):
    """Threads of it, all into one draft."""
    pd = pytest.importorskip("pandas")
    dd = pytest.importorskip("dask.dataframe")

    with store.draft("parts") as draft:
        frame = pd.DataFrame({"number": range(100)})
        dd.from_pandas(frame, npartitions=4).to_parquet(f"{draft.url}/table")

    assert len(draft.version) == 4
    read = dd.read_parquet("cas://parts@v0/table", storage_options=options)["number"].compute()
    assert sorted(read) == list(range(100))


def test_datasets_saves_to_a_draft(store, options):
    """And loads what was committed."""
    datasets = pytest.importorskip("datasets")

    with store.draft("saved") as draft:
        made = datasets.Dataset.from_dict({"number": list(range(100))})
        made.save_to_disk(f"{draft.url}/set")

    loaded = datasets.load_from_disk("cas://saved@v0/set", storage_options=options)
    assert loaded["number"][:] == list(range(100))


def test_duckdb_copies_into_a_draft(store):
    """And queries it before it is committed."""
    duckdb = pytest.importorskip("duckdb")

    with store.draft("query") as draft:
        connection = duckdb.connect()
        connection.register_filesystem(draft)
        connection.execute(f"COPY (SELECT range AS n FROM range(9)) TO '{draft.url}/n.parquet'")
        found = connection.execute(f"SELECT sum(n) FROM '{draft.url}/n.parquet'").fetchall()

    assert found == [(36,)]
    assert draft.version["n.parquet"].size > 0


def test_hdf5_is_written_and_changed_in_place(store):
    """By seeking, in a file opened for both."""
    h5py = pytest.importorskip("h5py")

    first = store.draft("hdf")
    with first.open("a.h5", "w+b") as raw, h5py.File(raw, "w") as file:
        file["x"] = np.arange(1000)
    first.commit()
    draft = store.draft("hdf", base="latest")
    with draft.open("a.h5", "r+b") as raw, h5py.File(raw, "r+") as file:
        file["x"][7] = 70
    draft.commit()

    with draft.version.open("a.h5") as raw, h5py.File(raw, "r") as file:
        assert file["x"][6:9].tolist() == [6, 70, 8]


def test_paths_of_universal_pathlib_write(store):
    """By the URL of the draft."""
    upath = pytest.importorskip("upath")

    with store.draft("paths") as draft:
        path = upath.UPath(f"{draft.url}/folder/a.txt")
        path.parent.mkdir(parents=True)
        path.write_text("one\n")
        assert [one.name for one in path.parent.iterdir()] == ["a.txt"]

    assert draft.version.read("folder/a.txt") == b"one\n"
