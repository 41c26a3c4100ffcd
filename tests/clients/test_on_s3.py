"""Libraries read `cas://` on an S3 server: the store named by options, and by a chained URL."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import fsspec
import numpy as np
import pytest
from loaded_samples import Samples, load_all

import cas
from cas.testing.corpora import random_content

pytestmark = [pytest.mark.clients, pytest.mark.filterwarnings("default")]

ROWS, GROUP = 20_000, 2_000
TOTAL = ROWS * (ROWS - 1) // 2
ARRAY = np.random.default_rng(1).integers(0, 1 << 30, (200, 300), dtype=np.int32)
SAMPLES = [random_content(n, 3000) for n in range(32)]


@dataclass(frozen=True)
class Written:
    """How a user writes a path of `data:v0`, and the options beside it."""

    chain: str
    options: dict[str, Any]

    def url(self, path):
        return f"cas://data@v0/{path}{self.chain}"

    def open_fs(self, path):
        return fsspec.url_to_fs(self.url(path), **self.options)


@pytest.fixture(scope="module")
def place(ministack, tmp_path_factory):
    """A bucket with `data:v0`: Parquet, one file and a folder of two, a Zarr group, and files."""
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    zarr = pytest.importorskip("zarr")
    folder, place = tmp_path_factory.mktemp("made"), ministack.new_place()
    payload = [random_content(n, 100) for n in range(ROWS)]
    table = pa.table({"key": range(ROWS), "payload": payload})
    pq.write_table(table, folder / "table.parquet", row_group_size=GROUP)
    for name in ("parts", "samples"):
        (folder / name).mkdir()
    for number in range(2):
        half = table.slice(number * ROWS // 2, ROWS // 2)
        pq.write_table(half, folder / "parts" / f"{number}.parquet", row_group_size=GROUP)
    zarr.open_group(folder / "group", mode="w").create_array("a", data=ARRAY, chunks=(50, 50))
    for number, content in enumerate(SAMPLES):
        (folder / "samples" / f"{number:02}.bin").write_bytes(content)
    with cas.Store.create(place.url, storage_options=place.options) as store:
        store.put(folder, "data", cas.PutOptions(provenance=False))
    return place


@pytest.fixture(params=["by options", "chained"])
def written(request, place):
    """Both ways to name the store."""
    if request.param == "chained":
        return Written(f"::{place.url}", {"s3": dict(place.options)})
    return Written("", {"store": place.url, "target_options": dict(place.options)})


def test_pandas_reads_a_file_and_a_folder(written):
    """Columns of one, all of the other."""
    pd = pytest.importorskip("pandas")

    url, options = written.url("table.parquet"), written.options
    column = pd.read_parquet(url, columns=["key"], storage_options=options)
    folder = pd.read_parquet(written.url("parts"), storage_options=options)

    assert column["key"].tolist() == list(range(ROWS))
    assert sorted(folder["key"]) == list(range(ROWS))


def test_arrow_reads_only_what_a_filter_needs(written):
    """One group of rows of ten, in few requests."""
    ds = pytest.importorskip("pyarrow.dataset")
    fs, path = written.open_fs("table.parquet")
    size, before = fs.size(path), fs.store.requests

    dataset = ds.dataset(path, filesystem=fs)
    found = dataset.to_table(filter=(ds.field("key") >= 4 * GROUP) & (ds.field("key") < 5 * GROUP))

    cost = fs.store.requests - before
    assert found["key"].to_pylist() == list(range(4 * GROUP, 5 * GROUP))
    assert cost.received_bytes < size * 0.6
    assert cost.get <= 8


def test_arrow_reads_a_url_whose_store_the_environment_tells(place, monkeypatch):
    """`fsspec+cas` takes no options: credentials come from where the driver finds them."""
    pq = pytest.importorskip("pyarrow.parquet")
    monkeypatch.setenv("AWS_ENDPOINT_URL", place.options["endpoint_url"])
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", place.options["key"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", place.options["secret"])

    chained = pq.read_table(f"fsspec+cas://data@v0/table.parquet::{place.url}", columns=["key"])
    monkeypatch.setenv("CAS_STORE", place.url)
    in_force = pq.read_table("fsspec+cas://data@v0/table.parquet", columns=["key"])

    assert chained["key"].to_pylist() == in_force["key"].to_pylist() == list(range(ROWS))


def test_duckdb_reads_files_and_patterns(written):
    """Through the filesystem of either form, registered."""
    duckdb = pytest.importorskip("duckdb")
    fs, _ = written.open_fs("")

    with duckdb.connect() as database:
        database.register_filesystem(fs)
        query = "SELECT sum(key) FROM '{}' WHERE key >= 0"
        for path in ("table.parquet", "parts/*.parquet"):
            found = database.execute(query.format(f"cas://data@v0/{path}")).fetchone()
            assert found == (TOTAL,)


@pytest.mark.parametrize("scheduler", ["threads", "processes"])
def test_dask_reads_a_folder(written, scheduler):
    """In threads, and in processes that begin anew."""
    dd = pytest.importorskip("dask.dataframe")

    frame = dd.read_parquet(written.url("parts"), storage_options=written.options)

    assert frame["key"].sum().compute(scheduler=scheduler) == TOTAL


def test_zarr_reads_a_group(written):
    """Chunks, and what a slice needs of them."""
    zarr = pytest.importorskip("zarr")

    group = zarr.open_group(written.url("group"), mode="r", storage_options=written.options)

    assert np.array_equal(group["a"][:], ARRAY)
    assert np.array_equal(group["a"][40:60, 7:9], ARRAY[40:60, 7:9])


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_loader_reads_with_workers(written, method):
    """Connections and threads of the driver are the parent's, which has read before."""
    pytest.importorskip("torch")
    fs, path = written.open_fs("samples")
    samples = Samples(fs, path)
    assert samples[0][1] == sum(SAMPLES[0])

    assert load_all(samples, method) == {n: sum(content) for n, content in enumerate(SAMPLES)}
