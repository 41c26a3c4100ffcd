"""Libraries of tables read `cas://` by themselves: pandas, Arrow, DuckDB, Dask, polars."""

from __future__ import annotations

import pytest

import cas
from cas.testing.corpora import random_content

pytestmark = [pytest.mark.clients, pytest.mark.filterwarnings("default")]

ROWS = 40_000
GROUP = 2_000


@pytest.fixture
def table():
    """Numbers in order, and a column of random bytes that no codec makes smaller."""
    pa = pytest.importorskip("pyarrow")
    content = random_content(1, ROWS * 100)
    payload = [content[at : at + 100] for at in range(0, len(content), 100)]
    return pa.table({"key": range(ROWS), "half": [n / 2 for n in range(ROWS)], "payload": payload})


@pytest.fixture
def tables(table, put):
    """`data`: a Parquet file of 20 groups of rows, a folder of four of them, and a CSV."""
    pq = pytest.importorskip("pyarrow.parquet")
    csv = pytest.importorskip("pyarrow.csv")

    def fill(folder):
        pq.write_table(table, folder / "table.parquet", row_group_size=GROUP)
        (folder / "parts").mkdir()
        for number in range(4):
            part = table.slice(number * ROWS // 4, ROWS // 4)
            pq.write_table(part, folder / "parts" / f"{number}.parquet", row_group_size=GROUP)
        csv.write_csv(table.select(["key", "half"]), folder / "table.csv")

    return put(fill)


def test_pandas_reads_files_and_folders(tables, table, options):
    """With the store from `storage_options`, chained, or in force."""
    pd = pytest.importorskip("pandas")
    url = options["store"]

    whole = pd.read_parquet("cas://data@v0/table.parquet", storage_options=options)
    column = pd.read_parquet("cas://data@v0/table.parquet", columns=["half"])
    folder = pd.read_parquet("cas://data:v0/parts", storage_options=options)
    chained = pd.read_parquet(f"cas://data@v0/table.parquet::{url}", columns=["key"])
    csv = pd.read_csv("cas://data/table.csv", storage_options=options)

    assert whole.equals(table.to_pandas())
    assert column["half"].tolist() == table["half"].to_pylist()
    assert (
        sorted(folder["key"]) == chained["key"].tolist() == csv["key"].tolist() == list(range(ROWS))
    )


def test_pandas_tells_why_it_cannot_write(table, options):
    """Though it tries again without credentials, where a driver of S3 is installed."""
    pytest.importorskip("pandas")
    frame = table.select(["key"]).to_pandas()

    for write in (frame.to_csv, frame.to_parquet):
        with pytest.raises(PermissionError, match="can only be read"):
            write("cas://data/x", storage_options=options)


def test_arrow_reads_only_what_a_filter_needs(tables, store):
    """One group of rows out of twenty costs its own bytes, the footer, and frames at the edges."""
    ds = pytest.importorskip("pyarrow.dataset")
    fs = cas.CasFileSystem.on(store)
    size = fs.size("data@v0/table.parquet")
    before = store.requests.received_bytes

    dataset = ds.dataset("data@v0/table.parquet", filesystem=fs)
    found = dataset.to_table(filter=(ds.field("key") >= 9 * GROUP) & (ds.field("key") < 10 * GROUP))

    assert found["key"].to_pylist() == list(range(9 * GROUP, 10 * GROUP))
    assert size > 4_000_000
    assert store.requests.received_bytes - before < size / 3


def test_arrow_reads_a_url(tables, table):
    """By the scheme `fsspec+cas`, since Arrow knows no others; a folder is a data set."""
    ds = pytest.importorskip("pyarrow.dataset")
    pq = pytest.importorskip("pyarrow.parquet")

    assert pq.read_table("fsspec+cas://data@v0/table.parquet").equals(table)
    folder = ds.dataset("fsspec+cas://data@v0/parts", format="parquet")
    assert folder.to_table().sort_by("key").equals(table)
    assert folder.count_rows() == ROWS


def test_duckdb_reads_a_url(tables, options):
    """Once the filesystem is registered: files, patterns, CSV."""
    duckdb = pytest.importorskip("duckdb")
    with duckdb.connect() as database:
        database.register_filesystem(cas.CasFileSystem(**options))

        def ask(query):
            return database.execute(query).fetchone()

        assert ask("SELECT sum(key) FROM 'cas://data@v0/table.parquet'") == (ROWS * (ROWS - 1) / 2,)
        assert ask("SELECT count(*) FROM read_parquet('cas://data@v0/parts/*.parquet')") == (ROWS,)
        assert ask("SELECT max(half) FROM read_csv('cas://data@v0/table.csv')") == ((ROWS - 1) / 2,)


@pytest.mark.parametrize("scheduler", ["threads", "processes"])
def test_dask_reads_folders_and_patterns(tables, options, scheduler):
    """In threads and in other processes."""
    dd = pytest.importorskip("dask.dataframe")

    folder = dd.read_parquet("cas://data@v0/parts", storage_options=options)
    pattern = dd.read_parquet("cas://data@v0/parts/*.parquet", storage_options=options)
    csv = dd.read_csv("cas://data@v0/table.csv", storage_options=options, blocksize="200kB")

    for frame in (folder, pattern, csv):
        assert frame["key"].sum().compute(scheduler=scheduler) == ROWS * (ROWS - 1) // 2
    assert csv.npartitions > 1


def test_duckdb_computes_the_same_each_time(tables, options):
    """Its threads seek and read one open file side by side."""
    duckdb = pytest.importorskip("duckdb")

    for _ in range(10):
        with duckdb.connect() as database:
            fs = cas.CasFileSystem(**options, skip_instance_cache=True)
            database.register_filesystem(fs)
            query = "SELECT sum(key), sum(half) FROM 'cas://data@v0/table.parquet'"
            total = ROWS * (ROWS - 1) / 2
            assert database.execute(query).fetchone() == (total, total / 2)


def test_polars_reads_an_open_file(tables, table, options):
    """It opens no URL by itself, but scans a file that is open, and data sets of Arrow."""
    pl = pytest.importorskip("polars")
    ds = pytest.importorskip("pyarrow.dataset")
    fs = cas.CasFileSystem(**options)

    with fs.open("data@v0/table.parquet") as file:
        found = pl.scan_parquet(file).filter(pl.col("key") == 7).select("half").collect()
    scanned = pl.scan_pyarrow_dataset(ds.dataset("data@v0/parts", filesystem=fs))

    assert found["half"].to_list() == [3.5]
    assert scanned.select(pl.col("key").sum()).collect().item() == ROWS * (ROWS - 1) // 2
